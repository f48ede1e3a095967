//! How the workspace stands to what a pointer records, and recording it anew. Imports: base, store.

use std::path::Path;

use crate::base::ArtifactPath;
use crate::base::hash::HashAlgo;
use crate::pipeline::error::Error;
use crate::store::{self, Held, OnConflict, Presence, Store};

use super::{Pointer, PointerOut};

/// How an out stands to its record.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It holds what is recorded.
    AsRecorded,
    /// It holds something else.
    Modified {
        /// What it holds.
        now: Presence,
    },
    /// Nothing is there.
    Missing,
    /// Nothing is recorded yet: data that was imported without being fetched.
    Unrecorded,
}

/// What `bring_up` did to an out.
#[derive(Clone, Debug, PartialEq)]
pub enum BroughtUp {
    /// It was edited: its new content is in the cache and recorded.
    Recorded {
        /// The data.
        path: ArtifactPath,
        /// What was recorded.
        old: Presence,
        /// What is recorded now.
        new: Presence,
    },
    /// It was missing and was put back from the cache.
    Restored {
        /// The data.
        path: ArtifactPath,
    },
}

/// Returns how each out of `pointer` stands, in their order.
///
/// # Errors
/// An out cannot be read.
pub fn states(store: &Store, pointer: &Pointer) -> Result<Vec<State>, store::Error> {
    pointer.outs.iter().map(|out| state(store, out)).collect()
}

fn state(store: &Store, out: &PointerOut) -> Result<State, store::Error> {
    let Some(object) = out.object() else {
        return Ok(State::Unrecorded);
    };
    let now = if object.hash().algo() == HashAlgo::Md5Dos2Unix {
        store.snapshot_legacy(&out.path)?
    } else {
        store.snapshot(&out.path)?
    };
    Ok(match now {
        Presence::Missing => State::Missing,
        now if out.is_recorded(&now) => State::AsRecorded,
        now => State::Modified { now },
    })
}

/// Brings the pointer and its data together, before a stage reads it: what was edited is stored and
/// recorded anew, what is missing comes back from the cache. The pointer is written.
///
/// # Errors
/// Data is missing and not in the cache, or a file operation failed.
pub fn bring_up(
    store: &Store,
    root: &Path,
    pointer: &mut Pointer,
) -> Result<Vec<BroughtUp>, Error> {
    let mut done = Vec::new();
    let states = states(store, pointer)?;
    for (out, state) in pointer.outs.iter_mut().zip(states) {
        match state {
            State::AsRecorded | State::Unrecorded => {}
            State::Missing => {
                restore(store, out)?;
                done.push(BroughtUp::Restored {
                    path: out.path.clone(),
                });
            }
            State::Modified { .. } => {
                let old = out.recorded;
                out.recorded = store.save(&out.path)?;
                done.push(BroughtUp::Recorded {
                    path: out.path.clone(),
                    old,
                    new: out.recorded,
                });
            }
        }
    }
    if !done.is_empty() {
        store.make_durable()?;
        pointer.write(root)?;
        *pointer = pointer.clone().written()?;
    }
    Ok(done)
}

fn restore(store: &Store, out: &PointerOut) -> Result<(), Error> {
    let Some(present) = out.present() else {
        return Ok(());
    };
    if store.contains(&present.object)? != Held::Whole {
        return Err(Error::NotRestorable {
            path: out.path.clone(),
            why: "it is missing here, and the cache does not have it".to_owned(),
        });
    }
    store.place(&out.path, &present.object, present.exec, OnConflict::Refuse)?;
    Ok(())
}
