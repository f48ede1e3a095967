//! Writes a trial's values into the user's params files, keeping comments and order.
//! Imports: base, project.

use crate::base::doc::{Document, Format, Value, edit};
use crate::base::{Cancel, units};
use crate::pipeline::spec::ParamRef;
use crate::project::{EditLock, Project};

use super::super::Error;
use super::error::SweepError;
use super::state::{Sweep, Trial};

/// One parameter that was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Which.
    pub param: ParamRef,
    /// What it was; `None`: it was not there.
    pub old: Option<Value>,
    /// What it is.
    pub new: Value,
}

/// Returns the trial `number` of `sweep`, or its best one.
///
/// # Errors
/// There is no such trial, or none has finished.
pub fn choose(sweep: &Sweep, number: Option<u64>) -> Result<&Trial, SweepError> {
    match number {
        None => sweep.best().map(|(trial, _)| trial).ok_or_else(|| {
            SweepError::new(
                "no-best",
                format!("no trial of `{}` has finished", sweep.name),
            )
            .help(format!(
                "look at `cvops params sweep status {}`, or go on with `--resume`",
                sweep.name
            ))
        }),
        Some(number) => sweep
            .trials
            .iter()
            .find(|t| t.number == number)
            .ok_or_else(|| {
                SweepError::new(
                    "unknown-trial",
                    format!("`{}` has no trial {number}", sweep.name),
                )
                .help(format!(
                    "it has {}",
                    units::count(sweep.trials.len(), "trial")
                ))
            }),
    }
}

/// Writes the values of `trial` into the params files of `project`. All files are edited before the
/// first is written. Call it while holding the project lock.
///
/// # Errors
/// A file is broken, cannot be edited or cannot be written.
pub fn apply(
    project: &Project,
    sweep: &Sweep,
    trial: &Trial,
    cancel: &Cancel,
) -> Result<Vec<Applied>, Error> {
    let space = &sweep.definition.space;
    let mut applied = Vec::new();
    let mut edited = Vec::new();
    let lock = EditLock::acquire(&project.layout, cancel)?;
    for file in space.files() {
        let path = file.under(&project.root);
        let mut document = if path.exists() {
            Document::read(&path, file.as_str())?
        } else {
            let format = Format::of_path(&path);
            let empty = if format == Format::Json { "{}\n" } else { "" };
            Document::parse(file.as_str(), empty.to_owned(), format)?
        };
        for (dimension, value) in space.dimensions.iter().zip(&trial.values) {
            if dimension.param.file != file {
                continue;
            }
            let old = dimension.param.key.get(&document.root).cloned();
            document = edit::set(&document, &dimension.param.key, value)?;
            applied.push(Applied {
                param: dimension.param.clone(),
                old,
                new: value.clone(),
            });
        }
        edited.push((path, document));
    }
    for (path, document) in edited {
        let text = document.source.text.as_str();
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        lock.write(&path, text)?;
    }
    Ok(applied)
}
