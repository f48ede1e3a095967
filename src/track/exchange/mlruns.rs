//! Reads MLflow's file store, `mlruns/`: folders of experiments with folders of runs, a small file for
//! each param, metric and tag. What the files say is found out by functions of their text; `read`
//! walks. Imports: base, entity, run, and the types of this folder.
//!
//! ```text
//! mlruns/0/meta.yaml                       an experiment (`.trash/7/…`: a deleted one)
//! mlruns/0/tags/KEY                        its tags
//! mlruns/0/datasets/ID/meta.yaml           datasets of its runs
//! mlruns/0/RUN/meta.yaml                   a run
//! mlruns/0/RUN/{params,tags}/KEY           the file is the value
//! mlruns/0/RUN/metrics/KEY                 lines `time value step [dataset digest]`
//! mlruns/0/RUN/{inputs,outputs}/ID/meta.yaml
//! mlruns/0/RUN/artifacts/…
//! mlruns/0/models/m-ID/…                   logged models: meta.yaml, params, tags, metrics, artifacts
//! mlruns/models/NAME/meta.yaml             registered models: tags, aliases, version-N/{meta.yaml,tags}
//! ```

use std::path::{Path, PathBuf};

use crate::base::doc::{Document, Format, Value};
use crate::base::{self, Error as BaseError, fs};
use crate::track::entity::{
    Dataset, DatasetInput, ExperimentId, Lifecycle, LoggedModel, LoggedModelStatus, MetricPoint,
    ModelMetric, ModelOutput, ModelVersion, RegisteredModel, Tag, latest_order,
};
use crate::track::error::Error;
use crate::track::run::{RunId, Status};

use super::{
    Broken, ImportedExperiment, ImportedMetric, ImportedModel, ImportedParam, ImportedPoint,
    ImportedRegistered, ImportedRun, Item, ParamKind, Take, place,
};

const META: &str = "meta.yaml";
const TRASH: &str = ".trash";
const MODELS: &str = "models";
/// Folders of an experiment that hold no run.
const NO_RUNS: [&str; 5] = ["tags", "datasets", MODELS, "traces", "assessments"];

/// Says whether a folder is a file store: whether one of its folders is an experiment.
#[must_use]
pub fn is_store(dir: &Path) -> bool {
    let folders = |dir: &Path| folders(dir).unwrap_or_default();
    let is_experiment = |dir: &PathBuf| dir.join(META).is_file();
    folders(dir).iter().any(is_experiment)
        || folders(&dir.join(TRASH)).iter().any(is_experiment)
        || folders(&dir.join(MODELS)).iter().any(is_experiment)
}

/// Reads a store; what is broken is named.
///
/// # Errors
/// The folder itself cannot be read, or `take` says so.
pub fn read(dir: &Path, take: Take<'_>) -> Result<(), Error> {
    let mut store = Store {
        dir,
        broken: Vec::new(),
    };
    let mut runs: Vec<(i64, PathBuf, ImportedRun)> = Vec::new();
    let mut models: Vec<(PathBuf, ImportedModel)> = Vec::new();
    let mut experiments = folders(dir).map_err(base::Error::io("read folder", dir))?;
    experiments.extend(folders(&dir.join(TRASH)).unwrap_or_default());
    for folder in experiments {
        let name = name_of(&folder);
        // Hidden folders, and the registry's, are no experiments.
        if name.starts_with('.') || name == MODELS {
            continue;
        }
        if let Some(experiment) = store.experiment(&folder) {
            for run in folders(&folder).unwrap_or_default() {
                if NO_RUNS.contains(&name_of(&run).as_str()) || name_of(&run).starts_with('.') {
                    continue;
                }
                if let Some(one) = store.run_head(&run, &experiment.name) {
                    runs.push((one.started_ms, run, one));
                }
            }
            for model in folders(&folder.join(MODELS)).unwrap_or_default() {
                if let Some(one) = store.logged_model(&model, &experiment) {
                    models.push((model, one));
                }
            }
            take(Item::Experiment(experiment))?;
        }
        store.tell(take)?;
    }
    // The record lists runs in the order in which they came.
    runs.sort_by_key(|(started, _, run)| (*started, run.id));
    for (_, folder, mut run) in runs {
        let uri = store.run_details(&folder, &mut run);
        let own = folder.join("artifacts");
        let place = place::find(&uri, &run.id.to_string(), Some(&own), dir);
        store.tell(take)?;
        take(Item::Run(Box::new(run), place))?;
    }
    for (folder, model) in models {
        let own = folder.join("artifacts");
        let found = place::find(&model.model.artifact_uri, &model.model.id, Some(&own), dir);
        take(Item::Model(Box::new(model), found))?;
    }
    for folder in folders(&dir.join(MODELS)).unwrap_or_default() {
        let model = store.registered(&folder);
        store.tell(take)?;
        if let Some(model) = model {
            take(Item::Registered(Box::new(model)))?;
        }
    }
    store.tell(take)
}

/// Returns the folders in a folder, sorted by name; links to folders are folders.
fn folders(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

struct Store<'a> {
    dir: &'a Path,
    broken: Vec<Broken>,
}

impl Store<'_> {
    /// Hands over what was broken.
    fn tell(&mut self, take: Take<'_>) -> Result<(), Error> {
        self.broken
            .drain(..)
            .try_for_each(|broken| take(Item::Broken(broken)))
    }

    fn problem(&mut self, path: &Path, problem: impl Into<String>) {
        let path = path.strip_prefix(self.dir).unwrap_or(path);
        self.broken
            .push(Broken::new(format!("`{}`", path.display()), problem));
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes);
                if text.is_err() {
                    self.problem(path, "it is not UTF-8");
                }
                text.ok()
            }
            Err(error) => {
                self.problem(path, error.to_string());
                None
            }
        }
    }

    fn meta(&mut self, folder: &Path) -> Option<Meta> {
        let path = folder.join(META);
        let text = self.text(&path)?;
        match Meta::parse(text) {
            Ok(meta) => Some(meta),
            Err(problem) => {
                self.problem(&path, problem);
                None
            }
        }
    }

    /// Reads the files of a folder, by name; a name may hold slashes. No folder: nothing.
    fn values(&mut self, folder: &Path) -> Vec<Tag> {
        if !folder.is_dir() {
            return Vec::new();
        }
        let entries = match fs::walk(folder, &|_, _| true) {
            Ok(entries) => entries,
            Err((path, error)) => {
                self.problem(&path, error.to_string());
                return Vec::new();
            }
        };
        let mut values = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = folder.join(&entry.relative);
            if !place::is_inside(&path, folder) {
                self.problem(&path, "it is a link that leads out of the store");
                continue;
            }
            if let Some(value) = self.text(&path) {
                values.push(Tag::new(entry.relative, value));
            }
        }
        values
    }

    fn experiment(&mut self, folder: &Path) -> Option<ImportedExperiment> {
        let meta = self.meta(folder)?;
        let Some(name) = meta.text("name").filter(|name| !name.is_empty()) else {
            self.problem(&folder.join(META), "it names no experiment");
            return None;
        };
        let in_trash = folder
            .parent()
            .is_some_and(|parent| name_of(parent) == TRASH);
        let created_ms = meta.int("creation_time").unwrap_or(0);
        Some(ImportedExperiment {
            name,
            lifecycle: if in_trash {
                Lifecycle::Deleted
            } else {
                meta.lifecycle()
            },
            created_ms,
            updated_ms: meta.int("last_update_time").unwrap_or(created_ms),
            tags: self.values(&folder.join("tags")),
        })
    }

    /// Reads what a run is.
    fn run_head(&mut self, folder: &Path, experiment: &str) -> Option<ImportedRun> {
        let meta = self.meta(folder)?;
        let path = folder.join(META);
        let id: RunId = match name_of(folder).parse() {
            Ok(id) => id,
            Err(error) => {
                self.problem(&path, format!("{error}"));
                return None;
            }
        };
        let Some(started_ms) = meta.int("start_time") else {
            self.problem(&path, "it does not say when the run began");
            return None;
        };
        let Some(status) = meta.status() else {
            self.problem(&path, "it does not say how far the run is");
            return None;
        };
        let mut run = ImportedRun::new(id, experiment, started_ms);
        run.status = status;
        run.lifecycle = meta.lifecycle();
        run.deleted_ms = meta.int("deleted_time");
        run.ended_ms = meta.int("end_time");
        run.user = meta.text("user_id").unwrap_or_default();
        let names = ["run_name", "name"].map(|key| meta.text(key));
        run.name = names
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        // Kept here until the place is looked for.
        run.elsewhere = meta.text("artifact_uri");
        Some(run)
    }

    /// Reads what was logged to a run; returns its artifact URI.
    fn run_details(&mut self, folder: &Path, run: &mut ImportedRun) -> String {
        let uri = run.elsewhere.take().unwrap_or_default();
        run.tags = self.values(&folder.join("tags"));
        run.params = self
            .values(&folder.join("params"))
            .into_iter()
            .map(|Tag { key, value }| ImportedParam {
                file: String::new(),
                name: key.clone(),
                key,
                value,
                kind: ParamKind::Text,
            })
            .collect();
        let metrics = folder.join("metrics");
        for Tag { key, value } in self.values(&metrics) {
            let (points, problem) = points(&value);
            if let Some(problem) = problem {
                self.problem(&metrics.join(&key), problem);
            }
            let points = points.into_iter().map(|(point, _)| point).collect();
            run.metrics.extend(ImportedMetric::logged(&key, points));
        }
        self.links(folder, run);
        if run.name.is_empty() {
            let tag = run.tags.iter().find(|tag| tag.key == "mlflow.runName");
            let name = tag.map(|tag| tag.value.clone()).filter(|n| !n.is_empty());
            run.name = name.unwrap_or_else(|| run.id.default_name());
        }
        run.learn_from_tags();
        uri
    }

    /// Reads which datasets and logged models a run read, and which models it made.
    fn links(&mut self, folder: &Path, run: &mut ImportedRun) {
        for input in folders(&folder.join("inputs")).unwrap_or_default() {
            let Some(meta) = self.meta(&input) else {
                continue;
            };
            let id = meta.text("source_id").unwrap_or_default();
            if meta.text("source_type").as_deref() != Some("DATASET") {
                run.model_inputs.extend(meta.text("destination_id"));
                continue;
            }
            let experiment = folder.parent().unwrap_or(self.dir);
            let path = experiment.join("datasets").join(&id);
            // The id comes from a file: it names a folder here or nothing.
            if id.is_empty() || id.contains(['/', '\\']) || id.starts_with('.') {
                self.problem(&input.join(META), "it names no dataset");
                continue;
            }
            let Some(dataset) = self.meta(&path) else {
                continue;
            };
            let text = |key: &str| dataset.text(key).unwrap_or_default();
            run.datasets.push(DatasetInput {
                dataset: Dataset {
                    name: text("name"),
                    digest: text("digest"),
                    source_type: text("source_type"),
                    source: text("source"),
                    schema: dataset.text("schema"),
                    profile: dataset.text("profile"),
                },
                tags: meta.pairs("tags"),
            });
        }
        for output in folders(&folder.join("outputs")).unwrap_or_default() {
            if let Some(meta) = self.meta(&output)
                && let Some(model) = meta.text("destination_id")
            {
                let step = meta.int("step").unwrap_or(0);
                run.model_outputs.push(ModelOutput { model, step });
            }
        }
    }

    fn logged_model(
        &mut self,
        folder: &Path,
        experiment: &ImportedExperiment,
    ) -> Option<ImportedModel> {
        let meta = self.meta(folder)?;
        let Some(id) = meta.text("model_id").filter(|id| *id == name_of(folder)) else {
            self.problem(&folder.join(META), "its `model_id` is not its folder");
            return None;
        };
        let created_ms = meta.int("creation_timestamp").unwrap_or(0);
        let mut metrics = Vec::new();
        let of_metrics = folder.join("metrics");
        for Tag { key, value } in self.values(&of_metrics) {
            let (points, problem) = points(&value);
            if let Some(problem) = problem {
                self.problem(&of_metrics.join(&key), problem);
            }
            for (point, words) in points {
                let mut words = words.into_iter();
                metrics.push(ModelMetric {
                    point: MetricPoint {
                        name: key.clone(),
                        value: point.value,
                        at_ms: point.at_ms,
                        step: point.step,
                    },
                    run: words.next().unwrap_or_default(),
                    dataset: words.next().zip(words.next()),
                });
            }
        }
        let status = match meta.int("status") {
            Some(1) => LoggedModelStatus::Pending,
            Some(3) => LoggedModelStatus::UploadFailed,
            _ => LoggedModelStatus::Ready,
        };
        let lifecycle = match experiment.lifecycle {
            Lifecycle::Deleted => Lifecycle::Deleted,
            Lifecycle::Active => meta.lifecycle(),
        };
        Some(ImportedModel {
            experiment: experiment.name.clone(),
            model: LoggedModel {
                id,
                experiment: ExperimentId(0),
                name: meta.text("name").unwrap_or_default(),
                created_ms,
                updated_ms: meta.int("last_updated_timestamp").unwrap_or(created_ms),
                artifact_uri: meta.text("artifact_location").unwrap_or_default(),
                status,
                status_message: meta.text("status_message"),
                model_type: meta.text("model_type"),
                source_run: meta.text("source_run_id"),
                tags: self.values(&folder.join("tags")),
                params: self.values(&folder.join("params")),
                metrics: latest(metrics),
                registrations: Vec::new(),
            },
            lifecycle,
            deleted_ms: meta.int("deleted_time"),
            files: Vec::new(),
        })
    }

    fn registered(&mut self, folder: &Path) -> Option<ImportedRegistered> {
        let meta = self.meta(folder)?;
        let Some(name) = meta.text("name").filter(|name| !name.is_empty()) else {
            self.problem(&folder.join(META), "it names no model");
            return None;
        };
        let of_aliases = folder.join("aliases");
        let mut aliases = Vec::new();
        for Tag { key, value } in self.values(&of_aliases) {
            match value.trim().parse() {
                Ok(version) => aliases.push((key, version)),
                Err(_) => self.problem(&of_aliases.join(&key), "it names no version"),
            }
        }
        let mut versions = Vec::new();
        for version in folders(folder).unwrap_or_default() {
            if !name_of(&version).starts_with("version-") {
                continue;
            }
            let Some(meta) = self.meta(&version) else {
                continue;
            };
            let Some(number) = meta.int("version") else {
                self.problem(&version.join(META), "it names no version");
                continue;
            };
            let tags = self.values(&version.join("tags"));
            versions.push(meta.version(&name, number, tags));
        }
        versions.sort_by_key(|version| version.version);
        let created_ms = meta.int("creation_timestamp").unwrap_or(0);
        Some(ImportedRegistered {
            model: RegisteredModel {
                name,
                created_ms,
                updated_ms: meta.int("last_updated_timestamp").unwrap_or(created_ms),
                description: meta.text("description"),
                latest: Vec::new(),
                tags: self.values(&folder.join("tags")),
                aliases,
            },
            versions,
        })
    }
}

/// Returns the latest value of each metric of a model, by run and dataset.
pub(crate) fn latest(mut metrics: Vec<ModelMetric>) -> Vec<ModelMetric> {
    let name = |m: &ModelMetric| (m.point.name.clone(), m.run.clone(), m.dataset.clone());
    let key = |m: &ModelMetric| (m.point.step, m.point.at_ms, m.point.value);
    metrics.sort_by(|a, b| name(a).cmp(&name(b)).then(latest_order(key(a), key(b))));
    let mut last: Vec<ModelMetric> = Vec::new();
    for metric in metrics {
        match last.last_mut() {
            Some(before) if name(before) == name(&metric) => *before = metric,
            _ => last.push(metric),
        }
    }
    last
}

/// Reads the lines of a metric's file: time, value, step, and further words. What cannot be read is
/// left out; the second value says what.
fn points(text: &str) -> (Vec<(ImportedPoint, Vec<String>)>, Option<String>) {
    let mut points = Vec::new();
    let mut problem = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match point(line) {
            Some(point) => points.push(point),
            None => {
                problem.get_or_insert_with(|| format!("line {number} is no value: `{line}`"));
            }
        }
    }
    (points, problem)
}

fn point(line: &str) -> Option<(ImportedPoint, Vec<String>)> {
    let mut words = line.split_whitespace();
    let at_ms = words.next()?.parse().ok()?;
    let value = words.next()?.parse().ok()?;
    // Before MLflow 1.0 there were no steps.
    let step = words.next().map_or(Ok(0), str::parse).ok()?;
    let point = ImportedPoint { step, at_ms, value };
    Some((point, words.map(str::to_owned).collect()))
}

/// What a `meta.yaml` says.
struct Meta {
    root: Value,
    text: String,
}

impl Meta {
    fn parse(text: String) -> Result<Self, String> {
        let document = match Document::parse(META, text.clone(), Format::Yaml) {
            Ok(document) => document,
            Err(BaseError::Document { problems, .. }) => {
                let first = problems.into_iter().next();
                return Err(first.map_or_else(String::new, |problem| problem.headline));
            }
            Err(error) => return Err(error.to_string()),
        };
        match document.root {
            root @ Value::Map(_) => Ok(Self { root, text }),
            other => Err(format!("it holds {}, not a mapping", other.kind())),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.root.as_map()?.get(key)
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::Null => None,
            Value::Str(text) => Some(text.clone()),
            // MLflow writes YAML 1.1, in which `1e5` is a text: it is taken as it stands.
            _ => {
                let mut lines = self.text.lines();
                let line = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
                Some(line.trim().trim_matches('\'').to_owned())
            }
        }
    }

    fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::Str(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        }
    }

    fn pairs(&self, key: &str) -> Vec<Tag> {
        let Some(map) = self.get(key).and_then(Value::as_map) else {
            return Vec::new();
        };
        map.iter()
            .map(|(key, value)| match value {
                Value::Str(text) => Tag::new(key.as_str(), text.as_str()),
                other => Tag::new(key.as_str(), other.to_string()),
            })
            .collect()
    }

    fn lifecycle(&self) -> Lifecycle {
        let word = self.text("lifecycle_stage").unwrap_or_default();
        Lifecycle::of_str(&word)
    }

    fn status(&self) -> Option<Status> {
        match self.get("status")? {
            Value::Str(word) => status(word),
            value => match value.as_i64()? {
                1 => Some(Status::Running),
                2 => Some(Status::Scheduled),
                3 => Some(Status::Finished),
                4 => Some(Status::Failed),
                5 => Some(Status::Killed),
                _ => None,
            },
        }
    }

    fn version(&self, name: &str, number: i64, tags: Vec<Tag>) -> ModelVersion {
        let source = self.text("source").unwrap_or_default();
        let created_ms = self.int("creation_timestamp").unwrap_or(0);
        let some = |key: &str| self.text(key).filter(|text| !text.is_empty());
        ModelVersion {
            name: name.to_owned(),
            version: number,
            created_ms,
            updated_ms: self.int("last_updated_timestamp").unwrap_or(created_ms),
            description: self.text("description"),
            storage: some("storage_location").unwrap_or_else(|| source.clone()),
            source,
            run: some("run_id"),
            run_link: some("run_link"),
            logged_model: some("model_id"),
            status: some("status").unwrap_or_else(|| "READY".to_owned()),
            stage: some("current_stage").unwrap_or_else(|| "None".to_owned()),
            tags,
            aliases: Vec::new(),
        }
    }
}

/// Reads MLflow's word for how far a run is.
pub(crate) fn status(word: &str) -> Option<Status> {
    match word {
        // It will run, said a server of long ago.
        "SCHEDULED" => Some(Status::Scheduled),
        word => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_metrics_are_read() {
        for (line, expected) in [
            ("1700000000000 0.5 3", Some((1_700_000_000_000, 0.5, 3, 0))),
            ("1 5e-324 -3", Some((1, 5e-324, -3, 0))),
            ("1 inf 0 faces abc", Some((1, f64::INFINITY, 0, 2))),
            ("1 -inf 0", Some((1, f64::NEG_INFINITY, 0, 0))),
            ("1 9", Some((1, 9.0, 0, 0))),
            ("1", None),
            ("x 1 0", None),
            ("1 x 0", None),
            ("1 1 x", None),
        ] {
            let read = point(line).map(|(p, words)| (p.at_ms, p.value, p.step, words.len()));
            assert_eq!(read, expected, "{line}");
        }
        assert!(point("1 nan 0").unwrap().0.value.is_nan());
        let (good, problem) = points("1 0.5 0\n1 torn\n\n2 1 1\n17");
        assert_eq!(good.len(), 2);
        assert_eq!(problem.unwrap(), "line 2 is no value: `1 torn`");
    }

    #[test]
    fn texts_that_look_like_numbers_stay_texts() {
        let meta = Meta::parse(
            "run_name: 1e5\nname: '007'\nuser_id: 12\nstatus: 3\nend_time: null\nstart_time: '5'\n"
                .to_owned(),
        )
        .unwrap();
        assert_eq!(meta.text("run_name").unwrap(), "1e5");
        assert_eq!(meta.text("name").unwrap(), "007");
        assert_eq!(meta.text("user_id").unwrap(), "12");
        assert_eq!(meta.int("start_time"), Some(5));
        assert_eq!(meta.int("end_time"), None);
        assert_eq!(meta.text("end_time"), None);
        assert_eq!(meta.status(), Some(Status::Finished));
        assert!(Meta::parse("- a\n".to_owned()).is_err());
        assert!(Meta::parse("a: [\n".to_owned()).is_err());
    }

    #[test]
    fn a_metric_counts_by_step_then_time_then_value() {
        let points = [(7, 9, 1.0), (7, 5, 2.0), (6, 99, 3.0), (7, 9, f64::NAN)];
        let points = points.map(|(step, at_ms, value)| ImportedPoint { step, at_ms, value });
        let metric = ImportedMetric::logged("m", points.to_vec()).unwrap();
        assert_eq!(metric.last, points[0]);
        assert!(ImportedMetric::logged("m", Vec::new()).is_none());
    }
}
