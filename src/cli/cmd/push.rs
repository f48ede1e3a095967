//! `cvops push`: send what the project uses to a remote.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::sync::{self, Flags, Mover};
use crate::data::error::Direction;
use crate::data::sync::Records;
use crate::store::Look;

/// Send what the project uses to a remote
///
/// Only what the remote does not have is sent; outputs with `push: false` stay here. A push that was
/// broken off goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops push               what the workspace uses\n  cvops push -r backup -A  what all commits use, to the remote `backup`\n  cvops push --run-cache   also all earlier results, for colleagues to restore"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Read every file that the remote has; what is missing or damaged is sent again
    #[arg(long)]
    thorough: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let look = if args.thorough {
        Look::Thorough
    } else {
        Look::Trusting
    };
    let request = args.flags.request(Some(look));
    // DVC must not take records away while they are read.
    let _dvc = match request.records {
        Records::With => Some(ctx.lock_dvc(&project)?),
        Records::Without => None,
    };
    let mover = Mover::new(ctx, &project, "pushing");
    let synced = mover.run(|mover| {
        let (_, used) = sync::used(ctx, mover, &request, &args.flags)?;
        Ok::<_, CliError>(mover.push(&used, &request)?)
    })?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&sync::to_json(&synced, "pushed"));
    } else {
        let summary = sync::summary(&synced, Direction::Push);
        ctx.out
            .result(&summary.unwrap_or_else(|| "everything is up to date".to_owned()));
    }
    Ok(if sync::show_problem(ctx, &synced, Direction::Push) {
        Outcome::Failed
    } else {
        Outcome::Done
    })
}
