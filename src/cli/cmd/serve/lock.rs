//! The model in a folder beside the lock of the project around it: is it the one that is recorded, and
//! how well did it do where it was evaluated? Imports: base, compare, pipeline, project, serve, store,
//! track, `cli::{ctx, error}`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{ArtifactPath, Cancel, ObjectId};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::compare::values;
use crate::pipeline::StageGraph;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::OutKind;
use crate::pipeline::workspace::Files;
use crate::project::Project;
use crate::serve::{Evaluated, Figures, LockCheck, LockState, Moment};
use crate::store::Presence;
use crate::track::Key;

use super::figures::figures;

/// What is asked about a folder and the lock of the project around it.
pub(super) struct BesideLock {
    /// Is it the model that is recorded?
    pub(super) check: LockCheck,
    /// How well did it do?
    pub(super) evaluated: Evaluated,
}

/// Returns what compares the model in `dir` with the lock of the project around it. Outside of a
/// project, or when the lock does not name the folder, nothing is recorded.
pub(super) fn beside_lock(ctx: &Ctx, dir: &Path) -> BesideLock {
    let Ok(project) = ctx.project() else {
        return BesideLock {
            check: Arc::new(|_| LockState::Absent),
            evaluated: Arc::new(Figures::new),
        };
    };
    let comparison = Arc::new(Comparison {
        project,
        dir: dir.to_owned(),
        cancel: ctx.cancel.clone(),
        kept: Mutex::default(),
    });
    let evaluated = Arc::clone(&comparison);
    BesideLock {
        check: Arc::new(move |moment| {
            comparison.state(moment).unwrap_or_else(|error| {
                let problem = error.diagnostics.first().map(|d| d.headline.as_str());
                tracing::warn!(problem, "the lock cannot be compared with the model");
                LockState::Absent
            })
        }),
        evaluated: Arc::new(move || evaluated.figures()),
    }
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
    said: Option<(Stamp, Said)>,
    /// The stamp of a lock that could not be compared: it is not tried once a second.
    failed: Option<Stamp>,
}

/// What the lock says about a model.
struct Said {
    state: LockState,
    /// How well it did.
    figures: Figures,
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
        if let Some((of, said)) = &kept.said
            && *of == stamp
        {
            return Ok(said.state);
        }
        kept.failed = Some(stamp);
        let said = self.compare(&mut kept.found)?;
        let state = said.state;
        kept.failed = None;
        kept.said = Some((stamp, said));
        if (moment, state) == (Moment::Serving, LockState::Differs) {
            tracing::warn!(
                model = %self.dir.display(),
                "the lock was written anew, and the model that is served is not the one it records"
            );
        }
        Ok(state)
    }

    /// Returns how well the model did; nothing while the lock cannot be compared, which `state` tells
    /// whoever asks.
    fn figures(&self) -> Figures {
        let failed = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.failed
        };
        if failed == Some(self.stamp()) || self.state(Moment::Serving).is_err() {
            return Figures::new();
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let said = kept.said.as_ref();
        said.map_or_else(Figures::new, |(_, said)| said.figures.clone())
    }

    fn stamp(&self) -> Stamp {
        let meta = std::fs::metadata(self.project.lock_file()).ok()?;
        let (size, inode) = (meta.size().cast_signed(), meta.ino().cast_signed());
        Some([meta.mtime(), meta.mtime_nsec(), size, inode])
    }

    fn compare(&self, found: &mut Option<ObjectId>) -> Result<Said, CliError> {
        let dir = self.dir.canonicalize();
        let dir = dir.unwrap_or_else(|_| self.dir.clone());
        let relative = dir.strip_prefix(&self.project.root).ok();
        let path = relative.and_then(|path| path.to_str()?.parse::<ArtifactPath>().ok());
        let Some(path) = path else {
            return Ok(Said {
                state: LockState::Absent,
                figures: Figures::new(),
            });
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
        let state = match recorded {
            Some(Presence::Present(recorded)) if *found == Some(recorded.object) => {
                LockState::Matches
            }
            Some(Presence::Present(_)) => LockState::Differs,
            Some(Presence::Missing) | None => LockState::Absent,
        };
        let numbers = found.map(|model| self.numbers(&graph, &lock, &path, model));
        Ok(Said {
            state,
            figures: figures(numbers.unwrap_or_default()),
        })
    }

    /// Returns the numbers in the metrics files of the stages that read this model, or made it, as far
    /// as they are still what those stages wrote. What cannot be read is no reason not to serve.
    fn numbers(
        &self,
        graph: &StageGraph,
        lock: &LockFile,
        path: &ArtifactPath,
        model: ObjectId,
    ) -> Vec<(Key, f64)> {
        let is_model = |side: &BTreeMap<ArtifactPath, Presence>| {
            side.get(path).and_then(Presence::object) == Some(model)
        };
        let files = Files::open(&self.project, &self.cancel);
        let mut numbers = Vec::new();
        for stage in graph.stages() {
            let entry = lock.stages.get(&stage.name);
            let Some(entry) = entry.filter(|e| is_model(&e.deps) || is_model(&e.outs)) else {
                continue;
            };
            let metrics = stage.outs.iter();
            let metrics = metrics.filter(|(_, out)| out.kind == OutKind::Metric);
            for (file, _) in metrics {
                let recorded = entry.outs.get(file).and_then(Presence::object);
                numbers.extend(numbers_of(&files, file, recorded).unwrap_or_default());
            }
        }
        files.finish();
        numbers
    }
}

/// Reads the numbers of a metrics file, if it is the one that is recorded.
fn numbers_of(
    files: &Files<'_>,
    file: &ArtifactPath,
    recorded: Option<ObjectId>,
) -> Option<Vec<(Key, f64)>> {
    let found = files.snapshot(file).ok()?.object()?;
    if recorded != Some(found) {
        return None;
    }
    let text = std::fs::read_to_string(file.under(files.root())).ok()?;
    let values = values::metrics_of_text(file, text).ok()?;
    let numbers = values.into_iter().filter_map(|(key, value)| {
        let value = value.as_f64()?;
        Some((Key::new(file.as_str(), key), value))
    });
    Some(numbers.collect())
}
