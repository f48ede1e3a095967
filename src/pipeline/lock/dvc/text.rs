//! The text of a `dvc.lock`: entries that did not change keep theirs. Imports: base, lock.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::Error;
use crate::base::doc::emit::{self, Hints, KeyKind, Link};
use crate::base::doc::{Document, Format, KeyPath, Map, Problems, Value};
use crate::pipeline::lock::LockEntry;

use super::entry::{self, Form};
use super::{SCHEMA, Shape, stages_at};

/// A stage's entry as it should stand in the file.
#[derive(Clone, Copy, Debug)]
pub struct Update<'e> {
    /// The stage's name in its pipeline file.
    pub name: &'e str,
    /// What was last run.
    pub entry: &'e LockEntry,
    /// What the declaration says about it.
    pub shape: &'e Shape,
}

/// Returns the text of the lock called `name` that says `before` with `updates`: entries keep their
/// order, new ones are appended, nothing else changes.
///
/// # Errors
/// `before` is no YAML.
pub fn to_text(name: &str, before: Option<&str>, updates: &[Update<'_>]) -> Result<String, Error> {
    let before = before.unwrap_or_default();
    if before.trim().is_empty() {
        return Ok(joined(
            format!("schema: '{SCHEMA}'\nstages:\n"),
            &[],
            "",
            updates,
        ));
    }
    if let Some(parts) = Parts::of(before) {
        let head = parts.head.to_owned();
        return Ok(joined(head, &parts.chunks, parts.tail, updates));
    }
    // A layout that neither tool writes: the values stay, the layout becomes DVC's.
    let document = Document::parse(name, before.to_owned(), Format::Yaml)?;
    let mut root = Map::new();
    root.insert("schema".to_owned(), Value::Str(SCHEMA.to_owned()));
    let at = stages_at(&document.root);
    let stages = at.get(&document.root).and_then(Value::as_map);
    if !at.is_root() {
        root.extend(document.root.as_map().cloned().unwrap_or_default());
    }
    root.insert(
        "stages".to_owned(),
        Value::Map(stages.cloned().unwrap_or_default()),
    );
    let written = write_whole(&Value::Map(root));
    match Parts::of(&written) {
        Some(parts) => Ok(joined(
            parts.head.to_owned(),
            &parts.chunks,
            parts.tail,
            updates,
        )),
        None => Ok(joined(
            written.replacen("stages: {}\n", "stages:\n", 1),
            &[],
            "",
            updates,
        )),
    }
}

fn write_whole(root: &Value) -> String {
    let hints = Hints {
        key_kind: &|path| key_kind(path.get(2..).unwrap_or_default()),
        links: BTreeMap::new(),
    };
    emit::to_yaml_with(root, &hints)
}

/// A lock file, cut into entries.
struct Parts<'t> {
    /// Up to the first stage.
    head: &'t str,
    /// The stages' names and lines.
    chunks: Vec<(String, &'t str)>,
    /// What follows the stages.
    tail: &'t str,
}

impl<'t> Parts<'t> {
    /// Cuts a text in the layout of both tools; `None` if it has another.
    fn of(text: &'t str) -> Option<Self> {
        let mut at = 0;
        let mut head = None;
        let mut starts: Vec<(String, usize)> = Vec::new();
        let mut tail = text.len();
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            if head.is_none() {
                if line.trim_end() == "stages:" {
                    head = Some(at);
                }
                continue;
            }
            let bare = line.trim_start_matches(' ');
            let indent = line.len() - bare.len();
            let is_blank = bare.trim().is_empty() || bare.starts_with('#');
            match indent {
                _ if is_blank => {}
                0 => {
                    tail = start;
                    break;
                }
                2 => starts.push((key_of(line)?, start)),
                _ if starts.is_empty() => return None,
                1 | 3 => return None,
                _ => {}
            }
        }
        let head = starts.first().map_or(head?, |(_, start)| *start);
        let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([tail]);
        let ends: Vec<usize> = ends.collect();
        let chunks = starts.into_iter().zip(ends);
        Some(Self {
            head: &text[..head],
            chunks: chunks
                .map(|((name, start), end)| (name, &text[start..end]))
                .collect(),
            tail: &text[tail..],
        })
    }
}

/// Returns the key of a line that is nothing but a key with its colon.
fn key_of(line: &str) -> Option<String> {
    let document = Document::parse("", line.to_owned(), Format::Yaml).ok()?;
    match document.root.as_map()?.first()? {
        (key, Value::Null) if document.root.as_map()?.len() == 1 => Some(key.clone()),
        _ => None,
    }
}

fn joined(
    mut out: String,
    chunks: &[(String, &str)],
    tail: &str,
    updates: &[Update<'_>],
) -> String {
    let mut left: BTreeMap<&str, Update<'_>> = updates.iter().map(|u| (u.name, *u)).collect();
    for (name, chunk) in chunks {
        match left.remove(name.as_str()) {
            Some(update) => out.push_str(&renewed(chunk, &update, &out)),
            None => out.push_str(chunk),
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    for update in updates {
        if left.remove(update.name).is_some() {
            let new = written(update, &out);
            out.push_str(&new);
        }
    }
    out.push_str(tail);
    out
}

/// Returns an entry's lines: as they are where they say what they should, else new ones.
fn renewed(chunk: &str, update: &Update<'_>, before: &str) -> String {
    let new = written(update, before);
    if new == chunk || says(chunk, update) {
        return chunk.to_owned();
    }
    // What stands behind the entry is about the next one.
    let is_entry = |line: &&str| {
        let bare = line.trim_start_matches(' ');
        let is_comment = bare.starts_with('#') && line.len() - bare.len() <= 2;
        !bare.trim().is_empty() && !is_comment
    };
    let lines: Vec<&str> = chunk.split_inclusive('\n').collect();
    let length = lines.iter().rposition(is_entry).map_or(0, |i| i + 1);
    new + &lines[length..].concat()
}

fn says(chunk: &str, update: &Update<'_>) -> bool {
    let text = format!("stages:\n{chunk}");
    let Ok(document) = Document::parse("", text, Format::Yaml) else {
        return false;
    };
    let problems = Problems::new(&document);
    let at = KeyPath::root().key("stages").key(update.name);
    let entry = entry::read(&problems, &at, update.shape);
    if problems.any() || entry.as_ref() != Some(update.entry) {
        return false;
    }
    // A list of one command is not the command to DVC.
    if update.shape.command.is_none() {
        return true;
    }
    let command = at.key("cmd");
    let command = command.get(&document.root);
    let expected = entry::to_value(update.entry, update.shape, Form::Inputs);
    command == KeyPath::root().key("cmd").get(&expected)
}

/// Returns a new entry's lines, to stand behind `before`.
fn written(update: &Update<'_>, before: &str) -> String {
    const HEAD: &str = "stages:\n";
    let entry = entry::to_value(update.entry, update.shape, Form::Whole);
    let mut stages = Map::new();
    stages.insert(update.name.to_owned(), entry);
    let mut root = Map::new();
    root.insert("stages".to_owned(), Value::Map(stages));
    let root = Value::Map(root);
    let at = KeyPath::root().key("stages").key(update.name);
    let links = at.get(&root).map(links).unwrap_or_default();
    let links = if links.is_empty() {
        BTreeMap::new()
    } else {
        let first = last_anchor(before);
        let shifted = links.into_iter().map(|(value, link)| {
            let link = match link {
                Link::Anchor(n) => Link::Anchor(n + first),
                Link::Alias(n) => Link::Alias(n + first),
            };
            (value, link)
        });
        shifted.collect()
    };
    let hints = Hints {
        key_kind: &|path| key_kind(path.get(2..).unwrap_or_default()),
        links,
    };
    let text = emit::to_yaml_with(&root, &hints);
    text.strip_prefix(HEAD).unwrap_or(&text).to_owned()
}

/// Returns an entry alone, as in the run cache.
#[must_use]
pub fn record_text(entry: &Value) -> String {
    let hints = Hints {
        key_kind: &|path| key_kind(path),
        links: links(entry),
    };
    emit::to_yaml_with(entry, &hints)
}

/// In YAML and Python, keys inside a parameter's value can be numbers; what reads as one is one. The
/// path is the one inside the entry.
#[must_use]
pub fn key_kind(path: &[&str]) -> KeyKind {
    match path {
        ["params", file, _, _, ..]
            if matches!(
                Format::of_path(Path::new(file)),
                Format::Yaml | Format::Python
            ) =>
        {
            let key = path.last().copied().unwrap_or_default();
            let is_canonical = key.parse::<i64>().is_ok_and(|n| n.to_string() == key)
                || matches!(key, "true" | "false");
            if is_canonical {
                KeyKind::Scalar
            } else {
                KeyKind::Text
            }
        }
        _ => KeyKind::Text,
    }
}

/// Finds values of params that are parts of other params of the same file: DVC holds them once, so
/// its library writes them once, numbered as they come up again.
fn links(entry: &Value) -> BTreeMap<*const Value, Link> {
    let mut links = BTreeMap::new();
    let mut count = 0;
    let files = KeyPath::root().key("params");
    let files = files.get(entry).and_then(Value::as_map);
    for keys in files.into_iter().flatten().filter_map(|(_, v)| v.as_map()) {
        let paths = keys.iter().filter_map(|(key, value)| {
            let path: KeyPath = key.parse().ok()?;
            matches!(value, Value::List(_) | Value::Map(_)).then_some((path, value))
        });
        let paths: Vec<(KeyPath, &Value)> = paths.collect();
        for (path, value) in &paths {
            let whole = paths.iter().find_map(|(above, outer)| {
                let way = path.below(above).filter(|way| !way.is_root())?;
                way.get(outer)
            });
            let Some(part) = whole.filter(|part| part.same(value)) else {
                continue;
            };
            let number = match links.get(&std::ptr::from_ref(part)) {
                Some(Link::Anchor(n)) => *n,
                _ => {
                    count += 1;
                    links.insert(std::ptr::from_ref(part), Link::Anchor(count));
                    count
                }
            };
            links.insert(std::ptr::from_ref(*value), Link::Alias(number));
        }
    }
    links
}

/// Returns the highest number of an anchor in a text.
fn last_anchor(text: &str) -> usize {
    let numbers = text.split("&id").skip(1).filter_map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].parse().ok()
    });
    numbers.max().unwrap_or(0)
}
