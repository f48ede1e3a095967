//! Learning curves of the trials: a metric that was logged at steps, one curve for each trial.
//! Imports: track, `ui::*`.

use super::shown::{Shown, TrialEnd};
use crate::mlflow::Refused;
use crate::track::series::Axis;
use crate::track::{Error, Reader, RunId};
use crate::ui::asked::{Asked, Query};
use crate::ui::pages::series::{self, SeriesAsk};
use crate::ui::parts::figure::{AXES, Figure, SeriesOf};

/// Trials whose curves are drawn: the best ones, then those without a result.
const CURVES_MAX: usize = 40;

/// Runs that are asked which metrics have a history.
const ASKED_MAX: usize = 4;

/// Points of a curve as the page is sent.
const POINTS: usize = 120;

/// Metrics to choose from.
const METRICS_MAX: usize = 60;

/// The curves, and which others there are.
pub(super) struct Curves {
    pub(super) figure: Figure,
    pub(super) metric: String,
    pub(super) metrics: Vec<String>,
    /// Trials in the drawing that did not come to their end, with their runs: their curves are shorter.
    pub(super) early: Vec<(String, String)>,
    /// How many trials have none in the drawing.
    pub(super) left_out: usize,
}

impl Curves {
    pub(super) fn is_metric(&self, name: &str) -> bool {
        self.metric == name
    }
}

/// Draws them; `None` if no trial logged a metric at steps.
///
/// # Errors
/// The metric that is asked for is none of these.
pub(super) fn curves(asked: &Asked, shown: &Shown) -> Result<Option<Curves>, Refused> {
    let runs = shown.runs();
    let ids: Vec<RunId> = runs.iter().map(|(id, _)| *id).collect();
    let metrics = asked.shared.read(|reader| metrics(reader, &ids))?;
    if metrics.is_empty() {
        return Ok(None);
    }
    let metric = match asked.query.filled("curve") {
        None => likely(&metrics, &shown.study.metric),
        Some(name) => metrics.iter().find(|known| *known == name).ok_or_else(|| {
            Refused::invalid(format!(
                "`curve={name}`: no trial logged this metric at steps"
            ))
        })?,
    }
    .clone();
    let drawn = runs.iter().take(CURVES_MAX);
    let named: Vec<(RunId, String)> = drawn
        .map(|(id, row)| {
            // What was stopped early is told by words, not by its short curve alone.
            let state = match row.state {
                TrialEnd::Done => "",
                TrialEnd::Failed => ", failed",
                TrialEnd::Pruned => ", pruned",
                TrialEnd::Stopped => ", stopped early",
                TrialEnd::Running => ", running",
                TrialEnd::Unfinished => ", unfinished",
            };
            (*id, format!("trial {}{state}", row.number))
        })
        .collect();
    let is_early = |state| {
        matches!(
            state,
            TrialEnd::Pruned | TrialEnd::Failed | TrialEnd::Stopped | TrialEnd::Unfinished
        )
    };
    let early = named
        .iter()
        .zip(&runs)
        .filter(|(_, (_, row))| is_early(row.state));
    let early = early.map(|((id, name), _)| (name.clone(), format!("/runs/{id}")));
    let early: Vec<(String, String)> = early.collect();
    let ask = SeriesAsk {
        runs: named.clone(),
        keys: vec![metric.clone()],
        axis: Axis::Step,
        range: None,
        points: POINTS,
        band_over: Vec::new(),
    };
    let mut points = series::points_left();
    let series = asked
        .shared
        .read(|reader| series::load(reader, &ask, &mut points))?;
    let mut query: Vec<(String, String)> = named
        .iter()
        .map(|(id, _)| ("run".to_owned(), id.to_string()))
        .collect();
    query.push(("key".to_owned(), metric.clone()));
    let href = format!("/ajax-api/cvops/series?{}", Query(query).encoded());
    let figure = Figure::new(series::drawn(&metric, "step", &series), "").series(SeriesOf {
        href,
        title: metric.clone(),
        x: "step",
        axes: AXES,
        group: "curves",
        ..SeriesOf::default()
    });
    Ok(Some(Curves {
        figure,
        metric,
        metrics,
        early,
        left_out: shown.rows.len().saturating_sub(named.len()),
    }))
}

/// Returns metrics that the runs logged at more than one step.
fn metrics(reader: &Reader<'_>, runs: &[RunId]) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Vec::new();
    // The first are the best, the last those that run or failed: either may know more.
    let last = runs.len().saturating_sub(1).max(ASKED_MAX);
    for id in runs
        .iter()
        .take(ASKED_MAX)
        .chain(runs.get(last..).unwrap_or_default())
    {
        for point in reader.record(*id)?.metrics {
            let is_own = !point.name.starts_with("system/");
            if 0 < point.step && is_own && !names.contains(&point.name) && names.len() < METRICS_MAX
            {
                names.push(point.name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the curve that tells most of the metric that is swept for.
fn likely<'n>(names: &'n [String], metric: &str) -> &'n String {
    let last = metric
        .rsplit(['.', ':', '/', '_'])
        .next()
        .unwrap_or(metric)
        .to_lowercase();
    let score = |name: &&String| {
        let name = name.to_lowercase();
        let is_judged = name.contains("val") || name.contains("test") || name.contains("eval");
        (name.contains(&last), is_judged, name.contains("loss"))
    };
    // Of equals the first.
    names.iter().rev().max_by_key(score).unwrap_or(&names[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_nearest_to_the_metric_is_drawn() {
        let names = ["lr", "train.accuracy", "val.accuracy", "val.loss"].map(str::to_owned);
        assert_eq!(likely(&names, "accuracy"), "val.accuracy");
        assert_eq!(likely(&names, "log_loss"), "val.loss");
        assert_eq!(likely(&names, "f1"), "val.loss");
        assert_eq!(likely(&names[..1], "f1"), "lr");
    }
}
