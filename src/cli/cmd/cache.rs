//! `cvops cache verify|dir|migrate`: look after the cache.

use std::collections::BTreeSet;

use clap::Subcommand;
use serde_json::json;

use crate::base::{ObjectId, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::progress::Progress;
use crate::cli::settings::{LevelArgs, Settings};
use crate::cli::sync::{Mover, Where};
use crate::cli::tracked;
use crate::data;
use crate::project::{self, Project};
use crate::store::gc::Mode;
use crate::store::legacy::rename_legacy;
use crate::store::{Cache, Report, Sweep, VerifyEvent, verify};

use super::config;

/// Look after the cache
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops cache verify")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Hash every object again; damaged ones are replaced from the remote, or set aside
    ///
    /// What is damaged or missing is fetched from the remote if there is one.
    #[command(after_help = "Example:\n  cvops cache verify")]
    Verify {
        #[command(flatten)]
        place: Where,
    },
    /// Print the cache's folder, or put it elsewhere
    #[command(
        after_help = "Examples:\n  du -sh \"$(cvops cache dir)\"\n  cvops cache dir /mnt/shared/cache --local"
    )]
    Dir {
        /// The folder in which the cache is from now on; what the old one holds stays there
        path: Option<String>,
        /// Go back to the default folder
        #[arg(short, long, conflicts_with = "path")]
        unset: bool,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Store objects of DVC 2 under their names of DVC 3
    ///
    /// The old names stay valid, for commits that know them.
    #[command(after_help = "Example:\n  cvops cache migrate --dry")]
    Migrate {
        /// Only count them
        #[arg(long)]
        dry: bool,
    },
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::Verify { place } => run_verify(ctx, place),
        Action::Dir { path, unset, level } => run_dir(ctx, path.as_deref(), *unset, *level),
        Action::Migrate { dry } => run_migrate(ctx, *dry),
    }
}

fn run_dir(
    ctx: &Ctx,
    path: Option<&str>,
    unset: bool,
    level: LevelArgs,
) -> Result<Outcome, CliError> {
    if let Some(path) = path {
        return config::set(ctx, &Settings::of(ctx)?, "cache.dir", path, level);
    }
    if unset {
        return config::unset(ctx, &Settings::of(ctx)?, "cache.dir", level);
    }
    let dir = ctx.project()?.config.cache_dir;
    match ctx.out.form {
        Form::Text | Form::Md => ctx.out.result(&dir.display().to_string()),
        Form::Json => ctx.out.json(&json!({"dir": dir})),
    }
    Ok(Outcome::Done)
}

fn run_migrate(ctx: &Ctx, dry: bool) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops cache migrate")?;
    let mode = if dry { Mode::Count } else { Mode::Remove };
    let renamed = rename_legacy(&Cache::open(&project), mode, &ctx.cancel)?;
    let damaged: Vec<String> = renamed.damaged.iter().map(ToString::to_string).collect();
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({
            "dry": dry, "found": renamed.found, "stored": renamed.stored, "damaged": damaged,
        }));
    } else {
        let count = |n: u64| units::count(usize::try_from(n).unwrap_or(usize::MAX), "object");
        let found = count(renamed.found);
        ctx.out.result(&match (renamed.found, dry) {
            (0, _) => "no objects in the layout of DVC 2".to_owned(),
            (_, true) => format!("{found} would be hashed again and stored in the layout of DVC 3"),
            (_, false) => format!(
                "{found} in the layout of DVC 2, {} stored in that of DVC 3",
                count(renamed.stored)
            ),
        });
        for object in &damaged {
            let text = format!("{object} is damaged; it was left out");
            ctx.out.result(&ctx.out.paint(Style::Bad, &text));
        }
    }
    Ok(if damaged.is_empty() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// Brings what `report` found damaged or missing from the remote; returns what came, and from where.
/// Without a remote nothing does, unless one was named.
fn repair(
    ctx: &Ctx,
    project: &Project,
    report: &mut Report,
    place: &Where,
) -> Result<Option<(usize, String)>, CliError> {
    if report.corrupt.is_empty() && report.incomplete.is_empty() {
        return Ok(None);
    }
    let missing = report.incomplete.iter().flat_map(|(_, missing)| missing);
    let wanted: BTreeSet<ObjectId> = report.corrupt.iter().chain(missing).copied().collect();
    let request = place.request();
    let mover = Mover::new(ctx, project, "repairing");
    let moved = mover.run(|sync| {
        let (remote, jobs) = sync.open(None, &request)?;
        let moved = sync.transfer(&remote, jobs).fetch(&wanted)?;
        Ok::<_, data::Error>((moved, remote.name))
    });
    let (moved, name) = match moved {
        Ok(moved) => moved,
        Err(data::Error::Project(project::Error::NoRemote { .. })) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let left: BTreeSet<ObjectId> = moved
        .lacking
        .iter()
        .chain(&moved.damaged)
        .copied()
        .collect();
    report.corrupt.retain(|object| left.contains(object));
    for (_, missing) in &mut report.incomplete {
        missing.retain(|object| left.contains(object));
    }
    report.incomplete.retain(|(_, missing)| !missing.is_empty());
    let come = wanted.difference(&left).count();
    Ok((come != 0).then_some((come, name)))
}

/// Gives the bytes of damaged objects to the paths that were links to them: they may be an edit.
/// Before anything is brought from a remote, or such a link would show the old version.
fn rescue(ctx: &Ctx, project: &Project, report: &Report) -> Result<Vec<String>, CliError> {
    if report.corrupt.is_empty() {
        return Ok(Vec::new());
    }
    // The cache can be verified where a pipeline file is broken.
    match tracked::open(ctx, project, &[]) {
        Ok(tracked) => Ok(tracked.rescue()?),
        Err(_) => Ok(Vec::new()),
    }
}

fn run_verify(ctx: &Ctx, place: &Where) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let lock = ctx.lock(&project, "cvops cache verify")?;
    let cache = Cache::open(&project);
    let bar = Progress::new(&ctx.out, "verifying", "objects");
    let sweep = Sweep::Before {
        project: &project,
        since: lock.since(),
    };
    let mut report = verify(&cache, sweep, &ctx.cancel, &|event| match event {
        VerifyEvent::Started { objects } => bar.start(objects),
        VerifyEvent::Checked { .. } => bar.step(),
        // The report names it.
        VerifyEvent::Corrupt(_) => {}
    })?;
    bar.end();
    let found = report.corrupt.clone();
    let rescued = rescue(ctx, &project, &report)?;
    let repaired = repair(ctx, &project, &mut report, place)?;
    if ctx.out.form == Form::Json {
        let names =
            |ids: &[ObjectId]| -> Vec<String> { ids.iter().map(ToString::to_string).collect() };
        let incomplete: Vec<_> = report
            .incomplete
            .iter()
            .map(|(listing, missing)| json!({"object": listing.to_string(), "missing": names(missing)}))
            .collect();
        ctx.out.json(&json!({
            "checked": report.checked, "bytes": report.bytes, "clean": report.is_clean(),
            "corrupt": names(&report.corrupt), "incomplete": incomplete,
            "rescued": rescued,
            "repaired": repaired.as_ref().map_or(0, |(come, _)| *come),
        }));
    } else {
        for object in &found {
            let text = format!("{object} is damaged; it was moved to the cache's `corrupt` folder");
            ctx.out.result(&ctx.out.paint(Style::Bad, &text));
        }
        for path in &rescued {
            ctx.out.result(&format!(
                "`{path}` was a link to a damaged object, through which somebody may have written: it is a file of its own now, with those bytes"
            ));
        }
        for (listing, missing) in &report.incomplete {
            let count = units::count(missing.len(), "file");
            ctx.out.result(
                &ctx.out
                    .paint(Style::Bad, &format!("{listing} lacks {count}")),
            );
        }
        if let Some((come, remote)) = &repaired {
            let text = format!(
                "{} came back from the remote `{remote}`",
                units::count(*come, "object")
            );
            ctx.out.result(&ctx.out.paint(Style::Good, &text));
        }
        let what = format!(
            "{} ({}) verified",
            units::count(
                usize::try_from(report.checked).unwrap_or(usize::MAX),
                "object"
            ),
            units::bytes(report.bytes)
        );
        let end = if report.is_clean() {
            "all are what they should be"
        } else {
            "`cvops fetch` brings what is missing from a remote, `cvops repro` makes it anew"
        };
        ctx.out.result(&format!("{what}; {end}"));
    }
    Ok(if report.is_clean() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
