//! The lock files of a project, one beside each pipeline file, as one `LockFile` in memory.
//!
//! In a file stages have their names in the pipeline file; in memory their addresses.
//! Imports: base, project, graph, lock, spec.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;

use crate::base::doc::ParseCache;
use crate::base::hash::HashAlgo;
use crate::base::{self, ArtifactPath, fs};
use crate::project::Project;

use super::error::Error;
use super::graph::StageGraph;
use super::lock::dvc::{self, Shape, Update};
use super::lock::{LockEntry, LockFile};
use super::spec::{Pipeline, StageName, StageSpec};

/// Returns where the lock of a pipeline file is, relative to the root; `None` is the pipeline file at
/// the top.
#[must_use]
pub fn path_of(project: &Project, file: Option<&ArtifactPath>) -> String {
    let name = project.personality.lock_file;
    match file.and_then(ArtifactPath::parent) {
        Some(folder) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}

/// Reads the locks of all pipeline files of `graph`.
///
/// # Errors
/// A lock file is broken or of another version.
pub fn read(project: &Project, graph: &StageGraph) -> Result<LockFile, Error> {
    let shape_of = |name: &StageName| {
        let stage = graph.find(name.as_str())?;
        Some(Shape::of(&graph.stages()[stage]))
    };
    let files = graph.files().iter().map(|file| file.file.as_ref());
    of_workspace(project, files, &shape_of)
}

/// Reads the locks of `pipelines` in the workspace.
///
/// # Errors
/// As `read`.
pub fn read_of(project: &Project, pipelines: &[Arc<Pipeline>]) -> Result<LockFile, Error> {
    let stages = by_name(pipelines);
    let files = pipelines.iter().map(|pipeline| pipeline.file.as_ref());
    of_workspace(project, files, &|name| {
        stages.get(name).copied().map(Shape::of)
    })
}

/// Reads the locks of `pipelines` somewhere else: `text` returns, for the path of a lock, how messages
/// call it and what it says. What is broken goes to `broken`.
pub fn parse_of(
    project: &Project,
    pipelines: &[Arc<Pipeline>],
    text: &mut dyn FnMut(&str) -> Option<(String, String)>,
    broken: &mut dyn FnMut(String, base::Error),
) -> LockFile {
    let stages = by_name(pipelines);
    let mut all = LockFile::default();
    for pipeline in pipelines {
        let file = pipeline.file.as_ref();
        let Some((shown, text)) = text(&path_of(project, file)) else {
            continue;
        };
        let shape_of = |local: &str| {
            let name = StageName::in_file(file, local).ok()?;
            stages.get(&name).copied().map(Shape::of)
        };
        match LockFile::parse_shaped(&shown, text, &shape_of) {
            Ok(lock) => add(&mut all, file, lock),
            Err(error) => broken(shown, error),
        }
    }
    all
}

fn by_name(pipelines: &[Arc<Pipeline>]) -> BTreeMap<&StageName, &StageSpec> {
    let stages = pipelines.iter().flat_map(|pipeline| &pipeline.stages);
    stages.map(|stage| (&stage.name, stage)).collect()
}

fn of_workspace<'f>(
    project: &Project,
    files: impl Iterator<Item = Option<&'f ArtifactPath>>,
    shape_of: &dyn Fn(&StageName) -> Option<Shape>,
) -> Result<LockFile, Error> {
    let parsed = ParseCache::new(project.layout.parsed());
    let mut all = LockFile::default();
    for file in files {
        let path = path_of(project, file);
        let shape_of = |local: &str| shape_of(&StageName::in_file(file, local).ok()?);
        let lock = LockFile::read_shaped(&project.root.join(&path), &path, &parsed, &shape_of)?;
        add(&mut all, file, lock);
    }
    Ok(all)
}

/// Adds the entries of the lock beside `file`, whose stages have addresses then.
fn add(all: &mut LockFile, file: Option<&ArtifactPath>, lock: LockFile) {
    if file.is_none() {
        all.stages.extend(lock.stages);
        return;
    }
    let addressed = lock.stages.into_iter().filter_map(|(name, entry)| {
        let name = StageName::in_file(file, name.as_str()).ok()?;
        Some((name, entry))
    });
    all.stages.extend(addressed);
}

/// Writes the locks of all pipeline files of `graph`: each that says something else now, atomically
/// and durably. Everything they name must be durable.
///
/// # Errors
/// A file cannot be written; it is what it was.
pub fn write(project: &Project, graph: &StageGraph, lock: &LockFile) -> Result<(), Error> {
    for (path, text) in texts(project, graph, lock)? {
        let path = project.root.join(path);
        fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))?;
    }
    Ok(())
}

/// Returns the lock files, by path from the root, that `write` would write, and their texts.
///
/// # Errors
/// A file cannot be read.
pub fn texts(
    project: &Project,
    graph: &StageGraph,
    lock: &LockFile,
) -> Result<Vec<(String, String)>, Error> {
    let mut by_file: BTreeMap<Option<&str>, LockFile> = BTreeMap::new();
    for (name, entry) in &lock.stages {
        if let Ok(local) = StageName::in_file(None, name.local()) {
            let of_file = by_file.entry(name.file()).or_default();
            of_file.stages.insert(local, entry.clone());
        }
    }
    let mut texts = Vec::new();
    for file in graph.files() {
        let key = file.file.as_ref().map(ArtifactPath::as_str);
        let relative = path_of(project, file.file.as_ref());
        let path = project.root.join(&relative);
        let before = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(base::Error::io("read", &path)(e).into()),
        };
        let lock = by_file.remove(&key).unwrap_or_default();
        if before.is_none() && lock.stages.is_empty() {
            continue;
        }
        let text = match project.personality.hash {
            HashAlgo::Blake3 => lock.to_text().map_err(base::Error::io("write", &path))?,
            HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => {
                let before = before.as_deref().map(String::from_utf8_lossy);
                dvc_text(graph, key, &lock, &relative, before.as_deref())?
            }
        };
        if before.as_deref() != Some(text.as_bytes()) {
            texts.push((relative, text));
        }
    }
    Ok(texts)
}

/// Returns a lock of DVC's with the entries of `lock`: declared stages in the order in which they
/// run, then others.
fn dvc_text(
    graph: &StageGraph,
    file: Option<&str>,
    lock: &LockFile,
    name: &str,
    before: Option<&str>,
) -> Result<String, base::Error> {
    let stages = graph.order().iter().map(|&index| &graph.stages()[index]);
    let here = stages.filter(|stage| stage.name.file() == file);
    let declared: Vec<(&str, Shape)> = here.map(|s| (s.name.local(), Shape::of(s))).collect();
    let known: BTreeSet<&str> = declared.iter().map(|(local, _)| *local).collect();
    let others = lock.stages.keys().map(StageName::local);
    let others = others.filter(|local| !known.contains(local));
    let all: Vec<(&str, Shape)> = others.map(|local| (local, Shape::default())).collect();
    let all = declared.iter().chain(&all);
    let entries: BTreeMap<&str, &LockEntry> = lock
        .stages
        .iter()
        .map(|(name, e)| (name.local(), e))
        .collect();
    let updates = all.filter_map(|(name, shape)| {
        let entry = entries.get(name)?;
        Some(Update { name, entry, shape })
    });
    dvc::to_text(name, before, &updates.collect::<Vec<_>>())
}
