//! The stages as a drawing whose boxes lead to their pages. Imports: base, pipeline, report, `ui::*`.

use std::collections::BTreeSet;

use crate::base::units;
use crate::pipeline::outline::Outline;
use crate::pipeline::plan::Scope;
use crate::pipeline::{Maker, Plan, Selection, StageGraph, describe};
use crate::report::{EmbeddedSvg, GraphView, NodeState, NodeView};

use super::view::{StageView, stage_href};

/// Draws all stages and pointers, or only stage `around` with its nearest.
pub(super) fn draw(
    graph: &StageGraph,
    views: &[StageView],
    around: Option<usize>,
) -> Option<EmbeddedSvg> {
    let selection = Selection {
        scope: Scope::Everything,
        ..Selection::default()
    };
    let plan = Plan::select(graph, &[], selection).ok()?;
    let outline = Outline::of(&plan);
    let mut chosen: BTreeSet<usize> = (0..outline.nodes.len()).collect();
    if let Some(around) = around {
        let is_it = |(_, maker): &(String, Option<Maker>)| *maker == Some(Maker::Stage(around));
        let place = outline.nodes.iter().position(is_it)?;
        let near =
            outline
                .edges
                .iter()
                .filter_map(|&(from, to)| match (from == place, to == place) {
                    (true, _) => Some(to),
                    (_, true) => Some(from),
                    (false, false) => None,
                });
        chosen = near.chain([place]).collect();
    }
    let places: Vec<usize> = chosen.into_iter().collect();
    let nodes = places.iter().map(|&place| {
        let (name, maker) = &outline.nodes[place];
        node(name, *maker, views)
    });
    let place_of = |at: usize| places.binary_search(&at).ok();
    let edges = outline.edges.iter();
    let view = GraphView {
        nodes: nodes.collect(),
        edges: edges
            .filter_map(|&(from, to)| Some((place_of(from)?, place_of(to)?)))
            .collect(),
    };
    (!view.nodes.is_empty()).then(|| view.svg().embedded())
}

fn node(name: &str, maker: Option<Maker>, views: &[StageView]) -> NodeView {
    let stage = match maker {
        Some(Maker::Stage(index)) => views.iter().find(|view| view.index == index),
        Some(Maker::Pointer(_)) | None => None,
    };
    let Some(stage) = stage else {
        return NodeView {
            id: name.to_owned(),
            label: name.to_owned(),
            detail: None,
            state: NodeState::Input,
            href: None,
        };
    };
    let took = stage.took.map(units::duration);
    let detail = match (stage.node, took) {
        (NodeState::Done, Some(took)) => format!("{} · {took}", stage.chip.text),
        _ if stage.why.is_empty() => stage.chip.text.clone(),
        _ => format!("{} · {}", stage.chip.text, stage.why),
    };
    NodeView {
        id: name.to_owned(),
        label: name.to_owned(),
        detail: Some(describe::cut(&detail, DETAIL_CHARS_MAX)),
        state: stage.node,
        href: Some(stage_href(name)),
    }
}

/// What does not fit is on the stage's own page.
const DETAIL_CHARS_MAX: usize = 48;
