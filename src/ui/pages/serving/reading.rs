//! What one look at a server's metrics says, and what two say together. Pure.
//! Imports: base, track.

use std::collections::BTreeMap;

use crate::base::exposition::{Histogram, samples};
use crate::track::predictions::predicts;

/// How long they took.
const LATENCY: &str = "http_request_duration_seconds";

/// What a server said about itself at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) at_ms: i64,
    /// When its process began, seconds since 1970.
    pub(super) started: f64,
    pub(super) version: String,
    pub(super) is_ready: bool,
    /// Does it serve another version than the one that is meant?
    pub(super) is_behind: bool,
    pub(super) model: Option<ServedModel>,
    /// Prediction requests by class of status (`2xx`).
    pub(super) requests: BTreeMap<String, f64>,
    /// Refused before inference, by reason.
    pub(super) rejected: BTreeMap<String, f64>,
    /// Of prediction requests, in seconds.
    pub(super) latency: Histogram,
    pub(super) images: f64,
    pub(super) batches: f64,
    pub(super) queue: f64,
    pub(super) queue_limit: f64,
    pub(super) memory: f64,
    pub(super) logged: f64,
    pub(super) log_dropped: f64,
}

/// The model that is served.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServedModel {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) alias: String,
    pub(super) run_id: String,
    pub(super) weights: String,
    pub(super) backend: String,
    /// When it was loaded, seconds since 1970.
    pub(super) loaded: f64,
}

impl Reading {
    /// Reads what a server said; `None` if it is no prediction server of ours.
    pub(super) fn of(text: &str, at_ms: i64) -> Option<Self> {
        let mut reading = Self {
            at_ms,
            ..Self::default()
        };
        let mut loaded = 0.0;
        let mut is_ours = false;
        for sample in samples(text) {
            let value = sample.value;
            let add = |map: &mut BTreeMap<String, f64>, label: &str| {
                *map.entry(sample.label(label).to_owned()).or_default() += value;
            };
            match sample.name {
                "cvops_build_info" => sample.label("version").clone_into(&mut reading.version),
                "process_start_time_seconds" => reading.started = value,
                "process_resident_memory_bytes" => reading.memory = value,
                "cvops_model_ready" => {
                    is_ours = true;
                    reading.is_ready |= value == 1.0;
                }
                "cvops_model_behind" => reading.is_behind = value == 1.0,
                "cvops_model_loaded_timestamp_seconds" => loaded = value,
                "cvops_model_info" => {
                    let label = |name| sample.label(name).to_owned();
                    reading.model = Some(ServedModel {
                        name: label("model"),
                        version: label("version"),
                        alias: label("alias"),
                        run_id: label("run_id"),
                        weights: label("weights"),
                        backend: label("backend"),
                        loaded: 0.0,
                    });
                }
                "http_requests_total" if predicts(sample.label("handler")) => {
                    add(&mut reading.requests, "status");
                }
                "cvops_requests_rejected_total" => add(&mut reading.rejected, "reason"),
                name if name.starts_with(LATENCY) && predicts(sample.label("handler")) => {
                    reading.latency.add(LATENCY, &sample);
                }
                "cvops_inference_images_total" => reading.images += value,
                "cvops_inference_batches_total" => reading.batches += value,
                "cvops_inference_queue_length" => reading.queue += value,
                "cvops_inference_queue_limit" => reading.queue_limit += value,
                "cvops_prediction_log_records_total" => reading.logged = value,
                "cvops_prediction_log_dropped_total" => reading.log_dropped = value,
                _ => {}
            }
        }
        if let Some(model) = &mut reading.model {
            model.loaded = loaded;
        }
        is_ours.then_some(reading)
    }

    /// Returns all prediction requests.
    pub(super) fn all_requests(&self) -> f64 {
        self.requests.values().sum()
    }

    fn requests_of(&self, status: &str) -> f64 {
        self.requests.get(status).copied().unwrap_or_default()
    }

    /// Is it the same process that was asked before?
    pub(super) fn follows(&self, earlier: &Self) -> bool {
        self.started == earlier.started && earlier.all_requests() <= self.all_requests()
    }
}

/// What went on between two looks, or since the server began.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traffic {
    /// How long it is.
    pub(super) seconds: f64,
    /// Is it all since the server began?
    pub(super) is_total: bool,
    pub(super) requests: f64,
    /// Answers 4xx.
    pub(super) refused: f64,
    /// Answers 5xx.
    pub(super) failed: f64,
    pub(super) images: f64,
    pub(super) batches: f64,
    /// As in `Reading`.
    latency: Histogram,
}

impl Traffic {
    /// What went on from `first`, or from the server's start, until `last`.
    pub(super) fn until(last: &Reading, first: Option<&Reading>) -> Self {
        let nothing = Reading::default();
        let before = first.unwrap_or(&nothing);
        let began_ms = match first {
            Some(first) => first.at_ms,
            None => (last.started * 1000.0) as i64,
        };
        Self {
            seconds: ((last.at_ms - began_ms) as f64 / 1000.0).max(0.001),
            is_total: first.is_none(),
            requests: last.all_requests() - before.all_requests(),
            refused: last.requests_of("4xx") - before.requests_of("4xx"),
            failed: last.requests_of("5xx") - before.requests_of("5xx"),
            images: last.images - before.images,
            batches: last.batches - before.batches,
            latency: last.latency.since(&before.latency),
        }
    }

    /// Returns requests per second.
    pub(super) fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// Returns the time in seconds within which this share of the requests was answered, as
    /// Prometheus estimates it; `None` without requests.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        self.latency.quantile(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "cvops_build_info{version=\"0.1.0\"} 1\ncvops_model_ready{model=\"m\",version=\"3\"} 1\n\
        process_start_time_seconds 1000\n\
        cvops_model_info{model=\"m\",version=\"3\",alias=\"champion\",run_id=\"ab\",weights=\"cd\",backend=\"cpu\"} 1\n\
        cvops_model_loaded_timestamp_seconds{model=\"m\",version=\"3\"} 1001\n\
        http_requests_total{handler=\"/predict\",method=\"POST\",status=\"2xx\"} 90\n\
        http_requests_total{handler=\"/predict/batch\",method=\"POST\",status=\"5xx\"} 10\n\
        http_requests_total{handler=\"/metrics\",method=\"GET\",status=\"2xx\"} 55\n\
        http_request_duration_seconds_bucket{handler=\"/predict\",le=\"0.01\"} 50\n\
        http_request_duration_seconds_bucket{handler=\"/predict\",le=\"0.1\"} 90\n\
        http_request_duration_seconds_bucket{handler=\"/predict\",le=\"+Inf\"} 90\n\
        http_request_duration_seconds_bucket{handler=\"/predict/batch\",le=\"0.01\"} 0\n\
        http_request_duration_seconds_bucket{handler=\"/predict/batch\",le=\"0.1\"} 8\n\
        http_request_duration_seconds_bucket{handler=\"/predict/batch\",le=\"+Inf\"} 10\n\
        http_requests_total{handler=\"/explain\",method=\"POST\",status=\"2xx\"} 500\n\
        http_request_duration_seconds_bucket{handler=\"/explain\",le=\"10\"} 500\n\
        http_request_duration_seconds_bucket{handler=\"/explain\",le=\"+Inf\"} 500\n";

    #[test]
    fn totals_and_quantiles_are_of_prediction_requests() {
        let reading = Reading::of(TEXT, 1_100_000).unwrap();
        assert!(reading.is_ready);
        let model = reading.model.as_ref().unwrap();
        assert_eq!((model.alias.as_str(), model.loaded), ("champion", 1001.0));
        let total = Traffic::until(&reading, None);
        assert_eq!(
            (total.requests, total.failed, total.seconds),
            (100.0, 10.0, 100.0)
        );
        assert_eq!((total.rate(), total.is_total), (1.0, true));
        assert_eq!(total.quantile(0.25), Some(0.005));
        assert_eq!(total.quantile(0.5), Some(0.01));
        assert!((total.quantile(0.74).unwrap() - 0.055).abs() < 1e-9);
        assert_eq!(total.quantile(0.99), Some(0.1), "no more can be said");
    }

    #[test]
    fn two_looks_give_what_went_on_between() {
        let first = Reading::of(TEXT, 1_100_000).unwrap();
        let later = TEXT
            .replace("\"2xx\"} 90", "\"2xx\"} 110")
            .replace(
                "\"/predict\",le=\"0.1\"} 90",
                "\"/predict\",le=\"0.1\"} 110",
            )
            .replace(
                "\"/predict\",le=\"+Inf\"} 90",
                "\"/predict\",le=\"+Inf\"} 110",
            );
        let last = Reading::of(&later, 1_110_000).unwrap();
        assert!(last.follows(&first) && !first.follows(&last));
        let traffic = Traffic::until(&last, Some(&first));
        assert_eq!((traffic.rate(), traffic.failed), (2.0, 0.0));
        assert!((traffic.quantile(0.5).unwrap() - 0.055).abs() < 1e-9);
        assert_eq!(Traffic::until(&first, Some(&first)).quantile(0.5), None);
    }

    #[test]
    fn another_server_is_none_of_ours() {
        assert_eq!(Reading::of("process_start_time_seconds 1\n", 0), None);
        assert_eq!(Reading::of("<html>", 0), None);
    }
}
