//! Judgements as sentences and as JSON. The words are the contract's. Imports: base, pipeline,
//! store.

use serde_json::{Value as Json, json};

use crate::base::doc::Value;
use crate::base::fs::Executable;
use crate::pipeline::decide::Redeclared;
use crate::pipeline::sources::SourceChange;
use crate::pipeline::{Forecast, RunReason, SkipReason, StageDecision, StageGraph};
use crate::store::{FileChange, Presence};

/// Returns the short state of a stage, for a table.
pub(in crate::cli) fn state(forecast: &Forecast) -> &'static str {
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

/// Returns why, for a table; empty where there is nothing to say.
pub(in crate::cli) fn because(forecast: &Forecast) -> String {
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
pub(in crate::cli) fn reasons(all: &[RunReason]) -> String {
    match all {
        [] => String::new(),
        [one] => reason(one),
        [first, rest @ ..] => format!("{} (and {} more)", reason(first), rest.len()),
    }
}

/// Returns one reason as a phrase.
pub(in crate::cli) fn reason(reason: &RunReason) -> String {
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
pub(in crate::cli) fn changed_files(reason: &RunReason) -> Vec<String> {
    let (RunReason::DependencyChanged { files, .. } | RunReason::OutputModified { files, .. }) =
        reason
    else {
        return Vec::new();
    };
    file_lines(files)
}

/// Returns changed files, one line each.
pub(in crate::cli) fn file_lines(files: &[FileChange]) -> Vec<String> {
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

fn file_list(files: &[FileChange]) -> Vec<Json> {
    files
        .iter()
        .map(|change| match change {
            FileChange::Added(path) => json!({"change": "added", "path": path}),
            FileChange::Removed(path) => json!({"change": "removed", "path": path}),
            FileChange::Modified(path) => json!({"change": "modified", "path": path}),
        })
        .collect()
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
pub(in crate::cli) fn source_state(source: &SourceChange) -> &'static str {
    match (&source.recorded, &source.now) {
        (_, Presence::Missing) => "missing",
        (Presence::Missing, _) => "unrecorded",
        (Presence::Present(_), Presence::Present(_)) => "changed",
    }
}

/// Returns what changed of tracked data.
pub(in crate::cli) fn source_because(source: &SourceChange) -> String {
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

/// Returns the machine form of tracked data that changed.
pub(in crate::cli) fn source_json(graph: &StageGraph, source: &SourceChange) -> Json {
    let object = |p: &Presence| p.object().map(|object| object.to_string());
    json!({
        "pointer": graph.pointers()[source.pointer].file.as_str(),
        "path": source.path.as_str(),
        "state": source_state(source),
        "old": object(&source.recorded),
        "new": object(&source.now),
        "files": file_list(&source.files),
    })
}

/// Returns the machine form of a forecast.
pub(in crate::cli) fn to_json(stage: &str, forecast: &Forecast) -> Json {
    let reasons: Vec<Json> = match forecast {
        Forecast::Certain(StageDecision::Restore { because, .. } | StageDecision::Run(because)) => {
            because.iter().map(reason_json).collect()
        }
        _ => Vec::new(),
    };
    let waits: Vec<String> = match forecast {
        Forecast::DependsOn(stages) => stages.iter().map(ToString::to_string).collect(),
        Forecast::Certain(_) => Vec::new(),
    };
    json!({"stage": stage, "state": state(forecast), "reasons": reasons, "depends_on": waits})
}

/// Returns the machine form of a reason: its kind, its sentence, and what it is about.
pub(in crate::cli) fn reason_json(reason: &RunReason) -> Json {
    let object = |p: &Option<Presence>| match p {
        Some(Presence::Present(p)) => json!(p.object.to_string()),
        Some(Presence::Missing) | None => Json::Null,
    };
    let mut json = match reason {
        RunReason::Forced => json!({"kind": "forced"}),
        RunReason::Bare => json!({"kind": "bare"}),
        RunReason::AlwaysChanged => json!({"kind": "always_changed"}),
        RunReason::NeverRun => json!({"kind": "never_run"}),
        RunReason::CommandChanged { old, new } => {
            json!({"kind": "command_changed", "old": old, "new": new})
        }
        RunReason::DependencyChanged {
            path,
            old,
            new,
            files,
        } => json!({
            "kind": "dependency_changed", "path": path.as_str(), "old": object(old), "new": object(new), "files": file_list(files),
        }),
        RunReason::UpstreamChanged { path, stage } => {
            json!({"kind": "upstream_changed", "path": path.as_str(), "stage": stage.as_str()})
        }
        RunReason::ParameterChanged(change) => json!({
            "kind": "parameter_changed", "parameter": change.name, "old": change.old, "new": change.new,
        }),
        RunReason::EnvironmentChanged { name, old, new } => {
            json!({"kind": "environment_changed", "variable": name, "old": old, "new": new})
        }
        RunReason::OutputMissing { path } => {
            json!({"kind": "output_missing", "path": path.as_str()})
        }
        RunReason::OutputModified {
            path,
            old,
            new,
            files,
        } => json!({ "files": file_list(files),
            "kind": "output_modified", "path": path.as_str(),
            "old": object(&Some(*old)), "new": object(&Some(*new)),
        }),
        RunReason::OutputsRedeclared { path, .. } => {
            json!({"kind": "outputs_redeclared", "path": path.as_str()})
        }
    };
    json["text"] = Json::from(self::reason(reason));
    json
}
