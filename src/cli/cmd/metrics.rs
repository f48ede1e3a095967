//! `cvops metrics show|diff`: the numbers of the project, and how they changed.

use clap::Subcommand;

use crate::base::ArtifactPath;
use crate::cli::compare::{
    ChangeColumn, DiffView, Look, PathColumn, RevisionsArg, SidesArg, TargetsArg, Topic, name_for,
    show_diff, show_values,
};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::compare::{Reader, diff, values};
use crate::pipeline::spec::Direction;

/// Show metrics, and how they changed
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops metrics show\n  cvops metrics diff"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the metrics of the workspace, of revisions or of runs
    #[command(
        after_help = "Examples:\n  cvops metrics show\n  cvops metrics show HEAD~1 workspace\n  cvops metrics show reports/       the files in a folder\n  cvops metrics show --all-tags --md"
    )]
    Show(ShowArgs),
    /// Compare the metrics of two revisions, runs or the workspace
    ///
    /// What worsened is red, what improved green: `direction: max|min` of a metric in pipeline.yaml
    /// says which is which; without it, names with loss, error, ece, brier or latency should fall,
    /// all others rise.
    #[command(
        after_help = "Examples:\n  cvops metrics diff                 HEAD against the workspace\n  cvops metrics diff v1.0 main\n  cvops metrics diff --exit-code     exit with 3 if anything changed"
    )]
    Diff(DiffArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    revisions: RevisionsArg,
    #[command(flatten)]
    targets: TargetsArg,
    /// Digits behind the point
    #[arg(long, value_name = "N", default_value_t = 5)]
    precision: usize,
}

#[derive(Debug, clap::Args)]
struct DiffArgs {
    #[command(flatten)]
    sides: SidesArg,
    #[command(flatten)]
    targets: TargetsArg,
    /// Also metrics that did not change
    #[arg(long)]
    all: bool,
    /// Digits behind the point
    #[arg(long, value_name = "N", default_value_t = 5)]
    precision: usize,
    /// Without the column of files
    #[arg(long)]
    no_path: bool,
    /// Exit with 3 if a metric changed
    #[arg(long)]
    exit_code: bool,
}

/// Digits beyond this say nothing about a 64-bit number.
const PRECISION_MAX: usize = 17;

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::Show(args) => run_show(ctx, args),
        Action::Diff(args) => run_diff(ctx, args),
    }
}

const TOPIC: Topic = Topic {
    key: "metric",
    declared: |subjects| subjects.metrics.keys().cloned().collect(),
    read: values::metrics,
    help: "list the file with the numbers under `metrics` of its stage: `metrics: [reports/metrics.json]`",
};

fn look(precision: usize, path: PathColumn, change: ChangeColumn) -> Look {
    Look {
        key: TOPIC.key,
        precision: Some(precision.min(PRECISION_MAX)),
        path,
        change,
    }
}

fn run_show(ctx: &Ctx, args: &ShowArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let mut shown = args.revisions.open(ctx, &project, &mut reader)?;
    shown.targets.extend(args.targets.paths(ctx, &project)?);
    let mut refs: Vec<_> = shown.sides.iter_mut().collect();
    let files = TOPIC.files(&mut reader, &mut refs, &shown.targets)?;
    let roots = TOPIC.roots(ctx, &mut reader, &mut shown.sides, &files)?;
    let look = look(args.precision, PathColumn::Shown, ChangeColumn::Hidden);
    let name = name_for(ctx, &project);
    show_values(ctx, &shown, &roots, values::metric_keys, look, &name);
    Ok(Outcome::Done)
}

fn run_diff(ctx: &Ctx, args: &DiffArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let [mut old, mut new] = args.sides.open(&mut reader)?;
    let targets = args.targets.paths(ctx, &project)?;
    let files = TOPIC.files(&mut reader, &mut [&mut old, &mut new], &targets)?;
    args.sides.note(ctx, &old);
    let roots = TOPIC.roots(ctx, &mut reader, [&mut new, &mut old], &files)?;
    let [after, before] = [&roots[0], &roots[1]].map(values::metric_keys);
    let declared = |path: &ArtifactPath| {
        let of = |side: &crate::compare::Side| side.subjects.metrics.get(path).copied().flatten();
        of(&new).or_else(|| of(&old))
    };
    let rows = diff::rows(&before, &after, &|path, key| {
        declared(path).or_else(|| Some(Direction::of_name(key)))
    });
    let path = PathColumn::unless(args.no_path);
    let view = DiffView {
        look: look(args.precision, path, ChangeColumn::Shown),
        all: args.all,
        exit_code: args.exit_code,
        none: "there are no metrics yet: `cvops repro` makes them",
        same: "no metric changed",
        name: &name_for(ctx, &project),
    };
    Ok(show_diff(ctx, &rows, [old.title(), new.title()], &view))
}
