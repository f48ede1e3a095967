//! Records as DVC keeps them: `runs/ab/<inputs>/<inputs and results>`, one YAML file per result, the
//! newest one counting. Both names are SHA-256 over Python's `json.dumps(…, sort_keys=True)` of the
//! stage's lock entry without sizes and counts. Imports: base, store, inputs, lock, spec.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::doc::emit::KeyKind;
use crate::base::doc::{Document, Map, Value, python};
use crate::pipeline::inputs::Inputs;
use crate::pipeline::lock::LockEntry;
use crate::pipeline::lock::dvc::{self, Form, Shape};
use crate::pipeline::spec::{BeforeRun, Freshness, OutKind, OutSpec, StageSpec, Storage};
use crate::store::Presence;

use super::damaged;

/// Does DVC keep records of such runs? Not of stages without inputs or outputs, nor where the
/// result depends on more than the inputs.
fn is_recorded(stage: &StageSpec, entry: &LockEntry) -> bool {
    let reads = !entry.deps.is_empty() || !entry.params.is_empty();
    let is_known = |presence: &Presence| presence.object().is_some();
    reads
        && !entry.outs.is_empty()
        && stage.freshness != Freshness::AlwaysChanged
        && stage.service.is_none()
        && entry.deps.values().all(is_known)
        && stage
            .outs
            .values()
            .all(|out| out.before_run == BeforeRun::Remove)
}

/// Returns the last run of `stage` with these inputs.
pub(super) fn find(dir: &Path, stage: &StageSpec, inputs: &Inputs) -> Option<LockEntry> {
    let outs = stage.outs.keys();
    let entry = LockEntry {
        commands: inputs.commands.clone(),
        wdir: stage.wdir.clone(),
        deps: inputs.deps.clone(),
        params: inputs.params.clone(),
        env: inputs.env.clone(),
        outs: outs.map(|path| (path.clone(), Presence::Missing)).collect(),
    };
    if !is_recorded(stage, &entry) {
        return None;
    }
    let shape = Shape::of(stage);
    let path = newest(&folder(dir, &name(&entry, &shape, Form::Inputs)))?;
    let record = Document::read(&path, &path.display().to_string());
    record
        .and_then(|document| dvc::read_record(&document, &shape))
        .inspect_err(|error| damaged(&path, error))
        .ok()
}

/// Returns where a run is recorded, and the record; `None` if DVC would keep none, or has it.
pub(super) fn record(
    dir: &Path,
    stage: &StageSpec,
    entry: &LockEntry,
) -> Option<(PathBuf, String)> {
    let is_whole = entry.outs.values().all(|out| out.object().is_some());
    // Metrics and plots that git keeps are put into the cache for this; other outputs are not.
    let is_left_to_git = |out: &OutSpec| out.storage == Storage::Git && out.kind == OutKind::Data;
    if !is_recorded(stage, entry) || !is_whole || stage.outs.values().any(is_left_to_git) {
        return None;
    }
    let shape = Shape::of(stage);
    let folder = folder(dir, &name(entry, &shape, Form::Inputs));
    let path = folder.join(name(entry, &shape, Form::Identity));
    if path.exists() {
        return None;
    }
    let value = dvc::to_value(entry, &shape, Form::Whole);
    Some((path, dvc::record_text(&value)))
}

fn folder(dir: &Path, key: &str) -> PathBuf {
    dir.join(&key[..2]).join(key)
}

/// Returns the file of a folder that was written last.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let files = entries.filter_map(|entry| {
        let modified = entry
            .metadata()
            .as_ref()
            .ok()
            .map(Metadata::modified)?
            .ok()?;
        // Names of 64 characters only: a file in the making is none.
        let is_record = entry.file_name().len() == 64;
        is_record.then(|| (modified, entry.file_name(), entry.path()))
    });
    files.max().map(|(_, _, path)| path)
}

fn name(entry: &LockEntry, shape: &Shape, form: Form) -> String {
    let mut way = Vec::new();
    let value = dvc::to_value(entry, shape, form);
    let json = python::json(&sorted(&value, &mut way), python::Keys::AsTheyStand);
    let mut name = String::with_capacity(64);
    for byte in Sha256::digest(json.as_bytes()) {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

/// Sorts all keys as Python does: texts by their characters, numbers by their value.
fn sorted<'v>(value: &'v Value, way: &mut Vec<&'v str>) -> Value {
    match value {
        Value::Map(map) => {
            let mut keys: Vec<(Option<i64>, &'v String)> = Vec::new();
            for key in map.keys() {
                way.push(key);
                let is_number = dvc::key_kind(way) == KeyKind::Scalar;
                way.pop();
                keys.push((is_number.then(|| key.parse().ok()).flatten(), key));
            }
            keys.sort();
            let mut out = Map::new();
            for (_, key) in keys {
                way.push(key);
                out.insert(key.clone(), sorted(&map[key], way));
                way.pop();
            }
            Value::Map(out)
        }
        Value::List(items) => Value::List(items.iter().map(|item| sorted(item, way)).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;
    use crate::pipeline::spec;

    /// Records that DVC 3.67 wrote, with their names.
    #[test]
    fn records_have_the_names_and_bytes_of_dvc() {
        for (text, name) in [
            (
                include_str!("fixtures/train.yaml"),
                include_str!("fixtures/train.name"),
            ),
            (
                include_str!("fixtures/preprocess.yaml"),
                include_str!("fixtures/preprocess.name"),
            ),
            (
                include_str!("fixtures/links.yaml"),
                include_str!("fixtures/links.name"),
            ),
        ] {
            let document = Document::parse("r", text.to_owned(), Format::Yaml).unwrap();
            let stage = stage_of(&document.root);
            let shape = Shape::of(&stage);
            let entry = dvc::read_record(&document, &shape).unwrap();
            let (path, written) = record(Path::new(""), &stage, &entry).unwrap();
            assert_eq!(path.display().to_string(), name.trim());
            assert_eq!(written, text);
        }
    }

    /// Declares a stage as a record says it was.
    fn stage_of(record: &Value) -> StageSpec {
        let mut stage = Map::new();
        let record = record.as_map().unwrap();
        stage.insert("cmd".to_owned(), record["cmd"].clone());
        for key in ["deps", "outs"] {
            let paths = record[key].as_list().unwrap();
            let paths = paths
                .iter()
                .map(|path| path.as_map().unwrap()["path"].clone());
            stage.insert(key.to_owned(), Value::List(paths.collect()));
        }
        let files = record.get("params").and_then(Value::as_map);
        let params = files.into_iter().flatten().map(|(file, keys)| {
            let keys = keys.as_map().unwrap().keys().cloned().map(Value::Str);
            let mut item = Map::new();
            item.insert(file.clone(), Value::List(keys.collect()));
            Value::Map(item)
        });
        stage.insert("params".to_owned(), Value::List(params.collect()));
        let mut stages = Map::new();
        stages.insert("s".to_owned(), Value::Map(stage));
        let mut root = Map::new();
        root.insert("stages".to_owned(), Value::Map(stages));
        let text = Value::Map(root).to_yaml().unwrap();
        let document = Document::parse("dvc.yaml", text, Format::Yaml).unwrap();
        spec::read(document).unwrap().stages.remove(0)
    }
}
