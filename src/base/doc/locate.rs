//! Finds the place of a `KeyPath` in a document's text. Runs only when a message is built.

use saphyr_parser::{Event, Parser};

use crate::base::diag::Span;

use super::document::{Document, Format};
use super::key_path::{Key, KeyPath};

/// Where a value stands, and its key where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The mapping key; `None` for list items and the root.
    pub key: Option<Span>,
    /// The value. For a mapping or list: its first line.
    pub value: Span,
}

/// Returns the place of `path`, or `None` if there is no such value (or it came in through an alias
/// or merge key and has no place of its own).
pub(super) fn locate(document: &Document, path: &KeyPath) -> Option<Located> {
    let text = &document.source.text;
    match document.format {
        Format::Yaml | Format::Json => YamlFinder::new(text).find(path.keys()),
        Format::Toml => find_toml(text, path.keys()),
    }
}

/// A cursor over parser events with byte offsets.
struct YamlFinder<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    text: &'t str,
    /// Byte offset of every character: the parser counts characters.
    offsets: Vec<usize>,
}

impl<'t> YamlFinder<'t> {
    fn new(text: &'t str) -> Self {
        let mut offsets: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
        offsets.push(text.len());
        Self {
            parser: Parser::new_from_str(text),
            text,
            offsets,
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

    fn find(mut self, keys: &[Key]) -> Option<Located> {
        loop {
            if let (Event::DocumentStart(_), _) = self.next()? {
                break;
            }
        }
        let (event, span) = self.next()?;
        self.descend(&event, span, None, keys)
    }

    fn descend(
        &mut self,
        event: &Event<'t>,
        span: Span,
        key: Option<Span>,
        keys: &[Key],
    ) -> Option<Located> {
        let Some((wanted, rest)) = keys.split_first() else {
            return Some(Located {
                key,
                value: self.first_line(span, key),
            });
        };
        match (event, wanted) {
            (Event::MappingStart(..), Key::Name(name)) => loop {
                let (key_event, key_span) = self.next()?;
                let found = match &key_event {
                    Event::MappingEnd => return None,
                    Event::Scalar(text, ..) => text.as_ref() == name,
                    _ => {
                        self.skip(&key_event)?;
                        false
                    }
                };
                let (value_event, value_span) = self.next()?;
                if found {
                    return self.descend(&value_event, value_span, Some(key_span), rest);
                }
                self.skip(&value_event)?;
            },
            (Event::SequenceStart(..), Key::Index(index)) => {
                let mut at = 0;
                loop {
                    let (item, item_span) = self.next()?;
                    if matches!(item, Event::SequenceEnd) {
                        return None;
                    }
                    if at == *index {
                        return self.descend(&item, item_span, None, rest);
                    }
                    self.skip(&item)?;
                    at += 1;
                }
            }
            _ => None,
        }
    }

    /// Passes over the rest of a value whose first event has been read.
    fn skip(&mut self, first: &Event<'t>) -> Option<()> {
        let mut depth = i32::from(matches!(
            first,
            Event::MappingStart(..) | Event::SequenceStart(..)
        ));
        while 0 < depth {
            match self.next()?.0 {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth -= 1,
                _ => {}
            }
        }
        Some(())
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

fn find_toml(text: &str, keys: &[Key]) -> Option<Located> {
    use toml::de::{DeTable, DeValue};
    let to_span = |r: std::ops::Range<usize>| Span {
        start: r.start,
        end: r.end,
    };
    let table = DeTable::parse(text).ok()?;
    let mut located = Located {
        key: None,
        value: to_span(table.span()),
    };
    let Some((Key::Name(first), rest)) = keys.split_first() else {
        return keys.is_empty().then_some(located);
    };
    let (key, mut value) = table.get_ref().iter().find(|(k, _)| k.get_ref() == first)?;
    located = Located {
        key: Some(to_span(key.span())),
        value: to_span(value.span()),
    };
    for step in rest {
        match (step, value.get_ref()) {
            (Key::Name(name), DeValue::Table(inner)) => {
                let (key, next) = inner.iter().find(|(k, _)| k.get_ref() == name)?;
                located = Located {
                    key: Some(to_span(key.span())),
                    value: to_span(next.span()),
                };
                value = next;
            }
            (Key::Index(index), DeValue::Array(items)) => {
                value = items.get(*index)?;
                located = Located {
                    key: None,
                    value: to_span(value.span()),
                };
            }
            _ => return None,
        }
    }
    Some(located)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
