//! `cvops runs …`: look at recorded runs, go back to one, delete some, take them elsewhere.

mod apply;
mod diff;
mod export;
mod import;
mod list;
mod push;
mod restore;
mod rm;
mod show;
mod tag;
mod text;

use std::collections::BTreeMap;

use clap::Subcommand;

use crate::base::ArtifactPath;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::compare::Reader;
use crate::pipeline::spec::Direction;
use crate::project::Project;
use crate::track::{Error, Tracking};

/// Look at recorded runs, compare them, go back to one
///
/// Every `cvops repro` that runs or restores a stage records a run: parameters, metrics, durations,
/// outputs, where git stood. RUN is a name, the first digits of an id (at least 4), or `last`.
#[derive(Debug, clap::Args)]
#[command(
    visible_aliases = ["exp", "experiments"],
    after_help = "Examples:\n  cvops runs list\n  cvops runs show last"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List runs: metrics, and the parameters in which they differ
    List(list::Args),
    /// Show a run: parameters, metrics, stages, outputs
    Show(show::Args),
    /// Show what differs between two runs
    Diff(diff::Args),
    /// Go back to a run: its parameters, its outputs, its lock
    Apply(apply::Args),
    /// Set or remove tags of a run
    Tag(tag::Args),
    /// Send runs that wait to the server of `tracking.uri`
    Push(push::Args),
    /// Delete runs; `restore` brings them back
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    /// Bring deleted runs back
    Restore(restore::Args),
    /// Write runs as a table or as whole records
    Export(export::Args),
    /// Take runs from MLflow or from another record
    Import(import::Args),
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    match &args.action {
        Action::List(args) => list::run(ctx, &project, args),
        Action::Show(args) => show::run(ctx, &project, args),
        Action::Diff(args) => diff::run(ctx, &project, args),
        Action::Apply(args) => apply::run(ctx, &project, args),
        Action::Tag(args) => tag::run(ctx, &project, args),
        Action::Push(args) => push::run(ctx, &project, args),
        Action::Rm(args) => rm::run(ctx, &project, args),
        Action::Restore(args) => restore::run(ctx, &project, args),
        Action::Export(args) => export::run(ctx, &project, args),
        Action::Import(args) => import::run(ctx, &project, args),
    }
}

/// Returns what the pipeline file says of metrics: the direction in which those of a file improve.
/// One that is broken says nothing; the runs are worth showing all the same.
fn directions(project: &Project) -> Directions {
    let subjects = Reader::open(project).workspace().map(|side| side.subjects);
    Directions(subjects.map(|s| s.metrics).unwrap_or_default())
}

/// The declared directions, by file.
struct Directions(BTreeMap<ArtifactPath, Option<Direction>>);

impl Directions {
    /// Returns the direction of a metric: the declared one, else what its name tells.
    fn of(&self, file: &str, key: &str) -> Direction {
        let mut files = self.0.iter();
        let declared = files.find(|(path, _)| path.as_str() == file);
        let declared = declared.and_then(|(_, direction)| *direction);
        declared.unwrap_or_else(|| Direction::of_name(key))
    }
}

/// Opens the record for a command that names a run.
fn open(project: &Project) -> Result<Tracking, CliError> {
    Ok(Tracking::open_existing(&project.layout)?.ok_or(Error::NoRuns)?)
}
