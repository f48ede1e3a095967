//! Reads files of a side: in the folders, in git, or in the cache under the name that the lock gives
//! them. Imports: base, project, store, pipeline, track, source, reader, values.

use std::collections::BTreeMap;

use crate::base::doc::{KeyPath, Map, Value};
use crate::base::{self, ArtifactPath, Diagnostic, ObjectId, fs};
use crate::pipeline::lock::LockFile;
use crate::pipeline::lock_files;
use crate::project::Project;
use crate::store::Held;
use crate::track::{self, Tracking};

use super::error::Error;
use super::reader::Reader;
use super::source::{Recorded, Side, Source};
use super::values::put;

impl Reader<'_> {
    /// Returns a file of a side, or `None` if it is not there.
    ///
    /// # Errors
    /// The file, git, the lock or the cache cannot be read.
    pub fn read(&mut self, side: &mut Side, path: &ArtifactPath) -> Result<Option<Vec<u8>>, Error> {
        match side.source.clone() {
            Source::Workspace => read_file(self.project, path),
            Source::LastRun | Source::Run { .. } => self.read_recorded(side, path),
            Source::Revision { commit, .. } => match self.git()?.read_at(&commit, path)? {
                Some(bytes) => Ok(Some(bytes)),
                None => self.read_recorded(side, path),
            },
        }
    }

    /// Returns the files at or below a path of a side, sorted.
    ///
    /// # Errors
    /// As `read`.
    pub fn files(
        &mut self,
        side: &mut Side,
        path: &ArtifactPath,
    ) -> Result<Vec<ArtifactPath>, Error> {
        match side.source.clone() {
            Source::Workspace => files_below(self.project, path),
            Source::LastRun | Source::Run { .. } => self.files_recorded(side, path),
            Source::Revision { commit, .. } => {
                let git = self.git()?;
                let mut files = git.files_at(&commit, path)?;
                if files.is_empty() && git.read_at(&commit, path)?.is_some() {
                    files.push(path.clone());
                }
                if files.is_empty() {
                    self.files_recorded(side, path)
                } else {
                    Ok(files)
                }
            }
        }
    }

    /// Returns the params of a side that are recorded without their file: file by file, key by key.
    ///
    /// # Errors
    /// As `read`.
    pub fn recorded_params(
        &mut self,
        side: &mut Side,
    ) -> Result<BTreeMap<ArtifactPath, Value>, Error> {
        let mut files: BTreeMap<ArtifactPath, Value> = BTreeMap::new();
        if let Some(run) = &side.run {
            for (key, value) in &run.params {
                put_key(&mut files, key, value);
            }
            return Ok(files);
        }
        for entry in self.recorded(side)?.lock.stages.values() {
            for (param, value) in &entry.params {
                let root = files
                    .entry(param.file.clone())
                    .or_insert_with(|| Value::Map(Map::new()));
                put(root, param.key.keys(), value);
            }
        }
        Ok(files)
    }

    /// Returns the numbers that the record of a run holds itself, file by file; they outlive the
    /// files in the cache.
    #[must_use]
    pub fn recorded_metrics(side: &Side, file: &ArtifactPath) -> Option<Value> {
        let mut files = BTreeMap::new();
        let metrics = side.run.iter().flat_map(|run| &run.metrics);
        for metric in metrics.filter(|metric| metric.key.file == file.as_str()) {
            put_key(&mut files, &metric.key, &Value::Float(metric.value));
        }
        files.remove(file)
    }

    fn recorded<'s>(&mut self, side: &'s mut Side) -> Result<&'s Recorded, Error> {
        let recorded = match side.recorded.take() {
            Some(recorded) => recorded,
            None => Recorded::new(self.read_lock(side)?),
        };
        Ok(side.recorded.insert(recorded))
    }

    fn read_lock(&mut self, side: &Side) -> Result<LockFile, Error> {
        match &side.source {
            Source::Run { id, .. } => {
                let tracking = Tracking::open_existing(&self.project.layout)?;
                let text = tracking.map(|t| t.lock_text(*id)).transpose()?.flatten();
                Ok(match text {
                    Some(text) => LockFile::parse(self.project.personality.lock_file, text)?,
                    None => LockFile::default(),
                })
            }
            Source::Workspace | Source::LastRun => {
                Ok(lock_files::read_of(self.project, &side.pipelines)?)
            }
            Source::Revision { name: at, .. } => {
                let mut texts = BTreeMap::new();
                for (path, blob) in &side.locks {
                    let bytes = self.git()?.read(blob)?;
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    texts.insert(path.as_str(), (format!("{path} at {at}"), text));
                }
                let mut broken = Vec::new();
                let lock = lock_files::parse_of(
                    self.project,
                    &side.pipelines,
                    &mut |path| texts.remove(path),
                    &mut |shown, _| broken.push(shown),
                );
                for shown in broken {
                    let headline = format!(
                        "`{shown}` cannot be read; outputs that only it names are left out"
                    );
                    self.warn(Diagnostic::warning("old-lock", headline));
                }
                Ok(lock)
            }
        }
    }

    /// Returns the object of a path that the lock of a side names, alone or in a folder.
    fn object(&mut self, side: &mut Side, path: &ArtifactPath) -> Result<Option<ObjectId>, Error> {
        match self.recorded(side)?.around(path) {
            Some((out, object)) if out == *path => Ok(Some(object)),
            Some((out, ObjectId::Tree(listing))) => {
                if !self.holds(side, &out, &ObjectId::Tree(listing))? {
                    return Ok(None);
                }
                let listing = self.cache.listing(&listing)?;
                let inside = path.as_str().get(out.as_str().len() + 1..);
                let entry = inside.and_then(|inside| listing.get(inside));
                Ok(entry.map(|entry| ObjectId::File(entry.hash)))
            }
            _ => Ok(None),
        }
    }

    fn read_recorded(
        &mut self,
        side: &mut Side,
        path: &ArtifactPath,
    ) -> Result<Option<Vec<u8>>, Error> {
        let object = match self.object(side, path)? {
            Some(object @ ObjectId::File(_)) => object,
            Some(ObjectId::Tree(_)) | None => return Ok(None),
        };
        if self.cache.contains(&object)? != Held::Whole
            && let Some(bytes) = self.same_elsewhere(path, &object)?
        {
            return Ok(Some(bytes));
        }
        if !self.holds(side, path, &object)? {
            return Ok(None);
        }
        let file = self.cache.object_path(&object);
        Ok(Some(
            std::fs::read(&file).map_err(base::Error::io("read", &file))?,
        ))
    }

    /// Returns the bytes of an object that the cache does not hold from the workspace or the last
    /// commit, if they have them: in a fresh clone the cache is empty, and results may be in git.
    fn same_elsewhere(
        &mut self,
        path: &ArtifactPath,
        object: &ObjectId,
    ) -> Result<Option<Vec<u8>>, Error> {
        let is_same = |bytes: &Vec<u8>| object.hash().algo().hash(bytes) == *object.hash();
        if let Some(bytes) = read_file(self.project, path)?.filter(is_same) {
            return Ok(Some(bytes));
        }
        // Without a repository there is nothing else to look at.
        let Ok(git) = self.git() else {
            return Ok(None);
        };
        let Ok(head) = git.resolve("HEAD") else {
            return Ok(None);
        };
        Ok(git.read_at(&head, path)?.filter(is_same))
    }

    fn files_recorded(
        &mut self,
        side: &mut Side,
        path: &ArtifactPath,
    ) -> Result<Vec<ArtifactPath>, Error> {
        match self.object(side, path)? {
            None => Ok(Vec::new()),
            Some(ObjectId::File(_)) => Ok(vec![path.clone()]),
            Some(object @ ObjectId::Tree(listing)) => {
                if !self.holds(side, path, &object)? {
                    return Ok(Vec::new());
                }
                let listing = self.cache.listing(&listing)?;
                let entries = listing.entries().iter();
                Ok(entries.map(|entry| path.join(&entry.path)).collect())
            }
        }
    }

    /// Does the cache hold the object? If not, that is worth a warning.
    fn holds(
        &mut self,
        side: &Side,
        path: &ArtifactPath,
        object: &ObjectId,
    ) -> Result<bool, Error> {
        if self.cache.contains(object)? == Held::Whole {
            return Ok(true);
        }
        let headline = format!(
            "`{path}` of `{}` is not in the cache any more ({})",
            side.title(),
            object.short()
        );
        let help = match side.source {
            // What counts of a run is in its record.
            Source::Run { .. } => return Ok(false),
            Source::Workspace | Source::LastRun => "`cvops repro` makes it again",
            Source::Revision { .. } => {
                "check that revision out and run `cvops repro` to make it again"
            }
        };
        self.warn(Diagnostic::warning("not-in-cache", headline).help(help));
        Ok(false)
    }
}

/// Puts a value of a run's record at its place.
fn put_key(files: &mut BTreeMap<ArtifactPath, Value>, key: &track::Key, value: &Value) {
    let Ok(file) = key.file.parse::<ArtifactPath>() else {
        return;
    };
    let keys = match key.key.as_str() {
        "" => KeyPath::root(),
        text => text.parse().unwrap_or_else(|_| KeyPath::root().key(text)),
    };
    let nothing = || Value::Map(Map::new());
    put(
        files.entry(file).or_insert_with(nothing),
        keys.keys(),
        value,
    );
}

/// Reads a file of the workspace.
fn read_file(project: &Project, path: &ArtifactPath) -> Result<Option<Vec<u8>>, Error> {
    use std::io::ErrorKind as K;
    let file = project.absolute(path);
    match std::fs::read(&file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), K::NotFound | K::IsADirectory | K::NotADirectory) => Ok(None),
        Err(e) => Err(base::Error::io("read", &file)(e).into()),
    }
}

/// Returns the files at or below a path of the workspace.
fn files_below(project: &Project, path: &ArtifactPath) -> Result<Vec<ArtifactPath>, Error> {
    let place = project.absolute(path);
    if place.is_file() {
        return Ok(vec![path.clone()]);
    }
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let found = fs::walk(&place, &|_, _| true)
        .map_err(|(place, error)| base::Error::io("read", &place)(error))?;
    Ok(found
        .iter()
        .map(|entry| path.join(&entry.relative))
        .collect())
}
