//! `cvops params sweep`: search for the best values of parameters.

mod show;
mod story;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use crate::base::doc::{Document, KeyPath};
use crate::base::units::parse_duration;
use crate::base::{Diagnostic, clock};
use crate::cli::args::at_least_one;
use crate::cli::compare::{in_project, metric_name};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::forwarding::Forwarding;
use crate::experiment;
use crate::experiment::sweep::journal::Journal;
use crate::experiment::sweep::metric::Goal;
use crate::experiment::sweep::space::Space;
use crate::experiment::sweep::{
    Definition, Method, Options, Request, Start, Sweep, Trial, TrialState, Why, apply, baseline,
    block, driver, grammar, journal, request,
};
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{Plan, Reach, StageGraph};
use crate::project::{self, Project};

use story::Story;

/// Failed trials in a row that end a sweep which says nothing else.
const MAX_FAILURES: u64 = 5;

/// Search for the best values of parameters
///
/// Each trial brings the pipeline up to date with its own values, in a work tree of its own that
/// shares the cache: stages that no value changes are restored, never run again. `params.yaml` is
/// touched by `apply` only. A SPEC is `0.1,0.01` or `choice(a,b)`, `range(1,4)` (its end excluded),
/// `interval(0,1)`, `tag(log,interval(1e-4,1e-1))`, `int(interval(2,6))`; `+KEY=…` adds a parameter,
/// `FILE:KEY=…` names another params file. Without any, the `sweep:` block of `pipeline.yaml` is
/// read. A killed sweep goes on with `--resume`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cvops params sweep train.learning_rate=0.001,0.01 train.batch_size=32,64 --metric accuracy\n  cvops params sweep 'train.learning_rate=tag(log,interval(1e-4,1e-1))' --trials 30 -j 2\n  cvops params sweep --resume --name sweep-1\n  cvops params sweep apply sweep-1 && cvops repro"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Parameters with the values to try
    #[arg(value_name = "KEY=SPEC")]
    params: Vec<String>,
    /// The same, as DVC spells it
    #[arg(short = 'S', long = "set-param", value_name = "KEY=SPEC")]
    set: Vec<String>,
    /// Read the sweep from this YAML file (W&B's key names)
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The sweep's name (default: sweep-1, sweep-2, …)
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// How values are chosen: grid or random (default: grid if there are only choices)
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Trials in all (default: the whole grid; 20 random ones)
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    trials: Option<NonZeroU64>,
    /// Seed of all draws (default: 0)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What is improved: `FILE:KEY`, or `KEY` alone if one metrics file has it
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// maximize or minimize (default: minimize losses and errors, maximize all else)
    #[arg(long, value_name = "GOAL")]
    goal: Option<String>,
    /// Stages or outputs that each trial brings up to date (default: all)
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',')]
    targets: Vec<String>,
    /// Trials at the same time
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    jobs: Option<NonZeroUsize>,
    /// Start no trial after this time: 90s, 2h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// End after so many failed trials in a row (default: 5)
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    max_failures: Option<NonZeroU64>,
    /// Go on with a sweep that was stopped or killed
    #[arg(long)]
    resume: bool,
    /// At the end, write the best values into the params files
    #[arg(long)]
    apply_best: bool,
    /// Only show the trials
    #[arg(long, conflicts_with_all = ["resume", "apply_best"])]
    dry_run: bool,
    /// Not supported yet
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_name = "SETTINGS")]
    asha: Option<String>,
    /// Not supported yet
    #[arg(long, hide = true, value_name = "NAME")]
    executor: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the trials of a sweep, or all sweeps
    #[command(after_help = "Example:\n  cvops params sweep status sweep-1")]
    Status {
        /// The sweep
        name: Option<String>,
    },
    /// Show the best trial of a sweep
    #[command(after_help = "Example:\n  cvops params sweep best sweep-1 --json")]
    Best {
        /// The sweep (default: the only one)
        name: Option<String>,
    },
    /// Write the values of the best trial into the params files, keeping comments and order
    #[command(after_help = "Example:\n  cvops params sweep apply sweep-1 && cvops repro")]
    Apply {
        /// The sweep (default: the only one)
        name: Option<String>,
        /// Another trial than the best one
        #[arg(long, value_name = "N")]
        trial: Option<u64>,
    },
    /// Let a running sweep end after its running trials
    #[command(after_help = "Example:\n  cvops params sweep stop sweep-1")]
    Stop {
        /// The sweep (default: the only one)
        name: Option<String>,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(time) if time.is_zero() => Err("no trial could start: give a time above 0".to_owned()),
        Some(time) => Ok(time),
        None => Err("write a duration such as `90s`, `30m` or `2h`".to_owned()),
    }
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let layout = &project.layout;
    let named = |name: &Option<String>| -> Result<String, CliError> {
        Ok(request::existing_name(layout, name.as_deref()).map_err(experiment::Error::from)?)
    };
    match &args.action {
        None if args.resume => resume(ctx, args, &project),
        None => start(ctx, args, &project),
        Some(Action::Status { name: None }) => Ok(show::all(ctx, layout)),
        Some(Action::Status { name: Some(name) }) => show::status(ctx, layout, name),
        Some(Action::Best { name }) => show::best(ctx, layout, &named(name)?),
        Some(Action::Apply { name, trial }) => {
            let sweep = journal::read(layout, &named(name)?)?;
            apply_trial(ctx, &project, &sweep, *trial)?;
            Ok(Outcome::Done)
        }
        Some(Action::Stop { name }) => show::stop(ctx, layout, &named(name)?),
    }
}

fn start(ctx: &Ctx, args: &Args, project: &Project) -> Result<Outcome, CliError> {
    let graph = Ctx::graph(project)?;
    let mut request = typed(ctx, project, args)?.or(read_block(ctx, args, &graph)?);
    let dropped = request.space.drop_duplicates();
    let plan = Plan::select(&graph, &request.targets, Reach::Upstream)?;
    let definition = request.define(&plan, project, clock::now().as_millisecond())?;
    // A name that cannot be had is said before anything else, and without a trial.
    request::new_name(&project.layout, request.name.as_deref()).map_err(experiment::Error::from)?;
    for note in dropped {
        ctx.out.note(&note);
    }
    if args.dry_run {
        return show::dry_run(ctx, project, &plan, &definition);
    }
    let order = Order {
        name: None,
        definition: &definition,
        plan: &plan,
    };
    let start = Start::New(Box::new(definition.clone()));
    drive(ctx, args, project, &request, &order, start)
}

fn resume(ctx: &Ctx, args: &Args, project: &Project) -> Result<Outcome, CliError> {
    let graph = Ctx::graph(project)?;
    let mut typed = typed(ctx, project, args)?;
    let request = typed.clone().or(read_block(ctx, args, &graph)?);
    if args.file.is_some() {
        // A file that is named says what is meant, as the command line does.
        typed.space = request.space.clone();
    }
    typed.space.drop_duplicates();
    let name = request::existing_name(&project.layout, request.name.as_deref())
        .map_err(experiment::Error::from)?;
    let sweep = journal::read(&project.layout, &name)?;
    request::check_resume(&typed, &sweep).map_err(experiment::Error::from)?;
    let plan = Plan::select(&graph, &sweep.definition.targets, Reach::Upstream)?;
    let trials = args.trials.map(NonZeroU64::get);
    let order = Order {
        name: Some(&name),
        definition: &sweep.definition,
        plan: &plan,
    };
    drive(
        ctx,
        args,
        project,
        &request,
        &order,
        Start::Resume { trials },
    )
}

/// Reads the block of the pipeline file, or the file named, that completes what was typed.
fn read_block(ctx: &Ctx, args: &Args, graph: &StageGraph) -> Result<Request, CliError> {
    let mut block = match &args.file {
        Some(file) => {
            let document = Document::read(&ctx.dir.join(file), &file.display().to_string())?;
            let inner = KeyPath::root().key("sweep");
            let at = if inner.get(&document.root).is_some() {
                inner
            } else {
                KeyPath::root()
            };
            block::read(&document, &at)?
        }
        None => match graph.document() {
            Some(document) => block::read(document, &KeyPath::root().key("sweep"))?,
            None => None,
        },
    }
    .unwrap_or_default();
    if !args.params.is_empty() || !args.set.is_empty() {
        // Other parameters are another sweep, and the number of trials was meant for the block's.
        (block.name, block.trials, block.method) = (None, None, None);
    }
    Ok(block)
}

/// Reads the flags.
fn typed(ctx: &Ctx, project: &Project, args: &Args) -> Result<Request, CliError> {
    if args.asha.is_some() || args.executor.is_some() {
        let flag = if args.asha.is_some() {
            "--asha"
        } else {
            "--executor"
        };
        return Err(CliError::usage(
            Diagnostic::error("unsupported-flag", format!("`{flag}` is not supported yet")).help(
                "every trial runs to its end on this machine; `-j N` runs several at the same time",
            ),
        ));
    }
    let space = overrides(ctx, project, args)?;
    let method = args
        .method
        .as_deref()
        .map(Method::parse)
        .transpose()
        .map_err(experiment::Error::from)?;
    let goal = args
        .goal
        .as_deref()
        .map(Goal::parse)
        .transpose()
        .map_err(experiment::Error::from)?;
    Ok(Request {
        name: args.name.clone(),
        method,
        trials: args.trials.map(NonZeroU64::get),
        seed: args.seed,
        metric: args.metric.as_deref().map(|m| metric_name(ctx, project, m)),
        goal,
        timeout: args.timeout,
        jobs: args.jobs.map(NonZeroUsize::get),
        max_failures: args.max_failures.map(NonZeroU64::get),
        targets: args.targets.clone(),
        space,
    })
}

/// Reads the parameters that were typed; all that break the grammar are shown.
fn overrides(ctx: &Ctx, project: &Project, args: &Args) -> Result<Space, CliError> {
    let (mut read, mut errors) = (Vec::new(), Vec::new());
    for text in args.params.iter().chain(&args.set) {
        match grammar::parse(text) {
            Ok(mut one) => {
                // As for `params set`: files are named from where the user stands.
                if let Some(file) = &one.file {
                    one.file = Some(in_project(ctx, project, file)?.to_string());
                }
                read.push(one);
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(experiment::Error::Grammar(errors).into());
    }
    Ok(Space::of_overrides(read).map_err(experiment::Error::from)?)
}

/// Which sweep is run over which stages.
struct Order<'a> {
    /// The sweep that goes on; `None`: a new one.
    name: Option<&'a str>,
    definition: &'a Definition,
    plan: &'a Plan<'a>,
}

fn drive(
    ctx: &Ctx,
    args: &Args,
    project: &Project,
    request: &Request,
    order: &Order<'_>,
    start: Start,
) -> Result<Outcome, CliError> {
    ctx.listen();
    project::init::ensure_state_dir(&project.layout)?;
    let lock = Ctx::lock_file(project, order.plan.graph())?;
    let files = Files::open(project, &ctx.cancel);
    Workspace::new(&files, ctx.env.all()).preflight(order.plan)?;
    let options = Options {
        jobs: request.jobs.unwrap_or(1).max(1),
        max_failures: request.max_failures.unwrap_or(MAX_FAILURES),
        timeout: request.timeout,
        stage_env: ctx.env.for_stages(),
        env: ctx.env.all().clone(),
    };
    let story = Story::new(&ctx.out, order.definition);
    let journal = match order.name {
        Some(name) => Journal::open(&project.layout, name)?,
        None => request::claim(&project.layout, request.name.as_deref())?,
    };
    let name = journal.name().to_owned();
    let forwarding = Forwarding::start(ctx, project, order.plan.graph());
    let driven = driver::run(
        project,
        journal,
        start,
        order.plan,
        &lock,
        &options,
        &ctx.cancel,
        &story,
    );
    if let Some(forwarding) = forwarding {
        forwarding.end(ctx);
    }
    let (sweep, why) = driven.map_err(|error| how_to_go_on(error.into(), project, &name))?;
    show::end(ctx, &project.layout, &sweep, why);
    let has_best = sweep.best().is_some();
    if args.apply_best && has_best && why != Why::Interrupted {
        apply_trial(ctx, project, &sweep, None)?;
    }
    Ok(match why {
        Why::Interrupted => Outcome::Interrupted,
        Why::Failures => Outcome::Failed,
        Why::Complete | Why::Stopped | Why::Timeout if has_best => Outcome::Done,
        Why::Complete | Why::Stopped | Why::Timeout => Outcome::Failed,
    })
}

/// Adds to an error that ended a sweep how it goes on.
fn how_to_go_on(mut error: CliError, project: &Project, name: &str) -> CliError {
    // What was typed wrong is to be typed again; only work that broke off goes on.
    let goes_on = error.class != ErrorClass::Usage && journal::exists(&project.layout, name);
    if let Some(last) = error.diagnostics.last_mut().filter(|_| goes_on) {
        last.notes.push(format!(
            "finished trials are kept; `cvops params sweep --resume --name {name}` goes on"
        ));
    }
    error
}

fn apply_trial(
    ctx: &Ctx,
    project: &Project,
    sweep: &Sweep,
    number: Option<u64>,
) -> Result<(), CliError> {
    let trial = apply::choose(sweep, number).map_err(experiment::Error::from)?;
    let _lock = ctx.lock(project, "cvops params sweep apply")?;
    let next = next_repro(ctx, project, sweep, trial);
    let applied = apply::apply(project, sweep, trial, &ctx.cancel)?;
    show::applied(ctx, sweep, trial, &applied, &next);
    Ok(())
}

/// Says what the next repro does with the values of `trial`: restoring is promised only where it is
/// possible.
fn next_repro(ctx: &Ctx, project: &Project, sweep: &Sweep, trial: &Trial) -> String {
    if !matches!(trial.state, TrialState::Finished(_)) {
        return "it has not finished, so `cvops repro` runs its stages".to_owned();
    }
    let definition = &sweep.definition;
    let changes = Ctx::graph(project).and_then(|graph| {
        let plan = Plan::select(&graph, &definition.targets, Reach::Upstream)?;
        let files = Files::open(project, &ctx.cancel);
        let changes = baseline::changes(definition, &plan, project, &files, ctx.env.all())?;
        files.finish();
        Ok(changes)
    });
    match changes {
        Ok(changes) if changes.is_empty() => "`cvops repro` restores its outputs".to_owned(),
        Ok(changes) => {
            let mut what = changes.inputs;
            if changes.params {
                what.insert(0, "other parameters".to_owned());
            }
            format!(
                "changed since the sweep began: {}; so `cvops repro` runs what depends on it",
                what.join(", ")
            )
        }
        // What is wrong is not the matter of this command; the repro says it.
        Err(_) => "`cvops repro` brings the stages up to date".to_owned(),
    }
}
