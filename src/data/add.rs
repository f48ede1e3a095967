//! `add`: puts files and folders into the cache and leaves a pointer to each.
//! Imports: `base`, `project`, `store`, `pipeline`.
//!
//! **Order of work.** All targets are checked, then all are stored, one sync makes them durable, then
//! git is told to ignore them, and last the pointers are written, each atomically. Killed before
//! that: the old pointers stand, and the cache holds objects that nobody names.

use std::collections::BTreeSet;

use crate::base::fs::{LinkKind, walk};
use crate::base::{ArtifactPath, ObjectId};
use crate::pipeline::spec::Storage;
use crate::pipeline::{Pointer, PointerOut};
use crate::project::ignore::{DVC_IGNORE_FILE, PathKind};
use crate::project::{CVOPS, DVC, Ignore, InGit, git};
use crate::store::{Held, Presence, Present};

use super::error::Error;
use super::tracked::Tracked;

/// Are the bytes put into the cache, or only the pointers written?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// They are stored; files become links where the settings ask for links.
    Stored,
    /// They are stored; the files stay what they are (`--no-relink`).
    StoredOnly,
    /// Only their hashes are recorded (`--no-commit`).
    Hashed,
}

/// What became of a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    New,
    /// It says something else now.
    Updated,
    /// It said so already.
    None,
}

/// What was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// What was asked for.
    pub path: ArtifactPath,
    /// The pointer that tracks it.
    pub pointer: ArtifactPath,
    /// What the tracked path holds; with a part of a folder, the whole folder.
    pub present: Present,
    /// What became of the pointer.
    pub change: Change,
    /// Is it a part of a folder that is gone, and recorded so?
    pub is_gone: bool,
    /// Objects of the version before that were found damaged, as by writing through a link.
    pub damaged: Vec<ObjectId>,
}

/// What `add` did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Each target.
    pub added: Vec<Added>,
    /// Files that git should be told of: pointers and `.gitignore` files that changed.
    pub for_git: BTreeSet<ArtifactPath>,
}

/// What is to be done for one target.
enum Job {
    /// A whole out of the pointer of this number.
    Out(usize, usize),
    /// Part of the folder that the out is.
    Part(usize, usize),
    /// A new pointer.
    New,
}

/// Tracks `targets`, or brings up to date what tracks them.
///
/// # Errors
/// All targets that cannot be tracked, before anything is stored; or a file operation failed.
pub fn add(
    tracked: &mut Tracked<'_>,
    targets: &[ArtifactPath],
    bytes: Bytes,
) -> Result<Outcome, Error> {
    for path in targets.iter().filter(|path| shares(tracked, path)) {
        tracked.store.rescue(path)?;
    }
    let jobs = check_all(tracked, targets)?;
    let before: Vec<Option<Present>> = jobs.iter().map(|job| recorded(tracked, job)).collect();
    let mut changed: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for (path, job) in targets.iter().zip(jobs) {
        let (at, present) = match job {
            Job::Out(pointer, out) => {
                let present = store(tracked, path, bytes)?;
                set(&mut tracked.pointers[pointer].outs[out], present);
                (pointer, present)
            }
            Job::Part(pointer, out) => {
                let folder = &tracked.pointers[pointer].outs[out];
                let present = store_part(tracked, &tracked.pointers[pointer], folder, path)?;
                set(&mut tracked.pointers[pointer].outs[out], present);
                (pointer, present)
            }
            Job::New => {
                let present = store(tracked, path, bytes)?;
                let pointer = new_pointer(tracked, path, present)?;
                tracked.pointers.push(pointer);
                (tracked.pointers.len() - 1, present)
            }
        };
        changed.push(at);
        found.push(present);
    }
    let changes = write(tracked, &changed)?;
    let mut outcome = changes.outcome;
    let results = changed.into_iter().zip(found).zip(before);
    for (path, ((at, present), before)) in targets.iter().zip(results) {
        outcome.added.push(Added {
            path: path.clone(),
            pointer: tracked.pointers[at].file.clone(),
            present,
            change: changes.of.get(&at).copied().unwrap_or(Change::None),
            is_gone: is_gone(tracked, path),
            damaged: damaged(tracked, path, before, present)?,
        });
    }
    Ok(outcome)
}

/// May what stands at `path` share its bytes with the cache?
fn shares(tracked: &Tracked<'_>, path: &ArtifactPath) -> bool {
    let kinds = &tracked.project.config.link_kinds;
    let shares = |kind: &LinkKind| matches!(kind, LinkKind::Hardlink | LinkKind::Symlink);
    kinds.iter().any(shares) || path.under(tracked.root()).is_symlink()
}

/// Returns what the pointer says before it is changed.
fn recorded(tracked: &Tracked<'_>, job: &Job) -> Option<Present> {
    match job {
        Job::Out(pointer, out) | Job::Part(pointer, out) => {
            tracked.pointers[*pointer].outs[*out].present()
        }
        Job::New => None,
    }
}

/// Returns which objects of the version `before` of a changed `path` are damaged. Other paths that
/// were links to them get the bytes.
fn damaged(
    tracked: &Tracked<'_>,
    path: &ArtifactPath,
    before: Option<Present>,
    now: Present,
) -> Result<Vec<ObjectId>, Error> {
    let Some(before) = before.filter(|before| *before != now && shares(tracked, path)) else {
        return Ok(Vec::new());
    };
    match tracked.store.contains(&before.object)? {
        Held::Lacking { corrupt, .. } if !corrupt.is_empty() => {
            tracked.rescue()?;
            Ok(corrupt)
        }
        Held::Lacking { .. } | Held::Whole => Ok(Vec::new()),
    }
}

pub(super) struct Written {
    pub(super) outcome: Outcome,
    pub(super) of: std::collections::BTreeMap<usize, Change>,
}

/// Makes the objects durable, git ignore the data, and writes the pointers with these numbers.
pub(super) fn write(tracked: &mut Tracked<'_>, numbers: &[usize]) -> Result<Written, Error> {
    tracked.store.make_durable()?;
    let cached = numbers.iter().flat_map(|&at| &tracked.pointers[at].outs);
    let ignored: Vec<(&ArtifactPath, InGit)> = cached
        .filter(|out| out.storage == Storage::Cached)
        .map(|out| (&out.path, InGit::Ignored))
        .collect();
    let mut outcome = Outcome::default();
    outcome.for_git.extend(tracked.set_ignored(ignored)?);
    let mut of = std::collections::BTreeMap::new();
    for &at in numbers {
        let pointer = &tracked.pointers[at];
        let is_new = pointer.document.is_none();
        let wrote = pointer.write(&tracked.project.root)?;
        let written = pointer.clone().written()?;
        if wrote {
            outcome.for_git.insert(written.file.clone());
            of.insert(at, if is_new { Change::New } else { Change::Updated });
        }
        tracked.pointers[at] = written;
    }
    Ok(Written { outcome, of })
}

fn set(out: &mut PointerOut, present: Present) {
    out.recorded = Presence::Present(present);
}

fn store(tracked: &Tracked<'_>, path: &ArtifactPath, bytes: Bytes) -> Result<Present, Error> {
    let presence = match bytes {
        Bytes::Stored => tracked.store.save(path)?,
        Bytes::StoredOnly => tracked.store.insert(path)?,
        Bytes::Hashed => tracked.store.snapshot(path)?,
    };
    match presence {
        Presence::Present(present) => Ok(present),
        Presence::Missing => Err(Error::NothingThere { path: path.clone() }),
    }
}

fn store_part(
    tracked: &Tracked<'_>,
    pointer: &Pointer,
    folder: &PointerOut,
    part: &ArtifactPath,
) -> Result<Present, Error> {
    let Some(present) = folder.present() else {
        return Err(Error::Unrecorded {
            pointer: pointer.file.clone(),
            path: folder.path.clone(),
        });
    };
    Ok(tracked.store.insert_part(&folder.path, &present, part)?)
}

fn new_pointer(
    tracked: &Tracked<'_>,
    path: &ArtifactPath,
    present: Present,
) -> Result<Pointer, Error> {
    let file = pointer_file(tracked, path);
    let absolute = file.under(tracked.root());
    if absolute.exists() || tracked.pointer(&file).is_some() {
        return Err(Error::InTheWay {
            path: file.as_str().into(),
        });
    }
    Ok(Pointer::new(file, path.clone(), Presence::Present(present)))
}

/// Returns the file of the pointer of `path`, beside it.
pub(super) fn pointer_file(tracked: &Tracked<'_>, path: &ArtifactPath) -> ArtifactPath {
    path.with_suffix(tracked.project.personality.pointer_suffix)
}

fn check_all(tracked: &Tracked<'_>, targets: &[ArtifactPath]) -> Result<Vec<Job>, Error> {
    let ignore = Ignore::of(tracked.project);
    let (mut jobs, mut errors) = (Vec::new(), Vec::new());
    for (i, path) in targets.iter().enumerate() {
        for other in &targets[..i] {
            let (inner, outer) = if other.contains(path) {
                (path, other)
            } else {
                (other, path)
            };
            if outer.contains(inner) {
                errors.push(Error::Nested {
                    inner: inner.clone(),
                    outer: outer.clone(),
                });
            }
        }
        match check(tracked, &ignore, path) {
            Ok(job) => jobs.push(job),
            Err(error) => errors.push(error),
        }
    }
    ignore.check()?;
    let new = targets
        .iter()
        .zip(&jobs)
        .filter(|(_, job)| matches!(job, Job::New));
    let new: Vec<ArtifactPath> = new.map(|(path, _)| path.clone()).collect();
    if errors.is_empty() && !new.is_empty() {
        for path in git::tracked_in(tracked.root(), &new) {
            errors.push(Error::InGit { path });
        }
    }
    Error::all(errors)?;
    Ok(jobs)
}

fn check(tracked: &Tracked<'_>, ignore: &Ignore, path: &ArtifactPath) -> Result<Job, Error> {
    check_is_data(tracked, ignore, path)?;
    let absolute = path.under(tracked.root());
    if is_gone(tracked, path) && !was_part(tracked, path)? {
        return Err(Error::NothingThere { path: path.clone() });
    }
    for above in path.ancestors() {
        if above.under(tracked.root()).is_symlink() {
            return Err(Error::BehindLink {
                path: path.clone(),
                link: above,
            });
        }
    }
    // What is behind it belongs to somebody else, and would be changed by `checkout`.
    if absolute.is_symlink() && absolute.is_dir() {
        return Err(Error::FolderLink { path: path.clone() });
    }
    check_holds_no_ignore_file(tracked, ignore, path)?;
    let Some((pointer, out)) = tracked.around(path) else {
        tracked.check_free(path, None)?;
        return Ok(Job::New);
    };
    let known = &tracked.pointers[pointer].outs[out];
    if known.path == *path {
        tracked.check_free(path, Some(path))?;
        return Ok(Job::Out(pointer, out));
    }
    match known.present() {
        Some(present) if present.files.is_some() => Ok(Job::Part(pointer, out)),
        Some(_) | None => Err(Error::Overlap {
            path: path.clone(),
            out: known.path.clone(),
            pointer: tracked.pointers[pointer].file.clone(),
        }),
    }
}

fn is_gone(tracked: &Tracked<'_>, path: &ArtifactPath) -> bool {
    std::fs::symlink_metadata(path.under(tracked.root())).is_err()
}

/// Is `path` recorded as part of a folder which is there without it? Where the whole folder is gone,
/// it was hardly meant that one file of it is.
fn was_part(tracked: &Tracked<'_>, path: &ArtifactPath) -> Result<bool, Error> {
    let Some((pointer, out)) = tracked.around(path) else {
        return Ok(false);
    };
    let folder = &tracked.pointers[pointer].outs[out];
    match folder.present() {
        Some(whole) if folder.path != *path && folder.path.under(tracked.root()).is_dir() => {
            Ok(tracked.store.records_part(&folder.path, &whole, path)?)
        }
        Some(_) | None => Ok(false),
    }
}

/// Refuses a folder that DVC would not hash, nor anybody's `dvc status` after it.
fn check_holds_no_ignore_file(
    tracked: &Tracked<'_>,
    ignore: &Ignore,
    path: &ArtifactPath,
) -> Result<(), Error> {
    let absolute = path.under(tracked.root());
    if tracked.project.personality != DVC || !absolute.is_dir() {
        return Ok(());
    }
    let keep = |inside: &str, is_dir: bool| {
        let kind = if is_dir {
            PathKind::Folder
        } else {
            PathKind::File
        };
        ignore.keeps(&format!("{path}/{inside}"), kind)
    };
    // What cannot be walked is told when it is hashed.
    let files = walk(&absolute, &keep).unwrap_or_default();
    let found = files.iter().find(|file| {
        let name = file.relative.rsplit('/').next();
        name == Some(DVC_IGNORE_FILE)
    });
    match found {
        Some(file) => Err(Error::HoldsIgnoreFile {
            path: path.clone(),
            file: path.join(&file.relative),
        }),
        None => Ok(()),
    }
}

/// Refuses what belongs to the project itself, and what ignore files leave out.
pub(super) fn check_is_data(
    tracked: &Tracked<'_>,
    ignore: &Ignore,
    path: &ArtifactPath,
) -> Result<(), Error> {
    let personality = &tracked.project.personality;
    let name = path.name();
    let what = if name == personality.pipeline_file || path.as_str() == CVOPS.pipeline_file {
        Some("a pipeline file")
    } else if name == personality.lock_file || path.as_str() == CVOPS.lock_file {
        Some("a lock file")
    } else if tracked.pointer(path).is_some()
        || name
            .strip_suffix(personality.pointer_suffix)
            .is_some_and(|stem| !stem.is_empty())
    {
        Some("a pointer file")
    } else if name == ".gitignore" || name == ".dvcignore" || name == ".cvopsignore" {
        Some("an ignore file")
    } else {
        None
    };
    if let Some(what) = what {
        return Err(Error::NotData {
            path: path.clone(),
            what,
        });
    }
    let is_dir = path.under(tracked.root()).is_dir();
    let kind = if is_dir {
        PathKind::Folder
    } else {
        PathKind::File
    };
    let above = path
        .ancestors()
        .all(|above| ignore.keeps(above.as_str(), PathKind::Folder));
    if above && ignore.keeps(path.as_str(), kind) {
        Ok(())
    } else {
        Err(Error::Ignored { path: path.clone() })
    }
}
