//! Data that pointers track: is it still what they record, and recording it anew.
//! Imports: base, store, graph, pointer, workspace.

use crate::base::ArtifactPath;
use crate::store::{FileChange, Presence};

use super::error::Error;
use super::graph::StageGraph;
use super::workspace::Files;

/// Tracked data that is not what its pointer records.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceChange {
    /// The number of the pointer in the graph.
    pub pointer: usize,
    /// The tracked path.
    pub path: ArtifactPath,
    /// What the pointer records; `Missing`: nothing yet.
    pub recorded: Presence,
    /// What is there.
    pub now: Presence,
    /// For a folder, what changed in it, as far as that is known.
    pub files: Vec<FileChange>,
}

/// What `record` did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// What pointers record anew.
    pub changes: Vec<SourceChange>,
    /// What was recorded already, and went into the cache only now (`add --no-commit`).
    pub stored: Vec<ArtifactPath>,
}

/// Finds what changed of the data of `pointers` (numbers in `graph`).
///
/// # Errors
/// A file cannot be read.
pub fn changes(
    files: &Files<'_>,
    graph: &StageGraph,
    pointers: impl IntoIterator<Item = usize>,
) -> Result<Vec<SourceChange>, Error> {
    let mut changes = Vec::new();
    for pointer in pointers {
        for out in &graph.pointers()[pointer].outs {
            let now = files.snapshot_like(&out.path, &out.recorded)?;
            if !out.is_recorded(&now) {
                changes.push(SourceChange {
                    pointer,
                    path: out.path.clone(),
                    recorded: out.recorded,
                    now,
                    files: files.changed_files(&out.path, &out.recorded, &now),
                });
            }
        }
    }
    Ok(changes)
}

/// Puts what changed of the data of `pointers` into the cache and lets the pointers record it.
/// Data that is not there stays recorded as it was, and so does what was imported: it is what its
/// source says.
///
/// # Errors
/// A file cannot be read, or the cache or a pointer not be written.
pub fn record(
    files: &Files<'_>,
    graph: &StageGraph,
    pointers: impl IntoIterator<Item = usize>,
) -> Result<Recorded, Error> {
    let is_ours = |pointer: &usize| {
        let pointer = &graph.pointers()[*pointer];
        !pointer.is_import() && !pointer.frozen
    };
    let pointers: Vec<usize> = pointers.into_iter().collect();
    let mut changes = changes(files, graph, pointers.iter().copied().filter(is_ours))?;
    changes.retain(|change| change.now != Presence::Missing);
    let changed: Vec<&ArtifactPath> = changes.iter().map(|change| &change.path).collect();
    let ours = pointers.iter().copied().filter(is_ours);
    let mut stored = Vec::new();
    for out in ours.flat_map(|pointer| &graph.pointers()[pointer].outs) {
        // `add --no-commit` recorded it without storing it.
        if !changed.contains(&&out.path) && files.lacks(&out.recorded) {
            let kept = files.keep(&out.path)?;
            files.sync()?;
            if kept != Presence::Missing {
                stored.push(out.path.clone());
            }
        }
    }
    for change in &mut changes {
        change.now = files.keep(&change.path)?;
    }
    if changes.is_empty() {
        return Ok(Recorded { changes, stored });
    }
    files.sync()?;
    // One pointer may track several paths.
    for group in changes.chunk_by(|a, b| a.pointer == b.pointer) {
        let mut pointer = graph.pointers()[group[0].pointer].clone();
        for out in &mut pointer.outs {
            if let Some(change) = group.iter().find(|change| change.path == out.path) {
                out.recorded = change.now;
            }
        }
        pointer.write(files.root())?;
    }
    Ok(Recorded { changes, stored })
}
