//! `cvops migrate`: turn a DVC repository into a cvops project.

use serde_json::json;

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::data::migrate::migrate;
use crate::project::CVOPS;
use crate::store::gc::Mode;

/// Turn a DVC repository into a cvops project
///
/// Not needed to use cvops there: it works in DVC repositories as they are. The pipeline file is
/// copied, comments included; data and results are hashed anew with BLAKE3; the remotes of the
/// committed settings are taken over. Nothing of DVC's is changed or removed, so that earlier commits
/// go on working.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops migrate --dry\n  cvops pull && cvops migrate && cvops status"
)]
pub(in crate::cli) struct Args {
    /// Only say which files would be written
    #[arg(long)]
    dry: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    if project.personality == CVOPS {
        let headline = format!("`{}` is a cvops project already", project.root.display());
        return Err(CliError::usage(
            Diagnostic::error("migrated", headline)
                .help("`cvops migrate` is for DVC repositories, that is folders with `.dvc/` and no `pipeline.yaml`"),
        ));
    }
    let _lock = ctx.lock(&project, "cvops migrate")?;
    let graph = ctx.graph_for(&project, &[])?;
    let lock = Ctx::lock_file(&project, &graph)?;
    let mode = if args.dry { Mode::Count } else { Mode::Remove };
    let migrated = migrate(&project, &graph, &lock, mode, &ctx.cancel)?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({
            "dry": args.dry, "files": migrated.files, "run_again": migrated.forgotten,
            "settings_left": migrated.settings_left,
        }));
        return Ok(Outcome::Done);
    }
    let verb = if args.dry { "would write" } else { "wrote" };
    for file in &migrated.files {
        ctx.out.result(&format!("{verb} {file}"));
    }
    for stage in &migrated.forgotten {
        ctx.out.note(&format!(
            "`{stage}` runs again: not all that it read and wrote is here"
        ));
    }
    if !migrated.settings_left.is_empty() {
        ctx.out.note(&format!(
            "settings that stay with DVC: {}",
            migrated.settings_left.join(", ")
        ));
    }
    if !args.dry {
        ctx.out.note(
            "next: `cvops status`, then commit. Keep `.dvc/` for as long as you want to check out commits from before",
        );
    }
    Ok(Outcome::Done)
}
