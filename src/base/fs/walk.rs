//! A parallel walk with a sorted result.

use std::fs::{DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// One file found by `walk`.
#[derive(Debug)]
pub struct Entry {
    /// Path relative to the walk's root, `/`-separated.
    pub relative: String,
    /// Its metadata, symbolic links followed.
    pub metadata: Metadata,
}

/// Deepest folder nesting followed; a symbolic link to a parent would go on for ever.
const DEPTH_MAX: usize = 128;

/// Returns all files below `root`, sorted bytewise by relative path. Folders for which
/// `keep(relative, is_dir)` is false are not entered, such files are left out. Symbolic links are
/// followed.
///
/// # Errors
/// The first (in path order) folder that cannot be read, file that cannot be inspected, name that
/// is not UTF-8, or loop of links.
pub fn walk(
    root: &Path,
    keep: &(dyn Fn(&str, bool) -> bool + Sync),
) -> Result<Vec<Entry>, (PathBuf, io::Error)> {
    let mut entries = folder(root, "", keep, 0)?;
    entries.par_sort_unstable_by(|a, b| a.relative.cmp(&b.relative));
    Ok(entries)
}

fn folder(
    dir: &Path,
    relative: &str,
    keep: &(dyn Fn(&str, bool) -> bool + Sync),
    depth: usize,
) -> Result<Vec<Entry>, (PathBuf, io::Error)> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| (path, e)
    };
    if depth > DEPTH_MAX {
        let error =
            io::Error::other("folders are nested too deeply; is there a loop of symbolic links?");
        return Err((dir.to_owned(), error));
    }
    let listed: Vec<(DirEntry, String)> = std::fs::read_dir(dir)
        .map_err(fail(dir))?
        .map(|entry| {
            let entry = entry.map_err(fail(dir))?;
            let name = entry.file_name().into_string().map_err(|name| {
                let error = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                (dir.join(name), error)
            })?;
            Ok((entry, name))
        })
        .collect::<Result<_, _>>()?;
    let parts: Vec<Vec<Entry>> = listed
        .into_par_iter()
        .with_min_len(64)
        .map(|(entry, name)| {
            let path = entry.path();
            let relative = if relative.is_empty() {
                name
            } else {
                format!("{relative}/{name}")
            };
            let kind = entry.file_type().map_err(fail(&path))?;
            // The entry's own metadata is found through the open folder: cheaper than by path, but
            // it describes a link itself, not what it points to.
            let metadata = if kind.is_symlink() {
                match std::fs::metadata(&path) {
                    Ok(metadata) => metadata,
                    // An ignored link may lead nowhere.
                    Err(_) if !keep(&relative, false) => return Ok(Vec::new()),
                    Err(e) => return Err((path, e)),
                }
            } else {
                if !keep(&relative, kind.is_dir()) {
                    return Ok(Vec::new());
                }
                entry.metadata().map_err(fail(&path))?
            };
            if kind.is_symlink() && !keep(&relative, metadata.is_dir()) {
                Ok(Vec::new())
            } else if metadata.is_dir() {
                folder(&path, &relative, keep, depth + 1)
            } else {
                Ok(vec![Entry { relative, metadata }])
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(parts.into_iter().flatten().collect())
}
