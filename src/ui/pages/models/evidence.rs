//! What is known of a version: the run that made it, what was measured, with which params, on which
//! data, from which commit. Imports: compare, pipeline, store, track.

use std::collections::BTreeMap;

use crate::compare::diff::show;
use crate::pipeline::lock::{LockEntry, LockFile};
use crate::store::Presence;
use crate::track::entity::{DatasetInput, LoggedModel, ModelVersion};
use crate::track::overview::is_system;
use crate::track::{Error, Key, Reader, Run, RunId};

/// MLflow's tag for the commit of a run.
const COMMIT_TAG: &str = "mlflow.source.git.commit";

/// MLflow's tag for what a dataset was used for.
const CONTEXT_TAG: &str = "mlflow.data.context";

/// A registered model's tag that names the metric by which its versions are judged.
pub(super) const METRIC_TAG: &str = "cvops.metric";

/// What is known of a version.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) version: ModelVersion,
    /// The run that made it, if it is recorded here.
    pub(super) run: Option<Run>,
    /// The logged model it is.
    pub(super) logged: Option<LoggedModel>,
    pub(super) datasets: Vec<DatasetInput>,
    lock: Option<LockFile>,
    /// Where its files are among the run's.
    path_in_run: Option<String>,
}

impl Evidence {
    /// Gathers it.
    ///
    /// # Errors
    /// The record cannot be read. That something is not recorded is no error.
    pub(super) fn read(reader: &Reader<'_>, version: ModelVersion) -> Result<Self, Error> {
        let logged = match &version.logged_model {
            Some(id) => known(reader.logged_model(id))?,
            None => None,
        };
        let made_by = version.run.clone().filter(|id| !id.is_empty());
        let made_by = made_by.or_else(|| logged.as_ref()?.source_run.clone());
        let id = made_by.and_then(|id| id.parse::<RunId>().ok());
        let mut evidence = Self {
            version,
            run: None,
            logged,
            datasets: Vec::new(),
            lock: None,
            path_in_run: None,
        };
        let Some(id) = id else { return Ok(evidence) };
        evidence.run = known(reader.get(id))?;
        if let Some(record) = known(reader.record(id))? {
            evidence.datasets = record.datasets;
            let root = format!("{}/", record.info.artifact_uri);
            let storage = &evidence.version.storage;
            evidence.path_in_run = storage.strip_prefix(&root).map(str::to_owned);
        }
        if evidence.run.is_some() {
            // A lock that this program cannot read says nothing here; the run's page has its text.
            evidence.lock = known(reader.lock_text(id))?
                .flatten()
                .and_then(|text| LockFile::parse("pipeline.lock", text).ok());
        }
        Ok(evidence)
    }

    /// Returns what was measured: of the model itself where that was logged, else of its run. How busy
    /// the machine was says nothing of a model.
    pub(super) fn metrics(&self) -> Vec<(Key, f64)> {
        let mut all: Vec<(Key, f64)> = Vec::new();
        for metric in self.logged.iter().flat_map(|model| &model.metrics) {
            all.push((Key::new("", &metric.point.name), metric.point.value));
        }
        let of_run = self.run.iter().flat_map(|run| &run.metrics);
        for metric in of_run.filter(|metric| !is_system(&metric.key)) {
            if !all.iter().any(|(key, _)| key.key == metric.key.key) {
                all.push((metric.key.clone(), metric.value));
            }
        }
        all
    }

    /// Returns a metric.
    pub(super) fn metric(&self, key: &Key) -> Option<f64> {
        let all = self.metrics();
        let exact = all.iter().find(|(other, _)| other == key);
        // The same number can have been logged without its file.
        let found = exact.or_else(|| all.iter().find(|(other, _)| other.key == key.key));
        found.map(|(_, value)| *value)
    }

    /// Returns the params, of the run and of the model itself.
    pub(super) fn params(&self) -> BTreeMap<String, String> {
        let of_model = self.logged.iter().flat_map(|model| &model.params);
        let mut all: BTreeMap<String, String> = of_model
            .map(|param| (param.key.clone(), param.value.clone()))
            .collect();
        for (key, value) in self.run.iter().flat_map(|run| &run.params) {
            all.insert(key.to_string(), show(Some(value), None));
        }
        all
    }

    /// Returns the commit, and whether files differed from it.
    pub(super) fn commit(&self) -> Option<(String, Option<bool>)> {
        let run = self.run.as_ref()?;
        match &run.git {
            Some(git) => Some((git.commit.clone(), git.dirty)),
            None => Some((run.tags.get(COMMIT_TAG)?.clone(), None)),
        }
    }

    /// Returns datasets by name and use, each with its digest.
    pub(super) fn data(&self) -> BTreeMap<(String, String), String> {
        let inputs = self.datasets.iter().map(|input| {
            let context = input.tags.iter().find(|tag| tag.key == CONTEXT_TAG);
            let context = context.map_or_else(String::new, |tag| tag.value.clone());
            let name = (input.dataset.name.clone(), context);
            (name, input.dataset.digest.clone())
        });
        inputs.collect()
    }

    /// Returns what the stage that wrote a metrics file judged the model by: all that it read, with
    /// hashes, but the model and what was written beside it. `None` if that is not recorded.
    pub(super) fn judged_by(&self, metrics_file: &str) -> Option<BTreeMap<String, String>> {
        let entries = || self.lock.iter().flat_map(|lock| lock.stages.values());
        let writes =
            |entry: &LockEntry, path: &str| entry.outs.keys().any(|out| out.as_str() == path);
        let judge = entries().find(|entry| writes(entry, metrics_file))?;
        let model = self.path_in_run.as_deref()?;
        let maker = entries().find(|entry| writes(entry, model));
        // A stage that trains and judges read nothing else.
        let beside = maker.filter(|maker| !std::ptr::eq(*maker, judge));
        let is_made = |path: &str| beside.is_some_and(|maker| writes(maker, path));
        let read = judge.deps.iter().filter_map(|(path, presence)| {
            let path = path.as_str();
            match presence {
                Presence::Present(present) if path != model && !is_made(path) => {
                    Some((path.to_owned(), present.object.hash().to_string()))
                }
                Presence::Present(_) | Presence::Missing => None,
            }
        });
        Some(read.collect())
    }
}

/// Takes what is not recorded (any more) for nothing.
fn known<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused { .. } | Error::NoRuns | Error::UnknownRun { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
