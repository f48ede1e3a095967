//! `cvops metrics show|diff`: the numbers of the project, and how they changed.

use clap::Subcommand;

use crate::base::ArtifactPath;
use crate::cli::compare::{
    ChangeColumn, Look, PathColumn, RevisionsArg, SidesArg, TargetsArg, diff_json, diff_table,
    nothing_declared, show_values, warn,
};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::compare::reader::choose;
use crate::compare::{Reader, Row, Verdict, diff, values};
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
        after_help = "Examples:\n  cvops metrics show\n  cvops metrics show HEAD~1 workspace\n  cvops metrics show --all-tags --md"
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

fn none_declared() -> CliError {
    nothing_declared(
        "metrics",
        "list the file with the numbers under `metrics` of its stage: `metrics: [reports/metrics.json]`",
    )
}

fn run_show(ctx: &Ctx, args: &ShowArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let mut sides = args.revisions.open(&mut reader)?;
    let targets = args.targets.paths(ctx, &project)?;
    let mut refs: Vec<_> = sides.iter_mut().collect();
    let files = choose(&mut reader, &mut refs, &targets, &|subjects| {
        subjects.metrics.keys().cloned().collect()
    })?;
    if files.is_empty() {
        return Err(none_declared());
    }
    let mut shown = Vec::new();
    for side in &mut sides {
        let roots = values::metrics(&mut reader, side, &files)?;
        shown.push((side.title().to_owned(), roots));
    }
    reader.check_left(shown.iter().map(|(_, roots)| roots))?;
    warn(ctx, &reader.take_warnings());
    let look = Look {
        key: "metric",
        precision: Some(args.precision.min(PRECISION_MAX)),
        path: PathColumn::Shown,
        change: ChangeColumn::Hidden,
    };
    show_values(ctx, &args.revisions, &shown, values::metric_keys, look);
    Ok(Outcome::Done)
}

fn run_diff(ctx: &Ctx, args: &DiffArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let [mut old, mut new] = args.sides.open(&mut reader)?;
    let targets = args.targets.paths(ctx, &project)?;
    let files = choose(
        &mut reader,
        &mut [&mut old, &mut new],
        &targets,
        &|subjects| subjects.metrics.keys().cloned().collect(),
    )?;
    if files.is_empty() {
        return Err(none_declared());
    }
    args.sides.note(ctx, &old);
    let after = values::metrics(&mut reader, &mut new, &files)?;
    let before = values::metrics(&mut reader, &mut old, &files)?;
    reader.check_left([&before, &after])?;
    warn(ctx, &reader.take_warnings());
    let declared = |path: &ArtifactPath| {
        let of = |side: &crate::compare::Side| side.subjects.metrics.get(path).copied().flatten();
        of(&new).or_else(|| of(&old))
    };
    let (before, after) = (values::metric_keys(&before), values::metric_keys(&after));
    let rows = diff::rows(&before, &after, &|path, key| {
        declared(path).or_else(|| Some(Direction::of_name(key)))
    });
    let is_changed = |row: &&Row| row.verdict != Verdict::Same;
    let has_changes = rows.iter().any(|row| is_changed(&row));
    let chosen: Vec<&Row> = rows
        .iter()
        .filter(|row| args.all || is_changed(row))
        .collect();
    if ctx.out.form == Form::Json {
        ctx.out.json(&diff_json(&chosen));
    } else if rows.is_empty() {
        ctx.out
            .note("there are no metrics yet: `cvops repro` makes them");
    } else if chosen.is_empty() {
        ctx.out.note("no metric changed");
    } else {
        let look = Look {
            key: "metric",
            precision: Some(args.precision.min(PRECISION_MAX)),
            path: if args.no_path {
                PathColumn::Hidden
            } else {
                PathColumn::Shown
            },
            change: ChangeColumn::Shown,
        };
        ctx.out
            .table(&diff_table(&chosen, [old.title(), new.title()], look));
    }
    Ok(if args.exit_code && has_changes {
        Outcome::Changes
    } else {
        Outcome::Done
    })
}
