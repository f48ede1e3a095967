//! What commits declare: their pipeline files, locks and pointers, found and read.
//! Imports: base, project, index, spec.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::base::doc::{Document, Format};
use crate::base::{self, ArtifactPath, ContentHash};
use crate::pipeline::error::Error;
use crate::pipeline::spec::template::{self, Scope};
use crate::pipeline::spec::{self, Pipeline};
use crate::project::git::{Blob, Folders};
use crate::project::{self, CVOPS, Commit, Git, Personality, Project};

use super::{Broken, FileKind};

/// What a file of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It declares stages.
    Pipeline,
    /// It records what stages last ran with.
    Lock,
    /// It records data.
    Pointer,
}

/// The files of ours at a commit, sorted by path.
#[derive(Debug)]
pub struct Files(Vec<(ArtifactPath, Blob, Role)>);

impl Files {
    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&ArtifactPath, &Blob, Role)> {
        self.0.iter().map(|(path, blob, role)| (path, blob, *role))
    }

    /// Returns the file at `path`.
    #[must_use]
    pub fn get(&self, path: &ArtifactPath) -> Option<&Blob> {
        let found = self.0.binary_search_by(|(other, _, _)| other.cmp(path));
        found.ok().map(|at| &self.0[at].1)
    }
}

/// Finds files of ours at commits; a folder that several commits share is looked into once.
#[derive(Debug)]
pub struct Finder {
    personality: Personality,
    /// With everything below, and with marks of other projects.
    folders: Folders,
    marked: Folders,
}

impl Finder {
    /// Looks for the files of a project like this one.
    #[must_use]
    pub fn new(personality: Personality) -> Self {
        Self {
            personality,
            folders: Folders::default(),
            marked: Folders::default(),
        }
    }

    /// Returns the files of ours at a commit, those of other projects below this one included.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn files(&mut self, git: &mut Git, commit: &Commit) -> Result<Files, project::Error> {
        let personality = self.personality;
        let keep = |path: &ArtifactPath| role(path, &personality).is_some();
        let found = git.find_at(commit, &keep, &mut self.folders)?.into_iter();
        Ok(with_roles(found, &personality))
    }

    /// Returns the pipeline files and locks of the project itself at a commit.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn own_files(&mut self, git: &mut Git, commit: &Commit) -> Result<Files, project::Error> {
        let personality = self.personality;
        if !personality.nested_pipelines {
            let keep = |path: &ArtifactPath| role(path, &personality).is_some();
            let found = git.find_in_top(commit, &keep)?.into_iter();
            return Ok(with_roles(found, &personality));
        }
        let keep = |path: &ArtifactPath| {
            role(path, &personality).is_some() || marked(path, &personality).is_some()
        };
        let found = git.find_at(commit, &keep, &mut self.marked)?;
        let others: BTreeSet<ArtifactPath> = found
            .iter()
            .filter_map(|(path, _)| marked(path, &personality))
            .collect();
        let is_own = |(path, _): &(ArtifactPath, Blob)| {
            let mut above = path.ancestors();
            others.is_empty() || !above.any(|folder| others.contains(&folder))
        };
        Ok(with_roles(found.into_iter().filter(is_own), &personality))
    }
}

fn with_roles(
    found: impl Iterator<Item = (ArtifactPath, Blob)>,
    personality: &Personality,
) -> Files {
    let with_role = |(path, blob)| {
        let role = role(&path, personality)?;
        Some((path, blob, role))
    };
    Files(found.filter_map(with_role).collect())
}

fn role(path: &ArtifactPath, personality: &Personality) -> Option<Role> {
    let counts = personality.nested_pipelines || path.parent().is_none();
    let name = path.name();
    if name == personality.pipeline_file {
        return counts.then_some(Role::Pipeline);
    }
    if name == personality.lock_file {
        return counts.then_some(Role::Lock);
    }
    let stem = name.strip_suffix(personality.pointer_suffix)?;
    (!stem.is_empty()).then_some(Role::Pointer)
}

/// Returns the folder below the top that this file makes another project.
fn marked(path: &ArtifactPath, personality: &Personality) -> Option<ArtifactPath> {
    let folder = path.parent()?;
    if path.name() == CVOPS.pipeline_file {
        return Some(folder);
    }
    let is_settings = path.name() == "config" && Some(folder.name()) == personality.inner_marker;
    if is_settings { folder.parent() } else { None }
}

/// What a commit declares.
#[derive(Debug, Default)]
pub struct Declared {
    /// The pipeline files, the one at the top first, then by path.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// Those that cannot be read.
    pub broken: Vec<Broken>,
    /// The locks, by path.
    pub locks: BTreeMap<ArtifactPath, Blob>,
}

/// Reads the pipeline files of commits; what several commits share is read once.
#[derive(Debug)]
pub struct PipelinesAt<'p> {
    project: &'p Project,
    finder: Finder,
    /// Those of the workspace: most commits have one that says the same.
    present: Vec<Arc<Pipeline>>,
    known: BTreeMap<(ArtifactPath, Blob), Vec<Known>>,
}

/// A pipeline file as it was read, and what its templates were resolved with.
#[derive(Debug)]
struct Known {
    pipeline: Arc<Pipeline>,
    made_from: Vec<Option<ContentHash>>,
}

impl<'p> PipelinesAt<'p> {
    /// Reads the history of `project`.
    #[must_use]
    pub fn new(project: &'p Project) -> Self {
        Self {
            project,
            finder: Finder::new(project.personality),
            present: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// Takes the pipeline files of the workspace, which need not be read again.
    pub fn with_present(&mut self, pipelines: &[Arc<Pipeline>]) {
        self.present = pipelines.to_vec();
    }

    /// Returns what `commit`, which messages call `name`, declares.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn read(
        &mut self,
        git: &mut Git,
        commit: &Commit,
        name: &str,
    ) -> Result<Declared, project::Error> {
        let files = self.finder.own_files(git, commit)?;
        let mut declared = Declared::default();
        for (path, blob, role) in files.iter() {
            match role {
                Role::Pointer => {}
                Role::Lock => {
                    declared.locks.insert(path.clone(), blob.clone());
                }
                Role::Pipeline => match self.pipeline(git, commit, name, path, blob)? {
                    Ok(pipeline) => declared.pipelines.push(pipeline),
                    Err(error) => declared.broken.push(Broken {
                        kind: FileKind::Pipeline,
                        file: path.clone(),
                        error,
                    }),
                },
            }
        }
        declared.pipelines.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(declared)
    }

    fn pipeline(
        &mut self,
        git: &mut Git,
        commit: &Commit,
        name: &str,
        path: &ArtifactPath,
        blob: &Blob,
    ) -> Result<Result<Arc<Pipeline>, Error>, project::Error> {
        let key = (path.clone(), blob.clone());
        for known in self.known.get(&key).into_iter().flatten() {
            if content_of(git, commit, &known.pipeline)? == known.made_from {
                return Ok(Ok(known.pipeline.clone()));
            }
        }
        let text = String::from_utf8_lossy(&git.read(blob)?).into_owned();
        let is_same = |pipeline: &&Arc<Pipeline>| {
            let is_top = path.parent().is_none();
            pipeline.file.as_ref() == (!is_top).then_some(path)
                && pipeline.template_files.is_empty()
                && pipeline.document.source.text == text
        };
        if let Some(present) = self.present.iter().find(is_same) {
            return Ok(Ok(present.clone()));
        }
        let shown = format!("{path} at {name}");
        let pipeline = match read_at(self.project, git, commit, path, &shown, text) {
            Ok(pipeline) => Arc::new(pipeline),
            Err(error) => return Ok(Err(error.into())),
        };
        let known = Known {
            made_from: content_of(git, commit, &pipeline)?,
            pipeline: pipeline.clone(),
        };
        self.known.entry(key).or_default().push(known);
        Ok(Ok(pipeline))
    }
}

/// Returns what the params files of a pipeline's templates hold at a commit.
fn content_of(
    git: &mut Git,
    commit: &Commit,
    pipeline: &Pipeline,
) -> Result<Vec<Option<ContentHash>>, project::Error> {
    let files = pipeline.template_files.iter();
    let content = files.map(|file| Ok(git.read_at(commit, file)?.map(|b| ContentHash::of(&b))));
    content.collect()
}

/// Reads the text of a pipeline file, with the params files of its commit.
fn read_at(
    project: &Project,
    git: &mut Git,
    commit: &Commit,
    path: &ArtifactPath,
    shown: &str,
    text: String,
) -> Result<Pipeline, base::Error> {
    let document = Document::parse(shown, text, Format::Yaml)?;
    let git = RefCell::new(git);
    let read = |path: &ArtifactPath| {
        // What git cannot tell counts as absent; the names it would define are missed then.
        let Ok(Some(bytes)) = git.borrow_mut().read_at(commit, path) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let format = Format::of_path(Path::new(path.as_str()));
        Document::parse(path.as_str(), text, format).map(Some)
    };
    let scope = Scope {
        folder: path.parent(),
        parsing: project.config.parsing,
        patterns: project.personality.dep_patterns,
        read_file: &read,
    };
    let is_top = path.parent().is_none();
    spec::read_in(
        template::resolve(document, &scope)?,
        (!is_top).then_some(path),
    )
}
