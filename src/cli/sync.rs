//! What `push`, `pull`, `fetch` and `status --cloud` share: their flags, what they are about, and
//! their progress.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::{ArtifactPath, ObjectId, ToDiagnostics, units};
use crate::data::error::{Direction, Origin};
use crate::data::revisions::{Kind, Revisions};
use crate::data::sync::{Records, Request, Sync, Synced};
use crate::data::used::{Commits, Used, in_workspace};
use crate::pipeline::plan::{Naming, Selection};
use crate::pipeline::spec::{Freshness, Storage};
use crate::pipeline::{Plan, Reach, StageGraph};
use crate::project::{Git, Project};
use crate::store::{Cache, Look, Presence, TransferEvent};

use super::args::at_least_one;
use super::ctx::Ctx;
use super::error::CliError;
use super::out::Form;
use super::progress::Progress;
use super::render::diagnostic;

/// Which outputs and data.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Chosen {
    /// Stages, outputs or pointer files (default: all)
    pub(super) targets: Vec<String>,
    /// Also what the target stages need
    #[arg(short = 'd', long)]
    with_deps: bool,
    /// A folder as a target means all pipeline files and pointers below it
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Targets are patterns, of stage names and of paths of pointers, tracked data and outputs
    #[arg(long)]
    glob: bool,
}

impl Chosen {
    fn selection(&self, ctx: &Ctx, project: &Project) -> Selection {
        let reach = if self.with_deps {
            Reach::Upstream
        } else {
            Reach::Single
        };
        Selection {
            naming: match (self.glob, self.recursive) {
                (true, _) => Naming::GlobPaths,
                (false, true) => Naming::Below,
                (false, false) => Naming::Exact,
            },
            ..ctx.selection(project, reach)
        }
    }

    /// Chooses `targets` alone.
    pub(super) fn of_targets(targets: &[String]) -> Self {
        Self {
            targets: targets.to_owned(),
            ..Self::default()
        }
    }
}

/// Also of which commits.
#[derive(Debug, Default, clap::Args)]
pub(super) struct OfCommits {
    /// Also what the tips of all branches use
    #[arg(short = 'a', long)]
    pub(super) all_branches: bool,
    /// Also what all tags use
    #[arg(short = 'T', long)]
    pub(super) all_tags: bool,
    /// Also what all commits use
    #[arg(short = 'A', long)]
    pub(super) all_commits: bool,
}

impl OfCommits {
    /// Returns the chosen commits.
    pub(super) fn revisions(&self) -> Revisions {
        let kinds = [
            (self.all_branches, Kind::Branches),
            (self.all_tags, Kind::Tags),
            (self.all_commits, Kind::Commits),
        ];
        Revisions {
            kinds: kinds
                .into_iter()
                .filter_map(|(on, kind)| on.then_some(kind))
                .collect(),
            ..Revisions::default()
        }
    }
}

/// To or from where.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Where {
    /// The remote (default: `core.remote`)
    #[arg(short, long, value_name = "NAME")]
    remote: Option<String>,
    /// Files that move at the same time (default: as many as there are cores)
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<usize>)]
    jobs: Option<usize>,
}

impl Where {
    /// Was a remote named?
    pub(super) fn is_named(&self) -> bool {
        self.remote.is_some()
    }

    /// Returns the request without records of runs.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            remote: self.remote.as_deref(),
            jobs: self.jobs,
            look: None,
            records: Records::Without,
        }
    }
}

/// The flags of the commands that move objects.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub(super) chosen: Chosen,
    #[command(flatten)]
    commits: OfCommits,
    #[command(flatten)]
    place: Where,
    /// Also the records of runs, with the results that they name
    #[arg(long)]
    run_cache: bool,
}

impl Flags {
    /// Returns the request.
    pub(super) fn request(&self, look: Option<Look>) -> Request<'_> {
        Request {
            look,
            records: if self.run_cache {
                Records::With
            } else {
                Records::Without
            },
            ..self.place.request()
        }
    }
}

/// A command's way to move objects, with a progress bar.
pub(super) struct Mover<'a> {
    ctx: &'a Ctx,
    project: &'a Project,
    cache: Cache,
    bar: Progress,
}

impl<'a> Mover<'a> {
    /// Prepares a command that says `doing`.
    pub(super) fn new(ctx: &'a Ctx, project: &'a Project, doing: &'static str) -> Self {
        Self {
            ctx,
            project,
            cache: Cache::open(project),
            bar: Progress::new(&ctx.out, doing, "files"),
        }
    }

    /// Does `work`, then takes the progress bar away.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Sync<'_>) -> T) -> T {
        let observer = |event: TransferEvent| match event {
            TransferEvent::Started { objects } => self.bar.start(objects),
            TransferEvent::Moved { .. } => self.bar.step(),
        };
        let done = work(&Sync {
            project: self.project,
            cache: &self.cache,
            cancel: &self.ctx.cancel,
            observer: &observer,
        });
        self.bar.end();
        done
    }
}

/// Returns what the workspace uses of what was chosen, and with it what the chosen commits use.
pub(super) fn used(
    ctx: &Ctx,
    sync: &Sync<'_>,
    request: &Request<'_>,
    flags: &Flags,
) -> Result<(Vec<Used>, Vec<Used>), CliError> {
    used_by(ctx, sync, request, &flags.chosen, &flags.commits)
}

/// As `used`.
pub(super) fn used_by(
    ctx: &Ctx,
    sync: &Sync<'_>,
    request: &Request<'_>,
    chosen: &Chosen,
    commits: &OfCommits,
) -> Result<(Vec<Used>, Vec<Used>), CliError> {
    let project = sync.project;
    let graph = ctx.graph_for(project, &chosen.targets)?;
    let here = here(ctx, sync, request, chosen, &graph)?;
    let revisions = commits.revisions();
    let mut all = here.clone();
    if !revisions.is_empty() {
        let mut commits = Commits::new(Git::open(&project.root)?, project.personality);
        let chosen_paths: Vec<&ArtifactPath> = here.iter().map(|used| &used.path).collect();
        let is_chosen = |used: &Used| {
            chosen.targets.is_empty() || chosen_paths.iter().any(|path| path.contains(&used.path))
        };
        for (commit, name) in revisions.resolve(commits.git())? {
            match commits.used(&commit) {
                Ok(used) => all.extend(used.into_iter().filter(is_chosen)),
                Err(error) => {
                    let mut warnings = error.to_diagnostics();
                    for warning in &mut warnings {
                        warning.severity = crate::base::Severity::Warning;
                        warning
                            .notes
                            .push(format!("the revision `{name}` is left out"));
                    }
                    diagnostic::show_all(&ctx.out, &warnings);
                }
            }
        }
    }
    Ok((here, all))
}

/// Returns what the workspace uses of what was chosen. A target inside a folder means that part.
fn here(
    ctx: &Ctx,
    sync: &Sync<'_>,
    request: &Request<'_>,
    chosen: &Chosen,
    graph: &StageGraph,
) -> Result<Vec<Used>, CliError> {
    let project = sync.project;
    let lock = Ctx::lock_file(project, graph)?;
    let selection = chosen.selection(ctx, project);
    if chosen.targets.is_empty() {
        return Ok(in_workspace(&Plan::select(graph, &[], selection)?, &lock));
    }
    let mut found: BTreeMap<(ArtifactPath, ObjectId), Used> = BTreeMap::new();
    for target in &chosen.targets {
        let targets = std::slice::from_ref(target);
        let used = in_workspace(&Plan::select(graph, targets, selection.clone())?, &lock);
        let folder = selection.folder.as_ref().map_or("", ArtifactPath::as_str);
        let path = ArtifactPath::parse_in(folder, target).ok();
        // A path means what is there, not everything that its stage writes.
        let path = path.filter(|path| {
            selection.naming == Naming::Exact
                && graph.find(target).is_none()
                && graph.find_pointer(path).is_none()
                && graph.maker_of(path).is_some()
        });
        let used = match &path {
            None => used,
            Some(path) => match used
                .iter()
                .find(|u| u.path.contains(path) && u.path != *path)
            {
                Some(whole) => sync.part(whole, path, request)?,
                None if chosen.with_deps => used,
                None => used
                    .into_iter()
                    .filter(|u| path.contains(&u.path))
                    .collect(),
            },
        };
        found.extend(used.into_iter().map(|u| ((u.path.clone(), u.object()), u)));
    }
    Ok(found.into_values().collect())
}

/// Returns the outputs, of what was chosen, of which no lock says what they hold, with whoever makes them.
pub(super) fn unrecorded(
    ctx: &Ctx,
    project: &Project,
    flags: &Flags,
) -> Result<Vec<(ArtifactPath, Origin)>, CliError> {
    let chosen = &flags.chosen;
    let graph = ctx.graph_for(project, &chosen.targets)?;
    let lock = Ctx::lock_file(project, &graph)?;
    let selection = chosen.selection(ctx, project);
    let folder = selection.folder.as_ref().map_or("", ArtifactPath::as_str);
    let paths = chosen.targets.iter().filter(|t| graph.find(t).is_none());
    let paths = paths.filter_map(|target| ArtifactPath::parse_in(folder, target).ok());
    // A path means what is there, not everything that its stage writes.
    let paths: Vec<ArtifactPath> = paths.filter(|p| graph.maker_of(p).is_some()).collect();
    let are_paths = !paths.is_empty() && paths.len() == chosen.targets.len();
    let plan = Plan::select(&graph, &chosen.targets, selection.clone())?;
    let mut unrecorded = Vec::new();
    for &at in plan.order() {
        let stage = &graph.stages()[at];
        let entry = lock.stages.get(&stage.name);
        for (path, out) in &stage.outs {
            let recorded = entry.and_then(|entry| entry.outs.get(path));
            let is_meant = !are_paths || paths.iter().any(|p| p.contains(path) || path.contains(p));
            if is_meant
                && out.storage == Storage::Cached
                && !matches!(recorded, Some(Presence::Present(_)))
            {
                let name = stage.name.clone();
                unrecorded.push((
                    path.clone(),
                    match stage.freshness {
                        Freshness::Frozen => Origin::FrozenStage(name),
                        Freshness::ByInputs | Freshness::AlwaysChanged => Origin::Stage(name),
                    },
                ));
            }
        }
    }
    Ok(unrecorded)
}

/// Returns the first part of a summary: `5 files pushed to `far` (12 B)`.
pub(super) fn summary(synced: &Synced, direction: Direction) -> Option<String> {
    if synced.files == 0 {
        return None;
    }
    let files = units::count(usize::try_from(synced.files).unwrap_or(usize::MAX), "file");
    let remotes = synced.remotes.join("`, `");
    let bytes = units::bytes(synced.bytes);
    Some(match direction {
        Direction::Push => format!("{files} pushed to `{remotes}` ({bytes})"),
        Direction::Fetch => format!("{files} fetched from `{remotes}` ({bytes})"),
    })
}

/// Returns the JSON form of what was moved; `count` names the number of files.
pub(super) fn to_json(synced: &Synced, count: &str) -> Value {
    let names = |of: &BTreeMap<String, ObjectId>| of.keys().cloned().collect::<Vec<_>>();
    json!({
        count: synced.files, "bytes": synced.bytes, "remotes": synced.remotes,
        "lacking": names(&synced.lacking), "damaged": names(&synced.damaged),
    })
}

/// Shows what did not arrive; with `--json` the result says it.
pub(super) fn show_problem(ctx: &Ctx, synced: &Synced, direction: Direction) -> bool {
    let Some(problem) = synced.problem(direction) else {
        return false;
    };
    if ctx.out.form != Form::Json {
        diagnostic::show_all(&ctx.out, &problem.to_diagnostics());
    }
    true
}
