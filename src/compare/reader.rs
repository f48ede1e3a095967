//! Finds out what a word like `HEAD~2` means, and reads files there.
//!
//! A file of a revision lies in git, or (an output that is not committed) in the cache, under the
//! name that the lock of that revision gives it. A file of a run or of the last repro lies in the
//! cache. What the cache has lost is a warning, and the file counts as absent: the rest of the
//! comparison is worth having. Imports: base, project, store, pipeline, track, source, values.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::diag::{Severity, ToDiagnostics, nearest};
use crate::base::doc::{Document, Format, KeyPath, Map, ParseCache, Value};
use crate::base::{self, ArtifactPath, ContentHash, Diagnostic, ObjectId, fs};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec;
use crate::project::{self, Commit, Git, Project};
use crate::store::{Cache, Held};
use crate::track::{self, Tracking};

use super::error::Error;
use super::source::{LOCK, Side, Source, Subjects, WORKSPACE};
use super::values::Roots;

/// Reads sides of comparisons.
#[derive(Debug)]
pub struct Reader<'p> {
    project: &'p Project,
    /// Started when first needed, or ahead by `expect_git`.
    git: Option<Git>,
    cache: Cache,
    parsed: ParseCache,
    /// The pipeline file in the workspace: its text and what it declares.
    here: Option<(String, Subjects)>,
    warnings: Vec<Diagnostic>,
    /// Files that the user named: one that is broken is an error, not a warning.
    named: BTreeSet<ArtifactPath>,
    /// The first file that was left out as broken.
    broken: Option<Error>,
    /// What was found broken, so that the same content in many commits is told of once.
    known_broken: BTreeSet<(ArtifactPath, ContentHash)>,
}

impl<'p> Reader<'p> {
    /// Opens a project for reading.
    #[must_use]
    pub fn open(project: &'p Project) -> Self {
        Self {
            project,
            git: None,
            cache: Cache::open(project),
            parsed: ParseCache::new(project.layout.parsed()),
            here: None,
            warnings: Vec::new(),
            named: BTreeSet::new(),
            broken: None,
            known_broken: BTreeSet::new(),
        }
    }

    /// Returns what was missing on the way, each once.
    pub fn take_warnings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.warnings)
    }

    fn warn(&mut self, warning: Diagnostic) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Leaves a broken file out, with a warning; one that the user named is an error.
    ///
    /// # Errors
    /// The file was named.
    pub(super) fn leave_out(
        &mut self,
        file: &ArtifactPath,
        content: ContentHash,
        error: Error,
    ) -> Result<(), Error> {
        if self.named.contains(file) {
            return Err(error);
        }
        if self.known_broken.insert((file.clone(), content)) {
            for mut warning in error.to_diagnostics() {
                warning.severity = Severity::Warning;
                self.warn(warning.note("it is left out"));
            }
        }
        self.broken.get_or_insert(error);
        Ok(())
    }

    /// Checks that something is left to show on one of the sides.
    ///
    /// # Errors
    /// Nothing is, because of a broken file: the first one is the error.
    pub fn check_left<'r>(
        &mut self,
        sides: impl IntoIterator<Item = &'r Roots>,
    ) -> Result<(), Error> {
        if sides.into_iter().any(|roots| !roots.is_empty()) {
            return Ok(());
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Starts git, so that it comes up while other things are read. That there is none is told when
    /// it is asked something.
    pub fn expect_git(&mut self) {
        let _ = self.git();
    }

    fn git(&mut self) -> Result<&mut Git, project::Error> {
        let git = match self.git.take() {
            Some(git) => git,
            None => Git::open(&self.project.root)?,
        };
        Ok(self.git.insert(git))
    }

    /// Returns the side that `word` names: `workspace`, `lock`, a git revision, or a run.
    ///
    /// # Errors
    /// Nothing has this name; the pipeline file is broken.
    pub fn side(&mut self, word: &str) -> Result<Side, Error> {
        match word {
            WORKSPACE => return self.open_side(Source::Workspace),
            LOCK => return self.open_side(Source::LastRun),
            _ => {}
        }
        let no_revision = match self.git().and_then(|git| git.resolve(word)) {
            Ok(commit) => {
                let name = word.to_owned();
                return self.open_side(Source::Revision { name, commit });
            }
            Err(error) => error,
        };
        let run = match Tracking::open_existing(&self.project.layout)? {
            Some(tracking) => tracking.find(word),
            None => Err(track::Error::NoRuns),
        };
        match (run, no_revision) {
            (Ok(run), _) => {
                let (name, id) = (run.name.clone(), run.id);
                let mut side = self.open_side(Source::Run { name, id })?;
                side.run = Some(Box::new(run));
                Ok(side)
            }
            (Err(track::Error::NoRuns), no_revision)
            | (
                _,
                no_revision
                @ (project::Error::UnsafeRepository { .. } | project::Error::Git { .. }),
            ) => Err(no_revision.into()),
            (Err(track::Error::UnknownRun { nearest: run, .. }), no_revision) => {
                let (revision, git) = match no_revision {
                    project::Error::UnknownRevision { nearest, .. } => (nearest, None),
                    other => (None, Some(other.to_string())),
                };
                Err(Error::UnknownSide {
                    word: word.to_owned(),
                    nearest: revision.or(run),
                    git,
                })
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Returns the side that the workspace is compared with when nothing is said: `HEAD`, or where
    /// there is no repository or no commit, the last repro.
    ///
    /// # Errors
    /// git refuses the repository or fails; the pipeline file is broken.
    pub fn baseline(&mut self) -> Result<Side, Error> {
        use project::Error as E;
        let resolved = self.git().and_then(|git| git.resolve("HEAD"));
        let source = match resolved {
            Ok(commit) => Source::Revision {
                name: "HEAD".to_owned(),
                commit,
            },
            Err(E::NoGitProgram | E::NoRepository { .. } | E::NoCommits { .. }) => Source::LastRun,
            Err(other) => return Err(other.into()),
        };
        self.open_side(source)
    }

    /// Returns the workspace as a side.
    ///
    /// # Errors
    /// The pipeline file is broken.
    pub fn workspace(&mut self) -> Result<Side, Error> {
        self.open_side(Source::Workspace)
    }

    /// Returns the sides of all branches, tags or commits.
    ///
    /// # Errors
    /// There is no repository, or one of them cannot be read.
    pub fn sides_of(&mut self, which: project::git::Which) -> Result<Vec<Side>, Error> {
        let mut sides = Vec::new();
        for (name, commit) in self.git()?.list(which)? {
            sides.push(self.open_side(Source::Revision { name, commit })?);
        }
        Ok(sides)
    }

    fn open_side(&mut self, source: Source) -> Result<Side, Error> {
        let (text, subjects) = match self.here.take() {
            Some(here) => here,
            None => self.read_pipeline()?,
        };
        let there = match &source {
            Source::Workspace | Source::LastRun | Source::Run { .. } => subjects.clone(),
            Source::Revision { name, commit } => {
                self.subjects_at(name, &commit.clone(), &text, &subjects)?
            }
        };
        self.here = Some((text, subjects));
        Ok(Side {
            source,
            subjects: there,
            lock: None,
            run: None,
        })
    }

    fn read_pipeline(&self) -> Result<(String, Subjects), Error> {
        let path = self.project.pipeline_file();
        let name = self.project.personality.pipeline_file;
        if !path.exists() {
            return Ok((String::new(), Subjects::default()));
        }
        let document = self.parsed.read(&path, name)?;
        let text = document.source.text.clone();
        Ok((text, Subjects::of(&spec::read(document)?)))
    }

    /// Returns what the pipeline file of a commit declares; one that cannot be read counts as the
    /// present one.
    fn subjects_at(
        &mut self,
        name: &str,
        commit: &Commit,
        text: &str,
        here: &Subjects,
    ) -> Result<Subjects, Error> {
        let file = self.project.personality.pipeline_file;
        let Ok(path) = file.parse::<ArtifactPath>() else {
            return Ok(here.clone());
        };
        let Some(bytes) = self.git()?.read_at(commit, &path)? else {
            return Ok(here.clone());
        };
        if bytes == text.as_bytes() {
            return Ok(here.clone());
        }
        let shown = format!("{file} at {name}");
        let there = String::from_utf8_lossy(&bytes).into_owned();
        match Document::parse(&shown, there, Format::Yaml).and_then(spec::read) {
            Ok(pipeline) => Ok(Subjects::of(&pipeline)),
            Err(_) => {
                let headline = format!("`{shown}` cannot be read; the present one is used");
                self.warn(Diagnostic::warning("old-pipeline", headline));
                Ok(here.clone())
            }
        }
    }

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
        for entry in self.lock(side)?.stages.values() {
            for (param, value) in &entry.params {
                let root = files
                    .entry(param.file.clone())
                    .or_insert_with(|| Value::Map(Map::new()));
                super::values::put(root, param.key.keys(), value);
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

    fn lock<'s>(&mut self, side: &'s mut Side) -> Result<&'s LockFile, Error> {
        let lock = match side.lock.take() {
            Some(lock) => lock,
            None => self.read_lock(&side.source)?,
        };
        Ok(side.lock.insert(lock))
    }

    fn read_lock(&mut self, source: &Source) -> Result<LockFile, Error> {
        let name = self.project.personality.lock_file;
        match source {
            Source::Run { id, .. } => {
                let tracking = Tracking::open_existing(&self.project.layout)?;
                let text = tracking.map(|t| t.lock_text(*id)).transpose()?.flatten();
                Ok(match text {
                    Some(text) => LockFile::parse(name, text)?,
                    None => LockFile::default(),
                })
            }
            Source::Workspace | Source::LastRun => {
                let path = self.project.lock_file();
                Ok(LockFile::read(&path, name, &self.parsed)?)
            }
            Source::Revision { name: at, commit } => {
                let Ok(path) = name.parse::<ArtifactPath>() else {
                    return Ok(LockFile::default());
                };
                let Some(bytes) = self.git()?.read_at(commit, &path)? else {
                    return Ok(LockFile::default());
                };
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let shown = format!("{name} at {at}");
                Ok(LockFile::parse(&shown, text).unwrap_or_else(|_| {
                    let headline = format!(
                        "`{shown}` cannot be read; outputs that only it names are left out"
                    );
                    self.warn(Diagnostic::warning("old-lock", headline));
                    LockFile::default()
                }))
            }
        }
    }

    /// Returns the object of a path that the lock of a side names, alone or in a folder.
    fn recorded(
        &mut self,
        side: &mut Side,
        path: &ArtifactPath,
    ) -> Result<Option<ObjectId>, Error> {
        let outs = self.lock(side)?.stages.values().flat_map(|e| &e.outs);
        let found = outs
            .filter(|(out, _)| out.contains(path))
            .find_map(|(out, presence)| Some((out.clone(), presence.object()?)));
        match found {
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
        let object = match self.recorded(side, path)? {
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
        match self.recorded(side, path)? {
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
    super::values::put(
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

/// Returns the files of all subjects that `targets` choose: all of them if there are none.
///
/// # Errors
/// A target is neither a subject nor there on any side; the nearest subject is suggested.
pub fn choose(
    reader: &mut Reader<'_>,
    sides: &mut [&mut Side],
    targets: &[ArtifactPath],
    subjects: &dyn Fn(&Subjects) -> Vec<ArtifactPath>,
) -> Result<Vec<ArtifactPath>, Error> {
    let known: BTreeSet<ArtifactPath> = sides.iter().flat_map(|s| subjects(&s.subjects)).collect();
    reader.named = targets.iter().cloned().collect();
    if targets.is_empty() {
        return Ok(known.into_iter().collect());
    }
    for target in targets.iter().filter(|t| !known.contains(*t)) {
        let mut is_there = false;
        for side in &mut *sides {
            is_there = is_there || !reader.files(side, target)?.is_empty();
        }
        if !is_there {
            let names = known.iter().map(ArtifactPath::as_str);
            return Err(Error::UnknownTarget {
                target: target.clone(),
                nearest: nearest(target.as_str(), names).map(str::to_owned),
                known: known.iter().map(ToString::to_string).collect(),
            });
        }
    }
    Ok(targets
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect())
}
