//! `cvops repro`: bring stages up to date, running only what changed.

mod ask;
mod watch;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde_json::json;

use crate::base::CancelReason;
use crate::cli::args::at_least_one;
use crate::cli::ctx::Ctx;
use crate::cli::env::command_line;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::fetch;
use crate::cli::forwarding::Forwarding;
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::cli::render::events::{Story, summary_json, summary_text};
use crate::cli::render::timing;
use crate::cli::{services, sources, tracked};
use crate::experiment::{self, Record, Recorded};
use crate::pipeline::decide::{Force, RunRecords};
use crate::pipeline::execute::{self, Confirm, Downstream, Keep, OnFailure, Options, Summary};
use crate::pipeline::plan::{Naming, Scope};
use crate::pipeline::workspace::{Files, MissingData, Workspace};
use crate::pipeline::{Bare, Plan, Reach, Selection, StageGraph};
use crate::project::Project;

use super::status::{self, Question};

/// Bring stages up to date, running only what changed
///
/// A stage runs when its command, dependencies, parameters or environment differ from its last run,
/// or when an output is missing or was modified. Results of earlier runs are restored from the
/// cache instead of computed again, and what they printed is shown again.
///
/// Repros of different stages may run in one project at the same time; where they touch the same
/// paths, one waits for the other.
///
/// A service (`service:` in the pipeline file) only starts when it is named: after all it needs is up
/// to date, in the foreground, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops repro              everything\n  cvops repro train        `train` and all it needs\n  cvops repro -f -s train  only `train`, whether it changed or not\n  cvops repro --watch      again whenever something changes\n  cvops repro serve        start the service `serve`, with all it needs up to date"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Stages, outputs, pipeline files or pointers to bring up to date, with all they need (default:
    /// all stages)
    targets: Vec<String>,
    /// Run the stages even if nothing changed
    #[arg(short, long)]
    force: bool,
    /// Only the targets, not what they need
    #[arg(short, long, conflicts_with_all = ["downstream", "pipeline", "all_pipelines"])]
    single_item: bool,
    /// The targets and all that needs them
    #[arg(long, conflicts_with_all = ["pipeline", "all_pipelines"])]
    downstream: bool,
    /// Run all that needs a stage that ran, whatever it wrote
    #[arg(long)]
    force_downstream: bool,
    /// The whole pipelines that the targets belong to
    #[arg(short, long)]
    pipeline: bool,
    /// All stages of all pipeline files, whatever the targets
    #[arg(short = 'P', long)]
    all_pipelines: bool,
    /// Targets are folders: all pipeline files in and below them
    #[arg(short = 'R', long, conflicts_with = "glob")]
    recursive: bool,
    /// Targets are patterns: `train-*`
    #[arg(long)]
    glob: bool,
    /// Ask before each stage runs
    #[arg(short, long, conflicts_with = "dry")]
    interactive: bool,
    /// Stages to run at the same time (default: `core.jobs`, else 1)
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    jobs: Option<NonZeroUsize>,
    /// After a failure, go on with the stages that do not need the failed one
    #[arg(short, long)]
    keep_going: bool,
    /// After a failure, go on with all stages, and end as if nothing had failed
    #[arg(long, conflicts_with = "keep_going")]
    ignore_errors: bool,
    /// Only show what would happen
    #[arg(long, conflicts_with = "watch")]
    dry: bool,
    /// Then wait for changes of what the stages read, and start again; Ctrl-C ends it
    #[arg(long)]
    watch: bool,
    /// Get data and results that are missing here from the default remote
    #[arg(long)]
    pull: bool,
    /// Take data that is recorded and not here to be as recorded
    #[arg(long)]
    allow_missing: bool,
    /// Run even if an earlier run had the same inputs
    #[arg(long)]
    no_run_cache: bool,
    /// Do not put outputs into the cache; `cvops commit` does so later
    #[arg(long)]
    no_commit: bool,
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
            force_downstream: false,
            pipeline: false,
            all_pipelines: false,
            recursive: false,
            glob: false,
            interactive: false,
            jobs: None,
            keep_going: false,
            ignore_errors: false,
            dry: false,
            watch: false,
            pull: false,
            allow_missing: false,
            no_run_cache: false,
            no_commit: false,
            name: None,
            experiment: None,
            no_track: false,
        }
    }
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    if args.watch {
        return watch::run(ctx, args);
    }
    let project = ctx.project()?;
    let graph = args.graph(ctx, &project)?;
    let plan = args.plan(ctx, &project, &graph)?;
    if args.dry {
        let question = Question {
            force: args.force(),
            records: args.records(),
            missing: args.missing(),
        };
        status::show(ctx, &project, &plan, question)?;
        services::announce(ctx, &plan);
        return Ok(Outcome::Done);
    }
    let files = Files::open(&project, &ctx.cancel);
    let story = Story::new(&ctx.out);
    services::preflight(&plan, &files, &story)?;
    let summary = pass(ctx, args, &files, &plan, &story)?;
    services::mention(ctx, &plan);
    if !plan.services().is_empty() && summary.failed.is_empty() && !ctx.cancel.is_requested() {
        // While a service runs, other commands may work in the project.
        return services::run(ctx, &plan, &files, &ctx.env.for_stages(), &story);
    }
    Ok(args.outcome(ctx, &summary))
}

/// Brings the stages of `plan` up to date once, records it, and tells what happened in all.
fn pass(
    ctx: &Ctx,
    args: &Args,
    files: &Files<'_>,
    plan: &Plan<'_>,
    story: &Story<'_>,
) -> Result<Summary, CliError> {
    let project = files.project();
    let _shared = ctx.share(project, "cvops repro")?;
    let mut lock = Ctx::lock_file(project, plan.graph())?;
    let fetch = if args.pull {
        let fetch = fetch::from_default_remote(ctx, project, args.records())?;
        fetch::tracked_data(fetch.as_ref(), files, plan)?;
        Some(fetch)
    } else {
        None
    };
    let mut workspace = Workspace::new(files, ctx.env.all())
        .with_missing(args.missing())
        .with_fetch(fetch);
    workspace.preflight(plan)?;
    if !args.no_commit {
        sources::record(ctx, plan, files)?;
    }
    let options = args.options(ctx, project);
    execute::check_resources(plan, &lock, &mut workspace, &options)?;
    let Recorded {
        summary,
        run,
        warnings,
    } = if args.no_track {
        experiment::repro_unrecorded(
            plan,
            &mut lock,
            &mut workspace,
            &options,
            &args.record(project),
            &ctx.cancel,
            story,
        )?
    } else {
        let record = args.record(project);
        let forwarding = Forwarding::start(ctx, project, plan.graph());
        let recorded = experiment::repro(
            plan,
            &mut lock,
            &mut workspace,
            &options,
            &record,
            &ctx.cancel,
            story,
        );
        if let Some(forwarding) = forwarding {
            forwarding.end(ctx);
        }
        recorded?
    };
    files.finish();
    if !args.no_commit {
        tracked::autostage(project, plan)?;
    }
    diagnostic::show_all(&ctx.out, &warnings);
    match ctx.out.form {
        Form::Json => {
            let run = run.map(|run| json!({"id": run.id.to_string(), "name": run.name}));
            let mut done = summary_json(&summary);
            done["run"] = json!(run);
            ctx.out.json(&done);
        }
        Form::Text | Form::Md => {
            timing::show(&ctx.out, &summary);
            // Only data was named: what of it changed is told already.
            if plan.order().is_empty() && !plan.pointers().is_empty() {
                ctx.out.note("the data is recorded");
            } else {
                ctx.out.note(&summary_text(&summary));
            }
            if let Some(run) = run {
                let name = ctx.out.paint(Style::Strong, &run.name);
                ctx.out
                    .note(&format!("recorded as `{name}`; `cvops runs show` shows it"));
            }
        }
    }
    tracing::info!(files_hashed = summary.files_hashed, "repro is done");
    Ok(summary)
}

impl Args {
    fn force(&self) -> Force {
        if self.force { Force::Yes } else { Force::No }
    }

    fn missing(&self) -> MissingData {
        if self.allow_missing {
            MissingData::IsAsRecorded
        } else {
            MissingData::Counts
        }
    }

    fn records(&self) -> RunRecords {
        if self.no_run_cache {
            RunRecords::Ignore
        } else {
            RunRecords::Use
        }
    }

    /// Reads what the command is about; a file that it does not need may be broken.
    fn graph(&self, ctx: &Ctx, project: &Project) -> Result<StageGraph, CliError> {
        if self.targets.is_empty() && !self.all_pipelines && !self.pipeline {
            return ctx.graph_nearest(project);
        }
        ctx.graph_for(project, &self.targets)
    }

    /// Chooses the stages.
    fn plan<'g>(
        &self,
        ctx: &Ctx,
        project: &Project,
        graph: &'g StageGraph,
    ) -> Result<Plan<'g>, CliError> {
        let reach = match (self.single_item, self.downstream) {
            (true, _) => Reach::Single,
            (_, true) => Reach::Downstream,
            _ => Reach::Upstream,
        };
        let selection = Selection {
            bare: Bare::NearestFile,
            naming: match (self.glob, self.recursive) {
                (true, _) => Naming::Glob,
                (_, true) => Naming::Below,
                _ => Naming::Exact,
            },
            scope: match (self.all_pipelines, self.pipeline) {
                (true, _) => Scope::Everything,
                (_, true) => Scope::Pipelines,
                _ => Scope::Targets,
            },
            ..ctx.selection(project, reach)
        };
        Ok(Plan::select(graph, &self.targets, selection)?)
    }

    fn options(&self, ctx: &Ctx, project: &Project) -> Options {
        let jobs = self.jobs.map(NonZeroUsize::get).or(project.config.jobs);
        let confirm = || Arc::new(ask::OnTerminal::default()) as Arc<dyn Confirm>;
        Options {
            jobs: jobs.unwrap_or(1).max(1),
            on_failure: match (self.ignore_errors, self.keep_going) {
                (true, _) => OnFailure::Ignore,
                (_, true) => OnFailure::KeepGoing,
                _ => OnFailure::Stop,
            },
            force: self.force(),
            downstream: if self.force_downstream {
                Downstream::Forced
            } else {
                Downstream::Judged
            },
            records: self.records(),
            keep: if self.no_commit {
                Keep::InWorkspaceOnly
            } else {
                Keep::InCache
            },
            confirm: self.interactive.then(confirm),
            env: ctx.env.for_stages(),
            ..Options::new("cvops repro")
        }
    }

    /// Says how a command ends in which this happened.
    fn outcome(&self, ctx: &Ctx, summary: &Summary) -> Outcome {
        let is_well =
            (summary.failed.is_empty() || self.ignore_errors) && summary.declined.is_empty();
        match ctx.cancel.reason() {
            Some(CancelReason::StageFailed) | None if is_well => Outcome::Done,
            Some(CancelReason::StageFailed) | None => Outcome::Failed,
            Some(_) => {
                if ctx.out.form == Form::Json {
                    ctx.out.json(&json!({"event": "interrupted"}));
                }
                ctx.out.note(
                    "interrupted: what finished is recorded, `cvops repro` goes on from there",
                );
                Outcome::Interrupted
            }
        }
    }

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
            endpoint: None,
        }
    }
}
