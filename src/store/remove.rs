//! Takes an output out of the workspace, after making sure that the cache has it. Imports: `base`,
//! `store`.
//!
//! A folder whose files are all tracked is renamed into `.cvops/tmp` and deleted there: at any
//! instant it is there in full or not at all. Ignored files in it are not in the cache, so they
//! stay, with the folders that hold them. A symbolic link is removed, not what it leads to.

use std::path::Path;

use crate::base::{self, ArtifactPath, ObjectId, fs};

use super::Store;
use super::error::Error;
use super::materialise::{
    LinkedFolders, OnConflict, is_there, remove_empty_folders, remove_folder_if_empty,
};
use super::snapshot::{Presence, Purpose, Snapshotter};
use super::tree::Listing;

/// What `remove` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What stood there.
    pub was: Presence,
    /// Its identity, if it was not in the cache and was saved first.
    pub saved: Option<ObjectId>,
}

impl Store {
    /// Removes what stands at `path`; nothing there is fine.
    ///
    /// # Errors
    /// It holds content that is not in the cache (`Refuse`), or a file operation failed.
    pub fn remove(&self, path: &ArtifactPath, on_conflict: OnConflict) -> Result<Removed, Error> {
        let target = path.under(&self.root);
        if on_conflict == OnConflict::Overwrite {
            if is_there(&target) {
                self.discard_aside(&target)?;
            }
            self.snapshots.forget(path);
            return Ok(Removed {
                was: Presence::Missing,
                saved: None,
            });
        }
        let scan = self.snapshots.scan(path, Purpose::Listing)?;
        let saved = match &scan.presence {
            Presence::Missing => None,
            Presence::Present(present) => self.secure(path, present, on_conflict)?,
        };
        match &scan.listing {
            Some(listing) if !target.is_symlink() => self.remove_folder(&target, listing)?,
            // A file, a link to a folder, or a link to nothing.
            Some(_) | None => {
                fs::remove_file(&target).map_err(base::Error::io("remove", &target))?;
            }
        }
        self.snapshots.forget(path);
        Ok(Removed {
            was: scan.presence,
            saved,
        })
    }

    fn remove_folder(&self, target: &Path, listing: &Listing) -> Result<(), Error> {
        if Snapshotter::untracked(target, listing)?.is_empty() {
            return self.discard_aside(target);
        }
        let names = listing.entries().iter().map(|e| e.path.as_str());
        let linked = LinkedFolders::find(target, names);
        linked.unlink()?;
        for entry in listing.entries().iter().filter(|e| !linked.hold(&e.path)) {
            let file = target.join(&entry.path);
            fs::remove_file(&file).map_err(base::Error::io("remove", &file))?;
        }
        remove_empty_folders(target, listing.entries().iter().map(|e| e.path.as_str()))?;
        remove_folder_if_empty(target).map_err(base::Error::io("remove", target))?;
        Ok(())
    }
}
