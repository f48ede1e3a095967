//! `cvops remove`: stop tracking data, or take stages out of the pipeline file.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::base::{ArtifactPath, ObjectId};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::tracked;
use crate::data::remove::{Data, Removed, pointer_named, remove};
use crate::data::remove_stage::{self, RemovedStage};
use crate::data::{Error, Tracked};
use crate::pipeline::spec::{StageSpec, split_address};
use crate::pipeline::{Index, Plan, Reach};
use crate::project::{EditLock, Project};

/// Stop tracking data, or take a stage out of the pipeline
///
/// The pointer file of data goes, the data stays. A stage goes out of the pipeline file and its entry
/// out of the lock file; its outputs stay as files of yours. The cache keeps what it has until
/// `cvops gc`.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "rm",
    after_help = "Examples:\n  cvops remove data/raw.cvops         the data becomes plain files of yours\n  cvops remove --outs data/raw.cvops  the data goes, too; the cache keeps it\n  cvops remove evaluate               a stage, with its entry in the lock file"
)]
pub(in crate::cli) struct Args {
    /// Pointer files and stages
    #[arg(required = true, value_name = "POINTER|STAGE")]
    targets: Vec<String>,
    /// Remove the data, or what the stage wrote, as well; what is not in the cache is put there first
    #[arg(long)]
    outs: bool,
}

/// What is to be removed.
struct Chosen {
    pointers: Vec<usize>,
    stages: Vec<StageSpec>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops remove")?;
    let edits = EditLock::acquire(&project.layout, &ctx.cancel)?;
    let mut tracked = tracked::open_unlocked(ctx, &project, &args.targets)?;
    let chosen = choose(ctx, &project, &tracked, &args.targets)?;
    let data = if args.outs { Data::Remove } else { Data::Keep };
    let mut stages = Vec::new();
    for stage in &chosen.stages {
        stages.push(remove_stage::remove(&tracked, stage, data, &edits)?);
    }
    drop(edits);
    let outcome = remove(&mut tracked, &chosen.pointers, data)?;
    tracked.store.finish();
    let mut for_git: BTreeSet<ArtifactPath> = outcome.for_git;
    for_git.extend(
        stages
            .iter()
            .flat_map(|stage| stage.for_git.iter().cloned()),
    );
    if ctx.out.form == Form::Json {
        let pointers = outcome.removed.iter().map(|removed| {
            let mut value = to_json(&removed.paths, &removed.saved);
            value["pointer"] = json!(removed.pointer.as_str());
            value
        });
        let stages = stages.iter().map(|removed| {
            let mut value = to_json(&removed.outs, &removed.saved);
            value["stage"] = json!(removed.stage);
            value
        });
        let removed: Vec<Value> = pointers.chain(stages).collect();
        let files = tracked::for_git_json(&project, &for_git);
        ctx.out.json(&json!({"removed": removed, "for_git": files}));
        tracked::tell_git(ctx, &project, &for_git)?;
        return Ok(Outcome::Done);
    }
    for removed in &outcome.removed {
        tell_pointer(ctx, removed, args.outs);
    }
    for removed in &stages {
        tell_stage(ctx, removed, args.outs);
    }
    tracked::tell_git(ctx, &project, &for_git)?;
    Ok(Outcome::Done)
}

/// Finds out what the targets are; nothing is written before all are known.
fn choose(
    ctx: &Ctx,
    project: &Project,
    tracked: &Tracked<'_>,
    targets: &[String],
) -> Result<Chosen, CliError> {
    let mut chosen = Chosen {
        pointers: Vec::new(),
        stages: Vec::new(),
    };
    for target in targets {
        let pointer = tracked
            .locate(&ctx.dir, target)
            .and_then(|path| pointer_named(tracked, &path));
        match pointer {
            Ok(at) if chosen.pointers.contains(&at) => {}
            Ok(at) => chosen.pointers.push(at),
            Err(error @ (Error::NotTracked { .. } | Error::Path { .. })) => {
                let stage = stage_named(ctx, project, target, error)?;
                remove_stage::check(tracked, &stage)?;
                if chosen.stages.iter().all(|known| known.name != stage.name) {
                    chosen.stages.push(stage);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(chosen)
}

/// Returns the stage that `target` names, which is no pointer (`error`): not a path that a stage
/// writes.
fn stage_named(
    ctx: &Ctx,
    project: &Project,
    target: &String,
    error: Error,
) -> Result<StageSpec, CliError> {
    let targets = std::slice::from_ref(target);
    let index = Index::load(project)?;
    let has_stages = !(index.pipelines.is_empty() && index.broken.is_empty());
    if !has_stages || target.ends_with(project.personality.pointer_suffix) {
        return Err(error.into());
    }
    let graph = ctx.graph_for(project, targets)?;
    let selection = ctx.selection(project, Reach::Single);
    let plan = Plan::select(&graph, targets, selection)?;
    let local = split_address(target).1;
    let stages = plan.order().iter().map(|&at| &graph.stages()[at]);
    let (named, others): (Vec<&StageSpec>, Vec<_>) =
        stages.partition(|stage| stage.name.local() == local);
    match (named.as_slice(), others.as_slice(), error) {
        ([stage], _, _) => Ok((*stage).clone()),
        ([], [stage], Error::NotTracked { path, .. }) => {
            let stage = stage.name.clone();
            Err(Error::OutputNamed { path, stage }.into())
        }
        (_, _, error) => Err(error.into()),
    }
}

fn tell_pointer(ctx: &Ctx, removed: &Removed, is_data_gone: bool) {
    let (pointer, data) = (&removed.pointer, list(&removed.paths));
    ctx.out.note(&if is_data_gone {
        format!("removed {pointer} and {data}")
    } else {
        format!("removed {pointer}; {data} is not tracked any more")
    });
    tell_saved(ctx, &removed.saved);
}

fn tell_stage(ctx: &Ctx, removed: &RemovedStage, are_outs_gone: bool) {
    let (stage, outs) = (&removed.stage, list(&removed.outs));
    ctx.out
        .note(&match (removed.outs.is_empty(), are_outs_gone) {
            (true, _) => format!("removed the stage `{stage}`"),
            (false, true) => format!("removed the stage `{stage}` and {outs}"),
            (false, false) => format!("removed the stage `{stage}`; what it wrote stays: {outs}"),
        });
    tell_saved(ctx, &removed.saved);
}

fn tell_saved(ctx: &Ctx, saved: &[(ArtifactPath, ObjectId)]) {
    for (path, object) in saved {
        ctx.out.note(&format!(
            "  the content of `{path}` is kept in the cache as {object}"
        ));
    }
}

fn list(paths: &[ArtifactPath]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    paths.join(", ")
}

fn to_json(paths: &[ArtifactPath], saved: &[(ArtifactPath, ObjectId)]) -> Value {
    let paths: Vec<_> = paths.iter().map(ArtifactPath::as_str).collect();
    let saved = saved.iter();
    let saved =
        saved.map(|(path, object)| json!({"path": path.as_str(), "hash": object.to_string()}));
    json!({"paths": paths, "saved": saved.collect::<Vec<_>>()})
}
