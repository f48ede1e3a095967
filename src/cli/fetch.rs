//! Getting what the cache does not have from a remote. Imports: base, pipeline, ctx.

use std::sync::Arc;

use crate::base::Diagnostic;
use crate::pipeline::workspace::Fetch;
use crate::project::Project;

use super::ctx::Ctx;
use super::error::CliError;

/// Returns the way to get objects from the default remote.
///
/// # Errors
/// There is no default remote.
pub(super) fn from_default_remote(
    _ctx: &Ctx,
    _project: &Project,
) -> Result<Arc<dyn Fetch>, CliError> {
    Err(CliError::usage(
        Diagnostic::error(
            "no-remote",
            "there is no default remote to get missing data from",
        )
        .help("drop `--pull`, or name a remote with `cvops remote add --default NAME URL`"),
    ))
}
