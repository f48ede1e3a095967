//! Collects garbage: what neither the workspace, nor the chosen commits, nor the caller's own roots
//! use goes from the cache, and if asked from a remote. Imports: base, project, pipeline, store,
//! `data::{records, revisions, sync, used}`.
//!
//! Everything is found out before anything is removed; what cannot be read is an error, not a reason
//! to think that it uses nothing. Records of runs whose objects went go as well.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::base::{self, ArtifactPath, ObjectId, fs};
use crate::pipeline::index::Index;
use crate::pipeline::lock_files;
use crate::project::{Git, Project};
use crate::store::gc::{Mode, Swept, expand, sweep_cache, sweep_remote};
use crate::store::{self, Remote};

use super::error::Error;
use super::records;
use super::revisions::Revisions;
use super::sync::{Request, Sync};
use super::used::{Commits, of_lock_text, of_pointer};

/// What is to be collected.
pub struct Collection<'a> {
    /// Commits whose objects stay, beside those of the workspace.
    pub revisions: &'a Revisions,
    /// Objects that stay because the caller knows of them.
    pub roots: &'a BTreeSet<ObjectId>,
    /// Other projects that share the cache.
    pub projects: &'a [Project],
    /// Does it remove, or only count?
    pub mode: Mode,
    /// Objects written since stay.
    pub since: SystemTime,
    /// What else is swept or spared.
    pub remote: RemoteUse,
    /// What becomes of commits that cannot be read.
    pub failed: OnBroken,
}

/// What a remote has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteUse {
    /// Nothing.
    None,
    /// `-c`: it is swept too.
    Sweep,
    /// `--not-in-remote`: what it holds need not stay here.
    Relieve,
}

/// What becomes of commits that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBroken {
    /// Nothing is removed.
    Stop,
    /// `--skip-failed`: what they use may go.
    Skip,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the cache.
    pub cache: Swept,
    /// On the remote, if it was swept, with its name.
    pub remote: Option<(String, Swept)>,
    /// Records of runs removed.
    pub records: u64,
    /// Folders whose files are not known, because nobody has their listing.
    pub unknown: usize,
    /// Commits that could not be read, and why.
    pub skipped: Vec<(String, Error)>,
}

/// Removes what is not used. The caller holds the exclusive lock of the project.
///
/// # Errors
/// Something cannot be read (then nothing was removed) or removed, or the caller cancelled.
pub fn collect(
    sync: &Sync<'_>,
    request: &Request<'_>,
    collection: &Collection<'_>,
) -> Result<Collected, Error> {
    let mut collected = Collected::default();
    let mut roots = collection.roots.clone();
    for project in std::iter::once(sync.project).chain(collection.projects) {
        roots.extend(in_workspace(project)?);
        if !collection.revisions.is_empty() {
            let git = Git::open(&project.root)?;
            let mut commits = Commits::new(git, project.personality);
            for (commit, name) in collection.revisions.resolve(commits.git())? {
                match commits.used(&commit) {
                    Ok(used) => roots.extend(used.iter().map(super::used::Used::object)),
                    Err(error) if collection.failed == OnBroken::Skip => {
                        collected.skipped.push((name, error));
                    }
                    Err(error) => {
                        let error = Box::new(error);
                        return Err(Error::Revision { name, error });
                    }
                }
            }
        }
    }
    let remote = match collection.remote {
        RemoteUse::None => sync.open(None, request).ok(),
        RemoteUse::Sweep | RemoteUse::Relieve => Some(sync.open(None, request)?),
    };
    let transfer = remote
        .as_ref()
        .map(|(remote, jobs)| sync.transfer(remote, *jobs));
    let (needed, unknown) = match expand(sync.cache, &roots, transfer.as_ref()) {
        // Without `-c` the remote only helps out.
        Err(store::Error::Remote { .. }) if collection.remote == RemoteUse::None => {
            expand(sync.cache, &roots, None)?
        }
        other => other?,
    };
    collected.unknown = unknown;
    let mut spared = needed.clone();
    if let (RemoteUse::Relieve, Some(transfer)) = (collection.remote, &transfer) {
        let all: Vec<ObjectId> = needed.iter().copied().collect();
        for (object, there) in all.iter().zip(transfer.on_remote(&all)?) {
            if there {
                spared.remove(object);
            }
        }
    }
    let (since, mode) = (collection.since, collection.mode);
    collected.cache = sweep_cache(sync.cache, &spared, since, mode, sync.cancel)?;
    collected.records = sweep_records(sync.project, &needed, mode)?;
    if let (RemoteUse::Sweep, Some((remote, _))) = (collection.remote, &remote) {
        collected.remote = Some(sweep(sync, remote, &needed, collection)?);
    }
    Ok(collected)
}

fn sweep(
    sync: &Sync<'_>,
    remote: &Remote,
    needed: &BTreeSet<ObjectId>,
    collection: &Collection<'_>,
) -> Result<(String, Swept), Error> {
    let (since, mode) = (collection.since, collection.mode);
    let swept = sweep_remote(remote, sync.cache, needed, since, mode, sync.cancel)?;
    Ok((remote.name.clone(), swept))
}

/// Returns everything that the lock files and pointers of the workspace name, also for stages that
/// the pipeline files do not know any more.
fn in_workspace(project: &Project) -> Result<BTreeSet<ObjectId>, Error> {
    let index = Index::load(project)?;
    let mut found = BTreeSet::new();
    for pipeline in &index.pipelines {
        found.extend(of_lock_beside(project, pipeline.file.as_ref())?);
    }
    for pointer in &index.pointers {
        found.extend(of_pointer(pointer).iter().map(super::used::Used::object));
    }
    for broken in index.broken {
        // A broken pipeline file has a lock all the same; what a broken pointer names is not known.
        if broken.file.name() != project.personality.pipeline_file {
            return Err(broken.error.into());
        }
        let is_top = broken.file.parent().is_none();
        let file = (!is_top).then_some(&broken.file);
        found.extend(of_lock_beside(project, file)?);
    }
    Ok(found)
}

fn of_lock_beside(project: &Project, file: Option<&ArtifactPath>) -> Result<Vec<ObjectId>, Error> {
    let name = lock_files::path_of(project, file);
    let path = project.root.join(&name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(base::Error::io("read", &path)(e).into()),
    };
    let Ok(name) = name.parse::<ArtifactPath>() else {
        return Ok(Vec::new());
    };
    let used = of_lock_text(&name, text, &project.personality)?;
    Ok(used.iter().map(super::used::Used::object).collect())
}

/// Removes the records that name something that is not needed: they could not be used any more.
fn sweep_records(project: &Project, needed: &BTreeSet<ObjectId>, mode: Mode) -> Result<u64, Error> {
    let mut removed = 0;
    for record in records::list(project)? {
        let Some(objects) = records::read(&record) else {
            continue;
        };
        if objects.is_subset(needed) {
            continue;
        }
        if mode == Mode::Remove {
            let path = &record.path;
            fs::remove_file(path).map_err(base::Error::io("remove", path))?;
        }
        removed += 1;
    }
    Ok(removed)
}
