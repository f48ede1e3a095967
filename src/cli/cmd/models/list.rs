//! `cvops models list`.

use serde_json::{Value as Json, json};

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::report::{Align, Table};
use crate::track::entity::{ModelVersion, RegisteredModel};
use crate::track::{Reader, Tracking};

use super::{named, text};

/// List registered models, or the versions of one, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cvops models list\n  cvops models list cats --md")]
pub(super) struct Args {
    /// List the versions of this model
    name: Option<String>,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    if let Some(name) = &args.name {
        let tracking = named::open(project)?;
        return versions(ctx, &tracking.reader(), name);
    }
    let models = match Tracking::open_existing(&project.layout)? {
        Some(tracking) => {
            let reader = tracking.reader();
            reader.registered_models_of(&reader.registered_model_names()?)?
        }
        None => Vec::new(),
    };
    if ctx.out.form == Form::Json {
        let models: Vec<Json> = models.iter().map(text::model_json).collect();
        ctx.out.json(&json!({"models": models}));
        return Ok(Outcome::Done);
    }
    if models.is_empty() {
        ctx.out.note(
            "no model is registered yet: `cvops models register NAME` registers that of the last run",
        );
        return Ok(Outcome::Done);
    }
    ctx.out.table(&models_table(&models));
    Ok(Outcome::Done)
}

fn models_table(models: &[RegisteredModel]) -> Table {
    filled(
        models,
        &[
            ("model", Align::Left, &|m| m.name.clone()),
            ("latest", Align::Right, &|m| {
                let latest = m.latest.iter().map(|version| version.version).max();
                latest
                    .map(|version| version.to_string())
                    .unwrap_or_default()
            }),
            ("aliases", Align::Left, &|m| {
                let aliases = m.aliases.iter();
                let aliases: Vec<String> = aliases
                    .map(|(alias, version)| format!("{alias}={version}"))
                    .collect();
                aliases.join(" ")
            }),
            ("updated", Align::Left, &|m| text::when(m.updated_ms)),
            ("description", Align::Left, &|m| {
                m.description.clone().unwrap_or_default()
            }),
        ],
    )
}

/// A column: its title, and what it shows of an item.
type Column<'a, T> = (&'a str, Align, &'a dyn Fn(&T) -> String);

/// Returns a table of items; a column that is empty is left out.
fn filled<T>(items: &[T], columns: &[Column<'_, T>]) -> Table {
    let used: Vec<&Column<'_, T>> = columns
        .iter()
        .filter(|(_, _, cell)| items.iter().any(|item| !cell(item).is_empty()))
        .collect();
    let mut table = Table::new(used.iter().map(|(title, align, _)| (*title, *align)));
    for item in items {
        table.row(used.iter().map(|(_, _, cell)| cell(item)));
    }
    table
}

fn versions(ctx: &Ctx, reader: &Reader<'_>, name: &str) -> Result<Outcome, CliError> {
    let model = named::model(reader, name)?;
    let versions = reader.versions_of(&model.name)?;
    if ctx.out.form == Form::Json {
        let versions: Vec<Json> = versions.iter().map(text::version_json).collect();
        ctx.out
            .json(&json!({"model": model.name, "versions": versions}));
        return Ok(Outcome::Done);
    }
    if versions.is_empty() {
        ctx.out.note(&format!("`{name}` has no versions"));
        return Ok(Outcome::Done);
    }
    ctx.out.table(&versions_table(reader, &versions));
    Ok(Outcome::Done)
}

/// Returns versions as a table.
pub(super) fn versions_table(reader: &Reader<'_>, versions: &[ModelVersion]) -> Table {
    filled(
        versions,
        &[
            ("version", Align::Right, &|v| v.version.to_string()),
            ("aliases", Align::Left, &|v| v.aliases.join(" ")),
            ("stage", Align::Left, &text::stage),
            ("run", Align::Left, &|v| text::run(reader, v)),
            ("created", Align::Left, &|v| text::when(v.created_ms)),
            ("source", Align::Left, &source),
            ("description", Align::Left, &|v| {
                v.description.clone().unwrap_or_default()
            }),
        ],
    )
}

/// Returns the source, shortened to the path where it lies in the artifacts of the version's run.
fn source(version: &ModelVersion) -> String {
    let inside = version
        .run
        .as_ref()
        .and_then(|run| version.source.split_once(&format!("/{run}/artifacts/")));
    match inside {
        Some((_, path)) => path.to_owned(),
        None => version.source.clone(),
    }
}
