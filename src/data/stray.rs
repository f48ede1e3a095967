//! What a change of branches leaves behind: data that the commits before tracked and the project does
//! not track any more. git would see it as new files. Imports: `base`, `project`, `store`,
//! `data::{checkout, tracked, used}`.
//!
//! Only what is still, to the byte, what such a commit recorded, and what the cache has whole, goes.
//! Which commits came before is git's knowledge (its log of where `HEAD` was): nothing is kept for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{ArtifactPath, ObjectId};
use crate::project::{Git, git};
use crate::store::{Held, OnConflict, Presence};

use super::checkout::{CheckedOut, Fate};
use super::error::Error;
use super::tracked::Tracked;
use super::used::{Commits, Used};

/// Removes data that the commits tracked from which the user came here, and that nothing tracks now.
///
/// # Errors
/// git cannot be asked, or a file operation failed.
pub fn remove_stray(tracked: &Tracked<'_>) -> Result<Vec<CheckedOut>, Error> {
    if !tracked.project.uses_git() {
        return Ok(Vec::new());
    }
    let came_from = git::came_from(tracked.root());
    if came_from.is_empty() {
        return Ok(Vec::new());
    }
    let mut commits = Commits::new(Git::open(tracked.root())?, tracked.project.personality);
    // What this commit tracks and the project does not, the user stopped tracking just now: it stays.
    let head = commits.git().resolve("HEAD")?;
    let Ok(kept) = commits.used(&head) else {
        return Ok(Vec::new());
    };
    let kept: BTreeSet<ArtifactPath> = kept.into_iter().map(|used| used.path).collect();
    let mut known: BTreeMap<ArtifactPath, Vec<ObjectId>> = BTreeMap::new();
    for commit in &came_from {
        match commits.used(commit) {
            Ok(used) => {
                let is_stray =
                    |used: &&Used| !kept.contains(&used.path) && !is_tracked(tracked, &used.path);
                for used in used.iter().filter(is_stray) {
                    known
                        .entry(used.path.clone())
                        .or_default()
                        .push(used.object());
                }
            }
            // What a broken commit tracked is not guessed: it stays.
            Err(error) => tracing::debug!(%error, "a commit before this one cannot be read"),
        }
    }
    let there = |path: &ArtifactPath| std::fs::symlink_metadata(path.under(tracked.root())).is_ok();
    known.retain(|path, _| there(path));
    let paths: Vec<ArtifactPath> = known.keys().cloned().collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    for path in git::tracked_in(tracked.root(), &paths) {
        known.remove(&path);
    }
    let mut removed = Vec::new();
    for (path, objects) in known {
        let Presence::Present(present) = tracked.store.snapshot(&path)? else {
            continue;
        };
        let is_whole = objects.contains(&present.object)
            && tracked.store.contains(&present.object)? == Held::Whole;
        if is_whole {
            tracked.store.remove(&path, OnConflict::Refuse)?;
            removed.push(CheckedOut {
                path,
                is_folder: present.files.is_some(),
                result: Fate::Removed,
                relinked: 0,
            });
        }
    }
    Ok(removed)
}

/// Does `path` lie in something that is tracked, or the other way round?
fn is_tracked(tracked: &Tracked<'_>, path: &ArtifactPath) -> bool {
    let touches = |other: &ArtifactPath| other.contains(path) || path.contains(other);
    tracked.outs().any(|(_, out)| touches(&out.path)) || tracked.stage_outs.keys().any(touches)
}
