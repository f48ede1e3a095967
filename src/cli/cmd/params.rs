//! `cvops params sweep`: work with parameters. Each sub-command is a file of its own.

use clap::Subcommand;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;

use super::params_sweep;

/// Work with parameters
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Sweep(params_sweep::Args),
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::Sweep(args) => params_sweep::run(ctx, args),
    }
}
