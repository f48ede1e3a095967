//! The values that all stages of a file see: those of params files and `vars`, merged, and where each
//! was defined. Imports: base.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::ArtifactPath;
use crate::base::Diagnostic;
use crate::base::doc::{Document, KeyPath, Map, Value};

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
    pub(super) root: Map,
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
