//! Params and metrics files as values by key. Imports: base, pipeline, source.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;

use crate::base::doc::{Format, Key, KeyPath, Map, Value};
use crate::base::{self, ArtifactPath, ContentHash};
use crate::pipeline::spec::ParamRef;

use super::error::Error;
use super::parse::{document, parse};
use super::reader::Reader;
use super::source::{Side, Source};

/// The values of one file, by key, in file order.
pub type FileValues = IndexMap<String, Value>;

/// The values of one side, by file. A file that is there but holds no values has no keys.
pub type Values = BTreeMap<ArtifactPath, FileValues>;

/// What the files of one side hold.
pub type Roots = BTreeMap<ArtifactPath, Value>;

/// Reads params files of a side. Of the last repro: what its stages read. A broken file is left out
/// with a warning.
///
/// # Errors
/// A file cannot be read, or the user named it and it is broken (its place is shown).
pub fn params(
    reader: &mut Reader<'_>,
    side: &mut Side,
    files: &[ArtifactPath],
) -> Result<Roots, Error> {
    let mut roots = Roots::new();
    let read = match side.source {
        Source::LastRun | Source::Run { .. } => {
            files.iter().map(|file| (file.clone(), None)).collect()
        }
        Source::Workspace | Source::Revision { .. } => read_all(reader, side, files)?,
    };
    for (file, read) in read {
        let root = match (read, &side.source) {
            (Some(bytes), _) => {
                let content = ContentHash::of(&bytes);
                match document(side, &file, bytes) {
                    Ok(document) => Some(document.root),
                    Err(error) => {
                        reader.leave_out(&file, content, error)?;
                        None
                    }
                }
            }
            (None, Source::Workspace) => None,
            // A params file outside git: the lock of that revision knows what stages read.
            (None, Source::LastRun | Source::Run { .. } | Source::Revision { .. }) => {
                reader.recorded_params(side)?.remove(&file)
            }
        };
        let keys = if reader.is_named(&file) {
            None
        } else {
            side.subjects.keys_of(&file)
        };
        match (root, keys) {
            (Some(root), None) => {
                roots.insert(file, root);
            }
            (Some(root), Some(keys)) => {
                let mut part = Value::Map(Map::new());
                for key in keys {
                    if let Some(value) = key.get(&root) {
                        put(&mut part, key.keys(), value);
                    }
                }
                roots.insert(file, part);
            }
            (None, _) => {}
        }
    }
    Ok(roots)
}

/// A file, and its bytes if it is there.
type Read = (ArtifactPath, Option<Vec<u8>>);

/// Reads `files` of a side; in the place of a folder there are the files in it.
fn read_all(
    reader: &mut Reader<'_>,
    side: &mut Side,
    files: &[ArtifactPath],
) -> Result<Vec<Read>, Error> {
    let mut read = Vec::new();
    for file in files {
        if let Some(bytes) = reader.read(side, file)? {
            read.push((file.clone(), Some(bytes)));
            continue;
        }
        let inside = reader.files(side, file)?;
        if inside.iter().all(|path| path == file) {
            read.push((file.clone(), None));
            continue;
        }
        for path in inside {
            let bytes = reader.read(side, &path)?;
            read.push((path, bytes));
        }
    }
    Ok(read)
}

/// Reads metrics files of a side. One that is broken or holds nothing like a metric is left out with
/// a warning: a slip of last year must not hide the numbers of today.
///
/// # Errors
/// A file cannot be read, or the user named it and it is left out (its place is shown).
pub fn metrics(
    reader: &mut Reader<'_>,
    side: &mut Side,
    files: &[ArtifactPath],
) -> Result<Roots, Error> {
    let mut roots = Roots::new();
    for (file, bytes) in read_all(reader, side, files)? {
        if let Some(bytes) = bytes {
            let content = ContentHash::of(&bytes);
            match metrics_root(side, &file, bytes) {
                Ok(root) => {
                    roots.insert(file, root);
                }
                Err(error) => reader.leave_out(&file, content, error)?,
            }
        } else if let Some(root) = Reader::recorded_metrics(side, &file) {
            roots.insert(file, root);
        }
    }
    Ok(roots)
}

/// Returns what a metrics file holds.
fn metrics_root(side: &Side, file: &ArtifactPath, bytes: Vec<u8>) -> Result<Value, Error> {
    let root = document(side, file, bytes).map_err(as_metrics)?.root;
    match root {
        Value::Str(_) | Value::Null | Value::Bool(_) | Value::List(_) => Err(Error::NoMetrics {
            file: shown(side, file),
            kind: root.kind(),
        }),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => Ok(root),
        Value::Map(map) => Ok(Value::Map(only_metrics(map))),
    }
}

/// Leaves out what is no metric: lists, nothing, and sections without metrics.
fn only_metrics(map: Map) -> Map {
    let kept = map.into_iter().filter_map(|(key, value)| {
        let value = match value {
            Value::Map(inner) => Value::Map(only_metrics(inner)),
            other => other,
        };
        let is_kept = match &value {
            Value::Map(inner) => !inner.is_empty(),
            Value::List(_) | Value::Null => false,
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Str(_) => {
                true
            }
        };
        is_kept.then_some((key, value))
    });
    kept.collect()
}

/// Says of a broken file what a metrics file is.
fn as_metrics(error: Error) -> Error {
    let Error::Base(base::Error::Document { name, mut problems }) = error else {
        return error;
    };
    for problem in &mut problems {
        problem.help.get_or_insert_with(|| {
            "a metrics file holds a mapping of names to numbers: {\"accuracy\": 0.9}".to_owned()
        });
    }
    Error::Base(base::Error::Document { name, problems })
}

/// Returns params by key: a list of scalars is one value, one that holds sections is opened.
#[must_use]
pub fn param_keys(roots: &Roots) -> Values {
    keys_of(roots, flatten_params)
}

/// Returns metrics by key: numbers, texts and truth values; lists are left out.
#[must_use]
pub fn metric_keys(roots: &Roots) -> Values {
    keys_of(roots, flatten_metrics)
}

/// Returns recorded params by key, as `param_keys` does those of files.
#[must_use]
pub fn recorded_param_keys(params: &BTreeMap<ParamRef, Value>) -> Values {
    let mut values = Values::new();
    for (param, value) in params {
        let keys = values.entry(param.file.clone()).or_default();
        flatten_params(&param.key, value, keys);
    }
    values
}

/// Returns the metrics in the text of one file, by key, as `metric_keys` does.
///
/// # Errors
/// The file is broken (its place is shown).
pub fn metrics_of_text(file: &ArtifactPath, text: String) -> Result<FileValues, Error> {
    let format = Format::of_path(Path::new(file.as_str()));
    let mut keys = FileValues::new();
    let root = parse(file.as_str(), text, format)?.root;
    flatten_metrics(&KeyPath::root(), &root, &mut keys);
    Ok(keys)
}

fn keys_of(roots: &Roots, flatten: fn(&KeyPath, &Value, &mut FileValues)) -> Values {
    let files = roots.iter().map(|(file, root)| {
        let mut keys = FileValues::new();
        flatten(&KeyPath::root(), root, &mut keys);
        (file.clone(), keys)
    });
    files.collect()
}

/// Returns how messages call a file of a side.
pub(super) fn shown(side: &Side, file: &ArtifactPath) -> String {
    match side.source {
        Source::Workspace => file.to_string(),
        Source::LastRun | Source::Run { .. } | Source::Revision { .. } => {
            format!("{file} at {}", side.title())
        }
    }
}

fn flatten_params(at: &KeyPath, value: &Value, keys: &mut FileValues) {
    match value {
        Value::Map(map) if !map.is_empty() => {
            for (key, inner) in map {
                flatten_params(&at.key(key), inner, keys);
            }
        }
        Value::List(items) if items.iter().any(|i| matches!(i, Value::Map(_))) => {
            for (i, inner) in items.iter().enumerate() {
                flatten_params(&at.index(i), inner, keys);
            }
        }
        Value::Null if at.is_root() => {}
        Value::Map(_) if at.is_root() => {}
        leaf => {
            keys.insert(at.to_string(), leaf.clone());
        }
    }
}

fn flatten_metrics(at: &KeyPath, value: &Value, keys: &mut FileValues) {
    match value {
        Value::Map(map) => {
            for (key, inner) in map {
                flatten_metrics(&at.key(key), inner, keys);
            }
        }
        // DVC leaves lists and nothings out as well.
        Value::List(_) | Value::Null => {}
        leaf if at.is_root() => {
            // A file that is one number: `0.93`.
            if leaf.as_f64().is_some() {
                keys.insert(String::new(), leaf.clone());
            }
        }
        leaf => {
            keys.insert(at.to_string(), leaf.clone());
        }
    }
}

/// Puts a value at a key, creating sections; what stands in the way is replaced.
pub(super) fn put(root: &mut Value, keys: &[Key], value: &Value) {
    let Some((first, rest)) = keys.split_first() else {
        *root = value.clone();
        return;
    };
    match first {
        Key::Name(name) => {
            if !matches!(root, Value::Map(_)) {
                *root = Value::Map(Map::new());
            }
            if let Value::Map(map) = root {
                put(map.entry(name.clone()).or_insert(Value::Null), rest, value);
            }
        }
        Key::Index(index) => {
            if !matches!(root, Value::List(_)) {
                *root = Value::List(Vec::new());
            }
            if let Value::List(items) = root {
                if items.len() <= *index {
                    items.resize(index + 1, Value::Null);
                }
                put(&mut items[*index], rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str, format: Format, how: fn(&KeyPath, &Value, &mut FileValues)) -> String {
        let mut keys = FileValues::new();
        let root = parse("f", text.to_owned(), format).unwrap().root;
        how(&KeyPath::root(), &root, &mut keys);
        let shown = keys.iter().map(|(key, value)| format!("{key}={value}"));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn metrics_are_numbers_and_texts_in_file_order() {
        let text = r#"{"b": 1, "a": {"x": 0.5, "note": "n", "l": [1], "none": null}, "ok": true}"#;
        assert_eq!(
            keys(text, Format::Json, flatten_metrics),
            r#"b=1 a.x=0.5 a.note="n" ok=true"#
        );
        assert_eq!(keys("0.5", Format::Json, flatten_metrics), "=0.5");
        assert_eq!(
            keys(
                r#"{"a": NaN, "b": [-Infinity], "c": "NaN!"}"#,
                Format::Json,
                flatten_metrics
            ),
            r#"a=NaN c="NaN!""#
        );
        assert_eq!(
            keys(
                "{\"a\": 1e400, \"b\": -1e999, \"c\": 1e5}",
                Format::Json,
                flatten_metrics
            ),
            "a=inf b=-inf c=100000.0"
        );
        let marked = "\u{feff}{\"a\": 1}";
        assert_eq!(keys(marked, Format::Json, flatten_metrics), "a=1");
        assert!(parse("f", "NaN of nothing: [".to_owned(), Format::Json).is_err());
        assert!(parse("f", "NaN".to_owned(), Format::Json).is_err());
    }

    #[test]
    fn params_keep_lists_of_scalars() {
        let text = "a: [1, 2]\nb: [{c: 1}, {c: {d: x}}]\ne: {}\nf:\n";
        assert_eq!(
            keys(text, Format::Yaml, flatten_params),
            r#"a=[1, 2] b[0].c=1 b[1].c.d="x" e={} f=null"#
        );
        assert_eq!(keys("", Format::Yaml, flatten_params), "");
    }

    #[test]
    fn recorded_keys_become_a_file_again() {
        let mut root = Value::Map(Map::new());
        for (key, value) in [("a.b", 1), ("a.c[1]", 2), ("d", 3)] {
            put(
                &mut root,
                key.parse::<KeyPath>().unwrap().keys(),
                &Value::Int(value),
            );
        }
        assert_eq!(
            root.to_string(),
            r#"{"a": {"b": 1, "c": [null, 2]}, "d": 3}"#
        );
    }
}
