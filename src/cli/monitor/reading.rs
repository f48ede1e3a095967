//! What one look at a server's metrics saw: by route, by model and by version. Pure. Imports: base.

use std::collections::BTreeMap;

use crate::base::exposition::{Histogram, Sample, samples};

/// The families that are histograms.
const LATENCY: &str = "http_request_duration_seconds";
const STAGES: &str = "cvops_inference_stage_duration_seconds";
const BATCH_SIZE: &str = "cvops_inference_batch_size";
const CONFIDENCE: &str = "cvops_prediction_confidence";

/// What a server said about itself at one time. Counters are since its process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct Reading {
    pub(super) at_ms: i64,
    /// Version of the program.
    pub(super) program: String,
    pub(super) process: Process,
    pub(super) connections: f64,
    pub(super) in_flight: f64,
    /// By route template.
    pub(super) handlers: BTreeMap<String, Handler>,
    /// Requests refused before inference, by reason.
    pub(super) refused: BTreeMap<String, f64>,
    /// Pictures that could not be decoded.
    pub(super) undecodable: f64,
    /// Lines of the prediction log.
    pub(super) logged: f64,
    pub(super) log_dropped: f64,
    pub(super) models: BTreeMap<String, ModelReading>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// When it began, seconds since 1970.
    pub(super) started: f64,
    pub(super) cpu_s: f64,
    pub(super) memory_bytes: f64,
    pub(super) open_fds: f64,
    pub(super) max_fds: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Handler {
    /// Requests by class of status (`2xx`).
    pub(super) statuses: BTreeMap<String, f64>,
    /// Seconds.
    pub(super) latency: Histogram,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ModelReading {
    /// Seconds, by stage of a prediction.
    pub(super) stages: BTreeMap<String, Histogram>,
    pub(super) batch_size: Histogram,
    pub(super) queue: f64,
    pub(super) queue_limit: f64,
    pub(super) load_failures: f64,
    /// Are all that it says of itself in `cvops_model_ready` at 1? `None` if it says nothing.
    pub(super) readiness: Option<bool>,
    /// Is another version served than the one that is meant?
    pub(super) is_behind: bool,
    /// Pictures that the shadow was not asked about, for want of time.
    pub(super) shadow_dropped: f64,
    pub(super) versions: BTreeMap<String, VersionReading>,
    /// By detector.
    pub(super) drift: BTreeMap<String, Drift>,
    /// Checks for drift that could not be because no detector may look.
    drift_refused: f64,
    /// Does any detector watch the answers, whether it has looked or not?
    is_watched: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct VersionReading {
    /// Is it loaded? What a version counted that gave way stays.
    pub(super) is_loaded: bool,
    pub(super) is_ready: bool,
    pub(super) alias: String,
    /// What it is asked for (`main`, `canary`, `shadow`), with the share of the requests that it
    /// answers; empty where that is not said.
    pub(super) roles: BTreeMap<String, f64>,
    pub(super) weights: String,
    pub(super) backend: String,
    /// When it was loaded, seconds since 1970.
    pub(super) loaded: f64,
    pub(super) images: f64,
    pub(super) batches: f64,
    /// Predictions by class.
    pub(super) classes: BTreeMap<String, f64>,
    pub(super) confidence: Histogram,
    /// Judged predictions.
    pub(super) right: f64,
    pub(super) wrong: f64,
    /// Of a shadow: answers that were compared, and those that agreed.
    pub(super) comparisons: f64,
    pub(super) agreements: f64,
    /// Test accuracy that is recorded of it.
    pub(super) accuracy: Option<f64>,
}

/// What a detector of drift found last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Drift {
    pub(super) is_found: bool,
    pub(super) p_value: Option<f64>,
    pub(super) score: Option<f64>,
    pub(super) threshold: Option<f64>,
    /// When it looked last, seconds since 1970.
    pub(super) checked: Option<f64>,
}

impl Reading {
    /// Reads what a server said; `None` if it is no prediction server of ours.
    pub(in crate::cli) fn of(text: &str, at_ms: i64) -> Option<Self> {
        let mut reading = Self {
            at_ms,
            ..Self::default()
        };
        let mut is_ours = false;
        for sample in samples(text) {
            is_ours |= sample.name == "cvops_model_ready";
            if !reading.of_server(&sample) {
                reading.of_model(&sample);
            }
        }
        is_ours.then_some(reading)
    }

    /// Does every model answer?
    pub(super) fn is_ready(&self) -> bool {
        self.models.values().all(ModelReading::is_ready)
    }

    /// Is it the same process that was asked before?
    pub(super) fn follows(&self, earlier: &Self) -> bool {
        self.process.started == earlier.process.started
    }

    /// Takes a sample in that is about the server as a whole; returns whether it was one.
    fn of_server(&mut self, sample: &Sample<'_>) -> bool {
        let value = sample.value;
        match sample.name {
            "cvops_build_info" => sample.label("version").clone_into(&mut self.program),
            "process_start_time_seconds" => self.process.started = value,
            "process_cpu_seconds_total" => self.process.cpu_s = value,
            "process_resident_memory_bytes" => self.process.memory_bytes = value,
            "process_open_fds" => self.process.open_fds = value,
            "process_max_fds" => self.process.max_fds = value,
            "cvops_http_connections" => self.connections = value,
            "cvops_http_requests_in_progress" => self.in_flight += value,
            "http_requests_total" => {
                let handler = self.handler(sample);
                let status = sample.label("status").to_owned();
                *handler.statuses.entry(status).or_default() += value;
            }
            name if name.starts_with(LATENCY) => self.handler(sample).latency.add(LATENCY, sample),
            "cvops_requests_rejected_total" => {
                let reason = sample.label("reason").to_owned();
                *self.refused.entry(reason).or_default() += value;
            }
            "cvops_image_decode_failures_total" => self.undecodable += value,
            "cvops_prediction_log_records_total" => self.logged += value,
            "cvops_prediction_log_dropped_total" => self.log_dropped += value,
            _ => return false,
        }
        true
    }

    fn handler(&mut self, sample: &Sample<'_>) -> &mut Handler {
        let handler = sample.label("handler").to_owned();
        self.handlers.entry(handler).or_default()
    }

    fn of_model(&mut self, sample: &Sample<'_>) {
        let name = sample.label("model");
        if name.is_empty() || !sample.name.starts_with("cvops_") {
            return;
        }
        let model = self.models.entry(name.to_owned()).or_default();
        let value = sample.value;
        if sample.name == "cvops_model_ready" {
            model.readiness = Some(model.readiness.unwrap_or(true) && value == 1.0);
        }
        model.is_watched |= is_of_watcher(sample);
        match sample.name {
            name if name.starts_with(STAGES) => {
                let stage = sample.label("stage").to_owned();
                model.stages.entry(stage).or_default().add(STAGES, sample);
            }
            name if name.starts_with(BATCH_SIZE) => model.batch_size.add(BATCH_SIZE, sample),
            "cvops_inference_queue_length" => model.queue = value,
            "cvops_inference_queue_limit" => model.queue_limit = value,
            "cvops_model_load_failures_total" => model.load_failures += value,
            "cvops_shadow_dropped_total" => model.shadow_dropped += value,
            "cvops_model_behind" => model.is_behind = value == 1.0,
            // A detector that has not looked yet has none, and says nothing: that is not "no drift".
            "cvops_drift_detected" => {
                let detector = sample.label("detector").to_owned();
                model.drift.entry(detector).or_default().add(sample);
            }
            "cvops_drift_checks_total" if sample.label("detector") == "all" => {
                model.drift_refused += value;
            }
            name if name.starts_with("cvops_drift_") => {
                if let Some(drift) = model.drift.get_mut(sample.label("detector")) {
                    drift.add(sample);
                }
            }
            _ => {
                let version = sample.label("version");
                if !version.is_empty() {
                    let versions = &mut model.versions;
                    versions.entry(version.to_owned()).or_default().add(sample);
                }
            }
        }
    }
}

impl ModelReading {
    /// Does it answer? A version that waits to answer says so, also beside a canary that is loaded.
    pub(super) fn is_ready(&self) -> bool {
        self.readiness == Some(true)
    }

    /// Are there detectors of drift, none of which may look at the answers? What was counted of that stays when
    /// they are fitted again, so it says something only where nobody watches.
    pub(super) fn is_drift_refused(&self) -> bool {
        0.0 < self.drift_refused && !self.is_watched
    }
}

/// Does a sample say that a detector watches? Counters outlive the detector.
fn is_of_watcher(sample: &Sample<'_>) -> bool {
    match sample.name {
        "cvops_drift_checks_total" | "cvops_drift_dropped_total" => false,
        "cvops_outlier_expected_share" => true,
        name => name.starts_with("cvops_drift_"),
    }
}

impl VersionReading {
    /// Is it only compared, and nobody told what it says?
    pub(super) fn is_shadow(&self) -> bool {
        !self.roles.is_empty() && self.roles.keys().all(|role| role == "shadow")
    }

    fn add(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        let label = |name: &str| sample.label(name).to_owned();
        match sample.name {
            "cvops_model_info" => {
                self.is_loaded = true;
                self.alias = label("alias");
                (self.weights, self.backend) = (label("weights"), label("backend"));
            }
            "cvops_model_ready" => self.is_ready = value == 1.0,
            "cvops_model_loaded_timestamp_seconds" => self.loaded = value,
            "cvops_model_share_ratio" => {
                self.roles.insert(label("role"), value);
            }
            "cvops_model_accuracy_ratio" => self.accuracy = Some(value),
            "cvops_inference_images_total" => self.images += value,
            "cvops_inference_batches_total" => self.batches += value,
            "cvops_predictions_total" => {
                *self.classes.entry(label("class")).or_default() += value;
            }
            name if name.starts_with(CONFIDENCE) => self.confidence.add(CONFIDENCE, sample),
            "cvops_feedback_total" if sample.label("correct") == "true" => self.right += value,
            "cvops_feedback_total" => self.wrong += value,
            "cvops_shadow_comparisons_total" => self.comparisons += value,
            "cvops_shadow_agreements_total" => self.agreements += value,
            _ => {}
        }
    }
}

impl Drift {
    fn add(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        match sample.name {
            "cvops_drift_detected" => self.is_found = value == 1.0,
            "cvops_drift_p_value" => self.p_value = Some(value),
            "cvops_drift_score" => self.score = Some(value),
            "cvops_drift_threshold" => self.threshold = Some(value),
            "cvops_drift_last_check_timestamp_seconds" => self.checked = Some(value),
            _ => {}
        }
    }
}
