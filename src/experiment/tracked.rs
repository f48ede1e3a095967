//! A repro that records itself as a run. Imports: base, project, pipeline, track,
//! collect, datasets, endpoint, host, progress, pulse, source, `stage_logs`, system.
//!
//! A recorder listens to the events of the repro. The run begins when the first stage is about to
//! run or be restored: a repro that does nothing records nothing and does not even look for the
//! database. What became of stages is written while the repro goes on, at most every quarter of a
//! second, so that a killed repro leaves what it had; everything else at the end, in one
//! transaction. Beside the record goes the journal (`progress`), which another process reads while
//! stages run, and which is written of an unrecorded repro as well.
//!
//! **The record is a guest.** The results of stages are written down by the pipeline, before and
//! without the record. Whatever goes wrong here becomes a warning; the repro ends as it would have
//! ended without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::diag::{Diagnostic, Severity, ToDiagnostics};
use crate::base::{Cancel, CancelReason, Observer, clock};
use crate::pipeline::execute::{self, Event, LateEnv, Options, Outcome, Summary};
use crate::pipeline::lock::LockFile;
use crate::pipeline::{Plan, StageDecision, StageName, Workspace, lock_files};
use crate::project::{Layout, Project};
use crate::track::artifacts::{Artifacts, SCHEME, Stored};
use crate::track::entity::DatasetInput;
use crate::track::{
    self, Batch, DEFAULT_EXPERIMENT, End, NewRun, RunId, StageOutcome, StageRecord, Status,
    Tracking,
};

use super::endpoint::{Children, Endpoint};
use super::error::Error;
use super::progress::{Finish, Head, Journal, VERSION};
use super::pulse::Pulse;
use super::source::{self, Asked};
use super::stage_logs::StageLogs;
use super::system::{self, Sampler};
use super::{collect, host};

/// Stages are recorded at most this often while the repro goes on.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// The tag of the runs of a sweep's trials.
const SWEEP_TAG: &str = "cvops.sweep";

/// The artifact that says how the work tree differed from the commit.
const WORKSPACE_DIFF: &str = "cvops/workspace.diff";

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
    /// The server that stages log to, of the same record; `None`: one for this repro alone.
    pub endpoint: Option<Arc<Endpoint>>,
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
    let project = workspace.files.project();
    let endpoint = record
        .endpoint
        .clone()
        .unwrap_or_else(|| Endpoint::new(project));
    let children = Children::new(Arc::clone(&endpoint), workspace.env());
    let beside = Beside::new(plan, record);
    let recorder = Recorder {
        plan,
        project,
        record,
        user: user(workspace.env()),
        children: &children,
        beside: &beside,
        events,
        state: Mutex::new(State {
            started: None,
            prepared: false,
            logs: StageLogs::new(Artifacts::of_cache(workspace.files.cache())),
            problem: None,
        }),
    };
    let options = Options {
        late_env: Some(Arc::clone(&children) as Arc<dyn LateEnv>),
        ..options.clone()
    };
    let result = execute::execute(plan, lock, workspace, &options, cancel, &recorder);
    // What stages have logged is written before the rest of the record is.
    if record.endpoint.is_none() {
        endpoint.stop();
    }
    let mut state = recorder
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut warnings = children.warnings.take();
    warnings.extend(beside.end(cancel, result.as_ref().ok()));
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
        let (git, diff) = match started.git.take() {
            Some(asked) => asked.answer(&record.layout),
            None => (None, None),
        };
        if state.problem.is_none()
            && let Ok(summary) = &result
        {
            let datasets = collect::datasets(plan, lock, workspace, summary);
            let outputs = batch.artifacts.iter().map(|output| output.path.as_str());
            // The run is worth having without it.
            let added = state
                .logs
                .finish(outputs)
                .and_then(|logs| started.add(&datasets, diff.as_deref(), logs, project));
            if let Err(error) = added {
                warnings.extend(as_warnings(&error, "the run lacks what it was made from"));
            }
        }
        let end = End {
            status,
            ended: clock::now(),
            // The lock as it is on disk: what could not be written there is no state to go back to.
            lock: lock_files::read(workspace.files.project(), plan.graph())
                .ok()
                .and_then(|lock| lock.to_text().ok()),
            git,
        };
        if state.problem.is_none()
            && let Err(error) = started.tracking.finish(started.run.id, &batch, &end)
        {
            state.problem = Some(error);
        }
    }
    if let Some(problem) = &state.problem {
        warnings.extend(as_warnings(problem, "this run is not recorded"));
    }
    Ok(Recorded {
        summary: result?,
        run: run.filter(|_| state.problem.is_none()),
        warnings,
    })
}

/// Executes `plan` as `pipeline::execute` does, and records nothing but the journal.
///
/// # Errors
/// As `pipeline::execute`.
pub fn repro_unrecorded(
    plan: &Plan<'_>,
    lock: &mut LockFile,
    workspace: &mut Workspace<'_>,
    options: &Options,
    record: &Record,
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Result<Recorded, Error> {
    let beside = Beside::new(plan, record);
    let listener = |event: Event| {
        beside.note(&event);
        events.notify(event);
    };
    let result = execute::execute(plan, lock, workspace, options, cancel, &listener);
    let warnings = beside
        .end(cancel, result.as_ref().ok())
        .into_iter()
        .collect();
    Ok(Recorded {
        summary: result?,
        run: None,
        warnings,
    })
}

/// What goes on beside the stages, recorded or not.
struct Beside {
    journal: Arc<Journal>,
    pulse: Pulse,
}

impl Beside {
    fn new(plan: &Plan<'_>, record: &Record) -> Self {
        let stages = plan.graph().stages();
        let head = Head {
            version: VERSION,
            command: record.command.clone(),
            pid: std::process::id(),
            targets: record.targets.clone(),
            stages: plan
                .order()
                .iter()
                .map(|&i| stages[i].name.to_string())
                .collect(),
            sweep: record.tags.get(SWEEP_TAG).cloned(),
        };
        let journal = Arc::new(Journal::new(&record.layout, head));
        Self {
            pulse: Pulse::new(&journal),
            journal,
        }
    }

    fn note(&self, event: &Event) {
        self.journal.note(event);
        self.pulse.note(event);
    }

    /// The repro is over; returns what went wrong, as a warning.
    fn end(&self, cancel: &Cancel, summary: Option<&Summary>) -> Option<Diagnostic> {
        self.pulse.stop();
        let status = summary.map_or(Status::Failed, |summary| status(cancel, summary));
        self.journal.end(match status {
            Status::Killed => Finish::Stopped,
            Status::Failed => Finish::Failed,
            Status::Finished | Status::Running | Status::Scheduled => Finish::Done,
        })
    }
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

/// Turns an error into warnings that say what it means; for the results of the repro, nothing.
fn as_warnings(problem: &track::Error, meaning: &str) -> Vec<Diagnostic> {
    let mut warnings = problem.to_diagnostics();
    for warning in &mut warnings {
        warning.severity = Severity::Warning;
        warning.headline = format!("{meaning}: {}", warning.headline);
    }
    warnings
}

/// Listens to a repro and writes the run.
struct Recorder<'a> {
    plan: &'a Plan<'a>,
    project: &'a Project,
    record: &'a Record,
    /// Who runs it; empty if unknown.
    user: String,
    children: &'a Children,
    beside: &'a Beside,
    events: &'a dyn Observer<Event>,
    state: Mutex<State>,
}

struct State {
    started: Option<Started>,
    /// A stage runs or has run, so what stages need of this process is there.
    prepared: bool,
    /// What stages write on their console.
    logs: StageLogs,
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
    /// Below which URI the run's files are.
    artifact_uri: String,
    /// What git says, asked while the first stage runs.
    git: Option<Asked>,
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
            if state.started.is_some() {
                state.logs.note(&event);
            }
        }
        self.beside.note(&event);
        self.events.notify(event);
    }
}

impl Recorder<'_> {
    fn take_note(&self, state: &mut State, event: &Event) -> Result<(), track::Error> {
        let record = match event {
            Event::Decided {
                decision: decision @ (StageDecision::Run(_) | StageDecision::Restore { .. }),
                ..
            } => {
                if state.started.is_none() {
                    state.started = Some(self.start()?);
                }
                if matches!(decision, StageDecision::Run(_)) && !state.prepared {
                    state.prepared = true;
                    self.children.prepare();
                }
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
        let mut tags = host::facts();
        tags.insert("mlflow.source.type".to_owned(), "PROJECT".to_owned());
        if !self.user.is_empty() {
            tags.insert("mlflow.user".to_owned(), self.user.clone());
        }
        tags.extend(record.tags.clone());
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
            tags,
        })?;
        let info = tracking.reader().run_info(id)?;
        self.children.belong_to(id, info.experiment);
        self.beside.journal.belongs_to(&id.to_string(), &name);
        if self.project.config.system_metrics {
            let children = if record.tags.contains_key(SWEEP_TAG) {
                system::Children::Ignore
            } else {
                system::Children::Count
            };
            let place = self.project.root.clone();
            let sampler = Sampler::new(&record.layout, id, place, children);
            self.beside.pulse.sample(sampler);
        }
        Ok(Started {
            tracking,
            run: RunName { id, name },
            pending: Vec::new(),
            written_at: Instant::now(),
            failed: BTreeMap::new(),
            git: Some(Asked::of(
                &record.layout,
                source::written(self.plan, self.project),
            )),
            artifact_uri: info.artifact_uri,
        })
    }
}

impl Started {
    /// Adds what is known at the end: the datasets that were read, how the work tree differed, what
    /// stages wrote on their console.
    fn add(
        &mut self,
        datasets: &[DatasetInput],
        diff: Option<&str>,
        logs: Vec<(String, Stored)>,
        project: &Project,
    ) -> Result<(), track::Error> {
        let run = self.run.id;
        let mut files = logs;
        if let Some(diff) = diff {
            let artifacts = Artifacts::open(project);
            let mut upload = artifacts.receive();
            upload.write(diff.as_bytes())?;
            let stored = upload.finish()?;
            artifacts.make_durable()?;
            files.push((WORKSPACE_DIFF.to_owned(), stored));
        }
        // Where artifacts are kept elsewhere, nothing can be put beside them.
        let folder = self.artifact_uri.strip_prefix(SCHEME).unwrap_or_default();
        if folder.is_empty() {
            files.clear();
        }
        if datasets.is_empty() && files.is_empty() {
            return Ok(());
        }
        let now = clock::now().as_millisecond();
        self.tracking.change(|writing| {
            writing.log_inputs(run, datasets, &[])?;
            for (path, stored) in &files {
                let path = format!("{folder}/{path}");
                // What a stage itself logged under this name is worth more.
                if !writing.has_file(&path)? {
                    writing.put_file(&path, stored, now)?;
                }
            }
            Ok(())
        })
    }

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

/// Returns who runs this process, as the environment has it.
fn user(env: &BTreeMap<String, String>) -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| env.get(*name));
    named.cloned().unwrap_or_default()
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
