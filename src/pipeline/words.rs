//! Judgements as sentences: the words of `status`, `why`, `repro` and the web pages. Pure. They are
//! the contract's. Imports: base, store, decide, forecast, sources.

use crate::base::doc::Value;
use crate::base::fs::Executable;
use crate::store::{FileChange, Presence};

use super::decide::{Redeclared, RunReason, SkipReason, StageDecision};
use super::forecast::Forecast;
use super::sources::SourceChange;

/// Returns the short state of a stage, for a table.
#[must_use]
pub fn state(forecast: &Forecast) -> &'static str {
    match forecast {
        Forecast::Certain(decision) => match decision {
            StageDecision::Skip(SkipReason::Frozen) => "frozen",
            StageDecision::Skip(SkipReason::Service) => "service",
            StageDecision::Cached => "unchanged",
            StageDecision::Restore { .. } => "restorable",
            StageDecision::Run(_) => "must run",
        },
        Forecast::DependsOn(_) => "depends",
    }
}

/// Returns what becomes of the stage `name`, shown as `shown`, in a sentence; its reasons come apart.
#[must_use]
pub fn verdict(shown: &str, name: &str, forecast: &Forecast) -> String {
    match forecast {
        Forecast::Certain(StageDecision::Run(_)) => format!("{shown} must run"),
        Forecast::Certain(StageDecision::Restore { .. }) => {
            format!("{shown} can be restored from an earlier run")
        }
        Forecast::Certain(StageDecision::Cached) => format!("{shown} is unchanged"),
        Forecast::Certain(StageDecision::Skip(SkipReason::Frozen)) => {
            format!("{shown} is frozen and never runs")
        }
        Forecast::Certain(StageDecision::Skip(SkipReason::Service)) => is_a_service(shown, name),
        Forecast::DependsOn(_) => format!("{shown} depends {}", because(forecast)),
    }
}

/// Says that a stage, shown as `shown`, is a service.
#[must_use]
pub fn is_a_service(shown: &str, name: &str) -> String {
    format!("{shown} is a service: start it with `cvops repro {name}`")
}

/// Returns why, for a table; empty where there is nothing to say.
#[must_use]
pub fn because(forecast: &Forecast) -> String {
    match forecast {
        Forecast::Certain(decision) => match decision {
            StageDecision::Skip(SkipReason::Frozen) | StageDecision::Cached => String::new(),
            StageDecision::Skip(SkipReason::Service) => "started by name only".to_owned(),
            StageDecision::Restore { because, .. } => reasons(because),
            StageDecision::Run(because) => reasons(because),
        },
        Forecast::DependsOn(stages) => {
            let names: Vec<_> = stages.iter().map(|s| format!("`{s}`")).collect();
            format!("on what {} will write", names.join(" and "))
        }
    }
}

/// Returns the first reason, and how many more there are.
#[must_use]
pub fn reasons(all: &[RunReason]) -> String {
    match all {
        [] => String::new(),
        [one] => reason(one),
        [first, rest @ ..] => format!("{} (and {} more)", reason(first), rest.len()),
    }
}

/// Returns one reason as a phrase.
#[must_use]
pub fn reason(reason: &RunReason) -> String {
    match reason {
        RunReason::Forced => "forced".to_owned(),
        RunReason::Bare => "it declares neither dependencies nor outputs".to_owned(),
        RunReason::AlwaysChanged => "always changed (so declared)".to_owned(),
        RunReason::NeverRun => "it never ran".to_owned(),
        RunReason::CommandChanged { old, new } => {
            format!(
                "command changed (`{}` -> `{}`)",
                old.join(" && "),
                new.join(" && ")
            )
        }
        RunReason::DependencyChanged {
            path,
            old,
            new,
            files,
        } => match (old, new) {
            (None, _) => format!("dependency `{path}` added"),
            (_, None) => format!("dependency `{path}` dropped"),
            (Some(old), Some(new)) => format!(
                "dependency `{path}` changed ({}{})",
                change(old, new),
                counts(files)
            ),
        },
        RunReason::UpstreamChanged { path, stage } => {
            format!("upstream `{stage}` ran and its output `{path}` really changed")
        }
        RunReason::ParameterChanged(change) => format!(
            "parameter `{}` changed ({} -> {})",
            change.name,
            value(change.old.as_ref()),
            value(change.new.as_ref())
        ),
        RunReason::EnvironmentChanged { name, old, new } => format!(
            "environment variable `{name}` changed ({} -> {})",
            variable(old.as_ref()),
            variable(new.as_ref())
        ),
        RunReason::OutputMissing { path } => format!("output `{path}` is missing"),
        RunReason::OutputModified {
            path,
            old,
            new,
            files,
        } => format!(
            "output `{path}` was modified ({}{})",
            change(old, new),
            counts(files)
        ),
        RunReason::OutputsRedeclared { path, how } => match how {
            Redeclared::Added => format!("output `{path}` is newly declared"),
            Redeclared::Dropped => format!("output `{path}` is no longer declared"),
        },
    }
}

fn change(old: &Presence, new: &Presence) -> String {
    match (old, new) {
        (Presence::Present(a), Presence::Present(b)) if a.object == b.object => match b.exec {
            Executable::Yes => "now executable".to_owned(),
            Executable::No => "no longer executable".to_owned(),
        },
        _ => format!("{} -> {}", presence(old), presence(new)),
    }
}

/// Returns the changed files of a reason, one line each, as far as they are known.
#[must_use]
pub fn changed_files(reason: &RunReason) -> Vec<String> {
    let (RunReason::DependencyChanged { files, .. } | RunReason::OutputModified { files, .. }) =
        reason
    else {
        return Vec::new();
    };
    file_lines(files)
}

/// Returns changed files, one line each.
#[must_use]
pub fn file_lines(files: &[FileChange]) -> Vec<String> {
    files
        .iter()
        .map(|change| match change {
            FileChange::Added(path) => format!("added {path}"),
            FileChange::Removed(path) => format!("removed {path}"),
            FileChange::Modified(path) => format!("modified {path}"),
        })
        .collect()
}

fn counts(files: &[FileChange]) -> String {
    let count = |wanted: fn(&FileChange) -> bool| files.iter().filter(|f| wanted(f)).count();
    let parts: Vec<String> = [
        (count(|f| matches!(f, FileChange::Added(_))), "added"),
        (count(|f| matches!(f, FileChange::Removed(_))), "removed"),
        (count(|f| matches!(f, FileChange::Modified(_))), "modified"),
    ]
    .into_iter()
    .filter(|(n, _)| *n != 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    }
}

fn presence(presence: &Presence) -> String {
    match presence {
        Presence::Missing => "missing".to_owned(),
        Presence::Present(p) => p.object.short(),
    }
}

/// Longer values are cut in sentences; `--json` has them whole.
const VALUE_CHARS_MAX: usize = 60;

fn value(value: Option<&Value>) -> String {
    let text = match value {
        None => "none".to_owned(),
        Some(Value::Str(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn variable(value: Option<&Option<String>>) -> String {
    match value {
        None => "not counted".to_owned(),
        Some(None) => "unset".to_owned(),
        Some(Some(text)) => format!("`{text}`"),
    }
}

/// Returns the short state of tracked data that changed.
#[must_use]
pub fn source_state(source: &SourceChange) -> &'static str {
    match (&source.recorded, &source.now) {
        (_, Presence::Missing) => "missing",
        (Presence::Missing, _) => "unrecorded",
        (Presence::Present(_), Presence::Present(_)) => "changed",
    }
}

/// Returns what changed of tracked data.
#[must_use]
pub fn source_because(source: &SourceChange) -> String {
    let path = &source.path;
    match (&source.recorded, &source.now) {
        (_, Presence::Missing) => {
            format!("`{path}` is not in place; `cvops checkout` brings it from the cache")
        }
        (Presence::Missing, _) => format!("`{path}` is in no record yet"),
        (old, new) => format!(
            "`{path}` changed ({}{})",
            change(old, new),
            counts(&source.files)
        ),
    }
}
