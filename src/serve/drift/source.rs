//! Where the fitted detectors of a model come from, and what is told of them. Imports: base, `serve::drift::reaction`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::reaction::{DriftFound, Reaction};

/// What a server needs beside the detectors.
#[derive(Clone)]
pub struct DriftOptions {
    /// The folder in which it is kept where detectors stand.
    pub dir: PathBuf,
    /// What is done when drift is found.
    pub reaction: Option<Reaction>,
}

/// Which detectors watch a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftSource {
    /// Their folder.
    pub dir: PathBuf,
    /// The same as the user gave it.
    pub shown: PathBuf,
    /// Did anybody name it?
    pub given: Given,
}

/// Did anybody name a folder?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Yes: without it, something is missing.
    Named,
    /// No: it is where detectors usually are, and there need be none.
    Usual,
}

/// What happens to the detectors of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum DriftEvent {
    /// They look at its answers from now on.
    Watching {
        /// Their names.
        detectors: Vec<String>,
        /// Those that were fitted to what a server does not have: pictures, embeddings.
        left_out: Vec<String>,
    },
    /// None looks at its answers.
    Refused {
        /// Why, and what to do.
        problem: String,
    },
    /// A detector found drift: one of a window that had found none at the look before, or one of a stream for the
    /// first time since it began.
    Found(DriftFound),
    /// The command of `on_drift` was started.
    Started(DriftFound),
    /// It ended: its exit code, or what kept it from one.
    Ended(Result<i32, String>),
}

/// What a folder holds: a change of any file changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(std::ffi::OsString, [i64; 4])>);

impl Stamp {
    /// Looks at a folder; `None` if it is not there or empty.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let entries = std::fs::read_dir(dir).ok()?;
        let stamp = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry.ok()?;
            let meta = entry.metadata().ok()?;
            let size = i64::try_from(meta.size()).unwrap_or(i64::MAX);
            let inode = meta.ino().cast_signed();
            let of = [meta.mtime(), meta.mtime_nsec(), size, inode];
            Some((entry.file_name(), of))
        };
        let mut files: Vec<_> = entries.filter_map(stamp).collect();
        files.sort();
        (!files.is_empty()).then_some(Self(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::write_atomic;

    #[test]
    fn a_folder_without_files_is_none_and_each_write_changes_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::of(&dir.path().join("none")), None);
        assert_eq!(Stamp::of(dir.path()), None);
        let file = dir.path().join("drift.json");
        write_atomic(&file, b"1").unwrap();
        let first = Stamp::of(dir.path());
        assert_eq!(Stamp::of(dir.path()), first);
        write_atomic(&file, b"2").unwrap();
        assert_ne!(Stamp::of(dir.path()), first, "another inode");
    }
}
