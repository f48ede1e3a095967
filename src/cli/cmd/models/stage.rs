//! `cvops models stage`.

use clap::ValueEnum;
use serde_json::json;

use crate::base::{Diagnostic, clock};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::track::entity::ModelVersion;

use super::{named, text};

/// Put a version in a stage: none, staging, production, archived
///
/// Stages are MLflow's older way to say which version is in use; aliases say it more freely.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops models stage cats 2 production --archive\n  cvops models stage cats 1 none"
)]
pub(super) struct Args {
    /// The registered model
    name: String,
    /// The version's number, or `latest`
    #[arg(value_name = "VERSION")]
    which: String,
    /// The stage
    #[arg(ignore_case = true)]
    stage: Stage,
    /// Archive the versions that are in this stage now; only for staging and production
    #[arg(long)]
    archive: bool,
}

/// The stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// In no stage
    None,
    /// Being tried
    Staging,
    /// In use
    Production,
    /// No longer in use
    Archived,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    if args.archive && !matches!(args.stage, Stage::Staging | Stage::Production) {
        return Err(CliError::usage(
            Diagnostic::error(
                "archive",
                "`--archive` goes with the stages staging and production only",
            )
            .help("leave it out"),
        ));
    }
    let mut tracking = named::open(project)?;
    let asked = format!("{}/{}", args.name, args.which);
    let version = named::version(&tracking.reader(), &asked)?;
    let stage = args.stage.as_str();
    let now = clock::now().as_millisecond();
    let (version, archived) = tracking.change(|writing| {
        let others = writing.versions_of(&args.name)?;
        let version =
            writing.transition_stage(&args.name, version.version, stage, args.archive, now)?;
        let is_archived = |other: &&ModelVersion| {
            args.archive && other.stage == stage && other.version != version.version
        };
        let archived: Vec<i64> = others
            .iter()
            .filter(is_archived)
            .map(|v| v.version)
            .collect();
        Ok((version, archived))
    })?;
    if ctx.out.form == Form::Json {
        let mut json = text::version_json(&version);
        json["archived"] = json!(archived);
        ctx.out.json(&json);
        return Ok(Outcome::Done);
    }
    let name = text::version(&version);
    ctx.out.result(&match args.stage {
        Stage::None => format!("{name} is in no stage"),
        Stage::Staging | Stage::Production | Stage::Archived => {
            format!("{name} is in the stage {stage}")
        }
    });
    if !archived.is_empty() {
        let names: Vec<String> = archived
            .iter()
            .map(|other| format!("`{}/{other}`", version.name))
            .collect();
        ctx.out.note(&format!("archived {}", names.join(", ")));
    }
    Ok(Outcome::Done)
}
