//! A parallel walk with a sorted result.

use std::fs::{DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// One file found by `walk`.
#[derive(Debug)]
pub struct Entry<T = Metadata> {
    /// Path relative to the walk's root, `/`-separated.
    pub relative: String,
    /// Its metadata, symbolic links followed, or what the walk was told to keep of it.
    pub metadata: T,
}

/// Deepest folder nesting followed; a symbolic link to a parent would go on for ever.
const DEPTH_MAX: usize = 128;

/// Files that one task inspects: fewer would cost more in tasks than they save.
const FILES_PER_TASK: usize = 256;

/// Why a walk ended early: the path, and what the system said.
type Failure = (PathBuf, io::Error);

/// Returns all files below `root`, sorted bytewise by relative path. Folders for which
/// `keep(relative, is_dir)` is false are not entered, such files are left out. Symbolic links are
/// followed.
///
/// # Errors
/// A folder that cannot be read, a file that cannot be inspected, a name that is not UTF-8, or a
/// loop of links.
pub fn walk(
    root: &Path,
    keep: &(dyn Fn(&str, bool) -> bool + Sync),
) -> Result<Vec<Entry>, Failure> {
    walk_with(root, keep, &|metadata| metadata)
}

/// As `walk`, but keeps of each file's metadata only what `see` says: for walks over so many files
/// that their metadata would fill the memory.
///
/// # Errors
/// As `walk`.
pub fn walk_with<T: Send>(
    root: &Path,
    keep: &(dyn Fn(&str, bool) -> bool + Sync),
    see: &(dyn Fn(Metadata) -> T + Sync),
) -> Result<Vec<Entry<T>>, Failure> {
    let mut entries = folder(root, "", keep, see, 0)?;
    // Nearly sorted already, folder by folder: a stable sort finds the runs.
    entries.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(entries)
}

fn folder<T: Send>(
    dir: &Path,
    relative: &str,
    keep: &(dyn Fn(&str, bool) -> bool + Sync),
    see: &(dyn Fn(Metadata) -> T + Sync),
    depth: usize,
) -> Result<Vec<Entry<T>>, Failure> {
    if depth > DEPTH_MAX {
        let error =
            io::Error::other("folders are nested too deeply; is there a loop of symbolic links?");
        return Err((dir.to_owned(), error));
    }
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let name = entry.file_name().into_string().map_err(|name| {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
            (dir.join(name), error)
        })?;
        let relative = if relative.is_empty() {
            name
        } else {
            format!("{relative}/{name}")
        };
        let kind = entry.file_type().map_err(at(dir))?;
        let is_dir = if kind.is_symlink() {
            match std::fs::metadata(entry.path()) {
                Ok(metadata) => metadata.is_dir(),
                // An ignored link may lead nowhere.
                Err(_) if !keep(&relative, false) => continue,
                Err(e) => return Err((entry.path(), e)),
            }
        } else {
            kind.is_dir()
        };
        if !keep(&relative, is_dir) {
            continue;
        }
        if is_dir {
            folders.push((entry, relative));
        } else {
            files.push((entry, relative));
        }
    }
    let by_name = |a: &(DirEntry, String), b: &(DirEntry, String)| a.1.cmp(&b.1);
    files.sort_unstable_by(by_name);
    folders.sort_unstable_by(by_name);
    let (below, here) = rayon::join(
        || {
            let folders = folders.into_par_iter();
            let walked =
                folders.map(|(entry, name)| folder(&entry.path(), &name, keep, see, depth + 1));
            walked.collect::<Result<Vec<_>, _>>()
        },
        || {
            let files = files.into_par_iter().with_min_len(FILES_PER_TASK);
            files
                .map(|file| inspect(file, see))
                .collect::<Result<Vec<_>, _>>()
        },
    );
    let (mut entries, below) = (here?, below?);
    // One growth to just the size: there may be a million.
    entries.reserve_exact(below.iter().map(Vec::len).sum());
    for mut folder in below {
        entries.append(&mut folder);
    }
    Ok(entries)
}

fn inspect<T>(
    (entry, relative): (DirEntry, String),
    see: &(dyn Fn(Metadata) -> T + Sync),
) -> Result<Entry<T>, Failure> {
    // The entry's own metadata is found through the open folder: cheaper than by path, but it
    // describes a link itself, not what it points to.
    let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
    let metadata = if is_link {
        std::fs::metadata(entry.path())
    } else {
        entry.metadata()
    };
    match metadata {
        Ok(metadata) => Ok(Entry {
            relative,
            metadata: see(metadata),
        }),
        Err(e) => Err((entry.path(), e)),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |e| (path, e)
}
