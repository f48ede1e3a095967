//! What is measured of drift. The names are those of docs/guide/monitoring.md. Imports: prometheus,
//! detect, `serve::metrics`, vision, `serve::drift::{outliers, standing}`.
//!
//! Labels are the names of models and of detectors, which the parameters bound; never a feature, class or
//! picture.

use prometheus::{GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts};

use crate::base::clock;
use crate::detect::features::Input;
use crate::detect::params::NAME_OF_ALL;
use crate::serve::Error;
use crate::serve::metrics::Families;
use crate::vision::image::PROPERTIES;

use super::outliers::{Outliers, Scored};
use super::standing::{LookResult, Standing};

/// Stands for all detectors of a model, where none of them may look; the parameters keep it free.
const ALL_DETECTORS: &str = NAME_OF_ALL;

/// Of scores in units of their threshold: what is above 1 is an outlier.
const RELATIVE_SCORES: [f64; 13] = [
    0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 10.0, 30.0,
];
/// Most properties are from 0 to 1 and dense below a half; the entropy is from 0 to 8.
const PROPERTY_VALUES: [f64; 20] = [
    0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 2.0, 3.0,
    4.5, 6.0, 7.0,
];

/// The families of one server. Cheap to clone.
#[derive(Clone)]
pub(in crate::serve) struct DriftMetrics {
    p_value: GaugeVec,
    score: GaugeVec,
    threshold: GaugeVec,
    detected: IntGaugeVec,
    checks: IntCounterVec,
    last_check: GaugeVec,
    window: IntGaugeVec,
    false_alarm: GaugeVec,
    dropped: IntCounterVec,
    outliers: IntCounterVec,
    outlier_score: HistogramVec,
    outlier_expected: GaugeVec,
    property: HistogramVec,
}

impl DriftMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// One is registered already.
    pub(in crate::serve) fn new(f: &Families<'_>) -> Result<Self, Error> {
        let detector = ["model", "detector"];
        let gauges =
            |name: &str, help: &str| f.add(GaugeVec::new(Opts::new(name, help), &detector));
        Ok(Self {
            p_value: gauges(
                "cvops_drift_p_value",
                "Smallest p-value of the last check; detectors of a stream have none",
            )?,
            score: gauges(
                "cvops_drift_score",
                "Statistic of the last check: the distance from the reference",
            )?,
            threshold: gauges(
                "cvops_drift_threshold",
                "What the p-value is compared with, corrected for several features; of detectors of a stream, what the score is compared with",
            )?,
            detected: f.gauges(
                "cvops_drift_detected",
                "Did the last check find drift? Of detectors of a stream: was there an alarm since the last reset?",
                &detector,
            )?,
            checks: f.counters(
                "cvops_drift_checks_total",
                "Checks by what came of them",
                &["model", "detector", "result"],
            )?,
            last_check: gauges(
                "cvops_drift_last_check_timestamp_seconds",
                "When the last check was; before the first one, when watching began; in Unix time",
            )?,
            window: f.gauges(
                "cvops_drift_window_images",
                "Pictures in the window that is compared with the reference",
                &detector,
            )?,
            false_alarm: gauges(
                "cvops_drift_expected_false_alarm_seconds",
                "Expected time between two false alarms, at the rate at which pictures come now",
            )?,
            dropped: f.counters(
                "cvops_drift_dropped_total",
                "Answers that no detector looked at, because too many waited",
                &["model"],
            )?,
            outliers: f.counters(
                "cvops_outlier_total",
                "Pictures that are strange to the model: their score is above the threshold",
                &detector,
            )?,
            outlier_score: f.histograms(
                "cvops_outlier_score",
                "Scores of single pictures in units of the threshold: above 1 is an outlier",
                &detector,
                &RELATIVE_SCORES,
            )?,
            outlier_expected: gauges(
                "cvops_outlier_expected_share",
                "Share of usual pictures that the threshold calls outliers",
            )?,
            property: f.histograms(
                "cvops_image_property",
                "Properties of pictures as the model sees them: from 0 to 1, the contrast to 0.5, the sharpness to 16, the entropy to 8 bits",
                &["model", "property"],
                &PROPERTY_VALUES,
            )?,
        })
    }

    /// Returns the counter of answers to which nobody came.
    pub(in crate::serve) fn dropped(&self, model: &str) -> IntCounter {
        self.dropped.with_label_values(&[model])
    }

    /// Creates what is known of a model before its detectors are.
    pub(super) fn begin_model(&self, model: &str) {
        self.checks(model, ALL_DETECTORS, LookResult::Error);
    }

    /// Creates what is known of a detector before its first look, since the start or a reset.
    pub(super) fn begin(&self, model: &str, standing: &Standing) {
        for result in LookResult::ALL {
            self.checks(model, &standing.name, result);
        }
        self.tell(model, standing);
        if standing.looked_at.is_none() && looks_by_itself(standing) {
            let now = clock::now().as_millisecond() as f64 / 1000.0;
            let this = [model, standing.name.as_str()];
            self.last_check.with_label_values(&this).set(now);
        }
    }

    /// Counts a look of a detector and tells what it says now.
    pub(super) fn looked(&self, model: &str, standing: &Standing) {
        if let Some(result) = standing.result {
            self.checks(model, &standing.name, result).inc();
        }
        self.tell(model, standing);
    }

    /// Tells what a detector says.
    fn tell(&self, model: &str, standing: &Standing) {
        let this = [model, standing.name.as_str()];
        if let Some(found) = standing.detected() {
            self.detected.with_label_values(&this).set(i64::from(found));
        } else {
            // Who has not looked has not found nothing.
            let _ = self.detected.remove_label_values(&this);
        }
        for (gauge, value) in [
            (&self.p_value, standing.p_value),
            (&self.score, standing.score),
            (&self.threshold, standing.threshold),
        ] {
            match value {
                Some(value) => gauge.with_label_values(&this).set(value),
                None => {
                    // A series that is not there is none to remove.
                    let _ = gauge.remove_label_values(&this);
                }
            }
        }
        if let Some(at) = standing.looked_at.filter(|_| looks_by_itself(standing)) {
            let at = at.as_millisecond() as f64 / 1000.0;
            self.last_check.with_label_values(&this).set(at);
        }
    }

    /// Tells how full the window of a detector is.
    pub(super) fn window(&self, model: &str, detector: &str, images: usize) {
        let images = i64::try_from(images).unwrap_or(i64::MAX);
        self.window
            .with_label_values(&[model, detector])
            .set(images);
    }

    /// Tells how often a detector raises a false alarm.
    pub(super) fn false_alarm(&self, model: &str, detector: &str, seconds: f64) {
        let this = [model, detector];
        self.false_alarm.with_label_values(&this).set(seconds);
    }

    /// Counts a check that could not be, because no detector may look.
    pub(super) fn refused(&self, model: &str) {
        self.checks(model, ALL_DETECTORS, LookResult::Error).inc();
    }

    /// Removes what is true of a detector that looks no more; what was counted stays.
    pub(super) fn end(&self, model: &str, detector: &str) {
        let this = [model, detector];
        for gauge in [
            &self.p_value,
            &self.score,
            &self.threshold,
            &self.last_check,
            &self.false_alarm,
        ] {
            let _ = gauge.remove_label_values(&this);
        }
        let _ = self.detected.remove_label_values(&this);
        let _ = self.window.remove_label_values(&this);
    }

    /// Creates what is known of what scores single pictures, with 0.
    pub(super) fn begin_outliers(&self, model: &str, outliers: &Outliers) {
        let this = [model, outliers.name.as_str()];
        self.checks(model, &outliers.name, LookResult::Error);
        self.outliers.with_label_values(&this);
        self.outlier_score.with_label_values(&this);
        let expected = self.outlier_expected.with_label_values(&this);
        expected.set(outliers.false_positives);
    }

    /// Counts a picture with its score; `None` if it could not be scored.
    pub(super) fn scored(&self, model: &str, detector: &str, scored: Option<Scored>) {
        let Some(scored) = scored else {
            return self.checks(model, detector, LookResult::Error).inc();
        };
        let this = [model, detector];
        let outliers = self.outliers.with_label_values(&this);
        outliers.inc_by(u64::from(scored.is_outlier));
        let scores = self.outlier_score.with_label_values(&this);
        scores.observe(scored.relative);
    }

    /// Removes what is true of scores that are computed no more; what was counted stays.
    pub(super) fn end_outliers(&self, model: &str, detector: &str) {
        let _ = self
            .outlier_expected
            .remove_label_values(&[model, detector]);
    }

    /// Creates what is measured of pictures, with 0.
    pub(super) fn begin_properties(&self, model: &str) {
        for property in PROPERTIES {
            self.property.with_label_values(&[model, property]);
        }
    }

    /// Notes the properties of a picture.
    pub(super) fn properties(&self, model: &str, values: &[f64; PROPERTIES.len()]) {
        for (property, value) in PROPERTIES.iter().zip(values) {
            let observed = self.property.with_label_values(&[model, *property]);
            observed.observe(*value);
        }
    }

    fn checks(&self, model: &str, detector: &str, result: LookResult) -> IntCounter {
        let labels = [model, detector, result.label()];
        self.checks.with_label_values(&labels)
    }
}

/// Does it look because pictures come? Who waits for feedback is not late, however long nobody judges.
fn looks_by_itself(standing: &Standing) -> bool {
    standing.input != Input::Error
}
