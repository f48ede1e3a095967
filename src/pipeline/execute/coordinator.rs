//! The coordinator: owns who is ready, who runs, what is committed (`state`). Workers only report.
//!
//! A stage is judged when it is ready and a slot is free, with the real hashes of what its upstream
//! just wrote: early cut-off falls out of that. Imports: base, and the pipeline's other files.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::base::{Cancel, CancelReason, Observer};
use crate::pipeline::decide::{RunReason, RunRecords, StageDecision};
use crate::pipeline::error::Error;
use crate::pipeline::inputs::RunKey;
use crate::pipeline::lock::LockFile;
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::StageSpec;
use crate::pipeline::workspace::{Judged, Workspace, can_be_reused};
use crate::project::{PathLocks, RepoLock, Wait};

use super::process::{GRACE, Program, Running};
use super::stage::{Done, Job, Worker};
use super::state::{Start, State};
use super::told::Shelf;
use super::turns::{Asked, Turn};
use super::{Event, Options, Summary};

/// How often the coordinator looks at the cancel token while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of a stage that was started.
pub(super) struct Report {
    pub(super) stage: usize,
    pub(super) key: RunKey,
    /// `None`: another repro was at it, and is done; it has to be judged again.
    pub(super) result: Option<Result<Done, Error>>,
    /// Held until the result is recorded.
    pub(super) turn: Option<Turn>,
    pub(super) took: Duration,
}

/// Brings the stages of `plan` up to date and `lock` (in memory and on disk) with them.
///
/// # Errors
/// Only what makes going on pointless: the lock cannot be written, or a bug. A failing stage is
/// told as an event and counted in the summary.
pub fn execute(
    plan: &Plan<'_>,
    lock: &mut LockFile,
    workspace: &mut Workspace<'_>,
    options: &Options,
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Result<Summary, Error> {
    let running = Running::default();
    let files = workspace.files;
    let shelf = Shelf::new(files.project().layout.told());
    let personality = &files.project().personality;
    let user_shell = workspace.env().get("SHELL").map(String::as_str);
    let program = Program::of(personality.commands, user_shell);
    let mut state = State::new(plan, lock, workspace, options, &shelf, events);
    let claimed_by = state.claimed_by();
    let paths = PathLocks::new(&files.project().layout, &options.command);
    let worker = Worker {
        files,
        env: &options.env,
        late_env: options.late_env.as_deref(),
        program: &program,
        claimed_by: &claimed_by,
        dvc: &paths,
        keep: options.keep,
        shelf: &shelf,
        running: &running,
        cancel,
        events,
    };
    let on_wait = |wait: &Wait| events.notify(Event::WaitingForDvc { wait: wait.clone() });
    let layout = &files.project().layout;
    let mut dvc = RepoLock::acquire(layout, cancel, &on_wait)?;
    let (sender, reports) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut stopping: Option<Instant> = None;
        let mut killed = false;
        loop {
            while !state.closed && !cancel.is_requested() {
                let start = match state.next() {
                    Ok(Some(start)) => start,
                    Ok(None) => break,
                    Err(error) => {
                        cancel.request(CancelReason::StageFailed);
                        state.fatal.get_or_insert(error);
                        break;
                    }
                };
                let (sender, worker) = (sender.clone(), &worker);
                let stage = &plan.graph().stages()[start.stage];
                scope.spawn(move || {
                    // The receiver lives until every worker has reported.
                    let _ = sender.send(work(worker, stage, &start, options));
                });
            }
            if state.is_over(cancel) {
                break;
            }
            // While stages run, DVC may work as well.
            dvc.release();
            let report = reports.recv_timeout(LOOK_EVERY).ok();
            if report.is_some() || state.has_something_to_do() {
                // Who is asked to stop still records what is done, at once.
                let _ = dvc.again(cancel, &on_wait);
            }
            if let Some(report) = report {
                state.take(report);
            }
            // What finished is made durable even if another stage still runs for hours.
            if let Err(error) = state.commit_if_due() {
                cancel.request(CancelReason::StageFailed);
                state.fatal.get_or_insert(error);
            }
            if let Some(reason) = cancel.reason() {
                let since = *stopping.get_or_insert_with(|| {
                    let stages = running.signal(Signal::TERM);
                    events.notify(Event::Stopping { stages });
                    Instant::now()
                });
                if !killed && (reason == CancelReason::SecondInterrupt || since.elapsed() > GRACE) {
                    running.signal(Signal::KILL);
                    killed = true;
                }
            }
        }
        let _ = dvc.again(cancel, &on_wait);
        state.commit()?;
        match state.fatal.take() {
            Some(error) => Err(error),
            None => Ok(state.finish()),
        }
    })
}

/// Runs or restores one stage, in a thread of its own.
fn work(worker: &Worker<'_>, stage: &StageSpec, start: &Start, options: &Options) -> Report {
    let Judged { inputs, decision } = &start.judged;
    let key = RunKey::of(stage, inputs);
    let mut report = Report {
        stage: start.stage,
        key,
        result: None,
        turn: None,
        took: Duration::ZERO,
    };
    if let Some(turns) = &options.turns
        && takes_turns(stage, decision, options)
    {
        match turns.ask(key, worker.cancel) {
            Asked::Mine(turn) => report.turn = Some(turn),
            Asked::WasTaken => return report,
            Asked::Cancelled => {
                report.result = Some(Err(Error::Cancelled));
                return report;
            }
        }
    }
    let begin = Instant::now();
    let job = Job {
        stage,
        inputs,
        key,
        gpus: start.grant.gpus.as_deref(),
    };
    // Held until the result is told.
    let _dvc = match worker.lock_for_dvc(stage) {
        // DVC was at these paths, and may have done what is to be done here: judged again.
        Ok(guard) if guard.has_waited() => return report,
        Ok(guard) => guard,
        Err(error) => {
            report.result = Some(Err(error));
            return report;
        }
    };
    // A panic must not leave the coordinator waiting for a report for ever.
    let work = AssertUnwindSafe(|| match decision {
        StageDecision::Restore { entry, .. } => worker.restore(&job, entry),
        _ => worker.run(&job),
    });
    let result = std::panic::catch_unwind(work).unwrap_or(Err(Error::Bug("a worker panicked")));
    report.result = Some(result);
    report.took = begin.elapsed();
    report
}

/// Would the result of somebody else do? Where it would not, waiting is in vain.
fn takes_turns(stage: &StageSpec, decision: &StageDecision, options: &Options) -> bool {
    let StageDecision::Run(because) = decision else {
        return false;
    };
    let insisted = |reason| {
        matches!(
            reason,
            &RunReason::Forced | &RunReason::AlwaysChanged | &RunReason::Bare
        )
    };
    options.records == RunRecords::Use && can_be_reused(stage) && !because.iter().any(insisted)
}
