//! What is answered: MLflow's messages over the record's data, written without a copy of it. Whole
//! numbers of 64 bits are JSON numbers, as in MLflow's answers; NaN and infinities are texts; what is
//! not set and empty lists are left out. Imports: track, `mlflow::*`.

use std::fmt::Display;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::track::entity::{
    Dataset, DatasetInput, Experiment, LoggedModel, MetricPoint, ModelMetric, ModelOutput,
    ModelVersion, RegisteredModel, RunInfo, RunRecord, Tag,
};
use crate::track::{DatasetSummary, RunId};

use super::Answer;

/// MLflow 3's name for the one workspace of a server without workspaces.
const WORKSPACE: &str = "default";

/// Answers `{"NAME": …}`.
pub(super) fn one(name: &'static str, value: impl Serialize) -> Answer {
    Answer::json(&Named { name, value })
}

/// Answers a list, which is left out if it is empty, and where the next page begins.
pub(super) fn page<'a, T, D: Serialize>(
    name: &'static str,
    items: &'a [T],
    form: fn(&'a T) -> D,
    next: Option<&str>,
) -> Answer {
    Answer::json(&Listing {
        name,
        items: Each(items, form),
        next,
    })
}

/// Answers a list, also an empty one.
pub(super) fn all<'a, T, D: Serialize>(
    name: &'static str,
    items: &'a [T],
    form: fn(&'a T) -> D,
) -> Answer {
    one(name, Each(items, form))
}

struct Named<T> {
    name: &'static str,
    value: T,
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name, &self.value)?;
        map.end()
    }
}

struct Listing<'a, 'n, T, D> {
    name: &'static str,
    items: Each<'a, T, D>,
    next: Option<&'n str>,
}

impl<T, D: Serialize> Serialize for Listing<'_, '_, T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.items.is_empty() {
            map.serialize_entry(self.name, &self.items)?;
        }
        if let Some(next) = self.next {
            map.serialize_entry("next_page_token", next)?;
        }
        map.end()
    }
}

/// A list, each item in the form that the function gives it.
struct Each<'a, T, D>(&'a [T], fn(&'a T) -> D);

impl<T, D> Each<'_, T, D> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T, D: Serialize> Serialize for Each<'_, T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// A number that JSON may not have.
struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(if self.0.is_nan() {
                "NaN"
            } else if 0.0 < self.0 {
                "Infinity"
            } else {
                "-Infinity"
            })
        }
    }
}

fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[derive(serde::Serialize)]
pub(super) struct KeyValue<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> KeyValue<'a> {
    fn new(tag: &'a Tag) -> Self {
        Self {
            key: &tag.key,
            value: &tag.value,
        }
    }
}

type Tags<'a> = Each<'a, Tag, KeyValue<'a>>;

fn tags(tags: &[Tag]) -> Tags<'_> {
    Each(tags, KeyValue::new)
}

#[derive(serde::Serialize)]
pub(super) struct ExperimentDto<'a> {
    #[serde(serialize_with = "text")]
    experiment_id: i64,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: &'static str,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Tags<'a>,
    workspace: &'static str,
}

impl<'a> ExperimentDto<'a> {
    pub(super) fn new(experiment: &'a Experiment) -> Self {
        Self {
            experiment_id: experiment.id.0,
            name: &experiment.name,
            artifact_location: &experiment.artifact_location,
            lifecycle_stage: experiment.lifecycle.as_str(),
            last_update_time: experiment.updated_ms,
            creation_time: experiment.created_ms,
            tags: tags(&experiment.tags),
            workspace: WORKSPACE,
        }
    }
}

#[derive(serde::Serialize)]
pub(super) struct RunInfoDto<'a> {
    /// Twice under two names: written to a text once.
    run_id: Id,
    run_uuid: Id,
    #[serde(serialize_with = "text")]
    experiment_id: i64,
    run_name: &'a str,
    user_id: &'a str,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: &'a str,
    lifecycle_stage: &'static str,
}

impl<'a> RunInfoDto<'a> {
    pub(super) fn new(info: &'a RunInfo) -> Self {
        let id = Id::of(info.id);
        Self {
            run_id: id,
            run_uuid: id,
            experiment_id: info.experiment.0,
            run_name: &info.name,
            user_id: &info.user,
            status: info.status.as_str(),
            start_time: info.started_ms,
            end_time: info.ended_ms,
            artifact_uri: &info.artifact_uri,
            lifecycle_stage: info.lifecycle.as_str(),
        }
    }
}

/// The 32 digits of a run's id.
#[derive(Clone, Copy)]
struct Id([u8; 32]);

impl Id {
    fn of(id: RunId) -> Self {
        let mut digits = [b'0'; 32];
        for (digit, of_id) in digits.iter_mut().zip(id.to_string().bytes()) {
            *digit = of_id;
        }
        Self(digits)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[derive(serde::Serialize)]
pub(super) struct MetricDto<'a> {
    key: &'a str,
    value: Double,
    timestamp: i64,
    step: i64,
}

impl<'a> MetricDto<'a> {
    pub(super) fn new(point: &'a MetricPoint) -> Self {
        Self {
            key: &point.name,
            value: Double(point.value),
            timestamp: point.at_ms,
            step: point.step,
        }
    }
}

/// A metric of one run among others.
#[derive(serde::Serialize)]
pub(super) struct RunMetricDto<'a> {
    #[serde(flatten)]
    metric: MetricDto<'a>,
    run_id: Id,
}

impl<'a> RunMetricDto<'a> {
    pub(super) fn new((run, point): &'a (RunId, MetricPoint)) -> Self {
        Self {
            metric: MetricDto::new(point),
            run_id: Id::of(*run),
        }
    }
}

#[derive(serde::Serialize)]
struct RunDataDto<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    metrics: Each<'a, MetricPoint, MetricDto<'a>>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    params: Tags<'a>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Tags<'a>,
}

#[derive(serde::Serialize)]
struct DatasetDto<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

impl<'a> DatasetDto<'a> {
    fn new(dataset: &'a Dataset) -> Self {
        Self {
            name: &dataset.name,
            digest: &dataset.digest,
            source_type: &dataset.source_type,
            source: &dataset.source,
            schema: dataset.schema.as_deref(),
            profile: dataset.profile.as_deref(),
        }
    }
}

/// A dataset that runs of an experiment read.
#[derive(serde::Serialize)]
pub(super) struct DatasetSummaryDto<'a> {
    #[serde(serialize_with = "text")]
    experiment_id: i64,
    name: &'a str,
    digest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

impl<'a> DatasetSummaryDto<'a> {
    pub(super) fn new(summary: &'a DatasetSummary) -> Self {
        Self {
            experiment_id: summary.experiment.0,
            name: &summary.name,
            digest: &summary.digest,
            context: summary.context.as_deref(),
        }
    }
}

#[derive(serde::Serialize)]
struct DatasetInputDto<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Tags<'a>,
    dataset: DatasetDto<'a>,
}

#[derive(serde::Serialize)]
struct ModelInputDto<'a> {
    model_id: &'a str,
}

#[derive(serde::Serialize)]
struct ModelOutputDto<'a> {
    model_id: &'a str,
    step: i64,
}

#[derive(serde::Serialize)]
struct InputsDto<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    dataset_inputs: Each<'a, DatasetInput, DatasetInputDto<'a>>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    model_inputs: Each<'a, String, ModelInputDto<'a>>,
}

#[derive(serde::Serialize)]
struct OutputsDto<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    model_outputs: Each<'a, ModelOutput, ModelOutputDto<'a>>,
}

#[derive(serde::Serialize)]
pub(super) struct RunDto<'a> {
    info: RunInfoDto<'a>,
    data: RunDataDto<'a>,
    inputs: InputsDto<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<OutputsDto<'a>>,
}

impl<'a> RunDto<'a> {
    pub(super) fn new(record: &'a RunRecord) -> Self {
        let outputs = Each(&record.model_outputs, |output: &ModelOutput| {
            ModelOutputDto {
                model_id: &output.model,
                step: output.step,
            }
        });
        Self {
            outputs: Some(OutputsDto {
                model_outputs: outputs,
            }),
            ..Self::begun(record)
        }
    }

    /// A run that was just made: MLflow tells nothing of its outputs.
    pub(super) fn begun(record: &'a RunRecord) -> Self {
        let datasets = Each(&record.datasets, |input: &DatasetInput| DatasetInputDto {
            tags: tags(&input.tags),
            dataset: DatasetDto::new(&input.dataset),
        });
        let models = Each(&record.model_inputs, |model: &String| ModelInputDto {
            model_id: model,
        });
        Self {
            info: RunInfoDto::new(&record.info),
            data: RunDataDto {
                metrics: Each(&record.metrics, MetricDto::new),
                params: tags(&record.params),
                tags: tags(&record.tags),
            },
            inputs: InputsDto {
                dataset_inputs: datasets,
                model_inputs: models,
            },
            outputs: None,
        }
    }
}

#[derive(serde::Serialize)]
pub(super) struct VersionDto<'a> {
    name: &'a str,
    #[serde(serialize_with = "text")]
    version: i64,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    current_stage: &'a str,
    description: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    status: &'a str,
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Tags<'a>,
    run_link: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
}

impl<'a> VersionDto<'a> {
    pub(super) fn new(version: &'a ModelVersion) -> Self {
        Self {
            name: &version.name,
            version: version.version,
            creation_timestamp: version.created_ms,
            last_updated_timestamp: version.updated_ms,
            current_stage: &version.stage,
            description: version.description.as_deref().unwrap_or_default(),
            source: &version.source,
            run_id: version.run.as_deref(),
            status: &version.status,
            tags: tags(&version.tags),
            run_link: version.run_link.as_deref().unwrap_or_default(),
            aliases: &version.aliases,
            model_id: version.logged_model.as_deref(),
        }
    }
}

#[derive(serde::Serialize)]
struct AliasDto<'a> {
    alias: &'a str,
    #[serde(serialize_with = "text")]
    version: i64,
}

#[derive(serde::Serialize)]
pub(super) struct RegisteredModelDto<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    latest_versions: Each<'a, ModelVersion, VersionDto<'a>>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    aliases: Each<'a, (String, i64), AliasDto<'a>>,
}

impl<'a> RegisteredModelDto<'a> {
    pub(super) fn new(model: &'a RegisteredModel) -> Self {
        let aliases = Each(&model.aliases, |(alias, version): &(String, i64)| {
            AliasDto {
                alias,
                version: *version,
            }
        });
        Self {
            name: &model.name,
            creation_timestamp: model.created_ms,
            last_updated_timestamp: model.updated_ms,
            description: model.description.as_deref().filter(|text| !text.is_empty()),
            latest_versions: Each(&model.latest, VersionDto::new),
            tags: tags(&model.tags),
            aliases,
        }
    }
}

#[derive(serde::Serialize)]
struct RegistrationDto<'a> {
    name: &'a str,
    #[serde(serialize_with = "text")]
    version: i64,
}

#[derive(serde::Serialize)]
struct ModelMetricDto<'a> {
    #[serde(flatten)]
    metric: MetricDto<'a>,
    model_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'a str>,
    run_id: &'a str,
}

/// The metrics of a logged model, which name the model.
struct ModelMetrics<'a> {
    model: &'a str,
    metrics: &'a [ModelMetric],
}

impl ModelMetrics<'_> {
    fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }
}

impl Serialize for ModelMetrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.metrics.iter().map(|metric| {
            let dataset = metric.dataset.as_ref();
            ModelMetricDto {
                metric: MetricDto::new(&metric.point),
                model_id: self.model,
                dataset_name: dataset.map(|(name, _)| name.as_str()),
                dataset_digest: dataset.map(|(_, digest)| digest.as_str()),
                run_id: &metric.run,
            }
        }))
    }
}

#[derive(serde::Serialize)]
struct LoggedModelInfoDto<'a> {
    model_id: &'a str,
    #[serde(serialize_with = "text")]
    experiment_id: i64,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: &'static str,
    model_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    registrations: Each<'a, (String, i64), RegistrationDto<'a>>,
}

#[derive(serde::Serialize)]
struct LoggedModelDataDto<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    params: Tags<'a>,
    #[serde(skip_serializing_if = "ModelMetrics::is_empty")]
    metrics: ModelMetrics<'a>,
}

#[derive(serde::Serialize)]
pub(super) struct LoggedModelDto<'a> {
    info: LoggedModelInfoDto<'a>,
    data: LoggedModelDataDto<'a>,
}

impl<'a> LoggedModelDto<'a> {
    pub(super) fn new(model: &'a LoggedModel) -> Self {
        let registrations = Each(&model.registrations, |(name, version): &(String, i64)| {
            RegistrationDto {
                name,
                version: *version,
            }
        });
        Self {
            info: LoggedModelInfoDto {
                model_id: &model.id,
                experiment_id: model.experiment.0,
                name: &model.name,
                creation_timestamp_ms: model.created_ms,
                last_updated_timestamp_ms: model.updated_ms,
                artifact_uri: &model.artifact_uri,
                status: model.status.as_str(),
                model_type: model.model_type.as_deref().unwrap_or_default(),
                source_run_id: model.source_run.as_deref(),
                status_message: model.status_message.as_deref(),
                tags: tags(&model.tags),
                registrations,
            },
            data: LoggedModelDataDto {
                params: tags(&model.params),
                metrics: ModelMetrics {
                    model: &model.id,
                    metrics: &model.metrics,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::track::Status;
    use crate::track::entity::{ExperimentId, Lifecycle, LoggedModelStatus};

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn value(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.0).unwrap()
    }

    fn record() -> RunRecord {
        RunRecord {
            info: RunInfo {
                id: ID.parse().unwrap(),
                name: "brave-otter-412".to_owned(),
                experiment: ExperimentId(4),
                user: String::new(),
                status: Status::Running,
                started_ms: 7,
                ended_ms: None,
                lifecycle: Lifecycle::Active,
                artifact_uri: "mlflow-artifacts:/4/x/artifacts".to_owned(),
            },
            metrics: Vec::new(),
            params: Vec::new(),
            tags: Vec::new(),
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        }
    }

    fn point(value: f64) -> MetricPoint {
        MetricPoint {
            name: "loss".to_owned(),
            value,
            at_ms: 1_795_547_747_190,
            step: 0,
        }
    }

    #[test]
    fn a_run_without_anything_has_empty_inputs_only() {
        let record = record();
        let run = value(&one("run", RunDto::begun(&record)));
        assert_eq!(
            run,
            json!({"run": {
                "info": {
                    "run_id": ID, "run_uuid": ID, "experiment_id": "4",
                    "run_name": "brave-otter-412", "user_id": "", "status": "RUNNING",
                    "start_time": 7, "artifact_uri": "mlflow-artifacts:/4/x/artifacts",
                    "lifecycle_stage": "active",
                },
                "data": {}, "inputs": {},
            }})
        );
        assert_eq!(
            value(&one("run", RunDto::new(&record)))["run"]["outputs"],
            json!({})
        );
    }

    #[test]
    fn a_run_with_everything_has_everything() {
        let record = RunRecord {
            metrics: vec![point(0.2)],
            params: vec![Tag::new("lr", "0.1")],
            tags: vec![Tag::new("a", "é")],
            datasets: vec![DatasetInput {
                dataset: Dataset {
                    name: "digits".to_owned(),
                    digest: "ef".to_owned(),
                    source_type: "code".to_owned(),
                    source: "{}".to_owned(),
                    schema: None,
                    profile: Some("{}".to_owned()),
                },
                tags: vec![Tag::new("mlflow.data.context", "training")],
            }],
            model_inputs: vec!["m-1".to_owned()],
            model_outputs: vec![ModelOutput {
                model: "m-2".to_owned(),
                step: 0,
            }],
            ..record()
        };
        let run = &value(&one("run", RunDto::new(&record)))["run"];
        assert_eq!(
            run["data"],
            json!({
                "metrics": [
                    {"key": "loss", "value": 0.2, "timestamp": 1_795_547_747_190_i64, "step": 0}
                ],
                "params": [{"key": "lr", "value": "0.1"}],
                "tags": [{"key": "a", "value": "é"}],
            })
        );
        assert_eq!(
            run["inputs"],
            json!({
                "dataset_inputs": [{
                    "tags": [{"key": "mlflow.data.context", "value": "training"}],
                    "dataset": {
                        "name": "digits", "digest": "ef", "source_type": "code", "source": "{}",
                        "profile": "{}",
                    },
                }],
                "model_inputs": [{"model_id": "m-1"}],
            })
        );
        assert_eq!(
            run["outputs"],
            json!({"model_outputs": [{"model_id": "m-2", "step": 0}]})
        );
    }

    #[test]
    fn pages_leave_out_what_is_empty() {
        let none: [MetricPoint; 0] = [];
        assert_eq!(
            page("metrics", &none, MetricDto::new, None),
            Answer::empty()
        );
        let points = [
            point(f64::NAN),
            point(f64::INFINITY),
            point(f64::NEG_INFINITY),
            point(3.0),
            point(-0.0),
            point(1e300),
        ];
        let answer = page("metrics", &points, MetricDto::new, Some("t"));
        let text = String::from_utf8(answer.0.to_vec()).unwrap();
        let values: Vec<&str> = text
            .split("\"value\":")
            .skip(1)
            .filter_map(|rest| rest.split(',').next())
            .collect();
        assert_eq!(
            values,
            [
                "\"NaN\"",
                "\"Infinity\"",
                "\"-Infinity\"",
                "3.0",
                "-0.0",
                "1e+300"
            ]
        );
        assert_eq!(value(&answer)["next_page_token"], "t");
        let of_run = [(ID.parse().unwrap(), point(1.0))];
        let answer = value(&page("metrics", &of_run, RunMetricDto::new, None));
        assert_eq!(answer["metrics"][0]["run_id"], ID);
        assert_eq!(answer["metrics"][0]["key"], "loss");
    }

    #[test]
    fn numbers_of_versions_and_experiments_are_texts() {
        let version = ModelVersion {
            name: "m".to_owned(),
            version: 2,
            created_ms: 1,
            updated_ms: 2,
            description: None,
            source: "models:/m-1".to_owned(),
            storage: "mlflow-artifacts:/1".to_owned(),
            run: None,
            run_link: None,
            logged_model: Some("m-1".to_owned()),
            status: "READY".to_owned(),
            stage: "None".to_owned(),
            tags: Vec::new(),
            aliases: vec!["champion".to_owned()],
        };
        let model = RegisteredModel {
            name: "m".to_owned(),
            created_ms: 1,
            updated_ms: 2,
            description: Some(String::new()),
            latest: vec![version],
            tags: Vec::new(),
            aliases: vec![("champion".to_owned(), 2)],
        };
        assert_eq!(
            value(&one("registered_model", RegisteredModelDto::new(&model))),
            json!({"registered_model": {
                "name": "m", "creation_timestamp": 1, "last_updated_timestamp": 2,
                "latest_versions": [{
                    "name": "m", "version": "2", "creation_timestamp": 1,
                    "last_updated_timestamp": 2, "current_stage": "None", "description": "",
                    "source": "models:/m-1", "status": "READY", "run_link": "",
                    "aliases": ["champion"], "model_id": "m-1",
                }],
                "aliases": [{"alias": "champion", "version": "2"}],
            }})
        );
        let experiment = Experiment {
            id: ExperimentId(0),
            name: "Default".to_owned(),
            artifact_location: "mlflow-artifacts:/0".to_owned(),
            lifecycle: Lifecycle::Deleted,
            created_ms: 1,
            updated_ms: 2,
            tags: Vec::new(),
        };
        assert_eq!(
            value(&one("experiment", ExperimentDto::new(&experiment))),
            json!({"experiment": {
                "experiment_id": "0", "name": "Default",
                "artifact_location": "mlflow-artifacts:/0", "lifecycle_stage": "deleted",
                "creation_time": 1, "last_update_time": 2, "workspace": "default",
            }})
        );
    }

    #[test]
    fn metrics_of_a_logged_model_name_it() {
        let model = LoggedModel {
            id: "m-1".to_owned(),
            experiment: ExperimentId(4),
            name: "model".to_owned(),
            created_ms: 1,
            updated_ms: 2,
            artifact_uri: "mlflow-artifacts:/4/models/m-1/artifacts".to_owned(),
            status: LoggedModelStatus::Ready,
            status_message: None,
            model_type: None,
            source_run: Some(ID.to_owned()),
            tags: Vec::new(),
            params: Vec::new(),
            metrics: vec![
                ModelMetric {
                    point: point(0.5),
                    run: ID.to_owned(),
                    dataset: None,
                },
                ModelMetric {
                    point: point(0.6),
                    run: ID.to_owned(),
                    dataset: Some(("val".to_owned(), "ef".to_owned())),
                },
            ],
            registrations: vec![("m".to_owned(), 3)],
        };
        let model = &value(&one("model", LoggedModelDto::new(&model)))["model"];
        assert_eq!(model["info"]["model_type"], "");
        assert_eq!(
            model["info"]["registrations"],
            json!([{"name": "m", "version": "3"}])
        );
        let metric = |value: f64| {
            json!({
                "key": "loss", "value": value, "timestamp": 1_795_547_747_190_i64, "step": 0,
                "model_id": "m-1", "run_id": ID,
            })
        };
        let mut on_dataset = metric(0.6);
        on_dataset["dataset_name"] = json!("val");
        on_dataset["dataset_digest"] = json!("ef");
        assert_eq!(model["data"], json!({"metrics": [metric(0.5), on_dataset]}));
    }
}
