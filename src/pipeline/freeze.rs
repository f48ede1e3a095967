//! Freezing: `frozen: true` written into pipeline files and pointers, and taken out again, with
//! everything else in them kept. Imports: base, project, plan, spec.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::{Document, KeyPath, Value, edit};
use crate::project::{EditLock, Project};

use super::error::Error;
use super::plan::Plan;
use super::spec::{Freshness, StageName};

/// Whether stages are to be frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// `frozen: true`.
    Frozen,
    /// No such key.
    Free,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What is as wanted now.
    pub changed: Vec<String>,
    /// What was so already.
    pub unchanged: Vec<String>,
}

/// Freezes or frees the chosen stages and pointers.
///
/// # Errors
/// A stage made by `foreach` or `matrix`, a layout that the editor does not master, or a file that
/// cannot be read or written. All files are edited before the first is written.
pub fn freeze(project: &Project, plan: &Plan<'_>, to: To, lock: &EditLock) -> Result<Done, Error> {
    let graph = plan.graph();
    let mut done = Done::default();
    let mut edited: BTreeMap<&str, Document> = BTreeMap::new();
    for &index in plan.order() {
        let stage = &graph.stages()[index];
        let is_frozen = stage.freshness == Freshness::Frozen;
        if is_frozen == (to == To::Frozen) {
            done.unchanged.push(stage.name.to_string());
            continue;
        }
        let file = graph.file_of(index).file.as_ref();
        let file = file.map_or(project.personality.pipeline_file, ArtifactPath::as_str);
        let document = match edited.remove(file) {
            Some(document) => document,
            None => Document::read(&project.root.join(file), file)?,
        };
        edited.insert(file, set(&document, &stage.name, to)?);
        done.changed.push(stage.name.to_string());
    }
    for (file, document) in edited {
        lock.write(&project.root.join(file), &document.source.text)?;
    }
    for &index in plan.pointers() {
        let mut pointer = graph.pointers()[index].clone();
        if pointer.frozen == (to == To::Frozen) {
            done.unchanged.push(pointer.file.to_string());
            continue;
        }
        pointer.frozen = to == To::Frozen;
        pointer.write(&project.root)?;
        done.changed.push(pointer.file.to_string());
    }
    Ok(done)
}

/// Edits one stage of a pipeline file.
fn set(document: &Document, name: &StageName, to: To) -> Result<Document, Error> {
    let stage = KeyPath::root().key("stages").key(name.local());
    if stage.get(&document.root).is_none() {
        let group = name.group().unwrap_or(name.as_str());
        return Err(Error::Generated {
            stage: name.clone(),
            group: group.to_owned(),
        });
    }
    let key = stage.key("frozen");
    if to == To::Frozen {
        return Ok(edit::set(document, &key, &Value::Bool(true))?);
    }
    // Where the layout does not allow to take the key out, it says `false`.
    match edit::remove(document, &key) {
        Ok(edited) => Ok(edited),
        Err(_) => Ok(edit::set(document, &key, &Value::Bool(false))?),
    }
}
