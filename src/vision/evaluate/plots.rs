//! An evaluation as charts. Imports: report, `evaluate::*`, `vision::train`.

use crate::report::Svg;
use crate::report::chart::{
    Axis, Bar, BarChart, ConfusionMatrix, LineChart, Naming, NumberFormat, ReliabilityBin,
    ReliabilityDiagram, Series,
};
use crate::vision::train::EpochRecord;

use super::evaluation::Evaluation;

/// A chart with the name of its file.
pub(super) struct Plot {
    /// File name without folder.
    pub(super) file: &'static str,
    /// What is seen in it.
    pub(super) caption: String,
    pub(super) svg: Svg,
}

/// Returns the charts of an evaluation.
pub(super) fn evaluation_plots(evaluation: &Evaluation) -> Vec<Plot> {
    vec![
        confusion(evaluation),
        per_class(evaluation),
        reliability(evaluation),
    ]
}

/// The files of `training_plots`.
pub(super) const TRAINING_FILES: [&str; 2] = ["training_loss.svg", "training_accuracy.svg"];

/// Returns the charts of a training; none without epochs.
pub(super) fn training_plots(history: &[EpochRecord]) -> Vec<Plot> {
    if history.is_empty() {
        return Vec::new();
    }
    let curves = |title: &str, y: &str, file, caption: &str, curves: [(&str, Curve); 2]| Plot {
        file,
        caption: caption.to_owned(),
        svg: LineChart {
            title: title.to_owned(),
            x: Axis::linear("epoch"),
            y: Axis::linear(y),
            series: curves
                .into_iter()
                .map(|(name, curve)| series(name, history, curve))
                .filter(|series| !series.points.is_empty())
                .collect(),
            naming: Naming::Legend,
        }
        .svg(),
    };
    vec![
        curves(
            "Loss",
            "mean cross entropy",
            TRAINING_FILES[0],
            "Training loss is measured while training: with dropout, changed pictures and smoothed \
             labels where they are on. It may lie above the validation loss for that reason.",
            [
                ("training", |r| Some(r.train_loss)),
                ("validation", |r| r.val_loss),
            ],
        ),
        curves(
            "Accuracy",
            "share told right",
            TRAINING_FILES[1],
            "A growing gap between the two curves is overfitting.",
            [
                ("training", |r| Some(r.train_accuracy)),
                ("validation", |r| r.val_accuracy),
            ],
        ),
    ]
}

type Curve = fn(&EpochRecord) -> Option<f64>;

fn series(name: &str, history: &[EpochRecord], curve: Curve) -> Series {
    let point = |record: &EpochRecord| Some((record.epoch as f64, curve(record)?));
    Series {
        name: name.to_owned(),
        points: history.iter().filter_map(point).collect(),
    }
}

fn confusion(evaluation: &Evaluation) -> Plot {
    Plot {
        file: "confusion.svg",
        caption: "Rows are the true classes, columns what they were taken for.".to_owned(),
        svg: ConfusionMatrix {
            title: "Confusion matrix".to_owned(),
            classes: evaluation.classes.clone(),
            counts: evaluation.confusion.counts.clone(),
            links: Vec::new(),
        }
        .svg(),
    }
}

fn per_class(evaluation: &Evaluation) -> Plot {
    let scores = evaluation.classes.iter().zip(&evaluation.per_class);
    let mut bars: Vec<Bar> = scores
        .map(|(class, scores)| Bar {
            label: class.clone(),
            value: scores.f1,
            interval: None,
        })
        .collect();
    // Best first; the sort is stable, so equals stay in the order of the classes.
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    Plot {
        file: "per_class_f1.svg",
        caption: "The harmonic mean of precision and recall of each class.".to_owned(),
        svg: BarChart {
            title: "F1 of each class".to_owned(),
            subtitle: String::new(),
            axis_title: "F1".to_owned(),
            axis_max: Some(1.0),
            format: NumberFormat::Decimals(3),
            bars,
        }
        .svg(),
    }
}

fn reliability(evaluation: &Evaluation) -> Plot {
    let bins = evaluation.bins.iter().map(|bin| {
        let known = |value: f64| if bin.count == 0 { f64::NAN } else { value };
        ReliabilityBin {
            from: bin.from,
            to: bin.to,
            confidence: known(bin.confidence),
            accuracy: known(bin.accuracy),
            count: bin.count,
        }
    });
    let ece = NumberFormat::Percent(1).show(evaluation.ece);
    Plot {
        file: "reliability.svg",
        caption:
            "On the diagonal, confidence can be taken at its word; below it, the network is too \
                  sure of itself."
                .to_owned(),
        svg: ReliabilityDiagram {
            title: "Calibration".to_owned(),
            subtitle: format!("expected calibration error {ece}"),
            bins: bins.collect(),
        }
        .svg(),
    }
}
