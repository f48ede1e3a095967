//! What the server measures: names, labels and buckets in one place. docs/guide/serving.md lists
//! them for users.
//!
//! Base units (seconds, ratios 0..=1), `_total` for counters, a registry of its own for each
//! server. Every label combination that is known is created with 0, so that a rate sees the first
//! event. Imports: prometheus, `serve::{queue, model}`.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::Error;
use super::log::Counters;
use super::model::Model;
use super::queue::Queue;
use crate::vision::image::Format;

/// Seconds of stages and of loading.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Seconds in the queue: finer, because most requests do not wait.
const QUEUE_SECONDS: [f64; 12] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];
const BATCH_SIZES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
const RATIOS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];
/// Classes with a counter of their own; the others share the label `other`.
const CLASSES_MAX: usize = 100;
const OTHER_CLASSES: &str = "other";
/// Digits of the weights' hash in `cvops_model_info`.
const WEIGHTS_DIGITS: usize = 12;
/// The protocol of all routes so far.
const NATIVE: &str = "native";

/// Why a request was refused before inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    QueueFull,
    BodyLimit,
    BodyBudget,
    PixelLimit,
    Deadline,
    Draining,
}

impl Rejection {
    const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::BodyLimit,
        Self::BodyBudget,
        Self::PixelLimit,
        Self::Deadline,
        Self::Draining,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::BodyLimit => "body_limit",
            Self::BodyBudget => "body_budget",
            Self::PixelLimit => "pixel_limit",
            Self::Deadline => "deadline",
            Self::Draining => "draining",
        }
    }
}

/// How a prediction request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    Ok,
    BadInput,
    Error,
}

impl RequestOutcome {
    const ALL: [Self; 3] = [Self::Ok, Self::BadInput, Self::Error];

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadInput => "bad_input",
            Self::Error => "error",
        }
    }
}

/// Why a picture could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeFailure {
    Empty,
    NotAnImage,
    Truncated,
    Damaged,
    Unsupported,
}

/// The label of a picture's format.
fn format_label(format: Option<Format>) -> &'static str {
    match format {
        Some(Format::Png) => "png",
        Some(Format::Jpeg) => "jpeg",
        Some(Format::WebP) => "webp",
        Some(Format::Bmp) => "bmp",
        Some(Format::Gif) => "gif",
        Some(Format::Tiff) => "tiff",
        None => "other",
    }
}

impl DecodeFailure {
    const ALL: [Self; 5] = [
        Self::Empty,
        Self::NotAnImage,
        Self::Truncated,
        Self::Damaged,
        Self::Unsupported,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAnImage => "not_an_image",
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What this program is, for `cvops_build_info`.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// `0.1.0`.
    pub version: &'static str,
    /// The commit it was built from, or `unknown`.
    pub commit: &'static str,
    /// The compiler, or `unknown`.
    pub rustc: &'static str,
    /// Cargo features, with commas.
    pub features: &'static str,
}

/// The metrics of one server.
pub(super) struct Metrics {
    rejected: IntCounterVec,
    decode_failures: IntCounterVec,
    requests: IntCounterVec,
    model_info: IntGaugeVec,
    model_ready: IntGaugeVec,
    behind: IntGauge,
    loaded_timestamp: GaugeVec,
    loads: IntCounter,
    load_failures: IntCounter,
    load_duration: Histogram,
    predictions: IntCounterVec,
    /// Of decoding and fitting one picture.
    pub(super) decode: Histogram,
    /// Of writing one answer.
    pub(super) encode: Histogram,
    queue: Histogram,
    infer: Histogram,
    queue_wait: Histogram,
    batch_size: Histogram,
    images: IntCounterVec,
    batches: IntCounterVec,
    confidence: HistogramVec,
    entropy: HistogramVec,
    feedback: IntCounterVec,
    log_records: IntCounter,
    log_dropped: IntCounter,
    model: String,
}

/// The metrics that the model thread touches for each picture, looked up once per model.
pub(super) struct ModelMetrics {
    queue: Histogram,
    infer: Histogram,
    queue_wait: Histogram,
    batch_size: Histogram,
    images: IntCounter,
    batches: IntCounter,
    confidence: Histogram,
    entropy: Histogram,
    classes: Vec<IntCounter>,
}

/// Registers families; the names are ours, so a failure is a bug that the start reports.
struct Families<'r>(&'r Registry);

fn start_error(error: &prometheus::Error) -> Error {
    Error::Start {
        problem: error.to_string(),
    }
}

impl Families<'_> {
    fn add<C: Collector + Clone + 'static>(
        &self,
        collector: prometheus::Result<C>,
    ) -> Result<C, Error> {
        let registered = collector.and_then(|c| self.0.register(Box::new(c.clone())).map(|()| c));
        registered.map_err(|e| start_error(&e))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels))
    }
}

/// Registers what counts requests that do not reach the network.
fn refusals(f: &Families<'_>) -> Result<(IntCounterVec, IntCounterVec), Error> {
    let rejected = f.counters(
        "cvops_requests_rejected_total",
        "Requests refused before inference",
        &["reason"],
    )?;
    for reason in Rejection::ALL {
        rejected.with_label_values(&[reason.label()]);
    }
    let decode_failures = f.counters(
        "cvops_image_decode_failures_total",
        "Pictures that could not be decoded",
        &["format", "reason"],
    )?;
    for format in Format::ALL.map(Some).into_iter().chain([None]) {
        for reason in DecodeFailure::ALL {
            decode_failures.with_label_values(&[format_label(format), reason.label()]);
        }
    }
    Ok((rejected, decode_failures))
}

/// Registers what counts prediction requests.
fn requests(f: &Families<'_>) -> Result<IntCounterVec, Error> {
    f.counters(
        "cvops_inference_requests_total",
        "Prediction requests by outcome",
        &["model", "version", "protocol", "outcome"],
    )
}

/// Registers what tells about this program and its process.
fn process(f: &Families<'_>, build: Build) -> Result<(), Error> {
    let info = f.gauges(
        "cvops_build_info",
        "What this program is",
        &["version", "commit", "rustc", "features"],
    )?;
    info.with_label_values(&[build.version, build.commit, build.rustc, build.features])
        .set(1);
    #[cfg(target_os = "linux")]
    {
        let collector = prometheus::process_collector::ProcessCollector::for_self();
        let registered = f.0.register(Box::new(collector));
        registered.map_err(|e| start_error(&e))?;
    }
    Ok(())
}

impl Metrics {
    /// Registers everything in `registry` for the model called `model`, whose version is `version`, or
    /// empty where only a model that is loaded tells it.
    ///
    /// # Errors
    /// A family is registered already.
    pub(super) fn new(
        registry: &Registry,
        model: &str,
        version: &str,
        build: Build,
        queue: &Arc<Queue>,
    ) -> Result<Self, Error> {
        let f = Families(registry);
        let of_model = ["model", "version"];
        let (rejected, decode_failures) = refusals(&f)?;
        let stages = f.histograms(
            "cvops_inference_stage_duration_seconds",
            "Time in each stage of a prediction",
            &["model", "stage"],
            &SECONDS,
        )?;
        let stage = |name: &str| stages.with_label_values(&[model, name]);
        let model_histogram = |name: &str, help: &str, buckets: &[f64]| {
            let family = f.histograms(name, help, &["model"], buckets)?;
            Ok::<_, Error>(family.with_label_values(&[model]))
        };
        let version_counter = |name: &str, help: &str| f.counters(name, help, &of_model);
        let model_counter = |name: &str, help: &str| {
            let family = f.counters(name, help, &["model"])?;
            Ok::<_, Error>(family.with_label_values(&[model]))
        };
        process(&f, build)?;
        f.add(QueueCollector::new(model, queue))?;
        let ready = f.gauges(
            "cvops_model_ready",
            "Is the model loaded and warmed up?",
            &of_model,
        )?;
        let loaded_timestamp = GaugeVec::new(
            Opts::new(
                "cvops_model_loaded_timestamp_seconds",
                "When the model was loaded, in Unix time",
            ),
            &of_model,
        );
        ready.with_label_values(&[model, version]).set(0);
        let behind = f.gauges(
            "cvops_model_behind",
            "Is another version served than the one that is meant, because that one cannot be loaded?",
            &["model"],
        )?;
        let metrics = Self {
            rejected,
            decode_failures,
            requests: requests(&f)?,
            behind: behind.with_label_values(&[model]),
            model_info: f.gauges(
                "cvops_model_info",
                "The model that is served",
                &["model", "version", "alias", "run_id", "weights", "backend"],
            )?,
            model_ready: ready,
            loaded_timestamp: f.add(loaded_timestamp)?,
            loads: model_counter("cvops_model_loads_total", "Models loaded")?,
            load_failures: model_counter(
                "cvops_model_load_failures_total",
                "Models that could not be loaded",
            )?,
            load_duration: model_histogram(
                "cvops_model_load_duration_seconds",
                "Time to load a model",
                &SECONDS,
            )?,
            predictions: f.counters(
                "cvops_predictions_total",
                "Pictures by predicted class",
                &["model", "version", "class"],
            )?,
            decode: stage("decode"),
            encode: stage("encode"),
            queue: stage("queue"),
            infer: stage("infer"),
            queue_wait: model_histogram(
                "cvops_inference_queue_wait_seconds",
                "Time a picture waits for its batch",
                &QUEUE_SECONDS,
            )?,
            batch_size: model_histogram(
                "cvops_inference_batch_size",
                "Pictures per executed batch",
                &BATCH_SIZES,
            )?,
            images: version_counter("cvops_inference_images_total", "Pictures predicted")?,
            batches: version_counter("cvops_inference_batches_total", "Batches executed")?,
            confidence: f.histograms(
                "cvops_prediction_confidence",
                "Probability of the likeliest class",
                &of_model,
                &RATIOS,
            )?,
            entropy: f.histograms(
                "cvops_prediction_entropy",
                "Entropy of the probabilities, 1 where all classes are equally likely",
                &of_model,
                &RATIOS,
            )?,
            feedback: f.counters(
                "cvops_feedback_total",
                "Predictions that somebody judged, by whether they were correct",
                &["model", "version", "correct"],
            )?,
            log_records: f.counter(
                "cvops_prediction_log_records_total",
                "Lines written to the prediction log",
            )?,
            log_dropped: f.counter(
                "cvops_prediction_log_dropped_total",
                "Lines that could not be written to the prediction log",
            )?,
            model: model.to_owned(),
        };
        if !version.is_empty() {
            metrics.create(version);
        }
        Ok(metrics)
    }

    /// Creates what is known of a version, with 0.
    fn create(&self, version: &str) {
        let this = [self.model.as_str(), version];
        for outcome in RequestOutcome::ALL {
            self.requests
                .with_label_values(&[&self.model, version, NATIVE, outcome.label()]);
        }
        self.images.with_label_values(&this);
        self.batches.with_label_values(&this);
        self.confidence.with_label_values(&this);
        self.entropy.with_label_values(&this);
        for correct in ["true", "false"] {
            self.feedback
                .with_label_values(&[self.model.as_str(), version, correct]);
        }
    }

    /// Returns what the prediction log counts.
    pub(super) fn of_log(&self) -> Counters {
        Counters {
            records: self.log_records.clone(),
            dropped: self.log_dropped.clone(),
            feedback: self.feedback.clone(),
        }
    }

    /// Counts a request that was refused.
    pub(super) fn rejected(&self, reason: Rejection) {
        self.rejected.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a picture that could not be decoded.
    pub(super) fn undecodable(&self, format: Option<Format>, reason: DecodeFailure) {
        self.decode_failures
            .with_label_values(&[format_label(format), reason.label()])
            .inc();
    }

    /// Counts a prediction request.
    pub(super) fn request(&self, version: &str, outcome: RequestOutcome) {
        self.requests
            .with_label_values(&[&self.model, version, NATIVE, outcome.label()])
            .inc();
    }

    /// Notes whether another version is served than the one that is meant.
    pub(super) fn behind(&self, is_behind: bool) {
        self.behind.set(i64::from(is_behind));
    }

    /// Counts a model that could not be loaded.
    pub(super) fn load_failed(&self) {
        self.load_failures.inc();
    }

    /// Notes a model that serves from now on. What other versions counted stays; what is true of one
    /// version only goes.
    pub(super) fn loaded(&self, model: &Model) {
        let weights = model.weights.to_string();
        let backend = model.predictor.device_name();
        let version = &model.version;
        let labels = [
            model.name.as_str(),
            &version.version,
            version.alias.as_deref().unwrap_or_default(),
            version.run_id.as_deref().unwrap_or_default(),
            &weights[..WEIGHTS_DIGITS],
            backend,
        ];
        let this = [model.name.as_str(), version.version.as_str()];
        self.create(&version.version);
        self.model_info.reset();
        self.model_info.with_label_values(&labels).set(1);
        self.loaded_timestamp.reset();
        self.loaded_timestamp
            .with_label_values(&this)
            .set(model.loaded_at.as_millisecond() as f64 / 1000.0);
        self.load_duration.observe(model.load_time.as_secs_f64());
        self.loads.inc();
        self.model_ready.reset();
        self.model_ready.with_label_values(&this).set(1);
    }

    /// Looks up what the model thread needs.
    pub(super) fn of_model(&self, version: &str, classes: &[String]) -> ModelMetrics {
        let this = [self.model.as_str(), version];
        let counter = |class: &str| {
            self.predictions
                .with_label_values(&[self.model.as_str(), version, class])
        };
        let label = |(i, class): (usize, &String)| {
            let own = i < CLASSES_MAX;
            counter(if own { class.as_str() } else { OTHER_CLASSES })
        };
        ModelMetrics {
            queue: self.queue.clone(),
            infer: self.infer.clone(),
            queue_wait: self.queue_wait.clone(),
            batch_size: self.batch_size.clone(),
            images: self.images.with_label_values(&this),
            batches: self.batches.with_label_values(&this),
            confidence: self.confidence.with_label_values(&this),
            entropy: self.entropy.with_label_values(&this),
            classes: classes.iter().enumerate().map(label).collect(),
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
        let likeliest = super::answer::likeliest(probabilities);
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

/// Reads the queue when it is asked, not by a timer.
#[derive(Clone)]
struct QueueCollector {
    length: IntGauge,
    limit: IntGauge,
    queue: Arc<Queue>,
}

impl QueueCollector {
    fn new(model: &str, queue: &Arc<Queue>) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            IntGauge::with_opts(Opts::new(name, help).const_label("model", model))
        };
        let limit = gauge("cvops_inference_queue_limit", "Slots of the queue")?;
        limit.set(i64::try_from(queue.limit()).unwrap_or(i64::MAX));
        Ok(Self {
            length: gauge(
                "cvops_inference_queue_length",
                "Pictures that are decoded, wait or are computed",
            )?,
            limit,
            queue: Arc::clone(queue),
        })
    }
}

impl Collector for QueueCollector {
    fn desc(&self) -> Vec<&Desc> {
        let mut desc = self.length.desc();
        desc.extend(self.limit.desc());
        desc
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let taken = i64::try_from(self.queue.taken()).unwrap_or(i64::MAX);
        self.length.set(taken);
        let mut families = self.length.collect();
        families.extend(self.limit.collect());
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_between_certainty_and_indifference() {
        assert_eq!(entropy(&[1.0, 0.0]), 0.0);
        assert!((entropy(&[0.25; 4]) - 1.0).abs() < 1e-12);
        assert!((0.4..0.6).contains(&entropy(&[0.9, 0.1])));
    }
}
