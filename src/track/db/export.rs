//! Whole runs, as they go out. Imports: base, entity, run, exchange, curve, rusqlite.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Row, ToSql};

use crate::base::ObjectId;
use crate::base::diag::nearest;
use crate::track::artifacts::path_of_uri;
use crate::track::entity::{ExperimentId, Lifecycle, LoggedModel, MetricPoint, ModelMetric, View};
use crate::track::error::Error;
use crate::track::exchange::{
    ImportedFile, ImportedMetric, ImportedModel, ImportedParam, ImportedPoint, ImportedRun,
    ParamKind,
};
use crate::track::run::{Artifact, Git, RunId, StageRecord};

use super::experiments::tag;
use super::{Reader, curve};

/// Are histories of metrics wanted?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histories {
    /// All points.
    Whole,
    /// The latest value of each metric only.
    Latest,
}

/// Names of what runs have, for the columns of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of metrics.
    pub metrics: BTreeSet<String>,
    /// Of params.
    pub params: BTreeSet<String>,
    /// Of tags.
    pub tags: BTreeSet<String>,
}

impl Reader<'_> {
    /// Returns the ids of the runs of an experiment, or of all, in the order in which they began.
    ///
    /// # Errors
    /// There is no such experiment.
    pub fn run_ids(&self, experiment: Option<&str>, view: View) -> Result<Vec<RunId>, Error> {
        let experiment = match experiment {
            Some(name) => Some(self.known_experiment(name)?),
            None => None,
        };
        let which = match view {
            View::Active => "lifecycle_stage = 'active'",
            View::Deleted => "lifecycle_stage = 'deleted'",
            View::All => "TRUE",
        };
        let sql = format!(
            "SELECT id FROM runs WHERE (?1 IS NULL OR experiment = ?1) AND {which}
             ORDER BY started_ms, number"
        );
        let ids = self.rows(&sql, &[&experiment], |row| row.get::<_, String>(0))?;
        ids.iter().map(|id| run_id(id)).collect()
    }

    /// Returns the id of the experiment of this name, deleted or not.
    fn known_experiment(&self, name: &str) -> Result<i64, Error> {
        let found = self.row(
            "SELECT id FROM experiments WHERE name = ?1",
            &[&name],
            |row| row.get(0),
        )?;
        if let Some(id) = found {
            return Ok(id);
        }
        let known = self.rows("SELECT name FROM experiments", &[], |row| {
            row.get::<_, String>(0)
        })?;
        Err(Error::UnknownExperiment {
            nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// Returns the names of metrics, params and tags that these runs have.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn names_of(&self, ids: &[RunId]) -> Result<Names, Error> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let list = serde_json::json!(ids).to_string();
        let names = |table: &str, column: &str| {
            let sql = format!(
                "SELECT DISTINCT t.{column} FROM json_each(?1) j
                 CROSS JOIN runs r ON r.id = j.value JOIN {table} t ON t.run = r.number"
            );
            let found = self.rows(&sql, &[&list], |row| row.get::<_, String>(0))?;
            Ok::<_, Error>(found.into_iter().collect())
        };
        Ok(Names {
            metrics: names("metrics", "name")?,
            params: names("params", "name")?,
            tags: names("tags", "key")?,
        })
    }

    /// Returns a run with all that is recorded of it, deleted or not.
    ///
    /// # Errors
    /// There is none.
    pub fn whole_run(&self, id: RunId, histories: Histories) -> Result<ImportedRun, Error> {
        let info = self.run_info(id)?;
        let number = self.number(id)?;
        let run: [&dyn ToSql; 1] = [&number];
        let mut whole = ImportedRun::new(id, "", info.started_ms);
        self.row(
            "SELECT e.name, r.parent, r.deleted_ms, r.command, r.targets, r.git_commit,
                    r.git_branch, r.git_dirty, l.text
             FROM runs r JOIN experiments e ON e.id = r.experiment
             LEFT JOIN locks l ON l.id = r.lock WHERE r.number = ?1",
            &run,
            |row| {
                let parent: Option<String> = row.get(1)?;
                let targets: String = row.get(4)?;
                let commit: Option<String> = row.get(5)?;
                whole.experiment = row.get(0)?;
                whole.parent = parent.and_then(|id| id.parse().ok());
                whole.deleted_ms = row.get(2)?;
                whole.command = row.get(3)?;
                whole.targets = serde_json::from_str(&targets).unwrap_or_default();
                let (branch, dirty) = (row.get(6)?, row.get(7)?);
                whole.git = commit.map(|commit| Git {
                    commit,
                    branch,
                    dirty,
                });
                whole.lock = row.get(8)?;
                Ok(())
            },
        )?;
        whole.name = info.name;
        whole.user = info.user;
        whole.status = info.status;
        whole.lifecycle = info.lifecycle;
        whole.ended_ms = info.ended_ms;
        whole.params = self.rows(
            "SELECT name, file, key, value, typed FROM params WHERE run = ?1 ORDER BY name",
            &run,
            |row| {
                Ok(ImportedParam {
                    name: row.get(0)?,
                    file: row.get(1)?,
                    key: row.get(2)?,
                    value: row.get(3)?,
                    kind: if row.get(4)? {
                        ParamKind::Json
                    } else {
                        ParamKind::Text
                    },
                })
            },
        )?;
        whole.metrics = self.whole_metrics(number, histories)?;
        whole.tags = self.rows(
            "SELECT key, value FROM tags WHERE run = ?1 ORDER BY key",
            &run,
            tag,
        )?;
        whole.stages = self.whole_stages(number)?;
        whole.artifacts = self.whole_outputs(number)?;
        match path_of_uri(&info.artifact_uri) {
            Some(path) => whole.files = self.files_below(path)?,
            None => whole.elsewhere = Some(info.artifact_uri),
        }
        let record = self.record(id)?;
        whole.datasets = record.datasets;
        whole.model_inputs = record.model_inputs;
        whole.model_outputs = record.model_outputs;
        Ok(whole)
    }

    fn whole_metrics(
        &self,
        number: i64,
        histories: Histories,
    ) -> Result<Vec<ImportedMetric>, Error> {
        let mut metrics: Vec<(i64, ImportedMetric)> = self.rows(
            "SELECT m.id, m.name, m.file, m.key, m.value, m.step, m.at_ms, c.points
             FROM metrics m LEFT JOIN curves c ON c.id = m.curve WHERE m.run = ?1 ORDER BY m.id",
            &[&number],
            |row| {
                let bytes: Option<Vec<u8>> = row.get(7)?;
                let metric = ImportedMetric {
                    name: row.get(1)?,
                    file: row.get(2)?,
                    key: row.get(3)?,
                    last: ImportedPoint {
                        value: row.get::<_, Option<f64>>(4)?.unwrap_or(f64::NAN),
                        step: row.get(5)?,
                        at_ms: row.get(6)?,
                    },
                    points: Vec::new(),
                    curve: match histories {
                        Histories::Whole => curve::of_bytes(&bytes.unwrap_or_default()),
                        Histories::Latest => Vec::new(),
                    },
                };
                Ok((row.get(0)?, metric))
            },
        )?;
        if histories == Histories::Whole {
            for (id, metric) in &mut metrics {
                metric.points = self.rows(
                    "SELECT step, at_ms, value, is_number FROM points WHERE metric = ?1
                     ORDER BY at_ms, step, is_number, value",
                    &[&*id],
                    |row| {
                        let (is_number, value): (bool, f64) = (row.get(3)?, row.get(2)?);
                        Ok(ImportedPoint {
                            step: row.get(0)?,
                            at_ms: row.get(1)?,
                            value: if is_number { value } else { f64::NAN },
                        })
                    },
                )?;
            }
        }
        Ok(metrics.into_iter().map(|(_, metric)| metric).collect())
    }

    fn whole_stages(&self, number: i64) -> Result<Vec<StageRecord>, Error> {
        let rows = self.rows(
            "SELECT name, outcome, took_ms, message FROM stages WHERE run = ?1 ORDER BY place",
            &[&number],
            |row| {
                let (name, outcome): (String, String) = (row.get(0)?, row.get(1)?);
                Ok((name, outcome, row.get::<_, i64>(2)?, row.get(3)?))
            },
        )?;
        rows.into_iter()
            .map(|(name, outcome, took, message)| {
                Ok(StageRecord {
                    name,
                    outcome: outcome.parse().map_err(|what| Error::BadRecord { what })?,
                    took: Duration::from_millis(u64::try_from(took).unwrap_or(0)),
                    message,
                })
            })
            .collect()
    }

    fn whole_outputs(&self, number: i64) -> Result<Vec<Artifact>, Error> {
        let rows = self.rows(
            "SELECT path, object, size, files, stage FROM artifacts WHERE run = ?1 ORDER BY path",
            &[&number],
            |row| {
                let object: String = row.get(1)?;
                let files: Option<i64> = row.get(3)?;
                let (path, stage) = (row.get(0)?, row.get(4)?);
                Ok((path, object, size(row, 2)?, files, stage))
            },
        )?;
        rows.into_iter()
            .map(|(path, text, size, files, stage)| {
                Ok(Artifact {
                    path,
                    object: object(&text)?,
                    size,
                    files: files.and_then(|n| u64::try_from(n).ok()),
                    stage,
                })
            })
            .collect()
    }

    /// Returns the uploaded files below a path, which their own paths are relative to.
    pub(super) fn files_below(&self, path: &str) -> Result<Vec<ImportedFile>, Error> {
        let (from, to) = range_below(path);
        let rows = self.rows(
            "SELECT path, object, size, modified_ms FROM artifact_files
             WHERE ?1 <= path AND path < ?2 ORDER BY path",
            &[&from, &to],
            |row| {
                let path: String = row.get(0)?;
                Ok((path, row.get::<_, String>(1)?, size(row, 2)?, row.get(3)?))
            },
        )?;
        rows.into_iter()
            .map(|(path, text, size, modified_ms)| {
                Ok(ImportedFile {
                    path: path[from.len()..].to_owned(),
                    object: object(&text)?,
                    size,
                    modified_ms,
                })
            })
            .collect()
    }

    /// Returns the logged models that a run made.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn whole_models_of(&self, id: RunId) -> Result<Vec<ImportedModel>, Error> {
        let rows = self.rows(
            "SELECT m.id, m.name, m.created_ms, m.updated_ms, m.artifact_uri, m.status,
                    m.status_message, m.model_type, m.source_run, m.lifecycle_stage, m.deleted_ms,
                    e.name
             FROM logged_models m JOIN experiments e ON e.id = m.experiment
             WHERE m.source_run = ?1 ORDER BY m.created_ms, m.id",
            &[&id.to_string()],
            |row| {
                let status: String = row.get(5)?;
                let lifecycle: String = row.get(9)?;
                let model = ImportedModel {
                    experiment: row.get(11)?,
                    model: LoggedModel {
                        id: row.get(0)?,
                        experiment: ExperimentId(0),
                        name: row.get(1)?,
                        created_ms: row.get(2)?,
                        updated_ms: row.get(3)?,
                        artifact_uri: row.get(4)?,
                        status: crate::track::entity::LoggedModelStatus::Pending,
                        status_message: row.get(6)?,
                        model_type: row.get(7)?,
                        source_run: row.get(8)?,
                        tags: Vec::new(),
                        params: Vec::new(),
                        metrics: Vec::new(),
                        registrations: Vec::new(),
                    },
                    lifecycle: Lifecycle::of_str(&lifecycle),
                    deleted_ms: row.get(10)?,
                    files: Vec::new(),
                };
                Ok((model, status))
            },
        )?;
        rows.into_iter()
            .map(|(mut whole, status)| {
                let model = &mut whole.model;
                model.status = status.parse().map_err(|what| Error::BadRecord { what })?;
                let id = model.id.clone();
                let of: [&dyn ToSql; 1] = [&id];
                model.tags = self.rows(
                    "SELECT key, value FROM logged_model_tags WHERE model = ?1 ORDER BY key",
                    &of,
                    tag,
                )?;
                model.params = self.rows(
                    "SELECT key, value FROM logged_model_params WHERE model = ?1 ORDER BY key",
                    &of,
                    tag,
                )?;
                model.metrics = self.rows(
                    "SELECT name, value, at_ms, step, run, dataset_name, dataset_digest
                     FROM logged_model_metrics WHERE model = ?1
                     ORDER BY name, dataset_name, dataset_digest, run",
                    &of,
                    model_metric,
                )?;
                if let Some(path) = path_of_uri(&model.artifact_uri) {
                    whole.files = self.files_below(path)?;
                }
                Ok(whole)
            })
            .collect()
    }
}

fn model_metric(row: &Row<'_>) -> rusqlite::Result<ModelMetric> {
    let (name, digest): (String, String) = (row.get(5)?, row.get(6)?);
    Ok(ModelMetric {
        point: MetricPoint {
            name: row.get(0)?,
            value: row.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN),
            at_ms: row.get(2)?,
            step: row.get(3)?,
        },
        run: row.get(4)?,
        dataset: (!name.is_empty()).then_some((name, digest)),
    })
}

/// Returns the first text that begins with `path/`, and the first one after all that do.
pub(super) fn range_below(path: &str) -> (String, String) {
    let path = path.trim_end_matches('/');
    // `0` follows `/`.
    (format!("{path}/"), format!("{path}0"))
}

fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn run_id(text: &str) -> Result<RunId, Error> {
    text.parse().map_err(|_| Error::BadRecord {
        what: format!("the run id `{text}`"),
    })
}

pub(super) fn object(text: &str) -> Result<ObjectId, Error> {
    text.parse().map_err(|_| Error::BadRecord {
        what: format!("the object `{text}`"),
    })
}
