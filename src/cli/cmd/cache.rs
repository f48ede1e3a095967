//! `cvops cache verify|dir`: look after the cache.

use clap::Subcommand;
use serde_json::json;

use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::progress::Progress;
use crate::store::{Cache, Sweep, VerifyEvent, verify};

/// Look after the cache
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops cache verify")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Hash every object again; damaged ones are set aside so that nothing uses them
    #[command(after_help = "Example:\n  cvops cache verify")]
    Verify,
    /// Print the cache's folder
    #[command(after_help = "Example:\n  du -sh \"$(cvops cache dir)\"")]
    Dir,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match args.action {
        Action::Verify => run_verify(ctx),
        Action::Dir => {
            let dir = ctx.project()?.config.cache_dir;
            match ctx.out.form {
                Form::Text | Form::Md => ctx.out.result(&dir.display().to_string()),
                Form::Json => ctx.out.json(&json!({"dir": dir})),
            }
            Ok(Outcome::Done)
        }
    }
}

fn run_verify(ctx: &Ctx) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let lock = ctx.lock(&project, "cvops cache verify")?;
    let cache = Cache::open(&project);
    let bar = Progress::new(&ctx.out, "verifying", "objects");
    let sweep = Sweep::Before {
        project: &project,
        since: lock.since(),
    };
    let report = verify(&cache, sweep, &ctx.cancel, &|event| match event {
        VerifyEvent::Started { objects } => bar.start(objects),
        VerifyEvent::Checked { .. } => bar.step(),
        // The report names it.
        VerifyEvent::Corrupt(_) => {}
    })?;
    bar.end();
    if ctx.out.form == Form::Json {
        let names = |ids: &[crate::base::ObjectId]| -> Vec<String> {
            ids.iter().map(ToString::to_string).collect()
        };
        let incomplete: Vec<_> = report
            .incomplete
            .iter()
            .map(|(listing, missing)| json!({"object": listing.to_string(), "missing": names(missing)}))
            .collect();
        ctx.out.json(&json!({
            "checked": report.checked, "bytes": report.bytes, "clean": report.is_clean(),
            "corrupt": names(&report.corrupt), "incomplete": incomplete,
        }));
    } else {
        for object in &report.corrupt {
            let text = format!("{object} is damaged; it was moved to the cache's `corrupt` folder");
            ctx.out.result(&ctx.out.paint(Style::Bad, &text));
        }
        for (listing, missing) in &report.incomplete {
            let count = units::count(missing.len(), "file");
            ctx.out.result(
                &ctx.out
                    .paint(Style::Bad, &format!("{listing} lacks {count}")),
            );
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
            "`cvops repro` makes what is missing anew"
        };
        ctx.out.result(&format!("{what}; {end}"));
    }
    Ok(if report.is_clean() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
