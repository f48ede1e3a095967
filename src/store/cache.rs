//! The content-addressed cache. Imports: `base`, `project`.
//!
//! **On disk.** `<cache>/blake3/ab/cdef…` (the remaining 62 digits; in DVC's cache `files/md5/`) is a file's bytes; with `.dir`
//! appended it is a directory listing (`store::tree`). `<cache>/tmp/` holds objects in the making,
//! `<cache>/corrupt/` those that were found damaged. Everything is created when first needed.
//!
//! **Seal.** An object is complete when it has its name: it is written in `tmp`, hashed (always the
//! bytes that were written, never a second reading of the source), made read-only, given the fixed
//! modification time `SEAL` and renamed into place. The modification time is the record "verified":
//! any later write sets it to the clock, so an object whose time or size differs is hashed again
//! before it is used, and then either sealed anew or moved to `corrupt`. Thus no table of objects is
//! needed that could disagree with the folder, and a cache copied without its times still works: it
//! is hashed once. Flipped bits that leave the stat alone are found by `verify`, which reads all.
//!
//! **Crashes.** Killed before the rename: a file in `tmp` that nobody reads (`verify` sweeps it).
//! After it: a complete object that nobody names yet. No space, no permission: the temporary file
//! is removed, the error names it, nothing else changed. Power loss after the rename but before the
//! data reached the disk: only objects that no lock entry names can be torn, because callers call
//! `make_durable` (one `syncfs` for all objects since the last one) before they write a name down;
//! such an object is shorter than the file that is inserted again, so it is hashed and replaced.
//!
//! **Several processes.** The same object may be inserted twice at once: both temporary files hold
//! the same bytes and the later rename wins.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use crate::base::fs::{LinkKind, Staged, fault};
use crate::base::hash::{HashAlgo, Hasher, hash_file};
use crate::base::{self, ContentHash, ObjectId, fs};
use crate::project::{Personality, Project, Sharing};

use super::error::Error;
use super::tree::Listing;

/// Modification time of every verified object: 2001-09-09T01:46:40Z, recognisable to a reader and
/// after 1980, where some archive formats begin.
const SEAL: Duration = Duration::from_secs(1_000_000_000);
/// Objects are read-only for everybody.
const MODE: u32 = 0o444;
/// Files below this size are read into memory: hashed first, written only if the object is new.
const SMALL_BYTES: u64 = 256 * 1024;

/// How much of an object that is received stays in memory before a file is begun.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// From this many files on, names are looked up in listings of the cache's folders.
const LOOKED_UP_MIN: usize = 1000;
/// Bytes that a folder of the cache takes per wanted object from which on it is not listed: an entry
/// takes about 60.
const CROWDED_BYTES: u64 = 1000;

/// The cache of one project.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    algo: HashAlgo,
    objects: PathBuf,
    staging: PathBuf,
    corrupt: PathBuf,
    sharing: Sharing,
    /// Was anything written since the last `make_durable` began?
    unsynced: AtomicBool,
    syncing: Mutex<()>,
}

/// Can the cache give an object back in full?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it, verified.
    Whole,
    /// Not all of it.
    Lacking {
        /// Objects that are not there.
        missing: Vec<ObjectId>,
        /// Objects whose bytes were wrong; they have been moved to the `corrupt` folder.
        corrupt: Vec<ObjectId>,
    },
}

/// The state of one object, its members left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single {
    Good,
    Missing,
    Corrupt,
}

impl Cache {
    /// Returns the cache of `project`; touches no file.
    #[must_use]
    pub fn open(project: &Project) -> Self {
        Self {
            sharing: project.config.shared,
            ..Self::at(&project.config.cache_dir, &project.personality)
        }
    }

    /// Returns the cache in the folder `dir`, as projects of this kind keep it; touches no file.
    #[must_use]
    pub fn at(dir: &Path, personality: &Personality) -> Self {
        Self {
            dir: dir.to_owned(),
            algo: personality.hash,
            objects: dir.join(personality.objects),
            staging: dir.join("tmp"),
            corrupt: dir.join("corrupt"),
            sharing: Sharing::Umask,
            unsynced: AtomicBool::new(false),
            syncing: Mutex::new(()),
        }
    }

    /// Returns the cache folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns how its objects are hashed.
    #[must_use]
    pub fn algo(&self) -> HashAlgo {
        self.algo
    }

    pub(crate) fn objects_dir(&self) -> &Path {
        &self.objects
    }

    pub(crate) fn staging_dir(&self) -> &Path {
        &self.staging
    }

    /// Returns where `object` is stored, whether or not it is.
    #[must_use]
    pub fn object_path(&self, object: &ObjectId) -> PathBuf {
        let name = object.to_string();
        let (prefix, rest) = name.split_at(2);
        // DVC kept objects right in the cache folder before version 3.
        let folder = match object.hash().algo() {
            HashAlgo::Blake3 | HashAlgo::Md5 => &self.objects,
            HashAlgo::Md5Dos2Unix => &self.dir,
        };
        folder.join(prefix).join(rest)
    }

    /// Returns the name of `object` on remotes: its path below the cache folder.
    #[must_use]
    pub fn key(&self, object: &ObjectId) -> String {
        let path = self.object_path(object);
        let inside = path.strip_prefix(&self.dir).unwrap_or(&path);
        inside.to_string_lossy().into_owned()
    }

    /// Says whether `object` can be given back in full: all members of a tree too. What was not
    /// verified since its last change is hashed; what is wrong is moved out of the way.
    ///
    /// # Errors
    /// The cache cannot be read, or a listing is in an unknown form.
    pub fn contains(&self, object: &ObjectId) -> Result<Held, Error> {
        let mut lacking = Vec::new();
        match self.single(object, None)? {
            Single::Good => {
                if let ObjectId::Tree(hash) = object {
                    let listing = self.listing(hash)?;
                    let states: Vec<(ObjectId, Single)> = listing
                        .entries()
                        .par_iter()
                        .with_min_len(128)
                        .map(|entry| {
                            let member = ObjectId::File(entry.hash);
                            Ok((member, self.single(&member, entry.size)?))
                        })
                        .collect::<Result<_, Error>>()?;
                    lacking.extend(states.into_iter().filter(|(_, s)| *s != Single::Good));
                }
            }
            state => lacking.push((*object, state)),
        }
        if lacking.is_empty() {
            return Ok(Held::Whole);
        }
        // One object may be a member several times.
        lacking.sort_by_key(|(object, _)| *object);
        lacking.dedup_by_key(|(object, _)| *object);
        let with = |state| {
            let chosen = lacking.iter().filter(move |(_, s)| *s == state);
            chosen.map(|(object, _)| *object).collect()
        };
        Ok(Held::Lacking {
            missing: with(Single::Missing),
            corrupt: with(Single::Corrupt),
        })
    }

    /// Returns the listing of the tree `hash` if there is an object of each name that it needs.
    /// Nothing but the listing is verified: for a folder that was stored before. Large folders are
    /// looked up in the listings of the cache's own folders, which costs less than a stat each.
    ///
    /// # Errors
    /// The cache cannot be read, or the listing is in an unknown form.
    pub(crate) fn named(&self, hash: &ContentHash) -> Result<Option<Listing>, Error> {
        let tree = ObjectId::Tree(*hash);
        if !self.object_path(&tree).exists() {
            return Ok(None);
        }
        let listing = self.listing(hash)?;
        if listing.entries().len() < LOOKED_UP_MIN {
            return Ok((self.contains(&tree)? == Held::Whole).then_some(listing));
        }
        let mut wanted: Vec<ContentHash> = listing.entries().iter().map(|e| e.hash).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let folders: Vec<&[ContentHash]> = wanted
            .chunk_by(|a, b| a.as_bytes()[0] == b.as_bytes()[0])
            .collect();
        let are_there = folders.par_iter().all(|hashes| self.are_named(hashes));
        Ok(are_there.then_some(listing))
    }

    /// Is there a file object of each of `hashes`, which are sorted and of one folder of the cache?
    fn are_named(&self, hashes: &[ContentHash]) -> bool {
        let path_of = |hash: &ContentHash| self.object_path(&ObjectId::File(*hash));
        let first = hashes.first().map(path_of);
        let Some(dir) = first.as_deref().and_then(Path::parent) else {
            return true;
        };
        // Much else in the folder: asking for each is cheaper than listing all.
        let is_crowded =
            std::fs::metadata(dir).map_or(true, |d| CROWDED_BYTES * hashes.len() as u64 <= d.len());
        if is_crowded {
            return hashes.iter().all(|hash| path_of(hash).exists());
        }
        let (Some(prefix), Ok(entries)) = (dir.file_name(), std::fs::read_dir(dir)) else {
            return false;
        };
        let mut name = prefix.to_string_lossy().into_owned();
        let prefix_len = name.len();
        let algo = hashes[0].algo();
        let mut seen = vec![false; hashes.len()];
        for entry in entries.flatten() {
            name.truncate(prefix_len);
            let file = entry.file_name();
            let Some(rest) = file.to_str() else { continue };
            name.push_str(rest);
            // What is no hash is something else: a listing, a leftover.
            let Ok(hash) = name.parse::<ContentHash>() else {
                continue;
            };
            let hash = ObjectId::File(hash).as_hashed_by(algo);
            if let Ok(at) = hashes.binary_search(hash.hash()) {
                seen[at] = true;
            }
        }
        !seen.contains(&false)
    }

    /// Fails unless `object` is held in full.
    ///
    /// # Errors
    /// `NotInCache` with what is lacking, or the cache cannot be read.
    pub fn require(&self, object: &ObjectId) -> Result<(), Error> {
        match self.contains(object)? {
            Held::Whole => Ok(()),
            Held::Lacking { missing, corrupt } => Err(Error::NotInCache {
                object: *object,
                missing,
                corrupt,
            }),
        }
    }

    /// Reads the directory listing `hash`; its bytes are always verified.
    ///
    /// # Errors
    /// It is not there, corrupt, or in an unknown form.
    pub fn listing(&self, hash: &ContentHash) -> Result<Listing, Error> {
        let object = ObjectId::Tree(*hash);
        self.require_single(&object)?;
        let path = self.object_path(&object);
        let bytes = std::fs::read(&path).map_err(base::Error::io("read", &path))?;
        if hash.algo().hash(&bytes) != *hash {
            self.quarantine(&object)?;
            let corrupt = vec![object];
            return Err(Error::NotInCache {
                object,
                missing: Vec::new(),
                corrupt,
            });
        }
        Listing::parse(hash.algo(), &bytes).map_err(|e| Error::Listing {
            hash: *hash,
            problem: e.to_string(),
        })
    }

    /// Stores the bytes of the file at `path` and returns their hash; a file whose object is there
    /// already is only read. Durable after the next `make_durable`.
    ///
    /// # Errors
    /// The file cannot be read or the cache cannot be written.
    pub fn insert_file(&self, path: &Path) -> Result<ContentHash, Error> {
        let size = std::fs::metadata(path)
            .map_err(base::Error::io("inspect", path))?
            .len();
        if size < SMALL_BYTES {
            let bytes = std::fs::read(path).map_err(base::Error::io("read", path))?;
            let hash = self.algo.hash(&bytes);
            self.insert_bytes(&ObjectId::File(hash), &bytes)?;
            return Ok(hash);
        }
        let copied = self.insert_large(path, size);
        if !copied.as_ref().is_err_and(is_disk_full) {
            return copied;
        }
        // There is no room for a copy, but perhaps no need of one.
        let hash = hash_file(self.algo, path).map_err(base::Error::io("read", path))?;
        if self.single(&ObjectId::File(hash), Some(size))? == Single::Good {
            self.mark_unsynced();
            return Ok(hash);
        }
        copied
    }

    /// Stores a listing and returns its identity. Its members must have been stored before.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn insert_listing(&self, listing: &Listing) -> Result<ObjectId, Error> {
        let (object, len) = listing.id_and_len(self.algo);
        self.insert_tree(&object, len, listing)?;
        Ok(object)
    }

    /// Stores a listing, whose identity and length the caller has just taken, as `object`.
    pub(crate) fn insert_tree(
        &self,
        object: &ObjectId,
        len: u64,
        listing: &Listing,
    ) -> Result<(), Error> {
        fault::point("store.insert.listing").map_err(base::Error::io("write", &self.staging))?;
        self.insert_with(object, len, &|file| {
            listing.write_to(self.algo, &mut |bytes| file.write_all(bytes))
        })
    }

    /// Makes every object inserted so far survive a power loss; call it before a name of one is
    /// written down. Costs one `syncfs`, or nothing if nothing was inserted since the last call.
    ///
    /// # Errors
    /// The system reports that data could not be written.
    pub fn make_durable(&self) -> Result<(), Error> {
        // A second caller waits here: its objects may be part of the sync that is under way.
        let _turn = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.unsynced.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        // Where all objects are in the layout of DVC 2, the folder of the present one is missing.
        let folder = if self.objects.is_dir() {
            &self.objects
        } else {
            &self.dir
        };
        fs::sync_filesystem(folder).map_err(|e| {
            self.unsynced.store(true, Ordering::SeqCst);
            base::Error::io("write to disk", folder)(e).into()
        })
    }

    /// Says how `object` itself is stored; `size` is its size where the caller knows it. Hashes it
    /// if it is not sealed; moves it away if it is wrong.
    pub(crate) fn single(&self, object: &ObjectId, size: Option<u64>) -> Result<Single, Error> {
        let path = self.object_path(object);
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Single::Missing),
            Err(e) => return Err(base::Error::io("inspect", &path)(e).into()),
        };
        // No file but the empty one has the hash of nothing: a torn object of size 0 is caught here.
        let size_fits = size.is_none_or(|size| size == metadata.len())
            && (0 < metadata.len() || object.hash().is_of_nothing());
        if size_fits && self.is_sealed(&metadata) {
            return Ok(Single::Good);
        }
        self.recheck(object)
    }

    /// Hashes `object` whatever its stat says, then seals it or moves it away.
    pub(crate) fn recheck(&self, object: &ObjectId) -> Result<Single, Error> {
        let path = self.object_path(object);
        match hash_file(object.hash().algo(), &path) {
            Ok(hash) if hash == *object.hash() => {
                // In a shared cache it may be somebody else's: then it is hashed each time.
                if let Err(error) = File::open(&path).and_then(|file| self.seal(&file)) {
                    tracing::debug!(%error, path = %path.display(), "could not seal an object");
                }
                Ok(Single::Good)
            }
            Ok(_) => {
                self.quarantine(object)?;
                Ok(Single::Corrupt)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Single::Missing),
            Err(e) => Err(base::Error::io("read", &path)(e).into()),
        }
    }

    /// Returns the object whose place is `place`.
    pub(crate) fn object_at(&self, place: &Path) -> Option<ObjectId> {
        let below = |dir: &Path| {
            let inside = place.strip_prefix(dir).ok().map(Path::to_owned);
            let real = || {
                let dir = dir.canonicalize().ok()?;
                place.strip_prefix(dir).ok().map(Path::to_owned)
            };
            inside.or_else(real)
        };
        let inside = below(&self.objects).or_else(|| below(&self.dir))?;
        // The folder and the rest of the name together are the object's name.
        let object: ObjectId = inside.to_str()?.replacen('/', "", 1).parse().ok()?;
        (object.hash().algo() == self.algo).then_some(object)
    }

    /// Returns where `object` went, if it was found damaged.
    pub(crate) fn taken_out(&self, object: &ObjectId) -> Option<PathBuf> {
        let aside = self.corrupt.join(object.to_string());
        aside.is_file().then_some(aside)
    }

    /// Moves `object` out of the way, so that it is never used; returns where it went.
    pub(crate) fn quarantine(&self, object: &ObjectId) -> Result<PathBuf, Error> {
        let target = self.corrupt.join(object.to_string());
        let path = self.object_path(object);
        self.create_dir(&self.corrupt)?;
        fault::point("store.quarantine").map_err(base::Error::io("move", &path))?;
        match fs::rename(&path, &target) {
            // Another process was faster.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(base::Error::io("move the corrupt object", &path))?,
        }
        tracing::warn!(object = %object, "a corrupt object was taken out of the cache");
        Ok(target)
    }

    /// Says whether nobody touched the object since it was verified. Objects in DVC's cache may come
    /// from DVC, which makes them read-only and trusts those that are.
    fn is_sealed(&self, metadata: &Metadata) -> bool {
        let protected = self.algo != HashAlgo::Blake3 && is_protected(metadata);
        let dated = || {
            metadata
                .modified()
                .is_ok_and(|time| time == UNIX_EPOCH + SEAL)
        };
        metadata.is_file() && (protected || dated())
    }

    /// Marks a verified object: read-only and, in a cache that is ours alone, with the fixed time.
    /// DVC remembers files by their times, and a hard link shares them.
    fn seal(&self, file: &File) -> io::Result<()> {
        fault::point("store.seal")?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        if self.algo != HashAlgo::Blake3 {
            return Ok(());
        }
        let time: SystemTime = UNIX_EPOCH + SEAL;
        file.set_modified(time)
    }

    fn require_single(&self, object: &ObjectId) -> Result<(), Error> {
        let (missing, corrupt) = match self.single(object, None)? {
            Single::Good => return Ok(()),
            Single::Missing => (vec![*object], Vec::new()),
            Single::Corrupt => (Vec::new(), vec![*object]),
        };
        Err(Error::NotInCache {
            object: *object,
            missing,
            corrupt,
        })
    }

    /// Stores `bytes`, whose hash the caller has just taken, as `object`.
    pub(crate) fn insert_bytes(&self, object: &ObjectId, bytes: &[u8]) -> Result<(), Error> {
        self.insert_with(object, bytes.len() as u64, &|file| file.write_all(bytes))
    }

    /// Stores what `write` writes, whose hash the caller has just taken, as `object`.
    fn insert_with(
        &self,
        object: &ObjectId,
        size: u64,
        write: &dyn Fn(&mut File) -> io::Result<()>,
    ) -> Result<(), Error> {
        if self.single(object, Some(size))? == Single::Good {
            self.mark_unsynced();
            return Ok(());
        }
        self.prepare(object)?;
        let fail = |source| base::Error::io("write an object in", &self.objects)(source);
        let mut staged = self.staged()?;
        fault::point("store.insert.write").map_err(fail)?;
        write(staged.file()).map_err(fail)?;
        self.seal(staged.file()).map_err(fail)?;
        fault::point("store.insert.rename").map_err(fail)?;
        let target = self.object_path(object);
        staged.commit(&target).map_err(fail)?;
        self.mark_unsynced();
        Ok(())
    }

    /// Copies the file at `path` (by reflink where the file system can), hashes what was copied, once,
    /// and stores it under that hash: if the source changes meanwhile, the object is still what its
    /// name says. The copy is dropped if the object is there.
    fn insert_large(&self, path: &Path, size: u64) -> Result<ContentHash, Error> {
        let copy = self.incoming()?;
        fault::point("store.insert.copy").map_err(base::Error::io("copy", path))?;
        let hash = self
            .copy_hashed(path, &copy.0)
            .map_err(base::Error::io("copy to the cache", path))?;
        let object = ObjectId::File(hash);
        if self.single(&object, Some(size))? == Single::Good {
            self.mark_unsynced();
            return Ok(hash);
        }
        File::open(&copy.0)
            .and_then(|file| self.seal(&file))
            .map_err(base::Error::io("seal", &copy.0))?;
        self.prepare(&object)?;
        let target = self.object_path(&object);
        fault::point("store.insert.rename").map_err(base::Error::io("write", &target))?;
        fs::rename(&copy.0, &target).map_err(base::Error::io("write", &target))?;
        self.mark_unsynced();
        Ok(hash)
    }

    /// Copies `from` to `to` and returns the hash of what `to` holds. BLAKE3 reads the copy on all
    /// cores; MD5 is slower than the disk, so it sees the bytes on their way.
    fn copy_hashed(&self, from: &Path, to: &Path) -> io::Result<ContentHash> {
        if self.algo == HashAlgo::Blake3 {
            fs::place(from, to, &[LinkKind::Reflink, LinkKind::Copy])?;
            return hash_file(self.algo, to);
        }
        if fs::place(from, to, &[LinkKind::Reflink]).is_ok() {
            return hash_file(self.algo, to);
        }
        let mut hasher = Hasher::new(self.algo);
        fs::copy_seen(from, to, &mut |bytes| hasher.update(bytes))?;
        Ok(hasher.finish())
    }

    /// Returns a place for the bytes of an object that comes from elsewhere; they go with it unless
    /// `adopt` takes them.
    pub(crate) fn incoming(&self) -> Result<Incoming, Error> {
        self.create_dir(&self.staging)?;
        Ok(Incoming(fs::temp_path(&self.staging)))
    }

    /// Stores what was put in `incoming` as `object` and returns its size, if that is what it is.
    pub(crate) fn adopt(
        &self,
        object: &ObjectId,
        incoming: &Incoming,
    ) -> Result<Option<u64>, Error> {
        let path = incoming.path();
        let hash = hash_file(object.hash().algo(), path).map_err(base::Error::io("read", path))?;
        if hash != *object.hash() {
            return Ok(None);
        }
        let file = File::open(path).map_err(base::Error::io("open", path))?;
        self.seal(&file).map_err(base::Error::io("seal", path))?;
        let size = file
            .metadata()
            .map_err(base::Error::io("inspect", path))?
            .len();
        self.prepare(object)?;
        let target = self.object_path(object);
        fault::point("store.adopt.rename").map_err(base::Error::io("write", &target))?;
        fs::rename(path, &target).map_err(base::Error::io("write", &target))?;
        self.mark_unsynced();
        Ok(Some(size))
    }

    /// Tells a sweep that goes on that `object` has a name now; `false`: it is gone already. For names
    /// that are written down without the lock that keeps `gc` away.
    #[must_use]
    pub fn touch(&self, object: &ObjectId) -> bool {
        self.refresh(object);
        self.object_path(object).exists()
    }

    /// Starts to receive the bytes of an object whose hash is not known yet.
    #[must_use]
    pub fn receive(self: &Arc<Self>) -> Receiving {
        Receiving {
            cache: Arc::clone(self),
            hasher: Hasher::new(self.algo),
            size: 0,
            head: Vec::new(),
            staged: None,
        }
    }

    /// Opens the bytes of a file object, whole and verified, and returns their size; `None` if they
    /// are not there. What is found damaged is moved out of the way.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn open_object(&self, object: &ObjectId, size: u64) -> Result<Option<File>, Error> {
        if self.single(object, Some(size))? != Single::Good {
            return Ok(None);
        }
        let path = self.object_path(object);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(base::Error::io("open", &path)(e).into()),
        }
    }

    /// Makes an object as new as one that was written now: a sweep that goes on and found that nobody
    /// names it leaves it alone.
    fn refresh(&self, object: &ObjectId) {
        let path = self.object_path(object);
        // In a shared cache it may be somebody else's.
        if let Err(error) = File::open(&path).and_then(|file| self.seal(&file)) {
            tracing::debug!(%error, path = %path.display(), "could not refresh an object");
        }
    }

    /// Notes that an object needs a sync: after its rename, or a sync that began between the note
    /// and the rename would count for it. A found object counts too: it may have been inserted by a
    /// process that did not live to sync it.
    fn mark_unsynced(&self) {
        self.unsynced.store(true, Ordering::SeqCst);
    }

    fn staged(&self) -> Result<Staged, Error> {
        let fail = || base::Error::io("write an object in", &self.staging);
        match Staged::new_in(&self.staging) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.create_dir(&self.staging)?;
                Ok(Staged::new_in(&self.staging).map_err(fail())?)
            }
            other => Ok(other.map_err(fail())?),
        }
    }

    fn create_dir(&self, dir: &Path) -> Result<(), Error> {
        let created = self.sharing.create_dir_all(dir);
        Ok(created.map_err(base::Error::io("create folder", dir))?)
    }

    /// Creates the folder that `object` goes into.
    fn prepare(&self, object: &ObjectId) -> Result<(), Error> {
        let target = self.object_path(object);
        match target.parent() {
            Some(dir) if !dir.is_dir() => self.create_dir(dir),
            Some(_) | None => Ok(()),
        }
    }
}

/// An object that comes piece by piece: each piece is hashed on its way, so nothing is read twice.
/// The first bytes stay in memory: most objects that come this way are small, and one that the cache
/// has already then costs no file. Dropped before its end it leaves nothing behind.
pub struct Receiving {
    cache: Arc<Cache>,
    hasher: Hasher,
    size: u64,
    head: Vec<u8>,
    staged: Option<Staged>,
}

impl Receiving {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let fail = |source| base::Error::io("write an object in", &self.cache.staging)(source);
        match &mut self.staged {
            None if self.size <= HEAD_BYTES_MAX => self.head.extend_from_slice(bytes),
            None => {
                let mut staged = self.cache.staged()?;
                fault::point("store.receive.write").map_err(fail)?;
                staged.file().write_all(&self.head).map_err(fail)?;
                staged.file().write_all(bytes).map_err(fail)?;
                self.head = Vec::new();
                self.staged = Some(staged);
            }
            Some(staged) => staged.file().write_all(bytes).map_err(fail)?,
        }
        Ok(())
    }

    /// Stores what came and returns what it is, with its size in bytes; what the cache has already is
    /// kept once. Durable after the next `make_durable`.
    ///
    /// # Errors
    /// The cache cannot be read or written.
    pub fn finish(self) -> Result<(ObjectId, u64), Error> {
        let Self {
            cache,
            hasher,
            size,
            head,
            staged,
        } = self;
        let object = ObjectId::File(hasher.finish());
        let Some(mut staged) = staged else {
            cache.insert_bytes(&object, &head)?;
            cache.refresh(&object);
            return Ok((object, size));
        };
        if cache.single(&object, Some(size))? == Single::Good {
            cache.refresh(&object);
        } else {
            cache.prepare(&object)?;
            let target = cache.object_path(&object);
            let fail = |source| base::Error::io("write", &target)(source);
            cache.seal(staged.file()).map_err(fail)?;
            fault::point("store.receive.rename").map_err(fail)?;
            staged.commit(&target).map_err(fail)?;
        }
        cache.mark_unsynced();
        Ok((object, size))
    }
}

/// A temporary file in the cache; removed unless it was renamed away.
pub(crate) struct Incoming(PathBuf);

impl Incoming {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Cleanliness only: what stays is swept by `verify`.
        let _ = fs::remove_file(&self.0);
    }
}

fn is_disk_full(error: &Error) -> bool {
    let Error::Base(base::Error::Io { source, .. }) = error else {
        return false;
    };
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    kinds.contains(&source.kind())
}

#[cfg(unix)]
fn is_protected(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o777 == MODE
}

#[cfg(not(unix))]
fn is_protected(metadata: &Metadata) -> bool {
    metadata.permissions().readonly()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::Executable;
    use crate::project::CVOPS;
    use crate::store::tree::ListingEntry;

    fn overwrite(path: &Path, bytes: &[u8]) {
        let dir = path.parent().unwrap();
        let mut staged = Staged::new_in(dir).unwrap();
        staged.file().write_all(bytes).unwrap();
        staged.commit(path).unwrap();
    }

    #[test]
    fn sizes_around_the_small_limit_are_stored_read_only() {
        let tmp = tempfile::tempdir().unwrap();
        let cache = Cache::at(&tmp.path().join("cache"), &CVOPS);
        // Empty; one byte; the last small size, read into memory; the first one that is copied.
        for size in [0, 1, SMALL_BYTES - 1, SMALL_BYTES, 3 * SMALL_BYTES + 7] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let path = tmp.path().join("f");
            fs::write_atomic(&path, &bytes).unwrap();
            let hash = cache.insert_file(&path).unwrap();
            assert_eq!(hash, ContentHash::of(&bytes));
            let object = ObjectId::File(hash);
            assert_eq!(cache.contains(&object).unwrap(), Held::Whole);
            assert_eq!(std::fs::read(cache.object_path(&object)).unwrap(), bytes);
            let metadata = std::fs::metadata(cache.object_path(&object)).unwrap();
            assert!(metadata.permissions().readonly() && cache.is_sealed(&metadata));
            assert_eq!(cache.insert_file(&path).unwrap(), hash);
        }
        assert_eq!(std::fs::read_dir(cache.staging_dir()).unwrap().count(), 0);
        cache.make_durable().unwrap();
    }

    #[test]
    fn a_changed_object_is_never_used() {
        let tmp = tempfile::tempdir().unwrap();
        let cache = Cache::at(tmp.path(), &CVOPS);
        let good = ObjectId::File(ContentHash::of(b"good"));
        cache.insert_bytes(&good, b"good").unwrap();
        // Same size, other bytes: only the modification time tells.
        overwrite(&cache.object_path(&good), b"evil");
        let lacking = Held::Lacking {
            missing: vec![],
            corrupt: vec![good],
        };
        assert_eq!(cache.contains(&good).unwrap(), lacking);
        assert!(cache.corrupt.join(good.to_string()).is_file());
        let gone = Held::Lacking {
            missing: vec![good],
            corrupt: vec![],
        };
        assert_eq!(cache.contains(&good).unwrap(), gone);
        // Touched but whole: hashed and sealed again.
        cache.insert_bytes(&good, b"good").unwrap();
        overwrite(&cache.object_path(&good), b"good");
        assert_eq!(cache.contains(&good).unwrap(), Held::Whole);
        assert!(cache.is_sealed(&std::fs::metadata(cache.object_path(&good)).unwrap()));
        // A torn object (power loss) is replaced by the next insert.
        overwrite(&cache.object_path(&good), b"");
        cache
            .seal(&File::open(cache.object_path(&good)).unwrap())
            .unwrap();
        cache.insert_bytes(&good, b"good").unwrap();
        assert_eq!(std::fs::read(cache.object_path(&good)).unwrap(), b"good");
    }

    #[test]
    fn what_is_received_is_stored_once_and_leaves_nothing_when_it_breaks_off() {
        let tmp = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::at(tmp.path(), &CVOPS));
        let staged = || std::fs::read_dir(cache.staging_dir()).map_or(0, Iterator::count);
        // Nothing; the last size that stays in memory; the first that does not.
        for size in [0, HEAD_BYTES_MAX, HEAD_BYTES_MAX + 1, 5 * HEAD_BYTES_MAX] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            for _ in 0..2 {
                let mut receiving = cache.receive();
                for piece in bytes.chunks(50_000) {
                    receiving.write(piece).unwrap();
                }
                let (object, received) = receiving.finish().unwrap();
                assert_eq!(object, ObjectId::File(ContentHash::of(&bytes)));
                assert_eq!(received, size);
                assert_eq!(std::fs::read(cache.object_path(&object)).unwrap(), bytes);
                assert_eq!(staged(), 0);
                let opened = cache.open_object(&object, size).unwrap();
                assert!(opened.is_some());
            }
        }
        cache.make_durable().unwrap();
        let mut broken = cache.receive();
        broken.write(&vec![1; 1_000_000]).unwrap();
        assert_eq!(staged(), 1);
        drop(broken);
        assert_eq!(staged(), 0);
        let unknown = ObjectId::File(ContentHash::of(b"unknown"));
        assert!(cache.open_object(&unknown, 7).unwrap().is_none());
    }

    #[test]
    fn a_tree_lacks_what_its_members_lack() {
        let tmp = tempfile::tempdir().unwrap();
        let cache = Cache::at(tmp.path(), &CVOPS);
        let member = |path: &str, bytes: &[u8]| ListingEntry {
            path: path.to_owned(),
            hash: ContentHash::of(bytes),
            size: Some(bytes.len() as u64),
            exec: Executable::No,
        };
        let listing = Listing::new(vec![member("a", b"1"), member("b", b"2")]).unwrap();
        let one = ObjectId::File(ContentHash::of(b"1"));
        cache.insert_bytes(&one, b"1").unwrap();
        let tree = cache.insert_listing(&listing).unwrap();
        let two = ObjectId::File(ContentHash::of(b"2"));
        let lacking = Held::Lacking {
            missing: vec![two],
            corrupt: vec![],
        };
        assert_eq!(cache.contains(&tree).unwrap(), lacking);
        cache.insert_bytes(&two, b"2").unwrap();
        assert_eq!(cache.contains(&tree).unwrap(), Held::Whole);
        assert_eq!(cache.listing(tree.hash()).unwrap(), listing);
    }
}
