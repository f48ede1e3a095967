//! Writes YAML byte for byte as DVC does (its library is ruamel.yaml): block style, indented by two,
//! lists at their key's column, long lines folded at 80 columns.
//!
//! Why to the byte: both tools write the same lock files, and a team that uses both must not see
//! differences that nobody made. This page is the layout of collections, `scalar` how a scalar is
//! quoted and folded. Imports: `base::doc`.

mod scalar;

use std::collections::BTreeMap;

use super::python;
use super::value::Value;

/// A line is folded at the first blank behind this column.
const COLUMNS_MAX: usize = 80;

/// Keys from this length on are written in the explicit form, `? key`: YAML's 128, less the tag
/// `!!str` that ruamel.yaml counts with it.
const SIMPLE_KEY_CHARS_MAX: usize = 123;

/// How a key is written that would read as something else than a text (`0`, `true`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// It is a text, so it is quoted.
    Text,
    /// It is a number or a truth value, so it is not.
    Scalar,
}

/// A value that stands in several places is written once, and named in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Written here, under this number.
    Anchor(usize),
    /// The value of this number again.
    Alias(usize),
}

/// What the values alone do not say.
pub struct Hints<'h> {
    /// Says, from the keys down to it, what a key is that does not read as a text.
    pub key_kind: &'h dyn Fn(&[&str]) -> KeyKind,
    /// Which values (by their address in the root) are the same.
    pub links: BTreeMap<*const Value, Link>,
}

/// Returns `root` as DVC would write it, every key a text.
#[must_use]
pub fn to_yaml(root: &Value) -> String {
    let hints = Hints {
        key_kind: &|_| KeyKind::Text,
        links: BTreeMap::new(),
    };
    to_yaml_with(root, &hints)
}

/// Returns `root` as DVC would write it.
#[must_use]
pub fn to_yaml_with(root: &Value, hints: &Hints<'_>) -> String {
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        indent: None,
        columns_max: COLUMNS_MAX,
        after_blank: true,
        only_indicators: true,
        path: Vec::new(),
        hints,
    };
    emitter.node(root, Within::Nothing);
    emitter.indent = None;
    emitter.break_to_indent();
    emitter.out
}

/// What a node stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Nothing,
    List,
    Map,
}

/// A text under construction and where its end stands.
struct Emitter<'v, 'h> {
    out: String,
    /// Characters in the last line.
    column: usize,
    /// The indentation of the innermost collection; `None` outside of any.
    indent: Option<usize>,
    /// Behind this column a line is folded.
    columns_max: usize,
    /// Is the last character a blank (or a line break)?
    after_blank: bool,
    /// Does the last line hold nothing but blanks and `-`, `?`, `:` so far?
    only_indicators: bool,
    path: Vec<&'v str>,
    hints: &'h Hints<'h>,
}

impl<'v> Emitter<'v, '_> {
    fn node(&mut self, value: &'v Value, within: Within) {
        match self.hints.links.get(&std::ptr::from_ref(value)) {
            Some(Link::Alias(n)) => {
                self.indicator(&format!("*id{n:03}"), Blank::Before, Opens::No);
                return;
            }
            Some(Link::Anchor(n)) => {
                self.indicator(&format!("&id{n:03}"), Blank::Before, Opens::No);
            }
            None => {}
        }
        match value {
            Value::List(items) if items.is_empty() => self.empty("[", "]"),
            Value::Map(map) if map.is_empty() => self.empty("{", "}"),
            Value::List(items) => {
                let outer = self.indent;
                // A list stands at the column of its key.
                let at_key = within == Within::Map && !self.only_indicators;
                self.indent = Some(match outer {
                    None => 0,
                    Some(column) if at_key => column,
                    Some(column) => column + 2,
                });
                for item in items {
                    self.break_to_indent();
                    self.indicator("-", Blank::Before, Opens::Yes);
                    self.node(item, Within::List);
                }
                self.indent = outer;
            }
            Value::Map(map) => {
                let outer = self.indent;
                self.indent = Some(outer.map_or(0, |column| column + 2));
                for (key, value) in map {
                    self.path.push(key);
                    self.entry(key, value);
                    self.path.pop();
                }
                self.indent = outer;
            }
            Value::Null => self.scalar("", Kind::Other, within),
            Value::Bool(true) => self.scalar("true", Kind::Other, within),
            Value::Bool(false) => self.scalar("false", Kind::Other, within),
            Value::Int(i) => self.scalar(&i.to_string(), Kind::Other, within),
            Value::UInt(u) => self.scalar(&u.to_string(), Kind::Other, within),
            Value::Float(x) => self.scalar(&float(*x), Kind::Other, within),
            Value::Str(text) => self.scalar(text, Kind::Text, within),
        }
    }

    fn entry(&mut self, key: &'v str, value: &'v Value) {
        self.break_to_indent();
        let kind = if super::scalar::is_text(key) {
            Kind::Text
        } else {
            match (self.hints.key_kind)(&self.path) {
                KeyKind::Text => Kind::Text,
                KeyKind::Scalar => Kind::Other,
            }
        };
        if scalar::is_one_line(key) && key.chars().count() < SIMPLE_KEY_CHARS_MAX {
            self.any_scalar(key, kind, scalar::Place::SimpleKey);
            self.indicator(":", Blank::No, Opens::No);
        } else {
            self.indicator("?", Blank::Before, Opens::Yes);
            self.any_scalar(key, kind, scalar::Place::Value);
            self.break_to_indent();
            self.indicator(":", Blank::Before, Opens::Yes);
        }
        self.node(value, Within::Map);
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.indicator(open, Blank::Before, Opens::No);
        self.indicator(close, Blank::No, Opens::No);
        self.line_break('\n');
    }

    fn scalar(&mut self, text: &str, kind: Kind, within: Within) {
        if within == Within::List {
            let outer = self.indent;
            self.indent = outer.map(|column| column + 2);
            self.break_to_indent();
            self.indent = outer;
        }
        self.any_scalar(text, kind, scalar::Place::Value);
    }

    /// Writes punctuation.
    fn indicator(&mut self, text: &str, blank: Blank, opens: Opens) {
        if blank == Blank::Before && !self.after_blank {
            self.text(" ");
        }
        self.text(text);
        self.after_blank = false;
        self.only_indicators = self.only_indicators && opens == Opens::Yes;
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    /// Goes to the indentation: on this line if that is still possible, else on a new one.
    fn break_to_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        let is_behind = indent < self.column || (indent == self.column && !self.after_blank);
        if !self.only_indicators || is_behind {
            self.line_break('\n');
        }
        if self.column < indent {
            self.after_blank = true;
            self.text(&" ".repeat(indent - self.column));
        }
    }

    fn line_break(&mut self, with: char) {
        self.out.push(with);
        self.column = 0;
        self.after_blank = true;
        self.only_indicators = true;
    }
}

/// Does punctuation need a blank in front of it?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blank {
    Before,
    No,
}

/// May a collection begin on the same line behind this punctuation?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opens {
    Yes,
    No,
}

/// What a scalar's text stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Other,
}

fn float(x: f64) -> String {
    if x.is_nan() {
        ".nan".to_owned()
    } else if x.is_infinite() {
        if x < 0.0 { "-.inf" } else { ".inf" }.to_owned()
    } else {
        python::float(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format};
    use proptest::prelude::*;

    fn parse(text: &str) -> Value {
        let document = Document::parse("f", text.to_owned(), Format::Yaml);
        document.map_or_else(|e| panic!("{e}: {text:?}"), |d| d.root)
    }

    /// `golden.jsonl` holds texts that DVC wrote, and their values as its JSON.
    #[test]
    fn texts_of_dvc_are_read_and_written_to_the_byte() {
        let mut wrong = Vec::new();
        for line in include_str!("golden.jsonl").lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let (json, yaml) = (
                case["json"].as_str().unwrap(),
                case["yaml"].as_str().unwrap(),
            );
            let value = parse(yaml);
            if python::json(&value, python::Keys::AsTheyStand) != json || to_yaml(&value) != yaml {
                wrong.push(format!("{json}\n{yaml}\n{}", to_yaml(&value)));
            }
        }
        assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n\n"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(texts in proptest::collection::vec("[ -~é\n\t]{0,60}( [a-z:'\"#]{0,30}){0,8}", 1..4)) {
            let list = Value::List(texts.iter().cloned().map(Value::Str).collect());
            let map = texts.iter().map(|t| (t.chars().take(9).collect(), list.clone())).collect();
            let root = Value::Map(map);
            prop_assert_eq!(parse(&to_yaml(&root)), root);
        }
    }
}
