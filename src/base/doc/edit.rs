//! Changes one value of a document and nothing else: comments, order, quoting and layout of
//! everything around it stay as they are, byte for byte.
//!
//! **How.** The text is parsed into places (`node`). A value that is there is replaced in its span,
//! in its own quoting; a new key gets a line (or, between braces, a place) after the last of its
//! section. Then the new text is read again and compared with what it should say. If anything else
//! came out (an anchor whose copies would change too, a layout this does not understand), the edit
//! is refused and the message asks to make it by hand: a file is never written that says something
//! unasked. Imports: `base::{doc, error}`.

use crate::base::Error;
use crate::base::diag::Span;

use super::document::{Document, Format};
use super::ini;
use super::key_path::{Key, KeyPath};
use super::node::{self, Entry, Layout, Node, Quotes, Shape, colon_after};
use super::value::{Map, Value};

mod lines;
mod spell;

use lines::{Style, add_lines, append, entry_lines, flow_entry, line_end, newline};
use spell::{flow, is_one_line, quoted, scalar_or_flow};

/// Returns `document` with `value` at `path`; sections on the way that are missing are created.
/// A mapping is set key by key, so that what is equal in it keeps its layout.
///
/// # Errors
/// The way leads through something that holds no keys, or the layout is beyond this editor.
pub fn set(document: &Document, path: &KeyPath, value: &Value) -> Result<Document, Error> {
    set_in(document, path, value, Style::Short)
}

/// As `set`; lists in a section that is new stand item below item, as people write stages.
///
/// # Errors
/// As `set`.
pub fn set_blocks(document: &Document, path: &KeyPath, value: &Value) -> Result<Document, Error> {
    set_in(document, path, value, Style::Blocks)
}

fn set_in(
    document: &Document,
    path: &KeyPath,
    value: &Value,
    style: Style,
) -> Result<Document, Error> {
    if document.format == Format::Python {
        return Err(refuse(document, path, IN_A_PROGRAM.to_owned()));
    }
    if let Some(why) = unsayable(document.format, value) {
        return Err(refuse(document, path, why.to_owned()));
    }
    let mut expected = document.root.clone();
    insert(&mut expected, path.keys(), value).map_err(|why| refuse(document, path, why))?;
    let mut edited = document.clone();
    for (at, value) in steps(&document.root, path, value) {
        let text = match &value {
            Some(value) => set_one(&edited, &at, value, style),
            None => remove_one(&edited, &at),
        };
        edited = reread(document, path, text)?;
    }
    check(document, path, edited, &expected)
}

/// Returns `document` without the value at `path`.
///
/// # Errors
/// There is no such value, or the layout is beyond this editor.
pub fn remove(document: &Document, path: &KeyPath) -> Result<Document, Error> {
    if document.format == Format::Python {
        return Err(refuse(document, path, IN_A_PROGRAM.to_owned()));
    }
    let mut expected = document.root.clone();
    if !take(&mut expected, path.keys()) {
        return Err(refuse(document, path, "it is not there".to_owned()));
    }
    let mut edited = reread(document, path, remove_one(document, path))?;
    if document.format == Format::Ini {
        // There, a section without keys says nothing.
        prune(&mut expected);
        prune(&mut edited.root);
    }
    check(document, path, edited, &expected)
}

/// Takes out mappings without keys.
fn prune(value: &mut Value) {
    if let Value::Map(map) = value {
        map.values_mut().for_each(prune);
        map.retain(|_, inner| !matches!(inner, Value::Map(map) if map.is_empty()));
    }
}

/// Why a Python file is left alone.
const IN_A_PROGRAM: &str = "it is in a Python program";

/// Returns why a value cannot be written in this format, if it cannot.
fn unsayable(format: Format, value: &Value) -> Option<&'static str> {
    match (format, value) {
        (Format::Toml, Value::Null) => Some("TOML has no word for nothing (`null`)"),
        (Format::Json, Value::Float(x)) if !x.is_finite() => {
            Some("JSON has no word for what is no finite number (`.nan`, `.inf`)")
        }
        (_, Value::List(items)) => items.iter().find_map(|item| unsayable(format, item)),
        (_, Value::Map(map)) => map.values().find_map(|item| unsayable(format, item)),
        (
            _,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Str(_),
        ) => None,
    }
}

fn refuse(document: &Document, path: &KeyPath, why: String) -> Error {
    Error::Edit {
        name: document.source.name.clone(),
        key: path.to_string(),
        why,
    }
}

/// Parses the text of an edit.
fn reread(
    document: &Document,
    path: &KeyPath,
    text: Result<String, String>,
) -> Result<Document, Error> {
    let text = text.map_err(|why| refuse(document, path, why))?;
    Document::parse(&document.source.name, text, document.format)
        .map_err(|_| refuse(document, path, "its layout is too unusual".to_owned()))
}

/// Lets an edit pass that says what it should.
fn check(
    document: &Document,
    path: &KeyPath,
    edited: Document,
    expected: &Value,
) -> Result<Document, Error> {
    match difference(expected, &edited.root, &KeyPath::root()) {
        None => Ok(edited),
        Some(other) if other == *path || path.is_root() => Err(refuse(
            document,
            path,
            "its layout is too unusual".to_owned(),
        )),
        Some(other) => Err(refuse(
            document,
            path,
            format!("`{other}` would change with it (an anchor, or an unusual layout)"),
        )),
    }
}

/// Returns the first place where two values differ.
fn difference(a: &Value, b: &Value, at: &KeyPath) -> Option<KeyPath> {
    if a.same(b) {
        return None;
    }
    match (a, b) {
        (Value::Map(x), Value::Map(y)) => {
            x.keys()
                .chain(y.keys())
                .find_map(|key| match (x.get(key), y.get(key)) {
                    (Some(a), Some(b)) => difference(a, b, &at.key(key)),
                    _ => Some(at.key(key)),
                })
        }
        (Value::List(x), Value::List(y)) if x.len() == y.len() => x
            .iter()
            .zip(y)
            .enumerate()
            .find_map(|(i, (a, b))| difference(a, b, &at.index(i))),
        _ => Some(at.clone()),
    }
}

/// Breaks an edit down where old and new have the same shape; `None` removes.
fn steps(root: &Value, path: &KeyPath, value: &Value) -> Vec<(KeyPath, Option<Value>)> {
    match (path.get(root), value) {
        (Some(old), new) if old.same(new) => Vec::new(),
        (Some(Value::Map(old)), Value::Map(new)) if !old.is_empty() && !new.is_empty() => {
            let set = new
                .iter()
                .flat_map(|(key, value)| steps(root, &path.key(key), value));
            let gone = old.keys().filter(|key| !new.contains_key(*key));
            // New keys first: a section that is emptied on the way would lose its layout.
            set.chain(gone.map(|key| (path.key(key), None))).collect()
        }
        (Some(Value::List(old)), Value::List(new)) if old.len() == new.len() => new
            .iter()
            .enumerate()
            .flat_map(|(i, value)| steps(root, &path.index(i), value))
            .collect(),
        // Longer or shorter: what is new is appended, what is too much goes from the end.
        (Some(Value::List(old)), Value::List(new)) if !old.is_empty() && !new.is_empty() => {
            let set = new.iter().enumerate().flat_map(|(i, value)| {
                let at = path.index(i);
                if i < old.len() {
                    steps(root, &at, value)
                } else {
                    vec![(at, Some(value.clone()))]
                }
            });
            let gone = (new.len()..old.len()).rev();
            set.chain(gone.map(|i| (path.index(i), None))).collect()
        }
        _ => vec![(path.clone(), Some(value.clone()))],
    }
}

/// Sets a value in a value, as the edit should.
fn insert(root: &mut Value, keys: &[Key], value: &Value) -> Result<(), String> {
    let Some((first, rest)) = keys.split_first() else {
        *root = value.clone();
        return Ok(());
    };
    match (first, &mut *root) {
        (Key::Name(name), Value::Map(map)) => {
            insert(map.entry(name.clone()).or_insert(Value::Null), rest, value)
        }
        (Key::Name(name), Value::Null) => {
            let mut map = Map::new();
            insert(map.entry(name.clone()).or_insert(Value::Null), rest, value)?;
            *root = Value::Map(map);
            Ok(())
        }
        (Key::Index(index), Value::List(items)) if *index <= items.len() => {
            if *index == items.len() {
                items.push(Value::Null);
            }
            insert(&mut items[*index], rest, value)
        }
        (Key::Index(index), Value::List(items)) => Err(format!(
            "the list has {} items, there is no item {index}",
            items.len()
        )),
        (Key::Name(name), other) => Err(format!("{} holds no key `{name}`", other.kind())),
        (Key::Index(_), other) => Err(format!("{} holds no items", other.kind())),
    }
}

/// Removes a value; says whether it was there.
fn take(root: &mut Value, keys: &[Key]) -> bool {
    let Some((first, rest)) = keys.split_first() else {
        return false;
    };
    match (first, root) {
        (Key::Name(name), Value::Map(map)) if rest.is_empty() => map.shift_remove(name).is_some(),
        (Key::Name(name), Value::Map(map)) => map.get_mut(name).is_some_and(|v| take(v, rest)),
        (Key::Index(i), Value::List(items)) if rest.is_empty() && *i < items.len() => {
            items.remove(*i);
            true
        }
        (Key::Index(i), Value::List(items)) => items.get_mut(*i).is_some_and(|v| take(v, rest)),
        _ => false,
    }
}

/// A way through the tree: the deepest node that is there, its parent's entry, and what is left.
struct Found<'n, 'k> {
    /// The nodes from the root down to the deepest one.
    nodes: Vec<&'n Node>,
    /// The entry of the deepest node, if it has a key.
    entry: Option<&'n Entry>,
    rest: &'k [Key],
}

fn find<'n, 'k>(root: &'n Node, keys: &'k [Key]) -> Found<'n, 'k> {
    let mut found = Found {
        nodes: vec![root],
        entry: None,
        rest: keys,
    };
    let mut node = root;
    while let Some((first, rest)) = found.rest.split_first() {
        let (entry, next) = match (first, &node.shape) {
            (Key::Name(name), Shape::Map(_, entries)) => {
                match entries.iter().find(|e| e.name.as_ref() == Some(name)) {
                    Some(entry) => (Some(entry), &entry.value),
                    None => break,
                }
            }
            (Key::Index(index), Shape::List(_, items)) => match items.get(*index) {
                Some(item) => (None, item),
                None => break,
            },
            _ => break,
        };
        node = next;
        found.nodes.push(node);
        found.entry = entry;
        found.rest = rest;
    }
    found
}

const BY_LAYOUT: &str = "its layout is too unusual";

/// Returns the text with one value set.
fn set_one(
    document: &Document,
    path: &KeyPath,
    value: &Value,
    style: Style,
) -> Result<String, String> {
    let text = &document.source.text;
    if document.format == Format::Toml {
        return set_toml(document, path, value);
    }
    if document.format == Format::Ini {
        return ini::set(text, path.keys(), value);
    }
    let is_json = document.format == Format::Json;
    let style = if is_json { Style::Json } else { style };
    let Some(root) = node::tree(text) else {
        return Ok(append(
            text,
            &entry_lines(text, path.keys(), value, 0, style)?,
        ));
    };
    let found = find(&root, path.keys());
    let node = found.nodes.last().copied().unwrap_or(&root);
    let in_flow = is_json || is_in_flow(&found.nodes);
    if found.rest.is_empty() {
        let shown = if in_flow {
            flow(value, is_json)
        } else {
            scalar_or_flow(value, is_json)
        };
        return replace(text, node, found.entry, value, shown);
    }
    match (&node.shape, found.rest) {
        (Shape::Map(Layout::Flow, entries), rest) => {
            let shown = flow_entry(rest, value, is_json)?;
            let last = entries.last().map(|e| (e.key.start, e.end));
            Ok(add_in_flow(text, node.span, last, &shown))
        }
        (Shape::Map(Layout::Block, entries), rest) => {
            let last = entries.last().ok_or(BY_LAYOUT)?;
            let indent = column(text, node.span.start);
            let at = line_end(text, last.end);
            Ok(add_lines(
                text,
                at,
                &entry_lines(text, rest, value, indent, style)?,
            ))
        }
        (Shape::List(Layout::Flow, items), [Key::Index(_)]) => {
            let last = items.last().map(|i| (i.span.start, i.span.end));
            Ok(add_in_flow(text, node.span, last, &flow(value, is_json)))
        }
        (Shape::List(Layout::Block, items), [Key::Index(_)]) => {
            let last = items.last().ok_or(BY_LAYOUT)?;
            let indent = column(text, node.span.start);
            let line = format!("{}- {}", " ".repeat(indent), flow(value, is_json));
            Ok(add_lines(text, line_end(text, last.span.end), &line))
        }
        (Shape::Empty, rest) => match found.entry {
            // Nothing but comments.
            None if found.nodes.len() == 1 => {
                Ok(append(text, &entry_lines(text, rest, value, 0, style)?))
            }
            Some(entry) if !in_flow => {
                let indent = column(text, entry.key.start) + indent_width(&root, text);
                let at = line_end(text, entry.key.end);
                Ok(add_lines(
                    text,
                    at,
                    &entry_lines(text, rest, value, indent, style)?,
                ))
            }
            _ => Err(BY_LAYOUT.to_owned()),
        },
        (Shape::Alias, _) => Err("it is a copy of another value (`*name`)".to_owned()),
        _ => Err(BY_LAYOUT.to_owned()),
    }
}

fn is_in_flow(nodes: &[&Node]) -> bool {
    nodes.iter().rev().skip(1).any(|node| {
        matches!(
            node.shape,
            Shape::Map(Layout::Flow, _) | Shape::List(Layout::Flow, _)
        )
    })
}

/// Returns the text with the value of a node replaced by `shown`, a text by its old quotes.
fn replace(
    text: &str,
    node: &Node,
    entry: Option<&Entry>,
    value: &Value,
    shown: String,
) -> Result<String, String> {
    let shown = match (value, &node.shape) {
        (Value::Str(s), Shape::Scalar(Quotes::Single)) if is_one_line(s) => {
            format!("'{}'", s.replace('\'', "''"))
        }
        (Value::Str(s), Shape::Scalar(Quotes::Double)) => quoted(s),
        _ => shown,
    };
    match (&node.shape, entry) {
        (
            Shape::Alias
            | Shape::Scalar(_)
            | Shape::Map(Layout::Flow, _)
            | Shape::List(Layout::Flow, _),
            _,
        ) => Ok(put(text, node.span, &shown)),
        (Shape::Empty, Some(entry)) => {
            let colon = colon_after(text, entry.key.end).ok_or(BY_LAYOUT)?;
            let place = Span {
                start: colon,
                end: colon,
            };
            Ok(put(text, place, &format!(" {shown}")))
        }
        // The block goes, the value stands behind its key.
        (Shape::Map(Layout::Block, _) | Shape::List(Layout::Block, _), Some(entry)) => {
            let colon = colon_after(text, entry.key.end).ok_or(BY_LAYOUT)?;
            let begins = text[..node.span.start].rfind('\n').map_or(0, |i| i + 1);
            if begins <= colon {
                return Err(BY_LAYOUT.to_owned());
            }
            let head = format!("{} {shown}{}", &text[..colon], &text[colon..begins]);
            let rest = &text[line_end(text, node.span.end)..];
            let rest = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n'));
            Ok(format!("{head}{}", rest.unwrap_or_default()))
        }
        (_, None) => Err(BY_LAYOUT.to_owned()),
    }
}

/// Puts `shown` in the place of a span. A comment behind it stays in its column where there is room.
fn put(text: &str, span: Span, shown: &str) -> String {
    let (before, old, after) = (
        &text[..span.start],
        &text[span.start..span.end],
        &text[span.end..],
    );
    let comment = after.trim_start_matches(' ');
    let blanks = after.len() - comment.len();
    if blanks < 2 || !comment.starts_with('#') || old.contains('\n') {
        return format!("{before}{shown}{after}");
    }
    let column = old.chars().count() + blanks;
    let blanks = column.saturating_sub(shown.chars().count()).max(2);
    format!("{before}{shown}{}{comment}", " ".repeat(blanks))
}

/// Adds an entry to a flow collection whose brackets are at the ends of `span`; `last` is where its
/// last entry starts and ends.
fn add_in_flow(text: &str, span: Span, last: Option<(usize, usize)>, shown: &str) -> String {
    let Some((start, end)) = last else {
        let inside = span.start + 1;
        return format!("{}{shown}{}", &text[..inside], &text[inside..]);
    };
    // One entry on each line stays one entry on each line.
    let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let indent = &text[line..start];
    let between = if span.start < line && indent.trim().is_empty() {
        format!(",{}{indent}", newline(text))
    } else {
        ", ".to_owned()
    };
    format!("{}{between}{shown}{}", &text[..end], &text[end..])
}

/// Returns the column of a byte in its line, in characters.
fn column(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |i| i + 1);
    text[line..at].chars().count()
}

/// Returns by how much the file indents: what its first block inside a block does, else two.
fn indent_width(root: &Node, text: &str) -> usize {
    let Shape::Map(Layout::Block, entries) = &root.shape else {
        return 2;
    };
    entries
        .iter()
        .find_map(|e| match &e.value.shape {
            Shape::Map(Layout::Block, _) => {
                column(text, e.value.span.start).checked_sub(column(text, e.key.start))
            }
            _ => None,
        })
        .filter(|width| 0 < *width)
        .unwrap_or(2)
}

/// TOML: a value that is there is replaced in its place.
fn set_toml(document: &Document, path: &KeyPath, value: &Value) -> Result<String, String> {
    let text = &document.source.text;
    let place = path
        .get(&document.root)
        .and_then(|_| document.locate(path))
        .ok_or("a new key of a TOML file has to be written by hand")?;
    let span = place.value;
    let is_date = matches!(path.get(&document.root), Some(Value::Str(_)))
        && !text[span.start..].starts_with(['"', '\'']);
    let shown = match value {
        // Only TOML knows dates; here they are texts, and there they must stay dates.
        Value::Str(date) if is_date => match date.parse::<toml::value::Datetime>() {
            Ok(_) => date.clone(),
            Err(_) => return Err(format!("it is a date, and `{date}` is none")),
        },
        other => toml::Value::try_from(other)
            .map_err(|e| e.to_string())?
            .to_string(),
    };
    Ok(format!(
        "{}{shown}{}",
        &text[..span.start],
        &text[span.end..]
    ))
}

/// Returns the text without one value.
fn remove_one(document: &Document, path: &KeyPath) -> Result<String, String> {
    if document.format == Format::Toml {
        return Err("a key of a TOML file has to be removed by hand".to_owned());
    }
    let text = &document.source.text;
    if document.format == Format::Ini {
        return ini::remove(text, path.keys());
    }
    let root = node::tree(text).ok_or(BY_LAYOUT)?;
    let found = find(&root, path.keys());
    let [.., parent, node] = found.nodes[..] else {
        return Err(BY_LAYOUT.to_owned());
    };
    if !found.rest.is_empty() {
        return Err("it comes from somewhere else (an anchor or merge key)".to_owned());
    }
    let (layout, spans, empty): (_, Vec<Span>, _) = match &parent.shape {
        Shape::Map(layout, entries) => {
            let span = |e: &Entry| Span {
                start: e.key.start,
                end: e.end,
            };
            (*layout, entries.iter().map(span).collect(), "{}")
        }
        Shape::List(layout, items) => (*layout, items.iter().map(|i| i.span).collect(), "[]"),
        _ => return Err(BY_LAYOUT.to_owned()),
    };
    let start = found.entry.map_or(node.span.start, |e| e.key.start);
    let at = spans
        .iter()
        .position(|s| s.start == start)
        .ok_or(BY_LAYOUT)?;
    let cut = |span: Span| format!("{}{}", &text[..span.start], &text[span.end..]);
    match (layout, spans.len()) {
        (_, 1) => {
            let keys = path.keys();
            let above = keys[..keys.len() - 1]
                .iter()
                .fold(KeyPath::root(), |p, k| match k {
                    Key::Name(name) => p.key(name),
                    Key::Index(index) => p.index(*index),
                });
            let nothing = if empty == "{}" {
                Value::Map(Map::new())
            } else {
                Value::List(Vec::new())
            };
            if above.is_root() {
                return Ok(append(&cut(parent.span), empty));
            }
            set_one(document, &above, &nothing, Style::Short)
        }
        (Layout::Flow, n) if at + 1 < n => Ok(cut(Span {
            start,
            end: spans[at + 1].start,
        })),
        (Layout::Flow, _) => Ok(cut(Span {
            start: spans[at - 1].end,
            end: spans[at].end,
        })),
        (Layout::Block, _) => {
            let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
            let lead = text[line..start].trim();
            let is_dash = matches!(parent.shape, Shape::List(..)) && lead == "-";
            if !lead.is_empty() && !is_dash {
                return Err(BY_LAYOUT.to_owned());
            }
            let end = line_end(text, spans[at].end);
            let rest = &text[end..];
            let rest = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n'));
            Ok(format!("{}{}", &text[..line], rest.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests;
