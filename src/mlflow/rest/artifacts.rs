//! Lists of a run's artifacts. Imports: track, `mlflow::rest`.

use serde::Serialize;

use crate::http::Method;
use crate::track::artifacts::{Entry, check_path, path_of_uri};
use crate::track::{Reader, RunId};

use super::{Access, Answer, Ask, Endpoint, Handler};
use crate::mlflow::refused::Refused;

pub(super) const ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "artifacts/list",
    access: Access::Read,
    handler: Handler::Read(list),
}];

/// One file or folder.
#[derive(Serialize)]
struct FileInfo {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

#[derive(Serialize)]
struct Files<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileInfo>,
}

fn list(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let uri = reader.run_info(run_of(&ask.query)?)?.artifact_uri;
    let path = value(&ask.query, &["path"]).unwrap_or_default();
    list_below(reader, ask, &uri, path)
}

/// Answers what is in the folder `path` of the tree at `uri`: a run's, or a logged model's.
///
/// # Errors
/// The path leaves the tree, or the record cannot be read.
pub(super) fn list_below(
    reader: &Reader<'_>,
    ask: &Ask,
    uri: &str,
    path: &str,
) -> Result<Answer, Refused> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.is_empty() {
        check_path(path)?;
    }
    let entries = match path_of_uri(uri) {
        Some(root) => ask.artifacts.list(reader, &join(root, path))?,
        // They are kept elsewhere.
        None => Vec::new(),
    };
    Ok(Answer::json(&Files {
        root_uri: Some(uri),
        files: entries
            .into_iter()
            .map(|entry| info(join(path, &entry.name), &entry))
            .collect(),
    }))
}

/// Answers names without the folders above, as the artifact proxy does.
pub(in crate::mlflow) fn base_names(entries: Vec<Entry>) -> Answer {
    Answer::json(&Files {
        root_uri: None,
        files: entries
            .into_iter()
            .map(|entry| info(entry.name.clone(), &entry))
            .collect(),
    })
}

fn info(path: String, entry: &Entry) -> FileInfo {
    FileInfo {
        path,
        is_dir: entry.is_dir,
        file_size: entry.size,
    }
}

/// Puts two paths together; either may be empty.
pub(in crate::mlflow) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// Returns the run that a query names.
pub(in crate::mlflow) fn run_of(query: &[(String, String)]) -> Result<RunId, Refused> {
    let text = value(query, &["run_id", "run_uuid", "runId", "runUuid"])
        .ok_or_else(|| missing("run_id"))?;
    text.parse()
        .map_err(|_| Refused::missing(format!("Run with id={text} not found")))
}

/// Returns the first value that is not empty, by the names it may have.
pub(in crate::mlflow) fn value<'q>(
    query: &'q [(String, String)],
    names: &[&str],
) -> Option<&'q str> {
    let mut pairs = query.iter();
    pairs
        .find(|(name, value)| !value.is_empty() && names.contains(&name.as_str()))
        .map(|(_, value)| value.as_str())
}

/// Says which value is missing, in MLflow's words.
pub(in crate::mlflow) fn missing(name: &str) -> Refused {
    Refused::invalid(format!(
        "Missing value for required parameter '{name}'. See the API docs for more information \
         about request parameters."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_run_by_either_name() {
        let id = "0123456789abcdef0123456789abcdef";
        let run = |query: &[(&str, &str)]| run_of(&Ask::of(query, "").query);
        for name in ["run_id", "run_uuid", "runId"] {
            assert_eq!(run(&[("path", "x"), (name, id)]).unwrap().to_string(), id);
        }
        let absent = run(&[("run_id", "")]).unwrap_err();
        assert!(
            absent
                .message
                .starts_with("Missing value for required parameter 'run_id'")
        );
        let unknown = run(&[("run_id", "7")]).unwrap_err();
        assert_eq!(unknown, Refused::missing("Run with id=7 not found"));
        assert_eq!(
            (join("a", "b"), join("", "b"), join("a", "")),
            ("a/b".into(), "b".into(), "a".into())
        );
    }
}
