//! The file `reports/metrics.json`: what `metrics diff` compares. Plain serde types; field order is
//! file order, numbers are rounded to six decimals so that noise in the last digits is no change.
//! Imports: `evaluate::*`, `vision::train`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::vision::train::six;

use super::bootstrap::Interval;
use super::classification::Average;
use super::evaluation::Evaluation;

#[derive(Serialize)]
pub(super) struct MetricsFile<'a> {
    accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_interval: Option<IntervalFormat>,
    top_k: usize,
    top_k_accuracy: f64,
    log_loss: f64,
    brier: f64,
    ece: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    roc_auc: Option<f64>,
    #[serde(rename = "macro")]
    macro_average: AverageFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    macro_f1_interval: Option<IntervalFormat>,
    weighted: AverageFormat,
    images: usize,
    per_class: BTreeMap<&'a str, ClassFormat>,
}

#[derive(Serialize)]
struct IntervalFormat {
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct AverageFormat {
    precision: f64,
    recall: f64,
    f1: f64,
}

#[derive(Serialize)]
struct ClassFormat {
    precision: f64,
    recall: f64,
    f1: f64,
    support: u64,
}

impl<'a> From<&'a Evaluation> for MetricsFile<'a> {
    fn from(evaluation: &'a Evaluation) -> Self {
        let class = |(name, scores): (&'a String, &super::ClassScores)| {
            let format = ClassFormat {
                precision: six(scores.precision),
                recall: six(scores.recall),
                f1: six(scores.f1),
                support: scores.support,
            };
            (name.as_str(), format)
        };
        Self {
            accuracy: six(evaluation.accuracy),
            accuracy_interval: evaluation.accuracy_interval.map(Into::into),
            top_k: evaluation.top_k,
            top_k_accuracy: six(evaluation.top_k_accuracy),
            log_loss: six(evaluation.log_loss),
            brier: six(evaluation.brier),
            ece: six(evaluation.ece),
            roc_auc: evaluation.roc_auc.map(six),
            macro_average: evaluation.macro_average.into(),
            macro_f1_interval: evaluation.macro_f1_interval.map(Into::into),
            weighted: evaluation.weighted_average.into(),
            images: evaluation.images,
            per_class: evaluation
                .classes
                .iter()
                .zip(&evaluation.per_class)
                .map(class)
                .collect(),
        }
    }
}

impl From<Interval> for IntervalFormat {
    fn from(interval: Interval) -> Self {
        Self {
            low: six(interval.low),
            high: six(interval.high),
        }
    }
}

impl From<Average> for AverageFormat {
    fn from(average: Average) -> Self {
        Self {
            precision: six(average.precision),
            recall: six(average.recall),
            f1: six(average.f1),
        }
    }
}
