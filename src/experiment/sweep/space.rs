//! What a sweep searches: parameters with their domains, in the order in which they were given.
//! Imports: base, pipeline.

use crate::base::ArtifactPath;
use crate::base::diag::{Diagnostic, nearest};
use crate::base::doc::{KeyPath, Value};
use crate::pipeline::spec::ParamRef;
use crate::project::PARAMS_FILE;

use super::domain::{Domain, Written};
use super::error::SweepError;
use super::grammar::{Expected, Override};

/// One swept parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// The parameter.
    pub param: ParamRef,
    /// Must it be in the file already?
    pub presence: Expected,
    /// What it may be.
    pub domain: Domain,
}

/// All swept parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// In the order given; the last one varies fastest in a grid.
    pub dimensions: Vec<Dimension>,
}

impl Space {
    /// Makes a space of what was typed.
    ///
    /// # Errors
    /// A file name that is no path of the project, or a parameter given twice.
    pub fn of_overrides(overrides: Vec<Override>) -> Result<Self, SweepError> {
        let mut space = Self::default();
        for one in overrides {
            let file = one.file.as_deref().unwrap_or(PARAMS_FILE);
            let file: ArtifactPath = file.parse().map_err(|e: crate::base::path::PathError| {
                SweepError::new("bad-path", e.to_string())
                    .help("name a params file of the project: `conf/train.yaml:lr=0.1,0.2`")
            })?;
            space.add(Dimension {
                param: ParamRef { file, key: one.key },
                presence: one.presence,
                domain: one.domain,
            })?;
        }
        Ok(space)
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// It, or one around or inside it, is there already.
    pub fn add(&mut self, dimension: Dimension) -> Result<(), SweepError> {
        let new = &dimension.param;
        if let Some(old) = self.dimensions.iter().find(|d| overlap(&d.param, new)) {
            return Err(SweepError::new(
                "given-twice",
                format!("`{new}` and `{}` set the same parameter", old.param),
            )
            .help("give every parameter once, with all its values"));
        }
        self.dimensions.push(dimension);
        Ok(())
    }

    /// Drops values that a choice lists again: they would be tried twice with one result. Returns a
    /// sentence for each parameter that had some.
    pub fn drop_duplicates(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        for dimension in &mut self.dimensions {
            let Domain::Choices { values, .. } = &mut dimension.domain else {
                continue;
            };
            let (mut kept, mut again): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
            for value in values.drain(..) {
                if kept.contains(&value) {
                    again.push(format!("`{}`", Written(&value)));
                } else {
                    kept.push(value);
                }
            }
            *values = kept;
            again.dedup();
            if !again.is_empty() {
                notes.push(format!(
                    "`{}`: {} is listed more than once and tried once",
                    dimension.param,
                    again.join(", ")
                ));
            }
        }
        notes
    }

    /// Are there only choices?
    #[must_use]
    pub fn is_grid(&self) -> bool {
        let is_choice = |d: &Dimension| matches!(d.domain, Domain::Choices { .. });
        self.dimensions.iter().all(is_choice)
    }

    /// Returns the params files, each once, in path order.
    #[must_use]
    pub fn files(&self) -> Vec<ArtifactPath> {
        let mut files: Vec<_> = self
            .dimensions
            .iter()
            .map(|d| d.param.file.clone())
            .collect();
        files.sort_unstable();
        files.dedup();
        files
    }
}

/// Is one parameter the other, or part of it?
#[must_use]
pub fn overlap(a: &ParamRef, b: &ParamRef) -> bool {
    a.file == b.file && a.key.keys().iter().zip(b.key.keys()).all(|(x, y)| x == y)
}

/// Checks that `dimension` names a parameter of its file, whose content is `root`.
///
/// # Errors
/// It does not; the nearest key is named.
pub fn check_key(dimension: &Dimension, root: &Value) -> Result<(), SweepError> {
    let ParamRef { file, key } = &dimension.param;
    if dimension.presence == Expected::Any || key.find(root).is_some() {
        return Ok(());
    }
    let name = key.to_string();
    let mut known = Vec::new();
    keys(root, &KeyPath::root(), &mut known);
    let help = match nearest(&name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write `+{name}=…` to add it, or look at `cvops params show`"),
    };
    Err(SweepError::of(
        Diagnostic::error(
            "unknown-parameter",
            format!("`{file}` has no parameter `{name}`"),
        )
        .help(help),
    ))
}

fn keys(value: &Value, at: &KeyPath, out: &mut Vec<String>) {
    if !at.is_root() {
        out.push(at.to_string());
    }
    match value {
        Value::Map(map) => map.iter().for_each(|(k, v)| keys(v, &at.key(k), out)),
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                keys(item, &at.index(i), out);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::grammar;

    #[test]
    fn a_value_listed_twice_is_tried_once() {
        let specs = ["a=1,2,1,1", "b=x,y", "c=1,1.0"];
        let overrides = specs.iter().map(|s| grammar::parse(s).unwrap()).collect();
        let mut space = Space::of_overrides(overrides).unwrap();
        assert_eq!(
            space.drop_duplicates(),
            ["`a`: `1` is listed more than once and tried once"]
        );
        let left: Vec<_> = space
            .dimensions
            .iter()
            .map(|d| d.domain.to_string())
            .collect();
        assert_eq!(left, ["choice(1,2)", "choice(x,y)", "choice(1,1.0)"]);
        assert!(space.drop_duplicates().is_empty());
    }
}
