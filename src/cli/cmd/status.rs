//! `cvops status`: what a repro would do, and why.

use serde_json::json;

use crate::base::{Severity, ToDiagnostics};
use crate::cli::cloud;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::events::NO_STAGES;
use crate::cli::render::{decision, diagnostic};
use crate::pipeline;
use crate::pipeline::decide::Force;
use crate::pipeline::decide::RunRecords;
use crate::pipeline::forecast::{Forecast, forecast};
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{Plan, Reach, SkipReason, StageDecision, StageSpec};
use crate::project::Project;
use crate::report::{Align, Table};

/// Show what `cvops repro` would do, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops status --exit-code || cvops repro")]
pub(in crate::cli) struct Args {
    /// Stages or outputs, with all they need (default: all stages)
    targets: Vec<String>,
    /// Exit with 3 when something would run or be restored
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    cloud: cloud::Flags,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    if args.cloud.is_asked() {
        let outcome = cloud::show(ctx, &args.targets, &args.cloud)?;
        return Ok(match outcome {
            Outcome::Changes if !args.exit_code => Outcome::Done,
            outcome => outcome,
        });
    }
    let project = ctx.project()?;
    let graph = ctx.graph_for(&project, &args.targets)?;
    let plan = Plan::select(
        &graph,
        &args.targets,
        ctx.selection(&project, Reach::Upstream),
    )?;
    let outcome = show(ctx, &project, &plan, Force::No, RunRecords::Use)?;
    Ok(if args.exit_code {
        outcome
    } else {
        Outcome::Done
    })
}

/// Judges the stages of `plan`; also returns what a repro would refuse to start with.
pub(super) fn judge(
    ctx: &Ctx,
    project: &Project,
    plan: &Plan<'_>,
    force: Force,
    records: RunRecords,
) -> Result<(Vec<Forecast>, Vec<pipeline::Error>), CliError> {
    let files = Files::open(project, &ctx.cancel);
    let lock = Ctx::lock_file(project, plan.graph())?;
    let mut workspace = Workspace::new(&files, ctx.env.all());
    let forecasts = forecast(plan, &lock, &mut workspace, force, records)?;
    let obstacles = workspace.obstacles(plan);
    files.finish();
    Ok((forecasts, obstacles))
}

/// Shows the forecast of every stage of `plan`; `Changes` when one would do something.
pub(super) fn show(
    ctx: &Ctx,
    project: &Project,
    plan: &Plan<'_>,
    force: Force,
    records: RunRecords,
) -> Result<Outcome, CliError> {
    let (forecasts, obstacles) = judge(ctx, project, plan, force, records)?;
    let stages: Vec<_> = plan
        .order()
        .iter()
        .map(|&i| &plan.graph().stages()[i])
        .collect();
    let changes = !forecasts.iter().all(is_idle);
    if ctx.out.form == Form::Json {
        let rows: Vec<_> = stages
            .iter()
            .zip(&forecasts)
            .map(|(stage, f)| decision::to_json(stage.name.as_str(), f))
            .collect();
        let problems: Vec<_> = obstacles
            .iter()
            .flat_map(ToDiagnostics::to_diagnostics)
            .map(|d| diagnostic::to_json(&d))
            .collect();
        ctx.out.json(&json!({"stages": rows, "problems": problems}));
    } else {
        if ctx.out.form == Form::Md && !stages.is_empty() {
            ctx.out.table(&table(&stages, &forecasts));
        } else {
            lines(ctx, &stages, &forecasts);
        }
        if stages.is_empty() {
            ctx.out.note(NO_STAGES);
        } else if !changes {
            ctx.out.note("everything is up to date");
        }
        warn(ctx, &obstacles);
    }
    Ok(if changes {
        Outcome::Changes
    } else {
        Outcome::Done
    })
}

/// Would nothing happen to the stage?
fn is_idle(forecast: &Forecast) -> bool {
    matches!(
        forecast,
        Forecast::Certain(
            StageDecision::Cached | StageDecision::Skip(SkipReason::Frozen | SkipReason::Service)
        )
    )
}

/// One line for each stage, without a head: it is read at a glance.
fn lines(ctx: &Ctx, stages: &[&StageSpec], forecasts: &[Forecast]) {
    let width = stages
        .iter()
        .map(|s| s.name.as_str().chars().count())
        .max()
        .unwrap_or(0);
    for (stage, forecast) in stages.iter().zip(forecasts) {
        let style = match forecast {
            f if is_idle(f) => Style::Dim,
            Forecast::Certain(StageDecision::Run(_)) => Style::Changed,
            _ => Style::Strong,
        };
        let state = ctx
            .out
            .paint(style, &format!("{:<10}", decision::state(forecast)));
        let line = format!(
            "{:<width$}  {state}  {}",
            stage.name.as_str(),
            decision::because(forecast)
        );
        ctx.out.result(line.trim_end());
    }
}

fn table(stages: &[&StageSpec], forecasts: &[Forecast]) -> Table {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("state", Align::Left),
        ("why", Align::Left),
    ]);
    for (stage, forecast) in stages.iter().zip(forecasts) {
        table.row([
            stage.name.to_string(),
            decision::state(forecast).to_owned(),
            decision::because(forecast),
        ]);
    }
    table
}

/// Shows what a repro would refuse to start with, as warnings: a look at the pipeline is none.
pub(super) fn warn(ctx: &Ctx, obstacles: &[pipeline::Error]) {
    let mut warnings: Vec<_> = obstacles
        .iter()
        .flat_map(ToDiagnostics::to_diagnostics)
        .collect();
    for warning in &mut warnings {
        warning.severity = Severity::Warning;
    }
    diagnostic::show_all(&ctx.out, &warnings);
}
