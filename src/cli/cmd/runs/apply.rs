//! `cvops runs apply`.

use serde_json::json;

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::render::{decision, diagnostic};
use crate::experiment::{Applied, Gone, apply};
use crate::pipeline::Workspace;
use crate::pipeline::workspace::Files;
use crate::project::Project;

use super::text;

/// Go back to a run: write its parameters into the params files, put its outputs in place, and
/// make the lock what it was
///
/// Comments and order of the params files stay. What is replaced is kept in the cache.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops runs apply brave-otter-412")]
pub(super) struct Args {
    /// A name, the first digits of an id, or `last`
    run: String,
    /// Apply the rest even if outputs of the run are no longer in the cache
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let graph = Ctx::graph(project)?;
    let tracking = super::open(project)?;
    let run = tracking.find(&args.run)?;
    let _lock = ctx.lock(project, "cvops runs apply")?;
    let files = Files::open(project, &ctx.cancel);
    let lock = Ctx::lock_file(project, &graph)?;
    let mut workspace = Workspace::new(&files, ctx.env.all());
    let gone = if args.force {
        Gone::LeaveOut
    } else {
        Gone::Refuse
    };
    let applied = apply(
        &tracking,
        &run,
        &graph,
        &lock,
        &mut workspace,
        gone,
        &ctx.cancel,
    )?;
    files.finish();
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(&applied, &run.id.to_string()));
        return Ok(Outcome::Done);
    }
    show(ctx, &applied);
    let name = text::name(&ctx.out, &run);
    ctx.out.note(&if applied.different.is_empty() {
        format!("the workspace is as the run `{name}` left it")
    } else {
        format!("the run `{name}` is applied")
    });
    let mut warnings = Vec::new();
    for (stage, forecast) in &applied.different {
        warnings.push(Diagnostic::warning(
            "differs",
            format!(
                "`{stage}` is not as it was: {}",
                decision::because(forecast)
            ),
        ));
    }
    if let (Some(last), Some(git)) = (warnings.last_mut(), &run.git) {
        let commit: String = git.commit.chars().take(10).collect();
        // Another commit does not bring back what the cache has lost.
        last.help = Some(if applied.gone.is_empty() {
            format!(
                "the run was made at commit {commit}: `git checkout {commit}`, then apply it again"
            )
        } else {
            "`cvops repro` makes what is not in the cache anew".to_owned()
        });
    }
    diagnostic::show_all(&ctx.out, &warnings);
    Ok(Outcome::Done)
}

fn show(ctx: &Ctx, applied: &Applied) {
    for change in &applied.params {
        let value = |v: &Option<_>| v.as_ref().map_or_else(|| "none".to_owned(), text::value);
        ctx.out.note(&format!(
            "`{}`: {} -> {}",
            change.name,
            value(&change.old),
            value(&change.new)
        ));
    }
    for path in &applied.restored {
        ctx.out.note(&format!("restored `{path}`"));
    }
    for (path, object) in &applied.saved {
        ctx.out.note(&format!(
            "the old content of `{path}` is kept in the cache as {object}"
        ));
    }
    for path in &applied.gone {
        let text = format!("`{path}` is not in the cache; `cvops repro` makes it anew");
        ctx.out.note(&ctx.out.paint(Style::Changed, &text));
    }
}

fn to_json(applied: &Applied, run: &str) -> serde_json::Value {
    let params: Vec<_> = applied
        .params
        .iter()
        .map(|change| {
            json!({
                "param": change.name,
                "old": change.old.as_ref().map(text::param_json),
                "new": change.new.as_ref().map(text::param_json),
            })
        })
        .collect();
    let saved: Vec<_> = applied
        .saved
        .iter()
        .map(|(path, object)| json!({"path": path.as_str(), "object": object.to_string()}))
        .collect();
    let different: Vec<_> = applied
        .different
        .iter()
        .map(|(stage, forecast)| decision::to_json(stage.as_str(), forecast))
        .collect();
    json!({
        "run": run,
        "params": params,
        "restored": applied.restored.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "gone": applied.gone.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "saved": saved,
        "different": different,
    })
}
