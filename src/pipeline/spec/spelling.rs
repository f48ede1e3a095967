//! How a stage's declaration spells what the stage is made of: DVC's lock files repeat it to the
//! letter. Imports: base.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::{Map, Value};

/// The spellings that do not follow from the stage itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spelling {
    /// The command, where it is no plain text without blanks around it, and no list of such texts.
    command: Option<Value>,
    /// The paths of deps and outs, where they are not as seen from the stage's folder.
    paths: BTreeMap<ArtifactPath, String>,
}

impl Spelling {
    /// Reads the spellings of a stage that runs in `wdir`.
    pub(super) fn of(stage: &Map, wdir: Option<&ArtifactPath>) -> Self {
        let command = stage.get("cmd").filter(|declared| match declared {
            Value::Str(text) => text.trim() != text,
            Value::List(items) => {
                items.len() == 1
                    || items
                        .iter()
                        .filter_map(Value::as_str)
                        .any(|text| text.trim() != text)
            }
            _ => false,
        });
        let base = wdir.map_or("", ArtifactPath::as_str);
        let mut paths = BTreeMap::new();
        for key in ["deps", "outs", "metrics", "plots"] {
            for text in stage.get(key).into_iter().flat_map(texts) {
                if let Ok(path) = ArtifactPath::parse_in(base, text)
                    && path.seen_from(wdir) != text
                {
                    paths.insert(path, text.to_owned());
                }
            }
        }
        Self {
            command: command.cloned(),
            paths,
        }
    }

    /// Returns the command as it is declared.
    #[must_use]
    pub fn command(&self, commands: &[String]) -> Value {
        let text = |text: &String| Value::Str(text.clone());
        match (&self.command, commands) {
            (Some(declared), commands) if commands_of(declared) == commands => declared.clone(),
            (_, [one]) => text(one),
            (_, many) => Value::List(many.iter().map(text).collect()),
        }
    }

    /// Returns how the declaration spells the dep or out at `path`, of a stage that runs in `wdir`.
    #[must_use]
    pub fn path(&self, path: &ArtifactPath, wdir: Option<&ArtifactPath>) -> String {
        match self.paths.get(path) {
            Some(text) => text.clone(),
            None => path.seen_from(wdir),
        }
    }
}

/// Returns the commands that a text or a list of texts stands for.
pub(crate) fn commands_of(declared: &Value) -> Vec<String> {
    let trimmed = |text: &str| text.trim().to_owned();
    match declared {
        Value::Str(text) => vec![trimmed(text)],
        Value::List(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(trimmed)
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the paths of a list of paths, each alone or with flags.
fn texts(listed: &Value) -> Vec<&str> {
    match listed {
        Value::Str(text) => vec![text],
        Value::Map(map) => map.keys().map(String::as_str).collect(),
        Value::List(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
