//! `cvops completions`: completion scripts for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;

/// Print a completion script for your shell
///
/// The script completes commands, options and file names. Write it to where your shell looks for
/// completions, and again after an update of cvops.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops completions bash > ~/.local/share/bash-completion/completions/cvops\n  cvops completions zsh > ~/.zfunc/_cvops\n  cvops completions fish > ~/.config/fish/completions/cvops.fish"
)]
pub(in crate::cli) struct Args {
    /// The shell
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Args::command(), "cvops", &mut script);
    ctx.out.result(&String::from_utf8_lossy(&script));
    Ok(Outcome::Done)
}
