//! What is measured of a model that is served, and of each of its versions. Series are looked up once:
//! those of a name when the server starts, those of a version when it is loaded. The names stand in
//! `metrics`. Imports: http, prometheus, `serve::{metrics, model, served, answer}`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use crate::http::StatusCode;

use super::answer::likeliest;
use super::metrics::Metrics;
use super::model::Model;
use super::protocol::Protocol;
use super::served::Role;
use super::source::Named;

/// Classes with a counter of their own; the others share the label `other`.
const CLASSES_MAX: usize = 100;
const OTHER_CLASSES: &str = "other";
/// Digits of the weights' hash in `cvops_model_info`.
const WEIGHTS_DIGITS: usize = 12;

/// How a prediction request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    Ok,
    BadInput,
    Error,
}

impl RequestOutcome {
    const ALL: [Self; 3] = [Self::Ok, Self::BadInput, Self::Error];

    /// Returns what an answer with this status counts as.
    pub(super) fn of(status: StatusCode) -> Self {
        if status.is_success() {
            Self::Ok
        } else if status.is_client_error() {
            Self::BadInput
        } else {
            Self::Error
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadInput => "bad_input",
            Self::Error => "error",
        }
    }
}

/// The series of a name under which a model is served, whichever version answers.
pub(super) struct ServedMetrics {
    name: String,
    all: Metrics,
    loads: IntCounter,
    load_failures: IntCounter,
    load_duration: Histogram,
    pub(super) behind: IntGauge,
    decode: Histogram,
    preprocess: Histogram,
    pub(super) encode: Histogram,
    queue: Histogram,
    infer: Histogram,
    queue_wait: Histogram,
    batch_size: Histogram,
    /// Slots that pictures for this model hold.
    pub(super) queue_length: IntGauge,
    pub(super) shadow_dropped: IntCounter,
    /// What is told of the versions that are in memory now.
    told: Mutex<Vec<Told>>,
}

/// What is told of one version that is in memory.
#[derive(Clone, PartialEq, Eq)]
struct Told {
    version: String,
    /// Labels of `cvops_model_info`.
    info: [String; 6],
    role: Role,
}

/// The metrics that are touched for each picture of a version.
pub(super) struct ModelMetrics {
    images: IntCounter,
    batches: IntCounter,
    batch_size: Histogram,
    infer: Histogram,
    /// Slots that its pictures hold.
    pub(super) queue_length: IntGauge,
    queue: Histogram,
    queue_wait: Histogram,
    confidence: Histogram,
    entropy: Histogram,
    classes: Vec<IntCounter>,
}

impl Metrics {
    /// Looks up the series of the model that is served as `name`. `version` is the one that is known
    /// before it is loaded, or empty; `queue_limit` the slots that its pictures may take.
    pub(super) fn of(&self, name: &str, version: &str, queue_limit: usize) -> ServedMetrics {
        let stage = |stage: &str| self.stages.with_label_values(&[name, stage]);
        let this = [name];
        let limit = i64::try_from(queue_limit).unwrap_or(i64::MAX);
        self.queue_limit.with_label_values(&this).set(limit);
        let served = ServedMetrics {
            name: name.to_owned(),
            all: self.clone(),
            loads: self.loads.with_label_values(&this),
            load_failures: self.load_failures.with_label_values(&this),
            load_duration: self.load_duration.with_label_values(&this),
            behind: self.behind.with_label_values(&this),
            decode: stage("decode"),
            preprocess: stage("preprocess"),
            encode: stage("encode"),
            queue: stage("queue"),
            infer: stage("infer"),
            queue_wait: self.queue_wait.with_label_values(&this),
            batch_size: self.batch_size.with_label_values(&this),
            queue_length: self.queue_length.with_label_values(&this),
            shadow_dropped: self.shadow_dropped.with_label_values(&this),
            told: Mutex::default(),
        };
        self.model_ready.with_label_values(&[name, version]).set(0);
        if !version.is_empty() {
            served.create(version);
        }
        served
    }
}

impl ServedMetrics {
    /// Creates what is known of a version, with 0.
    fn create(&self, version: &str) {
        let this = [self.name.as_str(), version];
        for protocol in Protocol::ALL {
            for outcome in RequestOutcome::ALL {
                let labels = [this[0], this[1], protocol.label(), outcome.label()];
                self.all.requests.with_label_values(&labels);
            }
        }
        self.all.images.with_label_values(&this);
        self.all.batches.with_label_values(&this);
        self.all.confidence.with_label_values(&this);
        self.all.entropy.with_label_values(&this);
        for correct in ["true", "false"] {
            let labels = [this[0], this[1], correct];
            self.all.feedback.with_label_values(&labels);
        }
    }

    /// Counts a prediction request.
    pub(super) fn request(&self, version: &str, protocol: Protocol, outcome: RequestOutcome) {
        let labels = [&self.name, version, protocol.label(), outcome.label()];
        self.all.requests.with_label_values(&labels).inc();
    }

    /// Notes how long a picture took on its way to the queue, and how much of that went into bringing
    /// it to the model's size.
    pub(super) fn decoded(&self, took: Duration, fitting: Option<Duration>) {
        let decode = took.saturating_sub(fitting.unwrap_or_default());
        self.decode.observe(decode.as_secs_f64());
        if let Some(fitting) = fitting {
            self.preprocess.observe(fitting.as_secs_f64());
        }
    }

    /// Counts a model that could not be loaded.
    pub(super) fn load_failed(&self) {
        self.load_failures.inc();
    }

    /// Counts a model that was loaded.
    pub(super) fn loaded(&self, took: Duration) {
        self.load_duration.observe(took.as_secs_f64());
        self.loads.inc();
    }

    /// Counts an answer of the shadow beside the one that was sent.
    pub(super) fn compared(&self, version: &str, agrees: bool) {
        let this = [self.name.as_str(), version];
        self.all.shadow_comparisons.with_label_values(&this).inc();
        let agreements = self.all.shadow_agreements.with_label_values(&this);
        agreements.inc_by(u64::from(agrees));
    }

    /// Tells which versions are in memory now, and which share of the requests each answers. What
    /// others counted stays; what is true of one version only goes with it.
    pub(super) fn tell(&self, models: &[(Role, f64, &Model)], version_before: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now: Vec<Told> = models
            .iter()
            .map(|(role, _, model)| Told::of(*role, model))
            .collect();
        let all = &self.all;
        // What is gone goes first: two versions may share a series.
        for old in told.iter().filter(|old| !now.contains(old)) {
            let this = [self.name.as_str(), old.version.as_str()];
            let info: Vec<&str> = old.info.iter().map(String::as_str).collect();
            // A series that is not there is none to remove.
            let _ = all.model_info.remove_label_values(&info);
            let _ = all.loaded_timestamp.remove_label_values(&this);
            let _ = all.model_ready.remove_label_values(&this);
            let _ = all.accuracy.remove_label_values(&this);
            let _ = all
                .share
                .remove_label_values(&[this[0], this[1], old.role.label()]);
        }
        let has_main = now.iter().any(|told| told.role == Role::Main);
        let before = [self.name.as_str(), version_before];
        let _ = all.model_ready.remove_label_values(&before);
        if !has_main {
            all.model_ready.with_label_values(&before).set(0);
        }
        for ((role, share, model), now) in models.iter().zip(&now) {
            let this = [self.name.as_str(), now.version.as_str()];
            let info: Vec<&str> = now.info.iter().map(String::as_str).collect();
            self.create(&now.version);
            all.model_info.with_label_values(&info).set(1);
            let loaded_at = model.loaded_at.as_millisecond() as f64 / 1000.0;
            all.loaded_timestamp.with_label_values(&this).set(loaded_at);
            // Where a canary has the version that the main place waits for, the series is the main's.
            if has_main || now.version != version_before {
                all.model_ready.with_label_values(&this).set(1);
            }
            let mut same = models
                .iter()
                .filter(|(_, _, other)| other.version.version == now.version);
            if let Some(accuracy) = same.find_map(|(_, _, other)| other.accuracy()) {
                all.accuracy.with_label_values(&this).set(accuracy);
            } else {
                let _ = all.accuracy.remove_label_values(&this);
            }
            all.share
                .with_label_values(&[this[0], this[1], role.label()])
                .set(*share);
            if *role == Role::Shadow {
                all.shadow_comparisons.with_label_values(&this);
                all.shadow_agreements.with_label_values(&this);
            }
        }
        *told = now;
    }

    /// Looks up what is touched for each picture of a version that answers requests.
    pub(super) fn of_model(&self, version: &Named, classes: &[String]) -> ModelMetrics {
        let all = &self.all;
        let this = [self.name.as_str(), version.version.as_str()];
        let counter = |class: &str| {
            let labels = [this[0], this[1], class];
            all.predictions.with_label_values(&labels)
        };
        let label = |(i, class): (usize, &String)| {
            let own = i < CLASSES_MAX;
            counter(if own { class.as_str() } else { OTHER_CLASSES })
        };
        ModelMetrics {
            images: all.images.with_label_values(&this),
            batches: all.batches.with_label_values(&this),
            batch_size: self.batch_size.clone(),
            infer: self.infer.clone(),
            queue_length: self.queue_length.clone(),
            queue: self.queue.clone(),
            queue_wait: self.queue_wait.clone(),
            confidence: all.confidence.with_label_values(&this),
            entropy: all.entropy.with_label_values(&this),
            classes: classes.iter().enumerate().map(label).collect(),
        }
    }
}

impl Told {
    fn of(role: Role, model: &Model) -> Self {
        let version = &model.version;
        let mut weights = model.weights.to_string();
        weights.truncate(WEIGHTS_DIGITS);
        Self {
            version: version.version.clone(),
            info: [
                model.name.clone(),
                version.version.clone(),
                version.alias.clone().unwrap_or_default(),
                version.run_id.clone().unwrap_or_default(),
                weights,
                model.predictor.device_name().to_owned(),
            ],
            role,
        }
    }
}

impl ModelMetrics {
    /// Notes an executed batch.
    pub(super) fn batch(&self, pictures: usize, took: Duration) {
        self.batches.inc();
        self.images.inc_by(pictures as u64);
        self.batch_size.observe(pictures as f64);
        self.infer.observe(took.as_secs_f64());
    }

    /// Notes how long a picture waited.
    pub(super) fn queued(&self, waited: Duration) {
        self.queue.observe(waited.as_secs_f64());
        self.queue_wait.observe(waited.as_secs_f64());
    }

    /// Notes an answer.
    pub(super) fn predicted(&self, probabilities: &[f32]) {
        let likeliest = likeliest(probabilities);
        if let Some(class) = self.classes.get(likeliest) {
            class.inc();
        }
        let confidence = probabilities.get(likeliest).copied().unwrap_or_default();
        self.confidence.observe(f64::from(confidence));
        self.entropy.observe(entropy(probabilities));
    }
}

/// Returns -Σ p ln p / ln n: 0 for certainty, 1 where all n classes are equally likely.
fn entropy(probabilities: &[f32]) -> f64 {
    let positive = probabilities.iter().filter(|p| 0.0 < **p);
    let sum: f64 = positive.map(|p| f64::from(*p)).map(|p| -p * p.ln()).sum();
    (sum / (probabilities.len() as f64).ln()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::model::tests::{BUILD, tiny_model};

    #[test]
    fn a_series_that_main_and_canary_share_tells_of_the_main_one() {
        let metrics = Metrics::new(&prometheus::Registry::new(), BUILD).unwrap();
        let served = metrics.of("tiny", "1", 1);
        let model = tiny_model();
        let model: &Model = &model;
        assert_eq!(model.version.version, "1");
        let (main, canary) = ((Role::Main, 0.5, model), (Role::Canary, 0.5, model));
        for (told, ready) in [
            (vec![canary], 0),
            (vec![main, canary], 1),
            (vec![canary], 0),
        ] {
            served.tell(&told, "1");
            let series = metrics.model_ready.with_label_values(&["tiny", "1"]);
            assert_eq!(series.get(), ready);
        }
    }

    #[test]
    fn entropy_is_between_certainty_and_indifference() {
        assert_eq!(entropy(&[1.0, 0.0]), 0.0);
        assert!((entropy(&[0.25; 4]) - 1.0).abs() < 1e-12);
        assert!((0.4..0.6).contains(&entropy(&[0.9, 0.1])));
    }
}
