//! `cvops root`: print the project's top folder.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;

/// Print the project's top folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cd \"$(cvops root)\"")]
pub(in crate::cli) struct Args {}

pub(in crate::cli) fn run(ctx: &Ctx, _: &Args) -> Result<Outcome, CliError> {
    let root = ctx.project()?.root;
    match ctx.out.form {
        Form::Text | Form::Md => ctx.out.result(&root.display().to_string()),
        Form::Json => ctx.out.json(&serde_json::json!({"root": root})),
    }
    Ok(Outcome::Done)
}
