//! `remove`: stops tracking data, with or without removing it. Imports: `base`, `project`, `store`,
//! `pipeline`.

use std::collections::BTreeSet;

use crate::base::{self, ArtifactPath, ObjectId, fs};
use crate::pipeline::spec::Storage;
use crate::project::InGit;
use crate::store::OnConflict;

use super::error::Error;
use super::tracked::Tracked;

/// What happens to the data of a pointer that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// It stays, as files of the user's own.
    Keep,
    /// It goes too; the cache has it first.
    Remove,
}

/// What was removed.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The pointer.
    pub pointer: ArtifactPath,
    /// Its data.
    pub paths: Vec<ArtifactPath>,
    /// Data that was not in the cache and was saved there first.
    pub saved: Vec<(ArtifactPath, ObjectId)>,
}

/// What `remove` did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Each pointer.
    pub removed: Vec<Removed>,
    /// Files that git should be told of.
    pub for_git: BTreeSet<ArtifactPath>,
}

/// Returns the number of the pointer that `target` names.
///
/// # Errors
/// It names data, or nothing that is tracked.
pub fn pointer_named(tracked: &Tracked<'_>, target: &ArtifactPath) -> Result<usize, Error> {
    if let Some(at) = tracked.pointer(target) {
        return Ok(at);
    }
    match tracked.around(target) {
        Some((at, _)) => Err(Error::DataNamed {
            path: target.clone(),
            pointer: tracked.pointers[at].file.clone(),
        }),
        None => Err(tracked.unknown(target)),
    }
}

/// Removes the pointers with these numbers.
///
/// **Order of work**: data first, then the `.gitignore` lines, then the pointer: killed on the way, a
/// second `remove` ends the work.
///
/// # Errors
/// A file operation failed.
pub fn remove(tracked: &mut Tracked<'_>, numbers: &[usize], data: Data) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    for &at in numbers {
        let pointer = &tracked.pointers[at];
        let mut removed = Removed {
            pointer: pointer.file.clone(),
            paths: pointer.outs.iter().map(|out| out.path.clone()).collect(),
            saved: Vec::new(),
        };
        for path in &removed.paths {
            match data {
                Data::Keep => {
                    tracked.store.unprotect(path)?;
                }
                Data::Remove => {
                    let done = tracked.store.remove(path, OnConflict::SaveFirst)?;
                    removed
                        .saved
                        .extend(done.saved.map(|object| (path.clone(), object)));
                }
            }
        }
        let cached = pointer
            .outs
            .iter()
            .filter(|out| out.storage == Storage::Cached);
        let visible = cached.map(|out| (&out.path, InGit::Visible));
        outcome.for_git.extend(tracked.set_ignored(visible)?);
        let file = pointer.file.under(tracked.root());
        fs::remove_file(&file).map_err(base::Error::io("remove", &file))?;
        outcome.for_git.insert(pointer.file.clone());
        outcome.removed.push(removed);
    }
    let mut at = 0;
    tracked.pointers.retain(|_| {
        at += 1;
        !numbers.contains(&(at - 1))
    });
    Ok(outcome)
}
