//! `Plan`: which stages a command is about, in which order. Pure. Imports: base, graph.

mod target;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ArtifactPath;

use super::error::Error;
use super::graph::{Maker, StageGraph};
use super::spec::Freshness;

/// How far from its targets a command reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The targets and all they need; not what a frozen stage needs, for that never runs.
    #[default]
    Upstream,
    /// Only the targets.
    Single,
    /// The targets and all that needs them.
    Downstream,
}

/// How targets are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// As they are.
    #[default]
    Exact,
    /// The name of a stage is a pattern: `--glob`.
    Glob,
    /// The name of a stage, or the path of a pointer, of tracked data or of an output, is a pattern.
    GlobPaths,
    /// A folder means all pipeline files and pointers in and below it: `-R`.
    Below,
}

/// What of the pipelines of the targets is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// What `Reach` says.
    #[default]
    Targets,
    /// Whole pipelines, that is all stages connected with the targets: `-p`.
    Pipelines,
    /// All stages, whatever the targets: `-P`.
    Everything,
}

/// What is meant by no targets at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bare {
    /// Every stage and pointer.
    #[default]
    Everything,
    /// The pipeline file of the user's folder, or the nearest one above; everything where there is
    /// none.
    NearestFile,
}

/// How a command chooses. `Reach` alone is one, with everything else at its default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// How far it reaches.
    pub reach: Reach,
    /// The folder in which the user is, and to which targets are relative; `None` is the top.
    pub folder: Option<ArtifactPath>,
    /// How targets are meant.
    pub naming: Naming,
    /// What of their pipelines is chosen.
    pub scope: Scope,
    /// What is meant by no targets.
    pub bare: Bare,
}

impl From<Reach> for Selection {
    fn from(reach: Reach) -> Self {
        Self {
            reach,
            ..Self::default()
        }
    }
}

/// The chosen stages, in an order in which each comes after all it needs.
#[derive(Debug)]
pub struct Plan<'g> {
    graph: &'g StageGraph,
    order: Vec<usize>,
    chosen: BTreeSet<usize>,
    targets: BTreeSet<usize>,
    pointers: BTreeSet<usize>,
    services: Vec<usize>,
}

impl<'g> Plan<'g> {
    /// Chooses by targets: a stage (`train`, `sub/dvc.yaml:train`, `:train`), the group of a `foreach`
    /// or `matrix`, a pipeline file, a pointer, or a path that one of them writes or tracks.
    ///
    /// # Errors
    /// A target that is nothing of that, with the nearest name.
    pub fn select(
        graph: &'g StageGraph,
        targets: &[String],
        selection: impl Into<Selection>,
    ) -> Result<Self, Error> {
        let selection = selection.into();
        let mut named = BTreeSet::new();
        let mut services = Vec::new();
        for target in targets {
            let found = target::find(graph, target, &selection)?;
            if let [Maker::Stage(stage)] = found.as_slice()
                && graph.stages()[*stage].service.is_some()
                && !services.contains(stage)
            {
                services.push(*stage);
            }
            named.extend(found);
        }
        if targets.is_empty() && selection.bare == Bare::NearestFile {
            named = target::of_nearest_file(graph, selection.folder.as_ref());
        }
        let everything = match selection.scope {
            Scope::Everything => true,
            Scope::Targets | Scope::Pipelines => targets.is_empty() && named.is_empty(),
        };
        let makers = match (everything, selection.scope) {
            (true, _) => all(graph),
            (false, Scope::Pipelines) => connected(graph, &named),
            (false, _) => reached(graph, &named, selection.reach),
        };
        let stage = |maker: &Maker| match maker {
            Maker::Stage(stage) => Some(*stage),
            Maker::Pointer(_) => None,
        };
        let chosen: BTreeSet<usize> = makers.iter().filter_map(stage).collect();
        let pointers = makers.iter().filter_map(|maker| match maker {
            Maker::Pointer(pointer) => Some(*pointer),
            Maker::Stage(_) => None,
        });
        let order = graph.order().iter().copied();
        Ok(Self {
            graph,
            order: order.filter(|s| chosen.contains(s)).collect(),
            pointers: pointers.collect(),
            targets: if everything {
                chosen.clone()
            } else {
                named.iter().filter_map(stage).collect()
            },
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

    /// Returns the stages that were meant, without those that came along because of them.
    #[must_use]
    pub fn targets(&self) -> &BTreeSet<usize> {
        &self.targets
    }

    /// Returns the chosen pointers' numbers: those that were meant, and those whose data the chosen
    /// stages read.
    #[must_use]
    pub fn pointers(&self) -> &BTreeSet<usize> {
        &self.pointers
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

fn all(graph: &StageGraph) -> BTreeSet<Maker> {
    let stages = (0..graph.stages().len()).map(Maker::Stage);
    let pointers = (0..graph.pointers().len()).map(Maker::Pointer);
    stages.chain(pointers).collect()
}

/// Follows `reach` from what was named.
fn reached(graph: &StageGraph, named: &BTreeSet<Maker>, reach: Reach) -> BTreeSet<Maker> {
    let readers = match reach {
        Reach::Downstream => readers(graph),
        Reach::Upstream | Reach::Single => BTreeMap::new(),
    };
    let mut chosen = BTreeSet::new();
    let mut open: Vec<Maker> = named.iter().copied().collect();
    while let Some(maker) = open.pop() {
        if !chosen.insert(maker) {
            continue;
        }
        match (reach, maker) {
            (Reach::Upstream, Maker::Stage(stage)) => {
                if graph.stages()[stage].freshness != Freshness::Frozen {
                    open.extend(graph.upstream(stage).map(Maker::Stage));
                    open.extend(graph.sources(stage).iter().map(|p| Maker::Pointer(*p)));
                }
            }
            (Reach::Downstream, Maker::Stage(stage)) => {
                open.extend(graph.downstream(stage).map(Maker::Stage));
            }
            (Reach::Downstream, Maker::Pointer(pointer)) => {
                let stages = readers.get(&pointer).into_iter().flatten();
                open.extend(stages.map(|stage| Maker::Stage(*stage)));
            }
            (Reach::Single, _) | (Reach::Upstream, Maker::Pointer(_)) => {}
        }
    }
    chosen
}

/// Returns all that is connected with what was named, up and down.
fn connected(graph: &StageGraph, named: &BTreeSet<Maker>) -> BTreeSet<Maker> {
    let readers = readers(graph);
    let mut chosen = BTreeSet::new();
    let mut open: Vec<Maker> = named.iter().copied().collect();
    while let Some(maker) = open.pop() {
        if !chosen.insert(maker) {
            continue;
        }
        match maker {
            Maker::Stage(stage) => {
                let stages = graph.upstream(stage).chain(graph.downstream(stage));
                open.extend(stages.map(Maker::Stage));
                open.extend(graph.sources(stage).iter().map(|p| Maker::Pointer(*p)));
            }
            Maker::Pointer(pointer) => {
                let stages = readers.get(&pointer).into_iter().flatten();
                open.extend(stages.map(|stage| Maker::Stage(*stage)));
            }
        }
    }
    chosen
}

/// Returns, for each pointer, the stages that read its data.
fn readers(graph: &StageGraph) -> BTreeMap<usize, Vec<usize>> {
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for stage in 0..graph.stages().len() {
        for pointer in graph.sources(stage) {
            readers.entry(*pointer).or_default().push(stage);
        }
    }
    readers
}

#[cfg(test)]
mod tests;
