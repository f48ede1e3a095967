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
//! Commands of several processes go on side by side as long as they touch different paths: a stage
//! that is to run or be restored first claims what it reads and writes (`claiming`), and is judged
//! again if others were at work. The lock file is brought up to date entry by entry.
//!
//! In a repository of DVC, its locks are held as well: that of the repository while stages are judged
//! and results recorded, those of a stage's paths while it runs.
//!
//! Processes of a killed cvops go on in their own process groups; the next command that takes the
//! project lock, or wants their paths, stops them first (`leftovers`).
//! Imports: base, project, store, and the pipeline's other files.

mod admission;
mod claiming;
mod coordinator;
mod leftovers;
mod process;
pub mod service;
mod stage;
mod state;
mod timing;
mod told;
mod turns;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{ArtifactPath, ObjectId};
use crate::project::Wait;
use crate::project::claims::Conflict;

use super::decide::{Force, RunReason, RunRecords, StageDecision};
use super::error::Error;
use super::spec::StageName;

pub use admission::check_resources;
pub use coordinator::execute;
pub use leftovers::{Leftovers, remove_temporary, stop_leftovers};
pub use timing::CriticalPath;
pub use told::Told;
pub use turns::Turns;

/// What to do with the other stages when one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Start no further stage; running ones finish.
    Stop,
    /// Go on with stages that do not need the failed one.
    KeepGoing,
    /// Go on as if it had not failed.
    Ignore,
}

/// What happens to the stages below one that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downstream {
    /// They are judged by their inputs.
    #[default]
    Judged,
    /// They run, whatever it wrote.
    Forced,
}

/// What happens to the outputs of a stage that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// They go into the cache.
    #[default]
    InCache,
    /// They are only hashed: `--no-commit`.
    InWorkspaceOnly,
}

/// Asks somebody before a stage runs.
pub trait Confirm: fmt::Debug + Send + Sync {
    /// May `stage` run, for these reasons?
    fn may_run(&self, stage: &StageName, because: &[RunReason]) -> bool;
}

/// Knows more variables of a stage's processes, and is asked only when they are about to start: what
/// costs something need not be there for a repro that only restores.
pub trait LateEnv: fmt::Debug + Send + Sync {
    /// Returns variables for the processes of `stage`; without a value: the processes do not have it,
    /// even if this one does.
    fn of_stage(&self, stage: &StageName) -> Vec<(String, Option<std::ffi::OsString>)>;
}

/// How to execute.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command, for others that wait for it.
    pub command: String,
    /// Stages that run at the same time, at least 1.
    pub jobs: usize,
    /// `-k`, `--ignore-errors`.
    pub on_failure: OnFailure,
    /// `-f`.
    pub force: Force,
    /// `--force-downstream`.
    pub downstream: Downstream,
    /// `--no-run-cache`.
    pub records: RunRecords,
    /// `--no-commit`.
    pub keep: Keep,
    /// `-i`.
    pub confirm: Option<Arc<dyn Confirm>>,
    /// Variables for the stages' processes, beside those this process has.
    pub env: Vec<(String, std::ffi::OsString)>,
    /// Variables that are known only then; they win.
    pub late_env: Option<Arc<dyn LateEnv>>,
    /// With which other repros of this process, on the same cache, turns are taken at stages with
    /// the same inputs.
    pub turns: Option<Arc<Turns>>,
}

impl Options {
    /// One stage after the other, as judged, up to the first failure.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            jobs: 1,
            on_failure: OnFailure::Stop,
            force: Force::No,
            downstream: Downstream::Judged,
            records: RunRecords::Use,
            keep: Keep::InCache,
            confirm: None,
            env: Vec::new(),
            late_env: None,
            turns: None,
        }
    }
}

/// From which of its two pipes a line of a stage came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// A stage waits for another command that touches the same paths.
    Waiting {
        /// The stage.
        stage: StageName,
        /// For whom, at which path.
        conflict: Conflict,
        /// How long so far.
        elapsed: Duration,
    },
    /// The command waits for DVC.
    WaitingForDvc {
        /// For whom, and how long so far.
        wait: Wait,
    },
    /// An attempt failed; the stage is tried again.
    Retrying {
        /// The stage.
        stage: StageName,
        /// What happened.
        error: Error,
        /// Which attempt comes now, counted from 1.
        attempt: u32,
        /// How many there may be.
        of: u32,
    },
    /// What a stage told when it ran, whose result is restored now.
    Told {
        /// The stage.
        stage: StageName,
        /// What it told.
        told: Told,
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
    /// Git tracks outputs of a stage that the cache is to keep.
    OutsInGit {
        /// The stage.
        stage: StageName,
        /// Each output, with its place.
        outs: Vec<Error>,
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
    /// Stages that somebody did not want to run.
    pub declined: Vec<StageName>,
    /// Files whose bytes were hashed because their stat was not known.
    pub files_hashed: u64,
    /// How long all of it took.
    pub took: Duration,
    /// The stages that had to come after one another and took longest.
    pub critical_path: CriticalPath,
    /// Results that were made by another version of this program, by version.
    pub other_versions: BTreeMap<String, usize>,
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
