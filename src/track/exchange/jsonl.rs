//! Whole runs as lines of JSON: `cvops runs export` writes them, `cvops runs import` reads them. A
//! line is a run and tells everything; reading it gives the same run. Imports: base, entity, run.
//!
//! JSON has no NaN and no infinities: those are the texts `"NaN"`, `"Infinity"`, `"-Infinity"`, as
//! MLflow writes them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base;
use crate::track::entity::{
    Dataset, DatasetInput, ExperimentId, Lifecycle, LoggedModel, ModelMetric, ModelOutput, Tag,
};
use crate::track::error::Error;
use crate::track::run::{Artifact, Git, StageRecord};

use super::{
    Broken, Found, ImportedFile, ImportedMetric, ImportedModel, ImportedParam, ImportedPoint,
    ImportedRun, Item, ParamKind, Place, Take,
};

/// The version of the form of a line.
const VERSION: u32 = 1;

/// Returns a run, and the logged models that it made, as a line without its end.
#[must_use]
pub fn line(run: &ImportedRun, models: &[ImportedModel]) -> String {
    let line = Line::of(run, models);
    // Plain data with text keys: nothing in it can fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<(ImportedRun, Vec<ImportedModel>), String> {
    let line: Line = serde_json::from_str(text).map_err(|e| e.to_string())?;
    line.read()
}

/// Reads the lines of a file; broken ones are named.
///
/// # Errors
/// The file cannot be read, or `take` says so.
pub fn read(path: &Path, take: Take<'_>) -> Result<(), Error> {
    let file = File::open(path).map_err(base::Error::io("open", path))?;
    let mut lines = BufReader::new(file);
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        let read = lines.read_until(b'\n', &mut bytes);
        if read.map_err(base::Error::io("read", path))? == 0 {
            break;
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => parse(text),
            Err(_) => Err("it is not UTF-8".to_owned()),
        };
        match text {
            Ok((run, models)) => {
                take(Item::Run(Box::new(run), listed()))?;
                for model in models {
                    take(Item::Model(Box::new(model), listed()))?;
                }
            }
            Err(problem) => {
                let what = format!("line {number} of `{}`", path.display());
                take(Item::Broken(Broken::new(what, problem)))?;
            }
        }
    }
    Ok(())
}

fn listed() -> Place {
    Place {
        uri: String::new(),
        found: Found::Listed,
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    cvops_run: u32,
    id: String,
    name: String,
    experiment: String,
    #[serde(default)]
    user: String,
    parent: Option<String>,
    status: String,
    lifecycle: String,
    deleted_ms: Option<i64>,
    started_ms: i64,
    ended_ms: Option<i64>,
    #[serde(default)]
    command: String,
    #[serde(default)]
    targets: Vec<String>,
    git: Option<GitLine>,
    artifact_uri: Option<String>,
    #[serde(default)]
    params: Vec<ParamLine>,
    #[serde(default)]
    metrics: Vec<MetricLine>,
    #[serde(default)]
    tags: Vec<(String, String)>,
    #[serde(default)]
    stages: Vec<StageLine>,
    #[serde(default)]
    artifacts: Vec<ArtifactLine>,
    #[serde(default)]
    files: Vec<FileLine>,
    #[serde(default)]
    datasets: Vec<DatasetLine>,
    #[serde(default)]
    model_inputs: Vec<String>,
    #[serde(default)]
    model_outputs: Vec<(String, i64)>,
    #[serde(default)]
    models: Vec<ModelLine>,
    lock: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct GitLine {
    commit: String,
    branch: Option<String>,
    dirty: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ParamLine {
    name: String,
    #[serde(default)]
    file: String,
    key: String,
    value: String,
    /// Is the value a number, a list, …, as JSON?
    #[serde(default)]
    typed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct MetricLine {
    name: String,
    #[serde(default)]
    file: String,
    key: String,
    value: Number,
    step: i64,
    at_ms: i64,
    /// Step, time, value.
    #[serde(default)]
    points: Vec<(i64, i64, Number)>,
    /// Step, value.
    #[serde(default)]
    curve: Vec<(i64, Number)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StageLine {
    name: String,
    outcome: String,
    took_ms: u64,
    message: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ArtifactLine {
    path: String,
    object: String,
    size: u64,
    files: Option<u64>,
    stage: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileLine {
    path: String,
    object: String,
    size: u64,
    modified_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct DatasetLine {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
    #[serde(default)]
    tags: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ModelLine {
    id: String,
    name: String,
    created_ms: i64,
    updated_ms: i64,
    status: String,
    status_message: Option<String>,
    model_type: Option<String>,
    source_run: Option<String>,
    lifecycle: String,
    deleted_ms: Option<i64>,
    #[serde(default)]
    tags: Vec<(String, String)>,
    #[serde(default)]
    params: Vec<(String, String)>,
    #[serde(default)]
    metrics: Vec<ModelMetricLine>,
    #[serde(default)]
    files: Vec<FileLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ModelMetricLine {
    name: String,
    value: Number,
    step: i64,
    at_ms: i64,
    run: String,
    dataset: Option<(String, String)>,
}

/// A number; the three that JSON lacks are texts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(Odd),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Odd {
    #[serde(rename = "NaN")]
    NaN,
    Infinity,
    #[serde(rename = "-Infinity")]
    Minus,
}

impl Number {
    fn of(value: f64) -> Self {
        if value.is_nan() {
            Self::Other(Odd::NaN)
        } else if value.is_infinite() {
            Self::Other(if value < 0.0 {
                Odd::Minus
            } else {
                Odd::Infinity
            })
        } else {
            Self::Finite(value)
        }
    }

    fn value(self) -> f64 {
        match self {
            Self::Finite(value) => value,
            Self::Other(Odd::NaN) => f64::NAN,
            Self::Other(Odd::Infinity) => f64::INFINITY,
            Self::Other(Odd::Minus) => f64::NEG_INFINITY,
        }
    }
}

fn pairs(tags: &[Tag]) -> Vec<(String, String)> {
    let tags = tags.iter();
    tags.map(|tag| (tag.key.clone(), tag.value.clone()))
        .collect()
}

fn tags(pairs: Vec<(String, String)>) -> Vec<Tag> {
    let pairs = pairs.into_iter();
    pairs.map(|(key, value)| Tag { key, value }).collect()
}

fn file_lines(files: &[ImportedFile]) -> Vec<FileLine> {
    let files = files.iter().map(|file| FileLine {
        path: file.path.clone(),
        object: file.object.to_string(),
        size: file.size,
        modified_ms: file.modified_ms,
    });
    files.collect()
}

fn files(lines: Vec<FileLine>) -> Result<Vec<ImportedFile>, String> {
    let lines = lines.into_iter().map(|line| {
        check_path(&line.path)?;
        // A project may have an output of such a name; a client cannot upload one.
        if line.path.contains('\\') {
            return Err(no_path(&line.path));
        }
        Ok(ImportedFile {
            object: line.object.parse().map_err(|_| no_object(&line.object))?,
            path: line.path,
            size: line.size,
            modified_ms: line.modified_ms,
        })
    });
    lines.collect()
}

/// Fails unless a path stays below where it begins: a file is written there when a model is downloaded.
fn check_path(path: &str) -> Result<(), String> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..");
    if path.contains('\0') || !path.split('/').all(is_name) {
        return Err(no_path(path));
    }
    Ok(())
}

fn no_path(text: &str) -> String {
    format!("`{text}` is no path of an artifact")
}

fn no_object(text: &str) -> String {
    format!("`{text}` names no object")
}

fn lifecycle(word: &str) -> Result<Lifecycle, String> {
    match word {
        "active" => Ok(Lifecycle::Active),
        "deleted" => Ok(Lifecycle::Deleted),
        other => Err(format!(
            "`{other}` is no stage of a life: `active` or `deleted` is"
        )),
    }
}

impl Line {
    fn of(run: &ImportedRun, models: &[ImportedModel]) -> Self {
        Self {
            cvops_run: VERSION,
            id: run.id.to_string(),
            name: run.name.clone(),
            experiment: run.experiment.clone(),
            user: run.user.clone(),
            parent: run.parent.map(|parent| parent.to_string()),
            status: run.status.as_str().to_owned(),
            lifecycle: run.lifecycle.as_str().to_owned(),
            deleted_ms: run.deleted_ms,
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            command: run.command.clone(),
            targets: run.targets.clone(),
            git: run.git.as_ref().map(|git| GitLine {
                commit: git.commit.clone(),
                branch: git.branch.clone(),
                dirty: git.dirty,
            }),
            artifact_uri: run.elsewhere.clone(),
            params: run.params.iter().map(ParamLine::of).collect(),
            metrics: run.metrics.iter().map(MetricLine::of).collect(),
            tags: pairs(&run.tags),
            stages: run.stages.iter().map(StageLine::of).collect(),
            artifacts: run.artifacts.iter().map(ArtifactLine::of).collect(),
            files: file_lines(&run.files),
            datasets: run.datasets.iter().map(DatasetLine::of).collect(),
            model_inputs: run.model_inputs.clone(),
            model_outputs: {
                let outputs = run.model_outputs.iter();
                outputs.map(|out| (out.model.clone(), out.step)).collect()
            },
            models: models.iter().map(ModelLine::of).collect(),
            lock: run.lock.clone(),
        }
    }

    fn read(self) -> Result<(ImportedRun, Vec<ImportedModel>), String> {
        if self.cvops_run != VERSION {
            return Err(format!(
                "it is of version {}; this version of cvops reads {VERSION}",
                self.cvops_run
            ));
        }
        let id = self.id.parse().map_err(|e| format!("{e}"))?;
        let parent = self
            .parent
            .map(|text| text.parse().map_err(|e| format!("{e}")));
        let models = self.models.into_iter();
        let models = models
            .map(|model| model.read(&self.experiment))
            .collect::<Result<_, _>>()?;
        let stages = self.stages.into_iter().map(StageLine::read);
        let artifacts = self.artifacts.into_iter().map(ArtifactLine::read);
        let run = ImportedRun {
            id,
            name: self.name,
            experiment: self.experiment,
            user: self.user,
            parent: parent.transpose()?,
            status: self.status.parse()?,
            lifecycle: lifecycle(&self.lifecycle)?,
            deleted_ms: self.deleted_ms,
            started_ms: self.started_ms,
            ended_ms: self.ended_ms,
            command: self.command,
            targets: self.targets,
            git: self.git.map(|git| Git {
                commit: git.commit,
                branch: git.branch,
                dirty: git.dirty,
            }),
            lock: self.lock,
            elsewhere: self.artifact_uri,
            params: self.params.into_iter().map(ParamLine::read).collect(),
            metrics: self.metrics.into_iter().map(MetricLine::read).collect(),
            tags: tags(self.tags),
            stages: stages.collect::<Result<_, _>>()?,
            artifacts: artifacts.collect::<Result<_, _>>()?,
            files: files(self.files)?,
            datasets: self.datasets.into_iter().map(DatasetLine::read).collect(),
            model_inputs: self.model_inputs,
            model_outputs: {
                let outputs = self.model_outputs.into_iter();
                outputs
                    .map(|(model, step)| ModelOutput { model, step })
                    .collect()
            },
        };
        Ok((run, models))
    }
}

impl ParamLine {
    fn of(param: &ImportedParam) -> Self {
        Self {
            name: param.name.clone(),
            file: param.file.clone(),
            key: param.key.clone(),
            value: param.value.clone(),
            typed: param.kind == ParamKind::Json,
        }
    }

    fn read(self) -> ImportedParam {
        ImportedParam {
            name: self.name,
            file: self.file,
            key: self.key,
            value: self.value,
            kind: if self.typed {
                ParamKind::Json
            } else {
                ParamKind::Text
            },
        }
    }
}

impl MetricLine {
    fn of(metric: &ImportedMetric) -> Self {
        let points = metric.points.iter();
        let curve = metric.curve.iter();
        Self {
            name: metric.name.clone(),
            file: metric.file.clone(),
            key: metric.key.clone(),
            value: Number::of(metric.last.value),
            step: metric.last.step,
            at_ms: metric.last.at_ms,
            points: points
                .map(|p| (p.step, p.at_ms, Number::of(p.value)))
                .collect(),
            curve: curve
                .map(|(step, value)| (*step, Number::of(*value)))
                .collect(),
        }
    }

    fn read(self) -> ImportedMetric {
        let points = self.points.into_iter();
        let curve = self.curve.into_iter();
        ImportedMetric {
            name: self.name,
            file: self.file,
            key: self.key,
            last: ImportedPoint {
                step: self.step,
                at_ms: self.at_ms,
                value: self.value.value(),
            },
            points: points
                .map(|(step, at_ms, value)| ImportedPoint {
                    step,
                    at_ms,
                    value: value.value(),
                })
                .collect(),
            curve: curve.map(|(step, value)| (step, value.value())).collect(),
        }
    }
}

impl StageLine {
    fn of(stage: &StageRecord) -> Self {
        Self {
            name: stage.name.clone(),
            outcome: stage.outcome.as_str().to_owned(),
            took_ms: u64::try_from(stage.took.as_millis()).unwrap_or(u64::MAX),
            message: stage.message.clone(),
        }
    }

    fn read(self) -> Result<StageRecord, String> {
        Ok(StageRecord {
            name: self.name,
            outcome: self.outcome.parse()?,
            took: Duration::from_millis(self.took_ms),
            message: self.message,
        })
    }
}

impl ArtifactLine {
    fn of(artifact: &Artifact) -> Self {
        Self {
            path: artifact.path.clone(),
            object: artifact.object.to_string(),
            size: artifact.size,
            files: artifact.files,
            stage: artifact.stage.clone(),
        }
    }

    fn read(self) -> Result<Artifact, String> {
        check_path(&self.path)?;
        Ok(Artifact {
            object: self.object.parse().map_err(|_| no_object(&self.object))?,
            path: self.path,
            size: self.size,
            files: self.files,
            stage: self.stage,
        })
    }
}

impl DatasetLine {
    fn of(input: &DatasetInput) -> Self {
        let dataset = &input.dataset;
        Self {
            name: dataset.name.clone(),
            digest: dataset.digest.clone(),
            source_type: dataset.source_type.clone(),
            source: dataset.source.clone(),
            schema: dataset.schema.clone(),
            profile: dataset.profile.clone(),
            tags: pairs(&input.tags),
        }
    }

    fn read(self) -> DatasetInput {
        DatasetInput {
            dataset: Dataset {
                name: self.name,
                digest: self.digest,
                source_type: self.source_type,
                source: self.source,
                schema: self.schema,
                profile: self.profile,
            },
            tags: tags(self.tags),
        }
    }
}

impl ModelLine {
    fn of(model: &ImportedModel) -> Self {
        let ImportedModel { model: m, .. } = model;
        let metrics = m.metrics.iter().map(|metric| ModelMetricLine {
            name: metric.point.name.clone(),
            value: Number::of(metric.point.value),
            step: metric.point.step,
            at_ms: metric.point.at_ms,
            run: metric.run.clone(),
            dataset: metric.dataset.clone(),
        });
        Self {
            id: m.id.clone(),
            name: m.name.clone(),
            created_ms: m.created_ms,
            updated_ms: m.updated_ms,
            status: m.status.as_str().to_owned(),
            status_message: m.status_message.clone(),
            model_type: m.model_type.clone(),
            source_run: m.source_run.clone(),
            lifecycle: model.lifecycle.as_str().to_owned(),
            deleted_ms: model.deleted_ms,
            tags: pairs(&m.tags),
            params: pairs(&m.params),
            metrics: metrics.collect(),
            files: file_lines(&model.files),
        }
    }

    fn read(self, experiment: &str) -> Result<ImportedModel, String> {
        let metrics = self.metrics.into_iter().map(|metric| ModelMetric {
            point: crate::track::entity::MetricPoint {
                name: metric.name,
                value: metric.value.value(),
                at_ms: metric.at_ms,
                step: metric.step,
            },
            run: metric.run,
            dataset: metric.dataset,
        });
        Ok(ImportedModel {
            experiment: experiment.to_owned(),
            model: LoggedModel {
                id: self.id,
                experiment: ExperimentId(0),
                name: self.name,
                created_ms: self.created_ms,
                updated_ms: self.updated_ms,
                artifact_uri: String::new(),
                status: self.status.parse()?,
                status_message: self.status_message,
                model_type: self.model_type,
                source_run: self.source_run,
                tags: tags(self.tags),
                params: tags(self.params),
                metrics: metrics.collect(),
                registrations: Vec::new(),
            },
            lifecycle: lifecycle(&self.lifecycle)?,
            deleted_ms: self.deleted_ms,
            files: files(self.files)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::entity::LoggedModelStatus;
    use crate::track::run::{RunId, StageOutcome, Status};
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(-0.0)
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), Just("日本 \u{0} \"\\\n🦆".to_owned())]
    }

    fn point() -> impl Strategy<Value = ImportedPoint> {
        (any::<i64>(), any::<i64>(), number()).prop_map(|(step, at_ms, value)| ImportedPoint {
            step,
            at_ms,
            value,
        })
    }

    prop_compose! {
        fn metric()(
            name in text(), file in text(), key in text(), last in point(),
            points in prop::collection::vec(point(), 0..4),
            curve in prop::collection::vec((any::<i64>(), number()), 0..4),
        ) -> ImportedMetric {
            ImportedMetric { name, file, key, last, points, curve }
        }
    }

    prop_compose! {
        fn run()(
            (name, experiment, user, command) in (text(), text(), text(), text()),
            (started_ms, ended_ms, deleted_ms) in any::<(i64, Option<i64>, Option<i64>)>(),
            (value, lock) in (text(), prop::option::of(text())),
            metrics in prop::collection::vec(metric(), 0..3),
            dirty in any::<Option<bool>>(),
        ) -> ImportedRun {
            let object = crate::base::ContentHash::of(b"x");
            ImportedRun {
                name: name.clone(),
                user,
                parent: dirty.map(|_| RunId::random()),
                status: Status::Killed,
                lifecycle: if deleted_ms.is_some() { Lifecycle::Deleted } else { Lifecycle::Active },
                deleted_ms,
                ended_ms,
                command,
                targets: vec![name.clone()],
                git: ended_ms.map(|_| Git { commit: "c".to_owned(), branch: lock.clone(), dirty }),
                lock: lock.clone(),
                elsewhere: lock.clone(),
                params: vec![ImportedParam {
                    name: name.clone(), file: "params.yaml".to_owned(), key: name.clone(),
                    value: value.clone(), kind: ParamKind::Json,
                }],
                metrics,
                tags: vec![Tag::new(name.clone(), value.clone())],
                stages: vec![StageRecord {
                    name: name.clone(), outcome: StageOutcome::NotFinished,
                    took: Duration::from_millis(7), message: lock.clone(),
                }],
                artifacts: vec![Artifact {
                    path: "ü\\b/c".to_owned(), object: crate::base::ObjectId::Tree(object), size: u64::MAX,
                    files: Some(3), stage: value.clone(),
                }],
                files: vec![ImportedFile {
                    path: "a/ü b".to_owned(), object: crate::base::ObjectId::File(object), size: 1,
                    modified_ms: started_ms,
                }],
                datasets: vec![DatasetInput {
                    dataset: Dataset {
                        name: name.clone(), digest: "d".to_owned(), source_type: "local".to_owned(),
                        source: value.clone(), schema: lock.clone(), profile: None,
                    },
                    tags: vec![Tag::new("mlflow.data.context", value)],
                }],
                model_inputs: vec![name.clone()],
                model_outputs: vec![ModelOutput { model: name, step: -1 }],
                ..ImportedRun::new(RunId::random(), &experiment, started_ms)
            }
        }
    }

    fn model(run: &ImportedRun) -> ImportedModel {
        ImportedModel {
            experiment: run.experiment.clone(),
            model: LoggedModel {
                id: "m-0".to_owned(),
                experiment: ExperimentId(0),
                name: run.name.clone(),
                created_ms: run.started_ms,
                updated_ms: run.started_ms,
                artifact_uri: String::new(),
                status: LoggedModelStatus::Ready,
                status_message: run.lock.clone(),
                model_type: None,
                source_run: Some(run.id.to_string()),
                tags: run.tags.clone(),
                params: run.tags.clone(),
                metrics: Vec::new(),
                registrations: Vec::new(),
            },
            lifecycle: run.lifecycle,
            deleted_ms: run.deleted_ms,
            files: run.files.clone(),
        }
    }

    proptest! {
        #[test]
        fn a_line_gives_the_same_run(run in run()) {
            let models = vec![model(&run)];
            let text = line(&run, &models);
            prop_assert!(!text.contains('\n'));
            let (again, models_again) = parse(&text).unwrap();
            // NaN differs from itself; its text does not.
            prop_assert_eq!(format!("{again:?}"), format!("{run:?}"));
            prop_assert_eq!(models_again, models);
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let good = line(&ImportedRun::new(RunId::random(), "e", 0), &[]);
        for (from, to, problem) in [
            ("\"cvops_run\":1", "\"cvops_run\":9", "version 9"),
            ("\"id\":\"", "\"id\":\"xyz", "is not a run id"),
            ("\"RUNNING\"", "\"ASLEEP\"", "ASLEEP"),
            ("\"active\"", "\"undead\"", "undead"),
            (
                "\"files\":[]",
                "\"files\":[{\"path\":\"../x\",\"object\":\"0\",\"size\":0,\"modified_ms\":0}]",
                "no path of an artifact",
            ),
            ("{", "", "expected"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let said = parse(&bad).unwrap_err();
            assert!(said.contains(problem), "{said}");
        }
    }
}
