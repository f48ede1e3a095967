//! Runs the trials of a sweep: one thread owns the journal and decides, workers run one trial each.
//!
//! Every event is durable in the journal before the next step depends on it, so a kill at any
//! instant loses the running trials and nothing else. No project lock is held: a trial writes into
//! its own work tree, and what it shares (objects, run records) may be written by several processes
//! at once. Imports: base, pipeline, `experiment::{workspace, sweep}`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::base::doc::Value;
use crate::base::{self, Cancel, CancelReason, Diagnostic, Observer, clock, fs};
use crate::pipeline::decide::{Force, RunRecords};
use crate::pipeline::forecast::{Forecast, forecast};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::Freshness;
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{self, Plan, Reach, StageDecision, StageName};
use crate::project::Project;

use super::super::workspace::remove_leftovers;
use super::super::{Endpoint, Error};
use super::baseline::{self, Changes};
use super::error::SweepError;
use super::journal::{self, Journal, Record};
use super::space::overlap;
use super::state::{Definition, Finished, Sweep, Trial, TrialState};
use super::trial::{self, Bench, Ended};
use super::variant::Templated;
use super::{page, params, parent};

/// How often the driver looks for Ctrl-C and the stop file while trials run.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a sweep is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Trials at the same time, at least 1.
    pub jobs: usize,
    /// The sweep ends after so many failed trials in a row, at least 1.
    pub max_failures: u64,
    /// No trial starts after this time.
    pub timeout: Option<Duration>,
    /// Variables for the stages' processes, beside those this process has.
    pub stage_env: Vec<(String, OsString)>,
    /// The environment that `env:` dependencies read from.
    pub env: BTreeMap<String, String>,
}

/// A new sweep, or one that goes on.
#[derive(Clone, Debug)]
pub enum Start {
    /// A new one.
    New(Box<Definition>),
    /// The one of this name goes on, with another number of trials if given.
    Resume {
        /// Trials in all.
        trials: Option<u64>,
    },
}

/// Why a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// All trials are done.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// `params sweep stop`.
    Stopped,
    /// `--timeout`.
    Timeout,
    /// `--max-failures`.
    Failures,
}

impl Why {
    /// Returns the word in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Timeout => "timeout",
            Self::Failures => "failures",
        }
    }
}

/// Everything that happens.
#[derive(Debug)]
pub enum Event {
    /// Work trees of a killed sweep were removed; processes in them were stopped.
    LeftoversStopped {
        /// Their stages.
        stages: Vec<String>,
    },
    /// The sweep begins or goes on.
    Begins {
        /// Its name.
        name: String,
        /// What it is about.
        definition: Box<Definition>,
        /// Trials that are done already.
        done: usize,
        /// Trials in all.
        total: u64,
    },
    /// Stages that no swept parameter changes run once, for all trials.
    SharedStarted {
        /// Which.
        stages: Vec<StageName>,
    },
    /// They are done.
    SharedFinished {
        /// How long it took.
        took: Duration,
    },
    /// A trial begins.
    Started {
        /// Its number.
        trial: u64,
        /// Its values.
        values: Vec<Value>,
    },
    /// A trial has ended.
    Ended {
        /// How.
        trial: Trial,
        /// The best one so far: number and metric.
        best: Option<(u64, f64)>,
    },
    /// A trial read sources that are not as they were when the sweep began.
    InputsChanged {
        /// Its number.
        trial: u64,
        /// What changed, as messages name it.
        what: Vec<String>,
    },
    /// Something could not be recorded; the sweep goes on.
    Warning(Diagnostic),
    /// Running trials were asked to stop.
    Stopping,
}

/// Runs the sweep of `journal` to its end; returns it and why it ended.
///
/// # Errors
/// What makes going on pointless: the disk is full, a shared stage fails, the journal is in use or
/// damaged, or the other parameters changed since the sweep began.
#[expect(
    clippy::too_many_arguments,
    reason = "what a repro needs, and the sweep"
)]
pub fn run(
    project: &Project,
    mut journal: Journal,
    start: Start,
    plan: &Plan<'_>,
    lock: &LockFile,
    options: &Options,
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Result<(Sweep, Why), Error> {
    let name = &journal.name().to_owned();
    let files = Files::open(project, cancel);
    let mut sweep = begin(project, &files, start, plan, &mut journal, options, events)?;
    files.finish();
    let was_complete = sweep.ended.take().as_deref() == Some(Why::Complete.name());
    let stop_file = journal::stop_file(&project.layout, name);
    fs::remove_file(&stop_file).map_err(base::Error::io("remove", &stop_file))?;
    let stages = sweep_up(project, name)?;
    if !stages.is_empty() {
        events.notify(Event::LeftoversStopped { stages });
    }
    let definition = sweep.definition.clone();
    let total = total(&definition)?;
    let params = params::read(&definition.space, &project.root)?;
    let (finished, failed) = sweep.counts();
    events.notify(Event::Begins {
        name: name.to_owned(),
        definition: Box::new(definition.clone()),
        done: finished + failed,
        total,
    });
    let endpoint = Endpoint::new(project);
    let bench = Bench {
        project,
        name,
        parent: definition.run.as_deref().and_then(|id| id.parse().ok()),
        definition: &definition,
        plan,
        lock,
        params: &params,
        endpoint: Arc::clone(&endpoint),
        stage_env: &options.stage_env,
        turns: Arc::default(),
        env: &options.env,
        events,
    };
    let is_idle = was_complete && is_all_done(&sweep, total);
    let lock = match prepare(&bench, cancel, events) {
        Ok(lock) => lock,
        Err(error) => {
            parent::end(&project.layout, &sweep, None, events);
            return Err(error);
        }
    };
    let bench = Bench {
        lock: &lock,
        ..bench
    };
    let mut floor = Floor {
        bench: &bench,
        options,
        events,
        journal,
        sweep: &mut sweep,
        total,
        begin: Instant::now(),
        failures: 0,
        fatal: None,
    };
    let why = floor.run(cancel, &stop_file);
    let Floor {
        mut journal, fatal, ..
    } = floor;
    endpoint.stop();
    // The trees remove themselves; this is the folder around them.
    let trees = project.layout.trials(name);
    fs::remove_dir_all(&trees).map_err(base::Error::io("remove", &trees))?;
    // A run that was over already does not become longer by a look at it.
    if !is_idle {
        parent::end(
            &project.layout,
            &sweep,
            fatal.is_none().then_some(why),
            events,
        );
    }
    if let Some(error) = fatal {
        return Err(error);
    }
    journal.append(&Record::Ended {
        at_ms: clock::now().as_millisecond(),
        why: why.name().to_owned(),
    })?;
    sweep.ended = Some(why.name().to_owned());
    page::write(&project.layout, &sweep)?;
    Ok((sweep, why))
}

fn begin(
    project: &Project,
    files: &Files<'_>,
    start: Start,
    plan: &Plan<'_>,
    journal: &mut Journal,
    options: &Options,
    events: &dyn Observer<Event>,
) -> Result<Sweep, Error> {
    let name = journal.name().to_owned();
    match start {
        Start::New(mut definition) => {
            definition.inputs = baseline::inputs(&definition, plan, project, files, &options.env)?;
            definition.run = parent::start(&project.layout, &name, &definition, events);
            journal.append(&definition.to_record())?;
            Ok(Sweep {
                name,
                definition: *definition,
                trials: Vec::new(),
                ended: None,
            })
        }
        Start::Resume { trials } => {
            let mut sweep = journal::read(&project.layout, &name)?;
            let changes = baseline::changes(&sweep.definition, plan, project, files, &options.env)?;
            comparable(&name, &changes)?;
            let trials = trials.or(sweep.definition.trials);
            journal.append(&Record::Resumed {
                at_ms: clock::now().as_millisecond(),
                trials,
            })?;
            sweep.definition.trials = trials;
            Ok(sweep)
        }
    }
}

/// Further trials must be made of what those that are done were made of.
fn comparable(name: &str, changes: &Changes) -> Result<(), SweepError> {
    const NOTE: &str = "its further trials could not be compared with those that are done";
    if changes.params {
        return Err(SweepError::new(
            "other-parameters",
            format!("parameters that the sweep `{name}` does not vary have changed since it began"),
        )
        .note(NOTE)
        .help("bring the old values back, or start a sweep of another name"));
    }
    if !changes.inputs.is_empty() {
        return Err(SweepError::new(
            "other-inputs",
            format!(
                "what the stages of the sweep `{name}` are made of has changed since it began: {}",
                changes.inputs.join(", ")
            ),
        )
        .note(NOTE)
        .help("bring the old state back, or start a sweep of another name"));
    }
    Ok(())
}

/// Is there no trial left, neither one to be run again nor one to be proposed?
fn is_all_done(sweep: &Sweep, total: u64) -> bool {
    let (finished, failed) = sweep.counts();
    finished + failed == sweep.trials.len() && total <= sweep.trials.len() as u64
}

/// Removes what killed sweeps left in their work trees, this one's and those of others that do not
/// run; returns the stages of processes that were still at work there.
fn sweep_up(project: &Project, own: &str) -> Result<Vec<String>, Error> {
    let layout = &project.layout;
    let mut stopped = Vec::new();
    let entries = std::fs::read_dir(layout.all_trials())
        .into_iter()
        .flatten()
        .flatten();
    for name in entries.filter_map(|e| e.file_name().into_string().ok()) {
        // Its lock is held meanwhile, so that its driver cannot begin just now.
        let held = if name != own && journal::exists(layout, &name) {
            match Journal::open(layout, &name) {
                Ok(journal) => Some(journal),
                Err(_) => continue,
            }
        } else {
            None
        };
        stopped.extend(remove_leftovers(project, &layout.trials(&name))?);
        drop(held);
    }
    Ok(stopped)
}

/// Returns the number of trials in all.
///
/// # Errors
/// The method cannot search this space.
pub fn total(definition: &Definition) -> Result<u64, SweepError> {
    let wanted = definition.trials.unwrap_or(u64::MAX);
    let there_are = definition
        .method
        .trials(&definition.space)?
        .unwrap_or(u64::MAX);
    Ok(wanted.min(there_are))
}

/// Returns the stages of `plan` that are the same in every trial: no swept parameter reaches them.
#[must_use]
pub fn shared_stages(
    plan: &Plan<'_>,
    definition: &Definition,
    templated: &Templated,
) -> Vec<usize> {
    let graph = plan.graph();
    let mut differs: BTreeSet<usize> = BTreeSet::new();
    // In this order every stage comes after those it needs.
    for &index in plan.order() {
        let stage = &graph.stages()[index];
        // A frozen stage stays as it is, whatever it reads.
        if stage.freshness == Freshness::Frozen {
            continue;
        }
        let own = stage.freshness == Freshness::AlwaysChanged
            || templated.changes(&stage.name)
            || stage.params.keys().any(|p| {
                definition
                    .space
                    .dimensions
                    .iter()
                    .any(|d| overlap(p, &d.param))
            });
        // A whole params file may also be a dep.
        let reads = definition
            .space
            .files()
            .iter()
            .any(|f| stage.deps.keys().any(|d| d.contains(f)));
        if own || reads || graph.upstream(index).any(|u| differs.contains(&u)) {
            differs.insert(index);
        }
    }
    plan.order()
        .iter()
        .copied()
        .filter(|i| !differs.contains(i) && graph.stages()[*i].service.is_none())
        .collect()
}

/// Makes sure that what all trials share is done once, before the first of them; returns the lock
/// that knows it. Also looks at every source once, so that the trials need not hash them.
fn prepare(
    bench: &Bench<'_>,
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Result<LockFile, Error> {
    let files = Files::open(bench.project, cancel);
    let mut workspace = Workspace::new(&files, bench.env);
    let graph = bench.plan.graph();
    let templated = Templated::find(bench.project, graph, &bench.definition.space)?;
    let names: Vec<StageName> = shared_stages(bench.plan, bench.definition, &templated)
        .into_iter()
        .map(|i| graph.stages()[i].name.clone())
        .collect();
    if names.is_empty() {
        return Ok(bench.lock.clone());
    }
    let targets: Vec<String> = names.iter().map(ToString::to_string).collect();
    let plan = Plan::select(graph, &targets, Reach::Single)?;
    let forecasts = forecast(
        &plan,
        bench.lock,
        &mut workspace,
        Force::No,
        RunRecords::Use,
    )?;
    files.finish();
    let is_there = |f: &Forecast| {
        matches!(
            f,
            Forecast::Certain(
                StageDecision::Cached | StageDecision::Restore { .. } | StageDecision::Skip(_)
            )
        )
    };
    if forecasts.iter().all(is_there) {
        return Ok(bench.lock.clone());
    }
    let begin = Instant::now();
    events.notify(Event::SharedStarted { stages: names });
    let lock = trial::run_shared(bench, &plan, cancel)?;
    events.notify(Event::SharedFinished {
        took: begin.elapsed(),
    });
    Ok(lock)
}

/// What is owned by the deciding thread.
struct Floor<'a> {
    bench: &'a Bench<'a>,
    options: &'a Options,
    events: &'a dyn Observer<Event>,
    journal: Journal,
    sweep: &'a mut Sweep,
    total: u64,
    begin: Instant,
    /// Failed trials in a row.
    failures: u64,
    fatal: Option<Error>,
}

impl Floor<'_> {
    fn run(&mut self, cancel: &Cancel, stop_file: &std::path::Path) -> Why {
        let mut queue = self.queue();
        let mut next = self
            .sweep
            .trials
            .iter()
            .map(|t| t.number)
            .max()
            .unwrap_or(0)
            + 1;
        let mut running: BTreeMap<u64, Cancel> = BTreeMap::new();
        let (sender, reports) = mpsc::channel();
        let bench = self.bench;
        let mut told = false;
        std::thread::scope(|scope| {
            loop {
                let closed = self.closed(cancel, stop_file);
                while closed.is_none() && running.len() < self.options.jobs && self.fatal.is_none()
                {
                    let Some((number, values)) =
                        queue.pop_front().or_else(|| self.propose(&mut next))
                    else {
                        break;
                    };
                    if let Err(error) = self.start(number, &values) {
                        self.fatal.get_or_insert(error);
                        break;
                    }
                    let token = Cancel::new();
                    running.insert(number, token.clone());
                    let sender = sender.clone();
                    scope.spawn(move || {
                        // A panic must not leave the driver waiting for ever.
                        let work = AssertUnwindSafe(|| trial::run(bench, number, &values, &token));
                        let ended = std::panic::catch_unwind(work).unwrap_or(Ended::Fatal(
                            pipeline::Error::Bug("a trial panicked").into(),
                        ));
                        // The receiver lives until every trial has reported.
                        let _ = sender.send((number, ended));
                    });
                }
                if running.is_empty() {
                    // Where nothing is left, nothing was cut short.
                    let is_done = is_all_done(self.sweep, self.total);
                    return closed.filter(|_| !is_done).unwrap_or(Why::Complete);
                }
                if let Ok((number, ended)) = reports.recv_timeout(LOOK_EVERY) {
                    running.remove(&number);
                    if let Err(error) = self.take(number, ended) {
                        self.fatal.get_or_insert(error);
                    }
                }
                let reason = cancel
                    .reason()
                    .or(self.fatal.as_ref().map(|_| CancelReason::Terminated));
                if let Some(reason) = reason {
                    for token in running.values() {
                        token.request(reason);
                    }
                    if !std::mem::replace(&mut told, true) && !running.is_empty() {
                        self.events.notify(Event::Stopping);
                    }
                }
            }
        })
    }

    /// Trials that were started and have no end.
    fn queue(&self) -> VecDeque<(u64, Vec<Value>)> {
        let open = self
            .sweep
            .trials
            .iter()
            .filter(|t| t.state == TrialState::Open);
        open.map(|t| (t.number, t.values.clone())).collect()
    }

    /// Why no further trial starts, if so.
    fn closed(&self, cancel: &Cancel, stop_file: &std::path::Path) -> Option<Why> {
        if cancel.is_requested() {
            Some(Why::Interrupted)
        } else if self.options.max_failures <= self.failures {
            Some(Why::Failures)
        } else if stop_file.exists() {
            Some(Why::Stopped)
        } else if self
            .options
            .timeout
            .is_some_and(|limit| limit <= self.begin.elapsed())
        {
            Some(Why::Timeout)
        } else {
            None
        }
    }

    fn propose(&self, next: &mut u64) -> Option<(u64, Vec<Value>)> {
        let number = *next;
        if self.total < number {
            return None;
        }
        let Definition {
            space,
            method,
            seed,
            ..
        } = self.bench.definition;
        let values = method.propose(space, *seed, number)?;
        *next += 1;
        Some((number, values))
    }

    fn start(&mut self, number: u64, values: &[Value]) -> Result<(), Error> {
        self.journal.append(&Record::Started {
            trial: number,
            at_ms: clock::now().as_millisecond(),
            params: self.bench.definition.named(values),
        })?;
        if !self.sweep.trials.iter().any(|t| t.number == number) {
            self.sweep.trials.push(Trial {
                number,
                values: values.to_vec(),
                state: TrialState::Open,
            });
        }
        self.events.notify(Event::Started {
            trial: number,
            values: values.to_vec(),
        });
        Ok(())
    }

    fn take(&mut self, number: u64, ended: Ended) -> Result<(), Error> {
        let (record, state) = match ended {
            Ended::Interrupted => return Ok(()),
            Ended::Fatal(error) => return Err(error),
            Ended::Finished { finished, changed } => {
                if !changed.is_empty() {
                    self.events.notify(Event::InputsChanged {
                        trial: number,
                        what: changed,
                    });
                }
                self.failures = 0;
                let Finished {
                    value,
                    seconds,
                    ran,
                    restored,
                    run,
                } = finished.clone();
                let record = Record::Finished {
                    trial: number,
                    value,
                    seconds,
                    ran,
                    restored,
                    run,
                };
                (record, TrialState::Finished(finished))
            }
            Ended::Failed {
                error,
                seconds,
                run,
            } => {
                self.failures += 1;
                let record = Record::Failed {
                    trial: number,
                    error: error.clone(),
                    seconds,
                    run: run.clone(),
                };
                (
                    record,
                    TrialState::Failed {
                        error,
                        seconds,
                        run,
                    },
                )
            }
        };
        self.journal.append(&record)?;
        let Some(trial) = self.sweep.trials.iter_mut().find(|t| t.number == number) else {
            return Ok(());
        };
        trial.state = state;
        let trial = trial.clone();
        let best = self.sweep.best().map(|(t, f)| (t.number, f.value));
        self.events.notify(Event::Ended { trial, best });
        Ok(())
    }
}
