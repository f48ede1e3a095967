//! Puts an object at its place in the workspace. Imports: `base`, `store`.
//!
//! **Order of work.** (1) The object is held in full and verified, or nothing happens. (2) What
//! stands at the path is in the cache and durable, or is saved there first, or the caller has said
//! that it may be lost, or nothing happens. (3) A new file or folder is built aside, in
//! `.cvops/tmp` (beside the target if that is another file system), and renamed into place. A
//! folder that exists is brought up to date file by file: files that are gone are removed, files
//! that differ are built aside and renamed over the old ones, the others are not touched. (4) The
//! stat cache learns what was written, so that nothing is read again.
//!
//! **Crashes.** Killed or out of space before the rename: the old content stands, a leftover lies in
//! `.cvops/tmp`. Within a folder update: a mixture of old and new files, all of them in the cache;
//! the next command sees a folder that is neither, and brings it up to date. An existing file is
//! never opened for writing, since it may be a hard link to an object. A link to a folder is replaced
//! where something behind it would have to change: what it leads to is not ours.
//!
//! Files get a modification time 100 ms in the past, so that a write in the very next instant
//! changes their stat. Executable files are never hard or symbolic links: an object has one mode,
//! and it is not executable.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::fs::{Executable, LinkKind, fault};
use crate::base::{self, ArtifactPath, ContentHash, ObjectId, fs};

use super::Store;
use super::cache::Held;
use super::error::Error;
use super::snapshot::{Presence, Present, Purpose, Snapshotter};
use super::stat::backdated;
use super::tree::{Listing, ListingEntry};

/// What happens to workspace content that is not in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It is put in the cache first, and its identity is returned.
    SaveFirst,
    /// It stays, and the operation fails.
    Refuse,
    /// It is lost (`--force`).
    Overwrite,
}

/// What `place` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Placed {
    /// The content that stood there and was saved first.
    pub saved: Option<ObjectId>,
    /// Files written; 0 if everything was as it should be.
    pub written: u64,
    /// Files removed.
    pub removed: u64,
}

impl Store {
    /// Makes `path` the content `object`; `exec` is for a single file, a listing says it per file.
    ///
    /// # Errors
    /// The cache lacks the object, uncached or ignored content is in the way, or a file operation
    /// failed; in each case nothing that is not in the cache was lost.
    pub fn place(
        &self,
        path: &ArtifactPath,
        object: &ObjectId,
        exec: Executable,
        on_conflict: OnConflict,
    ) -> Result<Placed, Error> {
        if self.is_in_place(path, object) {
            return Ok(Placed::default());
        }
        self.cache.require(object)?;
        let scan = self.snapshots.scan(path, Purpose::Listing);
        let (present, old) = match scan {
            Ok(scan) => match scan.presence {
                Presence::Missing => (None, None),
                Presence::Present(present) => (Some(present), scan.listing),
            },
            // What cannot be read cannot be saved either, but may be given up.
            Err(_) if on_conflict == OnConflict::Overwrite => (None, None),
            Err(error) => return Err(error),
        };
        if present.is_some_and(|p| p.object == *object && (p.files.is_some() || p.exec == exec)) {
            return Ok(Placed::default());
        }
        let saved = match &present {
            Some(present) => self.secure(path, present, on_conflict)?,
            None => None,
        };
        let target = path.under(&self.root);
        let parent = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(base::Error::io("create folder", parent))?;
        let (done, written) = match object {
            ObjectId::File(hash) => {
                let removed = self.clear_folder(path, &target, old.as_ref(), on_conflict)?;
                self.build(&target, &|to| self.put(hash, exec, to))?;
                let done = Placed {
                    saved,
                    written: 1,
                    removed,
                };
                (done, BTreeMap::from([(String::new(), *hash)]))
            }
            ObjectId::Tree(hash) => {
                let new = self.cache.listing(hash)?;
                let (done, written) = match &old {
                    Some(old) if !target.is_symlink() => {
                        self.update_folder(path, &target, old, &new)?
                    }
                    Some(_) | None => self.new_folder(path, &target, &new, on_conflict)?,
                };
                (Placed { saved, ..done }, written)
            }
        };
        self.snapshots.record_written(path, &written)?;
        Ok(done)
    }

    /// Is the folder `object` at `path`, known to be so by its stats, and in the cache by its names?
    /// `false` means only that it takes a closer look.
    fn is_in_place(&self, path: &ArtifactPath, object: &ObjectId) -> bool {
        let ObjectId::Tree(hash) = object else {
            return false;
        };
        let is_there = self
            .snapshots
            .snapshot(path)
            .is_ok_and(|now| now.object() == Some(*object));
        // What the cache lacks or cannot read is told by the closer look.
        is_there && self.cache.named(hash).is_ok_and(|found| found.is_some())
    }

    /// Makes sure that what stands at `path` is in the cache and on disk; returns its identity if
    /// it had to be saved for that.
    pub(crate) fn secure(
        &self,
        path: &ArtifactPath,
        present: &Present,
        on_conflict: OnConflict,
    ) -> Result<Option<ObjectId>, Error> {
        let mut saved = None;
        match on_conflict {
            OnConflict::Overwrite => return Ok(None),
            OnConflict::Refuse => {
                if self.cache.contains(&present.object)? != Held::Whole {
                    return Err(Error::WouldOverwrite { path: path.clone() });
                }
            }
            OnConflict::SaveFirst => {
                if self.cache.contains(&present.object)? != Held::Whole {
                    let scan = self.snapshots.scan(path, Purpose::Store(&self.cache))?;
                    saved = scan.presence.object();
                }
            }
        }
        self.cache.make_durable()?;
        Ok(saved)
    }

    /// Builds something with `make` at a temporary path on the file system of `target` and renames
    /// it there.
    pub(super) fn build(
        &self,
        target: &Path,
        make: &(dyn Fn(&Path) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        let beside = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(&self.tmp).map_err(base::Error::io("create folder", &self.tmp))?;
        let places: &[&Path] = if same_device(&self.tmp, beside) {
            &[&self.tmp, beside]
        } else {
            &[beside]
        };
        for (i, dir) in places.iter().enumerate() {
            let temp = fs::temp_path(dir);
            let built = make(&temp).and_then(|()| {
                fault::point("store.place.rename").map_err(base::Error::io("write", target))?;
                fs::rename(&temp, target).map_err(base::Error::io("write", target))?;
                Ok(())
            });
            let Err(error) = built else { return Ok(()) };
            // The first error is the one to tell; what cannot be removed is swept later.
            let _ = discard(&temp);
            // A bind mount looks like the same device and is none.
            let crosses = matches!(&error, Error::Base(base::Error::Io { source, .. })
                if source.kind() == ErrorKind::CrossesDevices);
            if !crosses || i + 1 == places.len() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Creates the file `to` with the bytes of the object `hash`.
    pub(super) fn put(&self, hash: &ContentHash, exec: Executable, to: &Path) -> Result<(), Error> {
        let from = self.cache.object_path(&ObjectId::File(*hash));
        let copying: Vec<LinkKind>;
        let kinds = match exec {
            Executable::No => &self.link_kinds,
            Executable::Yes => {
                copying = vec![LinkKind::Reflink, LinkKind::Copy];
                &copying
            }
        };
        let kind = fs::place(&from, to, kinds).map_err(base::Error::io("write", to))?;
        match kind {
            LinkKind::Hardlink | LinkKind::Symlink => Ok(()),
            LinkKind::Reflink | LinkKind::Copy => {
                fault::point("store.place.mode")
                    .and_then(|()| fs::set_writable(to))
                    .and_then(|()| fs::set_executable(to, exec))
                    .and_then(|()| File::open(to)?.set_modified(backdated()))
                    .map_err(base::Error::io("set mode and time of", to))?;
                Ok(())
            }
        }
    }

    /// Builds the folder `new` where no folder stands.
    fn new_folder(
        &self,
        path: &ArtifactPath,
        target: &Path,
        new: &Listing,
        on_conflict: OnConflict,
    ) -> Result<(Placed, BTreeMap<String, ContentHash>), Error> {
        // Only with `Overwrite`: a folder that could not be read.
        self.clear_folder(path, target, None, on_conflict)?;
        self.build(target, &|to| {
            // A file must give way before a folder can take its name; it is in the cache.
            for folder in folders_of(new.entries()) {
                let dir = to.join(folder);
                fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
            }
            new.entries()
                .par_iter()
                .try_for_each(|e| self.put(&e.hash, e.exec, &to.join(&e.path)))?;
            if is_there(target) {
                fs::remove_file(target).map_err(base::Error::io("remove", target))?;
            }
            Ok(())
        })?;
        let written = new
            .entries()
            .iter()
            .map(|e| (e.path.clone(), e.hash))
            .collect();
        Ok((
            Placed {
                saved: None,
                written: new.files(),
                removed: 0,
            },
            written,
        ))
    }

    /// Turns the folder `old` at `target` into `new`, touching only files that differ.
    fn update_folder(
        &self,
        path: &ArtifactPath,
        target: &Path,
        old: &Listing,
        new: &Listing,
    ) -> Result<(Placed, BTreeMap<String, ContentHash>), Error> {
        let is_gone = |e: &&ListingEntry| new.get(&e.path).is_none();
        let differs = |e: &&ListingEntry| {
            old.get(&e.path)
                .is_none_or(|o| o.hash != e.hash || o.exec != e.exec)
        };
        let gone = old.entries().iter().filter(is_gone);
        let touched = gone.clone().chain(new.entries().iter().filter(differs));
        let linked = LinkedFolders::find(target, touched.map(|e| e.path.as_str()));
        linked.unlink()?;
        let gone: Vec<&ListingEntry> = gone.filter(|e| !linked.hold(&e.path)).collect();
        for entry in &gone {
            let file = target.join(&entry.path);
            fault::point("store.place.remove").map_err(base::Error::io("remove", &file))?;
            fs::remove_file(&file).map_err(base::Error::io("remove", &file))?;
        }
        remove_empty_folders(target, gone.iter().map(|e| e.path.as_str()))?;
        for folder in folders_of(new.entries()) {
            let dir = target.join(folder);
            fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        }
        let changed: Vec<&ListingEntry> = new
            .entries()
            .iter()
            .filter(|e| linked.hold(&e.path) || differs(e))
            .collect();
        changed.par_iter().try_for_each(|entry| {
            let at = target.join(&entry.path);
            if at.is_dir() {
                let left = vec![entry.path.clone()];
                return Err(Error::InTheWay {
                    path: path.clone(),
                    left,
                });
            }
            self.build(&at, &|to| self.put(&entry.hash, entry.exec, to))
        })?;
        let placed = Placed {
            saved: None,
            written: changed.len() as u64,
            removed: gone.len() as u64,
        };
        let written = changed.iter().map(|e| (e.path.clone(), e.hash)).collect();
        Ok((placed, written))
    }

    /// Removes the folder at `target`, if one is there; its tracked files `old` are in the cache.
    fn clear_folder(
        &self,
        path: &ArtifactPath,
        target: &Path,
        old: Option<&Listing>,
        on_conflict: OnConflict,
    ) -> Result<u64, Error> {
        // A link gives way itself.
        if target.is_symlink() || !target.is_dir() {
            return Ok(0);
        }
        if on_conflict != OnConflict::Overwrite {
            let none = Listing::default();
            let left = Snapshotter::untracked(target, old.unwrap_or(&none))?;
            if !left.is_empty() {
                return Err(Error::InTheWay {
                    path: path.clone(),
                    left: left.into_iter().collect(),
                });
            }
        }
        self.discard_aside(target)?;
        Ok(old.map_or(0, Listing::files))
    }

    /// Removes `target`, whatever it is: renames it aside first, so that it is there in full or not
    /// at all.
    pub(crate) fn discard_aside(&self, target: &Path) -> Result<(), Error> {
        fs::create_dir_all(&self.tmp).map_err(base::Error::io("create folder", &self.tmp))?;
        let aside = fs::temp_path(&self.tmp);
        fault::point("store.remove.rename").map_err(base::Error::io("remove", target))?;
        let doomed = match fs::rename(target, &aside) {
            Ok(()) => aside.as_path(),
            Err(e) if e.kind() == ErrorKind::CrossesDevices => target,
            Err(e) => return Err(base::Error::io("remove", target)(e).into()),
        };
        discard(doomed).map_err(base::Error::io("remove", doomed))?;
        Ok(())
    }
}

/// Removes a file, link or folder; it being gone is fine.
fn discard(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Is anything there, be it a symbolic link to nothing?
pub(crate) fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Returns every folder that `entries` need, parents first, the top (empty) included.
fn folders_of(entries: &[ListingEntry]) -> Vec<&str> {
    let mut folders = vec![""];
    for entry in entries {
        folders.extend(
            entry
                .path
                .match_indices('/')
                .map(|(at, _)| &entry.path[..at]),
        );
    }
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// The symbolic links to folders through which some files of a folder are reached.
pub(crate) struct LinkedFolders {
    target: PathBuf,
    /// Paths below `target`, each with a slash at the end; an empty one if `target` itself is a link.
    links: Vec<String>,
}

impl LinkedFolders {
    /// Looks at each folder on the way from `target` to `files`, which are paths below it.
    pub(crate) fn find<'a>(target: &Path, files: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self {
            target: target.to_owned(),
            links: Vec::new(),
        };
        if target.is_symlink() {
            found.links.push(String::new());
            return found;
        }
        let mut folders: Vec<&str> = files
            .flat_map(|file| file.match_indices('/').map(move |(at, _)| &file[..=at]))
            .collect();
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            let at = target.join(folder.trim_end_matches('/'));
            if !found.hold(folder) && at.is_symlink() {
                found.links.push(folder.to_owned());
            }
        }
        found
    }

    /// Is `file`, a path below the target, behind one of them?
    pub(crate) fn hold(&self, file: &str) -> bool {
        self.links
            .iter()
            .any(|link| file.starts_with(link.as_str()))
    }

    /// Removes the links, not what they lead to.
    pub(crate) fn unlink(&self) -> Result<(), Error> {
        for link in &self.links {
            let at = self.target.join(link.trim_end_matches('/'));
            fault::point("store.place.unlink").map_err(base::Error::io("remove", &at))?;
            fs::remove_file(&at).map_err(base::Error::io("remove", &at))?;
        }
        Ok(())
    }
}

/// Removes the folders that held `files` (paths below `target`) and hold nothing now; never
/// `target` itself.
pub(crate) fn remove_empty_folders<'a>(
    target: &Path,
    files: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let mut folders: Vec<&str> = files
        .flat_map(|file| file.match_indices('/').map(move |(at, _)| &file[..at]))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    // Children sort after their parents.
    for folder in folders.iter().rev() {
        let dir = target.join(folder);
        remove_folder_if_empty(&dir).map_err(base::Error::io("remove", &dir))?;
    }
    Ok(())
}

/// Removes `dir` unless something is in it: one system call, so nothing can slip in between.
pub(crate) fn remove_folder_if_empty(dir: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    fault::point("dir.remove")?;
    match rustix::fs::rmdir(dir) {
        // A symbolic link to a folder, or another process was faster.
        Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(unix)]
fn device(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|metadata: Metadata| metadata.dev())
}

fn same_device(a: &Path, b: &Path) -> bool {
    matches!((device(a), device(b)), (Ok(a), Ok(b)) if a == b)
}
