//! `cvops stage list|add`: the stages of the project, and declaring new ones.

mod add;

use clap::Subcommand;
use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::render::events::NO_STAGES;
use crate::pipeline::{Bare, Maker, Naming, Plan, Reach, describe, outline::Outline};
use crate::report::{Align, Table};

/// Longest description in the list.
const CHARS_MAX: usize = 80;

/// List stages, and declare new ones
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops stage list\n  cvops stage add -n train -d data -o model python train.py"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List stages with what they say or write
    #[command(
        after_help = "Examples:\n  cvops stage list\n  cvops stage list --all --names-only | wc -l"
    )]
    List(ListArgs),
    /// Declare a stage in the pipeline file, keeping everything else in it
    #[command(
        after_help = "Examples:\n  cvops stage add -n train -d data/prepared -p train.lr,model -o model.bin python train.py\n  cvops stage add -n test -d model.bin -M metrics.json --run python test.py"
    )]
    Add(Box<add::Args>),
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct ListArgs {
    /// Stages, pipeline files, pointers or outputs (default: the pipeline file of this folder)
    targets: Vec<String>,
    /// Everything that the project declares, pointers as well
    #[arg(long)]
    all: bool,
    /// Names without descriptions
    #[arg(long, visible_alias = "name-only")]
    names_only: bool,
    /// A folder among the targets means all that is declared in and below it
    #[arg(short = 'R', long)]
    recursive: bool,
    /// A file that cannot be read is an error, not a warning
    #[arg(long)]
    fail: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::List(args) => list(ctx, args),
        Action::Add(args) => add::run(ctx, args),
    }
}

fn list(ctx: &Ctx, args: &ListArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let graph = if args.fail {
        Ctx::graph(&project)?
    } else {
        ctx.sound_graph(&project)?
    };
    let mut selection = ctx.selection(&project, Reach::Single);
    selection.bare = Bare::NearestFile;
    if args.recursive {
        selection.naming = Naming::Below;
    }
    if args.all {
        selection.bare = Bare::Everything;
    }
    let targets = if args.all { &[][..] } else { &args.targets };
    let plan = Plan::select(&graph, targets, selection)?;
    let rows: Vec<(String, String)> = Outline::of(&plan)
        .nodes
        .into_iter()
        .map(|(name, maker)| {
            let about = match maker {
                Some(Maker::Stage(stage)) => describe::stage(&graph.stages()[stage]),
                Some(Maker::Pointer(pointer)) => describe::pointer(&graph.pointers()[pointer]),
                None => String::new(),
            };
            (name, about)
        })
        .collect();
    if ctx.out.form == Form::Json {
        let rows = rows.iter();
        let rows: Vec<_> = rows
            .map(|(name, about)| {
                let commands = graph.find(name).map(|i| &graph.stages()[i].commands);
                json!({"name": name, "description": about, "commands": commands})
            })
            .collect();
        ctx.out.json(&json!(rows));
        return Ok(Outcome::Done);
    }
    if rows.is_empty() {
        ctx.out.note(NO_STAGES);
    }
    if ctx.out.form == Form::Md && !args.names_only {
        let mut table = Table::new([("name", Align::Left), ("description", Align::Left)]);
        for (name, about) in rows {
            table.row([name, about]);
        }
        ctx.out.table(&table);
        return Ok(Outcome::Done);
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    for (name, about) in &rows {
        if args.names_only {
            ctx.out.result(name);
        } else {
            let about = describe::cut(about, CHARS_MAX);
            ctx.out
                .result(format!("{name:<width$}  {about}").trim_end());
        }
    }
    Ok(Outcome::Done)
}
