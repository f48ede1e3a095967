//! `cvops data`: what became of tracked data, and whether pictures are fit to learn from.

#[cfg(feature = "vision")]
mod check;

use serde_json::{Map, Value, json};

use crate::base::ArtifactPath;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::sync::Mover;
use crate::cli::tracked;
use crate::data::sides::{Depth, Entry, Kind};
use crate::data::status::{self, Status};
use crate::data::sync::Request;
use crate::data::used::{Commits, Used, in_workspace};
use crate::pipeline::{Plan, Reach};
use crate::project::{Commit, Git, Project, git};
use crate::report::{Align, Table};

/// Look at data: what changed, what is wrong with it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cvops data status\n  cvops data check data/raw")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(StatusArgs),
    #[cfg(feature = "vision")]
    Check(check::Args),
}

/// Show what changed in tracked data since it was recorded, and since the last commit
///
/// `committed` is what pointers and locks say that the last commit did not; `uncommitted` is what
/// the workspace holds that pointers and locks do not say.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops data status\n  cvops data status --granular data/raw   file by file\n  cvops data status --not-in-remote       also what was not pushed yet"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct StatusArgs {
    /// Only these paths (default: all)
    targets: Vec<String>,
    /// Say which files of a folder changed
    #[arg(long)]
    granular: bool,
    /// Also list what did not change
    #[arg(long)]
    unchanged: bool,
    /// Also list files that neither git nor cvops tracks
    #[arg(
        long, value_name = "WHICH", num_args = 0..=1, require_equals = true,
        default_value = "no", default_missing_value = "all", value_parser = ["no", "all"]
    )]
    untracked_files: String,
    /// Also list what was not pushed to the remote yet
    #[arg(long)]
    not_in_remote: bool,
    /// The remote that `--not-in-remote` asks (default: `core.remote`)
    #[arg(short, long, value_name = "NAME", requires = "not_in_remote")]
    remote: Option<String>,
    /// Exit with 3 when something changed
    #[arg(long)]
    exit_code: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.command {
        Command::Status(args) => status(ctx, args),
        #[cfg(feature = "vision")]
        Command::Check(args) => check::run(ctx, args),
    }
}

fn status(ctx: &Ctx, args: &StatusArgs) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let tracked = tracked::open(ctx, &project, &args.targets)?;
    let targets = tracked::paths(ctx, &project, &args.targets)?;
    let depth = match (args.granular, args.unchanged) {
        (false, _) => Depth::Whole,
        (true, _) => Depth::AllFiles,
    };
    let uses_git = project.uses_git();
    let (mut commits, head) = if uses_git {
        let mut git = Git::open(&project.root)?;
        let head: Option<Commit> = git.resolve("HEAD").ok();
        (Some(Commits::new(git, project.personality)), head)
    } else {
        (None, None)
    };
    let mut status = status::status(&tracked, commits.as_mut(), head.as_ref(), &targets, depth)?;
    tracked.store.finish();
    if args.untracked_files == "all" {
        status.untracked = status::untracked(&tracked, &targets);
    }
    if args.not_in_remote {
        status.not_in_remote = not_in_remote(ctx, &project, args, &targets, depth)?;
    }
    if !args.unchanged {
        status.unchanged.clear();
    }
    match ctx.out.form {
        Form::Json => ctx.out.json(&to_json(&status)),
        Form::Md => ctx.out.table(&table(&status)),
        Form::Text => {
            show(ctx, &status, head.is_none() && uses_git);
            let is_dirty = uses_git
                && git::work_tree(&project.root, &[])
                    .is_ok_and(|tree| tree.changes == git::Changes::Some);
            if is_dirty {
                ctx.out
                    .note("(git has other changes; `git status` shows them)");
            }
        }
    }
    let is_changed = !(status.committed.is_empty()
        && status.uncommitted.is_empty()
        && status.not_in_cache.is_empty());
    Ok(if args.exit_code && is_changed {
        Outcome::Changes
    } else {
        Outcome::Done
    })
}

/// Asks the remote.
fn not_in_remote(
    ctx: &Ctx,
    project: &Project,
    args: &StatusArgs,
    targets: &[ArtifactPath],
    depth: Depth,
) -> Result<Vec<String>, CliError> {
    let graph = ctx.graph_for(project, &args.targets)?;
    let lock = Ctx::lock_file(project, &graph)?;
    let plan = Plan::select(&graph, &[], ctx.selection(project, Reach::Single))?;
    let used: Vec<Used> = in_workspace(&plan, &lock)
        .into_iter()
        .filter(|used| used.push)
        .collect();
    if used.is_empty() {
        return Ok(Vec::new());
    }
    let request = Request {
        remote: args.remote.as_deref(),
        ..Request::default()
    };
    let mover = Mover::new(ctx, project, "looking");
    Ok(mover.run(|sync| status::not_in_remote(sync, &used, &request, targets, depth))?)
}

/// The states of a change, in the order in which they are shown.
const STATES: [(Kind, &str); 5] = [
    (Kind::Modified, "modified"),
    (Kind::Added, "added"),
    (Kind::Deleted, "deleted"),
    (Kind::Renamed, "renamed"),
    (Kind::Unknown, "unknown"),
];

fn of(entries: &[Entry], kind: Kind) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.kind == kind)
}

fn line(entry: &Entry) -> String {
    match entry.kind {
        Kind::Renamed => format!("{} -> {}", entry.shown_from(), entry.shown()),
        _ => entry.shown(),
    }
}

fn show(ctx: &Ctx, status: &Status, is_first: bool) {
    let changes = |entries: &[Entry]| -> Vec<String> {
        let states = STATES.into_iter();
        states
            .flat_map(|(kind, name)| of(entries, kind).map(move |e| format!("{name}: {}", line(e))))
            .collect()
    };
    let untracked: Vec<String> = status.untracked.iter().map(ToString::to_string).collect();
    let parts = [
        (
            "Not in the cache",
            "`cvops fetch` brings it from a remote",
            Style::Bad,
            status.not_in_cache.clone(),
        ),
        (
            "Not on the remote",
            "`cvops push` sends it",
            Style::Bad,
            status.not_in_remote.clone(),
        ),
        (
            "Recorded since the last commit",
            "git commit the pointer and lock files",
            Style::Good,
            changes(&status.committed),
        ),
        (
            "Changed since it was recorded",
            "`cvops commit` records it, `cvops checkout` takes it back",
            Style::Changed,
            changes(&status.uncommitted),
        ),
        (
            "Untracked files",
            "`git add` or `cvops add` tracks them",
            Style::Strong,
            untracked,
        ),
        ("Unchanged", "", Style::Dim, status.unchanged.clone()),
    ];
    let mut said = Vec::new();
    for (title, hint, style, lines) in parts {
        if lines.is_empty() {
            continue;
        }
        let mut text = format!("{title}:");
        if !hint.is_empty() {
            text.push_str(&format!("\n  ({hint})"));
        }
        for line in lines {
            text.push_str(&format!("\n        {}", ctx.out.paint(style, &line)));
        }
        said.push(text);
    }
    if said.is_empty() {
        let end = if is_first {
            " (there is no commit yet)"
        } else {
            ""
        };
        said.push(format!("nothing changed{end}"));
    }
    ctx.out.result(&said.join("\n\n"));
}

fn table(status: &Status) -> Table {
    let mut table = Table::new([
        ("since", Align::Left),
        ("change", Align::Left),
        ("path", Align::Left),
    ]);
    let mut row = |since: &str, change: &str, path: String| {
        table.row([since.to_owned(), change.to_owned(), path]);
    };
    for (since, entries) in [
        ("commit", &status.committed),
        ("record", &status.uncommitted),
    ] {
        for (kind, name) in STATES {
            of(entries, kind).for_each(|entry| row(since, name, line(entry)));
        }
    }
    status
        .not_in_cache
        .iter()
        .for_each(|path| row("", "not in the cache", path.clone()));
    status
        .not_in_remote
        .iter()
        .for_each(|path| row("", "not on the remote", path.clone()));
    status
        .untracked
        .iter()
        .for_each(|path| row("", "untracked", path.to_string()));
    status
        .unchanged
        .iter()
        .for_each(|path| row("", "unchanged", path.clone()));
    table
}

/// Returns the document that `dvc data status --json` prints: what is empty is left out.
fn to_json(status: &Status) -> Value {
    let changes = |entries: &[Entry]| -> Value {
        let mut map = Map::new();
        for (kind, name) in STATES {
            let items: Vec<Value> = of(entries, kind)
                .map(|entry| match kind {
                    Kind::Renamed => json!({"old": entry.shown_from(), "new": entry.shown()}),
                    _ => json!(entry.shown()),
                })
                .collect();
            if !items.is_empty() {
                map.insert(name.to_owned(), json!(items));
            }
        }
        Value::Object(map)
    };
    let untracked: Vec<&str> = status.untracked.iter().map(ArtifactPath::as_str).collect();
    let parts = [
        ("not_in_cache", json!(status.not_in_cache)),
        ("not_in_remote", json!(status.not_in_remote)),
        ("committed", changes(&status.committed)),
        ("uncommitted", changes(&status.uncommitted)),
        ("untracked", json!(untracked)),
        ("unchanged", json!(status.unchanged)),
    ];
    let is_empty = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let parts = parts.into_iter().filter(|(_, value)| !is_empty(value));
    Value::Object(
        parts
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}
