//! `cvops gc`: remove from the cache what is not used any more.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

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
use crate::track::db::{Keep, Purge, Purged, Shrunk};

/// Remove from the cache what is not used any more
///
/// Say what is to be kept: at least the workspace (`-w`), or the workspace and commits. Results of
/// recorded runs are kept too, of deleted ones until `--deleted-runs` removes them for good;
/// `--drop-runs` lets go of what can be made again. What versions of registered models need is kept in
/// any case. Asks first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops gc -w --dry         what would go if only the workspace counted\n  cvops gc -a -T            keep what the workspace, all branches and all tags use\n  cvops gc -w --not-in-remote  keep here only what was not pushed yet\n  cvops gc -A -c -r backup  also collect on the remote `backup`\n  cvops gc --deleted-runs   remove deleted runs for good; with `-w` also what only they used"
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
    /// Also let go of what only recorded runs refer to; the records stay, and so do files that clients
    /// uploaded and what registered models need
    #[arg(long)]
    drop_runs: bool,
    /// Remove deleted runs, experiments and logged models for good, and make the record smaller; works
    /// without any of the above, which then let go of what only those used
    #[arg(long)]
    deleted_runs: bool,
    /// With `--deleted-runs`: only what was deleted so long ago
    #[arg(long, value_name = "AGE", requires = "deleted_runs", value_parser = age)]
    older_than: Option<Duration>,
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

/// Reads how long ago.
fn age(text: &str) -> Result<Duration, String> {
    units::parse_age(text).ok_or_else(|| "an age looks like 30d or 12h".to_owned())
}

impl Args {
    /// Is the cache collected, or are only records removed?
    fn sweeps(&self, revisions: &Revisions) -> bool {
        self.workspace || !revisions.is_empty()
    }

    fn keep(&self) -> Keep {
        if self.drop_runs {
            Keep::Irreplaceable
        } else {
            Keep::All
        }
    }

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
        let only_records = self.deleted_runs
            && !(self.cloud || self.not_in_remote || self.drop_runs || !self.projects.is_empty());
        if !self.sweeps(revisions) && !only_records {
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
    let sweeps = args.sweeps(&revisions);
    if !args.dry && !args.force && !confirmed(ctx, &project, args, sweeps)? {
        ctx.out.note("nothing was removed");
        return Ok(Outcome::Failed);
    }
    let lock = ctx.lock(&project, "cvops gc")?;
    let (projects, _locks) = others(ctx, &project, args)?;
    let (mut roots, deleted) = own_roots(&project, args)?;
    let collected = if sweeps {
        for other in &projects {
            roots.extend(of_runs(other, args.keep())?);
        }
        Some(sweep(
            ctx,
            &project,
            args,
            &Sweep {
                revisions: &revisions,
                roots: &roots,
                projects: &projects,
                since: lock.since(),
            },
        )?)
    } else {
        None
    };
    show(ctx, collected.as_ref(), deleted.as_ref(), args);
    Ok(Outcome::Done)
}

/// What a collection of the cache needs to know.
struct Sweep<'a> {
    revisions: &'a Revisions,
    roots: &'a BTreeSet<ObjectId>,
    projects: &'a [Project],
    since: SystemTime,
}

fn sweep(
    ctx: &Ctx,
    project: &Project,
    args: &Args,
    sweep: &Sweep<'_>,
) -> Result<Collected, CliError> {
    let collection = Collection {
        revisions: sweep.revisions,
        roots: sweep.roots,
        projects: sweep.projects,
        mode: if args.dry { Mode::Count } else { Mode::Remove },
        since: sweep.since,
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
    let mover = Mover::new(ctx, project, "collecting");
    Ok(mover.run(|sync| collect(sync, &request, &collection))?)
}

/// What was removed from the record for good, and what that made of its file.
struct Deleted {
    purged: Purged,
    file: Option<Shrunk>,
}

/// Returns what the records of the project keep, after removing what was deleted.
fn own_roots(
    project: &Project,
    args: &Args,
) -> Result<(BTreeSet<ObjectId>, Option<Deleted>), CliError> {
    if !args.deleted_runs {
        return Ok((of_runs(project, args.keep())?, None));
    }
    let Some(mut tracking) = Tracking::open_existing(&project.layout)? else {
        let deleted = Deleted {
            purged: Purged::default(),
            file: None,
        };
        return Ok((BTreeSet::new(), Some(deleted)));
    };
    let until = args.older_than.map(|age| {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        clock::now().as_millisecond().saturating_sub(age)
    });
    let what = Purge { until_ms: until };
    if args.dry {
        let (purged, roots) = tracking.would_purge(what, args.keep())?;
        return Ok((roots, Some(Deleted { purged, file: None })));
    }
    let (purged, roots) = tracking.purge(what, args.keep())?;
    let file = Some(tracking.shrink()?);
    Ok((roots, Some(Deleted { purged, file })))
}

/// Returns what records refer to.
fn of_runs(project: &Project, keep: Keep) -> Result<BTreeSet<ObjectId>, CliError> {
    match Tracking::open_existing(&project.layout)? {
        Some(tracking) => Ok(tracking.reader().kept_objects(keep)?),
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
fn confirmed(ctx: &Ctx, project: &Project, args: &Args, sweeps: bool) -> Result<bool, CliError> {
    let mut what = Vec::new();
    if args.deleted_runs {
        what.push("this removes deleted runs, experiments and logged models for good".to_owned());
    }
    if sweeps {
        what.push(format!(
            "this removes from the cache `{}` all but what is used by {}",
            project.config.cache_dir.display(),
            args.kept()
        ));
    }
    let mut what = what.join("; ");
    if args.cloud {
        what.push_str(", and the same from the remote");
    }
    let is_shared = !project.config.cache_dir.starts_with(&project.root);
    let also = (is_shared && sweeps).then_some("the cache lies outside the project: what other projects use there goes too, unless they are named with `-p DIR`");
    let help = "`--dry` says what would go, `--force` removes it";
    confirm::confirmed(ctx, what, also, help)
}

fn show(ctx: &Ctx, collected: Option<&Collected>, deleted: Option<&Deleted>, args: &Args) {
    if ctx.out.form == Form::Json {
        let mut value = json!({"dry": args.dry});
        if let Some(deleted) = deleted {
            value["deleted"] = deleted_json(deleted);
        }
        if let Some(collected) = collected {
            add_json(collected, &mut value);
        }
        ctx.out.json(&value);
        return;
    }
    if let Some(deleted) = deleted {
        show_deleted(ctx, deleted, args);
    }
    match (collected, deleted) {
        (Some(collected), _) => show_collected(ctx, collected, args),
        (None, Some(deleted)) if !deleted.purged.is_nothing() => ctx
            .out
            .note("what only they used stays in the cache until the next `cvops gc -w`"),
        (None, _) => {}
    }
}

fn deleted_json(deleted: &Deleted) -> Value {
    let Deleted { purged, file } = deleted;
    let file = match file {
        Some(Shrunk::Done(before, after)) => json!({"before": before, "after": after}),
        Some(Shrunk::Busy) | None => Value::Null,
    };
    json!({
        "runs": purged.runs, "experiments": purged.experiments, "logged_models": purged.models,
        "artifacts": purged.files, "bytes": purged.bytes, "kept_for_registry": purged.needed,
        "database": file,
    })
}

fn show_deleted(ctx: &Ctx, deleted: &Deleted, args: &Args) {
    let Deleted { purged, file } = deleted;
    let counts = [
        (purged.runs, "run"),
        (purged.experiments, "experiment"),
        (purged.models, "logged model"),
    ];
    let counts = counts.into_iter().filter(|(n, _)| *n != 0);
    let mut parts: Vec<String> = counts.map(|(n, noun)| units::count(n, noun)).collect();
    if purged.files != 0 {
        let files = units::count(purged.files, "artifact");
        parts.push(format!("{files} ({})", units::bytes(purged.bytes)));
    }
    let verb = if args.dry { "would go" } else { "went" };
    ctx.out.result(&if parts.is_empty() {
        "no deleted run is to go".to_owned()
    } else {
        format!("{} {verb} for good", parts.join(", "))
    });
    if !purged.needed.is_empty() {
        ctx.out.note(&format!(
            "kept, because versions of registered models come from them: {}",
            purged.needed.join(", ")
        ));
    }
    match file {
        Some(Shrunk::Done(before, after)) if after < before => ctx.out.note(&format!(
            "the record went from {} to {}",
            units::bytes(*before),
            units::bytes(*after)
        )),
        Some(Shrunk::Busy) => ctx.out.note(
            "the file of the record keeps its size: another program uses it; once more when it is idle",
        ),
        Some(Shrunk::Done(..)) | None => {}
    }
}

fn skipped_warnings(collected: &Collected) -> Vec<Diagnostic> {
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
    warnings
}

fn add_json(collected: &Collected, value: &mut Value) {
    let skipped: Vec<&str> = collected
        .skipped
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    value["cache"] = to_json(&collected.cache);
    value["records"] = collected.records.into();
    value["remote"] = match &collected.remote {
        Some((name, swept)) => {
            let mut value = to_json(swept);
            value["name"] = Value::from(name.as_str());
            value
        }
        None => Value::Null,
    };
    value["unknown_folders"] = collected.unknown.into();
    value["skipped"] = skipped.into();
}

fn show_collected(ctx: &Ctx, collected: &Collected, args: &Args) {
    diagnostic::show_all(&ctx.out, &skipped_warnings(collected));
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
