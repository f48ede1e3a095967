//! `cvops remove`: stop tracking data, or take stages out of the pipeline file.

use serde_json::json;

use crate::base::ArtifactPath;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::tracked;
use crate::data::remove::{Data, pointer_named, remove};

/// Stop tracking data: its pointer file goes, the data stays
///
/// The cache keeps what it has until `cvops gc`.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "rm",
    after_help = "Examples:\n  cvops remove data/raw.cvops         the data becomes plain files of yours\n  cvops remove --outs data/raw.cvops  the data goes, too; the cache keeps it"
)]
pub(in crate::cli) struct Args {
    /// Pointer files
    #[arg(required = true, value_name = "POINTER")]
    targets: Vec<String>,
    /// Remove the data as well; what is not in the cache is put there first
    #[arg(long)]
    outs: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops remove")?;
    let mut tracked = tracked::open_unlocked(ctx, &project, &args.targets)?;
    let paths = tracked::paths(ctx, &project, &args.targets)?;
    let mut numbers = Vec::new();
    for path in &paths {
        let at = pointer_named(&tracked, path)?;
        if !numbers.contains(&at) {
            numbers.push(at);
        }
    }
    let data = if args.outs { Data::Remove } else { Data::Keep };
    let outcome = remove(&mut tracked, &numbers, data)?;
    tracked.store.finish();
    if ctx.out.form == Form::Json {
        let removed = outcome.removed.iter().map(|removed| {
            let paths: Vec<_> = removed.paths.iter().map(ArtifactPath::as_str).collect();
            let saved = removed.saved.iter();
            let saved = saved.map(|(path, object)| json!({"path": path.as_str(), "hash": object.to_string()}));
            json!({"pointer": removed.pointer.as_str(), "paths": paths, "saved": saved.collect::<Vec<_>>()})
        });
        let files = tracked::for_git_json(&outcome.for_git);
        ctx.out
            .json(&json!({"removed": removed.collect::<Vec<_>>(), "for_git": files}));
        tracked::tell_git(ctx, &project, &outcome.for_git)?;
        return Ok(Outcome::Done);
    }
    for removed in &outcome.removed {
        let data: Vec<String> = removed
            .paths
            .iter()
            .map(|path| format!("`{path}`"))
            .collect();
        let data = data.join(", ");
        ctx.out.note(&if args.outs {
            format!("removed {} and {data}", removed.pointer)
        } else {
            format!(
                "removed {}; {data} is not tracked any more",
                removed.pointer
            )
        });
        for (path, object) in &removed.saved {
            ctx.out.note(&format!(
                "  the content of `{path}` is kept in the cache as {object}"
            ));
        }
    }
    tracked::tell_git(ctx, &project, &outcome.for_git)?;
    Ok(Outcome::Done)
}
