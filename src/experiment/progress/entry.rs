//! The lines of a journal. A reader passes over lines that it does not know, so that new kinds can be
//! added. Imports: pipeline.

use serde::{Deserialize, Serialize};

use crate::pipeline::execute::{Outcome, Stream};
use crate::pipeline::{StageDecision, words};

/// The version of the lines this program writes.
pub const VERSION: u32 = 1;

/// One line of a journal: what happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// The first line: whose journal it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the lines.
    pub version: u32,
    /// The command, as typed.
    pub command: String,
    /// Its process.
    pub pid: u32,
    /// The stages or outputs asked for.
    pub targets: Vec<String>,
    /// The stages that are to be judged, in the order of the plan.
    pub stages: Vec<String>,
    /// The sweep that it is a trial of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// The command begins.
    Begin(Head),
    /// It is recorded as a run.
    Run {
        /// The run's id.
        id: String,
        /// Its name.
        name: String,
    },
    /// A stage was judged.
    Decided {
        /// The stage.
        stage: String,
        /// What is to happen.
        decision: Judgement,
        /// Why, in the words of `cvops why`.
        because: Vec<String>,
    },
    /// A stage waits for another command.
    Waiting {
        /// The stage.
        stage: String,
        /// For which command.
        holder: String,
        /// At which path.
        path: String,
    },
    /// A command of a stage starts.
    Started {
        /// The stage.
        stage: String,
        /// The command.
        command: String,
    },
    /// A stage wrote a line.
    Output {
        /// The stage.
        stage: String,
        /// Was it written to standard error?
        #[serde(default, skip_serializing_if = "is_false")]
        err: bool,
        /// The line, without its end.
        line: String,
    },
    /// No more of a stage's output is kept in the journal.
    Truncated {
        /// The stage.
        stage: String,
    },
    /// An attempt failed; the stage is tried again.
    Retrying {
        /// The stage.
        stage: String,
        /// What happened.
        error: String,
        /// Which attempt comes now.
        attempt: u32,
        /// How many there may be.
        of: u32,
    },
    /// A stage is done.
    Finished {
        /// The stage.
        stage: String,
        /// How.
        how: Reached,
        /// How long it took.
        seconds: f64,
    },
    /// A stage failed.
    Failed {
        /// The stage.
        stage: String,
        /// Why.
        error: String,
        /// How long it took.
        seconds: f64,
    },
    /// Running stages were asked to stop.
    Stopping {
        /// Which.
        stages: Vec<String>,
    },
    /// The command is over.
    End {
        /// How it ended.
        how: Finish,
        /// How long it took since its journal began.
        seconds: f64,
    },
    /// A line of a later version.
    #[serde(other)]
    Unknown,
}

/// What is to happen to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Nothing: it is frozen, or a service.
    Skip,
    /// Nothing: it is up to date.
    Unchanged,
    /// Its outputs come from the cache.
    Restore,
    /// Its command runs.
    Run,
}

/// How a stage came to its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// Its command ran.
    Ran,
    /// Its outputs came from the cache.
    Restored,
    /// Nothing had to be done.
    Unchanged,
    /// It is frozen.
    Frozen,
    /// It is a service, and not started.
    Service,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// All that was asked for is up to date.
    Done,
    /// A stage failed.
    Failed,
    /// It was stopped.
    Stopped,
}

impl Judgement {
    /// Returns what a decision means, and why, in words.
    #[must_use]
    pub fn of(decision: &StageDecision) -> (Self, Vec<String>) {
        match decision {
            StageDecision::Skip(_) => (Self::Skip, Vec::new()),
            StageDecision::Cached => (Self::Unchanged, Vec::new()),
            StageDecision::Restore { because, .. } => {
                (Self::Restore, because.iter().map(words::reason).collect())
            }
            StageDecision::Run(because) => (Self::Run, because.iter().map(words::reason).collect()),
        }
    }
}

impl From<Outcome> for Reached {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ran => Self::Ran,
            Outcome::Restored => Self::Restored,
            Outcome::Unchanged => Self::Unchanged,
            Outcome::Frozen => Self::Frozen,
            Outcome::Service => Self::Service,
        }
    }
}

/// Returns the line that a pipe of a stage wrote.
pub(super) fn output(stage: &str, stream: Stream, line: &str) -> Entry {
    Entry::Output {
        stage: stage.to_owned(),
        err: stream == Stream::Err,
        line: line.to_owned(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}
