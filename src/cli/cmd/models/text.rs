//! How registered models look: as text and as JSON. Imports: base, track.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::base::clock::{self, Timestamp};
use crate::cli::out::Form;
use crate::report::escape::one_line;
use crate::track::entity::{ModelVersion, RegisteredModel, Tag};
use crate::track::{Reader, RunId};

/// The stage of versions that were put in none.
pub(super) const NO_STAGE: &str = "None";

/// Returns a version's name: `cats/2`.
pub(super) fn version(version: &ModelVersion) -> String {
    format!("{}/{}", version.name, version.version)
}

/// Returns a time for people.
pub(super) fn when(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map(clock::local)
        .unwrap_or_default()
}

fn when_json(ms: i64) -> Json {
    Timestamp::from_millisecond(ms).map_or(Json::Null, |at| json!(at.to_string()))
}

/// Returns the stage, if the version was put in one.
pub(super) fn stage(version: &ModelVersion) -> String {
    if version.stage == NO_STAGE {
        String::new()
    } else {
        version.stage.clone()
    }
}

/// Returns the name of the run that made a version; its id if it is not recorded here.
pub(super) fn run(reader: &Reader<'_>, version: &ModelVersion) -> String {
    let Some(run) = &version.run else {
        return String::new();
    };
    let known = run.parse::<RunId>().ok();
    match known.map(|id| reader.run_info(id)) {
        Some(Ok(info)) => info.name,
        Some(Err(_)) | None => run.clone(),
    }
}

/// Returns lines of names and values, for the head of what is shown. Clients wrote the values, but for
/// the first, which comes as it is to look: none must speak to the terminal.
pub(super) fn head(form: Form, lines: Vec<(&str, String)>) -> String {
    let start = if form == Form::Md { "- " } else { "" };
    let lines = lines.into_iter().enumerate().map(|(place, (what, value))| {
        let value = if place == 0 { value } else { one_line(&value) };
        format!("{start}{what:<11}  {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn tags_json(tags: &[Tag]) -> Json {
    let tags: BTreeMap<&str, &str> = tags
        .iter()
        .map(|tag| (tag.key.as_str(), tag.value.as_str()))
        .collect();
    json!(tags)
}

/// Returns everything about a version.
pub(super) fn version_json(version: &ModelVersion) -> Json {
    json!({
        "model": version.name,
        "version": version.version,
        "created": when_json(version.created_ms),
        "updated": when_json(version.updated_ms),
        "description": version.description,
        "stage": version.stage,
        "status": version.status,
        "aliases": version.aliases,
        "run": version.run,
        "source": version.source,
        "storage": version.storage,
        "logged_model": version.logged_model,
        "tags": tags_json(&version.tags),
    })
}

/// Returns everything about a model but its versions.
pub(super) fn model_json(model: &RegisteredModel) -> Json {
    let aliases: BTreeMap<&str, i64> = model
        .aliases
        .iter()
        .map(|(alias, version)| (alias.as_str(), *version))
        .collect();
    json!({
        "model": model.name,
        "created": when_json(model.created_ms),
        "updated": when_json(model.updated_ms),
        "description": model.description,
        "aliases": aliases,
        "tags": tags_json(&model.tags),
        "latest": model.latest.iter().map(|version| version.version).max(),
    })
}
