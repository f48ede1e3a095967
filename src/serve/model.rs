//! The model that is served: loading, checking, warming up, and waiting for one to appear.
//!
//! A server that starts without a model answers "not ready" and looks once a second whether its
//! folder is complete. A folder that does not load is tried again when one of its files changes,
//! so a folder that is still being written is never served: the manifest is written last and names
//! the hash of the weights (`vision::artifact`). Requests read the model through one atomic
//! pointer; who holds it keeps its model, whatever is loaded meanwhile.
//!
//! A model of a registry is followed: `cli` hands in who knows which version is meant now
//! (`Registry`), `follow` asks once a second, and another version is loaded beside the one that is
//! served. This room knows no registry but by that trait.
//!
//! Imports: base, vision, arc-swap, `serve::{metrics, queue, error}`.

use std::any::Any;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::base::{ContentHash, clock};
use crate::vision::artifact::ModelArtifact;
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::predict::Predictor;
use crate::vision::train::Sample;

use super::Error;
use super::metrics::{Metrics, ModelMetrics};
use super::queue::Queue;

/// The version of every model that is served from a folder; a registry counts its own.
const FOLDER_VERSION: &str = "1";
/// How often a server without a model looks for one, and a registry is asked which version is meant.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pictures of the batches that are computed before the first client comes: one alone, and a few. A
/// full batch would take memory that a server may never need again, and a tenth of a second.
const WARM_UP: [usize; 2] = [1, 2];

/// What the lock says about a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// The folder is what the lock records.
    Matches,
    /// The lock records another content.
    Differs,
    /// No lock records this folder.
    Absent,
}

impl LockState {
    /// Returns the word of `GET /model`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Differs => "differs",
            Self::Absent => "absent",
        }
    }
}

/// Must a model be the one that the lock records?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// No: a difference is a warning.
    Warn,
    /// Yes: another one is not served.
    Refuse,
}

/// When a model is compared with the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its folder is loaded now: what is in there counts from now on.
    Loading,
    /// It was loaded before: only what the lock says may have changed.
    Serving,
}

/// Compares the model with the lock.
pub type LockCheck = Arc<dyn Fn(Moment) -> LockState + Send + Sync>;

/// A registry of models, seen from a server of one of them.
pub trait Registry: Send + Sync {
    /// Says which version is to be served now. Asked about once a second, so it has to be cheap.
    ///
    /// # Errors
    /// Why there is none, in words for people.
    fn named(&self) -> Result<Named, String>;

    /// Brings the files of a version into a folder, all of them.
    ///
    /// # Errors
    /// What is missing or cannot be read, in words for people.
    fn bring(&self, named: &Named) -> Result<Brought, String>;
}

/// A version that is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which one; another one has another name.
    pub version: String,
    /// The alias under which it was asked for.
    pub alias: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
}

/// The files of a version.
pub struct Brought {
    /// The folder they are in.
    pub dir: PathBuf,
    /// Keeps the folder; dropped when the model is in memory.
    pub kept: Box<dyn Any + Send>,
}

/// Where a model comes from.
#[derive(Clone)]
pub enum Origin {
    /// This folder.
    Folder(PathBuf),
    /// A registry says where.
    Registry(Arc<dyn Registry>),
}

/// Why there is no model to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// This file of its folder is missing.
    File(PathBuf),
    /// The registry names no version, for this reason.
    Version(String),
}

/// Which model to serve.
#[derive(Clone)]
pub struct ModelSource {
    /// Where it comes from.
    pub origin: Origin,
    /// The folder, or the name in the registry, as the user gave it.
    pub shown: PathBuf,
    /// The name under which it is served.
    pub name: String,
    /// Compares it with the lock.
    pub check: LockCheck,
    /// What a difference means.
    pub strictness: Strictness,
    /// The command that makes the model, if one is known.
    pub made_by: Option<String>,
}

/// A model that is ready to be asked.
pub(super) struct Model {
    pub(super) predictor: Predictor,
    pub(super) name: String,
    /// Which version it is.
    pub(super) version: Named,
    /// BLAKE3 of the weights' file.
    pub(super) weights: ContentHash,
    pub(super) loaded_at: clock::Timestamp,
    pub(super) load_time: Duration,
    pub(super) metrics: ModelMetrics,
}

/// What a request finds.
pub(super) enum Status {
    /// There is no model.
    Absent(Absence),
    /// It is being loaded or warmed up.
    Loading,
    /// It cannot be loaded; the reason.
    Broken { problem: String },
    /// Ask it.
    Ready(Arc<Model>),
}

/// The place where requests find the model.
pub(super) struct ModelSlot(ArcSwap<Status>);

impl ModelSlot {
    pub(super) fn new(status: Status) -> Self {
        Self(ArcSwap::from_pointee(status))
    }

    pub(super) fn set(&self, status: Status) {
        self.0.store(Arc::new(status));
    }

    pub(super) fn get(&self) -> Arc<Status> {
        self.0.load_full()
    }
}

/// Which bytes a folder held when it was last looked at: a change of any file changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<[i64; 4]>);

/// What is there to be loaded; equal if nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder with this content.
    Folder(Stamp),
    /// This version.
    Version(Named),
}

impl ModelSource {
    /// Says that there is no model, and what to do.
    #[must_use]
    pub fn absence(&self, absence: &Absence) -> String {
        let missing = match absence {
            Absence::File(missing) => format!("`{}` is missing", missing.display()),
            Absence::Version(problem) => problem.clone(),
        };
        match &self.made_by {
            Some(command) => format!(
                "there is no model yet: {missing}; `{command}` makes one, and it is then loaded by itself"
            ),
            None => format!(
                "there is no model yet: {missing}; as soon as there is one, it is loaded by itself"
            ),
        }
    }

    /// Returns the version that is known before a model is loaded; empty if there is none.
    pub(super) fn version_before(&self) -> &'static str {
        match self.origin {
            Origin::Folder(_) => FOLDER_VERSION,
            Origin::Registry(_) => "",
        }
    }

    /// Returns what is there to be loaded.
    pub(super) fn look(&self) -> Result<Found, Absence> {
        match &self.origin {
            Origin::Folder(dir) => look(dir).map(Found::Folder).map_err(|missing| {
                let name = missing.file_name().unwrap_or_default();
                Absence::File(self.shown.join(name))
            }),
            Origin::Registry(registry) => registry
                .named()
                .map(Found::Version)
                .map_err(Absence::Version),
        }
    }

    /// Returns the folder of what was found, and which version it is.
    fn bring(&self, found: &Found) -> Result<(Brought, Named), Error> {
        match (&self.origin, found) {
            (Origin::Registry(registry), Found::Version(named)) => {
                let brought = registry.bring(named).map_err(|problem| Error::NoFiles {
                    model: self.name.clone(),
                    version: named.version.clone(),
                    problem,
                })?;
                Ok((brought, named.clone()))
            }
            // What was found came from `look`: a folder for a folder.
            (Origin::Folder(dir), _) => {
                let brought = Brought {
                    dir: dir.clone(),
                    kept: Box::new(()),
                };
                let version = Named {
                    version: FOLDER_VERSION.to_owned(),
                    alias: None,
                    run_id: None,
                };
                Ok((brought, version))
            }
            (Origin::Registry(_), Found::Folder(_)) => Err(Error::Start {
                problem: "a folder was found in a registry".to_owned(),
            }),
        }
    }
}

fn look(dir: &Path) -> Result<Stamp, PathBuf> {
    let files = ModelArtifact::look(dir)?;
    let stamp = |file: &PathBuf| {
        let meta = std::fs::metadata(file).map_err(|_| file.clone())?;
        let size = i64::try_from(meta.size()).unwrap_or(i64::MAX);
        let inode = meta.ino().cast_signed();
        Ok([meta.mtime(), meta.mtime_nsec(), size, inode])
    };
    files.iter().map(stamp).collect::<Result<_, _>>().map(Stamp)
}

/// Loads what was found of `source` and asks it about blank pictures on the model thread, so that the
/// first client does not pay for page faults, and a network without numbers is never served.
///
/// # Errors
/// It is damaged, of another format version, or not what the lock records (if that is asked for);
/// or its files cannot be brought.
pub(super) fn load(
    source: &ModelSource,
    found: &Found,
    queue: &Queue,
    metrics: &Metrics,
) -> Result<Model, Error> {
    let began = Instant::now();
    let (Brought { dir, kept }, version) = source.bring(found)?;
    let artifact = ModelArtifact::load(&dir)?;
    // All of it is in memory.
    drop(kept);
    let path = || source.shown.clone();
    match ((source.check)(Moment::Loading), source.strictness) {
        (LockState::Matches, _) | (LockState::Absent, Strictness::Warn) => {}
        (LockState::Differs, Strictness::Warn) => {
            let path = source.shown.display();
            tracing::warn!(model = %path, "the model is not the one that the lock records");
        }
        (LockState::Differs, Strictness::Refuse) => {
            return Err(Error::LockDiffers { path: path() });
        }
        (LockState::Absent, Strictness::Refuse) => return Err(Error::LockAbsent { path: path() }),
    }
    let weights = artifact.weights_hash();
    let loaded = queue.on_model_thread(move || {
        let predictor = Predictor::new(artifact, &Device::pick(DeviceChoice::Auto)?)?;
        let is_finite = warm_up(&predictor)?;
        Ok::<_, Error>((predictor, is_finite))
    });
    let panicked = || Error::Start {
        problem: "the network panicked".to_owned(),
    };
    let (predictor, is_finite) = loaded.ok_or_else(panicked)??;
    if !is_finite {
        return Err(Error::NotFinite { path: path() });
    }
    Ok(Model {
        metrics: metrics.of_model(&version.version, &predictor.model().classes),
        predictor,
        version,
        name: source.name.clone(),
        weights,
        loaded_at: clock::now(),
        load_time: began.elapsed(),
    })
}

/// Returns whether all answers to blank pictures are finite.
fn warm_up(predictor: &Predictor) -> Result<bool, Error> {
    let blank = vec![0; predictor.model().target.image_len()];
    for pictures in WARM_UP {
        let samples = vec![Sample::Bytes(&blank); pictures];
        let logits = predictor.predict_batch(&samples)?;
        if !logits.rows.iter().all(|value| value.is_finite()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::serve::metrics::Build;
    use crate::serve::worker::{self, Batching};

    pub(in crate::serve) const BUILD: Build = Build {
        version: "0",
        commit: "unknown",
        rustc: "unknown",
        features: "",
    };

    pub(in crate::serve) fn tiny_model() -> Arc<Model> {
        let registry = prometheus::Registry::new();
        let queue = Arc::new(Queue::new(1));
        let metrics = Metrics::new(&registry, "tiny", "1", BUILD, &queue).unwrap();
        let dir = tempfile::tempdir().unwrap();
        ModelArtifact::tiny().save(dir.path()).unwrap();
        let batching = Batching {
            max: 1,
            wait: Duration::ZERO,
        };
        worker::start(Arc::clone(&queue), batching).unwrap();
        let source = source(dir.path(), LockState::Absent);
        let found = source.look().unwrap();
        let model = load(&source, &found, &queue, &metrics).unwrap();
        queue.close();
        Arc::new(model)
    }

    fn source(dir: &Path, state: LockState) -> ModelSource {
        ModelSource {
            origin: Origin::Folder(dir.to_owned()),
            shown: dir.to_owned(),
            name: "tiny".to_owned(),
            check: Arc::new(move |_| state),
            strictness: Strictness::Warn,
            made_by: None,
        }
    }

    #[test]
    fn a_folder_is_looked_at_before_it_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let missing = look(dir.path()).unwrap_err();
        assert_eq!(missing.file_name().unwrap(), "model.json");
        ModelArtifact::tiny().save(dir.path()).unwrap();
        let first = look(dir.path()).unwrap();
        assert_eq!(look(dir.path()).unwrap(), first);
        ModelArtifact::tiny().save(dir.path()).unwrap();
        assert_ne!(look(dir.path()).unwrap(), first, "other inodes");
    }
}
