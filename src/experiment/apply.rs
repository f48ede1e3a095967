//! Makes the workspace what it was after a run: params, outputs, lock.
//! Imports: base, project, store, pipeline, track.
//!
//! Outputs come first, then params files, the lock last: a kill in between leaves the old lock, and
//! the next repro sees and mends what does not fit it. What is replaced is in the cache before.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::doc::{Document, Format, KeyPath, Value, edit};
use crate::base::{ArtifactPath, Cancel, ObjectId};
use crate::pipeline::decide::{Force, RunRecords};
use crate::pipeline::forecast::{Forecast, forecast};
use crate::pipeline::lock::LockFile;
use crate::pipeline::params::{ParamChange, changes};
use crate::pipeline::spec::ParamRef;
use crate::pipeline::workspace::{Files, Restored};
use crate::pipeline::{
    Plan, Reach, SkipReason, StageDecision, StageGraph, StageName, Workspace, lock_files, variant,
};
use crate::project::EditLock;
use crate::store::Presence;
use crate::track::{Run, Tracking};

use super::error::Error;
use super::sweep::space::overlap;

/// What to do when outputs of the run cannot be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Change nothing and name them.
    Refuse,
    /// Apply the rest.
    LeaveOut,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Applied {
    /// Params that have another value now, with the value before.
    pub params: Vec<ParamChange>,
    /// Outputs that were put in place.
    pub restored: Vec<ArtifactPath>,
    /// Outputs that could not be.
    pub gone: Vec<ArtifactPath>,
    /// What stood in the way and was not in the cache: kept there now, under these names.
    pub saved: Vec<(ArtifactPath, ObjectId)>,
    /// Stages that are not as they were after the run, and what will happen to them: the pipeline
    /// file or the source data are other ones now.
    pub different: Vec<(StageName, Forecast)>,
}

/// Brings params, outputs and lock to where `run` left them. Call it with the project lock held.
///
/// # Errors
/// The run left no lock, outputs are gone, a params file cannot be edited, or a file operation
/// failed. Nothing is changed unless all can be, but for the last.
pub fn apply(
    tracking: &Tracking,
    run: &Run,
    graph: &StageGraph,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
    gone: Gone,
    cancel: &Cancel,
) -> Result<Applied, Error> {
    let files = workspace.files;
    let nothing = || Error::NothingToApply {
        name: run.name.clone(),
    };
    let text = tracking.lock_text(run.id)?.ok_or_else(nothing)?;
    let mut recorded = LockFile::parse(&format!("the lock of `{}`", run.name), text)?;
    let wanted = wanted_params(graph, &recorded, run);
    let edited = edited_params(graph, files, &wanted, &mut Vec::new())?;
    // Templates read the run's values, so its stages may be other ones.
    let variant = variant::with_params(files.project(), graph, &edited)?;
    let graph = variant.as_ref().unwrap_or(graph);
    recorded
        .stages
        .retain(|name, _| graph.find(name.as_str()).is_some());
    if recorded.stages.is_empty() {
        return Err(nothing());
    }

    // Everything that can go wrong with the run's own record is found before anything changes.
    let mut applied = Applied::default();
    let outs = outputs(graph, &recorded);
    for (path, presence) in &outs {
        if !files.has(path, presence)? {
            applied.gone.push(path.clone());
        }
    }
    if !applied.gone.is_empty() && gone == Gone::Refuse {
        return Err(Error::OutputsGone {
            name: run.name.clone(),
            paths: applied.gone,
        });
    }

    for (path, presence) in &outs {
        if cancel.is_requested() {
            return Err(crate::pipeline::Error::Cancelled.into());
        }
        if files.snapshot(path)? == *presence || applied.gone.contains(path) {
            continue;
        }
        match files.restore(path, presence)? {
            Restored::Placed { saved } => {
                applied.restored.push(path.clone());
                applied
                    .saved
                    .extend(saved.map(|object| (path.clone(), object)));
            }
            Restored::Unusable { .. } => applied.gone.push(path.clone()),
        }
    }
    // Outputs may have taken minutes; what is edited is what the files say now.
    let edit_lock = EditLock::acquire(&files.project().layout, cancel)?;
    let edited = edited_params(graph, files, &wanted, &mut applied.params)?;
    for (file, document) in edited {
        let path = file.under(files.root());
        let saved = files.secure(&file)?;
        applied
            .saved
            .extend(saved.map(|object| (file.clone(), object)));
        edit_lock.write(&path, &document.source.text)?;
    }
    drop(edit_lock);
    files.ignore_outs(graph.stages())?;
    let mut merged = lock.clone();
    merged.stages.extend(recorded.stages);
    lock_files::write(files.project(), graph, &merged)?;

    applied.different = different(graph, &merged, workspace)?;
    Ok(applied)
}

/// Returns the outputs that the run recorded and that are outputs still.
fn outputs(graph: &StageGraph, recorded: &LockFile) -> BTreeMap<ArtifactPath, Presence> {
    let mut outs = BTreeMap::new();
    for stage in graph.stages() {
        let entry = recorded.stages.get(&stage.name);
        for (path, presence) in entry.iter().flat_map(|entry| &entry.outs) {
            if stage.outs.contains_key(path) && presence.object().is_some() {
                outs.insert(path.clone(), *presence);
            }
        }
    }
    outs
}

/// Returns the params of the run: those that its stages recorded, and what it recorded of the files
/// that templates read.
fn wanted_params(graph: &StageGraph, recorded: &LockFile, run: &Run) -> BTreeMap<ParamRef, Value> {
    let mut wanted: BTreeMap<ParamRef, Value> = BTreeMap::new();
    let of_stages = recorded.stages.values().flat_map(|entry| &entry.params);
    wanted.extend(of_stages.map(|(param, value)| (param.clone(), value.clone())));
    let templates: BTreeSet<&ArtifactPath> = graph
        .files()
        .iter()
        .flat_map(|f| &f.template_files)
        .collect();
    for (key, value) in &run.params {
        let Ok(file) = key.file.parse::<ArtifactPath>() else {
            continue;
        };
        let Ok(path) = key.key.parse::<KeyPath>() else {
            continue;
        };
        let param = ParamRef { file, key: path };
        // A stage may have recorded it, or what it lies in, as one value.
        let is_known = wanted.keys().any(|known| overlap(known, &param));
        if templates.contains(&param.file) && !is_known {
            wanted.insert(param, value.clone());
        }
    }
    wanted
}

/// Returns the params files that must change, edited, and what changes in them. A params file that
/// a stage writes is an output, and none of these.
fn edited_params(
    graph: &StageGraph,
    files: &Files<'_>,
    wanted: &BTreeMap<ParamRef, Value>,
    params: &mut Vec<ParamChange>,
) -> Result<BTreeMap<ArtifactPath, Document>, Error> {
    let mut documents: BTreeMap<ArtifactPath, Document> = BTreeMap::new();
    let mut changed = BTreeMap::new();
    for (param, value) in wanted {
        if !graph.outs_touching(&param.file).is_empty() {
            continue;
        }
        if !documents.contains_key(&param.file) {
            let path = param.file.under(files.root());
            let name = param.file.as_str();
            let document = if path.exists() {
                Document::read(&path, name)?
            } else {
                Document::parse(name, String::new(), Format::of_path(&path))?
            };
            documents.insert(param.file.clone(), document);
        }
        let Some(document) = documents.get(&param.file) else {
            continue;
        };
        let key = param.key.find(&document.root);
        let key = key.as_ref().unwrap_or(&param.key);
        let differences = changes(param, key.get(&document.root), Some(value));
        if differences.is_empty() {
            continue;
        }
        params.extend(differences);
        let edited = set(document, key, value)?;
        documents.insert(param.file.clone(), edited.clone());
        changed.insert(param.file.clone(), edited);
    }
    Ok(changed)
}

fn set(document: &Document, key: &KeyPath, value: &Value) -> Result<Document, Error> {
    Ok(edit::set(document, key, value)?)
}

/// Returns the stages that a repro would not leave alone now. A service is never up to date, and
/// nothing of it is recorded.
fn different(
    graph: &StageGraph,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
) -> Result<Vec<(StageName, Forecast)>, Error> {
    let plan = Plan::select(graph, &[], Reach::Upstream)?;
    let forecasts = forecast(&plan, lock, workspace, Force::No, RunRecords::Use)?;
    let stages = plan.order().iter().map(|&i| &graph.stages()[i]);
    Ok(stages
        .zip(forecasts)
        .filter(|(stage, forecast)| {
            stage.service.is_none()
                && !matches!(
                    forecast,
                    Forecast::Certain(
                        StageDecision::Cached | StageDecision::Skip(SkipReason::Frozen)
                    )
                )
        })
        .map(|(stage, forecast)| (stage.name.clone(), forecast))
        .collect())
}
