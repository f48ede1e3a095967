//! `cvops version`: this program's version and what it was built with.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Print the version and the features this binary was built with
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops version --json")]
pub(in crate::cli) struct Args {}

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(in crate::cli) fn run(ctx: &Ctx, _: &Args) -> Result<Outcome, CliError> {
    match ctx.out.form {
        Form::Text | Form::Md => ctx.out.result(&line()),
        Form::Json => ctx
            .out
            .json(&serde_json::json!({"version": VERSION, "features": features()})),
    }
    Ok(Outcome::Done)
}

/// Returns the version and the features this binary was built with, on one line.
pub(in crate::cli) fn line() -> String {
    match features().as_slice() {
        [] => format!("cvops {VERSION}"),
        features => format!("cvops {VERSION} ({})", features.join(", ")),
    }
}

fn features() -> Vec<&'static str> {
    [
        ("vision", cfg!(feature = "vision")),
        ("cuda", cfg!(feature = "cuda")),
        ("wgpu", cfg!(feature = "wgpu")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}
