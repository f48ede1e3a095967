//! Finds out what a word like `HEAD~2` means, and what is declared there.
//!
//! A file of a revision lies in git, or (an output that is not committed) in the cache, under the
//! name that the lock of that revision gives it. A file of a run or of the last repro lies in the
//! cache. What the cache has lost is a warning, and the file counts as absent: the rest of the
//! comparison is worth having. Imports: base, project, store, pipeline, track, source, values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::diag::{Severity, ToDiagnostics, nearest};
use crate::base::{ArtifactPath, ContentHash, Diagnostic};
use crate::pipeline::index;
use crate::pipeline::index::revision::{Declared, PipelinesAt};
use crate::pipeline::spec::Pipeline;
use crate::project::{self, Commit, Git, PARAMS_FILE, Project};
use crate::store::Cache;
use crate::track::{self, Tracking};

use super::error::Error;
use super::source::{LOCK, Side, Source, Subjects, WORKSPACE};
use super::values::Roots;

/// Reads sides of comparisons.
#[derive(Debug)]
pub struct Reader<'p> {
    pub(super) project: &'p Project,
    /// Started when first needed, or ahead by `expect_git`.
    git: Option<Git>,
    pub(super) cache: Cache,
    /// The pipeline files of the workspace.
    here: Option<Here>,
    history: PipelinesAt<'p>,
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
            here: None,
            history: PipelinesAt::new(project),
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

    pub(super) fn warn(&mut self, warning: Diagnostic) {
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

    /// Did the user name this file, or a folder around it?
    pub(super) fn is_named(&self, file: &ArtifactPath) -> bool {
        self.named.iter().any(|named| named.contains(file))
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

    pub(super) fn git(&mut self) -> Result<&mut Git, project::Error> {
        let git = self.take_git()?;
        Ok(self.git.insert(git))
    }

    fn take_git(&mut self) -> Result<Git, project::Error> {
        match self.git.take() {
            Some(git) => Ok(git),
            None => Git::open(&self.project.root),
        }
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
        let here = match self.here.take() {
            Some(here) => here,
            None => {
                let here = Here::read(self.project)?;
                self.history.with_present(&here.pipelines);
                here
            }
        };
        let mut side = Side {
            source,
            subjects: Subjects::default(),
            pipelines: Vec::new(),
            locks: BTreeMap::new(),
            recorded: None,
            run: None,
        };
        match &side.source {
            Source::Workspace | Source::LastRun | Source::Run { .. } => {
                side.pipelines.clone_from(&here.pipelines);
            }
            Source::Revision { name, commit } => {
                let declared = self.declared_at(&name.clone(), &commit.clone(), &here)?;
                (side.pipelines, side.locks) = (declared.pipelines, declared.locks);
            }
        }
        for pipeline in &side.pipelines {
            side.subjects.add(pipeline);
        }
        if let Ok(file) = PARAMS_FILE.parse::<ArtifactPath>() {
            let is_there = match &side.source {
                Source::Workspace | Source::LastRun | Source::Run { .. } => {
                    self.project.absolute(&file).exists()
                }
                Source::Revision { commit, .. } => {
                    let commit = commit.clone();
                    self.git()?.read_at(&commit, &file)?.is_some()
                }
            };
            if is_there {
                side.subjects.whole(file);
            }
        }
        for warning in &here.warnings {
            self.warn(warning.clone());
        }
        self.here = Some(here);
        Ok(side)
    }

    /// Returns what a commit declares; a pipeline file that cannot be read counts as the present one.
    fn declared_at(&mut self, name: &str, commit: &Commit, here: &Here) -> Result<Declared, Error> {
        let mut git = self.take_git()?;
        let declared = self.history.read(&mut git, commit, name);
        self.git = Some(git);
        let mut declared = declared?;
        if declared.pipelines.is_empty() && declared.broken.is_empty() {
            declared.pipelines.clone_from(&here.pipelines);
        }
        for broken in std::mem::take(&mut declared.broken) {
            let shown = format!("{} at {name}", broken.file);
            let is_top = broken.file.parent().is_none();
            let file = (!is_top).then_some(&broken.file);
            let present = here.pipelines.iter().find(|p| p.file.as_ref() == file);
            let then = match present {
                Some(_) => "the present one is used",
                None => "it is left out",
            };
            declared.pipelines.extend(present.cloned());
            let headline = format!("`{shown}` cannot be read; {then}");
            self.warn(Diagnostic::warning("old-pipeline", headline));
        }
        Ok(declared)
    }
}

/// The pipeline files of the workspace.
#[derive(Debug)]
struct Here {
    pipelines: Vec<Arc<Pipeline>>,
    /// One for each file that is broken.
    warnings: Vec<Diagnostic>,
}

impl Here {
    /// Reads them.
    ///
    /// # Errors
    /// All that there are are broken.
    fn read(project: &Project) -> Result<Self, Error> {
        let (pipelines, broken) = index::pipelines(project)?;
        if pipelines.is_empty() && !broken.is_empty() {
            return Err(index::all_of(broken).into());
        }
        Ok(Self {
            pipelines: pipelines.into_iter().map(Arc::new).collect(),
            warnings: broken.iter().map(index::left_out).collect(),
        })
    }
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
