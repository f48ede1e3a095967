//! What the trials of a sweep have in common beside parameters: the commands of their stages, and
//! the sources and variables these read. Trials made of different ones cannot be compared.
//! Imports: base, pipeline, store.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::base::ArtifactPath;
use crate::base::canon::Canon;
use crate::base::fs::Executable;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{Freshness, StageSpec};
use crate::pipeline::workspace::Files;
use crate::pipeline::{self, Plan};
use crate::project::Project;
use crate::store::Presence;

use super::super::Error;
use super::params;
use super::space::Space;
use super::state::Definition;
use super::variant;

/// What is compared: its name for people, and a short text that changes with it.
pub type Inputs = BTreeMap<String, String>;

/// What is not as it was when a sweep began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Are there other values of parameters that are not swept?
    pub params: bool,
    /// Commands, sources and variables, as messages name them.
    pub inputs: Vec<String>,
}

impl Changes {
    /// Is all as it was?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.params && self.inputs.is_empty()
    }
}

/// Returns the stages that a trial may run: services and frozen stages are passed over.
fn at_work<'p>(plan: &'p Plan<'_>) -> impl Iterator<Item = &'p StageSpec> {
    let stages = plan.order().iter().map(|&i| &plan.graph().stages()[i]);
    stages.filter(|s| s.service.is_none() && s.freshness != Freshness::Frozen)
}

/// Is `dep` neither made by a stage nor a file with swept parameters?
fn is_source(plan: &Plan<'_>, space: &Space, dep: &ArtifactPath) -> bool {
    plan.graph().outs_touching(dep).is_empty() && !space.files().iter().any(|f| dep.contains(f))
}

fn source_name(path: &ArtifactPath) -> String {
    format!("`{path}`")
}

fn state(presence: &Presence) -> String {
    match presence {
        Presence::Missing => "missing".to_owned(),
        Presence::Present(p) if p.exec == Executable::Yes => format!("{} exec", p.object),
        Presence::Present(p) => p.object.to_string(),
    }
}

/// Finds out what the stages of `plan` are made of now.
///
/// # Errors
/// A source cannot be read.
pub fn inputs(
    definition: &Definition,
    plan: &Plan<'_>,
    project: &Project,
    files: &Files<'_>,
    env: &BTreeMap<String, String>,
) -> Result<Inputs, Error> {
    variant::with_first(definition, plan, project, |plan| {
        Ok(inputs_of(plan, &definition.space, files, env)?)
    })
}

/// Returns the hash over the parameters that are not swept.
///
/// # Errors
/// A params file is broken.
pub fn base(definition: &Definition, plan: &Plan<'_>, project: &Project) -> Result<String, Error> {
    variant::with_first(definition, plan, project, |plan| {
        Ok(params::base_hash(plan, &definition.space, &project.root)?)
    })
}

fn inputs_of(
    plan: &Plan<'_>,
    space: &Space,
    files: &Files<'_>,
    env: &BTreeMap<String, String>,
) -> Result<Inputs, pipeline::Error> {
    let mut inputs = Inputs::new();
    for stage in at_work(plan) {
        let mut canon = Canon::new("cvops.sweep-commands.v1");
        canon.list(stage.commands.len());
        for command in &stage.commands {
            canon.text(command);
        }
        canon.text(stage.wdir.as_ref().map_or("", ArtifactPath::as_str));
        inputs.insert(
            format!("the command of `{}`", stage.name),
            canon.finish().to_string(),
        );
        for dep in stage.deps.keys().filter(|d| is_source(plan, space, d)) {
            if let Entry::Vacant(new) = inputs.entry(source_name(dep)) {
                new.insert(state(&files.snapshot(dep)?));
            }
        }
        for name in &stage.env {
            // Only a hash: a variable may be a secret.
            let mut canon = Canon::new("cvops.sweep-env.v1");
            match env.get(name) {
                Some(value) => canon.text(value),
                None => canon.none(),
            };
            inputs.insert(format!("the variable `{name}`"), canon.finish().to_string());
        }
    }
    Ok(inputs)
}

/// Returns the sources that the stages of a trial read in another state than `first`.
#[must_use]
pub fn changed_sources(
    first: &Inputs,
    plan: &Plan<'_>,
    space: &Space,
    lock: &LockFile,
) -> Vec<String> {
    let mut changed: Vec<String> = at_work(plan)
        .filter_map(|stage| lock.stages.get(&stage.name))
        .flat_map(|entry| &entry.deps)
        .filter(|(dep, _)| is_source(plan, space, dep))
        .filter_map(|(dep, presence)| {
            let name = source_name(dep);
            let was = first.get(&name)?;
            (*was != state(presence)).then_some(name)
        })
        .collect();
    changed.sort_unstable();
    changed.dedup();
    changed
}

/// Compares the project with what `definition` says of it when its sweep began.
///
/// # Errors
/// A params file is broken, or a source cannot be read.
pub fn changes(
    definition: &Definition,
    plan: &Plan<'_>,
    project: &Project,
    files: &Files<'_>,
    env: &BTreeMap<String, String>,
) -> Result<Changes, Error> {
    let base = base(definition, plan, project)?;
    let now = inputs(definition, plan, project, files, env)?;
    Ok(Changes {
        params: base != definition.base,
        inputs: differing(&definition.inputs, &now),
    })
}

/// Names what differs; a journal of old says nothing, so nothing does.
fn differing(then: &Inputs, now: &Inputs) -> Vec<String> {
    if then.is_empty() {
        return Vec::new();
    }
    let gone = then.keys().filter(|name| !now.contains_key(*name));
    let other = now
        .iter()
        .filter(|(name, state)| then.get(*name) != Some(*state));
    let mut names: Vec<String> = other.map(|(name, _)| name).chain(gone).cloned().collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_came_or_went_is_named() {
        let of = |all: &[(&str, &str)]| -> Inputs {
            all.iter()
                .map(|(n, s)| ((*n).to_owned(), (*s).to_owned()))
                .collect()
        };
        let then = of(&[("`a`", "1"), ("`b`", "1"), ("`c`", "1")]);
        let now = of(&[("`a`", "1"), ("`b`", "2"), ("`d`", "1")]);
        assert_eq!(differing(&then, &now), ["`b`", "`c`", "`d`"]);
        assert!(differing(&then, &then).is_empty());
        assert!(differing(&Inputs::new(), &now).is_empty());
    }
}
