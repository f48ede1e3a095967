//! `cvops runs tag`.

use serde_json::json;

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;

use super::text;

/// Set or remove tags of a run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs tag last stage=baseline reviewed=yes\n  cvops runs tag last --remove reviewed"
)]
pub(super) struct Args {
    /// A name, the first digits of an id, or `last`
    run: String,
    /// Tags to set
    #[arg(value_name = "KEY=VALUE", required_unless_present = "remove")]
    tags: Vec<String>,
    /// A tag to remove (may be given several times)
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let mut pairs = Vec::new();
    for text in &args.tags {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => pairs.push((key, value)),
            _ => {
                return Err(CliError::usage(
                    Diagnostic::error("bad-tag", format!("`{text}` is not a tag"))
                        .help("write `KEY=VALUE`, for example `stage=baseline`"),
                ));
            }
        }
    }
    let mut tracking = super::open(project)?;
    let run = tracking.find(&args.run)?;
    for key in &args.remove {
        tracking.remove_tag(&run, key)?;
    }
    for (key, value) in pairs {
        tracking.set_tag(run.id, key, value)?;
    }
    let tags = tracking.get(run.id)?.tags;
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({"run": run.id.to_string(), "tags": tags}));
        return Ok(Outcome::Done);
    }
    let is_shown = |key: &str| ctx.out.is_verbose() || !text::is_of_system(key);
    let shown: Vec<_> = tags.iter().filter(|(key, _)| is_shown(key)).collect();
    for (key, value) in &shown {
        ctx.out.result(&text::tag(key, value));
    }
    if shown.is_empty() {
        ctx.out.note("the run has no tags");
    }
    Ok(Outcome::Done)
}
