//! Writes a pointer file. Imports: base, store.

use std::path::Path;

use crate::base::doc::{Document, Format, KeyPath, Map, Value, edit, emit};
use crate::base::fs::{Executable, fault};
use crate::base::hash::HashAlgo;
use crate::base::path::PathError;
use crate::base::{ArtifactPath, Error, ObjectId, fs};
use crate::pipeline::spec::{BeforeRun, Storage};
use crate::store::Present;

use super::{Pointer, PointerOut};

impl Pointer {
    /// Returns the text of the file. What was read keeps its layout.
    ///
    /// # Errors
    /// The layout of the file that was read is beyond the editor.
    pub fn to_text(&self) -> Result<String, Error> {
        let Some(document) = &self.document else {
            return Ok(emit::to_yaml(&Value::Map(self.update(Map::new()))));
        };
        let old = document.root.as_map().cloned().unwrap_or_default();
        let new = Value::Map(self.update(old));
        // A file as it was written stays as it would be written; one with a hand's marks keeps them.
        if emit::to_yaml(&document.root) == document.source.text {
            return Ok(emit::to_yaml(&new));
        }
        Ok(edit::set(document, &KeyPath::root(), &new)?
            .source
            .text
            .clone())
    }

    /// Replaces the file below `root`, atomically and durably. Everything it names must be durable.
    /// A file that says the same already is not touched; returns whether it was written.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write(&self, root: &Path) -> Result<bool, Error> {
        let text = self.to_text()?;
        let file = self.file.under(root);
        // A pointer that moved is a new file, whatever it says.
        let was = self.document.as_ref().map(|document| &document.source);
        if was.is_some_and(|was| was.text == text && was.name == self.file.as_str()) {
            return Ok(false);
        }
        fault::point("pointer.write").map_err(Error::io("write", &file))?;
        if let Some(dir) = file.parent().filter(|dir| !dir.is_dir()) {
            fs::create_dir_all(dir).map_err(Error::io("create folder", dir))?;
        }
        fs::write_through_links(&file, text.as_bytes()).map_err(Error::io("write", &file))?;
        Ok(true)
    }

    /// Takes over what was written, so that a second write starts from there.
    ///
    /// # Errors
    /// As `to_text`.
    pub fn written(mut self) -> Result<Self, Error> {
        let text = self.to_text()?;
        self.document = Some(Document::parse(self.file.as_str(), text, Format::Yaml)?);
        Ok(self)
    }

    /// Brings the keys of the file up to date; the order of those that are there stays.
    fn update(&self, mut top: Map) -> Map {
        let read = self.document.as_ref().map(|document| &document.root);
        let base = self.base.as_ref();
        let outs = self.outs.iter().map(|out| {
            let old = read.and_then(|root| out.declared.get(root));
            let old = old.and_then(Value::as_map).cloned().unwrap_or_default();
            Value::Map(out.update(old, base))
        });
        let outs = Value::List(outs.collect());
        put(&mut top, "desc", self.desc.clone().map(Value::Str));
        put(&mut top, "md5", self.md5.clone().map(Value::Str));
        let folder = self.file.parent();
        let above = folder.as_ref().map_or("", ArtifactPath::as_str);
        let wdir = top.get("wdir").and_then(Value::as_str).unwrap_or(".");
        let says = match ArtifactPath::parse_in(above, wdir) {
            Ok(folder) => Some(Some(folder)),
            // The top folder has no path.
            Err(PathError::Empty) => Some(None),
            // As seen from another folder than the one the file was in.
            Err(_) => None,
        };
        if says.as_ref() != Some(&self.base) {
            let text = match &self.base {
                _ if self.base == folder => None,
                Some(base) => Some(base.seen_from(folder.as_ref())),
                None => Some(above.split('/').map(|_| "..").collect::<Vec<_>>().join("/")),
            };
            put(&mut top, "wdir", text.map(Value::Str));
        }
        if self.frozen || top.get("frozen") == Some(&Value::Bool(true)) {
            let frozen = self.frozen.then_some(Value::Bool(true));
            put(&mut top, "frozen", frozen);
        }
        if !self.deps.is_empty() {
            let deps = self.deps.iter().map(|dep| {
                let mut fields = dep.fields.clone();
                if let Some(path) = &dep.path {
                    let text = fields
                        .get("path")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    if !is_at(base, text, path) {
                        fields.insert("path".to_owned(), Value::Str(path.seen_from(base)));
                    }
                }
                Value::Map(fields)
            });
            top.insert("deps".to_owned(), Value::List(deps.collect()));
        }
        top.insert("outs".to_owned(), outs);
        top
    }
}

impl PointerOut {
    /// Brings the keys of the out up to date, in DVC's order where they are new.
    fn update(&self, mut out: Map, base: Option<&ArtifactPath>) -> Map {
        let text = |text: &Option<String>| text.clone().map(Value::Str);
        let object = self.object();
        let key = object.as_ref().map_or("md5", hash_key);
        // DVC 1 wrote no sizes; a file that says the same as before is not touched for them.
        let said = out.get(key).and_then(Value::as_str).map(str::to_lowercase);
        let is_same = said.is_some() && said == object.map(|object| object.to_string());
        let other = if key == "md5" { "blake3" } else { "md5" };
        put(
            &mut out,
            key,
            object.map(|object| Value::Str(object.to_string())),
        );
        put(&mut out, other, None);
        let present = self.present();
        let number = |n: u64| i64::try_from(n).map_or(Value::UInt(n), Value::Int);
        if !is_same || out.contains_key("size") {
            put(&mut out, "size", present.map(|p: Present| number(p.size)));
        }
        let files = present.and_then(|p| p.files);
        if !is_same || out.contains_key("nfiles") {
            put(&mut out, "nfiles", files.map(number));
        }
        let exec = present.is_some_and(|p| p.exec == Executable::Yes);
        put(&mut out, "isexec", exec.then_some(Value::Bool(true)));
        let is_exact = object.is_some_and(|object| object.hash().algo() == HashAlgo::Md5);
        put(
            &mut out,
            "hash",
            is_exact.then(|| Value::Str("md5".to_owned())),
        );
        if out
            .get("path")
            .and_then(Value::as_str)
            .is_none_or(|old| !is_at(base, old, &self.path))
        {
            out.insert("path".to_owned(), Value::Str(self.path.seen_from(base)));
        }
        put(&mut out, "desc", text(&self.desc));
        put(&mut out, "type", text(&self.kind));
        let labels: Vec<Value> = self.labels.iter().cloned().map(Value::Str).collect();
        if !(labels.is_empty() && out.contains_key("labels")) {
            put(
                &mut out,
                "labels",
                (!labels.is_empty()).then_some(Value::List(labels)),
            );
        }
        if self.meta != Value::Null {
            out.insert("meta".to_owned(), self.meta.clone());
        }
        usually_true(&mut out, "cache", self.storage == Storage::Cached);
        usually_false(&mut out, "persist", self.before_run == BeforeRun::Keep);
        put(&mut out, "remote", text(&self.remote));
        usually_true(&mut out, "push", self.push);
        out
    }
}

/// Is `text`, as seen from `base`, this path?
fn is_at(base: Option<&ArtifactPath>, text: &str, path: &ArtifactPath) -> bool {
    let base = base.map_or("", ArtifactPath::as_str);
    ArtifactPath::parse_in(base, text).is_ok_and(|there| there == *path)
}

/// Returns the key under which a hash is written.
fn hash_key(object: &ObjectId) -> &'static str {
    match object.hash().algo() {
        HashAlgo::Blake3 => "blake3",
        HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => "md5",
    }
}

fn put(map: &mut Map, key: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.shift_remove(key);
        }
    }
}

/// Writes a flag whose usual value is true where it is not, or corrects one that is written already.
fn usually_true(map: &mut Map, key: &str, value: bool) {
    if !value || map.contains_key(key) {
        map.insert(key.to_owned(), Value::Bool(value));
    }
}

/// Writes a flag whose usual value is false where it is not, or corrects one that is written already.
fn usually_false(map: &mut Map, key: &str, value: bool) {
    if value || map.contains_key(key) {
        map.insert(key.to_owned(), Value::Bool(value));
    }
}
