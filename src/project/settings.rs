//! The settings by name, and the files that hold them: what `cvops config` lists and changes.
//! `config` says what their values mean. Imports: `base`, `project::{config, layout, personality}`.

use std::path::{Component, Path, PathBuf};

use crate::base;
use crate::base::doc::{Document, Format, KeyPath, Value};
use crate::base::path::normal;

use super::config;
use super::layout::Layout;
use super::personality::Personality;

mod table;

pub use table::SETTINGS;
pub(super) use table::{DVC_REMOTE_OPTIONS, DVC_SECTIONS, DVC_SETTINGS};

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Section and key: `cache.dir`; `NAME` stands for the name of a remote.
    pub key: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// What may be said.
    pub values: &'static str,
    /// What holds when nothing is said; empty: nothing.
    pub default: &'static str,
    /// How a value is written.
    pub kind: SettingKind,
    /// Which files may hold it.
    pub in_files: InFiles,
}

/// How the value of a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A text.
    Text,
    /// A path or URL; a relative path counts from where the command is typed.
    Place,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list, written with commas on the command line.
    List,
}

/// Which files may hold a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFiles {
    /// All.
    Both,
    /// Only our own: DVC refuses a file that holds it.
    Cvops,
}

/// How a file of settings is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsForm {
    /// YAML, `config.yaml`: ours.
    Yaml,
    /// INI, `config`: DVC's.
    Ini,
}

impl SettingsForm {
    /// Returns its grammar.
    #[must_use]
    pub fn format(self) -> Format {
        match self {
            Self::Yaml => Format::Yaml,
            Self::Ini => Format::Ini,
        }
    }

    /// May a file of this form hold this setting?
    #[must_use]
    pub fn holds(self, setting: &Setting) -> bool {
        match (self, setting.in_files) {
            (Self::Yaml, _) | (_, InFiles::Both) => true,
            (Self::Ini, InFiles::Cvops) => false,
        }
    }
}

/// A setting as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingName {
    /// `cache.dir`, `remote.store.url`.
    pub key: String,
    /// Where it stands in a file.
    pub path: KeyPath,
    /// What it is; `None`: a setting of DVC's that means nothing to us.
    pub setting: Option<&'static Setting>,
}

impl SettingName {
    /// Returns the setting of this name in a project with this personality.
    #[must_use]
    pub fn find(key: &str, personality: &Personality) -> Option<Self> {
        let is_dvc = personality.settings == SettingsForm::Ini;
        let key = if is_dvc {
            key.to_lowercase()
        } else {
            key.to_owned()
        };
        if let Some(rest) = key.strip_prefix("remote.") {
            let (name, option) = rest.rsplit_once('.').filter(|(name, _)| !name.is_empty())?;
            return Self::of_remote(name, option, personality);
        }
        let path = key.split('.').fold(KeyPath::root(), |at, key| at.key(key));
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let section = key.split_once('.').map_or("", |(section, _)| section);
        let of_dvc = DVC_SETTINGS.contains(&key.as_str()) || DVC_SECTIONS.contains(&section);
        (setting.is_some() || is_dvc && of_dvc).then_some(Self { key, path, setting })
    }

    /// Returns an option of a remote.
    #[must_use]
    pub fn of_remote(name: &str, option: &str, personality: &Personality) -> Option<Self> {
        let setting = SETTINGS
            .iter()
            .find(|s| s.key.strip_prefix("remote.NAME.") == Some(option));
        let is_dvc = personality.settings == SettingsForm::Ini;
        let is_known = setting.is_some() || is_dvc && DVC_REMOTE_OPTIONS.contains(&option);
        is_known.then(|| Self {
            key: format!("remote.{name}.{option}"),
            path: remote_path(name).key(option),
            setting,
        })
    }

    /// Returns the options that a remote may have.
    #[must_use]
    pub fn remote_options(personality: &Personality) -> Vec<&'static str> {
        let ours = SETTINGS
            .iter()
            .filter_map(|s| s.key.strip_prefix("remote.NAME."));
        let mut options: Vec<&str> = ours.collect();
        if personality.settings == SettingsForm::Ini {
            options.extend(DVC_REMOTE_OPTIONS);
        }
        options
    }

    /// Returns all names that `find` knows, for suggestions.
    #[must_use]
    pub fn all(personality: &Personality) -> Vec<&'static str> {
        let mut names: Vec<&str> = SETTINGS.iter().map(|s| s.key).collect();
        if personality.settings == SettingsForm::Ini {
            names.extend(DVC_SETTINGS);
        }
        names
    }

    /// How is its value written?
    #[must_use]
    pub fn kind(&self) -> SettingKind {
        let path_options = [
            "keyfile",
            "credentialpath",
            "configpath",
            "cert_path",
            "key_path",
        ];
        match self.setting {
            Some(setting) => setting.kind,
            None if path_options.iter().any(|o| self.key.ends_with(o)) => SettingKind::Place,
            None => SettingKind::Text,
        }
    }

    /// Returns what `document` says, as one would type it; `None` when it says nothing.
    #[must_use]
    pub fn text_in(&self, document: &Document) -> Option<String> {
        match self.path.get(&document.root)? {
            Value::Null | Value::Map(_) => None,
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(plain).collect();
                Some(items.join(","))
            }
            value => Some(plain(value)),
        }
    }

    /// Returns the value that the user typed, as a file of this form holds it.
    #[must_use]
    pub fn value_of(&self, text: &str, form: SettingsForm) -> Value {
        let trimmed = text.trim();
        let number = trimmed.parse().ok().map(Value::Int);
        let flag = trimmed.to_lowercase().parse().ok().map(Value::Bool);
        let plain = Value::Str(text.to_owned());
        match (self.kind(), form) {
            (SettingKind::Number, _) => number.unwrap_or(plain),
            (SettingKind::Flag, _) => flag.unwrap_or(plain),
            (SettingKind::List, SettingsForm::Yaml) => {
                let items = text.trim_matches(['[', ']']).split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                Value::List(items.map(|item| Value::Str(item.to_owned())).collect())
            }
            // What we know nothing of is written as DVC would.
            (_, SettingsForm::Ini) if self.setting.is_none() => {
                let exact = number.filter(|n| n.to_string() == trimmed);
                exact.or(flag).unwrap_or(plain)
            }
            (SettingKind::Text | SettingKind::Place | SettingKind::List, _) => plain,
        }
    }
}

/// Returns where the options of a remote stand in a file.
#[must_use]
pub fn remote_path(name: &str) -> KeyPath {
    KeyPath::root().key("remote").key(name)
}

fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// Where a value comes from; a later one overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The machine's file, for all users.
    System,
    /// The user's own file, for all projects.
    User,
    /// The project's committed file.
    Project,
    /// The project's file of this machine, not committed.
    Local,
}

impl Origin {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
            Self::Local => "local",
        }
    }
}

/// The files of settings outside of projects, and the home folder: what only the environment knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OuterSettings {
    /// Ours.
    pub cvops: OuterFiles,
    /// DVC's.
    pub dvc: OuterFiles,
    /// What `~` means in them.
    pub home: Option<PathBuf>,
}

/// Files of settings outside of projects; they need not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OuterFiles {
    /// For all users of the machine.
    pub system: Option<PathBuf>,
    /// For all projects of the user.
    pub user: Option<PathBuf>,
}

/// A file of settings, whether or not it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFile {
    /// Whose it is.
    pub origin: Origin,
    /// How it is written.
    pub form: SettingsForm,
    /// Where it is.
    pub path: PathBuf,
    /// How messages call it.
    pub name: String,
    /// What relative paths in it are relative to; `None`: they must be absolute.
    pub base: Option<PathBuf>,
    /// What `~` means in it; `None`: nothing.
    pub home: Option<PathBuf>,
    /// Does it belong to the project's personality? One that does not says only what the others
    /// cannot hold.
    pub is_native: bool,
}

impl SettingsFile {
    /// Returns the files outside of projects for one personality, in the order in which they override
    /// one another.
    #[must_use]
    pub fn outer(personality: &Personality, outer: &OuterSettings) -> Vec<Self> {
        let form = personality.settings;
        match form {
            SettingsForm::Yaml => Self::outer_of(form, &outer.cvops, None),
            SettingsForm::Ini => {
                let mut files = Self::outer_of(SettingsForm::Yaml, &outer.cvops, None);
                for file in &mut files {
                    file.is_native = false;
                }
                files.extend(Self::outer_of(form, &outer.dvc, outer.home.as_ref()));
                files
            }
        }
    }

    fn outer_of(form: SettingsForm, files: &OuterFiles, home: Option<&PathBuf>) -> Vec<Self> {
        let levels = [
            (Origin::System, files.system.as_ref()),
            (Origin::User, files.user.as_ref()),
        ];
        let files = levels.into_iter().filter_map(|(origin, path)| {
            let path = path?.clone();
            // A relative path in our own would mean another place per project.
            let base = match form {
                SettingsForm::Yaml => None,
                SettingsForm::Ini => path.parent().map(Path::to_owned),
            };
            Some(Self {
                origin,
                form,
                name: path.display().to_string(),
                path,
                base,
                home: home.cloned(),
                is_native: true,
            })
        });
        files.collect()
    }

    /// Returns all files that count in the project at `root`, in the order in which they override one
    /// another.
    #[must_use]
    pub fn of_project(
        root: &Path,
        layout: &Layout,
        personality: &Personality,
        outer: &OuterSettings,
    ) -> Vec<Self> {
        let form = personality.settings;
        let mut files = Self::outer(personality, outer);
        let mut add = |origin, form, path: PathBuf, is_native| {
            let base = match form {
                SettingsForm::Yaml => Some(root.to_owned()),
                SettingsForm::Ini => path.parent().map(Path::to_owned),
            };
            let name = path.strip_prefix(root).unwrap_or(&path);
            files.push(Self {
                origin,
                form,
                name: name.display().to_string(),
                path,
                base,
                home: outer.home.clone().filter(|_| form == SettingsForm::Ini),
                is_native,
            });
        };
        add(Origin::Project, form, layout.config(), true);
        add(Origin::Local, form, layout.local_config(), true);
        if form == SettingsForm::Ini {
            add(
                Origin::Local,
                SettingsForm::Yaml,
                layout.own_local_config(),
                false,
            );
        }
        files
    }

    /// Reads the file; `None` when there is none. What it says is checked by `check`.
    ///
    /// # Errors
    /// It cannot be read, or breaks the grammar.
    pub fn read(&self) -> Result<Option<Document>, base::Error> {
        if !self.path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&self.path).map_err(base::Error::io("read", &self.path))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, e.utf8_error());
            base::Error::io("read", &self.path)(source)
        })?;
        Document::parse(&self.name, text, self.form.format()).map(Some)
    }

    /// Checks what the file says, or would say with `text` in it.
    ///
    /// # Errors
    /// All unknown keys and wrong values.
    pub fn check(&self, text: String) -> Result<Document, base::Error> {
        let document = Document::parse(&self.name, text, self.form.format())?;
        config::check(&document, self)?;
        Ok(document)
    }

    /// Returns the absolute place that a path or URL in this file means; `None` for a relative path
    /// where there is nothing it could be relative to. URLs stay as they are.
    #[must_use]
    pub fn absolute(&self, text: &str) -> Option<String> {
        if is_url(text) || Path::new(text).is_absolute() {
            return Some(text.to_owned());
        }
        if let (Some(home), Some(rest)) = (&self.home, text.strip_prefix('~'))
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return Some(format!("{}{rest}", home.display()));
        }
        let path = normal(&self.base.as_ref()?.join(text));
        Some(path.display().to_string())
    }

    /// Returns how a path or URL that was typed in the folder `typed_in` is written into this file:
    /// relative paths stay relative, to what this file counts from.
    #[must_use]
    pub fn relative(&self, text: &str, typed_in: &Path) -> String {
        let is_home = self.home.is_some() && text.starts_with('~');
        if is_url(text) || Path::new(text).is_absolute() || is_home {
            return text.to_owned();
        }
        let path = normal(&typed_in.join(text));
        match &self.base {
            Some(base) => relative(&path, base).display().to_string(),
            None => path.display().to_string(),
        }
    }
}

/// Is this a URL, and no path?
#[must_use]
pub fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_alphanumeric() || "_+-.".contains(c))
    })
}

/// Returns the way from the folder `base` to `path`; both absolute.
fn relative(path: &Path, base: &Path) -> PathBuf {
    let shared = path
        .components()
        .zip(base.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = base.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(shared)).collect();
    if way.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::personality::{CVOPS, DVC};

    fn files(personality: &Personality) -> Vec<SettingsFile> {
        let layout = Layout::new(Path::new("/p"), personality);
        let outer = OuterSettings {
            home: Some(PathBuf::from("/home/u")),
            ..OuterSettings::default()
        };
        SettingsFile::of_project(Path::new("/p"), &layout, personality, &outer)
    }

    #[test]
    fn every_setting_is_read_and_says_its_default() {
        let file = &files(&CVOPS)[0];
        for setting in SETTINGS {
            let key = setting.key.replace("NAME", "store");
            let name = SettingName::find(&key, &CVOPS).unwrap();
            assert_eq!(name.setting, Some(&setting));
            if setting.default.is_empty() {
                continue;
            }
            let value = name.value_of(setting.default, SettingsForm::Yaml);
            let empty = Document::parse("f", String::new(), Format::Yaml).unwrap();
            let edited = base::doc::edit::set(&empty, &name.path, &value).unwrap();
            let document = file.check(edited.source.text.clone()).unwrap();
            assert_eq!(name.text_in(&document).as_deref(), Some(setting.default));
        }
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.key));
        assert!(DVC_SETTINGS.is_sorted());
    }

    #[test]
    fn typed_values_become_documents() {
        let value = |key: &str, text: &str, form| {
            SettingName::find(key, &DVC)
                .unwrap()
                .value_of(text, form)
                .to_string()
        };
        use SettingsForm::{Ini, Yaml};
        assert_eq!(
            value("cache.type", "hardlink, copy", Yaml),
            r#"["hardlink", "copy"]"#
        );
        assert_eq!(
            value("cache.type", "hardlink,copy", Ini),
            r#""hardlink,copy""#
        );
        assert_eq!(value("core.jobs", "3", Yaml), "3");
        assert_eq!(value("core.autostage", "True", Ini), "true");
        assert_eq!(value("remote.a.b.port", "22", Ini), "22");
        assert_eq!(value("remote.a.password", "007", Ini), r#""007""#);
        assert!(SettingName::find("core.job", &DVC).is_none());
        assert!(SettingName::find("exp.auto_push", &CVOPS).is_none());
        assert!(SettingName::find("remote.url", &DVC).is_none());
    }

    #[test]
    fn places_are_read_and_written_relative_to_what_counts() {
        let ini = files(&DVC)
            .into_iter()
            .find(|f| f.form == SettingsForm::Ini)
            .unwrap();
        assert_eq!(ini.absolute("../../store").as_deref(), Some("/store"));
        assert_eq!(ini.absolute("~/x").as_deref(), Some("/home/u/x"));
        assert_eq!(ini.absolute("s3://b/../x").as_deref(), Some("s3://b/../x"));
        assert_eq!(ini.relative("../store", Path::new("/p/sub")), "../store");
        assert_eq!(ini.relative("store", Path::new("/p")), "../store");
        assert_eq!(ini.relative("~/x", Path::new("/p")), "~/x");
        let yaml = &files(&CVOPS)[0];
        assert_eq!(
            yaml.relative("../../store", Path::new("/p/sub")),
            "../store"
        );
        assert_eq!(yaml.relative(".", Path::new("/p")), ".");
    }
}
