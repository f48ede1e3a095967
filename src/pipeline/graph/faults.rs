//! What no graph may have: an output of two makers, outputs inside one another, circles. Each is
//! shown with both places, in whatever files they stand. Imports: base, `pipeline::spec`.

use std::collections::BTreeMap;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::base::diag::{Source, Span};
use crate::base::doc::{Document, KeyPath};
use crate::base::{self, ArtifactPath, Diagnostic};
use crate::pipeline::error::Error;

use super::{Maker, Parts, touching};

/// Stages of a circle that a message names.
const NAMES_SHOWN: usize = 20;

/// Problems of several files.
#[derive(Default)]
struct Found(Vec<Diagnostic>);

impl Found {
    fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let first = self.0.iter().find_map(|d| d.labels.first());
        let name = first.map_or_else(String::new, |label| label.source.name.clone());
        Err(Error::Base(base::Error::Document {
            name,
            problems: self.0,
        }))
    }
}

/// A place in a file.
type Place = Option<(Arc<Source>, Span)>;

fn place(document: &Document, at: &KeyPath) -> Place {
    let located = document.locate(at)?;
    Some((Arc::clone(&document.source), located.value))
}

fn at(diagnostic: Diagnostic, place: Place, text: String) -> Diagnostic {
    match place {
        Some((source, span)) => diagnostic.label(&source, span, text),
        None => diagnostic,
    }
}

impl Parts {
    /// Returns how messages call the maker.
    fn name(&self, maker: Maker) -> &str {
        match maker {
            Maker::Stage(stage) => self.stages[stage].name.as_str(),
            Maker::Pointer(pointer) => self.pointers[pointer].file.as_str(),
        }
    }

    /// Returns what the maker does with its outputs.
    fn verb(maker: Maker) -> &'static str {
        match maker {
            Maker::Stage(_) => "written",
            Maker::Pointer(_) => "tracked",
        }
    }

    /// Returns where the maker declares the output `path`.
    fn declared(&self, maker: Maker, path: &ArtifactPath) -> Place {
        match maker {
            Maker::Stage(stage) => {
                let at = &self.stages[stage].outs.get(path)?.declared;
                place(&self.files[self.file_of[stage]].document, at)
            }
            Maker::Pointer(pointer) => {
                let pointer = &self.pointers[pointer];
                let out = pointer.outs.iter().find(|out| out.path == *path)?;
                place(pointer.document.as_ref()?, &out.declared.key("path"))
            }
        }
    }
}

/// Finds out who makes which path.
pub(super) fn find_makers(parts: &mut Parts) -> Result<(), Error> {
    let mut found = Found::default();
    let mut makers: BTreeMap<ArtifactPath, Maker> = BTreeMap::new();
    let stages = parts.stages.iter().enumerate();
    let of_stages = stages.flat_map(|(i, s)| s.outs.keys().map(move |p| (p, Maker::Stage(i))));
    let pointers = parts.pointers.iter().enumerate();
    let of_pointers =
        pointers.flat_map(|(i, p)| p.outs.iter().map(move |o| (&o.path, Maker::Pointer(i))));
    for (path, maker) in of_stages.chain(of_pointers) {
        match makers.get(path) {
            Some(&other) => found.0.push(twice(parts, path, maker, other)),
            None => {
                makers.insert(path.clone(), maker);
            }
        }
    }
    for (path, &maker) in &makers {
        for ancestor in path.ancestors() {
            if let Some(&other) = makers.get(&ancestor) {
                found
                    .0
                    .push(inside(parts, (path, maker), (&ancestor, other)));
            }
        }
    }
    parts.makers = makers;
    found.into_result()
}

fn twice(parts: &Parts, path: &ArtifactPath, maker: Maker, other: Maker) -> Diagnostic {
    let (name, other_name) = (parts.name(maker), parts.name(other));
    let headline = match (other, maker) {
        (Maker::Stage(_), Maker::Stage(_)) => {
            format!("`{path}` is written by both `{other_name}` and `{name}`")
        }
        _ => format!(
            "`{path}` is {} by `{other_name}` and {} by `{name}`",
            Parts::verb(other),
            Parts::verb(maker)
        ),
    };
    let already = format!("{} by `{other_name}` already", Parts::verb(other));
    let help = match (other, maker) {
        (Maker::Stage(_), Maker::Stage(_)) => "give each stage an output of its own".to_owned(),
        (_, Maker::Pointer(_)) => {
            format!("keep one of the two: drop the output, or remove `{name}`")
        }
        (Maker::Pointer(_), Maker::Stage(_)) => "keep one of the two".to_owned(),
    };
    let diagnostic = Diagnostic::error("output-written-twice", headline).help(help);
    let diagnostic = at(diagnostic, parts.declared(maker, path), already);
    let other_place = parts.declared(other, path);
    at(diagnostic, other_place, "first here".to_owned())
}

fn inside(
    parts: &Parts,
    (path, maker): (&ArtifactPath, Maker),
    (outer, other): (&ArtifactPath, Maker),
) -> Diagnostic {
    let kind = |maker| match maker {
        Maker::Stage(_) => "output",
        Maker::Pointer(_) => "tracked path",
    };
    let headline = format!(
        "the {} `{path}` lies inside the {} `{outer}`",
        kind(maker),
        kind(other)
    );
    let label = format!(
        "`{outer}` is {} by `{}`",
        Parts::verb(other),
        parts.name(other)
    );
    let diagnostic = Diagnostic::error("overlapping-outputs", headline)
        .help("declare only the outer folder, or move one of the two elsewhere");
    let diagnostic = at(diagnostic, parts.declared(maker, path), label);
    at(diagnostic, parts.declared(other, outer), String::new())
}

/// Describes every cycle as the path that a reader can follow, at the dep that closes it.
pub(super) fn cycles(graph: &DiGraph<usize, ()>, parts: &Parts) -> Error {
    let mut found = Found::default();
    for component in tarjan_scc(graph) {
        let first = component.iter().copied().min_by_key(|n| n.index());
        let Some(first) = first else { continue };
        let looped = component.len() > 1 || graph.contains_edge(first, first);
        if looped {
            found.0.push(circle(graph, parts, first));
        }
    }
    match found.into_result() {
        Err(e) => e,
        Ok(()) => Error::Bug("a cycle without a component"),
    }
}

fn circle(graph: &DiGraph<usize, ()>, parts: &Parts, first: NodeIndex) -> Diagnostic {
    let stages = &parts.stages;
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
    let consumer = &stages[first.index()];
    let closes = |path: &ArtifactPath| {
        touching(&parts.makers, path).any(|(_, maker)| maker == Maker::Stage(closing))
    };
    let dep = consumer.deps.iter().find(|(dep, _)| closes(dep));
    let param = consumer.params.iter().find(|(p, _)| closes(&p.file));
    let (what, declared) = match (dep, param) {
        (Some((dep, declared)), _) => (dep.as_str(), declared),
        (None, Some((param, declared))) => (param.file.as_str(), declared),
        (None, None) => ("", &consumer.declared),
    };
    let headline = if path.len() == 1 {
        format!(
            "stage `{}` depends on its own output `{what}`",
            consumer.name
        )
    } else {
        format!(
            "stages depend on each other in a circle: {} -> {}",
            names.join(" -> "),
            names[0]
        )
    };
    let document = &parts.files[parts.file_of[first.index()]].document;
    let mut diagnostic = Diagnostic::error("cycle", headline)
        .help("drop one of the deps in the circle, or split a stage in two");
    let label = format!("written by `{}`", stages[closing].name);
    diagnostic = at(diagnostic, place(document, declared), label);
    let mut files: Vec<&str> = path
        .iter()
        .map(|n| {
            parts.files[parts.file_of[n.index()]]
                .document
                .source
                .name
                .as_str()
        })
        .collect();
    files.sort_unstable();
    files.dedup();
    if files.len() > 1 {
        diagnostic = diagnostic.note(format!("the circle goes through {}", files.join(", ")));
    }
    diagnostic
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
