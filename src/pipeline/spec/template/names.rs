//! What the names in `${…}` of one stage stand for, and advice where they stand for nothing.
//! Imports: base, context.

use crate::base::diag::nearest;
use crate::base::doc::Value;

use super::context::Context;

/// The name of the value that a stage of a `foreach` or `matrix` is made for.
pub(super) const ITEM: &str = "item";
/// The name of that value's key.
pub(super) const KEY: &str = "key";

/// How many names a message lists.
const LISTED_MAX: usize = 8;

/// The names that one stage sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'c> {
    /// What all stages see, or those of this stage's own `vars` as well.
    pub(super) context: &'c Context,
    /// The value that the stage is made for.
    pub(super) item: Option<&'c Value>,
    /// Its key.
    pub(super) key: Option<&'c Value>,
}

impl<'c> Names<'c> {
    /// Returns the names of a stage that is made for nothing in particular.
    pub(super) fn of(context: &'c Context) -> Self {
        Self {
            context,
            item: None,
            key: None,
        }
    }

    fn first(&self, name: &str) -> Option<&'c Value> {
        match (name, self.item, self.key) {
            (ITEM, Some(item), _) => Some(item),
            (KEY, _, Some(key)) => Some(key),
            _ => self.context.root.get(name),
        }
    }

    /// Returns the value that the steps lead to.
    ///
    /// # Errors
    /// A help for the user: what stands where the way ends.
    pub(super) fn select(&self, steps: &[&str]) -> Result<&'c Value, String> {
        let Some((first, rest)) = steps.split_first() else {
            return Err(String::new());
        };
        let Some(mut value) = self.first(first) else {
            return Err(self.no_name(first, rest));
        };
        for (i, step) in rest.iter().enumerate() {
            let inner = match value {
                Value::Map(map) => map.get(*step),
                Value::List(items) => position(step, items.len()).and_then(|i| items.get(i)),
                _ => None,
            };
            value = inner.ok_or_else(|| not_in(value, &steps[..=i], step))?;
        }
        Ok(value)
    }

    fn no_name(&self, name: &str, rest: &[&str]) -> String {
        match name {
            ITEM => return "`item` is there only in stages of `foreach` and `matrix`".to_owned(),
            KEY => {
                return "`key` is there only in stages of `matrix`, and of a `foreach` over a mapping"
                    .to_owned();
            }
            _ => {}
        }
        let mut known: Vec<&str> = self.context.root.keys().map(String::as_str).collect();
        known.extend(self.item.map(|_| ITEM));
        known.extend(self.key.map(|_| KEY));
        if let Some(near) = nearest(name, known.iter().copied()) {
            let mut whole = vec![near];
            whole.extend(rest);
            return format!("did you mean `{}`?", whole.join("."));
        }
        if is_shells(name) {
            return "for a variable of the shell, write a backslash before `$`; for a value, define it in `params.yaml` or under `vars`".to_owned();
        }
        if known.is_empty() {
            return "define it in `params.yaml`, or under `vars`".to_owned();
        }
        format!(
            "define it in a params file or under `vars`; {}",
            list(&known)
        )
    }
}

/// Does this look like the shell's own `${NAME}` or `${NAME:-default}`?
fn is_shells(name: &str) -> bool {
    let end = name.find([':', '-', '+', '=', '?', '#', '%', '/']);
    let name = &name[..end.unwrap_or(name.len())];
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') && name.chars().all(fits)
}

/// Returns the position in a list of `length` that a step names; negative ones count from the end.
fn position(step: &str, length: usize) -> Option<usize> {
    let index: i64 = step.parse().ok()?;
    if index < 0 {
        let back = usize::try_from(index.unsigned_abs()).ok()?;
        return length.checked_sub(back);
    }
    usize::try_from(index).ok()
}

fn not_in(value: &Value, way: &[&str], step: &str) -> String {
    let way = way.join(".");
    match value {
        Value::Map(map) => match nearest(step, map.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{way}.{near}`?"),
            None if map.is_empty() => format!("`{way}` is an empty mapping"),
            None => {
                let known: Vec<&str> = map.keys().map(String::as_str).collect();
                format!("in `{way}`, {}", list(&known))
            }
        },
        Value::List(items) => match items.len() {
            0 => format!("`{way}` is an empty list"),
            count => format!(
                "`{way}` is a list: use `{way}[0]` to `{way}[{}]`",
                count - 1
            ),
        },
        other => format!("`{way}` is {}, with nothing inside", other.kind()),
    }
}

fn list(known: &[&str]) -> String {
    let mut shown: Vec<String> = known
        .iter()
        .take(LISTED_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    if LISTED_MAX < known.len() {
        shown.push("…".to_owned());
    }
    format!("known: {}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::doc::{Document, Format, KeyPath};
    use crate::pipeline::spec::template::context::Source;

    #[test]
    fn names_lead_to_values_and_slips_to_advice() {
        let mut context = Context::default();
        let yaml = "train: {lr: 0.1, layers: [16, 32]}\nempty: {}\n";
        let document = Document::parse("params.yaml", yaml.to_owned(), Format::Yaml).unwrap();
        let source = Source {
            name: "params.yaml".to_owned(),
            document: Arc::new(document),
            at: KeyPath::root(),
            keys: None,
        };
        assert!(context.define(source).is_empty());
        let names = Names::of(&context);
        let at = |way: &str| names.select(&way.split('.').collect::<Vec<_>>());
        assert_eq!(at("train.layers.1"), Ok(&Value::Int(32)));
        assert_eq!(at("train.layers.-2"), Ok(&Value::Int(16)));
        for (way, help) in [
            ("trian.lr", "did you mean `train.lr`?"),
            ("train.rl", "did you mean `train.lr`?"),
            ("train.momentum", "in `train`, known: `lr`, `layers`"),
            (
                "train.layers.2",
                "`train.layers` is a list: use `train.layers[0]` to `train.layers[1]`",
            ),
            (
                "train.layers.-3",
                "`train.layers` is a list: use `train.layers[0]` to `train.layers[1]`",
            ),
            ("train.lr.x", "`train.lr` is a number, with nothing inside"),
            ("empty.x", "`empty` is an empty mapping"),
            (
                "HOME:-x",
                "for a variable of the shell, write a backslash before `$`; for a value, define it in `params.yaml` or under `vars`",
            ),
            (
                "item.x",
                "`item` is there only in stages of `foreach` and `matrix`",
            ),
            (
                "zzzzzz",
                "define it in a params file or under `vars`; known: `train`, `empty`",
            ),
        ] {
            assert_eq!(at(way), Err(help.to_owned()), "{way}");
        }
    }
}
