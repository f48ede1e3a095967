//! Logged models: models as MLflow 3 logs them, with files, tags, params and metrics of their own.
//! Imports: entity, error, validate, name, rusqlite.

use rusqlite::{Row, ToSql};

use crate::track::entity::{
    ExperimentId, LoggedModel, LoggedModelStatus, MetricPoint, ModelMetric, Tag,
};
use crate::track::error::Error;
use crate::track::{name, validate};

use super::listed::Listed;
use super::{Reader, Writing, kept};

/// What the name of a logged model must not have: it stands in filters and URIs.
const NAME_CHARS_REFUSED: [char; 6] = ['/', ':', '.', '%', '"', '\''];
/// Characters of a key of a tag or param (the width of MLflow's column).
const KEY_CHARS_MAX: usize = 255;
/// Characters of a value of a tag or param.
const VALUE_CHARS_MAX: usize = 100_000;

/// Columns that `model` reads.
const COLUMNS: &str = "m.id, m.experiment, m.name, m.created_ms, m.updated_ms, m.artifact_uri, \
                       m.status, m.status_message, m.model_type, m.source_run";

/// A logged model that is to be made.
#[derive(Clone, Debug)]
pub struct NewLoggedModel {
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Its name; `None`: one is made up.
    pub name: Option<String>,
    /// What kind of model.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run: Option<String>,
    /// Params.
    pub params: Vec<Tag>,
    /// Tags.
    pub tags: Vec<Tag>,
}

fn no_model(id: &str) -> Error {
    Error::missing(format!("Logged model with ID '{id}' not found."))
}

/// Reads a model without what was logged to it.
fn model(row: &Row<'_>, from: usize) -> rusqlite::Result<LoggedModel> {
    let status: String = row.get(from + 6)?;
    Ok(LoggedModel {
        id: row.get(from)?,
        experiment: ExperimentId(row.get(from + 1)?),
        name: row.get(from + 2)?,
        created_ms: row.get(from + 3)?,
        updated_ms: row.get(from + 4)?,
        artifact_uri: row.get(from + 5)?,
        // A word that this version does not know says at least that it is not ready.
        status: status.parse().unwrap_or(LoggedModelStatus::Pending),
        status_message: row.get(from + 7)?,
        model_type: row.get(from + 8)?,
        source_run: row.get(from + 9)?,
        tags: Vec::new(),
        params: Vec::new(),
        metrics: Vec::new(),
        registrations: Vec::new(),
    })
}

/// Checks keys and values of tags or params.
fn check_pairs(pairs: &[Tag]) -> Result<(), Error> {
    pairs.iter().try_for_each(|pair| {
        if pair.key.is_empty() {
            return Err(Error::invalid(
                "Missing value for required parameter 'key'.",
            ));
        }
        validate::check_length("key", KEY_CHARS_MAX, &pair.key)?;
        validate::check_length("value", VALUE_CHARS_MAX, &pair.value)
    })
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains(NAME_CHARS_REFUSED) {
        return Err(Error::invalid(format!(
            "Invalid model name ('{name}') provided. Model name must be a non-empty string and \
             cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    validate::check_length("name", validate::EXPERIMENT_NAME_CHARS_MAX, name)
}

impl Reader<'_> {
    /// Returns a logged model that is not deleted.
    ///
    /// # Errors
    /// There is none.
    pub fn logged_model(&self, id: &str) -> Result<LoggedModel, Error> {
        self.check_logged_model(id)?;
        let mut found = self.logged_models_of(&[id.to_owned()])?;
        found.pop().ok_or_else(|| no_model(id))
    }

    /// Fails unless there is such a logged model.
    fn check_logged_model(&self, id: &str) -> Result<(), Error> {
        self.row(
            "SELECT 1 FROM logged_models WHERE id = ?1 AND lifecycle_stage = 'active'",
            &[&id],
            |_| Ok(()),
        )?
        .ok_or_else(|| no_model(id))
    }

    /// Returns these logged models in this order, deleted ones too; those that do not exist are left
    /// out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn logged_models_of(&self, ids: &[String]) -> Result<Vec<LoggedModel>, Error> {
        let sql = format!(
            "SELECT j.key, {COLUMNS} FROM json_each(?1) j
             CROSS JOIN logged_models m ON m.id = j.value ORDER BY j.key"
        );
        let mut models = Listed::read(*self, ids, &sql, |row| model(row, 1))?;
        models.add(
            "SELECT j.key, t.key, t.value FROM json_each(?1) j
             CROSS JOIN logged_model_tags t ON t.model = j.value ORDER BY j.key, t.key",
            |model, row| {
                model.tags.push(pair(row)?);
                Ok(())
            },
        )?;
        models.add(
            "SELECT j.key, p.key, p.value FROM json_each(?1) j
             CROSS JOIN logged_model_params p ON p.model = j.value ORDER BY j.key, p.key",
            |model, row| {
                model.params.push(pair(row)?);
                Ok(())
            },
        )?;
        models.add(
            "SELECT j.key, m.name, m.value, m.at_ms, m.step, m.run, m.dataset_name, m.dataset_digest
             FROM json_each(?1) j CROSS JOIN logged_model_metrics m ON m.model = j.value
             ORDER BY j.key, m.name, m.dataset_name, m.dataset_digest, m.run",
            |model, row| {
                model.metrics.push(metric(row)?);
                Ok(())
            },
        )?;
        models.add(
            "SELECT j.key, v.model, v.version FROM json_each(?1) j
             CROSS JOIN model_versions v ON v.logged_model = j.value
             ORDER BY j.key, v.model, v.version",
            |model, row| {
                model.registrations.push((row.get(1)?, row.get(2)?));
                Ok(())
            },
        )?;
        Ok(models.into_items())
    }
}

/// Reads a key and a value from the columns after the first.
fn pair(row: &Row<'_>) -> rusqlite::Result<Tag> {
    Ok(Tag {
        key: row.get(1)?,
        value: row.get(2)?,
    })
}

fn metric(row: &Row<'_>) -> rusqlite::Result<ModelMetric> {
    let (name, digest): (String, String) = (row.get(6)?, row.get(7)?);
    Ok(ModelMetric {
        point: MetricPoint {
            name: row.get(1)?,
            value: row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN),
            at_ms: row.get(3)?,
            step: row.get(4)?,
        },
        run: row.get(5)?,
        dataset: (!name.is_empty()).then_some((name, digest)),
    })
}

impl Writing<'_> {
    /// Begins a logged model, whose files are about to be written.
    ///
    /// # Errors
    /// The experiment is not there or deleted; name, tags or params cannot be.
    pub fn create_logged_model(
        &self,
        new: &NewLoggedModel,
        now_ms: i64,
    ) -> Result<LoggedModel, Error> {
        new.name.as_deref().map_or(Ok(()), check_name)?;
        check_pairs(&new.tags)?;
        self.check_active_experiment(new.experiment)?;
        let location = self.experiment(new.experiment)?.artifact_location;
        let random = uuid::Uuid::new_v4();
        let id = format!("m-{}", random.simple());
        let name = new
            .name
            .clone()
            .unwrap_or_else(|| name::of_id(*random.as_bytes()));
        let values: [&dyn ToSql; 8] = [
            &id,
            &new.experiment.0,
            &name,
            &now_ms,
            &format!("{location}/models/{id}/artifacts"),
            &LoggedModelStatus::Pending.as_str(),
            &new.model_type,
            &new.source_run.as_ref().filter(|run| !run.is_empty()),
        ];
        self.execute(
            "INSERT INTO logged_models (id, experiment, name, created_ms, updated_ms, artifact_uri,
                                        status, model_type, source_run)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8)",
            &values,
        )?;
        self.log_logged_model_params(&id, &new.params)?;
        self.set_logged_model_tags(&id, &new.tags, now_ms)?;
        self.logged_model(&id)
    }

    /// Says how far a logged model is.
    ///
    /// # Errors
    /// There is none.
    pub fn finish_logged_model(
        &self,
        id: &str,
        status: LoggedModelStatus,
        now_ms: i64,
    ) -> Result<LoggedModel, Error> {
        self.check_logged_model(id)?;
        self.execute(
            "UPDATE logged_models SET status = ?2, updated_ms = ?3 WHERE id = ?1",
            &[&id, &status.as_str(), &now_ms],
        )?;
        self.logged_model(id)
    }

    /// Deletes a logged model, softly. Versions of registered models that are this model stay.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_logged_model(&self, id: &str, now_ms: i64) -> Result<(), Error> {
        self.check_logged_model(id)?;
        self.execute(
            "UPDATE logged_models SET lifecycle_stage = 'deleted', deleted_ms = ?2, updated_ms = ?2
             WHERE id = ?1",
            &[&id, &now_ms],
        )?;
        Ok(())
    }

    /// Sets tags of a logged model; of a key given twice the last value counts.
    ///
    /// # Errors
    /// There is no such model, or a tag cannot be.
    pub fn set_logged_model_tags(&self, id: &str, tags: &[Tag], now_ms: i64) -> Result<(), Error> {
        check_pairs(tags)?;
        self.check_logged_model(id)?;
        for tag in tags {
            self.execute(
                "INSERT OR REPLACE INTO logged_model_tags (model, key, value) VALUES (?1, ?2, ?3)",
                &[&id, &tag.key, &tag.value],
            )?;
        }
        self.touch_logged_model(id, now_ms)
    }

    /// Removes a tag of a logged model.
    ///
    /// # Errors
    /// There is no such model, or it does not have the tag.
    pub fn delete_logged_model_tag(&self, id: &str, key: &str, now_ms: i64) -> Result<(), Error> {
        self.check_logged_model(id)?;
        let removed = self.execute(
            "DELETE FROM logged_model_tags WHERE model = ?1 AND key = ?2",
            &[&id, &key],
        )?;
        if removed == 0 {
            return Err(Error::missing(format!(
                "No tag with key '{key}' found for model with ID '{id}'."
            )));
        }
        self.touch_logged_model(id, now_ms)
    }

    fn touch_logged_model(&self, id: &str, now_ms: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE logged_models SET updated_ms = ?2 WHERE id = ?1",
            &[&id, &now_ms],
        )?;
        Ok(())
    }

    /// Adds params to a logged model; one that it has must have the same value.
    ///
    /// # Errors
    /// There is no such model, a param has another value already, or cannot be.
    pub fn log_logged_model_params(&self, id: &str, params: &[Tag]) -> Result<(), Error> {
        check_pairs(params)?;
        self.check_logged_model(id)?;
        for param in params {
            let known = self.row(
                "SELECT value FROM logged_model_params WHERE model = ?1 AND key = ?2",
                &[&id, &param.key],
                |row| row.get::<_, String>(0),
            )?;
            match known {
                None => {
                    self.execute(
                        "INSERT INTO logged_model_params (model, key, value) VALUES (?1, ?2, ?3)",
                        &[&id, &param.key, &param.value],
                    )?;
                }
                Some(value) if value == param.value => {}
                Some(value) => {
                    return Err(Error::invalid(format!(
                        "Changing param values is not allowed. Param with key='{}' was already \
                         logged with value='{value}' for model ID='{id}'. Attempted logging new \
                         value '{}'.",
                        param.key, param.value
                    )));
                }
            }
        }
        Ok(())
    }

    /// Notes a value of a metric of a logged model. Of each metric, dataset and run the latest is
    /// kept: the one of the highest step, then time, then value; NaN is the lowest.
    ///
    /// # Errors
    /// There is no such model.
    pub fn log_logged_model_metric(&self, id: &str, metric: &ModelMetric) -> Result<(), Error> {
        self.check_logged_model(id)?;
        let point = &metric.point;
        let (dataset, digest) = match &metric.dataset {
            Some((name, digest)) => (name.as_str(), digest.as_str()),
            None => ("", ""),
        };
        let value = kept(point.value);
        let values: [&dyn ToSql; 8] = [
            &id,
            &point.name,
            &dataset,
            &digest,
            &metric.run,
            &value,
            &point.step,
            &point.at_ms,
        ];
        self.execute(
            "INSERT INTO logged_model_metrics AS known
                 (model, name, dataset_name, dataset_digest, run, value, step, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (model, name, dataset_name, dataset_digest, run) DO UPDATE
             SET value = excluded.value, step = excluded.step, at_ms = excluded.at_ms
             WHERE (excluded.step, excluded.at_ms, coalesce(excluded.value, -9e999))
                 > (known.step, known.at_ms, coalesce(known.value, -9e999))",
            &values,
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::db::Tracking;
    use crate::track::db::registry_tests::{refused, tracking};
    use crate::track::error::Refusal;

    fn new(name: Option<&str>) -> NewLoggedModel {
        NewLoggedModel {
            experiment: ExperimentId(0),
            name: name.map(str::to_owned),
            model_type: Some("keras".to_owned()),
            source_run: Some("0f".to_owned()),
            params: vec![Tag::new("lr", "0.1")],
            tags: vec![Tag::new("mlflow.user", "me")],
        }
    }

    fn create(tracking: &mut Tracking, new: &NewLoggedModel) -> Result<LoggedModel, Error> {
        tracking.change(|w| w.create_logged_model(new, 10))
    }

    fn metric(value: f64, step: i64, at_ms: i64) -> ModelMetric {
        ModelMetric {
            point: MetricPoint {
                name: "acc".into(),
                value,
                at_ms,
                step,
            },
            run: "0f".into(),
            dataset: None,
        }
    }

    #[test]
    fn a_model_comes_back_as_it_was_logged() {
        let (_tmp, mut tracking) = tracking();
        let model = create(&mut tracking, &new(Some("net"))).unwrap();
        let hex = model.id.strip_prefix("m-").unwrap();
        assert!(hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(
            model,
            LoggedModel {
                id: model.id.clone(),
                experiment: ExperimentId(0),
                name: "net".into(),
                created_ms: 10,
                updated_ms: 10,
                artifact_uri: format!("mlflow-artifacts:/0/models/{}/artifacts", model.id),
                status: LoggedModelStatus::Pending,
                status_message: None,
                model_type: Some("keras".into()),
                source_run: Some("0f".into()),
                tags: vec![Tag::new("mlflow.user", "me")],
                params: vec![Tag::new("lr", "0.1")],
                metrics: vec![],
                registrations: vec![],
            }
        );
        assert_eq!(tracking.reader().logged_model(&model.id).unwrap(), model);
        let nameless = create(&mut tracking, &new(None)).unwrap();
        assert!(nameless.name.split('-').count() == 3, "{}", nameless.name);
        assert_ne!(nameless.id, model.id);
    }

    #[test]
    fn files_are_below_the_place_of_the_experiment() {
        let (_tmp, mut tracking) = tracking();
        let experiment = tracking
            .change(|w| w.create_experiment("far", Some("s3://bucket/x"), &[], 1))
            .unwrap();
        let asked = NewLoggedModel {
            experiment,
            ..new(Some("net"))
        };
        let model = create(&mut tracking, &asked).unwrap();
        assert_eq!(
            model.artifact_uri,
            format!("s3://bucket/x/models/{}/artifacts", model.id)
        );
        tracking
            .change(|w| w.delete_experiment(experiment, 2))
            .unwrap();
        refused(
            create(&mut tracking, &asked),
            Refusal::Invalid,
            &format!(
                "The experiment {experiment} must be in the 'active' state. Current state is \
                 deleted."
            ),
        );
        let nowhere = NewLoggedModel {
            experiment: ExperimentId(99),
            ..new(None)
        };
        refused(
            create(&mut tracking, &nowhere),
            Refusal::Missing,
            "No Experiment with id=99 exists",
        );
    }

    #[test]
    fn names_do_not_hold_what_references_are_made_of() {
        let (_tmp, mut tracking) = tracking();
        for name in ["", "a/b", "a:b", "a.b", "a%b", "a\"b", "a'b"] {
            refused(
                create(&mut tracking, &new(Some(name))),
                Refusal::Invalid,
                &format!(
                    "Invalid model name ('{name}') provided. Model name must be a non-empty string \
                     and cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\")"
                ),
            );
        }
        assert!(create(&mut tracking, &new(Some("größe 2"))).is_ok());
    }

    #[test]
    fn a_model_gets_ready_and_is_deleted() {
        let (_tmp, mut tracking) = tracking();
        let id = create(&mut tracking, &new(None)).unwrap().id;
        for (status, now) in [
            (LoggedModelStatus::Ready, 20),
            (LoggedModelStatus::UploadFailed, 21),
        ] {
            let model = tracking
                .change(|w| w.finish_logged_model(&id, status, now))
                .unwrap();
            assert_eq!((model.status, model.updated_ms), (status, now));
        }
        tracking.change(|w| w.delete_logged_model(&id, 30)).unwrap();
        let missing = format!("Logged model with ID '{id}' not found.");
        refused(
            tracking.reader().logged_model(&id),
            Refusal::Missing,
            &missing,
        );
        let tag = [Tag::new("a", "1")];
        type Work<'a> = &'a dyn Fn(&Writing<'_>) -> Result<(), Error>;
        let works: [Work<'_>; 6] = [
            &|w| {
                w.finish_logged_model(&id, LoggedModelStatus::Ready, 0)
                    .map(drop)
            },
            &|w| w.delete_logged_model(&id, 0),
            &|w| w.set_logged_model_tags(&id, &tag, 0),
            &|w| w.delete_logged_model_tag(&id, "a", 0),
            &|w| w.log_logged_model_params(&id, &tag),
            &|w| w.log_logged_model_metric(&id, &metric(0.5, 0, 0)),
        ];
        for work in works {
            refused(tracking.change(work), Refusal::Missing, &missing);
        }
    }

    #[test]
    fn tags_are_replaced_and_removed() {
        let (_tmp, mut tracking) = tracking();
        let id = create(&mut tracking, &new(None)).unwrap().id;
        let tags = [Tag::new("a", "1"), Tag::new("a", "2"), Tag::new("b", "")];
        tracking
            .change(|w| {
                w.set_logged_model_tags(&id, &tags, 20)?;
                w.delete_logged_model_tag(&id, "mlflow.user", 21)
            })
            .unwrap();
        let model = tracking.reader().logged_model(&id).unwrap();
        assert_eq!(model.tags, [Tag::new("a", "2"), Tag::new("b", "")]);
        assert_eq!(model.updated_ms, 21);
        refused(
            tracking.change(|w| w.delete_logged_model_tag(&id, "c", 22)),
            Refusal::Missing,
            &format!("No tag with key 'c' found for model with ID '{id}'."),
        );
        for bad in [Tag::new("", "1"), Tag::new("k".repeat(256), "1")] {
            assert!(
                tracking
                    .change(|w| w.set_logged_model_tags(&id, &[bad], 0))
                    .is_err()
            );
        }
    }

    #[test]
    fn params_keep_their_value() {
        let (_tmp, mut tracking) = tracking();
        let id = create(&mut tracking, &new(None)).unwrap().id;
        let params = [Tag::new("lr", "0.1"), Tag::new("epochs", "3")];
        tracking
            .change(|w| w.log_logged_model_params(&id, &params))
            .unwrap();
        refused(
            tracking.change(|w| {
                w.log_logged_model_params(&id, &[Tag::new("new", "1"), Tag::new("lr", "0.2")])
            }),
            Refusal::Invalid,
            &format!(
                "Changing param values is not allowed. Param with key='lr' was already logged with \
                 value='0.1' for model ID='{id}'. Attempted logging new value '0.2'."
            ),
        );
        let model = tracking.reader().logged_model(&id).unwrap();
        assert_eq!(
            model.params,
            [Tag::new("epochs", "3"), Tag::new("lr", "0.1")]
        );
        let twice = NewLoggedModel {
            params: vec![Tag::new("a", "1"), Tag::new("a", "2")],
            ..new(None)
        };
        assert!(create(&mut tracking, &twice).is_err());
    }

    #[test]
    fn of_a_metric_the_latest_is_kept() {
        let (_tmp, mut tracking) = tracking();
        let id = create(&mut tracking, &new(None)).unwrap().id;
        let mut log = |metric: ModelMetric| {
            tracking
                .change(|w| {
                    w.log_logged_model_metric(&id, &metric)?;
                    w.logged_model(&id)
                })
                .unwrap()
                .metrics
        };
        let latest = |metrics: Vec<ModelMetric>| {
            let point = &metrics[0].point;
            (point.value, point.step, point.at_ms)
        };
        assert!(log(metric(f64::NAN, 1, 5))[0].point.value.is_nan());
        assert_eq!(latest(log(metric(f64::NEG_INFINITY, 1, 5))).1, 1);
        // Time, then value decide within a step; an older step never.
        assert_eq!(latest(log(metric(0.5, 1, 5))), (0.5, 1, 5));
        assert_eq!(latest(log(metric(0.4, 1, 5))), (0.5, 1, 5));
        assert_eq!(latest(log(metric(0.1, 1, 6))), (0.1, 1, 6));
        assert_eq!(latest(log(metric(0.9, 0, 99))), (0.1, 1, 6));
        assert_eq!(latest(log(metric(0.2, 2, 0))), (0.2, 2, 0));
        let on = |name: &str, digest: &str, run: &str| ModelMetric {
            run: run.into(),
            dataset: Some((name.into(), digest.into())),
            ..metric(0.7, 0, 0)
        };
        log(on("test", "d1", "0f"));
        log(on("test", "d2", "0f"));
        let metrics = log(on("test", "d2", "1e"));
        let told: Vec<_> = metrics
            .iter()
            .map(|m| {
                (
                    m.dataset.as_ref().map(|(_, digest)| digest.as_str()),
                    m.run.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (None, "0f"),
                (Some("d1"), "0f"),
                (Some("d2"), "0f"),
                (Some("d2"), "1e")
            ]
        );
    }

    #[test]
    fn many_are_read_in_the_order_asked_for() {
        let (_tmp, mut tracking) = tracking();
        let ids: Vec<String> = (0..3)
            .map(|_| create(&mut tracking, &new(None)).unwrap().id)
            .collect();
        let asked = [ids[2].clone(), "m-none".into(), ids[0].clone()];
        let models = tracking.reader().logged_models_of(&asked).unwrap();
        let told: Vec<_> = models.iter().map(|m| m.id.clone()).collect();
        assert_eq!(told, [ids[2].clone(), ids[0].clone()]);
        assert!(
            models
                .iter()
                .all(|m| m.params.len() == 1 && m.tags.len() == 1)
        );
    }
}
