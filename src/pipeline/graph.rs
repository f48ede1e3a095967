//! `StageGraph`: which stage needs which, acyclic and without overlapping outputs by construction.
//!
//! Pure. An edge exists where a dep of one stage is an out of another, lies inside one, or holds
//! one. Imports: base, `pipeline::spec`.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::base::ArtifactPath;
use crate::base::diag::Label;
use crate::base::doc::{Document, KeyPath, On, Problems};

use super::error::Error;
use super::spec::{Pipeline, StageName, StageSpec};

/// The stages of a project and their order. Stages are numbered in file order.
#[derive(Debug)]
pub struct StageGraph {
    stages: Vec<StageSpec>,
    /// Node weight: index into `stages`; an edge points from producer to consumer.
    graph: DiGraph<usize, ()>,
    /// Topological order, file order among equals.
    order: Vec<usize>,
    by_name: BTreeMap<StageName, usize>,
    producers: BTreeMap<ArtifactPath, usize>,
    /// The pipeline file, for messages.
    document: Document,
}

impl StageGraph {
    /// Connects the stages of `pipeline`.
    ///
    /// # Errors
    /// All outputs written by two stages or lying inside one another; then all cycles.
    pub fn build(pipeline: Pipeline) -> Result<Self, Error> {
        let Pipeline {
            stages, document, ..
        } = pipeline;
        let producers = find_producers(&stages, &document)?;
        let mut graph = DiGraph::new();
        for index in 0..stages.len() {
            graph.add_node(index);
        }
        for (consumer, stage) in stages.iter().enumerate() {
            let mut from: Vec<usize> = stage
                .reads()
                .flat_map(|path| touching(&producers, path))
                .map(|(_, producer)| producer)
                .collect();
            from.sort_unstable();
            from.dedup();
            for producer in from {
                graph.add_edge(NodeIndex::new(producer), NodeIndex::new(consumer), ());
            }
        }
        if toposort(&graph, None).is_err() {
            return Err(cycles(&graph, &stages, &producers, &document));
        }
        let order = file_order_toposort(&graph);
        let by_name = stages
            .iter()
            .enumerate()
            .map(|(i, s)| (s.name.clone(), i))
            .collect();
        Ok(Self {
            stages,
            graph,
            order,
            by_name,
            producers,
            document,
        })
    }

    /// Returns the pipeline file, for what else stands in it.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Returns all stages, in file order.
    #[must_use]
    pub fn stages(&self) -> &[StageSpec] {
        &self.stages
    }

    /// Returns the number of the stage called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name
            .iter()
            .find(|(n, _)| n.as_str() == name)
            .map(|(_, i)| *i)
    }

    /// Returns the stage that writes `path`, or the nearest folder above it.
    #[must_use]
    pub fn producer_of(&self, path: &ArtifactPath) -> Option<usize> {
        std::iter::once(path.clone())
            .chain(path.ancestors())
            .find_map(|p| self.producers.get(&p).copied())
    }

    /// Returns the outputs that `dep` is, lies in, or holds, with the number of their stage.
    pub fn outs_touching(&self, dep: &ArtifactPath) -> Vec<(ArtifactPath, usize)> {
        touching(&self.producers, dep)
    }

    /// Adds to an error about what `stage` needs the line that says so.
    #[must_use]
    pub fn at_its_line(&self, stage: &StageSpec, error: Error) -> Error {
        let place = match &error {
            Error::MissingDependency { path, .. } => stage.deps.get(path),
            Error::MissingParamsFile { file, .. } => stage
                .params
                .iter()
                .find(|(param, _)| param.file == *file)
                .map(|(_, at)| at),
            Error::MissingParam { file, key, .. } => stage
                .params
                .iter()
                .find(|(param, _)| param.file == *file && param.key.to_string() == *key)
                .map(|(_, at)| at),
            _ => None,
        };
        match place.and_then(|at| self.document.locate(at)) {
            None => error,
            Some(located) => {
                let source = self.document.source.clone();
                let span = located.key.unwrap_or(located.value);
                let label = Box::new(Label {
                    source,
                    span,
                    text: String::new(),
                });
                Error::At {
                    error: Box::new(error),
                    label,
                }
            }
        }
    }

    /// Returns the stages in an order in which each comes after all it needs.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Returns the stages that `stage` needs directly.
    pub fn upstream(&self, stage: usize) -> impl Iterator<Item = usize> {
        self.graph
            .neighbors_directed(NodeIndex::new(stage), Direction::Incoming)
            .map(|n| self.graph[n])
    }

    /// Returns the stages that need `stage` directly.
    pub fn downstream(&self, stage: usize) -> impl Iterator<Item = usize> {
        self.graph
            .neighbors_directed(NodeIndex::new(stage), Direction::Outgoing)
            .map(|n| self.graph[n])
    }

    /// Returns all edges as (producer, consumer), sorted.
    #[must_use]
    pub fn edges(&self) -> Vec<(usize, usize)> {
        let mut edges: Vec<_> = self
            .graph
            .edge_references()
            .map(|e| (self.graph[e.source()], self.graph[e.target()]))
            .collect();
        edges.sort_unstable();
        edges
    }
}

fn touching(
    producers: &BTreeMap<ArtifactPath, usize>,
    dep: &ArtifactPath,
) -> Vec<(ArtifactPath, usize)> {
    let around = std::iter::once(dep.clone())
        .chain(dep.ancestors())
        .filter_map(|p| producers.get(&p).map(|&i| (p, i)));
    // Paths inside `dep` follow each other, from `dep` + "/" on.
    let inside = producers
        .range(dep.first_inside()..)
        .take_while(|(p, _)| dep.contains(p))
        .map(|(p, &i)| (p.clone(), i));
    around.chain(inside).collect()
}

fn find_producers(
    stages: &[StageSpec],
    document: &Document,
) -> Result<BTreeMap<ArtifactPath, usize>, Error> {
    let problems = Problems::new(document);
    let mut producers: BTreeMap<ArtifactPath, usize> = BTreeMap::new();
    for (index, stage) in stages.iter().enumerate() {
        for (path, out) in &stage.outs {
            if let Some(&other) = producers.get(path) {
                problems.report(
                    &out.declared,
                    On::Value,
                    "output-written-twice",
                    format!(
                        "`{path}` is written by both `{}` and `{}`",
                        stages[other].name, stage.name
                    ),
                    format!("`{}` writes it already", stages[other].name),
                    Some("give each stage an output of its own".to_owned()),
                );
            } else {
                producers.insert(path.clone(), index);
            }
        }
    }
    for (path, &index) in &producers {
        for ancestor in path.ancestors() {
            if let Some(&other) = producers.get(&ancestor) {
                problems.report(
                    &stages[index].outs[path].declared,
                    On::Value,
                    "overlapping-outputs",
                    format!("the output `{path}` lies inside the output `{ancestor}`"),
                    format!("`{ancestor}` is written by `{}`", stages[other].name),
                    Some(
                        "declare only the outer folder, or move one of the two elsewhere"
                            .to_owned(),
                    ),
                );
            }
        }
    }
    Ok(problems.into_result(producers)?)
}

/// Kahn's algorithm with the smallest file position first, so that the order is stable.
fn file_order_toposort(graph: &DiGraph<usize, ()>) -> Vec<usize> {
    let mut missing: Vec<usize> = graph
        .node_indices()
        .map(|n| graph.neighbors_directed(n, Direction::Incoming).count())
        .collect();
    let mut ready: std::collections::BTreeSet<usize> =
        (0..missing.len()).filter(|&i| missing[i] == 0).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for consumer in graph.neighbors_directed(NodeIndex::new(next), Direction::Outgoing) {
            let i = consumer.index();
            missing[i] -= 1;
            if missing[i] == 0 {
                ready.insert(i);
            }
        }
    }
    order
}

/// Stages of a circle that a message names.
const NAMES_SHOWN: usize = 20;

/// Describes every cycle as the path that a reader can follow, at the dep that closes it.
fn cycles(
    graph: &DiGraph<usize, ()>,
    stages: &[StageSpec],
    producers: &BTreeMap<ArtifactPath, usize>,
    document: &Document,
) -> Error {
    let problems = Problems::new(document);
    for component in tarjan_scc(graph) {
        let first = component.iter().copied().min_by_key(|n| n.index());
        let Some(first) = first else { continue };
        let looped = component.len() > 1 || graph.contains_edge(first, first);
        if !looped {
            continue;
        }
        let path = shortest_cycle(graph, first);
        let mut names: Vec<String> = path
            .iter()
            .take(NAMES_SHOWN)
            .map(|n| format!("`{}`", stages[n.index()].name))
            .collect();
        if NAMES_SHOWN < path.len() {
            names.push(format!("({} more)", path.len() - NAMES_SHOWN));
        }
        // The last stage of the path needs something that `first` must wait for.
        let closing = path.last().copied().unwrap_or(first).index();
        let dep_of = |consumer: usize, producer: usize| -> (KeyPath, String) {
            stages[consumer]
                .deps
                .iter()
                .find(|(dep, _)| touching(producers, dep).iter().any(|(_, p)| *p == producer))
                .map_or(
                    (stages[consumer].declared.clone(), String::new()),
                    |(dep, at)| (at.clone(), dep.to_string()),
                )
        };
        let (at, dep) = dep_of(first.index(), closing);
        let headline = if path.len() == 1 {
            format!(
                "stage `{}` depends on its own output `{dep}`",
                stages[first.index()].name
            )
        } else {
            format!(
                "stages depend on each other in a circle: {} -> {}",
                names.join(" -> "),
                names[0]
            )
        };
        problems.report(
            &at,
            On::Value,
            "cycle",
            headline,
            format!("written by `{}`", stages[closing].name),
            Some("drop one of the deps in the circle, or split a stage in two".to_owned()),
        );
    }
    match problems.into_result(()) {
        Err(e) => e.into(),
        Ok(()) => Error::Bug("a cycle without a component"),
    }
}

/// Breadth-first search from `start` back to itself; the path starts with `start`.
fn shortest_cycle(graph: &DiGraph<usize, ()>, start: NodeIndex) -> Vec<NodeIndex> {
    let mut before: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors_directed(node, Direction::Outgoing) {
            if next == start {
                let mut path = vec![node];
                while let Some(&previous) = before.get(path.last().unwrap_or(&start)) {
                    path.push(previous);
                }
                path.reverse();
                return path;
            }
            if next != start && !before.contains_key(&next) {
                before.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;
    use crate::pipeline::spec;
    use proptest::prelude::*;

    fn build(yaml: &str) -> Result<StageGraph, Error> {
        let document = Document::parse("pipeline.yaml", yaml.to_owned(), Format::Yaml)?;
        StageGraph::build(spec::read(document)?)
    }

    #[track_caller]
    fn check_error(yaml: &str, headline: &str) {
        use crate::base::ToDiagnostics;
        let diagnostics = build(yaml).unwrap_err().to_diagnostics();
        assert_eq!(diagnostics[0].headline, headline);
    }

    #[test]
    fn edges_follow_paths_in_both_directions() {
        let graph = build(
            "stages:\n  c: {cmd: x, deps: [d/sub/file], outs: [e]}\n  a: {cmd: x, outs: [d]}\n  b: {cmd: x, outs: [f/g]}\n  d: {cmd: x, deps: [f, ff]}\n",
        )
        .unwrap();
        assert_eq!(graph.edges(), [(1, 0), (2, 3)]);
        assert_eq!(graph.order(), [1, 0, 2, 3]);
    }

    #[test]
    fn cycles_and_overlaps_are_named() {
        check_error(
            "stages:\n  a: {cmd: x, deps: [c], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n  c: {cmd: x, deps: [b], outs: [c]}\n",
            "stages depend on each other in a circle: `a` -> `b` -> `c` -> `a`",
        );
        check_error(
            "stages:\n  a: {cmd: x, deps: [o/f], outs: [o]}\n",
            "stage `a` depends on its own output `o/f`",
        );
        check_error(
            "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o]}\n",
            "`o` is written by both `a` and `b`",
        );
        check_error(
            "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o/p/q]}\n",
            "the output `o/p/q` lies inside the output `o`",
        );
    }

    proptest! {
        #[test]
        fn order_respects_every_edge(needs in proptest::collection::vec(proptest::collection::vec(0usize..12, 0..3), 1..12)) {
            let mut yaml = "stages:\n".to_owned();
            for (i, deps) in needs.iter().enumerate() {
                let deps: std::collections::BTreeSet<String> =
                    deps.iter().filter(|&&d| d < i).map(|d| format!("o{d}")).collect();
                let deps: Vec<_> = deps.into_iter().collect();
                yaml += &format!("  s{i}: {{cmd: x, deps: [{}], outs: [o{i}]}}\n", deps.join(", "));
            }
            let graph = build(&yaml).unwrap();
            let mut place = vec![0; needs.len()];
            for (at, &stage) in graph.order().iter().enumerate() {
                place[stage] = at;
            }
            for (from, to) in graph.edges() {
                prop_assert!(place[from] < place[to]);
            }
        }
    }
}
