//! `Plan`: which stages a command is about, in which order. Pure. Imports: base, graph.

use std::collections::BTreeSet;

use crate::base::ArtifactPath;
use crate::base::diag::nearest;

use super::error::Error;
use super::graph::StageGraph;

/// How far from its targets a command reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The targets and all they need.
    Upstream,
    /// Only the targets.
    Single,
    /// The targets and all that needs them.
    Downstream,
}

/// The chosen stages, in an order in which each comes after all it needs.
#[derive(Debug)]
pub struct Plan<'g> {
    graph: &'g StageGraph,
    order: Vec<usize>,
    chosen: BTreeSet<usize>,
    services: Vec<usize>,
}

impl<'g> Plan<'g> {
    /// Chooses by stage names or output paths; no targets means all stages.
    ///
    /// # Errors
    /// A target that is neither, with the nearest stage name.
    pub fn select(graph: &'g StageGraph, targets: &[String], reach: Reach) -> Result<Self, Error> {
        if targets.is_empty() {
            let order = graph.order().to_vec();
            let chosen = order.iter().copied().collect();
            return Ok(Self {
                graph,
                order,
                chosen,
                services: Vec::new(),
            });
        }
        let mut chosen = BTreeSet::new();
        let mut services = Vec::new();
        for target in targets {
            let stage = graph
                .find(target)
                .or_else(|| graph.producer_of(&target.parse::<ArtifactPath>().ok()?))
                .ok_or_else(|| {
                    let names = graph.stages().iter().map(|s| s.name.as_str());
                    Error::UnknownTarget {
                        target: target.clone(),
                        nearest: nearest(target, names).map(str::to_owned),
                    }
                })?;
            if graph.stages()[stage].service.is_some() && !services.contains(&stage) {
                services.push(stage);
            }
            let mut stack = vec![stage];
            while let Some(stage) = stack.pop() {
                if chosen.insert(stage) {
                    match reach {
                        Reach::Upstream => stack.extend(graph.upstream(stage)),
                        Reach::Downstream => stack.extend(graph.downstream(stage)),
                        Reach::Single => {}
                    }
                }
            }
        }
        let order = graph
            .order()
            .iter()
            .copied()
            .filter(|s| chosen.contains(s))
            .collect();
        Ok(Self {
            graph,
            order,
            chosen,
            services,
        })
    }

    /// Returns the graph chosen from.
    #[must_use]
    pub fn graph(&self) -> &'g StageGraph {
        self.graph
    }

    /// Returns the chosen stages' numbers, in order.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Returns the services that were asked for by name: the only ones that are to be started.
    #[must_use]
    pub fn services(&self) -> &[usize] {
        &self.services
    }

    /// Is the stage with this number chosen?
    #[must_use]
    pub fn contains(&self, stage: usize) -> bool {
        self.chosen.contains(&stage)
    }
}
