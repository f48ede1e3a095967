//! Turns a DVC repository into a cvops project: `cvops migrate`. Imports: base, project, pipeline,
//! store.
//!
//! Everything that is recorded by MD5 is recorded by BLAKE3 anew: from the workspace where it is what
//! the record says, else from DVC's cache. What is in neither is not known: a stage that wrote or
//! read it runs again. Nothing of DVC's is changed or removed, so that earlier commits, which are DVC
//! repositories, go on working with DVC's cache, also in cvops.
//!
//! **Order.** Objects, then pointers, then the lock, then the settings; the pipeline file, which
//! makes the folder a cvops project, comes last. Killed before it, this is a DVC repository as
//! before, and doing it again ends right.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::base::doc::{Document, Map, Value};
use crate::base::hash::{HashAlgo, hash_file};
use crate::base::{self, ArtifactPath, Cancel, ObjectId, fs};
use crate::pipeline::StageGraph;
use crate::pipeline::lock::{LockEntry, LockFile};
use crate::pipeline::pointer::{Pointer, PointerOut};
use crate::project::{self, CVOPS, Config, Layout, Project};
use crate::store::gc::Mode;
use crate::store::{Held, Listing, ListingEntry, Presence, Present, Store};

use super::error::Error;

/// A pipeline file that declares nothing.
const EMPTY: &str = "stages: {}\n";

/// What was done, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Files written, relative to the root.
    pub files: Vec<String>,
    /// Stages that run again, because what they wrote or read is not known.
    pub forgotten: Vec<String>,
    /// Settings of DVC's that were not taken over.
    pub settings_left: Vec<String>,
}

/// Migrates `project`, a DVC repository with this graph and lock.
///
/// # Errors
/// It has several pipeline files, data is in neither workspace nor cache, a file operation failed,
/// or the caller cancelled.
pub fn migrate(
    project: &Project,
    graph: &StageGraph,
    lock: &LockFile,
    mode: Mode,
    cancel: &Cancel,
) -> Result<Migrated, Error> {
    let files: Vec<String> = graph
        .files()
        .iter()
        .map(|f| f.document.source.name.clone())
        .collect();
    if 1 < files.len() || graph.files().iter().any(|file| file.file.is_some()) {
        return Err(Error::SeveralPipelines { files });
    }
    let layout = Layout::new(&project.root, &CVOPS);
    let target = Project {
        root: project.root.clone(),
        personality: CVOPS,
        config: Config::defaults(&layout),
        layout,
    };
    let mut rehash = Rehash {
        old: Store::open(project, cancel),
        new: Store::open(&target, cancel),
        project,
        known: BTreeMap::new(),
    };
    let mut migrated = Migrated::default();
    let pointers = match mode {
        Mode::Count => graph
            .pointers()
            .iter()
            .map(|p| file_of(p, CVOPS.pointer_suffix))
            .collect(),
        Mode::Remove => pointers(graph, &mut rehash)?,
    };
    let mut entries = LockFile::default();
    if mode == Mode::Remove {
        for (name, entry) in &lock.stages {
            let declared = graph.find(name.as_str()).is_some();
            match rehash.entry(entry)? {
                Some((entry, is_whole)) => {
                    if !is_whole && declared {
                        migrated.forgotten.push(name.to_string());
                    }
                    entries.stages.insert(name.clone(), entry);
                }
                None if declared => migrated.forgotten.push(name.to_string()),
                None => {}
            }
        }
        rehash.new.make_durable()?;
    }
    let (config, settings_left) = settings(project)?;
    migrated.settings_left = settings_left;
    let pipeline = match graph.document() {
        Some(document) => document.source.text.clone(),
        None => EMPTY.to_owned(),
    };
    let mut texts: Vec<(String, String)> = Vec::new();
    for (file, text) in pointers {
        texts.push((file.to_string(), text));
    }
    if !lock.stages.is_empty() {
        let path = target.lock_file();
        let text = entries.to_text().map_err(base::Error::io("write", &path))?;
        texts.push((CVOPS.lock_file.to_owned(), text));
    }
    texts.extend(config.map(|text| (relative(&target.layout.config(), &project.root), text)));
    texts.push((CVOPS.pipeline_file.to_owned(), pipeline));
    for (name, text) in texts {
        if mode == Mode::Remove {
            let path = project.root.join(&name);
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
            }
            fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))?;
        }
        migrated.files.push(name);
    }
    rehash.old.finish();
    rehash.new.finish();
    if mode == Mode::Remove {
        // In a DVC repository git saw nothing of the state folder; now it holds settings.
        let rules = target.layout.gitignore();
        fs::remove_file(&rules).map_err(base::Error::io("remove", &rules))?;
        project::init(&project.root)?;
    }
    Ok(migrated)
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Returns the name of the native pointer file, with no text yet.
fn file_of(pointer: &Pointer, suffix: &str) -> (ArtifactPath, String) {
    let stem = pointer.file.as_str();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let file = format!("{stem}{suffix}").parse();
    (file.unwrap_or_else(|_| pointer.file.clone()), String::new())
}

/// Returns the native pointer files.
fn pointers(
    graph: &StageGraph,
    rehash: &mut Rehash<'_>,
) -> Result<Vec<(ArtifactPath, String)>, Error> {
    let mut files = Vec::new();
    let mut lacking = Vec::new();
    for pointer in graph.pointers() {
        let (file, _) = file_of(pointer, CVOPS.pointer_suffix);
        let mut outs = Vec::new();
        for out in &pointer.outs {
            match rehash.keep(&out.path, &out.recorded)? {
                Some(recorded) => outs.push(PointerOut {
                    recorded,
                    ..out.clone()
                }),
                None => lacking.push(out.path.to_string()),
            }
        }
        let native = Pointer {
            file: file.clone(),
            outs,
            md5: None,
            document: None,
            ..pointer.clone()
        };
        files.push((file, native.to_text()?));
    }
    if lacking.is_empty() {
        Ok(files)
    } else {
        Err(Error::NothingToHash { paths: lacking })
    }
}

/// Finds the BLAKE3 identity of what is known by its MD5.
struct Rehash<'p> {
    project: &'p Project,
    old: Store,
    new: Store,
    known: BTreeMap<(ArtifactPath, ObjectId), Option<Presence>>,
}

impl Rehash<'_> {
    /// Returns an entry in BLAKE3 and whether all of it is known; nothing if an output is not.
    fn entry(&mut self, entry: &LockEntry) -> Result<Option<(LockEntry, bool)>, Error> {
        let mut outs = BTreeMap::new();
        for (path, recorded) in &entry.outs {
            match self.keep(path, recorded)? {
                Some(presence) => outs.insert(path.clone(), presence),
                None => return Ok(None),
            };
        }
        let mut deps = BTreeMap::new();
        for (path, recorded) in &entry.deps {
            if let Some(presence) = self.look(path, recorded)? {
                deps.insert(path.clone(), presence);
            }
        }
        let is_whole = deps.len() == entry.deps.len();
        let entry = LockEntry {
            deps,
            outs,
            ..entry.clone()
        };
        Ok(Some((entry, is_whole)))
    }

    /// As `look`, with the content in the new cache.
    fn keep(
        &mut self,
        path: &ArtifactPath,
        recorded: &Presence,
    ) -> Result<Option<Presence>, Error> {
        let found = self.look(path, recorded)?;
        if let Some(Presence::Present(present)) = found
            && self.new.contains(&present.object)? != Held::Whole
        {
            return Ok(Some(self.new.save(path)?));
        }
        Ok(found)
    }

    /// Returns what `recorded` is in BLAKE3; nothing if it is neither in place nor in the old cache.
    fn look(
        &mut self,
        path: &ArtifactPath,
        recorded: &Presence,
    ) -> Result<Option<Presence>, Error> {
        let Presence::Present(present) = recorded else {
            return Ok(Some(Presence::Missing));
        };
        let key = (path.clone(), present.object);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let found = if self.stands(path, present)? {
            Some(self.new.snapshot(path)?)
        } else if self.old.contains(&present.object)? == Held::Whole {
            Some(self.copy(present)?)
        } else {
            None
        };
        self.known.insert(key, found);
        Ok(found)
    }

    /// Is `path` in the workspace what was recorded?
    fn stands(&self, path: &ArtifactPath, present: &Present) -> Result<bool, Error> {
        let absolute = self.project.absolute(path);
        if present.object.hash().algo() == HashAlgo::Md5Dos2Unix {
            let is_file = matches!(present.object, ObjectId::File(_)) && absolute.is_file();
            let hash = || hash_file(HashAlgo::Md5Dos2Unix, &absolute);
            let hash = if is_file { hash().ok() } else { None };
            return Ok(hash.as_ref() == Some(present.object.hash()));
        }
        Ok(self.old.snapshot(path)?.object() == Some(present.object))
    }

    /// Copies an object from the old cache into the new one.
    fn copy(&self, present: &Present) -> Result<Presence, Error> {
        let insert = |object: &ObjectId| {
            let path = self.old.cache.object_path(object);
            let size = std::fs::metadata(&path).map_err(base::Error::io("inspect", &path))?;
            Ok::<_, Error>((self.new.cache.insert_file(&path)?, size.len()))
        };
        let new = match present.object {
            ObjectId::File(_) => {
                let (hash, size) = insert(&present.object)?;
                Present {
                    object: ObjectId::File(hash),
                    size,
                    ..*present
                }
            }
            ObjectId::Tree(hash) => {
                let listing = self.old.cache.listing(&hash)?;
                let entries = listing.entries().par_iter().map(|entry| {
                    let (hash, size) = insert(&ObjectId::File(entry.hash))?;
                    Ok(ListingEntry {
                        path: entry.path.clone(),
                        hash,
                        size: Some(size),
                        exec: entry.exec,
                    })
                });
                let entries = entries.collect::<Result<Vec<_>, Error>>()?;
                let listing = Listing::new(entries).map_err(|e| crate::store::Error::Listing {
                    hash,
                    problem: e.to_string(),
                })?;
                Present {
                    object: self.new.cache.insert_listing(&listing)?,
                    size: listing.size(),
                    files: Some(listing.files()),
                    ..*present
                }
            }
        };
        Ok(Presence::Present(new))
    }
}

/// Returns native settings with the remotes of DVC's committed file, and the names of what stays
/// behind. Files that are not committed may hold secrets; they are not looked at.
fn settings(project: &Project) -> Result<(Option<String>, Vec<String>), Error> {
    let path = project.layout.config();
    let name = relative(&path, &project.root);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((None, Vec::new())),
        Err(e) => return Err(base::Error::io("read", &path)(e).into()),
    };
    let document = Document::parse(&name, text, project.personality.settings.format())?;
    let top = document.root.as_map();
    let mut core = Map::new();
    let mut remotes = Map::new();
    let mut left = Vec::new();
    for (section, options) in top.into_iter().flatten() {
        for (key, value) in options.as_map().into_iter().flatten() {
            match (section.as_str(), key.as_str()) {
                ("core", "remote") => {
                    core.insert(key.clone(), value.clone());
                }
                ("remote", remote) => {
                    let options = value.as_map().into_iter().flatten();
                    let mut native = Map::new();
                    for (option, value) in options {
                        let number = match value {
                            Value::Int(number) => Some(*number),
                            other => other.as_str().and_then(|text| text.parse().ok()),
                        };
                        match (option.as_str(), value.as_str(), number) {
                            ("url", Some(url), _) => {
                                let url = Value::Str(from_root(url, &path, &project.root));
                                native.insert(option.clone(), url);
                            }
                            ("jobs", _, Some(jobs)) => {
                                native.insert(option.clone(), Value::Int(jobs));
                            }
                            _ => left.push(format!("remote.{remote}.{option}")),
                        }
                    }
                    remotes.insert(remote.to_owned(), Value::Map(native));
                }
                _ => left.push(format!("{section}.{key}")),
            }
        }
    }
    if core.is_empty() && remotes.is_empty() {
        return Ok((None, left));
    }
    let mut root = Map::new();
    for (name, section) in [("core", core), ("remote", remotes)] {
        if !section.is_empty() {
            root.insert(name.to_owned(), Value::Map(section));
        }
    }
    let yaml = Value::Map(root)
        .to_yaml()
        .map_err(base::Error::io("write", &path))?;
    let head = "# Settings of this project, committed; taken over from DVC's.\n";
    Ok((Some(format!("{head}{yaml}")), left))
}

/// Returns a place that counts from the folder of DVC's settings as one that counts from the root.
fn from_root(url: &str, config: &Path, root: &Path) -> String {
    if url.contains("://") || Path::new(url).is_absolute() {
        return url.to_owned();
    }
    let folder = config.parent().and_then(|dir| dir.strip_prefix(root).ok());
    let mut parts: Vec<&str> = Vec::new();
    let folder = folder.and_then(Path::to_str).unwrap_or_default();
    for part in folder.split('/').chain(url.split('/')) {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            (part, _) => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_the_root() {
        let (config, root) = (Path::new("/p/.dvc/config"), Path::new("/p"));
        for (dvc, native) in [
            ("s3://bucket/x", "s3://bucket/x"),
            ("/srv/store", "/srv/store"),
            ("../store", "store"),
            ("../../store", "../store"),
            ("store", ".dvc/store"),
        ] {
            assert_eq!(from_root(dvc, config, root), native);
        }
    }
}
