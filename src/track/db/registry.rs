//! Registered models: names under which versions of models are known, with aliases that point to
//! versions. `versions.rs` has the versions, `track::registry` the rules. Imports: entity, error,
//! registry, rusqlite.

use rusqlite::Row;

use crate::track::entity::{ModelVersion, RegisteredModel, Tag};
use crate::track::error::Error;
use crate::track::registry::{self, LATEST};

use super::listed::Listed;
use super::{Reader, Writing};

fn no_model(name: &str) -> Error {
    Error::missing(format!("Registered Model with name={name} not found"))
}

/// Reads a name and a number.
fn named(row: &Row<'_>) -> rusqlite::Result<(String, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}

impl Reader<'_> {
    /// Returns a registered model.
    ///
    /// # Errors
    /// There is none, or the name is none.
    pub fn registered_model(&self, name: &str) -> Result<RegisteredModel, Error> {
        registry::check_name(name, "name")?;
        let mut found = self.registered_models_of(&[name.to_owned()])?;
        found.pop().ok_or_else(|| no_model(name))
    }

    /// Returns these registered models in this order; those that do not exist are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn registered_models_of(&self, names: &[String]) -> Result<Vec<RegisteredModel>, Error> {
        let mut models = Listed::read(
            *self,
            names,
            "SELECT j.key, m.name, m.created_ms, m.updated_ms, m.description
             FROM json_each(?1) j CROSS JOIN registered_models m ON m.name = j.value
             ORDER BY j.key",
            |row| {
                Ok(RegisteredModel {
                    name: row.get(1)?,
                    created_ms: row.get(2)?,
                    updated_ms: row.get(3)?,
                    description: row.get(4)?,
                    latest: Vec::new(),
                    tags: Vec::new(),
                    aliases: Vec::new(),
                })
            },
        )?;
        models.add(
            "SELECT j.key, t.key, t.value
             FROM json_each(?1) j CROSS JOIN registered_model_tags t ON t.model = j.value
             ORDER BY j.key, t.key",
            |model, row| {
                let (key, value): (String, String) = (row.get(1)?, row.get(2)?);
                model.tags.push(Tag::new(key, value));
                Ok(())
            },
        )?;
        models.add(
            "SELECT j.key, a.alias, a.version
             FROM json_each(?1) j CROSS JOIN aliases a ON a.model = j.value
             ORDER BY j.key, a.alias",
            |model, row| {
                model.aliases.push((row.get(1)?, row.get(2)?));
                Ok(())
            },
        )?;
        let mut found = models.into_items();
        let latest = self.rows(
            "SELECT v.model, max(v.version) AS version
             FROM json_each(?1) j CROSS JOIN model_versions v ON v.model = j.value
             GROUP BY j.key, v.stage ORDER BY j.key, version",
            &[&serde_json::json!(names).to_string()],
            named,
        )?;
        let mut latest = self.model_versions_of(&latest)?.into_iter().peekable();
        // Both are in the order of the list.
        for model in &mut found {
            while let Some(version) = latest.next_if(|version| version.name == model.name) {
                model.latest.push(version);
            }
        }
        Ok(found)
    }

    /// Returns the names of all registered models, sorted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn registered_model_names(&self) -> Result<Vec<String>, Error> {
        self.rows(
            "SELECT name FROM registered_models ORDER BY name",
            &[],
            |row| row.get(0),
        )
    }

    /// Returns the version that an alias names; `latest` names the highest.
    ///
    /// # Errors
    /// There is no such model or alias (`Refusal::Invalid`, as in MLflow), or no version at all.
    pub fn version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion, Error> {
        registry::check_name(name, "name")?;
        registry::check_alias(alias)?;
        self.check_model(name)?;
        if alias.eq_ignore_ascii_case(LATEST) {
            let highest = self.row(
                "SELECT max(version) FROM model_versions WHERE model = ?1",
                &[&name],
                |row| row.get::<_, Option<i64>>(0),
            )?;
            return match highest.flatten() {
                Some(version) => self.model_version(name, version),
                None => Err(Error::missing(format!(
                    "Latest version not found for model {name}."
                ))),
            };
        }
        let version = self.row(
            "SELECT version FROM aliases WHERE model = ?1 AND alias = ?2",
            &[&name, &alias],
            |row| row.get(0),
        )?;
        match version {
            Some(version) => self.model_version(name, version),
            None => Err(Error::invalid(format!(
                "Registered model alias {alias} not found."
            ))),
        }
    }

    /// Returns the highest version of each of `stages`, or of every stage if there are none given; by
    /// number.
    ///
    /// # Errors
    /// There is no such model or stage.
    pub fn latest_versions(
        &self,
        name: &str,
        stages: &[String],
    ) -> Result<Vec<ModelVersion>, Error> {
        let mut latest = self.registered_model(name)?.latest;
        if !stages.is_empty() {
            let wanted: Vec<&str> = stages
                .iter()
                .map(|stage| registry::stage(stage))
                .collect::<Result<_, _>>()?;
            latest.retain(|version| wanted.contains(&version.stage.as_str()));
        }
        Ok(latest)
    }

    /// Fails unless there is a registered model of this name.
    pub(super) fn check_model(&self, name: &str) -> Result<(), Error> {
        let sql = "SELECT 1 FROM registered_models WHERE name = ?1";
        self.row(sql, &[&name], |_| Ok(()))?
            .ok_or_else(|| no_model(name))
    }
}

impl Writing<'_> {
    /// Registers a name for versions of a model.
    ///
    /// # Errors
    /// The name is taken or none; a tag cannot be.
    pub fn create_registered_model(
        &self,
        name: &str,
        tags: &[Tag],
        description: Option<&str>,
        now_ms: i64,
    ) -> Result<RegisteredModel, Error> {
        registry::check_name(name, "name")?;
        registry::check_tags(tags)?;
        self.check_free(name)?;
        self.execute(
            "INSERT INTO registered_models (name, created_ms, updated_ms, description)
             VALUES (?1, ?2, ?2, ?3)",
            &[&name, &now_ms, &description],
        )?;
        for tag in tags {
            self.put_model_tag(name, tag)?;
        }
        self.registered_model(name)
    }

    fn check_free(&self, name: &str) -> Result<(), Error> {
        let sql = "SELECT 1 FROM registered_models WHERE name = ?1";
        match self.row(sql, &[&name], |_| Ok(()))? {
            None => Ok(()),
            Some(()) => Err(Error::exists(format!(
                "Registered Model (name={name}) already exists."
            ))),
        }
    }

    /// Changes the description of a registered model.
    ///
    /// # Errors
    /// There is no such model.
    pub fn update_registered_model(
        &self,
        name: &str,
        description: Option<&str>,
        now_ms: i64,
    ) -> Result<RegisteredModel, Error> {
        registry::check_name(name, "name")?;
        self.check_model(name)?;
        self.execute(
            "UPDATE registered_models SET description = ?2, updated_ms = ?3 WHERE name = ?1",
            &[&name, &description, &now_ms],
        )?;
        self.registered_model(name)
    }

    /// Gives a registered model another name; its versions, aliases and tags go with it.
    ///
    /// # Errors
    /// There is no such model; the new name is taken or none.
    pub fn rename_registered_model(
        &self,
        name: &str,
        new: &str,
        now_ms: i64,
    ) -> Result<RegisteredModel, Error> {
        registry::check_name(new, "new_name")?;
        registry::check_name(name, "name")?;
        self.check_model(name)?;
        if new != name {
            self.check_free(new)?;
        }
        self.execute(
            "UPDATE registered_models SET name = ?2, updated_ms = ?3 WHERE name = ?1",
            &[&name, &new, &now_ms],
        )?;
        self.execute(
            "UPDATE model_versions SET updated_ms = ?2 WHERE model = ?1",
            &[&new, &now_ms],
        )?;
        self.registered_model(new)
    }

    /// Removes a registered model with its versions, aliases and tags. Files stay where they are.
    ///
    /// # Errors
    /// There is no such model.
    pub fn delete_registered_model(&self, name: &str) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        self.check_model(name)?;
        self.execute("DELETE FROM registered_models WHERE name = ?1", &[&name])?;
        Ok(())
    }

    /// Sets a tag of a registered model.
    ///
    /// # Errors
    /// There is no such model, or the tag cannot be.
    pub fn set_registered_model_tag(
        &self,
        name: &str,
        key: &str,
        value: &str,
    ) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        registry::check_tag(key, value)?;
        self.check_model(name)?;
        self.put_model_tag(name, &Tag::new(key, value))
    }

    fn put_model_tag(&self, name: &str, tag: &Tag) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO registered_model_tags (model, key, value) VALUES (?1, ?2, ?3)",
            &[&name, &tag.key, &tag.value],
        )?;
        Ok(())
    }

    /// Removes a tag of a registered model; that it has none is fine, as in MLflow.
    ///
    /// # Errors
    /// There is no such model, or the key cannot be.
    pub fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        registry::check_tag(key, "")?;
        self.check_model(name)?;
        self.execute(
            "DELETE FROM registered_model_tags WHERE model = ?1 AND key = ?2",
            &[&name, &key],
        )?;
        Ok(())
    }

    /// Lets an alias name a version; it names no other from then on.
    ///
    /// # Errors
    /// There is no such version, or the alias cannot be.
    pub fn set_alias(
        &self,
        name: &str,
        alias: &str,
        version: i64,
        now_ms: i64,
    ) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        registry::check_new_alias(alias)?;
        self.check_version(name, version)?;
        self.execute(
            "INSERT OR REPLACE INTO aliases (model, alias, version) VALUES (?1, ?2, ?3)",
            &[&name, &alias, &version],
        )?;
        self.touch_model(name, now_ms)
    }

    /// Removes an alias; that there is none is fine, as in MLflow.
    ///
    /// # Errors
    /// There is no such model, or the alias cannot be.
    pub fn delete_alias(&self, name: &str, alias: &str, now_ms: i64) -> Result<(), Error> {
        registry::check_name(name, "name")?;
        registry::check_alias(alias)?;
        self.check_model(name)?;
        let removed = self.execute(
            "DELETE FROM aliases WHERE model = ?1 AND alias = ?2",
            &[&name, &alias],
        )?;
        if removed == 0 {
            return Ok(());
        }
        self.touch_model(name, now_ms)
    }

    /// Notes that a registered model changed.
    pub(super) fn touch_model(&self, name: &str, now_ms: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE registered_models SET updated_ms = ?2 WHERE name = ?1",
            &[&name, &now_ms],
        )?;
        Ok(())
    }
}
