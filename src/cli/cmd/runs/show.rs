//! `cvops runs show`.

use serde_json::{Value as Json, json};

use crate::base::clock;
use crate::base::units;
use crate::cli::compare::metric_name;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::report::escape::one_line;
use crate::report::{Align, Table, Tone};
use crate::track::entity::DatasetInput;
use crate::track::overview::is_system;
use crate::track::{Key, Run, StageOutcome, Tracking};

use super::text;

/// Digits of a digest that people see.
const DIGEST_CHARS: usize = 8;

/// Show a run: parameters, metrics, stages, outputs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs show\n  cvops runs show brave-otter-412 --curve val_loss"
)]
pub(super) struct Args {
    /// A name, the first digits of an id, or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Show the values of this metric over its steps instead
    #[arg(long, value_name = "METRIC")]
    curve: Option<String>,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let tracking = super::open(project)?;
    let run = tracking.find(&args.run)?;
    if let Some(metric) = &args.curve {
        let metric = metric_name(ctx, project, metric);
        return curve(ctx, &tracking, &run, &metric);
    }
    let datasets = tracking.reader().record(run.id)?.datasets;
    if ctx.out.form == Form::Json {
        let mut shown = text::json(&run);
        shown["datasets"] = datasets_json(&datasets);
        ctx.out.json(&shown);
        return Ok(Outcome::Done);
    }
    ctx.out.result(&head(ctx, &run));
    let section = |title: &str, table: Table| {
        if !table.rows().is_empty() {
            let title = match ctx.out.form {
                Form::Md => format!("\n### {title}\n\n"),
                Form::Text | Form::Json => "\n".to_owned(),
            };
            ctx.out.result(&title);
            ctx.out.table(&table);
        }
    };
    section("Stages", stages(&run));
    section("Params", params(&run));
    section("Metrics", metrics(&run));
    section("Data", data(&datasets));
    section("Outputs", outputs(&run));
    Ok(Outcome::Done)
}

fn head(ctx: &Ctx, run: &Run) -> String {
    let mut lines = vec![
        ("run", text::name(&ctx.out, run)),
        ("id", run.id.to_string()),
        ("experiment", one_line(&run.experiment)),
        (
            "status",
            ctx.out
                .paint(text::style(run.status), &text::status(run.status)),
        ),
        ("started", clock::local(run.started)),
    ];
    if let Some(took) = run.took() {
        lines.push(("took", units::duration(took)));
    }
    lines.push(("command", one_line(&run.command)));
    if let Some(parent) = &run.parent {
        lines.push(("part of", parent.to_string()));
    }
    if let Some(git) = &run.git {
        let branch = git.branch.as_deref().unwrap_or("no branch");
        let dirty = match git.dirty {
            Some(true) => ", with changes",
            Some(false) => "",
            None => ", changes not known",
        };
        let commit: String = git.commit.chars().take(10).collect();
        lines.push(("git", one_line(&format!("{commit} ({branch}{dirty})"))));
    }
    if let Some(host) = host(run) {
        lines.push(("host", one_line(&host)));
    }
    for (key, value) in &run.tags {
        if ctx.out.is_verbose() || !text::is_of_system(key) {
            lines.push(("tag", text::tag(key, value)));
        }
    }
    let start = if ctx.out.form == Form::Md { "- " } else { "" };
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(what, value)| format!("{start}{what:<10}  {value}"))
        .collect();
    lines.join("\n")
}

fn stages(run: &Run) -> Table {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("outcome", Align::Left),
        ("took", Align::Right),
        ("why", Align::Left),
    ]);
    for stage in &run.stages {
        let took = match stage.outcome {
            StageOutcome::Ran | StageOutcome::Restored | StageOutcome::Failed => {
                units::duration(stage.took)
            }
            StageOutcome::Unchanged | StageOutcome::Frozen | StageOutcome::NotFinished => {
                String::new()
            }
        };
        let outcome = stage.outcome.as_str().replace('_', " ");
        let why = stage.message.clone().unwrap_or_default();
        table.row([stage.name.clone(), outcome, took, why]);
        if stage.outcome == StageOutcome::Failed {
            table.tone(1, Tone::Bad);
        }
    }
    if run.stages.iter().all(|stage| stage.message.is_none()) {
        table = without_last(&table);
    }
    table
}

/// Returns the table without its last column.
fn without_last(table: &Table) -> Table {
    let columns = table.columns();
    let kept = columns.len().saturating_sub(1);
    let mut smaller = Table::new(
        columns
            .iter()
            .take(kept)
            .map(|c| (c.title.as_str(), c.align)),
    );
    for row in table.rows() {
        smaller.row(row.iter().take(kept).cloned());
    }
    smaller
}

fn params(run: &Run) -> Table {
    let mut table = Table::new([
        ("path", Align::Left),
        ("param", Align::Left),
        ("value", Align::Left),
    ]);
    for (Key { file, key }, value) in &run.params {
        table.row([file.clone(), key.clone(), text::value(value)]);
    }
    table
}

fn metrics(run: &Run) -> Table {
    let mut table = Table::new([
        ("path", Align::Left),
        ("metric", Align::Left),
        ("value", Align::Right),
        ("step", Align::Right),
    ]);
    for metric in run.metrics.iter().filter(|metric| !is_system(&metric.key)) {
        let Key { file, key } = &metric.key;
        let step = match metric.step {
            0 => String::new(),
            step => step.to_string(),
        };
        table.row([file.clone(), key.clone(), text::number(metric.value), step]);
    }
    if run.metrics.iter().all(|metric| metric.step == 0) {
        table = without_last(&table);
    }
    table
}

fn outputs(run: &Run) -> Table {
    let mut table = Table::new([
        ("output", Align::Left),
        ("stage", Align::Left),
        ("size", Align::Right),
        ("object", Align::Left),
    ]);
    for artifact in &run.artifacts {
        table.row([
            artifact.path.clone(),
            artifact.stage.clone(),
            units::bytes(artifact.size),
            artifact.object.short(),
        ]);
    }
    table
}

fn data(datasets: &[DatasetInput]) -> Table {
    let mut table = Table::new([
        ("data", Align::Left),
        ("read by", Align::Left),
        ("size", Align::Right),
        ("files", Align::Right),
        ("digest", Align::Left),
    ]);
    for input in datasets {
        let profile = profile(input);
        let number = |name: &str| profile.get(name).and_then(Json::as_u64);
        table.row([
            input.dataset.name.clone(),
            context(input).unwrap_or_default().to_owned(),
            number("size").map(units::bytes).unwrap_or_default(),
            number("files").map(|n| n.to_string()).unwrap_or_default(),
            input.dataset.digest.chars().take(DIGEST_CHARS).collect(),
        ]);
    }
    table
}

fn datasets_json(datasets: &[DatasetInput]) -> Json {
    let each = datasets.iter().map(|input| {
        let dataset = &input.dataset;
        json!({
            "name": dataset.name, "digest": dataset.digest, "context": context(input),
            "source_type": dataset.source_type, "source": dataset.source,
            "profile": dataset.profile,
        })
    });
    each.collect()
}

/// Returns what is known of the size of a dataset. A client may have written anything there.
fn profile(input: &DatasetInput) -> Json {
    let text = input.dataset.profile.as_deref();
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Returns what a dataset was used for.
fn context(input: &DatasetInput) -> Option<&str> {
    let tag = input.tags.iter().find(|t| t.key == "mlflow.data.context");
    tag.map(|tag| tag.value.as_str())
}

/// Returns where the run ran, in few words.
fn host(run: &Run) -> Option<String> {
    let tag = |name: &str| run.tags.get(name).map(String::as_str);
    let host = tag("cvops.host")?;
    let who = tag("mlflow.user").map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
    let cpus = tag("cvops.cpus").and_then(|n| n.parse().ok());
    let cpus = cpus.map(|n: usize| format!(", {}", units::count(n, "CPU")));
    let os = tag("cvops.os").map(|os| format!(", {os}"));
    Some(who + &cpus.unwrap_or_default() + &os.unwrap_or_default())
}

/// Shows the history of one metric.
fn curve(ctx: &Ctx, tracking: &Tracking, run: &Run, metric: &str) -> Result<Outcome, CliError> {
    // The run's own metrics first: another run may have the key in another file.
    let own = run.metrics.iter().find(|m| m.key.is_called(metric));
    let key = match own {
        Some(own) => own.key.clone(),
        None => tracking.metric_key(metric)?,
    };
    let points = tracking.history(run.id, &key)?;
    if ctx.out.form == Form::Json {
        let rows: Vec<_> = points
            .iter()
            .map(|p| json!({"step": p.step, "value": text::number_json(p.value), "at": p.at.to_string()}))
            .collect();
        ctx.out.json(
            &json!({"run": run.id.to_string(), "file": key.file, "key": key.key, "points": rows}),
        );
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([("step", Align::Right), (key.key.as_str(), Align::Right)]);
    for point in &points {
        table.row([point.step.to_string(), text::number(point.value)]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}
