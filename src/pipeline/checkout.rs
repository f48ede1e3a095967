//! Puts outputs in place as the lock names them. Imports: base, store, graph, lock, plan, workspace.

use crate::base::{ArtifactPath, Cancel, ObjectId};
use crate::store::Presence;

use super::error::Error;
use super::lock::LockFile;
use super::plan::Plan;
use super::workspace::{Files, Restored};

/// What became of one output.
#[derive(Debug)]
pub enum CheckedOut {
    /// It was right already.
    Unchanged,
    /// It was put in place; `saved` names what stood there and was not in the cache yet.
    Placed {
        /// Under which hash the old content was secured.
        saved: Option<ObjectId>,
    },
    /// It could not be.
    Failed(Error),
}

/// Checks out every output of the stages of `plan`, in path order per stage; one that fails does
/// not stop the others.
///
/// # Errors
/// The work was cancelled.
pub fn checkout(
    plan: &Plan<'_>,
    lock: &LockFile,
    files: &Files<'_>,
    cancel: &Cancel,
) -> Result<Vec<(ArtifactPath, CheckedOut)>, Error> {
    let mut results = Vec::new();
    for &index in plan.order() {
        let stage = &plan.graph().stages()[index];
        for path in stage.outs.keys() {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            let recorded = lock
                .stages
                .get(&stage.name)
                .and_then(|entry| entry.outs.get(path));
            let result = match recorded {
                None | Some(Presence::Missing) => Err(Error::NotRestorable {
                    path: path.clone(),
                    why: format!("the lock records no run of `{}` that wrote it", stage.name),
                }),
                Some(recorded) => one(files, path, recorded),
            };
            results.push((path.clone(), result.unwrap_or_else(CheckedOut::Failed)));
        }
    }
    let stages = plan.graph().stages();
    files.ignore_outs(plan.order().iter().map(|&index| &stages[index]))?;
    Ok(results)
}

fn one(files: &Files<'_>, path: &ArtifactPath, recorded: &Presence) -> Result<CheckedOut, Error> {
    if files.snapshot_like(path, recorded)? == *recorded {
        return Ok(CheckedOut::Unchanged);
    }
    match files.restore(path, recorded)? {
        Restored::Placed { saved } => Ok(CheckedOut::Placed { saved }),
        Restored::Unusable { why } => Err(Error::NotRestorable {
            path: path.clone(),
            why,
        }),
    }
}
