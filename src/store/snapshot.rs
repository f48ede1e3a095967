//! What stands at a path now: the identity of a file or folder, through the stat cache.
//! Imports: `base`, `project`, `store::{cache, members, state, stat, tree}`.
//!
//! An unchanged file costs one stat, an unchanged folder one stat per file; only what changed is
//! read, on all cores. Symbolic links are followed, to files and to folders; a loop of links is an
//! error, and so are fifos, sockets and devices. Ignore rules apply below the path, not to the path
//! itself: a path that a stage names is meant.
//!
//! **Files that change meanwhile.** A file is stat'ed before and after it is read; if the two
//! differ, the whole path is looked at again, a few times, then it is an error. A hash is remembered
//! only for a settled stat (`store::stat`). A path written a moment ago is therefore hashed at once,
//! and once more in `settle` at the end of the command, if it is small; a large one is waited for
//! (21 ms at most) before it is read. So the next command finds everything remembered, but for a few
//! fresh files of a large folder: hashing those costs it less than looking at all files again here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

use crate::base::canon::Canon;
use crate::base::fs::{self, Executable, is_executable, is_temp_name, walk, walk_with};
use crate::base::hash::{HashAlgo, hash_file};
use crate::base::{self, ArtifactPath, Cancel, ContentHash, ObjectId};
use crate::project::ignore::PathKind;
use crate::project::{Ignore, Project};

use super::cache::{Cache, Single};
use super::error::Error;
use super::members::Members;
use super::rescue::is_lost;
use super::stat::{SETTLE_WAIT, Stat, now_ns};
use super::state::{State, TreeRow};
use super::tree::{Listing, ListingEntry};

/// How often a path that changes while it is read is looked at.
const ATTEMPTS_MAX: u32 = 4;
/// Up to this many freshly written bytes are hashed twice rather than waited for.
const HASHED_TWICE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A folder is looked at again for its fresh files if they are more than this many …
const FRESH_LEFT_MAX: usize = 1000;
/// … or more than one in this many.
const FRESH_LEFT_SHARE: usize = 100;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing (or a symbolic link to nothing).
    Missing,
    /// A file or folder.
    Present(Present),
}

/// A file or folder. Two are equal if their content is: in DVC repositories the execute bit is noted
/// and does not count, as in DVC; elsewhere it counts.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// Its identity.
    pub object: ObjectId,
    /// Its size in bytes; for a folder the sum over its files.
    pub size: u64,
    /// The number of files of a folder.
    pub files: Option<u64>,
    /// May the owner execute it? Always `No` for a folder, whose listing says it per file.
    pub exec: Executable,
}

impl PartialEq for Present {
    fn eq(&self, other: &Self) -> bool {
        // Size and number of files follow from the identity.
        let exec_counts = self.object.hash().algo() == HashAlgo::Blake3;
        self.object == other.object && (!exec_counts || self.exec == other.exec)
    }
}

impl Eq for Present {}

impl Presence {
    /// Returns the identity of what is there.
    #[must_use]
    pub fn object(&self) -> Option<ObjectId> {
        match self {
            Self::Missing => None,
            Self::Present(present) => Some(present.object),
        }
    }
}

/// How much work was done since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Files looked at.
    pub files_stated: u64,
    /// Files read.
    pub files_hashed: u64,
    /// Bytes read.
    pub bytes_hashed: u64,
}

/// Takes snapshots of one project's workspace; shared by all threads of a command.
#[derive(Debug)]
pub struct Snapshotter {
    root: PathBuf,
    ignore: Ignore,
    cancel: Cancel,
    algo: HashAlgo,
    state: State,
    /// Paths with files that were too fresh to be remembered, and when they were looked at.
    unsettled: Mutex<BTreeMap<ArtifactPath, Instant>>,
    cache_dir: PathBuf,
    /// Links that lead to objects which the cache does not have.
    lost: Mutex<BTreeSet<PathBuf>>,
    files_stated: AtomicU64,
    files_hashed: AtomicU64,
    bytes_hashed: AtomicU64,
}

/// What is kept of a file's metadata: there may be a million files.
#[derive(Debug)]
struct Seen {
    stat: Stat,
    is_file: bool,
    exec: Executable,
}

type Entry = fs::Entry<Seen>;

impl Seen {
    #[expect(clippy::needless_pass_by_value, reason = "as the walk hands it out")]
    fn of(metadata: Metadata) -> Self {
        Self {
            stat: Stat::of(&metadata),
            is_file: metadata.is_file(),
            exec: executable(&metadata),
        }
    }
}

/// What a folder was found to be.
struct Remembered {
    listing: Listing,
    object: ObjectId,
    /// The length of the listing's text.
    len: u64,
}

/// What a scan is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'c> {
    /// The identity.
    Identity,
    /// The identity, and the listing of a folder even if its fingerprint is known.
    Listing,
    /// The identity, with every byte in the cache.
    Store(&'c Cache),
    /// The identity and the listing of a folder, with the bytes of its files in the cache.
    Files(&'c Cache),
}

/// The result of a scan; the listing is there if the purpose asked for it or it had to be built.
pub(crate) struct Scan {
    pub(crate) presence: Presence,
    pub(crate) listing: Option<Listing>,
}

impl Snapshotter {
    /// Returns a snapshotter for `project`; touches no file. Hashing stops when `cancel` is
    /// requested.
    #[must_use]
    pub fn new(project: &Project, cancel: &Cancel) -> Self {
        Self {
            root: project.root.clone(),
            ignore: Ignore::of(project),
            cancel: cancel.clone(),
            algo: project.personality.hash,
            state: State::new(project.layout.state_db(), project.personality.hash),
            unsettled: Mutex::default(),
            cache_dir: project.config.cache_dir.clone(),
            lost: Mutex::default(),
            files_stated: AtomicU64::new(0),
            files_hashed: AtomicU64::new(0),
            bytes_hashed: AtomicU64::new(0),
        }
    }

    /// Returns a snapshotter that hashes as DVC did before version 3, and remembers it apart.
    #[must_use]
    pub(super) fn legacy(project: &Project, cancel: &Cancel) -> Self {
        let algo = HashAlgo::Md5Dos2Unix;
        let state = project.layout.state_db().with_extension("legacy.db");
        Self {
            algo,
            state: State::new(state, algo),
            ..Self::new(project, cancel)
        }
    }

    /// Returns what stands at `path`.
    ///
    /// # Errors
    /// It cannot be read, is neither file nor folder, keeps changing, or the caller cancelled.
    pub fn snapshot(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        Ok(self.scan(path, Purpose::Identity)?.presence)
    }

    /// Returns the files of the folder at `path`, `None` if there is no folder.
    ///
    /// # Errors
    /// As `snapshot`.
    pub fn listing(&self, path: &ArtifactPath) -> Result<Option<Listing>, Error> {
        Ok(self.scan(path, Purpose::Listing)?.listing)
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            files_stated: self.files_stated.load(Ordering::Relaxed),
            files_hashed: self.files_hashed.load(Ordering::Relaxed),
            bytes_hashed: self.bytes_hashed.load(Ordering::Relaxed),
        }
    }

    /// Looks again at paths that were too fresh to be remembered, after the moment it takes.
    pub fn settle(&self) {
        let paths = std::mem::take(&mut *self.unsettled());
        let Some(latest) = paths.values().max() else {
            return;
        };
        std::thread::sleep(SETTLE_WAIT.saturating_sub(latest.elapsed()));
        for path in paths.keys() {
            if let Err(error) = self.snapshot(path) {
                tracing::debug!(%error, %path, "a fresh path could not be looked at again");
            }
        }
    }

    /// Writes what was learnt to the stat cache.
    pub fn flush(&self) {
        self.state.flush();
    }

    pub(crate) fn scan(&self, path: &ArtifactPath, purpose: Purpose) -> Result<Scan, Error> {
        let absolute = path.under(&self.root);
        for attempt in 0..ATTEMPTS_MAX {
            if let Some(scan) = self.look(path, &absolute, purpose, attempt)? {
                return Ok(scan);
            }
        }
        Err(Error::Changing { path: absolute })
    }

    /// Remembers what was just written to `path`: for each file (by its path in the folder; empty
    /// for a single file) the hash of its bytes. Files that were not written keep what is known.
    pub(crate) fn record_written(
        &self,
        path: &ArtifactPath,
        written: &BTreeMap<String, ContentHash>,
    ) -> Result<(), Error> {
        let absolute = path.under(&self.root);
        let now = now_ns();
        let metadata =
            std::fs::metadata(&absolute).map_err(base::Error::io("inspect", &absolute))?;
        if !metadata.is_dir() {
            let stat = Stat::of(&metadata);
            if let (Some(hash), true) = (written.get(""), stat.is_settled(now)) {
                self.state.record_file(path.as_str(), stat, *hash);
            }
            return Ok(());
        }
        let Some(entries) = self.walk(path, &absolute)? else {
            return Ok(());
        };
        let known = self.state.members(path.as_str());
        let hashes = entries
            .iter()
            .map(|entry| {
                let before = || {
                    let known = known.get(&entry.relative);
                    known.filter(|(stat, _)| *stat == entry.metadata.stat)
                };
                let written = written.get(&entry.relative).copied();
                written.or_else(|| before().map(|(_, hash)| hash))
            })
            .collect();
        drop(known);
        self.remember(path, &absolute, entries, hashes, now)
            .map(drop)
    }

    /// Forgets what stood at `path`.
    pub(crate) fn forget(&self, path: &ArtifactPath) {
        self.state.forget(path.as_str());
        self.unsettled().remove(path);
    }

    /// One look at a path; `None` if it changed meanwhile.
    fn look(
        &self,
        path: &ArtifactPath,
        absolute: &Path,
        purpose: Purpose,
        attempt: u32,
    ) -> Result<Option<Scan>, Error> {
        let now = now_ns();
        let metadata = match std::fs::metadata(absolute) {
            Ok(metadata) => metadata,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.forget(path);
                if absolute.is_symlink() && is_lost(&self.cache_dir, absolute) {
                    self.lost().insert(absolute.to_owned());
                }
                return Ok(Some(Scan {
                    presence: Presence::Missing,
                    listing: None,
                }));
            }
            Err(e) => return Err(base::Error::io("inspect", absolute)(e).into()),
        };
        if metadata.is_dir() {
            self.folder(path, absolute, purpose, attempt, now)
        } else {
            check_kind(absolute, &metadata)?;
            let present = self.file(path, absolute, &metadata, purpose, attempt, now)?;
            Ok(present.map(|present| Scan {
                presence: Presence::Present(present),
                listing: None,
            }))
        }
    }

    fn file(
        &self,
        path: &ArtifactPath,
        absolute: &Path,
        metadata: &Metadata,
        purpose: Purpose,
        attempt: u32,
        now: i64,
    ) -> Result<Option<Present>, Error> {
        self.files_stated.fetch_add(1, Ordering::Relaxed);
        let stat = Stat::of(metadata);
        let present = |hash| Present {
            object: ObjectId::File(hash),
            size: stat.size,
            files: None,
            exec: executable(metadata),
        };
        if let Some(hash) = self.state.file(path.as_str(), &stat)
            && purpose.is_served_by(hash, stat.size)?
        {
            return Ok(Some(present(hash)));
        }
        let settled = stat.is_settled(now);
        if !settled && attempt == 0 && HASHED_TWICE_BYTES_MAX < stat.size {
            std::thread::sleep(SETTLE_WAIT);
            return Ok(None);
        }
        let Some(hash) = self.read(absolute, &stat, purpose)? else {
            return Ok(None);
        };
        if settled {
            self.state.record_file(path.as_str(), stat, hash);
        } else {
            self.unsettled().insert(path.clone(), Instant::now());
        }
        Ok(Some(present(hash)))
    }

    fn folder(
        &self,
        path: &ArtifactPath,
        absolute: &Path,
        purpose: Purpose,
        attempt: u32,
        now: i64,
    ) -> Result<Option<Scan>, Error> {
        let Some(entries) = self.walk(path, absolute)? else {
            return Ok(None);
        };
        self.files_stated
            .fetch_add(entries.len() as u64, Ordering::Relaxed);
        if let Some(row) = self.state.tree(path.as_str(), &fingerprint(&entries, 0)) {
            let enough = match purpose {
                Purpose::Identity => true,
                Purpose::Listing | Purpose::Files(_) => false,
                Purpose::Store(cache) => cache.named(&row.tree)?.is_some(),
            };
            if enough {
                return Ok(Some(Scan {
                    presence: row.presence(),
                    listing: None,
                }));
            }
        }
        // What was stored of the folder before need not be looked for file by file.
        let stored = match (purpose, self.state.last_tree(path.as_str())) {
            (Purpose::Store(cache) | Purpose::Files(cache), Some(row)) => cache.named(&row.tree)?,
            (Purpose::Store(_) | Purpose::Files(_), None)
            | (Purpose::Identity | Purpose::Listing, _) => None,
        };
        let is_stored = |entry: &Entry, hash: ContentHash| {
            let before = stored.as_ref().and_then(|old| old.get(&entry.relative));
            before.is_some_and(|before| before.hash == hash)
        };
        let known = self.state.members(path.as_str());
        let is_known = |entry: &Entry| {
            known
                .get(&entry.relative)
                .is_some_and(|(stat, _)| stat == entry.metadata.stat)
        };
        let fresh_bytes: u64 = entries
            .iter()
            .filter(|e| !is_known(e) && !e.metadata.stat.is_settled(now))
            .map(|e| e.metadata.stat.size)
            .sum();
        if attempt == 0 && HASHED_TWICE_BYTES_MAX < fresh_bytes {
            std::thread::sleep(SETTLE_WAIT);
            return Ok(None);
        }
        let hashes: Vec<Option<ContentHash>> = entries
            .par_iter()
            .with_min_len(16)
            .map(|entry| {
                let stat = entry.metadata.stat;
                match known.get(&entry.relative) {
                    Some((known, hash))
                        if known == stat
                            && (is_stored(entry, hash)
                                || purpose.is_served_by(hash, stat.size)?) =>
                    {
                        Ok(Some(hash))
                    }
                    Some(_) | None => self.read(&absolute.join(&entry.relative), &stat, purpose),
                }
            })
            .collect::<Result<_, Error>>()?;
        // There may be a million files: what is not needed any more goes first.
        drop((known, stored));
        let size = sizes(&entries);
        let Some(Remembered {
            listing,
            object,
            len,
        }) = self.remember(path, absolute, entries, hashes, now)?
        else {
            return Ok(None);
        };
        if let Purpose::Store(cache) = purpose {
            cache.insert_tree(&object, len, &listing)?;
        }
        let presence = Presence::Present(Present {
            object,
            size,
            files: Some(listing.files()),
            exec: Executable::No,
        });
        Ok(Some(Scan {
            presence,
            listing: Some(listing),
        }))
    }

    /// Returns what a listing says of a file's execute bit; DVC's say nothing.
    fn recorded(&self, exec: Executable) -> Executable {
        match self.algo {
            HashAlgo::Blake3 => exec,
            HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => Executable::No,
        }
    }

    /// Records the settled files of a folder, and the folder if all are; returns what it is if every
    /// file has a hash.
    fn remember(
        &self,
        path: &ArtifactPath,
        absolute: &Path,
        entries: Vec<Entry>,
        hashes: Vec<Option<ContentHash>>,
        now: i64,
    ) -> Result<Option<Remembered>, Error> {
        let mut members = Members::new(self.algo);
        let path_bytes = entries.iter().map(|entry| entry.relative.len()).sum();
        members.reserve(entries.len(), path_bytes);
        for (entry, hash) in entries.iter().zip(&hashes) {
            let stat = entry.metadata.stat;
            if let (Some(hash), true) = (hash, stat.is_settled(now)) {
                members.push(&entry.relative, stat, *hash);
            }
        }
        if hashes.contains(&None) {
            // Changed meanwhile; the next look need not read the others again.
            self.state.record_tree(path.as_str(), None, members);
            return Ok(None);
        }
        let fresh = entries.len() - members.len();
        let (fingerprint, size) = (fingerprint(&entries, fresh), sizes(&entries));
        let files = entries.into_iter().zip(hashes).filter_map(|(entry, hash)| {
            Some(ListingEntry {
                path: entry.relative,
                hash: hash?,
                size: Some(entry.metadata.stat.size),
                exec: self.recorded(entry.metadata.exec),
            })
        });
        // The walk sorts, a folder's names are unique, and `check_name` has looked at them.
        let listing = Listing::new(files.collect()).map_err(|_| Error::UntrackableName {
            path: absolute.to_owned(),
        })?;
        let (object, len) = listing.id_and_len(self.algo);
        let row = TreeRow {
            fingerprint,
            tree: *object.hash(),
            size,
            files: listing.files(),
        };
        let is_left = fresh <= FRESH_LEFT_MAX && fresh * FRESH_LEFT_SHARE <= row.files as usize;
        self.state.record_tree(path.as_str(), Some(row), members);
        if 0 < fresh && !is_left {
            self.unsettled().insert(path.clone(), Instant::now());
        }
        Ok(Some(Remembered {
            listing,
            object,
            len,
        }))
    }

    /// Returns the tracked files below `path`, `None` if one vanished meanwhile.
    fn walk(&self, path: &ArtifactPath, absolute: &Path) -> Result<Option<Vec<Entry>>, Error> {
        let keep = |relative: &str, is_dir: bool| {
            let kind = if is_dir {
                PathKind::Folder
            } else {
                PathKind::File
            };
            // DVC leaves out folders behind links.
            let is_dvc = self.algo != HashAlgo::Blake3;
            !(is_dvc && is_dir && absolute.join(relative).is_symlink())
                && self.ignore.keeps(path.join(relative).as_str(), kind)
        };
        let walked = match walk_with(absolute, &keep, &Seen::of) {
            Err((at, e)) if e.kind() == ErrorKind::NotFound && is_lost(&self.cache_dir, &at) => {
                // Its file is missing, as that of a lone link is.
                let keep = |relative: &str, is_dir: bool| {
                    let at = absolute.join(relative);
                    let is_lost = !is_dir && at.is_symlink() && is_lost(&self.cache_dir, &at);
                    if is_lost {
                        self.lost().insert(at);
                    }
                    !is_lost && keep(relative, is_dir)
                };
                walk_with(absolute, &keep, &Seen::of)
            }
            walked => walked,
        };
        let entries = match walked {
            Ok(entries) => entries,
            // A link to nothing cannot be tracked; a file that vanished is looked for again.
            Err((at, e)) if e.kind() == ErrorKind::NotFound && !at.is_symlink() => return Ok(None),
            Err((at, e)) => return Err(base::Error::io("inspect", &at)(e).into()),
        };
        self.ignore.check()?;
        for entry in &entries {
            let at = || absolute.join(&entry.relative);
            if !entry.metadata.is_file {
                let metadata = std::fs::metadata(at());
                check_kind(&at(), &metadata.map_err(base::Error::io("inspect", &at()))?)?;
            }
            if entry.relative.contains('\\') {
                return Err(Error::UntrackableName { path: at() });
            }
        }
        Ok(Some(entries))
    }

    /// Reads one file; `None` if it is not what `stat` says, before or after.
    fn read(
        &self,
        absolute: &Path,
        stat: &Stat,
        purpose: Purpose,
    ) -> Result<Option<ContentHash>, Error> {
        if self.cancel.is_requested() {
            return Err(Error::Cancelled);
        }
        let hash = match purpose.take(self.algo, absolute) {
            Ok(hash) => hash,
            Err(Error::Base(base::Error::Io { source, .. }))
                if source.kind() == ErrorKind::NotFound && !absolute.exists() =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.files_hashed.fetch_add(1, Ordering::Relaxed);
        self.bytes_hashed.fetch_add(stat.size, Ordering::Relaxed);
        let after = std::fs::metadata(absolute).map(|metadata| Stat::of(&metadata));
        Ok(after.is_ok_and(|after| after == *stat).then_some(hash))
    }

    /// Returns a link at or below `path`, looked at before, that leads to an object which the cache
    /// does not have.
    pub(crate) fn lost_link(&self, path: &ArtifactPath) -> Option<PathBuf> {
        let absolute = path.under(&self.root);
        let lost = self.lost();
        let below = lost.iter().find(|link| link.starts_with(&absolute));
        below.filter(|link| is_lost(&self.cache_dir, link)).cloned()
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsettled(&self) -> std::sync::MutexGuard<'_, BTreeMap<ArtifactPath, Instant>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the paths of all files below `absolute`, ignored ones too, that `tracked` lacks;
    /// leftovers of our own do not count.
    pub(crate) fn untracked(absolute: &Path, tracked: &Listing) -> Result<BTreeSet<String>, Error> {
        // A link to a folder holds nothing itself.
        let keep = |relative: &str, is_dir: bool| !(is_dir && absolute.join(relative).is_symlink());
        let entries = walk(absolute, &keep)
            .map_err(|(at, e)| Error::from(base::Error::io("inspect", &at)(e)))?;
        let names = entries.into_iter().map(|e| e.relative);
        let counts =
            |name: &String| tracked.get(name).is_none() && !name.split('/').any(is_temp_name);
        Ok(names.filter(counts).collect())
    }
}

impl Purpose<'_> {
    /// Is it enough to know that the file has this hash?
    fn is_served_by(self, hash: ContentHash, size: u64) -> Result<bool, Error> {
        match self {
            Self::Identity | Self::Listing => Ok(true),
            Self::Store(cache) | Self::Files(cache) => {
                Ok(cache.single(&ObjectId::File(hash), Some(size))? == Single::Good)
            }
        }
    }

    fn take(self, algo: HashAlgo, absolute: &Path) -> Result<ContentHash, Error> {
        match self {
            Self::Identity | Self::Listing => {
                Ok(hash_file(algo, absolute).map_err(base::Error::io("read", absolute))?)
            }
            Self::Store(cache) | Self::Files(cache) => cache.insert_file(absolute),
        }
    }
}

impl TreeRow {
    fn presence(&self) -> Presence {
        Presence::Present(Present {
            object: ObjectId::Tree(self.tree),
            size: self.size,
            files: Some(self.files),
            exec: Executable::No,
        })
    }
}

/// Returns the bytes of all files.
fn sizes(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.metadata.stat.size).sum()
}

fn executable(metadata: &Metadata) -> Executable {
    if is_executable(metadata) {
        Executable::Yes
    } else {
        Executable::No
    }
}

/// Returns one hash over the paths, stats and execute bits of a folder's files. `fresh` of them were
/// not settled: if any, the folder is never known by the fingerprint, only what was stored of it.
fn fingerprint(entries: &[Entry], fresh: usize) -> ContentHash {
    let mut canon = Canon::new("cvops.folder-fingerprint.v1");
    if 0 < fresh {
        return canon.text("unsettled").finish();
    }
    canon.list(entries.len());
    for entry in entries {
        let mut bytes = [0; Stat::LEN + 1];
        bytes[..Stat::LEN].copy_from_slice(&entry.metadata.stat.to_bytes());
        bytes[Stat::LEN] = u8::from(entry.metadata.exec == Executable::Yes);
        canon.text(&entry.relative).bytes(&bytes);
    }
    canon.finish()
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::SpecialFile {
        path: path.to_owned(),
        kind: kind_name(metadata),
    })
}

#[cfg(unix)]
fn kind_name(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn kind_name(_: &Metadata) -> &'static str {
    "special file"
}
