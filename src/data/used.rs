//! Which objects are used: by the workspace, and by commits. Imports: base, project, pipeline, store.
//!
//! In the workspace, the graph says which outs there are and the lock what they hold. At a commit,
//! lock files and pointers are read as documents: what a stage there was called or how its templates
//! were filled in does not matter to the objects it wrote. What the pipeline file of that commit says
//! of an output (`cache`, `push`, `remote`) is found by its path.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::doc::{Document, Format, Map, Value};
use crate::base::fs::Executable;
use crate::base::hash::HashAlgo;
use crate::base::{ArtifactPath, ContentHash, ObjectId};
use crate::pipeline::index::revision::{Finder, Role};
use crate::pipeline::lock::LockFile;
use crate::pipeline::pointer::{self, Pointer};
use crate::pipeline::spec::{Push, Storage};
use crate::pipeline::{self, Plan};
use crate::project::git::Blob;
use crate::project::{Commit, Git, Personality};
use crate::store::{Presence, Present};

use super::error::Error;

/// An object and what is to become of it.
#[derive(Clone, Debug)]
pub struct Used {
    /// Where it belongs.
    pub path: ArtifactPath,
    /// What belongs there.
    pub content: Present,
    /// `push: false` keeps it away from every remote.
    pub push: bool,
    /// The remote that it always goes to.
    pub remote: Option<String>,
}

impl Used {
    /// Returns its object.
    #[must_use]
    pub fn object(&self) -> ObjectId {
        self.content.object
    }
}

/// Returns the objects of a list.
#[must_use]
pub fn objects(used: &[Used]) -> BTreeSet<ObjectId> {
    used.iter().map(Used::object).collect()
}

/// Returns what the chosen stages last wrote and the chosen pointers track, as far as the cache
/// keeps it, sorted by path.
#[must_use]
pub fn in_workspace(plan: &Plan<'_>, lock: &LockFile) -> Vec<Used> {
    let graph = plan.graph();
    let mut used = Vec::new();
    for &index in plan.order() {
        let stage = &graph.stages()[index];
        let Some(entry) = lock.stages.get(&stage.name) else {
            continue;
        };
        for (path, out) in &stage.outs {
            if let (Storage::Cached, Some(Presence::Present(content))) =
                (out.storage, entry.outs.get(path))
            {
                used.push(Used {
                    path: path.clone(),
                    content: *content,
                    push: out.push == Push::Allowed,
                    remote: out.remote.clone(),
                });
            }
        }
    }
    for &index in plan.pointers() {
        used.extend(of_pointer(&graph.pointers()[index]));
    }
    used.sort_by(|a, b| a.path.cmp(&b.path));
    used
}

/// Returns what a pointer tracks. Data that another repository keeps is not pushed to ours.
#[must_use]
pub fn of_pointer(pointer: &Pointer) -> Vec<Used> {
    let of_others = pointer
        .deps
        .iter()
        .any(|dep| dep.fields.contains_key("repo"));
    let kept = pointer
        .outs
        .iter()
        .filter(|out| out.storage == Storage::Cached);
    kept.filter_map(|out| {
        Some(Used {
            path: out.path.clone(),
            content: out.present()?,
            push: out.push && !of_others,
            remote: out.remote.clone(),
        })
    })
    .collect()
}

/// Reads what commits use; files that several commits share are read once.
#[derive(Debug)]
pub struct Commits {
    git: Git,
    personality: Personality,
    finder: Finder,
    read: BTreeMap<(ArtifactPath, Blob, Option<Blob>), Vec<Used>>,
}

impl Commits {
    /// Opens the history of the project that `git` was opened for.
    #[must_use]
    pub fn new(git: Git, personality: Personality) -> Self {
        Self {
            git,
            personality,
            finder: Finder::new(personality),
            read: BTreeMap::new(),
        }
    }

    /// Returns git, to ask which commits there are.
    pub fn git(&mut self) -> &mut Git {
        &mut self.git
    }

    /// Returns what the lock files and pointers of a commit name.
    ///
    /// # Errors
    /// One of them is broken, or git stopped answering.
    pub fn used(&mut self, commit: &Commit) -> Result<Vec<Used>, Error> {
        let personality = self.personality;
        let files = self.finder.files(&mut self.git, commit)?;
        let mut used = Vec::new();
        for (path, blob, role) in files.iter() {
            let pipeline = match (role, path.parent()) {
                (Role::Pipeline, _) => continue,
                (Role::Pointer, _) => None,
                (Role::Lock, Some(folder)) => Some(folder.join(personality.pipeline_file)),
                (Role::Lock, None) => personality.pipeline_file.parse().ok(),
            };
            let pipeline = pipeline.and_then(|path| files.get(&path));
            let key = (path.clone(), blob.clone(), pipeline.cloned());
            if let Some(known) = self.read.get(&key) {
                used.extend_from_slice(known);
                continue;
            }
            let text = String::from_utf8_lossy(&self.git.read(blob)?).into_owned();
            let found = if role == Role::Pointer {
                of_pointer(&pointer::parse(path, text)?)
            } else {
                let pipeline = match pipeline {
                    Some(blob) => self.git.read(blob)?,
                    None => Vec::new(),
                };
                let wishes = Wishes::read(path, &String::from_utf8_lossy(&pipeline));
                of_lock(path, text, &wishes, &personality)?
            };
            used.extend_from_slice(&found);
            self.read.insert(key, found);
        }
        Ok(used)
    }
}

/// Returns what every stage of a lock file wrote, whether or not the pipeline knows the stage.
///
/// # Errors
/// It is no YAML.
pub fn of_lock_text(
    file: &ArtifactPath,
    text: String,
    personality: &Personality,
) -> Result<Vec<Used>, Error> {
    of_lock(file, text, &Wishes::default(), personality)
}

fn of_lock(
    file: &ArtifactPath,
    text: String,
    wishes: &Wishes,
    personality: &Personality,
) -> Result<Vec<Used>, Error> {
    let document = Document::parse(file.as_str(), text, Format::Yaml)?;
    let Some(root) = document.root.as_map() else {
        return Ok(Vec::new());
    };
    // Before there was a `schema`, DVC kept the stages at the top.
    let stages = match root.get("schema") {
        Some(_) => root.get("stages").and_then(Value::as_map),
        None => Some(root),
    };
    let mut used = Vec::new();
    for (name, entry) in stages.into_iter().flatten() {
        let of_stage = wishes.0.get(name.split('@').next().unwrap_or(name));
        for (path, content) in outs_of(entry) {
            // Paths in a cvops lock are those of the project, in DVC's those of the stage.
            let base = match (personality.hash, of_stage) {
                (HashAlgo::Blake3, _) => "",
                (_, Some(stage)) => &stage.base,
                (_, None) => folder_of(file),
            };
            let Ok(path) = ArtifactPath::parse_in(base, path) else {
                continue;
            };
            let wish = of_stage.and_then(|stage| stage.find(&path));
            if wish.is_some_and(|wish| !wish.cache) {
                continue;
            }
            used.push(Used {
                path,
                content,
                push: wish.is_none_or(|wish| wish.push),
                remote: wish.and_then(|wish| wish.remote.clone()),
            });
        }
    }
    Ok(used)
}

fn folder_of(file: &ArtifactPath) -> &str {
    file.as_str()
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder)
}

/// Returns the paths and content that an entry of a lock, or a record of the run cache, names.
pub fn outs_of(entry: &Value) -> Vec<(&str, Present)> {
    let outs = entry
        .as_map()
        .and_then(|entry| entry.get("outs")?.as_list());
    let read = |out: &'_ Value| {
        let out = out.as_map()?;
        Some((out.get("path")?.as_str()?.len(), content(out)?))
    };
    let outs = outs.unwrap_or_default().iter();
    outs.filter_map(|out| {
        let (_, content) = read(out)?;
        Some((out.as_map()?.get("path")?.as_str()?, content))
    })
    .collect()
}

fn content(out: &Map) -> Option<Present> {
    let object: ObjectId = match (out.get("blake3"), out.get("md5")) {
        (Some(hash), _) | (None, Some(hash)) => hash.as_str()?.parse().ok()?,
        (None, None) => return None,
    };
    // DVC 2 did not say `hash: md5`; its hashes are those of normalised text.
    let is_legacy = object.hash().algo() == HashAlgo::Md5 && !out.contains_key("hash");
    let hash = |hash: ContentHash| if is_legacy { hash.dos2unix() } else { hash };
    let number = |key: &str| out.get(key).and_then(Value::as_i64);
    let number = |key: &str| number(key).and_then(|n| u64::try_from(n).ok());
    let (object, files) = match object {
        ObjectId::File(h) => (ObjectId::File(hash(h)), None),
        ObjectId::Tree(h) => (ObjectId::Tree(hash(h)), number("nfiles").or(Some(0))),
    };
    let exec = match out.get("isexec") {
        Some(Value::Bool(true)) => Executable::Yes,
        _ => Executable::No,
    };
    Some(Present {
        object,
        size: number("size").unwrap_or_default(),
        files,
        exec,
    })
}

/// What the pipeline file of a commit says of outputs, by stage.
#[derive(Debug, Default)]
struct Wishes(BTreeMap<String, StageWishes>);

#[derive(Debug)]
struct StageWishes {
    /// The folder that its paths are relative to.
    base: String,
    outs: Vec<Wish>,
}

#[derive(Debug)]
struct Wish {
    /// The path below the project, with `${…}` as it was written.
    path: String,
    cache: bool,
    push: bool,
    remote: Option<String>,
}

impl Wishes {
    /// Reads what can be read; a broken pipeline file wishes nothing.
    fn read(lock: &ArtifactPath, text: &str) -> Self {
        let folder = folder_of(lock);
        let document = Document::parse("pipeline", text.to_owned(), Format::Yaml);
        let root = document.ok().map(|document| document.root);
        let stages = root
            .as_ref()
            .and_then(|root| root.as_map()?.get("stages")?.as_map());
        let stages = stages.into_iter().flatten().map(|(name, stage)| {
            let inner = stage.as_map().and_then(|stage| stage.get("do"));
            let stage = inner.unwrap_or(stage);
            (name.clone(), StageWishes::read(folder, stage))
        });
        Self(stages.collect())
    }
}

impl StageWishes {
    fn read(folder: &str, stage: &Value) -> Self {
        let get = |key: &str| stage.as_map().and_then(|stage| stage.get(key));
        let wdir = get("wdir").and_then(Value::as_str).unwrap_or(".");
        let base = match ArtifactPath::parse_in(folder, wdir) {
            Ok(base) => base.to_string(),
            Err(_) => String::new(),
        };
        let items = ["outs", "metrics", "plots"].into_iter().filter_map(get);
        let items = items.filter_map(Value::as_list).flatten();
        let outs = items.filter_map(|item| Wish::read(&base, item)).collect();
        Self { base, outs }
    }

    fn find(&self, path: &ArtifactPath) -> Option<&Wish> {
        let fits = |wish: &&Wish| matches_template(&wish.path, path.as_str());
        self.outs.iter().find(fits)
    }
}

impl Wish {
    fn read(base: &str, item: &Value) -> Option<Self> {
        let (text, options) = match item {
            Value::Str(text) => (text.as_str(), None),
            Value::Map(map) => {
                let (text, options) = map.get_index(0)?;
                (text.as_str(), options.as_map())
            }
            _ => return None,
        };
        let get = |key: &str| options.and_then(|options| options.get(key));
        let says_no = |key: &str| matches!(get(key), Some(Value::Bool(false)));
        Some(Self {
            path: ArtifactPath::parse_in(base, text).ok()?.to_string(),
            cache: !says_no("cache"),
            push: !says_no("push"),
            remote: get("remote").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// Could `template` have become `text`? Anything may stand for a `${…}`.
fn matches_template(template: &str, text: &str) -> bool {
    let Some((start, rest)) = template.split_once("${") else {
        return template == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    // As many characters as it takes, none included.
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter()
        .any(|at| matches_template(after, &text[at..]))
}

/// Returns the objects that a record of the run cache names: `{run: entry}`, or DVC's plain entry.
///
/// # Errors
/// It is no document.
pub fn of_record(name: &str, text: String) -> Result<BTreeSet<ObjectId>, pipeline::Error> {
    // JSON is YAML.
    let document = Document::parse(name, text, Format::Yaml)?;
    let root = &document.root;
    let entry = root
        .as_map()
        .and_then(|root| root.get("run"))
        .unwrap_or(root);
    let outs = outs_of(entry).into_iter();
    Ok(outs.map(|(_, content)| content.object).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{CVOPS, DVC};

    #[test]
    fn templates_fit_what_they_became() {
        for (template, text, fits) in [
            ("a.txt", "a.txt", true),
            ("a.txt", "b.txt", false),
            ("m/${item}.bin", "m/one.bin", true),
            ("m/${item}.bin", "m/one.txt", false),
            ("${a}/${b}", "x/y/z", true),
            ("${a}-${b}", "xy", false),
            ("${a}", "", true),
        ] {
            assert_eq!(matches_template(template, text), fits, "{template} {text}");
        }
    }

    #[test]
    fn locks_of_all_versions_name_their_objects() {
        let md5 = "d751713988987e9331980363e24189ce";
        let lock = format!(
            "schema: '2.0'\nstages:\n  a@one:\n    cmd: x\n    outs:\n    - path: one.bin\n      hash: md5\n      md5: {md5}\n      size: 3\n    - {{path: two, md5: {md5}.dir, nfiles: 2}}\n    - {{path: m.json, hash: md5, md5: {md5}}}\n"
        );
        let pipeline = "stages:\n  a:\n    foreach: [one]\n    do:\n      wdir: w\n      cmd: x\n      outs: [{'${item}.bin': {push: false}}, {two: {remote: r}}]\n      metrics: [{m.json: {cache: false}}]\n";
        let file: ArtifactPath = "sub/dvc.lock".parse().unwrap();
        let wishes = Wishes::read(&file, pipeline);
        let used = of_lock(&file, lock, &wishes, &DVC).unwrap();
        let found: Vec<_> = used
            .iter()
            .map(|u| {
                (
                    u.path.as_str(),
                    u.object().to_string(),
                    u.push,
                    u.remote.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("sub/w/one.bin", md5.to_owned(), false, None),
                ("sub/w/two", format!("{md5}.dir"), true, Some("r")),
            ]
        );
        assert_eq!(used[1].object().hash().algo(), HashAlgo::Md5Dos2Unix);
        let old = format!("a:\n  cmd: x\n  outs:\n  - path: b\n    md5: {md5}\n");
        let used = of_lock_text(&file, old, &DVC).unwrap();
        assert_eq!(used[0].path.as_str(), "sub/b");
        let hash = ContentHash::of(b"x");
        let native =
            format!("schema: '1'\nstages: {{s: {{outs: [{{path: d/e, blake3: {hash}}}]}}}}\n");
        let used = of_lock_text(&"pipeline.lock".parse().unwrap(), native, &CVOPS).unwrap();
        assert_eq!(used[0].object(), ObjectId::File(hash));
    }
}
