//! Current values of parameters, each file parsed once. Imports: base, spec.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::ArtifactPath;
use crate::base::diag::nearest;
use crate::base::doc::{Document, KeyPath, Value};

use super::error::Error;
use super::spec::{ParamRef, StageSpec};

/// By which a params file is known to be the one that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<std::time::SystemTime>,
    size: u64,
}

/// Reads params files of one project on demand.
#[derive(Debug)]
pub struct ParamFiles {
    root: PathBuf,
    read: BTreeMap<ArtifactPath, (Option<Stamp>, Option<Value>)>,
}

impl ParamFiles {
    /// Starts with nothing read.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            read: BTreeMap::new(),
        }
    }

    /// Returns the file's content, parsed again only if it was written since: a stage may write a
    /// params file, and a person may edit one while stages run.
    ///
    /// # Errors
    /// It is broken.
    pub fn file(&mut self, file: &ArtifactPath) -> Result<Option<&Value>, Error> {
        let path = file.under(&self.root);
        let stamp = std::fs::metadata(&path).ok().map(|m| Stamp {
            modified: m.modified().ok(),
            size: m.len(),
        });
        if self.read.get(file).is_none_or(|(known, _)| *known != stamp) {
            let value = match stamp {
                Some(_) => Some(Document::read(&path, file.as_str())?.root),
                None => None,
            };
            self.read.insert(file.clone(), (stamp, value));
        }
        Ok(self.read.get(file).and_then(|(_, value)| value.as_ref()))
    }

    /// Returns the values that `stage` depends on.
    ///
    /// # Errors
    /// A file is missing or broken, or lacks a key (the nearest one is named).
    pub fn of_stage(&mut self, stage: &StageSpec) -> Result<BTreeMap<ParamRef, Value>, Error> {
        let mut values = BTreeMap::new();
        for param in stage.params.keys() {
            let Some(root) = self.file(&param.file)? else {
                return Err(Error::MissingParamsFile {
                    stage: stage.name.clone(),
                    file: param.file.clone(),
                });
            };
            match param.key.get(root) {
                Some(value) => values.insert(param.clone(), value.clone()),
                None => {
                    let key = param.key.to_string();
                    let known = leaves(root);
                    return Err(Error::MissingParam {
                        stage: stage.name.clone(),
                        file: param.file.clone(),
                        nearest: nearest(
                            &key,
                            known.iter().map(String::as_str).filter(|k| **k != *key),
                        )
                        .map(str::to_owned),
                        key,
                    });
                }
            };
        }
        Ok(values)
    }
}

/// Returns every key path of a document, sections included.
#[must_use]
pub fn leaves(root: &Value) -> Vec<String> {
    fn visit(value: &Value, at: &KeyPath, out: &mut Vec<String>) {
        if !at.is_root() {
            out.push(at.to_string());
        }
        if let Value::Map(map) = value {
            for (key, value) in map {
                visit(value, &at.key(key), out);
            }
        }
    }
    let mut out = Vec::new();
    visit(root, &KeyPath::root(), &mut out);
    out
}

/// One parameter that differs, at the deepest place where both sides still have the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamChange {
    /// The full name, as `ParamRef` prints it.
    pub name: String,
    /// The value of the last run; `None`: it had none.
    pub old: Option<Value>,
    /// The value now; `None`: it has none.
    pub new: Option<Value>,
}

/// Returns what differs between two values of the parameter `param`.
#[must_use]
pub fn changes(param: &ParamRef, old: Option<&Value>, new: Option<&Value>) -> Vec<ParamChange> {
    let mut out = Vec::new();
    collect_changes(param, old, new, &mut out);
    out
}

fn collect_changes(
    param: &ParamRef,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Vec<ParamChange>,
) {
    if same(old, new) {
        return;
    }
    if let (Some(Value::Map(a)), Some(Value::Map(b))) = (old, new) {
        let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
        for key in keys {
            let inner = ParamRef {
                file: param.file.clone(),
                key: param.key.key(key),
            };
            collect_changes(&inner, a.get(key), b.get(key), out);
        }
        return;
    }
    if let (Some(Value::List(a)), Some(Value::List(b))) = (old, new)
        && a.len() == b.len()
    {
        for (index, (old, new)) in a.iter().zip(b).enumerate() {
            let inner = ParamRef {
                file: param.file.clone(),
                key: param.key.index(index),
            };
            collect_changes(&inner, Some(old), Some(new), out);
        }
        return;
    }
    out.push(ParamChange {
        name: param.to_string(),
        old: old.cloned(),
        new: new.cloned(),
    });
}

/// Are two values the same to a stage? `NaN` equals itself, and the order of keys does not count.
#[must_use]
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;

    #[test]
    fn changes_are_reported_at_the_leaf() {
        let value = |text: &str| {
            Document::parse("p", text.to_owned(), Format::Yaml)
                .unwrap()
                .root
        };
        let param = ParamRef {
            file: "params.yaml".parse().unwrap(),
            key: "train".parse().unwrap(),
        };
        let old = value("{lr: 0.1, opt: {name: adam, b: 1}, gone: 1, l: [1, {x: 2}]}");
        let new = value("{opt: {b: 1, name: sgd}, lr: 0.1, more: [1], l: [1, {x: 3}]}");
        let shown: Vec<_> = changes(&param, Some(&old), Some(&new))
            .into_iter()
            .map(|c| {
                (
                    c.name,
                    c.old.map(|v| v.to_string()),
                    c.new.map(|v| v.to_string()),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "train.opt.name".to_owned(),
                    Some("\"adam\"".to_owned()),
                    Some("\"sgd\"".to_owned())
                ),
                ("train.gone".to_owned(), Some("1".to_owned()), None),
                (
                    "train.l[1].x".to_owned(),
                    Some("2".to_owned()),
                    Some("3".to_owned())
                ),
                ("train.more".to_owned(), None, Some("[1]".to_owned())),
            ]
        );
        assert!(changes(&param, Some(&old), Some(&old)).is_empty());
    }
}
