//! The datasets that a run read: what its stages depend on and none of them writes, as MLflow knows
//! datasets. Imports: base, pipeline, store, track.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::base::ArtifactPath;
use crate::pipeline::lock::LockFile;
use crate::pipeline::{Plan, StageName};
use crate::store::{Presence, Present};
use crate::track::entity::{Dataset, DatasetInput, Tag};

/// Digits of the content hash that are the digest (MLflow takes up to 36).
const DIGEST_DIGITS: usize = 16;

/// MLflow's limit for names of datasets, in characters; a longer path is no dataset.
const NAME_CHARS_MAX: usize = 500;

/// The tag that says what a dataset was used for.
const CONTEXT: &str = "mlflow.data.context";

/// Ends of names of files that say how, not of what: programs, notebooks, settings, prose.
const CODE: [&str; 33] = [
    "bash", "c", "cc", "cfg", "conf", "cpp", "cu", "go", "h", "hpp", "ini", "ipynb", "java", "jl",
    "js", "lock", "lua", "m", "md", "mk", "pl", "py", "pyx", "r", "rb", "rs", "scala", "sh", "sql",
    "toml", "ts", "yaml", "yml",
];

/// Returns the datasets of the stages of `plan` that are done, in the order in which they were read;
/// the context of each is the first stage that read it.
pub(super) fn of_plan(
    plan: &Plan<'_>,
    lock: &LockFile,
    root: &Path,
    is_done: &dyn Fn(&StageName) -> bool,
) -> Vec<DatasetInput> {
    let graph = plan.graph();
    let mut seen: BTreeSet<&ArtifactPath> = BTreeSet::new();
    let mut found = Vec::new();
    for stage in plan.order().iter().map(|&i| &graph.stages()[i]) {
        let Some(entry) = lock.stages.get(&stage.name) else {
            continue;
        };
        if !is_done(&stage.name) {
            continue;
        }
        for (path, presence) in &entry.deps {
            let Presence::Present(present) = presence else {
                continue;
            };
            let is_source = stage.deps.contains_key(path) && graph.outs_touching(path).is_empty();
            if !is_source || !seen.insert(path) {
                continue;
            }
            let is_tracked = graph
                .pointers()
                .iter()
                .any(|p| p.out_around(path).is_some());
            if (is_tracked || is_data(root, path))
                && path.as_str().chars().count() <= NAME_CHARS_MAX
            {
                found.push(input(path, present, &stage.name));
            }
        }
    }
    found
}

fn input(path: &ArtifactPath, present: &Present, stage: &StageName) -> DatasetInput {
    let digest = present.object.hash().to_string();
    let mut profile = json!({"size": present.size});
    if let Some(files) = present.files {
        profile["files"] = json!(files);
    }
    DatasetInput {
        dataset: Dataset {
            name: path.to_string(),
            digest: digest.chars().take(DIGEST_DIGITS).collect(),
            source_type: "local".to_owned(),
            source: json!({"uri": path.as_str()}).to_string(),
            schema: None,
            profile: Some(profile.to_string()),
        },
        tags: vec![Tag::new(CONTEXT, stage.as_str())],
    }
}

/// Is this what a stage works on, and not how? A folder that holds code at its top is a program.
fn is_data(root: &Path, path: &ArtifactPath) -> bool {
    let full = path.under(root);
    match std::fs::read_dir(&full) {
        Ok(entries) => !entries
            .flatten()
            .any(|entry| is_code(Path::new(&entry.file_name()))),
        Err(_) => !is_code(&full),
    }
}

fn is_code(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    let is_named = |name| path.file_name().is_some_and(|n| n == name);
    extension.is_some_and(|e| CODE.contains(&e.to_ascii_lowercase().as_str()))
        || is_named("Makefile")
        || is_named("Dockerfile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_no_data() {
        let tmp = tempfile::tempdir().unwrap();
        for file in [
            "src/train.py",
            "raw/a.png",
            "labels.csv",
            "train.SH",
            "n.json",
            "Makefile",
        ] {
            let path = tmp.path().join(file);
            crate::base::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::base::fs::write_atomic(&path, b"x").unwrap();
        }
        let data: Vec<&str> = ["src", "raw", "labels.csv", "train.SH", "n.json", "Makefile"]
            .into_iter()
            .filter(|path| is_data(tmp.path(), &path.parse().unwrap()))
            .collect();
        assert_eq!(data, ["raw", "labels.csv", "n.json"]);
        assert!(CODE.is_sorted());
    }
}
