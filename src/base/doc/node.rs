//! A YAML or JSON text as a tree of places, for edits. Built only when a file is edited.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::base::diag::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From the value's first character (anchors and tags left out) to the end of its last visible
    /// one. Of an empty value: nothing, at no useful place.
    pub(super) span: Span,
    pub(super) shape: Shape,
}

/// What a value looks like in the text.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Nothing after the key or dash.
    Empty,
    Scalar(Quotes),
    /// `*name`: its value stands elsewhere.
    Alias,
    Map(Layout, Vec<Entry>),
    List(Layout, Vec<Node>),
}

/// How a scalar is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    None,
    Single,
    Double,
    /// `|` or `>`: lines of its own.
    Block,
}

/// How a collection is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `{…}` or `[…]`.
    Flow,
    /// One line for each entry.
    Block,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Span,
    /// `None`: the key is no plain text.
    pub(super) name: Option<String>,
    pub(super) value: Node,
    /// Where the entry ends: behind its value, or behind its colon.
    pub(super) end: usize,
}

/// Returns the tree of the first document in `text`; `None` if there is none.
pub(super) fn tree(text: &str) -> Option<Node> {
    let mut offsets: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
    offsets.push(text.len());
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        text,
        offsets,
    };
    loop {
        match builder.next()?.0 {
            Event::DocumentStart(_) => break,
            Event::StreamEnd => return None,
            _ => {}
        }
    }
    let (event, span) = builder.next()?;
    builder.node(&event, span)
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    /// Byte offset of every character: the parser counts characters.
    offsets: Vec<usize>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        let (event, span) = self.parser.next_event()?.ok()?;
        let byte = |i: usize| self.offsets.get(i).copied().unwrap_or(self.text.len());
        let (start, end) = (byte(span.start.index()), byte(span.end.index()));
        Some((event, Span { start, end }))
    }

    fn node(&mut self, event: &Event<'t>, span: Span) -> Option<Node> {
        let (shape, span) = match event {
            Event::Alias(_) => (Shape::Alias, span),
            Event::Scalar(text, style, anchor, tag) => {
                let quotes = match style {
                    ScalarStyle::Plain => Quotes::None,
                    ScalarStyle::SingleQuoted => Quotes::Single,
                    ScalarStyle::DoubleQuoted => Quotes::Double,
                    ScalarStyle::Literal | ScalarStyle::Folded => Quotes::Block,
                };
                let properties = usize::from(0 < *anchor) + usize::from(tag.is_some());
                let span = self.bare(span, properties, quotes);
                let is_empty = text.is_empty() && quotes == Quotes::None;
                let shape = if is_empty {
                    Shape::Empty
                } else {
                    Shape::Scalar(quotes)
                };
                (shape, span)
            }
            Event::MappingStart(..) => {
                let mut end = span.end;
                let mut entries = Vec::new();
                loop {
                    let (key_event, key_span) = self.next()?;
                    if matches!(key_event, Event::MappingEnd) {
                        end = self.end(span, end, key_span);
                        break;
                    }
                    let key = self.node(&key_event, key_span)?;
                    let (value_event, value_span) = self.next()?;
                    let value = self.node(&value_event, value_span)?;
                    let entry_end = match value.shape {
                        Shape::Empty => colon_after(self.text, key.span.end),
                        _ => Some(value.span.end),
                    }
                    .unwrap_or(key.span.end);
                    end = entry_end.max(end);
                    let name = match &key_event {
                        Event::Scalar(text, ..) => Some(text.to_string()),
                        _ => None,
                    };
                    entries.push(Entry {
                        key: key.span,
                        name,
                        value,
                        end: entry_end,
                    });
                }
                let start = match (self.layout(span), entries.first()) {
                    (Layout::Block, Some(first)) => first.key.start,
                    _ => span.end.saturating_sub(1),
                };
                (Shape::Map(self.layout(span), entries), Span { start, end })
            }
            Event::SequenceStart(..) => {
                let mut end = span.end;
                let mut items = Vec::new();
                loop {
                    let (item_event, item_span) = self.next()?;
                    if matches!(item_event, Event::SequenceEnd) {
                        end = self.end(span, end, item_span);
                        break;
                    }
                    let item = self.node(&item_event, item_span)?;
                    if !matches!(item.shape, Shape::Empty) {
                        end = item.span.end.max(end);
                    }
                    items.push(item);
                }
                let start = self.list_start(span);
                (Shape::List(self.layout(span), items), Span { start, end })
            }
            _ => return None,
        };
        Some(Node { span, shape })
    }

    /// The start event of a flow collection ends with its bracket.
    fn layout(&self, start: Span) -> Layout {
        let is_flow = start.start < start.end && self.text[..start.end].ends_with(['{', '[']);
        if is_flow { Layout::Flow } else { Layout::Block }
    }

    /// Returns the place of a list's bracket or first dash. The start event of a block list stands
    /// at the dash, or (where the list is not indented) at the first item.
    fn list_start(&self, start: Span) -> usize {
        let before = self.text[..start.end].trim_end();
        let stands_at_dash = self.text[start.end..].starts_with('-')
            && self.text[start.end + 1..].starts_with(char::is_whitespace);
        match self.layout(start) {
            Layout::Flow => start.end - 1,
            Layout::Block if stands_at_dash => start.end,
            Layout::Block if before.ends_with('-') => before.len() - 1,
            Layout::Block => start.end,
        }
    }

    /// Returns the place of the `|` or `>` of a block scalar whose lines begin at `from`.
    fn block_start(&self, from: usize) -> Option<usize> {
        let before = self.text[..from].trim_end();
        let line = before.rfind('\n').map_or(0, |i| i + 1);
        let head = &before[line..];
        let head = &head[..head.find(" #").unwrap_or(head.len())];
        head.rfind(['|', '>']).map(|i| line + i)
    }

    /// Returns the end of a collection: its bracket, or the end of its last content. The end event
    /// of a block stands where the next thing begins.
    fn end(&self, start: Span, content: usize, end: Span) -> usize {
        match self.layout(start) {
            Layout::Flow => end.end,
            Layout::Block => content,
        }
    }

    /// Drops anchors and tags in front of a scalar, and blanks and comments behind it.
    fn bare(&self, span: Span, properties: usize, quotes: Quotes) -> Span {
        let mut start = span.start;
        for _ in 0..properties {
            let rest = &self.text[start..span.end];
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let blanks = rest[word..].len() - rest[word..].trim_start().len();
            start += word + blanks;
        }
        let text = &self.text[start..span.end.max(start)];
        let length = match quotes {
            Quotes::None | Quotes::Block => text.trim_end().len(),
            Quotes::Single => closing_quote(text, '\'').unwrap_or(text.len()),
            Quotes::Double => closing_quote(text, '"').unwrap_or(text.len()),
        };
        let end = start + length;
        match quotes {
            Quotes::Block => Span {
                start: self.block_start(start).unwrap_or(start),
                end,
            },
            Quotes::None | Quotes::Single | Quotes::Double => Span { start, end },
        }
    }
}

/// Returns the length of the quoted text that `text` begins with.
fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let escapes = match quote {
            '"' => c == '\\',
            _ => c == quote && chars.peek().is_some_and(|(_, next)| *next == quote),
        };
        if escapes {
            chars.next();
        } else if c == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

/// Returns the place behind the colon of a key that ends at `from`.
pub(super) fn colon_after(text: &str, from: usize) -> Option<usize> {
    let rest = &text[from..];
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blanks..].starts_with(':').then_some(from + blanks + 1)
}
