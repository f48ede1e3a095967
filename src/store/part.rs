//! Part of a folder that is tracked as a whole: stored or put back by itself. Imports: `base`, `store`.

use crate::base::fs::Executable;
use crate::base::{ArtifactPath, ObjectId};

use super::Store;
use super::error::Error;
use super::snapshot::{Presence, Present, Purpose};
use super::tree::{Listing, ListingEntry};

impl Store {
    /// Puts what stands at `part` into the cache and returns the folder `whole` (as recorded) with it
    /// in place of what was recorded there, or without it if nothing stands there. The other files of the folder are not looked at.
    ///
    /// # Errors
    /// The recorded listing is not in the cache, or the part cannot be read or stored.
    pub fn insert_part(
        &self,
        folder: &ArtifactPath,
        whole: &Present,
        part: &ArtifactPath,
    ) -> Result<Present, Error> {
        let old = self.cache.listing(whole.object.hash())?;
        let relative = relative(folder, part);
        let scan = self.snapshots.scan(part, Purpose::Files(&self.cache))?;
        // A link whose object was lost is no file that was removed.
        if let Some(path) = self.snapshots.lost_link(part) {
            return Err(Error::LostLink { path });
        }
        let mut entries: Vec<ListingEntry> = old
            .entries()
            .iter()
            .filter(|entry| !is_in(&entry.path, relative))
            .cloned()
            .collect();
        match (scan.presence, scan.listing) {
            (Presence::Missing, _) => {}
            (Presence::Present(present), None) => entries.push(ListingEntry {
                path: relative.to_owned(),
                hash: *present.object.hash(),
                size: Some(present.size),
                exec: present.exec,
            }),
            (Presence::Present(_), Some(listing)) => {
                entries.extend(listing.entries().iter().map(|entry| ListingEntry {
                    path: format!("{relative}/{}", entry.path),
                    ..entry.clone()
                }));
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let size = entries.iter().map(|entry| self.size_of(entry)).sum();
        let new = Listing::new(entries).map_err(|_| Error::InTheWay {
            path: folder.clone(),
            left: vec![relative.to_owned()],
        })?;
        Ok(Present {
            object: self.cache.insert_listing(&new)?,
            size,
            files: Some(new.files()),
            exec: Executable::No,
        })
    }

    /// Is anything recorded at `part` of the folder `whole`?
    ///
    /// # Errors
    /// The recorded listing is not in the cache.
    pub fn records_part(
        &self,
        folder: &ArtifactPath,
        whole: &Present,
        part: &ArtifactPath,
    ) -> Result<bool, Error> {
        let ObjectId::Tree(hash) = &whole.object else {
            return Ok(false);
        };
        let listing = self.cache.listing(hash)?;
        let relative = relative(folder, part);
        Ok(listing.entries().iter().any(|e| is_in(&e.path, relative)))
    }

    /// Returns what is recorded at `part` of the folder `whole`; `None` if nothing is. The listing of
    /// a folder inside it is put into the cache, so that it can be placed.
    ///
    /// # Errors
    /// The recorded listing is not in the cache.
    pub fn recorded_part(
        &self,
        folder: &ArtifactPath,
        whole: &Present,
        part: &ArtifactPath,
    ) -> Result<Option<Present>, Error> {
        let listing = self.cache.listing(whole.object.hash())?;
        let relative = relative(folder, part);
        if let Some(entry) = listing.get(relative) {
            return Ok(Some(Present {
                object: ObjectId::File(entry.hash),
                size: self.size_of(entry),
                files: None,
                exec: entry.exec,
            }));
        }
        let inside = listing.entries().iter().filter_map(|entry| {
            let path = entry.path.strip_prefix(relative)?.strip_prefix('/')?;
            Some(ListingEntry {
                path: path.to_owned(),
                ..entry.clone()
            })
        });
        let entries: Vec<ListingEntry> = inside.collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let size = entries.iter().map(|entry| self.size_of(entry)).sum();
        // Paths without their common beginning keep their order, and stay unique.
        let Ok(new) = Listing::new(entries) else {
            return Ok(None);
        };
        Ok(Some(Present {
            object: self.cache.insert_listing(&new)?,
            size,
            files: Some(new.files()),
            exec: Executable::No,
        }))
    }

    /// Returns the size of a file of a listing; what the listing does not say, the cache may.
    #[must_use]
    pub fn size_of(&self, entry: &ListingEntry) -> u64 {
        let known = || {
            let object = self.cache.object_path(&ObjectId::File(entry.hash));
            std::fs::metadata(object).map_or(0, |metadata| metadata.len())
        };
        entry.size.unwrap_or_else(known)
    }
}

fn relative<'p>(folder: &ArtifactPath, part: &'p ArtifactPath) -> &'p str {
    let inside = part.as_str().strip_prefix(folder.as_str());
    inside.map_or(part.as_str(), |inside| inside.trim_start_matches('/'))
}

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
