//! Params and metrics files as documents; what Python writes into JSON is read as well.
//! Imports: base, source, values.

use std::path::Path;

use crate::base::doc::{Document, Format, Value};
use crate::base::{self, ArtifactPath, ToDiagnostics};

use super::error::Error;
use super::source::Side;
use super::values::shown;

/// Reads the file of a side.
///
/// # Errors
/// It is no text, or broken (its place is shown).
pub(super) fn document(
    side: &Side,
    file: &ArtifactPath,
    bytes: Vec<u8>,
) -> Result<Document, Error> {
    let name = shown(side, file);
    let format = Format::of_path(Path::new(file.as_str()));
    let text = String::from_utf8(bytes).map_err(|_| Error::NotText { file: name.clone() })?;
    Ok(parse(&name, text, format)?)
}

/// Reads a metrics file of a workspace.
///
/// # Errors
/// It cannot be read or is broken (its place is shown).
pub fn metrics_file(path: &Path, name: &str) -> Result<Document, base::Error> {
    let error = match Document::read(path, name) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    match std::fs::read_to_string(path) {
        Ok(text) => parse(name, text, Format::of_path(path)),
        Err(_) => Err(error),
    }
}

/// What the JSON reader says of a number that no 64-bit float holds.
const OUT_OF_RANGE: &str = "number out of range";

/// Parses a file; Python's `NaN` and `Infinity` in JSON, which has no word for them, are numbers, and
/// a number beyond all floats is infinite, as Python reads it.
pub(super) fn parse(name: &str, text: String, format: Format) -> Result<Document, base::Error> {
    if format != Format::Json {
        return Document::parse(name, text, format);
    }
    let has_special = text.contains("NaN") || text.contains("Infinity");
    match Document::parse(name, text.clone(), Format::Json) {
        Ok(document) => Ok(document),
        Err(error) if !has_special && !is_out_of_range(&error) => Err(error),
        // YAML reads the rest of JSON alike, and the words as texts.
        Err(error) => match Document::parse(name, text, Format::Yaml) {
            Ok(mut document) if matches!(document.root, Value::Map(_) | Value::List(_)) => {
                special_numbers(&mut document.root);
                Ok(document)
            }
            _ => Err(error),
        },
    }
}

fn is_out_of_range(error: &base::Error) -> bool {
    let found = error.to_diagnostics();
    let mut labels = found.iter().flat_map(|problem| &problem.labels);
    labels.any(|label| label.text.contains(OUT_OF_RANGE))
}

/// Turns the words that Python writes into JSON for what is no number into numbers.
pub(super) fn special_numbers(value: &mut Value) {
    match value {
        Value::Str(text) => {
            let number = match text.as_str() {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                text if text
                    .trim_start_matches('-')
                    .starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    match text.parse::<f64>() {
                        Ok(number) if number.is_infinite() => number,
                        _ => return,
                    }
                }
                _ => return,
            };
            *value = Value::Float(number);
        }
        Value::List(items) => items.iter_mut().for_each(special_numbers),
        Value::Map(map) => map.values_mut().for_each(special_numbers),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => {}
    }
}
