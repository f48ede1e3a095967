//! `StageGraph`: which stage needs which, acyclic and without overlapping outputs by construction.
//!
//! Pure. An edge exists where a dep of one stage is an out of another, lies inside one, or holds
//! one. Pointers are sources: what they track feeds stages, nothing feeds them.
//! Imports: base, `pipeline::{spec, pointer}`.

mod faults;

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::base::ArtifactPath;
use crate::base::diag::Label;
use crate::base::doc::Document;

use super::error::Error;
use super::pointer::Pointer;
use super::spec::{Pipeline, StageSpec};

/// Who writes or tracks a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    /// The stage with this number.
    Stage(usize),
    /// The pointer with this number.
    Pointer(usize),
}

/// A pipeline file of the graph.
#[derive(Debug)]
pub struct PipelineFile {
    /// Where it is; `None`: at the top of the project.
    pub file: Option<ArtifactPath>,
    /// Its text, for messages and for what else stands in it.
    pub document: Document,
    /// The params files that its templates were resolved with, whether or not they exist.
    pub template_files: Vec<ArtifactPath>,
}

/// The stages of a project and their order. Stages are numbered file by file, in file order.
#[derive(Debug)]
pub struct StageGraph {
    stages: Vec<StageSpec>,
    pointers: Vec<Pointer>,
    files: Vec<PipelineFile>,
    /// For each stage, the number of its file.
    file_of: Vec<usize>,
    /// Node weight: index into `stages`; an edge points from producer to consumer.
    graph: DiGraph<usize, ()>,
    /// For each stage, the pointers whose data it reads.
    sources: Vec<Vec<usize>>,
    /// Topological order, file order among equals.
    order: Vec<usize>,
    by_name: BTreeMap<String, usize>,
    makers: BTreeMap<ArtifactPath, Maker>,
}

/// What a graph is made of, with its outputs known to be disjoint.
struct Parts {
    stages: Vec<StageSpec>,
    pointers: Vec<Pointer>,
    files: Vec<PipelineFile>,
    file_of: Vec<usize>,
    makers: BTreeMap<ArtifactPath, Maker>,
}

impl StageGraph {
    /// Connects the stages of one pipeline file.
    ///
    /// # Errors
    /// As `connect`.
    pub fn build(pipeline: Pipeline) -> Result<Self, Error> {
        Self::connect(vec![pipeline], Vec::new())
    }

    /// Connects the stages of all pipeline files with each other and with the data of all pointers.
    ///
    /// # Errors
    /// All outputs written or tracked twice or lying inside one another; then all cycles.
    pub fn connect(pipelines: Vec<Pipeline>, pointers: Vec<Pointer>) -> Result<Self, Error> {
        let mut parts = Parts {
            stages: Vec::new(),
            pointers,
            files: Vec::new(),
            file_of: Vec::new(),
            makers: BTreeMap::new(),
        };
        for pipeline in pipelines {
            let number = parts.files.len();
            parts.file_of.extend(pipeline.stages.iter().map(|_| number));
            parts.stages.extend(pipeline.stages);
            parts.files.push(PipelineFile {
                file: pipeline.file,
                document: pipeline.document,
                template_files: pipeline.template_files,
            });
        }
        faults::find_makers(&mut parts)?;
        let mut graph = DiGraph::with_capacity(parts.stages.len(), parts.stages.len());
        for index in 0..parts.stages.len() {
            graph.add_node(index);
        }
        let mut sources = Vec::with_capacity(parts.stages.len());
        for (consumer, stage) in parts.stages.iter().enumerate() {
            let mut makers: Vec<Maker> = Vec::new();
            for path in stage.reads() {
                makers.extend(touching(&parts.makers, path).map(|(_, maker)| maker));
            }
            makers.sort_unstable();
            makers.dedup();
            let mut read = Vec::new();
            for maker in makers {
                match maker {
                    Maker::Stage(producer) => {
                        graph.add_edge(NodeIndex::new(producer), NodeIndex::new(consumer), ());
                    }
                    Maker::Pointer(pointer) => read.push(pointer),
                }
            }
            sources.push(read);
        }
        if toposort(&graph, None).is_err() {
            return Err(faults::cycles(&graph, &parts));
        }
        let order = file_order_toposort(&graph);
        let names = parts.stages.iter().enumerate();
        let by_name = names.map(|(i, s)| (s.name.to_string(), i)).collect();
        Ok(Self {
            stages: parts.stages,
            pointers: parts.pointers,
            files: parts.files,
            file_of: parts.file_of,
            graph,
            sources,
            order,
            by_name,
            makers: parts.makers,
        })
    }

    /// Returns the pipeline file at the top of the project, for what else stands in it.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        let top = self.files.iter().find(|file| file.file.is_none())?;
        Some(&top.document)
    }

    /// Returns the pipeline files, the one at the top first, then by path.
    #[must_use]
    pub fn files(&self) -> &[PipelineFile] {
        &self.files
    }

    /// Returns the pipeline file of a stage.
    #[must_use]
    pub fn file_of(&self, stage: usize) -> &PipelineFile {
        &self.files[self.file_of[stage]]
    }

    /// Returns all stages, in file order.
    #[must_use]
    pub fn stages(&self) -> &[StageSpec] {
        &self.stages
    }

    /// Returns all pointers, by path.
    #[must_use]
    pub fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// Returns the number of the stage with the address `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Returns the numbers of the stages made for the `foreach` or `matrix` with the address `group`.
    #[must_use]
    pub fn group(&self, group: &str) -> Vec<usize> {
        let in_group = |stage: &StageSpec| stage.name.group() == Some(group);
        let numbered = self.stages.iter().enumerate();
        numbered
            .filter_map(|(i, stage)| in_group(stage).then_some(i))
            .collect()
    }

    /// Returns the number of the pointer whose file is `path`.
    #[must_use]
    pub fn find_pointer(&self, path: &ArtifactPath) -> Option<usize> {
        self.pointers
            .iter()
            .position(|pointer| pointer.file == *path)
    }

    /// Returns who writes or tracks `path`, or the nearest folder above it.
    #[must_use]
    pub fn maker_of(&self, path: &ArtifactPath) -> Option<Maker> {
        std::iter::once(path.clone())
            .chain(path.ancestors())
            .find_map(|p| self.makers.get(&p).copied())
    }

    /// Returns the stage that writes `path`, or the nearest folder above it.
    #[must_use]
    pub fn producer_of(&self, path: &ArtifactPath) -> Option<usize> {
        match self.maker_of(path)? {
            Maker::Stage(stage) => Some(stage),
            Maker::Pointer(_) => None,
        }
    }

    /// Returns the outputs of stages that `dep` is, lies in, or holds, with the number of their stage.
    #[must_use]
    pub fn outs_touching(&self, dep: &ArtifactPath) -> Vec<(ArtifactPath, usize)> {
        touching(&self.makers, dep)
            .filter_map(|(path, maker)| match maker {
                Maker::Stage(stage) => Some((path.clone(), stage)),
                Maker::Pointer(_) => None,
            })
            .collect()
    }

    /// Returns everything written or tracked that `path` is, lies in, or holds, and by whom.
    #[must_use]
    pub fn makers_touching(&self, path: &ArtifactPath) -> Vec<(ArtifactPath, Maker)> {
        touching(&self.makers, path)
            .map(|(path, maker)| (path.clone(), maker))
            .collect()
    }

    /// Returns the pointers whose data `stage` reads.
    #[must_use]
    pub fn sources(&self, stage: usize) -> &[usize] {
        &self.sources[stage]
    }

    /// Adds to an error about what `stage` needs the line that says so.
    #[must_use]
    pub fn at_its_line(&self, stage: &StageSpec, error: Error) -> Error {
        let place = match &error {
            Error::MissingDependency { path, .. } => stage.deps.get(path).cloned(),
            Error::FrozenMissing { path, .. } | Error::OutInGit { path, .. } => {
                stage.outs.get(path).map(|out| out.declared.clone())
            }
            Error::NeverFits { what, .. } => Some(stage.declared.key("resources").key(what)),
            Error::MissingParamsFile { file, .. } => stage
                .params
                .iter()
                .find(|(param, _)| param.file == *file)
                .map(|(_, at)| at.clone()),
            Error::MissingParam { file, key, .. } => stage
                .params
                .iter()
                .find(|(param, _)| param.file == *file && param.key.to_string() == *key)
                .map(|(_, at)| at.clone()),
            _ => None,
        };
        let document = self
            .find(stage.name.as_str())
            .map(|i| &self.file_of(i).document);
        let located = place.zip(document).and_then(|(at, document)| {
            let located = document.locate(&at)?;
            Some((document.source.clone(), located))
        });
        match located {
            None => error,
            Some((source, located)) => {
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

/// Returns what `path` is, lies in, or holds.
fn touching<'m>(
    makers: &'m BTreeMap<ArtifactPath, Maker>,
    path: &ArtifactPath,
) -> impl Iterator<Item = (&'m ArtifactPath, Maker)> {
    let around: Vec<_> = std::iter::once(path.clone())
        .chain(path.ancestors())
        .filter_map(|p| makers.get_key_value(&p))
        .collect();
    // Paths inside `path` follow each other, from `path` + "/" on.
    let folder = path.clone();
    let inside = makers
        .range(path.first_inside()..)
        .take_while(move |(p, _)| folder.contains(p));
    around
        .into_iter()
        .chain(inside)
        .map(|(path, &maker)| (path, maker))
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

#[cfg(test)]
mod tests;
