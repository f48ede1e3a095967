//! What `status`, `best`, `apply`, `stop`, `--dry-run` and the end of a sweep show.
//! Imports: base, experiment, out.

use serde_json::{Value, json};

use crate::base::{self, fs, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::experiment;
use crate::experiment::sweep::apply::{self, Applied};
use crate::experiment::sweep::domain::Written;
use crate::experiment::sweep::error::SweepError;
use crate::experiment::sweep::variant::Templated;
use crate::experiment::sweep::{
    Definition, Sweep, Trial, TrialState, Why, driver, journal, page, table, trial,
};
use crate::pipeline::Plan;
use crate::project::{Layout, Project};
use crate::report::{Align, Table};

/// Trials that a dry run shows.
const SHOWN: u64 = 100;

/// Returns a trial for `--json`.
pub(super) fn trial_json(definition: &Definition, trial: &Trial) -> Value {
    let params = definition.named(&trial.values);
    match &trial.state {
        TrialState::Open => json!({"trial": trial.number, "params": params, "status": "open"}),
        TrialState::Failed {
            error,
            seconds,
            run,
        } => json!({
            "trial": trial.number, "params": params, "status": "failed", "error": error,
            "seconds": seconds, "run": run,
        }),
        TrialState::Finished(f) => {
            let pairs = f.ran.iter().map(|(stage, s)| (stage.clone(), json!(s)));
            let ran: serde_json::Map<String, Value> = pairs.collect();
            json!({
                "trial": trial.number, "params": params, "status": "finished", "value": f.value,
                "seconds": f.seconds, "ran": ran, "restored": f.restored, "run": f.run,
            })
        }
    }
}

fn sweep_json(layout: &Layout, sweep: &Sweep) -> Value {
    let definition = &sweep.definition;
    let trials: Vec<Value> = sweep
        .trials
        .iter()
        .map(|t| trial_json(definition, t))
        .collect();
    json!({
        "sweep": sweep.name,
        "method": definition.method.name(),
        "seed": definition.seed,
        "metric": definition.metric.to_string(),
        "goal": definition.goal.name(),
        "total": driver::total(definition).ok(),
        "running": journal::is_running(layout, &sweep.name),
        "ended": sweep.ended,
        "best": sweep.best().map(|(trial, _)| trial.number),
        "run": definition.run,
        "page": page::file(layout, &sweep.name),
        "trials": trials,
    })
}

/// Says in a few words where a sweep stands.
fn state(layout: &Layout, sweep: &Sweep) -> String {
    if journal::is_running(layout, &sweep.name) {
        return "running".to_owned();
    }
    match sweep.ended.as_deref() {
        Some(why) => why.to_owned(),
        None => "killed".to_owned(),
    }
}

/// `status` without a name: every sweep.
pub(super) fn all(ctx: &Ctx, layout: &Layout) -> Outcome {
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for name in journal::names(layout) {
        let sweep = match journal::read(layout, &name) {
            Ok(sweep) => sweep,
            // One that cannot be read must not hide the others; `status NAME` says what is wrong.
            Err(error) => {
                documents.push(json!({"sweep": name, "error": error.to_string()}));
                let none = String::new;
                rows.push([name, "damaged".to_owned(), none(), none(), none(), none()]);
                continue;
            }
        };
        let (finished, failed) = sweep.counts();
        let total = driver::total(&sweep.definition).map_or(0, |t| t);
        let best = sweep
            .best()
            .map_or_else(String::new, |(_, f)| table::number(f.value));
        documents.push(sweep_json(layout, &sweep));
        rows.push([
            name,
            state(layout, &sweep),
            format!("{}/{total}", finished + failed),
            failed.to_string(),
            sweep.definition.metric.to_string(),
            best,
        ]);
    }
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"sweeps": documents}));
        return Outcome::Done;
    }
    if rows.is_empty() {
        ctx.out
            .note("no sweeps yet; start one: `cvops params sweep train.epochs=1,2`");
        return Outcome::Done;
    }
    let mut table = Table::new([
        ("sweep", Align::Left),
        ("state", Align::Left),
        ("trials", Align::Right),
        ("failed", Align::Right),
        ("metric", Align::Left),
        ("best", Align::Right),
    ]);
    for row in rows {
        table.row(row);
    }
    ctx.out.table(&table);
    Outcome::Done
}

/// `status NAME`: every trial.
pub(super) fn status(ctx: &Ctx, layout: &Layout, name: &str) -> Result<Outcome, CliError> {
    let sweep = journal::read(layout, name)?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&sweep_json(layout, &sweep));
        return Ok(Outcome::Done);
    }
    ctx.out
        .table(&table::trials(&sweep, journal::is_running(layout, name)));
    failures(ctx, layout, &sweep);
    let (finished, failed) = sweep.counts();
    let state = state(layout, &sweep);
    let total = driver::total(&sweep.definition).map_err(experiment::Error::from)?;
    ctx.out.note(&format!(
        "{name}: {state}, {} of {total} trials done",
        finished + failed
    ));
    if state != "running" && ((finished + failed) as u64) < total {
        ctx.out.note(&format!(
            "go on with `cvops params sweep --resume --name {name}`"
        ));
    }
    Ok(Outcome::Done)
}

/// `best NAME`.
pub(super) fn best(ctx: &Ctx, layout: &Layout, name: &str) -> Result<Outcome, CliError> {
    let sweep = journal::read(layout, name)?;
    let trial = apply::choose(&sweep, None).map_err(experiment::Error::from)?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&trial_json(&sweep.definition, trial));
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([("parameter", Align::Left), ("value", Align::Right)]);
    for (dimension, value) in sweep.definition.space.dimensions.iter().zip(&trial.values) {
        table.row([dimension.param.to_string(), Written(value).to_string()]);
    }
    if let TrialState::Finished(finished) = &trial.state {
        table.row([
            sweep.definition.metric.to_string(),
            table::number(finished.value),
        ]);
    }
    ctx.out.table(&table);
    ctx.out.note(&format!(
        "trial {} of {name}; `cvops params sweep apply {name}` writes it into the params files",
        trial.number
    ));
    Ok(Outcome::Done)
}

/// `stop NAME`.
pub(super) fn stop(ctx: &Ctx, layout: &Layout, name: &str) -> Result<Outcome, CliError> {
    journal::read(layout, name)?;
    if !journal::is_running(layout, name) {
        return Err(experiment::Error::from(
            SweepError::new("not-running", format!("the sweep `{name}` is not running")).help(
                format!("`cvops params sweep status {name}` shows how far it came"),
            ),
        )
        .into());
    }
    let path = journal::stop_file(layout, name);
    fs::write_atomic(&path, b"").map_err(base::Error::io("write", &path))?;
    match ctx.out.form {
        Form::Json => ctx.out.json(&json!({"sweep": name, "stopping": true})),
        Form::Text | Form::Md => {
            ctx.out
                .note(&format!("{name} ends when its running trials are done"));
        }
    }
    Ok(Outcome::Done)
}

/// `--dry-run`: the trials.
pub(super) fn dry_run(
    ctx: &Ctx,
    project: &Project,
    plan: &Plan<'_>,
    definition: &Definition,
) -> Result<Outcome, CliError> {
    let total = driver::total(definition).map_err(experiment::Error::from)?;
    let space = &definition.space;
    let values = |number| definition.method.propose(space, definition.seed, number);
    let templated = Templated::find(project, plan.graph(), space)?;
    let shared: Vec<String> = driver::shared_stages(plan, definition, &templated)
        .into_iter()
        .map(|i| plan.graph().stages()[i].name.to_string())
        .collect();
    if ctx.out.form == Form::Json {
        let trials: Vec<Value> = (1..=total)
            .map_while(|n| Some(json!({"trial": n, "params": definition.named(&values(n)?)})))
            .collect();
        ctx.out.json(&json!({
            "method": definition.method.name(), "seed": definition.seed,
            "metric": definition.metric.to_string(), "goal": definition.goal.name(),
            "shared_stages": shared, "trials": trials,
        }));
        return Ok(Outcome::Done);
    }
    let names: Vec<String> = space
        .dimensions
        .iter()
        .map(|d| d.param.to_string())
        .collect();
    let columns = names.iter().map(|n| (n.as_str(), Align::Right));
    let mut table = Table::new([("trial", Align::Right)].into_iter().chain(columns));
    for (number, values) in (1..=total.min(SHOWN)).map_while(|n| Some((n, values(n)?))) {
        let cells = values.iter().map(|v| Written(v).to_string());
        table.row([number.to_string()].into_iter().chain(cells));
    }
    ctx.out.table(&table);
    if SHOWN < total {
        ctx.out.note(&format!("… and {} more", total - SHOWN));
    }
    ctx.out.note(&format!(
        "{}, {}, {} {}",
        units::count(total as usize, "trial"),
        definition.method.name(),
        definition.goal.name(),
        definition.metric
    ));
    if !shared.is_empty() {
        ctx.out
            .note(&format!("the same in every trial: {}", shared.join(", ")));
    }
    Ok(Outcome::Done)
}

/// The end of a sweep.
pub(super) fn end(ctx: &Ctx, layout: &Layout, sweep: &Sweep, why: Why) {
    let name = &sweep.name;
    if ctx.out.form == Form::Json {
        let mut document = sweep_json(layout, sweep);
        document["event"] = json!("done");
        // The journal is still ours at this moment.
        document["running"] = json!(false);
        ctx.out.json(&document);
        return;
    }
    ctx.out.table(&table::trials(sweep, false));
    failures(ctx, layout, sweep);
    let go_on = format!("`cvops params sweep --resume --name {name}` goes on");
    match why {
        Why::Complete => {}
        Why::Interrupted => ctx
            .out
            .note(&format!("interrupted: finished trials are kept, {go_on}")),
        Why::Stopped => ctx.out.note(&format!("stopped; {go_on}")),
        Why::Timeout => ctx.out.note(&format!("the time is up; {go_on}")),
        Why::Failures => ctx.out.error(&ctx.out.paint(
            Style::Bad,
            "too many failed trials in a row, so the sweep ended (`--max-failures`)",
        )),
    }
    match sweep.best() {
        Some((best, finished)) => ctx.out.note(&format!(
            "best: {} = {} with {} (trial {}); `cvops params sweep apply {name}` writes it into the params files",
            sweep.definition.metric.key,
            table::number(finished.value),
            trial::describe(&sweep.definition, &best.values),
            best.number
        )),
        None => ctx.out.note("no trial has finished"),
    }
    ctx.out
        .note(&format!("page: {}", page::file(layout, name).display()));
}

/// Lists why trials failed.
fn failures(ctx: &Ctx, layout: &Layout, sweep: &Sweep) {
    for trial in &sweep.trials {
        if let TrialState::Failed { error, .. } = &trial.state {
            let log = journal::log_file(layout, &sweep.name, trial.number);
            ctx.out.note(&format!(
                "trial {}: {error} (log: {})",
                trial.number,
                log.display()
            ));
        }
    }
}

/// What `apply` changed, and what the `next` repro does.
pub(super) fn applied(ctx: &Ctx, sweep: &Sweep, trial: &Trial, applied: &[Applied], next: &str) {
    if ctx.out.form == Form::Json {
        let rows: Vec<Value> = applied
            .iter()
            .map(|a| json!({"file": a.param.file.as_str(), "key": a.param.key.to_string(), "old": a.old, "new": a.new}))
            .collect();
        ctx.out
            .json(&json!({"sweep": sweep.name, "trial": trial.number, "applied": rows}));
        return;
    }
    for one in applied {
        let old = one
            .old
            .as_ref()
            .map_or_else(|| "(none)".to_owned(), |v| Written(v).to_string());
        let new = Written(&one.new).to_string();
        if one.old.as_ref() == Some(&one.new) {
            ctx.out.result(&format!("{}: {new} (unchanged)", one.param));
        } else {
            ctx.out.result(&format!("{}: {old} → {new}", one.param));
        }
    }
    ctx.out.note(&format!(
        "trial {} of {} is applied; {next}",
        trial.number, sweep.name
    ));
}
