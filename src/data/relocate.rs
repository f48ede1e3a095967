//! `move`: gives tracked data another place, pointer and `.gitignore` line included. Imports: `base`,
//! `project`, `store`, `pipeline`.
//!
//! **Order of work**: the new pointer is written before the data moves and the old pointer goes last.
//! Killed on the way, the data is at its old or its new place in full, and a pointer names each.

use std::collections::BTreeSet;

use crate::base::fs::fault;
use crate::base::{self, ArtifactPath, fs};
use crate::pipeline::Pointer;
use crate::pipeline::spec::Storage;
use crate::project::{Ignore, InGit};

use super::add::{check_is_data, pointer_file};
use super::error::Error;
use super::tracked::Tracked;

/// What `relocate` did.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where the data was.
    pub from: ArtifactPath,
    /// Where it is.
    pub to: ArtifactPath,
    /// Its pointer.
    pub pointer: ArtifactPath,
    /// Files that git should be told of.
    pub for_git: BTreeSet<ArtifactPath>,
}

/// Moves the tracked data `from` to `to`; into `to`, if that is a folder.
///
/// # Errors
/// `from` is not tracked as a whole, something stands at `to`, or a file operation failed.
pub fn relocate(
    tracked: &mut Tracked<'_>,
    from: &ArtifactPath,
    to: &ArtifactPath,
) -> Result<Moved, Error> {
    let root = tracked.root().to_owned();
    let (at, out) = source(tracked, from)?;
    let to = if to.under(&root).is_dir() {
        to.join(from.name())
    } else {
        to.clone()
    };
    let (old_place, new_place) = (from.under(&root), to.under(&root));
    if std::fs::symlink_metadata(&new_place).is_ok() {
        return Err(Error::InTheWay {
            path: to.as_str().into(),
        });
    }
    check_is_data(tracked, &Ignore::of(tracked.project), &to)?;
    tracked.check_free(&to, Some(from))?;
    if from.contains(&to) {
        return Err(Error::IntoItself {
            from: from.clone(),
            to,
        });
    }
    let old = tracked.pointers[at].clone();
    let new = relocated(tracked, &old, out, &to)?;
    let is_cached = old.outs[out].storage == Storage::Cached;
    let mut for_git = BTreeSet::new();
    if is_cached {
        for_git.extend(tracked.set_ignored([(&to, InGit::Ignored)])?);
    }
    new.write(&root)?;
    for_git.insert(new.file.clone());
    if std::fs::symlink_metadata(&old_place).is_ok() {
        if let Some(dir) = new_place.parent() {
            fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        }
        fault::point("data.move").map_err(base::Error::io("move", &old_place))?;
        fs::rename(&old_place, &new_place).map_err(base::Error::io("move", &old_place))?;
    }
    if new.file != old.file {
        let file = old.file.under(&root);
        fs::remove_file(&file).map_err(base::Error::io("remove", &file))?;
        for_git.insert(old.file.clone());
    }
    if is_cached {
        for_git.extend(tracked.set_ignored([(from, InGit::Visible)])?);
    }
    let pointer = new.file.clone();
    tracked.pointers[at] = new;
    Ok(Moved {
        from: from.clone(),
        to,
        pointer,
        for_git,
    })
}

/// Returns the numbers of the pointer and of its out that `from` is.
fn source(tracked: &Tracked<'_>, from: &ArtifactPath) -> Result<(usize, usize), Error> {
    if let Some(out) = tracked.stage_outs.get(from) {
        return Err(Error::StageOutput {
            path: from.clone(),
            out: from.clone(),
            stage: out.stage.clone(),
        });
    }
    let Some((at, out)) = tracked.around(from) else {
        return Err(tracked.unknown(from));
    };
    let known = &tracked.pointers[at].outs[out];
    if known.path == *from {
        Ok((at, out))
    } else {
        Err(Error::Part {
            path: from.clone(),
            out: known.path.clone(),
        })
    }
}

/// Returns the pointer with its out at `to`: in a file beside it if its file was named after the out.
fn relocated(
    tracked: &Tracked<'_>,
    old: &Pointer,
    out: usize,
    to: &ArtifactPath,
) -> Result<Pointer, Error> {
    let mut new = old.clone();
    let was_beside = pointer_file(tracked, &old.outs[out].path).name() == old.file.name();
    new.outs[out].path = to.clone();
    if was_beside && old.outs.len() == 1 {
        new.file = pointer_file(tracked, to);
        new.base = new.file.parent();
        if new.file.under(tracked.root()).exists() {
            return Err(Error::InTheWay {
                path: new.file.as_str().into(),
            });
        }
    }
    Ok(new)
}
