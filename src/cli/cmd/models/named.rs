//! What people call a model or a version of it, and what to say where there is none. Imports: base,
//! track.

use crate::base::Diagnostic;
use crate::base::diag::nearest;
use crate::cli::error::CliError;
use crate::project::Project;
use crate::track::entity::{ModelVersion, RegisteredModel};
use crate::track::{Error, Reader, Tracking};

/// How references to models begin in MLflow; may be left out.
const SCHEME: &str = "models:/";

/// Versions that are listed where there is no such one.
const VERSIONS_SHOWN: usize = 10;

/// `NAME`, `NAME/VERSION`, `NAME/STAGE`, `NAME@ALIAS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The registered model.
    pub(super) name: &'a str,
    /// Which of its versions.
    pub(super) which: Option<Which<'a>>,
}

/// What follows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which<'a> {
    /// A number, a stage, `latest`.
    Suffix(&'a str),
    /// An alias.
    Alias(&'a str),
}

impl<'a> Named<'a> {
    /// Takes apart what was typed.
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.strip_prefix(SCHEME).unwrap_or(text);
        if let Some((name, suffix)) = text.split_once('/') {
            let which = Some(Which::Suffix(suffix));
            return Self { name, which };
        }
        match text.rsplit_once('@') {
            Some((name, alias)) => {
                let which = Some(Which::Alias(alias));
                Self { name, which }
            }
            None => Self {
                name: text,
                which: None,
            },
        }
    }
}

/// Opens the record for a command about a registered model.
pub(super) fn open(project: &Project) -> Result<Tracking, CliError> {
    Tracking::open_existing(&project.layout)?.ok_or_else(no_models)
}

fn no_models() -> CliError {
    CliError::usage(
        Diagnostic::error("no-models", "no model is registered in this project")
            .help("`cvops models register NAME` registers the model of the last run"),
    )
}

/// Returns the registered model of this name.
pub(super) fn model(reader: &Reader<'_>, name: &str) -> Result<RegisteredModel, CliError> {
    let names = reader.registered_model_names()?;
    if names.iter().any(|known| known == name) {
        return Ok(reader.registered_model(name)?);
    }
    if names.is_empty() {
        return Err(no_models());
    }
    let near = nearest(name, names.iter().map(String::as_str));
    Err(CliError::usage(
        Diagnostic::error(
            "unknown-model",
            format!("there is no registered model `{name}`"),
        )
        .help(meant(near, "`cvops models list` shows them")),
    ))
}

fn meant(near: Option<&str>, otherwise: &str) -> String {
    near.map_or_else(
        || otherwise.to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

/// Returns the version that is meant.
pub(super) fn version(reader: &Reader<'_>, text: &str) -> Result<ModelVersion, CliError> {
    let Named { name, which } = Named::of(text);
    let model = model(reader, name)?;
    let Some(which) = which else {
        return Err(CliError::usage(
            Diagnostic::error(
                "no-version",
                format!("`{text}` is a model, not a version of it"),
            )
            .help(match model.aliases.first() {
                Some((alias, _)) => format!("write `{name}@{alias}`, or `{name}/latest`"),
                None => format!("write `{name}/latest`, or `{name}/VERSION`"),
            }),
        ));
    };
    let reference = match which {
        Which::Suffix(suffix) => format!("{SCHEME}{name}/{suffix}"),
        Which::Alias(alias) => format!("{SCHEME}{name}@{alias}"),
    };
    match reader.referenced_version(&reference) {
        Ok(version) => Ok(version),
        Err(Error::Refused { .. }) => Err(unknown(reader, &model, which)?),
        Err(error) => Err(error.into()),
    }
}

fn unknown(
    reader: &Reader<'_>,
    model: &RegisteredModel,
    which: Which<'_>,
) -> Result<CliError, CliError> {
    let name = &model.name;
    let diagnostic = match which {
        Which::Alias(alias) => no_alias(model, alias),
        Which::Suffix(suffix) => {
            let what = match suffix.parse::<u64>() {
                Ok(number) => format!("`{name}` has no version {number}"),
                Err(_) => format!("`{name}` has no version in the stage `{suffix}`"),
            };
            let versions = reader.versions_of(name)?;
            let shown: Vec<String> = versions
                .iter()
                .take(VERSIONS_SHOWN)
                .map(|version| version.version.to_string())
                .collect();
            let dots = if shown.len() < versions.len() {
                ", …"
            } else {
                ""
            };
            Diagnostic::error("unknown-version", what).help(if shown.is_empty() {
                format!("it has none; `cvops models register {name}` makes one")
            } else {
                format!("its versions: {}{dots}", shown.join(", "))
            })
        }
    };
    Ok(CliError::usage(diagnostic))
}

/// Says that a model has no such alias.
pub(super) fn no_alias(model: &RegisteredModel, alias: &str) -> Diagnostic {
    let name = &model.name;
    let known = model.aliases.iter().map(|(alias, _)| alias.as_str());
    let near = nearest(alias, known.clone());
    let all: Vec<String> = known.map(|alias| format!("`{alias}`")).collect();
    let otherwise = if all.is_empty() {
        format!("it has none; `cvops models alias {name} {alias} VERSION` sets it")
    } else {
        format!("its aliases: {}", all.join(", "))
    };
    Diagnostic::error("unknown-alias", format!("`{name}` has no alias `{alias}`"))
        .help(meant(near, &otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_followed_by_a_version_or_an_alias() {
        for (text, name, which) in [
            ("cats", "cats", None),
            ("cats/2", "cats", Some(Which::Suffix("2"))),
            ("cats/latest", "cats", Some(Which::Suffix("latest"))),
            ("cats@champion", "cats", Some(Which::Alias("champion"))),
            ("models:/cats@a", "cats", Some(Which::Alias("a"))),
            ("a@b/1", "a@b", Some(Which::Suffix("1"))),
            ("a@b@c", "a@b", Some(Which::Alias("c"))),
        ] {
            assert_eq!(Named::of(text), Named { name, which }, "{text}");
        }
    }
}
