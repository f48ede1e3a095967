//! The files of a version: which there are, and putting them into a folder. Imports: base, store,
//! track.

use std::path::Path;

use crate::base::fs::{self, LinkKind};
use crate::base::hash::hash_file;
use crate::base::{self, Cancel, Diagnostic, ObjectId};
use crate::cli::error::CliError;
use crate::cli::exit::ErrorClass;
use crate::project;
use crate::track::Reader;
use crate::track::artifacts::{Artifacts, FileRecord, path_of_uri};

/// A file of a version.
#[derive(Clone, Debug)]
pub(super) struct ModelFile {
    /// Relative to the version.
    pub(super) path: String,
    /// Where its bytes are.
    pub(super) record: FileRecord,
}

/// What happens to files that stand where others must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// They stay, and nothing is written.
    Refuse,
    /// They are replaced.
    Replace,
}

/// What was put into the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Files written.
    pub(super) files: usize,
    /// Files that were there already.
    pub(super) kept: usize,
    /// Bytes of all.
    pub(super) bytes: u64,
}

/// Returns the files at a place, by path; `None` if the place is not here.
pub(super) fn at(
    artifacts: &Artifacts,
    reader: &Reader<'_>,
    storage: &str,
) -> Result<Option<Vec<ModelFile>>, CliError> {
    let Some(top) = path_of_uri(storage) else {
        return Ok(None);
    };
    // A version may be a single file.
    if let Some(record) = artifacts.find(reader, top)? {
        let path = top.rsplit('/').next().unwrap_or(top).to_owned();
        return Ok(Some(vec![ModelFile { path, record }]));
    }
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let join = |name: &str| {
            if folder.is_empty() {
                name.to_owned()
            } else {
                format!("{folder}/{name}")
            }
        };
        let below = if folder.is_empty() {
            top.to_owned()
        } else {
            format!("{top}/{folder}")
        };
        for entry in artifacts.list(reader, &below)? {
            let path = join(&entry.name);
            if entry.is_dir {
                folders.push(path);
            } else if let Some(record) = artifacts.find(reader, &format!("{top}/{path}"))? {
                files.push(ModelFile { path, record });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Some(files))
}

/// Puts files into the folder `to`, which messages call `shown`. Nothing is written unless the cache
/// has all of them.
pub(super) fn put(
    artifacts: &Artifacts,
    files: &[ModelFile],
    (to, shown): (&Path, &Path),
    existing: Existing,
    cancel: &Cancel,
) -> Result<Written, CliError> {
    let mut lacking: Vec<&str> = Vec::new();
    let mut in_the_way: Vec<&str> = Vec::new();
    let mut wanted: Vec<&ModelFile> = Vec::new();
    let mut written = Written::default();
    for file in files {
        written.bytes += file.record.size;
        let target = to.join(&file.path);
        match std::fs::symlink_metadata(&target) {
            Ok(there) if there.is_file() && is_same(&target, there.len(), &file.record) => {
                written.kept += 1;
                continue;
            }
            Ok(there) if existing == Existing::Refuse || there.is_dir() => {
                in_the_way.push(&file.path);
            }
            Ok(_) | Err(_) => {}
        }
        if artifacts.open_file(&file.record)?.is_none() {
            lacking.push(&file.path);
        }
        wanted.push(file);
    }
    if !in_the_way.is_empty() {
        return Err(occupied(shown, &in_the_way, existing));
    }
    if !lacking.is_empty() {
        return Err(missing(&lacking));
    }
    for file in wanted {
        if cancel.is_requested() {
            return Err(project::Error::Cancelled.into());
        }
        write(
            &artifacts.path_of(&file.record.object),
            &to.join(&file.path),
        )?;
        written.files += 1;
    }
    Ok(written)
}

/// Is the file at `path` what `record` says?
fn is_same(path: &Path, len: u64, record: &FileRecord) -> bool {
    let ObjectId::File(hash) = record.object else {
        return false;
    };
    len == record.size && hash_file(hash.algo(), path).is_ok_and(|found| found == hash)
}

/// Writes one file: a copy of its own, which may be changed without harm to the cache.
fn write(from: &Path, to: &Path) -> Result<(), CliError> {
    let dir = to.parent().unwrap_or(to);
    fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
    let temp = fs::temp_path(dir);
    let copy = || {
        fs::place(from, &temp, &[LinkKind::Reflink, LinkKind::Copy])?;
        fs::set_writable(&temp)?;
        fs::rename(&temp, to)
    };
    copy().map_err(|error| {
        let _ = fs::remove_file(&temp);
        base::Error::io("write", to)(error).into()
    })
}

/// Files that are named in a message.
const SHOWN: usize = 5;

fn names(paths: &[&str]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .take(SHOWN)
        .map(|path| format!("`{path}`"))
        .collect();
    match paths.len().checked_sub(SHOWN) {
        Some(more) if 0 < more => format!("{} and {more} more", shown.join(", ")),
        Some(_) | None => shown.join(", "),
    }
}

fn occupied(folder: &Path, paths: &[&str], existing: Existing) -> CliError {
    let headline = format!("`{}` has other content already", folder.display());
    let help = match existing {
        Existing::Refuse => "name another folder, or add `--force` to replace these files",
        Existing::Replace => "name another folder: where files must go there are folders",
    };
    CliError::usage(
        Diagnostic::error("in-the-way", headline)
            .note(format!("in the way: {}", names(paths)))
            .help(help),
    )
}

/// Says that nothing is left of a version's files.
pub(super) fn lost(name: &str, storage: &str) -> CliError {
    failed(
        Diagnostic::error("not-in-cache", format!("no file of `{name}` is here"))
            .note(format!("they were at `{storage}`")),
    )
}

fn missing(paths: &[&str]) -> CliError {
    failed(
        Diagnostic::error("not-in-cache", "the cache has lost files of this version")
            .note(format!("missing: {}", names(paths))),
    )
}

/// Says that the cache has lost something, and what may bring it back.
pub(super) fn failed(diagnostic: Diagnostic) -> CliError {
    CliError {
        class: ErrorClass::Failed,
        diagnostics: vec![
            diagnostic.help("`cvops fetch` brings what the remote has of the pipeline's outputs"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{CVOPS, Layout};
    use crate::track::{Tracking, Writing};

    /// A record and artifacts with a model that a client uploaded.
    fn uploaded(dir: &Path) -> (Tracking, Artifacts) {
        let mut tracking = Tracking::open(&Layout::new(dir, &CVOPS)).unwrap();
        let artifacts = Artifacts::at(&dir.join("cache"));
        for (path, bytes) in [
            ("0/models/m-1/artifacts/MLmodel", "flavors"),
            ("0/models/m-1/artifacts/data/model.bin", "0123"),
            ("0/models/m-10/artifacts/MLmodel", "another"),
        ] {
            let mut upload = artifacts.receive();
            upload.write(bytes.as_bytes()).unwrap();
            let stored = upload.finish().unwrap();
            let put = |writing: &Writing<'_>| writing.put_file(path, &stored, 1);
            tracking.change(put).unwrap();
        }
        (tracking, artifacts)
    }

    #[test]
    fn what_clients_uploaded_is_brought_back() {
        let tmp = tempfile::tempdir().unwrap();
        let (tracking, artifacts) = uploaded(tmp.path());
        let reader = tracking.reader();
        let find = |storage: &str| at(&artifacts, &reader, storage).unwrap();
        let files = find("mlflow-artifacts:/0/models/m-1/artifacts").unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["MLmodel", "data/model.bin"]);
        let one = find("mlflow-artifacts:/0/models/m-1/artifacts/data/model.bin").unwrap();
        assert_eq!(one[0].path, "model.bin");
        assert!(find("mlflow-artifacts:/0/models/m-2").unwrap().is_empty());
        assert!(find("s3://bucket/model").is_none());

        let to = tmp.path().join("out");
        let cancel = Cancel::new();
        let bring = || put(&artifacts, &files, (&to, &to), Existing::Refuse, &cancel).unwrap();
        let told = |files, kept| Written {
            files,
            kept,
            bytes: 11,
        };
        assert_eq!(bring(), told(2, 0));
        assert_eq!(std::fs::read(to.join("data/model.bin")).unwrap(), b"0123");
        assert_eq!(bring(), told(0, 2));
        let is_read_only = |path: &Path| path.metadata().unwrap().permissions().readonly();
        assert!(!is_read_only(&to.join("MLmodel")));
    }
}
