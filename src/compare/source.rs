//! Where values come from: the workspace, the last repro, a git revision or a run. Plain data.
//! Imports: base, project, pipeline, track.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ArtifactPath;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{Axes, Direction, OutKind, ParamRef, Pipeline};
use crate::project::Commit;
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
    /// What was recorded there; read when first needed.
    pub(super) lock: Option<LockFile>,
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

/// The files that a pipeline file declares for showing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Params files.
    pub params: BTreeSet<ArtifactPath>,
    /// The params that stages read: all that a lock knows.
    pub read: BTreeSet<ParamRef>,
    /// Metrics files, with the direction that is declared.
    pub metrics: BTreeMap<ArtifactPath, Option<Direction>>,
    /// Plots: files or folders.
    pub plots: BTreeMap<ArtifactPath, Axes>,
}

impl Subjects {
    pub(super) fn of(pipeline: &Pipeline) -> Self {
        let shown = &pipeline.shown;
        let mut subjects = Self {
            params: shown.params.iter().cloned().collect(),
            read: BTreeSet::new(),
            metrics: shown.metrics.clone(),
            plots: shown.plots.clone(),
        };
        for stage in &pipeline.stages {
            let files = stage.params.keys().map(|param| param.file.clone());
            subjects.params.extend(files);
            subjects.read.extend(stage.params.keys().cloned());
            for (path, out) in &stage.outs {
                match out.kind {
                    OutKind::Data => {}
                    OutKind::Metric => {
                        subjects.metrics.insert(path.clone(), out.direction);
                    }
                    // What the top level says of an output is what its author wants to see.
                    OutKind::Plot => {
                        let plots = &mut subjects.plots;
                        plots
                            .entry(path.clone())
                            .or_insert_with(|| out.axes.clone());
                    }
                }
            }
        }
        subjects
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
