//! Where a version of a model comes from: the forms of a source, and which of them can be trusted.
//! MLflow's rules (`server/handlers.py`, `store/artifact/utils/models.py`), in its words; paths are
//! compared as texts, no file is looked at. Pure. Imports: error, percent-encoding.

use percent_encoding::percent_decode_str;

use super::error::Error;
use super::registry::LATEST;
use super::validate;

/// Characters of a source: longer than any path of a file system.
const SOURCE_CHARS_MAX: usize = 4096;

/// A source by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    /// `runs:/ID/path`.
    Run {
        /// The run's id.
        id: &'a str,
        /// Below its artifacts; may be empty.
        path: &'a str,
    },
    /// `models:/m-…`.
    LoggedModel(&'a str),
    /// `models:/NAME/…`, `models:/NAME@ALIAS`.
    Version {
        /// The registered model.
        name: &'a str,
        /// Which of its versions.
        which: Which<'a>,
    },
    /// `mlflow-artifacts:/…`, or the same in the form in which a server gives it out.
    Proxied,
    /// A path, or `file:…`.
    Local,
    /// Somewhere else: `s3://…`, `https://…`.
    Elsewhere,
}

/// Names a version of a registered model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which<'a> {
    /// By its number.
    Number(i64),
    /// By an alias.
    Alias(&'a str),
    /// The highest of a stage.
    Stage(&'a str),
    /// The highest of all.
    Latest,
}

/// A URI in three parts: the scheme in lower case, what follows `//` up to the next `/`, the rest.
struct Parts<'a> {
    scheme: String,
    authority: &'a str,
    path: &'a str,
}

fn split(uri: &str) -> Parts<'_> {
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match uri.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), uri),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", rest),
    };
    Parts {
        scheme,
        authority,
        path,
    }
}

/// Decodes `%2e` and `%252e` and what else may hide something.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    // Each pass makes the text shorter, and its length is limited.
    loop {
        let next = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if next.len() >= text.len() {
            return next;
        }
        text = next;
    }
}

/// Returns the parts of a path, decoded.
fn steps(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split('/')
        .filter(|p| !p.is_empty())
        .map(decoded)
        .collect()
}

/// Is `uri` the same as `root`, or inside of it?
pub(super) fn is_within(uri: &str, root: &str) -> bool {
    let (uri, root) = (split(uri), split(root));
    let root_steps = steps(root.path);
    uri.scheme == root.scheme
        && uri.authority.eq_ignore_ascii_case(root.authority)
        && !root_steps.is_empty()
        && steps(uri.path).starts_with(&root_steps)
}

/// Is the path or `file:` URI `source` the same as `root`, which is one too, or inside of it?
pub(super) fn is_within_folder(source: &str, root: &str) -> bool {
    let (source, root) = (split(source), split(root));
    let is_local = |parts: &Parts<'_>| {
        matches!(parts.scheme.as_str(), "" | "file")
            && matches!(parts.authority, "" | "localhost")
            && parts.path.starts_with('/')
    };
    let root_steps = steps(root.path);
    is_local(&source)
        && is_local(&root)
        && !root_steps.is_empty()
        && steps(source.path).starts_with(&root_steps)
}

/// Finds the form of a source.
///
/// # Errors
/// It is too long, a reference that names nothing, or a path with relative parts.
pub(super) fn parse(source: &str) -> Result<Source<'_>, Error> {
    if source.trim().is_empty() {
        return Err(Error::invalid(
            "Missing value for required parameter 'source'.",
        ));
    }
    validate::check_length("source", SOURCE_CHARS_MAX, source)?;
    check_absolute(source)?;
    let parts = split(source);
    Ok(match parts.scheme.as_str() {
        "" | "file" => Source::Local,
        "runs" => of_run(source, &parts)?,
        "models" => of_model(source, &parts)?,
        "mlflow-artifacts" => Source::Proxied,
        "http" | "https" if is_route(parts.path) => Source::Proxied,
        _ => Source::Elsewhere,
    })
}

/// Is this the path under which servers of MLflow give out artifacts?
fn is_route(path: &str) -> bool {
    const ROUTE: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];
    steps(path).windows(ROUTE.len()).any(|part| part == ROUTE)
}

/// Fails if a source has parts that lead elsewhere than they seem to.
fn check_absolute(source: &str) -> Result<(), Error> {
    let plain = decoded(source);
    let parts = split(&plain);
    let path = parts.path.split(['?', '#']).next().unwrap_or_default();
    let has_up = plain.split(['/', '\\']).any(|part| part == "..");
    let steps: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_absolute = path.starts_with('/') && !steps.is_empty() && !steps.contains(&".");
    if has_up || plain.contains('\0') || !is_absolute {
        return Err(Error::invalid(format!(
            "Invalid model version source: '{source}'. If supplying a source as an http, https, \
             local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be \
             provided without relative path references present. Please provide an absolute path."
        )));
    }
    Ok(())
}

fn of_run<'a>(source: &str, parts: &Parts<'a>) -> Result<Source<'a>, Error> {
    if !parts.authority.is_empty() {
        return Err(elsewhere(source, "run_id"));
    }
    let inside = parts.path.trim_start_matches('/');
    let (id, path) = inside.split_once('/').unwrap_or((inside, ""));
    Ok(Source::Run {
        id,
        path: path.trim_matches('/'),
    })
}

fn of_model<'a>(source: &str, parts: &Parts<'a>) -> Result<Source<'a>, Error> {
    if !parts.authority.is_empty() {
        return Err(elsewhere(source, "model_id"));
    }
    let improper = || {
        Error::invalid(format!(
            "Not a proper models:/ URI: {source}. Models URIs must be of the form \
             'models:/name/suffix' or 'models:/name@alias' where suffix is a version, stage, or the \
             string 'latest' and where alias is a registered model alias. Only one of suffix or \
             alias can be defined at a time."
        ))
    };
    let inside = parts.path.trim_matches('/');
    if let Some((name, suffix)) = inside.split_once('/') {
        if name.trim().is_empty() || suffix.trim().is_empty() || suffix.contains('/') {
            return Err(improper());
        }
        let which = if suffix.bytes().all(|b| b.is_ascii_digit()) {
            Which::Number(suffix.parse().map_err(|_| improper())?)
        } else if suffix.eq_ignore_ascii_case(LATEST) {
            Which::Latest
        } else {
            Which::Stage(suffix)
        };
        return Ok(Source::Version { name, which });
    }
    match inside.rsplit_once('@') {
        Some((name, alias)) if !name.trim().is_empty() && !alias.trim().is_empty() => {
            Ok(Source::Version {
                name,
                which: Which::Alias(alias),
            })
        }
        Some(_) => Err(improper()),
        None => Ok(Source::LoggedModel(inside)),
    }
}

/// The refusal of a source that is not part of what the request names in `field`.
pub(super) fn elsewhere(source: &str, field: &str) -> Error {
    Error::invalid(format!(
        "Invalid model version source: '{source}'. The {field} request parameter must identify the \
         resource that contains the source."
    ))
}

/// The refusal of a path that is not inside of what the request names in `field`.
pub(super) fn local(source: &str, field: &str) -> Error {
    let what = field.trim_end_matches("_id");
    Error::invalid(format!(
        "Invalid model version source: '{source}'. To use a local path as a model version source, \
         the {field} request parameter has to be specified and the local path has to be contained \
         within the artifact directory of the {what} specified by the {field}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_one_of_six_forms() {
        let version = |name, which| Source::Version { name, which };
        let run = |id, path| Source::Run { id, path };
        for (source, form) in [
            ("runs:/0f/models/a", run("0f", "models/a")),
            ("runs:/0f/", run("0f", "")),
            ("RUNS:/0f/a b/", run("0f", "a b")),
            ("models:/m-0f", Source::LoggedModel("m-0f")),
            ("models:/cats/12", version("cats", Which::Number(12))),
            ("models:/cats@a", version("cats", Which::Alias("a"))),
            ("models:/a@b@c", version("a@b", Which::Alias("c"))),
            ("models:/cats/LATEST", version("cats", Which::Latest)),
            (
                "models:/cats/Staging",
                version("cats", Which::Stage("Staging")),
            ),
            ("mlflow-artifacts:/1/0f/artifacts/a", Source::Proxied),
            ("mlflow-artifacts://host:1/1/0f", Source::Proxied),
            (
                "http://h/api/2.0/mlflow-artifacts/artifacts/1",
                Source::Proxied,
            ),
            ("http://h/api/2.0/models/1", Source::Elsewhere),
            ("s3://bucket/a/b", Source::Elsewhere),
            ("/srv/models/a", Source::Local),
            ("file:///srv/models/a", Source::Local),
        ] {
            assert_eq!(parse(source).unwrap(), form, "{source}");
        }
    }

    #[test]
    fn relative_parts_are_found_however_they_are_written() {
        for source in [
            "mlflow-artifacts://host:1/../../../../",
            "mlflow-artifacts:/1/a/../b",
            "mlflow-artifacts:/1/./b",
            "mlflow-artifacts://host:1/..%2f..%2f..",
            "mlflow-artifacts:/1/%252e%252e/b",
            "mlflow-artifacts:/1/..\\b",
            "mlflow-artifacts:1/b",
            "mlflow-artifacts:/",
            "http://h/api/2.0/mlflow-artifacts/artifacts%00",
            "s3:/bucket/models/../../other",
            "s3://bucket",
            "file://path/to/../../x",
            "/models/artifacts/../../../",
            "models/a",
            "./a",
            "runs:/0f/../1e/a",
            "models:/..",
            "models:m-0f",
        ] {
            let message = parse(source).unwrap_err().to_string();
            let start = format!("Invalid model version source: '{source}'. If supplying a source");
            assert!(message.starts_with(&start), "{source}: {message}");
        }
    }

    #[test]
    fn references_that_name_nothing_are_refused() {
        for source in [
            "models:/a/b/c",
            "models:/@a",
            "models:/a@",
            "models:/a/99999999999999999999",
        ] {
            let message = parse(source).unwrap_err().to_string();
            assert!(
                message.starts_with("Not a proper models:/ URI"),
                "{message}"
            );
        }
        for source in ["models://host/a/1", "runs://host/0f/a"] {
            let message = parse(source).unwrap_err().to_string();
            assert!(message.contains("must identify the resource"), "{message}");
        }
        assert_eq!(
            parse(" ").unwrap_err().to_string(),
            "Missing value for required parameter 'source'."
        );
        let nested = |last: &str| format!("s3://bucket/%{}{last}", "25".repeat(2000));
        assert!(parse(&nested("61")).is_ok());
        assert!(parse(&nested("2e")).is_err());
        assert!(parse(&format!("s3://bucket/{}", "a".repeat(4096))).is_err());
    }

    #[test]
    fn inside_is_by_whole_steps() {
        let root = "mlflow-artifacts:/1/0f/artifacts";
        for (uri, inside) in [
            ("mlflow-artifacts:/1/0f/artifacts", true),
            ("mlflow-artifacts:/1/0f/artifacts/a/b", true),
            ("MLFLOW-ARTIFACTS:/1//0f/artifacts/a", true),
            ("mlflow-artifacts:/1/0f/artifactsx", false),
            ("mlflow-artifacts:/1/0f", false),
            ("mlflow-artifacts://host/1/0f/artifacts/a", false),
            ("s3:/1/0f/artifacts/a", false),
        ] {
            assert_eq!(is_within(uri, root), inside, "{uri}");
        }
        assert!(!is_within("s3://a/b", "s3://a"));
        for (path, root, inside) in [
            ("/srv/a/b", "/srv/a", true),
            ("file:///srv/a", "/srv/a", true),
            ("file:/srv/a%20b/c", "file:///srv/a b", true),
            ("/srv/ab", "/srv/a", false),
            ("/srv/a", "mlflow-artifacts:/srv/a", false),
            ("file://host/srv/a", "/srv/a", false),
            ("/srv/a", "/", false),
        ] {
            assert_eq!(is_within_folder(path, root), inside, "{path} in {root}");
        }
    }
}
