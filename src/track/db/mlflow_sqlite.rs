//! Reads MLflow's databases (SQLite): those of MLflow 2 and 3, and what an unfinished upgrade leaves.
//! They are opened read-only and read in one transaction. Imports: entity, run, exchange, rusqlite.
//!
//! Columns and tables come and go between versions of MLflow; what a database lacks is taken as
//! nothing, and a value is taken in whatever type it was stored. MLflow writes an infinity as the
//! largest number that a double has (`sqlalchemy_store.py`, `_get_metric_value_details`): it is read
//! as the infinity it was.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row, ToSql};

use crate::track::entity::{
    Dataset, DatasetInput, ExperimentId, Lifecycle, LoggedModel, LoggedModelStatus, MetricPoint,
    ModelMetric, ModelOutput, ModelVersion, RegisteredModel, Tag,
};
use crate::track::error::Error;
use crate::track::exchange::{
    Broken, ImportedExperiment, ImportedMetric, ImportedModel, ImportedParam, ImportedPoint,
    ImportedRegistered, ImportedRun, Item, ParamKind, Take, mlruns, place,
};
use crate::track::run::RunId;

use super::failed;

/// How every SQLite database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Says whether a file is an SQLite database.
#[must_use]
pub fn is_sqlite(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == MAGIC
}

/// Reads a database of MLflow; what is broken is named.
///
/// # Errors
/// It is no database of MLflow or damaged, or `take` says so.
pub fn read(path: &Path, take: Take<'_>) -> Result<(), Error> {
    let fail = |source| failed(path, source);
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)?;
    let _moment = db.unchecked_transaction().map_err(fail)?;
    let theirs = Theirs {
        db: &db,
        path,
        base: place::folder_of(path),
        known: RefCell::default(),
    };
    let is_theirs = theirs.columns("runs")?.contains("run_uuid");
    if !is_theirs || theirs.columns("experiments")?.is_empty() {
        return Err(Error::invalid(format!(
            "`{}` is no database of MLflow: its tables are others",
            path.display()
        )));
    }
    theirs.experiments(take)?;
    theirs.runs(take)?;
    theirs.logged_models(take)?;
    theirs.registered_models(take)
}

struct Theirs<'a> {
    db: &'a Connection,
    path: &'a Path,
    base: PathBuf,
    /// Columns of tables that were asked for.
    known: RefCell<BTreeMap<String, BTreeSet<String>>>,
}

impl Theirs<'_> {
    fn columns(&self, table: &str) -> Result<BTreeSet<String>, Error> {
        if let Some(known) = self.known.borrow().get(table) {
            return Ok(known.clone());
        }
        let work = || -> rusqlite::Result<BTreeSet<String>> {
            let mut statement = self
                .db
                .prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
            statement.query_map([table], |row| row.get(0))?.collect()
        };
        let columns = work().map_err(|e| failed(self.path, e))?;
        let mut known = self.known.borrow_mut();
        known.insert(table.to_owned(), columns.clone());
        Ok(columns)
    }

    /// Reads columns of a table; those that it lacks are nothing, and so is all of a table that is
    /// not there. `rest` is what comes after the name of the table.
    fn rows<T>(
        &self,
        table: &str,
        columns: &[&str],
        rest: &str,
        values: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> T,
    ) -> Result<Vec<T>, Error> {
        let known = self.columns(table)?;
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let columns: Vec<String> = columns
            .iter()
            .map(|column| {
                if known.contains(*column) {
                    format!("t.{column}")
                } else {
                    "NULL".to_owned()
                }
            })
            .collect();
        let sql = format!("SELECT {} FROM {table} t {rest}", columns.join(", "));
        let mut work = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.db.prepare_cached(&sql)?;
            statement.query_map(values, |row| Ok(read(row)))?.collect()
        };
        work().map_err(|e| failed(self.path, e))
    }

    /// Reads keys and texts.
    fn tags(
        &self,
        table: &str,
        columns: [&str; 2],
        rest: &str,
        values: &[&dyn ToSql],
    ) -> Result<Vec<Tag>, Error> {
        self.rows(table, &columns, rest, values, |row| {
            Tag::new(
                text(row, 0).unwrap_or_default(),
                text(row, 1).unwrap_or_default(),
            )
        })
    }

    fn experiments(&self, take: Take<'_>) -> Result<(), Error> {
        let found = self.rows(
            "experiments",
            &[
                "experiment_id",
                "name",
                "lifecycle_stage",
                "creation_time",
                "last_update_time",
            ],
            "ORDER BY experiment_id",
            &[],
            |row| {
                let created_ms = int(row, 3).unwrap_or(0);
                let experiment = ImportedExperiment {
                    name: text(row, 1).unwrap_or_default(),
                    lifecycle: lifecycle(row, 2),
                    created_ms,
                    updated_ms: int(row, 4).unwrap_or(created_ms),
                    tags: Vec::new(),
                };
                (int(row, 0), experiment)
            },
        )?;
        for (id, mut experiment) in found {
            experiment.tags = self.tags(
                "experiment_tags",
                ["key", "value"],
                "WHERE experiment_id = ?1 ORDER BY key",
                &[&id],
            )?;
            take(Item::Experiment(experiment))?;
        }
        Ok(())
    }

    fn name_of_experiment(&self, id: Option<i64>) -> Result<Option<String>, Error> {
        let mut found = self.rows(
            "experiments",
            &["name"],
            "WHERE experiment_id = ?1",
            &[&id],
            |row| text(row, 0),
        )?;
        Ok(found.pop().flatten())
    }

    fn runs(&self, take: Take<'_>) -> Result<(), Error> {
        let ids = self.rows(
            "runs",
            &["run_uuid"],
            "ORDER BY start_time, rowid",
            &[],
            |row| text(row, 0).unwrap_or_default(),
        )?;
        for id in ids {
            match self.run(&id)? {
                Ok((run, uri)) => {
                    let place = place::find(&uri, &id, None, &self.base);
                    take(Item::Run(Box::new(run), place))?;
                }
                Err(problem) => take(Item::Broken(Broken::new(format!("run `{id}`"), problem)))?,
            }
        }
        Ok(())
    }

    /// Reads a run; the inner error is what is wrong with it.
    fn run(&self, id: &str) -> Result<Result<(ImportedRun, String), String>, Error> {
        let heads = self.rows(
            "runs",
            &[
                "name",
                "user_id",
                "status",
                "start_time",
                "end_time",
                "lifecycle_stage",
                "artifact_uri",
                "experiment_id",
                "deleted_time",
            ],
            "WHERE run_uuid = ?1",
            &[&id],
            |row| {
                let times = (int(row, 3), int(row, 4), int(row, 8));
                let texts = (text(row, 0), text(row, 1), text(row, 6));
                let status = text(row, 2).and_then(|word| mlruns::status(&word));
                (texts, times, status, lifecycle(row, 5), int(row, 7))
            },
        )?;
        let Some(((name, user, uri), times, status, lifecycle, experiment)) =
            heads.into_iter().next()
        else {
            return Ok(Err("it is gone".to_owned()));
        };
        let run_id: RunId = match id.parse() {
            Ok(id) => id,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let Some(status) = status else {
            return Ok(Err("it does not say how far it is".to_owned()));
        };
        let Some(experiment) = self.name_of_experiment(experiment)? else {
            return Ok(Err("its experiment is not there".to_owned()));
        };
        let (started, ended, deleted) = times;
        let mut run = ImportedRun::new(run_id, &experiment, started.unwrap_or(0));
        (run.status, run.lifecycle) = (status, lifecycle);
        (run.ended_ms, run.deleted_ms) = (ended, deleted);
        run.user = user.unwrap_or_default();
        self.logged(id, &mut run)?;
        self.links(id, &mut run)?;
        let tagged = run.tags.iter().find(|tag| tag.key == "mlflow.runName");
        let names = [name, tagged.map(|tag| tag.value.clone())];
        let name = names.into_iter().flatten().find(|name| !name.is_empty());
        run.name = name.unwrap_or_else(|| run_id.default_name());
        run.learn_from_tags();
        Ok(Ok((run, uri.unwrap_or_default())))
    }

    /// Reads params, metrics and tags of a run.
    fn logged(&self, id: &str, run: &mut ImportedRun) -> Result<(), Error> {
        let of: [&dyn ToSql; 1] = [&id];
        let rest = "WHERE run_uuid = ?1 ORDER BY key";
        run.tags = self.tags("tags", ["key", "value"], rest, &of)?;
        let params = self.tags("params", ["key", "value"], rest, &of)?;
        run.params = params
            .into_iter()
            .map(|Tag { key, value }| ImportedParam {
                name: key.clone(),
                file: String::new(),
                key,
                value,
                kind: ParamKind::Text,
            })
            .collect();
        let points = self.rows(
            "metrics",
            &["key", "value", "timestamp", "step", "is_nan"],
            "WHERE run_uuid = ?1 ORDER BY key, timestamp, step, value",
            &of,
            |row| {
                let point = ImportedPoint {
                    value: value(real(row, 1), int(row, 4)),
                    at_ms: int(row, 2).unwrap_or(0),
                    step: int(row, 3).unwrap_or(0),
                };
                (text(row, 0).unwrap_or_default(), point)
            },
        )?;
        for same in points.chunk_by(|a, b| a.0 == b.0) {
            let points = same.iter().map(|(_, point)| *point).collect();
            let name = same.first().map_or("", |(name, _)| name);
            run.metrics.extend(ImportedMetric::logged(name, points));
        }
        Ok(())
    }

    /// Reads which datasets and logged models a run read, and which models it made.
    fn links(&self, id: &str, run: &mut ImportedRun) -> Result<(), Error> {
        let inputs = self.rows(
            "inputs",
            &["input_uuid", "source_id"],
            "WHERE destination_type = 'RUN' AND destination_id = ?1 AND source_type = 'DATASET'
             ORDER BY rowid",
            &[&id],
            |row| (text(row, 0), text(row, 1)),
        )?;
        for (input, dataset) in inputs {
            let datasets = self.rows(
                "datasets",
                &[
                    "name",
                    "digest",
                    "dataset_source_type",
                    "dataset_source",
                    "dataset_schema",
                    "dataset_profile",
                ],
                "WHERE dataset_uuid = ?1",
                &[&dataset],
                |row| Dataset {
                    name: text(row, 0).unwrap_or_default(),
                    digest: text(row, 1).unwrap_or_default(),
                    source_type: text(row, 2).unwrap_or_default(),
                    source: text(row, 3).unwrap_or_default(),
                    schema: text(row, 4),
                    profile: text(row, 5),
                },
            )?;
            let tags = self.tags(
                "input_tags",
                ["name", "value"],
                "WHERE input_uuid = ?1 ORDER BY name",
                &[&input],
            )?;
            let datasets = datasets.into_iter();
            run.datasets.extend(datasets.map(|dataset| DatasetInput {
                dataset,
                tags: tags.clone(),
            }));
        }
        let models = |source: &str| {
            self.rows(
                "inputs",
                &["destination_id", "step"],
                "WHERE source_type = ?1 AND source_id = ?2 ORDER BY rowid",
                &[&source, &id],
                |row| ModelOutput {
                    model: text(row, 0).unwrap_or_default(),
                    step: int(row, 1).unwrap_or(0),
                },
            )
        };
        run.model_inputs = models("RUN_INPUT")?.into_iter().map(|m| m.model).collect();
        run.model_outputs = models("RUN_OUTPUT")?;
        Ok(())
    }

    fn logged_models(&self, take: Take<'_>) -> Result<(), Error> {
        let found = self.rows(
            "logged_models",
            &[
                "model_id",
                "experiment_id",
                "name",
                "artifact_location",
                "creation_timestamp_ms",
                "last_updated_timestamp_ms",
                "status",
                "lifecycle_stage",
                "model_type",
                "source_run_id",
                "status_message",
            ],
            "ORDER BY creation_timestamp_ms, model_id",
            &[],
            |row| {
                let created_ms = int(row, 4).unwrap_or(0);
                let lifecycle = lifecycle(row, 7);
                let updated_ms = int(row, 5).unwrap_or(created_ms);
                let model = ImportedModel {
                    experiment: String::new(),
                    model: LoggedModel {
                        id: text(row, 0).unwrap_or_default(),
                        experiment: ExperimentId(0),
                        name: text(row, 2).unwrap_or_default(),
                        created_ms,
                        updated_ms,
                        artifact_uri: text(row, 3).unwrap_or_default(),
                        status: match int(row, 6) {
                            Some(1) => LoggedModelStatus::Pending,
                            Some(3) => LoggedModelStatus::UploadFailed,
                            _ => LoggedModelStatus::Ready,
                        },
                        status_message: text(row, 10),
                        model_type: text(row, 8),
                        source_run: text(row, 9),
                        tags: Vec::new(),
                        params: Vec::new(),
                        metrics: Vec::new(),
                        registrations: Vec::new(),
                    },
                    lifecycle,
                    // MLflow notes the deletion of a model as its last change.
                    deleted_ms: (lifecycle == Lifecycle::Deleted).then_some(updated_ms),
                    files: Vec::new(),
                };
                (int(row, 1), model)
            },
        )?;
        for (experiment, mut whole) in found {
            let id = whole.model.id.clone();
            let what = format!("logged model `{id}`");
            let Some(name) = self.name_of_experiment(experiment)? else {
                let broken = Broken::new(what, "its experiment is not there");
                take(Item::Broken(broken))?;
                continue;
            };
            whole.experiment = name;
            let of: [&dyn ToSql; 1] = [&id];
            whole.model.tags = self.tags(
                "logged_model_tags",
                ["tag_key", "tag_value"],
                "WHERE model_id = ?1 ORDER BY tag_key",
                &of,
            )?;
            whole.model.params = self.tags(
                "logged_model_params",
                ["param_key", "param_value"],
                "WHERE model_id = ?1 ORDER BY param_key",
                &of,
            )?;
            let metrics = self.rows(
                "logged_model_metrics",
                &[
                    "metric_name",
                    "metric_value",
                    "metric_timestamp_ms",
                    "metric_step",
                    "run_id",
                    "dataset_name",
                    "dataset_digest",
                ],
                "WHERE model_id = ?1 ORDER BY metric_name",
                &of,
                |row| ModelMetric {
                    point: MetricPoint {
                        name: text(row, 0).unwrap_or_default(),
                        value: value(real(row, 1), None),
                        at_ms: int(row, 2).unwrap_or(0),
                        step: int(row, 3).unwrap_or(0),
                    },
                    run: text(row, 4).unwrap_or_default(),
                    dataset: text(row, 5).zip(text(row, 6)),
                },
            )?;
            whole.model.metrics = mlruns::latest(metrics);
            let found = place::find(&whole.model.artifact_uri, &id, None, &self.base);
            take(Item::Model(Box::new(whole), found))?;
        }
        Ok(())
    }

    fn registered_models(&self, take: Take<'_>) -> Result<(), Error> {
        let found = self.rows(
            "registered_models",
            &["name", "creation_time", "last_updated_time", "description"],
            "ORDER BY name",
            &[],
            |row| {
                let created_ms = int(row, 1).unwrap_or(0);
                RegisteredModel {
                    name: text(row, 0).unwrap_or_default(),
                    created_ms,
                    updated_ms: int(row, 2).unwrap_or(created_ms),
                    description: text(row, 3),
                    latest: Vec::new(),
                    tags: Vec::new(),
                    aliases: Vec::new(),
                }
            },
        )?;
        for mut model in found {
            let of: [&dyn ToSql; 1] = [&model.name];
            let tags = self.tags(
                "registered_model_tags",
                ["key", "value"],
                "WHERE name = ?1 ORDER BY key",
                &of,
            )?;
            let aliases = self.rows(
                "registered_model_aliases",
                &["alias", "version"],
                "WHERE name = ?1 ORDER BY alias",
                &of,
                |row| text(row, 0).zip(int(row, 1)),
            )?;
            let versions = self.versions(&model.name)?;
            model.tags = tags;
            model.aliases = aliases.into_iter().flatten().collect();
            take(Item::Registered(Box::new(ImportedRegistered {
                model,
                versions,
            })))?;
        }
        Ok(())
    }

    fn versions(&self, name: &str) -> Result<Vec<ModelVersion>, Error> {
        let mut versions = self.rows(
            "model_versions",
            &[
                "version",
                "creation_time",
                "last_updated_time",
                "description",
                "current_stage",
                "source",
                "run_id",
                "status",
                "run_link",
                "storage_location",
            ],
            "WHERE name = ?1 ORDER BY version",
            &[&name],
            |row| {
                let created_ms = int(row, 1).unwrap_or(0);
                let some = |column| text(row, column).filter(|text| !text.is_empty());
                let source = some(5).unwrap_or_default();
                // No column has it: in MLflow 3 the source is the model.
                let model = source
                    .strip_prefix("models:/")
                    .filter(|id| id.starts_with("m-") && !id.contains(['/', '@']));
                ModelVersion {
                    name: name.to_owned(),
                    version: int(row, 0).unwrap_or(0),
                    created_ms,
                    updated_ms: int(row, 2).unwrap_or(created_ms),
                    description: text(row, 3),
                    storage: some(9).unwrap_or_else(|| source.clone()),
                    logged_model: model.map(str::to_owned),
                    source,
                    run: some(6),
                    run_link: some(8),
                    status: some(7).unwrap_or_else(|| "READY".to_owned()),
                    stage: some(4).unwrap_or_else(|| "None".to_owned()),
                    tags: Vec::new(),
                    aliases: Vec::new(),
                }
            },
        )?;
        for version in &mut versions {
            version.tags = self.tags(
                "model_version_tags",
                ["key", "value"],
                "WHERE name = ?1 AND version = ?2 ORDER BY key",
                &[&name, &version.version],
            )?;
        }
        Ok(versions)
    }
}

/// Reads a text in whatever type it was stored.
fn text(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column).ok()? {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(x) => Some(x.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

fn int(row: &Row<'_>, column: usize) -> Option<i64> {
    match row.get_ref(column).ok()? {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(n) => Some(n),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a time that was stored as a float"
        )]
        ValueRef::Real(x) => Some(x as i64),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
    }
}

fn real(row: &Row<'_>, column: usize) -> Option<f64> {
    match row.get_ref(column).ok()? {
        ValueRef::Null | ValueRef::Blob(_) => None,
        #[expect(clippy::cast_precision_loss, reason = "a metric is a double")]
        ValueRef::Integer(n) => Some(n as f64),
        ValueRef::Real(x) => Some(x),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
    }
}

fn value(stored: Option<f64>, is_nan: Option<i64>) -> f64 {
    match stored {
        _ if is_nan == Some(1) => f64::NAN,
        None => f64::NAN,
        Some(x) if x >= f64::MAX => f64::INFINITY,
        Some(x) if x <= f64::MIN => f64::NEG_INFINITY,
        Some(x) => x,
    }
}

fn lifecycle(row: &Row<'_>, column: usize) -> Lifecycle {
    Lifecycle::of_str(&text(row, column).unwrap_or_default())
}
