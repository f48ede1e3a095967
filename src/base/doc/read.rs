//! Typed reading of a document: every problem of a file is collected with its place and reported
//! in one go; a wrong value is replaced by its default so that reading goes on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::base::Error;
use crate::base::diag::{Diagnostic, Span, nearest};

use super::document::Document;
use super::key_path::KeyPath;
use super::value::{Map, Value};

/// Which end of an entry a problem points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The key.
    Key,
    /// The value.
    Value,
}

struct Problem {
    at: KeyPath,
    on: On,
    code: &'static str,
    headline: String,
    label: String,
    help: Option<String>,
}

/// The problems found in one document.
pub struct Problems<'d> {
    document: &'d Document,
    found: RefCell<Vec<Problem>>,
}

impl<'d> Problems<'d> {
    /// Starts reading `document`.
    #[must_use]
    pub fn new(document: &'d Document) -> Self {
        Self {
            document,
            found: RefCell::default(),
        }
    }

    /// Returns the document being read.
    #[must_use]
    pub fn document(&self) -> &'d Document {
        self.document
    }

    /// Opens the mapping at `at`; an absent or empty one reads as a mapping without keys.
    pub fn fields<'p>(&'p self, at: KeyPath) -> Fields<'p, 'd> {
        let map = match at.get(&self.document.root) {
            None | Some(Value::Null) => None,
            Some(Value::Map(map)) => Some(map),
            Some(other) => {
                let what = if at.is_root() {
                    format!("`{}`", self.document.source.name)
                } else {
                    format!("`{at}`")
                };
                self.report(
                    &at,
                    On::Value,
                    "wrong-type",
                    format!("{what} must be a mapping of keys to values"),
                    format!("this is {}", other.kind()),
                    None,
                );
                None
            }
        };
        Fields {
            problems: self,
            at,
            map,
            known: RefCell::default(),
        }
    }

    /// Records a problem.
    pub fn report(
        &self,
        at: &KeyPath,
        on: On,
        code: &'static str,
        headline: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.found.borrow_mut().push(Problem {
            at: at.clone(),
            on,
            code,
            headline: headline.into(),
            label: label.into(),
            help,
        });
    }

    /// Has anything been reported so far?
    #[must_use]
    pub fn any(&self) -> bool {
        !self.found.borrow().is_empty()
    }

    /// Leaves out what was found before at the same place of a text from which several values were
    /// made; `origin` says which place that is.
    #[must_use]
    pub fn once(self, origin: &dyn Fn(&KeyPath) -> KeyPath) -> Self {
        let mut first = BTreeMap::new();
        self.found.borrow_mut().retain(|problem| {
            let place = (origin(&problem.at), problem.code);
            *first.entry(place).or_insert_with(|| problem.at.clone()) == problem.at
        });
        self
    }

    /// Returns `value` if nothing was wrong.
    ///
    /// # Errors
    /// All problems, in the order in which they stand in the file.
    pub fn into_result<T>(self, value: T) -> Result<T, Error> {
        let found = self.found.into_inner();
        if found.is_empty() {
            return Ok(value);
        }
        let source = &self.document.source;
        let mut placed: Vec<(Span, Diagnostic)> = found
            .into_iter()
            .map(|p| {
                let mut diagnostic = Diagnostic::error(p.code, p.headline);
                diagnostic.help = p.help;
                // A missing key has no place of its own: show where it should stand.
                let mut at = p.at.clone();
                let located = loop {
                    match self.document.locate(&at) {
                        Some(located) => break Some(located),
                        None if at.is_root() => break None,
                        None => at = parent(&at),
                    }
                };
                let Some(located) = located else {
                    return (Span { start: 0, end: 0 }, diagnostic);
                };
                let on_key = p.on == On::Key || at != p.at;
                let span = if on_key {
                    located.key.unwrap_or(located.value)
                } else {
                    located.value
                };
                (span, diagnostic.label(source, span, p.label))
            })
            .collect();
        placed.sort_by_key(|(span, _)| *span);
        let problems = placed.into_iter().map(|(_, d)| d).collect();
        Err(Error::Document {
            name: source.name.clone(),
            problems,
        })
    }
}

fn parent(path: &KeyPath) -> KeyPath {
    let keys = path.keys();
    keys[..keys.len().saturating_sub(1)]
        .iter()
        .fold(KeyPath::root(), |p, k| match k {
            super::Key::Name(name) => p.key(name),
            super::Key::Index(i) => p.index(*i),
        })
}

/// One mapping being read. Each reader marks its key as known; `finish` reports the others.
pub struct Fields<'p, 'd> {
    problems: &'p Problems<'d>,
    at: KeyPath,
    map: Option<&'d Map>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'p, 'd> Fields<'p, 'd> {
    /// Returns where this mapping stands.
    #[must_use]
    pub fn at(&self) -> &KeyPath {
        &self.at
    }

    /// Returns the path of `key` in this mapping.
    #[must_use]
    pub fn path(&self, key: &str) -> KeyPath {
        self.at.key(key)
    }

    /// Returns the collector of problems.
    #[must_use]
    pub fn problems(&self) -> &'p Problems<'d> {
        self.problems
    }

    /// Returns the entries in file order.
    pub fn entries(&self) -> impl Iterator<Item = (&'d String, &'d Value)> {
        self.map.into_iter().flatten()
    }

    /// Returns the value of `key`; an explicit null counts as absent.
    pub fn get(&self, key: &'static str) -> Option<&'d Value> {
        self.known.borrow_mut().insert(key);
        self.map
            .and_then(|m| m.get(key))
            .filter(|v| !matches!(v, Value::Null))
    }

    /// Does the file give a value for `key`?
    #[must_use]
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Opens the mapping under `key`; absent reads as empty.
    pub fn section(&self, key: &'static str) -> Fields<'p, 'd> {
        self.known.borrow_mut().insert(key);
        self.problems.fields(self.at.key(key))
    }

    /// Records a problem with `key`.
    pub fn problem(
        &self,
        key: &str,
        on: On,
        code: &'static str,
        headline: impl Into<String>,
        help: Option<String>,
    ) {
        self.problems
            .report(&self.at.key(key), on, code, headline, "", help);
    }

    fn wrong_type(&self, key: &str, expected: &str, got: &Value) {
        let path = self.at.key(key);
        self.problems.report(
            &path,
            On::Value,
            "wrong-type",
            format!("`{path}` must be {expected}"),
            format!("this is {}", got.kind()),
            None,
        );
    }

    fn out_of_range(&self, key: &str, expected: &str) {
        let path = self.at.key(key);
        self.problems.report(
            &path,
            On::Value,
            "out-of-range",
            format!("`{path}` must be {expected}"),
            "out of range",
            None,
        );
    }

    /// Reads `true` or `false`.
    pub fn bool(&self, key: &'static str, default: bool) -> bool {
        match self.get(key) {
            None => default,
            Some(Value::Bool(b)) => *b,
            Some(other) => {
                self.wrong_type(key, "`true` or `false`", other);
                default
            }
        }
    }

    /// Reads a whole number in `range`, `None` when absent.
    pub fn optional_int(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        let value = self.get(key)?;
        let Some(int) = value.as_i64() else {
            self.wrong_type(key, &expected(), value);
            return None;
        };
        match u64::try_from(int) {
            Ok(int) if range.contains(&int) => Some(int),
            _ => {
                self.out_of_range(key, &expected());
                None
            }
        }
    }

    /// Reads a whole number in `range`.
    pub fn int(&self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.optional_int(key, range).unwrap_or(default)
    }

    /// Reads a finite number in `range`, `None` when absent.
    pub fn optional_float(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        let value = self.get(key)?;
        let Some(float) = value.as_f64() else {
            self.wrong_type(key, &expected(), value);
            return None;
        };
        if range.contains(&float) {
            return Some(float);
        }
        self.out_of_range(key, &expected());
        None
    }

    /// Reads a finite number in `range`.
    pub fn float(&self, key: &'static str, default: f64, range: RangeInclusive<f64>) -> f64 {
        self.optional_float(key, range).unwrap_or(default)
    }

    /// Reads a text, `None` when absent.
    pub fn optional_text(&self, key: &'static str) -> Option<&'d str> {
        let value = self.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(key, "a text", value);
        }
        text
    }

    /// Reads a text.
    pub fn text(&self, key: &'static str, default: &str) -> String {
        self.optional_text(key).unwrap_or(default).to_owned()
    }

    /// Reads one of a set of names.
    pub fn choice<T: Copy>(&self, key: &'static str, default: T, names: &[(&str, T)]) -> T {
        let Some(value) = self.get(key) else {
            return default;
        };
        let all = || {
            names
                .iter()
                .map(|(n, _)| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Some(text) = value.as_str() else {
            self.wrong_type(key, &format!("one of {}", all()), value);
            return default;
        };
        if let Some((_, choice)) = names.iter().find(|(name, _)| *name == text) {
            return *choice;
        }
        let path = self.at.key(key);
        let help =
            nearest(text, names.iter().map(|(n, _)| *n)).map(|n| format!("did you mean `{n}`?"));
        self.problems.report(
            &path,
            On::Value,
            "unknown-choice",
            format!("`{path}` must be one of {}", all()),
            "not one of them",
            help,
        );
        default
    }

    /// Reads a list of texts; a single text counts as a list of one.
    pub fn texts(&self, key: &'static str) -> Vec<&'d str> {
        match self.get(key) {
            None => Vec::new(),
            Some(Value::Str(text)) => vec![text],
            Some(Value::List(items)) => {
                let mut texts = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    match item.as_str() {
                        Some(text) => texts.push(text),
                        None => {
                            let path = self.at.key(key).index(i);
                            self.problems.report(
                                &path,
                                On::Value,
                                "wrong-type",
                                format!("`{path}` must be a text"),
                                format!("this is {}", item.kind()),
                                None,
                            );
                        }
                    }
                }
                texts
            }
            Some(other) => {
                self.wrong_type(key, "a list of texts", other);
                Vec::new()
            }
        }
    }

    /// Reports every key that nobody asked for, with the nearest known one.
    pub fn finish(self) {
        self.check_unknown();
    }

    /// Like `finish`, for a mapping that is still borrowed.
    pub fn check_unknown(&self) {
        let known = self.known.borrow();
        for (key, _) in self.map.into_iter().flatten() {
            if known.contains(key.as_str()) {
                continue;
            }
            let place = if self.at.is_root() {
                String::new()
            } else {
                format!(" in `{}`", self.at)
            };
            let help = match nearest(key, known.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!(
                    "known keys: {}",
                    known
                        .iter()
                        .map(|k| format!("`{k}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            self.problems.report(
                &self.at.key(key),
                On::Key,
                "unknown-key",
                format!("unknown key `{key}`{place}"),
                "not a known key",
                Some(help),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;

    #[test]
    fn all_problems_are_reported_in_source_order() {
        let text = "train:\n  epoch: 3\n  lr: fast\n  batch: 0\n  opt: adm\n";
        let document = Document::parse("params.yaml", text.to_owned(), Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let train = problems.fields(KeyPath::root().key("train"));
        assert_eq!(train.int("epochs", 5, 1..=100), 5);
        assert!((train.float("lr", 0.1, 0.0..=1.0) - 0.1).abs() < 1e-12);
        assert_eq!(train.int("batch", 64, 1..=1024), 64);
        assert_eq!(
            train.choice("opt", 'a', &[("adam", 'a'), ("sgd", 's')]),
            'a'
        );
        train.finish();
        let Err(Error::Document { problems, .. }) = problems.into_result(()) else {
            panic!()
        };
        let shown: Vec<_> = problems
            .iter()
            .map(|d| {
                let span = d.labels[0].span;
                (
                    &text[span.start..span.end],
                    d.headline.as_str(),
                    d.help.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "epoch",
                    "unknown key `epoch` in `train`",
                    Some("did you mean `epochs`?")
                ),
                ("fast", "`train.lr` must be a number from 0 to 1", None),
                (
                    "0",
                    "`train.batch` must be a whole number from 1 to 1024",
                    None
                ),
                (
                    "adm",
                    "`train.opt` must be one of `adam`, `sgd`",
                    Some("did you mean `adam`?")
                ),
            ]
        );
    }
}
