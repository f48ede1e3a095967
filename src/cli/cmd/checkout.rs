//! `cvops checkout`: put tracked data and outputs in place as pointers and locks name them.

use serde_json::json;

use crate::base::{ArtifactPath, ToDiagnostics, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::cli::tracked;
use crate::data::checkout::{Change, CheckedOut, Fate, Inside, Links, Wanted, checkout, wanted};
use crate::data::stray::remove_stray;
use crate::data::{self, Tracked};
use crate::pipeline::plan::Naming;
use crate::pipeline::{Plan, Reach};
use crate::store::OnConflict;

/// Put tracked data and outputs in place as pointer and lock files name them, from the cache
///
/// What stands at a path and is not in the cache yet is kept there first. `A` is said of what was
/// not there, `M` of what was something else.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  git checkout v1.0 && cvops checkout\n  cvops checkout data/raw/cat   part of a tracked folder"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Stages, outputs, pointer files or tracked data (default: all)
    targets: Vec<String>,
    /// Make links or copies anew, as `cache.type` says now
    #[arg(long)]
    relink: bool,
    /// Only say how many changed
    #[arg(long)]
    summary: bool,
    /// Do not fail because of what the cache does not have
    #[arg(long)]
    allow_missing: bool,
    /// Overwrite files whose content is not in the cache: it is lost
    #[arg(short, long)]
    force: bool,
    /// A folder among the targets means all that is tracked in it
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Also what the target stages need
    #[arg(short = 'd', long)]
    with_deps: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops checkout")?;
    let tracked = tracked::open(ctx, &project, &args.targets)?;
    let wanted = choose(ctx, &tracked, args)?;
    let on_conflict = if args.force {
        OnConflict::Overwrite
    } else {
        OnConflict::SaveFirst
    };
    let links = if args.relink {
        Links::Anew
    } else {
        Links::AsNeeded
    };
    let mut results = checkout(&tracked, &wanted, on_conflict, links)?;
    if args.targets.is_empty() {
        results.extend(remove_stray(&tracked)?);
    }
    tracked.store.finish();
    // As DVC: modified, then added; folders before files.
    results.sort_by_key(|done| (rank(&done.result), !done.is_folder, done.path.clone()));
    let mut failed = 0;
    let mut counts = [0; 3];
    let (mut relinked_paths, mut relinked_files) = (0, 0);
    for done in &results {
        let lacks = matches!(
            &done.result,
            Fate::Failed(
                data::Error::NotInCache { .. }
                    | data::Error::NoRun { .. }
                    | data::Error::Unrecorded { .. }
            )
        );
        if matches!(done.result, Fate::Failed(_)) && !(lacks && args.allow_missing) {
            failed += 1;
        }
        match done.result {
            Fate::Placed { change, .. } => counts[usize::from(change == Change::Added)] += 1,
            Fate::Removed => counts[2] += 1,
            Fate::Unchanged | Fate::Failed(_) => {}
        }
        relinked_paths += usize::from(0 < done.relinked);
        relinked_files += usize::try_from(done.relinked).unwrap_or(usize::MAX);
        show(ctx, args, done, lacks);
    }
    if ctx.out.form != Form::Json {
        if 0 < relinked_paths {
            let paths = units::count(relinked_paths, "path");
            let files = units::count(relinked_files, "file");
            ctx.out.note(&format!("relinked {paths} ({files})"));
        }
        let is_quiet = counts == [0; 3] && failed == 0 && relinked_paths == 0;
        if args.summary {
            ctx.out.result(&summary(counts));
        } else if is_quiet {
            ctx.out.note("everything is in place already");
        }
    }
    Ok(if failed == 0 {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// Finds out what the targets mean: data by its path, stages by their names.
fn choose(ctx: &Ctx, tracked: &Tracked<'_>, args: &Args) -> Result<Vec<Wanted>, CliError> {
    let inside = if args.recursive {
        Inside::Yes
    } else {
        Inside::No
    };
    if args.targets.is_empty() {
        return Ok(wanted(tracked, &[], inside)?);
    }
    let mut chosen = Vec::new();
    let mut names = Vec::new();
    for target in &args.targets {
        let path = tracked.locate(&ctx.dir, target).ok();
        let found = path.map(|path| wanted(tracked, &[path], inside));
        match found {
            Some(Ok(found)) if !args.with_deps => chosen.extend(found),
            Some(Err(error)) if is_final(tracked, &error) => return Err(error.into()),
            _ => names.push(target.clone()),
        }
    }
    if !names.is_empty() {
        let graph = ctx.graph_for(tracked.project, &names)?;
        let reach = if args.with_deps {
            Reach::Upstream
        } else {
            Reach::Single
        };
        let mut selection = ctx.selection(tracked.project, reach);
        if args.recursive {
            selection.naming = Naming::Below;
        }
        let plan = Plan::select(&graph, &names, selection)?;
        let stages = plan.order().iter().map(|&index| &graph.stages()[index]);
        let outs = stages.flat_map(|stage| stage.outs.keys().cloned());
        let pointers = plan
            .pointers()
            .iter()
            .map(|&index| graph.pointers()[index].file.clone());
        let paths: Vec<ArtifactPath> = outs.chain(pointers).collect();
        if !paths.is_empty() {
            chosen.extend(wanted(tracked, &paths, inside)?);
        }
    }
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    chosen.dedup_by(|a, b| a.path == b.path);
    Ok(chosen)
}

/// Is there no use in looking for a stage of this name? Not if it is a path into tracked data.
fn is_final(tracked: &Tracked<'_>, error: &data::Error) -> bool {
    let data::Error::NotTracked { path, .. } = error else {
        return true;
    };
    let is_stage_out = tracked.stage_outs.keys().any(|out| out.contains(path));
    is_stage_out || tracked.around(path).is_some()
}

fn rank(fate: &Fate) -> u8 {
    match fate {
        Fate::Placed {
            change: Change::Modified,
            ..
        } => 0,
        Fate::Placed {
            change: Change::Added,
            ..
        } => 1,
        Fate::Removed => 2,
        Fate::Unchanged => 3,
        Fate::Failed(_) => 4,
    }
}

fn show(ctx: &Ctx, args: &Args, done: &CheckedOut, lacks: bool) {
    let slash = if done.is_folder { "/" } else { "" };
    let path = format!("{}{slash}", done.path);
    let (what, saved, error) = match &done.result {
        Fate::Unchanged => ("unchanged", None, None),
        Fate::Removed => ("deleted", None, None),
        Fate::Placed {
            change: Change::Added,
            saved,
        } => ("added", saved.as_ref(), None),
        Fate::Placed {
            change: Change::Modified,
            saved,
        } => ("modified", saved.as_ref(), None),
        Fate::Failed(error) if lacks && args.allow_missing => ("missing", None, Some(error)),
        Fate::Failed(error) => ("failed", None, Some(error)),
    };
    if ctx.out.form == Form::Json {
        let mut row = json!({
            "path": done.path.as_str(), "result": what, "saved": saved.map(ToString::to_string),
            "error": error.map(ToString::to_string),
        });
        if args.relink {
            row["relinked"] = json!(done.relinked);
        }
        ctx.out.json(&row);
        return;
    }
    let line = |letter, style| format!("{}\t{path}", ctx.out.paint(style, letter));
    match &done.result {
        Fate::Placed { .. } | Fate::Removed if args.summary => {}
        Fate::Removed => ctx.out.result(&line("D", Style::Bad)),
        Fate::Placed {
            change: Change::Added,
            ..
        } => ctx.out.result(&line("A", Style::Good)),
        Fate::Placed {
            change: Change::Modified,
            ..
        } => {
            ctx.out.result(&line("M", Style::Changed));
        }
        Fate::Failed(_) if lacks && args.allow_missing => {
            ctx.out.note(&format!(
                "`{path}` is not in the cache, it is left as it is"
            ));
        }
        Fate::Failed(error) => diagnostic::show_all(&ctx.out, &error.to_diagnostics()),
        Fate::Unchanged => {}
    }
    if let Some(object) = saved {
        ctx.out.note(&format!(
            "  the old content of `{path}` is kept in the cache as {object}"
        ));
    }
}

fn summary([modified, added, deleted]: [usize; 3]) -> String {
    let part = |n: usize, what: &str| (0 < n).then(|| format!("{n} {what}"));
    let parts = [
        part(modified, "modified"),
        part(added, "added"),
        part(deleted, "deleted"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "no changes".to_owned()
    } else {
        parts.join(", ")
    }
}
