//! What the user wrote, made concrete: stages with typed paths, and the reader of `pipeline.yaml`.
//!
//! Plain data; nothing here looks at the workspace. Imports: base, project.

mod read;
mod run;
mod schema;
mod service;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::base::ArtifactPath;
use crate::base::doc::{Document, KeyPath};
use crate::project::PARAMS_FILE;

pub use read::read;
pub use run::{FailureKind, Resources, Retry, RunSpec};
pub use schema::json_schema;
pub use service::ServiceSpec;
pub use shown::{Axes, Direction, Shown};

/// The name of a stage: letters, digits, `_`, `-` and `.`; unique in its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageName(Arc<str>);

impl StageName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no stage name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stage name: use letters, digits, `_`, `-` and `.`")]
pub struct ParseStageNameError(String);

impl FromStr for StageName {
    type Err = ParseStageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if text.is_empty() || text.starts_with(['-', '.']) || !text.chars().all(fits) {
            return Err(ParseStageNameError(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

/// A parameter that a stage depends on: a key of a file, or the whole file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamRef {
    /// The params file.
    pub file: ArtifactPath,
    /// The key inside it; the root means the whole file.
    pub key: KeyPath,
}

impl fmt::Display for ParamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.key.is_root()) {
            (PARAMS_FILE, false) => write!(f, "{}", self.key),
            (file, false) => write!(f, "{file}:{}", self.key),
            (file, true) => write!(f, "{file}"),
        }
    }
}

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutKind {
    /// Data or a model.
    Data,
    /// Numbers that `cvops metrics` compares.
    Metric,
    /// Points or pictures to look at.
    Plot,
}

/// Is the output left to git, or git-ignored because the cache holds it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the cache; git-ignored in the workspace.
    Cached,
    /// `cache: false`: committed to git by the user (kept in the cache as well, so that any earlier
    /// run can be restored).
    Git,
}

/// Is the output removed before its stage runs?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeRun {
    /// Removed, so that a stage cannot mix old results into new ones.
    Remove,
    /// `persist: true`: left in place for stages that update it.
    Keep,
}

/// One declared output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutSpec {
    /// What it is for.
    pub kind: OutKind,
    /// Where it is kept.
    pub storage: Storage,
    /// What happens to it before a run.
    pub before_run: BeforeRun,
    /// In which direction a metric improves, where it is said.
    pub direction: Option<Direction>,
    /// What a plot shows on its axes.
    pub axes: Axes,
    /// Where it is declared, for messages.
    pub declared: KeyPath,
}

/// When a stage is up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Judged by its inputs.
    ByInputs,
    /// `frozen: true`: never run, whatever changed.
    Frozen,
    /// `always_changed: true`: run each time.
    AlwaysChanged,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// Its name.
    pub name: StageName,
    /// Shell commands, run in order; the first failure ends the stage.
    pub commands: Vec<String>,
    /// The folder in which they run, relative to the project root; `None` is the root itself.
    pub wdir: Option<ArtifactPath>,
    /// Files and folders it reads, with the place of their declaration.
    pub deps: BTreeMap<ArtifactPath, KeyPath>,
    /// Parameters it reads, with the place of their declaration.
    pub params: BTreeMap<ParamRef, KeyPath>,
    /// Environment variables that are dependencies by value.
    pub env: BTreeSet<String>,
    /// What it writes.
    pub outs: BTreeMap<ArtifactPath, OutSpec>,
    /// When it is up to date.
    pub freshness: Freshness,
    /// It runs until it is stopped instead of to its end: it has no outputs and is never done.
    pub service: Option<ServiceSpec>,
    /// How it is run; no input of its result.
    pub run: RunSpec,
    /// A sentence for people.
    pub description: Option<String>,
    /// Where the stage stands in the pipeline file.
    pub declared: KeyPath,
}

impl StageSpec {
    /// Returns every path that the stage reads: deps, then params files (each as often as it has
    /// keys).
    pub fn reads(&self) -> impl Iterator<Item = &ArtifactPath> {
        self.deps
            .keys()
            .chain(self.params.keys().map(|param| &param.file))
    }
}

/// A pipeline file as read.
#[derive(Debug)]
pub struct Pipeline {
    /// The stages in file order.
    pub stages: Vec<StageSpec>,
    /// Files to show that the top level names.
    pub shown: Shown,
    /// The file, for messages about places found wrong later (cycles, overlaps).
    pub document: Document,
}
