//! `cvops checkout`: put outputs in place as the lock names them.

use serde_json::json;

use crate::base::ToDiagnostics;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::render::diagnostic;
use crate::pipeline::checkout::{CheckedOut, checkout};
use crate::pipeline::workspace::Files;
use crate::pipeline::{Plan, Reach};

/// Put outputs in place as pipeline.lock names them, from the cache
///
/// What stands at an output's path and is not in the cache yet is kept there first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  git checkout v1.0 && cvops checkout")]
pub(in crate::cli) struct Args {
    /// Stages or outputs (default: all)
    targets: Vec<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let graph = ctx.graph_for(&project, &args.targets)?;
    let plan = Plan::select(
        &graph,
        &args.targets,
        ctx.selection(&project, Reach::Single),
    )?;
    let _lock = ctx.lock(&project, "cvops checkout")?;
    let files = Files::open(&project, &ctx.cancel);
    let lock = Ctx::lock_file(&project, &graph)?;
    let results = checkout(&plan, &lock, &files, &ctx.cancel)?;
    files.finish();
    let mut failed = 0;
    let mut unchanged = 0;
    for (path, result) in &results {
        let (what, saved) = match result {
            CheckedOut::Unchanged => {
                unchanged += 1;
                ("unchanged", None)
            }
            CheckedOut::Placed { saved } => {
                ctx.out.note(&format!("restored `{path}`"));
                if let Some(object) = saved {
                    ctx.out.note(&format!(
                        "  its old content is kept in the cache as {object}"
                    ));
                }
                ("restored", saved.as_ref())
            }
            CheckedOut::Failed(error) => {
                failed += 1;
                if ctx.out.form != Form::Json {
                    diagnostic::show_all(&ctx.out, &error.to_diagnostics());
                }
                ("failed", None)
            }
        };
        if ctx.out.form == Form::Json {
            let error = match result {
                CheckedOut::Failed(error) => Some(error.to_string()),
                _ => None,
            };
            ctx.out.json(&json!({
                "path": path.as_str(), "result": what, "saved": saved.map(ToString::to_string), "error": error,
            }));
        }
    }
    if unchanged == results.len() {
        ctx.out.note("everything is in place already");
    }
    Ok(if failed == 0 {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
