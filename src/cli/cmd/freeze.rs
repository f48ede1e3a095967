//! `cvops freeze` and `cvops unfreeze`: leave stages and imported data alone, whatever changed.

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::pipeline::freeze::{To, freeze};
use crate::pipeline::{Plan, Reach};
use crate::project::EditLock;

/// Leave stages alone, whatever changed (`frozen: true` in the pipeline file)
///
/// A pointer can be frozen too: its data is not recorded anew when it changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops freeze preprocess")]
pub(in crate::cli) struct Args {
    /// The stages or pointers
    #[arg(required = true, value_name = "STAGE")]
    stages: Vec<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    change(ctx, &args.stages, To::Frozen)
}

/// Edits pipeline files and pointers, keeping all else in them.
pub(super) fn change(ctx: &Ctx, targets: &[String], to: To) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let lock = EditLock::acquire(&project.layout, &ctx.cancel)?;
    let graph = ctx.graph_for(&project, targets)?;
    let plan = Plan::select(&graph, targets, ctx.selection(&project, Reach::Single))?;
    let result = freeze(&project, &plan, to, &lock)?;
    drop(lock);
    let (done, already) = match to {
        To::Frozen => ("frozen", "was frozen already"),
        To::Free => ("unfrozen", "was not frozen"),
    };
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({done: result.changed, "unchanged": result.unchanged}));
        return Ok(Outcome::Done);
    }
    for name in result.changed {
        ctx.out.result(&format!("{name} is {done}"));
    }
    for name in result.unchanged {
        ctx.out.result(&format!("{name} {already}"));
    }
    Ok(Outcome::Done)
}
