//! `cvops runs …`: look at recorded runs, go back to one, remove some.

mod apply;
mod diff;
mod list;
mod rm;
mod show;
mod tag;
mod text;

use clap::Subcommand;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::project::Project;
use crate::track::{Error, Tracking};

/// Look at recorded runs, compare them, go back to one
///
/// Every `cvops repro` that runs or restores a stage records a run: parameters, metrics, durations,
/// outputs, where git stood. RUN is a name, the first digits of an id (at least 4), or `last`.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "exp",
    after_help = "Examples:\n  cvops runs list\n  cvops runs show last"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List runs: metrics, and the parameters in which they differ
    List(list::Args),
    /// Show a run: parameters, metrics, stages, outputs
    Show(show::Args),
    /// Show what differs between two runs
    Diff(diff::Args),
    /// Go back to a run: its parameters, its outputs, its lock
    Apply(apply::Args),
    /// Set or remove tags of a run
    Tag(tag::Args),
    /// Remove records of runs; objects stay in the cache
    Rm(rm::Args),
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    match &args.action {
        Action::List(args) => list::run(ctx, &project, args),
        Action::Show(args) => show::run(ctx, &project, args),
        Action::Diff(args) => diff::run(ctx, &project, args),
        Action::Apply(args) => apply::run(ctx, &project, args),
        Action::Tag(args) => tag::run(ctx, &project, args),
        Action::Rm(args) => rm::run(ctx, &project, args),
    }
}

/// Opens the record for a command that names a run.
fn open(project: &Project) -> Result<Tracking, CliError> {
    Ok(Tracking::open_existing(&project.layout)?.ok_or(Error::NoRuns)?)
}
