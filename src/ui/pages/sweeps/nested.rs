//! Runs that are parts of one run, as a sweep: what MLflow's clients log as nested runs, and sweeps of
//! ours whose journal is gone. Imports: compare, experiment, pipeline, report, track, `ui::*`.

use std::collections::BTreeSet;

use super::shown::{Shown, TrialEnd, TrialRow, of_status};
use crate::base::doc::Value;
use crate::compare::diff::show;
use crate::experiment::sweep::metric::Goal;
use crate::experiment::sweep::study::{AxisKind, Study, StudyAxis, StudyTrial, StudyValue};
use crate::mlflow::Refused;
use crate::pipeline::spec::Direction;
use crate::report::chart::ScaleKind;
use crate::track::overview::{differing_params, headings, main_metrics};
use crate::track::{Filter, Key, Run, RunId, Status};
use crate::ui::asked::Asked;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::number::number;

/// Parts that are looked at.
const PARTS_MAX: usize = 1000;

/// Parameters that are shown: more axes than this tell nothing.
const AXES_MAX: usize = 12;

/// Metrics to choose from.
const METRICS_MAX: usize = 40;

/// A parameter whose greatest value is so many times the least is drawn on a logarithmic axis.
const LOG_FROM: f64 = 30.0;

/// Reads the parts of a run.
///
/// # Errors
/// There is no such run, it has no parts, or the metric that is asked for is not theirs.
pub(super) fn read(asked: &Asked, id: RunId) -> Result<Shown, Refused> {
    let (parent, mut runs) = asked.shared.read(|reader| {
        let parent = reader.get(id)?;
        let parts = reader.list(&Filter {
            parent: Some(id),
            limit: Some(PARTS_MAX),
            ..Filter::default()
        })?;
        Ok((parent, parts))
    })?;
    if runs.is_empty() {
        return Err(Refused::missing(format!(
            "the run `{}` has no parts: it is no sweep",
            parent.name
        )));
    }
    runs.reverse();
    let keys = main_metrics(&runs, METRICS_MAX);
    let names = headings(&keys);
    let key = match asked.query.filled("metric") {
        None => keys.first().cloned(),
        Some(name) => {
            let place = names.iter().position(|known| known == name);
            let found = place.and_then(|place| keys.get(place)).cloned();
            Some(found.ok_or_else(|| {
                Refused::invalid(format!(
                    "no part of the run `{}` has a metric `{name}`",
                    parent.name
                ))
            })?)
        }
    };
    let goal = goal(asked, key.as_ref())?;
    Ok(shown(&parent, &runs, key.as_ref(), goal, names))
}

fn goal(asked: &Asked, key: Option<&Key>) -> Result<Goal, Refused> {
    match asked.query.filled("goal") {
        Some(text) => Goal::parse(text).map_err(|error| Refused::invalid(error.to_string())),
        None => Ok(match key.map(|key| Direction::of_name(&key.key)) {
            Some(Direction::Min) => Goal::Minimize,
            Some(Direction::Max) | None => Goal::Maximize,
        }),
    }
}

fn shown(parent: &Run, runs: &[Run], key: Option<&Key>, goal: Goal, metrics: Vec<String>) -> Shown {
    let params: Vec<Key> = differing_params(runs).into_iter().take(AXES_MAX).collect();
    let rows: Vec<TrialRow> = runs
        .iter()
        .enumerate()
        .map(|(index, run)| row(index, run, &params, key))
        .collect();
    let trials = rows.iter().filter_map(|row| {
        let id = row.run?.to_string();
        Some(StudyTrial {
            number: row.number,
            link: format!("/runs/{id}"),
            id,
            values: row.values.clone(),
            value: row.value?,
        })
    });
    let axes = params.iter().enumerate().map(|(index, param)| StudyAxis {
        name: param.to_string(),
        kind: kind(&rows, index),
    });
    let metric = key.map_or_else(|| "metric".to_owned(), |key| key.key.clone());
    let study = Study {
        metric: metric.clone(),
        goal,
        axes: axes.collect(),
        trials: trials.collect(),
    };
    let is_running = rows.iter().any(|row| row.state == TrialEnd::Running);
    Shown {
        title: parent.name.clone(),
        state: state(parent.status, is_running),
        is_running,
        method: String::new(),
        facts: vec![
            ("metric".to_owned(), metric),
            ("goal".to_owned(), goal.name().to_owned()),
            ("experiment".to_owned(), parent.experiment.clone()),
        ],
        metrics,
        study,
        rows,
        total: None,
        parent: Some(parent.id),
        began_ms: parent.started.as_millisecond(),
        apply: None,
    }
}

/// A parent that a client forgot to end goes on only if a part does.
pub(super) fn state(status: Status, is_running: bool) -> Chip {
    match status {
        _ if is_running => Chip::new(Tone::Busy, "going on"),
        Status::Finished => Chip::new(Tone::Good, "finished"),
        Status::Failed => Chip::new(Tone::Bad, "failed"),
        Status::Killed => Chip::new(Tone::Warn, "stopped"),
        Status::Running | Status::Scheduled => Chip::new(Tone::Busy, "going on"),
    }
}

fn row(index: usize, run: &Run, params: &[Key], key: Option<&Key>) -> TrialRow {
    let values = params.iter().map(|param| match run.params.get(param) {
        Some(value) => StudyValue {
            text: show(Some(value), None),
            number: match value {
                // Clients of MLflow log params as texts.
                Value::Str(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
                other => other.as_f64(),
            },
        },
        None => StudyValue {
            text: String::new(),
            number: None,
        },
    });
    let state = end_of(run);
    let value = key.and_then(|key| run.metric(key));
    // What a trial had reached when it was given up is no result: it is told, and not compared.
    let is_pruned = state == TrialEnd::Pruned;
    let note = key.zip(value).filter(|_| is_pruned);
    TrialRow {
        number: index as u64 + 1,
        state,
        values: values.collect(),
        value: value.filter(|_| !is_pruned),
        seconds: run.took().map(|took| took.as_secs_f64()),
        run: Some(run.id),
        note: note.map_or_else(String::new, |(key, value)| {
            format!("given up at {} = {}", key.key, number(value))
        }),
    }
}

/// Optuna's callback for MLflow ends every run as finished, and says in a tag what became of the trial:
/// `COMPLETE`, `PRUNED` or `FAIL`, in older versions with `TrialState.` before it.
const OPTUNA_STATE: &str = "state";

fn end_of(run: &Run) -> TrialEnd {
    let told = run.tags.get(OPTUNA_STATE);
    let told = told.map(|state| state.strip_prefix("TrialState.").unwrap_or(state));
    match (run.status, told) {
        (Status::Finished, Some("PRUNED")) => TrialEnd::Pruned,
        (Status::Finished, Some("FAIL")) => TrialEnd::Failed,
        (status, _) => of_status(status),
    }
}

/// Returns what values a parameter has: a range of numbers, or a few choices.
fn kind(rows: &[TrialRow], index: usize) -> AxisKind {
    let given = || {
        let values = rows.iter().filter_map(|row| row.values.get(index));
        values.filter(|value| !value.text.is_empty())
    };
    let names: BTreeSet<&str> = given().map(|value| value.text.as_str()).collect();
    let numbers: Vec<f64> = given().filter_map(|value| value.number).collect();
    let are_numbers = numbers.len() == given().count();
    // Two values are a choice, whatever they are.
    if !are_numbers || names.len() < 3 {
        return AxisKind::Choices {
            names: names.into_iter().map(str::to_owned).collect(),
            are_numbers,
        };
    }
    let (low, high) = numbers.iter().fold((f64::MAX, f64::MIN), |(low, high), n| {
        (low.min(*n), high.max(*n))
    });
    AxisKind::Range(if 0.0 < low && LOG_FROM <= high / low {
        ScaleKind::Log
    } else {
        ScaleKind::Linear
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[&str]) -> Vec<TrialRow> {
        let row = |text: &&str| TrialRow {
            number: 1,
            state: TrialEnd::Done,
            values: vec![StudyValue {
                text: (*text).to_owned(),
                number: text.parse().ok(),
            }],
            value: None,
            seconds: None,
            run: None,
            note: String::new(),
        };
        values.iter().map(row).collect()
    }

    #[test]
    fn an_axis_follows_its_values() {
        let scale = |values: &[&str]| kind(&rows(values), 0).scale();
        assert_eq!(scale(&["0.1", "0.001", "0.01"]), Some(ScaleKind::Log));
        assert_eq!(scale(&["1", "2", "", "3"]), Some(ScaleKind::Linear));
        assert_eq!(scale(&["sgd", "adam", "1"]), None);
        assert_eq!(
            kind(&rows(&["16", "32", "16"]), 0),
            AxisKind::Choices {
                names: vec!["16".into(), "32".into()],
                are_numbers: true
            }
        );
    }
}
