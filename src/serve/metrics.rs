//! What the server measures: names, labels and buckets in one place. docs/guide/serving.md lists
//! them for users.
//!
//! Base units (seconds, ratios 0..=1), `_total` for counters, a registry of its own for each
//! server. Every label combination that is known is created with 0, so that a rate sees the first
//! event. What is counted of a model and its versions stands in `model_metrics`, what is measured of drift in
//! `drift::metrics`. Imports: prometheus, vision, `serve::{drift, log}`.

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::Error;
use super::drift::DriftMetrics;
use super::log::Counters;
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

/// Why a request was refused before inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    QueueFull,
    BodyLimit,
    BodyBudget,
    PixelLimit,
    Deadline,
    Draining,
    /// No key, a wrong one, or one that does not open what was asked for.
    Unauthorized,
    RateLimit,
    /// There are as many connections as there may be.
    ConnectionsLimit,
}

impl Rejection {
    const ALL: [Self; 9] = [
        Self::QueueFull,
        Self::BodyLimit,
        Self::BodyBudget,
        Self::PixelLimit,
        Self::Deadline,
        Self::Draining,
        Self::Unauthorized,
        Self::RateLimit,
        Self::ConnectionsLimit,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::BodyLimit => "body_limit",
            Self::BodyBudget => "body_budget",
            Self::PixelLimit => "pixel_limit",
            Self::Deadline => "deadline",
            Self::Draining => "draining",
            Self::Unauthorized => "unauthorized",
            Self::RateLimit => "rate_limit",
            Self::ConnectionsLimit => "connections_limit",
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

/// The metrics of one server: families, and series that belong to no model. Cheap to clone.
#[derive(Clone)]
pub(super) struct Metrics {
    rejected: IntCounterVec,
    decode_failures: IntCounterVec,
    log_records: IntCounter,
    log_dropped: IntCounter,
    pub(super) drift: DriftMetrics,
    // By model.
    pub(super) behind: IntGaugeVec,
    pub(super) loads: IntCounterVec,
    pub(super) load_failures: IntCounterVec,
    pub(super) load_duration: HistogramVec,
    /// By stage as well.
    pub(super) stages: HistogramVec,
    pub(super) queue_wait: HistogramVec,
    pub(super) queue_length: IntGaugeVec,
    pub(super) queue_limit: IntGaugeVec,
    pub(super) batch_size: HistogramVec,
    pub(super) shadow_dropped: IntCounterVec,
    // By model and version.
    pub(super) requests: IntCounterVec,
    pub(super) model_info: IntGaugeVec,
    pub(super) model_ready: IntGaugeVec,
    pub(super) share: GaugeVec,
    pub(super) loaded_timestamp: GaugeVec,
    pub(super) accuracy: GaugeVec,
    pub(super) predictions: IntCounterVec,
    pub(super) images: IntCounterVec,
    pub(super) batches: IntCounterVec,
    pub(super) confidence: HistogramVec,
    pub(super) entropy: HistogramVec,
    pub(super) feedback: IntCounterVec,
    pub(super) shadow_comparisons: IntCounterVec,
    pub(super) shadow_agreements: IntCounterVec,
}

/// Registers families; the names are ours, so a failure is a bug that the start reports.
pub(super) struct Families<'r>(&'r Registry);

fn start_error(error: &prometheus::Error) -> Error {
    Error::Start {
        problem: error.to_string(),
    }
}

impl Families<'_> {
    pub(super) fn add<C: Collector + Clone + 'static>(
        &self,
        collector: prometheus::Result<C>,
    ) -> Result<C, Error> {
        let registered = collector.and_then(|c| self.0.register(Box::new(c.clone())).map(|()| c));
        registered.map_err(|e| start_error(&e))
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(name, help))
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn histograms(
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
    /// Registers everything in `registry`.
    ///
    /// # Errors
    /// A family is registered already.
    #[expect(clippy::too_many_lines, reason = "a table of names and helps")]
    pub(super) fn new(registry: &Registry, build: Build) -> Result<Self, Error> {
        let f = Families(registry);
        let of_version = ["model", "version"];
        let (rejected, decode_failures) = refusals(&f)?;
        process(&f, build)?;
        Ok(Self {
            rejected,
            decode_failures,
            log_records: f.counter(
                "cvops_prediction_log_records_total",
                "Lines written to the prediction log",
            )?,
            log_dropped: f.counter(
                "cvops_prediction_log_dropped_total",
                "Lines that could not be written to the prediction log",
            )?,
            drift: DriftMetrics::new(&f)?,
            behind: f.gauges(
                "cvops_model_behind",
                "Is another version served than the one that is meant, because that one cannot be loaded?",
                &["model"],
            )?,
            loads: f.counters("cvops_model_loads_total", "Models loaded", &["model"])?,
            load_failures: f.counters(
                "cvops_model_load_failures_total",
                "Models that could not be loaded",
                &["model"],
            )?,
            load_duration: f.histograms(
                "cvops_model_load_duration_seconds",
                "Time to load a model",
                &["model"],
                &SECONDS,
            )?,
            stages: f.histograms(
                "cvops_inference_stage_duration_seconds",
                "Time in each stage of a prediction",
                &["model", "stage"],
                &SECONDS,
            )?,
            queue_wait: f.histograms(
                "cvops_inference_queue_wait_seconds",
                "Time a picture waits for its batch",
                &["model"],
                &QUEUE_SECONDS,
            )?,
            queue_length: f.gauges(
                "cvops_inference_queue_length",
                "Pictures that are decoded, wait or are computed",
                &["model"],
            )?,
            queue_limit: f.gauges(
                "cvops_inference_queue_limit",
                "Slots of the queue, which all models share",
                &["model"],
            )?,
            batch_size: f.histograms(
                "cvops_inference_batch_size",
                "Pictures per executed batch",
                &["model"],
                &BATCH_SIZES,
            )?,
            shadow_dropped: f.counters(
                "cvops_shadow_dropped_total",
                "Pictures that the shadow was not asked about, because the server had other things to do",
                &["model"],
            )?,
            requests: f.counters(
                "cvops_inference_requests_total",
                "Prediction requests by outcome",
                &["model", "version", "protocol", "outcome"],
            )?,
            model_info: f.gauges(
                "cvops_model_info",
                "The versions that are in memory",
                &["model", "version", "alias", "run_id", "weights", "backend"],
            )?,
            model_ready: f.gauges(
                "cvops_model_ready",
                "Is the model loaded and warmed up?",
                &of_version,
            )?,
            share: f.add(GaugeVec::new(
                Opts::new(
                    "cvops_model_share_ratio",
                    "Share of the requests that a version answers, by its role: main, canary or shadow",
                ),
                &["model", "version", "role"],
            ))?,
            loaded_timestamp: f.add(GaugeVec::new(
                Opts::new(
                    "cvops_model_loaded_timestamp_seconds",
                    "When the model was loaded, in Unix time",
                ),
                &of_version,
            ))?,
            accuracy: f.add(GaugeVec::new(
                Opts::new(
                    "cvops_model_accuracy_ratio",
                    "Share of pictures that a version was right about where it was evaluated",
                ),
                &of_version,
            ))?,
            predictions: f.counters(
                "cvops_predictions_total",
                "Pictures by predicted class",
                &["model", "version", "class"],
            )?,
            images: f.counters(
                "cvops_inference_images_total",
                "Pictures predicted",
                &of_version,
            )?,
            batches: f.counters(
                "cvops_inference_batches_total",
                "Batches executed",
                &of_version,
            )?,
            confidence: f.histograms(
                "cvops_prediction_confidence",
                "Probability of the likeliest class",
                &of_version,
                &RATIOS,
            )?,
            entropy: f.histograms(
                "cvops_prediction_entropy",
                "Entropy of the probabilities, 1 where all classes are equally likely",
                &of_version,
                &RATIOS,
            )?,
            feedback: f.counters(
                "cvops_feedback_total",
                "Predictions that somebody judged, by whether they were correct",
                &["model", "version", "correct"],
            )?,
            shadow_comparisons: f.counters(
                "cvops_shadow_comparisons_total",
                "Pictures that the shadow was asked about as well, by the version of the shadow",
                &of_version,
            )?,
            shadow_agreements: f.counters(
                "cvops_shadow_agreements_total",
                "Pictures of which the shadow said the same class",
                &of_version,
            )?,
        })
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
}
