//! What a pipeline file tells about things beside its stages: artifacts and datasets. Imports: base.

use std::collections::BTreeMap;

use crate::base::doc::{Fields, KeyPath, On, Value};
use crate::base::{ArtifactPath, Diagnostic};

use super::paths::path_in;
use super::read::wrong_type;

/// A model or data set that the file gives a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The file or folder.
    pub path: ArtifactPath,
    /// What it is: `model`, `dataset`.
    pub kind: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// Words to find it by.
    pub labels: Vec<String>,
}

/// Named things of a pipeline file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Artifacts by name.
    pub artifacts: BTreeMap<String, Artifact>,
    /// The names of datasets. They are listed, and not resolved.
    pub datasets: Vec<String>,
}

impl Catalog {
    /// Reads `artifacts` and `datasets`; `folder` is that of the file.
    pub(super) fn read(root: &Fields<'_, '_>, folder: Option<&ArtifactPath>) -> Self {
        let base = folder.map_or("", ArtifactPath::as_str);
        Self {
            artifacts: read_artifacts(root, base),
            datasets: read_datasets(root),
        }
    }

    /// Says which names tags of the registry could not carry.
    pub(super) fn warnings(&self) -> Vec<Diagnostic> {
        self.artifacts
            .keys()
            .filter(|name| !is_registry_name(name))
            .map(|name| {
                let headline = format!("the artifact `{name}` has a name that cannot be registered");
                Diagnostic::warning("artifact-name", headline).help(
                    "use lower-case letters, digits, `-` and `/`, beginning with a letter and ending with a letter or digit",
                )
            })
            .collect()
    }
}

/// The rule of GTO, which registers artifacts in git tags.
fn is_registry_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/');
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(fits)
}

fn read_artifacts(root: &Fields<'_, '_>, base: &str) -> BTreeMap<String, Artifact> {
    let problems = root.problems();
    let mut artifacts = BTreeMap::new();
    let section = root.section("artifacts");
    for (name, value) in section.entries() {
        let at = section.path(name);
        if !matches!(value, Value::Map(_)) {
            wrong_type(problems, &at, "a mapping with at least `path`", value);
            continue;
        }
        let fields = problems.fields(at.clone());
        let path = fields.optional_text("path");
        if !fields.has("path") {
            fields.problem(
                "path",
                On::Key,
                "missing-key",
                format!("`{at}` has no `path`"),
                Some("add the file or folder that the name stands for".to_owned()),
            );
        }
        let path = path.and_then(|path| path_in(problems, base, path, &fields.path("path")));
        let artifact = path.map(|path| Artifact {
            path,
            kind: fields.optional_text("type").map(str::to_owned),
            description: fields.optional_text("desc").map(str::to_owned),
            labels: fields
                .texts("labels")
                .into_iter()
                .map(str::to_owned)
                .collect(),
        });
        check_annotations(&fields);
        fields.finish();
        artifacts.extend(artifact.map(|artifact| (name.clone(), artifact)));
    }
    artifacts
}

fn read_datasets(root: &Fields<'_, '_>) -> Vec<String> {
    let problems = root.problems();
    let at = root.path("datasets");
    let items = match root.get("datasets") {
        None => return Vec::new(),
        Some(Value::List(items)) => items,
        Some(other) => {
            wrong_type(problems, &at, "a list of mappings", other);
            return Vec::new();
        }
    };
    let mut names = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let place: KeyPath = at.index(i);
        if !matches!(item, Value::Map(_)) {
            wrong_type(problems, &place, "a mapping with `name` and `type`", item);
            continue;
        }
        // What else it holds depends on its type, and is for those who resolve it.
        let fields = problems.fields(place);
        for key in ["name", "type"] {
            if !fields.has(key) {
                let headline = format!("`{}` has no `{key}`", fields.at());
                fields.problem(key, On::Key, "missing-key", headline, None);
            }
        }
        let _ = fields.optional_text("type");
        names.extend(fields.optional_text("name").map(str::to_owned));
    }
    names
}

/// Checks the keys that describe an output or artifact to people.
pub(super) fn check_annotations(fields: &Fields<'_, '_>) {
    for key in ["desc", "type"] {
        let _ = fields.optional_text(key);
    }
    let _ = (fields.texts("labels"), fields.get("meta"));
}
