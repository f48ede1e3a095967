//! Paths of a stage, as the file writes them: places in the project, relative to its folder.
//!
//! Imports: base.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::{Fields, KeyPath, On, Problems, Value};
use crate::base::path::PathError;

/// Returns what the stage reads, with the place of each.
pub(super) fn read_deps(fields: &Fields<'_, '_>, base: &str) -> BTreeMap<ArtifactPath, KeyPath> {
    let problems = fields.problems();
    let mut deps = BTreeMap::new();
    for (text, place) in listed(fields, "deps") {
        if let Some(path) = path_in(problems, base, &text, &place)
            && deps.insert(path.clone(), place.clone()).is_some()
        {
            twice(problems, &place, &path);
        }
    }
    deps
}

/// Returns the folder in which the stage runs; `folder` is that of the pipeline file.
pub(super) fn read_wdir(
    fields: &Fields<'_, '_>,
    folder: Option<ArtifactPath>,
) -> Option<ArtifactPath> {
    let Some(text) = fields.optional_text("wdir") else {
        return folder;
    };
    let base = folder.as_ref().map_or("", ArtifactPath::as_str);
    match ArtifactPath::parse_in(base, text) {
        Ok(path) => Some(path),
        Err(PathError::Empty) => None,
        Err(e) => {
            fields.problem("wdir", On::Value, "bad-path", e.to_string(), None);
            None
        }
    }
}

/// Returns the texts of a list with the place of each.
fn listed(fields: &Fields<'_, '_>, key: &'static str) -> Vec<(String, KeyPath)> {
    let at = fields.path(key);
    let list = matches!(fields.get(key), Some(Value::List(_)));
    let place = |i: usize| if list { at.index(i) } else { at.clone() };
    fields
        .texts(key)
        .into_iter()
        .enumerate()
        .map(|(i, t)| (t.to_owned(), place(i)))
        .collect()
}

/// Returns the place that `text` names from the folder `base`; one outside the project is reported.
pub(super) fn path_in(
    problems: &Problems<'_>,
    base: &str,
    text: &str,
    at: &KeyPath,
) -> Option<ArtifactPath> {
    if let Some((scheme, _)) = text.split_once("://") {
        external(problems, at, text, scheme);
        return None;
    }
    match ArtifactPath::parse_in(base, text) {
        Ok(path) => Some(path),
        Err(e) => {
            let help = match e {
                PathError::Outside(_) | PathError::Absolute(_) => {
                    Some("copy or link the data into the project and name it from there".to_owned())
                }
                PathError::Empty | PathError::Character(_) => None,
            };
            problems.report(at, On::Value, "bad-path", e.to_string(), "", help);
            None
        }
    }
}

/// Refuses what lies outside the project and is reached by a URL.
fn external(problems: &Problems<'_>, at: &KeyPath, text: &str, scheme: &str) {
    let (headline, help) = match scheme {
        "ds" => (
            format!("`{text}` names a dataset, which this version of cvops does not resolve"),
            "fetch the data into the project and name it by its path",
        ),
        _ => (
            format!(
                "`{text}` lies outside the project, which is not supported by this version of cvops"
            ),
            "fetch it into the project, for example in a stage of its own, and name it by its path",
        ),
    };
    let help = Some(help.to_owned());
    problems.report(at, On::Value, "external-path", headline, "", help);
}

/// Reports a path that is in a list already.
pub(super) fn twice(problems: &Problems<'_>, at: &KeyPath, path: &ArtifactPath) {
    problems.report(
        at,
        On::Value,
        "listed-twice",
        format!("`{path}` is listed twice"),
        "second time",
        Some("drop one of the two".to_owned()),
    );
}
