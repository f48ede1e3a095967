//! Finds the pointer files of a project, and its pipeline files on the way. Imports: base, project.
//!
//! A folder that a pointer beside it tracks is not entered: it may hold a million files, and none of
//! them is a pointer. The same holds for folders that git ignores, as in DVC, and for other projects
//! below this one.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use crate::base::{ArtifactPath, Error};
use crate::project::ignore::PathKind;
use crate::project::{GitRules, Ignore, Personality, Project, marks_root};

use super::{Pointer, parse};

/// Deepest folder that is looked into; deeper ones are loops of links.
const DEPTH_MAX: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The pointers, sorted by file.
    pub pointers: Vec<Pointer>,
    /// The pipeline files, sorted; in a cvops project only the root's counts.
    pub pipeline_files: Vec<ArtifactPath>,
    /// Pointers that cannot be read, and why.
    pub broken: Vec<(ArtifactPath, Error)>,
}

impl Found {
    /// Returns the pointer that tracks `path`, or a folder around it.
    #[must_use]
    pub fn around(&self, path: &ArtifactPath) -> Option<&Pointer> {
        self.pointers
            .iter()
            .find(|pointer| pointer.out_around(path).is_some())
    }
}

/// Finds and reads every pointer of `project`.
///
/// # Errors
/// A folder cannot be read. A broken pointer is no error here: what does not need it goes on.
pub fn find(project: &Project, ignore: &Ignore) -> Result<Found, Error> {
    find_around(project, ignore, &mut |_| Vec::new())
}

/// As `find`; `outs_of` is asked for the outputs of each pipeline file on the way, which are not
/// entered either: a stage may write a million files.
///
/// # Errors
/// As `find`.
pub fn find_around(
    project: &Project,
    ignore: &Ignore,
    outs_of: &mut dyn FnMut(&ArtifactPath) -> Vec<ArtifactPath>,
) -> Result<Found, Error> {
    let mut search = Search {
        root: &project.root,
        personality: &project.personality,
        ignore,
        git: GitRules::open(&project.root),
        outs_of,
        data: BTreeSet::new(),
        found: Found::default(),
    };
    search.folder("", 0)?;
    let mut found = search.found;
    found.pointers.sort_by(|a, b| a.file.cmp(&b.file));
    found.pipeline_files.sort();
    Ok(found)
}

struct Search<'p> {
    root: &'p Path,
    personality: &'p Personality,
    ignore: &'p Ignore,
    git: Option<GitRules>,
    outs_of: &'p mut dyn FnMut(&ArtifactPath) -> Vec<ArtifactPath>,
    /// What is tracked or written by a stage.
    data: BTreeSet<ArtifactPath>,
    found: Found,
}

impl Search<'_> {
    fn folder(&mut self, folder: &str, depth: usize) -> Result<(), Error> {
        let dir = self.root.join(folder);
        let (mut folders, mut pointers, mut pipelines) = (Vec::new(), Vec::new(), Vec::new());
        let listed = std::fs::read_dir(&dir).map_err(Error::io("read folder", &dir))?;
        for entry in listed {
            let entry = entry.map_err(Error::io("read folder", &dir))?;
            // What is not UTF-8 is neither a pointer nor a folder of ours.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if 0 < depth && marks_root(&dir, &name) {
                return Ok(());
            }
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            // Links to folders are not followed: what they lead to is found where it is.
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir {
                folders.push(path);
            } else if self.is_pointer(&path) && self.ignore.keeps(&path, PathKind::File) {
                pointers.push(path);
            } else if is_named(&path, self.personality.pipeline_file)
                && self.ignore.keeps(&path, PathKind::File)
            {
                pipelines.extend(path.parse::<ArtifactPath>());
            }
        }
        for file in pipelines {
            self.data.extend((self.outs_of)(&file));
            self.found.pipeline_files.push(file);
        }
        pointers.sort();
        for path in pointers {
            self.pointer(&path)?;
        }
        folders.sort();
        for path in folders {
            if depth < DEPTH_MAX && self.is_entered(&path) {
                self.folder(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn is_pointer(&self, path: &str) -> bool {
        let suffix = self.personality.pointer_suffix;
        let name = path.rsplit('/').next().unwrap_or(path);
        name.len() > suffix.len() && name.ends_with(suffix)
    }

    fn pointer(&mut self, path: &str) -> Result<(), Error> {
        let absolute = self.root.join(path);
        let Ok(file) = path.parse::<ArtifactPath>() else {
            return Ok(());
        };
        let text = match std::fs::read_to_string(&absolute) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("read", &absolute)(e)),
        };
        match parse(&file, text) {
            Ok(pointer) => {
                let outs = pointer.outs.iter().map(|out| out.path.clone());
                self.data.extend(outs);
                self.found.pointers.push(pointer);
            }
            Err(error) => self.found.broken.push((file, error)),
        }
        Ok(())
    }

    fn is_entered(&mut self, path: &str) -> bool {
        if !self.ignore.keeps(path, PathKind::Folder) {
            return false;
        }
        let Ok(folder) = path.parse::<ArtifactPath>() else {
            return false;
        };
        let dir = self.root.join(path);
        !self.data.contains(&folder)
            && !self.git.as_mut().is_some_and(|git| git.ignore_folder(&dir))
    }
}

fn is_named(path: &str, name: &str) -> bool {
    path == name
        || path
            .strip_suffix(name)
            .is_some_and(|head| head.ends_with('/'))
}
