//! `add --to-remote`: sends a file or folder to a remote and leaves a pointer to it; neither the cache
//! nor the workspace gets a copy. Imports: `base`, `project`, `store`, `pipeline`.
//!
//! **Order of work**: files, a sync at the other end, the listing of a folder, the pointer. Killed on the
//! way, the remote holds files that nobody names; the same command once more sends only the rest.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::fs::{Executable, is_executable, walk};
use crate::base::hash::{HashAlgo, hash_file};
use crate::base::{self, ArtifactPath, ContentHash, ObjectId};
use crate::pipeline::Pointer;
use crate::project::Ignore;
use crate::store::{self, Listing, ListingEntry, Presence, Present, Remote, TransferEvent};

use super::add::{Added, Change, Outcome, check_is_data, pointer_file, write};
use super::error::Error;
use super::sync::{Request, Sync};
use super::tracked::Tracked;

/// Sends `source` to the remote of `request` and writes a pointer that tracks it at `to`.
///
/// # Errors
/// `to` cannot be tracked, `source` cannot be read or changes meanwhile, or the remote cannot be used.
pub fn send(
    tracked: &mut Tracked<'_>,
    source: &Path,
    to: &ArtifactPath,
    sync: &Sync<'_>,
    request: &Request<'_>,
) -> Result<Outcome, Error> {
    check_is_data(tracked, &Ignore::of(tracked.project), to)?;
    let known = tracked
        .around(to)
        .filter(|(at, out)| tracked.pointers[*at].outs[*out].path == *to);
    tracked.check_free(to, known.map(|_| to))?;
    let file = pointer_file(tracked, to);
    if known.is_none() && file.under(tracked.root()).exists() {
        return Err(Error::InTheWay {
            path: file.as_str().into(),
        });
    }
    let (remote, _) = sync.open(None, request)?;
    let present = upload(tracked, source, sync, &remote)?;
    let at = if let Some((at, out)) = known {
        tracked.pointers[at].outs[out].recorded = Presence::Present(present);
        at
    } else {
        let pointer = Pointer::new(file, to.clone(), Presence::Present(present));
        tracked.pointers.push(pointer);
        tracked.pointers.len() - 1
    };
    let written = write(tracked, &[at])?;
    let mut outcome = written.outcome;
    outcome.added.push(Added {
        path: to.clone(),
        pointer: tracked.pointers[at].file.clone(),
        present,
        change: written.of.get(&at).copied().unwrap_or(Change::None),
        is_gone: false,
        damaged: Vec::new(),
    });
    Ok(outcome)
}

/// Sends everything that `source` holds; returns what it is.
fn upload(
    tracked: &Tracked<'_>,
    source: &Path,
    sync: &Sync<'_>,
    remote: &Remote,
) -> Result<Present, Error> {
    let metadata = std::fs::metadata(source).map_err(base::Error::io("open", source))?;
    if !metadata.is_dir() {
        sync.observer.notify(TransferEvent::Started { objects: 1 });
        let sent = upload_file(source, sync, remote)?;
        remote
            .service()
            .settle()
            .map_err(remote.failed("write to"))?;
        return Ok(Present {
            object: ObjectId::File(sent.hash),
            size: sent.size,
            files: None,
            exec: sent.exec,
        });
    }
    let fail = |(at, e): (PathBuf, std::io::Error)| base::Error::io("read", &at)(e);
    let files = walk(source, &|_, _| true).map_err(fail)?;
    let objects = files.len() as u64;
    sync.observer.notify(TransferEvent::Started { objects });
    let entries = files
        .par_iter()
        .map(|file| {
            let sent = upload_file(&source.join(&file.relative), sync, remote)?;
            Ok(ListingEntry {
                path: file.relative.clone(),
                hash: sent.hash,
                size: Some(sent.size),
                exec: sent.exec,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let size = entries.iter().filter_map(|entry| entry.size).sum();
    let listing = Listing::new(entries).map_err(|e| {
        let problem = std::io::Error::new(std::io::ErrorKind::InvalidData, e.to_string());
        base::Error::io("list", source)(problem)
    })?;
    // Where a folder object is, its members are for good.
    remote
        .service()
        .settle()
        .map_err(remote.failed("write to"))?;
    let cache = &tracked.store.cache;
    let object = cache.insert_listing(&listing)?;
    let sent = remote
        .service()
        .upload(&cache.object_path(&object), &cache.key(&object));
    sent.map_err(remote.failed("write to"))?;
    remote
        .service()
        .settle()
        .map_err(remote.failed("write to"))?;
    Ok(Present {
        object,
        size,
        files: Some(objects),
        exec: Executable::No,
    })
}

struct Sent {
    hash: ContentHash,
    size: u64,
    exec: Executable,
}

/// Sends one file, unless the remote has it. What was sent while somebody wrote to it is taken back.
fn upload_file(path: &Path, sync: &Sync<'_>, remote: &Remote) -> Result<Sent, Error> {
    if sync.cancel.is_requested() {
        return Err(store::Error::Cancelled.into());
    }
    let look = || std::fs::metadata(path).map_err(base::Error::io("inspect", path));
    let before = look()?;
    let algo = sync.cache.algo();
    let hash = hash_file(algo, path).map_err(base::Error::io("read", path))?;
    let keys = [sync.cache.key(&ObjectId::File(hash))];
    let there = remote.service().exists_many(&keys);
    let is_there = there.map_err(remote.failed("ask"))?.contains(&true);
    if !is_there {
        let sent = remote.service().upload(path, &keys[0]);
        sent.map_err(remote.failed("write to"))?;
    }
    let after = look()?;
    if before.len() != after.len() || before.modified().ok() != after.modified().ok() {
        if !is_there {
            let removed = remote.service().remove(&keys[0]);
            removed.map_err(remote.failed("remove from"))?;
        }
        return Err(Error::ChangedMeanwhile {
            path: path.to_owned(),
        });
    }
    let bytes = after.len();
    sync.observer.notify(TransferEvent::Moved { bytes });
    let exec = if is_executable(&after) && algo == HashAlgo::Blake3 {
        Executable::Yes
    } else {
        Executable::No
    };
    Ok(Sent {
        hash,
        size: bytes,
        exec,
    })
}
