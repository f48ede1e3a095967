//! `cvops models download`.

use std::path::PathBuf;

use serde_json::json;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::track::Artifacts;

use super::files::{self, Existing};
use super::{named, text};

/// Put the files of a version into a folder
///
/// They are copies: changing them changes nothing in the cache. Files that are there already, with
/// the same content, stay; others are replaced only with `--force`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops models download cats@champion --to out\n  cvops models download models:/cats/2 --to /srv/model --force"
)]
pub(super) struct Args {
    /// A version: `NAME@ALIAS`, `NAME/VERSION`, `NAME/STAGE`, `NAME/latest`, or MLflow's `models:/…`
    model: String,
    /// The folder; it is created if there is none
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Replace files that are there
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let tracking = named::open(project)?;
    let reader = tracking.reader();
    let (name, storage) = match logged_model(&args.model) {
        Some(id) => {
            let model = reader.logged_model(id)?;
            (model.id, model.artifact_uri)
        }
        None => {
            let version = named::version(&reader, &args.model)?;
            (text::version(&version), version.storage)
        }
    };
    let artifacts = Artifacts::open(project);
    let Some(found) = files::at(&artifacts, &reader, &storage)? else {
        return Err(CliError::usage(
            Diagnostic::error("elsewhere", format!("the files of `{name}` are not here"))
                .note(format!("they are at `{storage}`"))
                .help("get them with the tools of that place"),
        ));
    };
    if found.is_empty() {
        return Err(files::lost(&name, &storage));
    }
    let to = ctx.dir.join(&args.to);
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Refuse
    };
    let written = files::put(&artifacts, &found, (&to, &args.to), existing, &ctx.cancel)?;
    if ctx.out.form == Form::Json {
        let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        ctx.out.json(&json!({
            "version": name,
            "to": to.display().to_string(),
            "files": paths,
            "written": written.files,
            "bytes": written.bytes,
        }));
        return Ok(Outcome::Done);
    }
    let count = units::count(found.len(), "file");
    let size = units::bytes(written.bytes);
    ctx.out
        .result(&format!("{name} is in {}", args.to.display()));
    let kept = match written.kept {
        0 => String::new(),
        kept => format!("; {kept} of them were there"),
    };
    ctx.out.note(&format!("{count}, {size}{kept}"));
    Ok(Outcome::Done)
}

/// Returns the id in a reference to a model as MLflow 3 logs it: `models:/m-…`.
fn logged_model(text: &str) -> Option<&str> {
    let id = text.strip_prefix("models:/")?;
    (id.starts_with("m-") && !id.contains(['/', '@'])).then_some(id)
}
