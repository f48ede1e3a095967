//! One stage in a worker thread: secure and remove old outputs, run the commands, keep the new
//! outputs; or put recorded outputs in place. Imports: base, store, spec, inputs, lock, workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::base::{ArtifactPath, Cancel, Observer, fs};
use crate::pipeline::error::Error;
use crate::pipeline::inputs::{Inputs, RunKey};
use crate::pipeline::lock::LockEntry;
use crate::pipeline::params::{self, ParamFiles};
use crate::pipeline::spec::{BeforeRun, FailureKind, StageName, StageSpec};
use crate::pipeline::workspace::{Files, Restored, can_be_reused};
use crate::project::{self, PathLocks, RwGuard, Wait};
use crate::store::Presence;

use super::admission::VISIBLE_GPUS;
use super::leftovers::CLAIMED_BY;
use super::process::{Program, Running, Shell, describe};
use super::told::{Listener, Shelf, Told};
use super::{Event, Keep, LateEnv, Outcome};

/// What a worker needs; shared by all workers.
pub(super) struct Worker<'a> {
    pub(super) files: &'a Files<'a>,
    pub(super) env: &'a [(String, OsString)],
    pub(super) late_env: Option<&'a dyn LateEnv>,
    pub(super) program: &'a Program,
    /// By which a stage's processes are known to be this command's.
    pub(super) claimed_by: &'a str,
    /// DVC's locks of paths.
    pub(super) dvc: &'a PathLocks,
    pub(super) keep: Keep,
    pub(super) shelf: &'a Shelf,
    pub(super) running: &'a Running,
    pub(super) cancel: &'a Cancel,
    pub(super) events: &'a dyn Observer<Event>,
}

/// What is to be run or restored.
pub(super) struct Job<'a> {
    pub(super) stage: &'a StageSpec,
    pub(super) inputs: &'a Inputs,
    pub(super) key: RunKey,
    /// The GPUs it may use, if it asked for some.
    pub(super) gpus: Option<&'a [String]>,
}

/// A stage that is done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) entry: LockEntry,
    pub(super) standing: Standing,
    /// What it told, when it ran now or when its result was made.
    pub(super) told: Option<Told>,
}

/// What the result of a run may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is what these inputs give: recorded, and restored whenever they come again.
    Reusable,
    /// It also depends on what was there before (`persist`): it is only the last result.
    Last,
    /// Inputs changed while it ran: nobody knows what it stands for, so it is not recorded.
    Unknown,
}

impl Worker<'_> {
    /// Puts the outputs of `entry` in place, or runs the stage if the cache no longer has them.
    pub(super) fn restore(&self, job: &Job<'_>, entry: &LockEntry) -> Result<Done, Error> {
        let stage = job.stage;
        for path in stage.outs.keys() {
            let object = entry.outs.get(path).copied().unwrap_or(Presence::Missing);
            match self.files.restore(path, &object)? {
                Restored::Placed { saved } => self.tell_saved(stage, path, saved),
                Restored::Unusable { why } => {
                    self.events.notify(Event::RecordUnusable {
                        stage: stage.name.clone(),
                        why,
                    });
                    return self.run(job);
                }
            }
        }
        let told = self.shelf.find(&job.key);
        if let Some(told) = &told {
            self.events.notify(Event::Told {
                stage: stage.name.clone(),
                told: told.clone(),
            });
        }
        let outs = entry.outs.clone();
        Ok(Done {
            outcome: Outcome::Restored,
            standing: Standing::Reusable,
            entry: entry_of(stage, job.inputs, outs),
            told,
        })
    }

    /// Runs the stage's commands, again if they fail and it says so.
    pub(super) fn run(&self, job: &Job<'_>) -> Result<Done, Error> {
        let stage = job.stage;
        let retry = &stage.run.retry;
        let of = retry.max + 1;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(job) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let again = failure_kind(&error).is_some_and(|kind| retry.on.contains(&kind));
            if !again || of <= attempt || self.cancel.is_requested() {
                return Err(if again && 1 < attempt {
                    Error::GaveUp {
                        error: Box::new(error),
                        attempts: attempt,
                    }
                } else {
                    error
                });
            }
            attempt += 1;
            self.events.notify(Event::Retrying {
                stage: stage.name.clone(),
                error,
                attempt,
                of,
            });
        }
    }

    /// Tells DVC, where it may work beside us, what `stage` reads and writes.
    pub(super) fn lock_for_dvc(&self, stage: &StageSpec) -> Result<RwGuard<'_>, Error> {
        let absolute = |path: &ArtifactPath| path.under(self.files.root());
        let reads: BTreeSet<PathBuf> = stage.reads().map(absolute).collect();
        let reads: Vec<PathBuf> = reads.into_iter().collect();
        let writes: Vec<PathBuf> = stage.outs.keys().map(absolute).collect();
        let on_wait = |wait: &Wait| {
            self.events
                .notify(Event::WaitingForDvc { wait: wait.clone() });
        };
        match self.dvc.lock(&reads, &writes, self.cancel, &on_wait) {
            Ok(guard) => Ok(guard),
            Err(project::Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes room for the outputs of a run.
    fn prepare(&self, stage: &StageSpec) -> Result<(), Error> {
        for (path, out) in &stage.outs {
            let saved = match out.before_run {
                BeforeRun::Remove => self.files.remove(path),
                BeforeRun::Keep => self.files.secure(path),
            };
            let saved = saved.map_err(Error::keeping(path))?;
            self.tell_saved(stage, path, saved);
            self.files.create_parent(path)?;
        }
        Ok(())
    }

    fn attempt(&self, job: &Job<'_>) -> Result<Done, Error> {
        let (stage, inputs) = (job.stage, job.inputs);
        self.prepare(stage)?;
        let start = Instant::now();
        let scratch = self.files.scratch(&stage.name, &job.key)?;
        let heard = Listener::default();
        self.run_commands(job, &scratch, start, &heard)?;
        let mut outs = BTreeMap::new();
        for path in stage.outs.keys() {
            let kept = match self.keep {
                Keep::InCache => self.files.keep(path),
                Keep::InWorkspaceOnly => self.files.snapshot(path),
            };
            match kept.map_err(Error::keeping(path))? {
                Presence::Missing => {
                    return Err(Error::NotProduced {
                        stage: stage.name.clone(),
                        path: path.clone(),
                    });
                }
                kept @ Presence::Present(_) => {
                    outs.insert(path.clone(), kept);
                }
            }
        }
        let changed = self.inputs_changed(stage, inputs)?;
        if changed.is_empty() {
            for (path, presence) in &inputs.deps {
                self.files.remember(path, presence)?;
            }
        } else {
            let stage = stage.name.clone();
            self.events.notify(Event::InputsChanged {
                stage,
                what: changed.clone(),
            });
        }
        let scratch = self.files.scratch_of(&stage.name);
        fs::remove_dir_all(&scratch).map_err(crate::base::Error::io("remove", &scratch))?;
        let is_kept = self.keep == Keep::InCache && can_be_reused(stage);
        Ok(Done {
            outcome: Outcome::Ran,
            entry: entry_of(stage, inputs, outs),
            standing: match (changed.is_empty(), is_kept) {
                (true, true) => Standing::Reusable,
                (true, false) => Standing::Last,
                (false, _) => Standing::Unknown,
            },
            told: Some(heard.into_told(start.elapsed())),
        })
    }

    /// Runs the commands of one attempt, up to the first that fails.
    fn run_commands(
        &self,
        job: &Job<'_>,
        scratch: &Path,
        start: Instant,
        heard: &Listener,
    ) -> Result<(), Error> {
        let stage = job.stage;
        let dir = self.files.work_dir(stage.wdir.as_ref());
        let mut env = environment(self.env, self.files.root(), &stage.name, scratch);
        env.push((CLAIMED_BY.to_owned(), self.claimed_by.into()));
        if let Some(gpus) = job.gpus {
            env.push((VISIBLE_GPUS.to_owned(), gpus.join(",").into()));
        }
        let mut removed = Vec::new();
        for (name, value) in self
            .late_env
            .map(|late| late.of_stage(&stage.name))
            .unwrap_or_default()
        {
            match value {
                Some(value) => env.push((name, value)),
                None => removed.push(name),
            }
        }
        let listen = |event: Event| {
            if let Event::Output { stream, line, .. } = &event {
                heard.hear(*stream, line);
            }
            self.events.notify(event);
        };
        let shell = Shell {
            program: self.program,
            stage: &stage.name,
            dir: &dir,
            env: &env,
            removed: &removed,
            running: self.running,
            cancel: self.cancel,
            deadline: stage.run.timeout.map(|timeout| start + timeout),
            events: &listen,
        };
        for command in self.program.commands(stage) {
            if self.cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            self.events.notify(Event::Started {
                stage: stage.name.clone(),
                command: command.to_owned(),
            });
            let ended = shell.run(command).map_err(|source| Error::Spawn {
                stage: stage.name.clone(),
                source,
            })?;
            let failed = !ended.status.success();
            if self.cancel.is_requested() && failed {
                return Err(Error::Cancelled);
            }
            // A command that heeds SIGTERM may end well: it still did not do all it was to do.
            if ended.late {
                return Err(Error::TimedOut {
                    stage: stage.name.clone(),
                    command: command.trim_end().to_owned(),
                    timeout: stage.run.timeout.unwrap_or_default(),
                });
            }
            if failed {
                return Err(Error::Failed {
                    stage: stage.name.clone(),
                    command: command.trim_end().to_owned(),
                    how: describe(ended.status),
                    code: ended.status.code(),
                });
            }
        }
        Ok(())
    }

    /// Returns the deps and params that are not what they were when the stage was judged: whether
    /// it read the old or the new ones cannot be known, so its result must not stand for either.
    fn inputs_changed(&self, stage: &StageSpec, inputs: &Inputs) -> Result<Vec<String>, Error> {
        let mut changed = Vec::new();
        for (path, judged) in &inputs.deps {
            if self.files.snapshot(path)? != *judged {
                changed.push(path.to_string());
            }
        }
        let now = ParamFiles::new(self.files.root()).of_stage(stage)?;
        for (param, judged) in &inputs.params {
            if !params::same(now.get(param), Some(judged)) {
                changed.push(param.to_string());
            }
        }
        Ok(changed)
    }

    fn tell_saved(
        &self,
        stage: &StageSpec,
        path: &ArtifactPath,
        saved: Option<crate::base::ObjectId>,
    ) {
        if let Some(object) = saved {
            let (stage, path) = (stage.name.clone(), path.clone());
            self.events.notify(Event::Saved {
                stage,
                path,
                object,
            });
        }
    }
}

/// Returns what kind of failure of a stage's own this is; others are not cured by trying again.
fn failure_kind(error: &Error) -> Option<FailureKind> {
    match error {
        Error::Failed { .. } | Error::NotProduced { .. } => Some(FailureKind::Failed),
        Error::TimedOut { .. } => Some(FailureKind::Timeout),
        _ => None,
    }
}

/// Returns the variables of a stage's process beside those this process has: those in `env`, and who
/// it is.
pub(super) fn environment(
    env: &[(String, OsString)],
    root: &Path,
    stage: &StageName,
    scratch: &Path,
) -> Vec<(String, OsString)> {
    let mut all = env.to_vec();
    let (root, name) = (root.as_os_str(), OsStr::new(stage.as_str()));
    for (variable, value) in [
        ("CVOPS_ROOT", root),
        ("DVC_ROOT", root),
        ("CVOPS_STAGE", name),
        ("DVC_STAGE", name),
        ("CVOPS_SCRATCH", scratch.as_os_str()),
    ] {
        all.push((variable.to_owned(), value.to_owned()));
    }
    all
}

/// Returns the record of a run of `stage`.
fn entry_of(
    stage: &StageSpec,
    inputs: &Inputs,
    outs: BTreeMap<ArtifactPath, Presence>,
) -> LockEntry {
    LockEntry {
        commands: inputs.commands.clone(),
        wdir: stage.wdir.clone(),
        deps: inputs.deps.clone(),
        params: inputs.params.clone(),
        env: inputs.env.clone(),
        outs,
    }
}
