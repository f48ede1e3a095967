//! `cvops models alias`.

use serde_json::json;

use crate::base::clock;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;

use super::named;

/// Let an alias name a version, or remove it
///
/// An alias names one version of a model at a time: whoever loads `cats@champion` gets the new one
/// from then on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops models alias cats champion 2\n  cvops models alias cats champion --delete"
)]
pub(super) struct Args {
    /// The registered model
    name: String,
    /// The alias: letters, digits, `_` and `-`
    alias: String,
    /// The version's number, an alias it has, its stage, or `latest`
    #[arg(
        value_name = "VERSION",
        required_unless_present = "delete",
        conflicts_with = "delete"
    )]
    which: Option<String>,
    /// Remove the alias
    #[arg(short, long)]
    delete: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let Args { name, alias, .. } = args;
    let mut tracking = named::open(project)?;
    let reader = tracking.reader();
    let model = named::model(&reader, name)?;
    let known = model.aliases.iter().find(|(known, _)| known == alias);
    let old = known.map(|(_, version)| *version);
    let new = match &args.which {
        Some(version) => {
            let is_alias = model.aliases.iter().any(|(known, _)| known == version);
            let join = if is_alias { '@' } else { '/' };
            Some(named::version(&reader, &format!("{name}{join}{version}"))?.version)
        }
        None if old.is_none() => return Err(CliError::usage(named::no_alias(&model, alias))),
        None => None,
    };
    let now = clock::now().as_millisecond();
    tracking.change(|writing| match new {
        Some(version) => writing.set_alias(name, alias, version, now),
        None => writing.delete_alias(name, alias, now),
    })?;
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({"model": name, "alias": alias, "version": new, "old": old}));
        return Ok(Outcome::Done);
    }
    ctx.out.result(&match new {
        Some(version) => format!("{name}@{alias} is version {version}"),
        None => format!("removed {name}@{alias}"),
    });
    if let Some(old) = old.filter(|old| Some(*old) != new) {
        ctx.out.note(&format!("it was version {old}"));
    }
    Ok(Outcome::Done)
}
