//! The graph as names and arrows, ready to be drawn: stages and pointers, or their outputs, or with
//! the stages of each `foreach` and `matrix` as one. Pure. Imports: base, graph, plan.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Maker, StageGraph};
use super::plan::Plan;

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The names, stages before pointers, and who has each; `None` for what stands for several.
    pub nodes: Vec<(String, Option<Maker>)>,
    /// From what is needed to what needs it, by place in `nodes`; sorted.
    pub edges: Vec<(usize, usize)>,
}

impl Outline {
    /// Returns the chosen stages and pointers.
    #[must_use]
    pub fn of(plan: &Plan<'_>) -> Self {
        let graph = plan.graph();
        let makers = makers(plan);
        let places: BTreeMap<Maker, usize> = makers.iter().copied().zip(0..).collect();
        let mut edges = Vec::new();
        for (&maker, &to) in &places {
            for needed in needs(graph, maker) {
                edges.extend(places.get(&needed).map(|&from| (from, to)));
            }
        }
        edges.sort_unstable();
        let nodes = makers.into_iter();
        Self {
            nodes: nodes.map(|m| (name(graph, m), Some(m))).collect(),
            edges,
        }
    }

    /// Returns what the chosen stages write and the chosen pointers track.
    #[must_use]
    pub fn of_outs(plan: &Plan<'_>) -> Self {
        let graph = plan.graph();
        let mut outline = Self::default();
        let mut places = BTreeMap::new();
        for maker in makers(plan) {
            let outs: Vec<_> = match maker {
                Maker::Stage(stage) => graph.stages()[stage].outs.keys().collect(),
                Maker::Pointer(p) => graph.pointers()[p].outs.iter().map(|o| &o.path).collect(),
            };
            for path in outs {
                places.insert(path, outline.nodes.len());
                outline.nodes.push((path.to_string(), Some(maker)));
            }
        }
        let mut edges = BTreeSet::new();
        for &stage in plan.order() {
            let stage = &graph.stages()[stage];
            for dep in stage.reads() {
                for (from, _) in graph.makers_touching(dep) {
                    let ends = stage.outs.keys().filter_map(|out| places.get(out));
                    let from = places.get(&from);
                    edges.extend(ends.filter_map(|&to| Some((*from?, to))));
                }
            }
        }
        outline.edges = edges.into_iter().collect();
        outline
    }

    /// Returns the outline with the stages of each group as one node.
    #[must_use]
    pub fn collapsed(self, graph: &StageGraph) -> Self {
        let mut nodes: Vec<(String, Option<Maker>)> = Vec::new();
        let mut at: BTreeMap<String, usize> = BTreeMap::new();
        let mut moved = Vec::with_capacity(self.nodes.len());
        for (name, maker) in self.nodes {
            let group = match maker {
                Some(Maker::Stage(stage)) => graph.stages()[stage].name.group(),
                Some(Maker::Pointer(_)) | None => None,
            };
            let node = match group {
                Some(group) => (group.to_owned(), None),
                None => (name, maker),
            };
            let place = *at.entry(node.0.clone()).or_insert_with(|| {
                nodes.push(node);
                nodes.len() - 1
            });
            moved.push(place);
        }
        let edges = self.edges.into_iter().map(|(a, b)| (moved[a], moved[b]));
        let edges: BTreeSet<_> = edges.filter(|(from, to)| from != to).collect();
        Self {
            nodes,
            edges: edges.into_iter().collect(),
        }
    }
}

fn makers(plan: &Plan<'_>) -> Vec<Maker> {
    let stages = (0..plan.graph().stages().len()).filter(|stage| plan.contains(*stage));
    let pointers = plan
        .pointers()
        .iter()
        .map(|pointer| Maker::Pointer(*pointer));
    stages.map(Maker::Stage).chain(pointers).collect()
}

fn needs(graph: &StageGraph, maker: Maker) -> Vec<Maker> {
    match maker {
        Maker::Stage(stage) => {
            let sources = graph.sources(stage).iter().map(|p| Maker::Pointer(*p));
            graph
                .upstream(stage)
                .map(Maker::Stage)
                .chain(sources)
                .collect()
        }
        Maker::Pointer(_) => Vec::new(),
    }
}

fn name(graph: &StageGraph, maker: Maker) -> String {
    match maker {
        Maker::Stage(stage) => graph.stages()[stage].name.to_string(),
        Maker::Pointer(pointer) => graph.pointers()[pointer].file.to_string(),
    }
}
