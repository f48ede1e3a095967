//! The coordinator: owns who is ready, who runs, what is committed. Workers only report.
//!
//! A stage is judged when it is ready and a slot is free, with the real hashes of what its upstream
//! just wrote: early cut-off falls out of that. Imports: base, and the pipeline's other files.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::base::{ArtifactPath, Cancel, CancelReason, Observer};
use crate::pipeline::decide::{RunReason, RunRecords, SkipReason, StageDecision};
use crate::pipeline::error::Error;
use crate::pipeline::inputs::RunKey;
use crate::pipeline::lock::{LockEntry, LockFile};
use crate::pipeline::lock_files;
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::{StageName, StageSpec};
use crate::pipeline::workspace::{Judged, Workspace, can_be_reused};
use crate::store;

use super::process::Running;
use super::stage::{Done, Standing, Worker};
use super::turns::{Asked, Turn};
use super::{Event, OnFailure, Options, Outcome, Summary};

/// The lock is rewritten at most this often while stages go on finishing.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// How long a stage has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// How often the coordinator looks at the cancel token while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Report {
    stage: usize,
    key: RunKey,
    /// `None`: another repro was at it, and is done; it has to be judged again.
    result: Option<Result<Done, Error>>,
    /// Held until the result is recorded.
    turn: Option<Turn>,
    took: Duration,
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
    let worker = Worker {
        files,
        env: &options.env,
        running: &running,
        cancel,
        events,
    };
    let (sender, reports) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut state = State::new(plan, lock, workspace, options, events);
        let mut stopping: Option<Instant> = None;
        let mut killed = false;
        loop {
            while state.running < options.jobs && !state.closed && !cancel.is_requested() {
                let Some(index) = state.next_ready() else {
                    break;
                };
                let Some(job) = state.judge(index) else {
                    continue;
                };
                state.running += 1;
                let (sender, worker) = (sender.clone(), &worker);
                let stage = &plan.graph().stages()[index];
                scope.spawn(move || {
                    // The receiver lives until every worker has reported.
                    let _ = sender.send(work(worker, stage, index, &job, options));
                });
            }
            if state.running == 0 {
                break;
            }
            match reports.recv_timeout(LOOK_EVERY) {
                Ok(report) => state.take(report),
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {}
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
        state.commit()?;
        match state.fatal.take() {
            Some(error) => Err(error),
            None => Ok(state.finish()),
        }
    })
}

/// Runs or restores one stage, in a thread of its own.
fn work(
    worker: &Worker<'_>,
    stage: &StageSpec,
    index: usize,
    job: &Judged,
    options: &Options,
) -> Report {
    let Judged { inputs, decision } = job;
    let key = RunKey::of(stage, inputs);
    let mut report = Report {
        stage: index,
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
    let start = Instant::now();
    // A panic must not leave the coordinator waiting for a report for ever.
    let work = AssertUnwindSafe(|| match decision {
        StageDecision::Restore { entry, .. } => worker.restore(stage, inputs, &key, entry),
        _ => worker.run(stage, inputs, &key),
    });
    let result = std::panic::catch_unwind(work).unwrap_or(Err(Error::Bug("a worker panicked")));
    report.result = Some(result);
    report.took = start.elapsed();
    report
}

/// Would the result of somebody else do? Where it would not, waiting is in vain.
fn takes_turns(stage: &StageSpec, decision: &StageDecision, options: &Options) -> bool {
    let StageDecision::Run(because) = decision else {
        return false;
    };
    let insisted = |reason| matches!(reason, &RunReason::Forced | &RunReason::AlwaysChanged);
    options.records == RunRecords::Use && can_be_reused(stage) && !because.iter().any(insisted)
}

struct State<'a, 'w> {
    plan: &'a Plan<'a>,
    lock: &'a mut LockFile,
    workspace: &'a mut Workspace<'w>,
    options: &'a Options,
    events: &'a dyn Observer<Event>,
    /// Each planned stage's place in the order: ties go the same way each time.
    place: BTreeMap<usize, usize>,
    /// Planned upstream stages that are not done yet.
    missing: BTreeMap<usize, usize>,
    /// Stages that may be judged, by place.
    ready: BTreeMap<usize, usize>,
    running: usize,
    /// No further stage starts.
    closed: bool,
    /// Stages that ran or were restored: named as the reason where a dep of theirs changed.
    rewrote: BTreeSet<usize>,
    settled: BTreeSet<usize>,
    /// Finished since the last commit.
    pending: Vec<(usize, RunKey, LockEntry)>,
    /// The turns of those.
    turns: Vec<Turn>,
    /// Settled since the last commit: git is not told yet which of their outputs it should see.
    unlisted: Vec<usize>,
    lock_is_stale: bool,
    committed_at: Instant,
    summary: Summary,
    fatal: Option<Error>,
}

impl<'a, 'w> State<'a, 'w> {
    fn new(
        plan: &'a Plan<'a>,
        lock: &'a mut LockFile,
        workspace: &'a mut Workspace<'w>,
        options: &'a Options,
        events: &'a dyn Observer<Event>,
    ) -> Self {
        let place: BTreeMap<usize, usize> = plan
            .order()
            .iter()
            .enumerate()
            .map(|(place, &stage)| (stage, place))
            .collect();
        let missing: BTreeMap<usize, usize> = plan
            .order()
            .iter()
            .map(|&s| {
                (
                    s,
                    plan.graph()
                        .upstream(s)
                        .filter(|u| place.contains_key(u))
                        .count(),
                )
            })
            .collect();
        let ready = plan
            .order()
            .iter()
            .filter(|s| missing.get(s) == Some(&0))
            .map(|&s| (place[&s], s))
            .collect();
        // Entries of stages that are no longer declared would only confuse a reader.
        let before = lock.stages.len();
        let declared: BTreeSet<&StageName> = plan
            .graph()
            .stages()
            .iter()
            .filter(|s| s.service.is_none())
            .map(|s| &s.name)
            .collect();
        lock.stages.retain(|name, _| declared.contains(name));
        let lock_is_stale = lock.stages.len() != before;
        Self {
            plan,
            lock,
            workspace,
            options,
            events,
            place,
            missing,
            ready,
            running: 0,
            closed: false,
            rewrote: BTreeSet::new(),
            settled: BTreeSet::new(),
            pending: Vec::new(),
            turns: Vec::new(),
            unlisted: Vec::new(),
            lock_is_stale,
            committed_at: Instant::now(),
            summary: Summary::default(),
            fatal: None,
        }
    }

    fn next_ready(&mut self) -> Option<usize> {
        self.ready.pop_first().map(|(_, stage)| stage)
    }

    /// Judges a ready stage; returns the job if there is something to do, else settles it.
    fn judge(&mut self, index: usize) -> Option<Judged> {
        let graph = self.plan.graph();
        let stage = &graph.stages()[index];
        let mut rewritten: BTreeMap<ArtifactPath, StageName> = BTreeMap::new();
        for dep in stage.deps.keys() {
            for (_, producer) in graph.outs_touching(dep) {
                if self.rewrote.contains(&producer) {
                    rewritten.insert(dep.clone(), graph.stages()[producer].name.clone());
                }
            }
        }
        let start = Instant::now();
        // A folder that holds outputs holds their `.gitignore` too, and is judged with it.
        let holds_outs = stage.deps.keys().any(|dep| {
            let outs = graph.outs_touching(dep);
            outs.iter().any(|(out, _)| out != dep && dep.contains(out))
        });
        let listed = if holds_outs { self.list_outs() } else { Ok(()) };
        let Options { force, records, .. } = *self.options;
        let judged = listed
            .and_then(|()| {
                self.workspace.judge(
                    stage,
                    self.lock,
                    &rewritten,
                    force,
                    records,
                    &BTreeMap::new(),
                )
            })
            .map_err(|error| graph.at_its_line(stage, error))
            .and_then(|judged| match judged.decision {
                StageDecision::Run(_) => {
                    Workspace::check_deps(graph, stage, &judged.inputs).map(|()| judged)
                }
                _ => Ok(judged),
            });
        let judged = match judged {
            Ok(judged) => judged,
            Err(error) => {
                self.fail(index, error, start.elapsed());
                return None;
            }
        };
        let decision = judged.decision.clone();
        let outcome = match &decision {
            StageDecision::Skip(SkipReason::Frozen) => Some(Outcome::Frozen),
            StageDecision::Skip(SkipReason::Service) => Some(Outcome::Service),
            StageDecision::Cached => Some(Outcome::Unchanged),
            StageDecision::Restore { .. } | StageDecision::Run(_) => None,
        };
        self.events.notify(Event::Decided {
            stage: stage.name.clone(),
            decision,
        });
        match outcome {
            Some(outcome) => {
                self.settle(index, outcome, start.elapsed());
                None
            }
            None => Some(judged),
        }
    }

    fn take(&mut self, report: Report) {
        self.running -= 1;
        let Report {
            stage: index,
            key,
            result,
            turn,
            took,
        } = report;
        let stage = &self.plan.graph().stages()[index];
        let Some(result) = result else {
            self.ready.insert(self.place[&index], index);
            return;
        };
        match result {
            Ok(Done {
                outcome,
                entry,
                standing,
            }) => {
                let old = self.lock.stages.get(&stage.name);
                if old.is_none_or(|old| old.outs != entry.outs) {
                    self.rewrote.insert(index);
                }
                if outcome == Outcome::Ran && standing == Standing::Reusable {
                    self.pending.push((index, key, entry.clone()));
                    self.turns.extend(turn);
                }
                match standing {
                    Standing::Reusable | Standing::Last => {
                        self.lock.stages.insert(stage.name.clone(), entry);
                    }
                    Standing::Unknown => {
                        self.lock.stages.remove(&stage.name);
                    }
                }
                self.lock_is_stale = true;
                self.settle(index, outcome, took);
            }
            Err(error) => self.fail(index, error, took),
        }
    }

    fn settle(&mut self, index: usize, how: Outcome, took: Duration) {
        let graph = self.plan.graph();
        let stage = graph.stages()[index].name.clone();
        self.settled.insert(index);
        self.unlisted.push(index);
        for consumer in graph.downstream(index) {
            if let Some(missing) = self.missing.get_mut(&consumer) {
                *missing -= 1;
                if *missing == 0 {
                    self.ready.insert(self.place[&consumer], consumer);
                }
            }
        }
        self.summary.done.push((stage.clone(), how, took));
        if how == Outcome::Service {
            return;
        }
        self.events.notify(Event::Finished { stage, how, took });
    }

    fn fail(&mut self, index: usize, error: Error, took: Duration) {
        self.settled.insert(index);
        let stage = self.plan.graph().stages()[index].name.clone();
        if matches!(
            error,
            Error::Cancelled | Error::Store(store::Error::Cancelled)
        ) {
            self.summary.not_started.push(stage);
            return;
        }
        if self.options.on_failure == OnFailure::Stop {
            self.closed = true;
        }
        self.summary.failed.push(stage.clone());
        self.events.notify(Event::Failed { stage, error, took });
    }

    fn commit_if_due(&mut self) -> Result<(), Error> {
        if !self.lock_is_stale || self.committed_at.elapsed() < COMMIT_EVERY {
            return Ok(());
        }
        self.commit()
    }

    /// Makes everything that finished durable: objects first, then the records, then the lock that
    /// names them.
    fn commit(&mut self) -> Result<(), Error> {
        if self.lock_is_stale {
            self.workspace.files.sync()?;
            let stages = self.plan.graph().stages();
            for (index, key, entry) in self.pending.drain(..) {
                self.workspace.runs.record(&stages[index], &key, &entry)?;
            }
            self.turns.clear();
        }
        if self.lock_is_stale {
            let project = self.workspace.files.project();
            lock_files::write(project, self.plan.graph(), self.lock)?;
            self.lock_is_stale = false;
        }
        // Last: what is missing after a crash or an error here is made up for by the next repro,
        // which asks for the lines of unchanged stages too.
        self.list_outs()?;
        self.committed_at = Instant::now();
        Ok(())
    }

    /// Brings the `.gitignore` files up to date for the stages settled since the last time.
    fn list_outs(&mut self) -> Result<(), Error> {
        let stages = self.plan.graph().stages();
        let unlisted = std::mem::take(&mut self.unlisted);
        let outs = unlisted.iter().map(|&index| &stages[index]);
        self.workspace.files.ignore_outs(outs)
    }

    fn finish(mut self) -> Summary {
        let stages = self.plan.graph().stages();
        let left = self
            .plan
            .order()
            .iter()
            // A service is never done: that it did not start is nothing to count.
            .filter(|&&s| !self.settled.contains(&s) && stages[s].service.is_none());
        self.summary
            .not_started
            .extend(left.map(|&s| stages[s].name.clone()));
        self.summary.files_hashed = self.workspace.files.files_hashed();
        self.summary
    }
}
