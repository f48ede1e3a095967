//! How data differs between the last commit, what is recorded, and the workspace: `data status` and
//! `diff`. Imports: `base`, `project`, `store`, `pipeline`.

use std::collections::BTreeSet;

use crate::base::{ArtifactPath, ObjectId};
use crate::project::{Commit, git};
use crate::store::Standing;

use super::error::Error;
use super::sides::{Depth, Entry, Kind, Side, compare, shown};
use super::sync::{Request, Sync};
use super::tracked::Tracked;
use super::used::{Commits, Used};
use super::versions::{self, chosen, is_chosen};

/// What `data status` tells.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Recorded objects that the cache lacks, as paths.
    pub not_in_cache: Vec<String>,
    /// Recorded objects that a remote lacks, as paths; empty unless it was asked for.
    pub not_in_remote: Vec<String>,
    /// What was recorded since the last commit.
    pub committed: Vec<Entry>,
    /// What changed in the workspace since it was recorded.
    pub uncommitted: Vec<Entry>,
    /// Files that neither git nor a pointer tracks.
    pub untracked: Vec<ArtifactPath>,
    /// What is the same in all three.
    pub unchanged: Vec<String>,
}

/// Compares commit, records and workspace; `head` is `None` where there is no commit.
///
/// # Errors
/// The workspace or the commit cannot be read.
pub fn status(
    tracked: &Tracked<'_>,
    commits: Option<&mut Commits>,
    head: Option<&Commit>,
    targets: &[ArtifactPath],
    depth: Depth,
) -> Result<Status, Error> {
    let cached = |_: &ArtifactPath, object: &ObjectId| versions::cached_listing(tracked, object);
    let here =
        |path: &ArtifactPath, object: &ObjectId| versions::workspace_listing(tracked, path, object);
    let recorded = chosen(versions::recorded(tracked), targets);
    let workspace = chosen(versions::workspace(tracked, &recorded)?, targets);
    // Whether files are in the cache is asked for each of them.
    let uncommitted = compare(&recorded, &workspace, depth, &cached, &here);
    let committed = match (commits, head) {
        (Some(commits), Some(head)) => {
            let at_head = chosen(versions::at(commits, head)?, targets);
            Some(compare(&at_head, &recorded, depth, &cached, &cached))
        }
        (None, _) => None,
        // Nothing is committed yet: all that is recorded is new.
        (Some(_), None) => Some(compare(&Side::new(), &recorded, depth, &cached, &cached)),
    };
    let is_chosen = |entry: &&Entry| is_chosen(&entry.path, targets);
    let same = |entries: &[Entry]| -> BTreeSet<String> {
        let same = entries.iter().filter(|entry| entry.kind == Kind::Unchanged);
        same.filter(is_chosen).map(Entry::shown).collect()
    };
    let mut unchanged = same(&uncommitted);
    if let Some(committed) = &committed {
        let also = same(committed);
        unchanged.retain(|path| also.contains(path));
    }
    let changed = |entries: Vec<Entry>| -> Vec<Entry> {
        let entries = entries.into_iter();
        entries
            .filter(|entry| entry.kind != Kind::Unchanged && is_chosen(&entry))
            .filter(|entry| entry.kind != Kind::Unknown || entry.new.is_some())
            .collect()
    };
    Ok(Status {
        not_in_cache: not_in_cache(tracked, depth, uncommitted.iter().filter(is_chosen)),
        not_in_remote: Vec::new(),
        committed: changed(committed.unwrap_or_default()),
        uncommitted: changed(uncommitted),
        untracked: Vec::new(),
        unchanged: unchanged.into_iter().collect(),
    })
}

/// Returns what belongs on a remote and is not there, as far as `targets` choose it: folders as wholes
/// or, with `Depth::AllFiles` and where a target lies inside one, file by file.
///
/// # Errors
/// The remote cannot be asked.
pub fn not_in_remote(
    sync: &Sync<'_>,
    used: &[Used],
    request: &Request<'_>,
    targets: &[ArtifactPath],
    depth: Depth,
) -> Result<Vec<String>, Error> {
    let (standings, _) = sync.compare(used, request)?;
    let lacking = standings
        .into_iter()
        .filter(|(path, standing)| *standing != Standing::Deleted && is_chosen(path, targets));
    let shown = lacking.filter_map(|(path, _)| {
        let at: ArtifactPath = path.parse().ok()?;
        let whole = used.iter().find(|used| used.path.contains(&at))?;
        if whole.path == at {
            return Some(shown(&path, Some(whole.object())));
        }
        let is_inside =
            |target: &ArtifactPath| whole.path.contains(target) && whole.path != *target;
        (depth == Depth::AllFiles || targets.iter().any(is_inside)).then_some(path)
    });
    Ok(shown.collect())
}

/// Returns the files that neither git nor a pointer tracks, as far as `targets` choose them.
#[must_use]
pub fn untracked(tracked: &Tracked<'_>, targets: &[ArtifactPath]) -> Vec<ArtifactPath> {
    let mut files = git::untracked(tracked.root());
    files.retain(|file| is_chosen(file.as_str(), targets));
    files
}

/// Returns the paths whose old content the cache lacks.
fn not_in_cache<'e>(
    tracked: &Tracked<'_>,
    depth: Depth,
    entries: impl Iterator<Item = &'e Entry>,
) -> Vec<String> {
    let old = entries.filter_map(|entry| {
        let old = entry.old?;
        let from = entry.from.as_ref().unwrap_or(&entry.path);
        let is_there = |object: &ObjectId| tracked.store.cache.object_path(object).exists();
        // A folder that is seen whole lacks what one of its files lacks.
        let lacks_file = || {
            depth == Depth::Whole
                && matches!(old, ObjectId::Tree(_))
                && versions::cached_listing(tracked, &old).is_some_and(|listing| {
                    let mut files = listing.entries().iter().map(|e| ObjectId::File(e.hash));
                    files.any(|file| !is_there(&file))
                })
        };
        (!is_there(&old) || lacks_file()).then(|| shown(from, Some(old)))
    });
    old.collect()
}

/// What `diff` tells.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// What differs.
    pub entries: Vec<Entry>,
    /// What the older side names and the cache lacks.
    pub not_in_cache: Vec<(String, ObjectId)>,
}

/// One side of a diff.
#[derive(Clone, Debug)]
pub enum Version {
    /// The files in the workspace.
    Workspace,
    /// What a commit names.
    Commit(Commit),
}

/// Compares two versions file by file.
///
/// # Errors
/// One of them cannot be read.
pub fn diff(
    tracked: &Tracked<'_>,
    commits: &mut Commits,
    old: &Version,
    new: &Version,
    targets: &[ArtifactPath],
) -> Result<Diff, Error> {
    let cached = |_: &ArtifactPath, object: &ObjectId| versions::cached_listing(tracked, object);
    let here =
        |path: &ArtifactPath, object: &ObjectId| versions::workspace_listing(tracked, path, object);
    let mut side = |version: &Version| match version {
        Version::Workspace => versions::workspace(tracked, &versions::recorded(tracked)),
        Version::Commit(commit) => versions::at(commits, commit),
    };
    let (olds, news) = (chosen(side(old)?, targets), chosen(side(new)?, targets));
    let is_here = matches!(new, Version::Workspace);
    // What is the same may be lacking in the cache, too, where the workspace is the newer side.
    let depth = if is_here {
        Depth::AllFiles
    } else {
        Depth::Files
    };
    let entries = match (old, new) {
        (Version::Workspace, Version::Workspace) => Vec::new(),
        (Version::Workspace, _) => compare(&olds, &news, depth, &here, &cached),
        (_, Version::Workspace) => compare(&olds, &news, depth, &cached, &here),
        _ => compare(&olds, &news, depth, &cached, &cached),
    };
    let entries = entries.into_iter();
    let entries: Vec<Entry> = entries.filter(|e| is_chosen(&e.path, targets)).collect();
    let lacking = |entry: &Entry| {
        let old = entry.old?;
        let from = entry.from.as_ref().unwrap_or(&entry.path);
        let is_there = tracked.store.cache.object_path(&old).exists();
        (!is_there).then(|| (shown(from, Some(old)), old))
    };
    let not_in_cache = if is_here {
        entries.iter().filter_map(lacking).collect()
    } else {
        Vec::new()
    };
    let differs = |entry: &Entry| !matches!(entry.kind, Kind::Unchanged | Kind::Unknown);
    Ok(Diff {
        entries: entries.into_iter().filter(differs).collect(),
        not_in_cache,
    })
}
