//! The error of this room: why there is nothing to compare, or no answer. Imports: base, drift, vision,
//! `detect::features`.

use std::path::PathBuf;

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{ContentHash, units};
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
    /// Two samples cannot be compared.
    #[error(transparent)]
    Drift(#[from] drift::Error),
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
    /// A label that is no class.
    #[error("the label of row {row} is class {label}, and there are {classes} classes")]
    Label {
        /// From 0.
        row: usize,
        /// From 0.
        label: u32,
        /// How many there are.
        classes: usize,
    },

    // Fitted detectors
    /// A detector cannot be fitted, or not compute.
    #[error("the detector `{detector}`: {source}")]
    Detector {
        /// What it is called.
        detector: String,
        /// Why not.
        source: drift::Error,
    },
    /// A detector for a stream cannot be fitted.
    #[error("the detector `{detector}`: {source}")]
    Watch {
        /// What it is called.
        detector: String,
        /// Why not.
        source: drift::Error,
    },
    /// A detector looks at what the reference does not have.
    #[error("the detector `{detector}` looks at `{input}`, which this network does not give")]
    InputMissing {
        /// What it is called.
        detector: String,
        /// What it looks at.
        input: Input,
    },
    /// Fisher's exact test of the classes of a network that knows more than two.
    #[error("the detector `{detector}`: `fisher` compares two classes, the model knows {classes}")]
    NotTwoClasses {
        /// What it is called.
        detector: String,
        /// Of the model.
        classes: usize,
    },
    /// The true classes of the reference are not known.
    #[error("the true classes of the reference are not known")]
    NoTruth,
    /// So few rows that no test of them could find drift.
    #[error(
        "a reference of {} cannot show drift: expected at least {needed}, so that p can be below {level:.2e}, the \
         significance level of a detector, with as many new ones",
        units::count(*found, "picture")
    )]
    ReferenceTooSmall {
        /// Rows.
        found: usize,
        /// Rows.
        needed: usize,
        /// Of a detector.
        level: f64,
    },
    /// No score of single rows was fitted.
    #[error("the fitted detectors have no score of outliers")]
    NoOutlierScore {
        /// What was left out when they were fitted, and why.
        notes: Vec<String>,
    },
    /// Of all usual detectors, none could be fitted.
    #[error("no detector could be fitted")]
    NothingFitted {
        /// Why not, one by one.
        notes: Vec<String>,
    },
    /// What is there are no fitted detectors, or they were damaged.
    #[error("`{}` holds no fitted detectors: {problem}", path.display())]
    NotFitted {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// They were written by another version of this program.
    #[error("`{}` is of format version {found}; this program reads version {expected}", path.display())]
    FittedVersion {
        /// The file.
        path: PathBuf,
        /// As written.
        found: u64,
        /// The only one that is read.
        expected: u64,
    },
    /// They were fitted to another model.
    #[error(
        "the detectors were fitted to another model: to weights {fitted}, and these are {model}"
    )]
    OtherModel {
        /// BLAKE3 of the weights that they know.
        fitted: ContentHash,
        /// BLAKE3 of the weights at hand.
        model: ContentHash,
    },
    /// They were fitted to a model that names other classes.
    #[error("the detectors were fitted to a model that names other classes")]
    OtherClasses {
        /// Those that they know.
        fitted: Vec<String>,
        /// Those of the model at hand.
        model: Vec<String>,
    },
    /// No detector looks at what is known of served answers.
    #[error(
        "none of the fitted detectors looks at what the prediction log holds: {}",
        names(held)
    )]
    NothingServed {
        /// What it holds.
        held: Vec<Input>,
    },
    /// So many windows of time that none of them could be told from chance.
    #[error("this is a time of {found} windows, and at most {most} are compared")]
    Windows {
        /// Windows with answers in them.
        found: usize,
        /// As many as there may be.
        most: usize,
    },
    /// No detector is called so.
    #[error("there is no detector `{name}`")]
    UnknownDetector {
        /// As asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::Base(error) => return error.to_diagnostics(),
            Self::Vision(error) => return error.to_diagnostics(),
            Self::Drift(_) | Self::Numbers { .. } => error("not-comparable"),
            Self::NoPictures => error("no-pictures").help(
                "give a folder with pictures, or a wider range of the prediction log (`--since`)",
            ),
            Self::NoInput {
                input: Input::Error,
                ..
            } => error("no-input").help("leave the detector out (`--detector` names others), or give labels"),
            Self::NoInput { .. } => {
                error("no-input").help("compare `softmax`, `label`, `entropy` or `margin` instead")
            }
            Self::Classes { .. } => {
                error("other-classes").help("compare the answers of one model at a time")
            }
            Self::Length { .. } => error("other-length").help("give one for each answer"),
            Self::Label { .. } => error("unknown-label")
                .help("use the classes that the model was trained on, in their order"),
            Self::Detector { .. } | Self::Watch { .. } => error("detector").help(
                "change it in the section `drift` of params.yaml, or leave it out there",
            ),
            Self::InputMissing { .. } => error("detector").help(
                "give it another `input` in the section `drift` of params.yaml: `softmax`, for instance",
            ),
            Self::NoTruth => error("no-truth").help("take a split of the prepared data"),
            Self::NotTwoClasses { .. } => {
                error("detector").help("use `chi2`, which compares any number of classes")
            }
            Self::ReferenceTooSmall { .. } => error("too-few").help(
                "take a split with more pictures: `drift.split` in params.yaml; some hundreds show what matters",
            ),
            Self::NoOutlierScore { notes } => notes
                .iter()
                .fold(error("no-outlier-score"), Diagnostic::note)
                .help(
                    "set `drift.outlier.method` in params.yaml to `mahalanobis`, `knn`, `pca` or `lof`, and run \
                     `cvops drift fit` again; it takes a network with embeddings, and 1 in `drift.outlier.fpr` pictures",
                ),
            Self::NothingFitted { notes } => notes
                .iter()
                .fold(error("detector"), Diagnostic::note)
                .help("take a larger reference: `drift.split` and `drift.rows` in params.yaml"),
            Self::NotFitted { .. } | Self::FittedVersion { .. } => {
                error("not-fitted").help("`cvops drift fit` writes them")
            }
            Self::OtherModel { .. } => error("other-model")
                .help("run `cvops drift fit` again: what a model sees is compared with what it saw"),
            Self::OtherClasses { fitted, model } => error("other-classes")
                .note(format!("detectors: {}", fitted.join(", ")))
                .note(format!("model: {}", model.join(", ")))
                .help("run `cvops drift fit` again"),
            Self::NothingServed { .. } => error("no-input").help(
                "add `{input: label}` to `drift.detectors` in params.yaml, and run `cvops drift fit` again",
            ),
            Self::Windows { .. } => {
                error("out-of-range").help("take longer windows (`--window 1d`), or a shorter time")
            }
            Self::UnknownDetector { known, .. } => error("unknown-detector").help(format!(
                "{}: {}",
                units::count(known.len(), "detector"),
                known.join(", ")
            )),
        };
        vec![one]
    }
}

fn names(inputs: &[Input]) -> String {
    let names: Vec<String> = inputs.iter().map(|input| format!("`{input}`")).collect();
    names.join(", ")
}
