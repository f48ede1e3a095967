//! One entry of a `dvc.lock` as a value, and back. Imports: base, store, spec, lock.

use std::collections::BTreeMap;

use crate::base::doc::{KeyPath, Map, On, Problems, Value};
use crate::base::fs::Executable;
use crate::base::hash::HashAlgo;
use crate::base::{ArtifactPath, ObjectId};
use crate::pipeline::lock::LockEntry;
use crate::pipeline::spec::{CommandForm, ParamRef};
use crate::project::PARAMS_FILE;
use crate::store::{Presence, Present};

use super::Shape;

/// How much of an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it, as in the lock file.
    Whole,
    /// What identifies the run with its results: no sizes and counts.
    Identity,
    /// What identifies the run's inputs: of outputs only their paths.
    Inputs,
}

/// Returns an entry as DVC lays it out.
#[must_use]
pub fn to_value(entry: &LockEntry, shape: &Shape, form: Form) -> Value {
    let mut map = Map::new();
    // DVC compares the command as it is declared.
    let text = |text: &String| Value::Str(text.clone());
    let command = match (shape.command, entry.commands.as_slice()) {
        (None | Some(CommandForm::Text), [one]) => text(one),
        (_, many) => Value::List(many.iter().map(text).collect()),
    };
    map.insert("cmd".to_owned(), command);
    if !entry.deps.is_empty() {
        map.insert("deps".to_owned(), paths(&entry.deps, shape, form));
    }
    let params = params(&entry.params, shape);
    if !params.is_empty() {
        map.insert("params".to_owned(), Value::Map(params));
    }
    if !entry.outs.is_empty() {
        let outs = if form == Form::Inputs {
            let mut names: Vec<String> = entry.outs.keys().map(|path| shape.spell(path)).collect();
            names.sort();
            Value::List(names.into_iter().map(Value::Str).collect())
        } else {
            paths(&entry.outs, shape, form)
        };
        map.insert("outs".to_owned(), outs);
    }
    Value::Map(map)
}

fn paths(paths: &BTreeMap<ArtifactPath, Presence>, shape: &Shape, form: Form) -> Value {
    let spelled = paths.iter().map(|(path, found)| (shape.spell(path), found));
    let mut spelled: Vec<(String, &Presence)> = spelled.collect();
    spelled.sort_by(|a, b| a.0.cmp(&b.0));
    let items = spelled.into_iter().map(|(path, presence)| {
        let mut item = Map::new();
        item.insert("path".to_owned(), Value::Str(path));
        if let Presence::Present(present) = presence {
            describe(present, form, &mut item);
        }
        Value::Map(item)
    });
    Value::List(items.collect())
}

fn describe(present: &Present, form: Form, item: &mut Map) {
    let number = |n: u64| i64::try_from(n).map_or(Value::UInt(n), Value::Int);
    // The older MD5, over equalised line ends, goes without its name.
    if present.object.hash().algo() == HashAlgo::Md5 {
        item.insert("hash".to_owned(), Value::Str("md5".to_owned()));
    }
    let key = match present.object.hash().algo() {
        HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => "md5",
        other @ HashAlgo::Blake3 => other.name(),
    };
    item.insert(key.to_owned(), Value::Str(present.object.to_string()));
    if form == Form::Whole {
        item.insert("size".to_owned(), number(present.size));
        if let Some(files) = present.files {
            item.insert("nfiles".to_owned(), number(files));
        }
    }
    if present.exec == Executable::Yes {
        item.insert("isexec".to_owned(), Value::Bool(true));
    }
}

/// Returns `file: {key: value}`: the default file first, keys sorted at the first level only.
fn params(params: &BTreeMap<ParamRef, Value>, shape: &Shape) -> Map {
    let mut files: BTreeMap<(bool, String), BTreeMap<String, Value>> = BTreeMap::new();
    for (param, value) in params {
        let file = param.file.seen_from(shape.wdir.as_ref());
        let keys = files.entry((file != PARAMS_FILE, file)).or_default();
        match value {
            Value::Map(map) if param.key.is_root() => {
                keys.extend(map.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            _ => {
                keys.insert(param.key.to_string(), value.clone());
            }
        }
    }
    let files = files.into_iter().map(|((_, file), keys)| {
        let keys = keys.into_iter().collect();
        (file, Value::Map(keys))
    });
    files.collect()
}

/// Reads the entry at `at`; `None` when it is broken, which is reported.
pub(super) fn read(problems: &Problems<'_>, at: &KeyPath, shape: &Shape) -> Option<LockEntry> {
    let fields = problems.fields(at.clone());
    let commands = fields.texts("cmd").into_iter().map(str::to_owned);
    let deps = read_paths(problems, at, "deps", shape);
    let outs = read_paths(problems, at, "outs", shape);
    let params = read_params(problems, &at.key("params"), shape);
    Some(LockEntry {
        commands: commands.collect(),
        wdir: shape.wdir.clone(),
        deps: deps?,
        params: params?,
        env: BTreeMap::new(),
        outs: outs?,
    })
}

fn read_paths(
    problems: &Problems<'_>,
    at: &KeyPath,
    key: &'static str,
    shape: &Shape,
) -> Option<BTreeMap<ArtifactPath, Presence>> {
    let at = at.key(key);
    let root = &problems.document().root;
    let items = match at.get(root) {
        None | Some(Value::Null) => return Some(BTreeMap::new()),
        Some(Value::List(items)) => items,
        Some(_) => {
            let headline = format!("`{at}` must be a list");
            problems.report(&at, On::Value, "wrong-type", headline, "", None);
            return None;
        }
    };
    let mut paths = BTreeMap::new();
    let mut good = true;
    for i in 0..items.len() {
        let item = problems.fields(at.index(i));
        let path = item.optional_text("path");
        // What lies elsewhere (a URL, a data set) is none of the project's.
        let Some(Ok(path)) = path.map(|text| ArtifactPath::parse_in(shape.base(), text)) else {
            continue;
        };
        let Some(text) = item.optional_text("md5") else {
            continue;
        };
        match text.parse::<ObjectId>() {
            Ok(object) => {
                let algo = match item.optional_text("hash") {
                    Some("md5") => HashAlgo::Md5,
                    _ => HashAlgo::Md5Dos2Unix,
                };
                let object = object.as_hashed_by(algo);
                let exec = item.bool("isexec", false);
                let present = Present {
                    object,
                    size: item.int("size", 0, 0..=u64::MAX),
                    files: item.optional_int("nfiles", 0..=u64::MAX),
                    exec: if exec {
                        Executable::Yes
                    } else {
                        Executable::No
                    },
                };
                paths.insert(path, Presence::Present(present));
            }
            Err(e) => {
                let at = at.index(i).key("md5");
                problems.report(&at, On::Value, "bad-hash", e.to_string(), "", None);
                good = false;
            }
        }
    }
    good.then_some(paths)
}

fn read_params(
    problems: &Problems<'_>,
    at: &KeyPath,
    shape: &Shape,
) -> Option<BTreeMap<ParamRef, Value>> {
    let files = match at.get(&problems.document().root) {
        None | Some(Value::Null) => return Some(BTreeMap::new()),
        Some(Value::Map(files)) => files,
        Some(_) => {
            let headline = format!("`{at}` must be a mapping of params files");
            problems.report(at, On::Value, "wrong-type", headline, "", None);
            return None;
        }
    };
    let mut params = BTreeMap::new();
    let mut good = true;
    for (name, keys) in files {
        let Ok(file) = ArtifactPath::parse_in(shape.base(), name) else {
            continue;
        };
        let Some(keys) = keys.as_map() else {
            let at = at.key(name);
            let headline = format!("`{at}` must be a mapping of parameters to values");
            problems.report(&at, On::Value, "wrong-type", headline, "", None);
            good = false;
            continue;
        };
        if shape.whole.contains(&file) {
            let key = KeyPath::root();
            params.insert(ParamRef { file, key }, Value::Map(keys.clone()));
            continue;
        }
        for (text, value) in keys {
            let key = text.parse::<KeyPath>();
            let key = key.unwrap_or_else(|_| KeyPath::root().key(text));
            let file = file.clone();
            params.insert(ParamRef { file, key }, value.clone());
        }
    }
    good.then_some(params)
}
