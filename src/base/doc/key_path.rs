//! `KeyPath`: the way to a value inside a document, `stages.train.deps[2]`.

use std::fmt;
use std::str::FromStr;

use super::value::Value;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A mapping's key.
    Name(String),
    /// A list's position, from 0.
    Index(usize),
}

/// The steps from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Key>);

impl KeyPath {
    /// Returns the path of the whole document.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns this path, one key further down.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(Key::Name(name.to_owned()));
        Self(keys)
    }

    /// Returns this path, one list position further down.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut keys = self.0.clone();
        keys.push(Key::Index(index));
        Self(keys)
    }

    /// Returns the path of what holds the value at this one; `None` for the whole document.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_owned()))
    }

    /// Returns the path of the first `count` steps.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self(self.0.iter().take(count).cloned().collect())
    }

    /// Returns this path with `steps` behind it.
    #[must_use]
    pub fn then(&self, steps: &[Key]) -> Self {
        Self(self.0.iter().chain(steps).cloned().collect())
    }

    /// Returns the steps.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// Is this the whole document?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value at this path, or `None` where a step leads nowhere. A list's item may be
    /// named as DVC does, `a.0` for `a[0]`.
    #[must_use]
    pub fn get<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.0
            .iter()
            .try_fold(root, |value, key| match (key, value) {
                (Key::Name(name), Value::Map(map)) => map.get(name),
                (Key::Index(i), Value::List(items)) => items.get(*i),
                (Key::Name(name), Value::List(items)) => items.get(name.parse::<usize>().ok()?),
                _ => None,
            })
    }

    /// Returns the way from `above` to this path; `None` if it does not lead through there.
    #[must_use]
    pub fn below(&self, above: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(above.0.as_slice())?;
        Some(Self(rest.to_vec()))
    }
}

impl KeyPath {
    /// Returns the path of the value that this path, read as a text, names in `root`: itself where it
    /// leads somewhere, else one through names that hold dots or brackets (`{"a.b": 1}`).
    #[must_use]
    pub fn find(&self, root: &Value) -> Option<Self> {
        fn walk(keys: &[Key], value: &Value, way: &KeyPath) -> Option<KeyPath> {
            match (keys.split_first(), value) {
                (None, _) => Some(way.clone()),
                (Some((Key::Index(i), rest)), Value::List(items)) => {
                    walk(rest, items.get(*i)?, &way.index(*i))
                }
                (Some((Key::Name(_), _)), Value::Map(map)) => (1..=keys.len()).find_map(|n| {
                    let (first, rest) = keys.split_at(n);
                    let name = KeyPath(first.to_vec()).to_string();
                    walk(rest, map.get(&name)?, &way.key(&name))
                }),
                _ => None,
            }
        }
        walk(&self.0, root, &Self::root())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            match key {
                Key::Name(name) if i == 0 => f.write_str(name)?,
                Key::Name(name) => write!(f, ".{name}")?,
                Key::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Why a text is no key path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a key: expected names joined by dots, like `train.learning_rate` or `a.b[0]`"
)]
pub struct ParseKeyPathError(String);

impl FromStr for KeyPath {
    type Err = ParseKeyPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseKeyPathError(text.to_owned());
        let mut keys = Vec::new();
        for part in text.split('.') {
            let (name, indices) = match part.find('[') {
                Some(at) => part.split_at(at),
                None => (part, ""),
            };
            if name.is_empty() {
                return Err(error());
            }
            keys.push(Key::Name(name.to_owned()));
            let mut rest = indices;
            while !rest.is_empty() {
                let (index, after) = rest
                    .strip_prefix('[')
                    .and_then(|r| r.split_once(']'))
                    .ok_or_else(error)?;
                keys.push(Key::Index(index.parse().map_err(|_| error())?));
                rest = after;
            }
        }
        Ok(Self(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(text in "[a-z_]{1,4}(\\[[0-9]\\])?(\\.[a-z]{1,3}(\\[[0-9]\\]){0,2}){0,3}") {
            let path: KeyPath = text.parse().unwrap();
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn names_with_dots_are_found_where_nothing_else_is_meant() {
        let document = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let root = document(r#"{"a.b": 1, "x": {"c.d[0]": [{"e": 2}]}, "n": {"m": 3}, "n.m": 4}"#);
        let value = |text: &str| {
            let path = text.parse::<KeyPath>().unwrap().find(&root)?;
            path.get(&root).cloned()
        };
        assert_eq!(value("a.b"), Some(Value::Int(1)));
        assert_eq!(value("x.c.d[0][0].e"), Some(Value::Int(2)));
        assert_eq!(value("n.m"), Some(Value::Int(3)));
        assert_eq!(value("a.c"), None);
    }

    #[test]
    fn broken_texts_are_refused() {
        for bad in ["", ".", "a..b", "a[", "a[x]", "a[0", "[0]", "a[0]b"] {
            assert!(bad.parse::<KeyPath>().is_err(), "{bad}");
        }
    }
}
