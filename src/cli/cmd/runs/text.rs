//! How runs look: as text and as JSON. Imports: base, track.

use serde_json::{Map, Value as Json, json};

use crate::base::clock;
use crate::base::doc::Value;
use crate::base::units;
use crate::cli::out::{Out, Style};
use crate::experiment::host::HOST_TAGS;
use crate::report::escape::one_line;
use crate::track::{Key, Run, StageOutcome, Status};

/// The tag that holds what somebody wrote about a run.
const NOTE: &str = "mlflow.note.content";

/// Returns a metric's value for people: six significant digits.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    // Through a text of six digits and back: the shortest text of what is left.
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let size = rounded.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        format!("{rounded:e}")
    } else {
        rounded.to_string()
    }
}

/// Returns a metric's value as JSON; what JSON has no number for is a text, as in MLflow.
pub(super) fn number_json(value: f64) -> Json {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value < 0.0 { "-Infinity" } else { "Infinity" })
    } else {
        json!(value)
    }
}

/// Returns a param's value for people.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns how far a run is, in a word.
pub(super) fn status(status: Status) -> String {
    status.as_str().to_lowercase()
}

/// Returns the style of that word.
pub(super) fn style(status: Status) -> Style {
    match status {
        Status::Finished => Style::Good,
        Status::Failed => Style::Bad,
        Status::Scheduled | Status::Running | Status::Killed => Style::Changed,
    }
}

/// Returns what became of the stages, in few words: `2 ran, 1 restored`.
pub(super) fn stages(run: &Run) -> String {
    let words = [
        (StageOutcome::Ran, "ran"),
        (StageOutcome::Restored, "restored"),
        (StageOutcome::Failed, "failed"),
        (StageOutcome::NotFinished, "not finished"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .map(|(outcome, word)| (run.count(outcome), word))
        .filter(|(n, _)| *n != 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    parts.join(", ")
}

/// Returns how long a run took; nothing where that is not known.
pub(super) fn took(run: &Run) -> String {
    run.took().map(units::duration).unwrap_or_default()
}

/// Returns a run's name, emphasised. Clients choose it: it must not speak to the terminal.
pub(super) fn name(out: &Out, run: &Run) -> String {
    out.paint(Style::Strong, &one_line(&run.name))
}

/// Returns a tag as people type it.
pub(super) fn tag(key: &str, value: &str) -> String {
    one_line(&format!("{key}={value}"))
}

/// Is this tag one of those that programs set for each other? People see them with `-v`.
pub(super) fn is_of_system(key: &str) -> bool {
    key.starts_with("mlflow.") && key != NOTE || HOST_TAGS.contains(&key)
}

/// Returns everything about a run. Values of params and metrics by file and key.
pub(super) fn json(run: &Run) -> Json {
    let stages: Vec<Json> = run
        .stages
        .iter()
        .map(|s| {
            json!({
                "stage": s.name, "outcome": s.outcome.as_str(), "seconds": s.took.as_secs_f64(),
                "message": s.message,
            })
        })
        .collect();
    let artifacts: Vec<Json> = run
        .artifacts
        .iter()
        .map(|a| {
            json!({
                "path": a.path, "object": a.object.to_string(), "size": a.size, "files": a.files,
                "stage": a.stage,
            })
        })
        .collect();
    let git = run
        .git
        .as_ref()
        .map(|g| json!({"commit": g.commit, "branch": g.branch, "dirty": g.dirty}));
    json!({
        "id": run.id.to_string(),
        "name": run.name,
        "experiment": run.experiment,
        "parent": run.parent.map(|p| p.to_string()),
        "status": status(run.status),
        "started": run.started.to_string(),
        "ended": run.ended.map(|e| e.to_string()),
        "seconds": run.took().map(|t| t.as_secs_f64()),
        "command": run.command,
        "targets": run.targets,
        "git": git,
        "stages": stages,
        "params": by_file(run.params.iter().map(|(key, value)| (key, param_json(value)))),
        "metrics": by_file(run.metrics.iter().map(|m| (&m.key, number_json(m.value)))),
        "artifacts": artifacts,
        "tags": run.tags,
    })
}

/// Returns a param's value as JSON.
pub(super) fn param_json(value: &Value) -> Json {
    match value.as_f64() {
        Some(number) if !number.is_finite() => number_json(number),
        _ => json!(value),
    }
}

/// Returns values as `{file: {key: value}}`.
pub(super) fn by_file<'a>(values: impl Iterator<Item = (&'a Key, Json)>) -> Json {
    let mut files: Map<String, Json> = Map::new();
    for (key, value) in values {
        let file = files.entry(key.file.clone()).or_insert_with(|| json!({}));
        file[&key.key] = value;
    }
    Json::Object(files)
}

/// Returns the time a run began, for people.
pub(super) fn when(run: &Run) -> String {
    clock::local(run.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (value, text) in [
            (0.390_781_234_5, "0.390781"),
            (12.0, "12"),
            (-0.0, "-0"),
            (1_234_567.0, "1234570"),
            (1.5e-7, "1.5e-7"),
            (2e12, "2e12"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
