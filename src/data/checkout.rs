//! `checkout`: puts tracked data in place as pointers and locks name it. Imports: `base`, `store`,
//! `pipeline`.

use crate::base::hash::HashAlgo;
use crate::base::{ArtifactPath, ObjectId};
use crate::pipeline::spec::Storage;
use crate::project::InGit;
use crate::store::{self, OnConflict, Presence, Present};

use super::error::Error;
use super::tracked::Tracked;

/// What is put where.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where.
    pub path: ArtifactPath,
    /// What; `None` if nothing is recorded.
    pub present: Option<Present>,
    /// Is it kept out of git?
    pub storage: Storage,
}

/// What became of one path.
#[derive(Debug)]
pub enum Fate {
    /// It was right already.
    Unchanged,
    /// It was put in place.
    Placed {
        /// Did something stand there before?
        change: Change,
        /// What stood there and was not in the cache, under this hash now.
        saved: Option<ObjectId>,
    },
    /// It was taken away: another commit tracked it, this one does not.
    Removed,
    /// It could not be.
    Failed(Error),
}

/// How a path changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing was there.
    Added,
    /// Something else was there.
    Modified,
}

/// One path, and what became of it.
#[derive(Debug)]
pub struct CheckedOut {
    /// The path.
    pub path: ArtifactPath,
    /// Is it a folder?
    pub is_folder: bool,
    /// How many of its files hold what they held, as another kind of link or as copies (`--relink`).
    pub relinked: u64,
    /// What became of it.
    pub result: Fate,
}

/// Which links are made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Those of files that differ.
    AsNeeded,
    /// All (`--relink`), as the settings say now.
    Anew,
}

/// Returns what `targets` name, of pointers and stages; everything if there are none. A target may
/// be a pointer file, tracked data, part of a tracked folder, or (with `inside`) a folder around such.
///
/// # Errors
/// A target names nothing that is tracked; all of them.
pub fn wanted(
    tracked: &Tracked<'_>,
    targets: &[ArtifactPath],
    inside: Inside,
) -> Result<Vec<Wanted>, Error> {
    let all: Vec<Wanted> = everything(tracked);
    if targets.is_empty() {
        return Ok(all);
    }
    let (mut chosen, mut errors) = (Vec::new(), Vec::new());
    for target in targets {
        match one(tracked, &all, target, inside) {
            Ok(wanted) => chosen.extend(wanted),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)?;
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    chosen.dedup_by(|a, b| a.path == b.path);
    Ok(chosen)
}

/// Does a folder stand for what is tracked inside it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// No.
    No,
    /// Yes (`-R`).
    Yes,
}

fn everything(tracked: &Tracked<'_>) -> Vec<Wanted> {
    let data = tracked.outs().map(|(_, out)| Wanted {
        path: out.path.clone(),
        present: out.present(),
        storage: out.storage,
    });
    let stages = tracked.stage_outs.iter().map(|(path, out)| Wanted {
        path: path.clone(),
        present: match out.recorded {
            Presence::Missing => None,
            Presence::Present(present) => Some(present),
        },
        storage: out.storage,
    });
    let mut all: Vec<Wanted> = data.chain(stages).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn one(
    tracked: &Tracked<'_>,
    all: &[Wanted],
    target: &ArtifactPath,
    inside: Inside,
) -> Result<Vec<Wanted>, Error> {
    if let Some(at) = tracked.pointer(target) {
        let outs = &tracked.pointers[at].outs;
        let is_of = |wanted: &&Wanted| outs.iter().any(|out| out.path == wanted.path);
        return Ok(all.iter().filter(is_of).cloned().collect());
    }
    if let Some(around) = all.iter().find(|wanted| wanted.path.contains(target)) {
        return match around.present {
            Some(whole) if around.path != *target && whole.files.is_some() => {
                let part = tracked.store.recorded_part(&around.path, &whole, target)?;
                let present = Some(part.ok_or_else(|| tracked.unknown(target))?);
                Ok(vec![Wanted {
                    path: target.clone(),
                    present,
                    storage: Storage::Cached,
                }])
            }
            _ => Ok(vec![around.clone()]),
        };
    }
    let below = all.iter().filter(|wanted| target.contains(&wanted.path));
    let below: Vec<Wanted> = below.cloned().collect();
    if inside == Inside::Yes && !below.is_empty() {
        Ok(below)
    } else {
        Err(tracked.unknown(target))
    }
}

/// Puts each of `wanted` in place; one that fails does not stop the others.
///
/// # Errors
/// The work was cancelled, or a `.gitignore` cannot be written.
pub fn checkout(
    tracked: &Tracked<'_>,
    wanted: &[Wanted],
    on_conflict: OnConflict,
    links: Links,
) -> Result<Vec<CheckedOut>, Error> {
    let mut results = Vec::new();
    for want in wanted {
        let mut relinked = 0;
        let placed = place(tracked, want, on_conflict).and_then(|fate| {
            if links == Links::Anew {
                relinked = relink(tracked, want)?;
            }
            Ok(fate)
        });
        let result = match placed {
            Ok(result) => result,
            Err(error @ Error::Store(store::Error::Cancelled)) => return Err(error),
            Err(error) => Fate::Failed(error),
        };
        results.push(CheckedOut {
            path: want.path.clone(),
            is_folder: want.present.is_some_and(|present| present.files.is_some()),
            relinked,
            result,
        });
    }
    let cached = wanted.iter().filter(|want| want.storage == Storage::Cached);
    let whole = cached.filter(|want| {
        let known = |(_, out): (_, &crate::pipeline::PointerOut)| out.path == want.path;
        tracked.stage_outs.contains_key(&want.path) || tracked.outs().any(known)
    });
    tracked.set_ignored(whole.map(|want| (&want.path, InGit::Ignored)))?;
    Ok(results)
}

fn place(tracked: &Tracked<'_>, want: &Wanted, on_conflict: OnConflict) -> Result<Fate, Error> {
    // Git has what is left to it: the cache may not, and an edit there is no damage.
    if want.storage == Storage::Git {
        return Ok(Fate::Unchanged);
    }
    let Some(present) = want.present else {
        return Err(tracked.unrecorded(&want.path));
    };
    if is_legacy_in_place(tracked, want, &present)? {
        return Ok(Fate::Unchanged);
    }
    let was = std::fs::symlink_metadata(want.path.under(tracked.root())).is_ok();
    let placed = tracked
        .store
        .place(&want.path, &present.object, present.exec, on_conflict);
    let placed = placed.map_err(|error| lacking(tracked, &want.path, error))?;
    if placed.written == 0 && placed.removed == 0 {
        return Ok(Fate::Unchanged);
    }
    Ok(Fate::Placed {
        change: if was { Change::Modified } else { Change::Added },
        saved: placed.saved,
    })
}

/// Is `present` a hash of DVC 2, and its data in place? The cache may not have that.
fn is_legacy_in_place(
    tracked: &Tracked<'_>,
    want: &Wanted,
    present: &Present,
) -> Result<bool, Error> {
    if present.object.hash().algo() != HashAlgo::Md5Dos2Unix {
        return Ok(false);
    }
    let now = tracked.store.snapshot_legacy(&want.path)?;
    Ok(now.object() == Some(present.object))
}

/// Makes the files of what is in place anew, as the settings say now; returns how many.
fn relink(tracked: &Tracked<'_>, want: &Wanted) -> Result<u64, Error> {
    match want.present {
        Some(present)
            if want.storage != Storage::Git && !is_legacy_in_place(tracked, want, &present)? =>
        {
            Ok(tracked.store.relink_anew(&want.path, &present)?)
        }
        Some(_) | None => Ok(0),
    }
}

/// Says for which path the cache lacks something. A link to an object that was found damaged leads
/// nowhere any more: such paths get the bytes back, which may be the user's.
pub(super) fn lacking(tracked: &Tracked<'_>, path: &ArtifactPath, error: store::Error) -> Error {
    let store::Error::NotInCache {
        object,
        missing,
        corrupt,
    } = error
    else {
        return error.into();
    };
    match tracked.rescue() {
        Ok(rescued) => Error::NotInCache {
            path: path.clone(),
            lack: store::error::lack(&object, &missing, &corrupt),
            is_damaged: !corrupt.is_empty(),
            origin: tracked.origin(path),
            rescued,
        },
        Err(error) => error,
    }
}
