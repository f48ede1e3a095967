//! `cvops dag`: draw the pipeline.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Out};
use crate::cli::render::events::NO_STAGES;
use crate::pipeline::{Plan, Reach};
use crate::report::{GraphView, NodeState, NodeView};

/// Draw the pipeline: which stage needs which
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cvops dag\n  cvops dag --svg > dag.svg")]
pub(in crate::cli) struct Args {
    /// Stages or outputs, with all they need (default: all stages)
    targets: Vec<String>,
    #[command(flatten)]
    style: DrawStyle,
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
    let graph = Ctx::graph(&project)?;
    let plan = Plan::select(&graph, &args.targets, Reach::Upstream)?;
    let chosen: Vec<usize> = (0..graph.stages().len())
        .filter(|i| plan.contains(*i))
        .collect();
    let place = |stage: usize| chosen.iter().position(|&c| c == stage);
    let edges: Vec<(usize, usize)> = graph
        .edges()
        .into_iter()
        .filter_map(|(from, to)| Some((place(from)?, place(to)?)))
        .collect();
    let names: Vec<&str> = chosen
        .iter()
        .map(|&i| graph.stages()[i].name.as_str())
        .collect();
    if ctx.out.form == Form::Json {
        let edges: Vec<_> = edges.iter().map(|&(a, b)| (names[a], names[b])).collect();
        ctx.out
            .json(&serde_json::json!({"stages": names, "edges": edges}));
        return Ok(Outcome::Done);
    }
    if names.is_empty() {
        ctx.out.note(NO_STAGES);
    }
    let nodes = chosen
        .iter()
        .map(|&i| {
            let stage = &graph.stages()[i];
            NodeView {
                id: stage.name.to_string(),
                label: stage.name.to_string(),
                detail: stage.description.clone().or_else(|| {
                    let service = stage.service.as_ref()?;
                    Some(format!("service on port {}", service.port))
                }),
                state: NodeState::Plain,
            }
        })
        .collect();
    let view = GraphView { nodes, edges };
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
