//! Objects as DVC kept them before version 3, stored under their names of today. Imports: `base`,
//! `store::{cache, gc, tree}`.
//!
//! The old name is a hash with the line ends of text files made equal, the new one a hash of the
//! bytes. Both names stay valid: old commits know the old one. Where the file system can, they are
//! links to the same bytes, which nobody may write.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::base::fs::{LinkKind, fault};
use crate::base::hash::{HashAlgo, hash_file};
use crate::base::{self, Cancel, ContentHash, ObjectId, fs};

use super::cache::{Cache, Single};
use super::error::Error;
use super::gc::{Mode, objects};
use super::tree::{Listing, ListingEntry};

/// What was found in the old layout.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Renamed {
    /// Objects in the old layout.
    pub found: u64,
    /// Those that were stored under a new name.
    pub stored: u64,
    /// Those whose bytes are not what their old name says; they were moved to `corrupt`.
    pub damaged: Vec<ObjectId>,
}

/// Stores every object of the old layout of `cache` under its name of today. Durable when it
/// returns; killed meanwhile, the next call does the rest.
///
/// # Errors
/// The cache cannot be read or written, or the caller cancelled.
pub fn rename_legacy(cache: &Cache, mode: Mode, cancel: &Cancel) -> Result<Renamed, Error> {
    let old: Vec<ObjectId> = objects(cache)?
        .into_iter()
        .map(|(object, _)| object)
        .filter(|object| object.hash().algo() == HashAlgo::Md5Dos2Unix)
        .collect();
    let mut renamed = Renamed {
        found: old.len() as u64,
        ..Renamed::default()
    };
    if mode == Mode::Count {
        return Ok(renamed);
    }
    let (trees, files): (Vec<ObjectId>, Vec<ObjectId>) = old
        .into_iter()
        .partition(|object| matches!(object, ObjectId::Tree(_)));
    let done: Vec<(ObjectId, Option<(ContentHash, bool)>)> = files
        .par_iter()
        .map(|object| {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            Ok((*object, file(cache, object)?))
        })
        .collect::<Result<_, Error>>()?;
    let mut names: BTreeMap<ContentHash, ContentHash> = BTreeMap::new();
    for (object, result) in done {
        match result {
            None => renamed.damaged.push(object),
            Some((name, is_new)) => {
                names.insert(*object.hash(), name);
                renamed.stored += u64::from(is_new);
            }
        }
    }
    for tree in trees {
        let listing = match cache.listing(tree.hash()) {
            Ok(listing) => listing,
            Err(Error::NotInCache { .. }) => {
                renamed.damaged.push(tree);
                continue;
            }
            Err(error) => return Err(error),
        };
        let entries = listing.entries().iter().map(|entry| ListingEntry {
            // A file that is not here is called as if it were no text.
            hash: names
                .get(&entry.hash)
                .copied()
                .unwrap_or_else(|| as_bytes(entry.hash)),
            ..entry.clone()
        });
        let listing = Listing::new(entries.collect()).map_err(|e| Error::Listing {
            hash: *tree.hash(),
            problem: e.to_string(),
        })?;
        let before = cache.single(&listing.id(cache.algo()), None)?;
        cache.insert_listing(&listing)?;
        renamed.stored += u64::from(before != Single::Good);
    }
    cache.make_durable()?;
    Ok(renamed)
}

/// Stores one file; returns its new name and whether it was not there, or nothing if it is damaged.
fn file(cache: &Cache, object: &ObjectId) -> Result<Option<(ContentHash, bool)>, Error> {
    if cache.recheck(object)? != Single::Good {
        return Ok(None);
    }
    let path = cache.object_path(object);
    let hash = hash_file(cache.algo(), &path).map_err(base::Error::io("read", &path))?;
    let new = ObjectId::File(hash);
    if cache.single(&new, None)? == Single::Good {
        return Ok(Some((hash, false)));
    }
    let temp = cache.incoming()?;
    fault::point("store.legacy.place").map_err(base::Error::io("copy", &path))?;
    let kinds = [LinkKind::Hardlink, LinkKind::Reflink, LinkKind::Copy];
    fs::place(&path, temp.path(), &kinds).map_err(base::Error::io("copy", &path))?;
    Ok(cache.adopt(&new, &temp)?.map(|_| (hash, true)))
}

/// Returns the hash of the same digits, taken over the bytes as they are.
fn as_bytes(hash: ContentHash) -> ContentHash {
    match hash {
        ContentHash::Md5Dos2Unix(digits) => ContentHash::Md5(digits),
        other => other,
    }
}
