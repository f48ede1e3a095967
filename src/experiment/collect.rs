//! What there is to record when a repro has ended: params, metrics, curves, artifacts.
//! Imports: base, compare, pipeline, store, track.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::clock::{self, Timestamp};
use crate::base::diag::{Diagnostic, Severity, ToDiagnostics};
use crate::base::doc::Value;
use crate::base::{self, ArtifactPath};
use crate::compare::{Error, rows, values};
use crate::pipeline::execute::Summary;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{OutKind, ParamRef};
use crate::pipeline::{Plan, StageName, StageSpec, Workspace};
use crate::store::Presence;
use crate::track::{Artifact, Batch, Key, Metric, Param};

/// Columns that count the rows of a table of metrics, in the order in which they are looked for.
const STEP_COLUMNS: [&str; 5] = ["step", "epoch", "iteration", "iter", "batch"];

/// File endings of tables.
const CURVES: [&str; 4] = ["jsonl", "ndjson", "csv", "tsv"];

/// Gathers everything but the stages. Files that cannot be read are left out, with a warning.
pub(super) fn batch(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
    summary: &Summary,
    warnings: &mut Vec<Diagnostic>,
) -> Batch {
    let stages = plan.graph().stages();
    let is_done = |name: &StageName| summary.done.iter().any(|(done, _, _)| done == name);
    let mut batch = Batch {
        params: params(plan, lock, workspace, &is_done),
        ..Batch::default()
    };
    let root = workspace.files.root();
    let now = clock::now();
    for stage in plan.order().iter().map(|&i| &stages[i]) {
        // The files of a stage that did not end well tell of an earlier run, if of any.
        if is_done(&stage.name) {
            add_metrics(root, stage, now, &mut batch.metrics, warnings);
        }
    }
    for (stage, entry) in &lock.stages {
        for (path, presence) in &entry.outs {
            if let Presence::Present(present) = presence {
                batch.artifacts.push(Artifact {
                    path: path.to_string(),
                    object: present.object,
                    size: present.size,
                    files: present.files,
                    stage: stage.to_string(),
                });
            }
        }
    }
    batch
}

/// Returns the params of all stages, key by key: as recorded for those that are up to date, as they
/// are now for those that failed or did not start.
fn params(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
    is_done: &dyn Fn(&StageName) -> bool,
) -> Vec<Param> {
    let mut latest: BTreeMap<ParamRef, Value> = BTreeMap::new();
    let recorded = |name: &StageName| lock.stages.get(name).map(|entry| entry.params.clone());
    for (index, stage) in plan.graph().stages().iter().enumerate() {
        if !plan.contains(index) {
            latest.extend(recorded(&stage.name).unwrap_or_default());
        }
    }
    // What was asked for comes last: it wins where another stage saw an older value.
    for stage in plan.order().iter().map(|&i| &plan.graph().stages()[i]) {
        let params = if is_done(&stage.name) {
            recorded(&stage.name)
        } else {
            workspace.params(stage).ok()
        };
        latest.extend(params.unwrap_or_default());
    }
    let mut params = Vec::new();
    for (file, keys) in values::recorded_param_keys(&latest) {
        params.extend(keys.into_iter().map(|(key, value)| Param {
            key: Key::new(file.as_str(), key),
            value,
        }));
    }
    params
}

fn add_metrics(
    root: &Path,
    stage: &StageSpec,
    now: Timestamp,
    metrics: &mut Vec<Metric>,
    warnings: &mut Vec<Diagnostic>,
) {
    for (path, out) in &stage.outs {
        let result = match out.kind {
            OutKind::Metric => numbers(root, path, now),
            OutKind::Plot => curves(root, path, now),
            OutKind::Data => continue,
        };
        match result {
            Ok(found) => metrics.extend(found),
            Err(error) => {
                let mut problems = error.to_diagnostics();
                for problem in &mut problems {
                    problem.severity = Severity::Warning;
                    let why = &problem.headline;
                    problem.headline =
                        format!("the numbers in `{path}` are not part of the run: {why}");
                }
                warnings.extend(problems);
            }
        }
    }
}

/// Reads a metrics file: every number in it, under its key.
fn numbers(root: &Path, path: &ArtifactPath, now: Timestamp) -> Result<Vec<Metric>, Error> {
    let full = path.under(root);
    if full.is_dir() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&full).map_err(base::Error::io("read", &full))?;
    let keys = values::metrics_of_text(path, text)?;
    let numbers = keys.into_iter().filter_map(|(key, value)| {
        Some(Metric {
            key: Key::new(path.as_str(), key),
            value: value.as_f64()?,
            step: 0,
            at: now,
        })
    });
    Ok(numbers.collect())
}

/// Reads a table of numbers over steps (JSON lines, CSV or TSV with a heading); a file without a
/// column that counts steps is none, and no mistake.
fn curves(root: &Path, path: &ArtifactPath, now: Timestamp) -> Result<Vec<Metric>, Error> {
    let full = path.under(root);
    let extension = full.extension().and_then(|e| e.to_str()).unwrap_or("");
    if !CURVES.contains(&extension) || full.is_dir() {
        return Ok(Vec::new());
    }
    let bytes = std::fs::read(&full).map_err(base::Error::io("read", &full))?;
    let rows = match rows::read(path.as_str(), extension, &bytes) {
        Some(table) => table?.rows,
        None => return Ok(Vec::new()),
    };
    let Some(counter) = STEP_COLUMNS
        .iter()
        .find(|name| rows.first().is_some_and(|row| row.contains_key(**name)))
    else {
        return Ok(Vec::new());
    };
    let mut metrics = Vec::new();
    for row in rows {
        let Some(step) = row.get(*counter).and_then(Value::as_f64) else {
            continue;
        };
        for (column, value) in row.iter().filter(|(column, _)| column != counter) {
            if let Some(value) = number(value) {
                metrics.push(Metric {
                    key: Key::new(path.as_str(), column),
                    value,
                    step: step as i64,
                    at: now,
                });
            }
        }
    }
    Ok(metrics)
}

/// Reads a number, also those that tables have as words, in the spellings of Python and YAML.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        None => value.as_f64(),
        Some("NaN" | "nan" | ".nan") => Some(f64::NAN),
        Some("Infinity" | "inf" | ".inf") => Some(f64::INFINITY),
        Some("-Infinity" | "-inf" | "-.inf") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        file: &str,
        text: &str,
        how: fn(&Path, &ArtifactPath, Timestamp) -> Result<Vec<Metric>, Error>,
    ) -> String {
        let tmp = tempfile::tempdir().unwrap();
        crate::base::fs::write_atomic(&tmp.path().join(file), text.as_bytes()).unwrap();
        let metrics = how(tmp.path(), &file.parse().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        let line = |m: &Metric| format!("{}@{}={}", m.key.key, m.step, m.value);
        metrics.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_number_of_a_metrics_file_counts() {
        let json =
            r#"{"b": 1, "a": {"x": 0.5, "text": "no", "list": [1], "none": null}, "flag": true}"#;
        assert_eq!(read("m.json", json, numbers), "b@0=1 a.x@0=0.5");
        let python = r#"{"loss": NaN, "best": -Infinity, "n": 3}"#;
        assert_eq!(
            read("m.json", python, numbers),
            "loss@0=NaN best@0=-inf n@0=3"
        );
        assert_eq!(
            read("m.yaml", "loss: .nan\nn: 1e-3\n", numbers),
            "loss@0=NaN n@0=0.001"
        );
        assert_eq!(read("m.toml", "[a]\nb = 2\n", numbers), "a.b@0=2");
    }

    #[test]
    fn tables_with_a_step_are_curves() {
        let lines = "{\"epoch\":1,\"loss\":0.5,\"note\":\"x\"}\n{\"epoch\":2,\"loss\":0.25}\n";
        assert_eq!(read("t.jsonl", lines, curves), "loss@1=0.5 loss@2=0.25");
        let csv = "\"step\",loss,name\n0,1.5,\"a\"\n1,nan,\"b\"\n";
        assert_eq!(read("t.csv", csv, curves), "loss@0=1.5 loss@1=NaN");
        assert_eq!(read("t.tsv", "a\tb\n1\t2\n", curves), "");
        assert_eq!(read("t.png", "\u{0}", curves), "");
        assert_eq!(read("t.jsonl", "", curves), "");
    }
}
