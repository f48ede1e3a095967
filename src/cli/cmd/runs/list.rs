//! `cvops runs list`.

use serde_json::{Value as Json, json};

use crate::base::clock::{self, Timestamp};
use crate::base::units;
use crate::cli::compare::metric_name;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::pipeline::spec::Direction;
use crate::project::Project;
use crate::report::{Align, Table, Tone};
use crate::track::overview::{differing_params, headings, main_metrics};
use crate::track::{Filter, Key, Order, Run, Status, Tracking};

use super::text;

/// Columns of metrics that are shown unless they are asked for.
const METRICS_SHOWN: usize = 4;
/// Columns of params.
const PARAMS_SHOWN: usize = 6;

/// List runs, the newest first: metrics, and the parameters in which they differ
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs list --sort accuracy\n  cvops runs list --metric loss --metric reports/metrics.json:macro.f1"
)]
pub(super) struct Args {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    number: usize,
    /// All of them
    #[arg(long, conflicts_with = "number")]
    all: bool,
    /// Only runs of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// The best by this metric first: `direction` of its file in pipeline.yaml says which that is,
    /// else the lowest for losses, errors and latencies and the highest for all others
    #[arg(long, value_name = "METRIC")]
    sort: Option<String>,
    /// With `--sort`: the other way round
    #[arg(long, requires = "sort")]
    reverse: bool,
    /// Show this metric, given as `KEY` or `FILE:KEY` (may be repeated)
    #[arg(long, value_name = "METRIC")]
    metric: Vec<String>,
    /// List the deleted runs that `cvops runs restore` can bring back, the last deleted first
    #[arg(long, conflicts_with_all = ["sort", "metric", "number", "all"])]
    deleted: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let Some(tracking) = Tracking::open_existing(&project.layout)? else {
        return Ok(nothing(ctx));
    };
    if args.deleted {
        return deleted(ctx, &tracking, args);
    }
    let total = tracking.count()?;
    if total == 0 {
        return Ok(nothing(ctx));
    }
    let mut metrics: Vec<Key> = Vec::new();
    for name in args.sort.iter().chain(&args.metric) {
        let key = tracking.metric_key(&metric_name(ctx, project, name))?;
        if !metrics.contains(&key) {
            metrics.push(key);
        }
    }
    let order = match (&args.sort, metrics.first()) {
        (Some(_), Some(key)) => {
            let name = format!("{}:{}", key.file, key.key);
            let direction = super::directions(project).of(&key.file, &key.key);
            match (direction, args.reverse) {
                (Direction::Max, false) | (Direction::Min, true) => Order::Highest(name),
                (Direction::Min, false) | (Direction::Max, true) => Order::Lowest(name),
            }
        }
        _ => Order::Newest,
    };
    let runs = tracking.list(&Filter {
        experiment: args.experiment.clone(),
        order,
        limit: (!args.all).then_some(args.number),
        ..Filter::default()
    })?;
    if ctx.out.form == Form::Json {
        let rows: Vec<Json> = runs.iter().map(text::json).collect();
        ctx.out.json(&json!({"runs": rows, "total": total}));
        return Ok(Outcome::Done);
    }
    if args.metric.is_empty() {
        let sorted_by = metrics.first().cloned();
        let more = main_metrics(&runs, METRICS_SHOWN);
        metrics.extend(
            more.into_iter()
                .filter(|key| Some(key) != sorted_by.as_ref()),
        );
    }
    let mut params = differing_params(&runs);
    let left_out = params.len().saturating_sub(PARAMS_SHOWN);
    params.truncate(PARAMS_SHOWN);
    ctx.out.table(&table(&runs, &metrics, &params));
    if left_out != 0 {
        ctx.out.note(&format!(
            "{} more differ; `--json` has all",
            units::count(left_out, "parameter")
        ));
    }
    if args.experiment.is_none() && runs.len() < total {
        ctx.out.note(&format!(
            "{} of {total} runs; `--all` lists the others",
            runs.len()
        ));
    }
    Ok(Outcome::Done)
}

/// Lists what can be restored.
fn deleted(ctx: &Ctx, tracking: &Tracking, args: &Args) -> Result<Outcome, CliError> {
    let mut runs = tracking.reader().deleted_runs()?;
    if let Some(name) = &args.experiment {
        runs.retain(|run| run.experiment == *name);
    }
    let at = |ms: i64| Timestamp::from_millisecond(ms).ok();
    if ctx.out.form == Form::Json {
        let rows: Vec<Json> = runs
            .iter()
            .map(|run| {
                json!({
                    "id": run.id.to_string(), "name": run.name, "experiment": run.experiment,
                    "status": text::status(run.status),
                    "started": at(run.started_ms).map(|at| at.to_string()),
                    "deleted": run.deleted_ms.and_then(at).map(|at| at.to_string()),
                })
            })
            .collect();
        ctx.out.json(&json!({"deleted": rows}));
        return Ok(Outcome::Done);
    }
    if runs.is_empty() {
        ctx.out.note("no run is deleted");
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(
        ["name", "id", "experiment", "started", "status", "deleted"]
            .map(|title| (title, Align::Left)),
    );
    let time = |ms: Option<i64>| ms.and_then(at).map(clock::local).unwrap_or_default();
    for run in &runs {
        table.row([
            run.name.clone(),
            run.id.short(),
            run.experiment.clone(),
            time(Some(run.started_ms)),
            text::status(run.status),
            time(run.deleted_ms),
        ]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

fn nothing(ctx: &Ctx) -> Outcome {
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"runs": [], "total": 0}));
    }
    ctx.out.note(
        "no run is recorded yet: every `cvops repro` that runs or restores a stage records one",
    );
    Outcome::Done
}

fn table(runs: &[Run], metrics: &[Key], params: &[Key]) -> Table {
    const FIXED: [(&str, Align); 6] = [
        ("name", Align::Left),
        ("id", Align::Left),
        ("started", Align::Left),
        ("status", Align::Left),
        ("took", Align::Right),
        ("stages", Align::Left),
    ];
    let titles: Vec<String> = headings(metrics)
        .into_iter()
        .chain(headings(params))
        .collect();
    let values = titles.iter().map(|title| (title.as_str(), Align::Right));
    let mut table = Table::new(FIXED.into_iter().chain(values));
    for run in runs {
        let fixed = [
            run.name.clone(),
            run.id.short(),
            text::when(run),
            text::status(run.status),
            text::took(run),
            text::stages(run),
        ];
        let metrics = metrics
            .iter()
            .map(|key| run.metric(key).map(text::number).unwrap_or_default());
        let params = params
            .iter()
            .map(|key| run.params.get(key).map(text::value).unwrap_or_default());
        table.row(fixed.into_iter().chain(metrics).chain(params));
        match run.status {
            Status::Failed => table.tone(3, Tone::Bad),
            Status::Finished => table.tone(3, Tone::Good),
            Status::Scheduled | Status::Running | Status::Killed => &mut table,
        };
    }
    table
}
