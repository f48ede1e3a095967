//! One trial: its work tree, its repro, its log, its metric. Imports: base, pipeline,
//! `experiment::workspace`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::base::doc::Value;
use crate::base::{self, Cancel, CancelReason, Observer, ToDiagnostics, fs};
use crate::pipeline::execute::{Event, Options, Outcome, Stream, Summary};
use crate::pipeline::lock::LockFile;
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{self, Plan, Reach, StageGraph, StageName, variant};
use crate::project::Project;
use crate::track::RunId;

use super::super::tracked::{self, Record};
use super::super::workspace::{Contents, WorkTree};
use super::super::{Endpoint, Error};
use super::journal;
use super::state::{Definition, Finished};
use super::{baseline, driver, metric, params};

/// Most characters of a stage's last line in a message.
const WORDS_MAX: usize = 160;

/// What all trials of a sweep have in common.
pub(super) struct Bench<'a> {
    pub(super) project: &'a Project,
    pub(super) name: &'a str,
    pub(super) definition: &'a Definition,
    /// The stages that a trial brings up to date.
    pub(super) plan: &'a Plan<'a>,
    /// What was last run, with the stages that all trials share.
    pub(super) lock: &'a LockFile,
    /// The run that the trials' runs are parts of, if there could be one.
    pub(super) parent: Option<RunId>,
    /// The params files of the swept parameters.
    pub(super) params: &'a params::Files,
    /// What stages of trials log to.
    pub(super) endpoint: Arc<Endpoint>,
    /// Variables for the stages' processes.
    pub(super) stage_env: &'a [(String, OsString)],
    /// What trials at the same time are running: equal stages of theirs run once.
    pub(super) turns: Arc<pipeline::execute::Turns>,
    /// The environment that `env:` dependencies read from.
    pub(super) env: &'a BTreeMap<String, String>,
    /// Who is told of warnings.
    pub(super) events: &'a dyn Observer<driver::Event>,
}

/// How a trial ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With its metric.
    Finished {
        finished: Finished,
        /// Sources that are not as they were when the sweep began.
        changed: Vec<String>,
    },
    /// It failed; the sweep goes on.
    Failed {
        error: String,
        seconds: f64,
        run: Option<String>,
    },
    /// It was stopped and has to be run again.
    Interrupted,
    /// Something is wrong that would break every trial.
    Fatal(Error),
}

/// Runs trial `number` with `values`.
pub(super) fn run(bench: &Bench<'_>, number: u64, values: &[Value], cancel: &Cancel) -> Ended {
    let start = Instant::now();
    match run_to_end(bench, number, values, cancel, start) {
        Ok(ended) => ended,
        Err(Error::Pipeline(pipeline::Error::Cancelled)) => Ended::Interrupted,
        Err(error) => Ended::Fatal(error),
    }
}

fn run_to_end(
    bench: &Bench<'_>,
    number: u64,
    values: &[Value],
    cancel: &Cancel,
    start: Instant,
) -> Result<Ended, Error> {
    let space = &bench.definition.space;
    let files = params::with_values(bench.params, space, values)?;
    let log = Log::open(&journal::log_file(
        &bench.project.layout,
        bench.name,
        number,
    ))?;
    log.line(&format!(
        "# trial {number}: {}",
        describe(bench.definition, values)
    ));
    // Templates read the trial's values, so its stages may be other ones.
    let graph = match variant::with_params(bench.project, bench.plan.graph(), &files) {
        Ok(graph) => graph,
        Err(error) => {
            let error = headline(&error);
            log.line(&format!("# {error}"));
            return Ok(Ended::Failed {
                error,
                seconds: start.elapsed().as_secs_f64(),
                run: None,
            });
        }
    };
    let targets = &bench.definition.targets;
    let own = graph
        .as_ref()
        .map(|graph| Plan::select(graph, targets, Reach::Upstream));
    let own = own.transpose()?;
    let plan = own.as_ref().unwrap_or(bench.plan);
    let tree = make_tree(bench, &number.to_string(), plan.graph(), &files)?;
    let mut lock = bench.lock.clone();
    let mut tags = BTreeMap::from([
        ("cvops.sweep".to_owned(), bench.name.to_owned()),
        ("cvops.trial".to_owned(), number.to_string()),
    ]);
    for (dimension, value) in space.dimensions.iter().zip(values) {
        let name = format!("cvops.sweep.{}", dimension.param);
        tags.insert(name, super::domain::Written(value).to_string());
    }
    let record = Record {
        layout: bench.project.layout.clone(),
        experiment: Some(bench.name.to_owned()),
        name: Some(format!("{}-{number}", bench.name)),
        parent: bench.parent,
        tags,
        command: format!("cvops params sweep --name {}", bench.name),
        targets: bench.definition.targets.clone(),
        endpoint: Some(Arc::clone(&bench.endpoint)),
    };
    let (summary, run) = repro(bench, &tree, plan, &mut lock, &record, cancel, &log)?;
    let seconds = start.elapsed().as_secs_f64();
    if is_stopped(cancel) {
        return Ok(Ended::Interrupted);
    }
    if let Some(error) = log.failure() {
        if is_disk_full(&error) {
            return Err(error.into());
        }
        let error = match &error {
            // A long command is in the log; the stage and how it ended say enough here.
            pipeline::Error::Failed { stage, how, .. } => match log.last_words(stage) {
                Some(words) => format!("stage `{stage}` {how}: {words}"),
                None => format!("stage `{stage}` {how}"),
            },
            other => headline(other),
        };
        return Ok(Ended::Failed {
            error,
            seconds,
            run,
        });
    }
    Ok(
        match metric::read(&bench.definition.metric, &tree.project().root) {
            Ok(value) => Ended::Finished {
                finished: Finished {
                    value,
                    seconds,
                    ran: ran(&summary),
                    restored: restored(&summary),
                    run,
                },
                changed: baseline::changed_sources(&bench.definition.inputs, plan, space, &lock),
            },
            Err(error) => {
                log.line(&format!("# {error}"));
                Ended::Failed {
                    error,
                    seconds,
                    run,
                }
            }
        },
    )
}

/// Runs the stages that all trials share, so that none of them has to; returns the lock that knows
/// them.
pub(super) fn run_shared(
    bench: &Bench<'_>,
    plan: &Plan<'_>,
    cancel: &Cancel,
) -> Result<LockFile, Error> {
    let tree = make_tree(bench, "shared", plan.graph(), bench.params)?;
    let log = Log::open(&journal::log_file(&bench.project.layout, bench.name, 0))?;
    let mut lock = bench.lock.clone();
    let record = Record {
        layout: bench.project.layout.clone(),
        experiment: Some(bench.name.to_owned()),
        name: Some(format!("{}-shared", bench.name)),
        parent: bench.parent,
        tags: BTreeMap::from([("cvops.sweep".to_owned(), bench.name.to_owned())]),
        command: format!("cvops params sweep --name {}", bench.name),
        targets: Vec::new(),
        endpoint: Some(Arc::clone(&bench.endpoint)),
    };
    repro(bench, &tree, plan, &mut lock, &record, cancel, &log)?;
    if is_stopped(cancel) {
        return Err(pipeline::Error::Cancelled.into());
    }
    match log.failure() {
        Some(error) if is_disk_full(&error) => Err(error.into()),
        Some(error) => Err(Error::SharedStage {
            error: Box::new(error),
            log: journal::log_file(&bench.project.layout, bench.name, 0),
        }),
        None => Ok(lock),
    }
}

fn make_tree(
    bench: &Bench<'_>,
    name: &str,
    graph: &StageGraph,
    params: &params::Files,
) -> Result<WorkTree, Error> {
    let root = bench.project.layout.trials(bench.name).join(name);
    let contents = Contents {
        graph,
        known: bench.plan.graph(),
        params,
        lock: bench.lock,
    };
    WorkTree::create(bench.project, &root, &contents)
}

fn repro(
    bench: &Bench<'_>,
    tree: &WorkTree,
    plan: &Plan<'_>,
    lock: &mut LockFile,
    record: &Record,
    cancel: &Cancel,
    log: &Log,
) -> Result<(Summary, Option<String>), Error> {
    let files = Files::open(tree.project(), cancel);
    let mut workspace = Workspace::new(&files, bench.env);
    let options = Options {
        env: bench.stage_env.to_vec(),
        turns: Some(Arc::clone(&bench.turns)),
        ..Options::new("cvops params sweep")
    };
    let done = tracked::repro(plan, lock, &mut workspace, &options, record, cancel, log)?;
    for warning in done.warnings {
        log.line(&format!("# {}", warning.headline));
        bench.events.notify(driver::Event::Warning(warning));
    }
    Ok((done.summary, done.run.map(|run| run.id.to_string())))
}

fn ran(summary: &Summary) -> Vec<(String, f64)> {
    let done = summary
        .done
        .iter()
        .filter(|(_, how, _)| *how == Outcome::Ran);
    done.map(|(stage, _, took)| (stage.to_string(), took.as_secs_f64()))
        .collect()
}

fn restored(summary: &Summary) -> Vec<String> {
    let done = summary
        .done
        .iter()
        .filter(|(_, how, _)| *how == Outcome::Restored);
    done.map(|(stage, ..)| stage.to_string()).collect()
}

/// Returns a trial's values in words: `train.lr=0.1 train.bs=16`.
#[must_use]
pub fn describe(definition: &Definition, values: &[Value]) -> String {
    let dimensions = &definition.space.dimensions;
    let named = dimensions.iter().zip(values);
    named
        .map(|(d, v)| format!("{}={}", d.param, super::domain::Written(v)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_stopped(cancel: &Cancel) -> bool {
    cancel
        .reason()
        .is_some_and(|r| CancelReason::Terminated <= r)
}

fn headline(error: &impl ToDiagnostics) -> String {
    let first = error.to_diagnostics().into_iter().next();
    first.map_or_else(String::new, |d| d.headline)
}

/// Is there no room left? Then every further trial would fail as well.
fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        // A transparent error answers for its cause, and so hides what kind it is.
        if let Some(Error::Pipeline(inner)) = error.downcast_ref() {
            return is_disk_full(inner);
        }
        if let Some(pipeline::Error::Several(all)) = error.downcast_ref() {
            return all.iter().any(|one| is_disk_full(one));
        }
        cause = error.source();
    }
    false
}

/// The log of a trial: what its stages printed, and what became of them.
struct Log {
    file: Mutex<fs::Appender>,
    /// The last line of each stage on stderr, where programs say why they fail.
    words: Mutex<BTreeMap<StageName, String>>,
    failure: Mutex<Option<pipeline::Error>>,
}

impl Log {
    fn open(path: &Path) -> Result<Self, base::Error> {
        let file = fs::Appender::open(path).map_err(base::Error::io("open", path))?;
        Ok(Self {
            file: Mutex::new(file),
            words: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    fn line(&self, text: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that cannot be kept is no reason to lose the trial.
        if let Err(error) = file.append(format!("{text}\n").as_bytes()) {
            tracing::debug!(%error, "a line of a trial's log was lost");
        }
    }

    /// Returns the last line that `stage` wrote to stderr, not more than fits a message.
    fn last_words(&self, stage: &StageName) -> Option<String> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let line = words.get(stage)?.trim();
        let mut short: String = line.chars().take(WORDS_MAX).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        Some(short)
    }

    fn failure(&self) -> Option<pipeline::Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Observer<Event> for Log {
    fn notify(&self, event: Event) {
        match event {
            Event::Started { stage, command } => self.line(&format!("{stage} $ {command}")),
            Event::Output {
                stage,
                stream,
                line,
            } => {
                self.line(&format!("{stage} | {line}"));
                if stream == Stream::Err && !line.trim().is_empty() {
                    let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
                    words.insert(stage, line);
                }
            }
            Event::Finished { stage, how, took } => {
                let how = match how {
                    Outcome::Ran => "done",
                    Outcome::Restored => "restored",
                    Outcome::Unchanged => "unchanged",
                    Outcome::Frozen => "frozen",
                    Outcome::Service => "passed over: it is a service",
                };
                self.line(&format!(
                    "# {stage}: {how} in {}",
                    base::units::duration(took)
                ));
            }
            Event::RecordUnusable { stage, why } => {
                self.line(&format!(
                    "# {stage}: the earlier result cannot be used ({why})"
                ));
            }
            // A trial's tree is no work tree of git.
            Event::OutsInGit { .. } => {}
            Event::InputsChanged { stage, what } => {
                self.line(&format!(
                    "# {stage}: {} changed while it ran",
                    what.join(", ")
                ));
            }
            Event::Failed { error, .. } => {
                self.line(&format!("# {}", headline(&error)));
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
            }
            Event::Waiting {
                stage, conflict, ..
            } => {
                let holder = conflict.holder;
                self.line(&format!(
                    "# {stage}: waiting for `{}` (pid {}), which is at `{}`",
                    holder.command, holder.pid, conflict.path
                ));
            }
            Event::Retrying {
                stage,
                error,
                attempt,
                of,
            } => {
                let why = headline(&error);
                self.line(&format!(
                    "# {stage}: {why}; attempt {attempt} of {of} begins"
                ));
            }
            Event::Decided { .. }
            | Event::Told { .. }
            | Event::WaitingForDvc { .. }
            | Event::Saved { .. }
            | Event::LeftoverStopped { .. }
            | Event::Ready { .. }
            | Event::Stopping { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_seen_through_what_it_broke() {
        let io = |kind| base::Error::io("write", Path::new("f"))(io::Error::from(kind));
        let path = "out.txt".parse().unwrap();
        let keeping = |kind| pipeline::Error::keeping(&path)(io(kind).into());
        assert!(is_disk_full(&keeping(io::ErrorKind::StorageFull)));
        assert!(!is_disk_full(&keeping(io::ErrorKind::PermissionDenied)));
        let stored = crate::store::Error::from(io(io::ErrorKind::QuotaExceeded));
        assert!(is_disk_full(&pipeline::Error::keeping(&path)(
            stored.into()
        )));
        let several = pipeline::Error::Several(vec![
            pipeline::Error::Bug("other"),
            keeping(io::ErrorKind::StorageFull),
        ]);
        assert!(is_disk_full(&Error::from(several)));
    }
}
