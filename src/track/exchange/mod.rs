//! Runs that come in and go out: what a run is on the way (`ImportedRun`), and who reads and writes
//! it. `mlruns` reads MLflow's folders, `db::mlflow_sqlite` its databases, `jsonl` our own lines;
//! `import` puts what they found into the record and the cache; `csv` writes tables. Imports: base,
//! store, entity, run, db.
//!
//! **What stays.** Ids and times. Experiments are matched by name, as their ids count up in each
//! record on its own. What is there already is skipped, so that an import that was broken off is
//! simply started again. Files of runs go into the cache, durably before the record names them, and
//! a run comes with its files in one transaction or not at all.

pub mod csv;
pub mod import;
pub mod jsonl;
pub mod mlruns;
pub mod place;

use std::path::PathBuf;

use crate::base::ObjectId;

use super::entity::{
    DatasetInput, Lifecycle, LoggedModel, ModelOutput, ModelVersion, RegisteredModel, Tag,
    latest_order,
};
use super::error::Error;
use super::run::{Artifact, Git, RunId, StageRecord, Status};

pub use import::{Import, Imported, Mode};

/// A run with everything that is recorded of it. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedRun {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The name of the experiment it belongs to.
    pub experiment: String,
    /// Who started it; empty if unknown.
    pub user: String,
    /// The run that it is a part of.
    pub parent: Option<RunId>,
    /// How far it is.
    pub status: Status,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// When it was deleted.
    pub deleted_ms: Option<i64>,
    /// When it began.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// The command, as typed.
    pub command: String,
    /// The stages or outputs asked for.
    pub targets: Vec<String>,
    /// Where the project stood in git.
    pub git: Option<Git>,
    /// The lock as it stood after the run.
    pub lock: Option<String>,
    /// Where its artifacts are if not with us: `s3://…`.
    pub elsewhere: Option<String>,
    /// Params.
    pub params: Vec<ImportedParam>,
    /// Metrics with their histories, in the order in which they are shown.
    pub metrics: Vec<ImportedMetric>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Stages, in the order in which they finished.
    pub stages: Vec<StageRecord>,
    /// Outputs of stages.
    pub artifacts: Vec<Artifact>,
    /// Uploaded files.
    pub files: Vec<ImportedFile>,
    /// Datasets it read.
    pub datasets: Vec<DatasetInput>,
    /// Logged models it read.
    pub model_inputs: Vec<String>,
    /// Logged models it made.
    pub model_outputs: Vec<ModelOutput>,
}

impl ImportedRun {
    /// Returns a run that began then and of which nothing else is known.
    #[must_use]
    pub fn new(id: RunId, experiment: &str, started_ms: i64) -> Self {
        Self {
            id,
            name: id.default_name(),
            experiment: experiment.to_owned(),
            user: String::new(),
            parent: None,
            status: Status::Running,
            lifecycle: Lifecycle::Active,
            deleted_ms: None,
            started_ms,
            ended_ms: None,
            command: String::new(),
            targets: Vec::new(),
            git: None,
            lock: None,
            elsewhere: None,
            params: Vec::new(),
            metrics: Vec::new(),
            tags: Vec::new(),
            stages: Vec::new(),
            artifacts: Vec::new(),
            files: Vec::new(),
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        }
    }

    /// Takes from MLflow's tags what this record keeps beside them.
    pub(crate) fn learn_from_tags(&mut self) {
        let tag = |key: &str| {
            let mut tags = self.tags.iter();
            let found = tags.find(|tag| tag.key == key && !tag.value.is_empty());
            found.map(|tag| tag.value.clone())
        };
        let parent = tag("mlflow.parentRunId").and_then(|id| id.parse().ok());
        let command = tag("mlflow.source.name").unwrap_or_default();
        let git = tag("mlflow.source.git.commit").map(|commit| Git {
            commit,
            branch: tag("mlflow.source.git.branch"),
            dirty: None,
        });
        (self.parent, self.command, self.git) = (parent, command, git);
    }
}

/// A param and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedParam {
    /// The name that clients see.
    pub name: String,
    /// The file of the pipeline that has it; empty for what a client logged.
    pub file: String,
    /// The key there.
    pub key: String,
    /// The text that clients see.
    pub value: String,
    /// What kind of value the text is.
    pub kind: ParamKind,
}

/// What kind of value a param's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A text.
    Text,
    /// A number, a list, …, as JSON.
    Json,
}

/// A metric with its history.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedMetric {
    /// The name that clients see.
    pub name: String,
    /// The file of the pipeline that has it; empty for what a client logged.
    pub file: String,
    /// The key there.
    pub key: String,
    /// The latest value.
    pub last: ImportedPoint,
    /// Values that came one by one.
    pub points: Vec<ImportedPoint>,
    /// Steps and values that came as a whole.
    pub curve: Vec<(i64, f64)>,
}

impl ImportedMetric {
    /// Returns what a client logged under `name`; `None` if that is nothing.
    #[must_use]
    pub fn logged(name: &str, points: Vec<ImportedPoint>) -> Option<Self> {
        let key = |p: &ImportedPoint| (p.step, p.at_ms, p.value);
        let last = *points.iter().max_by(|a, b| latest_order(key(a), key(b)))?;
        Some(Self {
            name: name.to_owned(),
            file: String::new(),
            key: name.to_owned(),
            last,
            points,
            curve: Vec::new(),
        })
    }
}

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImportedPoint {
    /// Epoch, batch, or 0.
    pub step: i64,
    /// The clock.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedFile {
    /// Its path below the artifacts of its run or model.
    pub path: String,
    /// Its content, in the cache.
    pub object: ObjectId,
    /// Bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified_ms: i64,
}

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedExperiment {
    /// Its name.
    pub name: String,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub updated_ms: i64,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A logged model.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedModel {
    /// The name of the experiment it belongs to; the id in `model` means nothing.
    pub experiment: String,
    /// What it is.
    pub model: LoggedModel,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// When it was deleted.
    pub deleted_ms: Option<i64>,
    /// Its files.
    pub files: Vec<ImportedFile>,
}

/// A registered model with all its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedRegistered {
    /// The model; `latest` means nothing.
    pub model: RegisteredModel,
    /// Its versions.
    pub versions: Vec<ModelVersion>,
}

/// What a store holds, one thing after another: experiments before their runs, runs before models
/// that name them, registered models last.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An experiment.
    Experiment(ImportedExperiment),
    /// A run.
    Run(Box<ImportedRun>, Place),
    /// A logged model.
    Model(Box<ImportedModel>, Place),
    /// A registered model.
    Registered(Box<ImportedRegistered>),
    /// Something that cannot be read; what comes after it can.
    Broken(Broken),
}

/// Where the artifacts of a run or a logged model are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the store says: a URI or a path.
    pub uri: String,
    /// What was found there.
    pub found: Found,
}

/// What was found where artifacts should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// They are in the cache, or will be; the files are listed.
    Listed,
    /// A folder.
    Folder(PathBuf),
    /// Nothing was ever put there.
    Empty,
    /// The folder that should hold them is not here.
    Missing,
    /// They are on a server or in a bucket, and stay there.
    Elsewhere,
}

/// Something that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file, or the row.
    pub what: String,
    /// Why not.
    pub problem: String,
}

impl Broken {
    /// Names what is broken and why.
    pub fn new(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            problem: problem.into(),
        }
    }
}

/// Takes what a store holds, one thing after another.
pub type Take<'a> = &'a mut dyn FnMut(Item) -> Result<(), Error>;
