//! `cvops init`: set a project up in this folder.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::{self, Scm};

/// Set a project up in this folder
///
/// With `--template vision` the folder becomes a running project: the pictures are looked for in
/// `data/` and beside it (one folder per class, or `train`, `val` and `test` above them), and
/// `pipeline.yaml` and `params.yaml` are written for them. `--template monitoring` adds the containers
/// of server, Prometheus and Grafana. A file that exists is never overwritten.
///
/// In a DVC repository there is nothing to set up: cvops works in it as it is. `--dvc` makes this
/// folder one, as `dvc init` does.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  mkdir cats && cd cats && cvops init\n  cvops init --template vision && cvops repro\n\nDoing it again changes nothing."
)]
pub(in crate::cli) struct Args {
    #[cfg(feature = "vision")]
    #[command(flatten)]
    template: super::init_template::TemplateArgs,
    /// Make this folder a DVC repository instead, for teams that use `dvc` beside cvops
    #[arg(long)]
    dvc: bool,
    /// With `--dvc`: do without git
    #[arg(long, requires = "dvc")]
    no_scm: bool,
    /// With `--dvc`: this folder lies inside a git repository
    #[arg(long, requires = "dvc", conflicts_with = "no_scm")]
    subdir: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    #[cfg(feature = "vision")]
    if args.template.is_given() {
        return super::init_template::run(ctx, &args.template);
    }
    let names = if args.dvc {
        let scm = match (args.no_scm, args.subdir) {
            (true, _) => Scm::None,
            (false, true) => Scm::GitAbove,
            (false, false) => Scm::Git,
        };
        names(ctx, &project::init_dvc(&ctx.dir, scm)?)
    } else {
        create(ctx)?
    };
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"created": names}));
        return Ok(Outcome::Done);
    }
    if names.is_empty() {
        ctx.out.result("nothing to do: this is a project already");
        return Ok(Outcome::Done);
    }
    for name in &names {
        ctx.out.result(&format!("created {name}"));
    }
    let (_, personality) = project::find_root(&ctx.dir)?;
    let file = personality.pipeline_file;
    if personality != project::CVOPS {
        ctx.out.note(&format!(
            "this is a DVC repository: `cvops repro` works with its `{file}`"
        ));
    } else if !ctx.dir.join(file).exists() {
        ctx.out.note(
            "next: write a `pipeline.yaml` (`cvops schema` describes it), then run `cvops repro`",
        );
    }
    Ok(Outcome::Done)
}

/// Creates what every project has; returns the names of what was missing.
pub(super) fn create(ctx: &Ctx) -> Result<Vec<String>, CliError> {
    Ok(names(ctx, &project::init(&ctx.dir)?))
}

/// Returns paths as seen from here.
fn names(ctx: &Ctx, paths: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| {
        let relative = path.strip_prefix(&ctx.dir).unwrap_or(path);
        relative.display().to_string()
    };
    paths.iter().map(name).collect()
}
