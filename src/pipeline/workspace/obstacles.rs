//! What would stop a plan, or a stage that is about to run. Imports: base, project, and the pipeline's
//! other files.

use std::collections::BTreeSet;

use crate::base::ArtifactPath;
use crate::pipeline::error::Error;
use crate::pipeline::graph::{Maker, StageGraph};
use crate::pipeline::inputs::Inputs;
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::{Freshness, StageSpec, Storage};
use crate::project::{claims, git};
use crate::store::Presence;

use super::{MissingData, Workspace, can_be_reused};

impl Workspace<'_> {
    /// Finds what would stop the plan later. Better now than after an hour of training.
    ///
    /// # Errors
    /// All problems found.
    pub fn preflight(&mut self, plan: &Plan<'_>) -> Result<(), Error> {
        let mut problems = self.obstacles(plan);
        match problems.len() {
            0 => Ok(()),
            1 => Err(problems.remove(0)),
            _ => Err(Error::Several(problems)),
        }
    }

    /// Returns what would stop the plan: missing params, deps that neither exist nor are written by
    /// a planned stage, outputs that would damage the cache. In the order of the plan.
    pub fn obstacles(&mut self, plan: &Plan<'_>) -> Vec<Error> {
        let graph = plan.graph();
        let mut problems = Vec::new();
        // A broken params file would be reported by each stage that reads it.
        let mut said = BTreeSet::new();
        for &index in plan.order() {
            let stage = &graph.stages()[index];
            let stays_out = stage.service.is_some() && !plan.services().contains(&index);
            if stays_out {
                continue;
            }
            if stage.freshness == Freshness::Frozen {
                problems.extend(self.frozen_missing(graph, stage));
                continue;
            }
            let made = |path: &ArtifactPath| {
                graph
                    .outs_touching(path)
                    .iter()
                    .any(|(_, producer)| plan.contains(*producer))
            };
            // Params that a planned stage writes are read when it has run.
            if !stage.params.keys().any(|param| made(&param.file))
                && let Err(error) = self.params.of_stage(stage)
                && said.insert(error.to_string())
            {
                problems.push(graph.at_its_line(stage, error));
            }
            for path in stage.deps.keys() {
                let is_missing = !made(path) && !path.under(self.files.root()).exists();
                // It may be known from the lock, or another command may be making it just now: then
                // the stage itself says so if it has to run without it.
                if is_missing
                    && self.missing == MissingData::Counts
                    && self.fetch.is_none()
                    && claims::look(&self.files.project.layout).living.is_empty()
                {
                    problems.push(missing_dependency(graph, stage, path));
                }
            }
            if !can_be_reused(stage) && self.files.links() {
                problems.push(Error::PersistLinked {
                    stage: stage.name.clone(),
                });
            }
        }
        problems
    }

    /// Returns the outputs of a frozen stage that are not in place.
    fn frozen_missing(&self, graph: &StageGraph, stage: &StageSpec) -> Vec<Error> {
        if self.missing == MissingData::IsAsRecorded {
            return Vec::new();
        }
        let gone = stage
            .outs
            .iter()
            .filter(|(path, _)| std::fs::symlink_metadata(path.under(self.files.root())).is_err());
        let gone = gone.map(|(path, out)| {
            let error = Error::FrozenMissing {
                stage: stage.name.clone(),
                path: path.clone(),
                storage: out.storage,
            };
            graph.at_its_line(stage, error)
        });
        gone.collect()
    }

    /// Returns the outputs of a stage that git tracks although the cache is to keep them: git records
    /// what comes and goes, and DVC refuses to run such a stage.
    pub fn outs_in_git(&mut self, graph: &StageGraph, stage: &StageSpec) -> Vec<Error> {
        let project = self.files.project;
        let in_git = self.in_git.get_or_insert_with(|| {
            let tracked = if project.config.no_scm {
                Vec::new()
            } else {
                git::tracked(&project.root)
            };
            tracked.into_iter().collect()
        });
        let is_in_git = |path: &ArtifactPath| {
            let inside = in_git.range(path.first_inside()..).next();
            in_git.contains(path) || inside.is_some_and(|file| path.contains(file))
        };
        let cached = stage
            .outs
            .iter()
            .filter(|(path, out)| out.storage == Storage::Cached && is_in_git(path));
        let errors = cached.map(|(path, _)| {
            let (name, path) = (stage.name.clone(), path.clone());
            graph.at_its_line(stage, Error::OutInGit { stage: name, path })
        });
        errors.collect()
    }

    /// Checks, right before a stage runs, that all its deps are there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_deps(
        &self,
        graph: &StageGraph,
        stage: &StageSpec,
        inputs: &Inputs,
    ) -> Result<(), Error> {
        let is_missing = |path: &ArtifactPath, presence: &Presence| {
            let is_assumed = self.missing == MissingData::IsAsRecorded;
            *presence == Presence::Missing
                || (is_assumed && !path.under(self.files.root()).exists())
        };
        match inputs.deps.iter().find(|(path, p)| is_missing(path, p)) {
            Some((path, _)) => Err(missing_dependency(graph, stage, path)),
            None => Ok(()),
        }
    }
}

fn missing_dependency(graph: &StageGraph, stage: &StageSpec, path: &ArtifactPath) -> Error {
    let pointer = match graph.maker_of(path) {
        Some(Maker::Pointer(pointer)) => Some(graph.pointers()[pointer].file.clone()),
        Some(Maker::Stage(_)) | None => None,
    };
    let error = Error::MissingDependency {
        stage: stage.name.clone(),
        path: path.clone(),
        producer: graph
            .producer_of(path)
            .map(|p| graph.stages()[p].name.clone()),
        pointer,
    };
    graph.at_its_line(stage, error)
}
