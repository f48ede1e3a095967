//! What swept parameters change through templates: the pipeline as a trial sees it, and the stages
//! that read a parameter in this way. Imports: base, pipeline.

use std::collections::BTreeSet;

use crate::base::doc::Value;
use crate::pipeline::{Plan, Reach, StageGraph, StageName, StageSpec, variant};
use crate::project::Project;

use super::super::Error;
use super::domain::Domain;
use super::params;
use super::space::{Dimension, Space};
use super::state::Definition;

/// So many values of a choice are tried to see what it changes.
const PROBES: usize = 3;

/// Which stages each swept parameter changes through templates.
#[derive(Debug, Default)]
pub struct Templated {
    by_dimension: Vec<BTreeSet<StageName>>,
}

impl Templated {
    /// Finds the stages of `graph` that read otherwise with other values of the parameters of
    /// `space`, by trying some.
    ///
    /// # Errors
    /// With one of these values the pipeline cannot be read; or a params file is broken.
    pub fn find(project: &Project, graph: &StageGraph, space: &Space) -> Result<Self, Error> {
        let files = params::read(space, &project.root)?;
        let mut found = Self::default();
        for dimension in &space.dimensions {
            let alone = Space {
                dimensions: vec![dimension.clone()],
            };
            let mut changed = BTreeSet::new();
            for value in probes(dimension) {
                let with = params::with_values(&files, &alone, std::slice::from_ref(&value))?;
                let read = variant::with_params(project, graph, &with);
                let read = read.map_err(|error| Error::Variant {
                    values: format!("{}={}", dimension.param, super::domain::Written(&value)),
                    error: Box::new(error),
                })?;
                // No template reads this file, whatever the value.
                let Some(other) = read else { break };
                changed.extend(differing(graph, &other));
            }
            found.by_dimension.push(changed);
        }
        Ok(found)
    }

    /// Does the parameter with this number change `stage`?
    #[must_use]
    pub fn reads(&self, stage: &StageName, dimension: usize) -> bool {
        self.by_dimension
            .get(dimension)
            .is_some_and(|stages| stages.contains(stage))
    }

    /// Does any parameter change `stage`?
    #[must_use]
    pub fn changes(&self, stage: &StageName) -> bool {
        self.by_dimension.iter().any(|s| s.contains(stage))
    }
}

fn probes(dimension: &Dimension) -> Vec<Value> {
    match &dimension.domain {
        Domain::Choices { values, .. } => values.iter().take(PROBES).cloned().collect(),
        // As the sampler would write them.
        Domain::Interval(_) => (1..)
            .filter_map(|number| {
                let alone = Space {
                    dimensions: vec![dimension.clone()],
                };
                super::sampler::random::propose(&alone, 0, number).pop()
            })
            .take(PROBES)
            .collect(),
    }
}

/// Returns the stages that are in one of the two only, or not the same in both.
fn differing(one: &StageGraph, other: &StageGraph) -> Vec<StageName> {
    let missing = |graph: &StageGraph, stage: &StageSpec| graph.find(stage.name.as_str()).is_none();
    let new = other.stages().iter().filter(|stage| missing(one, stage));
    let changed = one.stages().iter().filter(|stage| {
        other
            .find(stage.name.as_str())
            .is_none_or(|i| !same(stage, &other.stages()[i]))
    });
    new.chain(changed).map(|stage| stage.name.clone()).collect()
}

/// Are two stages of one name the same to whoever runs them?
fn same(one: &StageSpec, other: &StageSpec) -> bool {
    one.commands == other.commands
        && one.wdir == other.wdir
        && one.deps.keys().eq(other.deps.keys())
        && one.params.keys().eq(other.params.keys())
        && one.outs.keys().eq(other.outs.keys())
        && one.env == other.env
        && one.service == other.service
}

/// Calls `look` with the plan as the first trial sees it. What trials have in common is read there:
/// it does not change when the values of swept parameters in the user's own files do.
///
/// # Errors
/// With its values the pipeline cannot be read, or `look` fails.
pub(super) fn with_first<T>(
    definition: &Definition,
    plan: &Plan<'_>,
    project: &Project,
    look: impl FnOnce(&Plan<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let space = &definition.space;
    let Some(values) = definition.method.propose(space, definition.seed, 1) else {
        return look(plan);
    };
    let files = params::with_values(&params::read(space, &project.root)?, space, &values)?;
    match variant::with_params(project, plan.graph(), &files)? {
        None => look(plan),
        Some(graph) => look(&Plan::select(&graph, &definition.targets, Reach::Upstream)?),
    }
}
