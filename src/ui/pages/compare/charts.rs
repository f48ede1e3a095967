//! Runs over each other, and as points and lines. Imports: mlflow, pipeline, report, track, `ui::*`,
//! `compare::*`.

use form_urlencoded::Serializer;

use super::form::{Form, charts_max};
use super::quantity::{Quantity, best, better};
use super::sides::Sides;
use crate::mlflow::Refused;
use crate::pipeline::spec::Direction;
use crate::report::chart::{
    Axis as ChartAxis, ContourChart, ParallelAxis, ParallelCoordinates, ParallelLine,
    ParallelScale, ScatterChart, ScatterPoint, Shade,
};
use crate::track::series::Axis;
use crate::ui::asked::Asked;
use crate::ui::pages::series::{self, SeriesAsk};
use crate::ui::parts::figure::{AXES, Figure, SeriesOf};
use crate::ui::parts::number::number;

/// Points of a curve that is drawn by the server.
const POINTS: usize = 200;

/// Charts of curves.
pub(super) struct Curves {
    pub(super) figures: Vec<Figure>,
    /// What to say of metrics that have none; may be empty.
    pub(super) note: String,
}

/// Draws the chosen metrics, one chart each. A metric that was logged once has no curve: the table
/// has it.
pub(super) fn curves(asked: &Asked, sides: &Sides, form: &Form) -> Result<Curves, Refused> {
    let mut ask = SeriesAsk {
        runs: sides.named(),
        keys: Vec::new(),
        axis: Axis::Step,
        range: None,
        points: POINTS,
        band_over: form.band_over.clone(),
    };
    let max = charts_max(asked);
    let mut points = series::points_left();
    let (mut figures, mut single, mut left_out) = (Vec::new(), 0, 0);
    for metric in &form.metrics {
        if figures.len() == max {
            left_out += 1;
            continue;
        }
        ask.keys = vec![metric.clone()];
        let found = asked
            .shared
            .read(|reader| series::load(reader, &ask, &mut points))?;
        // What was not read is drawn by the script.
        if !points.is_exceeded() && !found.iter().any(series::OneSeries::is_curve) {
            single += 1;
            continue;
        }
        let svg = series::drawn(metric, "step", &found);
        figures.push(Figure::new(svg, "").series(SeriesOf {
            href: series_href(sides, form, metric),
            title: metric.clone(),
            x: "step",
            axes: AXES,
            ..SeriesOf::default()
        }));
    }
    let mut parts = Vec::new();
    if left_out != 0 {
        parts.push(format!("{left_out} more metrics can be chosen above"));
    }
    if single != 0 {
        parts.push(format!(
            "{single} with a single value each stand in the table only"
        ));
    }
    let note = parts.join("; ");
    Ok(Curves { figures, note })
}

fn series_href(sides: &Sides, form: &Form, metric: &str) -> String {
    let mut query = Serializer::new(String::new());
    for run in &sides.runs {
        query.append_pair("run", &run.id.to_string());
    }
    query.append_pair("key", metric);
    for param in &form.band_over {
        query.append_pair("band_over", param);
    }
    format!("/ajax-api/cvops/series?{}", query.finish())
}

/// Draws one line for each run over params and the metric that judges.
pub(super) fn parallel(sides: &Sides, form: &Form) -> Option<Figure> {
    let chosen: Vec<&Quantity> = form.axes.iter().map(|&at| &form.quantities[at]).collect();
    if chosen.len() < 2 || sides.runs.len() < 2 {
        return None;
    }
    let judge = form.by.map(|at| &form.quantities[at]);
    let strength = judge.map_or_else(|| vec![1.0; sides.runs.len()], strengths);
    let best = judge.and_then(|q| best(q.column.name(), &q.values));
    let lines = sides.runs.iter().enumerate().map(|(at, run)| ParallelLine {
        places: chosen.iter().map(|q| q.values[at]).collect(),
        strength: strength[at],
        name: sides.names[at].clone(),
        id: run.id.to_string(),
        marked: best == Some(at),
    });
    let svg = ParallelCoordinates {
        title: "Parameters and results".to_owned(),
        subtitle: match judge {
            Some(q) => format!(
                "one line per run, the stronger the better its {}",
                q.column.name()
            ),
            None => "one line per run".to_owned(),
        },
        axes: chosen
            .iter()
            .map(|q| ParallelAxis {
                title: q.column.name().to_owned(),
                scale: if q.is_number() {
                    ParallelScale::Numbers(q.scale())
                } else {
                    ParallelScale::Names(q.names.clone())
                },
            })
            .collect(),
        lines: lines.collect(),
    }
    .svg();
    Some(Figure::new(svg, "").brushed())
}

/// Returns how much each run stands out: by rank, so that one outlier does not pale all others.
fn strengths(judge: &Quantity) -> Vec<f64> {
    let mut order: Vec<usize> = (0..judge.values.len())
        .filter(|&at| judge.values[at].is_finite())
        .collect();
    order.sort_by(|&a, &b| judge.values[a].total_cmp(&judge.values[b]));
    if better(judge.column.name()) == Some(Direction::Min) {
        order.reverse();
    }
    let last = order.len().saturating_sub(1).max(1) as f64;
    let mut strengths = vec![0.0; judge.values.len()];
    for (rank, at) in order.into_iter().enumerate() {
        strengths[at] = rank as f64 / last;
    }
    strengths
}

/// Returns a point for each run, named and linked.
fn points(
    sides: &Sides,
    form: &Form,
    of: [&Quantity; 2],
    shade: &dyn Fn(usize) -> Shade,
) -> Vec<ScatterPoint> {
    let best = form.by.and_then(|at| {
        let judge = &form.quantities[at];
        best(judge.column.name(), &judge.values)
    });
    let told = |q: &Quantity, at: usize| format!("{} {}", q.column.name(), number(q.values[at]));
    let runs = sides.runs.iter().enumerate();
    runs.map(|(at, run)| ScatterPoint {
        x: of[0].values[at],
        y: of[1].values[at],
        marked: best == Some(at),
        shade: shade(at),
        title: format!(
            "{}: {}, {}",
            sides.names[at],
            told(of[0], at),
            told(of[1], at)
        ),
        link: format!("/runs/{}", run.id),
    })
    .collect()
}

/// Draws each run as a point.
pub(super) fn scatter(sides: &Sides, form: &Form) -> Option<Figure> {
    let (x, y) = (&form.quantities[form.x?], &form.quantities[form.y?]);
    if sides.runs.len() < 2 {
        return None;
    }
    let shade = form.shade.map(|at| &form.quantities[at]);
    let points = points(sides, form, [x, y], &|at| match shade {
        None => Shade::Plain,
        Some(q) if q.is_number() => Shade::Value(q.values[at]),
        Some(q) if q.values[at].is_finite() => Shade::Group(q.values[at] as usize),
        Some(_) => Shade::Value(f64::NAN),
    });
    let svg = ScatterChart {
        title: format!("{} over {}", y.column.name(), x.column.name()),
        x: x.axis(),
        y: y.axis(),
        points,
        groups: shade.map_or_else(Vec::new, |q| q.names.clone()),
        shade: shade.map_or_else(|| ChartAxis::linear(""), Quantity::axis),
    }
    .svg();
    Some(Figure::new(
        svg,
        "Each point is a run and leads to it; the best one is set apart.",
    ))
}

/// Draws a metric over two quantities.
pub(super) fn contour(sides: &Sides, form: &Form) -> Option<Figure> {
    let (x, y, z) = form.contour_axes()?;
    let [x, y, z] = [x, y, z].map(|at| &form.quantities[at]);
    let whole = (0..sides.runs.len())
        .filter(|&at| [x, y, z].iter().all(|q| q.values[at].is_finite()))
        .count();
    if whole < 4 {
        return None;
    }
    let points = points(sides, form, [x, y], &|at| Shade::Value(z.values[at]));
    let svg = ContourChart {
        title: format!(
            "{} over {} and {}",
            z.column.name(),
            x.column.name(),
            y.column.name()
        ),
        x: x.axis(),
        y: y.axis(),
        z: z.axis(),
        points,
    }
    .svg();
    let caption =
        "Between the runs the bands are a guess (thin plate spline); beyond them nothing is known.";
    Some(Figure::new(svg, caption))
}
