//! Walks a plan without running it: what `status`, `why` and `--dry` show.
//!
//! A stage below one that will run cannot be judged before that one ran (it may write the same
//! bytes again), so it `DependsOn` it, unless something else already makes it run. A stage below
//! one that will be *restored* can be judged: the outputs are known from the record. Writes
//! nothing. Imports: base, store, decide, graph, plan, workspace.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::store::Presence;

use super::decide::RunRecords;
use super::decide::{Force, StageDecision};
use super::error::Error;
use super::lock::LockFile;
use super::plan::Plan;
use super::spec::StageName;
use super::workspace::Workspace;

/// What will happen to a stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Forecast {
    /// Known now.
    Certain(StageDecision),
    /// Depends on what these stages will write.
    DependsOn(Vec<StageName>),
}

/// Judges every stage of `plan`, in its order; the result is parallel to `plan.order()`.
///
/// # Errors
/// Params that cannot be read, or files that cannot be inspected.
pub fn forecast(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
    force: Force,
    records: RunRecords,
) -> Result<Vec<Forecast>, Error> {
    let graph = plan.graph();
    let mut by_stage: BTreeMap<usize, Forecast> = BTreeMap::new();
    // Outputs whose content is known although they are not in place yet.
    let mut predicted: BTreeMap<ArtifactPath, Presence> = BTreeMap::new();
    for &index in plan.order() {
        let stage = &graph.stages()[index];
        let mut waits_for: Vec<StageName> = Vec::new();
        for dep in stage.reads() {
            for (out, producer) in graph.outs_touching(dep) {
                let unknown = match by_stage.get(&producer) {
                    Some(Forecast::Certain(StageDecision::Run(_)) | Forecast::DependsOn(_)) => true,
                    // Only the whole output's hash is recorded, not that of a part of it.
                    Some(Forecast::Certain(StageDecision::Restore { .. })) => out != *dep,
                    Some(Forecast::Certain(StageDecision::Cached | StageDecision::Skip(_)))
                    | None => false,
                };
                let name = &graph.stages()[producer].name;
                if unknown && !waits_for.contains(name) {
                    waits_for.push(name.clone());
                }
            }
        }
        let judged =
            match workspace.judge(stage, lock, &BTreeMap::new(), force, records, &predicted) {
                Ok(judged) => judged,
                // Its params come from a stage that has not run yet.
                Err(Error::MissingParamsFile { .. } | Error::MissingParam { .. })
                    if stage
                        .params
                        .keys()
                        .any(|p| !graph.outs_touching(&p.file).is_empty()) =>
                {
                    by_stage.insert(index, Forecast::DependsOn(waits_for));
                    continue;
                }
                Err(error) => return Err(graph.at_its_line(stage, error)),
            };
        let forecast = if waits_for.is_empty() {
            Forecast::Certain(judged.decision)
        } else {
            match judged.decision {
                skip @ StageDecision::Skip(_) => Forecast::Certain(skip),
                StageDecision::Run(reasons) => {
                    let own: Vec<_> = reasons
                        .into_iter()
                        .filter(|r| stands_alone(r, plan, &waits_for))
                        .collect();
                    if own.is_empty() {
                        Forecast::DependsOn(waits_for)
                    } else {
                        Forecast::Certain(StageDecision::Run(own))
                    }
                }
                StageDecision::Cached | StageDecision::Restore { .. } => {
                    Forecast::DependsOn(waits_for)
                }
            }
        };
        if let Forecast::Certain(StageDecision::Restore { entry, .. }) = &forecast {
            predicted.extend(entry.outs.iter().map(|(p, o)| (p.clone(), *o)));
        }
        by_stage.insert(index, forecast);
    }
    Ok(plan
        .order()
        .iter()
        .filter_map(|index| by_stage.remove(index))
        .collect())
}

/// Does the reason hold whatever the stages in `waits_for` will write?
fn stands_alone(
    reason: &super::decide::RunReason,
    plan: &Plan<'_>,
    waits_for: &[StageName],
) -> bool {
    use super::decide::RunReason as R;
    match reason {
        R::Forced
        | R::AlwaysChanged
        | R::Bare
        | R::NeverRun
        | R::CommandChanged { .. }
        | R::ParameterChanged(_)
        | R::EnvironmentChanged { .. }
        | R::OutputsRedeclared { .. } => true,
        R::DependencyChanged { path, .. } | R::UpstreamChanged { path, .. } => plan
            .graph()
            .outs_touching(path)
            .iter()
            .all(|(_, producer)| !waits_for.contains(&plan.graph().stages()[*producer].name)),
        // With other inputs the output would be restored or remade anyway.
        R::OutputMissing { .. } | R::OutputModified { .. } => false,
    }
}
