//! The place of every value in a document's text. Made when the first message about the document is
//! built, in one pass, and kept: a file with a thousand mistakes is parsed once more, not a thousand
//! times.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

use crate::base::diag::Span;

use super::document::Format;
use super::key_path::Key;

/// Where a value stands, and its key where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The mapping key; `None` for list items and the root.
    pub key: Option<Span>,
    /// The value. For a mapping or list: its first line.
    pub value: Span,
}

/// A key that stands twice in one mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// The key.
    pub(super) key: String,
    /// Where it stands first.
    pub(super) first: Span,
    /// Where it stands again.
    pub(super) second: Span,
}

/// The places of all values of one text.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    root: Option<Place>,
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) located: Located,
    pub(super) inner: Inner,
}

#[derive(Clone, Debug)]
pub(super) enum Inner {
    Nothing,
    Map(BTreeMap<String, Place>),
    List(Vec<Place>),
}

impl Places {
    /// Finds the places of `text`, which is known to follow its grammar.
    pub(super) fn of(text: &str, format: Format) -> Self {
        let root = match format {
            Format::Yaml | Format::Json => YamlReader::new(text).root(),
            Format::Toml => toml_root(text),
            Format::Ini => super::ini::places(text),
            // A message about a program names the key; that is found.
            Format::Python => None,
        };
        Self { root }
    }

    /// Returns the place of the value at `keys`, or `None` if there is no such value (or it came in
    /// through an alias or merge key and has no place of its own).
    pub(super) fn find(&self, keys: &[Key]) -> Option<Located> {
        let mut place = self.root.as_ref()?;
        for key in keys {
            place = match (&place.inner, key) {
                (Inner::Map(entries), Key::Name(name)) => entries.get(name)?,
                (Inner::List(items), Key::Index(index)) => items.get(*index)?,
                _ => return None,
            };
        }
        Some(place.located)
    }
}

/// Returns the first key of a YAML or JSON text that stands twice in its mapping.
pub(super) fn duplicate(text: &str) -> Option<Duplicate> {
    let mut reader = YamlReader::new(text);
    // Only what stands before a syntax error is known; a duplicate key is none.
    let _ = reader.root();
    reader.duplicate
}

/// A cursor over parser events with byte offsets.
struct YamlReader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    text: &'t str,
    /// Byte offset of every character: the parser counts characters.
    offsets: Vec<usize>,
    duplicate: Option<Duplicate>,
    depth: usize,
}

/// Deeper texts are refused by the parsers that give the values (128).
const DEPTH_MAX: usize = 200;

impl<'t> YamlReader<'t> {
    fn new(text: &'t str) -> Self {
        let mut offsets: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
        offsets.push(text.len());
        Self {
            parser: Parser::new_from_str(text),
            text,
            offsets,
            duplicate: None,
            depth: 0,
        }
    }

    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        let (event, span) = self.parser.next_event()?.ok()?;
        let byte = |i: usize| self.offsets.get(i).copied().unwrap_or(self.text.len());
        Some((
            event,
            Span {
                start: byte(span.start.index()),
                end: byte(span.end.index()),
            },
        ))
    }

    fn root(&mut self) -> Option<Place> {
        loop {
            if let (Event::DocumentStart(_), _) = self.next()? {
                break;
            }
        }
        let (event, span) = self.next()?;
        self.place(&event, span, None)
    }

    /// Reads the value that begins with `event`.
    fn place(&mut self, event: &Event<'t>, span: Span, key: Option<Span>) -> Option<Place> {
        let located = Located {
            key,
            value: self.first_line(span, key),
        };
        if DEPTH_MAX < self.depth {
            return None;
        }
        self.depth += 1;
        let inner = match event {
            Event::MappingStart(..) => self.entries()?,
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (item, span) = self.next()?;
                    if matches!(item, Event::SequenceEnd) {
                        break Inner::List(items);
                    }
                    items.push(self.place(&item, span, None)?);
                }
            }
            _ => Inner::Nothing,
        };
        self.depth -= 1;
        Some(Place { located, inner })
    }

    fn entries(&mut self) -> Option<Inner> {
        let mut entries: BTreeMap<String, Place> = BTreeMap::new();
        loop {
            let (key_event, key_span) = self.next()?;
            let name = match &key_event {
                Event::MappingEnd => return Some(Inner::Map(entries)),
                Event::Scalar(text, ..) => Some(text.as_ref().to_owned()),
                _ => {
                    self.place(&key_event, key_span, None)?;
                    None
                }
            };
            let (value_event, value_span) = self.next()?;
            if let Some(first) = name.as_ref().and_then(|name| entries.get(name))
                && self.duplicate.is_none()
            {
                self.duplicate = Some(Duplicate {
                    key: name.clone().unwrap_or_default(),
                    first: first.located.key.unwrap_or(first.located.value),
                    second: key_span,
                });
            }
            let place = self.place(&value_event, value_span, Some(key_span))?;
            if let Some(name) = name {
                entries.entry(name).or_insert(place);
            }
        }
    }

    /// Collections start with an empty span, plain scalars may end in spaces, and an absent value
    /// has none: cut to what a caret can show.
    fn first_line(&self, span: Span, key: Option<Span>) -> Span {
        let rest = &self.text[span.start..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let end = if span.start < span.end {
            span.end.min(span.start + line.len())
        } else {
            span.start + line.len()
        };
        let shown = self.text[span.start..end].trim_end();
        if shown.is_empty() {
            return key.unwrap_or(Span {
                start: span.start,
                end: span.start,
            });
        }
        Span {
            start: span.start,
            end: span.start + shown.len(),
        }
    }
}

fn toml_root(text: &str) -> Option<Place> {
    use toml::de::{DeTable, DeValue};
    fn span(range: std::ops::Range<usize>) -> Span {
        Span {
            start: range.start,
            end: range.end,
        }
    }
    fn table(table: &DeTable<'_>) -> Inner {
        let entries = table.iter().map(|(key, value)| {
            let located = Located {
                key: Some(span(key.span())),
                value: span(value.span()),
            };
            let inner = inner(value.get_ref());
            (key.get_ref().to_string(), Place { located, inner })
        });
        Inner::Map(entries.collect())
    }
    fn inner(value: &DeValue<'_>) -> Inner {
        match value {
            DeValue::Table(inner) => table(inner),
            DeValue::Array(items) => Inner::List(
                items
                    .iter()
                    .map(|item| Place {
                        located: Located {
                            key: None,
                            value: span(item.span()),
                        },
                        inner: inner(item.get_ref()),
                    })
                    .collect(),
            ),
            _ => Inner::Nothing,
        }
    }
    let root = DeTable::parse(text).ok()?;
    let located = Located {
        key: None,
        value: span(root.span()),
    };
    Some(Place {
        located,
        inner: table(root.get_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Document;

    #[track_caller]
    fn check(format: Format, text: &str, path: &str, key: Option<&str>, value: &str) {
        let document = Document::parse("f", text.to_owned(), format).unwrap();
        let located = document.locate(&path.parse().unwrap()).unwrap();
        let slice = |s: Span| &text[s.start..s.end];
        assert_eq!(located.key.map(slice), key);
        assert_eq!(slice(located.value), value);
    }

    #[test]
    fn places_are_exact() {
        let yaml = "# é\nstages:\n  train:\n    deps: [a, 'b c']\n    outs:\n      - x: {cache: no}\n    cmd: run it  # why\n";
        check(
            Format::Yaml,
            yaml,
            "stages.train.cmd",
            Some("cmd"),
            "run it",
        );
        check(Format::Yaml, yaml, "stages.train.deps[1]", None, "'b c'");
        check(
            Format::Yaml,
            yaml,
            "stages.train.outs[0].x.cache",
            Some("cache"),
            "no",
        );
        check(
            Format::Yaml,
            yaml,
            "stages.train",
            Some("train"),
            "deps: [a, 'b c']",
        );
        check(
            Format::Json,
            r#"{"a": {"b": [1, 22]}}"#,
            "a.b[1]",
            None,
            "22",
        );
        check(Format::Toml, "[a]\nb = [1, 22]\n", "a.b[1]", None, "22");
        check(Format::Toml, "[a]\nb = 'x'\n", "a.b", Some("b"), "'x'");
    }
    #[test]
    fn the_first_duplicate_key_is_found() {
        let text = "a: {x: 1, y: 2, x: 3}\nb: 1\nb: 2\n";
        let found = duplicate(text).unwrap();
        assert_eq!((found.key.as_str(), found.first.start), ("x", 4));
        assert_eq!(&text[found.second.start..], "x: 3}\nb: 1\nb: 2\n");
        assert_eq!(duplicate("a: 1\nb: {a: 1}\n"), None);
        assert!(duplicate("{\"a\": 1, \"a\": 2}").is_some());
    }
}
