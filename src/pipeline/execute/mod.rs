//! Carries a plan out: one coordinator owns all state, worker threads run or restore one stage each
//! and report back; everything that happens is told once, as an `Event`.
//!
//! # What is written, and what a crash leaves
//! A stage that runs: its old outputs are secured in the cache and removed; its commands run; its
//! outputs are copied into the cache; then, for all stages that finished since the last time, one
//! `commit`: `syncfs`, run records, lock (atomic, fsynced). Killed before the commit, the lock
//! still describes the previous run: the next repro sees other outputs, secures and removes them,
//! and runs the stage again. Killed after it, the stage is done. Commits happen at most every
//! `COMMIT_EVERY`, so that a thousand small stages do not rewrite the lock a thousand times.
//!
//! Services come last and apart (`service`): nothing they do is recorded, and the project lock is not
//! held while they run.
//!
//! Processes of a killed cvops go on in their own process groups; the next command that takes the
//! project lock stops them first (`leftovers`).
//! Imports: base, project, store, and the pipeline's other files.

mod coordinator;
mod leftovers;
mod process;
pub mod service;
mod stage;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{ArtifactPath, ObjectId};

use super::decide::RunRecords;
use super::decide::{Force, StageDecision};
use super::error::Error;
use super::spec::StageName;

pub use coordinator::execute;
pub use leftovers::{remove_temporary, stop_leftovers};
pub use turns::Turns;

/// What to do with the other stages when one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Start no further stage; running ones finish.
    Stop,
    /// Go on with stages that do not need the failed one.
    KeepGoing,
}

/// How to execute.
#[derive(Clone, Debug)]
pub struct Options {
    /// Stages that run at the same time, at least 1.
    pub jobs: usize,
    /// `-k`.
    pub on_failure: OnFailure,
    /// `-f`.
    pub force: Force,
    /// `--no-run-cache`.
    pub records: RunRecords,
    /// Variables for the stages' processes, beside those this process has.
    pub env: Vec<(String, std::ffi::OsString)>,
    /// With which other repros of this process, on the same cache, turns are taken at stages with
    /// the same inputs.
    pub turns: Option<Arc<Turns>>,
}

/// From which of its two pipes a line of a stage came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Everything that happens, once.
#[derive(Debug)]
pub enum Event {
    /// A stage was judged.
    Decided {
        /// The stage.
        stage: StageName,
        /// The judgement.
        decision: StageDecision,
    },
    /// A command of a stage starts.
    Started {
        /// The stage.
        stage: StageName,
        /// The command.
        command: String,
    },
    /// A stage's process wrote a line.
    Output {
        /// The stage.
        stage: StageName,
        /// From which pipe.
        stream: Stream,
        /// The line without its end; bytes that are no UTF-8 are replaced.
        line: String,
    },
    /// What stood at an output's path was not in the cache and was secured there first.
    Saved {
        /// The stage.
        stage: StageName,
        /// The output.
        path: ArtifactPath,
        /// Under which hash it is kept.
        object: ObjectId,
    },
    /// Inputs of a stage were changed while it ran: its result is not recorded, and the next repro
    /// makes it again.
    InputsChanged {
        /// The stage.
        stage: StageName,
        /// Deps and params.
        what: Vec<String>,
    },
    /// A record promised outputs that the cache no longer has whole; the stage runs instead.
    RecordUnusable {
        /// The stage.
        stage: StageName,
        /// What is missing or damaged.
        why: String,
    },
    /// A stage is done.
    Finished {
        /// The stage.
        stage: StageName,
        /// How.
        how: Outcome,
        /// How long it took.
        took: Duration,
    },
    /// A stage failed.
    Failed {
        /// The stage.
        stage: StageName,
        /// Why.
        error: Error,
        /// How long it took.
        took: Duration,
    },
    /// Processes of a service that a killed cvops left behind were stopped.
    LeftoverStopped {
        /// The service.
        stage: StageName,
    },
    /// A service answers.
    Ready {
        /// The service.
        stage: StageName,
        /// Where.
        url: String,
        /// How long that took.
        took: Duration,
    },
    /// Running stages were asked to stop.
    Stopping {
        /// Which.
        stages: Vec<StageName>,
    },
}

/// How a stage came to its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Its command ran.
    Ran,
    /// Its outputs came from the cache.
    Restored,
    /// Nothing had to be done.
    Unchanged,
    /// It is frozen.
    Frozen,
    /// It is a service: all it needs is up to date, and it may be started.
    Service,
}

/// What became of every stage of the plan.
#[derive(Debug, Default)]
pub struct Summary {
    /// Stages that are done, in the order in which they finished.
    pub done: Vec<(StageName, Outcome, Duration)>,
    /// Stages that failed.
    pub failed: Vec<StageName>,
    /// Stages that were not started: something they need failed, or the command was stopped.
    pub not_started: Vec<StageName>,
    /// Files whose bytes were hashed because their stat was not known.
    pub files_hashed: u64,
}

impl Summary {
    /// Returns what became of a stage that is done.
    #[must_use]
    pub fn outcome(&self, stage: &StageName) -> Option<Outcome> {
        self.done
            .iter()
            .find_map(|(name, outcome, _)| (name == stage).then_some(*outcome))
    }

    /// Returns the number of stages with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.done.iter().filter(|(_, o, _)| *o == outcome).count()
    }
}
