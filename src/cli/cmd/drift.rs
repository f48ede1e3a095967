//! `cvops drift …`: did the world move away from what a model knows?

mod check;
mod fit;
mod new_data;
mod report;
mod score;
mod shown;
mod test;

use clap::Subcommand;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};

/// Find out whether new data are still like those that a model knows
///
/// `fit` fits detectors to a model and pictures whose labels are known, `check` compares new pictures with
/// them, `report` what was served: the section `drift` of params.yaml says which detectors, and how often they
/// may be wrong. `score` says of single pictures how strange they are, `test` compares any two arrays of features.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops drift fit\n  cvops drift check new-pictures/\n  cvops drift score new-pictures/\n  cvops drift report --since 7d\n  cvops drift test --detector ks reference.npy new.npy"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Fit(fit::Args),
    Check(check::Args),
    Report(report::Args),
    Score(score::Args),
    Test(test::Args),
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::Fit(args) => fit::run(ctx, args),
        Action::Check(args) => check::run(ctx, args),
        Action::Report(args) => report::run(ctx, args),
        Action::Score(args) => score::run(ctx, args),
        Action::Test(args) => test::run(ctx, args),
    }
}

/// Returns the error as one that ends a command with 2: 1 says that there is drift.
fn one_is_drift(mut error: CliError) -> CliError {
    if error.class == ErrorClass::Failed {
        error.class = ErrorClass::Usage;
    }
    error
}
