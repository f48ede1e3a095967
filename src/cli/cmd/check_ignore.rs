//! `cvops check-ignore`: is a path left out because of an ignore file, and of which pattern?

use serde_json::json;

use crate::base::Diagnostic;
use crate::base::path::normal;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::ignore::{Explanation, PathKind};
use crate::project::{Ignore, Project};

/// Say which paths are left out because of `.cvopsignore` and `.dvcignore`
///
/// Prints those of the paths that are ignored; with `--details`, the pattern that decides comes
/// first. Exits with 0 if a pattern decides about at least one of them, else with 1.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops check-ignore data/raw/.DS_Store\n  cvops check-ignore --details data/*"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Show the pattern that decides, with its file and line
    #[arg(short, long)]
    details: bool,
    /// Show all patterns (for DVC's sake; one pattern decides)
    #[arg(short, long, requires = "details", hide = true)]
    all: bool,
    /// With `--details`, show paths that no pattern matches, too
    #[arg(short, long, requires = "details")]
    non_matching: bool,
    /// Read paths from stdin, one a line
    #[arg(long, conflicts_with = "targets")]
    stdin: bool,
    /// Files and folders; they need not exist
    #[arg(value_name = "PATH", required_unless_present = "stdin")]
    targets: Vec<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let ignore = Ignore::of(&project);
    let mut any = false;
    let mut rows = Vec::new();
    let mut look = |target: &str| {
        let found = explain(ctx, &project, &ignore, target);
        any |= show(ctx, args, target, found.as_ref());
        rows.push(json!({
            "path": target,
            "ignored": found.as_ref().is_some_and(|e| e.is_ignored),
            "pattern": found.map(|e| e.pattern),
        }));
    };
    if args.stdin {
        for line in std::io::stdin().lines() {
            let line = line.map_err(|e| {
                let headline = format!("could not read stdin: {e}");
                CliError::usage(Diagnostic::error("stdin", headline))
            })?;
            if line.is_empty() {
                break;
            }
            look(&line);
        }
    } else {
        args.targets.iter().for_each(|target| look(target));
    }
    ignore.check()?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"paths": rows}));
    }
    Ok(if any { Outcome::Done } else { Outcome::Failed })
}

/// Shows what is to be shown of one path. Was it matched?
fn show(ctx: &Ctx, args: &Args, target: &str, found: Option<&Explanation>) -> bool {
    let is_ignored = found.is_some_and(|e| e.is_ignored);
    let is_shown = ctx.out.form != Form::Json && !ctx.out.is_quiet();
    if !args.details {
        if is_ignored && is_shown {
            ctx.out.result(target);
        }
        return is_ignored;
    }
    let pattern = found.map(|e| e.pattern.as_str());
    let pattern = pattern.or(args.non_matching.then_some("::"));
    if let Some(pattern) = pattern.filter(|_| is_shown) {
        ctx.out.result(&format!("{pattern}\t{target}"));
    }
    found.is_some()
}

/// Returns what decides about a path as typed; nothing does outside of the project.
fn explain(ctx: &Ctx, project: &Project, ignore: &Ignore, target: &str) -> Option<Explanation> {
    let absolute = normal(&ctx.dir.join(target));
    let path = absolute.strip_prefix(&project.root).ok()?.to_str()?;
    if path.is_empty() {
        return None;
    }
    let kind = if absolute.is_dir() {
        PathKind::Folder
    } else {
        PathKind::File
    };
    ignore.explain(path, kind)
}
