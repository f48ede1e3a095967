//! Reads YAML 1.2 into values: one pass over the parser's events, anchors and merge keys resolved,
//! plain scalars as `scalar` says. Every fault knows its place. Imports: `base::doc`.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::scalar::{self, Plain};
use super::value::{Map, Value};

/// Deeper texts are refused: nobody writes them, and reading them could overflow the stack.
const DEPTH_MAX: usize = 128;

/// How many values aliases may add for each event of the text, so that a few lines cannot grow
/// into gigabytes.
const COPIES_PER_EVENT_MAX: usize = 100;

/// Why a text is no YAML document of ours.
#[derive(Debug)]
pub(super) enum Fault {
    /// It breaks the grammar at this character.
    Syntax(usize, String),
    /// It follows the grammar, and says something that cannot be kept.
    Meaning(usize, String),
    /// A key stands twice in one mapping.
    DuplicateKey(String),
}

/// Returns what `text` says; a text without a document is `Null`.
pub(super) fn read(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        depth: 0,
        events: 0,
        copies: 0,
    };
    loop {
        match reader.next()?.0 {
            Event::DocumentStart(_) => break,
            Event::StreamEnd => return Ok(Value::Null),
            _ => {}
        }
    }
    let (event, span) = reader.next()?;
    let root = reader.value(event, span)?;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::DocumentStart(_) => {
                let message = "a second document begins here; a file holds one".to_owned();
                return Err(Fault::Meaning(span.start.index(), message));
            }
            _ => {}
        }
    }
}

/// A key as it was written.
enum KeyOrMerge {
    Key(String),
    Merge,
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// Complete values by the number of their anchor.
    anchors: BTreeMap<usize, Value>,
    depth: usize,
    events: usize,
    copies: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        self.events += 1;
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(e)) => Err(Fault::Syntax(e.marker().index(), e.info().to_owned())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, event: Event<'t>, span: Span) -> Result<Value, Fault> {
        let at = span.start.index();
        if DEPTH_MAX <= self.depth {
            return Err(Fault::Meaning(at, "this is nested too deeply".to_owned()));
        }
        self.depth += 1;
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                let value =
                    scalar_value(text, style, tag.as_deref()).map_err(|m| Fault::Meaning(at, m))?;
                (value, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq").map_err(|m| Fault::Meaning(at, m))?;
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.value(event, span)?);
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map").map_err(|m| Fault::Meaning(at, m))?;
                (self.mapping()?, anchor)
            }
            _ => return Err(Fault::Syntax(at, "expected a value".to_owned())),
        };
        self.depth -= 1;
        if 0 < anchor {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize, at: usize) -> Result<Value, Fault> {
        self.depth -= 1;
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(Fault::Meaning(
                at,
                "this names no complete value".to_owned(),
            ));
        };
        self.copies += size(value);
        if COPIES_PER_EVENT_MAX * self.events < self.copies {
            let message = "aliases repeat too much from here on".to_owned();
            return Err(Fault::Meaning(at, message));
        }
        Ok(value.clone())
    }

    fn mapping(&mut self) -> Result<Value, Fault> {
        let mut own = Map::new();
        let mut merged: Vec<Map> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.key(event, span)?;
            let (event, span) = self.next()?;
            let value = self.value(event, span)?;
            match key {
                KeyOrMerge::Merge => merge_sources(value, &mut merged)
                    .map_err(|m| Fault::Meaning(span.start.index(), m))?,
                KeyOrMerge::Key(key) => {
                    if own.contains_key(&key) {
                        return Err(Fault::DuplicateKey(key));
                    }
                    own.insert(key, value);
                }
            }
        }
        if merged.is_empty() {
            return Ok(Value::Map(own));
        }
        // Earlier sources win over later ones, own keys over all; merged keys come first.
        let mut map = Map::new();
        for source in merged.into_iter().rev() {
            map.extend(source);
        }
        map.extend(own);
        Ok(Value::Map(map))
    }

    fn key(&mut self, event: Event<'t>, span: Span) -> Result<KeyOrMerge, Fault> {
        if let Event::Scalar(text, ScalarStyle::Plain, 0, None) = &event
            && text == "<<"
        {
            return Ok(KeyOrMerge::Merge);
        }
        match self.value(event, span)? {
            Value::Str(text) => Ok(KeyOrMerge::Key(text)),
            Value::Null => Ok(KeyOrMerge::Key("null".to_owned())),
            Value::List(_) | Value::Map(_) => {
                let message = "a key must be a plain text".to_owned();
                Err(Fault::Meaning(span.start.index(), message))
            }
            other => Ok(KeyOrMerge::Key(other.to_string())),
        }
    }
}

/// Adds what `<<` names.
fn merge_sources(value: Value, merged: &mut Vec<Map>) -> Result<(), String> {
    let refuse = |other: &Value| Err(format!("`<<` merges mappings, not {}", other.kind()));
    match value {
        Value::Map(map) => merged.push(map),
        Value::List(items) => {
            for item in items {
                match item {
                    Value::Map(map) => merged.push(map),
                    other => return refuse(&other),
                }
            }
        }
        other => return refuse(&other),
    }
    Ok(())
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// Returns the last word of a tag of YAML itself (`!!int`); `!` alone means a text.
fn core_tag(tag: &Tag) -> Option<&str> {
    if tag.is_yaml_core_schema() {
        return Some(&tag.suffix);
    }
    let name = tag.to_string();
    (name == "!" || name == "!!").then_some("str")
}

fn unsupported(tag: &Tag) -> String {
    format!("YAML tags (`!name`) are not supported: `{tag}`")
}

fn check_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if core_tag(tag) != Some(expected) => Err(unsupported(tag)),
        _ => Ok(()),
    }
}

fn scalar_value(
    text: std::borrow::Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Result<Value, String> {
    let is_plain = style == ScalarStyle::Plain;
    let plain = match tag {
        None if !is_plain => Plain::Str,
        None => scalar::resolve(&text),
        Some(tag) => match (core_tag(tag), scalar::resolve(&text)) {
            (Some("str"), _) => Plain::Str,
            (Some("null"), Plain::Null) => Plain::Null,
            (Some("bool"), value @ Plain::Bool(_)) => value,
            (Some("int"), value @ (Plain::Int(_) | Plain::UInt(_) | Plain::TooLarge)) => value,
            (Some("float"), value @ Plain::Float(_)) => value,
            (Some("float"), Plain::Int(n)) => Plain::Float(n as f64),
            (Some("float"), Plain::UInt(n)) => Plain::Float(n as f64),
            (Some(kind @ ("null" | "bool" | "int" | "float")), _) => {
                return Err(format!("`{text}` is no `!!{kind}`"));
            }
            _ => return Err(unsupported(tag)),
        },
    };
    Ok(match plain {
        Plain::Null => Value::Null,
        Plain::Bool(b) => Value::Bool(b),
        Plain::Int(i) => Value::Int(i),
        Plain::UInt(u) => Value::UInt(u),
        Plain::Float(x) => Value::Float(x),
        Plain::Str => Value::Str(text.into_owned()),
        Plain::TooLarge => {
            return Err(format!(
                "`{text}` is beyond 64 bits; write it as a text in quotes"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        match read(text) {
            Ok(value) => assert_eq!(value.to_string(), expected),
            Err(Fault::Syntax(at, message) | Fault::Meaning(at, message)) => {
                assert_eq!(format!("{at}: {message}"), expected);
            }
            Err(Fault::DuplicateKey(key)) => assert_eq!(format!("twice: {key}"), expected),
        }
    }

    #[test]
    fn scalars_anchors_and_merges() {
        check(
            "a: yes\nb: 017\nc: 'x'\nd: 2024-01-02\ne:\n",
            r#"{"a": "yes", "b": 17, "c": "x", "d": "2024-01-02", "e": null}"#,
        );
        check("a: &x [1, 2]\nb: *x\n", r#"{"a": [1, 2], "b": [1, 2]}"#);
        check(
            "b: &b {x: 1, y: 2}\nc: &c {y: 4, z: 5}\nm:\n  w: 0\n  <<: [*b, *c]\n  x: 3\n",
            r#"{"b": {"x": 1, "y": 2}, "c": {"y": 4, "z": 5}, "m": {"y": 2, "z": 5, "x": 3, "w": 0}}"#,
        );
        check(
            "'<<': 1\n0x10: a\ntrue: b\n~: c\n",
            r#"{"<<": 1, "16": "a", "true": "b", "null": "c"}"#,
        );
        check(
            "a: !!str 1\nb: !!float 2\nc: !!int '3'\n",
            r#"{"a": "1", "b": 2.0, "c": 3}"#,
        );
        check("", "null");
        check("---\na: 1\n...\n", r#"{"a": 1}"#);
    }

    #[test]
    fn faults_have_places() {
        check("a: 1\nb: {a: 1, a: 2}\n", "twice: a");
        check(
            "a: !x 1\n",
            "3: YAML tags (`!name`) are not supported: `!x`",
        );
        check(
            "a: 123456789012345678901\n",
            "3: `123456789012345678901` is beyond 64 bits; write it as a text in quotes",
        );
        check(
            "a: 1\n---\nb: 1\n",
            "5: a second document begins here; a file holds one",
        );
        check("<<: 1\n", "4: `<<` merges mappings, not a whole number");
        let deep = "[".repeat(500);
        assert!(read(&deep).is_err());
        let bomb: String = (0..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
            format!("{text}a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1)
        });
        assert!(matches!(read(&bomb), Err(Fault::Meaning(..))));
    }
}
