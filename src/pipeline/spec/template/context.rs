//! What the names in `${…}` stand for: values of params files and `vars`, merged, and where each was
//! defined. Imports: base, expression.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::ArtifactPath;
use crate::base::Diagnostic;
use crate::base::diag::nearest;
use crate::base::doc::{Document, KeyPath, Map, Value};

/// The name of the value that a stage of a `foreach` or `matrix` is made for.
pub(super) const ITEM: &str = "item";
/// The name of that value's key.
pub(super) const KEY: &str = "key";

/// How many names a message lists.
const LISTED_MAX: usize = 8;

/// Something that defines names.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// How messages call it: `params.yaml`, `vars[0]`.
    pub(super) name: String,
    /// The file in which it stands.
    pub(super) document: Arc<Document>,
    /// The mapping in that file.
    pub(super) at: KeyPath,
    /// The keys of the mapping that count; `None`: all.
    pub(super) keys: Option<Vec<String>>,
}

impl Source {
    /// Returns the entries that count.
    fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        let map = self.at.get(&self.document.root).and_then(Value::as_map);
        let counts = |key: &String| self.keys.as_ref().is_none_or(|keys| keys.contains(key));
        map.into_iter()
            .flatten()
            .filter(move |(key, _)| counts(key))
    }

    /// Does it define the value at `way`?
    fn defines(&self, way: &[String]) -> bool {
        let Some((first, rest)) = way.split_first() else {
            return false;
        };
        let mut entries = self.entries();
        let Some((_, value)) = entries.find(|(key, _)| *key == first) else {
            return false;
        };
        rest.iter()
            .try_fold(value, |value, key| value.as_map()?.get(key))
            .is_some()
    }

    fn place(&self, way: &[String]) -> KeyPath {
        way.iter().fold(self.at.clone(), |at, key| at.key(key))
    }
}

/// The names that all stages of a file see.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    root: Map,
    sources: Vec<Source>,
    /// The files that were loaded: wholly, or these keys of them.
    loaded: BTreeMap<ArtifactPath, Option<Vec<String>>>,
}

/// Why a file cannot be loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It is there already, wholly as now: nothing to do.
    Same,
    /// It is there wholly, and now a part is asked for.
    PartOfWhole,
    /// A part of it is there, and now that part or the whole is asked for.
    PartTwice,
}

impl Context {
    /// Defines what `source` says. Mappings merge; a value that is there already stays, and is told
    /// of in the result.
    pub(super) fn define(&mut self, source: Source) -> Vec<Diagnostic> {
        let mut twice = Vec::new();
        for (key, value) in source.entries() {
            merge(&mut self.root, key, value, &mut Vec::new(), &mut twice);
        }
        let problems = twice
            .iter()
            .map(|way| self.defined_twice(&source, way))
            .collect();
        self.sources.push(source);
        problems
    }

    fn defined_twice(&self, second: &Source, way: &[String]) -> Diagnostic {
        let key = way.join(".");
        let headline = format!("`{key}` is defined twice");
        let mut diagnostic = Diagnostic::error("defined-twice", headline);
        if let Some(located) = second.document.locate(&second.place(way)) {
            let span = located.key.unwrap_or(located.value);
            let text = format!("a second time, in `{}`", second.name);
            diagnostic = diagnostic.label(&second.document.source, span, text);
        }
        let first = self.sources.iter().find(|source| source.defines(way));
        if let Some(first) = first
            && let Some(located) = first.document.locate(&first.place(way))
        {
            let span = located.key.unwrap_or(located.value);
            let text = format!("a first time, in `{}`", first.name);
            diagnostic = diagnostic.label(&first.document.source, span, text);
        }
        diagnostic.help("variables add to one another and never override: rename one of the two")
    }

    /// Notes that a file, or some of its keys, is loaded.
    ///
    /// # Errors
    /// It is there already.
    pub(super) fn load(
        &mut self,
        file: &ArtifactPath,
        keys: Option<&[String]>,
    ) -> Result<(), Again> {
        match (self.loaded.get_mut(file), keys) {
            (None, keys) => {
                let keys = keys.map(<[String]>::to_vec);
                self.loaded.insert(file.clone(), keys);
                Ok(())
            }
            (Some(None), None) => Err(Again::Same),
            (Some(None), Some(_)) => Err(Again::PartOfWhole),
            (Some(Some(_)), None) => Err(Again::PartTwice),
            (Some(Some(there)), Some(keys)) => {
                if keys.iter().any(|key| there.contains(key)) {
                    return Err(Again::PartTwice);
                }
                there.extend_from_slice(keys);
                Ok(())
            }
        }
    }

    /// Is a name defined?
    pub(super) fn has(&self, name: &str) -> bool {
        self.root.contains_key(name)
    }
}

/// Puts `value` under `key`; the ways of values that are there already go to `twice`.
fn merge<'v>(
    into: &mut Map,
    key: &'v str,
    value: &'v Value,
    way: &mut Vec<&'v str>,
    twice: &mut Vec<Vec<String>>,
) {
    way.push(key);
    match (into.get_mut(key), value) {
        (None, value) => {
            into.insert(key.to_owned(), value.clone());
        }
        (Some(Value::Map(there)), Value::Map(new)) => {
            for (key, value) in new {
                merge(there, key, value, way, twice);
            }
        }
        (Some(_), _) => twice.push(way.iter().map(|key| (*key).to_owned()).collect()),
    }
    way.pop();
}

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
    use super::*;
    use crate::base::doc::Format;

    fn source(name: &str, yaml: &str) -> Source {
        let document = Document::parse(name, yaml.to_owned(), Format::Yaml).unwrap();
        Source {
            name: name.to_owned(),
            document: Arc::new(document),
            at: KeyPath::root(),
            keys: None,
        }
    }

    #[test]
    fn names_lead_to_values_and_slips_to_advice() {
        let mut context = Context::default();
        let yaml = "train: {lr: 0.1, layers: [16, 32]}\nempty: {}\n";
        assert!(context.define(source("params.yaml", yaml)).is_empty());
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

    #[test]
    fn mappings_merge_and_values_do_not() {
        let mut context = Context::default();
        context.define(source("params.yaml", "m: {a: {b: 1}}\nn: 1\n"));
        assert!(
            context
                .define(source("o.yaml", "m: {a: {c: 2}, d: 3}\n"))
                .is_empty()
        );
        let problems = context.define(source("v.yaml", "m: {a: {c: 2}}\nn: {x: 1}\nq: 1\n"));
        let shown: Vec<_> = problems
            .iter()
            .map(|p| {
                let first = &p.labels[1].source.name;
                (p.headline.as_str(), first.as_str())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("`m.a.c` is defined twice", "o.yaml"),
                ("`n` is defined twice", "params.yaml")
            ]
        );
        assert!(context.has("q"));
    }

    #[test]
    fn a_file_is_loaded_once() {
        let mut context = Context::default();
        let file: ArtifactPath = "o.yaml".parse().unwrap();
        let keys = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(context.load(&file, Some(&keys(&["a"]))), Ok(()));
        assert_eq!(context.load(&file, Some(&keys(&["b"]))), Ok(()));
        assert_eq!(
            context.load(&file, Some(&keys(&["c", "b"]))),
            Err(Again::PartTwice)
        );
        assert_eq!(context.load(&file, None), Err(Again::PartTwice));
        let file: ArtifactPath = "p.yaml".parse().unwrap();
        assert_eq!(context.load(&file, None), Ok(()));
        assert_eq!(context.load(&file, None), Err(Again::Same));
        assert_eq!(
            context.load(&file, Some(&keys(&["a"]))),
            Err(Again::PartOfWhole)
        );
    }
}
