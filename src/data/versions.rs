//! What the workspace, its pointers and locks, or a commit say is where. Imports: `base`, `project`,
//! `store`, `pipeline`.

use std::collections::BTreeMap;

use crate::base::hash::HashAlgo;
use crate::base::{ArtifactPath, ObjectId};
use crate::pipeline::spec::Storage;
use crate::project::Commit;
use crate::store::{Listing, Presence};

use super::error::Error;
use super::sides::Side;
use super::tracked::Tracked;
use super::used::Commits;

/// Returns what pointers and locks say now; what is left to git does not count.
#[must_use]
pub fn recorded(tracked: &Tracked<'_>) -> Side {
    let outs = tracked
        .outs()
        .filter(|(_, out)| out.storage == Storage::Cached);
    let data = outs.filter_map(|(_, out)| Some((out.path.clone(), out.object()?)));
    let stages = tracked.stage_outs.iter();
    let stages = stages.filter(|(_, out)| out.storage == Storage::Cached);
    let stages = stages.filter_map(|(path, out)| Some((path.clone(), out.recorded.object()?)));
    data.chain(stages).collect()
}

/// Returns what stands in the workspace at the tracked paths, hashed as `recorded` is.
///
/// # Errors
/// It cannot be read.
pub fn workspace(tracked: &Tracked<'_>, recorded: &Side) -> Result<Side, Error> {
    let mut side = Side::new();
    for path in tracked_paths(tracked) {
        let is_legacy = recorded
            .get(&path)
            .is_some_and(|object| object.hash().algo() == HashAlgo::Md5Dos2Unix);
        let presence = if is_legacy {
            tracked.store.snapshot_legacy(&path)?
        } else {
            tracked.store.snapshot(&path)?
        };
        if let Presence::Present(present) = presence {
            side.insert(path, present.object);
        }
    }
    Ok(side)
}

fn tracked_paths(tracked: &Tracked<'_>) -> Vec<ArtifactPath> {
    let outs = tracked
        .outs()
        .filter(|(_, out)| out.storage == Storage::Cached);
    let data = outs.map(|(_, out)| out.path.clone());
    let stages = tracked.stage_outs.iter();
    let stages = stages.filter(|(_, out)| out.storage == Storage::Cached);
    data.chain(stages.map(|(path, _)| path.clone())).collect()
}

/// Returns the files of a folder as the cache has them.
#[must_use]
pub fn cached_listing(tracked: &Tracked<'_>, object: &ObjectId) -> Option<Listing> {
    tracked.store.cache.listing(object.hash()).ok()
}

/// Returns the files of a folder as they are in the workspace.
#[must_use]
pub fn workspace_listing(
    tracked: &Tracked<'_>,
    path: &ArtifactPath,
    object: &ObjectId,
) -> Option<Listing> {
    if object.hash().algo() == HashAlgo::Md5Dos2Unix {
        return tracked.store.listing_legacy(path).ok().flatten();
    }
    tracked.store.snapshots.listing(path).ok().flatten()
}

/// Returns what the pointers and locks of a commit say.
///
/// # Errors
/// One of them is broken, or git stopped answering.
pub fn at(commits: &mut Commits, commit: &Commit) -> Result<Side, Error> {
    let used = commits.used(commit)?;
    Ok(used
        .into_iter()
        .map(|used| (used.path.clone(), used.object()))
        .collect())
}

/// Leaves out what is neither one of `targets` nor inside one; keeps everything if there are none.
#[must_use]
pub fn chosen(side: Side, targets: &[ArtifactPath]) -> Side {
    if targets.is_empty() {
        return side;
    }
    let touches = |path: &ArtifactPath| {
        targets
            .iter()
            .any(|target| target.contains(path) || path.contains(target))
    };
    let kept: BTreeMap<ArtifactPath, ObjectId> =
        side.into_iter().filter(|(path, _)| touches(path)).collect();
    kept
}

/// Is `path` one of `targets` or inside one, or are there none?
#[must_use]
pub fn is_chosen(path: &str, targets: &[ArtifactPath]) -> bool {
    let is_in = |target: &ArtifactPath| {
        let rest = path.strip_prefix(target.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    targets.is_empty() || targets.iter().any(is_in)
}
