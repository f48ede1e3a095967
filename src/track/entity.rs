//! What clients of MLflow see: plain data of experiments, runs, datasets, logged models and the
//! registry, in MLflow's own terms (<https://mlflow.org/docs/latest/rest-api.html>). Times are
//! milliseconds since 1970. Imports: run.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::run::{RunId, Status};

/// Counts up from 0, which is the experiment `Default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(pub i64);

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// MLflow's soft delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// There.
    Active,
    /// Deleted, and can be restored.
    Deleted,
}

impl Lifecycle {
    /// Returns MLflow's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the word of the database.
    #[must_use]
    pub fn of_str(text: &str) -> Self {
        if text == "deleted" {
            Self::Deleted
        } else {
            Self::Active
        }
    }
}

/// Which of the active and the deleted are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The active ones.
    #[default]
    Active,
    /// The deleted ones.
    Deleted,
    /// All.
    All,
}

/// A key and its text: a tag, or a param as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The text.
    pub value: String,
}

impl Tag {
    /// Puts a key and a text together.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// A group of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// Its name, which no other experiment has, deleted ones included.
    pub name: String,
    /// Below which URI artifacts of its runs are.
    pub artifact_location: String,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub updated_ms: i64,
    /// Tags, by key.
    pub tags: Vec<Tag>,
}

/// What a run is, without what was logged to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Who started it; empty if unknown.
    pub user: String,
    /// How far it is. A run whose process has died is `Killed`.
    pub status: Status,
    /// When it began.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// Below which URI its artifacts are.
    pub artifact_uri: String,
}

/// One value of a metric, as clients see it. NaN and infinities are values like others.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// The flat name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// The clock.
    pub at_ms: i64,
    /// Epoch, batch, or 0.
    pub step: i64,
}

/// Orders points of a metric, each given by step, time and value: the greatest is the latest (MLflow's
/// rule; NaN is below every number).
#[must_use]
pub fn latest_order(a: (i64, i64, f64), b: (i64, i64, f64)) -> Ordering {
    let is_number = |point: (i64, i64, f64)| !point.2.is_nan();
    (a.0, a.1, is_number(a))
        .cmp(&(b.0, b.1, is_number(b)))
        .then_with(|| a.2.total_cmp(&b.2))
}

/// A run with what clients see of it; `metrics` are the latest values.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// What it is.
    pub info: RunInfo,
    /// The latest value of each metric, by name.
    pub metrics: Vec<MetricPoint>,
    /// Params, by name.
    pub params: Vec<Tag>,
    /// Tags, by key.
    pub tags: Vec<Tag>,
    /// Datasets it read.
    pub datasets: Vec<DatasetInput>,
    /// Logged models it read.
    pub model_inputs: Vec<String>,
    /// Logged models it made.
    pub model_outputs: Vec<ModelOutput>,
}

/// A dataset as MLflow knows it: by name and digest within an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// A short hash of its content.
    pub digest: String,
    /// What kind of source it has: `local`, `http`, `code`, …
    pub source_type: String,
    /// Where it is, as JSON or a path.
    pub source: String,
    /// Its columns or tensors, as JSON.
    pub schema: Option<String>,
    /// Counts and the like, as JSON.
    pub profile: Option<String>,
}

/// A dataset in the role in which a run read it (tag `mlflow.data.context`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetInput {
    /// The dataset.
    pub dataset: Dataset,
    /// Tags, by key.
    pub tags: Vec<Tag>,
}

/// A logged model that a run made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOutput {
    /// The model's id, `m-` and 32 hexadecimal digits.
    pub model: String,
    /// At which step.
    pub step: i64,
}

/// How far a logged model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedModelStatus {
    /// Files are being written.
    Pending,
    /// Complete.
    Ready,
    /// Its upload failed.
    UploadFailed,
}

impl LoggedModelStatus {
    /// Returns MLflow's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }
}

impl FromStr for LoggedModelStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "LOGGED_MODEL_PENDING" => Ok(Self::Pending),
            "LOGGED_MODEL_READY" => Ok(Self::Ready),
            "LOGGED_MODEL_UPLOAD_FAILED" => Ok(Self::UploadFailed),
            other => Err(format!("the status `{other}`")),
        }
    }
}

/// A model as MLflow 3 logs it: files with a name, tags, params and metrics of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedModel {
    /// `m-` and 32 hexadecimal digits.
    pub id: String,
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub updated_ms: i64,
    /// Below which URI its files are.
    pub artifact_uri: String,
    /// How far it is.
    pub status: LoggedModelStatus,
    /// What went wrong.
    pub status_message: Option<String>,
    /// What kind of model.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run: Option<String>,
    /// Tags, by key.
    pub tags: Vec<Tag>,
    /// Params, by key.
    pub params: Vec<Tag>,
    /// Metrics.
    pub metrics: Vec<ModelMetric>,
    /// Versions of registered models that are this model.
    pub registrations: Vec<(String, i64)>,
}

/// A metric that was logged for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelMetric {
    /// Name, value, time and step.
    pub point: MetricPoint,
    /// The run that logged it.
    pub run: String,
    /// The dataset it was computed on.
    pub dataset: Option<(String, String)>,
}

/// A model of the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub updated_ms: i64,
    /// For people.
    pub description: Option<String>,
    /// The newest version of each stage.
    pub latest: Vec<ModelVersion>,
    /// Tags, by key.
    pub tags: Vec<Tag>,
    /// Aliases with the versions they name, by alias.
    pub aliases: Vec<(String, i64)>,
}

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// Counts up from 1; no number is used twice.
    pub version: i64,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub updated_ms: i64,
    /// For people.
    pub description: Option<String>,
    /// Where its files come from, as given: `mlflow-artifacts:/…`, `runs:/…`, `models:/m-…`, a path.
    pub source: String,
    /// Where its files are: `source`, with `runs:/` and `models:/` resolved.
    pub storage: String,
    /// The run that made it.
    pub run: Option<String>,
    /// A link to that run elsewhere.
    pub run_link: Option<String>,
    /// The logged model it is.
    pub logged_model: Option<String>,
    /// Always `READY` when made here; imported ones may say otherwise.
    pub status: String,
    /// `None`, `Staging`, `Production` or `Archived`.
    pub stage: String,
    /// Tags, by key.
    pub tags: Vec<Tag>,
    /// Aliases that name this version.
    pub aliases: Vec<String>,
}

/// One page of a search, and where the next begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Opaque; `None` on the last page.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_point_has_the_highest_step_time_and_value() {
        let rising = [
            (-1, 9, 9.0),
            (0, 1, f64::INFINITY),
            (0, 2, f64::NAN),
            (0, 2, f64::NEG_INFINITY),
            (0, 2, 0.5),
            (1, 0, f64::NAN),
        ];
        for (i, a) in rising.into_iter().enumerate() {
            for (j, b) in rising.into_iter().enumerate() {
                assert_eq!(latest_order(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }
}
