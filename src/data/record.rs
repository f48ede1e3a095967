//! Records what stands in the workspace as what a pointer names: `commit`, and `repro` on a source
//! that was edited. Imports: `base`, `store`, `pipeline`.

use crate::base::ArtifactPath;
use crate::pipeline::pointer::State;
use crate::pipeline::{Pointer, pointer};
use crate::store::{Presence, Present};

use super::add::{Added, Bytes, Change, Outcome, write};
use super::error::Error;
use super::tracked::Tracked;

/// An out of a pointer that is not as the pointer says.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The pointer.
    pub pointer: ArtifactPath,
    /// The data.
    pub path: ArtifactPath,
    /// How they differ.
    pub state: State,
}

/// Returns what differs from what the pointers with these numbers say.
///
/// # Errors
/// The data cannot be read.
pub fn differences(tracked: &Tracked<'_>, numbers: &[usize]) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    for &at in numbers {
        let pointer = &tracked.pointers[at];
        for (out, state) in pointer
            .outs
            .iter()
            .zip(pointer::states(&tracked.store, pointer)?)
        {
            if state != State::AsRecorded {
                differences.push(Difference {
                    pointer: pointer.file.clone(),
                    path: out.path.clone(),
                    state,
                });
            }
        }
    }
    Ok(differences)
}

/// Stores what stands at the outs of the pointers with these numbers and records it. What is missing
/// keeps its record.
///
/// # Errors
/// It cannot be read or stored.
pub fn record(
    tracked: &mut Tracked<'_>,
    numbers: &[usize],
    bytes: Bytes,
) -> Result<Outcome, Error> {
    let mut found: Vec<(usize, ArtifactPath, Present)> = Vec::new();
    for &at in numbers {
        for out in 0..tracked.pointers[at].outs.len() {
            let path = tracked.pointers[at].outs[out].path.clone();
            let presence = match bytes {
                Bytes::Stored => tracked.store.save(&path)?,
                Bytes::StoredOnly => tracked.store.insert(&path)?,
                Bytes::Hashed => tracked.store.snapshot(&path)?,
            };
            if let Presence::Present(present) = presence {
                tracked.pointers[at].outs[out].recorded = presence;
                found.push((at, path, present));
            }
        }
    }
    let written = write(tracked, numbers)?;
    let mut outcome = written.outcome;
    for (at, path, present) in found {
        outcome.added.push(Added {
            path,
            pointer: tracked.pointers[at].file.clone(),
            present,
            change: written.of.get(&at).copied().unwrap_or(Change::None),
        });
    }
    Ok(outcome)
}

/// Returns the numbers of the pointers that `path` names: by their file, by an out, or by a folder
/// that holds either.
#[must_use]
pub fn named(tracked: &Tracked<'_>, path: &ArtifactPath) -> Vec<usize> {
    let is_named = |pointer: &Pointer| {
        let by_out = |out: &crate::pipeline::PointerOut| out.path.contains(path);
        pointer.file == *path || pointer.outs.iter().any(by_out)
    };
    let numbers = tracked.pointers.iter().enumerate();
    numbers
        .filter(|(_, pointer)| is_named(pointer))
        .map(|(i, _)| i)
        .collect()
}
