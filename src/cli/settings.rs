//! The files of settings as commands look at them and change them. Imports: base, project, ctx.

use std::collections::BTreeMap;

use crate::base::Diagnostic;
use crate::base::diag::nearest;
use crate::base::doc::{Document, KeyPath, Map, Value, edit};
use crate::project::{
    self, CVOPS, EditLock, Layout, Origin, Personality, SETTINGS, SettingName, SettingsFile,
};

use super::ctx::Ctx;
use super::error::CliError;
use super::exit::ErrorClass;

/// Which file is meant.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct LevelArgs {
    /// In the project's file of this machine, which is not committed
    #[arg(long)]
    local: bool,
    /// In the project's committed file; this is the default for changes
    #[arg(long)]
    project: bool,
    /// In the user's own file, for all projects
    #[arg(long)]
    global: bool,
    /// In the machine's file, for all users
    #[arg(long)]
    system: bool,
}

impl LevelArgs {
    /// Returns the level that was named, if one was.
    pub(super) fn named(self) -> Option<Origin> {
        match (self.local, self.project, self.global, self.system) {
            (true, ..) => Some(Origin::Local),
            (_, true, ..) => Some(Origin::Project),
            (_, _, true, _) => Some(Origin::User),
            (.., true) => Some(Origin::System),
            _ => None,
        }
    }

    /// Returns the level that is changed.
    pub(super) fn origin(self) -> Origin {
        self.named().unwrap_or(Origin::Project)
    }
}

/// A setting as a file says it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) origin: Origin,
    /// The file as messages call it; empty for a default.
    pub(super) file: String,
}

/// The files of settings that count in a folder.
pub(super) struct Settings {
    pub(super) personality: Personality,
    /// In the order in which they override one another.
    pub(super) files: Vec<SettingsFile>,
    /// Of the project, if there is one.
    layout: Option<Layout>,
}

impl Settings {
    /// Finds them; outside of a project, those of the user and the machine.
    pub(super) fn of(ctx: &Ctx) -> Result<Self, CliError> {
        let outer = ctx.env.outer_settings();
        match project::find_root(&ctx.dir) {
            Ok((root, personality)) => {
                let layout = Layout::new(&root, &personality);
                let files = SettingsFile::of_project(&root, &layout, &personality, &outer);
                let layout = Some(layout);
                Ok(Self {
                    personality,
                    files,
                    layout,
                })
            }
            Err(project::Error::NotAProject { .. }) => Ok(Self {
                personality: CVOPS,
                files: SettingsFile::outer(&CVOPS, &outer),
                layout: None,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the setting of this name, or says which there are.
    pub(super) fn known(&self, key: &str) -> Result<SettingName, CliError> {
        if let Some(name) = SettingName::find(key, &self.personality) {
            return Ok(name);
        }
        let names = SettingName::all(&self.personality);
        let help = match nearest(key, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => {
                let names: Vec<String> = SETTINGS.iter().map(|s| format!("`{}`", s.key)).collect();
                format!("settings: {}", names.join(", "))
            }
        };
        let headline = format!("there is no setting `{key}`");
        Err(CliError::usage(
            Diagnostic::error("unknown-setting", headline).help(help),
        ))
    }

    /// Returns the file of a level that may hold a setting.
    pub(super) fn file_for(
        &self,
        ctx: &Ctx,
        origin: Origin,
        name: &SettingName,
    ) -> Result<&SettingsFile, CliError> {
        let holds = |file: &&SettingsFile| match name.setting {
            Some(setting) if !self.personality.settings.holds(setting) => !file.is_native,
            _ => file.is_native,
        };
        let mut of_level = self.files.iter().filter(|file| file.origin == origin);
        if let Some(file) = of_level.clone().find(holds) {
            return Ok(file);
        }
        if let Some(file) = of_level.next() {
            let headline = format!("`{}` cannot hold `{}`", file.name, name.key);
            let diagnostic = Diagnostic::error("not-in-this-file", headline)
                .note("DVC refuses files with settings that it does not know")
                .help("`--local` sets it for this project on this machine, `--global` for all your projects");
            return Err(CliError::usage(diagnostic));
        }
        match origin {
            Origin::User | Origin::System | Origin::Default => {
                let headline = "there is no place for settings of the user: `HOME` is not set";
                Err(CliError::usage(
                    Diagnostic::error("no-home", headline).help("set `HOME` or `XDG_CONFIG_HOME`"),
                ))
            }
            Origin::Project | Origin::Local => {
                // The files of a project are missing only where there is none.
                project::find_root(&ctx.dir)?;
                let headline = "there is no project here, and so no file of its settings";
                Err(CliError::usage(Diagnostic::error("no-project", headline)))
            }
        }
    }

    /// Returns what is set, by key; `defaults` are those of settings that nobody set. With `only`,
    /// the file of one level alone is asked.
    pub(super) fn found(&self, only: Option<Origin>) -> Result<BTreeMap<String, Found>, CliError> {
        let mut found = BTreeMap::new();
        for file in &self.files {
            if only.is_some_and(|origin| origin != file.origin) {
                continue;
            }
            for one in self.said(file)? {
                found.insert(one.key.clone(), one);
            }
        }
        Ok(found)
    }

    /// Returns the settings that have a default.
    pub(super) fn defaults(&self) -> BTreeMap<String, Found> {
        let defaults = SETTINGS.iter().filter_map(|setting| {
            let value = match setting.key {
                "cache.dir" => self.personality.cache,
                key if key.starts_with("remote.") => "",
                _ => setting.default,
            };
            (!value.is_empty()).then(|| {
                let found = Found {
                    key: setting.key.to_owned(),
                    value: value.to_owned(),
                    origin: Origin::Default,
                    file: String::new(),
                };
                (found.key.clone(), found)
            })
        });
        defaults.collect()
    }

    /// Returns what one file says, in its order.
    pub(super) fn said(&self, file: &SettingsFile) -> Result<Vec<Found>, CliError> {
        let mut said = Vec::new();
        let Some(document) = file.read()? else {
            return Ok(said);
        };
        let document = file.check(document.source.text.clone())?;
        for path in leaves(&document.root) {
            let name = SettingName {
                key: join(&path),
                path: path
                    .iter()
                    .fold(KeyPath::root(), |path, name| path.key(name)),
                setting: None,
            };
            let is_ours = |key: &str| {
                let setting = SETTINGS.iter().find(|s| s.key == key);
                setting.is_some_and(|s| !self.personality.settings.holds(s))
            };
            if !file.is_native && !is_ours(&name.key) {
                continue;
            }
            // An empty value is the default.
            if let Some(value) = name.text_in(&document).filter(|v| !v.is_empty()) {
                said.push(Found {
                    key: name.key,
                    value,
                    origin: file.origin,
                    file: file.name.clone(),
                });
            }
        }
        Ok(said)
    }

    /// Changes a file: `change` gets what it says. The result is checked, with its place in the text
    /// that would have been written, before anything is.
    pub(super) fn change(
        &self,
        ctx: &Ctx,
        file: &SettingsFile,
        change: impl FnOnce(Document) -> Result<Document, CliError>,
    ) -> Result<Document, CliError> {
        let lock = self.lock(ctx, file)?;
        let document = match file.read()? {
            Some(document) => document,
            None => Document::parse(&file.name, String::new(), file.form.format())?,
        };
        let before = document.source.text.clone();
        let edited = change(document)?;
        if edited.source.text == before {
            return Ok(edited);
        }
        let checked = file.check(edited.source.text.clone());
        let document = checked.map_err(|error| not_written(file, error.into()))?;
        lock.write(&file.path, &document.source.text)?;
        Ok(document)
    }

    /// Changes a file without checking what else it says: so that what is wrong can be taken out.
    pub(super) fn take_out(
        &self,
        ctx: &Ctx,
        file: &SettingsFile,
        path: &KeyPath,
    ) -> Result<(), CliError> {
        let lock = self.lock(ctx, file)?;
        let Some(document) = file.read()? else {
            return Ok(());
        };
        let edited = without(&document, path)?;
        lock.write(&file.path, &edited.source.text)?;
        Ok(())
    }

    /// Takes the lock under which `file` is read and written. A file outside of the project has a
    /// lock of its own.
    fn lock(&self, ctx: &Ctx, file: &SettingsFile) -> Result<EditLock, CliError> {
        Ok(match (&self.layout, file.origin) {
            (Some(layout), Origin::Project | Origin::Local) => {
                EditLock::acquire(layout, &ctx.cancel)?
            }
            _ => EditLock::beside(&file.path, &ctx.cancel)?,
        })
    }
}

/// Returns the ways to all values that are no mappings, in file order.
fn leaves(root: &Value) -> Vec<Vec<String>> {
    fn walk(map: &Map, way: &[String], found: &mut Vec<Vec<String>>) {
        for (key, value) in map {
            let way = [way, std::slice::from_ref(key)].concat();
            match value {
                Value::Map(inner) => walk(inner, &way, found),
                _ => found.push(way),
            }
        }
    }
    let mut found = Vec::new();
    if let Value::Map(map) = root {
        walk(map, &[], &mut found);
    }
    found
}

fn join(way: &[String]) -> String {
    way.join(".")
}

/// Says that a refused value has changed nothing.
fn not_written(file: &SettingsFile, mut error: CliError) -> CliError {
    let note = format!("`{}` was not changed", file.name);
    for diagnostic in &mut error.diagnostics {
        diagnostic.notes.push(note.clone());
    }
    error
}

/// Says that a file does not hold a setting.
pub(super) fn not_set(key: &str, file: &SettingsFile, class: ErrorClass) -> CliError {
    let headline = format!("`{key}` is not set in `{}`", file.name);
    let diagnostic = Diagnostic::error("not-set", headline)
        .help("`cvops config list --show-origin` shows where settings come from");
    let diagnostics = vec![diagnostic];
    CliError { class, diagnostics }
}

/// Takes `path` out of `document`, and every section that is empty without it.
pub(super) fn without(document: &Document, path: &KeyPath) -> Result<Document, CliError> {
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
            Ok(Document::parse(&edited.source.name, text, edited.format)?)
        }
        _ => Ok(edited),
    }
}
