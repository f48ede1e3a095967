//! `cvops dag`: draw the pipeline.

use serde_json::{Value as Json, json};

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Out};
use crate::cli::render::events::NO_STAGES;
use crate::pipeline::outline::Outline;
use crate::pipeline::{Maker, Plan, Reach, Scope, StageGraph};
use crate::report::{GraphView, NodeState, NodeView};

/// Draw the pipeline: which stage needs which, and the data they start from
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops dag\n  cvops dag --svg > dag.svg\n  cvops dag --full --outs models/classifier    all files of the pipeline it belongs to"
)]
pub(in crate::cli) struct Args {
    /// Stages, outputs, pipeline files or pointers, with all they need (default: all)
    targets: Vec<String>,
    #[command(flatten)]
    style: DrawStyle,
    #[command(flatten)]
    what: Drawn,
}

#[derive(Debug, clap::Args)]
struct Drawn {
    /// Everything connected with the targets, not only what they need
    #[arg(long)]
    full: bool,
    /// Files and folders instead of stages
    #[arg(short, long, conflicts_with = "collapse_foreach_matrix")]
    outs: bool,
    /// All stages of a `foreach` or a `matrix` as one
    #[arg(long)]
    collapse_foreach_matrix: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct DrawStyle {
    /// As a Mermaid flowchart
    #[arg(long)]
    mermaid: bool,
    /// In Graphviz's DOT language
    #[arg(long, conflicts_with = "md")]
    dot: bool,
    /// As a self-contained SVG picture
    #[arg(long, conflicts_with = "md")]
    svg: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let graph = ctx.graph_for(&project, &args.targets)?;
    let mut selection = ctx.selection(&project, Reach::Upstream);
    if args.what.full {
        selection.scope = Scope::Pipelines;
    }
    let plan = Plan::select(&graph, &args.targets, selection)?;
    let mut outline = if args.what.outs {
        Outline::of_outs(&plan)
    } else {
        Outline::of(&plan)
    };
    if args.what.collapse_foreach_matrix {
        outline = outline.collapsed(&graph);
    }
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(&outline, args.what.outs));
        return Ok(Outcome::Done);
    }
    if outline.nodes.is_empty() {
        ctx.out.note(NO_STAGES);
    }
    let view = GraphView {
        nodes: outline
            .nodes
            .iter()
            .map(|(name, maker)| NodeView {
                id: name.clone(),
                label: name.clone(),
                detail: maker.and_then(|maker| detail(&graph, maker, args.what.outs)),
                state: NodeState::Plain,
                href: None,
            })
            .collect(),
        edges: outline.edges,
    };
    let style = &args.style;
    let text = if ctx.out.form == Form::Md {
        format!("```mermaid\n{}\n```", view.mermaid().trim_end())
    } else if style.mermaid {
        view.mermaid()
    } else if style.dot {
        view.dot()
    } else if style.svg {
        view.svg().to_string()
    } else {
        view.ascii(Out::width())
    };
    ctx.out.result(&text);
    Ok(Outcome::Done)
}

/// Returns what stands below the name of a stage.
fn detail(graph: &StageGraph, maker: Maker, is_out: bool) -> Option<String> {
    let Maker::Stage(stage) = maker else {
        return None;
    };
    let stage = &graph.stages()[stage];
    if is_out {
        return None;
    }
    stage.description.clone().or_else(|| {
        let service = stage.service.as_ref()?;
        Some(format!("service on port {}", service.port))
    })
}

/// The machine form.
fn to_json(outline: &Outline, are_outs: bool) -> Json {
    let name = |at: usize| outline.nodes[at].0.as_str();
    let edges: Vec<_> = outline
        .edges
        .iter()
        .map(|&(from, to)| (name(from), name(to)))
        .collect();
    if are_outs {
        let outs: Vec<_> = outline.nodes.iter().map(|(name, _)| name).collect();
        return json!({"outs": outs, "edges": edges});
    }
    let (pointers, stages): (Vec<_>, Vec<_>) = outline
        .nodes
        .iter()
        .partition(|(_, maker)| matches!(maker, Some(Maker::Pointer(_))));
    let names = |nodes: Vec<&(String, Option<Maker>)>| -> Vec<String> {
        nodes.into_iter().map(|(name, _)| name.clone()).collect()
    };
    json!({"stages": names(stages), "pointers": names(pointers), "edges": edges})
}
