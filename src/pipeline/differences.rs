//! What differs, stage by stage and pointer by pointer, between records and workspace: the plain
//! comparison that `dvc status` makes, without a judgement on what follows from it.
//! Imports: base, store, graph, lock, plan, spec, workspace.

use std::collections::BTreeMap;

use crate::base::doc::Value;
use crate::base::{ArtifactPath, ObjectId};
use crate::store::Presence;

use super::error::Error;
use super::lock::{LockEntry, LockFile};
use super::params::same;
use super::plan::Plan;
use super::spec::{Freshness, ParamRef, StageSpec, Storage};
use super::workspace::Workspace;

/// How something differs from its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It has another content or value, or is in no record.
    Modified,
    /// It is not there.
    Deleted,
    /// It is not recorded.
    New,
    /// It is recorded, and the cache does not have it.
    NotInCache,
}

/// What differs for one params file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamsDiffer {
    /// The file as a whole: it is not there, or nothing is recorded of it.
    File(How),
    /// Keys of it.
    Keys(Vec<(String, How)>),
}

/// What differs for one stage or pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The address of the stage, or the pointer's file.
    pub name: String,
    /// Dependencies.
    pub deps: Vec<(ArtifactPath, How)>,
    /// Parameters, by file.
    pub params: Vec<(ArtifactPath, ParamsDiffer)>,
    /// Outputs, or what is tracked.
    pub outs: Vec<(ArtifactPath, How)>,
    /// The stage runs each time.
    pub always_changed: bool,
    /// It has another command.
    pub command: bool,
}

impl Differences {
    fn is_empty(&self) -> bool {
        let Self {
            name: _,
            deps,
            params,
            outs,
            always_changed,
            command,
        } = self;
        deps.is_empty() && params.is_empty() && outs.is_empty() && !always_changed && !command
    }
}

/// Compares the chosen stages and pointers; those without a difference are left out.
///
/// # Errors
/// A file cannot be read.
pub fn differences(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
) -> Result<Vec<Differences>, Error> {
    let graph = plan.graph();
    let mut all = Vec::new();
    let chosen = (0..graph.stages().len()).filter(|stage| plan.contains(*stage));
    for stage in chosen.map(|stage| &graph.stages()[stage]) {
        if stage.service.is_none() {
            all.push(of_stage(stage, lock.stages.get(&stage.name), workspace)?);
        }
    }
    for &pointer in plan.pointers() {
        let pointer = &graph.pointers()[pointer];
        let mut found = Differences {
            name: pointer.file.to_string(),
            ..Differences::default()
        };
        for out in &pointer.outs {
            let recorded = out.object().is_some().then_some(out.recorded);
            let how = how_out(workspace, &out.path, recorded, out.storage)?;
            found.outs.extend(how.map(|how| (out.path.clone(), how)));
        }
        all.push(found);
    }
    all.retain(|found| !found.is_empty());
    Ok(all)
}

fn of_stage(
    stage: &StageSpec,
    entry: Option<&LockEntry>,
    workspace: &mut Workspace<'_>,
) -> Result<Differences, Error> {
    let mut found = Differences {
        name: stage.name.to_string(),
        // Without anything to judge it by, it runs each time as well.
        always_changed: stage.freshness == Freshness::AlwaysChanged || stage.is_bare(),
        command: entry.is_some_and(|entry| entry.commands != stage.commands),
        ..Differences::default()
    };
    if stage.freshness != Freshness::Frozen {
        for path in stage.deps.keys() {
            let recorded = entry.and_then(|entry| entry.deps.get(path)).copied();
            let now = now(workspace, path, recorded.as_ref())?;
            found
                .deps
                .extend(how(recorded, &now).map(|how| (path.clone(), how)));
        }
        found.params = params(stage, entry, workspace)?;
    }
    for (path, out) in &stage.outs {
        let recorded = entry.and_then(|entry| entry.outs.get(path)).copied();
        let how = how_out(workspace, path, recorded, out.storage)?;
        found.outs.extend(how.map(|how| (path.clone(), how)));
    }
    Ok(found)
}

/// Returns what stands at `path`, hashed as what is recorded of it.
fn now(
    workspace: &Workspace<'_>,
    path: &ArtifactPath,
    recorded: Option<&Presence>,
) -> Result<Presence, Error> {
    match recorded {
        Some(recorded) => workspace.files.snapshot_like(path, recorded),
        None => workspace.files.snapshot(path),
    }
}

fn how(recorded: Option<Presence>, now: &Presence) -> Option<How> {
    match now.object() {
        None => Some(How::Deleted),
        now if now == recorded.as_ref().and_then(Presence::object) => None,
        Some(_) => Some(How::Modified),
    }
}

fn how_out(
    workspace: &Workspace<'_>,
    path: &ArtifactPath,
    recorded: Option<Presence>,
    storage: Storage,
) -> Result<Option<How>, Error> {
    let object: Option<ObjectId> = recorded.as_ref().and_then(Presence::object);
    if let (Some(object), Storage::Cached) = (object, storage)
        && !workspace.files.holds(&object)?
    {
        return Ok(Some(How::NotInCache));
    }
    let now = now(workspace, path, recorded.as_ref())?;
    Ok(how(recorded, &now))
}

fn params(
    stage: &StageSpec,
    entry: Option<&LockEntry>,
    workspace: &mut Workspace<'_>,
) -> Result<Vec<(ArtifactPath, ParamsDiffer)>, Error> {
    let mut by_file: BTreeMap<&ArtifactPath, Vec<&ParamRef>> = BTreeMap::new();
    for param in stage.params.keys() {
        by_file.entry(&param.file).or_default().push(param);
    }
    let mut found = Vec::new();
    for (file, params) in by_file {
        let recorded = |param: &ParamRef| entry.and_then(|entry| entry.params.get(param));
        let Some(root) = workspace.params_file(file)? else {
            found.push((file.clone(), ParamsDiffer::File(How::Deleted)));
            continue;
        };
        if params.iter().all(|param| recorded(param).is_none()) {
            found.push((file.clone(), ParamsDiffer::File(How::New)));
            continue;
        }
        let mut keys = Vec::new();
        for param in params {
            let (now, then) = (param.key.get(&root), recorded(param));
            if param.key.is_root() {
                keys.extend(top_keys(then, now));
                continue;
            }
            let how = key_how(then, now);
            keys.extend(how.map(|how| (param.key.to_string(), how)));
        }
        if !keys.is_empty() {
            found.push((file.clone(), ParamsDiffer::Keys(keys)));
        }
    }
    Ok(found)
}

fn key_how(then: Option<&Value>, now: Option<&Value>) -> Option<How> {
    match (then, now) {
        (_, None) => Some(How::Deleted),
        (None, Some(_)) => Some(How::New),
        (then, now) => (!same(then, now)).then_some(How::Modified),
    }
}

/// Returns the top keys in which a file tracked as a whole differs.
fn top_keys(then: Option<&Value>, now: Option<&Value>) -> Vec<(String, How)> {
    let (then, now) = (then.and_then(Value::as_map), now.and_then(Value::as_map));
    let keys: Vec<&String> = now
        .into_iter()
        .chain(then)
        .flat_map(|map| map.keys())
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    keys.into_iter()
        .filter(|key| seen.insert(*key))
        .filter_map(|key| {
            let value =
                |map: Option<&'_ crate::base::doc::Map>| map.and_then(|m| m.get(key)).cloned();
            let how = key_how(value(then).as_ref(), value(now).as_ref())?;
            Some((key.clone(), how))
        })
        .collect()
}
