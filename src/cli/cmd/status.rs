//! `cvops status`: what a repro would do, and why.

mod dvc;

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
use crate::pipeline::differences::differences;
use crate::pipeline::forecast::{Forecast, forecast};
use crate::pipeline::sources::{self, SourceChange};
use crate::pipeline::workspace::{Files, MissingData, Workspace};
use crate::pipeline::{Naming, Plan, Reach, SkipReason, StageDecision, StageGraph, StageSpec};
use crate::project::Project;
use crate::report::{Align, Table};

/// Show what `cvops repro` would do, and why
///
/// Also names data under `cvops add` that is not what its pointer records.
///
/// With -q nothing is printed, and the exit code is 1 when there are changes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops status --exit-code || cvops repro\n  cvops status --dvc | jq keys    for scripts that read `dvc status --json`"
)]
pub(in crate::cli) struct Args {
    /// Stages, outputs, pipeline files or pointers, with all they need (default: all)
    targets: Vec<String>,
    /// A folder among the targets means all that is declared in and below it
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Exit with 3 when something would run or be restored
    #[arg(long)]
    exit_code: bool,
    /// Print the JSON document that `dvc status --json` prints: what differs from the records
    #[arg(long)]
    dvc: bool,
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
    let mut selection = ctx.selection(&project, Reach::Upstream);
    if args.recursive {
        selection.naming = Naming::Below;
    }
    let plan = Plan::select(&graph, &args.targets, selection)?;
    if args.dvc {
        return differing(ctx, &project, &plan);
    }
    let outcome = show(ctx, &project, &plan, Question::default())?;
    Ok(match outcome {
        Outcome::Changes if args.exit_code => outcome,
        Outcome::Changes if ctx.out.is_quiet() => Outcome::Failed,
        _ => Outcome::Done,
    })
}

/// Shows the plain differences between records and workspace.
fn differing(ctx: &Ctx, project: &Project, plan: &Plan<'_>) -> Result<Outcome, CliError> {
    let files = Files::open(project, &ctx.cancel);
    let lock = Ctx::lock_file(project, plan.graph())?;
    let mut workspace = Workspace::new(&files, ctx.env.all());
    let found = differences(plan, &lock, &mut workspace)?;
    files.finish();
    ctx.out.json(&dvc::to_json(&found));
    Ok(Outcome::Done)
}

/// What is asked about a plan: how a repro would go about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// Does everything run, whatever is up to date?
    pub(super) force: Force,
    /// May results of earlier runs be restored?
    pub(super) records: RunRecords,
    /// What does data that is recorded and not there count for?
    pub(super) missing: MissingData,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            force: Force::No,
            records: RunRecords::Use,
            missing: MissingData::Counts,
        }
    }
}

/// What was found out about a plan.
pub(super) struct Looked {
    /// What will happen to each stage, in the order of the plan.
    pub(super) forecasts: Vec<Forecast>,
    /// Tracked data that is not what its pointer records.
    pub(super) sources: Vec<SourceChange>,
    /// What a repro would refuse to start with.
    pub(super) obstacles: Vec<pipeline::Error>,
}

/// Judges the stages of `plan` and looks at the data they start from.
pub(super) fn judge(
    ctx: &Ctx,
    project: &Project,
    plan: &Plan<'_>,
    question: Question,
) -> Result<Looked, CliError> {
    let files = Files::open(project, &ctx.cancel);
    let lock = Ctx::lock_file(project, plan.graph())?;
    let mut workspace = Workspace::new(&files, ctx.env.all()).with_missing(question.missing);
    let Question { force, records, .. } = question;
    let forecasts = forecast(plan, &lock, &mut workspace, force, records)?;
    let sources = sources::changes(&files, plan.graph(), plan.pointers().iter().copied())?;
    let obstacles = workspace.obstacles(plan);
    files.finish();
    Ok(Looked {
        forecasts,
        sources,
        obstacles,
    })
}

/// Shows the forecast of every stage of `plan`; `Changes` when one would do something.
pub(super) fn show(
    ctx: &Ctx,
    project: &Project,
    plan: &Plan<'_>,
    question: Question,
) -> Result<Outcome, CliError> {
    let looked = judge(ctx, project, plan, question)?;
    let graph = plan.graph();
    let stages: Vec<_> = plan.order().iter().map(|&i| &graph.stages()[i]).collect();
    let changes = !looked.forecasts.iter().all(is_idle) || !looked.sources.is_empty();
    let outcome = if changes {
        Outcome::Changes
    } else {
        Outcome::Done
    };
    let rows = rows(graph, &stages, &looked);
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(graph, &stages, &looked));
        return Ok(outcome);
    }
    if ctx.out.is_quiet() {
        return Ok(outcome);
    }
    if ctx.out.form == Form::Md && !rows.is_empty() {
        ctx.out.table(&table(&rows));
    } else {
        lines(ctx, &rows);
    }
    if stages.is_empty() && plan.pointers().is_empty() {
        ctx.out.note(NO_STAGES);
    } else if !changes && looked.obstacles.is_empty() {
        ctx.out.note("everything is up to date");
    }
    warn(ctx, &looked.obstacles);
    Ok(outcome)
}

/// The machine form.
fn to_json(graph: &StageGraph, stages: &[&StageSpec], looked: &Looked) -> serde_json::Value {
    let rows: Vec<_> = stages
        .iter()
        .zip(&looked.forecasts)
        .map(|(stage, f)| decision::to_json(stage.name.as_str(), f))
        .collect();
    let problems: Vec<_> = looked
        .obstacles
        .iter()
        .flat_map(ToDiagnostics::to_diagnostics)
        .map(|d| diagnostic::to_json(&d))
        .collect();
    let sources: Vec<_> = looked
        .sources
        .iter()
        .map(|change| decision::source_json(graph, change))
        .collect();
    json!({"stages": rows, "sources": sources, "problems": problems})
}

/// One line of the answer.
struct Row {
    name: String,
    style: Style,
    state: &'static str,
    because: String,
}

/// Returns the tracked data that changed, then all stages.
fn rows(graph: &StageGraph, stages: &[&StageSpec], looked: &Looked) -> Vec<Row> {
    let sources = looked.sources.iter().map(|change| Row {
        name: graph.pointers()[change.pointer].file.to_string(),
        style: Style::Changed,
        state: decision::source_state(change),
        because: decision::source_because(change),
    });
    let stages = stages.iter().zip(&looked.forecasts);
    let stages = stages.map(|(stage, forecast)| Row {
        name: stage.name.to_string(),
        style: match forecast {
            f if is_idle(f) => Style::Dim,
            Forecast::Certain(StageDecision::Run(_)) => Style::Changed,
            _ => Style::Strong,
        },
        state: decision::state(forecast),
        because: decision::because(forecast),
    });
    sources.chain(stages).collect()
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

/// One line each, without a head: it is read at a glance.
fn lines(ctx: &Ctx, rows: &[Row]) {
    let widths = rows.iter().map(|row| row.name.chars().count());
    let width = widths.max().unwrap_or(0);
    for row in rows {
        let state = ctx.out.paint(row.style, &format!("{:<10}", row.state));
        let line = format!("{:<width$}  {state}  {}", row.name, row.because);
        ctx.out.result(line.trim_end());
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("state", Align::Left),
        ("why", Align::Left),
    ]);
    for row in rows {
        table.row([row.name.clone(), row.state.to_owned(), row.because.clone()]);
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
