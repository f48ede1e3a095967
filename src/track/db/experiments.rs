//! Experiments. Imports: base, entity, validate, rusqlite.

use rusqlite::Row;

use crate::track::entity::{Experiment, ExperimentId, Lifecycle, Tag};
use crate::track::error::Error;
use crate::track::validate;

use super::{Reader, Writing};

/// Columns that `experiment` reads.
const COLUMNS: &str =
    "e.id, e.name, e.artifact_location, e.lifecycle_stage, e.created_ms, e.updated_ms";

/// Below which URI artifacts of an experiment are, unless it was given another place.
fn default_location(id: i64) -> String {
    format!("mlflow-artifacts:/{id}")
}

fn experiment(row: &Row<'_>, from: usize) -> rusqlite::Result<Experiment> {
    let id: i64 = row.get(from)?;
    let location: Option<String> = row.get(from + 2)?;
    let lifecycle: String = row.get(from + 3)?;
    Ok(Experiment {
        id: ExperimentId(id),
        name: row.get(from + 1)?,
        artifact_location: location.unwrap_or_else(|| default_location(id)),
        lifecycle: Lifecycle::of_str(&lifecycle),
        created_ms: row.get(from + 4)?,
        updated_ms: row.get(from + 5)?,
        tags: Vec::new(),
    })
}

fn no_experiment(id: ExperimentId) -> Error {
    Error::missing(format!("No Experiment with id={id} exists"))
}

impl Reader<'_> {
    /// Returns an experiment, deleted or not.
    ///
    /// # Errors
    /// There is none.
    pub fn experiment(&self, id: ExperimentId) -> Result<Experiment, Error> {
        let mut found = self.experiments_of(&[id])?;
        found.pop().ok_or_else(|| no_experiment(id))
    }

    /// Returns the experiment of this name, deleted or not.
    ///
    /// # Errors
    /// There is none.
    pub fn experiment_by_name(&self, name: &str) -> Result<Experiment, Error> {
        let id = self.row(
            "SELECT id FROM experiments WHERE name = ?1",
            &[&name],
            |row| row.get(0).map(ExperimentId),
        )?;
        match id {
            Some(id) => self.experiment(id),
            None => Err(Error::missing(format!(
                "Could not find experiment with name '{name}'"
            ))),
        }
    }

    /// Returns these experiments in this order; those that do not exist are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiments_of(&self, ids: &[ExperimentId]) -> Result<Vec<Experiment>, Error> {
        let list = serde_json::json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string();
        let sql = format!(
            "SELECT {COLUMNS} FROM json_each(?1) j CROSS JOIN experiments e ON e.id = j.value
             ORDER BY j.key"
        );
        let mut found = self.rows(&sql, &[&list], |row| experiment(row, 0))?;
        for one in &mut found {
            one.tags = self.rows(
                "SELECT key, value FROM experiment_tags WHERE experiment = ?1 ORDER BY key",
                &[&one.id.0],
                tag,
            )?;
        }
        Ok(found)
    }
}

/// Reads a key and a text from the first two columns.
pub(super) fn tag(row: &Row<'_>) -> rusqlite::Result<Tag> {
    Ok(Tag {
        key: row.get(0)?,
        value: row.get(1)?,
    })
}

impl Writing<'_> {
    /// Creates an experiment.
    ///
    /// # Errors
    /// Its name is taken, also by a deleted one; name or tags are too long.
    pub fn create_experiment(
        &self,
        name: &str,
        artifact_location: Option<&str>,
        tags: &[Tag],
        now_ms: i64,
    ) -> Result<ExperimentId, Error> {
        validate::check_experiment_name(name)?;
        self.name_is_free(name)?;
        let location = artifact_location.map(|location| location.trim_end_matches('/'));
        self.execute(
            "INSERT INTO experiments (name, artifact_location, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?3)",
            &[&name, &location.filter(|l| !l.is_empty()), &now_ms],
        )?;
        let id = ExperimentId(self.db.last_insert_rowid());
        for tag in tags {
            self.put_experiment_tag(id, &tag.key, &tag.value)?;
        }
        Ok(id)
    }

    /// Makes an experiment of this name, if there is none: an `ON CONFLICT` would use up a number each
    /// time it found one.
    pub(super) fn make_experiment(&self, name: &str, now_ms: i64) -> Result<(), Error> {
        self.execute(
            "INSERT INTO experiments (name, created_ms, updated_ms)
             SELECT ?1, ?2, ?2 WHERE NOT EXISTS (SELECT 1 FROM experiments WHERE name = ?1)",
            &[&name, &now_ms],
        )?;
        Ok(())
    }

    fn name_is_free(&self, name: &str) -> Result<(), Error> {
        let taken = self.row(
            "SELECT 1 FROM experiments WHERE name = ?1",
            &[&name],
            |_| Ok(()),
        )?;
        match taken {
            None => Ok(()),
            Some(()) => Err(Error::exists(format!(
                "Experiment(name={name}) already exists."
            ))),
        }
    }

    /// Fails unless the experiment is there and active.
    pub(super) fn check_active_experiment(&self, id: ExperimentId) -> Result<(), Error> {
        let lifecycle = self.row(
            "SELECT lifecycle_stage FROM experiments WHERE id = ?1",
            &[&id.0],
            |row| row.get::<_, String>(0),
        )?;
        match lifecycle.as_deref() {
            None => Err(no_experiment(id)),
            Some("active") => Ok(()),
            Some(lifecycle) => Err(Error::invalid(format!(
                "The experiment {id} must be in the 'active' state. Current state is {lifecycle}."
            ))),
        }
    }

    /// Gives an experiment another name.
    ///
    /// # Errors
    /// There is none, it is deleted, or the name is taken.
    pub fn rename_experiment(
        &self,
        id: ExperimentId,
        name: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        validate::check_experiment_name(name)?;
        if self.experiment(id)?.lifecycle == Lifecycle::Deleted {
            return Err(Error::invalid("Cannot rename a non-active experiment."));
        }
        let same = self.row(
            "SELECT 1 FROM experiments WHERE id = ?1 AND name = ?2",
            &[&id.0, &name],
            |_| Ok(()),
        )?;
        if same.is_none() {
            self.name_is_free(name)?;
        }
        self.execute(
            "UPDATE experiments SET name = ?2, updated_ms = ?3 WHERE id = ?1",
            &[&id.0, &name, &now_ms],
        )
        .map(drop)
    }

    /// Deletes an experiment with its runs; both can be restored.
    ///
    /// # Errors
    /// There is none, or it is deleted already.
    pub fn delete_experiment(&self, id: ExperimentId, now_ms: i64) -> Result<(), Error> {
        let changed = self.execute(
            "UPDATE experiments SET lifecycle_stage = 'deleted', updated_ms = ?2
             WHERE id = ?1 AND lifecycle_stage = 'active'",
            &[&id.0, &now_ms],
        )?;
        if changed == 0 {
            return Err(no_experiment(id));
        }
        self.execute(
            "UPDATE runs SET lifecycle_stage = 'deleted', deleted_ms = ?2
             WHERE experiment = ?1 AND lifecycle_stage = 'active'",
            &[&id.0, &now_ms],
        )
        .map(drop)
    }

    /// Restores a deleted experiment with its runs.
    ///
    /// # Errors
    /// There is none that is deleted.
    pub fn restore_experiment(&self, id: ExperimentId, now_ms: i64) -> Result<(), Error> {
        let changed = self.execute(
            "UPDATE experiments SET lifecycle_stage = 'active', updated_ms = ?2
             WHERE id = ?1 AND lifecycle_stage = 'deleted'",
            &[&id.0, &now_ms],
        )?;
        if changed == 0 {
            return Err(no_experiment(id));
        }
        self.execute(
            "UPDATE runs SET lifecycle_stage = 'active', deleted_ms = NULL WHERE experiment = ?1",
            &[&id.0],
        )
        .map(drop)
    }

    /// Sets a tag of an experiment.
    ///
    /// # Errors
    /// There is none that is active, or key or value are not ones that can be.
    pub fn set_experiment_tag(
        &self,
        id: ExperimentId,
        key: &str,
        value: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.check_active_experiment(id)?;
        self.put_experiment_tag(id, key, value)?;
        self.touch_experiment(id, now_ms)
    }

    fn put_experiment_tag(&self, id: ExperimentId, key: &str, value: &str) -> Result<(), Error> {
        validate::check_key(key, "key")?;
        validate::check_length("value", validate::EXPERIMENT_TAG_VALUE_CHARS_MAX, value)?;
        self.execute(
            "INSERT OR REPLACE INTO experiment_tags (experiment, key, value) VALUES (?1, ?2, ?3)",
            &[&id.0, &key, &value],
        )
        .map(drop)
    }

    /// Removes a tag of an experiment.
    ///
    /// # Errors
    /// There is no such experiment or tag.
    pub fn delete_experiment_tag(
        &self,
        id: ExperimentId,
        key: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.check_active_experiment(id)?;
        let removed = self.execute(
            "DELETE FROM experiment_tags WHERE experiment = ?1 AND key = ?2",
            &[&id.0, &key],
        )?;
        if removed == 0 {
            return Err(Error::missing(format!(
                "No tag with name: {key} in experiment with id {id}"
            )));
        }
        self.touch_experiment(id, now_ms)
    }

    fn touch_experiment(&self, id: ExperimentId, now_ms: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE experiments SET updated_ms = ?2 WHERE id = ?1",
            &[&id.0, &now_ms],
        )
        .map(drop)
    }
}
