//! What was seen so far: some readings, to say what went on since, and the points of the curves.
//! Bounded, whatever the server counts and however long it is watched. Imports: `monitor::*`.

use std::collections::{BTreeMap, VecDeque};

use super::figures::Figures;
use super::reading::Reading;

/// Rates and times are of this time at most.
const RATE_MS: i64 = 10_000;
/// What is said of predictions is of this time at most.
const LONG_MS: i64 = 300_000;
/// Of what is older than `RATE_MS`, a reading in so much time is kept.
const MARK_MS: i64 = 15_000;
/// Points of the curves: ten minutes of one a second, and wider than most terminals.
const POINTS_MAX: usize = 600;

/// What a curve shows at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Point {
    /// Requests, predictions and all others, per second.
    pub(super) requests: f64,
    /// Seconds within which 99 of 100 predictions were answered; `None` if there were none.
    pub(super) p99: Option<f64>,
    pub(super) cpu_cores: f64,
    /// Pictures in the queue, by model.
    pub(super) queues: BTreeMap<String, f64>,
}

/// What was seen of a server.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct History {
    /// Oldest first.
    readings: VecDeque<Reading>,
    /// Oldest first; `None` where the server did not answer.
    points: VecDeque<Option<Point>>,
}

impl History {
    /// Remembers a look. A server that began anew has no past.
    pub(in crate::cli) fn saw(&mut self, reading: Reading) {
        let is_new = |last: &Reading| !reading.follows(last) || reading.at_ms <= last.at_ms;
        if self.readings.back().is_some_and(is_new) {
            self.readings.clear();
        }
        self.forget(reading.at_ms);
        self.readings.push_back(reading);
        let point = self.figures().map(|figures| Point {
            requests: figures.handlers.iter().map(|(_, r)| r.count.per_s).sum(),
            p99: figures.predictions.latency.p99,
            cpu_cores: figures.cpu_cores,
            queues: figures
                .models
                .into_iter()
                .map(|model| (model.name, model.queue))
                .collect(),
        });
        // What a server did since its start is no point of a curve.
        let point = point.filter(|_| 1 < self.readings.len());
        self.add(point);
    }

    /// Remembers that the server did not answer.
    pub(in crate::cli) fn missed(&mut self) {
        self.add(None);
    }

    fn add(&mut self, point: Option<Point>) {
        self.points.push_back(point);
        if POINTS_MAX < self.points.len() {
            self.points.pop_front();
        }
    }

    /// Drops what is too old, and of what is old most; but not the newest, however long ago it was: from it
    /// on is told what goes on.
    fn forget(&mut self, now_ms: i64) {
        let mut kept = VecDeque::with_capacity(self.readings.len() + 1);
        let mut mark = i64::MIN;
        let newest = self.readings.pop_back();
        for reading in self.readings.drain(..) {
            let age = now_ms - reading.at_ms;
            let is_mark = MARK_MS <= reading.at_ms.saturating_sub(mark);
            if age <= RATE_MS || (age <= LONG_MS && is_mark) {
                if is_mark {
                    mark = reading.at_ms;
                }
                kept.push_back(reading);
            }
        }
        kept.extend(newest);
        self.readings = kept;
    }

    /// Says what goes on; `None` before the first look.
    pub(in crate::cli) fn figures(&self) -> Option<Figures> {
        let last = self.readings.back()?;
        let earlier = self.readings.iter().take(self.readings.len() - 1);
        let mut recent = earlier.clone();
        let before = recent.find(|reading| last.at_ms - reading.at_ms <= RATE_MS);
        // After a time without answers, the newest of the old is the best there is.
        let before = before.or_else(|| earlier.clone().next_back());
        Some(Figures::between(last, before, earlier.clone().next()))
    }

    /// Returns the newest `count` points of a curve, oldest first; where nothing is known there is a gap.
    pub(super) fn curve(
        &self,
        count: usize,
        value: &dyn Fn(&Point) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let missing = count.saturating_sub(self.points.len());
        let shown = self.points.len().saturating_sub(count);
        let points = self.points.iter().skip(shown);
        std::iter::repeat_n(None, missing)
            .chain(points.map(|point| point.as_ref().and_then(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::monitor::figures::Judged;
    use crate::cli::monitor::reading::Drift;

    /// A server that answered `n` of 10 requests a second for `n` tenths of a second since it began.
    fn at(seconds: i64, started: i64) -> Reading {
        let n = (seconds - started) * 10;
        let text = format!(
            "cvops_build_info{{version=\"0.1.0\"}} 1\nprocess_start_time_seconds {started}\n\
             process_cpu_seconds_total {cpu}\nprocess_resident_memory_bytes 1048576\n\
             http_requests_total{{handler=\"/predict\",method=\"POST\",status=\"2xx\"}} {n}\n\
             http_requests_total{{handler=\"/predict\",method=\"POST\",status=\"5xx\"}} 0\n\
             http_requests_total{{handler=\"/metrics\",method=\"GET\",status=\"2xx\"}} {seconds}\n\
             http_requests_total{{handler=\"/explain\",method=\"POST\",status=\"2xx\"}} 7\n\
             http_request_duration_seconds_bucket{{handler=\"/explain\",le=\"0.01\"}} 0\n\
             http_request_duration_seconds_bucket{{handler=\"/explain\",le=\"10\"}} {n}\n\
             http_request_duration_seconds_bucket{{handler=\"/explain\",le=\"+Inf\"}} {n}\n\
             http_requests_total{{handler=\"/docs\",method=\"GET\",status=\"2xx\"}} 0\n\
             http_request_duration_seconds_bucket{{handler=\"/predict\",le=\"0.01\"}} {n}\n\
             http_request_duration_seconds_bucket{{handler=\"/predict\",le=\"+Inf\"}} {n}\n\
             cvops_requests_rejected_total{{reason=\"queue_full\"}} {seconds}\n\
             cvops_requests_rejected_total{{reason=\"deadline\"}} 0\n\
             cvops_model_ready{{model=\"m\",version=\"2\"}} 1\n\
             cvops_model_info{{model=\"m\",version=\"2\",alias=\"champion\",backend=\"cpu\"}} 1\n\
             cvops_model_loaded_timestamp_seconds{{model=\"m\",version=\"2\"}} {started}\n\
             cvops_inference_queue_length{{model=\"m\"}} 3\n\
             cvops_inference_queue_limit{{model=\"m\"}} 256\n\
             cvops_inference_images_total{{model=\"m\",version=\"1\"}} 5\n\
             cvops_inference_images_total{{model=\"m\",version=\"2\"}} {n}\n\
             cvops_inference_batch_size_bucket{{model=\"m\",le=\"+Inf\"}} {seconds}\n\
             cvops_inference_batch_size_sum{{model=\"m\"}} {n}\n\
             cvops_inference_stage_duration_seconds_bucket{{model=\"m\",stage=\"queue\",le=\"0.01\"}} {n}\n\
             cvops_inference_stage_duration_seconds_bucket{{model=\"m\",stage=\"queue\",le=\"+Inf\"}} {n}\n\
             cvops_predictions_total{{model=\"m\",version=\"2\",class=\"a\"}} {a}\n\
             cvops_predictions_total{{model=\"m\",version=\"2\",class=\"b\"}} {b}\n\
             cvops_feedback_total{{model=\"m\",version=\"2\",correct=\"true\"}} 8\n\
             cvops_feedback_total{{model=\"m\",version=\"2\",correct=\"false\"}} 2\n\
             cvops_drift_detected{{model=\"m\",detector=\"mmd\"}} 1\n\
             cvops_drift_p_value{{model=\"m\",detector=\"mmd\"}} 0.001\n",
            cpu = seconds - started,
            a = 3 * n / 4,
            b = n - 3 * n / 4,
        );
        Reading::of(&text, seconds * 1000).unwrap()
    }

    #[test]
    fn one_look_tells_of_the_time_since_the_start() {
        let mut history = History::default();
        assert!(history.figures().is_none());
        history.saw(at(1100, 1000));
        let figures = history.figures().unwrap();
        assert_eq!((figures.seconds, figures.up_s), (100.0, 100.0));
        assert_eq!(figures.predictions.count.per_s, 10.0);
        assert_eq!(figures.cpu_cores, 1.0);
        assert_eq!(history.curve(2, &|point| point.p99), [None, None]);
    }

    #[test]
    fn looks_tell_of_the_last_ten_seconds_and_of_minutes() {
        let mut history = History::default();
        for second in 1100..1700 {
            history.saw(at(second, 1000));
        }
        let figures = history.figures().unwrap();
        assert_eq!(figures.seconds, 10.0);
        assert!(
            (285.0..=300.0).contains(&figures.long_seconds),
            "{figures:?}"
        );
        assert!(history.readings.len() < 40, "{}", history.readings.len());
        assert_eq!(history.points.len(), POINTS_MAX);
        let [(predict, asked), (explain, _), (metrics, _)] = &figures.handlers[..] else {
            panic!("{:?}", figures.handlers);
        };
        assert_eq!(
            [predict.as_str(), explain.as_str(), metrics.as_str()],
            ["/predict", "/explain", "/metrics"]
        );
        // Explanations, which take long, are no predictions.
        assert_eq!(figures.predictions.latency.p99, asked.latency.p99);
        assert_eq!(asked.statuses.keys().collect::<Vec<_>>(), ["2xx"]);
        assert_eq!(asked.latency.p50, Some(0.005));
        assert_eq!(figures.refused.len(), 1);
        let model = &figures.models[0];
        assert_eq!((model.batch, model.queue), (Some(10.0), 3.0));
        assert_eq!(model.stages[0].1.p50, Some(0.005));
        let versions: Vec<&str> = model.versions.iter().map(|v| v.version.as_str()).collect();
        assert_eq!(versions, ["2", "1"], "what is loaded stands first");
        assert_eq!(
            (model.versions[0].loaded_s, model.versions[1].loaded_s),
            (Some(699.0), None)
        );
        let (class, share) = &model.classes[0];
        assert!(class == "a" && (share - 0.75).abs() < 0.01, "{share}");
        assert_eq!(
            model.judged,
            Judged {
                right: 8.0,
                all: 10.0
            }
        );
        assert_eq!(model.judged.share(), Some(0.8));
        let drift = Drift {
            is_found: true,
            p_value: Some(0.001),
            ..Drift::default()
        };
        assert_eq!(model.drift["mmd"], drift);
        let curve = history.curve(3, &|point| point.queues.get("m").copied());
        assert_eq!(curve, [Some(3.0); 3]);
    }

    #[test]
    fn refused_detectors_are_told_of_until_some_watch_again() {
        const REFUSED: &str =
            "cvops_drift_checks_total{model=\"m\",detector=\"all\",result=\"error\"}";
        const WATCHED: &str = "cvops_drift_window_images{model=\"m\",detector=\"mmd\"} 0\n";
        let check = |drift: &str, expected: bool| {
            let text = format!("cvops_model_ready{{model=\"m\",version=\"1\"}} 1\n{drift}");
            let mut history = History::default();
            history.saw(Reading::of(&text, 1000).unwrap());
            let figures = history.figures().unwrap();
            assert_eq!(figures.models[0].is_drift_refused, expected, "{drift}");
        };
        check("", false);
        check(&format!("{REFUSED} 0\n"), false);
        check(&format!("{REFUSED} 3\n"), true);
        check(&format!("{REFUSED} 3\n{WATCHED}"), false);
        check(&format!("{WATCHED}{REFUSED} 3\n"), false);
    }

    #[test]
    fn a_server_that_began_anew_has_no_past_and_silence_is_a_gap() {
        let mut history = History::default();
        history.saw(at(1100, 1000));
        history.saw(at(1101, 1000));
        history.missed();
        history.saw(at(1110, 1105));
        assert_eq!(history.figures().unwrap().seconds, 5.0, "since it began");
        history.saw(at(1111, 1105));
        let curve = history.curve(6, &|point| Some(point.requests.round()));
        assert_eq!(curve, [None, None, Some(11.0), None, None, Some(11.0)]);
        // Whatever time lies between two looks, the rates are over all of it.
        history.saw(at(1211, 1105));
        assert_eq!(history.figures().unwrap().seconds, 100.0);
        history.saw(at(1811, 1105));
        let figures = history.figures().unwrap();
        assert_eq!((figures.seconds, figures.long_seconds), (600.0, 600.0));
    }

    #[test]
    fn another_server_is_none_of_ours() {
        assert_eq!(Reading::of("process_start_time_seconds 1\n", 0), None);
        assert_eq!(Reading::of("<html>", 0), None);
        // Ours, before there is a model.
        let text = "cvops_model_ready{model=\"m\",version=\"\"} 0\ncvops_inference_queue_limit{model=\"m\"} 8\n";
        let reading = Reading::of(text, 0).unwrap();
        assert!(!reading.is_ready());
        assert_eq!(reading.models["m"].queue_limit, 8.0);
        // A canary that is loaded makes no model ready whose main version is not.
        let canary = "cvops_model_ready{model=\"m\",version=\"4\"} 1\n";
        let ready = |text: &str| Reading::of(text, 0).unwrap().is_ready();
        assert!(!ready(&(text.to_owned() + canary)));
        let main = "cvops_model_ready{model=\"m\",version=\"3\"} 1\n";
        assert!(ready(&(main.to_owned() + canary)));
    }
}
