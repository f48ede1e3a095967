//! The rules of the model registry: names, aliases, versions, stages, tags. MLflow's (its
//! `utils/validation.py` and `model_version_stages.py`), in its words. Pure. Imports: entity, error,
//! validate.

use super::entity::Tag;
use super::error::Error;
use super::validate::{self, REGISTRY_TAG_VALUE_CHARS_MAX};

/// Characters of a model's name (the width of MLflow's column).
const NAME_CHARS_MAX: usize = 256;
/// Characters of an alias.
const ALIAS_CHARS_MAX: usize = 255;
/// The word for the highest version, in place of an alias or a stage.
pub(super) const LATEST: &str = "latest";

/// The stages of a version: the first is that of a new one.
const STAGES: [&str; 4] = ["None", "Staging", "Production", "Archived"];
/// Stages of which the versions that are there can be archived when another one comes.
const ACTIVE_STAGES: [&str; 2] = ["Staging", "Production"];
/// The stage of versions that had their time.
pub(super) const ARCHIVED: &str = "Archived";

/// What becomes of the versions that are in a stage already when another one comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// They stay.
    Stay,
    /// They are archived.
    Archive,
}

/// Returns the stage that `text` names in upper or lower case.
pub(super) fn stage(text: &str) -> Result<&'static str, Error> {
    STAGES
        .into_iter()
        .find(|stage| stage.eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            Error::invalid(format!(
                "Invalid Model Version stage: {text}. Value must be one of {}.",
                STAGES.join(", ")
            ))
        })
}

/// Fails if the others of `stage` are to be archived and it is no stage for that.
pub(super) fn check_others(stage: &str, others: Others) -> Result<(), Error> {
    match others {
        Others::Archive if !ACTIVE_STAGES.contains(&stage) => Err(Error::invalid(format!(
            "Model version transition cannot archive existing model versions because '{stage}' is \
             not an Active stage. Valid stages are ['Staging', 'Production']"
        ))),
        Others::Archive | Others::Stay => Ok(()),
    }
}

/// Checks the name of a registered model; `path` names the field in messages.
pub(super) fn check_name(name: &str, path: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid(format!(
            "Missing value for required parameter '{path}'."
        )));
    }
    let refuse = |why: &str| {
        Err(Error::invalid(format!(
            "Invalid model name '{name}'. {why}"
        )))
    };
    if name.contains(['/', ':']) {
        return refuse("Names cannot contain '/' or ':'.");
    }
    // Beyond MLflow: nobody means them, and they do not survive a terminal.
    if name.contains(|c: char| c.is_control()) {
        return refuse("Names cannot contain control characters.");
    }
    if name == "." || name.starts_with("..") {
        let why = format!(
            "Names may be treated as files in certain cases, and must not resolve to other names \
             when treated as such. This name would resolve to '{name}'"
        );
        return Err(Error::invalid(validate::invalid_value("name", name, &why)));
    }
    validate::check_length(path, NAME_CHARS_MAX, name)
}

/// Checks an alias that is asked for.
pub(super) fn check_alias(alias: &str) -> Result<(), Error> {
    if alias.is_empty() {
        return Err(Error::invalid(
            "Registered model alias name cannot be empty.",
        ));
    }
    if !alias
        .chars()
        .all(|c| c == '-' || c == '_' || c.is_alphanumeric())
    {
        return Err(Error::invalid(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), \
             and dashes (-)."
        )));
    }
    validate::check_length("Registered model alias name", ALIAS_CHARS_MAX, alias)
}

/// Checks an alias that is to be given: `latest` and `v1` have meanings of their own.
pub(super) fn check_new_alias(alias: &str) -> Result<(), Error> {
    check_alias(alias)?;
    if alias.eq_ignore_ascii_case(LATEST) {
        return Err(Error::invalid(
            "'latest' alias name (case insensitive) is reserved.",
        ));
    }
    let digits = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid(format!(
            "Version alias name '{alias}' is reserved."
        )));
    }
    Ok(())
}

/// Checks a tag of a model or a version.
pub(super) fn check_tag(key: &str, value: &str) -> Result<(), Error> {
    validate::check_key(key, "key")?;
    validate::check_length("value", REGISTRY_TAG_VALUE_CHARS_MAX, value)
}

/// Checks tags of a model or a version.
pub(super) fn check_tags(tags: &[Tag]) -> Result<(), Error> {
    tags.iter()
        .try_for_each(|tag| check_tag(&tag.key, &tag.value))
}

/// Prompts are registered models with this tag; their versions have no files.
pub(super) fn is_prompt(tags: &[Tag]) -> bool {
    tags.iter()
        .any(|tag| tag.key == "mlflow.prompt.is_prompt" && tag.value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(result: Result<(), Error>, message: &str) {
        assert_eq!(result.unwrap_err().to_string(), message);
    }

    #[test]
    fn names_are_no_paths() {
        for name in ["cats", "cats & dogs", "größe", "a.b", ".a", "-"] {
            assert!(check_name(name, "name").is_ok(), "{name}");
        }
        assert!(check_name(&"é".repeat(256), "name").is_ok());
        refused(
            check_name("", "name"),
            "Missing value for required parameter 'name'.",
        );
        refused(
            check_name(" \t", "new_name"),
            "Missing value for required parameter 'new_name'.",
        );
        for name in ["a/b", "a:b"] {
            refused(
                check_name(name, "name"),
                &format!("Invalid model name '{name}'. Names cannot contain '/' or ':'."),
            );
        }
        for name in [".", "..", "..a"] {
            let message = check_name(name, "name").unwrap_err().to_string();
            assert!(
                message.ends_with(&format!("would resolve to '{name}'")),
                "{message}"
            );
        }
        assert!(check_name("a\0b", "name").is_err());
        assert!(check_name(&"a".repeat(257), "name").is_err());
    }

    #[test]
    fn aliases_are_words_that_mean_nothing_else() {
        for alias in ["champion", "v", "v1a", "1", "é-_日", "version1"] {
            assert!(check_new_alias(alias).is_ok(), "{alias}");
        }
        assert!(check_new_alias(&"a".repeat(255)).is_ok());
        refused(
            check_alias(""),
            "Registered model alias name cannot be empty.",
        );
        for alias in ["a b", "a.b", "a/b", "a\n", "@"] {
            refused(
                check_alias(alias),
                &format!(
                    "Invalid alias name: '{alias}'. Names may only contain alphanumerics, \
                     underscores (_), and dashes (-)."
                ),
            );
        }
        refused(
            check_alias(&"a".repeat(256)),
            "'Registered model alias name' exceeds the maximum length of 255 characters",
        );
        for alias in ["latest", "Latest"] {
            assert!(check_alias(alias).is_ok());
            refused(
                check_new_alias(alias),
                "'latest' alias name (case insensitive) is reserved.",
            );
        }
        for alias in ["v1", "V23"] {
            refused(
                check_new_alias(alias),
                &format!("Version alias name '{alias}' is reserved."),
            );
        }
    }

    #[test]
    fn stages_are_read_in_any_case() {
        for (text, word) in [
            ("none", "None"),
            ("STAGING", "Staging"),
            ("Production", "Production"),
            ("archived", "Archived"),
        ] {
            assert_eq!(stage(text).unwrap(), word);
        }
        assert_eq!(
            stage("prod").unwrap_err().to_string(),
            "Invalid Model Version stage: prod. Value must be one of None, Staging, Production, \
             Archived."
        );
        for word in ["Staging", "Production"] {
            assert!(check_others(word, Others::Archive).is_ok());
        }
        for word in ["None", "Archived"] {
            assert!(check_others(word, Others::Stay).is_ok());
            refused(
                check_others(word, Others::Archive),
                &format!(
                    "Model version transition cannot archive existing model versions because \
                     '{word}' is not an Active stage. Valid stages are ['Staging', 'Production']"
                ),
            );
        }
    }

    #[test]
    fn tags_have_limits() {
        assert!(check_tag("task", &"é".repeat(100_000)).is_ok());
        assert!(check_tag("task", "").is_ok());
        refused(
            check_tag("task", &"a".repeat(100_001)),
            "'value' exceeds the maximum length of 100000 characters",
        );
        refused(
            check_tag(&"k".repeat(251), ""),
            "'key' exceeds the maximum length of 250 characters",
        );
        assert!(check_tag("a//b", "").is_err());
        assert!(check_tag("a#", "").is_err());
    }
}
