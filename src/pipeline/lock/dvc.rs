//! `dvc.lock`, as DVC 3 reads and writes it, byte for byte.
//!
//! **What is the user's stays.** Entries of stages that nobody declares, data sets, comments and
//! entries that say the same in another spelling keep their text; only what changed is written anew.
//! An entry names paths as the stage's declaration does, relative to its folder, so reading and
//! writing take the `Shape` of the stage. Locks of older DVC are read as well: without `schema:` the
//! stages stand at the top, and a hash without `hash: md5` is one over equalised line ends.
//! Imports: base, store, spec, lock.

mod entry;
mod text;

use crate::base::doc::{Document, KeyPath, Map, On, Problems, Value};
use crate::base::{ArtifactPath, Error};
use crate::pipeline::spec::{CommandForm, Spelling, StageName, StageSpec};

use super::{LockEntry, LockFile};

pub use entry::{Form, to_value};
pub use text::{Update, key_kind, record_text, to_text};

/// The version that DVC 2 and 3 write.
const SCHEMA: &str = "2.0";

/// What a stage's declaration says about its entry.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The folder from which the entry's paths are seen; `None`: the top of the project.
    wdir: Option<ArtifactPath>,
    spelling: Spelling,
    /// How the command is written; `None` where nobody declares the stage.
    command: Option<CommandForm>,
    /// Params files of which the stage reads everything.
    whole: Vec<ArtifactPath>,
}

impl Shape {
    /// Returns the shape of `stage`.
    #[must_use]
    pub fn of(stage: &StageSpec) -> Self {
        let whole = stage.params.keys().filter(|param| param.key.is_root());
        Self {
            wdir: stage.wdir.clone(),
            spelling: stage.spelling.clone(),
            command: Some(stage.command_form),
            whole: whole.map(|param| param.file.clone()).collect(),
        }
    }

    fn base(&self) -> &str {
        self.wdir.as_ref().map_or("", ArtifactPath::as_str)
    }

    /// Returns how the entry spells `path`.
    fn spell(&self, path: &ArtifactPath) -> String {
        self.spelling.path(path, self.wdir.as_ref())
    }
}

/// Is this a lock of DVC's?
pub(super) fn is_dvc(root: &Value) -> bool {
    let Some(root) = root.as_map() else {
        return false;
    };
    match root.get("schema") {
        Some(Value::Str(version)) => version == SCHEMA,
        Some(Value::Float(version)) => *version == 2.0,
        Some(_) => false,
        None => root.values().any(|stage| {
            stage
                .as_map()
                .is_some_and(|s| s.contains_key("cmd") && !s.contains_key("stages"))
        }),
    }
}

/// Returns where the stages of a lock stand.
fn stages_at(root: &Value) -> KeyPath {
    match root.as_map() {
        Some(map) if !map.contains_key("schema") && !map.contains_key("stages") => KeyPath::root(),
        _ => KeyPath::root().key("stages"),
    }
}

/// Reads the entries of a lock file, by the stages' names in their pipeline file. `shape_of` knows
/// the declared stages; an entry of another stage is read as one that runs at the top.
///
/// # Errors
/// An entry is broken; all that is wrong is said.
pub fn read(
    document: &Document,
    shape_of: &dyn Fn(&str) -> Option<Shape>,
) -> Result<LockFile, Error> {
    let problems = Problems::new(document);
    let mut lock = LockFile::default();
    let at = stages_at(&document.root);
    let empty = Map::new();
    let stages = match at.get(&document.root) {
        None | Some(Value::Null) => &empty,
        Some(Value::Map(map)) => map,
        Some(_) => {
            let headline = format!("`{at}` must be a mapping of stages");
            problems.report(&at, On::Value, "wrong-type", headline, "", None);
            &empty
        }
    };
    for name in stages.keys() {
        // What has no name that a stage can have is nobody's, and stays in the file.
        let Ok(stage) = StageName::in_file(None, name) else {
            continue;
        };
        let shape = shape_of(name).unwrap_or_default();
        if let Some(entry) = entry::read(&problems, &at.key(name), &shape) {
            lock.stages.insert(stage, entry);
        }
    }
    problems.into_result(lock)
}

/// Returns the entry in a text that holds nothing else: a record of the run cache.
///
/// # Errors
/// It is broken.
pub fn read_record(document: &Document, shape: &Shape) -> Result<LockEntry, Error> {
    let problems = Problems::new(document);
    let entry = entry::read(&problems, &KeyPath::root(), shape);
    let broken = || Error::Document {
        name: document.source.name.clone(),
        problems: Vec::new(),
    };
    problems.into_result(entry)?.ok_or_else(broken)
}

#[cfg(test)]
mod tests;
