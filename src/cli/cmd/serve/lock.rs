//! The model in a folder beside the lock of the project around it. Imports: base, pipeline, project,
//! serve, store, `cli::{ctx, error}`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{ArtifactPath, Cancel, ObjectId};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::pipeline::workspace::Files;
use crate::project::Project;
use crate::serve::{LockCheck, LockState, Moment};
use crate::store::Presence;

/// Returns what compares the model with the lock of the project around it. Outside of a project, or
/// when the lock does not name the folder, nothing is recorded.
pub(super) fn lock_check(ctx: &Ctx, dir: &Path) -> LockCheck {
    let Ok(project) = ctx.project() else {
        return Arc::new(|_| LockState::Absent);
    };
    let comparison = Comparison {
        project,
        dir: dir.to_owned(),
        cancel: ctx.cancel.clone(),
        kept: Mutex::default(),
    };
    Arc::new(move |moment| {
        comparison.state(moment).unwrap_or_else(|error| {
            let problem = error.diagnostics.first().map(|d| d.headline.as_str());
            tracing::warn!(problem, "the lock cannot be compared with the model");
            LockState::Absent
        })
    })
}

/// Compares the model with the lock, and remembers it until the lock changes.
struct Comparison {
    project: Project,
    dir: PathBuf,
    cancel: Cancel,
    kept: Mutex<Kept>,
}

/// What was found out.
#[derive(Default)]
struct Kept {
    /// The content of the folder, since it was loaded.
    found: Option<ObjectId>,
    /// What the lock says about it, with the lock's stamp.
    state: Option<(Stamp, LockState)>,
}

/// Which bytes the lock held, if there was one: writing it anew changes it.
type Stamp = Option<[i64; 4]>;

impl Comparison {
    fn state(&self, moment: Moment) -> Result<LockState, CliError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if moment == Moment::Loading {
            *kept = Kept::default();
        }
        // Before the lock is read: if it is written meanwhile, the next look sees it.
        let stamp = self.stamp();
        if let Some((of, state)) = kept.state
            && of == stamp
        {
            return Ok(state);
        }
        let state = self.compare(&mut kept.found)?;
        kept.state = Some((stamp, state));
        if (moment, state) == (Moment::Serving, LockState::Differs) {
            tracing::warn!(
                model = %self.dir.display(),
                "the lock was written anew, and the model that is served is not the one it records"
            );
        }
        Ok(state)
    }

    fn stamp(&self) -> Stamp {
        let meta = std::fs::metadata(self.project.lock_file()).ok()?;
        let (size, inode) = (meta.size().cast_signed(), meta.ino().cast_signed());
        Some([meta.mtime(), meta.mtime_nsec(), size, inode])
    }

    fn compare(&self, found: &mut Option<ObjectId>) -> Result<LockState, CliError> {
        let dir = self.dir.canonicalize();
        let dir = dir.unwrap_or_else(|_| self.dir.clone());
        let relative = dir.strip_prefix(&self.project.root).ok();
        let path = relative.and_then(|path| path.to_str()?.parse::<ArtifactPath>().ok());
        let Some(path) = path else {
            return Ok(LockState::Absent);
        };
        let graph = Ctx::graph(&self.project)?;
        let lock = Ctx::lock_file(&self.project, &graph)?;
        let recorded = lock.stages.values().find_map(|entry| entry.outs.get(&path));
        // A repro may record the folder later; by then it may hold another model.
        if found.is_none() && (recorded.is_some() || self.project.layout.state_dir().is_dir()) {
            let files = Files::open(&self.project, &self.cancel);
            *found = files.snapshot(&path)?.object();
            files.finish();
        }
        Ok(match recorded {
            Some(Presence::Present(recorded)) if *found == Some(recorded.object) => {
                LockState::Matches
            }
            Some(Presence::Present(_)) => LockState::Differs,
            Some(Presence::Missing) | None => LockState::Absent,
        })
    }
}
