//! Lines of new entries, and where they go. Imports: `base::doc`, spell.

use crate::base::doc::key_path::Key;
use crate::base::doc::value::Value;

use super::spell::{flow, scalar_or_flow};

/// How a new entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// In braces and quotes.
    Json,
    /// Sections as blocks, lists between brackets: as params files have them.
    Short,
    /// Lists as blocks, too: as pipeline files have them.
    Blocks,
}

/// Returns `a: {b: value}` for the keys a and b.
pub(super) fn flow_entry(keys: &[Key], value: &Value, is_json: bool) -> Result<String, String> {
    let Some((Key::Name(name), rest)) = keys.split_first() else {
        return Err("there is no list to put it into".to_owned());
    };
    let key = flow(&Value::Str(name.clone()), is_json);
    match rest {
        [] => Ok(format!("{key}: {}", flow(value, is_json))),
        _ => Ok(format!("{key}: {{{}}}", flow_entry(rest, value, is_json)?)),
    }
}

/// Returns the lines of a new block entry, without the last line break.
pub(super) fn entry_lines(
    text: &str,
    keys: &[Key],
    value: &Value,
    indent: usize,
    style: Style,
) -> Result<String, String> {
    if style == Style::Json {
        return Ok(format!("{{{}}}", flow_entry(keys, value, true)?));
    }
    let Some((Key::Name(name), rest)) = keys.split_first() else {
        return Err("there is no list to put it into".to_owned());
    };
    let head = format!(
        "{}{}:",
        " ".repeat(indent),
        flow(&Value::Str(name.clone()), false)
    );
    let entry = |name: &String, value: &Value| {
        let key = [Key::Name(name.clone())];
        entry_lines(text, &key, value, indent + 2, style)
    };
    match (rest, value) {
        ([], Value::Map(map)) if !map.is_empty() => {
            let mut lines = vec![head];
            for (name, value) in map {
                lines.push(entry(name, value)?);
            }
            Ok(lines.join(newline(text)))
        }
        ([], Value::List(items)) if style == Style::Blocks && !items.is_empty() => {
            let dash = format!("{}- ", " ".repeat(indent));
            let mut lines = vec![head];
            for item in items {
                let item = match item.as_map().and_then(|map| map.get_index(0)) {
                    // The dash stands where the entry is indented.
                    Some((name, value)) if item.as_map().is_some_and(|map| map.len() == 1) => {
                        entry(name, value)?.trim_start().to_owned()
                    }
                    _ => scalar_or_flow(item, false),
                };
                lines.push(format!("{dash}{item}"));
            }
            Ok(lines.join(newline(text)))
        }
        ([], value) => Ok(format!("{head} {}", scalar_or_flow(value, false))),
        _ => {
            let inner = entry_lines(text, rest, value, indent + 2, style)?;
            Ok(format!("{head}{}{inner}", newline(text)))
        }
    }
}

/// Puts lines behind the line that ends at `at`.
pub(super) fn add_lines(text: &str, at: usize, lines: &str) -> String {
    format!("{}{}{lines}{}", &text[..at], newline(text), &text[at..])
}

/// Puts lines at the end of the text.
pub(super) fn append(text: &str, lines: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        format!("{text}{lines}{}", newline(text))
    } else {
        format!("{text}{}{lines}", newline(text))
    }
}

pub(super) fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Returns where the line of `from` ends, before its line break.
pub(super) fn line_end(text: &str, from: usize) -> usize {
    let end = text[from..].find('\n').map_or(text.len(), |i| from + i);
    if text[from..end].ends_with('\r') {
        end - 1
    } else {
        end
    }
}
