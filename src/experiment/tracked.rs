//! A repro that records itself as a run. Imports: base, project, pipeline, track,
//! collect.
//!
//! A recorder listens to the events of the repro. The run begins when the first stage is about to
//! run or be restored: a repro that does nothing records nothing and does not even look for the
//! database. What became of stages is written while the repro goes on, at most every quarter of a
//! second, so that a killed repro leaves what it had; everything else at the end, in one
//! transaction.
//!
//! **The record is a guest.** The results of stages are written down by the pipeline, before and
//! without the record. Whatever goes wrong here becomes a warning; the repro ends as it would have
//! ended without.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::diag::{Diagnostic, Severity, ToDiagnostics};
use crate::base::{ArtifactPath, Cancel, CancelReason, Observer, clock};
use crate::pipeline::execute::{self, Event, Options, Outcome, Summary};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::Storage;
use crate::pipeline::{Plan, StageDecision, StageName, Workspace, lock_files};
use crate::project::{Layout, Project, git};
use crate::track::{
    self, Batch, DEFAULT_EXPERIMENT, End, Git, NewRun, RunId, StageOutcome, StageRecord, Status,
    Tracking,
};

use super::collect;
use super::error::Error;

/// The file that keeps cached outputs out of git.
const GITIGNORE: &str = ".gitignore";

/// Stages are recorded at most this often while the repro goes on.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// At the end of a repro git is waited for so long: in a huge repository it looks for changes for
/// seconds, and a short repro should not take as long.
const GIT_WAIT: Duration = Duration::from_secs(1);

/// What to record a repro as.
#[derive(Clone, Debug)]
pub struct Record {
    /// The project whose database keeps the run. A trial in a workspace of its own is recorded
    /// with the project it belongs to.
    pub layout: Layout,
    /// The experiment; `None`: the default one.
    pub experiment: Option<String>,
    /// The run's name; `None`: one is made up.
    pub name: Option<String>,
    /// The run that this one is a part of.
    pub parent: Option<RunId>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The command, as typed.
    pub command: String,
    /// The stages or outputs asked for.
    pub targets: Vec<String>,
}

/// By what a run can be found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
}

/// What came of a recorded repro.
#[derive(Debug)]
pub struct Recorded {
    /// What became of the stages.
    pub summary: Summary,
    /// The run; `None`: nothing ran, or it could not be recorded.
    pub run: Option<RunName>,
    /// What could not be recorded, as warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Executes `plan` as `pipeline::execute` does, and records it as a run.
///
/// # Errors
/// As `pipeline::execute`. A record that cannot be written is a warning.
pub fn repro(
    plan: &Plan<'_>,
    lock: &mut LockFile,
    workspace: &mut Workspace<'_>,
    options: &Options,
    record: &Record,
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Result<Recorded, Error> {
    let recorder = Recorder {
        plan,
        project: workspace.files.project(),
        record,
        events,
        state: Mutex::default(),
    };
    let result = execute::execute(plan, lock, workspace, options, cancel, &recorder);
    let mut state = recorder
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut warnings = Vec::new();
    let run = state.started.as_ref().map(|s| s.run.clone());
    if let Some(started) = &mut state.started {
        let (mut batch, status) = match &result {
            Ok(summary) => {
                let batch = collect::batch(plan, lock, workspace, summary, &mut warnings);
                (batch, status(cancel, summary))
            }
            Err(_) => (Batch::default(), Status::Failed),
        };
        batch.stages = match &result {
            Ok(summary) => started.stages_of(plan, summary),
            Err(_) => std::mem::take(&mut started.pending),
        };
        let end = End {
            status,
            ended: clock::now(),
            // The lock as it is on disk: what could not be written there is no state to go back to.
            lock: lock_files::read(workspace.files.project(), plan.graph())
                .ok()
                .and_then(|lock| lock.to_text().ok()),
            git: git_at_end(&record.layout, started.git.take()),
        };
        if state.problem.is_none()
            && let Err(error) = started.tracking.finish(started.run.id, &batch, &end)
        {
            state.problem = Some(error);
        }
    }
    if let Some(problem) = &state.problem {
        warnings.extend(not_recorded(problem));
    }
    Ok(Recorded {
        summary: result?,
        run: run.filter(|_| state.problem.is_none()),
        warnings,
    })
}

fn status(cancel: &Cancel, summary: &Summary) -> Status {
    match cancel.reason() {
        Some(
            CancelReason::Interrupted | CancelReason::SecondInterrupt | CancelReason::Terminated,
        ) => Status::Killed,
        Some(CancelReason::StageFailed) | None if summary.failed.is_empty() => Status::Finished,
        Some(CancelReason::StageFailed) | None => Status::Failed,
    }
}

/// Turns an error into warnings that say what it means for the repro: nothing.
fn not_recorded(problem: &track::Error) -> Vec<Diagnostic> {
    let mut warnings = problem.to_diagnostics();
    for warning in &mut warnings {
        warning.severity = Severity::Warning;
        warning.headline = format!("this run is not recorded: {}", warning.headline);
    }
    warnings
}

/// Listens to a repro and writes the run.
struct Recorder<'a> {
    plan: &'a Plan<'a>,
    project: &'a Project,
    record: &'a Record,
    events: &'a dyn Observer<Event>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: Option<Started>,
    /// The first thing that went wrong; nothing is written after it.
    problem: Option<track::Error>,
}

struct Started {
    tracking: Tracking,
    run: RunName,
    /// Stages that are not written yet.
    pending: Vec<StageRecord>,
    written_at: Instant,
    failed: BTreeMap<StageName, StageRecord>,
    /// What git says, asked while the first stage runs; nothing comes of it outside a repository.
    git: Option<Receiver<Option<Git>>>,
}

impl Observer<Event> for Recorder<'_> {
    fn notify(&self, event: Event) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.problem.is_none()
                && let Err(error) = self.take_note(&mut state, &event)
            {
                state.problem = Some(error);
            }
        }
        self.events.notify(event);
    }
}

impl Recorder<'_> {
    fn take_note(&self, state: &mut State, event: &Event) -> Result<(), track::Error> {
        let record = match event {
            Event::Decided {
                decision: StageDecision::Run(_) | StageDecision::Restore { .. },
                ..
            } if state.started.is_none() => {
                state.started = Some(self.start()?);
                return Ok(());
            }
            Event::Finished { stage, how, took } => match outcome(*how) {
                Some(outcome) => stage_record(stage, outcome, *took),
                None => return Ok(()),
            },
            Event::Failed { stage, error, took } => StageRecord {
                message: Some(error.to_string()),
                ..stage_record(stage, StageOutcome::Failed, *took)
            },
            Event::Decided { .. }
            | Event::Waiting { .. }
            | Event::Retrying { .. }
            | Event::WaitingForDvc { .. }
            | Event::Told { .. }
            | Event::Started { .. }
            | Event::Output { .. }
            | Event::Saved { .. }
            | Event::OutsInGit { .. }
            | Event::InputsChanged { .. }
            | Event::RecordUnusable { .. }
            | Event::LeftoverStopped { .. }
            | Event::Ready { .. }
            | Event::Stopping { .. } => return Ok(()),
        };
        let Some(started) = &mut state.started else {
            return Ok(());
        };
        if let Event::Failed { stage, .. } = event {
            started.failed.insert(stage.clone(), record.clone());
        }
        started.pending.push(record);
        if started.written_at.elapsed() < WRITE_EVERY {
            return Ok(());
        }
        let batch = Batch {
            stages: std::mem::take(&mut started.pending),
            ..Batch::default()
        };
        started.written_at = Instant::now();
        started.tracking.log_batch(started.run.id, &batch)
    }

    fn start(&self) -> Result<Started, track::Error> {
        let record = self.record;
        let mut tracking = Tracking::open(&record.layout)?;
        tracking.close_abandoned()?;
        let (id, name) = tracking.create_run(&NewRun {
            experiment: record
                .experiment
                .clone()
                .unwrap_or_else(|| DEFAULT_EXPERIMENT.to_owned()),
            name: record.name.clone(),
            parent: record.parent,
            started: clock::now(),
            command: record.command.clone(),
            targets: record.targets.clone(),
            tags: record.tags.clone(),
        })?;
        Ok(Started {
            tracking,
            run: RunName { id, name },
            pending: Vec::new(),
            written_at: Instant::now(),
            failed: BTreeMap::new(),
            git: Some(self.ask_git()),
        })
    }
}

impl Recorder<'_> {
    fn ask_git(&self) -> Receiver<Option<Git>> {
        let (answer, asked) = mpsc::sync_channel(1);
        let (state, written) = (self.record.layout.state_dir().to_owned(), self.written());
        std::thread::spawn(move || {
            let facts = state.parent().and_then(|root| git_facts(root, &written));
            // Nobody listens any more if this took too long.
            let _ = answer.send(facts);
        });
        asked
    }

    /// Returns the files of git that a repro itself writes: what counts as a change is what its
    /// results were made from, and these may be written while git looks.
    fn written(&self) -> Vec<ArtifactPath> {
        let mut written: Vec<ArtifactPath> = Vec::new();
        let mut ignore = |folder: Option<ArtifactPath>| {
            let name = folder.map_or_else(|| GITIGNORE.to_owned(), |f| format!("{f}/{GITIGNORE}"));
            written.extend(name.parse::<ArtifactPath>());
        };
        let mut outs = Vec::new();
        for (path, out) in self.plan.graph().stages().iter().flat_map(|s| &s.outs) {
            match out.storage {
                Storage::Git => outs.push(path.clone()),
                Storage::Cached => ignore(path.parent()),
            }
        }
        written.extend(outs);
        for file in self.plan.graph().files() {
            let lock = lock_files::path_of(self.project, file.file.as_ref());
            written.extend(lock.parse::<ArtifactPath>());
        }
        written.sort();
        written.dedup();
        written
    }
}

impl Started {
    /// Returns what became of every stage of the plan, those that finished before the run began
    /// included; nothing of services, which never finish.
    fn stages_of(&self, plan: &Plan<'_>, summary: &Summary) -> Vec<StageRecord> {
        let graph = plan.graph();
        let is_service = |name: &StageName| {
            let stage = graph.find(name.as_str()).map(|i| &graph.stages()[i]);
            stage.is_some_and(|stage| stage.service.is_some())
        };
        let done = summary
            .done
            .iter()
            .filter_map(|(stage, how, took)| Some(stage_record(stage, outcome(*how)?, *took)));
        let failed = summary.failed.iter().map(|stage| {
            self.failed
                .get(stage)
                .cloned()
                .unwrap_or_else(|| stage_record(stage, StageOutcome::Failed, Duration::ZERO))
        });
        let not_started = summary
            .not_started
            .iter()
            .filter(|stage| !is_service(stage))
            .map(|stage| stage_record(stage, StageOutcome::NotFinished, Duration::ZERO));
        done.chain(failed).chain(not_started).collect()
    }
}

/// Returns what git said, or, if it still looks for changes, what can be had without that.
fn git_at_end(layout: &Layout, asked: Option<Receiver<Option<Git>>>) -> Option<Git> {
    match asked?.recv_timeout(GIT_WAIT) {
        Ok(facts) => facts,
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let head = git::head(layout.state_dir().parent()?).ok()?;
            Some(Git {
                commit: head.commit.as_str().to_owned(),
                branch: head.branch,
                dirty: None,
            })
        }
    }
}

/// Returns where the repository around the project stands.
fn git_facts(root: &Path, written: &[ArtifactPath]) -> Option<Git> {
    // Starting a program costs milliseconds; a look for its folder does not.
    root.ancestors().find(|dir| dir.join(".git").exists())?;
    let tree = git::work_tree(root, written).ok()?;
    Some(Git {
        commit: tree.commit?.as_str().to_owned(),
        branch: tree.branch,
        dirty: Some(tree.changes == git::Changes::Some),
    })
}

fn stage_record(stage: &StageName, outcome: StageOutcome, took: Duration) -> StageRecord {
    StageRecord {
        name: stage.to_string(),
        outcome,
        took,
        message: None,
    }
}

/// Returns what is recorded of a stage that is done; nothing of a service.
fn outcome(outcome: Outcome) -> Option<StageOutcome> {
    match outcome {
        Outcome::Ran => Some(StageOutcome::Ran),
        Outcome::Restored => Some(StageOutcome::Restored),
        Outcome::Unchanged => Some(StageOutcome::Unchanged),
        Outcome::Frozen => Some(StageOutcome::Frozen),
        Outcome::Service => None,
    }
}
