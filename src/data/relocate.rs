//! `move`: gives tracked data another place, pointer and `.gitignore` line included. Imports: `base`,
//! `project`, `store`, `pipeline`.
//!
//! **Order of work**: the new pointer is written before the data moves and the old pointer goes last.
//! Killed on the way, the data is at its old or its new place in full, and a pointer names each; the
//! same move once more goes on from there.

use std::collections::BTreeSet;

use crate::base::fs::fault;
use crate::base::{self, ArtifactPath, fs};
use crate::pipeline::spec::Storage;
use crate::pipeline::{Pointer, PointerOut};
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
    let (to, begun) = destination(tracked, (at, out), to);
    let at = match begun {
        // That pointer is written anew below.
        Some(begun) => {
            tracked.pointers.remove(begun);
            at - usize::from(begun < at)
        }
        None => at,
    };
    let (old_place, new_place) = (from.under(&root), to.under(&root));
    let is_there = std::fs::symlink_metadata(&new_place).is_ok();
    let was_moved = begun.is_some() && std::fs::symlink_metadata(&old_place).is_err();
    if is_there && !was_moved {
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
    let new = relocated(tracked, &old, out, &to, begun.is_some())?;
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
    if is_cached {
        for_git.extend(tracked.set_ignored([(from, InGit::Visible)])?);
    }
    if new.file != old.file {
        let file = old.file.under(&root);
        fs::remove_file(&file).map_err(base::Error::io("remove", &file))?;
        for_git.insert(old.file.clone());
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

/// Returns where the data goes for `to`: there, or into that folder; and the number of the pointer that
/// an interrupted move to that place has left.
fn destination(
    tracked: &Tracked<'_>,
    source: (usize, usize),
    to: &ArtifactPath,
) -> (ArtifactPath, Option<usize>) {
    if let Some(begun) = begun(tracked, source, to) {
        return (to.clone(), Some(begun));
    }
    let to = if to.under(tracked.root()).is_dir() {
        let (at, out) = source;
        to.join(tracked.pointers[at].outs[out].path.name())
    } else {
        to.clone()
    };
    let begun = begun(tracked, source, &to);
    (to, begun)
}

/// Returns the number of the pointer that an interrupted move to `to` has written: it names the data
/// that the pointer with these numbers names, and one of the two places is empty.
fn begun(tracked: &Tracked<'_>, (at, out): (usize, usize), to: &ArtifactPath) -> Option<usize> {
    let old = &tracked.pointers[at].outs[out];
    let is_there =
        |path: &ArtifactPath| std::fs::symlink_metadata(path.under(tracked.root())).is_ok();
    if is_there(&old.path) && is_there(to) {
        return None;
    }
    let file = pointer_file(tracked, to);
    tracked.pointers.iter().position(|new| {
        let is_same = |known: &PointerOut| known.path == *to && known.present() == old.present();
        new.file == file && new.outs.len() == 1 && new.outs.iter().all(is_same)
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
    is_begun: bool,
) -> Result<Pointer, Error> {
    let mut new = old.clone();
    let was_beside = pointer_file(tracked, &old.outs[out].path).name() == old.file.name();
    new.outs[out].path = to.clone();
    if was_beside && old.outs.len() == 1 {
        new.file = pointer_file(tracked, to);
        new.base = new.file.parent();
        if !is_begun && new.file.under(tracked.root()).exists() {
            return Err(Error::InTheWay {
                path: new.file.as_str().into(),
            });
        }
    }
    Ok(new)
}
