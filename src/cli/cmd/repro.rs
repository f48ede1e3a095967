//! `cvops repro`: bring stages up to date, running only what changed.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde_json::json;

use crate::base::CancelReason;
use crate::cli::args::at_least_one;
use crate::cli::ctx::Ctx;
use crate::cli::env::command_line;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::cli::render::events::{Story, summary_json, summary_text};
use crate::experiment::{self, Record, Recorded};
use crate::pipeline::decide::Force;
use crate::pipeline::decide::RunRecords;
use crate::pipeline::execute::{self, OnFailure, Options};
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{Bare, Plan, Reach, Selection};
use crate::project::Project;

use crate::cli::{services, sources};

use super::status;

/// Bring stages up to date, running only what changed
///
/// A stage runs when its command, dependencies, parameters or environment differ from its last run,
/// or when an output is missing or was modified. Results of earlier runs are restored from the
/// cache instead of computed again.
///
/// A service (`service:` in the pipeline file) only starts when it is named: after all it needs is up
/// to date, in the foreground, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops repro              everything\n  cvops repro train        `train` and all it needs\n  cvops repro -f -s train  only `train`, whether it changed or not\n  cvops repro serve        start the service `serve`, with all it needs up to date"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Stages or outputs to bring up to date, with all they need (default: all stages)
    targets: Vec<String>,
    /// Run the stages even if nothing changed
    #[arg(short, long)]
    force: bool,
    /// Only the targets, not what they need
    #[arg(short, long, conflicts_with = "downstream")]
    single_item: bool,
    /// The targets and all that needs them
    #[arg(long)]
    downstream: bool,
    /// Stages to run at the same time (default: `core.jobs`, else 1)
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    jobs: Option<NonZeroUsize>,
    /// After a failure, go on with the stages that do not need the failed one
    #[arg(short, long)]
    keep_going: bool,
    /// Only show what would happen
    #[arg(long)]
    dry: bool,
    /// Run even if an earlier run had the same inputs
    #[arg(long)]
    no_run_cache: bool,
    /// Call the run so (default: a name is made up)
    #[arg(short, long, value_name = "NAME", conflicts_with_all = ["no_track", "dry"])]
    name: Option<String>,
    /// Record the run with this experiment
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_track", "dry"])]
    experiment: Option<String>,
    /// Do not record a run
    #[arg(long)]
    no_track: bool,
}

impl Args {
    /// Asks for `targets` with all they need, and nothing else out of the ordinary.
    pub(super) fn of_targets(targets: Vec<String>) -> Self {
        Self {
            targets,
            force: false,
            single_item: false,
            downstream: false,
            jobs: None,
            keep_going: false,
            dry: false,
            no_run_cache: false,
            name: None,
            experiment: None,
            no_track: false,
        }
    }
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let graph = ctx.graph_for(&project, &args.targets)?;
    let reach = match (args.single_item, args.downstream) {
        (true, _) => Reach::Single,
        (_, true) => Reach::Downstream,
        _ => Reach::Upstream,
    };
    let selection = Selection {
        bare: Bare::NearestFile,
        ..ctx.selection(&project, reach)
    };
    let plan = Plan::select(&graph, &args.targets, selection)?;
    let force = if args.force { Force::Yes } else { Force::No };
    let records = if args.no_run_cache {
        RunRecords::Ignore
    } else {
        RunRecords::Use
    };
    if args.dry {
        status::show(ctx, &project, &plan, force, records)?;
        services::announce(ctx, &plan);
        return Ok(Outcome::Done);
    }
    let project_lock = ctx.lock(&project, "cvops repro")?;
    let files = Files::open(&project, &ctx.cancel);
    let mut lock = Ctx::lock_file(&project, &graph)?;
    let mut workspace = Workspace::new(&files, ctx.env.all());
    workspace.preflight(&plan)?;
    sources::record(ctx, &plan, &files)?;
    let options = Options {
        jobs: args
            .jobs
            .map_or(project.config.jobs.unwrap_or(1), NonZeroUsize::get)
            .max(1),
        on_failure: if args.keep_going {
            OnFailure::KeepGoing
        } else {
            OnFailure::Stop
        },
        force,
        records,
        env: ctx.env.for_stages(),
        turns: None,
    };
    let story = Story::new(&ctx.out);
    services::preflight(&plan, &files, &story)?;
    let Recorded {
        summary,
        run,
        warnings,
    } = if args.no_track {
        let (cancel, lock) = (&ctx.cancel, &mut lock);
        Recorded {
            summary: execute::execute(&plan, lock, &mut workspace, &options, cancel, &story)?,
            run: None,
            warnings: Vec::new(),
        }
    } else {
        let record = args.record(&project);
        experiment::repro(
            &plan,
            &mut lock,
            &mut workspace,
            &options,
            &record,
            &ctx.cancel,
            &story,
        )?
    };
    files.finish();
    diagnostic::show_all(&ctx.out, &warnings);
    match ctx.out.form {
        Form::Json => {
            let run = run.map(|run| json!({"id": run.id.to_string(), "name": run.name}));
            let mut done = summary_json(&summary);
            done["run"] = json!(run);
            ctx.out.json(&done);
        }
        Form::Text | Form::Md => {
            ctx.out.note(&summary_text(&summary));
            if let Some(run) = run {
                let name = ctx.out.paint(Style::Strong, &run.name);
                ctx.out
                    .note(&format!("recorded as `{name}`; `cvops runs show` shows it"));
            }
        }
    }
    services::mention(ctx, &plan);
    tracing::info!(files_hashed = summary.files_hashed, "repro is done");
    if !plan.services().is_empty() && summary.failed.is_empty() && !ctx.cancel.is_requested() {
        // While a service runs, other commands may work in the project.
        drop(project_lock);
        return services::run(ctx, &plan, &files, &options.env, &story);
    }
    Ok(match ctx.cancel.reason() {
        Some(CancelReason::StageFailed) | None if summary.failed.is_empty() => Outcome::Done,
        Some(CancelReason::StageFailed) | None => Outcome::Failed,
        Some(_) => {
            if ctx.out.form == Form::Json {
                ctx.out.json(&json!({"event": "interrupted"}));
            }
            ctx.out
                .note("interrupted: what finished is recorded, `cvops repro` goes on from there");
            Outcome::Interrupted
        }
    })
}

impl Args {
    /// Says what the run is to be recorded as.
    fn record(&self, project: &Project) -> Record {
        Record {
            layout: project.layout.clone(),
            experiment: self.experiment.clone(),
            name: self.name.clone(),
            parent: None,
            tags: BTreeMap::new(),
            command: command_line(),
            targets: self.targets.clone(),
        }
    }
}
