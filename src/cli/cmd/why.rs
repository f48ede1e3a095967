//! `cvops why`: say why a stage would run.

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::decision;
use crate::pipeline::decide::Force;
use crate::pipeline::workspace::RunRecords;
use crate::pipeline::{Forecast, Plan, Reach, StageDecision};

use super::status;

/// Explain why a stage must run, can be restored, or is unchanged
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops why train")]
pub(in crate::cli) struct Args {
    /// The stage, or one of its outputs
    stage: String,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let graph = ctx.graph(&project)?;
    let only = Plan::select(&graph, std::slice::from_ref(&args.stage), Reach::Single)?;
    let plan = Plan::select(&graph, std::slice::from_ref(&args.stage), Reach::Upstream)?;
    let forecasts = status::judge(ctx, &project, &plan, Force::No, RunRecords::Use)?;
    let found = plan.order().iter().zip(&forecasts).find(|(i, _)| only.order().contains(i));
    let Some((&index, forecast)) = found else { return Ok(Outcome::Done) };
    let stage = &graph.stages()[index];
    let name = ctx.out.paint(Style::Strong, stage.name.as_str());
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!(decision::to_json(stage.name.as_str(), forecast)));
        return Ok(Outcome::Done);
    }
    let (head, reasons) = match forecast {
        Forecast::Certain(StageDecision::Run(reasons)) => (format!("{name} must run"), reasons.as_slice()),
        Forecast::Certain(StageDecision::Restore { because, .. }) => {
            (format!("{name} can be restored from an earlier run"), because.as_slice())
        }
        Forecast::Certain(StageDecision::Cached) => (format!("{name} is unchanged"), &[][..]),
        Forecast::Certain(StageDecision::Skip(_)) => (format!("{name} is frozen and never runs"), &[][..]),
        Forecast::DependsOn(_) => {
            (format!("{name} depends {}", decision::because(forecast)), &[][..])
        }
    };
    match reasons {
        [] => ctx.out.result(&head),
        [one] => ctx.out.result(&format!("{head}: {}", decision::reason(one))),
        many => {
            ctx.out.result(&format!("{head}:"));
            for reason in many {
                ctx.out.result(&format!("  {}", decision::reason(reason)));
            }
        }
    }
    Ok(Outcome::Done)
}
