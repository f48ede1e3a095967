//! How a stage's declaration spells paths: DVC's lock files repeat them to the letter.
//! Imports: base.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::{Map, Value};

/// The spellings that do not follow from the stage itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spelling {
    /// The paths of deps and outs, where they are not as seen from the stage's folder.
    paths: BTreeMap<ArtifactPath, String>,
}

impl Spelling {
    /// Reads the spellings of a stage that runs in `wdir`.
    pub(super) fn of(stage: &Map, wdir: Option<&ArtifactPath>) -> Self {
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
        Self { paths }
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

/// Returns the paths of a list of paths, each alone or with flags.
fn texts(listed: &Value) -> Vec<&str> {
    match listed {
        Value::Str(text) => vec![text],
        Value::Map(map) => map.keys().map(String::as_str).collect(),
        Value::List(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
