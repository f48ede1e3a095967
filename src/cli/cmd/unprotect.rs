//! `cvops unprotect`: make tracked files editable in place.

use serde_json::json;

use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::tracked;
use crate::data;
use crate::store::Store;

/// Turn links into the cache into files of their own, which may be edited in place
///
/// Only where `cache.type` asks for hard or symbolic links are there such links; files that are
/// copies already are left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops unprotect data/raw")]
pub(in crate::cli) struct Args {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    targets: Vec<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops unprotect")?;
    let paths = tracked::paths(ctx, &project, &args.targets)?;
    for path in &paths {
        if std::fs::symlink_metadata(project.absolute(path)).is_err() {
            return Err(data::Error::NothingThere { path: path.clone() }.into());
        }
    }
    let store = Store::open(&project, &ctx.cancel);
    let mut done = Vec::new();
    for path in &paths {
        let files = store.unprotect(path)?;
        ctx.out.note(&match files {
            0 => format!("`{path}` can be edited already"),
            n => format!(
                "`{path}`: {} can be edited now",
                units::count(n as usize, "file")
            ),
        });
        done.push(json!({"path": path.as_str(), "files": files}));
    }
    store.finish();
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"unprotected": done}));
    }
    Ok(Outcome::Done)
}
