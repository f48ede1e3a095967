//! Versions of registered models: where they come from, where their files are, in which stage they
//! are. Imports: entity, error, registry, source, validate, rusqlite.

use rusqlite::Row;

use crate::track::artifacts;
use crate::track::entity::{LoggedModel, ModelVersion, Tag};
use crate::track::error::{Error, Refusal};
use crate::track::registry::{self, ARCHIVED, Others};
use crate::track::source::{self, Source, Which};
use crate::track::validate;

use super::listed::Listed;
use super::{Reader, Writing};

/// Columns that `version` reads.
const COLUMNS: &str = "v.model, v.version, v.created_ms, v.updated_ms, v.description, v.source, \
                       v.storage, v.run, v.run_link, v.logged_model, v.status, v.stage";

/// How clients write sources of prompts, which have no files.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// A version that is to be made.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// The registered model.
    pub name: String,
    /// Where its files are: `mlflow-artifacts:/…`, `runs:/ID/…`, `models:/…`, a path, another URI.
    pub source: String,
    /// The run that made it; needed for files of a run unless `source` names it.
    pub run: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// A link to that run elsewhere.
    pub run_link: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// The logged model it is.
    pub logged_model: Option<String>,
}

/// Where a version comes from, as it is recorded.
struct Origin {
    source: String,
    storage: String,
    run: Option<String>,
    logged_model: Option<String>,
}

fn no_version(name: &str, version: i64) -> Error {
    Error::missing(format!(
        "Model Version (name={name}, version={version}) not found"
    ))
}

/// Reads a version without tags and aliases.
fn version(row: &Row<'_>, from: usize) -> rusqlite::Result<ModelVersion> {
    Ok(ModelVersion {
        name: row.get(from)?,
        version: row.get(from + 1)?,
        created_ms: row.get(from + 2)?,
        updated_ms: row.get(from + 3)?,
        description: row.get(from + 4)?,
        source: row.get(from + 5)?,
        storage: row.get(from + 6)?,
        run: row.get(from + 7)?,
        run_link: row.get(from + 8)?,
        logged_model: row.get(from + 9)?,
        status: row.get(from + 10)?,
        stage: row.get(from + 11)?,
        tags: Vec::new(),
        aliases: Vec::new(),
    })
}

/// Clients send an empty text for what they do not have.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

impl Reader<'_> {
    /// Returns a version.
    ///
    /// # Errors
    /// There is none, or the name is none.
    pub fn model_version(&self, name: &str, version: i64) -> Result<ModelVersion, Error> {
        registry::check_name(name, "name")?;
        let mut found = self.model_versions_of(&[(name.to_owned(), version)])?;
        found.pop().ok_or_else(|| no_version(name, version))
    }

    /// Returns these versions in this order; those that do not exist are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn model_versions_of(&self, keys: &[(String, i64)]) -> Result<Vec<ModelVersion>, Error> {
        // Each statement takes the keys one after the other and looks up what belongs to them.
        const MODEL: &str = "json_extract(j.value, '$[0]')";
        const NUMBER: &str = "json_extract(j.value, '$[1]')";
        let sql = format!(
            "SELECT j.key, {COLUMNS} FROM json_each(?1) j
             CROSS JOIN model_versions v ON v.model = {MODEL} AND v.version = {NUMBER}
             ORDER BY j.key"
        );
        let mut versions = Listed::read(*self, keys, &sql, |row| version(row, 1))?;
        let sql = format!(
            "SELECT j.key, t.key, t.value FROM json_each(?1) j
             CROSS JOIN model_version_tags t ON t.model = {MODEL} AND t.version = {NUMBER}
             ORDER BY j.key, t.key"
        );
        versions.add(&sql, |version, row| {
            let (key, value): (String, String) = (row.get(1)?, row.get(2)?);
            version.tags.push(Tag::new(key, value));
            Ok(())
        })?;
        let sql = format!(
            "SELECT j.key, a.alias FROM json_each(?1) j
             CROSS JOIN aliases a ON a.model = {MODEL} AND a.version = {NUMBER}
             ORDER BY j.key, a.alias"
        );
        versions.add(&sql, |version, row| {
            version.aliases.push(row.get(1)?);
            Ok(())
        })?;
        Ok(versions.into_items())
    }

    /// Returns all versions of a registered model, the highest first.
    ///
    /// # Errors
    /// There is no such model.
    pub fn versions_of(&self, name: &str) -> Result<Vec<ModelVersion>, Error> {
        registry::check_name(name, "name")?;
        self.check_model(name)?;
        let keys = self.rows(
            "SELECT model, version FROM model_versions WHERE model = ?1 ORDER BY version DESC",
            &[&name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.model_versions_of(&keys)
    }

    /// Returns the version that a reference names: `models:/NAME/VERSION`, `models:/NAME/STAGE`,
    /// `models:/NAME/latest`, `models:/NAME@ALIAS`.
    ///
    /// # Errors
    /// It names none, or is no reference to a version.
    pub fn referenced_version(&self, reference: &str) -> Result<ModelVersion, Error> {
        match source::parse(reference)? {
            Source::Version { name, which } => self.chosen(name, which),
            Source::Run { .. }
            | Source::LoggedModel(_)
            | Source::Proxied
            | Source::Local
            | Source::Elsewhere => Err(Error::invalid(format!(
                "`{reference}` does not name a version of a registered model"
            ))),
        }
    }

    fn chosen(&self, name: &str, which: Which<'_>) -> Result<ModelVersion, Error> {
        match which {
            Which::Number(version) => self.model_version(name, version),
            Which::Alias(alias) => self.version_by_alias(name, alias),
            Which::Latest => self.version_by_alias(name, registry::LATEST),
            Which::Stage(text) => {
                let mut latest = self.latest_versions(name, &[text.to_owned()])?;
                latest.pop().ok_or_else(|| {
                    Error::missing(format!(
                        "No versions of model with name '{name}' and stage '{text}' found"
                    ))
                })
            }
        }
    }

    /// Returns where the files of a source are: `mlflow-artifacts:/…`, a path, or another URI, with
    /// `runs:/` and `models:/` resolved.
    ///
    /// # Errors
    /// What it refers to does not exist, or it is no source.
    pub fn storage_of(&self, source: &str) -> Result<String, Error> {
        match source::parse(source)? {
            Source::Run { id, path } => self.storage_in_run(id, path),
            Source::LoggedModel(id) => Ok(self.logged_model(id)?.artifact_uri),
            Source::Version { name, which } => Ok(self.chosen(name, which)?.storage),
            Source::Proxied | Source::Local | Source::Elsewhere => Ok(source.to_owned()),
        }
    }

    fn storage_in_run(&self, id: &str, path: &str) -> Result<String, Error> {
        let run = self.run_info(validate::run_id(id)?)?;
        if path.is_empty() {
            return Ok(run.artifact_uri);
        }
        let inside = format!("{}/{path}", run.artifact_uri);
        // MLflow 3 keeps the files of a model that a run logs beside the run's own, and calls them
        // by the path that they had before.
        let logged = self.row(
            "SELECT artifact_uri FROM logged_models
             WHERE source_run = ?1 AND name = ?2 AND lifecycle_stage = 'active'
             ORDER BY created_ms DESC, id LIMIT 1",
            &[&id, &path],
            |row| row.get(0),
        )?;
        match logged {
            Some(uri) if !self.has_uploads(&inside)? => Ok(uri),
            Some(_) | None => Ok(inside),
        }
    }

    /// Was anything uploaded to `uri` or below?
    fn has_uploads(&self, uri: &str) -> Result<bool, Error> {
        let Some(path) = artifacts::path_of_uri(uri) else {
            return Ok(false);
        };
        Ok(self.upload(path)?.is_some() || !self.uploads_in(path)?.is_empty())
    }

    /// Fails unless there is such a version.
    pub(super) fn check_version(&self, name: &str, version: i64) -> Result<(), Error> {
        self.row(
            "SELECT 1 FROM model_versions WHERE model = ?1 AND version = ?2",
            &[&name, &version],
            |_| Ok(()),
        )?
        .ok_or_else(|| no_version(name, version))
    }

    /// Checks where a version is said to come from, and fills in what follows from it.
    fn origin(&self, new: &NewVersion) -> Result<Origin, Error> {
        let text = new.source.as_str();
        let (run, model) = (given(new.run.as_ref()), given(new.logged_model.as_ref()));
        let plain = |storage: String, run: Option<&str>, model: Option<&str>| Origin {
            source: text.to_owned(),
            storage,
            run: run.map(str::to_owned),
            logged_model: model.map(str::to_owned),
        };
        if registry::is_prompt(&new.tags) {
            if !PROMPT_SOURCES.contains(&text) {
                return Err(Error::invalid(format!(
                    "Invalid prompt source: '{text}'. Prompt sources must use an MLflow placeholder."
                )));
            }
            return Ok(plain(text.to_owned(), run, model));
        }
        let form = source::parse(text)?;
        match (form, model) {
            (Source::Version { name, which }, _) => {
                let of = self.chosen(name, which)?;
                let is_same = |asked: Option<&str>, known: &Option<String>| {
                    asked.is_none() || asked == known.as_deref()
                };
                if !is_same(run, &of.run) || !is_same(model, &of.logged_model) {
                    return Err(Error::invalid(format!(
                        "Invalid model version source: '{text}'. The run_id and model_id request \
                         parameters must match the referenced model version."
                    )));
                }
                Ok(Origin {
                    // An alias may name another version tomorrow.
                    source: format!("models:/{}/{}", of.name, of.version),
                    storage: of.storage,
                    run: of.run,
                    logged_model: of.logged_model,
                })
            }
            (Source::LoggedModel(id), _) if model.is_none_or(|model| model == id) => {
                let of = self.source_model(id, text)?;
                let run = run.or(of.source_run.as_deref());
                Ok(plain(of.artifact_uri.clone(), run, Some(id)))
            }
            (form, Some(id)) => {
                let of = self.source_model(id, text)?;
                let run = run.or(of.source_run.as_deref());
                check_inside(text, form, &of.artifact_uri, "model_id")?;
                Ok(plain(text.to_owned(), run, Some(id)))
            }
            (Source::Run { id, path }, None) => {
                if run.is_some_and(|run| run != id) {
                    return Err(source::elsewhere(text, "run_id"));
                }
                Ok(plain(self.storage_in_run(id, path)?, Some(id), None))
            }
            (Source::Elsewhere, None) => Ok(plain(text.to_owned(), run, None)),
            (form, None) => {
                let root = run.map(|run| self.artifacts_of_source_run(run));
                let root = root.transpose()?.flatten().unwrap_or_default();
                check_inside(text, form, &root, "run_id")?;
                Ok(plain(text.to_owned(), run, None))
            }
        }
    }

    fn source_model(&self, id: &str, source: &str) -> Result<LoggedModel, Error> {
        self.logged_model(id).map_err(|error| match error {
            Error::Refused {
                why: Refusal::Missing,
                ..
            } => source::elsewhere(source, "model_id"),
            other => other,
        })
    }

    /// Returns where artifacts of a run are; `None` if there is no such run.
    fn artifacts_of_source_run(&self, run: &str) -> Result<Option<String>, Error> {
        let info = validate::run_id(run).and_then(|id| self.run_info(id));
        match info {
            Ok(info) => Ok(Some(info.artifact_uri)),
            Err(Error::Refused {
                why: Refusal::Missing,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Fails unless a source is inside of what the request names in `field`, whose files are in `root`.
fn check_inside(text: &str, form: Source<'_>, root: &str, field: &str) -> Result<(), Error> {
    match form {
        Source::Elsewhere => Ok(()),
        Source::Local if source::is_within_folder(text, root) => Ok(()),
        Source::Local => Err(source::local(text, field)),
        Source::Proxied if source::is_within(text, root) => Ok(()),
        Source::Proxied | Source::Run { .. } | Source::LoggedModel(_) | Source::Version { .. } => {
            Err(source::elsewhere(text, field))
        }
    }
}

impl Writing<'_> {
    /// Makes a version of a registered model, ready at once. Its number is one more than that of any
    /// version that the model ever had.
    ///
    /// # Errors
    /// There is no such model; the source cannot be or is not what run and logged model say; a tag
    /// cannot be.
    pub fn create_model_version(
        &self,
        new: &NewVersion,
        now_ms: i64,
    ) -> Result<ModelVersion, Error> {
        let name = new.name.as_str();
        registry::check_name(name, "name")?;
        registry::check_tags(&new.tags)?;
        let origin = self.origin(new)?;
        self.check_model(name)?;
        self.execute(
            "UPDATE registered_models SET last_version = 1 + max(last_version, coalesce(
                 (SELECT max(version) FROM model_versions WHERE model = ?1), 0)), updated_ms = ?2
             WHERE name = ?1",
            &[&name, &now_ms],
        )?;
        self.execute(
            "INSERT INTO model_versions (model, version, created_ms, updated_ms, description,
                                         source, storage, run, run_link, logged_model)
             SELECT name, last_version, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8
             FROM registered_models WHERE name = ?1",
            &[
                &name,
                &now_ms,
                &new.description,
                &origin.source,
                &origin.storage,
                &origin.run,
                &new.run_link,
                &origin.logged_model,
            ],
        )?;
        let version = self.row(
            "SELECT last_version FROM registered_models WHERE name = ?1",
            &[&name],
            |row| row.get(0),
        )?;
        let version = version.unwrap_or_default();
        for tag in &new.tags {
            self.put_version_tag(name, version, tag)?;
        }
        self.model_version(name, version)
    }

    /// Changes the description of a version.
    ///
    /// # Errors
    /// There is no such version.
    pub fn update_model_version(
        &self,
        name: &str,
        version: i64,
        description: Option<&str>,
        now_ms: i64,
    ) -> Result<ModelVersion, Error> {
        registry::check_name(name, "name")?;
        self.check_version(name, version)?;
        self.execute(
            "UPDATE model_versions SET description = ?3, updated_ms = ?4
             WHERE model = ?1 AND version = ?2",
            &[&name, &version, &description, &now_ms],
        )?;
        self.model_version(name, version)
    }

    /// Puts a version in a stage, which may be written in any case. `archive`: versions that are in
    /// this stage are archived.
    ///
    /// # Errors
    /// There is no such version or stage; others are to be archived and it is no stage for that.
    pub fn transition_stage(
        &self,
        name: &str,
        version: i64,
        stage: &str,
        archive: bool,
        now_ms: i64,
    ) -> Result<ModelVersion, Error> {
        let stage = registry::stage(stage)?;
        let others = if archive {
            Others::Archive
        } else {
            Others::Stay
        };
        registry::check_others(stage, others)?;
        registry::check_name(name, "name")?;
        self.check_version(name, version)?;
        if others == Others::Archive {
            self.execute(
                "UPDATE model_versions SET stage = ?4, updated_ms = ?5
                 WHERE model = ?1 AND version <> ?2 AND stage = ?3",
                &[&name, &version, &stage, &ARCHIVED, &now_ms],
            )?;
        }
        self.execute(
            "UPDATE model_versions SET stage = ?3, updated_ms = ?4
             WHERE model = ?1 AND version = ?2",
            &[&name, &version, &stage, &now_ms],
        )?;
        self.touch_model(name, now_ms)?;
        self.model_version(name, version)
    }

    /// Removes a version with its aliases and tags; its number is not used again. Files stay where
    /// they are.
    ///
    /// # Errors
    /// There is no such version.
    pub fn delete_model_version(&self, name: &str, version: i64, now_ms: i64) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        self.check_version(name, version)?;
        self.execute(
            "DELETE FROM model_versions WHERE model = ?1 AND version = ?2",
            &[&name, &version],
        )?;
        self.touch_model(name, now_ms)
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// There is no such version, or the tag cannot be.
    pub fn set_model_version_tag(
        &self,
        name: &str,
        version: i64,
        key: &str,
        value: &str,
    ) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        registry::check_tag(key, value)?;
        self.check_version(name, version)?;
        self.put_version_tag(name, version, &Tag::new(key, value))
    }

    fn put_version_tag(&self, name: &str, version: i64, tag: &Tag) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO model_version_tags (model, version, key, value)
             VALUES (?1, ?2, ?3, ?4)",
            &[&name, &version, &tag.key, &tag.value],
        )?;
        Ok(())
    }

    /// Removes a tag of a version; that it has none is fine, as in MLflow.
    ///
    /// # Errors
    /// There is no such version, or the key cannot be.
    pub fn delete_model_version_tag(
        &self,
        name: &str,
        version: i64,
        key: &str,
    ) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        registry::check_tag(key, "")?;
        self.check_version(name, version)?;
        self.execute(
            "DELETE FROM model_version_tags WHERE model = ?1 AND version = ?2 AND key = ?3",
            &[&name, &version, &key],
        )?;
        Ok(())
    }
}
