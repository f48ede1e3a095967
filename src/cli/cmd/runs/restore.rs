//! `cvops runs restore`.

use serde_json::json;

use crate::base::clock;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::report::escape::one_line;
use crate::track::db::DeletedRun;

/// Bring deleted runs back
///
/// A run that was deleted with `cvops runs rm`, from a client or with its experiment is restored with
/// everything it had, until `cvops gc --deleted-runs` removes it for good. If its experiment is
/// deleted, that is restored too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs list --deleted\n  cvops runs restore brave-otter-412"
)]
pub(super) struct Args {
    /// Names, the first digits of ids, or `last` for the one deleted last
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let mut tracking = super::open(project)?;
    let mut runs: Vec<DeletedRun> = Vec::new();
    let mut there: Vec<String> = Vec::new();
    for name in &args.runs {
        match tracking.reader().find_deleted(name) {
            Ok(run) if runs.iter().all(|known| known.id != run.id) => runs.push(run),
            Ok(_) => {}
            // Whoever restores a run twice has what he wants.
            Err(error) => match tracking.find(name) {
                Ok(run) => there.push(run.name),
                Err(_) => return Err(error.into()),
            },
        }
    }
    let now = clock::now().as_millisecond();
    tracking.change(|writing| {
        let mut runs = runs.iter();
        runs.try_for_each(|run| writing.restore_run_and_experiment(run.id, now))
    })?;
    if ctx.out.form == Form::Json {
        let restored: Vec<_> = runs
            .iter()
            .map(|run| json!({"id": run.id.to_string(), "name": run.name}))
            .collect();
        ctx.out.json(&json!({"restored": restored}));
        return Ok(Outcome::Done);
    }
    for run in &runs {
        let name = one_line(&run.name);
        ctx.out
            .result(&format!("restored {name} ({})", run.id.short()));
    }
    for name in there {
        ctx.out.note(&format!("the run `{name}` is not deleted"));
    }
    Ok(Outcome::Done)
}
