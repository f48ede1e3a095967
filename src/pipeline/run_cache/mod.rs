//! The run cache: (cmd, deps, params, env) → outs, so that any earlier result is restored instead
//! of recomputed.
//!
//! Records are written atomically, after the outputs' objects are durable. One that cannot be read
//! counts as absent: the stage runs and writes it anew. A cvops project keeps one JSON file per run
//! key under `.cvops/runs/` (`native`); a DVC repository has DVC's records, in its cache (`dvc`), so
//! that each tool restores what the other ran. Imports: base, project, inputs, lock, spec.

mod dvc;
mod native;

use std::path::{Path, PathBuf};

use crate::base::hash::HashAlgo;
use crate::base::{Error, fs};
use crate::project::{Project, Sharing};

use super::inputs::{Inputs, RunKey};
use super::lock::LockEntry;
use super::spec::StageSpec;

/// How records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Native,
    Dvc,
}

/// The folder of records.
#[derive(Clone, Debug)]
pub struct RunCache {
    dir: PathBuf,
    layout: Layout,
    sharing: Sharing,
}

impl RunCache {
    /// Opens the run cache of `project`. It need not exist yet.
    #[must_use]
    pub fn open(project: &Project) -> Self {
        Self {
            dir: project.layout.runs(),
            layout: match project.personality.hash {
                HashAlgo::Blake3 => Layout::Native,
                HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => Layout::Dvc,
            },
            sharing: project.config.shared,
        }
    }

    /// Returns the last run of `stage` with exactly these inputs, if there was one.
    #[must_use]
    pub fn find(&self, stage: &StageSpec, inputs: &Inputs) -> Option<LockEntry> {
        match self.layout {
            Layout::Native => native::find(&self.dir, &RunKey::of(stage, inputs)),
            Layout::Dvc => dvc::find(&self.dir, stage, inputs),
        }
    }

    /// Records a run of `stage`, whose inputs have this key.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record(&self, stage: &StageSpec, key: &RunKey, entry: &LockEntry) -> Result<(), Error> {
        let record = match self.layout {
            Layout::Native => Some(native::record(&self.dir, key, entry)),
            Layout::Dvc => dvc::record(&self.dir, stage, entry),
        };
        match record {
            Some((path, text)) => write(&path, &text, self.sharing),
            None => Ok(()),
        }
    }
}

fn write(path: &Path, text: &str, sharing: Sharing) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(path);
    let created = sharing.create_dir_all(dir);
    created.map_err(Error::io("create folder", dir))?;
    let mut staged = fs::Staged::new_in(dir).map_err(Error::io("write", path))?;
    std::io::Write::write_all(staged.file(), text.as_bytes()).map_err(Error::io("write", path))?;
    staged.commit(path).map_err(Error::io("write", path))
}

/// Says that a record cannot be used.
fn damaged(path: &Path, error: &Error) {
    tracing::warn!(path = %path.display(), %error, "a run record is damaged and counts as absent");
}
