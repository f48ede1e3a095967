//! `cvops fetch`: bring what the project uses from a remote into the cache.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::sync::{self, Flags, Mover};
use crate::data::error::Direction;
use crate::data::sync::Records;

/// Bring what the project uses from a remote into the cache
///
/// The workspace stays as it is; `cvops checkout` puts files in place, `cvops pull` does both. What
/// comes is hashed before it is used.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops fetch              what the workspace uses\n  cvops fetch -T           also what all tags use\n  cvops fetch --run-cache  also earlier results of colleagues, for `cvops repro` to restore"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    flags: Flags,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let request = args.flags.request(None);
    // DVC must not take records away while they are looked through.
    let _dvc = match request.records {
        Records::With => Some(ctx.lock_dvc(&project)?),
        Records::Without => None,
    };
    let mover = Mover::new(ctx, &project, "fetching");
    let synced = mover.run(|mover| {
        let (_, used) = sync::used(ctx, mover, &request, &args.flags)?;
        Ok::<_, CliError>(mover.fetch(&used, &request)?)
    })?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&sync::to_json(&synced, "fetched"));
    } else {
        let summary = sync::summary(&synced, Direction::Fetch);
        ctx.out
            .result(&summary.unwrap_or_else(|| "everything is up to date".to_owned()));
    }
    Ok(if sync::show_problem(ctx, &synced, Direction::Fetch) {
        Outcome::Failed
    } else {
        Outcome::Done
    })
}
