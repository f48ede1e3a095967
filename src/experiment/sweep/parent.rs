//! The run of a whole sweep, whose parts the runs of its trials are. The record is a guest: whatever
//! goes wrong with it is a warning. Imports: base, project, track, `experiment::sweep`.

use std::collections::BTreeMap;

use crate::base::diag::Severity;
use crate::base::{Observer, ToDiagnostics, clock};
use crate::project::Layout;
use crate::track::{self, Batch, End, Key, Metric, NewRun, RunId, Status, Tracking};

use super::driver::{Event, Why};
use super::state::{Definition, Sweep};

/// Begins the run that the trials' runs are parts of. The record is a guest: a sweep that cannot be
/// recorded goes on without.
pub(super) fn start(
    layout: &Layout,
    name: &str,
    definition: &Definition,
    events: &dyn Observer<Event>,
) -> Option<String> {
    let tag = |key: &str, value: String| (format!("cvops.sweep{key}"), value);
    let new = NewRun {
        experiment: name.to_owned(),
        name: Some(name.to_owned()),
        parent: None,
        started: clock::now(),
        command: format!("cvops params sweep --name {name}"),
        targets: definition.targets.clone(),
        tags: BTreeMap::from([
            tag("", name.to_owned()),
            tag(".method", definition.method.name().to_owned()),
            tag(".metric", definition.metric.to_string()),
            tag(".goal", definition.goal.name().to_owned()),
        ]),
    };
    match Tracking::open(layout).and_then(|mut tracking| tracking.create_run(&new)) {
        Ok((id, _)) => Some(id.to_string()),
        Err(error) => {
            warn(&error, "the sweep is not recorded as a run", events);
            None
        }
    }
}

/// Ends that run, with the best metric as its own.
pub(super) fn end(layout: &Layout, sweep: &Sweep, why: Option<Why>, events: &dyn Observer<Event>) {
    let id = sweep
        .definition
        .run
        .as_deref()
        .and_then(|id| id.parse::<RunId>().ok());
    let Some(id) = id else { return };
    let now = clock::now();
    let mut batch = Batch::default();
    if let Some((trial, best)) = sweep.best() {
        let metric = &sweep.definition.metric;
        batch.metrics.push(Metric {
            key: Key::new(metric.file.as_str(), metric.key.to_string()),
            value: best.value,
            step: 0,
            at: now,
        });
        batch
            .tags
            .insert("cvops.sweep.best".to_owned(), trial.number.to_string());
    }
    let end = End {
        status: match why {
            Some(Why::Interrupted) => Status::Killed,
            Some(Why::Failures) | None => Status::Failed,
            Some(Why::Complete | Why::Stopped | Why::Timeout) if sweep.best().is_none() => {
                Status::Failed
            }
            Some(Why::Complete | Why::Stopped | Why::Timeout) => Status::Finished,
        },
        ended: now,
        lock: None,
        git: None,
    };
    if let Err(error) = Tracking::open(layout).and_then(|mut t| t.finish(id, &batch, &end)) {
        warn(&error, "the end of the sweep is not recorded", events);
    }
}

/// Tells of a record that could not be kept.
fn warn(error: &track::Error, what: &str, events: &dyn Observer<Event>) {
    for mut warning in error.to_diagnostics() {
        warning.severity = Severity::Warning;
        warning.headline = format!("{what}: {}", warning.headline);
        events.notify(Event::Warning(warning));
    }
}
