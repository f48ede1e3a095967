//! `pipeline.lock`: what was last run, one entry per stage; deterministic and mergeable by lines.
//!
//! The same entry, as one JSON line, is a record of the run cache. Field names follow `dvc.lock`
//! (`cmd`, `deps`, `params`, `outs`, `path`, `size`, `nfiles`, `isexec`); the hash field is named
//! after its algorithm. Version 1. In a DVC repository the lock is DVC's own (`dvc`).
//! Imports: base, store, spec.

pub mod dvc;

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::doc::{Document, Fields, Format, KeyPath, Map, On, ParseCache, Problems, Value};
use crate::base::fs::Executable;
use crate::base::hash::HashAlgo;
use crate::base::path::PathError;
use crate::base::{ArtifactPath, Diagnostic, Error, ObjectId, fs};
use crate::store::{Presence, Present};

use super::spec::{ParamRef, StageName};

/// The version this program reads and writes.
const VERSION: &str = "1";

/// One recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct LockEntry {
    /// The commands that ran.
    pub commands: Vec<String>,
    /// Where they ran.
    pub wdir: Option<ArtifactPath>,
    /// What they read.
    pub deps: BTreeMap<ArtifactPath, Presence>,
    /// With which parameters.
    pub params: BTreeMap<ParamRef, Value>,
    /// With which environment.
    pub env: BTreeMap<String, Option<String>>,
    /// What they wrote.
    pub outs: BTreeMap<ArtifactPath, Presence>,
}

/// The whole lock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LockFile {
    /// The entries.
    pub stages: BTreeMap<StageName, LockEntry>,
}

impl LockFile {
    /// Reads the lock at `path` through `cache`, shown to the user as `name`; a missing file is an
    /// empty lock.
    ///
    /// # Errors
    /// The file is broken (a git conflict is named as such) or of another version.
    pub fn read(path: &Path, name: &str, cache: &ParseCache) -> Result<Self, Error> {
        Self::read_shaped(path, name, cache, &|_| None)
    }

    /// Like `read`; `shape_of` knows the declared stages of a lock of DVC's, by their local names.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_shaped(
        path: &Path,
        name: &str,
        cache: &ParseCache,
        shape_of: &dyn Fn(&str) -> Option<dvc::Shape>,
    ) -> Result<Self, Error> {
        let document = match cache.read(path, name) {
            Ok(document) => document,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(Error::Document { name, problems }) => {
                return Err(Error::Document {
                    name,
                    problems: problems.into_iter().map(way_out).collect(),
                });
            }
            Err(other) => return Err(other),
        };
        Self::of_document(&document, shape_of)
    }

    /// Reads what `to_text` wrote, or a lock of DVC's; `name` is how messages call it.
    ///
    /// # Errors
    /// The text is broken or of another version.
    pub fn parse(name: &str, text: String) -> Result<Self, Error> {
        Self::parse_shaped(name, text, &|_| None)
    }

    /// Like `parse`; `shape_of` knows the declared stages of a lock of DVC's, by their local names.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_shaped(
        name: &str,
        text: String,
        shape_of: &dyn Fn(&str) -> Option<dvc::Shape>,
    ) -> Result<Self, Error> {
        Self::of_document(&Document::parse(name, text, Format::Yaml)?, shape_of)
    }

    fn of_document(
        document: &Document,
        shape_of: &dyn Fn(&str) -> Option<dvc::Shape>,
    ) -> Result<Self, Error> {
        let read = if dvc::is_dvc(&document.root) {
            dvc::read(document, shape_of)
        } else {
            Self::of_native(document)
        };
        read.map_err(|e| match e {
            Error::Document { name, problems } => Error::Document {
                name,
                problems: problems.into_iter().map(way_out).collect(),
            },
            other => other,
        })
    }

    fn of_native(document: &Document) -> Result<Self, Error> {
        let problems = Problems::new(document);
        let root = problems.fields(KeyPath::root());
        if !matches!(document.root, Value::Null) {
            check_version(&root);
        }
        let mut stages = BTreeMap::new();
        for (name, _) in root.section("stages").entries() {
            let at = root.path("stages").key(name);
            let entry = LockEntry::of_fields(&problems.fields(at.clone()));
            match (name.parse::<StageName>(), entry) {
                (Ok(name), Some(entry)) => {
                    stages.insert(name, entry);
                }
                (Err(e), _) => problems.report(&at, On::Key, "bad-name", e.to_string(), "", None),
                (Ok(_), None) => {}
            }
        }
        root.finish();
        problems.into_result(Self { stages })
    }

    /// Returns the canonical text.
    ///
    /// # Errors
    /// Never in practice: the values come from YAML.
    pub fn to_text(&self) -> std::io::Result<String> {
        let mut stages = Map::new();
        for (name, entry) in &self.stages {
            stages.insert(name.to_string(), entry.to_value());
        }
        let mut root = Map::new();
        root.insert("schema".to_owned(), Value::Str(VERSION.to_owned()));
        root.insert("stages".to_owned(), Value::Map(stages));
        Ok(format!(
            "# Written by cvops: what each stage last ran with and wrote. Commit it; do not edit it.\n{}",
            Value::Map(root).to_yaml()?
        ))
    }

    /// Replaces the lock at `path`, atomically and durably. Everything it names must be durable.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = self.to_text().map_err(Error::io("write", path))?;
        fs::write_atomic(path, text.as_bytes()).map_err(Error::io("write", path))
    }
}

/// The lock is ours, so the way out of a broken one is always the same.
fn way_out(mut diagnostic: Diagnostic) -> Diagnostic {
    let name = diagnostic
        .labels
        .first()
        .map_or("pipeline.lock", |l| l.source.name.as_str());
    if diagnostic.code == "other-version" {
        diagnostic.help = Some("update cvops to the version that wrote it".to_owned());
        return diagnostic;
    }
    diagnostic.help = Some(match diagnostic.help.take() {
        Some(help) if help.contains("conflict") => format!(
            "keep either side (`git checkout --theirs {name}`), then run `cvops repro`: it brings the lock up to date"
        ),
        _ => format!(
            "restore it from git, or delete `{name}`: `cvops repro` writes it anew and takes results from the run cache"
        ),
    });
    diagnostic
}

fn check_version(root: &Fields<'_, '_>) {
    let version = match root.get("schema") {
        Some(Value::Str(version)) => version.clone(),
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    };
    if version != VERSION {
        root.problem(
            "schema",
            On::Value,
            "other-version",
            format!("the lock has version {version}, this program reads version {VERSION}"),
            None,
        );
    }
}

impl LockEntry {
    /// Returns the entry as a document value, in canonical order.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut entry = Map::new();
        let text = |s: &str| Value::Str(s.to_owned());
        let command = match self.commands.as_slice() {
            [one] => text(one),
            many => Value::List(many.iter().map(|c| text(c)).collect()),
        };
        entry.insert("cmd".to_owned(), command);
        if let Some(wdir) = &self.wdir {
            entry.insert("wdir".to_owned(), text(wdir.as_str()));
        }
        if !self.deps.is_empty() {
            entry.insert("deps".to_owned(), paths_value(&self.deps));
        }
        if !self.params.is_empty() {
            let mut files = Map::new();
            for (param, value) in &self.params {
                let file = files
                    .entry(param.file.to_string())
                    .or_insert_with(|| Value::Map(Map::new()));
                if let Value::Map(keys) = file {
                    keys.insert(param.key.to_string(), sorted(value));
                }
            }
            entry.insert("params".to_owned(), Value::Map(files));
        }
        if !self.env.is_empty() {
            let env = self.env.iter().map(|(name, value)| {
                (
                    name.clone(),
                    value.as_ref().map_or(Value::Null, |v| text(v)),
                )
            });
            entry.insert("env".to_owned(), Value::Map(env.collect()));
        }
        if !self.outs.is_empty() {
            entry.insert("outs".to_owned(), paths_value(&self.outs));
        }
        Value::Map(entry)
    }

    /// Reads an entry; problems go to the fields' collector.
    pub fn of_fields(fields: &Fields<'_, '_>) -> Option<Self> {
        let commands: Vec<String> = fields.texts("cmd").into_iter().map(str::to_owned).collect();
        let wdir = match fields.optional_text("wdir").map(str::parse) {
            None => Some(None),
            Some(Ok(wdir)) => Some(Some(wdir)),
            Some(Err(e)) => {
                let e: PathError = e;
                fields.problem("wdir", On::Value, "bad-path", e.to_string(), None);
                None
            }
        };
        let deps = read_paths(fields, "deps");
        let outs = read_paths(fields, "outs");
        let params = read_lock_params(&fields.section("params"));
        let env = fields.section("env");
        for (name, value) in env.entries() {
            if !matches!(value, Value::Str(_) | Value::Null) {
                let headline = format!("`{}` must be a text or nothing", env.path(name));
                env.problem(name, On::Value, "wrong-type", headline, None);
            }
        }
        let env = env
            .entries()
            .map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned)))
            .collect();
        fields.check_unknown();
        Some(Self {
            commands,
            wdir: wdir?,
            deps: deps?,
            params: params?,
            env,
            outs: outs?,
        })
    }

    /// Returns the entry as one JSON document, for the run cache.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({"schema": VERSION, "run": self.to_value()}).to_string()
    }

    /// Reads what `to_json` wrote.
    ///
    /// # Errors
    /// The text is broken or of another version.
    pub fn of_json(name: &str, text: String) -> Result<Self, Error> {
        let document = Document::parse(name, text, Format::Json)?;
        let problems = Problems::new(&document);
        let root = problems.fields(KeyPath::root());
        check_version(&root);
        let entry = Self::of_fields(&root.section("run"));
        root.finish();
        let broken = || Error::Document {
            name: name.to_owned(),
            problems: Vec::new(),
        };
        problems.into_result(entry)?.ok_or_else(broken)
    }
}

/// Reads `file: {key: value}`; `None` when something in it is wrong, which is reported.
fn read_lock_params(files: &Fields<'_, '_>) -> Option<BTreeMap<ParamRef, Value>> {
    let mut params = BTreeMap::new();
    let mut good = true;
    let mut bad = |at: &KeyPath, on: On, code: &'static str, headline: String| {
        files.problems().report(at, on, code, headline, "", None);
        good = false;
    };
    for (name, keys) in files.entries() {
        let at = files.path(name);
        let file: ArtifactPath = match name.parse() {
            Ok(file) => file,
            Err(e) => {
                let e: PathError = e;
                bad(&at, On::Key, "bad-path", e.to_string());
                continue;
            }
        };
        let Some(keys) = keys.as_map() else {
            let headline = format!("`{at}` must be a mapping of parameters to values");
            bad(&at, On::Value, "wrong-type", headline);
            continue;
        };
        for (text, value) in keys {
            let key = if text.is_empty() {
                Ok(KeyPath::root())
            } else {
                text.parse::<KeyPath>()
            };
            match key {
                Ok(key) => {
                    let file = file.clone();
                    params.insert(ParamRef { file, key }, value.clone());
                }
                Err(e) => bad(&at.key(text), On::Key, "bad-key", e.to_string()),
            }
        }
    }
    good.then_some(params)
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Map(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Map(
                sorted
                    .into_iter()
                    .map(|(k, v)| (k.clone(), sorted_item(v)))
                    .collect(),
            )
        }
        other => sorted_item(other),
    }
}

fn sorted_item(value: &Value) -> Value {
    match value {
        Value::Map(_) => sorted(value),
        Value::List(items) => Value::List(items.iter().map(sorted_item).collect()),
        other => other.clone(),
    }
}

fn paths_value(paths: &BTreeMap<ArtifactPath, Presence>) -> Value {
    let items = paths.iter().map(|(path, presence)| {
        let mut item = Map::new();
        item.insert("path".to_owned(), Value::Str(path.to_string()));
        if let Presence::Present(Present {
            object,
            size,
            files,
            exec,
        }) = presence
        {
            let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
            let key = object.hash().algo().name();
            item.insert(key.to_owned(), Value::Str(object.to_string()));
            item.insert("size".to_owned(), int(*size));
            if let Some(files) = files {
                item.insert("nfiles".to_owned(), int(*files));
            }
            if *exec == Executable::Yes {
                item.insert("isexec".to_owned(), Value::Bool(true));
            }
        }
        Value::Map(item)
    });
    Value::List(items.collect())
}

fn read_paths(
    fields: &Fields<'_, '_>,
    key: &'static str,
) -> Option<BTreeMap<ArtifactPath, Presence>> {
    let problems = fields.problems();
    let at = fields.path(key);
    let count = match fields.get(key) {
        None => return Some(BTreeMap::new()),
        Some(Value::List(items)) => items.len(),
        Some(_) => {
            problems.report(
                &at,
                On::Value,
                "wrong-type",
                format!("`{at}` must be a list"),
                "",
                None,
            );
            return None;
        }
    };
    let mut paths = BTreeMap::new();
    let mut good = true;
    for i in 0..count {
        let item = problems.fields(at.index(i));
        let path = item
            .optional_text("path")
            .and_then(|p| p.parse::<ArtifactPath>().ok());
        let hashes = HashAlgo::ALL.map(|algo| (algo, item.optional_text(algo.name())));
        let object = hashes.into_iter().find_map(|(algo, text)| {
            let object = text?.parse::<ObjectId>();
            Some(object.map(|object| object.as_hashed_by(algo)))
        });
        let size = item.int("size", 0, 0..=u64::MAX);
        let files = item.optional_int("nfiles", 0..=u64::MAX);
        let exec = if item.bool("isexec", false) {
            Executable::Yes
        } else {
            Executable::No
        };
        item.finish();
        let presence = match object {
            None => Presence::Missing,
            Some(Ok(object)) => Presence::Present(Present {
                object,
                size,
                files,
                exec,
            }),
            Some(Err(e)) => {
                problems.report(&at.index(i), On::Value, "bad-hash", e.to_string(), "", None);
                good = false;
                continue;
            }
        };
        match path {
            Some(path) => {
                paths.insert(path, presence);
            }
            None => {
                problems.report(
                    &at.index(i),
                    On::Value,
                    "bad-path",
                    "this entry has no valid `path`",
                    "",
                    None,
                );
                good = false;
            }
        }
    }
    good.then_some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ContentHash;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e12f64..1e12).prop_map(Value::Float),
            "[ -~é\n]{0,12}".prop_map(Value::Str),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
                proptest::collection::btree_map("[a-z ]{1,5}", inner, 0..3)
                    .prop_map(|m| Value::Map(m.into_iter().collect())),
            ]
        })
    }

    fn presence() -> impl Strategy<Value = Presence> {
        prop_oneof![
            Just(Presence::Missing),
            (
                any::<[u8; 4]>(),
                0..i64::MAX as u64,
                any::<bool>(),
                any::<bool>()
            )
                .prop_map(|(b, size, tree, exec)| {
                    let hash = ContentHash::of(&b);
                    let (object, files) = if tree {
                        (ObjectId::Tree(hash), Some(3))
                    } else {
                        (ObjectId::File(hash), None)
                    };
                    let exec = if exec && !tree {
                        Executable::Yes
                    } else {
                        Executable::No
                    };
                    Presence::Present(Present {
                        object,
                        size,
                        files,
                        exec,
                    })
                }),
        ]
    }

    prop_compose! {
        fn entry()(
            commands in proptest::collection::vec("[ -~]{1,20}", 1..3),
            deps in proptest::collection::btree_map("[a-zé]{1,4}(/[a-z ]{1,3}x)?", presence(), 0..4),
            params in proptest::collection::btree_map("[a-z]{1,4}(\\.[a-z]{1,3})?", value(), 0..4),
            env in proptest::collection::btree_map("[A-Z]{1,4}", proptest::option::of("[ -~]{0,5}"), 0..3),
            outs in proptest::collection::btree_map("[a-z]{1,4}", presence(), 0..3),
        ) -> LockEntry {
            let paths = |m: BTreeMap<String, Presence>| m.into_iter().map(|(k, v)| (k.parse().unwrap(), v)).collect();
            LockEntry {
                commands,
                wdir: None,
                deps: paths(deps),
                params: params.into_iter().map(|(k, v)| {
                    (ParamRef { file: "params.yaml".parse().unwrap(), key: k.parse().unwrap() }, v)
                }).collect(),
                env,
                outs: paths(outs),
            }
        }
    }

    proptest! {
        #[test]
        fn lock_and_run_record_round_trip(entry in entry()) {
            let mut lock = LockFile::default();
            lock.stages.insert("a".parse().unwrap(), entry.clone());
            let text = lock.to_text().unwrap();
            let document = Document::parse("pipeline.lock", text.clone(), Format::Yaml).unwrap();
            let back = LockFile::of_native(&document).unwrap();
            prop_assert_eq!(&back, &lock);
            prop_assert_eq!(back.to_text().unwrap(), text);
            prop_assert_eq!(LockEntry::of_json("r", entry.to_json()).unwrap(), entry);
        }
    }
}
