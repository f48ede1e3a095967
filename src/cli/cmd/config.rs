//! `cvops config`: look at settings and change them.

use clap::Subcommand;
use serde_json::json;

use crate::base::diag::nearest;
use crate::base::doc::{Document, Format, KeyPath, Value, edit};
use crate::base::{Diagnostic, Error as BaseError};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::out::Form;
use crate::project::{self, EditLock, Layout, Origin, SETTINGS, Setting, SettingsFile};
use crate::report::{Align, Table};

/// Look at settings and change them
///
/// `cvops config KEY` prints a setting and `cvops config KEY VALUE` changes it, as in git and DVC.
/// Comments in the file stay. A setting of this machine (`--local`) overrides the project's, which
/// overrides the user's (`--global`).
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

/// Which file is meant.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(multiple = false)]
struct LevelArgs {
    /// In the project's file of this machine, which is not committed
    #[arg(long)]
    local: bool,
    /// In the user's own file, for all projects
    #[arg(long)]
    global: bool,
}

impl LevelArgs {
    /// Returns the level that was named, if one was.
    fn named(self) -> Option<Origin> {
        (self.local || self.global).then(|| self.origin())
    }

    /// Returns the level that is changed.
    fn origin(self) -> Origin {
        match (self.local, self.global) {
            (true, _) => Origin::Local,
            (_, true) => Origin::User,
            _ => Origin::Project,
        }
    }
}

/// Where a value was found.
struct Found {
    setting: &'static Setting,
    value: String,
    origin: Origin,
    /// The file as messages call it; empty for a default.
    file: String,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match (&args.action, &args.key, &args.value) {
        (Some(Action::List { show_origin }), ..) => list(ctx, *show_origin),
        (Some(Action::Get { key, level }), ..) => get(ctx, key, *level),
        (None, Some(key), None) => get(ctx, key, args.level),
        (Some(Action::Set { key, value, level }), ..) => set(ctx, key, value, *level),
        (Some(Action::Unset { key, level }), ..) => unset(ctx, key, *level),
        (None, Some(key), Some(value)) => set(ctx, key, value, args.level),
        (None, None, _) => list(ctx, false),
    }
}

fn list(ctx: &Ctx, show_origin: bool) -> Result<Outcome, CliError> {
    let found = effective(ctx)?;
    if ctx.out.form == Form::Json {
        let rows: Vec<_> = found.iter().map(to_json).collect();
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
        table.row([one.setting.key.to_owned(), one.value, origin]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

fn get(ctx: &Ctx, key: &str, level: LevelArgs) -> Result<Outcome, CliError> {
    let setting = known(key)?;
    let found = match level.named() {
        Some(_) => {
            let file = file_to_change(ctx, level)?;
            let Some(found) = set_in(&file, setting)? else {
                return Err(not_set(key, &file, ErrorClass::Failed));
            };
            Some(found)
        }
        None => effective(ctx)?.into_iter().find(|f| f.setting == setting),
    };
    let Some(found) = found else {
        return Ok(Outcome::Done);
    };
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(&found));
    } else {
        ctx.out.result(&found.value);
    }
    Ok(Outcome::Done)
}

fn set(ctx: &Ctx, key: &str, value: &str, level: LevelArgs) -> Result<Outcome, CliError> {
    let setting = known(key)?;
    let file = file_to_change(ctx, level)?;
    let lock = lock(ctx, &file)?;
    let edited = edit::set(&read(&file)?, &setting.path(), &setting.value_of(value))?;
    // Shown with its place in the text that would have been written.
    let checked = file.check(edited.source.text.clone());
    let document = checked.map_err(|error| not_written(&file, error.into()))?;
    lock.write(&file.path, &document.source.text)?;
    drop(lock);
    let value = setting.text_in(&document).unwrap_or_default();
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({"key": setting.key, "value": value, "file": file.name}));
    } else {
        ctx.out.note(&format!(
            "`{}` is `{value}` in `{}`",
            setting.key, file.name
        ));
        warn_overridden(ctx, setting, file.origin)?;
    }
    Ok(Outcome::Done)
}

/// Says that a refused value has changed nothing.
fn not_written(file: &SettingsFile, mut error: CliError) -> CliError {
    let note = format!("`{}` was not changed", file.name);
    for diagnostic in &mut error.diagnostics {
        diagnostic.notes.push(note.clone());
    }
    error
}

fn unset(ctx: &Ctx, key: &str, level: LevelArgs) -> Result<Outcome, CliError> {
    let file = file_to_change(ctx, level)?;
    let lock = lock(ctx, &file)?;
    let document = read(&file)?;
    // A key that no version knows can be taken out as well, but only if it is there.
    let path = match Setting::find(key) {
        Some(setting) => setting.path(),
        None => match key.parse::<KeyPath>() {
            Ok(path) if path.get(&document.root).is_some() => path,
            _ => known(key)?.path(),
        },
    };
    if path.get(&document.root).is_none() {
        return Err(not_set(key, &file, ErrorClass::Usage));
    }
    let edited = without(&document, &path)?;
    lock.write(&file.path, &edited.source.text)?;
    drop(lock);
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"key": key, "file": file.name}));
    } else {
        ctx.out
            .note(&format!("`{key}` is no longer set in `{}`", file.name));
    }
    Ok(Outcome::Done)
}

fn not_set(key: &str, file: &SettingsFile, class: ErrorClass) -> CliError {
    let headline = format!("`{key}` is not set in `{}`", file.name);
    let diagnostic = Diagnostic::error("not-set", headline)
        .help("`cvops config list --show-origin` shows where settings come from");
    let diagnostics = vec![diagnostic];
    CliError { class, diagnostics }
}

/// Returns the setting of this name, or says which there are.
fn known(key: &str) -> Result<&'static Setting, CliError> {
    if let Some(setting) = Setting::find(key) {
        return Ok(setting);
    }
    let names = SETTINGS.map(|setting| setting.key);
    let help = match nearest(key, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!(
            "settings: {}",
            names.map(|name| format!("`{name}`")).join(", ")
        ),
    };
    let diagnostic = Diagnostic::error("unknown-setting", format!("there is no setting `{key}`"));
    Err(CliError::usage(diagnostic.help(help)))
}

/// Returns the files that count here, those of the project if there is one.
fn files(ctx: &Ctx) -> Result<Vec<SettingsFile>, CliError> {
    let user = ctx.env.user_config();
    match project::find_root(&ctx.dir) {
        Ok((root, personality)) => {
            let layout = Layout::new(&root, &personality);
            Ok(SettingsFile::of_project(&root, &layout, user.as_deref()))
        }
        Err(project::Error::NotAProject { .. }) => Ok(user
            .iter()
            .map(|path| SettingsFile::of_user(path))
            .collect()),
        Err(error) => Err(error.into()),
    }
}

fn file_to_change(ctx: &Ctx, level: LevelArgs) -> Result<SettingsFile, CliError> {
    let origin = level.origin();
    if let Some(file) = files(ctx)?.into_iter().find(|file| file.origin == origin) {
        return Ok(file);
    }
    if origin == Origin::User {
        let headline = "there is no place for settings of the user: `HOME` is not set";
        return Err(CliError::usage(
            Diagnostic::error("no-home", headline).help("set `HOME` or `XDG_CONFIG_HOME`"),
        ));
    }
    // The files of a project are missing only where there is none.
    project::find_root(&ctx.dir)?;
    let headline = "there is no project here, and so no file of its settings";
    Err(CliError::usage(Diagnostic::error("no-project", headline)))
}

/// Returns every setting with the value that holds, sorted by name.
fn effective(ctx: &Ctx) -> Result<Vec<Found>, CliError> {
    let mut found: Vec<Found> = SETTINGS
        .iter()
        .map(|setting| Found {
            setting,
            value: setting.default.to_owned(),
            origin: Origin::Default,
            file: String::new(),
        })
        .collect();
    for file in files(ctx)? {
        let Some(document) = checked(&file)? else {
            continue;
        };
        for one in &mut found {
            if let Some(other) = said(&file, &document, one.setting) {
                *one = other;
            }
        }
    }
    Ok(found)
}

/// Returns what `file` says of a setting; `None` when it says nothing.
fn set_in(file: &SettingsFile, setting: &'static Setting) -> Result<Option<Found>, CliError> {
    Ok(checked(file)?.and_then(|document| said(file, &document, setting)))
}

fn said(file: &SettingsFile, document: &Document, setting: &'static Setting) -> Option<Found> {
    // An empty list is the default.
    let value = setting.text_in(document).filter(|v| !v.is_empty())?;
    Some(Found {
        setting,
        value,
        origin: file.origin,
        file: file.name.clone(),
    })
}

/// Reads a file of settings and checks what it says; `None` when there is none.
fn checked(file: &SettingsFile) -> Result<Option<Document>, CliError> {
    let Some(document) = file.read()? else {
        return Ok(None);
    };
    Ok(Some(file.check(document.source.text.clone())?))
}

/// Says when another file has the last word.
fn warn_overridden(ctx: &Ctx, setting: &Setting, origin: Origin) -> Result<(), CliError> {
    let holds = effective(ctx)?.into_iter().find(|f| f.setting == setting);
    if let Some(holds) = holds.filter(|holds| origin < holds.origin) {
        ctx.out.note(&format!(
            "`{}` overrides it here: `{}`",
            holds.file, holds.value
        ));
    }
    Ok(())
}

fn read(file: &SettingsFile) -> Result<Document, CliError> {
    Ok(match file.read()? {
        Some(document) => document,
        None => Document::parse(&file.name, String::new(), Format::Yaml)?,
    })
}

/// Takes the lock under which `file` is read and written. The user's file belongs to no project, and
/// so has a lock of its own.
fn lock(ctx: &Ctx, file: &SettingsFile) -> Result<EditLock, CliError> {
    Ok(if file.origin == Origin::User {
        EditLock::beside(&file.path, &ctx.cancel)?
    } else {
        let (root, personality) = project::find_root(&ctx.dir)?;
        EditLock::acquire(&Layout::new(&root, &personality), &ctx.cancel)?
    })
}

/// Takes `path` out of `document`, and every section that is empty without it.
fn without(document: &Document, path: &KeyPath) -> Result<Document, BaseError> {
    let mut path = path.clone();
    while let Some(parent) = path.parent() {
        let alone = matches!(parent.get(&document.root), Some(Value::Map(map)) if map.len() == 1);
        if parent.is_root() || !alone {
            break;
        }
        path = parent;
    }
    let edited = edit::remove(document, &path)?;
    // A file that says nothing is one of comments, as `cvops init` writes it, and not `{}`.
    match edited.source.text.trim_end().strip_suffix("{}") {
        Some(comments) if matches!(&edited.root, Value::Map(map) if map.is_empty()) => {
            let text = match comments.trim_end() {
                "" => String::new(),
                comments => format!("{comments}\n"),
            };
            Document::parse(&edited.source.name, text, edited.format)
        }
        _ => Ok(edited),
    }
}

fn to_json(found: &Found) -> serde_json::Value {
    json!({
        "key": found.setting.key, "value": found.value, "origin": found.origin.name(),
        "file": if found.file.is_empty() { None } else { Some(&found.file) },
        "default": found.setting.default, "values": found.setting.values,
        "meaning": found.setting.meaning,
    })
}
