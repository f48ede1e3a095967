//! `cvops destroy`: take cvops out of a folder.

use serde_json::json;

use crate::cli::confirm::confirmed;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::tracked;
use crate::data::destroy::{described_by, destroy};

/// Take everything of cvops out of this project: settings, cache, pipelines, pointers, recorded runs
///
/// The files in the workspace stay, as plain files of yours. What only the cache holds (earlier
/// versions, data that is not in place) is lost unless a remote has it. A cache outside the project
/// stays. Asks first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cvops push -A && cvops destroy   a remote keeps what the cache had"
)]
pub(in crate::cli) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let what = format!(
        "this removes the settings, the cache, the pipelines, the pointers and the recorded runs of `{}`",
        project.root.display()
    );
    let also = "the files in place stay; what only the cache holds is lost";
    let help = "`cvops destroy --force` does it";
    if !args.force && !confirmed(ctx, what, Some(also), help)? {
        ctx.out.note("nothing was removed");
        return Ok(Outcome::Failed);
    }
    let _lock = ctx.lock(&project, "cvops destroy")?;
    let graph = ctx.graph_for(&project, &[])?;
    let tracked = tracked::open_unlocked(ctx, &project, &[])?;
    let names = described_by(&tracked, graph.files());
    destroy(tracked, &names)?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"removed": names}));
        return Ok(Outcome::Done);
    }
    for name in &names {
        ctx.out.note(&format!("removed {name}"));
    }
    Ok(Outcome::Done)
}
