//! `cvops schema`: print the JSON Schema of `pipeline.yaml`.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::pipeline::spec;

/// Print the JSON Schema of pipeline.yaml, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops schema > .vscode/pipeline.schema.json")]
pub(in crate::cli) struct Args {}

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(in crate::cli) fn run(ctx: &Ctx, _: &Args) -> Result<Outcome, CliError> {
    ctx.out.result(&format!("{:#}", spec::json_schema()));
    Ok(Outcome::Done)
}
