//! Loads what `vars` names: whole params files, keys of them, and mappings written in place.
//! Imports: base, context, expression, found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::doc::{Document, KeyPath, On, Value};
use crate::base::path::PathError;
use crate::base::{ArtifactPath, Error};

use super::context::{Again, Context, Source};
use super::expression::expressions;
use super::found::Found;

/// Reads a params file; `None` if there is none of that name.
pub type ReadFile<'f> = dyn Fn(&ArtifactPath) -> Result<Option<Document>, Error> + 'f;

/// The files that templates of one pipeline file read, each read once.
pub(super) struct Files<'f> {
    read: &'f ReadFile<'f>,
    there: RefCell<BTreeMap<ArtifactPath, Option<Arc<Document>>>>,
}

impl<'f> Files<'f> {
    pub(super) fn new(read: &'f ReadFile<'f>) -> Self {
        Self {
            read,
            there: RefCell::default(),
        }
    }

    pub(super) fn get(&self, path: &ArtifactPath) -> Result<Option<Arc<Document>>, Error> {
        if let Some(known) = self.there.borrow().get(path) {
            return Ok(known.clone());
        }
        let document = (self.read)(path)?.map(Arc::new);
        self.there
            .borrow_mut()
            .insert(path.clone(), document.clone());
        Ok(document)
    }

    /// Returns what was asked for, whether or not it was there.
    pub(super) fn into_paths(self) -> Vec<ArtifactPath> {
        self.there.into_inner().into_keys().collect()
    }
}

/// Whose `vars` are loaded.
pub(super) struct Loader<'a> {
    pub(super) document: &'a Arc<Document>,
    pub(super) files: &'a Files<'a>,
    pub(super) found: &'a Found<'a>,
    /// The folder to which file names are relative; empty: the project's.
    pub(super) folder: &'a str,
    /// The stage they belong to; `None`: the whole file.
    pub(super) stage: Option<&'a str>,
    /// Names that stand for something else in this stage.
    pub(super) reserved: &'a [&'a str],
}

impl Loader<'_> {
    /// Loads the params file that is there without being named.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn implicit(&self, context: &mut Context, name: &str) -> Result<(), Error> {
        let Ok(path) = ArtifactPath::parse_in(self.folder, name) else {
            return Ok(());
        };
        if let Some(document) = self.files.get(&path)? {
            self.define_file(context, &path, &document, None);
        }
        Ok(())
    }

    /// Loads the `vars` that stand at `at`.
    ///
    /// # Errors
    /// A file cannot be read. Everything else is reported.
    pub(super) fn load(
        &self,
        context: &mut Context,
        vars: &Value,
        at: &KeyPath,
    ) -> Result<(), Error> {
        let items = match vars {
            Value::Null => return Ok(()),
            Value::List(items) => items,
            other => {
                self.wrong_type(at, "a list of files and mappings", other);
                return Ok(());
            }
        };
        for (i, item) in items.iter().enumerate() {
            let place = at.index(i);
            if self.holds_expression(item, &place) {
                continue;
            }
            match item {
                Value::Str(text) => self.file(context, text, &place)?,
                Value::Map(map) => {
                    let taken = map.keys().filter(|k| self.reserved.contains(&k.as_str()));
                    for key in taken {
                        let headline = format!(
                            "`{key}` cannot be a variable here: it stands for what the stage is made for"
                        );
                        let help = Some("choose another name".to_owned());
                        let report = (On::Key, "reserved-name", headline, help);
                        self.found.report(&place.key(key), key, report, self.stage);
                    }
                    let owner = self
                        .stage
                        .map_or_else(String::new, |stage| format!("{stage}."));
                    let source = Source {
                        name: format!("{owner}vars[{i}]"),
                        document: Arc::clone(self.document),
                        at: place,
                        keys: None,
                    };
                    self.define(context, source);
                }
                other => self.wrong_type(&place, "a file or a mapping", other),
            }
        }
        Ok(())
    }

    fn define(&self, context: &mut Context, source: Source) {
        for problem in context.define(source) {
            self.found.take(problem);
        }
    }

    fn wrong_type(&self, at: &KeyPath, expected: &str, got: &Value) {
        let headline = format!("`{at}` must be {expected}, not {}", got.kind());
        let help = "for example `vars: [other.yaml, {folder: data}]`".to_owned();
        let report = (On::Value, "wrong-type", headline, Some(help));
        self.found.report(at, "", report, None);
    }

    /// `FILE` or `FILE:key,key`.
    fn file(&self, context: &mut Context, text: &str, place: &KeyPath) -> Result<(), Error> {
        let (name, keys) = text.split_once(':').unwrap_or((text, ""));
        let keys: Vec<String> = keys
            .split(',')
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect();
        let keys = (!keys.is_empty()).then_some(keys);
        let path = match ArtifactPath::parse_in(self.folder, name) {
            Ok(path) => path,
            Err(e) => {
                self.bad_path(place, &e);
                return Ok(());
            }
        };
        let Some(document) = self.files.get(&path)? else {
            let headline = format!("`{path}` does not exist");
            let help = "create the file, or drop it from `vars`".to_owned();
            let report = (On::Value, "missing-file", headline, Some(help));
            self.found.report(place, "", report, None);
            return Ok(());
        };
        match context.load(&path, keys.as_deref()) {
            Ok(()) => {}
            Err(Again::Same) => return Ok(()),
            Err(again) => {
                let (why, help) = match again {
                    Again::PartOfWhole => ("all of it is loaded already", "drop this one"),
                    Again::Same | Again::PartTwice => (
                        "keys of it are loaded already",
                        "load each key once, or the whole file once",
                    ),
                };
                let headline = format!("`{text}` cannot be loaded: {why}");
                let report = (On::Value, "loaded-twice", headline, Some(help.to_owned()));
                self.found.report(place, "", report, None);
                return Ok(());
            }
        }
        if let (Some(keys), Value::Map(map)) = (&keys, &document.root) {
            for key in keys.iter().filter(|key| !map.contains_key(*key)) {
                let known = map.keys().map(String::as_str);
                let help = crate::base::diag::nearest(key, known)
                    .map(|near| format!("did you mean `{near}`?"));
                let headline = format!("`{path}` has no key `{key}`");
                let report = (On::Value, "undefined", headline, help);
                self.found.report(place, key, report, None);
            }
        }
        self.define_file(context, &path, &document, keys);
        Ok(())
    }

    fn define_file(
        &self,
        context: &mut Context,
        path: &ArtifactPath,
        document: &Arc<Document>,
        keys: Option<Vec<String>>,
    ) {
        // An implicit file may be named once more.
        let _ = context.load(path, keys.as_deref());
        match &document.root {
            Value::Map(_) => {}
            Value::Null => return,
            other => {
                let headline = format!("`{path}` must hold a mapping, not {}", other.kind());
                let mut problem = crate::base::Diagnostic::error("wrong-type", headline);
                if let Some(located) = document.locate(&KeyPath::root()) {
                    problem = problem.label(&document.source, located.value, "");
                }
                self.found.take(problem);
                return;
            }
        }
        let source = Source {
            name: path.to_string(),
            document: Arc::clone(document),
            at: KeyPath::root(),
            keys,
        };
        self.define(context, source);
    }

    fn bad_path(&self, place: &KeyPath, error: &PathError) {
        let report = (On::Value, "bad-path", error.to_string(), None);
        self.found.report(place, "", report, None);
    }

    /// Reports the expressions of a value: there are none in `vars`.
    fn holds_expression(&self, value: &Value, at: &KeyPath) -> bool {
        match value {
            Value::Str(text) => {
                let found = expressions(text);
                if let Some(first) = found.first() {
                    self.found
                        .no_expression_in(at, On::Value, first.text, "vars");
                }
                !found.is_empty()
            }
            Value::List(items) => items.iter().enumerate().fold(false, |any, (i, item)| {
                self.holds_expression(item, &at.index(i)) || any
            }),
            Value::Map(map) => map.iter().fold(false, |any, (key, value)| {
                let inside = at.key(key);
                let in_key = expressions(key).first().is_some_and(|first| {
                    self.found
                        .no_expression_in(&inside, On::Key, first.text, "vars");
                    true
                });
                self.holds_expression(value, &inside) || in_key || any
            }),
            _ => false,
        }
    }
}
