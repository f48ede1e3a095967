//! What may be a key, a value, an id: MLflow's limits (its `utils/validation.py`), in its words. Pure.
//! Imports: error, run.

use std::fmt::Display;

use super::error::Error;
use super::run::RunId;

/// Characters of a key of a metric, param or tag.
pub const KEY_CHARS_MAX: usize = 250;
/// Characters of a param's value; longer ones are cut.
pub const PARAM_VALUE_CHARS_MAX: usize = 6000;
/// Characters of the value of a run's tag; longer ones are cut.
pub const TAG_VALUE_CHARS_MAX: usize = 8000;
/// Characters of the value of an experiment's tag.
pub const EXPERIMENT_TAG_VALUE_CHARS_MAX: usize = 20_000;
/// Characters of an experiment's name.
pub const EXPERIMENT_NAME_CHARS_MAX: usize = 500;
/// Characters of the value of a tag in the registry.
pub const REGISTRY_TAG_VALUE_CHARS_MAX: usize = 100_000;
/// Metrics of a batch, and everything in it together.
pub const BATCH_MAX: usize = 1000;
/// Params of a batch, and tags of it.
pub const BATCH_PARAMS_MAX: usize = 100;

/// Composes the message for a value that cannot be.
#[must_use]
pub fn invalid_value(path: &str, value: impl Display, why: &str) -> String {
    let value = serde_json::Value::from(value.to_string());
    if why.is_empty() {
        format!("Invalid value {value} for parameter '{path}' supplied.")
    } else {
        format!("Invalid value {value} for parameter '{path}' supplied: {why}")
    }
}

/// Checks the key of a metric, param or tag; `path` names the field in messages.
///
/// # Errors
/// It is too long, has characters that keys do not have, or would be another path as a path.
pub fn check_key(key: &str, path: &str) -> Result<(), Error> {
    // Most keys are short words: one pass says so.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !key.is_empty() && key.len() <= KEY_CHARS_MAX && key.bytes().all(is_plain) {
        return Ok(());
    }
    let fits = |c: char| matches!(c, '/' | '.' | '-' | ' ' | ':') || is_word(c);
    if !key.chars().all(fits) {
        let why = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), \
                   spaces ( ), colon(:) and slashes (/).";
        return Err(Error::invalid(invalid_value(path, key, why)));
    }
    let normal = normal_path(key);
    if normal != key || normal == "." || normal.starts_with("..") || normal.starts_with('/') {
        let why = format!(
            "Names may be treated as files in certain cases, and must not resolve to other names \
             when treated as such. This name would resolve to '{normal}'"
        );
        return Err(Error::invalid(invalid_value(path, key, &why)));
    }
    check_length(path, KEY_CHARS_MAX, key)
}

/// `\w` of Python's `re`: letters and digits of all scripts, and the underscore.
fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// What `posixpath.normpath` of Python makes of a path.
fn normal_path(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    // POSIX gives two leading slashes a meaning of their own, and three or more that of one.
    let lead = match path.bytes().take_while(|b| *b == b'/').count() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|p| !matches!(*p, "" | ".")) {
        let up = part == "..";
        match parts.last() {
            Some(&last) if up && last != ".." => {
                parts.pop();
            }
            None if up && !lead.is_empty() => {}
            _ => parts.push(part),
        }
    }
    let joined = format!("{lead}{}", parts.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

/// Checks the length of a text.
///
/// # Errors
/// It has more than `max` characters.
pub fn check_length(what: &str, max: usize, text: &str) -> Result<(), Error> {
    // Bytes are at least as many as characters.
    if text.len() <= max || text.chars().count() <= max {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "'{what}' exceeds the maximum length of {max} characters"
    )))
}

/// Returns the first `max` characters of a text.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    text.char_indices()
        .nth(max)
        .map_or(text, |(end, _)| &text[..end])
}

/// Checks the name of an experiment.
///
/// # Errors
/// It is empty or too long.
pub fn check_experiment_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid(format!(
            "Invalid experiment name: '{name}'. Experiment name must not be empty."
        )));
    }
    check_length("name", EXPERIMENT_NAME_CHARS_MAX, name)
}

/// Reads the id of a run.
///
/// # Errors
/// No run has such an id: `Refusal::Missing` if it could be one of MLflow's, else `Invalid`.
pub fn run_id(text: &str) -> Result<RunId, Error> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let mut chars = text.chars();
    let could_be = chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c == '-' || is_word(c))
        && text.chars().count() <= 256;
    if could_be {
        Err(Error::missing(format!("Run with id={text} not found")))
    } else {
        Err(Error::invalid(invalid_value("run_id", text, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_mlflow_takes() {
        for key in ["loss", "val/acc", "a b", "é日²", "a.b:c", "_", "a/b.c-d"] {
            assert!(check_key(key, "key").is_ok(), "{key}");
        }
        for key in [
            "", ".", "..", "/a", "a//b", "a/", "./a", "a/../b", "a#b", "x@y", "😀", "../a",
        ] {
            assert!(check_key(key, "key").is_err(), "{key}");
        }
        assert!(check_key(&"é".repeat(250), "key").is_ok());
        let long = check_key(&"k".repeat(251), "key").unwrap_err();
        assert_eq!(
            long.to_string(),
            "'key' exceeds the maximum length of 250 characters"
        );
        let message = check_key("a//b", "metrics[3].name")
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("Invalid value \"a//b\" for parameter 'metrics[3].name' supplied: Names may be treated as files")
                && message.ends_with("would resolve to 'a/b'"),
            "{message}"
        );
    }

    #[test]
    fn texts_are_cut_by_characters() {
        assert_eq!(cut("日本語", 2), "日本");
        assert_eq!(cut("ab", 2), "ab");
    }

    #[test]
    fn ids_of_runs_that_cannot_be_are_told_from_those_that_are_not() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(run_id(id).unwrap().to_string(), id);
        assert_eq!(
            run_id("nope").unwrap_err().to_string(),
            "Run with id=nope not found"
        );
        assert_eq!(
            run_id("../x").unwrap_err().to_string(),
            "Invalid value \"../x\" for parameter 'run_id' supplied."
        );
    }
}
