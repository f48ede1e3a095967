//! The model that is served: loading, checking, warming up, and waiting for one to appear.
//!
//! A server that starts without a model answers "not ready" and looks once a second whether its
//! folder is complete. A folder that does not load is tried again when one of its files changes,
//! so a folder that is still being written is never served: the manifest is written last and names
//! the hash of the weights (`vision::artifact`). Requests read the model through one atomic
//! pointer; who holds it keeps its model, whatever is loaded meanwhile.
//!
//! Imports: base, vision, arc-swap, `serve::{metrics, queue, error}`.

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
pub(super) const VERSION: &str = "1";
/// How often a server without a model looks for one.
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

/// Which model to serve.
#[derive(Clone)]
pub struct ModelSource {
    /// Its folder.
    pub dir: PathBuf,
    /// The folder as the user named it.
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
    /// BLAKE3 of the weights' file.
    pub(super) weights: ContentHash,
    pub(super) loaded_at: clock::Timestamp,
    pub(super) load_time: Duration,
    pub(super) metrics: ModelMetrics,
}

/// What a request finds.
pub(super) enum Status {
    /// There is no model; the file that is missing.
    Absent { missing: PathBuf },
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

impl ModelSource {
    /// Says that there is no model, since the file `missing` is, and what to do.
    #[must_use]
    pub fn absence(&self, missing: &Path) -> String {
        let missing = missing.display();
        match &self.made_by {
            Some(command) => format!(
                "there is no model yet: `{missing}` is missing; `{command}` makes one, and it is then loaded by itself"
            ),
            None => format!(
                "there is no model yet: `{missing}` is missing; as soon as there is one, it is loaded by itself"
            ),
        }
    }

    /// Returns the stamp of the model.
    ///
    /// # Errors
    /// The file that is missing, as the user would name it.
    pub(super) fn look(&self) -> Result<Stamp, PathBuf> {
        look(&self.dir).map_err(|missing| {
            let name = missing.file_name().unwrap_or_default();
            self.shown.join(name)
        })
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

/// Loads the model of `source` and asks it about blank pictures on the model thread, so that the
/// first client does not pay for page faults, and a network without numbers is never served.
///
/// # Errors
/// It is damaged, of another format version, or not what the lock records (if that is asked for).
pub(super) fn load(source: &ModelSource, queue: &Queue, metrics: &Metrics) -> Result<Model, Error> {
    let began = Instant::now();
    let artifact = ModelArtifact::load(&source.dir)?;
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
        metrics: metrics.of_model(&predictor.model().classes),
        predictor,
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
        let metrics = Metrics::new(&registry, "tiny", BUILD, &queue).unwrap();
        let dir = tempfile::tempdir().unwrap();
        ModelArtifact::tiny().save(dir.path()).unwrap();
        let batching = Batching {
            max: 1,
            wait: Duration::ZERO,
        };
        worker::start(Arc::clone(&queue), batching).unwrap();
        let model = load(&source(dir.path(), LockState::Absent), &queue, &metrics).unwrap();
        queue.close();
        Arc::new(model)
    }

    fn source(dir: &Path, state: LockState) -> ModelSource {
        ModelSource {
            dir: dir.to_owned(),
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
