//! The settings by name, and the files that hold them: what `cvops config` lists and changes.
//! `config` says what their values mean. Imports: `base`, `project::{config, layout}`.

use std::path::{Path, PathBuf};

use crate::base;
use crate::base::doc::{Document, Format, KeyPath, Value};

use super::config;
use super::layout::Layout;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Section and key: `cache.dir`.
    pub key: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// What may be said.
    pub values: &'static str,
    /// What holds when nothing is said.
    pub default: &'static str,
    /// Is it a list, written with commas on the command line?
    pub is_list: bool,
}

/// Every setting, sorted by key. `config` reads these and no others; docs/reference/config.md
/// explains them.
pub const SETTINGS: [Setting; 3] = [
    Setting {
        key: "cache.dir",
        meaning: "the folder of the cache; a shared one may serve several projects",
        values: "a path, relative to the project or absolute",
        default: ".cvops/cache",
        is_list: false,
    },
    Setting {
        key: "cache.type",
        meaning: "how cached files reach the workspace, the first way that works",
        values: "a list of `reflink`, `copy`, `hardlink`, `symlink`",
        default: "reflink,copy",
        is_list: true,
    },
    Setting {
        key: "core.jobs",
        meaning: "stages that run at the same time",
        values: "1 to 1024",
        default: "1",
        is_list: false,
    },
];

/// Where a value comes from; a later one overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
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
            Self::User => "user",
            Self::Project => "project",
            Self::Local => "local",
        }
    }
}

/// A file of settings, whether or not it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFile {
    /// Whose it is.
    pub origin: Origin,
    /// Where it is.
    pub path: PathBuf,
    /// How messages call it.
    pub name: String,
    /// What relative paths in it are relative to; `None`: they must be absolute.
    pub base: Option<PathBuf>,
}

impl SettingsFile {
    /// Returns the user's own file. A relative path in it would mean another place per project.
    #[must_use]
    pub fn of_user(path: &Path) -> Self {
        Self {
            origin: Origin::User,
            path: path.to_owned(),
            name: path.display().to_string(),
            base: None,
        }
    }

    /// Returns the files of the project at `root`, in the order in which they override one another.
    #[must_use]
    pub fn of_project(root: &Path, layout: &Layout, user: Option<&Path>) -> Vec<Self> {
        let own = [
            (Origin::Project, layout.config()),
            (Origin::Local, layout.local_config()),
        ];
        let own = own.into_iter().map(|(origin, path)| {
            let name = path.strip_prefix(root).unwrap_or(&path);
            let name = name.display().to_string();
            let base = Some(root.to_owned());
            Self {
                origin,
                path,
                name,
                base,
            }
        });
        user.map(Self::of_user).into_iter().chain(own).collect()
    }

    /// Reads the file; `None` when there is none. What it says is checked by `check`.
    ///
    /// # Errors
    /// It cannot be read, or breaks the grammar.
    pub fn read(&self) -> Result<Option<Document>, base::Error> {
        if !self.path.exists() {
            return Ok(None);
        }
        Document::read(&self.path, &self.name).map(Some)
    }

    /// Checks what the file says, or would say with `text` in it.
    ///
    /// # Errors
    /// All unknown keys and wrong values.
    pub fn check(&self, text: String) -> Result<Document, base::Error> {
        let document = Document::parse(&self.name, text, Format::Yaml)?;
        config::check(&document, self.base.as_deref())?;
        Ok(document)
    }
}

impl Setting {
    /// Returns the setting of this name.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Returns the place of its value in a document.
    #[must_use]
    pub fn path(&self) -> KeyPath {
        self.key
            .split('.')
            .fold(KeyPath::root(), |at, key| at.key(key))
    }

    /// Returns what `document` says, as one would type it; `None` when it says nothing.
    #[must_use]
    pub fn text_in(&self, document: &Document) -> Option<String> {
        match self.path().get(&document.root)? {
            Value::Null => None,
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(plain).collect();
                Some(items.join(","))
            }
            value => Some(plain(value)),
        }
    }

    /// Returns the value that the user typed, as the file holds it.
    #[must_use]
    pub fn value_of(&self, text: &str) -> Value {
        let one = |text: &str| match text.trim() {
            number if number.parse::<i64>().is_ok() => {
                Value::Int(number.parse().unwrap_or_default())
            }
            text => Value::Str(text.to_owned()),
        };
        if self.is_list {
            let items = text.trim_matches(['[', ']']).split(',');
            Value::List(
                items
                    .filter(|item| !item.trim().is_empty())
                    .map(one)
                    .collect(),
            )
        } else {
            one(text)
        }
    }
}

fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::personality::CVOPS;

    #[test]
    fn every_setting_is_read_and_says_its_default() {
        let layout = Layout::new(Path::new("/p"), &CVOPS);
        let files = SettingsFile::of_project(Path::new("/p"), &layout, None);
        for setting in SETTINGS {
            let (section, key) = setting.key.split_once('.').unwrap();
            let value = setting.value_of(setting.default);
            let document = files[0]
                .check(format!("{section}: {{{key}: {value}}}\n"))
                .unwrap();
            assert_eq!(setting.text_in(&document).as_deref(), Some(setting.default));
        }
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.key));
    }

    #[test]
    fn typed_values_become_documents() {
        let kinds = Setting::find("cache.type").unwrap();
        let two = kinds.value_of("hardlink, copy");
        assert_eq!(two.to_string(), r#"["hardlink", "copy"]"#);
        assert_eq!(
            Setting::find("core.jobs").unwrap().value_of("3"),
            Value::Int(3)
        );
        assert!(Setting::find("core.job").is_none());
    }
}
