//! One stage in a worker thread: secure and remove old outputs, run the commands, keep the new
//! outputs; or put recorded outputs in place. Imports: base, store, spec, inputs, lock, workspace.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::base::{ArtifactPath, Cancel, Observer, fs};
use crate::pipeline::error::Error;
use crate::pipeline::inputs::{Inputs, RunKey};
use crate::pipeline::lock::LockEntry;
use crate::pipeline::params::{self, ParamFiles};
use crate::pipeline::spec::{BeforeRun, StageName, StageSpec};
use crate::pipeline::workspace::{Files, Restored, can_be_reused};
use crate::store::Presence;

use super::leftovers::Marker;
use super::process::{Running, Shell, describe};
use super::{Event, Outcome};

/// What a worker needs; shared by all workers.
pub(super) struct Worker<'a> {
    pub(super) files: &'a Files<'a>,
    pub(super) env: &'a [(String, OsString)],
    pub(super) running: &'a Running,
    pub(super) cancel: &'a Cancel,
    pub(super) events: &'a dyn Observer<Event>,
}

/// A stage that is done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) entry: LockEntry,
    pub(super) standing: Standing,
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
    pub(super) fn restore(
        &self,
        stage: &StageSpec,
        inputs: &Inputs,
        key: &RunKey,
        entry: &LockEntry,
    ) -> Result<Done, Error> {
        for path in stage.outs.keys() {
            let object = entry.outs.get(path).copied().unwrap_or(Presence::Missing);
            match self.files.restore(path, &object)? {
                Restored::Placed { saved } => self.tell_saved(stage, path, saved),
                Restored::Unusable { why } => {
                    self.events.notify(Event::RecordUnusable {
                        stage: stage.name.clone(),
                        why,
                    });
                    return self.run(stage, inputs, key);
                }
            }
        }
        let outs = entry.outs.clone();
        Ok(Done {
            outcome: Outcome::Restored,
            standing: Standing::Reusable,
            entry: entry_of(stage, inputs, outs),
        })
    }

    /// Runs the stage's commands.
    pub(super) fn run(
        &self,
        stage: &StageSpec,
        inputs: &Inputs,
        key: &RunKey,
    ) -> Result<Done, Error> {
        for (path, out) in &stage.outs {
            let saved = match out.before_run {
                BeforeRun::Remove => self.files.remove(path),
                BeforeRun::Keep => self.files.secure(path),
            };
            let saved = saved.map_err(Error::keeping(path))?;
            self.tell_saved(stage, path, saved);
            self.files.create_parent(path)?;
        }
        let scratch = self.files.scratch(&stage.name, key)?;
        let dir = self.files.work_dir(stage.wdir.as_ref());
        let env = environment(self.env, self.files.root(), &stage.name, &scratch);
        let shell = Shell {
            stage: &stage.name,
            dir: &dir,
            env: &env,
            running: self.running,
            cancel: self.cancel,
            events: self.events,
        };
        let _marker = Marker::write(&self.files.markers(), &stage.name)?;
        for command in stage.shell_commands(self.files.command_lines()) {
            if self.cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            self.events.notify(Event::Started {
                stage: stage.name.clone(),
                command: command.to_owned(),
            });
            let status = shell.run(command).map_err(|source| Error::Spawn {
                stage: stage.name.clone(),
                source,
            })?;
            if self.cancel.is_requested() && !status.success() {
                return Err(Error::Cancelled);
            }
            if !status.success() {
                return Err(Error::Failed {
                    stage: stage.name.clone(),
                    command: command.to_owned(),
                    how: describe(status),
                    code: status.code(),
                });
            }
        }
        let mut outs = BTreeMap::new();
        for path in stage.outs.keys() {
            match self.files.keep(path).map_err(Error::keeping(path))? {
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
        Ok(Done {
            outcome: Outcome::Ran,
            entry: entry_of(stage, inputs, outs),
            standing: match (changed.is_empty(), can_be_reused(stage)) {
                (true, true) => Standing::Reusable,
                (true, false) => Standing::Last,
                (false, _) => Standing::Unknown,
            },
        })
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
