//! `cvops move`: give tracked data another place.

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::tracked;
use crate::data::relocate::relocate;

/// Move or rename tracked data, with its pointer file and its line in `.gitignore`
///
/// Nothing is overwritten. A folder as the destination means a place in it.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "mv",
    after_help = "Example:\n  cvops move data/raw data/photos"
)]
pub(in crate::cli) struct Args {
    /// Tracked data
    from: String,
    /// Where it is to be
    to: String,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops move")?;
    let targets = [args.from.clone()];
    let mut tracked = tracked::open_unlocked(ctx, &project, &targets)?;
    let from = tracked.locate(&ctx.dir, &args.from)?;
    let to = tracked.locate(&ctx.dir, &args.to)?;
    let moved = relocate(&mut tracked, &from, &to)?;
    tracked.store.finish();
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({
            "from": moved.from.as_str(), "to": moved.to.as_str(), "pointer": moved.pointer.as_str(),
            "for_git": tracked::for_git_json(&project, &moved.for_git),
        }));
        tracked::tell_git(ctx, &project, &moved.for_git)?;
        return Ok(Outcome::Done);
    }
    ctx.out.note(&format!(
        "moved `{}` to `{}`: {}",
        moved.from, moved.to, moved.pointer
    ));
    tracked::tell_git(ctx, &project, &moved.for_git)?;
    Ok(Outcome::Done)
}
