//! Files of runs: what clients uploaded, and the outputs of stages. Imports: base, project, store,
//! db, run.
//!
//! **Names.** A path below `mlflow-artifacts:/` is `{experiment}/{run}/artifacts/…`, or what else a
//! client chose as an artifact location; `check_path` says which texts are paths. What was uploaded
//! stands in the record under its path. The tree of a run shows the outputs of its stages as well,
//! by their path in the project; where both have a name, what was uploaded is meant.
//!
//! **Bytes** are in the cache, identical ones once. An upload is received into the cache's own folder
//! and hashed on its way, renamed to its object, made durable; then its name is written down. Killed
//! in between, it leaves a temporary file or an object that nobody names.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::ObjectId;
use crate::project::Project;
use crate::store::{Cache, Receiving};

use super::db::Reader;
use super::error::Error;
use super::run::RunId;

/// How artifact URIs begin that are served here.
pub const SCHEME: &str = "mlflow-artifacts:/";

/// The longest path, bytes: as long as Linux allows.
const PATH_BYTES_MAX: usize = 4096;

/// How often a path is decoded at most when it is looked for tricks.
const DECODINGS_MAX: usize = 8;

/// The artifacts of a project: bytes are in its cache, names in the record. Copies are the same.
#[derive(Clone, Debug)]
pub struct Artifacts {
    cache: Arc<Cache>,
}

/// One name in a folder of artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the folders above.
    pub name: String,
    /// Is it a folder?
    pub is_dir: bool,
    /// Bytes, of a file.
    pub size: Option<u64>,
}

/// A file among the artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Its content, in the cache if that has not lost it.
    pub object: ObjectId,
    /// Bytes.
    pub size: u64,
    /// When it was uploaded, or its run ended (or began, if it goes on).
    pub modified_ms: i64,
}

/// How much of a tree is walked.
#[derive(Clone, Copy, Debug)]
pub struct WalkBounds {
    /// At most so many files.
    pub files: usize,
    /// A folder that a stage wrote is passed over if it holds more: it is data, not a record.
    pub files_of_output: usize,
}

/// The files of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Paths from the root of the tree, with bytes (0 where nobody knows), by path.
    pub files: Vec<(String, u64)>,
    /// Are these all but those passed over?
    pub is_whole: bool,
    /// Outputs with too many files.
    pub passed_over: Vec<String>,
}

/// An upload on its way.
pub struct Upload {
    receiving: Receiving,
}

/// An upload whose bytes are in the cache, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its content.
    pub object: ObjectId,
    /// Bytes.
    pub size: u64,
}

impl Artifacts {
    /// Returns the artifacts of `project`; touches no file.
    #[must_use]
    pub fn open(project: &Project) -> Self {
        Self {
            cache: Arc::new(Cache::open(project)),
        }
    }

    /// Returns the artifacts of a project whose cache is open already.
    #[must_use]
    pub fn of_cache(cache: &Arc<Cache>) -> Self {
        Self {
            cache: Arc::clone(cache),
        }
    }

    /// Returns artifacts in a cache of their own.
    #[cfg(test)]
    pub(crate) fn at(dir: &std::path::Path) -> Self {
        Self {
            cache: Arc::new(Cache::at(dir, &crate::project::CVOPS)),
        }
    }

    /// Returns where the bytes of `object` are, whether or not they are there.
    #[must_use]
    pub fn path_of(&self, object: &ObjectId) -> PathBuf {
        self.cache.object_path(object)
    }

    /// Opens the bytes of a file; `None` if the cache has lost them.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn open_file(&self, file: &FileRecord) -> Result<Option<File>, Error> {
        Ok(self.cache.open_object(&file.object, file.size)?)
    }

    /// Starts to receive an upload.
    #[must_use]
    pub fn receive(&self) -> Upload {
        Upload {
            receiving: self.cache.receive(),
        }
    }

    /// Makes uploads durable that have come to their end.
    ///
    /// # Errors
    /// The system reports that data could not be written.
    pub fn make_durable(&self) -> Result<(), Error> {
        Ok(self.cache.make_durable()?)
    }

    /// Tells a clean-up that runs just now that what was received has a name; `false`: it came too late,
    /// and the bytes have to come again. Called after the name was written down.
    #[must_use]
    pub fn hold(&self, stored: &Stored) -> bool {
        self.cache.touch(&stored.object)
    }

    /// Returns what is in the folder `path` (empty: the top), by name; nothing if there is none.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn list(&self, reader: &Reader<'_>, path: &str) -> Result<Vec<Entry>, Error> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut add = |entry: Entry| {
            entries.entry(entry.name.clone()).or_insert(entry);
        };
        reader.uploads_in(path)?.into_iter().for_each(&mut add);
        if let Some(tree) = tree_of(reader, path)? {
            for output in &tree.outputs {
                self.add_output(output, tree.inside, &mut add);
            }
        }
        Ok(entries.into_values().collect())
    }

    /// Adds what the folder `inside` of a run's tree holds of an output.
    fn add_output(&self, output: &OutputRecord, inside: &str, add: &mut dyn FnMut(Entry)) {
        if let Some(rest) = below(inside, &output.path) {
            let (name, is_dir) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, matches!(output.object, ObjectId::Tree(_))),
            };
            add(Entry {
                name: name.to_owned(),
                is_dir,
                size: (!is_dir).then_some(output.size),
            });
            return;
        }
        let (ObjectId::Tree(hash), Some(part)) = (output.object, within(&output.path, inside))
        else {
            return;
        };
        let listing = match self.cache.listing(&hash) {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(%error, path = output.path, "the cache has lost an artifact");
                return;
            }
        };
        for file in listing.entries() {
            let Some(rest) = below(part, &file.path) else {
                continue;
            };
            let (name, is_dir) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            let size = || {
                file.size
                    .or_else(|| self.size_of(&ObjectId::File(file.hash)))
            };
            add(Entry {
                name: name.to_owned(),
                is_dir,
                size: if is_dir { None } else { size() },
            });
        }
    }

    /// DVC's listings say no sizes.
    fn size_of(&self, object: &ObjectId) -> Option<u64> {
        let metadata = std::fs::metadata(self.path_of(object)).ok()?;
        Some(metadata.len())
    }

    /// Returns all files in the tree at `root`, by path, as far as `bounds` let.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn walk(&self, reader: &Reader<'_>, root: &str, bounds: WalkBounds) -> Result<Walk, Error> {
        let mut files: BTreeMap<String, u64> = BTreeMap::new();
        let mut passed_over = Vec::new();
        if let Some(tree) = tree_of(reader, root)? {
            for output in &tree.outputs {
                let ObjectId::Tree(hash) = output.object else {
                    files.insert(output.path.clone(), output.size);
                    continue;
                };
                let Ok(listing) = self.cache.listing(&hash) else {
                    continue;
                };
                if bounds.files_of_output < listing.entries().len() {
                    passed_over.push(output.path.clone());
                    continue;
                }
                for file in listing.entries() {
                    let size = file.size.unwrap_or_default();
                    files.insert(format!("{}/{}", output.path, file.path), size);
                }
            }
        }
        // What was uploaded is meant where both have a name.
        files.extend(reader.uploads_within(root, bounds.files.saturating_add(1))?);
        let is_whole = files.len() <= bounds.files;
        Ok(Walk {
            files: files.into_iter().take(bounds.files).collect(),
            is_whole,
            passed_over,
        })
    }

    /// Returns the file at `path`; `None` if there is none of this name.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn find(&self, reader: &Reader<'_>, path: &str) -> Result<Option<FileRecord>, Error> {
        if let Some(upload) = reader.upload(path)? {
            return Ok(Some(upload));
        }
        let Some(Tree {
            run,
            inside,
            outputs,
        }) = tree_of(reader, path)?
        else {
            return Ok(None);
        };
        let modified_ms = || {
            let info = reader.run_info(run)?;
            Ok::<_, Error>(info.ended_ms.unwrap_or(info.started_ms))
        };
        for output in &outputs {
            let Some(part) = within(&output.path, inside) else {
                continue;
            };
            let (object, size) = match output.object {
                ObjectId::File(_) if part.is_empty() => (output.object, output.size),
                ObjectId::File(_) => continue,
                ObjectId::Tree(hash) => {
                    // What the cache has lost of a folder are all its names.
                    let Ok(listing) = self.cache.listing(&hash) else {
                        continue;
                    };
                    let Some(file) = listing.get(part) else {
                        continue;
                    };
                    let object = ObjectId::File(file.hash);
                    let size = file.size.or_else(|| self.size_of(&object));
                    (object, size.unwrap_or(0))
                }
            };
            return Ok(Some(FileRecord {
                object,
                size,
                modified_ms: modified_ms()?,
            }));
        }
        Ok(None)
    }
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.receiving.write(bytes)?)
    }

    /// Puts what came into the cache. `Artifacts::make_durable` comes before its name is written down.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn finish(self) -> Result<Stored, Error> {
        let (object, size) = self.receiving.finish()?;
        Ok(Stored { object, size })
    }
}

/// An output of a stage of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRecord {
    /// Relative to the project.
    pub path: String,
    /// Its content.
    pub object: ObjectId,
    /// Bytes.
    pub size: u64,
}

/// The tree of a run that has outputs, and a place in it.
struct Tree<'p> {
    run: RunId,
    inside: &'p str,
    outputs: Vec<OutputRecord>,
}

/// Returns the tree of the run that `path` lies in, if that run has outputs.
fn tree_of<'p>(reader: &Reader<'_>, path: &'p str) -> Result<Option<Tree<'p>>, Error> {
    let Some((root, run, inside)) = run_of(path) else {
        return Ok(None);
    };
    let outputs = reader.outputs(run)?;
    if outputs.is_empty() {
        return Ok(None);
    }
    // The id in the path may be that of a run whose artifacts are elsewhere.
    let uri = reader.run_info(run)?.artifact_uri;
    let is_its_root = path_of_uri(&uri) == Some(root);
    Ok(is_its_root.then_some(Tree {
        run,
        inside,
        outputs,
    }))
}

/// Splits a path into the root of a run's tree, the run, and what is inside.
fn run_of(path: &str) -> Option<(&str, RunId, &str)> {
    const FOLDER: &str = "artifacts";
    let mut start = 0;
    let mut run: Option<RunId> = None;
    for part in path.split('/') {
        let end = start + part.len();
        if let (Some(run), FOLDER) = (run, part) {
            let inside = path.get(end + 1..).unwrap_or_default();
            return Some((&path[..end], run, inside));
        }
        run = part.parse().ok();
        start = end + 1;
    }
    None
}

/// Returns the path below `mlflow-artifacts:/` that a URI means; `None` if it is another kind of URI.
#[must_use]
pub fn path_of_uri(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix(SCHEME)?;
    // `mlflow-artifacts://host/path` names the server; it is this one.
    let rest = match rest.strip_prefix('/') {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Some(rest.trim_matches('/'))
}

/// Returns `path` as seen from `folder` (empty: the top), if it lies below.
fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// Returns where `path` is inside of `folder`, empty if it is the folder itself.
fn within<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    match path.strip_prefix(folder)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// Says whether `path`, decoded, is a path below a root: relative, `/`-separated, no part empty, `.`
/// or `..`, no back-slash, no NUL, no drive, also when decoded once more.
///
/// # Errors
/// It is none, or longer than paths can be.
pub fn check_path(path: &str) -> Result<(), Error> {
    let wrong = || Error::invalid(format!("Invalid path: '{}'", path.escape_debug()));
    if PATH_BYTES_MAX < path.len() || !is_inside(path) {
        return Err(wrong());
    }
    let mut text = path.to_owned();
    for _ in 0..DECODINGS_MAX {
        let decoded = percent_encoding::percent_decode_str(&text).decode_utf8_lossy();
        if decoded == text {
            return Ok(());
        }
        if !is_inside(&decoded) {
            return Err(wrong());
        }
        text = decoded.into_owned();
    }
    Err(wrong())
}

fn is_inside(path: &str) -> bool {
    let has_drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    !path.contains(['\\', '\0']) && !has_drive && path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        for good in [
            "a",
            "0/run/artifacts/model/MLmodel",
            "ünï/日本.txt",
            "with space/100%.txt",
            "50%25",
            "ab:c/d",
            "...",
            "images/loss+step+1+timestamp+2+uuid.png",
        ] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        let long = "x".repeat(PATH_BYTES_MAX + 1);
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/..",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\\b",
            "a\0b",
            "C:/x",
            "c:x",
            "%2e%2e/x",
            "a/%2E%2e",
            "%252e%252e/x",
            "a%2f..%2fb",
            "%2fetc",
            "a%5cb",
            "a%00b",
            "%43:/x",
            "a%2f",
            &long,
        ] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_tree_of_a_run_is_found_wherever_it_is() {
        let id = "0123456789abcdef0123456789abcdef";
        let run: RunId = id.parse().unwrap();
        for (path, expected) in [
            (
                format!("0/{id}/artifacts"),
                Some((format!("0/{id}/artifacts"), "")),
            ),
            (
                format!("0/{id}/artifacts/a/b"),
                Some((format!("0/{id}/artifacts"), "a/b")),
            ),
            (
                format!("x/y/{id}/artifacts/a"),
                Some((format!("x/y/{id}/artifacts"), "a")),
            ),
            (format!("0/{id}"), None),
            (format!("0/{id}/artifact/a"), None),
            ("0/m/artifacts/a".to_owned(), None),
            (String::new(), None),
        ] {
            let found = run_of(&path).map(|(root, found, inside)| {
                assert_eq!(found, run);
                (root.to_owned(), inside)
            });
            assert_eq!(found, expected, "{path}");
        }
        for (uri, expected) in [
            ("mlflow-artifacts:/0/x", Some("0/x")),
            ("mlflow-artifacts://host:5000/0/x", Some("0/x")),
            ("mlflow-artifacts:///0/x", Some("0/x")),
            ("s3://bucket/0/x", None),
        ] {
            assert_eq!(path_of_uri(uri), expected, "{uri}");
        }
    }
}
