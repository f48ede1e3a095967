//! `cvops install`: git hooks and the merge driver.

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::hooks;

/// Keep data in step with git: hooks, and a merge driver for lock and pointer files
///
/// After `git checkout` of a branch, `cvops checkout` puts its data in place; before a commit,
/// `cvops status` says what is not up to date; before `git push`, `cvops push` sends the data where a
/// default remote is set. Files such as pipeline.lock and dvc.lock are merged stage by stage, pointers
/// of folders file by file. A shell hook that is there already is kept, ours stands behind it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops install\n\nDoing it again changes nothing.")]
pub(in crate::cli) struct Args {}

pub(in crate::cli) fn run(ctx: &Ctx, _: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let changed = hooks::install(&project)?;
    let names: Vec<String> = changed
        .iter()
        .map(|path| {
            path.strip_prefix(&project.root)
                .unwrap_or(path)
                .display()
                .to_string()
        })
        .collect();
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"changed": names}));
        return Ok(Outcome::Done);
    }
    if names.is_empty() {
        ctx.out
            .result("nothing to do: hooks and merge driver are installed");
    }
    for name in &names {
        ctx.out.result(&format!("wrote {name}"));
    }
    if names.iter().any(|name| name == ".gitattributes") {
        ctx.out
            .note("commit `.gitattributes`, so that it counts for everybody");
    }
    Ok(Outcome::Done)
}
