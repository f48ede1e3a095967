//! Where prepared data goes: the checks before writing, and the swap at the end.
//!
//! Imports: `base::fs`, `shard` (the manifest's name).

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::fs as files;
use crate::vision::Error;
use crate::vision::shard;

/// Ending of the folder being written, beside the target.
const PARTIAL: &str = "partial";
/// Ending of the folder being replaced, beside the target.
const REPLACED: &str = "replaced";

/// A folder under a temporary name that replaces `target` when it is complete; dropped before, it
/// is removed.
pub(super) struct OutputFolder {
    target: PathBuf,
    parent: PathBuf,
    pub(super) partial: PathBuf,
}

impl OutputFolder {
    pub(super) fn begin(out: &Path) -> Result<Self, Error> {
        let target = std::path::absolute(out).map_err(Error::io("find", out))?;
        let parent = target.parent().unwrap_or(&target).to_owned();
        files::create_dir_all(&parent).map_err(Error::io("create folder", &parent))?;
        let folder = Self {
            partial: beside(&target, PARTIAL),
            target,
            parent,
        };
        // What a killed run left behind; the names belong to this target alone. Killed between the
        // two renames of `commit`, the old data is only to be found under its second name.
        let replaced = beside(&folder.target, REPLACED);
        if replaced.exists() && !folder.target.exists() {
            files::rename(&replaced, &folder.target).map_err(Error::io("restore", &replaced))?;
        }
        for leftover in [&replaced, &folder.partial] {
            files::remove_dir_all(leftover).map_err(Error::io("remove", leftover))?;
        }
        files::create_dir_all(&folder.partial)
            .map_err(Error::io("create folder", &folder.partial))?;
        Ok(folder)
    }

    pub(super) fn commit(self) -> Result<(), Error> {
        files::sync_filesystem(&self.partial).map_err(Error::io("sync", &self.partial))?;
        let replaced = beside(&self.target, REPLACED);
        let had_old = self.target.exists();
        if had_old {
            files::rename(&self.target, &replaced).map_err(Error::io("move", &self.target))?;
        }
        if let Err(source) = files::rename(&self.partial, &self.target) {
            if had_old {
                files::rename(&replaced, &self.target)
                    .map_err(Error::io("restore", &self.target))?;
            }
            return Err(Error::io("move into place", &self.target)(source));
        }
        files::sync_dir(&self.parent).map_err(Error::io("sync", &self.parent))?;
        files::remove_dir_all(&replaced).map_err(Error::io("remove", &replaced))
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // After a commit there is nothing under this name; before, the run failed and has already
        // said why, and the next one sweeps what cannot be removed now.
        let _ = files::remove_dir_all(&self.partial);
    }
}

/// Returns `.NAME.KIND` beside `target`.
fn beside(target: &Path, kind: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{kind}"))
}

/// Refuses places where writing would destroy something or preparing would read its own output.
pub(super) fn check_places(input: &Path, out: &Path) -> Result<(), Error> {
    // A missing dataset is reported by `scan`, in its own words.
    let (Ok(inside), Ok(outside)) = (fs::canonicalize(input), absolute(out)) else {
        return Ok(());
    };
    // The output may lie beside a manifest. A folder in which its pictures are is not ours.
    let is_file = inside.is_file();
    if inside.starts_with(&outside) || (!is_file && outside.starts_with(&inside)) {
        return Err(Error::OutputInsideInput {
            input: input.to_owned(),
            out: out.to_owned(),
        });
    }
    let Ok(metadata) = fs::metadata(out) else {
        return Ok(());
    };
    let ours = metadata.is_dir() && {
        let mut entries = fs::read_dir(out).map_err(Error::io("list folder", out))?;
        entries.next().is_none() || out.join(shard::MANIFEST).is_file()
    };
    if ours {
        Ok(())
    } else {
        Err(Error::OutputNotOurs {
            path: out.to_owned(),
        })
    }
}

/// Returns the absolute form of a path whose last parts may not exist yet.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let full = std::path::absolute(path)?;
    let existing = full
        .ancestors()
        .find_map(|a| Some((a, fs::canonicalize(a).ok()?)));
    Ok(match existing {
        Some((ancestor, real)) => match full.strip_prefix(ancestor) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => full,
        },
        None => full,
    })
}
