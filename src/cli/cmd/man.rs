//! `cvops man`: manual pages, as roff for `man` or as Markdown for `docs/reference/commands`.

use std::path::PathBuf;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde_json::json;

use crate::base::{Error as BaseError, fs};
use crate::cli::args;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::reference;

/// Print the manual page, or write the pages of all commands into a folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops man | man -l -\n  cvops man ~/.local/share/man/man1\n  cvops man --markdown docs/reference/commands"
)]
pub(in crate::cli) struct Args {
    /// Folder for the pages of all commands; created if needed
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write Markdown with an index page instead; unchanged pages are not touched
    #[arg(long, requires = "dir")]
    markdown: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let mut tree = args::Args::command().disable_help_subcommand(true);
    tree.build();
    let Some(shown_dir) = &args.dir else {
        ctx.out.result(&render(&tree)?.1);
        return Ok(Outcome::Done);
    };
    let pages = if args.markdown {
        reference::pages(&tree)
    } else {
        let mut pages = Vec::new();
        render_all(&tree, &mut pages)?;
        pages
    };
    let dir = ctx.dir.join(shown_dir);
    fs::create_dir_all(&dir).map_err(BaseError::io("create folder", &dir))?;
    let mut written = Vec::new();
    for (name, text) in pages {
        let path = dir.join(&name);
        // An unchanged page keeps its time: what watches it stays quiet.
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        fs::write_atomic(&path, text.as_bytes()).map_err(BaseError::io("write", &path))?;
        written.push(shown_dir.join(name).display().to_string());
    }
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"written": written}));
    } else if written.is_empty() {
        ctx.out
            .result("nothing to do: every page says this already");
    } else {
        for name in written {
            ctx.out.result(&format!("wrote {name}"));
        }
    }
    Ok(Outcome::Done)
}

/// Appends the page of `command` and of each one below it.
fn render_all(command: &Command, pages: &mut Vec<(String, String)>) -> Result<(), CliError> {
    pages.push(render(command)?);
    for inner in reference::shown(command) {
        render_all(inner, pages)?;
    }
    Ok(())
}

/// Returns file name and text of one page.
fn render(command: &Command) -> Result<(String, String), CliError> {
    let man = Man::new(command.clone())
        .source(concat!("cvops ", env!("CARGO_PKG_VERSION")))
        .manual("cvops commands");
    let name = man.get_filename();
    let mut bytes = Vec::new();
    man.render(&mut bytes)
        .map_err(BaseError::io("write", name.as_ref()))?;
    let text = String::from_utf8_lossy(&bytes);
    // The heads that `man-pages(7)` names; what stands there is known here only.
    let text = text
        .replace(".SH EXTRA\nExample:\n", ".SH EXAMPLES\n")
        .replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n")
        .replace(".SH EXTRA\n", ".SH EXAMPLES\n");
    Ok((name, text))
}
