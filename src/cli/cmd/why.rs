//! `cvops why`: say why a stage would run.

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::decision;
use crate::pipeline::{Forecast, Plan, Reach, RunReason, StageDecision, StageGraph, words};

use super::status::{self, Question};

/// How many changed files are shown.
const FILES_SHOWN: usize = 10;

/// Explain why a stage must run, can be restored, or is unchanged
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops why train")]
pub(in crate::cli) struct Args {
    /// The stage or pointer, or one of its outputs
    stage: String,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let targets = std::slice::from_ref(&args.stage);
    let graph = ctx.graph_for(&project, targets)?;
    let select = |reach| Plan::select(&graph, targets, ctx.selection(&project, reach));
    let only = select(Reach::Single)?;
    let plan = select(Reach::Upstream)?;
    let looked = status::judge(ctx, &project, &plan, Question::default())?;
    let found = plan
        .order()
        .iter()
        .zip(&looked.forecasts)
        .find(|(i, _)| only.order().contains(i));
    let Some((&index, forecast)) = found else {
        sources(ctx, &graph, &looked);
        return Ok(Outcome::Done);
    };
    let stage = &graph.stages()[index];
    let name = ctx.out.paint(Style::Strong, stage.name.as_str());
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!(decision::to_json(stage.name.as_str(), forecast)));
        return Ok(Outcome::Done);
    }
    let head = words::verdict(&name, stage.name.as_str(), forecast);
    let reasons = match forecast {
        Forecast::Certain(
            StageDecision::Run(reasons)
            | StageDecision::Restore {
                because: reasons, ..
            },
        ) => reasons.as_slice(),
        Forecast::Certain(StageDecision::Cached | StageDecision::Skip(_))
        | Forecast::DependsOn(_) => &[],
    };
    match reasons {
        [] => ctx.out.result(&head),
        [one] => {
            ctx.out
                .result(&format!("{head}: {}", decision::reason(one)));
            show_files(ctx, one);
        }
        many => {
            ctx.out.result(&format!("{head}:"));
            for reason in many {
                ctx.out.result(&format!("  {}", decision::reason(reason)));
                show_files(ctx, reason);
            }
        }
    }
    status::warn(ctx, &looked.obstacles);
    Ok(Outcome::Done)
}

/// Says what changed of tracked data.
fn sources(ctx: &Ctx, graph: &StageGraph, looked: &status::Looked) {
    if ctx.out.form == Form::Json {
        let changes = looked.sources.iter();
        let changes: Vec<_> = changes.map(|c| decision::source_json(graph, c)).collect();
        ctx.out.json(&json!({"sources": changes}));
        return;
    }
    if looked.sources.is_empty() {
        ctx.out.result("the data is what its pointer records");
    }
    for change in &looked.sources {
        let name = graph.pointers()[change.pointer].file.as_str();
        let name = ctx.out.paint(Style::Strong, name);
        let because = decision::source_because(change);
        ctx.out.result(&format!("{name}: {because}"));
        list(ctx, &decision::file_lines(&change.files));
    }
}

/// Lists the files behind a reason; of many, the first.
fn show_files(ctx: &Ctx, reason: &RunReason) {
    list(ctx, &decision::changed_files(reason));
}

fn list(ctx: &Ctx, files: &[String]) {
    for file in files.iter().take(FILES_SHOWN) {
        ctx.out.result(&format!("    {file}"));
    }
    if FILES_SHOWN < files.len() {
        ctx.out.result(&format!(
            "    and {} more (`--json` lists all)",
            files.len() - FILES_SHOWN
        ));
    }
}
