//! `cvops models show`.

use serde_json::{Value as Json, json};

use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::project::Project;
use crate::report::escape::one_line;
use crate::report::{Align, Table};
use crate::track::{Artifacts, Reader};

use super::files::{self, ModelFile};
use super::named::{self, Named};
use super::{list, text};

/// Show a registered model with its versions, or one version with its files
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops models show cats\n  cvops models show cats@champion\n  cvops models show cats/2 --json"
)]
pub(super) struct Args {
    /// `NAME`, or a version of it: `NAME@ALIAS`, `NAME/VERSION`, `NAME/STAGE`, `NAME/latest`
    model: String,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let tracking = named::open(project)?;
    let reader = tracking.reader();
    match Named::of(&args.model) {
        Named { name, which: None } => model(ctx, &reader, name),
        Named { which: Some(_), .. } => version(ctx, project, &reader, &args.model),
    }
}

fn model(ctx: &Ctx, reader: &Reader<'_>, name: &str) -> Result<Outcome, CliError> {
    let model = named::model(reader, name)?;
    let versions = reader.versions_of(&model.name)?;
    if ctx.out.form == Form::Json {
        let mut json = text::model_json(&model);
        let versions: Vec<Json> = versions.iter().map(text::version_json).collect();
        json["versions"] = json!(versions);
        ctx.out.json(&json);
        return Ok(Outcome::Done);
    }
    let mut lines = vec![
        (
            "model",
            ctx.out.paint(Style::Strong, &one_line(&model.name)),
        ),
        ("created", text::when(model.created_ms)),
        ("updated", text::when(model.updated_ms)),
    ];
    lines.extend(model.description.map(|text| ("description", text)));
    for (alias, version) in &model.aliases {
        lines.push(("alias", format!("{alias} = {version}")));
    }
    for tag in &model.tags {
        lines.push(("tag", format!("{}={}", tag.key, tag.value)));
    }
    ctx.out.result(&text::head(ctx.out.form, lines));
    if !versions.is_empty() {
        section(ctx, "Versions", &list::versions_table(reader, &versions));
    }
    Ok(Outcome::Done)
}

fn version(
    ctx: &Ctx,
    project: &Project,
    reader: &Reader<'_>,
    asked: &str,
) -> Result<Outcome, CliError> {
    let version = named::version(reader, asked)?;
    let files = files::at(&Artifacts::open(project), reader, &version.storage)?;
    let files = files.unwrap_or_default();
    if ctx.out.form == Form::Json {
        let mut json = text::version_json(&version);
        let files: Vec<Json> = files
            .iter()
            .map(|file| {
                let object = file.record.object.to_string();
                json!({"path": file.path, "size": file.record.size, "object": object})
            })
            .collect();
        json["files"] = json!(files);
        ctx.out.json(&json);
        return Ok(Outcome::Done);
    }
    let name = text::version(&version);
    let mut lines = vec![
        ("version", ctx.out.paint(Style::Strong, &one_line(&name))),
        ("created", text::when(version.created_ms)),
    ];
    if version.updated_ms != version.created_ms {
        lines.push(("updated", text::when(version.updated_ms)));
    }
    if !version.aliases.is_empty() {
        lines.push(("aliases", version.aliases.join(", ")));
    }
    if version.stage != text::NO_STAGE {
        lines.push(("stage", version.stage.clone()));
    }
    if version.run.is_some() {
        lines.push(("run", text::run(reader, &version)));
    }
    lines.push(("source", version.source.clone()));
    if version.storage != version.source {
        lines.push(("files at", version.storage.clone()));
    }
    lines.extend(
        version
            .description
            .clone()
            .map(|text| ("description", text)),
    );
    for tag in &version.tags {
        lines.push(("tag", format!("{}={}", tag.key, tag.value)));
    }
    ctx.out.result(&text::head(ctx.out.form, lines));
    if !files.is_empty() {
        section(ctx, "Files", &files_table(&files));
    }
    Ok(Outcome::Done)
}

fn files_table(files: &[ModelFile]) -> Table {
    let mut table = Table::new([
        ("file", Align::Left),
        ("size", Align::Right),
        ("object", Align::Left),
    ]);
    for file in files {
        table.row([
            file.path.clone(),
            units::bytes(file.record.size),
            file.record.object.short(),
        ]);
    }
    table
}

fn section(ctx: &Ctx, title: &str, table: &Table) {
    ctx.out.result(&match ctx.out.form {
        Form::Md => format!("\n### {title}\n\n"),
        Form::Text | Form::Json => "\n".to_owned(),
    });
    ctx.out.table(table);
}
