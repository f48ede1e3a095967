//! `cvops diff`: how tracked data differs between two versions.

use serde_json::{Map, Value, json};

use crate::base::ObjectId;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::tracked;
use crate::data::sides::{Entry, Kind};
use crate::data::status::{Diff, Version, diff};
use crate::data::used::Commits;
use crate::project::Git;
use crate::report::{Align, Table};

/// The word for the files as they are now.
const WORKSPACE: &str = "workspace";

/// Show which tracked files were added, deleted, modified or renamed between two versions
///
/// A version is a git revision, or `workspace`. With none, HEAD is compared with the workspace; with
/// one, that is.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops diff                 since the last commit\n  cvops diff v1.0 v2.0       between two releases\n  cvops diff --targets data/raw --show-hash"
)]
pub(in crate::cli) struct Args {
    /// The older version
    #[arg(default_value = "HEAD")]
    a: String,
    /// The newer version
    #[arg(default_value = WORKSPACE)]
    b: String,
    /// Only these paths
    #[arg(long, value_name = "PATH", num_args = 1..)]
    targets: Vec<String>,
    /// Show hashes
    #[arg(long)]
    show_hash: bool,
    /// Do not tell what is not in the cache
    #[arg(long)]
    hide_missing: bool,
    /// Exit with 3 when something differs
    #[arg(long)]
    exit_code: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let tracked = tracked::open(ctx, &project, &args.targets)?;
    let targets = tracked::paths(ctx, &project, &args.targets)?;
    let mut git = Git::open(&project.root)?;
    let mut version = |word: &str| -> Result<Version, CliError> {
        if word == WORKSPACE {
            return Ok(Version::Workspace);
        }
        Ok(Version::Commit(git.resolve(word)?))
    };
    let (old, new) = (version(&args.a)?, version(&args.b)?);
    let mut commits = Commits::new(git, project.personality);
    let mut diff = diff(&tracked, &mut commits, &old, &new, &targets)?;
    tracked.store.finish();
    if args.hide_missing || args.b != WORKSPACE {
        diff.not_in_cache.clear();
    }
    let hides = args.hide_missing || args.b != WORKSPACE;
    match ctx.out.form {
        Form::Json => ctx.out.json(&to_json(&diff, args, hides)),
        Form::Md => ctx.out.table(&table(&diff, args.show_hash)),
        Form::Text => show(ctx, &diff, args.show_hash),
    }
    Ok(if args.exit_code && !diff.entries.is_empty() {
        Outcome::Changes
    } else {
        Outcome::Done
    })
}

/// The kinds of changes, in the order in which they are shown.
const KINDS: [(Kind, &str, Style); 4] = [
    (Kind::Added, "added", Style::Good),
    (Kind::Deleted, "deleted", Style::Bad),
    (Kind::Renamed, "renamed", Style::Good),
    (Kind::Modified, "modified", Style::Changed),
];

const MISSING: &str = "not in cache";

fn of(diff: &Diff, kind: Kind) -> impl Iterator<Item = &Entry> {
    diff.entries.iter().filter(move |entry| entry.kind == kind)
}

/// Returns the path that a row shows, and its hash: both of them for a modified one.
fn cells(entry: &Entry) -> (String, String) {
    let short = |object: Option<ObjectId>| object.map_or(String::new(), |object| object.short());
    let path = match entry.kind {
        Kind::Renamed => format!("{} -> {}", entry.shown_from(), entry.shown()),
        _ => old_path(entry),
    };
    let hash = match entry.kind {
        Kind::Added => short(entry.new),
        Kind::Modified => format!("{}..{}", short(entry.old), short(entry.new)),
        _ => short(entry.old),
    };
    (path, hash)
}

/// A path that was modified is shown as what it was.
fn old_path(entry: &Entry) -> String {
    match entry.kind {
        Kind::Modified => crate::data::sides::shown(&entry.path, entry.old),
        _ => entry.shown(),
    }
}

fn rows(diff: &Diff) -> Vec<(&'static str, Style, String, String)> {
    let mut rows = Vec::new();
    for (kind, name, style) in KINDS {
        for entry in of(diff, kind) {
            let (path, hash) = cells(entry);
            rows.push((name, style, path, hash));
        }
    }
    for (path, object) in &diff.not_in_cache {
        rows.push((MISSING, Style::Changed, path.clone(), object.short()));
    }
    rows
}

fn show(ctx: &Ctx, diff: &Diff, show_hash: bool) {
    let rows = rows(diff);
    if rows.is_empty() {
        ctx.out.note("no tracked data differs");
        return;
    }
    let mut text = String::new();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for group in rows.chunk_by(|a, b| a.0 == b.0) {
        let (name, style, ..) = &group[0];
        let mut title = (*name).to_owned();
        title[..1].make_ascii_uppercase();
        text.push_str(&format!("{}:\n", ctx.out.paint(*style, &title)));
        for (_, _, path, hash) in group {
            let hash = if show_hash {
                format!("{hash}  ")
            } else {
                String::new()
            };
            text.push_str(&format!("    {hash}{path}\n"));
        }
        text.push('\n');
        let files = group
            .iter()
            .filter(|(_, _, path, _)| !path.ends_with('/'))
            .count();
        if 0 < files {
            counts.push((name, files));
        }
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    if !counts.is_empty() {
        text.push_str(&format!("files: {}", counts.join(", ")));
    }
    ctx.out.result(text.trim_end());
}

fn table(diff: &Diff, show_hash: bool) -> Table {
    let columns: &[(&str, Align)] = if show_hash {
        &[
            ("Status", Align::Left),
            ("Hash", Align::Left),
            ("Path", Align::Left),
        ]
    } else {
        &[("Status", Align::Left), ("Path", Align::Left)]
    };
    let mut table = Table::new(columns.iter().copied());
    for (name, _, path, hash) in rows(diff) {
        if show_hash {
            table.row([name.to_owned(), hash, path]);
        } else {
            table.row([name.to_owned(), path]);
        }
    }
    table
}

/// Returns the document that `dvc diff --json` prints.
fn to_json(diff: &Diff, args: &Args, hides_missing: bool) -> Value {
    let show_hash = args.show_hash;
    if diff.entries.is_empty() && diff.not_in_cache.is_empty() {
        return json!({});
    }
    let text = |object: Option<ObjectId>| object.map(|object| object.to_string());
    let mut document = Map::new();
    for kind in [Kind::Added, Kind::Deleted, Kind::Modified, Kind::Renamed] {
        let items = of(diff, kind).map(|entry| {
            let mut item = Map::new();
            let path = match kind {
                Kind::Renamed => json!({"old": entry.shown_from(), "new": entry.shown()}),
                _ => json!(old_path(entry)),
            };
            item.insert("path".to_owned(), path);
            if show_hash {
                let hash = match kind {
                    Kind::Added => json!(text(entry.new)),
                    Kind::Modified => json!({"old": text(entry.old), "new": text(entry.new)}),
                    _ => json!(text(entry.old)),
                };
                item.insert("hash".to_owned(), hash);
            }
            Value::Object(item)
        });
        let name = KINDS
            .iter()
            .find(|(k, ..)| *k == kind)
            .map_or("", |(_, name, _)| name);
        document.insert(name.to_owned(), Value::Array(items.collect()));
    }
    if !hides_missing {
        let items = diff.not_in_cache.iter().map(|(path, object)| {
            if show_hash {
                json!({"path": path, "hash": object.to_string()})
            } else {
                json!({"path": path})
            }
        });
        document.insert(MISSING.to_owned(), Value::Array(items.collect()));
    }
    Value::Object(document)
}
