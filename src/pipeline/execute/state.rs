//! The coordinator's state: which stages are ready, wait, run and are done, and what is committed.
//!
//! A stage is ready when all it needs is settled. It is judged; if there is something to do it waits
//! for a slot, for what it asks of the machine, and for other commands that touch its paths; then it
//! starts. Imports: base, and the pipeline's other files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::base::{ArtifactPath, Cancel, Observer};
use crate::pipeline::decide::{Force, SkipReason, StageDecision};
use crate::pipeline::error::Error;
use crate::pipeline::inputs::RunKey;
use crate::pipeline::lock::{LockEntry, LockFile};
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::{StageName, StageSpec};
use crate::pipeline::workspace::{Judged, Workspace};
use crate::project::EditLock;
use crate::project::claims::{Asked, Conflict, Meanwhile};
use crate::store;

use super::admission::{Admission, Capacity, Grant, VISIBLE_GPUS};
use super::claiming::{Claiming, Ledger};
use super::coordinator::Report;
use super::stage::{Done, Standing};
use super::told::{self, Shelf, Told};
use super::turns::Turn;
use super::{Downstream, Event, Keep, OnFailure, Options, Outcome, Summary, timing};

/// The lock is rewritten at most this often while stages go on finishing,
const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// and, where there are thousands of them, so that it takes at most this part of the time,
const COMMIT_SHARE: u32 = 10;
/// but no kill may cost more than this.
const COMMIT_LATEST: Duration = Duration::from_secs(2);
/// Stages often end together: the first result waits so long for others to be recorded with it.
const GATHER: Duration = Duration::from_millis(50);
/// How often a stage that waits for another command asks again.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How often it is told that it still waits.
const REMIND: Duration = Duration::from_secs(5);

/// A stage that starts now.
pub(super) struct Start {
    pub(super) stage: usize,
    pub(super) judged: Judged,
    pub(super) grant: Grant,
}

/// A stage with something to do that has not started.
struct Waiting {
    stage: usize,
    judged: Judged,
    held: Option<HeldUp>,
}

/// A wait for another command.
#[derive(Clone, Copy, Debug)]
struct HeldUp {
    since: Instant,
    asked: Instant,
    told: Instant,
}

/// A result that is to be recorded.
struct Pending {
    stage: usize,
    key: RunKey,
    entry: LockEntry,
    told: Option<Told>,
}

pub(super) struct State<'a, 'w> {
    plan: &'a Plan<'a>,
    ledger: Ledger<'a>,
    workspace: &'a mut Workspace<'w>,
    options: &'a Options,
    shelf: &'a Shelf,
    events: &'a dyn Observer<Event>,
    began: Instant,
    /// Each planned stage's place in the order: ties go the same way each time.
    place: BTreeMap<usize, usize>,
    /// Planned upstream stages that are not done yet.
    missing: BTreeMap<usize, usize>,
    /// Stages that may be judged, by place.
    ready: BTreeMap<usize, usize>,
    /// Stages that are judged and wait, by place.
    waiting: BTreeMap<usize, Waiting>,
    capacity: Capacity,
    admission: Admission,
    claiming: Claiming<'w>,
    /// No further stage starts.
    pub(super) closed: bool,
    /// Stages that ran or were restored: named as the reason where a dep of theirs changed.
    rewrote: BTreeSet<usize>,
    /// Stages that run because one above them ran.
    forced: BTreeSet<usize>,
    settled: BTreeSet<usize>,
    /// Finished since the last commit.
    pending: Vec<Pending>,
    /// The turns of those.
    turns: Vec<Turn>,
    /// Settled since the last commit: git is not told yet which of their outputs it should see.
    unlisted: Vec<usize>,
    committed_at: Instant,
    /// Since when a result waits to be recorded.
    unrecorded_since: Option<Instant>,
    /// So long nothing is committed after that.
    commit_pause: Duration,
    summary: Summary,
    pub(super) fatal: Option<Error>,
}

impl<'a, 'w> State<'a, 'w> {
    pub(super) fn new(
        plan: &'a Plan<'a>,
        lock: &'a mut LockFile,
        workspace: &'a mut Workspace<'w>,
        options: &'a Options,
        shelf: &'a Shelf,
        events: &'a dyn Observer<Event>,
    ) -> Self {
        let graph = plan.graph();
        let places = plan.order().iter().enumerate();
        let place: BTreeMap<usize, usize> = places.map(|(place, &stage)| (stage, place)).collect();
        let upstream = |s: usize| graph.upstream(s).filter(|u| place.contains_key(u)).count();
        let missing: BTreeMap<usize, usize> =
            plan.order().iter().map(|&s| (s, upstream(s))).collect();
        let first = plan.order().iter().filter(|s| missing[s] == 0);
        let ready = first.map(|&s| (place[&s], s)).collect();
        let declared: BTreeSet<&StageName> = graph
            .stages()
            .iter()
            .filter(|s| s.service.is_none())
            .map(|s| &s.name)
            .collect();
        let mut ledger = Ledger::new(lock, workspace.files.project(), graph);
        // Entries of stages that are no longer declared would only confuse a reader.
        let names = ledger.lock.stages.keys();
        let undeclared: Vec<StageName> = names.filter(|n| !declared.contains(n)).cloned().collect();
        for name in undeclared {
            ledger.lock.stages.remove(&name);
            ledger.has_changed(&name);
        }
        let visible = workspace.env().get(VISIBLE_GPUS).map(String::as_str);
        let capacity = Capacity::for_plan(plan, options.jobs, visible);
        Self {
            plan,
            ledger,
            claiming: Claiming::new(workspace.files, &options.command),
            workspace,
            options,
            shelf,
            events,
            began: Instant::now(),
            place,
            missing,
            ready,
            waiting: BTreeMap::new(),
            admission: Admission::new(options.jobs, &capacity),
            capacity,
            closed: false,
            rewrote: BTreeSet::new(),
            forced: BTreeSet::new(),
            settled: BTreeSet::new(),
            pending: Vec::new(),
            turns: Vec::new(),
            unlisted: Vec::new(),
            committed_at: Instant::now(),
            unrecorded_since: None,
            commit_pause: COMMIT_EVERY,
            summary: Summary::default(),
            fatal: None,
        }
    }

    /// Returns what the processes of this command's stages are known by.
    pub(super) fn claimed_by(&self) -> String {
        self.claiming.id().to_owned()
    }

    fn stage(&self, index: usize) -> &'a StageSpec {
        &self.plan.graph().stages()[index]
    }

    /// Is there nothing more to wait for?
    pub(super) fn is_over(&self, cancel: &Cancel) -> bool {
        let nothing_waits = self.waiting.is_empty() || self.closed || cancel.is_requested();
        self.admission.running() == 0 && nothing_waits
    }

    /// Is there something to judge or to record, or may a stage that waits start now?
    pub(super) fn has_something_to_do(&self) -> bool {
        !self.waiting.is_empty() || !self.ready.is_empty() || self.is_due()
    }

    /// Is it time to record what finished?
    fn is_due(&self) -> bool {
        let gathers = self.unrecorded_since.is_some_and(|t| t.elapsed() < GATHER);
        self.ledger.is_stale() && self.commit_pause <= self.committed_at.elapsed() && !gathers
    }

    /// Returns the next stage that may start now.
    pub(super) fn next(&mut self) -> Result<Option<Start>, Error> {
        while self.admission.has_slot() && !self.closed {
            let startable = self.waiting.iter().find(|(_, waiting)| {
                let held = waiting.held.is_some_and(|h| h.asked.elapsed() < ASK_EVERY);
                let stage = self.stage(waiting.stage);
                !held && self.admission.fits(stage, &waiting.judged.decision)
            });
            if let Some(place) = startable.map(|(&place, _)| place) {
                if let Some(start) = self.start(place)? {
                    return Ok(Some(start));
                }
                continue;
            }
            let Some((place, stage)) = self.ready.pop_first() else {
                return Ok(None);
            };
            if let Some(judged) = self.judge(stage) {
                self.wait(place, stage, judged);
            }
        }
        Ok(None)
    }

    /// Lets a stage wait that has something to do.
    fn wait(&mut self, place: usize, index: usize, judged: Judged) {
        let stage = self.stage(index);
        if let StageDecision::Run(_) = judged.decision
            && let Some(error) = self.capacity.too_small_for(stage)
        {
            let error = self.plan.graph().at_its_line(stage, error);
            return self.fail(index, error, Duration::ZERO);
        }
        let waiting = Waiting {
            stage: index,
            judged,
            held: None,
        };
        self.waiting.insert(place, waiting);
    }

    /// Starts the stage that waits at `place`, unless another command holds one of its paths or
    /// nothing is to be done any more.
    fn start(&mut self, place: usize) -> Result<Option<Start>, Error> {
        let Some(mut waiting) = self.waiting.remove(&place) else {
            return Ok(None);
        };
        let index = waiting.stage;
        let stage = self.stage(index);
        let meanwhile = match self.claiming.ask(stage)? {
            Asked::Granted(meanwhile) => meanwhile,
            Asked::Held(conflict) => {
                self.hold_up(stage, &mut waiting, conflict);
                self.waiting.insert(place, waiting);
                return Ok(None);
            }
        };
        let mut judged = waiting.judged;
        if meanwhile == Meanwhile::Something || waiting.held.is_some() {
            self.ledger.refresh()?;
            match self.judge(index) {
                Some(now) if self.admission.fits(stage, &now.decision) => judged = now,
                now => {
                    self.claiming.give_back(&stage.name);
                    if let Some(judged) = now {
                        self.wait(place, index, judged);
                    }
                    return Ok(None);
                }
            }
        }
        if let StageDecision::Run(because) = &judged.decision {
            let graph = self.plan.graph();
            if let Err(error) = self.workspace.check_deps(graph, stage, &judged.inputs) {
                self.fail(index, error, Duration::ZERO);
                return Ok(None);
            }
            let confirm = self.options.confirm.as_ref();
            if confirm.is_some_and(|confirm| !confirm.may_run(&stage.name, because)) {
                self.claiming.give_back(&stage.name);
                self.settled.insert(index);
                self.summary.declined.push(stage.name.clone());
                return Ok(None);
            }
        }
        self.events.notify(Event::Decided {
            stage: stage.name.clone(),
            decision: judged.decision.clone(),
        });
        let outs = self.workspace.outs_in_git(self.plan.graph(), stage);
        if !outs.is_empty() {
            let stage = stage.name.clone();
            self.events.notify(Event::OutsInGit { stage, outs });
        }
        let grant = self.admission.admit(index, stage, &judged.decision);
        Ok(Some(Start {
            stage: index,
            judged,
            grant,
        }))
    }

    /// Notes that a stage waits for another command, and tells so now and then.
    fn hold_up(&self, stage: &StageSpec, waiting: &mut Waiting, conflict: Conflict) {
        let now = Instant::now();
        let is_new = waiting.held.is_none();
        let held = waiting.held.get_or_insert(HeldUp {
            since: now,
            asked: now,
            told: now,
        });
        held.asked = now;
        if is_new || REMIND <= held.told.elapsed() {
            held.told = now;
            self.events.notify(Event::Waiting {
                stage: stage.name.clone(),
                conflict,
                elapsed: held.since.elapsed(),
            });
        }
    }

    /// Judges a ready stage; returns the judgement if there is something to do, else settles it.
    fn judge(&mut self, index: usize) -> Option<Judged> {
        let graph = self.plan.graph();
        let stage = self.stage(index);
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
        let force = if self.forced.contains(&index) {
            Force::Yes
        } else {
            self.options.force
        };
        let judged = listed
            .and_then(|()| {
                let (lock, records) = (&*self.ledger.lock, self.options.records);
                let known = BTreeMap::new();
                self.workspace
                    .judge(stage, lock, &rewritten, force, records, &known)
            })
            .map_err(|error| graph.at_its_line(stage, error));
        let judged = match judged {
            Ok(judged) => judged,
            Err(error) => {
                self.fail(index, error, start.elapsed());
                return None;
            }
        };
        let outcome = match &judged.decision {
            StageDecision::Skip(SkipReason::Frozen) => Outcome::Frozen,
            StageDecision::Skip(SkipReason::Service) => Outcome::Service,
            StageDecision::Cached => Outcome::Unchanged,
            StageDecision::Restore { .. } | StageDecision::Run(_) => return Some(judged),
        };
        self.events.notify(Event::Decided {
            stage: stage.name.clone(),
            decision: judged.decision,
        });
        self.settle(index, outcome, start.elapsed());
        None
    }

    /// Takes note of what became of a stage.
    pub(super) fn take(&mut self, report: Report) {
        let Report {
            stage: index,
            key,
            result,
            turn,
            took,
        } = report;
        self.admission.give_back(index);
        let stage = self.stage(index);
        let Some(result) = result else {
            self.claiming.give_back(&stage.name);
            // Whoever was at it may have recorded its result.
            if let Err(error) = self.ledger.refresh() {
                return self.fail(index, error, took);
            }
            self.ready.insert(self.place[&index], index);
            return;
        };
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.fail(index, error, took),
        };
        if self.options.keep == Keep::InCache
            && let Err(error) = self.workspace.files.keep_again(stage, &done.entry)
        {
            return self.fail(index, error, took);
        }
        let Done {
            outcome,
            entry,
            standing,
            told,
        } = done;
        let old = self.ledger.lock.stages.get(&stage.name);
        if old.is_none_or(|old| old.outs != entry.outs) {
            self.rewrote.insert(index);
        }
        if outcome == Outcome::Restored
            && let Some(Told { by, .. }) = told.as_ref().filter(|t| t.by != told::VERSION)
        {
            *self.summary.other_versions.entry(by.clone()).or_default() += 1;
        }
        if outcome == Outcome::Ran {
            if self.options.downstream == Downstream::Forced {
                self.forced.extend(self.plan.graph().downstream(index));
            }
            if standing == Standing::Reusable {
                self.pending.push(Pending {
                    stage: index,
                    key,
                    entry: entry.clone(),
                    told,
                });
                self.turns.extend(turn);
            }
        }
        match standing {
            Standing::Reusable | Standing::Last => {
                self.ledger.lock.stages.insert(stage.name.clone(), entry);
            }
            Standing::Unknown => {
                self.ledger.lock.stages.remove(&stage.name);
            }
        }
        self.ledger.has_changed(&stage.name);
        self.unrecorded_since.get_or_insert_with(Instant::now);
        self.claiming.give_back_when_recorded(&stage.name);
        self.settle(index, outcome, took);
    }

    fn settle(&mut self, index: usize, how: Outcome, took: Duration) {
        let stage = self.stage(index).name.clone();
        self.unlisted.push(index);
        self.is_over_with(index);
        self.summary.done.push((stage.clone(), how, took));
        if how == Outcome::Service {
            return;
        }
        self.events.notify(Event::Finished { stage, how, took });
    }

    /// Makes the stages below ready that waited for this one alone.
    fn is_over_with(&mut self, index: usize) {
        self.settled.insert(index);
        for consumer in self.plan.graph().downstream(index) {
            if let Some(missing) = self.missing.get_mut(&consumer) {
                *missing -= 1;
                if *missing == 0 {
                    self.ready.insert(self.place[&consumer], consumer);
                }
            }
        }
    }

    fn fail(&mut self, index: usize, error: Error, took: Duration) {
        let stage = self.stage(index).name.clone();
        self.claiming.give_back(&stage);
        if matches!(
            error,
            Error::Cancelled | Error::Store(store::Error::Cancelled)
        ) {
            self.settled.insert(index);
            self.summary.not_started.push(stage);
            return;
        }
        match self.options.on_failure {
            OnFailure::Stop => {
                self.closed = true;
                self.settled.insert(index);
            }
            OnFailure::KeepGoing => {
                self.settled.insert(index);
            }
            OnFailure::Ignore => self.is_over_with(index),
        }
        self.summary.failed.push(stage.clone());
        self.events.notify(Event::Failed { stage, error, took });
    }

    /// Commits what finished, unless that was done just now.
    pub(super) fn commit_if_due(&mut self) -> Result<(), Error> {
        if !self.is_due() {
            return Ok(());
        }
        self.commit()
    }

    /// Makes everything that finished durable: objects first, then the records, then the lock that
    /// names them.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let begin = Instant::now();
        if self.ledger.is_stale() {
            self.workspace.files.sync()?;
            let stages = self.plan.graph().stages();
            for pending in self.pending.drain(..) {
                let Pending {
                    stage,
                    key,
                    entry,
                    told,
                } = pending;
                self.workspace.runs.record(&stages[stage], &key, &entry)?;
                if let Some(told) = told
                    && let Err(error) = self.shelf.put(&key, &told)
                {
                    tracing::warn!(%error, "could not keep the output of a stage");
                }
            }
            self.turns.clear();
        }
        if self.ledger.is_stale() {
            self.ledger.write()?;
        }
        // Last: what is missing after a crash or an error here is made up for by the next repro,
        // which asks for the lines of unchanged stages too.
        self.list_outs()?;
        self.claiming.recorded();
        let pause = begin.elapsed() * COMMIT_SHARE;
        self.commit_pause = pause.clamp(COMMIT_EVERY, COMMIT_LATEST);
        self.committed_at = Instant::now();
        self.unrecorded_since = None;
        Ok(())
    }

    /// Brings the `.gitignore` files up to date for the stages settled since the last time.
    fn list_outs(&mut self) -> Result<(), Error> {
        let unlisted = std::mem::take(&mut self.unlisted);
        if unlisted.is_empty() {
            return Ok(());
        }
        let files = self.workspace.files;
        let stages = self.plan.graph().stages();
        let _turn = EditLock::for_commit(&files.project().layout)?;
        files.ignore_outs(unlisted.iter().map(|&index| &stages[index]))
    }

    /// Says what became of all stages.
    pub(super) fn finish(mut self) -> Summary {
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
        self.summary.took = self.began.elapsed();
        self.summary.critical_path = timing::critical_path(self.plan, &self.summary);
        self.summary
    }
}
