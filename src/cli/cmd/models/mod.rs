//! `cvops models …`: names for versions of models, aliases that say which one is in use.

mod alias;
mod download;
mod files;
mod list;
mod named;
mod register;
mod rm;
mod show;
mod stage;
mod text;

use clap::Subcommand;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;

/// Register models that runs made, and say which version is in use
///
/// A registered model is a name; its versions are outputs of runs, counted from 1. An alias
/// (`champion`) names one version and moves to another when that one is better. MODEL is
/// `NAME/VERSION`, `NAME@ALIAS`, `NAME/STAGE` or `NAME/latest`.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "model",
    after_help = "Examples:\n  cvops models register cats --alias champion\n  cvops models show cats@champion\n  cvops models download cats@champion --to out"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a model that a run made a version of a name
    Register(register::Args),
    /// List registered models, or the versions of one
    List(list::Args),
    /// Show a registered model or a version of it
    Show(show::Args),
    /// Let an alias name a version, or remove it
    Alias(alias::Args),
    /// Put a version in a stage
    Stage(stage::Args),
    /// Put the files of a version into a folder
    Download(download::Args),
    /// Remove a registered model or a version of it; its files stay in the cache
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    match &args.action {
        Action::Register(args) => register::run(ctx, &project, args),
        Action::List(args) => list::run(ctx, &project, args),
        Action::Show(args) => show::run(ctx, &project, args),
        Action::Alias(args) => alias::run(ctx, &project, args),
        Action::Stage(args) => stage::run(ctx, &project, args),
        Action::Download(args) => download::run(ctx, &project, args),
        Action::Rm(args) => rm::run(ctx, &project, args),
    }
}
