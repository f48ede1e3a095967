//! `foreach` and `matrix`: for what, and under which names, a stage is made. Imports: base, names,
//! found, text, walk.

use crate::base::doc::{KeyPath, Map, On, Value};

use super::found::Found;
use super::names::{ITEM, KEY};
use super::text;
use super::walk::{Field, Walk, Way};

/// No text makes more stages than this: a slip in a `matrix` is a message, not an hour of work.
const STAGES_MAX: usize = 100_000;

/// What one stage of a group is made for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    /// What follows `@` in its name.
    pub(super) suffix: String,
    /// What `item` stands for.
    pub(super) item: Value,
    /// What `key` stands for, where it stands for something.
    pub(super) key: Option<Value>,
}

/// How a stage is declared.
pub(super) enum Declared<'d> {
    /// Once.
    Plain,
    /// `foreach`, with its data and the text below `do`.
    Foreach(&'d Value, &'d Map),
    /// `matrix`, with its axes.
    Matrix(&'d Value),
    /// Wrongly; it is reported.
    Broken,
}

impl<'d> Declared<'d> {
    /// Finds out how the stage at `at` is declared.
    pub(super) fn of(definition: &'d Map, at: &KeyPath, found: &Found<'_>) -> Self {
        let report = |place: &KeyPath, on, code, headline: String, help: &str| {
            found.report(place, "", (on, code, headline, Some(help.to_owned())), None);
        };
        let foreach = definition.get("foreach");
        let body = definition.get("do");
        if foreach.is_none() && body.is_none() {
            return definition.get("matrix").map_or(Self::Plain, Self::Matrix);
        }
        let mut is_broken = false;
        for (key, other) in [("foreach", "do"), ("do", "foreach")] {
            if !definition.contains_key(key) {
                let headline = format!("`{at}` has `{other}` but no `{key}`");
                let help = "`foreach` says for what stages are made, and `do` holds their text";
                report(at, On::Key, "missing-key", headline, help);
                is_broken = true;
            }
        }
        // Without `do`, the others are what it should hold.
        for key in definition
            .keys()
            .filter(|key| body.is_some() && !["foreach", "do"].contains(&key.as_str()))
        {
            let headline = format!("`{key}` cannot stand beside `foreach` in `{at}`");
            report(
                &at.key(key),
                On::Key,
                "unknown-key",
                headline,
                "move it below `do`",
            );
            is_broken = true;
        }
        let body = match body {
            Some(Value::Map(body)) => body,
            Some(other) => {
                let place = at.key("do");
                let headline = format!("`{place}` must be a mapping, not {}", other.kind());
                report(
                    &place,
                    On::Value,
                    "wrong-type",
                    headline,
                    "it holds `cmd` and the other keys of a stage",
                );
                return Self::Broken;
            }
            None => return Self::Broken,
        };
        for key in ["foreach", "do", "matrix"] {
            if body.contains_key(key) {
                let headline = format!("`{key}` cannot stand below `do`");
                let place = at.key("do").key(key);
                report(
                    &place,
                    On::Key,
                    "unknown-key",
                    headline,
                    "use `matrix` to go over several things at once",
                );
                is_broken = true;
            }
        }
        match (foreach, is_broken) {
            (Some(data), false) => Self::Foreach(data, body),
            _ => Self::Broken,
        }
    }
}

/// Returns what the stages of a `foreach` are made for, in order. Equal names are one stage.
pub(super) fn foreach(walk: &Walk<'_>, data: &Value, at: &KeyPath) -> Option<Vec<Made>> {
    let way = Way::Start { from: at, to: at };
    let made: Vec<Made> = match resolved(walk, data, &way)? {
        Value::Map(map) => map
            .into_iter()
            .map(|(key, item)| Made {
                key: Some(Value::Str(key.clone())),
                suffix: key,
                item,
            })
            .collect(),
        Value::List(items) => {
            let by_position = items.iter().any(|item| text::plain(item).is_none());
            let name = |i: usize, item: &Value| match text::plain(item) {
                Some(text) if !by_position => text,
                _ => i.to_string(),
            };
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| Made {
                    suffix: name(i, &item),
                    item,
                    key: None,
                })
                .collect()
        }
        other => {
            let headline = format!("`{at}` must be a list or a mapping, not {}", other.kind());
            let report = (On::Value, "wrong-type", headline, None);
            walk.found.report(at, "", report, None);
            return None;
        }
    };
    Some(once_each(made))
}

/// Returns what the stages of a `matrix` are made for: every combination, the last axis fastest.
pub(super) fn matrix(walk: &Walk<'_>, data: &Value, at: &KeyPath) -> Option<Vec<Made>> {
    let wrong = |place: &KeyPath, headline: String| {
        let help = "for example `matrix: {model: [small, large], seed: [1, 2]}`".to_owned();
        let report = (On::Value, "wrong-type", headline, Some(help));
        walk.found.report(place, "", report, None);
    };
    let Value::Map(axes) = data else {
        wrong(
            at,
            format!(
                "`{at}` must be a mapping of names to lists, not {}",
                data.kind()
            ),
        );
        return None;
    };
    if axes.is_empty() {
        wrong(at, format!("`{at}` has no axes"));
        return None;
    }
    let way = Way::Start { from: at, to: at };
    let Value::Map(axes) = resolved(walk, data, &way)? else {
        return None;
    };
    let mut lists: Vec<(String, Vec<Value>)> = Vec::new();
    for (axis, values) in axes {
        let values = match values {
            Value::List(values) => values,
            Value::Map(map) => map.into_keys().map(Value::Str).collect(),
            other => {
                let place = at.key(&axis);
                wrong(
                    &place,
                    format!("`{place}` must be a list, not {}", other.kind()),
                );
                continue;
            }
        };
        lists.push((axis, values));
    }
    if lists.len() != data.as_map().map_or(0, Map::len) {
        return None;
    }
    let count = lists.iter().try_fold(1_usize, |count, (_, values)| {
        count.checked_mul(values.len())
    });
    match count {
        Some(count) if count <= STAGES_MAX => Some(once_each(combinations(&lists, count))),
        _ => {
            wrong(at, format!("`{at}` makes more than {STAGES_MAX} stages"));
            None
        }
    }
}

fn combinations(lists: &[(String, Vec<Value>)], count: usize) -> Vec<Made> {
    (0..count)
        .map(|number| {
            let mut rest = number;
            let mut chosen: Vec<usize> = lists
                .iter()
                .rev()
                .map(|(_, values)| {
                    let index = rest % values.len();
                    rest /= values.len();
                    index
                })
                .collect();
            chosen.reverse();
            let mut item = Map::new();
            let mut names = Vec::new();
            for ((axis, values), index) in lists.iter().zip(chosen) {
                let value = &values[index];
                names.push(text::plain(value).unwrap_or_else(|| format!("{axis}{index}")));
                item.insert(axis.clone(), value.clone());
            }
            let suffix = names.join("-");
            Made {
                key: Some(Value::Str(suffix.clone())),
                suffix,
                item: Value::Map(item),
            }
        })
        .collect()
}

/// Returns data with its expressions replaced; `None` after something was reported.
fn resolved(walk: &Walk<'_>, data: &Value, way: &Way<'_>) -> Option<Value> {
    let before = walk.found.count();
    let value = walk.value(data, way, Field::Free);
    (walk.found.count() == before).then_some(value)
}

/// Keeps the place of the first of several that have one name, and the value of the last, as DVC does.
fn once_each(made: Vec<Made>) -> Vec<Made> {
    let mut each: indexmap::IndexMap<String, Made> = indexmap::IndexMap::with_capacity(made.len());
    for one in made {
        each.insert(one.suffix.clone(), one);
    }
    each.into_values().collect()
}

/// Returns the names that stages of a group cannot see from outside.
pub(super) fn hidden(made: &[Made]) -> &'static [&'static str] {
    match made.first() {
        Some(Made { key: Some(_), .. }) => &[ITEM, KEY],
        Some(_) => &[ITEM],
        None => &[],
    }
}
