//! Replaces the `${…}` of values, wherever they stand inside lists and mappings, and keeps book of
//! mapping keys that changed their names by it. Imports: base, project, names,
//! expression, found, text.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::base::doc::{KeyPath, Map, On, Value};
use crate::project::Parsing;

use super::expression::{self, Expression, OPEN, expressions};
use super::found::Found;
use super::names::Names;
use super::text;

/// Options that DVC wants as plain `true` or `false`.
const FLAGS: [&str; 5] = ["cache", "persist", "push", "checkpoint", "header"];

/// The way to a value: in the text, and in what is made of it. Paths are put together only when one
/// is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'w> {
    /// Where the walk began.
    Start {
        /// In the text.
        from: &'w KeyPath,
        /// In what is made of it.
        to: &'w KeyPath,
    },
    /// A mapping's key.
    Key {
        up: &'w Way<'w>,
        from: &'w str,
        to: &'w str,
    },
    /// A list's position.
    Index { up: &'w Way<'w>, index: usize },
}

impl Way<'_> {
    /// Returns the path in the text.
    pub(super) fn from(&self) -> KeyPath {
        match self {
            Self::Start { from, .. } => (*from).clone(),
            Self::Key { up, from, .. } => up.from().key(from),
            Self::Index { up, index } => up.from().index(*index),
        }
    }

    /// Returns the path in what is made of it.
    pub(super) fn to(&self) -> KeyPath {
        match self {
            Self::Start { to, .. } => (*to).clone(),
            Self::Key { up, to, .. } => up.to().key(to),
            Self::Index { up, index } => up.to().index(*index),
        }
    }
}

/// What may stand in a place, after DVC's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A command: plain values become text, a mapping becomes options.
    Command,
    /// Text: plain values become text.
    Text,
    /// Any plain value.
    Plain,
    /// Anything, where it is the whole value.
    Free,
}

impl Field {
    /// Returns the rule for a key of a stage.
    pub(super) fn of_stage(key: &str) -> Self {
        match key {
            "cmd" => Self::Command,
            "desc" | "wdir" | "deps" | "outs" | "metrics" | "plots" | "params" | "env" => {
                Self::Text
            }
            _ => Self::Plain,
        }
    }
}

/// One walk: the names that count, and where findings go.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) names: Names<'a>,
    pub(super) parsing: Parsing,
    pub(super) found: &'a Found<'a>,
    /// See `Document::derived`.
    pub(super) made_from: &'a RefCell<BTreeMap<KeyPath, KeyPath>>,
    /// The stage that is being made, when there are several of one text.
    pub(super) stage: Option<&'a str>,
}

impl Walk<'_> {
    /// Returns `value` with its expressions replaced; what cannot be replaced stays and is reported.
    pub(super) fn value(&self, value: &Value, way: &Way<'_>, field: Field) -> Value {
        match value {
            Value::Str(text) if text.contains(OPEN) => self
                .text(text, way, On::Value, field)
                .unwrap_or_else(|| value.clone()),
            Value::List(items) => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    let way = Way::Index { up: way, index };
                    self.value(item, &way, field)
                });
                Value::List(items.collect())
            }
            Value::Map(map) => Value::Map(self.map(map, way, field)),
            plain => plain.clone(),
        }
    }

    fn map(&self, map: &Map, way: &Way<'_>, field: Field) -> Map {
        let mut made = Map::with_capacity(map.len());
        for (key, value) in map {
            let name = self.name(key, way, field);
            let inside = Way::Key {
                up: way,
                from: key,
                to: &name,
            };
            if name != *key {
                let (to, from) = (inside.to(), inside.from());
                self.made_from.borrow_mut().insert(to, from);
            }
            if field == Field::Text
                && FLAGS.contains(&key.as_str())
                && let Some(text) = value.as_str()
                && let Some(first) = expressions(text).first()
            {
                self.found
                    .no_expression_in(&inside.from(), On::Value, first.text, key);
                continue;
            }
            let value = self.value(value, &inside, field);
            if made.insert(name.clone(), value).is_some() {
                let headline = format!("`{name}` is listed twice");
                let help =
                    format!("`{key}` says `{name}` as well as another key: drop one of the two");
                let report = (On::Key, "listed-twice", headline, Some(help));
                self.found.report(&inside.from(), key, report, self.stage);
            }
        }
        made
    }

    /// Returns a mapping's key with its expressions replaced.
    fn name(&self, key: &str, way: &Way<'_>, field: Field) -> String {
        if !key.contains(OPEN) {
            return key.to_owned();
        }
        let inside = Way::Key {
            up: way,
            from: key,
            to: key,
        };
        let field = if field == Field::Free {
            Field::Plain
        } else {
            field
        };
        let value = self.text(key, &inside, On::Key, field);
        let name = value.and_then(|value| text::plain(&value));
        name.unwrap_or_else(|| key.to_owned())
    }

    /// Returns what a text with expressions stands for; `None` after something was reported.
    pub(super) fn text(&self, text: &str, way: &Way<'_>, on: On, field: Field) -> Option<Value> {
        let found = expressions(text);
        if let [only] = found.as_slice()
            && only.text == text
        {
            let value = self.select(only, way, on, field)?;
            return match (field, value, text::plain(value)) {
                (Field::Command, Value::Map(_), _) => {
                    self.options(only, value, way).map(Value::Str)
                }
                (Field::Command | Field::Text, _, Some(text)) => Some(Value::Str(text)),
                (Field::Plain, _, Some(_)) | (Field::Free, ..) => Some(value.clone()),
                (_, value, None) => {
                    self.no_text(only, value, way, on);
                    None
                }
            };
        }
        let mut whole = Some(String::with_capacity(text.len()));
        let mut at = 0;
        for expression in &found {
            // All expressions are looked at, so that all that is wrong is told of.
            let value = self.in_text(expression, way, on, field);
            if let (Some(made), Some(value)) = (&mut whole, &value) {
                *made += &text[at..expression.range().start];
                *made += value;
            } else {
                whole = None;
            }
            at = expression.range().end;
        }
        let mut whole = whole?;
        whole += &text[at..];
        Some(Value::Str(expression::unescape(&whole)))
    }

    /// Returns what an expression becomes between other words.
    fn in_text(
        &self,
        expression: &Expression<'_>,
        way: &Way<'_>,
        on: On,
        field: Field,
    ) -> Option<String> {
        let value = self.select(expression, way, on, field)?;
        if let Some(text) = text::plain(value) {
            return Some(text);
        }
        if field == Field::Command && matches!(value, Value::Map(_)) {
            return self.options(expression, value, way);
        }
        self.no_text(expression, value, way, on);
        None
    }

    fn options(&self, expression: &Expression<'_>, value: &Value, way: &Way<'_>) -> Option<String> {
        text::options(value, self.parsing)
            .map_err(|nested| {
                let headline = format!(
                    "`{}` cannot be written as options: `{}` holds a list of lists or mappings",
                    expression.text, nested.key
                );
                let report = (On::Value, "nested-list", headline, None);
                self.found
                    .report(&way.from(), expression.text, report, self.stage);
            })
            .ok()
    }

    fn select(
        &self,
        expression: &Expression<'_>,
        way: &Way<'_>,
        on: On,
        field: Field,
    ) -> Option<&Value> {
        let report = match expression::steps(expression.inner) {
            Ok(steps) => match self.names.select(&steps) {
                Ok(value) => return Some(value),
                Err(help) => {
                    let headline = format!("`{}` is not defined", expression.inner.trim());
                    // In a command it may be meant for the shell, unless it is nearly a known name.
                    let help = if field == Field::Command && !help.ends_with('?') {
                        format!(
                            "{help}; to leave it to the shell, write `\\{}`",
                            expression.text
                        )
                    } else {
                        help
                    };
                    (on, "undefined", headline, Some(help))
                }
            },
            Err(why) => {
                let headline = format!("`{}` is no expression: {why}", expression.text);
                let help = format!("to mean the text itself, write `\\{}`", expression.text);
                (on, "bad-expression", headline, Some(help))
            }
        };
        self.found
            .report(&way.from(), expression.text, report, self.stage);
        None
    }

    fn no_text(&self, expression: &Expression<'_>, value: &Value, way: &Way<'_>, on: On) {
        let headline = format!(
            "`{}` is {}, where a text must stand",
            expression.text,
            value.kind()
        );
        let inner = expression.inner.trim();
        let help = match value {
            Value::List(items) if !items.is_empty() => {
                Some(format!("name one of its items, such as `${{{inner}[0]}}`"))
            }
            Value::Map(map) => map
                .first()
                .map(|(key, _)| format!("name one of its keys, such as `${{{inner}.{key}}}`; a whole mapping may stand in `cmd` only, as options")),
            _ => None,
        };
        let report = (on, "no-text", headline, help);
        self.found
            .report(&way.from(), expression.text, report, self.stage);
    }
}
