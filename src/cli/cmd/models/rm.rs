//! `cvops models rm`.

use serde_json::json;

use crate::base::units;
use crate::base::{Diagnostic, clock};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;

use super::named::{self, Named, Which};
use super::text;

/// Remove a registered model or a version of it; its files stay in the cache
///
/// Aliases go with the version they name. The number of a version is not used again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cvops models rm cats/1\n  cvops models rm cats")]
pub(super) struct Args {
    /// `NAME` for the model with all its versions, or `NAME/VERSION`
    model: String,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let mut tracking = named::open(project)?;
    let reader = tracking.reader();
    let Named { name, which } = Named::of(&args.model);
    let (versions, aliases) = match which {
        None => {
            let model = named::model(&reader, name)?;
            let aliases = model.aliases.into_iter().map(|(alias, _)| alias).collect();
            (reader.versions_of(name)?, aliases)
        }
        Some(which) => {
            let version = named::version(&reader, &args.model)?;
            // Whoever names an alias may mean that.
            if let Which::Alias(alias) = which {
                return Err(by_alias(name, alias, &text::version(&version)));
            }
            let aliases = version.aliases.clone();
            (vec![version], aliases)
        }
    };
    let now = clock::now().as_millisecond();
    tracking.change(|writing| match which {
        None => writing.delete_registered_model(name),
        Some(_) => versions
            .iter()
            .try_for_each(|version| writing.delete_model_version(name, version.version, now)),
    })?;
    if ctx.out.form == Form::Json {
        let removed: Vec<i64> = versions.iter().map(|version| version.version).collect();
        ctx.out.json(&json!({
            "model": name,
            "versions": removed,
            "aliases": aliases,
            "is_whole": which.is_none(),
        }));
        return Ok(Outcome::Done);
    }
    ctx.out.result(&match (which, versions.first()) {
        (Some(_), Some(version)) => format!("removed {}", text::version(version)),
        (None, _) | (Some(_), None) => {
            let count = units::count(versions.len(), "version");
            format!("removed {name} ({count})")
        }
    });
    if !aliases.is_empty() {
        let names: Vec<String> = aliases.iter().map(|alias| format!("`{alias}`")).collect();
        ctx.out
            .note(&format!("with what named it: {}", names.join(", ")));
    }
    Ok(Outcome::Done)
}

fn by_alias(name: &str, alias: &str, version: &str) -> CliError {
    let what = format!("`{name}@{alias}` may mean the alias or the version");
    CliError::usage(Diagnostic::error("unclear", what).help(format!(
        "`cvops models alias {name} {alias} --delete` removes the alias, `cvops models rm {version}` the version"
    )))
}
