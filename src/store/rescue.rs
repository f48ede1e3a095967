//! Links into the cache whose object was found damaged. Imports: `base`, `store`.
//!
//! Where files are symbolic links to objects, writing to one damages the object. When that is found
//! the object is moved to the cache's `corrupt` folder, and the link leads nowhere: what was written
//! would seem lost. It is copied to where the link stands. Killed meanwhile: the link or the copy
//! stands there, and the bytes stay in the `corrupt` folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::{self, ArtifactPath, fs};

use super::Store;
use super::cache::Cache;
use super::error::Error;

impl Store {
    /// Replaces each link at or below `path` whose object was found damaged by a copy of the damaged
    /// bytes; returns the paths of those. Links that lead somewhere are not touched.
    ///
    /// # Errors
    /// A folder cannot be read or a file not written.
    pub fn rescue(&self, path: &ArtifactPath) -> Result<Vec<String>, Error> {
        let mut rescued = Vec::new();
        for relative in links(&path.under(&self.root))? {
            let path = if relative.is_empty() {
                path.clone()
            } else {
                path.join(&relative)
            };
            let file = path.under(&self.root);
            if let Some(bytes) = damaged(&self.cache, &file) {
                self.build(&file, &|to| Self::copy(&bytes, fs::Executable::No, to))?;
                self.snapshots.forget(&path);
                rescued.push(path.to_string());
            }
        }
        Ok(rescued)
    }

    /// As `rescue`, but looks for damage first: for a command that might replace a damaged object by
    /// a good one, after which the link would show that, and an edit would be out of sight.
    ///
    /// # Errors
    /// As `rescue`; the cache cannot be read.
    pub fn rescue_edits(&self, path: &ArtifactPath) -> Result<Vec<String>, Error> {
        let top = path.under(&self.root);
        for relative in links(&top)? {
            let link = if relative.is_empty() {
                top.clone()
            } else {
                top.join(&relative)
            };
            let object = target_of(&link).and_then(|place| self.cache.object_at(&place));
            if let Some(object) = object {
                // Takes it out if it is damaged.
                self.cache.single(&object, None)?;
            }
        }
        self.rescue(path)
    }
}

/// Returns the symbolic links at or below `top`, relative to it; none is followed.
fn links(top: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(relative) = open.pop() {
        let at = if relative.is_empty() {
            top.to_owned()
        } else {
            top.join(&relative)
        };
        let Ok(metadata) = std::fs::symlink_metadata(&at) else {
            continue;
        };
        if metadata.is_symlink() {
            found.push(relative);
            continue;
        }
        if !metadata.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&at).map_err(base::Error::io("read folder", &at))? {
            let entry = entry.map_err(base::Error::io("read folder", &at))?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            // A name that is no text is in no listing.
            let (Ok(name), false) = (entry.file_name().into_string(), is_file) else {
                continue;
            };
            open.push(if relative.is_empty() {
                name
            } else {
                format!("{relative}/{name}")
            });
        }
    }
    found.sort();
    Ok(found)
}

/// Does the link `link` lead to an object that the cache does not have?
pub(super) fn is_lost(cache_dir: &Path, link: &Path) -> bool {
    let leads_into = |target: PathBuf| {
        target.starts_with(cache_dir)
            || cache_dir
                .canonicalize()
                .is_ok_and(|dir| target.starts_with(dir))
    };
    target_of(link).is_some_and(leads_into)
        && std::fs::metadata(link).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// Returns the damaged bytes of the object that `link` leads to, if they were taken out.
fn damaged(cache: &Cache, link: &Path) -> Option<PathBuf> {
    if !is_lost(cache.dir(), link) {
        return None;
    }
    cache.taken_out(&cache.object_at(&target_of(link)?)?)
}

fn target_of(link: &Path) -> Option<PathBuf> {
    let target = std::fs::read_link(link).ok()?;
    Some(link.parent()?.join(target))
}
