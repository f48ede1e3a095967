//! The error of this room: why there is nothing to compare, or no answer. Imports: base, drift, vision,
//! `detect::features`.

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::drift;
use crate::vision;

use super::features::Input;

/// What can go wrong between pictures and a verdict. "No drift" is never said instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the ground floor: a file operation failed, or a document is broken.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// The network could not be asked.
    #[error(transparent)]
    Vision(#[from] vision::Error),
    /// The numbers of an input cannot be compared, or are no numbers.
    #[error("`{input}` cannot be compared: {source}")]
    Numbers {
        /// The input they are of.
        input: Input,
        /// What is wrong with them.
        source: drift::Error,
    },
    /// There is nothing to look at.
    #[error("there are no pictures to compare")]
    NoPictures,
    /// An input that is not known of these answers.
    #[error("there is no `{input}` here: {why}")]
    NoInput {
        /// The input that was asked for.
        input: Input,
        /// Why there is none.
        why: &'static str,
    },
    /// A row of probabilities has another number of classes than the first one.
    #[error("row {row} has probabilities of {found} classes, the first row of {expected}")]
    Classes {
        /// From 0.
        row: usize,
        /// Classes of that row.
        found: usize,
        /// Classes of the first one.
        expected: usize,
    },
    /// Something that there should be one of for each answer.
    #[error("there are {found} {what} for {expected} answers")]
    Length {
        /// What it is, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A true label that is no class.
    #[error("the true label of row {row} is class {label}, and there are {classes} classes")]
    Label {
        /// From 0.
        row: usize,
        /// From 0.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::Base(error) => return error.to_diagnostics(),
            Self::Vision(error) => return error.to_diagnostics(),
            Self::Numbers { .. } => error("not-comparable"),
            Self::NoPictures => error("no-pictures").help(
                "give a folder with pictures, or a wider range of the prediction log (`--since`)",
            ),
            Self::NoInput { .. } => {
                error("no-input").help("compare `softmax`, `label`, `entropy` or `margin` instead")
            }
            Self::Classes { .. } => {
                error("other-classes").help("compare the answers of one model at a time")
            }
            Self::Length { .. } => error("other-length").help("give one for each answer"),
            Self::Label { .. } => error("unknown-label")
                .help("use the classes that the model was trained on, in their order"),
        };
        vec![one]
    }
}
