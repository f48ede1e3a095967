//! The run cache: (cmd, deps, params, env) → outs, so that any earlier result is restored instead
//! of recomputed.
//!
//! One JSON file per run key under `.cvops/runs/`, written atomically after the outputs' objects
//! are durable. A record that cannot be read counts as absent: the stage runs and writes it anew.
//! Imports: base, inputs, lock.

use std::path::PathBuf;

use crate::base::{Error, fs};

use super::inputs::RunKey;
use super::lock::LockEntry;

/// The folder of records.
#[derive(Clone, Debug)]
pub struct RunCache {
    dir: PathBuf,
}

impl RunCache {
    /// Opens the run cache in `dir`, which need not exist yet.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self, key: &RunKey) -> PathBuf {
        let name = key.to_string();
        self.dir
            .join(&name[..2])
            .join(format!("{}.json", &name[2..]))
    }

    /// Returns the run with exactly these inputs, if there was one.
    #[must_use]
    pub fn find(&self, key: &RunKey) -> Option<LockEntry> {
        let path = self.path(key);
        let text = std::fs::read_to_string(&path).ok()?;
        match LockEntry::of_json(&path.display().to_string(), text) {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a run record is damaged and counts as absent");
                None
            }
        }
    }

    /// Records a run.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record(&self, key: &RunKey, entry: &LockEntry) -> Result<(), Error> {
        let path = self.path(key);
        let dir = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir).map_err(Error::io("create folder", dir))?;
        let mut staged = fs::Staged::new_in(dir).map_err(Error::io("write", &path))?;
        std::io::Write::write_all(staged.file(), entry.to_json().as_bytes())
            .map_err(Error::io("write", &path))?;
        staged.commit(&path).map_err(Error::io("write", &path))
    }
}
