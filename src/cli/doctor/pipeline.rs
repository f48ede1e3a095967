//! The pipeline: can it be read and run, does the lock fit to it, does git see what it should?

use std::collections::BTreeSet;

use crate::base::{ArtifactPath, ToDiagnostics, units};
use crate::cli::ctx::Ctx;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::Storage;
use crate::pipeline::workspace::{Files, Workspace};
use crate::pipeline::{Plan, Reach, StageGraph};
use crate::project::{Project, git, is_ignored};
use crate::store::Cache;

use super::{Finding, Verdict, one_line, params, ports, some};

pub(super) fn examine(ctx: &Ctx, project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    let graph = if project.pipeline_file().exists() {
        match Ctx::graph(project) {
            Ok(graph) => {
                findings.extend(stages(ctx, project, &graph));
                Some(graph)
            }
            Err(error) => {
                findings.extend(Finding::of_error("pipeline", &error));
                None
            }
        }
    } else {
        None
    };
    let params = params::examine(project, graph.as_ref());
    findings.extend(params.findings);
    let ports = ports::examine(params.port.unwrap_or(ports::SERVE), graph.as_ref());
    let Some(graph) = graph else {
        return findings;
    };
    match Ctx::lock_file(project, &graph) {
        Err(error) => findings.extend(Finding::of_error("lock file", &error)),
        Ok(lock) => {
            findings.push(lock_file(&graph, &lock));
            findings.extend(results(project, &graph, &lock));
            findings.extend(in_git(project, &graph));
        }
    }
    findings.extend(ports);
    findings
}

/// What `cvops repro` would refuse to start with.
fn stages(ctx: &Ctx, project: &Project, graph: &StageGraph) -> Vec<Finding> {
    let plan = match Plan::select(graph, &[], Reach::Upstream) {
        Ok(plan) => plan,
        Err(error) => return Finding::of_error("pipeline", &error.into()),
    };
    let files = Files::open(project, &ctx.cancel);
    let mut workspace = Workspace::new(&files, ctx.env.all());
    let mut findings: Vec<Finding> = workspace
        .obstacles(&plan)
        .iter()
        .flat_map(ToDiagnostics::to_diagnostics)
        .map(|diagnostic| Finding {
            what: "pipeline",
            verdict: Verdict::Problem,
            text: one_line(&diagnostic),
            help: diagnostic.help,
        })
        .collect();
    if findings.is_empty() {
        let file = project.personality.pipeline_file;
        findings.push(match graph.stages().len() {
            0 => Finding::warning(
                "pipeline",
                format!("{file} has no stages yet"),
                "`cvops schema` describes them",
            ),
            n => Finding::ok("pipeline", format!("{file}: {}", units::count(n, "stage"))),
        });
    }
    findings
}

fn lock_file(graph: &StageGraph, lock: &LockFile) -> Finding {
    let declared: BTreeSet<_> = graph.stages().iter().map(|stage| &stage.name).collect();
    let gone: Vec<_> = lock
        .stages
        .keys()
        .filter(|name| !declared.contains(name))
        .collect();
    if !gone.is_empty() {
        return Finding::warning(
            "lock file",
            format!(
                "records stages that are no longer declared: {}",
                some(&gone)
            ),
            "the next `cvops repro` drops them",
        );
    }
    // A service is never done, so nothing of it is ever recorded.
    let can_be = || graph.stages().iter().filter(|s| s.service.is_none());
    let recorded = can_be().filter(|s| lock.stages.contains_key(&s.name));
    let text = format!(
        "records {} of {}",
        recorded.count(),
        units::count(can_be().count(), "stage")
    );
    Finding::ok("lock file", text)
}

/// Does the cache have what the lock names? Looks only for the objects, not at their bytes.
fn results(project: &Project, graph: &StageGraph, lock: &LockFile) -> Option<Finding> {
    let cache = Cache::open(project);
    let mut objects = 0;
    let mut lacking = Vec::new();
    for stage in graph.stages() {
        let Some(entry) = lock.stages.get(&stage.name) else {
            continue;
        };
        let recorded = entry
            .outs
            .iter()
            .filter(|(path, _)| stage.outs.contains_key(*path));
        for (path, presence) in recorded {
            objects += 1;
            let object = presence.object();
            if !object.is_some_and(|object| cache.object_path(&object).exists()) {
                lacking.push(path);
            }
        }
    }
    if objects == 0 {
        return None;
    }
    Some(if lacking.is_empty() {
        Finding::ok("results", format!("all {objects} are in the cache"))
    } else {
        Finding::warning(
            "results",
            format!(
                "the cache lacks {} of {objects}: {}",
                lacking.len(),
                some(&lacking)
            ),
            "`cvops repro` makes them",
        )
    })
}

/// Does git see the outputs that are its own, and no others?
fn in_git(project: &Project, graph: &StageGraph) -> Vec<Finding> {
    let outs = || graph.stages().iter().flat_map(|stage| &stage.outs);
    let ignored = |path: &ArtifactPath| is_ignored(&project.root, path);
    let mut findings = Vec::new();
    let tracked = git::tracked(&project.root);
    let committed: Vec<&ArtifactPath> = outs()
        .filter(|(path, out)| {
            out.storage == Storage::Cached && tracked.iter().any(|file| path.contains(file))
        })
        .map(|(path, _)| path)
        .collect();
    if let Some(first) = committed.first() {
        findings.push(Finding::warning(
            "git",
            format!(
                "outputs of the cache are committed as well: {}",
                some(&committed)
            ),
            format!("`git rm -r --cached {first}`, or declare `cache: false`"),
        ));
    }
    let visible: Vec<&ArtifactPath> = outs()
        .filter(|(path, out)| {
            out.storage == Storage::Cached
                && path.under(&project.root).exists()
                && ignored(path) == Some(false)
        })
        .map(|(path, _)| path)
        .collect();
    if !visible.is_empty() {
        findings.push(Finding::warning(
            "git",
            format!("outputs of the cache are not ignored: {}", some(&visible)),
            "the next `cvops repro` adds them to `.gitignore`",
        ));
    }
    let hidden: Vec<&ArtifactPath> = outs()
        .filter(|(path, out)| out.storage == Storage::Git && ignored(path) == Some(true))
        .map(|(path, _)| path)
        .collect();
    if !hidden.is_empty() {
        findings.push(Finding::warning(
            "git",
            format!(
                "outputs declared `cache: false` are ignored: {}",
                some(&hidden)
            ),
            "take them out of `.gitignore`, or drop `cache: false`",
        ));
    }
    findings
}
