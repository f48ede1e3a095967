//! Asks before something goes that does not come back.

use std::io::{BufRead, IsTerminal};

use crate::base::Diagnostic;

use super::ctx::Ctx;
use super::error::CliError;
use super::out::Form;

/// Says `what` is about to happen and what else is to be known, and asks whether to go on. Where nobody
/// can be asked that is an error with this help.
pub(super) fn confirmed(
    ctx: &Ctx,
    what: String,
    also: Option<&str>,
    help: &str,
) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() || ctx.out.form == Form::Json {
        return Err(CliError::usage(
            Diagnostic::error("unconfirmed", what)
                .note("nobody can be asked: the input is no terminal")
                .help(help),
        ));
    }
    ctx.out.error(&what);
    if let Some(also) = also {
        ctx.out.error(also);
    }
    ctx.out.error("go on? [y/N]");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    Ok(read.is_ok() && yes)
}
