//! Promotes a version, or takes an alias from one, and notes it, in one transaction. Imports: entity, error,
//! promotion.

use crate::track::error::Error;
use crate::track::promotion::{Promotion, Title, noted};
use crate::track::registry::{self, ARCHIVED};

use super::Writing;

/// A promotion that is asked for.
#[derive(Clone, Debug)]
pub struct Promote {
    /// The registered model.
    pub name: String,
    /// The version.
    pub version: i64,
    /// What it is promoted to.
    pub title: Title,
    /// The version that had it when this was decided.
    pub expected: Option<i64>,
    /// Who decided.
    pub by: Option<String>,
    /// When, milliseconds since 1970.
    pub now_ms: i64,
}

/// An alias that is to be taken away.
#[derive(Clone, Debug)]
pub struct Withdraw {
    /// The registered model.
    pub name: String,
    /// The alias.
    pub alias: String,
    /// The version that had it when this was decided.
    pub version: i64,
    /// Who decided.
    pub by: Option<String>,
    /// When, milliseconds since 1970.
    pub now_ms: i64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promoted {
    /// It is done.
    Done,
    /// Nothing was changed: another version has it than the one that was expected.
    Moved {
        /// That version, if one has it.
        holder: Option<i64>,
    },
}

impl Writing<'_> {
    /// Promotes a version unless somebody was faster. Versions that were in its stage are archived.
    ///
    /// # Errors
    /// There is no such version, or the alias or stage cannot be.
    pub fn promote(&self, asked: &Promote) -> Result<Promoted, Error> {
        let Promote { name, version, .. } = asked;
        let title = match &asked.title {
            Title::Alias(alias) => {
                registry::check_new_alias(alias)?;
                Title::Alias(alias.clone())
            }
            Title::Stage(stage) => Title::Stage(registry::stage(stage)?.to_owned()),
        };
        let holder = title.holder(&self.registered_model(name)?);
        if holder != asked.expected {
            return Ok(Promoted::Moved { holder });
        }
        match &title {
            Title::Alias(alias) => self.set_alias(name, alias, *version, asked.now_ms)?,
            Title::Stage(stage) => {
                self.transition_stage(name, *version, stage, is_in_use(stage), asked.now_ms)?;
            }
        }
        self.note(
            name,
            &Promotion {
                title,
                version: *version,
                at_ms: asked.now_ms,
                by: asked.by.clone(),
                from: holder,
                is_removal: false,
            },
        )?;
        Ok(Promoted::Done)
    }

    /// Takes an alias from the version that is expected to have it, unless it names another one by now.
    ///
    /// # Errors
    /// There is no such model, or the alias cannot be.
    pub fn withdraw(&self, asked: &Withdraw) -> Result<Promoted, Error> {
        let Withdraw { name, alias, .. } = asked;
        registry::check_alias(alias)?;
        let title = Title::Alias(alias.clone());
        let holder = title.holder(&self.registered_model(name)?);
        if holder != Some(asked.version) {
            return Ok(Promoted::Moved { holder });
        }
        self.delete_alias(name, alias, asked.now_ms)?;
        self.note(
            name,
            &Promotion {
                title,
                version: asked.version,
                at_ms: asked.now_ms,
                by: asked.by.clone(),
                from: None,
                is_removal: true,
            },
        )?;
        Ok(Promoted::Done)
    }

    /// Puts a version into a stage or out of one; other versions stay where they are.
    ///
    /// # Errors
    /// There is no such version, or no such stage.
    pub fn move_to_stage(
        &self,
        name: &str,
        version: i64,
        stage: &str,
        by: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let stage = registry::stage(stage)?;
        let before = self.model_version(name, version)?.stage;
        self.transition_stage(name, version, stage, false, now_ms)?;
        if before == stage {
            return Ok(());
        }
        for (stage, is_removal) in [(before.as_str(), true), (stage, false)] {
            if is_in_use(stage) {
                let one = Promotion {
                    title: Title::Stage(stage.to_owned()),
                    version,
                    at_ms: now_ms,
                    by: by.map(str::to_owned),
                    // It is nobody's place that it takes.
                    from: None,
                    is_removal,
                };
                self.note(name, &one)?;
            }
        }
        Ok(())
    }

    /// Notes a promotion in a tag of its version.
    fn note(&self, name: &str, one: &Promotion) -> Result<(), Error> {
        let tags = self.model_version(name, one.version)?.tags;
        let key = one.title.tag();
        let known = tags.iter().find(|tag| tag.key == key);
        let value = noted(known.map(|tag| tag.value.as_str()), one);
        self.set_model_version_tag(name, one.version, &key, &value)
    }
}

/// Are versions in this stage used?
fn is_in_use(stage: &str) -> bool {
    stage != ARCHIVED && stage != "None"
}
