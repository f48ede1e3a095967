//! Where values come from: the workspace, the last repro, a git revision or a run. Plain data.
//! Imports: base, project, pipeline, track.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::doc::KeyPath;
use crate::base::{ArtifactPath, ObjectId};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{Axes, Direction, OutKind, ParamRef, Pipeline};
use crate::project::Commit;
use crate::project::git::Blob;
use crate::track::{Run, RunId};

/// The word for the files as they lie in the folders.
pub const WORKSPACE: &str = "workspace";
/// The word for what the last repro recorded.
pub const LOCK: &str = "lock";

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The files as they lie in the folders now.
    Workspace,
    /// What the last repro recorded in the lock.
    LastRun,
    /// A commit.
    Revision {
        /// As the user called it.
        name: String,
        /// Which it is.
        commit: Commit,
    },
    /// A run.
    Run {
        /// Its name.
        name: String,
        /// Its identity.
        id: RunId,
    },
}

/// A source with what is declared there.
#[derive(Debug)]
pub struct Side {
    /// Where it is.
    pub source: Source,
    /// Which files are declared.
    pub subjects: Subjects,
    /// The pipeline files that declare them.
    pub(super) pipelines: Vec<Arc<Pipeline>>,
    /// The locks of a revision.
    pub(super) locks: BTreeMap<ArtifactPath, Blob>,
    /// What was recorded there; read when first needed.
    pub(super) recorded: Option<Recorded>,
    /// The run, if it is one.
    pub(super) run: Option<Box<Run>>,
}

impl Side {
    /// Does this side know only what was recorded?
    #[must_use]
    pub fn is_record(&self) -> bool {
        match self.source {
            Source::LastRun | Source::Run { .. } => true,
            Source::Workspace | Source::Revision { .. } => false,
        }
    }

    /// Returns the name for headings and JSON.
    #[must_use]
    pub fn title(&self) -> &str {
        match &self.source {
            Source::Workspace => WORKSPACE,
            Source::LastRun => LOCK,
            Source::Revision { name, .. } | Source::Run { name, .. } => name,
        }
    }
}

/// What the locks of a side record.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) lock: LockFile,
    /// What stages wrote, by path.
    outs: BTreeMap<ArtifactPath, ObjectId>,
}

impl Recorded {
    pub(super) fn new(lock: LockFile) -> Self {
        let outs = lock.stages.values().flat_map(|entry| &entry.outs);
        let outs = outs.filter_map(|(path, presence)| Some((path.clone(), presence.object()?)));
        Self {
            outs: outs.collect(),
            lock,
        }
    }

    /// Returns the output that is `path` or a folder around it.
    pub(super) fn around(&self, path: &ArtifactPath) -> Option<(ArtifactPath, ObjectId)> {
        let mut places = std::iter::once(path.clone()).chain(path.ancestors());
        places.find_map(|place| {
            let object = *self.outs.get(&place)?;
            Some((place, object))
        })
    }
}

/// The files that the pipeline files of a side declare for showing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Params files.
    pub params: BTreeSet<ArtifactPath>,
    /// Those of which every key counts, whether or not a stage reads it.
    pub whole: BTreeSet<ArtifactPath>,
    /// The params that stages read: all that a lock knows.
    pub read: BTreeSet<ParamRef>,
    /// Metrics files, with the direction that is declared.
    pub metrics: BTreeMap<ArtifactPath, Option<Direction>>,
    /// Plots: files or folders.
    pub plots: BTreeMap<ArtifactPath, Axes>,
}

impl Subjects {
    /// Adds what `pipeline` declares.
    pub(super) fn add(&mut self, pipeline: &Pipeline) {
        let shown = &pipeline.shown;
        for file in &shown.params {
            self.whole(file.clone());
        }
        self.metrics.extend(shown.metrics.clone());
        self.plots.extend(shown.plots.clone());
        for stage in &pipeline.stages {
            let files = stage.params.keys().map(|param| param.file.clone());
            self.params.extend(files);
            self.read.extend(stage.params.keys().cloned());
            for (path, out) in &stage.outs {
                match out.kind {
                    OutKind::Data => {}
                    OutKind::Metric => {
                        self.metrics.insert(path.clone(), out.direction);
                    }
                    // What the top level says of an output is what its author wants to see.
                    OutKind::Plot => {
                        let plots = &mut self.plots;
                        plots
                            .entry(path.clone())
                            .or_insert_with(|| out.axes.clone());
                    }
                }
            }
        }
    }

    /// Adds a params file of which every key counts.
    pub(super) fn whole(&mut self, file: ArtifactPath) {
        self.params.insert(file.clone());
        self.whole.insert(file);
    }

    /// Leaves what no stage reads out of the params.
    pub fn only_deps(&mut self) {
        self.whole.clear();
        self.params = self.read.iter().map(|param| param.file.clone()).collect();
    }

    /// Returns the keys of a params file that count; `None`: all.
    pub(super) fn keys_of(&self, file: &ArtifactPath) -> Option<Vec<&KeyPath>> {
        if self.whole.contains(file) {
            return None;
        }
        let read = self.read.iter().filter(|param| param.file == *file);
        let keys: Vec<&KeyPath> = read.map(|param| &param.key).collect();
        let is_all = keys.is_empty() || keys.iter().any(|key| key.is_root());
        (!is_all).then_some(keys)
    }

    /// Does a stage read this key of a params file, alone or in a section?
    #[must_use]
    pub fn reads(&self, file: &ArtifactPath, key: &str) -> bool {
        let mut params = self.read.iter().filter(|param| param.file == *file);
        params.any(|param| match key.strip_prefix(&param.key.to_string()) {
            Some(rest) => param.key.is_root() || rest.is_empty() || rest.starts_with(['.', '[']),
            None => false,
        })
    }
}
