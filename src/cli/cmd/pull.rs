//! `cvops pull`: bring what the project uses from a remote and put it in place.

use serde_json::{Value, json};

use crate::base::{ArtifactPath, ToDiagnostics, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::cli::sync::{self, Flags, Mover};
use crate::data;
use crate::data::error::{Direction, Origin};
use crate::data::place::{Change, Kind, place};
use crate::data::used::Used;
use crate::project::Project;
use crate::store::{Held, OnConflict, Store};

/// Bring what the project uses from a remote and put it in place
///
/// What stands at a path and is not in the cache yet is kept there first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  git pull && cvops pull   what a colleague pushed\n  cvops pull data/raw      only this\n  cvops pull data/raw/cat  only this part of a folder"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Overwrite files whose content is not in the cache: it is lost
    #[arg(short, long)]
    force: bool,
    /// Do not fail because of what the remote does not have
    #[arg(long)]
    allow_missing: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let request = args.flags.request(None);
    let mover = Mover::new(ctx, &project, "fetching");
    let (here, synced) = mover.run(|mover| {
        let (here, used) = sync::used(ctx, mover, &request, &args.flags)?;
        Ok::<_, CliError>((here, mover.fetch(&used, &request)?))
    })?;
    let _lock = ctx.lock(&project, "cvops pull")?;
    let store = Store::open(&project, &ctx.cancel);
    let on_conflict = if args.force {
        OnConflict::Overwrite
    } else {
        OnConflict::SaveFirst
    };
    // What did not come is told below; the rest is put in place.
    let mut lost = lost(ctx, &project, args)?;
    let mut whole: Vec<&Used> = Vec::new();
    for used in &here {
        if synced.lacking.contains_key(used.path.as_str()) {
            continue;
        }
        if used.push || store.contains(&used.object())? == Held::Whole {
            whole.push(used);
        } else if !project.absolute(&used.path).exists() {
            let path = used.path.clone();
            lost.push((path.clone(), data::Error::NotPushed { path }));
        }
    }
    let mut changes = Vec::new();
    let mut is_failed = false;
    for used in whole {
        match place(&project, &store, used, on_conflict, &ctx.cancel) {
            Ok(None) => {}
            Ok(Some(change)) => {
                show(ctx, used, &change);
                changes.push((used, change));
            }
            Err(error) if error.is_cancelled() => return Err(error.into()),
            Err(error) => {
                // Members that did not come: told below.
                if synced.lacking.is_empty() && synced.damaged.is_empty() {
                    is_failed = true;
                    diagnostic::show_all(&ctx.out, &error.to_diagnostics());
                }
            }
        }
    }
    store.finish();
    let written: u64 = changes
        .iter()
        .map(|(_, change)| change.placed.written)
        .sum();
    if ctx.out.form == Form::Json {
        let mut value = sync::to_json(&synced, "fetched");
        let changed = changes.iter().map(|(used, change)| {
            json!({
                "path": used.path.as_str(), "change": change.kind.name(),
                "saved": change.placed.saved.map(|saved| saved.to_string()),
            })
        });
        value["changed"] = changed.collect();
        if let Value::Array(lacking) = &mut value["lacking"] {
            lacking.extend(lost.iter().map(|(path, _)| json!(path.as_str())));
        }
        ctx.out.json(&value);
    } else {
        let written = usize::try_from(written).unwrap_or(usize::MAX);
        let parts: Vec<String> = [
            sync::summary(&synced, Direction::Fetch),
            (written != 0).then(|| format!("{} put in place", units::count(written, "file"))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let is_whole = lost.is_empty() && synced.problem(Direction::Fetch).is_none();
        ctx.out
            .result(&match (parts.is_empty() && changes.is_empty(), is_whole) {
                (false, _) => parts.join(", "),
                (true, true) => "everything is up to date".to_owned(),
                (true, false) => "nothing changed".to_owned(),
            });
    }
    let is_incomplete = !args.allow_missing && sync::show_problem(ctx, &synced, Direction::Fetch);
    let is_lost = !args.allow_missing && !lost.is_empty();
    if is_lost && ctx.out.form != Form::Json {
        for (_, error) in lost {
            diagnostic::show_all(&ctx.out, &error.to_diagnostics());
        }
    }
    Ok(if is_failed || is_incomplete || is_lost {
        Outcome::Failed
    } else {
        Outcome::Done
    })
}

/// Returns the outputs of which nobody knows what they hold, and says so.
fn lost(
    ctx: &Ctx,
    project: &Project,
    args: &Args,
) -> Result<Vec<(ArtifactPath, data::Error)>, CliError> {
    let unrecorded = sync::unrecorded(ctx, project, &args.flags)?.into_iter();
    let is_there = |path: &ArtifactPath| project.absolute(path).exists();
    let lost = unrecorded.filter(|(path, _)| !is_there(path));
    let say = |(path, origin): (ArtifactPath, Origin)| {
        (path.clone(), data::Error::NoRun { path, origin })
    };
    Ok(lost.map(say).collect())
}

/// Says what happened to one output.
fn show(ctx: &Ctx, used: &Used, change: &Change) {
    if ctx.out.form == Form::Json {
        return;
    }
    let (letter, style) = letter(change.kind);
    let letter = ctx.out.paint(style, letter);
    let slash = if used.content.files.is_some() {
        "/"
    } else {
        ""
    };
    ctx.out.result(&format!("{letter}  {}{slash}", used.path));
    if let Some(saved) = change.placed.saved {
        ctx.out.note(&format!(
            "   its old content was not in the cache; it is kept there as {saved}"
        ));
    }
}

fn letter(kind: Kind) -> (&'static str, Style) {
    match kind {
        Kind::Added => ("A", Style::Good),
        Kind::Modified => ("M", Style::Changed),
    }
}
