//! What is in a version of the project, tracked data and other files alike: `ls` and `du`. Imports:
//! `base`, `project`, `store`, `pipeline`.
//!
//! Tracked data is shown whether or not it is checked out: its names come from the cache. Where the
//! cache lacks a listing, the workspace is asked.

use std::collections::BTreeMap;

use crate::base::fs::{Executable, is_executable};
use crate::base::{self, ArtifactPath, ObjectId};
use crate::pipeline::spec::Storage;
use crate::project::git::Folders;
use crate::project::ignore::PathKind;
use crate::project::{Commit, Git, Ignore};
use crate::store::{Listing, Present};

use super::error::Error;
use super::tracked::Tracked;
use super::used::Commits;
use super::versions;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its object, if it is tracked data.
    pub object: Option<ObjectId>,
    /// Is it tracked data?
    pub is_out: bool,
    /// Its size, where it is known.
    pub size: Option<u64>,
    /// May its owner execute it?
    pub exec: Executable,
}

/// All files of a version, by path, and the tracked folders.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The files.
    pub files: BTreeMap<String, Item>,
    /// Tracked folders, with their object and size.
    pub folders: BTreeMap<String, Item>,
}

/// Returns what is in the workspace.
///
/// # Errors
/// A folder cannot be read.
pub fn workspace(tracked: &Tracked<'_>) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    let data = tracked
        .outs()
        .filter(|(_, out)| out.storage == Storage::Cached);
    for (_, out) in data {
        tree.add_out(tracked, &out.path, out.present());
    }
    for (path, out) in &tracked.stage_outs {
        if out.storage == Storage::Cached {
            let present = match out.recorded {
                crate::store::Presence::Missing => None,
                crate::store::Presence::Present(present) => Some(present),
            };
            tree.add_out(tracked, path, present);
        }
    }
    let ignore = Ignore::of(tracked.project);
    add_files(tracked, &ignore, "", &mut tree)?;
    ignore.check()?;
    Ok(tree)
}

/// Returns what is in a commit.
///
/// # Errors
/// git, or a file of the commit, cannot be read.
pub fn commit(
    tracked: &Tracked<'_>,
    commits: &mut Commits,
    commit: &Commit,
) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    for used in commits.used(commit)? {
        tree.add_out(tracked, &used.path, Some(used.content));
    }
    let git: &mut Git = commits.git();
    let files = git.find_at(commit, &|_| true, &mut Folders::default())?;
    for (path, blob) in files {
        if path.as_str().starts_with(".dvc/") || path.as_str().starts_with(".cvops/") {
            continue;
        }
        let size = git.read(&blob)?.len() as u64;
        tree.files.entry(path.to_string()).or_insert(Item {
            object: None,
            is_out: false,
            size: Some(size),
            exec: Executable::No,
        });
    }
    Ok(tree)
}

impl Tree {
    fn add_out(&mut self, tracked: &Tracked<'_>, path: &ArtifactPath, present: Option<Present>) {
        let Some(present) = present else { return };
        let item = |object, size, exec| Item {
            object: Some(object),
            is_out: true,
            size,
            exec,
        };
        if present.files.is_none() {
            let item = item(present.object, Some(present.size), present.exec);
            self.files.insert(path.to_string(), item);
            return;
        }
        let whole = item(present.object, Some(present.size), Executable::No);
        self.folders.insert(path.to_string(), whole);
        let listing: Option<Listing> = versions::cached_listing(tracked, &present.object)
            .or_else(|| versions::workspace_listing(tracked, path, &present.object));
        for entry in listing.iter().flat_map(Listing::entries) {
            let object = ObjectId::File(entry.hash);
            let size = entry.size.or_else(|| {
                let file = tracked.store.cache.object_path(&object);
                std::fs::metadata(file).ok().map(|metadata| metadata.len())
            });
            let at = format!("{path}/{}", entry.path);
            self.files.insert(at, item(object, size, entry.exec));
        }
    }

    /// Keeps what is at `path` or below it.
    #[must_use]
    pub fn below(mut self, path: Option<&ArtifactPath>) -> Self {
        let Some(path) = path else { return self };
        let targets = [path.clone()];
        self.files.retain(|at, _| versions::is_chosen(at, &targets));
        self.folders
            .retain(|at, _| versions::is_chosen(at, &targets));
        self
    }
}

/// Adds the files of the workspace that are not tracked data; tracked folders are not entered.
fn add_files(
    tracked: &Tracked<'_>,
    ignore: &Ignore,
    folder: &str,
    tree: &mut Tree,
) -> Result<(), Error> {
    let dir = tracked.root().join(folder);
    let read = || base::Error::io("read folder", &dir);
    for entry in std::fs::read_dir(&dir).map_err(read())? {
        let entry = entry.map_err(read())?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = if folder.is_empty() {
            name
        } else {
            format!("{folder}/{name}")
        };
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let kind = if is_dir {
            PathKind::Folder
        } else {
            PathKind::File
        };
        if tree.files.contains_key(&path)
            || tree.folders.contains_key(&path)
            || !ignore.keeps(&path, kind)
        {
            continue;
        }
        if is_dir {
            add_files(tracked, ignore, &path, tree)?;
            continue;
        }
        let metadata = std::fs::metadata(entry.path()).ok();
        let is_exec = metadata.as_ref().is_some_and(is_executable);
        let item = Item {
            object: None,
            is_out: false,
            size: metadata.map(|metadata| metadata.len()),
            exec: if is_exec {
                Executable::Yes
            } else {
                Executable::No
            },
        };
        tree.files.insert(path, item);
    }
    Ok(())
}

/// One row of a listing: a file, or a folder for all in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its path, as seen from the folder that is listed.
    pub path: String,
    /// Is it a folder?
    pub is_folder: bool,
    /// What is known of it; the size of a folder is that of all files in it.
    pub item: Item,
}

/// Returns the rows of `tree` as seen from `folder`: one level, or every file.
#[must_use]
pub fn rows(tree: &Tree, folder: Option<&ArtifactPath>, every_file: bool) -> Vec<Row> {
    let prefix = folder.map_or(String::new(), |folder| format!("{folder}/"));
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (path, item) in &tree.files {
        if folder.is_some_and(|folder| folder.as_str() == path) {
            let name = path.rsplit('/').next().unwrap_or(path);
            return vec![row(name, false, item.clone())];
        }
        let Some(inside) = path.strip_prefix(&prefix) else {
            continue;
        };
        match inside.split_once('/') {
            Some((name, _)) if !every_file => {
                let known = tree.folders.get(&format!("{prefix}{name}"));
                let entry = rows.entry(name.to_owned()).or_insert_with(|| {
                    let item = Item {
                        object: known.and_then(|item| item.object),
                        is_out: known.is_some(),
                        size: Some(0),
                        exec: Executable::No,
                    };
                    row(name, true, item)
                });
                let size = entry.item.size.unwrap_or(0) + item.size.unwrap_or(0);
                entry.item.size = Some(size);
            }
            _ => {
                rows.insert(inside.to_owned(), row(inside, false, item.clone()));
            }
        }
    }
    rows.into_values().collect()
}

fn row(path: &str, is_folder: bool, item: Item) -> Row {
    Row {
        path: path.to_owned(),
        is_folder,
        item,
    }
}
