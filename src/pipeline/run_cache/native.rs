//! Records of a cvops project: one JSON file per run key. Imports: inputs, lock.

use std::path::{Path, PathBuf};

use crate::pipeline::inputs::RunKey;
use crate::pipeline::lock::LockEntry;

use super::damaged;

fn path(dir: &Path, key: &RunKey) -> PathBuf {
    let name = key.to_string();
    dir.join(&name[..2]).join(format!("{}.json", &name[2..]))
}

/// Returns the run with this key, if there was one.
pub(super) fn find(dir: &Path, key: &RunKey) -> Option<LockEntry> {
    let path = path(dir, key);
    let text = std::fs::read_to_string(&path).ok()?;
    LockEntry::of_json(&path.display().to_string(), text)
        .inspect_err(|error| damaged(&path, error))
        .ok()
}

/// Returns where a run is recorded, and the record.
pub(super) fn record(dir: &Path, key: &RunKey, entry: &LockEntry) -> (PathBuf, String) {
    (path(dir, key), entry.to_json())
}
