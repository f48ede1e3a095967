//! `cvops remote`: where data is pushed to and pulled from.

use clap::Subcommand;
use serde_json::json;

use crate::base::Diagnostic;
use crate::base::diag::nearest;
use crate::base::doc::{KeyPath, Value, edit};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::out::Form;
use crate::cli::settings::{LevelArgs, Settings, without};
use crate::project::settings::{SettingKind, remote_path};
use crate::project::{Config, Layout, Origin, SettingName, SettingsFile, SettingsForm, find_root};
use crate::report::{Align, Table};

/// Set up where data is pushed to and pulled from
///
/// A remote is a folder (a network drive, say) or a URL. It stands in the settings of the project:
/// `cvops config list` shows it as well. In a DVC repository these are DVC's own files.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cvops remote add --default store /mnt/store\n  cvops remote list"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a remote
    #[command(
        after_help = "Examples:\n  cvops remote add -d store /mnt/store\n  cvops remote add --local scratch ../scratch"
    )]
    Add {
        /// Make it the default remote
        #[arg(short, long)]
        default: bool,
        /// Replace a remote of this name
        #[arg(short, long)]
        force: bool,
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
        /// A folder, or a URL; a relative path counts from here
        #[arg(value_name = "URL")]
        url: String,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// List the remotes
    #[command(after_help = "Example:\n  cvops remote list --json")]
    List {
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Change an option of a remote
    #[command(
        after_help = "Examples:\n  cvops remote modify store jobs 8\n  cvops remote modify --local store url /mnt/other"
    )]
    Modify {
        /// The remote
        #[arg(value_name = "NAME")]
        name: String,
        /// The option: `url`, `jobs`, `verify`, …
        #[arg(value_name = "OPTION")]
        option: String,
        /// Its new value
        #[arg(value_name = "VALUE", required_unless_present = "unset")]
        value: Option<String>,
        /// Remove the option
        #[arg(short, long, conflicts_with = "value")]
        unset: bool,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Remove a remote; what is in it stays
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  cvops remote remove store"
    )]
    Remove {
        /// The remote
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Show or choose the remote that is meant when none is named
    #[command(
        after_help = "Examples:\n  cvops remote default\n  cvops remote default store\n  cvops remote default --unset"
    )]
    Default {
        /// The remote; without one, the present default is shown
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Choose none
        #[arg(short, long, conflicts_with = "name")]
        unset: bool,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Give a remote another name
    #[command(after_help = "Example:\n  cvops remote rename store archive")]
    Rename {
        /// The remote
        #[arg(value_name = "NAME")]
        name: String,
        /// Its new name
        #[arg(value_name = "NEW")]
        new: String,
        #[command(flatten)]
        level: LevelArgs,
    },
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let remotes = Remotes {
        ctx,
        settings: Settings::of(ctx)?,
    };
    match &args.action {
        Action::Add {
            default,
            force,
            name,
            url,
            level,
        } => {
            let name = remotes.name(name)?;
            if !*force {
                remotes.check_free(&name, level.origin())?;
            }
            remotes.add(&name, url, *default, level.origin())
        }
        Action::List { level } => remotes.list(level.named()),
        Action::Modify {
            name,
            option,
            value,
            unset: _,
            level,
        } => remotes.modify(&remotes.name(name)?, option, value.as_deref(), *level),
        Action::Remove { name, level } => remotes.remove(&remotes.name(name)?, level.origin()),
        Action::Default { name, unset, level } => match (name, unset) {
            (Some(name), _) => remotes.choose(&remotes.name(name)?, *level),
            (None, true) => remotes.choose_none(level.origin()),
            (None, false) => remotes.show_default(level.named()),
        },
        Action::Rename { name, new, level } => {
            remotes.rename(&remotes.name(name)?, &remotes.name(new)?, level.origin())
        }
    }
}

struct Remotes<'c> {
    ctx: &'c Ctx,
    settings: Settings,
}

impl Remotes<'_> {
    /// Returns a name as the files hold it.
    fn name(&self, name: &str) -> Result<String, CliError> {
        if name.is_empty() || name.contains(['"', '\'', '[', ']', '\n', '/']) {
            let headline = format!("`{name}` is no name for a remote");
            let diagnostic = Diagnostic::error("bad-name", headline)
                .help("use letters, digits, `-`, `_` and `.`");
            return Err(CliError::usage(diagnostic));
        }
        Ok(match self.settings.personality.settings {
            SettingsForm::Yaml => name.to_owned(),
            SettingsForm::Ini => name.to_lowercase(),
        })
    }

    /// Returns the file of a level.
    fn file(&self, origin: Origin) -> Result<&SettingsFile, CliError> {
        let default = self.settings.known("core.remote")?;
        self.settings.file_for(self.ctx, origin, &default)
    }

    /// Returns the options of a remote in one file; `None` where it says nothing of it.
    fn options(file: &SettingsFile, name: &str) -> Result<Option<Value>, CliError> {
        let document = file.read()?;
        Ok(document.and_then(|document| remote_path(name).get(&document.root).cloned()))
    }

    /// Returns the names of all remotes that the files up to `origin` know.
    fn known(&self, origin: Option<Origin>) -> Result<Vec<String>, CliError> {
        let mut names = Vec::new();
        for file in &self.settings.files {
            if !file.is_native || origin.is_some_and(|origin| origin < file.origin) {
                continue;
            }
            let document = file.read()?;
            let remotes = document
                .as_ref()
                .and_then(|document| KeyPath::root().key("remote").get(&document.root));
            if let Some(Value::Map(map)) = remotes {
                names.extend(map.keys().cloned());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn check_free(&self, name: &str, origin: Origin) -> Result<(), CliError> {
        let file = self.file(origin)?;
        if Self::options(file, name)?.is_none() {
            return Ok(());
        }
        let headline = format!("there is a remote `{name}` already in `{}`", file.name);
        Err(CliError::usage(
            Diagnostic::error("remote-exists", headline).help("`--force` replaces it"),
        ))
    }

    /// Refuses a remote that neither the file of the named level nor one that it builds on knows. As
    /// in DVC, without a level what any file knows will do.
    fn check_reached(&self, name: &str, level: LevelArgs) -> Result<(), CliError> {
        Self::check_known(name, &self.known(None)?)?;
        if self.known(level.named())?.iter().any(|known| known == name) {
            return Ok(());
        }
        let file = self.file(level.origin())?;
        let headline = format!("the remote `{name}` is not in `{}`", file.name);
        Err(CliError::usage(
            Diagnostic::error("unknown-remote", headline)
                .help("`cvops config list --show-origin` shows where it is; without a level, it may be there"),
        ))
    }

    fn check_known(name: &str, names: &[String]) -> Result<(), CliError> {
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        let help = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`cvops remote list` shows those there are".to_owned(),
        };
        let headline = format!("there is no remote `{name}`");
        Err(CliError::usage(
            Diagnostic::error("unknown-remote", headline).help(help),
        ))
    }

    fn add(
        &self,
        name: &str,
        url: &str,
        default: bool,
        origin: Origin,
    ) -> Result<Outcome, CliError> {
        let file = self.file(origin)?;
        let url = file.relative(url, &self.ctx.dir);
        self.settings.change(self.ctx, file, |document| {
            let path = remote_path(name);
            let document = match path.get(&document.root) {
                Some(_) => edit::remove(&document, &path)?,
                None => document,
            };
            let document = edit::set(&document, &path.key("url"), &Value::Str(url.clone()))?;
            if !default {
                return Ok(document);
            }
            let name = Value::Str(name.to_owned());
            Ok(edit::set(&document, &default_path(), &name)?)
        })?;
        self.say(
            &format!("added the remote `{name}` to `{}`", file.name),
            &json!({"name": name, "url": url, "default": default, "file": file.name}),
        );
        if default && self.ctx.out.form != Form::Json {
            self.ctx
                .out
                .note(&format!("`{name}` is the default remote"));
        }
        Ok(Outcome::Done)
    }

    fn list(&self, level: Option<Origin>) -> Result<Outcome, CliError> {
        let mut default = None;
        let mut rows: Vec<(String, String)> = Vec::new();
        if let Some(origin) = level {
            let file = self.file(origin)?;
            let document = file.read()?;
            if let Some(document) = document {
                default = text_at(&document.root, &default_path());
                let remotes = KeyPath::root().key("remote");
                if let Some(Value::Map(map)) = remotes.get(&document.root) {
                    for name in map.keys() {
                        let url = text_at(&document.root, &remote_path(name).key("url"));
                        let url = url.and_then(|url| file.absolute(&url)).unwrap_or_default();
                        rows.push((name.clone(), url));
                    }
                }
            }
        } else {
            let config = self.config()?;
            default = config.default_remote;
            let urls = config.remotes.into_iter().map(|(name, r)| (name, r.url));
            rows.extend(urls);
        }
        let is_default = |name: &str| default.as_deref() == Some(name);
        match self.ctx.out.form {
            Form::Json => {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|(n, url)| json!({"name": n, "url": url, "default": is_default(n)}))
                    .collect();
                self.ctx.out.json(&json!({"remotes": rows}));
            }
            Form::Md => {
                let columns = [
                    ("remote", Align::Left),
                    ("url", Align::Left),
                    ("", Align::Left),
                ];
                let mut table = Table::new(columns.to_vec());
                for (name, url) in rows {
                    let mark = if is_default(&name) { "default" } else { "" };
                    table.row([name.clone(), url, mark.to_owned()]);
                }
                self.ctx.out.table(&table);
            }
            // As DVC prints it, for the sake of scripts.
            Form::Text => {
                for (name, url) in rows {
                    let mark = if is_default(&name) { "\t(default)" } else { "" };
                    self.ctx.out.result(&format!("{name}\t{url}{mark}"));
                }
            }
        }
        Ok(Outcome::Done)
    }

    /// Reads the merged settings, which may be those outside of projects.
    fn config(&self) -> Result<Config, CliError> {
        let outer = self.ctx.env.outer_settings();
        let (root, personality) = find_root(&self.ctx.dir)?;
        let layout = Layout::new(&root, &personality);
        Ok(Config::load(&root, &layout, &personality, &outer)?)
    }

    fn modify(
        &self,
        name: &str,
        option: &str,
        value: Option<&str>,
        level: LevelArgs,
    ) -> Result<Outcome, CliError> {
        let origin = level.origin();
        let file = self.file(origin)?;
        self.check_reached(name, level)?;
        let Some(value) = value else {
            return self.unset(name, option, file);
        };
        let setting = self.option(name, option)?;
        if option != "url" {
            self.check_placed(name, option, origin)?;
        }
        let value = match setting.kind() {
            SettingKind::Place => file.relative(value, &self.ctx.dir),
            _ => value.to_owned(),
        };
        self.settings.change(self.ctx, file, |document| {
            let value = setting.value_of(&value, file.form);
            Ok(edit::set(&document, &setting.path, &value)?)
        })?;
        self.say(
            &format!("`{}` is `{value}` in `{}`", setting.key, file.name),
            &json!({"key": setting.key, "value": value, "file": file.name}),
        );
        Ok(Outcome::Done)
    }

    /// Refuses options where neither this file nor one that it builds on says where the remote is:
    /// for a colleague who has no other file, it would be nowhere, and DVC reads no such settings.
    fn check_placed(&self, name: &str, option: &str, origin: Origin) -> Result<(), CliError> {
        let mut above = None;
        for file in self.settings.files.iter().filter(|file| file.is_native) {
            let options = Self::options(file, name)?;
            let url = KeyPath::root().key("url");
            if options.is_none_or(|options| url.get(&options).is_none()) {
                continue;
            }
            if file.origin <= origin {
                return Ok(());
            }
            above = Some(file);
        }
        // A remote without any place is told when it is used.
        let Some(above) = above else {
            return Ok(());
        };
        let file = self.file(origin)?;
        let headline = format!(
            "the remote `{name}` has its `url` in `{}`, none in `{}`",
            above.name, file.name
        );
        let flag = match above.origin {
            Origin::Local => "--local ",
            _ => "",
        };
        let help = format!(
            "`cvops remote modify {flag}{name} {option} VALUE` changes it there; or give it a `url` in `{}` first",
            file.name
        );
        Err(CliError::usage(
            Diagnostic::error("unknown-remote", headline).help(help),
        ))
    }

    fn unset(&self, name: &str, option: &str, file: &SettingsFile) -> Result<Outcome, CliError> {
        let path = remote_path(name).key(option);
        let key = format!("remote.{name}.{option}");
        let document = file.read()?;
        if document.is_none_or(|document| path.get(&document.root).is_none()) {
            self.say(
                &format!("`{key}` is not set in `{}`", file.name),
                &json!({"key": key, "file": file.name}),
            );
            return Ok(Outcome::Done);
        }
        self.settings.take_out(self.ctx, file, &path)?;
        self.say(
            &format!("`{key}` is no longer set in `{}`", file.name),
            &json!({"key": key, "file": file.name}),
        );
        Ok(Outcome::Done)
    }

    /// Returns an option of a remote, or says which there are.
    fn option(&self, name: &str, option: &str) -> Result<SettingName, CliError> {
        let personality = &self.settings.personality;
        if let Some(setting) = SettingName::of_remote(name, option, personality) {
            return Ok(setting);
        }
        let names = SettingName::remote_options(personality);
        let help = match nearest(option, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`url`, `jobs` and `verify` are options".to_owned(),
        };
        let headline = format!("remotes have no option `{option}`");
        Err(CliError::usage(
            Diagnostic::error("unknown-setting", headline).help(help),
        ))
    }

    fn remove(&self, name: &str, origin: Origin) -> Result<Outcome, CliError> {
        let file = self.file(origin)?;
        if Self::options(file, name)?.is_none() {
            let elsewhere =
                self.settings.files.iter().find(|other| {
                    other.is_native && matches!(Self::options(other, name), Ok(Some(_)))
                });
            let Some(other) = elsewhere else {
                return Err(Self::check_known(name, &self.known(None)?)
                    .err()
                    .unwrap_or_else(|| {
                        CliError::usage(Diagnostic::error("unknown-remote", name))
                    }));
            };
            let headline = format!("the remote `{name}` is not in `{}`", file.name);
            let diagnostic = Diagnostic::error("unknown-remote", headline)
                .help(format!("it is in `{}`: name its level", other.name));
            return Err(CliError::usage(diagnostic));
        }
        self.settings.take_out(self.ctx, file, &remote_path(name))?;
        let mut changed = vec![file.name.clone()];
        // What called it the default would call nothing.
        for other in self
            .settings
            .files
            .iter()
            .filter(|f| f.is_native && origin <= f.origin)
        {
            if self.default_in(other)?.as_deref() == Some(name) {
                self.settings.take_out(self.ctx, other, &default_path())?;
                changed.push(other.name.clone());
            }
        }
        changed.dedup();
        self.say(
            &format!("removed the remote `{name}` from `{}`", file.name),
            &json!({"name": name, "files": changed}),
        );
        for other in self.settings.files.iter().filter(|f| f.is_native) {
            if Self::options(other, name)?.is_some() {
                self.ctx
                    .out
                    .note(&format!("`{}` still has options of it", other.name));
            }
        }
        Ok(Outcome::Done)
    }

    fn default_in(&self, file: &SettingsFile) -> Result<Option<String>, CliError> {
        let document = file.read()?;
        let name = document.and_then(|document| text_at(&document.root, &default_path()));
        Ok(name.and_then(|name| self.name(&name).ok()))
    }

    fn choose(&self, name: &str, level: LevelArgs) -> Result<Outcome, CliError> {
        self.check_reached(name, level)?;
        let file = self.file(level.origin())?;
        self.settings.change(self.ctx, file, |document| {
            Ok(edit::set(
                &document,
                &default_path(),
                &Value::Str(name.to_owned()),
            )?)
        })?;
        self.say(
            &format!("`{name}` is the default remote in `{}`", file.name),
            &json!({"default": name, "file": file.name}),
        );
        Ok(Outcome::Done)
    }

    fn choose_none(&self, origin: Origin) -> Result<Outcome, CliError> {
        let file = self.file(origin)?;
        if self.default_in(file)?.is_some() {
            self.settings.take_out(self.ctx, file, &default_path())?;
        }
        self.say(
            &format!("no remote is the default in `{}`", file.name),
            &json!({"default": null, "file": file.name}),
        );
        Ok(Outcome::Done)
    }

    fn show_default(&self, level: Option<Origin>) -> Result<Outcome, CliError> {
        let default = match level {
            Some(origin) => self.default_in(self.file(origin)?)?,
            None => {
                let found = self.settings.found(None)?;
                found.get("core.remote").map(|found| found.value.clone())
            }
        };
        if self.ctx.out.form == Form::Json {
            self.ctx.out.json(&json!({"default": default}));
            return Ok(Outcome::Done);
        }
        let Some(name) = default else {
            let diagnostic = Diagnostic::error("no-remote", "no remote is the default")
                .help("`cvops remote default NAME` chooses one");
            return Err(CliError {
                class: ErrorClass::Failed,
                diagnostics: vec![diagnostic],
            });
        };
        self.ctx.out.result(&name);
        Ok(Outcome::Done)
    }

    fn rename(&self, name: &str, new: &str, origin: Origin) -> Result<Outcome, CliError> {
        if self.known(None)?.iter().any(|known| known == new) {
            let headline = format!("there is a remote `{new}` already");
            let diagnostic = Diagnostic::error("remote-exists", headline)
                .help("remove it first, or choose another name");
            return Err(CliError::usage(diagnostic));
        }
        let file = self.file(origin)?;
        let Some(options) = Self::options(file, name)? else {
            Self::check_known(name, &self.known(None)?)?;
            let headline = format!("the remote `{name}` is not in `{}`", file.name);
            let diagnostic = Diagnostic::error("unknown-remote", headline)
                .help("`cvops config list --show-origin` shows where it is");
            return Err(CliError::usage(diagnostic));
        };
        self.rename_options(file, &options, name, new)?;
        // DVC reads nothing any more where one file has options of a remote that no file places.
        let mut changed = vec![file.name.clone()];
        let above = self.settings.files.iter().filter(|f| f.is_native);
        for other in above.filter(|f| origin < f.origin) {
            if let Some(options) = Self::options(other, name)? {
                self.rename_options(other, &options, name, new)?;
                changed.push(other.name.clone());
            }
        }
        // What called it the default calls it by its new name, in this file and those above it.
        for other in self
            .settings
            .files
            .iter()
            .filter(|f| f.is_native && origin <= f.origin)
        {
            if self.default_in(other)?.as_deref() == Some(name) {
                self.settings.change(self.ctx, other, |document| {
                    Ok(edit::set(
                        &document,
                        &default_path(),
                        &Value::Str(new.to_owned()),
                    )?)
                })?;
            }
        }
        self.say(
            &format!(
                "the remote `{name}` is called `{new}` in `{}`",
                changed.join("` and `")
            ),
            &json!({"name": new, "old": name, "file": file.name, "files": changed}),
        );
        Ok(Outcome::Done)
    }

    fn rename_options(
        &self,
        file: &SettingsFile,
        options: &Value,
        name: &str,
        new: &str,
    ) -> Result<(), CliError> {
        self.settings.change(self.ctx, file, |document| {
            let document = match options {
                Value::Map(options) => {
                    options
                        .iter()
                        .try_fold(document, |document, (key, value)| {
                            edit::set(&document, &remote_path(new).key(key), value)
                        })?
                }
                _ => document,
            };
            without(&document, &remote_path(name))
        })?;
        Ok(())
    }

    fn say(&self, text: &str, machine: &serde_json::Value) {
        if self.ctx.out.form == Form::Json {
            self.ctx.out.json(machine);
        } else {
            self.ctx.out.note(text);
        }
    }
}

fn default_path() -> KeyPath {
    KeyPath::root().key("core").key("remote")
}

fn text_at(root: &Value, path: &KeyPath) -> Option<String> {
    match path.get(root)? {
        Value::Null | Value::Map(_) | Value::List(_) => None,
        value => Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        ),
    }
}
