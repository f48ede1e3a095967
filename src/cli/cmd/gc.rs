//! `cvops gc`: remove from the cache what is not used any more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::base::{Diagnostic, ObjectId, Severity, ToDiagnostics, clock, units};
use crate::cli::args::at_least_one;
use crate::cli::confirm;
use crate::cli::ctx::{Alone, Ctx};
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::render::diagnostic;
use crate::cli::sync::{Mover, OfCommits, Where};
use crate::data::gc::{Collected, Collection, OnBroken, RemoteUse, collect};
use crate::data::revisions::{Kind, Revisions};
use crate::project::Project;
use crate::store::gc::{Mode, Swept};
use crate::track::Tracking;

/// Remove from the cache what is not used any more
///
/// Say what is to be kept: at least the workspace (`-w`), or the workspace and commits. Results of
/// recorded runs are kept too (`cvops runs rm` and `--drop-runs` let go of them). Asks first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops gc -w --dry         what would go if only the workspace counted\n  cvops gc -a -T            keep what the workspace, all branches and all tags use\n  cvops gc -w --not-in-remote  keep here only what was not pushed yet\n  cvops gc -A -c -r backup  also collect on the remote `backup`"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Keep what the workspace uses (implied by the others)
    #[arg(short, long)]
    workspace: bool,
    #[command(flatten)]
    commits: OfCommits,
    /// Keep what DVC's experiments use
    #[arg(long)]
    all_experiments: bool,
    /// Keep what this revision uses
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Keep the last N commits of `--rev`, or of each branch with `-a`
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<usize>)]
    num: Option<usize>,
    /// Keep what all commits of this day and later use
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    date: Option<String>,
    /// Also remove from the remote what is not used
    #[arg(short, long, conflicts_with = "not_in_remote")]
    cloud: bool,
    /// Do not keep here what the remote has
    #[arg(long)]
    not_in_remote: bool,
    #[command(flatten)]
    place: Where,
    /// Also keep what these projects use, which share the cache
    #[arg(short, long, value_name = "DIR", num_args = 1..)]
    projects: Vec<PathBuf>,
    /// Also let go of what only recorded runs refer to; the records stay
    #[arg(long)]
    drop_runs: bool,
    /// Go on without what a commit uses that cannot be read
    #[arg(long)]
    skip_failed: bool,
    /// Only say what would go
    #[arg(long)]
    dry: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Checks the form of a date.
fn date(text: &str) -> Result<String, String> {
    // To git, a day that does not exist is about now.
    if clock::start_of_day(text).is_some() {
        Ok(text.to_owned())
    } else {
        Err("a date looks like 2026-03-01".to_owned())
    }
}

impl Args {
    fn revisions(&self) -> Revisions {
        let mut revisions = self.commits.revisions();
        if self.all_experiments {
            revisions.kinds.insert(Kind::Experiments);
        }
        revisions.revision.clone_from(&self.rev);
        revisions.last = self.num.unwrap_or(1);
        revisions.since = self.date.as_deref().and_then(clock::start_of_day);
        revisions
    }

    fn check(&self, revisions: &Revisions) -> Result<(), CliError> {
        if !self.workspace && revisions.is_empty() {
            return Err(CliError::usage(
                Diagnostic::error("nothing-kept", "say what is to be kept").help(
                    "`-w` keeps what the workspace uses; `-a`, `-T`, `-A`, `--rev` and `--date` add commits",
                ),
            ));
        }
        if self.num.is_some() && self.rev.is_none() && !self.commits.all_branches {
            return Err(CliError::usage(
                Diagnostic::error("usage", "`--num` counts commits of `--rev` or of branches")
                    .help("add `--rev REV` or `-a`"),
            ));
        }
        if self.place.is_named() && !self.cloud && !self.not_in_remote {
            return Err(CliError::usage(
                Diagnostic::error("usage", "`--remote` needs `--cloud` or `--not-in-remote`")
                    .help("`-c` collects on the remote as well"),
            ));
        }
        Ok(())
    }

    /// Returns what is kept, in words.
    fn kept(&self) -> String {
        let mut kept = vec!["the workspace".to_owned()];
        let commits = match self.num {
            Some(n) if 1 < n => format!("the last {n} commits of "),
            _ => String::new(),
        };
        let sets = [
            (self.commits.all_branches, format!("{commits}all branches")),
            (self.commits.all_tags, "all tags".to_owned()),
            (self.commits.all_commits, "all commits".to_owned()),
            (self.all_experiments, "all experiments".to_owned()),
            (!self.drop_runs, "recorded runs".to_owned()),
        ];
        kept.extend(
            sets.into_iter()
                .filter_map(|(on, words)| on.then_some(words)),
        );
        kept.extend(self.rev.as_ref().map(|rev| format!("{commits}`{rev}`")));
        kept.extend(
            self.date
                .as_ref()
                .map(|date| format!("commits since {date}")),
        );
        let projects = self.projects.iter();
        kept.extend(projects.map(|dir| format!("the project `{}`", dir.display())));
        let last = kept.pop().unwrap_or_default();
        if kept.is_empty() {
            last
        } else {
            format!("{} and {last}", kept.join(", "))
        }
    }
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let revisions = args.revisions();
    args.check(&revisions)?;
    if !args.dry && !args.force && !confirmed(ctx, &project, args)? {
        ctx.out.note("nothing was removed");
        return Ok(Outcome::Failed);
    }
    let lock = ctx.lock(&project, "cvops gc")?;
    let (projects, _locks) = others(ctx, &project, args)?;
    let roots = if args.drop_runs {
        BTreeSet::new()
    } else {
        let all = std::iter::once(&project).chain(&projects);
        all.map(of_runs)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect()
    };
    let collection = Collection {
        revisions: &revisions,
        roots: &roots,
        projects: &projects,
        mode: if args.dry { Mode::Count } else { Mode::Remove },
        since: lock.since(),
        remote: match (args.cloud, args.not_in_remote) {
            (true, _) => RemoteUse::Sweep,
            (false, true) => RemoteUse::Relieve,
            (false, false) => RemoteUse::None,
        },
        failed: if args.skip_failed {
            OnBroken::Skip
        } else {
            OnBroken::Stop
        },
    };
    let request = args.place.request();
    let mover = Mover::new(ctx, &project, "collecting");
    let collected = mover.run(|sync| collect(sync, &request, &collection))?;
    show(ctx, &collected, args);
    Ok(Outcome::Done)
}

/// Returns what recorded runs refer to.
fn of_runs(project: &Project) -> Result<BTreeSet<ObjectId>, CliError> {
    match Tracking::open_existing(&project.layout)? {
        Some(tracking) => Ok(tracking.objects()?),
        None => Ok(BTreeSet::new()),
    }
}

/// Opens and locks the other projects that share the cache.
fn others(
    ctx: &Ctx,
    project: &Project,
    args: &Args,
) -> Result<(Vec<Project>, Vec<Alone>), CliError> {
    let mut projects: Vec<Project> = Vec::new();
    let mut locks = Vec::new();
    for dir in &args.projects {
        let other = ctx.project_at(&ctx.dir.join(dir))?;
        let is_known = std::iter::once(project)
            .chain(&projects)
            .any(|p| p.root == other.root);
        if !is_known {
            locks.push(ctx.lock(&other, "cvops gc")?);
            projects.push(other);
        }
    }
    Ok((projects, locks))
}

/// Asks the user.
fn confirmed(ctx: &Ctx, project: &Project, args: &Args) -> Result<bool, CliError> {
    let mut what = format!(
        "this removes from the cache `{}` all but what is used by {}",
        project.config.cache_dir.display(),
        args.kept()
    );
    if args.cloud {
        what.push_str(", and the same from the remote");
    }
    let is_shared = !project.config.cache_dir.starts_with(&project.root);
    let also = is_shared.then_some("the cache lies outside the project: what other projects use there goes too, unless they are named with `-p DIR`");
    let help = "`--dry` says what would go, `--force` removes it";
    confirm::confirmed(ctx, what, also, help)
}

fn show(ctx: &Ctx, collected: &Collected, args: &Args) {
    let mut warnings: Vec<Diagnostic> = Vec::new();
    for (name, error) in &collected.skipped {
        let mut problems = error.to_diagnostics();
        for problem in &mut problems {
            problem.severity = Severity::Warning;
            problem
                .notes
                .push(format!("the revision `{name}` was left out"));
        }
        warnings.extend(problems);
    }
    if ctx.out.form == Form::Json {
        let skipped: Vec<&str> = collected
            .skipped
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        ctx.out.json(&json!({
            "dry": args.dry, "cache": to_json(&collected.cache), "records": collected.records,
            "remote": collected.remote.as_ref().map(|(name, swept)| {
                let mut value = to_json(swept);
                value["name"] = Value::from(name.as_str());
                value
            }),
            "unknown_folders": collected.unknown, "skipped": skipped,
        }));
        return;
    }
    diagnostic::show_all(&ctx.out, &warnings);
    if collected.unknown != 0 {
        ctx.out.note(&format!(
            "{} could not be looked into: neither the cache nor the remote has their listing",
            units::count(collected.unknown, "folder")
        ));
    }
    ctx.out
        .result(&words(&collected.cache, "the cache", args.dry));
    if let Some((name, swept)) = &collected.remote {
        ctx.out
            .result(&words(swept, &format!("the remote `{name}`"), args.dry));
    }
    if collected.records != 0 {
        let records = usize::try_from(collected.records).unwrap_or(usize::MAX);
        let verb = if args.dry { "would go" } else { "went" };
        ctx.out.note(&format!(
            "{} of the run cache, whose results are not kept, {verb}",
            units::count(records, "record")
        ));
    }
}

fn words(swept: &Swept, place: &str, dry: bool) -> String {
    let count = |n: u64| units::count(usize::try_from(n).unwrap_or(usize::MAX), "object");
    if swept.objects == 0 {
        return format!(
            "nothing to remove from {place} ({} in use)",
            count(swept.kept)
        );
    }
    let verb = if dry { "would be removed" } else { "removed" };
    format!(
        "{} ({}) {verb} from {place}, {} kept",
        count(swept.objects),
        units::bytes(swept.bytes),
        swept.kept
    )
}

fn to_json(swept: &Swept) -> Value {
    json!({"removed": swept.objects, "bytes": swept.bytes, "kept": swept.kept})
}
