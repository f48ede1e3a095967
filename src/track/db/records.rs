//! Runs as clients of MLflow see and change them. Imports: base, entity, run, validate, rusqlite.

use rusqlite::Row;

use crate::track::entity::{
    Dataset, DatasetInput, ExperimentId, Lifecycle, MetricPoint, ModelOutput, RunInfo, RunRecord,
    Tag,
};
use crate::track::error::Error;
use crate::track::run::{RunId, Status};
use crate::track::validate;

use super::{Reader, Writing, experiments, write};

/// The tag that holds a run's name as well.
pub(super) const NAME_TAG: &str = "mlflow.runName";
/// The tag that holds the id of the run that a run is a part of.
pub(super) const PARENT_TAG: &str = "mlflow.parentRunId";
/// The tag that says who started a run.
pub(super) const USER_TAG: &str = "mlflow.user";
/// The tag that lists models logged in MLflow 2's way.
const LOGGED_MODELS_TAG: &str = "mlflow.log-model.history";

/// Limits of a dataset's texts, in characters.
const DATASET_NAME_MAX: usize = 500;
const DATASET_DIGEST_MAX: usize = 36;
const DATASET_SOURCE_MAX: usize = 65_535;
const DATASET_SCHEMA_MAX: usize = 1_048_575;
const DATASET_PROFILE_MAX: usize = 16_777_215;
const INPUT_TAG_KEY_MAX: usize = 255;
const INPUT_TAG_VALUE_MAX: usize = 500;

/// Columns that `info` reads.
const COLUMNS: &str = "r.id, r.name, r.experiment, r.user, r.status, r.started_ms, r.ended_ms, \
                       r.lifecycle_stage, r.artifact_uri, r.owner, e.artifact_location";

/// A run that a client begins.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Who begins it.
    pub user: String,
    /// Its name; `None`: the one of the tag, else one is made up.
    pub name: Option<String>,
    /// When it began.
    pub started_ms: i64,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// What changes of a run.
#[derive(Clone, Debug, Default)]
pub struct RunChange {
    /// How far it is now.
    pub status: Option<Status>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Its name.
    pub name: Option<String>,
}

fn info(row: &Row<'_>, from: usize) -> rusqlite::Result<Result<RunInfo, Error>> {
    let id: String = row.get(from)?;
    let experiment: i64 = row.get(from + 2)?;
    let status: String = row.get(from + 4)?;
    let lifecycle: String = row.get(from + 7)?;
    let uri: Option<String> = row.get(from + 8)?;
    let owner: Option<String> = row.get(from + 9)?;
    let location: Option<String> = row.get(from + 10)?;
    let (name, user) = (row.get(from + 1)?, row.get(from + 3)?);
    let (started_ms, ended_ms) = (row.get(from + 5)?, row.get(from + 6)?);
    let build = || {
        let unknown = |what: String| Error::BadRecord { what };
        let status = match status.parse().map_err(unknown)? {
            Status::Running if write::is_abandoned(owner.as_deref()) => Status::Killed,
            status => status,
        };
        let id: RunId = id
            .parse()
            .map_err(|_| unknown(format!("the run id `{id}`")))?;
        let artifact_uri = uri.unwrap_or_else(|| match location {
            Some(location) => format!("{location}/{id}/artifacts"),
            None => format!("mlflow-artifacts:/{experiment}/{id}/artifacts"),
        });
        Ok(RunInfo {
            id,
            name,
            experiment: ExperimentId(experiment),
            user,
            status,
            started_ms,
            ended_ms,
            lifecycle: Lifecycle::of_str(&lifecycle),
            artifact_uri,
        })
    };
    Ok(build())
}

pub(super) fn no_run(id: RunId) -> Error {
    Error::missing(format!("Run with id={id} not found"))
}

impl Reader<'_> {
    /// Returns what a run is, deleted or not.
    ///
    /// # Errors
    /// There is none.
    pub fn run_info(&self, id: RunId) -> Result<RunInfo, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM runs r JOIN experiments e ON e.id = r.experiment WHERE r.id = ?1"
        );
        self.row(&sql, &[&id.to_string()], |row| info(row, 0))?
            .ok_or_else(|| no_run(id))?
    }

    /// Returns a run with everything, deleted or not.
    ///
    /// # Errors
    /// There is none.
    pub fn record(&self, id: RunId) -> Result<RunRecord, Error> {
        let number = self.number(id)?;
        self.records_of(&[number])?.pop().ok_or_else(|| no_run(id))
    }

    /// Returns a run's number.
    pub(super) fn number(&self, id: RunId) -> Result<i64, Error> {
        self.row(
            "SELECT number FROM runs WHERE id = ?1",
            &[&id.to_string()],
            |row| row.get(0),
        )?
        .ok_or_else(|| no_run(id))
    }

    /// Returns the runs with these numbers in this order; those that do not exist are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn records_of(&self, numbers: &[i64]) -> Result<Vec<RunRecord>, Error> {
        let list = serde_json::json!(numbers).to_string();
        let mut places: Vec<Option<usize>> = vec![None; numbers.len()];
        let sql = format!(
            "SELECT j.key, {COLUMNS} FROM json_each(?1) j
             CROSS JOIN runs r ON r.number = j.value JOIN experiments e ON e.id = r.experiment"
        );
        let mut records: Vec<RunRecord> = Vec::with_capacity(numbers.len());
        for (key, info) in self.rows(&sql, &[&list], |row| Ok((row.get(0)?, info(row, 1)?)))? {
            if let Some(place) = place_of(&mut places, key) {
                *place = Some(records.len());
            }
            records.push(RunRecord {
                info: info?,
                metrics: Vec::new(),
                params: Vec::new(),
                tags: Vec::new(),
                datasets: Vec::new(),
                model_inputs: Vec::new(),
                model_outputs: Vec::new(),
            });
        }
        // Each statement reads what belongs to one run after the other, in the order of the list.
        let mut each = |sql: &str, add: Add<'_>| {
            self.rows(sql, &[&list], |row| {
                let place = place_of(&mut places, row.get(0)?).and_then(|place| *place);
                match place.and_then(|at| records.get_mut(at)) {
                    Some(record) => add(record, row),
                    None => Ok(()),
                }
            })
            .map(drop)
        };
        each(
            "SELECT j.key, m.name, m.value, m.at_ms, m.step
             FROM json_each(?1) j CROSS JOIN metrics m ON m.run = j.value",
            &mut |record, row| {
                record.metrics.push(MetricPoint {
                    name: row.get(1)?,
                    value: row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN),
                    at_ms: row.get(3)?,
                    step: row.get(4)?,
                });
                Ok(())
            },
        )?;
        each(
            "SELECT j.key, p.name, p.value FROM json_each(?1) j CROSS JOIN params p ON p.run = j.value",
            &mut |record, row| {
                record.params.push(Tag {
                    key: row.get(1)?,
                    value: row.get(2)?,
                });
                Ok(())
            },
        )?;
        each(
            "SELECT j.key, t.key, t.value FROM json_each(?1) j CROSS JOIN tags t ON t.run = j.value",
            &mut |record, row| {
                record.tags.push(Tag {
                    key: row.get(1)?,
                    value: row.get(2)?,
                });
                Ok(())
            },
        )?;
        each(
            "SELECT j.key, m.model FROM json_each(?1) j CROSS JOIN model_inputs m ON m.run = j.value",
            &mut |record, row| {
                record.model_inputs.push(row.get(1)?);
                Ok(())
            },
        )?;
        each(
            "SELECT j.key, m.model, m.step
             FROM json_each(?1) j CROSS JOIN model_outputs m ON m.run = j.value",
            &mut |record, row| {
                record.model_outputs.push(ModelOutput {
                    model: row.get(1)?,
                    step: row.get(2)?,
                });
                Ok(())
            },
        )?;
        self.add_datasets(&list, &mut places, &mut records)?;
        Ok(records)
    }

    /// Reads the datasets of the runs of a list, with their tags.
    fn add_datasets(
        &self,
        list: &str,
        places: &mut [Option<usize>],
        records: &mut [RunRecord],
    ) -> Result<(), Error> {
        let mut of_input: Vec<(usize, i64, usize)> = Vec::new();
        self.rows(
            "SELECT j.key, i.run, d.id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile
             FROM json_each(?1) j CROSS JOIN inputs i ON i.run = j.value
             JOIN datasets d ON d.id = i.dataset ORDER BY j.key, i.place",
            &[&list],
            |row| {
                let place = place_of(places, row.get(0)?).and_then(|place| *place);
                if let Some(at) = place
                    && let Some(record) = records.get_mut(at)
                {
                    of_input.push((at, row.get(2)?, record.datasets.len()));
                    record.datasets.push(DatasetInput {
                        dataset: Dataset {
                            name: row.get(3)?,
                            digest: row.get(4)?,
                            source_type: row.get(5)?,
                            source: row.get(6)?,
                            schema: row.get(7)?,
                            profile: row.get(8)?,
                        },
                        tags: Vec::new(),
                    });
                }
                Ok(())
            },
        )?;
        for (at, dataset, input) in of_input {
            let Some(record) = records.get_mut(at) else {
                continue;
            };
            let run = record.info.id.to_string();
            record.datasets[input].tags = self.rows(
                "SELECT t.key, t.value FROM input_tags t JOIN runs r ON r.number = t.run
                 WHERE r.id = ?1 AND t.dataset = ?2 ORDER BY t.key",
                &[&run, &dataset],
                experiments::tag,
            )?;
        }
        Ok(())
    }
}

/// Adds a row to the record it belongs to.
type Add<'a> = &'a mut dyn FnMut(&mut RunRecord, &Row<'_>) -> rusqlite::Result<()>;

fn place_of(places: &mut [Option<usize>], key: i64) -> Option<&mut Option<usize>> {
    places.get_mut(usize::try_from(key).ok()?)
}

impl Writing<'_> {
    /// Begins a run of a client.
    ///
    /// # Errors
    /// The experiment is not there or deleted, name and name tag differ, or a tag cannot be.
    pub fn create_record(&self, new: &NewRecord) -> Result<RunRecord, Error> {
        self.check_active_experiment(new.experiment)?;
        let tag = |key: &str| new.tags.iter().find(|tag| tag.key == key);
        let name_tag = tag(NAME_TAG)
            .map(|tag| tag.value.as_str())
            .filter(|name| !name.is_empty());
        let given = new.name.as_deref().filter(|name| !name.is_empty());
        if let (Some(name), Some(tagged)) = (given, name_tag)
            && name != tagged
        {
            return Err(Error::invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with \
                 different values (run_name='{name}', mlflow.runName='{tagged}')."
            )));
        }
        let id = RunId::random();
        let name = given
            .or(name_tag)
            .map_or_else(|| id.default_name(), str::to_owned);
        let parent = tag(PARENT_TAG).and_then(|tag| tag.value.parse::<RunId>().ok());
        self.execute(
            "INSERT INTO runs (id, experiment, name, parent, status, started_ms, command, targets, user)
             VALUES (?1, ?2, ?3, ?4, 'RUNNING', ?5, '', '[]', ?6)",
            &[
                &id.to_string(),
                &new.experiment.0,
                &name,
                &parent.map(|parent| parent.to_string()),
                &new.started_ms,
                &new.user,
            ],
        )?;
        let number = self.db.last_insert_rowid();
        self.put_run_tag(number, NAME_TAG, &name)?;
        for (index, tag) in new.tags.iter().enumerate() {
            // MLflow looks at the characters of a key only where it is set later: scripts begin runs
            // with tags such as `mail@of`.
            let what = format!("tags[{index}].key");
            validate::check_length(&what, validate::KEY_CHARS_MAX, &tag.key)?;
            self.put_run_tag(number, &tag.key, &tag.value)?;
        }
        self.records_of(&[number])?.pop().ok_or_else(|| no_run(id))
    }

    /// Writes a tag down; those that say what the run is change that as well.
    pub(super) fn put_run_tag(&self, number: i64, key: &str, value: &str) -> Result<(), Error> {
        let value = validate::cut(value, validate::TAG_VALUE_CHARS_MAX);
        match key {
            // A run keeps its name rather than have none, as with `runs/update`.
            NAME_TAG if value.is_empty() => return Ok(()),
            NAME_TAG => {
                self.execute(
                    "UPDATE runs SET name = ?2 WHERE number = ?1",
                    &[&number, &value],
                )?;
            }
            PARENT_TAG => {
                let parent = value.parse::<RunId>().ok().map(|parent| parent.to_string());
                self.execute(
                    "UPDATE runs SET parent = ?2 WHERE number = ?1",
                    &[&number, &parent],
                )?;
            }
            _ => {}
        }
        self.execute(
            "INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)",
            &[&number, &key, &value],
        )
        .map(drop)
    }

    /// Returns the number and the experiment of a run that may be changed.
    pub(super) fn active_run(&self, id: RunId) -> Result<(i64, i64), Error> {
        let found = self.row(
            "SELECT number, experiment, lifecycle_stage FROM runs WHERE id = ?1",
            &[&id.to_string()],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get_ref(2)?.as_str()? == "active",
                ))
            },
        )?;
        match found {
            None => Err(no_run(id)),
            Some((number, experiment, true)) => Ok((number, experiment)),
            Some(_) => Err(Error::invalid(format!(
                "The run {id} must be in the 'active' state. Current state is deleted."
            ))),
        }
    }

    /// Changes what a run is. A run that a repro records goes on until the repro ends it, whatever
    /// clients say: each stage's client ends "its" run when the stage is over.
    ///
    /// # Errors
    /// There is none that is active.
    pub fn update_run(&self, id: RunId, change: &RunChange) -> Result<RunInfo, Error> {
        let (number, _) = self.active_run(id)?;
        if let Some(status) = change.status {
            self.execute(
                "UPDATE runs SET status = ?2
                 WHERE number = ?1 AND (owner IS NULL OR status <> 'RUNNING')",
                &[&number, &status.as_str()],
            )?;
        }
        if let Some(ended) = change.ended_ms {
            self.execute(
                "UPDATE runs SET ended_ms = ?2
                 WHERE number = ?1 AND (owner IS NULL OR status <> 'RUNNING')",
                &[&number, &ended],
            )?;
        }
        if let Some(name) = change.name.as_deref().filter(|name| !name.is_empty()) {
            self.put_run_tag(number, NAME_TAG, name)?;
        }
        self.run_info(id)
    }

    /// Deletes a run; it can be restored.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_run(&self, id: RunId, now_ms: i64) -> Result<(), Error> {
        let number = self.number(id)?;
        self.execute(
            "UPDATE runs SET lifecycle_stage = 'deleted', deleted_ms = coalesce(deleted_ms, ?2)
             WHERE number = ?1",
            &[&number, &now_ms],
        )
        .map(drop)
    }

    /// Restores a deleted run.
    ///
    /// # Errors
    /// There is none.
    pub fn restore_run(&self, id: RunId) -> Result<(), Error> {
        let number = self.number(id)?;
        self.execute(
            "UPDATE runs SET lifecycle_stage = 'active', deleted_ms = NULL WHERE number = ?1",
            &[&number],
        )
        .map(drop)
    }

    /// Sets a tag of a run.
    ///
    /// # Errors
    /// There is no such run that is active, or the key cannot be.
    pub fn set_run_tag(&self, id: RunId, key: &str, value: &str) -> Result<(), Error> {
        validate::check_key(key, "key")?;
        let (number, _) = self.active_run(id)?;
        self.put_run_tag(number, key, value)
    }

    /// Removes a tag of a run.
    ///
    /// # Errors
    /// There is no such run or tag.
    pub fn delete_run_tag(&self, id: RunId, key: &str) -> Result<(), Error> {
        let (number, _) = self.active_run(id)?;
        let removed = self.execute(
            "DELETE FROM tags WHERE run = ?1 AND key = ?2",
            &[&number, &key],
        )?;
        if removed == 0 {
            return Err(Error::missing(format!(
                "No tag with name: {key} in run with id {id}"
            )));
        }
        if key == PARENT_TAG {
            self.execute(
                "UPDATE runs SET parent = NULL WHERE number = ?1",
                &[&number],
            )?;
        }
        Ok(())
    }

    /// Notes datasets and logged models that a run read. A dataset of the same name and digest is the
    /// same within an experiment.
    ///
    /// # Errors
    /// There is no such run that is active, or a text is too long.
    pub fn log_inputs(
        &self,
        id: RunId,
        datasets: &[DatasetInput],
        models: &[String],
    ) -> Result<(), Error> {
        datasets.iter().try_for_each(check_input)?;
        let (number, experiment) = self.active_run(id)?;
        for input in datasets {
            let dataset = self.put_dataset(experiment, &input.dataset)?;
            let added = self.execute(
                "INSERT OR IGNORE INTO inputs (run, dataset, place)
                 SELECT ?1, ?2, coalesce(max(place) + 1, 0) FROM inputs WHERE run = ?1",
                &[&number, &dataset],
            )?;
            if added == 0 {
                // MLflow keeps what the first said it is for: data logged for training and then for
                // evaluation stays `training`.
                continue;
            }
            for tag in &input.tags {
                self.execute(
                    "INSERT OR REPLACE INTO input_tags (run, dataset, key, value)
                     VALUES (?1, ?2, ?3, ?4)",
                    &[&number, &dataset, &tag.key, &tag.value],
                )?;
            }
        }
        for model in models {
            self.execute(
                "INSERT OR IGNORE INTO model_inputs (run, model) VALUES (?1, ?2)",
                &[&number, model],
            )?;
        }
        Ok(())
    }

    pub(super) fn put_dataset(&self, experiment: i64, dataset: &Dataset) -> Result<i64, Error> {
        self.execute(
            "INSERT OR IGNORE INTO datasets
                 (experiment, name, digest, source_type, source, schema, profile)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                &experiment,
                &dataset.name,
                &dataset.digest,
                &dataset.source_type,
                &dataset.source,
                &dataset.schema,
                &dataset.profile,
            ],
        )?;
        let found = self.row(
            "SELECT id FROM datasets WHERE experiment = ?1 AND name = ?2 AND digest = ?3",
            &[&experiment, &dataset.name, &dataset.digest],
            |row| row.get(0),
        )?;
        found.ok_or_else(|| Error::missing(format!("No dataset with name {}", dataset.name)))
    }

    /// Notes logged models that a run made.
    ///
    /// # Errors
    /// There is no such run that is active.
    pub fn log_outputs(&self, id: RunId, models: &[ModelOutput]) -> Result<(), Error> {
        let (number, _) = self.active_run(id)?;
        for model in models {
            self.execute(
                "INSERT OR REPLACE INTO model_outputs (run, model, step) VALUES (?1, ?2, ?3)",
                &[&number, &model.model, &model.step],
            )?;
        }
        Ok(())
    }

    /// Notes a model that a run logged in MLflow 2's way: its description is added to a tag.
    ///
    /// # Errors
    /// There is no such run that is active, or the description is no JSON object with what a model
    /// needs.
    pub fn record_logged_model(&self, id: RunId, model_json: &str) -> Result<(), Error> {
        let not_json = |e: &dyn std::fmt::Display| {
            Error::invalid(format!(
                "Malformed model info. \n {model_json} \n is not a valid JSON: {e}"
            ))
        };
        let model: serde_json::Value =
            serde_json::from_str(model_json).map_err(|e| not_json(&e))?;
        let missing: Vec<&str> = ["artifact_path", "flavors", "run_id", "utc_time_created"]
            .into_iter()
            .filter(|key| model.get(key).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(Error::invalid(format!(
                "Model json is missing mandatory fields: {}",
                missing.join(", ")
            )));
        }
        let (number, _) = self.active_run(id)?;
        let known = self.row(
            "SELECT value FROM tags WHERE run = ?1 AND key = ?2",
            &[&number, &LOGGED_MODELS_TAG],
            |row| row.get::<_, String>(0),
        )?;
        let mut models: Vec<serde_json::Value> = known
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        models.push(model);
        let text = serde_json::Value::from(models).to_string();
        self.execute(
            "INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)",
            &[&number, &LOGGED_MODELS_TAG, &text],
        )
        .map(drop)
    }
}

fn check_input(input: &DatasetInput) -> Result<(), Error> {
    let dataset = &input.dataset;
    if dataset.name.is_empty() {
        return Err(Error::invalid("Dataset name cannot be None or empty"));
    }
    if dataset.digest.is_empty() {
        return Err(Error::invalid("Dataset digest cannot be None or empty"));
    }
    validate::check_length("name", DATASET_NAME_MAX, &dataset.name)?;
    validate::check_length("digest", DATASET_DIGEST_MAX, &dataset.digest)?;
    validate::check_length("source", DATASET_SOURCE_MAX, &dataset.source)?;
    if let Some(schema) = &dataset.schema {
        validate::check_length("schema", DATASET_SCHEMA_MAX, schema)?;
    }
    if let Some(profile) = &dataset.profile {
        validate::check_length("profile", DATASET_PROFILE_MAX, profile)?;
    }
    for tag in &input.tags {
        validate::check_length("key", INPUT_TAG_KEY_MAX, &tag.key)?;
        validate::check_length("value", INPUT_TAG_VALUE_MAX, &tag.value)?;
    }
    Ok(())
}
