//! Writes down what comes from elsewhere, as it is: what the tables allow is taken even if no client
//! could log it. What is there already stays. Imports: base, entity, run, exchange, curve, rusqlite.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::ContentHash;
use crate::track::artifacts::{SCHEME, path_of_uri};
use crate::track::entity::{Experiment, ExperimentId, Lifecycle, ModelVersion, Tag};
use crate::track::error::Error;
use crate::track::exchange::{
    ImportedExperiment, ImportedFile, ImportedMetric, ImportedModel, ImportedRegistered,
    ImportedRun, ParamKind,
};

use super::records::NAME_TAG;
use super::{Reader, Tracking, Writing, curve, kept, signed};

/// What came of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    New,
    /// It was there already and stays as it was.
    Known,
}

/// What came of a registered model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutModel {
    /// Versions that are new.
    pub new: usize,
    /// Versions that were there already.
    pub known: usize,
    /// Versions whose numbers other versions have here.
    pub taken: Vec<i64>,
}

/// Returns below which URI the artifacts of a run are.
fn artifact_uri(experiment: &Experiment, owner: &str) -> String {
    // An experiment of another place keeps it for what clients upload; imported files are with us.
    let base = experiment.artifact_location.trim_end_matches('/');
    if base.starts_with(SCHEME) {
        format!("{base}/{owner}/artifacts")
    } else {
        format!("{SCHEME}{}/{owner}/artifacts", experiment.id)
    }
}

impl Tracking {
    /// Returns an empty record that is nowhere: what an import would find where there is none yet.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn in_memory() -> Result<Self, Error> {
        Self::open_at(PathBuf::from(":memory:"))
    }
}

impl Reader<'_> {
    /// Is there a run with this id, deleted or not?
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_run(&self, id: &str) -> Result<bool, Error> {
        self.row("SELECT 1 FROM runs WHERE id = ?1", &[&id], |_| Ok(()))
            .map(|found| found.is_some())
    }

    /// Is there a logged model with this id, deleted or not?
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_logged_model(&self, id: &str) -> Result<bool, Error> {
        let found = self.row("SELECT 1 FROM logged_models WHERE id = ?1", &[&id], |_| {
            Ok(())
        });
        found.map(|found| found.is_some())
    }

    /// Returns whether the experiment of this name is active, if there is one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn lifecycle_of_experiment(&self, name: &str) -> Result<Option<Lifecycle>, Error> {
        self.row(
            "SELECT lifecycle_stage FROM experiments WHERE name = ?1",
            &[&name],
            |row| row.get::<_, String>(0),
        )
        .map(|found| found.map(|word| Lifecycle::of_str(&word)))
    }

    /// Returns which versions of a registered model are new here.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn compare_registered(&self, model: &ImportedRegistered) -> Result<PutModel, Error> {
        let known: BTreeMap<i64, (i64, Option<String>)> = self
            .rows(
                "SELECT version, created_ms, run FROM model_versions WHERE model = ?1",
                &[&model.model.name],
                |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))),
            )?
            .into_iter()
            .collect();
        let mut put = PutModel::default();
        for version in &model.versions {
            match known.get(&version.version) {
                None => put.new += 1,
                Some(same) if *same == (version.created_ms, version.run.clone()) => put.known += 1,
                Some(_) => put.taken.push(version.version),
            }
        }
        Ok(put)
    }

    /// Returns below which URI the artifacts of a run or a logged model are.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn artifact_uri_of(&self, owner: &str) -> Result<Option<String>, Error> {
        if let Ok(id) = owner.parse() {
            return Ok(self.run_info(id).ok().map(|info| info.artifact_uri));
        }
        self.row(
            "SELECT artifact_uri FROM logged_models WHERE id = ?1",
            &[&owner],
            |row| row.get(0),
        )
    }
}

impl Writing<'_> {
    /// Records an experiment; of one that is there, tags that it lacks are added.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn import_experiment(&self, new: &ImportedExperiment) -> Result<Put, Error> {
        let added = self.execute(
            "INSERT INTO experiments (name, lifecycle_stage, created_ms, updated_ms)
             SELECT ?1, ?2, ?3, ?4
             WHERE NOT EXISTS (SELECT 1 FROM experiments WHERE name = ?1)",
            &[
                &new.name,
                &new.lifecycle.as_str(),
                &new.created_ms,
                &new.updated_ms,
            ],
        )?;
        for tag in &new.tags {
            self.execute(
                "INSERT OR IGNORE INTO experiment_tags (experiment, key, value)
                 SELECT id, ?2, ?3 FROM experiments WHERE name = ?1",
                &[&new.name, &tag.key, &tag.value],
            )?;
        }
        Ok(if added == 1 { Put::New } else { Put::Known })
    }

    /// Records a run with all that is known of it, its experiment too if there is none of the name.
    /// Its artifacts must be durable in the cache.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn import_run(&self, new: &ImportedRun) -> Result<Put, Error> {
        let id = new.id.to_string();
        if self.has_run(&id)? {
            return Ok(Put::Known);
        }
        let experiment = self.experiment_for(&new.experiment, new.started_ms)?;
        // A place with us is given, not taken: it could be that of another run.
        let uri = match &new.elsewhere {
            Some(uri) if !uri.starts_with(SCHEME) => uri.clone(),
            _ => artifact_uri(&experiment, &id),
        };
        let lock = match &new.lock {
            Some(text) => Some(self.put_lock(text)?),
            None => None,
        };
        let git = new.git.as_ref();
        self.execute(
            "INSERT INTO runs (id, experiment, name, parent, status, lifecycle_stage, deleted_ms,
                 started_ms, ended_ms, command, targets, git_commit, git_branch, git_dirty, lock,
                 user, artifact_uri)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            &[
                &id,
                &experiment.id.0,
                &new.name,
                &new.parent.map(|parent| parent.to_string()),
                &new.status.as_str(),
                &new.lifecycle.as_str(),
                &new.deleted_ms,
                &new.started_ms,
                &new.ended_ms,
                &new.command,
                &serde_json::json!(new.targets).to_string(),
                &git.map(|git| &git.commit),
                &git.and_then(|git| git.branch.as_ref()),
                &git.and_then(|git| git.dirty),
                &lock,
                &new.user,
                &uri,
            ],
        )?;
        let number = self.db.last_insert_rowid();
        self.put_imported_tags(number, new)?;
        for param in &new.params {
            self.execute(
                "INSERT OR REPLACE INTO params (run, name, file, key, value, typed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                &[
                    &number,
                    &param.name,
                    &param.file,
                    &param.key,
                    &param.value,
                    &(param.kind == ParamKind::Json),
                ],
            )?;
        }
        for metric in &new.metrics {
            self.put_imported_metric(number, experiment.id, metric)?;
        }
        self.put_stages(number, &new.stages)?;
        self.put_artifacts(number, &new.artifacts)?;
        if let Some(path) = path_of_uri(&uri) {
            self.put_imported_files(path, &new.files)?;
        }
        self.put_imported_inputs(number, experiment.id, new)?;
        Ok(Put::New)
    }

    fn put_imported_tags(&self, number: i64, new: &ImportedRun) -> Result<(), Error> {
        let name = Tag::new(NAME_TAG, &new.name);
        // A tag of its own is later and stays.
        for tag in std::iter::once(&name).chain(&new.tags) {
            self.execute(
                "INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)",
                &[&number, &tag.key, &tag.value],
            )?;
        }
        Ok(())
    }

    fn put_imported_metric(
        &self,
        number: i64,
        experiment: ExperimentId,
        metric: &ImportedMetric,
    ) -> Result<(), Error> {
        let last = &metric.last;
        // The last row of a name wins; its points replace those of the one before.
        self.execute(
            "DELETE FROM metrics WHERE run = ?1 AND name = ?2",
            &[&number, &metric.name],
        )?;
        self.execute(
            "INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &[
                &number,
                &experiment.0,
                &metric.name,
                &metric.file,
                &metric.key,
                &kept(last.value),
                &last.step,
                &last.at_ms,
            ],
        )?;
        let id = self.db.last_insert_rowid();
        for point in &metric.points {
            let value = kept(point.value);
            self.execute(
                "INSERT OR IGNORE INTO points (metric, step, at_ms, value, is_number)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                &[
                    &id,
                    &point.step,
                    &point.at_ms,
                    &value.unwrap_or(0.0),
                    &value.is_some(),
                ],
            )?;
        }
        if !metric.curve.is_empty() {
            let bytes = curve::to_bytes(&metric.curve);
            let hash = ContentHash::of(&bytes);
            self.execute(
                "INSERT INTO curves (hash, points) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
                &[&hash.as_bytes(), &bytes],
            )?;
            self.execute(
                "UPDATE metrics SET curve = (SELECT id FROM curves WHERE hash = ?2) WHERE id = ?1",
                &[&id, &hash.as_bytes()],
            )?;
        }
        Ok(())
    }

    fn put_imported_files(&self, below: &str, files: &[ImportedFile]) -> Result<(), Error> {
        for file in files {
            self.execute(
                "INSERT OR REPLACE INTO artifact_files (path, object, size, modified_ms)
                 VALUES (?1, ?2, ?3, ?4)",
                &[
                    &format!("{below}/{}", file.path),
                    &file.object.to_string(),
                    &signed(file.size),
                    &file.modified_ms,
                ],
            )?;
        }
        Ok(())
    }

    fn put_imported_inputs(
        &self,
        number: i64,
        experiment: ExperimentId,
        new: &ImportedRun,
    ) -> Result<(), Error> {
        for (place, input) in (0_i64..).zip(&new.datasets) {
            let dataset = self.put_dataset(experiment.0, &input.dataset)?;
            self.execute(
                "INSERT OR IGNORE INTO inputs (run, dataset, place) VALUES (?1, ?2, ?3)",
                &[&number, &dataset, &place],
            )?;
            for tag in &input.tags {
                self.execute(
                    "INSERT OR REPLACE INTO input_tags (run, dataset, key, value)
                     VALUES (?1, ?2, ?3, ?4)",
                    &[&number, &dataset, &tag.key, &tag.value],
                )?;
            }
        }
        for model in &new.model_inputs {
            self.execute(
                "INSERT OR IGNORE INTO model_inputs (run, model) VALUES (?1, ?2)",
                &[&number, model],
            )?;
        }
        for output in &new.model_outputs {
            self.execute(
                "INSERT OR REPLACE INTO model_outputs (run, model, step) VALUES (?1, ?2, ?3)",
                &[&number, &output.model, &output.step],
            )?;
        }
        Ok(())
    }

    /// Finds an experiment by its name, or makes it.
    fn experiment_for(&self, name: &str, now_ms: i64) -> Result<Experiment, Error> {
        self.make_experiment(name, now_ms)?;
        self.experiment_by_name(name)
    }

    /// Records a logged model. Its files must be durable in the cache.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn import_logged_model(&self, new: &ImportedModel) -> Result<Put, Error> {
        let model = &new.model;
        if self.has_logged_model(&model.id)? {
            return Ok(Put::Known);
        }
        let experiment = self.experiment_for(&new.experiment, model.created_ms)?;
        let uri = if model.artifact_uri.is_empty() || model.artifact_uri.starts_with(SCHEME) {
            artifact_uri(&experiment, &format!("models/{}", model.id))
        } else {
            model.artifact_uri.clone()
        };
        self.execute(
            "INSERT INTO logged_models (id, experiment, name, created_ms, updated_ms, artifact_uri,
                 status, status_message, model_type, source_run, lifecycle_stage, deleted_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            &[
                &model.id,
                &experiment.id.0,
                &model.name,
                &model.created_ms,
                &model.updated_ms,
                &uri,
                &model.status.as_str(),
                &model.status_message,
                &model.model_type,
                &model.source_run,
                &new.lifecycle.as_str(),
                &new.deleted_ms,
            ],
        )?;
        for (table, tags) in [
            ("logged_model_tags", &model.tags),
            ("logged_model_params", &model.params),
        ] {
            let sql =
                format!("INSERT OR REPLACE INTO {table} (model, key, value) VALUES (?1, ?2, ?3)");
            for tag in tags {
                self.execute(&sql, &[&model.id, &tag.key, &tag.value])?;
            }
        }
        for metric in &model.metrics {
            let (name, digest) = metric.dataset.clone().unwrap_or_default();
            let point = &metric.point;
            self.execute(
                "INSERT OR REPLACE INTO logged_model_metrics
                     (model, name, dataset_name, dataset_digest, run, value, step, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                &[
                    &model.id,
                    &point.name,
                    &name,
                    &digest,
                    &metric.run,
                    &kept(point.value),
                    &point.step,
                    &point.at_ms,
                ],
            )?;
        }
        if let Some(path) = path_of_uri(&uri) {
            self.put_imported_files(path, &new.files)?;
        }
        Ok(Put::New)
    }

    /// Records a registered model. Of one that is there, versions that it lacks are added; a version
    /// whose number another one has here is left out.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn import_registered(&self, new: &ImportedRegistered) -> Result<PutModel, Error> {
        let put = self.compare_registered(new)?;
        let model = &new.model;
        self.execute(
            "INSERT INTO registered_models (name, created_ms, updated_ms, description)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO NOTHING",
            &[
                &model.name,
                &model.created_ms,
                &model.updated_ms,
                &model.description,
            ],
        )?;
        for tag in &model.tags {
            self.execute(
                "INSERT OR IGNORE INTO registered_model_tags (model, key, value)
                 VALUES (?1, ?2, ?3)",
                &[&model.name, &tag.key, &tag.value],
            )?;
        }
        let last = new.versions.iter().map(|version| version.version).max();
        for version in &new.versions {
            if !put.taken.contains(&version.version) {
                self.put_imported_version(&model.name, version)?;
            }
        }
        self.execute(
            "UPDATE registered_models SET last_version = max(last_version, ?2) WHERE name = ?1",
            &[&model.name, &last.unwrap_or(0)],
        )?;
        for (alias, version) in &model.aliases {
            // It may name a version that is left out, or none at all.
            if !put.taken.contains(version) {
                self.execute(
                    "INSERT OR IGNORE INTO aliases (model, alias, version)
                     SELECT model, ?2, version FROM model_versions
                     WHERE model = ?1 AND version = ?3",
                    &[&model.name, alias, version],
                )?;
            }
        }
        Ok(put)
    }

    fn put_imported_version(&self, model: &str, version: &ModelVersion) -> Result<(), Error> {
        let added = self.execute(
            "INSERT OR IGNORE INTO model_versions (model, version, created_ms, updated_ms,
                 description, source, storage, run, run_link, logged_model, status, stage)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            &[
                &model,
                &version.version,
                &version.created_ms,
                &version.updated_ms,
                &version.description,
                &version.source,
                &version.storage,
                &version.run,
                &version.run_link,
                &version.logged_model,
                &version.status,
                &version.stage,
            ],
        )?;
        if added == 1 {
            for tag in &version.tags {
                self.execute(
                    "INSERT OR IGNORE INTO model_version_tags (model, version, key, value)
                     VALUES (?1, ?2, ?3, ?4)",
                    &[&model, &version.version, &tag.key, &tag.value],
                )?;
            }
        }
        Ok(())
    }
}
