//! The page of a sweep, `.cvops/sweeps/NAME/report.html`: history, parallel coordinates, which
//! parameter matters, all trials. Imports: base, project, report.

use std::path::PathBuf;

use crate::base::doc::Value;
use crate::base::{self, fs, units};
use crate::project::Layout;
use crate::report::chart::{
    Axis, Bar, BarChart, LineChart, Naming, NumberFormat, ParallelAxis, ParallelCoordinates,
    ParallelLine, ParallelScale, ScaleKind, ScatterChart, ScatterPoint, Series,
};
use crate::report::page::{Block, Chart, Page, Section, Tile};

use super::domain::{Domain, Interval, Spread, Written};
use super::importance::importance;
use super::journal;
use super::metric::Goal;
use super::space::Dimension;
use super::state::{Finished, Sweep, Trial, TrialState};
use super::table;

/// Returns where the page of the sweep `name` is.
#[must_use]
pub fn file(layout: &Layout, name: &str) -> PathBuf {
    journal::folder(layout, name).join("report.html")
}

/// Writes the page.
///
/// # Errors
/// The file cannot be written.
pub fn write(layout: &Layout, sweep: &Sweep) -> Result<(), base::Error> {
    let path = file(layout, &sweep.name);
    fs::write_atomic(&path, page(sweep).html().as_bytes()).map_err(base::Error::io("write", &path))
}

/// Returns the page.
#[must_use]
pub fn page(sweep: &Sweep) -> Page {
    let finished: Vec<(&Trial, &Finished)> = sweep
        .trials
        .iter()
        .filter_map(|t| match &t.state {
            TrialState::Finished(f) => Some((t, f)),
            TrialState::Open | TrialState::Failed { .. } => None,
        })
        .collect();
    let definition = &sweep.definition;
    let chart = |svg, caption: &str| Chart {
        svg,
        caption: caption.to_owned(),
    };
    let mut sections = vec![Section {
        heading: "Result".to_owned(),
        blocks: vec![Block::Tiles(tiles(sweep))],
    }];
    if !finished.is_empty() {
        sections.push(Section {
            heading: "Search".to_owned(),
            blocks: vec![Block::Charts(vec![
                chart(history(sweep, &finished).svg(), ""),
                chart(parallel(sweep, &finished).svg(), ""),
            ])],
        });
        let mut charts = vec![chart(
            matters(sweep).svg(),
            "How much of the metric's variation goes with one parameter alone: for intervals the squared rank correlation (Spearman 1904), for choices the variance between groups less what chance gives (epsilon squared, Kelley 1935). Effects of two parameters together are not seen.",
        )];
        for (index, dimension) in definition.space.dimensions.iter().enumerate() {
            if let Some(scatter) = scatter(sweep, &finished, index, dimension) {
                charts.push(chart(scatter.svg(), ""));
            }
        }
        sections.push(Section {
            heading: "Parameters".to_owned(),
            blocks: vec![Block::Charts(charts)],
        });
    }
    sections.push(Section {
        heading: "Trials".to_owned(),
        blocks: vec![Block::Table {
            table: table::trials(sweep, false),
            caption: String::new(),
        }],
    });
    let failed = sweep.trials.iter().filter_map(|t| match &t.state {
        TrialState::Failed { error, .. } => {
            Some(Block::Prose(format!("Trial {}: {error}", t.number)))
        }
        TrialState::Open | TrialState::Finished(_) => None,
    });
    let failed: Vec<Block> = failed.collect();
    if !failed.is_empty() {
        sections.push(Section {
            heading: "Failures".to_owned(),
            blocks: failed,
        });
    }
    let space = definition
        .space
        .dimensions
        .iter()
        .map(|d| (d.param.to_string(), d.domain.to_string()));
    let facts = [
        ("metric".to_owned(), definition.metric.to_string()),
        ("goal".to_owned(), definition.goal.name().to_owned()),
        ("method".to_owned(), definition.method.name().to_owned()),
        ("seed".to_owned(), definition.seed.to_string()),
    ];
    Page {
        title: format!("Sweep {}", sweep.name),
        subtitle: subtitle(sweep),
        facts: facts.into_iter().chain(space).collect(),
        sections,
        footer: String::new(),
    }
}

fn subtitle(sweep: &Sweep) -> String {
    let (finished, failed) = sweep.counts();
    let mut text = format!("{} finished", units::count(finished, "trial"));
    if failed != 0 {
        text += &format!(", {failed} failed");
    }
    if let Some((trial, best)) = sweep.best() {
        text += &format!(
            "; best {} = {} with {}",
            sweep.definition.metric.key,
            table::number(best.value),
            super::trial::describe(&sweep.definition, &trial.values)
        );
    }
    text
}

fn tiles(sweep: &Sweep) -> Vec<Tile> {
    let (finished, failed) = sweep.counts();
    let tile = |label: &str, value: String, note: String| Tile {
        label: label.to_owned(),
        value,
        note,
    };
    let mut tiles = Vec::new();
    if let Some((trial, best)) = sweep.best() {
        let note = format!("trial {}", trial.number);
        tiles.push(tile(
            &sweep.definition.metric.key.to_string(),
            table::number(best.value),
            note,
        ));
        for (dimension, value) in sweep.definition.space.dimensions.iter().zip(&trial.values) {
            tiles.push(tile(
                &dimension.param.to_string(),
                Written(value).to_string(),
                "of the best trial".to_owned(),
            ));
        }
    }
    let note = if failed == 0 {
        String::new()
    } else {
        format!("{failed} failed")
    };
    tiles.push(tile("trials", (finished + failed).to_string(), note));
    tiles
}

fn history(sweep: &Sweep, finished: &[(&Trial, &Finished)]) -> LineChart {
    let mut best: Option<f64> = None;
    let mut running = Vec::new();
    for (trial, result) in finished {
        if best.is_none_or(|b| sweep.definition.goal.is_better(result.value, b)) {
            best = Some(result.value);
        }
        running.extend(best.map(|b| (trial.number as f64, b)));
    }
    LineChart {
        title: "History".to_owned(),
        x: Axis::linear("trial"),
        y: Axis::linear(&sweep.definition.metric.key.to_string()),
        series: vec![
            Series {
                name: "trial".to_owned(),
                points: finished
                    .iter()
                    .map(|(t, f)| (t.number as f64, f.value))
                    .collect(),
            },
            Series {
                name: "best so far".to_owned(),
                points: running,
            },
        ],
        naming: Naming::Legend,
    }
}

/// Returns whether the values of a dimension are numbers along an axis, and how they are spread.
fn numeric(dimension: &Dimension) -> Option<ScaleKind> {
    match &dimension.domain {
        Domain::Interval(Interval {
            spread: Spread::Log,
            ..
        }) => Some(ScaleKind::Log),
        Domain::Interval(_) => Some(ScaleKind::Linear),
        Domain::Choices { values, .. } => values
            .iter()
            .all(|v| v.as_f64().is_some_and(f64::is_finite))
            .then_some(ScaleKind::Linear),
    }
}

fn parallel(sweep: &Sweep, finished: &[(&Trial, &Finished)]) -> ParallelCoordinates {
    let definition = &sweep.definition;
    let mut axes = Vec::new();
    let mut places: Vec<Vec<f64>> = vec![Vec::new(); finished.len()];
    for (index, dimension) in definition.space.dimensions.iter().enumerate() {
        let of_interval = matches!(dimension.domain, Domain::Interval(_));
        let scale = match numeric(dimension).filter(|_| of_interval) {
            Some(kind) => {
                for ((trial, _), line) in finished.iter().zip(&mut places) {
                    line.push(
                        trial
                            .values
                            .get(index)
                            .and_then(Value::as_f64)
                            .unwrap_or(f64::NAN),
                    );
                }
                ParallelScale::Numbers(kind)
            }
            None => {
                let names: Vec<String> = match &dimension.domain {
                    Domain::Choices { values, .. } => {
                        values.iter().map(|v| Written(v).to_string()).collect()
                    }
                    Domain::Interval(_) => Vec::new(),
                };
                for ((trial, _), line) in finished.iter().zip(&mut places) {
                    let text = trial.values.get(index).map(|v| Written(v).to_string());
                    let place = names.iter().position(|n| Some(n) == text.as_ref());
                    line.push(place.map_or(f64::NAN, |p| p as f64));
                }
                ParallelScale::Names(names)
            }
        };
        axes.push(ParallelAxis {
            title: dimension.param.to_string(),
            scale,
        });
    }
    axes.push(ParallelAxis {
        title: definition.metric.key.to_string(),
        scale: ParallelScale::Numbers(ScaleKind::Linear),
    });
    let best = sweep.best().map(|(t, _)| t.number);
    // A line is the stronger the better its trial, by rank: one outlier must not pale all others.
    let mut order: Vec<usize> = (0..finished.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (finished[*a].1.value, finished[*b].1.value);
        match definition.goal {
            Goal::Maximize => a.total_cmp(&b),
            Goal::Minimize => b.total_cmp(&a),
        }
    });
    let mut strength = vec![1.0; finished.len()];
    for (rank, &i) in order.iter().enumerate() {
        strength[i] = rank as f64 / (finished.len().max(2) - 1) as f64;
    }
    let lines = finished.iter().zip(places).zip(strength).map(
        |(((trial, result), mut places), strength)| {
            places.push(result.value);
            ParallelLine {
                places,
                strength,
                marked: best == Some(trial.number),
            }
        },
    );
    ParallelCoordinates {
        title: "Parameters and result".to_owned(),
        subtitle: "one line per trial, the stronger the better; the best one set apart".to_owned(),
        lines: lines.collect(),
        axes,
    }
}

fn matters(sweep: &Sweep) -> BarChart {
    let bars = importance(sweep).into_iter().map(|i| Bar {
        label: i.name,
        value: i.share.unwrap_or(f64::NAN),
        interval: None,
    });
    BarChart {
        title: "Which parameter matters".to_owned(),
        subtitle: String::new(),
        axis_title: format!("share of the variation of {}", sweep.definition.metric.key),
        axis_max: Some(1.0),
        format: NumberFormat::Percent(0),
        bars: bars.collect(),
    }
}

fn scatter(
    sweep: &Sweep,
    finished: &[(&Trial, &Finished)],
    index: usize,
    dimension: &Dimension,
) -> Option<ScatterChart> {
    let kind = numeric(dimension)?;
    let best = sweep.best().map(|(t, _)| t.number);
    let points = finished.iter().filter_map(|(trial, result)| {
        Some(ScatterPoint {
            x: trial.values.get(index)?.as_f64()?,
            y: result.value,
            marked: best == Some(trial.number),
        })
    });
    let name = dimension.param.to_string();
    Some(ScatterChart {
        title: format!("{} over {name}", sweep.definition.metric.key),
        x: match kind {
            ScaleKind::Linear => Axis::linear(&name),
            ScaleKind::Log => Axis::log(&name),
        },
        y: Axis::linear(&sweep.definition.metric.key.to_string()),
        points: points.collect(),
    })
}
