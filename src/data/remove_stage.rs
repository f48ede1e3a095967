//! `remove STAGE`: takes a stage out of its pipeline file, with its lock entry and the `.gitignore`
//! lines of its outputs. Imports: `base`, `project`, `store`, `pipeline`.
//!
//! **Order of work**: outputs, `.gitignore` lines, lock entry, and last the stage itself. Killed on the
//! way, the stage is still declared, and the same command once more ends the work.

use std::collections::BTreeSet;

use crate::base::doc::{Document, KeyPath, Value, edit};
use crate::base::fs::fault;
use crate::base::{self, ArtifactPath, ObjectId, fs};
use crate::pipeline::spec::{StageSpec, Storage};
use crate::pipeline::{self, lock_files};
use crate::project::{EditLock, InGit};
use crate::store::OnConflict;

use super::error::Error;
use super::remove::Data;
use super::tracked::Tracked;

/// A stage that was removed.
#[derive(Clone, Debug)]
pub struct RemovedStage {
    /// Its address.
    pub stage: String,
    /// Its outputs.
    pub outs: Vec<ArtifactPath>,
    /// Outputs that were not in the cache and were saved there first.
    pub saved: Vec<(ArtifactPath, ObjectId)>,
    /// Files that git should be told of.
    pub for_git: BTreeSet<ArtifactPath>,
}

/// A file without the stage; `None`: nothing is left in it.
#[derive(Debug)]
struct File {
    path: ArtifactPath,
    text: Option<String>,
}

/// Says whether `remove` can take `stage` out of its files; writes nothing.
///
/// # Errors
/// It is made by `foreach` or `matrix`, or a file cannot be read or edited.
pub fn check(tracked: &Tracked<'_>, stage: &StageSpec) -> Result<(), Error> {
    edit(tracked, stage).map(drop)
}

/// Reads the files that record and declare `stage`, and takes it out of their texts.
fn edit(tracked: &Tracked<'_>, stage: &StageSpec) -> Result<Vec<File>, Error> {
    let personality = &tracked.project.personality;
    let file = match stage.name.file() {
        Some(file) => parsed(file)?,
        None => parsed(personality.pipeline_file)?,
    };
    let document = Document::read(&file.under(tracked.root()), file.as_str())?;
    let local = stage.name.local();
    let key = KeyPath::root().key("stages").key(local);
    if key.get(&document.root).is_none() {
        let group = stage.name.group().unwrap_or(local).to_owned();
        let stage = stage.name.clone();
        return Err(pipeline::Error::Generated { stage, group }.into());
    }
    let pipeline = without(&document, local, file, Rest::Counts)?;
    let folder = stage.name.file().map(parsed).transpose()?;
    let path = parsed(&lock_files::path_of(tracked.project, folder.as_ref()))?;
    let place = path.under(tracked.root());
    let lock = if place.exists() {
        let document = Document::read(&place, path.as_str())?;
        match key.get(&document.root) {
            Some(_) => Some(without(&document, local, path, Rest::IsForm)?),
            None => None,
        }
    } else {
        None
    };
    Ok(lock.into_iter().chain([pipeline]).collect())
}

/// Removes the stage.
///
/// # Errors
/// As `check`, or a file operation failed.
pub fn remove(
    tracked: &Tracked<'_>,
    stage: &StageSpec,
    data: Data,
    lock: &EditLock,
) -> Result<RemovedStage, Error> {
    let outs = &stage.outs;
    let files = edit(tracked, stage)?;
    let mut removed = RemovedStage {
        stage: stage.name.to_string(),
        outs: outs.keys().cloned().collect(),
        saved: Vec::new(),
        for_git: BTreeSet::new(),
    };
    for path in outs.keys() {
        match data {
            Data::Keep => {
                tracked.store.unprotect(path)?;
            }
            Data::Remove => {
                let done = tracked.store.remove(path, OnConflict::SaveFirst)?;
                let saved = done.saved.map(|object| (path.clone(), object));
                removed.saved.extend(saved);
            }
        }
    }
    let cached = outs
        .iter()
        .filter(|(_, out)| out.storage == Storage::Cached);
    let visible = cached.map(|(path, _)| (path, InGit::Visible));
    removed.for_git.extend(tracked.set_ignored(visible)?);
    for file in files {
        let place = file.path.under(tracked.root());
        fault::point("data.remove.stage").map_err(base::Error::io("write", &place))?;
        match file.text {
            Some(text) => lock.write(&place, &text)?,
            None => fs::remove_file(&place).map_err(base::Error::io("remove", &place))?,
        }
        removed.for_git.insert(file.path);
    }
    Ok(removed)
}

/// Does what stands beside `stages` in a file count by itself?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It does: plots, vars and the like.
    Counts,
    /// It does not: the version of a lock.
    IsForm,
}

/// Returns the text of `document` without the stage `local`, and without `stages` where that was the
/// last one.
fn without(
    document: &Document,
    local: &str,
    path: ArtifactPath,
    rest: Rest,
) -> Result<File, Error> {
    let stages = KeyPath::root().key("stages");
    let is_last = matches!(stages.get(&document.root), Some(Value::Map(map)) if map.len() == 1);
    let others = match &document.root {
        Value::Map(map) => map.keys().filter(|key| {
            let is_form = rest == Rest::IsForm && *key == "schema";
            *key != "stages" && !is_form
        }),
        _ => return Ok(File { path, text: None }),
    };
    let text = match (is_last, others.count()) {
        (true, 0) => None,
        (true, _) => Some(edit::remove(document, &stages)?),
        (false, _) => Some(edit::remove(document, &stages.key(local))?),
    };
    Ok(File {
        path,
        text: text.map(|document| document.source.text.clone()),
    })
}

fn parsed(path: &str) -> Result<ArtifactPath, Error> {
    path.parse().map_err(|source| Error::Path {
        text: path.to_owned(),
        source,
    })
}
