//! Judgements as JSON; their sentences are `pipeline::words`. Imports: pipeline, store.

use serde_json::{Value as Json, json};

use crate::pipeline::sources::SourceChange;
pub(in crate::cli) use crate::pipeline::words::{
    because, changed_files, file_lines, reason, reasons, source_because, source_state, state,
};
use crate::pipeline::{Forecast, RunReason, StageDecision, StageGraph};
use crate::store::{FileChange, Presence};

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
