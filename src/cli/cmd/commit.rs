//! `cvops commit`: record what is in the workspace, without running anything.

use serde_json::json;

use crate::base::ArtifactPath;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::render::decision;
use crate::cli::tracked;
use crate::pipeline::commit::{Insist, commit};
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{Naming, Plan, Reach, sources};

/// Record what is in the workspace as the result of stages and as tracked data, without running
/// anything
///
/// What the data under a pointer or the outputs of a stage are now goes into the cache and into
/// pointer and lock file. Where the command, dependencies or parameters of a stage changed since it
/// last ran, nobody knows whether its outputs are their result: that needs `--force`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops commit data/raw.cvops    after editing files in data/raw\n  cvops commit -f train          the outputs of `train` are right as they are"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Stages, outputs, pipeline files or pointers (default: all)
    targets: Vec<String>,
    /// Also where the command or inputs of a stage changed
    #[arg(short, long)]
    force: bool,
    /// A folder among the targets means all that is declared in and below it
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Also all that the targets need
    #[arg(short = 'd', long)]
    with_deps: bool,
    /// Only tracked data, no results of stages
    #[arg(long)]
    data_only: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let graph = ctx.graph_for(&project, &args.targets)?;
    let reach = if args.with_deps {
        Reach::Upstream
    } else {
        Reach::Single
    };
    let mut selection = ctx.selection(&project, reach);
    if args.recursive {
        selection.naming = Naming::Below;
    }
    let plan = Plan::select(&graph, &args.targets, selection)?;
    let _lock = ctx.lock(&project, "cvops commit")?;
    let files = Files::open(&project, &ctx.cancel);
    let mut lock = Ctx::lock_file(&project, &graph)?;
    let mut workspace = Workspace::new(&files, ctx.env.all());
    let insist = if args.force { Insist::Yes } else { Insist::No };
    let stages = if args.data_only {
        Vec::new()
    } else {
        commit(&plan, &mut lock, &mut workspace, insist, &ctx.cancel)?
    };
    let recorded = sources::record(&files, &graph, plan.pointers().iter().copied())?;
    files.finish();
    tracked::autostage(&project, &plan)?;
    if ctx.out.form == Form::Json {
        let stages = stages.iter().map(|stage| {
            let changed: Vec<_> = stage.changed.iter().map(ArtifactPath::as_str).collect();
            let stored: Vec<_> = stage.stored.iter().map(ArtifactPath::as_str).collect();
            json!({
                "stage": stage.stage, "changed": changed, "stored": stored,
                "recorded": stage.is_new,
            })
        });
        let stored: Vec<_> = recorded.stored.iter().map(ArtifactPath::as_str).collect();
        let data = recorded
            .changes
            .iter()
            .map(|c| decision::source_json(&graph, c));
        ctx.out.json(&json!({
            "stages": stages.collect::<Vec<_>>(), "sources": data.collect::<Vec<_>>(),
            "stored": stored,
        }));
        return Ok(Outcome::Done);
    }
    for change in &recorded.changes {
        let pointer = &graph.pointers()[change.pointer].file;
        let because = decision::source_because(change);
        ctx.out
            .result(&format!("{pointer}: recorded anew: {because}"));
    }
    for path in &recorded.stored {
        ctx.out.result(&format!("`{path}`: put into the cache"));
    }
    let mut same = 0;
    for stage in &stages {
        if !stage.is_new {
            if stage.stored.is_empty() {
                same += 1;
            } else {
                let paths: Vec<_> = stage.stored.iter().map(|p| format!("`{p}`")).collect();
                let paths = paths.join(", ");
                ctx.out
                    .result(&format!("{}: put {paths} into the cache", stage.stage));
            }
            continue;
        }
        let paths: Vec<_> = stage.changed.iter().map(|p| format!("`{p}`")).collect();
        let what = if paths.is_empty() {
            "its outputs as the result of its inputs now".to_owned()
        } else {
            paths.join(", ")
        };
        ctx.out.result(&format!("{}: recorded {what}", stage.stage));
    }
    if recorded == sources::Recorded::default() && same == stages.len() {
        ctx.out.note("nothing changed since it was recorded");
    }
    Ok(Outcome::Done)
}
