//! `cvops config`: look at settings and change them.

use clap::Subcommand;
use serde_json::json;

use crate::base::Diagnostic;
use crate::base::doc::{KeyPath, edit};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::out::Form;
use crate::cli::settings::{Found, LevelArgs, Settings, not_set};
use crate::project::SettingName;
use crate::project::settings::SettingKind;
use crate::report::{Align, Table};

/// Look at settings and change them
///
/// `cvops config KEY` prints a setting and `cvops config KEY VALUE` changes it, as in git and DVC.
/// Comments in the file stay. A setting of this machine (`--local`) overrides the project's, which
/// overrides the user's (`--global`), which overrides the machine's (`--system`). In a DVC repository
/// the files are DVC's own, `.dvc/config` and its like.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    override_usage = "cvops config [OPTIONS] [KEY [VALUE]]\n       cvops config <COMMAND>",
    after_help = "Examples:\n  cvops config list --show-origin\n  cvops config core.jobs 4\n  cvops config --local cache.dir /mnt/big/cache"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// The setting; without one, all are listed
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Its new value; a list is written with commas
    #[arg(value_name = "VALUE")]
    value: Option<String>,
    /// Remove the setting, as `cvops config unset` does
    #[arg(short, long, requires = "key", conflicts_with = "value")]
    unset: bool,
    /// List what the files say, one `key=value` a line
    #[arg(short, long, conflicts_with_all = ["key", "value", "unset"])]
    list: bool,
    /// Show in which file each value is set
    #[arg(long, conflicts_with_all = ["value", "unset"])]
    show_origin: bool,
    #[command(flatten)]
    level: LevelArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all settings with their values
    #[command(after_help = "Example:\n  cvops config list --show-origin")]
    List {
        /// Show in which file each value is set
        #[arg(long)]
        show_origin: bool,
    },
    /// Print the value of a setting: the one that holds, or what one file says
    #[command(
        after_help = "Examples:\n  cvops config get cache.type\n  cvops config get cache.type --global"
    )]
    Get {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Change a setting
    #[command(
        after_help = "Examples:\n  cvops config set core.jobs 4\n  cvops config set cache.type hardlink,copy --local"
    )]
    Set {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        /// Its new value; a list is written with commas
        #[arg(value_name = "VALUE")]
        value: String,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Remove a setting from its file, so that the default or another file holds
    #[command(after_help = "Example:\n  cvops config unset core.jobs")]
    Unset {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        level: LevelArgs,
    },
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let settings = Settings::of(ctx)?;
    match (&args.action, &args.key, &args.value) {
        (Some(Action::List { show_origin }), ..) => list(ctx, &settings, *show_origin),
        (Some(Action::Get { key, level }), ..) => get(ctx, &settings, key, *level),
        (Some(Action::Set { key, value, level }), ..) => set(ctx, &settings, key, value, *level),
        (Some(Action::Unset { key, level }), ..) => unset(ctx, &settings, key, *level),
        (None, Some(key), _) if args.unset => unset(ctx, &settings, key, args.level),
        (None, Some(key), None) => get(ctx, &settings, key, args.level),
        (None, Some(key), Some(value)) => set(ctx, &settings, key, value, args.level),
        (None, None, _) if args.list => lines(ctx, &settings, args),
        (None, None, _) => list(ctx, &settings, args.show_origin),
    }
}

fn list(ctx: &Ctx, settings: &Settings, show_origin: bool) -> Result<Outcome, CliError> {
    let found = effective(settings)?;
    if ctx.out.form == Form::Json {
        let rows: Vec<_> = found.iter().map(|f| to_json(settings, f)).collect();
        ctx.out.json(&json!({"settings": rows}));
        return Ok(Outcome::Done);
    }
    let mut columns = vec![("setting", Align::Left), ("value", Align::Left)];
    if show_origin {
        columns.push(("from", Align::Left));
    }
    let mut table = Table::new(columns);
    for one in found {
        let origin = if one.file.is_empty() {
            one.origin.name().to_owned()
        } else {
            one.file
        };
        table.row([one.key, one.value, origin]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

/// Lists what each file says, as `git config --list` and `dvc config --list` do.
fn lines(ctx: &Ctx, settings: &Settings, args: &Args) -> Result<Outcome, CliError> {
    let level = args.level.named();
    let mut said = Vec::new();
    for file in &settings.files {
        if level.is_none_or(|origin| origin == file.origin) {
            said.extend(settings.said(file)?);
        }
    }
    if ctx.out.form == Form::Json {
        let rows: Vec<_> = said.iter().map(|f| to_json(settings, f)).collect();
        ctx.out.json(&json!({"settings": rows}));
        return Ok(Outcome::Done);
    }
    for one in said {
        let line = format!("{}={}", one.key, one.value);
        ctx.out.result(&if args.show_origin {
            format!("{}\t{line}", one.file)
        } else {
            line
        });
    }
    Ok(Outcome::Done)
}

fn get(ctx: &Ctx, settings: &Settings, key: &str, level: LevelArgs) -> Result<Outcome, CliError> {
    let name = settings.known(key)?;
    let found = match level.named() {
        Some(origin) => {
            let file = settings.file_for(ctx, origin, &name)?;
            let said = settings.said(file)?;
            let found = said.into_iter().find(|found| found.key == name.key);
            Some(found.ok_or_else(|| not_set(key, file, ErrorClass::Failed))?)
        }
        None => effective(settings)?.into_iter().find(|f| f.key == name.key),
    };
    let Some(found) = found else {
        ctx.out.note(&format!("`{}` is not set", name.key));
        if ctx.out.form == Form::Json {
            let none = Found {
                key: name.key,
                value: String::new(),
                origin: crate::project::Origin::Default,
                file: String::new(),
            };
            ctx.out.json(&to_json(settings, &none));
        }
        return Ok(Outcome::Done);
    };
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(settings, &found));
    } else {
        ctx.out.result(&found.value);
    }
    Ok(Outcome::Done)
}

pub(super) fn set(
    ctx: &Ctx,
    settings: &Settings,
    key: &str,
    value: &str,
    level: LevelArgs,
) -> Result<Outcome, CliError> {
    let name = settings.known(key)?;
    let file = settings.file_for(ctx, level.origin(), &name)?;
    let value = match name.kind() {
        SettingKind::Place => file.relative(value, &ctx.dir),
        _ => value.to_owned(),
    };
    let document = settings.change(ctx, file, |document| {
        let value = name.value_of(&value, file.form);
        Ok(edit::set(&document, &name.path, &value)?)
    })?;
    let value = name.text_in(&document).unwrap_or_default();
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({"key": name.key, "value": value, "file": file.name}));
    } else {
        ctx.out
            .note(&format!("`{}` is `{value}` in `{}`", name.key, file.name));
        // Says when another file has the last word.
        let holds = settings.found(None)?.remove(&name.key);
        if let Some(holds) = holds.filter(|holds| file.origin < holds.origin) {
            ctx.out.note(&format!(
                "`{}` overrides it here: `{}`",
                holds.file, holds.value
            ));
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn unset(
    ctx: &Ctx,
    settings: &Settings,
    key: &str,
    level: LevelArgs,
) -> Result<Outcome, CliError> {
    let origin = level.origin();
    let name = SettingName::find(key, &settings.personality);
    // A key that no version knows can be taken out as well, but only if it is there.
    let (file, path) = if let Some(name) = &name {
        (settings.file_for(ctx, origin, name)?, name.path.clone())
    } else {
        let file = settings
            .files
            .iter()
            .find(|f| f.origin == origin && f.is_native);
        let path = key.parse::<KeyPath>().ok();
        match (file, path) {
            (Some(file), Some(path)) if is_in(file, &path)? => (file, path),
            _ => return Err(settings.known(key).map_or_else(|e| e, |_| unknown(key))),
        }
    };
    if !is_in(file, &path)? {
        return Err(not_set(key, file, ErrorClass::Usage));
    }
    settings.take_out(ctx, file, &path)?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"key": key, "file": file.name}));
    } else {
        ctx.out
            .note(&format!("`{key}` is no longer set in `{}`", file.name));
    }
    Ok(Outcome::Done)
}

fn is_in(file: &crate::project::SettingsFile, path: &KeyPath) -> Result<bool, CliError> {
    let document = file.read()?;
    Ok(document.is_some_and(|document| path.get(&document.root).is_some()))
}

fn unknown(key: &str) -> CliError {
    let headline = format!("there is no setting `{key}`");
    CliError::usage(Diagnostic::error("unknown-setting", headline))
}

/// Returns every setting with the value that holds, sorted by name.
fn effective(settings: &Settings) -> Result<Vec<Found>, CliError> {
    let mut found = settings.defaults();
    found.extend(settings.found(None)?);
    Ok(found.into_values().collect())
}

fn to_json(settings: &Settings, found: &Found) -> serde_json::Value {
    let name = SettingName::find(&found.key, &settings.personality);
    let setting = name.and_then(|name| name.setting);
    json!({
        "key": found.key, "value": found.value, "origin": found.origin.name(),
        "file": if found.file.is_empty() { None } else { Some(&found.file) },
        "default": setting.map(|s| s.default), "values": setting.map(|s| s.values),
        "meaning": setting.map(|s| s.meaning),
    })
}
