//! Reads the whole cache and takes out what is wrong. Imports: `base`, `store::{cache, tree}`.
//!
//! Every object is hashed whatever its stat says; corrupt ones are moved to `<cache>/corrupt/`, so
//! that no command uses them and a stage or remote can give them back. Then every listing is read
//! and its members are looked for. Files in the object folders that no object can have put there
//! are reported and left alone. With the exclusive project lock held, leftovers of killed processes
//! are removed as well. Killed meanwhile: each step stands for itself; run it again.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use crate::base::fs::is_temp_name;
use crate::base::{self, Cancel, ObjectId, Observer, fs};
use crate::project::Project;

use super::cache::{Cache, Single};
use super::error::Error;

/// A cache outside the project may be in use by other projects, whose locks nobody here holds:
/// their temporary files are left alone for so long.
const SHARED_AGE_MIN: Duration = Duration::from_hours(24);

/// What becomes of temporary files.
#[derive(Clone, Copy, Debug)]
pub enum Sweep<'p> {
    /// They stay: other commands may be at work.
    Keep,
    /// The caller has held the exclusive lock of `project` since `since`: older ones are leftovers.
    Before {
        /// The project whose `tmp` folder is swept too.
        project: &'p Project,
        /// When the lock was taken.
        since: SystemTime,
    },
}

/// What happens while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyEvent {
    /// The objects were counted.
    Started {
        /// How many there are.
        objects: u64,
    },
    /// An object was hashed.
    Checked {
        /// Its size.
        bytes: u64,
    },
    /// An object was corrupt and has been moved away.
    Corrupt(ObjectId),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Report {
    /// Objects hashed.
    pub checked: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were corrupt, sorted; they lie in the `corrupt` folder now.
    pub corrupt: Vec<ObjectId>,
    /// Listings that cannot be given back in full, with the members that are not there; sorted.
    pub incomplete: Vec<(ObjectId, Vec<ObjectId>)>,
    /// Listings in a form this version does not read, sorted.
    pub unreadable: Vec<ObjectId>,
    /// Files in the object folders that are no objects, sorted; left alone.
    pub foreign: Vec<PathBuf>,
    /// Leftovers of killed processes that were removed.
    pub temporary_removed: u64,
}

impl Report {
    /// Is the cache as it should be?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.corrupt.is_empty() && self.incomplete.is_empty() && self.unreadable.is_empty()
    }
}

/// Verifies every object of `cache`, on all cores.
///
/// # Errors
/// The cache cannot be read, a corrupt object cannot be moved away, or the caller cancelled.
pub fn verify(
    cache: &Cache,
    sweep: Sweep,
    cancel: &Cancel,
    observer: &dyn Observer<VerifyEvent>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut objects = Vec::new();
    for folder in entries(cache.objects_dir())? {
        if !folder.path().is_dir() {
            report.foreign.push(folder.path());
            continue;
        }
        for file in entries(&folder.path())? {
            match object_of(&folder, &file) {
                Some(object) => objects.push(object),
                None => report.foreign.push(file.path()),
            }
        }
    }
    report.foreign.sort();
    objects.sort_unstable();
    observer.notify(VerifyEvent::Started {
        objects: objects.len() as u64,
    });
    let checked: Vec<(ObjectId, Single, u64)> = objects
        .par_iter()
        .map(|object| {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            let bytes = std::fs::metadata(cache.object_path(object)).map_or(0, |m| m.len());
            let state = cache.recheck(object)?;
            observer.notify(match state {
                Single::Good | Single::Missing => VerifyEvent::Checked { bytes },
                Single::Corrupt => VerifyEvent::Corrupt(*object),
            });
            Ok((*object, state, bytes))
        })
        .collect::<Result<_, Error>>()?;
    let mut good = BTreeSet::new();
    for (object, state, bytes) in checked {
        match state {
            Single::Good => {
                good.insert(object);
            }
            Single::Corrupt => report.corrupt.push(object),
            // Removed by another command since it was counted.
            Single::Missing => continue,
        }
        report.checked += 1;
        report.bytes += bytes;
    }
    for object in &good {
        let ObjectId::Tree(hash) = object else {
            continue;
        };
        match cache.listing(hash) {
            Ok(listing) => {
                let members = listing.entries().iter().map(|e| ObjectId::File(e.hash));
                let missing: BTreeSet<ObjectId> = members.filter(|m| !good.contains(m)).collect();
                if !missing.is_empty() {
                    report
                        .incomplete
                        .push((*object, missing.into_iter().collect()));
                }
            }
            Err(Error::Listing { .. }) => report.unreadable.push(*object),
            Err(error) => return Err(error),
        }
    }
    if let Sweep::Before { project, since } = sweep {
        report.temporary_removed = sweep_leftovers(cache, project, since)?;
    }
    Ok(report)
}

/// Removes temporary files and folders that were last changed before `since`.
fn sweep_leftovers(cache: &Cache, project: &Project, since: SystemTime) -> Result<u64, Error> {
    let shared = !cache.dir().starts_with(&project.root);
    let in_cache = if shared {
        since - SHARED_AGE_MIN
    } else {
        since
    };
    let mut removed = 0;
    for (dir, before) in [
        (cache.staging_dir(), in_cache),
        (&project.layout.tmp(), since),
    ] {
        for entry in entries(dir)? {
            let path = entry.path();
            let ours = entry.file_name().to_str().is_some_and(is_temp_name);
            let age = std::fs::symlink_metadata(&path);
            let old = age.is_ok_and(|metadata| {
                // The time of a sealed object that was not renamed yet is no age.
                changed(&metadata).is_some_and(|time| time < before)
            });
            if !(ours && old) {
                continue;
            }
            let result = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            result.map_err(base::Error::io("remove", &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(unix)]
pub(super) fn changed(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

#[cfg(not(unix))]
pub(super) fn changed(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    metadata.created().ok()
}

/// Returns the entries of a folder; none if it does not exist.
pub(super) fn entries(dir: &Path) -> Result<Vec<DirEntry>, Error> {
    let read = match std::fs::read_dir(dir) {
        Ok(read) => read,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(base::Error::io("read", dir)(e).into()),
    };
    let all: Result<Vec<_>, _> = read.collect();
    Ok(all.map_err(base::Error::io("read", dir))?)
}

/// Returns the object that the file `file` in the prefix folder `folder` is named after.
pub(super) fn object_of(folder: &DirEntry, file: &DirEntry) -> Option<ObjectId> {
    let (prefix, rest) = (folder.file_name(), file.file_name());
    let (prefix, rest) = (prefix.to_str()?, rest.to_str()?);
    if prefix.len() != 2 {
        return None;
    }
    format!("{prefix}{rest}").parse().ok()
}
