//! Replaces files in the workspace by links into the cache, or makes them anew as the settings say now.
//! Imports: `base`, `store`.
//!
//! Each file is built aside and renamed over the old one, so it is there in full at any instant.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use crate::base::fs::{Executable, LinkKind};
use crate::base::{ArtifactPath, ObjectId};

use super::Store;
use super::error::Error;
use super::materialise::LinkedFolders;
use super::snapshot::Present;
use super::tree::ListingEntry;

/// Which files are good as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Good {
    /// Links to the object, of either kind.
    AnyLink,
    /// Links of the kind that the settings name first.
    FirstKind,
}

impl Store {
    /// Makes every file at `path` what the settings ask for now: a link to the object, or a copy.
    /// Returns how many files are something else than before.
    ///
    /// # Errors
    /// A file cannot be replaced.
    pub fn relink_anew(&self, path: &ArtifactPath, present: &Present) -> Result<u64, Error> {
        match self.link_kinds.first() {
            Some(LinkKind::Hardlink | LinkKind::Symlink) => {
                self.relink(path, present, Good::FirstKind)
            }
            Some(LinkKind::Reflink | LinkKind::Copy) | None => self.unprotect(path),
        }
    }

    /// Replaces the files at `path` by hard or symbolic links, if the settings ask for them first.
    /// Returns how many files are something else than before.
    pub(super) fn relink(
        &self,
        path: &ArtifactPath,
        present: &Present,
        good: Good,
    ) -> Result<u64, Error> {
        let Some(first @ (LinkKind::Hardlink | LinkKind::Symlink)) = self.link_kinds.first() else {
            return Ok(0);
        };
        self.cache.make_durable()?;
        let target = path.under(&self.root);
        let relink = |entry: &ListingEntry, at: &Path| -> Result<u64, Error> {
            let object = self.cache.object_path(&ObjectId::File(entry.hash));
            let was = link_to(at, &object);
            let is_good = match good {
                Good::AnyLink => was.is_some(),
                Good::FirstKind => was == Some(*first),
            };
            if entry.exec == Executable::Yes || is_good {
                return Ok(0);
            }
            self.build(at, &|to| self.put(&entry.hash, entry.exec, to))?;
            // Where the file system has no such links, it is made as it was.
            Ok(u64::from(link_to(at, &object) != was))
        };
        let mut written = BTreeMap::new();
        let made = match &present.object {
            ObjectId::File(hash) => {
                written.insert(String::new(), *hash);
                let entry = ListingEntry {
                    path: String::new(),
                    hash: *hash,
                    size: Some(present.size),
                    exec: present.exec,
                };
                relink(&entry, &target)?
            }
            ObjectId::Tree(hash) => {
                let listing = self.cache.listing(hash)?;
                let entries = listing.entries();
                let linked = LinkedFolders::find(&target, entries.iter().map(|e| e.path.as_str()));
                written.extend(entries.iter().map(|e| (e.path.clone(), e.hash)));
                entries
                    .par_iter()
                    .filter(|entry| !linked.hold(&entry.path))
                    .map(|entry| relink(entry, &target.join(&entry.path)))
                    .try_reduce(|| 0, |a, b| Ok(a + b))?
            }
        };
        self.snapshots.record_written(path, &written)?;
        Ok(made)
    }
}

/// Returns by which kind of link `path` leads to `object`; `None` if it is a file of its own.
fn link_to(path: &Path, object: &Path) -> Option<LinkKind> {
    let is_same = matches!((inode(path), inode(object)), (Ok(a), Ok(b)) if a == b);
    is_same.then(|| {
        if path.is_symlink() {
            LinkKind::Symlink
        } else {
            LinkKind::Hardlink
        }
    })
}

/// Returns what tells a file apart from all others, links followed.
#[cfg(unix)]
fn inode(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|m| (m.dev(), m.ino()))
}
