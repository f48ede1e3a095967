//! What a run is: plain data. Imports: base, project.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::base::ObjectId;
use crate::base::clock::Timestamp;
use crate::base::doc::Value;
use crate::project::PARAMS_FILE;

use super::name;

/// The experiment of runs that name none. It always exists, with the id 0 (as in MLflow).
pub const DEFAULT_EXPERIMENT: &str = "Default";

/// Identifies a run: 128 random bits, shown as 32 lower-case hexadecimal digits (MLflow's form).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId([u8; 16]);

impl RunId {
    /// Draws a new id. Its short form holds a digit, so that it is never taken for a word.
    #[must_use]
    pub fn random() -> Self {
        loop {
            let id = Self(*uuid::Uuid::new_v4().as_bytes());
            if id.short().bytes().any(|b| b.is_ascii_digit()) {
                return id;
            }
        }
    }

    /// Returns the first eight digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    /// Returns the name that a run has unless it was given one: `brave-otter-412`.
    #[must_use]
    pub fn default_name(&self) -> String {
        name::of_id(self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

/// Why a text is no run id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id: expected 32 lower-case hexadecimal digits")]
pub struct ParseRunIdError(String);

impl FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseRunIdError(text.to_owned());
        let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 32 || !lower {
            return Err(error());
        }
        u128::from_str_radix(text, 16)
            .map(|n| Self(n.to_be_bytes()))
            .map_err(|_| error())
    }
}

/// How far a run is. The words in the database are MLflow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is to begin (clients of MLflow say so; nothing here does).
    Scheduled,
    /// It goes on.
    Running,
    /// All went well.
    Finished,
    /// Something failed.
    Failed,
    /// It was stopped, or its process died.
    Killed,
}

impl Status {
    /// Returns MLflow's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "SCHEDULED" => Ok(Self::Scheduled),
            "RUNNING" => Ok(Self::Running),
            "FINISHED" => Ok(Self::Finished),
            "FAILED" => Ok(Self::Failed),
            "KILLED" => Ok(Self::Killed),
            other => Err(format!("the status `{other}`")),
        }
    }
}

/// Names a param or a metric: the file it stands in, and the key there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The file, relative to the project; empty for values that came without one.
    pub file: String,
    /// The key inside it: `train.epochs`.
    pub key: String,
}

impl Key {
    /// Names the key `key` of `file`.
    pub fn new(file: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            key: key.into(),
        }
    }

    /// Does `name`, as a person writes it, mean this key: `accuracy`, or `reports/metrics.json:accuracy`?
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.key == name || self.to_string() == name
    }
}

/// Writes `params.yaml`'s keys alone, others as `file:key`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" | PARAMS_FILE => f.write_str(&self.key),
            file => write!(f, "{file}:{}", self.key),
        }
    }
}

/// A parameter and the value it had.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Which.
    pub key: Key,
    /// The value, never a mapping with keys (those are recorded key by key).
    pub value: Value,
}

/// One value of a metric. NaN and infinities are values as any other.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Which.
    pub key: Key,
    /// The value.
    pub value: f64,
    /// When in the run: an epoch, a batch; 0 for values that have no step.
    pub step: i64,
    /// When on the clock.
    pub at: Timestamp,
}

/// A metric with its whole history. Equal histories are kept once, however many runs have them.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Which.
    pub key: Key,
    /// Steps and values.
    pub points: Vec<(i64, f64)>,
    /// When on the clock it was read.
    pub at: Timestamp,
}

/// One point of a metric's history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Epoch, batch, or 0.
    pub step: i64,
    /// The clock.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
}

/// A file or folder that stood at a path when the run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Relative to the project.
    pub path: String,
    /// Its content, in the cache.
    pub object: ObjectId,
    /// Bytes.
    pub size: u64,
    /// Number of files of a folder.
    pub files: Option<u64>,
    /// The stage that wrote it.
    pub stage: String,
}

/// What became of a stage in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutcome {
    /// Its command ran.
    Ran,
    /// Its outputs came from the cache.
    Restored,
    /// Nothing had to be done.
    Unchanged,
    /// It is frozen.
    Frozen,
    /// It failed.
    Failed,
    /// It was not started, or stopped before its end.
    NotFinished,
}

impl StageOutcome {
    /// Returns the word of the database and of `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Restored => "restored",
            Self::Unchanged => "unchanged",
            Self::Frozen => "frozen",
            Self::Failed => "failed",
            Self::NotFinished => "not_finished",
        }
    }
}

impl FromStr for StageOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ran" => Ok(Self::Ran),
            "restored" => Ok(Self::Restored),
            "unchanged" => Ok(Self::Unchanged),
            "frozen" => Ok(Self::Frozen),
            "failed" => Ok(Self::Failed),
            "not_finished" => Ok(Self::NotFinished),
            other => Err(format!("the outcome `{other}`")),
        }
    }
}

/// A stage in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRecord {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: StageOutcome,
    /// How long that took.
    pub took: Duration,
    /// Why it failed, in one line.
    pub message: Option<String>,
}

/// Where the project stood in git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    /// The commit, in full.
    pub commit: String,
    /// The branch, unless HEAD is detached.
    pub branch: Option<String>,
    /// Did files differ from the commit, other than those that the run writes? `None`: git took too
    /// long to say.
    pub dirty: Option<bool>,
}

/// What is known of a run when it begins.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The experiment it belongs to; created if there is none of this name.
    pub experiment: String,
    /// Its name; `None`: one is made up.
    pub name: Option<String>,
    /// The run that this one is a part of.
    pub parent: Option<RunId>,
    /// When it began.
    pub started: Timestamp,
    /// The command, as typed.
    pub command: String,
    /// The stages or outputs asked for; none means all.
    pub targets: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What is added to a run in one transaction. A stage or artifact of the same name replaces what
/// was recorded before, so does a param; metrics add to
/// their history, and curves replace the curve of before.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Parameters.
    pub params: Vec<Param>,
    /// Values of metrics, in the order in which they are to be shown.
    pub metrics: Vec<Metric>,
    /// Metrics that come with their history; shown before the others.
    pub curves: Vec<Curve>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Outputs.
    pub artifacts: Vec<Artifact>,
    /// Stages.
    pub stages: Vec<StageRecord>,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct End {
    /// How.
    pub status: Status,
    /// When.
    pub ended: Timestamp,
    /// The lock as it stood after the run.
    pub lock: Option<String>,
    /// Where the project stood in git.
    pub git: Option<Git>,
}

/// A run with all that is recorded of it, but for histories of metrics and the lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its name; not necessarily the only one of this name.
    pub name: String,
    /// The experiment it belongs to.
    pub experiment: String,
    /// The run that it is a part of.
    pub parent: Option<RunId>,
    /// How far it is. A run whose process has died is `Killed`.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None`: it goes on, or nobody saw its end.
    pub ended: Option<Timestamp>,
    /// The command, as typed.
    pub command: String,
    /// The stages or outputs asked for; none means all.
    pub targets: Vec<String>,
    /// Where the project stood in git.
    pub git: Option<Git>,
    /// Stages, in the order in which they finished.
    pub stages: Vec<StageRecord>,
    /// Parameters, by name.
    pub params: BTreeMap<Key, Value>,
    /// The last value of each metric: curves first, each kind in the order of its files.
    pub metrics: Vec<Metric>,
    /// Outputs, by path.
    pub artifacts: Vec<Artifact>,
    /// Tags, by key.
    pub tags: BTreeMap<String, String>,
}

impl Run {
    /// Returns the last value of a metric.
    #[must_use]
    pub fn metric(&self, key: &Key) -> Option<f64> {
        self.metrics.iter().find(|m| m.key == *key).map(|m| m.value)
    }

    /// Returns how long it took, if it has ended.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        let ms = self.ended?.as_millisecond() - self.started.as_millisecond();
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Returns the number of stages with this outcome.
    #[must_use]
    pub fn count(&self, outcome: StageOutcome) -> usize {
        self.stages.iter().filter(|s| s.outcome == outcome).count()
    }
}
