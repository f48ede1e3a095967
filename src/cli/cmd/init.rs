//! `cvops init`: set a project up in this folder.

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project;

/// Set a project up in this folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  mkdir cats && cd cats && cvops init\n\nDoing it again changes nothing."
)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) fn run(ctx: &Ctx, _: &Args) -> Result<Outcome, CliError> {
    let created = project::init(&ctx.dir)?;
    let names: Vec<String> = created
        .iter()
        .map(|path| {
            path.strip_prefix(&ctx.dir)
                .unwrap_or(path)
                .display()
                .to_string()
        })
        .collect();
    match ctx.out.form {
        Form::Json => ctx.out.json(&serde_json::json!({"created": names})),
        Form::Text | Form::Md if names.is_empty() => {
            ctx.out.result("nothing to do: this is a project already");
        }
        Form::Text | Form::Md => {
            for name in &names {
                ctx.out.result(&format!("created {name}"));
            }
            if !ctx.dir.join(project::CVOPS.pipeline_file).exists() {
                ctx.out.note("next: write a `pipeline.yaml` (`cvops schema` describes it), then run `cvops repro`");
            }
        }
    }
    Ok(Outcome::Done)
}
