//! What there is to record when a repro has ended: params, metrics, curves, artifacts.
//! Imports: base, pipeline, store, track.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::clock::{self, Timestamp};
use crate::base::diag::Diagnostic;
use crate::base::doc::{Document, Format, KeyPath, Value};
use crate::base::{ArtifactPath, Error};
use crate::pipeline::execute::Summary;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{OutKind, ParamRef};
use crate::pipeline::{Plan, StageName, StageSpec, Workspace};
use crate::store::Presence;
use crate::track::{Artifact, Batch, Key, Metric, Param};

/// Columns that count the rows of a table of metrics, in the order in which they are looked for.
const STEP_COLUMNS: [&str; 5] = ["step", "epoch", "iteration", "iter", "batch"];

/// Rows of a table beyond this are left out.
const ROWS_MAX: usize = 100_000;

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
    let mut values: BTreeMap<ParamRef, Value> = BTreeMap::new();
    let recorded = |name: &StageName| lock.stages.get(name).map(|entry| entry.params.clone());
    for (index, stage) in plan.graph().stages().iter().enumerate() {
        if !plan.contains(index) {
            values.extend(recorded(&stage.name).unwrap_or_default());
        }
    }
    // What was asked for comes last: it wins where another stage saw an older value.
    for stage in plan.order().iter().map(|&i| &plan.graph().stages()[i]) {
        let params = if is_done(&stage.name) {
            recorded(&stage.name)
        } else {
            workspace.params(stage).ok()
        };
        values.extend(params.unwrap_or_default());
    }
    let mut params = Vec::new();
    for (param, value) in &values {
        leaves(&param.key, value, &mut |key, value| {
            params.push(Param {
                key: Key::new(param.file.as_str(), key.to_string()),
                value: value.clone(),
            });
        });
    }
    params
}

/// Visits all values below `value` that are no mappings with keys.
fn leaves<'v>(at: &KeyPath, value: &'v Value, visit: &mut dyn FnMut(&KeyPath, &'v Value)) {
    match value {
        Value::Map(map) if !map.is_empty() => {
            for (key, inner) in map {
                leaves(&at.key(key), inner, visit);
            }
        }
        leaf => visit(at, leaf),
    }
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
            Err(error) => warnings.push(
                Diagnostic::warning(
                    "metrics-not-recorded",
                    format!("the numbers in `{path}` are not part of the run: {error}"),
                )
                .help(format!(
                    "let the stage `{}` write JSON, YAML or TOML there",
                    stage.name
                )),
            ),
        }
    }
}

/// Reads a metrics file: every number in it, under its key.
fn numbers(root: &Path, path: &ArtifactPath, now: Timestamp) -> Result<Vec<Metric>, Error> {
    let full = path.under(root);
    if full.is_dir() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&full).map_err(Error::io("read", &full))?;
    let name = path.as_str();
    let format = Format::of_path(&full);
    let document = Document::parse(name, text.clone(), format).or_else(|error| match format {
        // Python writes NaN and Infinity into JSON, which allows neither; as YAML they are texts.
        Format::Json => Document::parse(name, text, Format::Yaml).map_err(|_| error),
        Format::Yaml | Format::Toml => Err(error),
    })?;
    let mut metrics = Vec::new();
    leaves(&KeyPath::root(), &document.root, &mut |key, value| {
        if let Some(number) = number(value) {
            metrics.push(Metric {
                key: Key::new(name, key.to_string()),
                value: number,
                step: 0,
                at: now,
            });
        }
    });
    Ok(metrics)
}

fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => special(text),
        None => value.as_f64(),
    }
}

/// Reads what JSON has no number for, in the spellings of Python and YAML.
fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" | "nan" => Some(f64::NAN),
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Reads a table of numbers over steps (JSON lines, CSV or TSV with a heading); a file without a
/// column that counts steps is none, and no mistake.
fn curves(root: &Path, path: &ArtifactPath, now: Timestamp) -> Result<Vec<Metric>, Error> {
    let full = path.under(root);
    let separator = match full.extension().and_then(|e| e.to_str()) {
        Some("jsonl") => None,
        Some("csv") => Some(','),
        Some("tsv") => Some('\t'),
        _ => return Ok(Vec::new()),
    };
    let text = std::fs::read_to_string(&full).map_err(Error::io("read", &full))?;
    let rows: Vec<Vec<(String, f64)>> = match separator {
        None => json_rows(&text),
        Some(separator) => separated_rows(&text, separator),
    };
    let Some(counter) = STEP_COLUMNS.iter().find(|name| {
        rows.first()
            .is_some_and(|row| row.iter().any(|(c, _)| c == *name))
    }) else {
        return Ok(Vec::new());
    };
    let mut metrics = Vec::new();
    for row in rows {
        let Some((_, step)) = row.iter().find(|(column, _)| column == counter) else {
            continue;
        };
        let step = *step as i64;
        for (column, value) in row.iter().filter(|(column, _)| column != counter) {
            metrics.push(Metric {
                key: Key::new(path.as_str(), column),
                value: *value,
                step,
                at: now,
            });
        }
    }
    Ok(metrics)
}

fn json_rows(text: &str) -> Vec<Vec<(String, f64)>> {
    text.lines()
        .take(ROWS_MAX)
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|row| {
            let cells = row.as_map().into_iter().flatten();
            cells
                .filter_map(|(column, value)| Some((column.clone(), number(value)?)))
                .collect()
        })
        .collect()
}

/// Numbers need no quotes: a cell with quotes is a text and left out.
fn separated_rows(text: &str, separator: char) -> Vec<Vec<(String, f64)>> {
    let mut lines = text.lines();
    let heading: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split(separator)
        .map(|column| column.trim().trim_matches('"'))
        .collect();
    lines
        .take(ROWS_MAX)
        .map(|line| {
            heading
                .iter()
                .zip(line.split(separator))
                .filter_map(|(column, cell)| {
                    let value = special(cell.trim()).or_else(|| cell.trim().parse().ok())?;
                    Some(((*column).to_owned(), value))
                })
                .collect()
        })
        .collect()
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
        assert_eq!(read("t.json", "[]", curves), "");
        assert_eq!(read("t.jsonl", "", curves), "");
    }
}
