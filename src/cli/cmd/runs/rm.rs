//! `cvops runs rm`.

use serde_json::json;

use crate::base::{clock, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::report::escape::one_line;
use crate::track::{Error, Filter, Run, Status, Tracking};

/// Delete runs; `cvops runs restore` brings them back
///
/// A deleted run is no longer listed, but its record and its files stay until
/// `cvops gc --deleted-runs` removes them for good. What runs wrote stays in the workspace in any case.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs rm brave-otter-412 3f2a\n  cvops runs rm --all-failed"
)]
pub(super) struct Args {
    /// Names, or the first digits of ids
    #[arg(required_unless_present = "all_failed", value_name = "RUN")]
    runs: Vec<String>,
    /// All runs that failed or were killed
    #[arg(long)]
    all_failed: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let mut runs: Vec<Run> = Vec::new();
    // Without a record there is no failed run either; a named one is asked for below.
    let tracking = if args.runs.is_empty() {
        Tracking::open_existing(&project.layout)?
    } else {
        Some(super::open(project)?)
    };
    if let Some(mut tracking) = tracking {
        for name in &args.runs {
            let run = tracking.find(name)?;
            if runs.iter().all(|known| known.id != run.id) {
                runs.push(run);
            }
        }
        if args.all_failed {
            let failed = tracking.list(&Filter {
                status: vec![Status::Failed, Status::Killed],
                ..Filter::default()
            })?;
            let named = |run: &Run| runs.iter().any(|known| known.id == run.id);
            let more: Vec<Run> = failed.into_iter().filter(|run| !named(run)).collect();
            runs.extend(more);
        }
        // Of a run that a client began nobody can say whether the client lives.
        let goes_on = |run: &&Run| run.status == Status::Running && !run.command.is_empty();
        if let Some(run) = runs.iter().find(goes_on) {
            return Err(Error::StillRunning {
                name: run.name.clone(),
            }
            .into());
        }
        let now = clock::now().as_millisecond();
        tracking.change(|writing| {
            let mut runs = runs.iter();
            runs.try_for_each(|run| writing.delete_run(run.id, now))
        })?;
    }
    if ctx.out.form == Form::Json {
        let removed: Vec<_> = runs
            .iter()
            .map(|run| json!({"id": run.id.to_string(), "name": run.name}))
            .collect();
        ctx.out.json(&json!({"removed": removed}));
        return Ok(Outcome::Done);
    }
    for run in &runs {
        let name = one_line(&run.name);
        ctx.out
            .result(&format!("deleted {name} ({})", run.id.short()));
    }
    if runs.is_empty() {
        ctx.out.note("no run failed");
    } else {
        let count = units::count(runs.len(), "run");
        ctx.out.note(&format!(
            "{count} deleted; `cvops runs restore` brings back, `cvops gc --deleted-runs` removes for good"
        ));
    }
    Ok(Outcome::Done)
}
