//! The form of `dvc status --json`, for scripts that read it.

use serde_json::{Map, Value as Json, json};

use crate::base::ArtifactPath;
use crate::pipeline::differences::{Differences, How, ParamsDiffer};

/// Returns the document: stages and pointers that differ, each with a list of what does.
pub(super) fn to_json(all: &[Differences]) -> Json {
    let entries = all.iter().map(|found| (found.name.clone(), entry(found)));
    Json::Object(entries.collect())
}

fn entry(found: &Differences) -> Json {
    let mut list = Vec::new();
    let mut deps = paths(&found.deps);
    for (file, differ) in &found.params {
        let value = match differ {
            ParamsDiffer::File(how) => json!(word(*how)),
            ParamsDiffer::Keys(keys) => {
                let keys = keys
                    .iter()
                    .map(|(key, how)| (key.clone(), json!(word(*how))));
                Json::Object(keys.collect())
            }
        };
        deps.insert(file.to_string(), value);
    }
    if !deps.is_empty() {
        list.push(json!({"changed deps": deps}));
    }
    let outs = paths(&found.outs);
    if !outs.is_empty() {
        list.push(json!({"changed outs": outs}));
    }
    if found.always_changed {
        list.push(json!("always changed"));
    }
    if found.command {
        list.push(json!("changed command"));
    }
    Json::Array(list)
}

fn paths(paths: &[(ArtifactPath, How)]) -> Map<String, Json> {
    let entries = paths.iter();
    entries
        .map(|(path, how)| (path.to_string(), json!(word(*how))))
        .collect()
}

fn word(how: How) -> &'static str {
    match how {
        How::Modified => "modified",
        How::Deleted => "deleted",
        How::New => "new",
        How::NotInCache => "not in cache",
    }
}
