//! Turns links into the cache, and read-only files, into files that can be edited in place. Imports:
//! `base`, `store`.
//!
//! Each file is copied aside and renamed over the link, so it is there in full at any instant, and an
//! object is never opened for writing.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::Path;

use crate::base::fs::{LinkKind, fault, is_executable};
use crate::base::{self, ArtifactPath, ContentHash, fs};

use super::Store;
use super::error::Error;
use super::materialise::LinkedFolders;
use super::snapshot::{Presence, Purpose};
use super::stat::backdated;

impl Store {
    /// Makes every file at `path` one of its own that its owner may write; returns how many were not.
    ///
    /// # Errors
    /// There is nothing, or a file cannot be read or replaced.
    pub fn unprotect(&self, path: &ArtifactPath) -> Result<u64, Error> {
        let scan = self.snapshots.scan(path, Purpose::Listing)?;
        let target = path.under(&self.root);
        let mut written = BTreeMap::new();
        match (&scan.presence, &scan.listing) {
            (Presence::Missing, _) => {}
            (Presence::Present(present), None) => {
                if self.free(&target)? {
                    written.insert(String::new(), *present.object.hash());
                }
            }
            (Presence::Present(_), Some(listing)) => {
                let names = listing.entries().iter().map(|e| e.path.as_str());
                let linked = LinkedFolders::find(&target, names);
                for entry in listing.entries().iter().filter(|e| !linked.hold(&e.path)) {
                    if self.free(&target.join(&entry.path))? {
                        written.insert(entry.path.clone(), entry.hash);
                    }
                }
            }
        }
        self.note(path, &written)?;
        Ok(written.len() as u64)
    }

    fn note(
        &self,
        path: &ArtifactPath,
        written: &BTreeMap<String, ContentHash>,
    ) -> Result<(), Error> {
        if written.is_empty() {
            return Ok(());
        }
        self.snapshots.record_written(path, written)
    }

    /// Replaces one file by a copy if it shares its bytes with others or cannot be written.
    fn free(&self, file: &Path) -> Result<bool, Error> {
        let inspect = || base::Error::io("inspect", file);
        let own = std::fs::symlink_metadata(file).map_err(inspect())?;
        if !own.is_symlink() && !is_shared(&own) && !own.permissions().readonly() {
            return Ok(false);
        }
        // A link of the user's own to somewhere else is left alone.
        let Ok(real) = file.canonicalize() else {
            return Ok(false);
        };
        let cache = self.cache.dir().canonicalize();
        if own.is_symlink() && !cache.is_ok_and(|cache| real.starts_with(cache)) {
            return Ok(false);
        }
        let metadata = std::fs::metadata(&real).map_err(inspect())?;
        let exec = if is_executable(&metadata) {
            fs::Executable::Yes
        } else {
            fs::Executable::No
        };
        self.build(file, &|to| Self::copy(&real, exec, to))?;
        Ok(true)
    }

    /// Creates the file `to`, one of its own that its owner may write, with the bytes of `from`.
    pub(super) fn copy(from: &Path, exec: fs::Executable, to: &Path) -> Result<(), Error> {
        fs::place(from, to, &[LinkKind::Reflink, LinkKind::Copy])
            .map_err(base::Error::io("copy", to))?;
        fault::point("store.unprotect.mode")
            .and_then(|()| fs::set_writable(to))
            .and_then(|()| fs::set_executable(to, exec))
            .and_then(|()| File::open(to)?.set_modified(backdated()))
            .map_err(base::Error::io("set mode and time of", to))?;
        Ok(())
    }
}

#[cfg(unix)]
fn is_shared(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    1 < metadata.nlink()
}

#[cfg(not(unix))]
fn is_shared(_: &Metadata) -> bool {
    false
}
