//! Removes objects that nobody needs, from the cache or a remote. Imports: `base`,
//! `store::{cache, remote, tree}`.
//!
//! The caller says what is needed (folders with their members: `expand`); everything else that is an
//! object goes. Folder objects go before files, so that after a kill no folder object stands whose
//! members went. What was written since the sweep began stays: another process may be about to name
//! it. Files that are no objects are not touched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use rayon::prelude::*;

use crate::base::fs::fault;
use crate::base::hash::HashAlgo;
use crate::base::{self, Cancel, ObjectId, fs};

use super::cache::Cache;
use super::error::Error;
use super::remote::{Remote, is_leftover};
use super::verify;

/// What a sweep removes, or would.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Swept {
    /// Objects removed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that stay.
    pub kept: u64,
}

/// Does a sweep remove, or only count?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It removes.
    Remove,
    /// `--dry`.
    Count,
}

/// Something that may go.
struct Doomed<P> {
    object: ObjectId,
    place: P,
    bytes: u64,
}

/// Removes every object of `cache` that is not in `needed` and was there before `since`.
///
/// # Errors
/// The cache cannot be read or written, or the caller cancelled. What was removed was not needed.
pub fn sweep_cache(
    cache: &Cache,
    needed: &BTreeSet<ObjectId>,
    since: SystemTime,
    mode: Mode,
    cancel: &Cancel,
) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    let mut doomed: Vec<Doomed<PathBuf>> = Vec::new();
    for (object, path) in objects(cache)? {
        if needed.contains(&object) {
            swept.kept += 1;
            continue;
        }
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        // The times of a sealed object say nothing; when its inode last changed does.
        if verify::changed(&metadata).is_none_or(|changed| since <= changed) {
            swept.kept += 1;
            continue;
        }
        doomed.push(Doomed {
            object,
            place: path,
            bytes: metadata.len(),
        });
    }
    remove(doomed, mode, cancel, &mut swept, &|path| {
        fault::point("gc.remove").map_err(base::Error::io("remove", path))?;
        // Somebody may have written its name down since the look above, and touched it.
        let touched = std::fs::symlink_metadata(path)
            .ok()
            .and_then(|m| verify::changed(&m));
        if touched.is_some_and(|changed| since <= changed) {
            return Ok(());
        }
        Ok(fs::remove_file(path).map_err(base::Error::io("remove", path))?)
    })?;
    Ok(swept)
}

/// Removes every object of `remote` that is not in `needed` and was there before `since`, with what
/// broken-off uploads left behind. `cache` says how objects are named there.
///
/// # Errors
/// As `sweep_cache`, for the remote.
pub fn sweep_remote(
    remote: &Remote,
    cache: &Cache,
    needed: &BTreeSet<ObjectId>,
    since: SystemTime,
    mode: Mode,
    cancel: &Cancel,
) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    let mut doomed: Vec<Doomed<String>> = Vec::new();
    let mut leftovers = Vec::new();
    for folder in cache.listable() {
        let items = remote.service().list(&folder);
        for item in items.map_err(remote.failed("list"))? {
            let old = item.written.is_some_and(|written| written < since);
            if is_leftover(&item.key) && old {
                leftovers.push(item.key);
                continue;
            }
            let Some(object) = cache.object_of_key(&item.key) else {
                continue;
            };
            if needed.contains(&object) || !old {
                swept.kept += 1;
                continue;
            }
            doomed.push(Doomed {
                object,
                place: item.key,
                bytes: item.size,
            });
        }
    }
    let service = remote.service();
    let remove_one = |key: &String| service.remove(key).map_err(remote.failed("remove from"));
    if mode == Mode::Remove {
        for key in &leftovers {
            remove_one(key)?;
        }
    }
    remove(doomed, mode, cancel, &mut swept, &remove_one)?;
    Ok(swept)
}

/// Removes folder objects, then files, on all cores.
fn remove<P: Sync + Send>(
    doomed: Vec<Doomed<P>>,
    mode: Mode,
    cancel: &Cancel,
    swept: &mut Swept,
    one: &(dyn Fn(&P) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    swept.objects += doomed.len() as u64;
    swept.bytes += doomed.iter().map(|d| d.bytes).sum::<u64>();
    if mode == Mode::Count {
        return Ok(());
    }
    let (trees, files): (Vec<_>, Vec<_>) = doomed
        .into_iter()
        .partition(|d| matches!(d.object, ObjectId::Tree(_)));
    for group in [trees, files] {
        group.par_iter().try_for_each(|doomed| {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            one(&doomed.place)
        })?;
    }
    Ok(())
}

/// Returns `roots` with the members of all folders among them. Where the cache does not have a
/// folder's listing, `elsewhere` may; the second value is how many stay unknown.
///
/// # Errors
/// The cache cannot be read, or a listing is in an unknown form.
pub fn expand(
    cache: &Cache,
    roots: &BTreeSet<ObjectId>,
    elsewhere: Option<&super::Transfer<'_>>,
) -> Result<(BTreeSet<ObjectId>, usize), Error> {
    let mut needed = roots.clone();
    let mut unknown = 0;
    for root in roots {
        let ObjectId::Tree(hash) = root else {
            continue;
        };
        let listing = match (cache.listing(hash), elsewhere) {
            (Ok(listing), _) => Some(listing),
            (Err(Error::NotInCache { .. }), Some(transfer)) => transfer.listing(hash)?,
            (Err(Error::NotInCache { .. }), None) => None,
            (Err(error), _) => return Err(error),
        };
        match listing {
            Some(listing) => {
                needed.extend(listing.entries().iter().map(|e| ObjectId::File(e.hash)));
            }
            None => unknown += 1,
        }
    }
    Ok((needed, unknown))
}

/// Returns every object of `cache` with its file.
///
/// # Errors
/// The cache cannot be read.
pub fn objects(cache: &Cache) -> Result<Vec<(ObjectId, PathBuf)>, Error> {
    let mut found = Vec::new();
    for folder in cache.folders() {
        for prefix in verify::entries(&cache.dir().join(&folder))? {
            // DVC 2 kept objects beside other folders.
            let name = prefix.file_name();
            let is_prefix = name.to_str().is_some_and(|name| name.len() == 2);
            if !is_prefix || !prefix.path().is_dir() {
                continue;
            }
            for file in verify::entries(&prefix.path())? {
                if let Some(object) = verify::object_of(&prefix, &file) {
                    let is_legacy = folder.is_empty();
                    let object = if is_legacy { legacy(object) } else { object };
                    found.push((object, file.path()));
                }
            }
        }
    }
    Ok(found)
}

impl Cache {
    /// Returns the folders below the cache folder that hold prefix folders of objects; the empty one
    /// is the cache folder itself, where DVC 2 kept them.
    pub(crate) fn folders(&self) -> Vec<String> {
        let inside = self.objects_dir().strip_prefix(self.dir());
        let own = inside.map(|path| path.to_string_lossy().into_owned());
        let own = own.unwrap_or_default();
        match self.algo() {
            HashAlgo::Blake3 => vec![own],
            HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => vec![own, String::new()],
        }
    }

    /// Returns the folders of a remote that hold objects and nothing else.
    fn listable(&self) -> Vec<String> {
        let prefixes = (0..=255_u8).map(|prefix| format!("{prefix:02x}"));
        let folders = self.folders().into_iter();
        folders
            .flat_map(|folder| match folder.as_str() {
                "" => prefixes.clone().collect(),
                _ => vec![folder],
            })
            .collect()
    }

    /// Returns the object that has this name on remotes.
    #[must_use]
    pub fn object_of_key(&self, key: &str) -> Option<ObjectId> {
        let (folder, rest) = match key.rsplitn(3, '/').collect::<Vec<_>>()[..] {
            [file, prefix, folder] => (folder, (prefix, file)),
            [file, prefix] => ("", (prefix, file)),
            _ => return None,
        };
        let object: ObjectId = format!("{}{}", rest.0, rest.1).parse().ok()?;
        let object = if folder.is_empty() {
            legacy(object)
        } else {
            object
        };
        (self.key(&object) == key).then_some(object)
    }
}

/// Returns the object under the name that DVC gave it before version 3.
fn legacy(object: ObjectId) -> ObjectId {
    match object {
        ObjectId::File(hash) => ObjectId::File(hash.dos2unix()),
        ObjectId::Tree(hash) => ObjectId::Tree(hash.dos2unix()),
    }
}
