//! `cvops freeze` and `cvops unfreeze`: leave stages alone, whatever changed.

use serde_json::json;

use crate::base::doc::{Document, KeyPath, Value, edit};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::pipeline::{self, Plan, Reach, spec};
use crate::project::EditLock;

/// Leave stages alone, whatever changed (`frozen: true` in pipeline.yaml)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops freeze preprocess")]
pub(in crate::cli) struct Args {
    /// The stages
    #[arg(required = true, value_name = "STAGE")]
    stages: Vec<String>,
}

/// Whether stages are to be frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// `frozen: true`.
    Frozen,
    /// No such key.
    Free,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    change(ctx, &args.stages, To::Frozen)
}

/// Edits the pipeline file, keeping all else in it.
pub(super) fn change(ctx: &Ctx, stages: &[String], to: To) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let lock = EditLock::acquire(&project.layout, &ctx.cancel)?;
    let graph = Ctx::graph(&project)?;
    let plan = Plan::select(&graph, stages, Reach::Single)?;
    let path = project.pipeline_file();
    let mut document = Document::read(&path, project.personality.pipeline_file)?;
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for stage in plan.order().iter().map(|&i| &graph.stages()[i]) {
        let key = stage.declared.key("frozen");
        let is_frozen = stage.freshness == pipeline::spec::Freshness::Frozen;
        let name = stage.name.as_str();
        match (to, is_frozen) {
            (To::Frozen, true) | (To::Free, false) => {
                unchanged.push(name);
                continue;
            }
            (To::Frozen, false) => {
                document = edit::set(&document, &key, &Value::Bool(true))?;
            }
            (To::Free, true) => document = remove(&document, &key)?,
        }
        changed.push(name);
    }
    // What is written must be a pipeline still.
    spec::read(document.clone())?;
    if !changed.is_empty() {
        lock.write(&path, &document.source.text)?;
    }
    drop(lock);
    let (done, already) = match to {
        To::Frozen => ("frozen", "was frozen already"),
        To::Free => ("unfrozen", "was not frozen"),
    };
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({done: changed, "unchanged": unchanged}));
        return Ok(Outcome::Done);
    }
    for name in changed {
        ctx.out.result(&format!("{name} is {done}"));
    }
    for name in unchanged {
        ctx.out.result(&format!("{name} {already}"));
    }
    Ok(Outcome::Done)
}

/// Takes the key out; where the layout does not allow that, says `false`.
fn remove(document: &Document, key: &KeyPath) -> Result<Document, CliError> {
    match edit::remove(document, key) {
        Ok(edited) => Ok(edited),
        Err(_) => Ok(edit::set(document, key, &Value::Bool(false))?),
    }
}
