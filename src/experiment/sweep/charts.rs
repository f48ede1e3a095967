//! The charts of a sweep: history, parallel coordinates, which parameter matters, the metric over one
//! parameter and over two. Pure. Imports: report, `sweep::{importance`, metric, study}.

use crate::report::chart::{
    Axis, Bar, BarChart, ContourChart, LineChart, Naming, NumberFormat, ParallelAxis,
    ParallelCoordinates, ParallelLine, ParallelScale, ScaleKind, ScatterChart, ScatterPoint,
    Series, Shade,
};

use super::importance::importance;
use super::metric::Goal;
use super::study::{AxisKind, Study, StudyTrial};

/// What the chart of the parameters that matter says, and what it does not.
pub const MATTERS: &str = "How much of the metric's variation goes with one parameter alone: for intervals the squared rank correlation (Spearman 1904), for choices the variance between groups less what chance gives (epsilon squared, Kelley 1935). Effects of two parameters together are not seen.";

/// Draws each trial's metric, and the best so far.
#[must_use]
pub fn history(study: &Study) -> LineChart {
    let mut best: Option<f64> = None;
    let mut running = Vec::new();
    for trial in &study.trials {
        let is_number = !trial.value.is_nan();
        if is_number && best.is_none_or(|b| study.goal.is_better(trial.value, b)) {
            best = Some(trial.value);
        }
        running.extend(best.map(|b| (trial.number as f64, b)));
    }
    let each = study.trials.iter();
    LineChart {
        title: "History".to_owned(),
        x: Axis::linear("trial"),
        y: Axis::linear(&study.metric),
        series: vec![
            Series {
                name: "trial".to_owned(),
                points: each.map(|t| (t.number as f64, t.value)).collect(),
            },
            Series {
                name: "best so far".to_owned(),
                points: running,
            },
        ],
        naming: Naming::Legend,
    }
}

/// Draws one line per trial through all its values to its metric.
#[must_use]
pub fn parallel(study: &Study) -> ParallelCoordinates {
    let mut places: Vec<Vec<f64>> = vec![Vec::new(); study.trials.len()];
    let mut axes = Vec::new();
    for (index, axis) in study.axes.iter().enumerate() {
        let lines = study.trials.iter().zip(&mut places);
        let scale = match &axis.kind {
            AxisKind::Range(kind) => {
                for (trial, line) in lines {
                    line.push(trial.number_at(index).unwrap_or(f64::NAN));
                }
                ParallelScale::Numbers(*kind)
            }
            AxisKind::Choices { names, .. } => {
                for (trial, line) in lines {
                    let place = names.iter().position(|name| name == trial.text_at(index));
                    line.push(place.map_or(f64::NAN, |place| place as f64));
                }
                ParallelScale::Names(names.clone())
            }
        };
        axes.push(ParallelAxis {
            title: axis.name.clone(),
            scale,
        });
    }
    axes.push(ParallelAxis {
        title: study.metric.clone(),
        scale: ParallelScale::Numbers(ScaleKind::Linear),
    });
    let strengths = strengths(study);
    let lines = study.trials.iter().zip(places).zip(strengths);
    ParallelCoordinates {
        title: "Parameters and result".to_owned(),
        subtitle: "one line per trial, the stronger the better; the best one set apart".to_owned(),
        lines: lines
            .map(|((trial, mut places), strength)| {
                places.push(trial.value);
                ParallelLine {
                    places,
                    strength,
                    name: trial.name(),
                    id: trial.id.clone(),
                    marked: study.is_best(trial),
                }
            })
            .collect(),
        axes,
    }
}

/// A line is the stronger the better its trial, by rank: one outlier must not pale all others.
fn strengths(study: &Study) -> Vec<f64> {
    let trials = &study.trials;
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (trials[*a].value, trials[*b].value);
        match study.goal {
            Goal::Maximize => a.total_cmp(&b),
            Goal::Minimize => b.total_cmp(&a),
        }
    });
    let mut strengths = vec![1.0; trials.len()];
    for (rank, &i) in order.iter().enumerate() {
        strengths[i] = rank as f64 / (trials.len().max(2) - 1) as f64;
    }
    strengths
}

/// Draws how much each parameter matters.
#[must_use]
pub fn matters(study: &Study) -> BarChart {
    let bars = importance(study).into_iter().map(|i| Bar {
        label: i.name,
        value: i.share.unwrap_or(f64::NAN),
        interval: None,
    });
    BarChart {
        title: "Which parameter matters".to_owned(),
        subtitle: String::new(),
        axis_title: format!("share of the variation of {}", study.metric),
        axis_max: Some(1.0),
        format: NumberFormat::Percent(0),
        bars: bars.collect(),
    }
}

/// Draws the metric over one parameter; `None` if its values are no numbers.
#[must_use]
pub fn slice(study: &Study, index: usize) -> Option<ScatterChart> {
    let axis = study.axes.get(index)?;
    let points = study.trials.iter().filter_map(|trial| {
        let x = trial.number_at(index)?;
        Some(point(study, trial, x, trial.value))
    });
    Some(ScatterChart {
        title: format!("{} over {}", study.metric, axis.name),
        x: axis_of(study, index)?,
        y: Axis::linear(&study.metric),
        points: points.collect(),
        groups: Vec::new(),
        shade: Axis::linear(""),
    })
}

/// Draws the metric over two parameters; `None` if values of one are no numbers.
#[must_use]
pub fn contour(study: &Study, x: usize, y: usize) -> Option<ContourChart> {
    let (x_axis, y_axis) = (axis_of(study, x)?, axis_of(study, y)?);
    let points = study.trials.iter().filter_map(|trial| {
        let (x, y) = (trial.number_at(x)?, trial.number_at(y)?);
        Some(ScatterPoint {
            shade: Shade::Value(trial.value),
            ..point(study, trial, x, y)
        })
    });
    Some(ContourChart {
        title: format!(
            "{} over {} and {}",
            study.metric, x_axis.title, y_axis.title
        ),
        x: x_axis,
        y: y_axis,
        z: Axis::linear(&study.metric),
        points: points.collect(),
    })
}

fn axis_of(study: &Study, index: usize) -> Option<Axis> {
    let axis = study.axes.get(index)?;
    Some(match axis.kind.scale()? {
        ScaleKind::Linear => Axis::linear(&axis.name),
        ScaleKind::Log => Axis::log(&axis.name),
    })
}

fn point(study: &Study, trial: &StudyTrial, x: f64, y: f64) -> ScatterPoint {
    ScatterPoint {
        marked: study.is_best(trial),
        title: trial.name(),
        link: trial.link.clone(),
        ..ScatterPoint::plain(x, y)
    }
}
