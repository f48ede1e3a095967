//! `cvops merge-driver`: what git calls to merge lock and pointer files.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::{self, Diagnostic, fs};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::out::Form;
use crate::data::merge::{Merged, Sides, locks, pointers};
use crate::project;
use crate::store::Store;

/// Merge lock and pointer files for git (`cvops install` sets it up)
///
/// Locks are merged stage by stage, pointers of folders file by file. What both sides changed in
/// different ways is named, ours stays, and git is told of a conflict: for a lock, `cvops repro`
/// settles it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cvops merge-driver --ancestor %O --our %A --their %B --path %P"
)]
pub(in crate::cli) struct Args {
    /// The common ancestor's version
    #[arg(long, value_name = "FILE")]
    ancestor: PathBuf,
    /// Our version; the result is written there
    #[arg(long, value_name = "FILE")]
    our: PathBuf,
    /// Their version
    #[arg(long, value_name = "FILE")]
    their: PathBuf,
    /// The path of the file in the work tree
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let sides = Sides {
        ancestor: read(ctx, &args.ancestor)?,
        ours: read(ctx, &args.our)?,
        theirs: read(ctx, &args.their)?,
    };
    let shown = args.path.as_ref().unwrap_or(&args.our);
    let is_lock = match &args.path {
        Some(path) => path.extension().is_some_and(|end| end == "lock"),
        None => sides.ours.lines().any(|line| line.starts_with("stages:")),
    };
    let merged = if is_lock {
        locks(&sides)
    } else {
        // The project may lie below the top of the work tree, where git calls us.
        let folder = ctx.dir.join(shown);
        let folder = folder
            .parent()
            .filter(|dir| dir.is_dir())
            .unwrap_or(&ctx.dir);
        let project = project::discover(folder, Some(&ctx.env.outer_settings()))?;
        pointers(&Store::open(&project, &ctx.cancel), &sides)?
    };
    let our = ctx.dir.join(&args.our);
    if merged.text != sides.ours {
        fs::write_atomic(&our, merged.text.as_bytes()).map_err(base::Error::io("write", &our))?;
    }
    if ctx.out.form == Form::Json {
        let conflicts = &merged.conflicts;
        ctx.out
            .json(&json!({"path": shown.display().to_string(), "conflicts": conflicts}));
    }
    if merged.conflicts.is_empty() {
        return Ok(Outcome::Done);
    }
    if ctx.out.form == Form::Json {
        return Ok(Outcome::Failed);
    }
    Err(conflict(shown, &merged, is_lock))
}

fn conflict(path: &Path, merged: &Merged, is_lock: bool) -> CliError {
    let path = path.display();
    let headline = format!("both sides changed `{path}` in different ways; ours stands there now");
    let mut diagnostic = Diagnostic::error("merge-conflict", headline);
    for what in &merged.conflicts {
        diagnostic = diagnostic.note(if is_lock {
            format!("in both: `{what}`")
        } else {
            what.clone()
        });
    }
    let diagnostic = diagnostic.help(if is_lock {
        format!("`cvops repro` settles it: run it, then `git add {path}`")
    } else {
        format!("`git checkout --theirs {path}` takes the other one, `git add {path}` ours")
    });
    CliError {
        class: ErrorClass::Failed,
        diagnostics: vec![diagnostic],
    }
}

fn read(ctx: &Ctx, path: &Path) -> Result<String, CliError> {
    let path = ctx.dir.join(path);
    let bytes = std::fs::read(&path).map_err(base::Error::io("read", &path))?;
    String::from_utf8(bytes).map_err(|_| {
        let headline = format!("`{}` is not UTF-8 text", path.display());
        CliError::usage(Diagnostic::error("not-utf8", headline))
    })
}
