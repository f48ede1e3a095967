//! `cvops models alias`.

use serde_json::json;

use crate::base::clock;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::track::promotion::Title;
use crate::track::{Promote, Tracking, Withdraw};

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
    let old = change(ctx, &mut tracking, args, new)?;
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

/// Moves or removes the alias and notes it, as the pages do; returns the version that had it.
fn change(
    ctx: &Ctx,
    tracking: &mut Tracking,
    args: &Args,
    new: Option<i64>,
) -> Result<Option<i64>, CliError> {
    let title = Title::Alias(args.alias.clone());
    let now_ms = clock::now().as_millisecond();
    let by = ["USER", "LOGNAME"].iter().find_map(|key| ctx.env.get(key));
    let by = by.map(str::to_owned);
    let old = tracking.change(|writing| {
        // Whoever had it a moment ago: here the last word counts.
        let old = title.holder(&writing.registered_model(&args.name)?);
        match (new, old) {
            // Nothing changes hands.
            (Some(version), Some(old)) if old == version => {
                writing.set_alias(&args.name, &args.alias, version, now_ms)?;
            }
            (Some(version), expected) => {
                writing.promote(&Promote {
                    name: args.name.clone(),
                    version,
                    title: title.clone(),
                    expected,
                    by: by.clone(),
                    now_ms,
                })?;
            }
            (None, Some(version)) => {
                writing.withdraw(&Withdraw {
                    name: args.name.clone(),
                    alias: args.alias.clone(),
                    version,
                    by: by.clone(),
                    now_ms,
                })?;
            }
            (None, None) => {}
        }
        Ok(old)
    })?;
    Ok(old)
}
