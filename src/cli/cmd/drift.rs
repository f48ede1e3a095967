//! `cvops drift`: has what a model sees moved away from what it was trained on?

mod test;

use clap::Subcommand;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;

/// Find out whether data have moved away from a reference
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops drift test --detector ks reference.npy new.npy")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::Args),
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.command {
        Command::Test(args) => test::run(ctx, args),
    }
}
