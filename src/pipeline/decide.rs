//! Decides, for one stage, whether it must run, can be restored, or is unchanged.
//!
//! Pure: takes the stage, its inputs now, what the lock says and what the workspace holds; returns
//! a `StageDecision`. Used by `forecast` (predicted inputs) and `execute` (real inputs), so that
//! `cvops status` and `cvops repro` can never disagree.
//!
//! A service is passed over: it is never done, so there is nothing to be up to date. The order of
//! reasons is the contract's: frozen, forced, always changed, command, dependency,
//! parameter, environment, output. All reasons that hold are kept; the first leads. A dependency
//! that changed because an upstream stage ran in this very command is reported as such. Early
//! cut-off needs no rule of its own: an upstream stage that ran and wrote the same bytes leaves the
//! dependency's hash as the lock has it, so nothing here holds.
//!
//! A record without its objects is no result: the lock of a fresh clone names what only another
//! machine has. The caller says which it can give back, by a quick look; where more turns out to be
//! lacking when it is put in place, the stage runs after all.
//! Imports: base, project, store, spec, inputs, params, lock.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::Value;
use crate::project::BareStages;
use crate::store::{FileChange, Presence};

use super::inputs::Inputs;
use super::lock::LockEntry;
use super::params::{self, ParamChange};
use super::spec::{Freshness, ParamRef, StageName, StageSpec};

/// Why a stage is passed over.
#[derive(Clone, Debug, PartialEq)]
pub enum SkipReason {
    /// `frozen: true`.
    Frozen,
    /// It is a service: it runs until it is stopped, and only when it is asked for by name.
    Service,
}

/// Why a stage must run (or be restored).
#[derive(Clone, Debug, PartialEq)]
pub enum RunReason {
    /// The user asked for it.
    Forced,
    /// `always_changed: true`.
    AlwaysChanged,
    /// There is nothing to judge it by, and such stages run each time.
    Bare,
    /// The lock knows no run of it.
    NeverRun,
    /// The command is another one.
    CommandChanged {
        /// At the last run.
        old: Vec<String>,
        /// Now.
        new: Vec<String>,
    },
    /// A dep has other bytes, or was added or dropped.
    DependencyChanged {
        /// The dep.
        path: ArtifactPath,
        /// At the last run; `None`: it was no dep then.
        old: Option<Presence>,
        /// Now; `None`: it is no dep any more.
        new: Option<Presence>,
        /// For a folder, what changed in it, as far as that is known. Filled in by the caller.
        files: Vec<FileChange>,
    },
    /// A dep has other bytes because `stage` ran in this command.
    UpstreamChanged {
        /// The dep.
        path: ArtifactPath,
        /// The stage that wrote it.
        stage: StageName,
    },
    /// A parameter has another value.
    ParameterChanged(ParamChange),
    /// An environment variable has another value.
    EnvironmentChanged {
        /// Its name.
        name: String,
        /// At the last run; the outer `None`: it did not count then.
        old: Option<Option<String>>,
        /// Now.
        new: Option<Option<String>>,
    },
    /// An output is not there.
    OutputMissing {
        /// Its path.
        path: ArtifactPath,
    },
    /// An output is not what the last run wrote.
    OutputModified {
        /// Its path.
        path: ArtifactPath,
        /// As the last run wrote it.
        old: Presence,
        /// Now.
        new: Presence,
        /// For a folder, what changed in it. Filled in by the caller.
        files: Vec<FileChange>,
    },
    /// An output was declared or dropped since the last run.
    OutputsRedeclared {
        /// Its path.
        path: ArtifactPath,
        /// Which of the two.
        how: Redeclared,
    },
}

/// How the declaration of an output changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeclared {
    /// It is an output now.
    Added,
    /// It is none any more.
    Dropped,
}

/// The judgement on one stage.
#[derive(Clone, Debug, PartialEq)]
pub enum StageDecision {
    /// Nothing is done.
    Skip(SkipReason),
    /// Lock, inputs and outputs agree.
    Cached,
    /// An earlier run had exactly these inputs: its outputs are put in place.
    Restore {
        /// That run.
        entry: Box<LockEntry>,
        /// Why something must happen at all.
        because: Vec<RunReason>,
    },
    /// The command runs. Never empty; the first reason leads.
    Run(Vec<RunReason>),
}

/// Does the user insist?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Run whatever the inputs say.
    Yes,
    /// Run when needed.
    No,
}

/// May results of earlier runs be used?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunRecords {
    /// Yes.
    Use,
    /// No: `--no-run-cache`.
    Ignore,
}

/// All that the judgement is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The stage.
    pub stage: &'a StageSpec,
    /// Its inputs now.
    pub inputs: &'a Inputs,
    /// Its entry in the lock.
    pub locked: Option<&'a LockEntry>,
    /// Its outputs now.
    pub outs: &'a BTreeMap<ArtifactPath, Presence>,
    /// Deps rewritten in this command, by the stage that did it.
    pub rewritten: &'a BTreeMap<ArtifactPath, StageName>,
    /// What happens to a stage that there is nothing to judge by.
    pub bare_stages: BareStages,
    /// `-f`.
    pub force: Force,
    /// `--no-run-cache`.
    pub records: RunRecords,
}

/// Judges one stage. `earlier_run` looks the run cache up, `can_give_back` asks the cache for a run's
/// outputs; both are only asked when it matters.
pub fn decide(
    facts: &Facts<'_>,
    earlier_run: &dyn Fn() -> Option<LockEntry>,
    can_give_back: &dyn Fn(&LockEntry) -> bool,
) -> StageDecision {
    let stage = facts.stage;
    if stage.service.is_some() {
        return StageDecision::Skip(SkipReason::Service);
    }
    if stage.freshness == Freshness::Frozen {
        return StageDecision::Skip(SkipReason::Frozen);
    }
    let mut must_run = Vec::new();
    if facts.force == Force::Yes {
        must_run.push(RunReason::Forced);
    }
    if stage.freshness == Freshness::AlwaysChanged {
        must_run.push(RunReason::AlwaysChanged);
    } else if stage.is_bare() && facts.bare_stages == BareStages::RunAlways {
        must_run.push(RunReason::Bare);
    }
    let insisted = !must_run.is_empty();
    let mut last_run_fits = false;
    match facts.locked {
        None => must_run.push(RunReason::NeverRun),
        Some(locked) => {
            let changed = input_changes(facts, locked);
            let out_changes = output_changes(facts, locked);
            if changed.is_empty() && out_changes.is_empty() && !insisted {
                return StageDecision::Cached;
            }
            let redeclared = |r: &RunReason| matches!(r, RunReason::OutputsRedeclared { .. });
            // If only the outputs' content differs, the last run itself can be put back.
            last_run_fits = changed.is_empty() && !out_changes.iter().any(redeclared);
            must_run.extend(changed);
            must_run.extend(out_changes);
        }
    }
    let entry = match facts.locked {
        _ if insisted || facts.records == RunRecords::Ignore => None,
        Some(locked) if last_run_fits => Some(locked.clone()),
        _ => earlier_run(),
    };
    match entry.filter(can_give_back) {
        Some(entry) => StageDecision::Restore {
            entry: Box::new(entry),
            because: must_run,
        },
        None => StageDecision::Run(must_run),
    }
}

fn input_changes(facts: &Facts<'_>, locked: &LockEntry) -> Vec<RunReason> {
    let inputs = facts.inputs;
    let mut reasons = Vec::new();
    if locked.commands != inputs.commands || locked.wdir != facts.stage.wdir {
        reasons.push(RunReason::CommandChanged {
            old: locked.commands.clone(),
            new: inputs.commands.clone(),
        });
    }
    for (path, new) in &inputs.deps {
        let old = locked.deps.get(path);
        if old == Some(new) {
            continue;
        }
        reasons.push(match facts.rewritten.get(path) {
            Some(stage) => RunReason::UpstreamChanged {
                path: path.clone(),
                stage: stage.clone(),
            },
            None => RunReason::DependencyChanged {
                path: path.clone(),
                old: old.copied(),
                new: Some(*new),
                files: Vec::new(),
            },
        });
    }
    for (path, old) in locked
        .deps
        .iter()
        .filter(|(path, _)| !inputs.deps.contains_key(*path))
    {
        let old = Some(*old);
        reasons.push(RunReason::DependencyChanged {
            path: path.clone(),
            old,
            new: None,
            files: Vec::new(),
        });
    }
    reasons.extend(param_changes(&locked.params, &inputs.params));
    for (name, new) in &inputs.env {
        let old = locked.env.get(name);
        if old != Some(new) {
            reasons.push(RunReason::EnvironmentChanged {
                name: name.clone(),
                old: old.cloned(),
                new: Some(new.clone()),
            });
        }
    }
    for (name, old) in locked
        .env
        .iter()
        .filter(|(name, _)| !inputs.env.contains_key(*name))
    {
        let old = Some(old.clone());
        reasons.push(RunReason::EnvironmentChanged {
            name: name.clone(),
            old,
            new: None,
        });
    }
    reasons
}

fn param_changes(
    old: &BTreeMap<ParamRef, Value>,
    new: &BTreeMap<ParamRef, Value>,
) -> Vec<RunReason> {
    let dropped = old.keys().filter(|p| !new.contains_key(*p));
    new.keys()
        .chain(dropped)
        .flat_map(|param| params::changes(param, old.get(param), new.get(param)))
        .map(RunReason::ParameterChanged)
        .collect()
}

fn output_changes(facts: &Facts<'_>, locked: &LockEntry) -> Vec<RunReason> {
    let mut reasons = Vec::new();
    for path in facts.stage.outs.keys() {
        let Some(old) = locked.outs.get(path) else {
            reasons.push(RunReason::OutputsRedeclared {
                path: path.clone(),
                how: Redeclared::Added,
            });
            continue;
        };
        match facts.outs.get(path) {
            None | Some(Presence::Missing) => {
                reasons.push(RunReason::OutputMissing { path: path.clone() });
            }
            Some(new) if old == new => {}
            Some(new) => reasons.push(RunReason::OutputModified {
                path: path.clone(),
                old: *old,
                new: *new,
                files: Vec::new(),
            }),
        }
    }
    for path in locked
        .outs
        .keys()
        .filter(|p| !facts.stage.outs.contains_key(*p))
    {
        reasons.push(RunReason::OutputsRedeclared {
            path: path.clone(),
            how: Redeclared::Dropped,
        });
    }
    reasons
}
