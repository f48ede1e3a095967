//! What bytes are, by hash: the content-addressed cache, directory listings, the stat cache, and
//! moving objects between cache and workspace. Imports: `base`, `project`.
//!
//! Invariants: an object is visible only complete and verified (`cache`); content of the workspace
//! is overwritten or deleted only when the cache has it on disk (`materialise`); an unchanged file
//! is never read twice (`snapshot`, `state`). Nothing here knows stages, locks of stages or
//! pipeline files. Callers write down the name of an object only after `Store::make_durable`.

pub mod cache;
pub mod error;
pub mod gc;
pub mod legacy;
pub mod materialise;
mod members;
pub mod part;
mod relink;
pub mod remote;
pub mod remove;
mod rescue;
pub mod snapshot;
mod stat;
mod state;
pub mod transfer;
pub mod tree;
pub mod unprotect;
pub mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::fs::LinkKind;
use crate::base::{ArtifactPath, Cancel, ObjectId};
use crate::project::{Layout, Project, init};

pub use cache::{Cache, Held, Receiving};
pub use error::Error;
pub use materialise::{OnConflict, Placed};
pub use remote::Remote;
pub use remove::Removed;
pub use snapshot::{Presence, Present, Snapshotter, Stats};
pub use transfer::{Look, Moved, Standing, Transfer, TransferEvent};
pub use tree::{FileChange, Listing, ListingEntry, diff};
pub use verify::{Report, Sweep, VerifyEvent, verify};

use snapshot::Purpose;

/// Cache and workspace of one project; shared by all threads of a command.
#[derive(Debug)]
pub struct Store {
    /// The objects.
    pub cache: Arc<Cache>,
    /// The workspace.
    pub snapshots: Snapshotter,
    /// The workspace as DVC 2 hashed it; opens nothing until it is asked.
    legacy: Snapshotter,
    root: PathBuf,
    tmp: PathBuf,
    link_kinds: Vec<LinkKind>,
    /// Is what is learnt about the workspace worth remembering? Not in a work tree that is removed
    /// after use: its rows would replace those of the project.
    remembers: bool,
    layout: Layout,
}

impl Store {
    /// Opens the store of `project`; touches no file. Long work stops when `cancel` is requested.
    #[must_use]
    pub fn open(project: &Project, cancel: &Cancel) -> Self {
        Self {
            cache: Arc::new(Cache::open(project)),
            snapshots: Snapshotter::new(project, cancel),
            legacy: Snapshotter::legacy(project, cancel),
            root: project.root.clone(),
            tmp: project.layout.tmp(),
            link_kinds: project.config.link_kinds.clone(),
            remembers: !project.layout.is_work_tree(),
            layout: project.layout.clone(),
        }
    }

    /// Returns what stands at `path`.
    ///
    /// # Errors
    /// As `Snapshotter::snapshot`.
    pub fn snapshot(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        self.snapshots.snapshot(path)
    }

    /// Returns what stands at `path` by the hash of DVC 2, for pointers that it wrote.
    ///
    /// # Errors
    /// As `Snapshotter::snapshot`.
    pub fn snapshot_legacy(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        self.legacy.snapshot(path)
    }

    /// Returns the files of the folder at `path` by the hashes of DVC 2.
    ///
    /// # Errors
    /// As `Snapshotter::snapshot`.
    pub fn listing_legacy(&self, path: &ArtifactPath) -> Result<Option<Listing>, Error> {
        self.legacy.listing(path)
    }

    /// Puts what stands at `path` into the cache and returns its identity; bytes that are there
    /// already are not copied. Where hard or symbolic links are configured, the files at `path`
    /// become links. Durable after the next `make_durable`.
    ///
    /// # Errors
    /// It cannot be read, or the cache cannot be written.
    pub fn save(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        let presence = self.insert(path)?;
        if let Presence::Present(present) = presence {
            self.relink(path, &present, relink::Good::AnyLink)?;
        }
        Ok(presence)
    }

    /// As `save`, but the files at `path` stay what they are.
    ///
    /// # Errors
    /// As `save`.
    pub fn insert(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        let scan = self.snapshots.scan(path, Purpose::Store(&self.cache))?;
        // What is recorded from now on must not be short of a file by accident.
        match self.snapshots.lost_link(path) {
            Some(path) => Err(Error::LostLink { path }),
            None => Ok(scan.presence),
        }
    }

    /// Says whether `object` can be given back in full.
    ///
    /// # Errors
    /// As `Cache::contains`.
    pub fn contains(&self, object: &ObjectId) -> Result<Held, Error> {
        self.cache.contains(object)
    }

    /// Makes everything saved so far survive a power loss.
    ///
    /// # Errors
    /// As `Cache::make_durable`.
    pub fn make_durable(&self) -> Result<(), Error> {
        self.cache.make_durable()
    }

    /// Ends a command: looks again at paths that were too fresh to be remembered (21 ms at most)
    /// and writes the stat cache.
    pub fn finish(&self) {
        if self.remembers {
            for snapshots in [&self.snapshots, &self.legacy] {
                snapshots.settle();
                snapshots.flush();
            }
            // Looking may have been the first thing that was ever done here.
            if self.layout.state_db().exists()
                && let Err(error) = init::guard_state(&self.layout)
            {
                tracing::warn!(%error, "git may see the local state");
            }
        }
    }
}

#[cfg(test)]
mod tests;
