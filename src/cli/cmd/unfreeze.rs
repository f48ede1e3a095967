//! `cvops unfreeze`: the way back from `cvops freeze`.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;

use super::freeze::change;
use crate::pipeline::freeze::To;

/// Let frozen stages run again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops unfreeze preprocess")]
pub(in crate::cli) struct Args {
    /// The stages or pointers
    #[arg(required = true, value_name = "STAGE")]
    stages: Vec<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    change(ctx, &args.stages, To::Free)
}
