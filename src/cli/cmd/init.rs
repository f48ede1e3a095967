//! `cvops init`: set a project up in this folder.

use std::path::Path;

use serde_json::json;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project;

/// Set a project up in this folder
///
/// With `--template vision` the folder becomes a running project: the pictures are looked for in
/// `data/` and beside it (one folder per class, or `train`, `val` and `test` above them), and
/// `pipeline.yaml` and `params.yaml` are written for them. `--template monitoring` adds the containers
/// of server, Prometheus and Grafana. A file that exists is never overwritten.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  mkdir cats && cd cats && cvops init\n  cvops init --template vision && cvops repro\n\nDoing it again changes nothing."
)]
pub(in crate::cli) struct Args {
    #[cfg(feature = "vision")]
    #[command(flatten)]
    template: super::init_template::TemplateArgs,
}

#[cfg_attr(
    not(feature = "vision"),
    expect(unused_variables, reason = "the engine alone has no template")
)]
pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    #[cfg(feature = "vision")]
    if args.template.is_given() {
        return super::init_template::run(ctx, &args.template);
    }
    let names = create(ctx)?;
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
    if !ctx.dir.join(project::CVOPS.pipeline_file).exists() {
        ctx.out.note(
            "next: write a `pipeline.yaml` (`cvops schema` describes it), then run `cvops repro`",
        );
    }
    Ok(Outcome::Done)
}

/// Creates what every project has; returns the names of what was missing.
pub(super) fn create(ctx: &Ctx) -> Result<Vec<String>, CliError> {
    let name = |path: &Path| {
        let relative = path.strip_prefix(&ctx.dir).unwrap_or(path);
        relative.display().to_string()
    };
    let created = project::init(&ctx.dir)?;
    Ok(created.iter().map(|path| name(path)).collect())
}
