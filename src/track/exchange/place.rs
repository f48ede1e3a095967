//! Where the artifacts of an MLflow store are. Stores name them by absolute paths and are copied from
//! machine to machine all the same: what is not where the store says is looked for beside the store.
//! Imports: nothing of ours but the types of this folder.

use std::path::{Path, PathBuf};

use super::{Found, Place};

/// Folders beside a database in which MLflow keeps artifacts: by default, and behind its server.
const BESIDE: [&str; 2] = ["mlruns", "mlartifacts"];

/// How URIs of MLflow's own server begin.
pub(crate) const PROXIED: &str = "mlflow-artifacts:";

/// Looks for the artifacts that `uri` names. `owner` is the id of the run or model that they belong
/// to: a folder that does not carry it is not theirs, whatever the store says. `own` is where a store
/// of files keeps them; `base` is the folder of the store.
pub(crate) fn find(uri: &str, owner: &str, own: Option<&Path>, base: &Path) -> Place {
    Place {
        uri: uri.to_owned(),
        found: look(uri, owner, own, base),
    }
}

fn look(uri: &str, owner: &str, own: Option<&Path>, base: &Path) -> Found {
    // A store of files makes the folder in any case, and leaves it empty if artifacts go elsewhere.
    if let Some(own) = own
        && is_filled(own)
    {
        return Found::Folder(own.to_owned());
    }
    let Some(path) = local(uri) else {
        return Found::Elsewhere;
    };
    let mut known = Vec::new();
    if let Some(rest) = path.strip_prefix(PROXIED) {
        let rest = rest.trim_start_matches('/');
        known.extend(BESIDE.iter().rev().map(|dir| base.join(dir).join(rest)));
    } else {
        known.push(base.join(&path));
        for dir in BESIDE {
            if let Some((_, rest)) = path.rsplit_once(&format!("{dir}/")) {
                known.extend(BESIDE.iter().map(|dir| base.join(dir).join(rest)));
            }
        }
    }
    known.retain(|path| is_of(path, owner));
    if let Some(found) = known.iter().find(|path| is_filled(path)) {
        return Found::Folder(found.clone());
    }
    // MLflow makes the folder of a run with the first file: where the folder of all experiments is,
    // nothing was ever put into this one. A store of files has it right here.
    let top = base.file_name().filter(|_| own.is_some());
    let was_here = |path: &Path| {
        let above = path.ancestors().skip(3).take(2);
        let mut names = above.filter_map(Path::file_name);
        top.is_some_and(|top| names.any(|name| name == top || name == BESIDE[0]))
    };
    let is_top = |path: &Path| {
        let named = path
            .file_name()
            .is_some_and(|name| BESIDE.iter().any(|dir| name == *dir));
        named && path.is_dir()
    };
    let is_empty = known
        .iter()
        .any(|path| path.is_dir() || was_here(path) || path.ancestors().any(is_top));
    if is_empty || path.is_empty() {
        Found::Empty
    } else {
        Found::Missing
    }
}

/// Is a file in `folder`, whatever links lead to it? A store that came from elsewhere may have links to
/// files of this machine that are none of its business.
pub(crate) fn is_inside(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(folder).is_some_and(|folder| real(path).is_some_and(|path| path.starts_with(folder)))
}

/// Is there a folder with something in it?
fn is_filled(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// Returns the path that a URI names on this machine, or below MLflow's server.
fn local(uri: &str) -> Option<String> {
    if let Some(rest) = uri.strip_prefix("file:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let path = path.strip_prefix("localhost").unwrap_or(path);
        return Some(decode(path));
    }
    if let Some(rest) = uri.strip_prefix(PROXIED) {
        // `mlflow-artifacts://host:port/path` is on that server as well.
        let path = match rest.strip_prefix("//") {
            Some(there) => there.split_once('/').map_or("", |(_, path)| path),
            None => rest,
        };
        let inside = !path.split('/').any(|part| part == "..");
        return inside.then(|| format!("{PROXIED}{path}"));
    }
    // `C:\…` is a path, if one of another system.
    let scheme = uri.split_once(":/").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if 1 < scheme.len() => None,
        _ => Some(uri.to_owned()),
    }
}

fn decode(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_or_else(|_| path.to_owned(), std::borrow::Cow::into_owned)
}

/// Does a folder belong to a run or model: `…/ID/artifacts`?
fn is_of(path: &Path, owner: &str) -> bool {
    let names: Vec<_> = path.components().rev().take(2).collect();
    matches!(names.as_slice(), [last, id]
        if last.as_os_str() == "artifacts" && id.as_os_str() == owner)
}

/// Returns a URI or path in the one form in which they are compared.
pub(crate) fn normal(uri: &str) -> String {
    let path = local(uri).unwrap_or_else(|| uri.to_owned());
    let path = match path.strip_prefix(PROXIED) {
        Some(rest) => format!("{PROXIED}/{}", rest.trim_start_matches('/')),
        None => path,
    };
    path.trim_end_matches('/').to_owned()
}

/// Returns the folder in which a database lies.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn artifacts_are_found_where_the_store_says_or_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        let here = base.join(format!("mlruns/1/{RUN}/artifacts"));
        crate::base::fs::create_dir_all(&here).unwrap();
        crate::base::fs::write_atomic(&here.join("model.bin"), b"x").unwrap();
        let find = |uri: &str| look(uri, RUN, None, base);
        let found = Found::Folder(here.clone());
        for uri in [
            here.to_str().unwrap().to_owned(),
            format!("file://{}", here.display()),
            format!("/gone/mlruns/1/{RUN}/artifacts"),
            format!("file:///gone/mlruns/1/{RUN}/artifacts"),
            format!("mlflow-artifacts:/1/{RUN}/artifacts"),
            format!("mlflow-artifacts://server:5000/1/{RUN}/artifacts"),
            format!("./mlruns/1/{RUN}/artifacts"),
        ] {
            assert_eq!(find(&uri), found, "{uri}");
        }
        let other = RUN.replace('0', "1");
        assert_eq!(
            look(&format!("mlruns/1/{other}/artifacts"), &other, None, base),
            Found::Empty
        );
        // A folder of somebody else is nobody's artifact.
        assert_eq!(find(base.to_str().unwrap()), Found::Missing);
        assert_eq!(find(&format!("/gone/1/{RUN}/artifacts")), Found::Missing);
        assert_eq!(
            find(&format!("mlflow-artifacts:/../1/{RUN}/artifacts")),
            Found::Elsewhere
        );
        assert_eq!(find("s3://bucket/1/x/artifacts"), Found::Elsewhere);
    }

    #[test]
    fn a_store_of_files_may_keep_artifacts_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("mlruns");
        let own = base.join(format!("1/{RUN}/artifacts"));
        crate::base::fs::create_dir_all(&own).unwrap();
        let find = |uri: &str| look(uri, RUN, Some(&own), &base);
        assert_eq!(
            find(&format!("/gone/mlruns/1/{RUN}/artifacts")),
            Found::Empty
        );
        assert_eq!(find(""), Found::Empty);
        assert_eq!(
            find(&format!("/gone/files/1/{RUN}/artifacts")),
            Found::Missing
        );
        assert_eq!(
            find(&format!("s3://bucket/1/{RUN}/artifacts")),
            Found::Elsewhere
        );
        let there = dir.path().join(format!("files/1/{RUN}/artifacts"));
        crate::base::fs::create_dir_all(&there).unwrap();
        let uri = format!("file://{}", there.display());
        assert_eq!(find(&uri), Found::Empty);
        crate::base::fs::write_atomic(&there.join("x"), b"x").unwrap();
        assert_eq!(find(&uri), Found::Folder(there));
        crate::base::fs::write_atomic(&own.join("x"), b"x").unwrap();
        assert_eq!(find(&uri), Found::Folder(own.clone()));
    }

    #[test]
    fn uris_are_compared_in_one_form() {
        for (uri, form) in [
            ("file:///a/b%20c/", "/a/b c"),
            ("/a/b c", "/a/b c"),
            ("mlflow-artifacts://h:1/1/r", "mlflow-artifacts:/1/r"),
            ("mlflow-artifacts:/1/r", "mlflow-artifacts:/1/r"),
            ("s3://b/c", "s3://b/c"),
        ] {
            assert_eq!(normal(uri), form);
        }
    }
}
