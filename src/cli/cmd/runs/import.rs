//! `cvops runs import`.

use std::path::PathBuf;

use serde_json::json;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::render::diagnostic;
use crate::project::Project;
use crate::store::Cache;
use crate::track::Tracking;
use crate::track::exchange::{Import, Imported, Mode};

/// Of things that could not be imported, so many are named.
const BROKEN_SHOWN: usize = 10;

/// Take runs from MLflow, or from a file that `cvops runs export` wrote
///
/// PATH is a folder `mlruns` of MLflow, a database of MLflow (`mlflow.db`), or a file of whole runs
/// (`--format jsonl`). Ids and times stay; experiments are matched by name; what is there already is
/// skipped, so that importing twice changes nothing. Artifacts in folders are copied into the cache.
/// The store itself is only read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs import mlruns --dry\n  cvops runs import ../old/mlflow.db\n  cvops runs import pets.jsonl --experiment archive"
)]
pub(super) struct Args {
    /// A folder or database of MLflow, or a file of runs
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Put all runs into this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Only say what would be imported
    #[arg(long)]
    dry: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let path = ctx.dir.join(&args.path);
    if !path.exists() {
        return Err(CliError::usage(
            Diagnostic::error("not-found", format!("there is no `{}`", args.path.display())).help(
                "name a folder `mlruns`, a database `mlflow.db`, or a file of `cvops runs export --format jsonl`",
            ),
        ));
    }
    // A collection of garbage must not meet objects whose runs are yet to be written.
    let _lock = ctx.lock(project, "cvops runs import")?;
    let existing = Tracking::open_existing(&project.layout)?;
    let mut tracking = match existing {
        Some(tracking) => tracking,
        None if args.dry => Tracking::in_memory()?,
        None => Tracking::open(&project.layout)?,
    };
    let cache = Cache::open(project);
    let mode = if args.dry { Mode::Dry } else { Mode::Write };
    let experiment = args.experiment.as_deref();
    let import = Import::new(&mut tracking, &cache, &ctx.cancel, mode, experiment);
    let imported = import.run(&path)?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(&imported, args.dry));
    } else {
        show(ctx, &imported, args.dry);
    }
    Ok(if imported.broken.is_empty() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

fn to_json(imported: &Imported, dry: bool) -> serde_json::Value {
    let broken: Vec<_> = imported
        .broken
        .iter()
        .map(|broken| json!({"what": broken.what, "problem": broken.problem}))
        .collect();
    json!({
        "dry": dry,
        "imported": {
            "experiments": imported.experiments, "runs": imported.runs,
            "logged_models": imported.models, "model_versions": imported.versions,
            "artifacts": imported.files, "bytes": imported.bytes,
        },
        "known": {
            "runs": imported.known_runs, "logged_models": imported.known_models,
            "model_versions": imported.known_versions,
        },
        "missing_artifacts": imported.missing, "artifacts_elsewhere": imported.elsewhere,
        "absent_objects": imported.absent, "broken": broken,
    })
}

fn show(ctx: &Ctx, imported: &Imported, dry: bool) {
    let mut parts = vec![units::count(imported.runs, "run")];
    let more = [
        (imported.experiments, "experiment"),
        (imported.models, "logged model"),
        (imported.versions, "version of registered models"),
    ];
    for (n, noun) in more.into_iter().filter(|(n, _)| *n != 0) {
        parts.push(match noun.split_once(' ') {
            Some((head, rest)) if head == "version" => {
                format!("{} {rest}", units::count(n, head))
            }
            _ => units::count(n, noun),
        });
    }
    let files = if imported.files == 0 {
        String::new()
    } else {
        format!(
            ", with {} ({})",
            units::count(imported.files, "artifact"),
            units::bytes(imported.bytes)
        )
    };
    let verb = if dry { "would be imported" } else { "imported" };
    ctx.out
        .result(&format!("{}{files} {verb}", parts.join(", ")));
    let known = [
        (imported.known_runs, "run"),
        (imported.known_models, "logged model"),
        (imported.known_versions, "model version"),
    ];
    let known: Vec<String> = known
        .into_iter()
        .filter(|(n, _)| *n != 0)
        .map(|(n, noun)| units::count(n, noun))
        .collect();
    if !known.is_empty() {
        ctx.out
            .note(&format!("skipped, as already here: {}", known.join(", ")));
    }
    diagnostic::show_all(&ctx.out, &warnings(imported));
}

fn warnings(imported: &Imported) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    if let Some(first) = imported.missing.first() {
        warnings.push(
            Diagnostic::warning(
                "missing-artifacts",
                format!(
                    "the artifacts of {} were not found, the first at `{first}`",
                    units::count(imported.missing.len(), "run")
                ),
            )
            .help("put the folder `mlruns` or `mlartifacts` beside the database, delete those runs for good, and import again"),
        );
    }
    if imported.elsewhere != 0 {
        warnings.push(Diagnostic::warning(
            "artifacts-elsewhere",
            format!(
                "the artifacts of {} are on a server or in a bucket and stay there",
                units::count(imported.elsewhere, "run")
            ),
        ));
    }
    if imported.absent != 0 {
        warnings.push(
            Diagnostic::warning(
                "absent-objects",
                format!(
                    "the cache does not have {} that the runs name",
                    units::count(imported.absent, "object")
                ),
            )
            .help("copy them from the cache or the remote of the project that the runs come from"),
        );
    }
    let broken = imported.broken.iter().take(BROKEN_SHOWN);
    warnings.extend(
        broken.map(|broken| {
            Diagnostic::error("broken", format!("{}: {}", broken.what, broken.problem))
        }),
    );
    if BROKEN_SHOWN < imported.broken.len() {
        let more = imported.broken.len() - BROKEN_SHOWN;
        warnings.push(Diagnostic::error(
            "broken",
            format!("{more} more could not be imported; `--json` names all"),
        ));
    }
    warnings
}
