//! What there is to record when a repro has ended: params, metrics, curves, artifacts.
//! Imports: base, compare, pipeline, store, track, curve, datasets.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;

use crate::base::clock::{self, Timestamp};
use crate::base::diag::{Diagnostic, Severity, ToDiagnostics};
use crate::base::doc::{Document, KeyPath, Value};
use crate::base::{self, ArtifactPath};
use crate::compare::rows::{self, STEP_COLUMNS};
use crate::compare::{Error, values};
use crate::pipeline::execute::{Outcome, Summary};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{OutKind, ParamRef};
use crate::pipeline::{Plan, StageName, StageSpec, Workspace};
use crate::store::Presence;
use crate::track::entity::DatasetInput;
use crate::track::overview::is_table;
use crate::track::{Artifact, Batch, Curve, Key, Metric, Param};

use super::curve::{POINTS_MAX, Thinned};
use super::datasets;

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
            let freshness = match summary.outcome(&stage.name) {
                Some(Outcome::Ran | Outcome::Restored) => Freshness::New,
                Some(Outcome::Unchanged | Outcome::Frozen | Outcome::Service) | None => {
                    Freshness::Known
                }
            };
            add_metrics(root, stage, now, &mut batch, freshness, warnings);
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

/// Returns what the stages that are done read and none of them wrote.
pub(super) fn datasets(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &Workspace<'_>,
    summary: &Summary,
) -> Vec<DatasetInput> {
    let is_done = |name: &StageName| summary.done.iter().any(|(done, _, _)| done == name);
    datasets::of_plan(plan, lock, workspace.files.root(), &is_done)
}

/// Returns the params of all stages, key by key: as recorded for those that are up to date, as they
/// are now for those that failed or did not start.
fn params(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
    is_done: &dyn Fn(&StageName) -> bool,
) -> Vec<Param> {
    let mut latest = template_params(plan, workspace);
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

/// Returns the params files that templates read, as they are now: what they hold decides what runs,
/// although no stage lists it. What a stage has recorded comes later and wins.
fn template_params(plan: &Plan<'_>, workspace: &Workspace<'_>) -> BTreeMap<ParamRef, Value> {
    let files = plan.graph().files().iter().flat_map(|f| &f.template_files);
    let mut params = BTreeMap::new();
    for file in files {
        let path = file.under(workspace.files.root());
        // The pipeline was read with it; what has become of it since is told by the next repro.
        if let Ok(document) = Document::read(&path, file.as_str()) {
            let all = ParamRef {
                file: file.clone(),
                key: KeyPath::root(),
            };
            params.insert(all, document.root);
        }
    }
    params
}

/// Were the files of a stage written in this run?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    New,
    Known,
}

fn add_metrics(
    root: &Path,
    stage: &StageSpec,
    now: Timestamp,
    batch: &mut Batch,
    freshness: Freshness,
    warnings: &mut Vec<Diagnostic>,
) {
    for (path, out) in &stage.outs {
        let result = match out.kind {
            OutKind::Metric => numbers(root, path, now).map(|found| batch.metrics.extend(found)),
            OutKind::Plot => curves(root, path, now).map(|(found, stride)| {
                batch.curves.extend(found);
                // Said once, where the file is new, and not by every run after it.
                if 1 < stride && freshness == Freshness::New {
                    warnings.push(thinned_out(path, stride));
                }
            }),
            OutKind::Data => continue,
        };
        let Err(error) = result else { continue };
        let mut problems = error.to_diagnostics();
        for problem in &mut problems {
            problem.severity = Severity::Warning;
            let why = &problem.headline;
            problem.headline = format!("the numbers in `{path}` are not part of the run: {why}");
        }
        warnings.extend(problems);
    }
}

fn thinned_out(path: &ArtifactPath, stride: usize) -> Diagnostic {
    let headline = format!(
        "`{path}` has more than {POINTS_MAX} steps: the run keeps one of every {stride}, and the last"
    );
    Diagnostic::warning("thinned-out", headline).note("the file itself stays as it is")
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

/// Reads a table of numbers over steps (JSON lines, CSV or TSV with a heading), and of how many
/// points one is kept at the least. A file without a column that counts steps is no such table, and
/// no mistake.
fn curves(root: &Path, path: &ArtifactPath, now: Timestamp) -> Result<(Vec<Curve>, usize), Error> {
    let full = path.under(root);
    let extension = full.extension().and_then(|e| e.to_str()).unwrap_or("");
    if !is_table(path.as_str()) || full.is_dir() {
        return Ok((Vec::new(), 1));
    }
    let bytes = std::fs::read(&full).map_err(base::Error::io("read", &full))?;
    // The first row says which column counts; without one, no other row is looked at.
    let mut counter: Option<Option<&str>> = None;
    let mut found: IndexMap<String, Thinned> = IndexMap::new();
    let read = rows::each(path.as_str(), extension, &bytes, &mut |row| {
        let has = |name: &&str| row.contains_key(*name);
        let Some(counter) = *counter.get_or_insert_with(|| STEP_COLUMNS.into_iter().find(has))
        else {
            return;
        };
        let Some(step) = row.get(counter).and_then(Value::as_f64) else {
            return;
        };
        for (column, value) in row.iter().filter(|(column, _)| *column != counter) {
            let Some(value) = number(value) else { continue };
            if let Some(curve) = found.get_mut(column) {
                curve.push(step as i64, value);
            } else {
                let mut curve = Thinned::new();
                curve.push(step as i64, value);
                found.insert(column.clone(), curve);
            }
        }
    });
    read.unwrap_or(Ok(()))?;
    let mut widest = 1;
    let curves = found.into_iter().map(|(column, curve)| {
        let (points, stride) = curve.finish();
        widest = widest.max(stride);
        Curve {
            key: Key::new(path.as_str(), column),
            points,
            at: now,
        }
    });
    Ok((curves.collect(), widest))
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

    fn file<T>(
        file: &str,
        text: &str,
        how: fn(&Path, &ArtifactPath, Timestamp) -> Result<T, Error>,
    ) -> T {
        let tmp = tempfile::tempdir().unwrap();
        crate::base::fs::write_atomic(&tmp.path().join(file), text.as_bytes()).unwrap();
        how(tmp.path(), &file.parse().unwrap(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn read_numbers(name: &str, text: &str) -> String {
        let line = |m: Metric| format!("{}={}", m.key.key, m.value);
        let metrics = file(name, text, numbers);
        metrics.into_iter().map(line).collect::<Vec<_>>().join(" ")
    }

    fn read_curves(name: &str, text: &str) -> String {
        let line = |c: Curve| format!("{}={:?}", c.key.key, c.points);
        let (curves, _) = file(name, text, curves);
        curves.into_iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_number_of_a_metrics_file_counts() {
        let json =
            r#"{"b": 1, "a": {"x": 0.5, "text": "no", "list": [1], "none": null}, "flag": true}"#;
        assert_eq!(read_numbers("m.json", json), "b=1 a.x=0.5");
        let python = r#"{"loss": NaN, "best": -Infinity, "n": 3}"#;
        assert_eq!(read_numbers("m.json", python), "loss=NaN best=-inf n=3");
        let yaml = "loss: .nan\nn: 1e-3\n";
        assert_eq!(read_numbers("m.yaml", yaml), "loss=NaN n=0.001");
        assert_eq!(read_numbers("m.toml", "[a]\nb = 2\n"), "a.b=2");
    }

    #[test]
    fn tables_with_a_step_are_curves() {
        let lines = "{\"epoch\":1,\"loss\":0.5,\"note\":\"x\"}\n{\"epoch\":2,\"loss\":0.25}\n";
        assert_eq!(read_curves("t.jsonl", lines), "loss=[(1, 0.5), (2, 0.25)]");
        let csv = "\"step\",loss,name\n0,1.5,\"a\"\n1,nan,\"b\"\n";
        assert_eq!(read_curves("t.csv", csv), "loss=[(0, 1.5), (1, NaN)]");
        assert_eq!(read_curves("t.tsv", "a\tb\n1\t2\n"), "");
        assert_eq!(read_curves("t.png", "\u{0}"), "");
        assert_eq!(read_curves("t.jsonl", ""), "");
    }

    #[test]
    fn a_long_table_is_read_to_its_end() {
        let line = |step: i64| match step % 1_000 {
            0 => format!("{{\"step\":{step},\"loss\":1,\"val_loss\":{step}}}\n"),
            _ => format!("{{\"step\":{step},\"loss\":{step}}}\n"),
        };
        let text: String = (0..120_002).map(line).collect();
        let (curves, stride) = file("t.jsonl", &text, curves);
        let [loss, val_loss] = &curves[..] else {
            panic!("{}", curves.len())
        };
        assert_eq!((stride, loss.points.len()), (16, 7_502));
        assert_eq!(loss.points.last(), Some(&(120_001, 120_001.0)));
        // What stands in few rows is not thinned out with the others.
        assert_eq!(val_loss.points.len(), 121);
    }
}
