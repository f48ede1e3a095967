//! What the verbs over data share: opening what a project tracks, and telling git, or the user what
//! to tell git.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::base::ArtifactPath;
use crate::data::{self, Tracked};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{OutSpec, Storage};
use crate::pipeline::{Index, Plan, lock_files};
use crate::project::{Project, git};

use super::ctx::Ctx;
use super::error::CliError;
use super::out::Form;
use super::render::diagnostic;

/// Reads what `project` tracks, for a command about `targets`; none means everything. A file that
/// the targets do not need may be broken, which is told as a warning.
pub(super) fn open<'p>(
    ctx: &Ctx,
    project: &'p Project,
    targets: &[String],
) -> Result<Tracked<'p>, CliError> {
    read(ctx, project, targets, &|graph| {
        Ok(lock_files::read(project, graph)?)
    })
}

/// As `open`, without what stages wrote: for commands that only ask what they will write.
pub(super) fn open_unlocked<'p>(
    ctx: &Ctx,
    project: &'p Project,
    targets: &[String],
) -> Result<Tracked<'p>, CliError> {
    read(ctx, project, targets, &|_| Ok(LockFile::default()))
}

fn read<'p>(
    ctx: &Ctx,
    project: &'p Project,
    targets: &[String],
    lock: &dyn Fn(&crate::pipeline::StageGraph) -> Result<LockFile, CliError>,
) -> Result<Tracked<'p>, CliError> {
    let index = Index::load(project)?;
    // Data may well be called like a file that is broken in passing: only what is named is meant.
    let paths = targets
        .iter()
        .filter_map(|target| data::tracked::locate(&project.root, &ctx.dir, target).ok());
    let paths: Vec<ArtifactPath> = paths.collect();
    let is_named = index
        .broken
        .iter()
        .any(|broken| paths.contains(&broken.file));
    let (graph, warnings) = if targets.is_empty() || is_named {
        index.graph_for(targets, ctx.folder(project).as_ref())?
    } else {
        index.sound_graph()?
    };
    diagnostic::show_all(&ctx.out, &warnings);
    let lock = lock(&graph)?;
    let pointers = graph.pointers().to_vec();
    Ok(Tracked::new(
        project,
        &ctx.cancel,
        pointers,
        graph.stages(),
        &lock,
    ))
}

/// Returns the paths that the user means.
pub(super) fn paths(
    ctx: &Ctx,
    project: &Project,
    targets: &[String],
) -> Result<Vec<ArtifactPath>, CliError> {
    let located = targets
        .iter()
        .map(|target| data::tracked::locate(&project.root, &ctx.dir, target));
    Ok(located.collect::<Result<_, _>>()?)
}

/// Tells git of files that changed, if the settings ask for it; else tells the user how;
/// with `--json` the result has the files.
pub(super) fn tell_git(
    ctx: &Ctx,
    project: &Project,
    files: &BTreeSet<ArtifactPath>,
) -> Result<(), CliError> {
    if !project.uses_git() {
        return Ok(());
    }
    let files = addable(project, files);
    if files.is_empty() {
        return Ok(());
    }
    let places: Vec<_> = files.iter().map(|file| project.absolute(file)).collect();
    if project.autostage(&places)? || ctx.out.form == Form::Json {
        return Ok(());
    }
    let names: Vec<String> = files
        .iter()
        .map(|file| quoted(ctx, project, file))
        .collect();
    ctx.out.note(&format!(
        "to track the changes with git:\n  git add {}\n(`cvops config core.autostage true` does so by itself)",
        names.join(" ")
    ));
    Ok(())
}

/// Hands what the stages and the data of `plan` leave to git to `git add`, if the settings ask for it:
/// locks, pointers, and the `.gitignore` files beside outputs.
pub(super) fn autostage(project: &Project, plan: &Plan<'_>) -> Result<(), CliError> {
    let graph = plan.graph();
    let mut files = BTreeSet::new();
    let ignored_beside = |path: &ArtifactPath| match path.parent() {
        Some(folder) => format!("{folder}/.gitignore"),
        None => ".gitignore".to_owned(),
    };
    for stage in plan.order().iter().map(|&index| &graph.stages()[index]) {
        let of_stage = |file: &ArtifactPath| Some(file.as_str()) == stage.name.file();
        let pipelines = graph.files().iter().filter_map(|file| file.file.as_ref());
        let pipeline = pipelines.into_iter().find(|file| of_stage(file));
        files.insert(lock_files::path_of(project, pipeline));
        let cached = |(path, out): (&ArtifactPath, &OutSpec)| {
            (out.storage == Storage::Cached).then(|| ignored_beside(path))
        };
        files.extend(stage.outs.iter().filter_map(cached));
    }
    for &index in plan.pointers() {
        let pointer = &graph.pointers()[index];
        files.insert(pointer.file.to_string());
        files.insert(ignored_beside(&pointer.file));
    }
    let places = files.iter().map(|file| project.root.join(file));
    let places: Vec<_> = places.filter(|place| place.exists()).collect();
    project.autostage(&places)?;
    Ok(())
}

/// Returns a file as the user in this folder types it.
fn quoted(ctx: &Ctx, project: &Project, file: &ArtifactPath) -> String {
    let folder = ctx.folder(project);
    let shown = file.seen_from(folder.as_ref());
    let is_plain = |c: char| c.is_alphanumeric() || "._-/+@".contains(c);
    if shown.chars().all(is_plain) {
        shown
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    }
}

/// Returns the files for git as JSON.
pub(super) fn for_git_json(project: &Project, files: &BTreeSet<ArtifactPath>) -> Value {
    let files = if project.uses_git() {
        addable(project, files)
    } else {
        files.clone()
    };
    json!(files.iter().map(ArtifactPath::as_str).collect::<Vec<_>>())
}

/// Returns the files that `git add` takes: those that are there, and those that git knows and is to
/// forget. It refuses all of them for one that is neither.
fn addable(project: &Project, files: &BTreeSet<ArtifactPath>) -> BTreeSet<ArtifactPath> {
    let is_there = |file: &ArtifactPath| std::fs::symlink_metadata(project.absolute(file)).is_ok();
    let (mut addable, gone): (BTreeSet<_>, BTreeSet<_>) = files.iter().cloned().partition(is_there);
    if !gone.is_empty() {
        let gone: Vec<ArtifactPath> = gone.into_iter().collect();
        addable.extend(git::tracked_in(&project.root, &gone));
    }
    addable
}
