//! `Index`: all that a project declares, from all its pipeline files and pointers.
//!
//! A pipeline file that cannot be read is set aside with what is wrong in it: what does not need it
//! goes on. Imports: base, project, graph, lock, pointer, spec.

pub mod revision;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::doc::{Document, ParseCache};
use crate::base::{self, ArtifactPath, Diagnostic, ToDiagnostics};
use crate::project::{Ignore, Project};

use super::error::Error;
use super::graph::StageGraph;
use super::patterns::Ground;
use super::pointer::{self, Pointer};
use super::spec::template::{self, Scope};
use super::spec::{self, Pipeline, split_address};
use super::variant::Overlay;

/// What a broken file should declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Stages.
    Pipeline,
    /// Tracked data.
    Pointer,
}

/// A pipeline file or pointer that cannot be read.
#[derive(Debug)]
pub struct Broken {
    /// Which of the two it is.
    pub kind: FileKind,
    /// Where it is.
    pub file: ArtifactPath,
    /// All that is wrong in it.
    pub error: Error,
}

/// What a project declares.
#[derive(Debug)]
pub struct Index {
    /// The pipeline files, the one at the top first, then by path.
    pub pipelines: Vec<Pipeline>,
    /// The pointers, by path.
    pub pointers: Vec<Pointer>,
    /// What cannot be read.
    pub broken: Vec<Broken>,
}

impl Index {
    /// Finds and reads all pipeline files and pointers of `project`.
    ///
    /// # Errors
    /// A folder or a pattern of an ignore file cannot be read.
    pub fn load(project: &Project) -> Result<Self, Error> {
        let ignore = Ignore::of(project);
        let (read, found) = read_all(project, &ignore)?;
        let mut index = Self {
            pipelines: Vec::new(),
            pointers: found.pointers,
            broken: Vec::new(),
        };
        let outs: BTreeSet<ArtifactPath> = read
            .values()
            .flatten()
            .flat_map(|pipeline| &pipeline.stages)
            .flat_map(|stage| stage.outs.keys().cloned())
            .collect();
        let tracked = index.pointers.iter().flat_map(|pointer| &pointer.outs);
        let tracked = tracked.map(|out| out.path.clone()).collect();
        let ground = Ground {
            project,
            ignore: &ignore,
            outs: &outs,
            tracked: &tracked,
        };
        for (file, pipeline) in read {
            let expanded = pipeline.and_then(|mut pipeline| {
                ground.expand(&mut pipeline)?;
                Ok(pipeline)
            });
            match expanded {
                Ok(pipeline) => index.pipelines.push(pipeline),
                Err(error) => index.broken.push(Broken {
                    kind: FileKind::Pipeline,
                    file,
                    error,
                }),
            }
        }
        // `None`, the file at the top, sorts first.
        index.pipelines.sort_by(|a, b| a.file.cmp(&b.file));
        let pointers = found.broken.into_iter();
        index.broken.extend(pointers.map(|(file, error)| Broken {
            kind: FileKind::Pointer,
            file,
            error: error.into(),
        }));
        Ok(index)
    }

    /// Does the project declare nothing at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pipelines.is_empty() && self.pointers.is_empty() && self.broken.is_empty()
    }

    /// Connects everything.
    ///
    /// # Errors
    /// Something is broken, or the parts do not fit together.
    pub fn graph(self) -> Result<StageGraph, Error> {
        if !self.broken.is_empty() {
            return Err(all_of(self.broken));
        }
        StageGraph::connect(self.pipelines, self.pointers)
    }

    /// Connects what can be read, for a command about `targets` of a user in `folder`; also returns
    /// a warning for each file that is left out.
    ///
    /// # Errors
    /// Something is broken that the targets name, or anything if there are no targets; or the parts
    /// do not fit together.
    pub fn graph_for(
        mut self,
        targets: &[String],
        folder: Option<&ArtifactPath>,
    ) -> Result<(StageGraph, Vec<Diagnostic>), Error> {
        let is_meant = |broken: &Broken| targets.iter().any(|t| means(t, folder, broken));
        let broken = std::mem::take(&mut self.broken);
        let (meant, aside): (Vec<_>, Vec<_>) = broken.into_iter().partition(is_meant);
        if !meant.is_empty() {
            return Err(all_of(meant));
        }
        if targets.is_empty() && !aside.is_empty() {
            return Err(all_of(aside));
        }
        let index = Self {
            broken: aside,
            ..self
        };
        index.sound_graph()
    }

    /// Connects what can be read, for a command about the pipeline file nearest to `folder` (in it or
    /// above it); also returns a warning for each file that is left out.
    ///
    /// # Errors
    /// That file is broken, or anything if there is no such file; or the parts do not fit together.
    pub fn graph_nearest(
        self,
        folder: Option<&ArtifactPath>,
    ) -> Result<(StageGraph, Vec<Diagnostic>), Error> {
        let mut places: Vec<Option<ArtifactPath>> = Vec::new();
        if let Some(folder) = folder {
            places.push(Some(folder.clone()));
            places.extend(folder.ancestors().map(Some));
        }
        places.push(None);
        // The less, the nearer.
        let distance = |of: Option<ArtifactPath>| places.iter().position(|place| *place == of);
        let sound = self.pipelines.iter().map(|pipeline| pipeline.file.as_ref());
        let sound = sound.filter_map(|file| distance(file.and_then(ArtifactPath::parent)));
        let is_pipeline = |broken: &&Broken| broken.kind == FileKind::Pipeline;
        let broken = self.broken.iter().filter(is_pipeline);
        let broken = broken.filter_map(|broken| distance(broken.file.parent()));
        let farthest = places.len();
        if broken.min().unwrap_or(farthest) <= sound.min().unwrap_or(farthest) {
            return self.graph_for(&[], folder);
        }
        self.sound_graph()
    }

    /// Connects what can be read; also returns a warning for each file that is left out.
    ///
    /// # Errors
    /// The parts do not fit together.
    pub fn sound_graph(self) -> Result<(StageGraph, Vec<Diagnostic>), Error> {
        let mut warnings: Vec<Diagnostic> = self.broken.iter().map(left_out).collect();
        let noted = self.pipelines.iter().flat_map(|p| &p.warnings);
        warnings.extend(noted.cloned());
        let graph = StageGraph::connect(self.pipelines, self.pointers)?;
        Ok((graph, warnings))
    }
}

/// The pipeline files that were read, by path.
type ReadFiles = BTreeMap<ArtifactPath, Result<Pipeline, Error>>;

/// Finds and reads all pipeline files and pointers.
fn read_all(project: &Project, ignore: &Ignore) -> Result<(ReadFiles, pointer::Found), Error> {
    let parsed = ParseCache::new(project.layout.parsed());
    let mut read = BTreeMap::new();
    let found = pointer::find_around(project, ignore, &mut |file| {
        let pipeline = read_pipeline(project, &parsed, file);
        let stages = pipeline.iter().flat_map(|pipeline| &pipeline.stages);
        let outs = stages.flat_map(|stage| stage.outs.keys().cloned());
        let outs = outs.collect();
        read.insert(file.clone(), pipeline);
        outs
    })?;
    ignore.check()?;
    Ok((read, found))
}

/// Reads the pipeline files of the workspace alone: the one at the top first, then by path; and what
/// cannot be read. Patterns in them stay as they are written.
///
/// # Errors
/// A folder or a pattern of an ignore file cannot be read.
pub fn pipelines(project: &Project) -> Result<(Vec<Pipeline>, Vec<Broken>), Error> {
    let read = if project.personality.nested_pipelines {
        read_all(project, &Ignore::of(project))?.0
    } else {
        let parsed = ParseCache::new(project.layout.parsed());
        let file = project.personality.pipeline_file.parse::<ArtifactPath>();
        let file = file.ok().filter(|file| project.absolute(file).exists());
        let read = file.map(|file| {
            let pipeline = read_pipeline(project, &parsed, &file);
            (file, pipeline)
        });
        read.into_iter().collect()
    };
    let (mut pipelines, mut broken) = (Vec::new(), Vec::new());
    for (file, pipeline) in read {
        match pipeline {
            Ok(pipeline) => pipelines.push(pipeline),
            Err(error) => broken.push(Broken {
                kind: FileKind::Pipeline,
                file,
                error,
            }),
        }
    }
    pipelines.sort_by(|a, b| a.file.cmp(&b.file));
    Ok((pipelines, broken))
}

/// Reads one pipeline file.
fn read_pipeline(
    project: &Project,
    parsed: &ParseCache,
    file: &ArtifactPath,
) -> Result<Pipeline, Error> {
    let document = parsed.read(&project.absolute(file), file.as_str())?;
    let is_top = file.parent().is_none();
    read_document(project, document, (!is_top).then_some(file))
}

/// Reads the stages of a parsed pipeline file; `None` is the one at the top.
pub(super) fn read_document(
    project: &Project,
    document: Document,
    file: Option<&ArtifactPath>,
) -> Result<Pipeline, Error> {
    read_with(project, document, file, &Overlay::new())
}

/// Reads the stages of a parsed pipeline file, templates with the params files of `overlay` in place
/// of those in the project.
pub(super) fn read_with(
    project: &Project,
    document: Document,
    file: Option<&ArtifactPath>,
    overlay: &Overlay,
) -> Result<Pipeline, Error> {
    let parsed = ParseCache::new(project.layout.parsed());
    let scope = Scope {
        folder: file.and_then(ArtifactPath::parent),
        parsing: project.config.parsing,
        patterns: project.personality.dep_patterns,
        read_file: &|path| match overlay.get(path) {
            Some(document) => Ok(Some(document.clone())),
            None => params_file(project, &parsed, path),
        },
    };
    let resolved = template::resolve(document, &scope)?;
    Ok(spec::read_in(resolved, file)?)
}

/// Reads a params file for templates; `None` if there is none.
fn params_file(
    project: &Project,
    parsed: &ParseCache,
    path: &ArtifactPath,
) -> Result<Option<Document>, base::Error> {
    let absolute = project.absolute(path);
    if !absolute.exists() {
        return Ok(None);
    }
    parsed.read(&absolute, path.as_str()).map(Some)
}

/// Returns all that is wrong as one error.
pub fn all_of(mut broken: Vec<Broken>) -> Error {
    if broken.len() == 1 {
        return broken.remove(0).error;
    }
    Error::Several(broken.into_iter().map(|b| b.error).collect())
}

/// Does `target` name a broken file, something in it, its data, or a name that is looked for in it first?
fn means(target: &str, folder: Option<&ArtifactPath>, broken: &Broken) -> bool {
    let file = &broken.file;
    let base = folder.map_or("", ArtifactPath::as_str);
    let (named, _) = split_address(target);
    let text = named.unwrap_or(target);
    let names = |base: &str| ArtifactPath::parse_in(base, text).is_ok_and(|path| path == *file);
    let is_name = named.is_none() && !target.contains('/');
    let is_looked_for = match broken.kind {
        FileKind::Pipeline => is_name && file.parent().as_ref() == folder,
        // A pointer is named after its data.
        FileKind::Pointer => {
            let data = file.as_str().rsplit_once('.').map_or("", |(data, _)| data);
            ArtifactPath::parse_in(base, text).is_ok_and(|path| path.as_str() == data)
        }
    };
    names(base) || names("") || is_looked_for
}

/// Returns the warning that a file is left out.
pub fn left_out(broken: &Broken) -> Diagnostic {
    let file = &broken.file;
    let mut problems = broken.error.to_diagnostics();
    let more = problems.len() - 1;
    let mut warning = problems.swap_remove(0);
    let headline = format!(
        "`{file}` is left out, it cannot be read: {}",
        warning.headline
    );
    warning.severity = crate::base::Severity::Warning;
    warning.headline = headline;
    if more > 0 {
        let s = if more == 1 { "" } else { "s" };
        warning.notes.push(format!("{more} more problem{s} in it"));
    }
    warning
}

#[cfg(test)]
mod tests;
