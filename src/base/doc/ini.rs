//! INI in the dialect that `ConfigObj` reads and DVC writes: `[section]`, `['remote "name"']`,
//! `key = value`, values in quotes, lists with commas, comments from `#`. Imports: `base::{diag, doc}`.
//!
//! A small reader of our own, because every part needs its place: for messages, and for edits that
//! leave everything else as it is. Names are lower-cased, as DVC does. A value is a text, a whole
//! number where it is spelt as one, `true` or `false`, or a list of texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::diag::{Diagnostic, Source, Span};

use super::key_path::Key;
use super::locate::{Inner, Located, Place};
use super::value::{Map, Value};

/// How far keys of a new section are indented, as DVC does.
const INDENT: &str = "    ";

/// Why a text is no INI, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Problem {
    /// Returns the message about it.
    pub(super) fn diagnostic(self, source: &Arc<Source>) -> Diagnostic {
        let rest = &source.text[self.at..];
        let end = self.at + rest.find(['\n', '\r']).unwrap_or(rest.len());
        let span = Span {
            start: self.at,
            end,
        };
        let headline = format!("`{}` cannot be parsed", source.name);
        let diagnostic = Diagnostic::error("syntax", headline).label(source, span, self.message);
        if rest.starts_with("<<<<<<< ") {
            return diagnostic.help(
                "resolve the git conflict (keep one side and delete the markers), then run again",
            );
        }
        diagnostic
    }
}

#[derive(Clone, Debug)]
struct Section {
    /// `core`, or `remote` and the name in its quotes.
    path: Vec<String>,
    /// The whole line, without its line break.
    line: Span,
    /// What stands between the brackets.
    name: Span,
    items: Vec<Item>,
    /// Does a comment stand in it?
    has_comment: bool,
}

#[derive(Clone, Debug)]
struct Item {
    key: String,
    key_span: Span,
    value: Value,
    value_span: Span,
    line: Span,
}

/// Returns what the text says.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    let mut root = Map::new();
    for section in sections(text)? {
        let mut map = &mut root;
        for name in &section.path {
            let inner = map
                .entry(name.clone())
                .or_insert_with(|| Value::Map(Map::new()));
            let Value::Map(inner) = inner else {
                return Err(Problem {
                    at: section.name.start,
                    message: format!("`{name}` is a key already"),
                });
            };
            map = inner;
        }
        for item in section.items {
            map.insert(item.key, item.value);
        }
    }
    Ok(Value::Map(root))
}

/// Returns the places of what the text says; `None` where it is no INI.
pub(super) fn places(text: &str) -> Option<Place> {
    let whole = Span { start: 0, end: 0 };
    let mut root = map_place(None, whole);
    for section in sections(text).ok()? {
        let mut place = &mut root;
        for name in &section.path {
            let Inner::Map(entries) = &mut place.inner else {
                return None;
            };
            place = entries
                .entry(name.clone())
                .or_insert_with(|| map_place(Some(section.name), section.name));
        }
        let Inner::Map(entries) = &mut place.inner else {
            return None;
        };
        for item in section.items {
            let located = Located {
                key: Some(item.key_span),
                value: item.value_span,
            };
            let inner = Inner::Nothing;
            entries.insert(item.key, Place { located, inner });
        }
    }
    Some(root)
}

fn map_place(key: Option<Span>, value: Span) -> Place {
    Place {
        located: Located { key, value },
        inner: Inner::Map(BTreeMap::new()),
    }
}

/// Returns the text with one value set.
pub(super) fn set(text: &str, keys: &[Key], value: &Value) -> Result<String, String> {
    let sections = sections(text).map_err(|p| p.message)?;
    let (path, key) = split(keys)?;
    let shown = spell(value)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let Some(section) = sections.iter().find(|s| s.path == path) else {
        let (before, after) = text.split_at(place_of_new(text, &sections, &path));
        let gap = if before.is_empty() || before.ends_with('\n') {
            ""
        } else {
            newline
        };
        let name = header(&path);
        return Ok(format!(
            "{before}{gap}[{name}]{newline}{INDENT}{key} = {shown}{newline}{after}"
        ));
    };
    if let Some(item) = section.items.iter().find(|item| item.key == key) {
        let (before, after) = (&text[..item.value_span.start], &text[item.value_span.end..]);
        let gap = if before.ends_with('=') { " " } else { "" };
        return Ok(format!("{before}{gap}{shown}{after}"));
    }
    let (indent, at) = match section.items.last() {
        Some(item) => (&text[item.line.start..item.key_span.start], item.line.end),
        None => (INDENT, section.line.end),
    };
    let (before, after) = text.split_at(at);
    let end = if after.is_empty() { newline } else { "" };
    Ok(format!(
        "{before}{newline}{indent}{key} = {shown}{end}{after}"
    ))
}

/// Returns the text without one key, and without its section where nothing else is in it; or
/// without a whole section.
pub(super) fn remove(text: &str, keys: &[Key]) -> Result<String, String> {
    let sections = sections(text).map_err(|p| p.message)?;
    let names = names(keys)?;
    let whole: Vec<Span> = sections
        .iter()
        .filter(|s| s.path.starts_with(&names))
        .map(Section::span)
        .collect();
    if !whole.is_empty() {
        return Ok(without_lines(text, whole));
    }
    let (path, key) = split(keys)?;
    let found = sections.iter().filter(|s| s.path == path).find_map(|s| {
        let item = s.items.iter().find(|item| item.key == key)?;
        Some((s, item))
    });
    let Some((section, item)) = found else {
        return Err("it is not there".to_owned());
    };
    let is_alone = section.items.len() == 1 && !section.has_comment;
    let gone = if is_alone { section.span() } else { item.line };
    Ok(without_lines(text, vec![gone]))
}

impl Section {
    /// Returns its lines, from the header to the last key.
    fn span(&self) -> Span {
        let end = self.items.last().map_or(self.line.end, |i| i.line.end);
        Span {
            start: self.line.start,
            end,
        }
    }
}

/// Returns where a new section goes: as DVC orders them, behind all others, but a plain one before
/// those with a name and the comments right above them.
fn place_of_new(text: &str, sections: &[Section], path: &[String]) -> usize {
    let first_named = sections.iter().find(|section| 1 < section.path.len());
    let Some(next) = first_named.filter(|_| path.len() == 1) else {
        return text.len();
    };
    let above = text[..next.line.start].split_inclusive('\n').rev();
    let comments = above.take_while(|line| line.trim_start().starts_with('#'));
    next.line.start - comments.map(str::len).sum::<usize>()
}

/// Takes out spans of whole lines with the line break behind each.
fn without_lines(text: &str, mut spans: Vec<Span>) -> String {
    spans.sort();
    let mut kept = text.to_owned();
    for span in spans.into_iter().rev() {
        let end = kept[span.end..]
            .find('\n')
            .map_or(kept.len(), |i| span.end + i + 1);
        kept.replace_range(span.start..end, "");
    }
    kept
}

fn names(keys: &[Key]) -> Result<Vec<String>, String> {
    let name = |key: &Key| match key {
        Key::Name(name) => Some(name.clone()),
        Key::Index(_) => None,
    };
    let names: Option<Vec<String>> = keys.iter().map(name).collect();
    names.ok_or_else(|| "an INI file holds no lists of sections".to_owned())
}

fn split(keys: &[Key]) -> Result<(Vec<String>, String), String> {
    let mut names = names(keys)?;
    match (names.pop(), names.len()) {
        (Some(key), 1 | 2) => Ok((names, key)),
        _ => Err("a key stands in a section (`core.remote`, `remote.NAME.url`)".to_owned()),
    }
}

/// Returns what stands between the brackets of a section.
fn header(path: &[String]) -> String {
    match path {
        [section, name] => format!("'{section} \"{name}\"'"),
        _ => path.concat(),
    }
}

/// Returns a value as it is written, with quotes where `ConfigObj` would need them.
fn spell(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::Str(text) => text.clone(),
        Value::List(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect();
            // DVC itself writes the whole list as one text.
            items.join(",")
        }
        Value::Map(_) | Value::Null => return Err("an INI file holds texts only".to_owned()),
        other => other.to_string(),
    };
    if text.contains(['\n', '\r']) {
        return Err("a value with a line break cannot be written".to_owned());
    }
    let blank_or_quote = |c: char| c.is_whitespace() || matches!(c, '\'' | '"');
    let is_plain = !text.is_empty()
        && !text.starts_with(blank_or_quote)
        && !text.ends_with(blank_or_quote)
        && !text.contains([',', '#'])
        && (plain(&text) == *value || !matches!(value, Value::Str(_)));
    match (is_plain, text.contains('"'), text.contains('\'')) {
        (true, ..) => Ok(text),
        (_, false, _) => Ok(format!("\"{text}\"")),
        (_, true, false) => Ok(format!("'{text}'")),
        (_, true, true) => Err("a value with both kinds of quotes cannot be written".to_owned()),
    }
}

/// Reads the lines of a text.
fn sections(text: &str) -> Result<Vec<Section>, Problem> {
    let mut sections: Vec<Section> = Vec::new();
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\n', '\r']);
        let span = Span {
            start,
            end: start + line.len(),
        };
        start += whole.len();
        let mut at = span.start;
        let mut content = line;
        if at == 0 {
            // A byte order mark, as editors on Windows leave it, is no part of the text.
            content = line.strip_prefix('\u{feff}').unwrap_or(line);
            at += line.len() - content.len();
        }
        let trimmed = content.trim_start();
        at += content.len() - trimmed.len();
        if trimmed.is_empty() {
            continue;
        }
        if trimmed.starts_with('#') {
            if let Some(section) = sections.last_mut() {
                section.has_comment = true;
            }
        } else if trimmed.starts_with('[') {
            let section = section(trimmed, at, span)?;
            if sections.iter().any(|s| s.path == section.path) {
                return Err(problem(at, "this section stands twice"));
            }
            sections.push(section);
        } else {
            let item = item(trimmed, at, span)?;
            let Some(section) = sections.last_mut() else {
                return Err(problem(at, "a key stands before the first section"));
            };
            if section.items.iter().any(|other| other.key == item.key) {
                return Err(problem(at, "this key stands twice in its section"));
            }
            section.items.push(item);
        }
    }
    Ok(sections)
}

fn problem(at: usize, message: &str) -> Problem {
    let message = message.to_owned();
    Problem { at, message }
}

/// Reads `[name]`; `at` is where `text` begins.
fn section(text: &str, at: usize, line: Span) -> Result<Section, Problem> {
    if text.starts_with("[[") {
        return Err(problem(at, "sections in sections are not supported"));
    }
    let inside = &text[1..];
    let blanks = inside.len() - inside.trim_start().len();
    let inside = inside.trim_start();
    let begin = at + 1 + blanks;
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let (name, span, rest) = match quote {
        Some(quote) => {
            let Some(end) = inside[1..].find(&format!("{quote}]")[..]) else {
                return Err(problem(
                    at,
                    "the quote or bracket of this section is not closed",
                ));
            };
            let span = Span {
                start: begin,
                end: begin + end + 2,
            };
            (&inside[1..=end], span, &inside[end + 3..])
        }
        None => {
            let Some(end) = inside.find(']') else {
                return Err(problem(at, "the bracket of this section is not closed"));
            };
            let span = Span {
                start: begin,
                end: begin + end,
            };
            (&inside[..end], span, &inside[end + 1..])
        }
    };
    let rest = rest.trim_start();
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err(problem(at, "something stands behind the section"));
    }
    let name = name.trim().to_lowercase();
    if name.is_empty() {
        return Err(problem(at, "this section has no name"));
    }
    let path = match name.split_once('"') {
        Some((word, quoted)) if quoted.ends_with('"') && !word.trim().is_empty() => {
            vec![
                word.trim().to_owned(),
                quoted[..quoted.len() - 1].to_owned(),
            ]
        }
        _ => vec![name],
    };
    Ok(Section {
        path,
        line,
        name: span,
        items: Vec::new(),
        has_comment: false,
    })
}

/// Reads `key = value`; `at` is where `text` begins.
fn item(text: &str, at: usize, line: Span) -> Result<Item, Problem> {
    let (key, key_len) = match text.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let Some(end) = text[1..].find(quote) else {
                return Err(problem(at, "the quote is not closed"));
            };
            (&text[1..=end], end + 2)
        }
        _ => {
            let end = text.find('=').unwrap_or(text.len());
            let key = text[..end].trim_end();
            (key, key.len())
        }
    };
    let rest = &text[key_len..];
    let Some(behind) = rest.trim_start().strip_prefix('=') else {
        return Err(problem(at, "expected `[section]` or `key = value`"));
    };
    let begin = at + text.len() - behind.trim_start().len();
    let (value, len) = value(behind.trim_start()).map_err(|message| problem(begin, message))?;
    let span = |start, len| Span {
        start,
        end: start + len,
    };
    Ok(Item {
        key: key.to_lowercase(),
        key_span: span(at, key_len),
        value,
        value_span: span(begin, len),
        line,
    })
}

/// Reads a value up to a comment; returns how long it is in the text.
fn value(text: &str) -> Result<(Value, usize), &'static str> {
    let mut items = Vec::new();
    let mut rest = text;
    let mut end = 0;
    let mut is_list = false;
    let at = |rest: &str| text.len() - rest.len();
    loop {
        let (item, after) = one(rest)?;
        if let Some(item) = item {
            items.push(item);
            end = at(after);
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => {
                is_list = true;
                end = at(behind);
                rest = behind.trim_start();
            }
            None if rest.is_empty() || rest.starts_with('#') => break,
            None => return Err("something stands behind the closing quote"),
        }
    }
    if is_list {
        return Ok((Value::List(items), end));
    }
    let value = items.pop().unwrap_or(Value::Str(String::new()));
    Ok((value, end))
}

/// Reads one item of a value; `None` where none stands.
fn one(text: &str) -> Result<(Option<Value>, &str), &'static str> {
    for quote in ["'''", "\"\"\"", "'", "\""] {
        let Some(inside) = text.strip_prefix(quote) else {
            continue;
        };
        let Some(end) = inside.find(quote) else {
            return Err(if quote.len() == 3 {
                "a value over several lines is not supported"
            } else {
                "the quote is not closed"
            });
        };
        let item = Value::Str(inside[..end].to_owned());
        return Ok((Some(item), &inside[end + quote.len()..]));
    }
    let end = text.find([',', '#']).unwrap_or(text.len());
    let word = text[..end].trim_end();
    let item = (!word.is_empty()).then(|| plain(word));
    Ok((item, &text[word.len()..]))
}

/// Returns what a word without quotes is.
fn plain(word: &str) -> Value {
    match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match word.parse::<i64>() {
            // `007` is a password, and no seven.
            Ok(number) if number.to_string() == word => Value::Int(number),
            _ => Value::Str(word.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::doc::{Document, Format, KeyPath, edit};

    const WRITTEN: &str = "# ours\n[core]\n    remote = store   # the big one\n    autostage = true\n['remote \"store\"']\n    url = ../../store\n    jobs = 4\n[cache]\ntype = \"reflink,copy\"\n";

    fn document(text: &str) -> Document {
        Document::parse("config", text.to_owned(), Format::Ini).unwrap()
    }

    #[test]
    fn what_dvc_writes_is_read() {
        assert_eq!(
            document(WRITTEN).root.to_string(),
            r#"{"core": {"remote": "store", "autostage": true}, "remote": {"store": {"url": "../../store", "jobs": 4}}, "cache": {"type": "reflink,copy"}}"#
        );
        let odd = "[Core]\nRemote=A\n[remote \"X y\"]\nurl = 's3://b/#p'\nkey = a, 'b c' ,\nnone =\npin = 007 # seven\n";
        assert_eq!(
            document(odd).root.to_string(),
            r#"{"core": {"remote": "A"}, "remote": {"x y": {"url": "s3://b/#p", "key": ["a", "b c"], "none": "", "pin": "007"}}}"#
        );
        assert_eq!(document("").root.to_string(), "{}");
    }

    #[test]
    fn mistakes_have_a_place() {
        #[track_caller]
        fn check(text: &str, at: &str, message: &str) {
            let problem = parse(text).unwrap_err();
            assert!(text[problem.at..].starts_with(at), "{problem:?}");
            assert!(problem.message.contains(message), "{problem:?}");
        }
        check("[core]\n  nonsense\n", "nonsense", "expected");
        check("x = 1\n", "x", "before the first section");
        check("[core\n", "[core", "not closed");
        check("[a]\nb = 'c\n", "'c", "not closed");
        check("[a]\nb = 1\nB = 2\n", "B", "twice");
        check("[a]\n[A]\n", "[A]", "twice");
    }

    #[test]
    fn edits_touch_one_value() {
        let set = |path: &str, value: Value| {
            let edited = edit::set(&document(WRITTEN), &path.parse().unwrap(), &value).unwrap();
            edited.source.text.clone()
        };
        assert_eq!(
            set("core.remote", Value::Str("other".into())),
            WRITTEN.replace("remote = store ", "remote = other ")
        );
        assert_eq!(
            set("remote.store.verify", Value::Bool(true)),
            WRITTEN.replace("jobs = 4\n", "jobs = 4\n    verify = true\n")
        );
        assert_eq!(
            set("remote.new.url", Value::Str("/a,b".into())),
            format!("{WRITTEN}['remote \"new\"']\n    url = \"/a,b\"\n")
        );
        let named = "['remote \"a\"']\n    url = /a\n";
        let text = format!("# ours\n[core]\n    remote = a\n# far\n{named}");
        let wanted = text.replace("# far", "[cache]\n    type = copy\n# far");
        let path = "cache.type".parse().unwrap();
        let edited = edit::set(&document(&text), &path, &Value::Str("copy".into())).unwrap();
        assert_eq!(edited.source.text, wanted);
        let remove = |path: KeyPath| {
            let edited = edit::remove(&document(WRITTEN), &path).unwrap();
            edited.source.text.clone()
        };
        let store = KeyPath::root().key("remote").key("store");
        let section = "['remote \"store\"']\n    url = ../../store\n    jobs = 4\n";
        assert_eq!(remove(store.clone()), WRITTEN.replace(section, ""));
        assert_eq!(
            remove(store.key("jobs")),
            WRITTEN.replace("    jobs = 4\n", "")
        );
        assert_eq!(
            remove("cache.type".parse().unwrap()),
            WRITTEN.replace("[cache]\ntype = \"reflink,copy\"\n", "")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_set_is_read(
            text in "[ a-c=,#'\"\\[\\]\n\té]{0,40}", value in "[ a-c=,#/:é]{0,10}"
        ) {
            let Ok(document) = Document::parse("f", text, Format::Ini) else { return Ok(()) };
            let path = KeyPath::root().key("core").key("remote");
            let value = Value::Str(value);
            if let Ok(edited) = edit::set(&document, &path, &value) {
                prop_assert_eq!(path.get(&edited.root), Some(&value));
            }
        }
    }
}
