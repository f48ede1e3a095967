//! Recording what is in the workspace as the result of stages, without running them.
//!
//! What stages wrote is taken as it is. That inputs changed since the last run means that nobody
//! knows whether the outputs are their result: that has to be insisted on.
//! Imports: base, store, decide, lock, plan, spec, workspace.

use std::collections::BTreeMap;

use crate::base::{ArtifactPath, Cancel};
use crate::store::Presence;

use super::decide::{Force, RunReason, RunRecords, SkipReason, StageDecision};
use super::error::Error;
use super::inputs::Inputs;
use super::lock::{LockEntry, LockFile};
use super::lock_files;
use super::plan::Plan;
use super::spec::StageSpec;
use super::workspace::Workspace;

/// Does the user know better than the records?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insist {
    /// The outputs are the result of the inputs as they are now.
    Yes,
    /// Only where the inputs are those of the last run.
    No,
}

/// A stage that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its address.
    pub stage: String,
    /// Its outputs that are not what was recorded before.
    pub changed: Vec<ArtifactPath>,
    /// Its outputs that were not in the cache, as after `repro --no-commit`.
    pub stored: Vec<ArtifactPath>,
    /// Is anything of it recorded anew, outputs or what they are the result of?
    pub is_new: bool,
}

/// Records the chosen stages, frozen ones and services apart, in `lock` (in memory and on disk), with
/// their outputs in the cache.
///
/// # Errors
/// A dep, param or output is missing, inputs changed without `insist`, or something cannot be read or
/// written. Nothing is written then.
pub fn commit(
    plan: &Plan<'_>,
    lock: &mut LockFile,
    workspace: &mut Workspace<'_>,
    insist: Insist,
    cancel: &Cancel,
) -> Result<Vec<Committed>, Error> {
    let graph = plan.graph();
    let mut problems = Vec::new();
    let mut recorded: Vec<(&StageSpec, Inputs)> = Vec::new();
    for &index in plan.order() {
        let stage = &graph.stages()[index];
        let none = BTreeMap::new();
        let records = RunRecords::Ignore;
        let judged = workspace.judge(stage, lock, &BTreeMap::new(), Force::No, records, &none);
        match judged {
            Err(error) => problems.push(graph.at_its_line(stage, error)),
            Ok(judged) => {
                let refused = match (&judged.decision, insist) {
                    (StageDecision::Skip(SkipReason::Frozen | SkipReason::Service), _) => continue,
                    (StageDecision::Run(reasons), Insist::No) => doubts(reasons),
                    _ => Vec::new(),
                };
                if refused.is_empty() {
                    recorded.push((stage, judged.inputs));
                    continue;
                }
                problems.push(Error::NotItsResult {
                    stage: stage.name.clone(),
                    what: refused.join(", "),
                });
            }
        }
    }
    for (stage, inputs) in &recorded {
        let missing = workspace.check_deps(graph, stage, inputs).err();
        problems.extend(missing);
        for path in stage.outs.keys() {
            if workspace.files.snapshot(path)? == Presence::Missing {
                problems.push(Error::NotProduced {
                    stage: stage.name.clone(),
                    path: path.clone(),
                });
            }
        }
    }
    match problems.len() {
        0 => {}
        1 => return Err(problems.swap_remove(0)),
        _ => return Err(Error::Several(problems)),
    }
    let mut done = Vec::new();
    let mut entries = Vec::new();
    for (stage, inputs) in recorded {
        let mut outs = BTreeMap::new();
        let mut stored = Vec::new();
        for path in stage.outs.keys() {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            let now = workspace.files.snapshot(path)?;
            if now != Presence::Missing && workspace.files.lacks(&now) {
                stored.push(path.clone());
            }
            let kept = workspace.files.keep(path).map_err(Error::keeping(path))?;
            outs.insert(path.clone(), kept);
        }
        let before = lock.stages.get(&stage.name);
        let is_new = |(path, now): &(&ArtifactPath, &Presence)| {
            before.and_then(|before| before.outs.get(*path)) != Some(*now)
        };
        let changed = outs.iter().filter(is_new).map(|(p, _)| p.clone()).collect();
        let entry = entry(stage, inputs, outs);
        done.push(Committed {
            stage: stage.name.to_string(),
            changed,
            stored,
            is_new: before != Some(&entry),
        });
        entries.push((stage, entry));
    }
    workspace.files.sync()?;
    let stages: Vec<&StageSpec> = entries.iter().map(|(stage, _)| *stage).collect();
    for (stage, entry) in entries {
        lock.stages.insert(stage.name.clone(), entry);
    }
    lock_files::write(workspace.files.project(), graph, lock)?;
    workspace.files.ignore_outs(stages)?;
    Ok(done)
}

fn entry(stage: &StageSpec, inputs: Inputs, outs: BTreeMap<ArtifactPath, Presence>) -> LockEntry {
    LockEntry {
        commands: inputs.commands,
        wdir: stage.wdir.clone(),
        deps: inputs.deps,
        params: inputs.params,
        env: inputs.env,
        outs,
    }
}

/// Returns what makes the outputs doubtful, as phrases.
fn doubts(reasons: &[RunReason]) -> Vec<String> {
    let doubt = |reason: &RunReason| match reason {
        RunReason::NeverRun => Some("it never ran here".to_owned()),
        RunReason::CommandChanged { .. } => Some("its command changed".to_owned()),
        RunReason::DependencyChanged { path, .. } | RunReason::UpstreamChanged { path, .. } => {
            Some(format!("its dependency `{path}` changed"))
        }
        RunReason::ParameterChanged(change) => {
            Some(format!("its parameter `{}` changed", change.name))
        }
        RunReason::EnvironmentChanged { name, .. } => {
            Some(format!("its environment variable `{name}` changed"))
        }
        RunReason::Forced
        | RunReason::AlwaysChanged
        | RunReason::Bare
        | RunReason::OutputMissing { .. }
        | RunReason::OutputModified { .. }
        | RunReason::OutputsRedeclared { .. } => None,
    };
    reasons.iter().filter_map(doubt).collect()
}
