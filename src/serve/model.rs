//! A model in memory: loading, checking, warming up, and the place where requests find it.
//!
//! Requests read the model through one atomic pointer; who holds it keeps its model, whatever is
//! loaded meanwhile. A folder that is still being written is never served: the manifest is written
//! last and names the hash of the weights (`vision::artifact`).
//!
//! Imports: base, vision, arc-swap, `serve::{source, model_metrics, queue, error}`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::base::{ContentHash, clock};
use crate::vision::artifact::Loaded;
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::predict::Predictor;
use crate::vision::train::Sample;

use super::Error;
use super::model_metrics::ModelMetrics;
use super::queue::Queue;
use super::source::{
    Absence, Brought, Figures, Found, LockState, ModelSource, Moment, Named, Strictness,
};

/// Pictures of the batches that are computed before the first client comes: one alone, and a few. A
/// full batch would take memory that a server may never need again, and a tenth of a second.
const WARM_UP: [usize; 2] = [1, 2];

/// What an evaluation calls the share of pictures that the model was right about: `cvops evaluate` and
/// most others; MLflow's `evaluate`.
const ACCURACY: [&str; 2] = ["accuracy", "accuracy_score"];

/// A model that is ready to be asked.
pub(super) struct Model {
    pub(super) predictor: Predictor,
    /// The name under which it is served.
    pub(super) name: String,
    /// Which version it is.
    pub(super) version: Named,
    /// How well it did where it was evaluated. A folder may be evaluated after it was loaded.
    pub(super) scores: ArcSwap<Figures>,
    /// BLAKE3 of the weights' file.
    pub(super) weights: ContentHash,
    pub(super) loaded_at: clock::Timestamp,
    pub(super) load_time: Duration,
    pub(super) metrics: ModelMetrics,
}

impl Model {
    /// Returns the share of pictures that it was right about where it was evaluated, 0 to 1, if that
    /// is known.
    pub(super) fn accuracy(&self) -> Option<f64> {
        accuracy(&self.scores.load())
    }
}

/// What a request finds.
pub(super) enum Status {
    /// There is no model.
    Absent(Absence),
    /// It is being loaded or warmed up.
    Loading,
    /// It cannot be loaded; the reason.
    Broken { problem: String },
    /// An operator took it out of service.
    Unloaded,
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

/// Loads what was found of `source` and asks it about blank pictures on the model thread, so that the
/// first client does not pay for page faults, and a network without numbers is never served.
/// `metrics` makes what the model counts, from its version and its classes.
///
/// # Errors
/// It is damaged, of another format version, or not what the lock records (if that is asked for);
/// or its files cannot be brought.
pub(super) fn load(
    source: &ModelSource,
    found: &Found,
    queue: &Queue,
    metrics: impl FnOnce(&Named, &[String]) -> ModelMetrics,
) -> Result<Model, Error> {
    let began = Instant::now();
    let (Brought { dir, kept, scores }, version) = source.bring(found)?;
    let read = Loaded::load(&dir)?;
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
    let scores = if scores.is_empty() {
        (source.evaluated)()
    } else {
        scores
    };
    let loaded = queue.on_model_thread(move || {
        let predictor = Predictor::new(read, &Device::pick(DeviceChoice::Auto)?)?;
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
        metrics: metrics(&version, &predictor.model().classes),
        weights: predictor.model().weights_hash,
        predictor,
        version,
        scores: ArcSwap::from_pointee(scores),
        name: source.name.clone(),
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

/// Two files of metrics may both have one; then a name has its file before it.
fn accuracy(scores: &[(String, f64)]) -> Option<f64> {
    let is_accuracy = |name: &str| {
        let key = name.rsplit_once(':').map_or(name, |(_, key)| key);
        ACCURACY.contains(&key)
    };
    let found = scores.iter().find(|(name, _)| is_accuracy(name));
    found
        .map(|(_, value)| *value)
        .filter(|value| (0.0..=1.0).contains(value))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::serve::metrics::{Build, Metrics};
    use crate::serve::source::Origin;
    use crate::serve::worker::{self, Batching};
    use crate::vision::artifact::ModelArtifact;

    pub(in crate::serve) const BUILD: Build = Build {
        version: "0",
        commit: "unknown",
        rustc: "unknown",
        features: "",
    };

    pub(in crate::serve) fn tiny_model() -> Arc<Model> {
        let registry = prometheus::Registry::new();
        let queue = Arc::new(Queue::new(1));
        let metrics = Metrics::new(&registry, BUILD).unwrap();
        let served = metrics.of("tiny", "1", 1);
        let dir = tempfile::tempdir().unwrap();
        ModelArtifact::tiny().save(dir.path()).unwrap();
        let batching = Batching {
            max: 1,
            wait: Duration::ZERO,
        };
        worker::start(Arc::clone(&queue), batching).unwrap();
        let source = source(dir.path());
        let found = source.look(None).unwrap();
        let metrics = |version: &Named, classes: &[String]| served.of_model(version, classes);
        let model = load(&source, &found, &queue, metrics).unwrap();
        queue.close();
        Arc::new(model)
    }

    fn source(dir: &Path) -> ModelSource {
        ModelSource {
            origin: Origin::Folder(dir.to_owned()),
            shown: dir.to_owned(),
            name: "tiny".to_owned(),
            check: Arc::new(|_| LockState::Absent),
            evaluated: Arc::new(Figures::new),
            strictness: Strictness::Warn,
            made_by: None,
        }
    }

    #[test]
    fn the_accuracy_is_one_of_the_figures() {
        let of = |figures: &[(&str, f64)]| {
            let named = figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value));
            accuracy(&named.collect::<Vec<_>>())
        };
        assert_eq!(of(&[("log_loss", 0.1), ("accuracy", 0.9)]), Some(0.9));
        assert_eq!(of(&[("accuracy_score", 0.8)]), Some(0.8));
        let two = [("a.json:accuracy", 0.7), ("b.json:accuracy", 0.6)];
        assert_eq!(of(&two), Some(0.7));
        // Neither a part of it nor another measure, and no percentage.
        assert_eq!(
            of(&[("per_class.accuracy", 0.9), ("top_k_accuracy", 1.0)]),
            None
        );
        assert_eq!(of(&[("accuracy", 93.0)]), None);
        assert_eq!(of(&[]), None);
    }
}
