//! Getting what the cache does not have from a remote. Imports: base, project, store, pipeline, data,
//! ctx.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{Cancel, Diagnostic, ObjectId};
use crate::data::records;
use crate::data::used::of_pointer;
use crate::pipeline::decide::RunRecords;
use crate::pipeline::workspace::{Fetch, Files};
use crate::pipeline::{self, Plan};
use crate::project::{self, Project};
use crate::store::{Cache, Presence, Remote, Transfer, TransferEvent};

use super::ctx::Ctx;
use super::error::CliError;

/// The default remote of a project, for commands that find out on the way what they need.
#[derive(Debug)]
struct DefaultRemote {
    cache: Cache,
    remote: Remote,
    jobs: Option<usize>,
    cancel: Cancel,
}

impl Fetch for DefaultRemote {
    fn fetch(&self, objects: &[ObjectId]) -> Result<(), pipeline::Error> {
        let transfer = Transfer {
            cache: &self.cache,
            remote: &self.remote,
            jobs: self.jobs,
            cancel: &self.cancel,
            observer: &|_: TransferEvent| {},
        };
        let wanted: BTreeSet<ObjectId> = objects.iter().copied().collect();
        // What the remote does not have, or has damaged, stays missing here: the caller looks.
        let moved = transfer.fetch(&wanted)?;
        tracing::info!(objects = moved.objects, "fetched from the default remote");
        Ok(())
    }
}

/// Returns the way to get objects from the default remote. Records of runs that it has are brought
/// at once, as far as they are to be used: they say which objects to ask for.
///
/// # Errors
/// There is no default remote, it cannot be used, or the records cannot be read or written.
pub(super) fn from_default_remote(
    ctx: &Ctx,
    project: &Project,
    run_records: RunRecords,
) -> Result<Arc<dyn Fetch>, CliError> {
    let (name, settings) = match project.config.remote(None) {
        Ok(found) => found,
        Err(project::Error::NoRemote { .. }) => return Err(no_remote()),
        Err(error) => return Err(error.into()),
    };
    let remote = Remote::open(name, settings)?;
    if run_records == RunRecords::Use {
        records::fetch(project, &remote, &ctx.cancel)?;
    }
    Ok(Arc::new(DefaultRemote {
        cache: Cache::open(project),
        remote,
        jobs: settings.jobs,
        cancel: ctx.cancel.clone(),
    }))
}

fn no_remote() -> CliError {
    CliError::usage(
        Diagnostic::error(
            "no-remote",
            "there is no default remote to get missing data from",
        )
        .help("drop `--pull`, or name a remote with `cvops remote add --default NAME URL`"),
    )
}

/// Puts in place what the pointers of `plan` track and the workspace lacks. What cannot be had stays
/// missing: the stage that needs it says so.
///
/// # Errors
/// The remote cannot be used, or the cache or the workspace cannot be written.
pub(super) fn tracked_data(
    fetch: &dyn Fetch,
    files: &Files<'_>,
    plan: &Plan<'_>,
) -> Result<(), CliError> {
    let pointers = plan.pointers().iter();
    let used = pointers.flat_map(|&at| of_pointer(&plan.graph().pointers()[at]));
    let missing: Vec<_> = used
        .filter(|used| !files.project().absolute(&used.path).exists())
        .collect();
    let mut wanted = Vec::new();
    for used in &missing {
        if used.push && !files.holds(&used.object())? {
            wanted.push(used.object());
        }
    }
    if !wanted.is_empty() {
        fetch.fetch(&wanted)?;
    }
    for used in missing {
        files.restore(&used.path, &Presence::Present(used.content))?;
    }
    Ok(())
}
