//! Sweeps of this project: what their journals say. Imports: experiment, project, track, `ui::*`.

use std::collections::BTreeMap;

use super::shown::{Shown, TrialEnd, TrialRow};
use crate::base::ToDiagnostics;
use crate::experiment::Error;
use crate::experiment::sweep::domain::Written;
use crate::experiment::sweep::study::{Study, StudyValue};
use crate::experiment::sweep::{Sweep, Trial, TrialState, driver, journal};
use crate::mlflow::Refused;
use crate::project::Layout;
use crate::track::entity::View;
use crate::track::{Filter, RunId, RunSearch};
use crate::ui::asked::Asked;
use crate::ui::parts::chip::{Chip, Tone};

/// The tag of a trial's run that says its number.
const TRIAL_TAG: &str = "cvops.trial";

/// Is there a journal of this name? A name is one part of a path, and no way out of the folder.
pub(super) fn exists(layout: &Layout, name: &str) -> bool {
    let is_part = !name.is_empty() && !name.contains(['/', '\\', '\0']) && !name.starts_with('.');
    is_part && journal::exists(layout, name)
}

/// Reads one, with the runs of its trials.
pub(super) fn read(layout: &Layout, asked: &Asked, name: &str) -> Result<Shown, Refused> {
    let sweep = load(layout, name).map_err(|why| match why {
        // It was deleted between two looks.
        Unread::Missing => missing(layout, asked, name),
        Unread::Damaged(message) => Refused::invalid(message),
    })?;
    let parent: Option<RunId> = sweep
        .definition
        .run
        .as_deref()
        .and_then(|id| id.parse().ok());
    // A journal names the runs of trials that have ended, as a rule of all.
    let is_whole = sweep
        .trials
        .iter()
        .all(|trial| recorded(&trial.state).is_some());
    let runs = match parent {
        Some(parent) if !is_whole => asked.shared.read(|reader| {
            reader.list(&Filter {
                parent: Some(parent),
                ..Filter::default()
            })
        })?,
        Some(_) | None => Vec::new(),
    };
    // The newest first: of several attempts at a trial the last one counts.
    let mut of_trial: BTreeMap<u64, RunId> = BTreeMap::new();
    for run in &runs {
        if let Some(number) = run.tags.get(TRIAL_TAG).and_then(|text| text.parse().ok()) {
            of_trial.entry(number).or_insert(run.id);
        }
    }
    Ok(shown(layout, &sweep, &of_trial))
}

/// Why a journal was not read.
pub(super) enum Unread {
    Missing,
    Damaged(String),
}

/// Reads a journal alone.
pub(super) fn load(layout: &Layout, name: &str) -> Result<Sweep, Unread> {
    journal::read(layout, name).map_err(|error| {
        if !journal::exists(layout, name) {
            return Unread::Missing;
        }
        Unread::Damaged(told(&error))
    })
}

/// What is wrong, and what helps, without paths of this machine.
fn told(error: &Error) -> String {
    let mut diagnostics = error.to_diagnostics();
    if diagnostics.is_empty() {
        return error.to_string();
    }
    let first = diagnostics.swap_remove(0);
    match &first.help {
        Some(help) => format!("{}; {help}", first.headline),
        None => first.headline,
    }
}

/// Says that there is no such sweep, and what is left of it.
pub(super) fn missing(layout: &Layout, asked: &Asked, name: &str) -> Refused {
    let quoted = name.replace('\'', "");
    let search = RunSearch {
        experiments: Vec::new(),
        filter: format!("tags.`cvops.sweep` = '{quoted}'"),
        order_by: Vec::new(),
        view: View::Active,
        max_results: 1,
        page_token: None,
    };
    let left = asked.shared.read(|reader| {
        let experiments = reader.experiments_counted(View::Active, 1000)?;
        let experiments = experiments.iter().map(|one| one.experiment.id).collect();
        reader.search_runs(&RunSearch {
            experiments,
            ..search
        })
    });
    let mut message = format!("there is no sweep `{name}`");
    if left.is_ok_and(|page| !page.items.is_empty()) {
        message += ": its folder is gone, but the runs of its trials are still recorded; filter the runs by tags.`cvops.sweep`";
    } else {
        let names = journal::names(layout);
        match crate::base::diag::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => message += &format!("; did you mean `{near}`?"),
            None => message += "; start one with `cvops params sweep KEY=VALUE,VALUE`",
        }
    }
    Refused::missing(message)
}

/// Says where a sweep stands.
pub(super) fn state(layout: &Layout, sweep: &Sweep) -> Chip {
    if journal::is_running(layout, &sweep.name) {
        return Chip::new(Tone::Busy, "going on");
    }
    match sweep.ended.as_deref() {
        Some("complete") => Chip::new(Tone::Good, "finished"),
        Some("failures") => Chip::new(Tone::Bad, "gave up after failures"),
        Some("timeout") => Chip::new(Tone::Warn, "out of time"),
        Some(why) => Chip::new(Tone::Warn, why),
        None => Chip::new(Tone::Bad, "died"),
    }
}

/// Puts together what is shown.
pub(super) fn shown(layout: &Layout, sweep: &Sweep, runs: &BTreeMap<u64, RunId>) -> Shown {
    let definition = &sweep.definition;
    let is_running = journal::is_running(layout, &sweep.name);
    let rows: Vec<TrialRow> = sweep
        .trials
        .iter()
        .map(|trial| row(trial, is_running, runs))
        .collect();
    let ran: BTreeMap<u64, RunId> = rows
        .iter()
        .filter_map(|row| Some((row.number, row.run?)))
        .collect();
    let mut study = Study::of(sweep);
    for trial in &mut study.trials {
        if let Some(id) = ran.get(&trial.number) {
            trial.id = id.to_string();
            trial.link = format!("/runs/{id}");
        }
    }
    let space = definition.space.dimensions.iter();
    let mut facts = vec![
        ("metric".to_owned(), definition.metric.to_string()),
        ("goal".to_owned(), definition.goal.name().to_owned()),
        ("method".to_owned(), definition.method.name().to_owned()),
        ("seed".to_owned(), definition.seed.to_string()),
    ];
    facts.extend(space.map(|one| (one.param.to_string(), one.domain.to_string())));
    if !definition.targets.is_empty() {
        facts.push(("targets".to_owned(), definition.targets.join(" ")));
    }
    let has_best = sweep.best().is_some();
    Shown {
        title: sweep.name.clone(),
        state: state(layout, sweep),
        is_running,
        method: definition.method.name().to_owned(),
        facts,
        metrics: Vec::new(),
        study,
        rows,
        total: driver::total(definition).ok(),
        parent: definition.run.as_deref().and_then(|id| id.parse().ok()),
        began_ms: definition.at_ms,
        apply: has_best.then(|| format!("cvops params sweep apply {}", sweep.name)),
    }
}

/// Returns the run that a trial is recorded as, where its journal says so.
fn recorded(state: &TrialState) -> Option<RunId> {
    let run = match state {
        TrialState::Open => None,
        TrialState::Finished(finished) => finished.run.as_deref(),
        TrialState::Failed { run, .. } => run.as_deref(),
    };
    run?.parse().ok()
}

fn row(trial: &Trial, is_running: bool, runs: &BTreeMap<u64, RunId>) -> TrialRow {
    let values = trial.values.iter().map(|value| StudyValue {
        text: Written(value).to_string(),
        number: value.as_f64(),
    });
    let mut row = TrialRow {
        number: trial.number,
        state: if is_running {
            TrialEnd::Running
        } else {
            TrialEnd::Unfinished
        },
        values: values.collect(),
        value: None,
        seconds: None,
        run: None,
        note: String::new(),
    };
    match &trial.state {
        TrialState::Open => {}
        TrialState::Finished(finished) => {
            row.state = TrialEnd::Done;
            row.value = Some(finished.value);
            row.seconds = Some(finished.seconds);
            if !finished.restored.is_empty() {
                row.note = format!("from the cache: {}", finished.restored.join(" "));
            }
        }
        TrialState::Failed { error, seconds, .. } => {
            row.state = TrialEnd::Failed;
            row.seconds = Some(*seconds);
            row.note.clone_from(error);
        }
    }
    row.run = recorded(&trial.state).or_else(|| runs.get(&trial.number).copied());
    row
}
