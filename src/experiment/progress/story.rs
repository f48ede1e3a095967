//! What the lines of a journal add up to. Pure. Imports: entry.

use std::collections::{BTreeMap, VecDeque};

use super::entry::{Entry, Finish, Head, Judgement, Line, Reached};

/// Of each stage, the last so many lines of output are kept.
const LINES_KEPT: usize = 200;

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its process lives.
    Running,
    /// All that was asked for is up to date.
    Done,
    /// A stage failed.
    Failed,
    /// It was stopped.
    Stopped,
    /// Its process is gone and did not say how it ended: it was killed, or the machine went down.
    Died,
}

impl State {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Died => "died",
        }
    }
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StageState {
    /// Its turn has not come.
    #[default]
    Pending,
    /// It waits for another command.
    Waiting,
    /// It is about to run or to be restored, or runs.
    Running,
    /// It is done.
    Done(Reached),
    /// It failed.
    Failed,
}

impl StageState {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done(Reached::Ran) => "ran",
            Self::Done(Reached::Restored) => "restored",
            Self::Done(Reached::Unchanged) => "unchanged",
            Self::Done(Reached::Frozen) => "frozen",
            Self::Done(Reached::Service) => "service",
            Self::Failed => "failed",
        }
    }
}

/// What is known of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageStory {
    /// How far it is.
    pub state: StageState,
    /// What was decided.
    pub decision: Option<Judgement>,
    /// Why, in the words of `cvops why`.
    pub because: Vec<String>,
    /// The command that runs or ran last.
    pub command: Option<String>,
    /// When it was decided upon, milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// Why it failed, what it waits for, or which attempt it is.
    pub message: Option<String>,
    /// The last lines it wrote.
    pub lines: VecDeque<String>,
    /// How many lines it wrote before these.
    pub lines_before: usize,
    /// Not all of its output is in the journal.
    pub truncated: bool,
}

/// A command, as far as its journal tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    /// The first line.
    pub head: Option<Head>,
    /// When it began, milliseconds since 1970.
    pub began_ms: i64,
    /// When the last line was written.
    pub latest_ms: i64,
    /// The run that it is recorded as: id and name.
    pub run: Option<(String, String)>,
    /// Its stages, by name; `head.stages` has their order.
    pub stages: BTreeMap<String, StageStory>,
    /// How it ended, and how long that took, seconds.
    pub end: Option<(Finish, f64)>,
}

impl Story {
    /// Takes the next line.
    pub fn take(&mut self, line: Line) {
        let Line { at_ms, entry } = line;
        self.latest_ms = at_ms;
        match entry {
            Entry::Begin(head) => {
                self.began_ms = at_ms;
                for stage in &head.stages {
                    self.stages.entry(stage.clone()).or_default();
                }
                self.head = Some(head);
            }
            Entry::Run { id, name } => self.run = Some((id, name)),
            Entry::Decided {
                stage,
                decision,
                because,
            } => {
                let stage = self.stage(stage);
                stage.decision = Some(decision);
                stage.because = because;
                stage.message = None;
                if matches!(decision, Judgement::Run | Judgement::Restore) {
                    stage.state = StageState::Running;
                    stage.started_ms = Some(at_ms);
                }
            }
            Entry::Waiting {
                stage,
                holder,
                path,
            } => {
                let stage = self.stage(stage);
                stage.state = StageState::Waiting;
                stage.message = Some(format!("waits for `{holder}`, which is at `{path}`"));
            }
            Entry::Started { stage, command } => self.stage(stage).command = Some(command),
            Entry::Output { stage, line, .. } => {
                let stage = self.stage(stage);
                stage.lines.push_back(line);
                if LINES_KEPT < stage.lines.len() {
                    stage.lines.pop_front();
                    stage.lines_before += 1;
                }
            }
            Entry::Truncated { stage } => self.stage(stage).truncated = true,
            Entry::Retrying {
                stage,
                error,
                attempt,
                of,
            } => {
                let words = format!("attempt {attempt} of {of}: {error}");
                self.stage(stage).message = Some(words);
            }
            Entry::Finished {
                stage,
                how,
                seconds,
            } => {
                let stage = self.stage(stage);
                stage.state = StageState::Done(how);
                stage.seconds = Some(seconds);
                stage.message = None;
            }
            Entry::Failed {
                stage,
                error,
                seconds,
            } => {
                let stage = self.stage(stage);
                stage.state = StageState::Failed;
                stage.seconds = Some(seconds);
                stage.message = Some(error);
            }
            Entry::End { how, seconds } => self.end = Some((how, seconds)),
            Entry::Stopping { .. } | Entry::Unknown => {}
        }
    }

    /// Returns the stages in the order of the plan.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, &StageStory)> {
        let names = self.head.iter().flat_map(|head| &head.stages);
        names.filter_map(|name| Some((name.as_str(), self.stages.get(name)?)))
    }

    /// Returns how many stages are done or failed, and how many there are.
    #[must_use]
    pub fn done_of(&self) -> (usize, usize) {
        let is_over =
            |stage: &&StageStory| matches!(stage.state, StageState::Done(_) | StageState::Failed);
        (
            self.stages.values().filter(is_over).count(),
            self.stages.len(),
        )
    }

    fn stage(&mut self, name: String) -> &mut StageStory {
        self.stages.entry(name).or_default()
    }
}
