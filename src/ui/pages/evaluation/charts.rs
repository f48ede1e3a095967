//! An evaluation as charts. Imports: report, `evaluation::*`.

use super::judge::{Bin, OneAgainstRest, STEPS, Slider, calibration_error};
use crate::report::Svg;
use crate::report::chart::{
    Axis, ConfusionMatrix, LineChart, Naming, NumberFormat, ReliabilityBin, ReliabilityDiagram,
    Series,
};

/// More classes than this are no matrix that could be read: the table of mistakes says it.
pub(super) const MATRIX_CLASSES_MAX: usize = 60;

/// Returns the confusion matrix; `link` says where a cell leads.
pub(super) fn confusion(
    classes: &[String],
    counts: Vec<Vec<u64>>,
    link: &dyn Fn(usize, usize) -> String,
) -> Svg {
    let n = classes.len();
    let links = (0..n).map(|label| (0..n).map(|predicted| link(label, predicted)).collect());
    ConfusionMatrix {
        title: "Confusion matrix".to_owned(),
        classes: classes.to_vec(),
        counts,
        links: links.collect(),
    }
    .svg()
}

/// Returns the reliability diagram.
pub(super) fn reliability(bins: &[Bin]) -> Svg {
    let count = bins.len() as f64;
    let error = NumberFormat::Percent(1).show(calibration_error(bins));
    let shown = bins.iter().enumerate().map(|(at, bin)| {
        let mean = |sum: f64| {
            if bin.count == 0 {
                f64::NAN
            } else {
                sum / bin.count as f64
            }
        };
        ReliabilityBin {
            from: at as f64 / count,
            to: (at + 1) as f64 / count,
            confidence: mean(bin.confidence),
            accuracy: mean(bin.right as f64),
            count: bin.count,
        }
    });
    ReliabilityDiagram {
        title: "Calibration".to_owned(),
        subtitle: format!("expected calibration error {error}"),
        bins: shown.collect(),
    }
    .svg()
}

/// Returns what each threshold leaves, and how much of it is right.
pub(super) fn thresholds(slider: &Slider, images: u64) -> Svg {
    let at = |step: usize| step as f64 / (STEPS - 1) as f64;
    let steps = || slider.all.iter().enumerate();
    let coverage =
        steps().map(|(step, [decided, _])| (at(step), *decided as f64 / images.max(1) as f64));
    let accuracy = steps()
        .filter(|(_, [decided, _])| 0 < *decided)
        .map(|(step, [decided, right])| (at(step), *right as f64 / *decided as f64));
    lines(
        "What a threshold does",
        ("threshold on the confidence", "share"),
        vec![
            ("coverage: decided by the model", coverage.collect()),
            ("accuracy of what is decided", accuracy.collect()),
        ],
    )
}

/// Returns the ROC curve of a class.
pub(super) fn roc(curves: &OneAgainstRest) -> Svg {
    let auc = format!("ROC curve, area {:.4}", curves.auc);
    let chance = vec![(0.0, 0.0), (1.0, 1.0)];
    lines(
        &auc,
        (
            "false positives, share of all other pictures",
            "true positives",
        ),
        vec![("model", curves.roc.clone()), ("chance", chance)],
    )
}

/// Returns precision over recall of a class.
pub(super) fn precision_recall(curves: &OneAgainstRest) -> Svg {
    let title = format!(
        "Precision and recall, average precision {:.4}",
        curves.average_precision
    );
    lines(
        &title,
        ("recall", "precision"),
        vec![("model", curves.precision_recall.clone())],
    )
}

fn lines(title: &str, (x, y): (&str, &str), curves: Vec<(&str, Vec<(f64, f64)>)>) -> Svg {
    LineChart {
        title: title.to_owned(),
        x: Axis::linear(x),
        y: Axis::linear(y),
        series: curves
            .into_iter()
            .map(|(name, points)| Series {
                name: name.to_owned(),
                points,
            })
            .collect(),
        naming: Naming::Legend,
    }
    .svg()
}
