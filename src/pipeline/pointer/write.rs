//! Writes a pointer file. Imports: base, store.

use std::path::Path;

use crate::base::doc::{Document, Format, KeyPath, Map, Value, edit};
use crate::base::fs::{Executable, fault};
use crate::base::hash::HashAlgo;
use crate::base::{ArtifactPath, Error, ObjectId, fs};
use crate::pipeline::spec::{BeforeRun, Storage};
use crate::store::{Presence, Present};

use super::{Pointer, PointerOut};

impl Pointer {
    /// Returns the text of the file. What was read keeps its layout.
    ///
    /// # Errors
    /// The layout of the file that was read is beyond the editor.
    pub fn to_text(&self) -> Result<String, Error> {
        let Some(document) = &self.document else {
            let value = Value::Map(self.update(Map::new()));
            return value
                .to_yaml()
                .map_err(Error::io("write", Path::new(self.file.as_str())));
        };
        let old = document.root.as_map().cloned().unwrap_or_default();
        let new = Value::Map(self.update(old));
        Ok(edit::set(document, &KeyPath::root(), &new)?
            .source
            .text
            .clone())
    }

    /// Replaces the file below `root`, atomically and durably. Everything it names must be durable.
    /// A file that says the same already is not touched.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        let text = self.to_text()?;
        let file = self.file.under(root);
        let was = self.document.as_ref().map(|document| &document.source.text);
        if was == Some(&text) {
            return Ok(());
        }
        fault::point("pointer.write").map_err(Error::io("write", &file))?;
        if let Some(dir) = file.parent().filter(|dir| !dir.is_dir()) {
            fs::create_dir_all(dir).map_err(Error::io("create folder", dir))?;
        }
        fs::write_through_links(&file, text.as_bytes()).map_err(Error::io("write", &file))
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
        put(&mut top, "frozen", self.frozen.then_some(Value::Bool(true)));
        if !self.deps.is_empty() {
            let deps = self.deps.iter().map(|dep| Value::Map(dep.fields.clone()));
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
        let other = if key == "md5" { "blake3" } else { "md5" };
        put(
            &mut out,
            key,
            object.map(|object| Value::Str(object.to_string())),
        );
        put(&mut out, other, None);
        let present = self.present();
        let number = |n: u64| i64::try_from(n).map_or(Value::UInt(n), Value::Int);
        put(&mut out, "size", present.map(|p: Present| number(p.size)));
        let files = present.and_then(|p| p.files);
        put(&mut out, "nfiles", files.map(number));
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
            .is_none_or(|old| !self.is_at(base, old))
        {
            out.insert("path".to_owned(), Value::Str(relative(base, &self.path)));
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
        flag(&mut out, "cache", self.storage == Storage::Cached, true);
        flag(
            &mut out,
            "persist",
            self.before_run == BeforeRun::Keep,
            false,
        );
        put(&mut out, "remote", text(&self.remote));
        flag(&mut out, "push", self.push, true);
        out
    }

    fn is_at(&self, base: Option<&ArtifactPath>, text: &str) -> bool {
        let base = base.map_or("", ArtifactPath::as_str);
        ArtifactPath::parse_in(base, text).is_ok_and(|path| path == self.path)
    }
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

/// Writes a flag that differs from its default, or corrects one that is written already.
fn flag(map: &mut Map, key: &str, value: bool, default: bool) {
    if value != default || map.contains_key(key) {
        map.insert(key.to_owned(), Value::Bool(value));
    }
}

/// Returns `path` as seen from `base`.
pub(super) fn relative(base: Option<&ArtifactPath>, path: &ArtifactPath) -> String {
    let base: Vec<&str> = base.map_or(Vec::new(), |base| base.as_str().split('/').collect());
    let parts: Vec<&str> = path.as_str().split('/').collect();
    let common = base.iter().zip(&parts).take_while(|(a, b)| a == b).count();
    let common = common.min(parts.len() - 1);
    let up = std::iter::repeat_n("..", base.len() - common);
    up.chain(parts[common..].iter().copied())
        .collect::<Vec<_>>()
        .join("/")
}
