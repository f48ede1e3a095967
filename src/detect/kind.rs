//! The names of tests, corrections and methods, as parameters, files and results spell them, and what each can
//! look at. Imports: drift, `detect::features`.

use serde::{Deserialize, Serialize};

use crate::drift;

use super::features::Input;

/// A test of two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// Kolmogorov-Smirnov, by feature.
    Ks,
    /// Cramér-von Mises, by feature.
    Cvm,
    /// χ² of the predicted classes.
    Chi2,
    /// Fisher's exact test: of two classes, of how many answers are unsure, or of whether more are wrong.
    Fisher,
    /// Maximum mean discrepancy, of all features at once.
    Mmd,
    /// Least-squares density difference, of all features at once.
    Lsdd,
}

impl TestKind {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("ks", Self::Ks),
        ("cvm", Self::Cvm),
        ("chi2", Self::Chi2),
        ("fisher", Self::Fisher),
        ("mmd", Self::Mmd),
        ("lsdd", Self::Lsdd),
    ];

    /// Returns the test for `input` where none is named; of `classes` classes, 0 if that is not known yet.
    #[must_use]
    pub fn usual(input: Input, classes: usize) -> Self {
        match input {
            Input::Label if classes == 2 => Self::Fisher,
            Input::Error => Self::Fisher,
            Input::Label => Self::Chi2,
            Input::Embedding => Self::Mmd,
            Input::Softmax | Input::Entropy | Input::Margin | Input::Properties => Self::Ks,
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ks => "ks",
            Self::Cvm => "cvm",
            Self::Chi2 => "chi2",
            Self::Fisher => "fisher",
            Self::Mmd => "mmd",
            Self::Lsdd => "lsdd",
        }
    }

    /// Says whether it can look at `input`.
    #[must_use]
    pub fn takes(self, input: Input) -> bool {
        match self {
            Self::Chi2 => input == Input::Label,
            Self::Fisher => matches!(input, Input::Label | Input::Margin | Input::Error),
            Self::Ks | Self::Cvm | Self::Mmd | Self::Lsdd => is_measured(input),
        }
    }

    /// Says whether its p-values come from permutations, always or for small counts.
    #[must_use]
    pub fn is_permuted(self) -> bool {
        match self {
            Self::Chi2 | Self::Mmd | Self::Lsdd => true,
            Self::Ks | Self::Cvm | Self::Fisher => false,
        }
    }
}

/// Is it made of measurements, of which more and less can be said, not of categories?
fn is_measured(input: Input) -> bool {
    match input {
        Input::Softmax | Input::Embedding | Input::Entropy | Input::Margin | Input::Properties => {
            true
        }
        Input::Label | Input::Error => false,
    }
}

/// How a detector decides over its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// p < α/d.
    Bonferroni,
    /// Holm 1979.
    Holm,
    /// Benjamini and Hochberg 1995.
    Fdr,
    /// p < α.
    None,
}

impl Correction {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("bonferroni", Self::Bonferroni),
        ("holm", Self::Holm),
        ("fdr", Self::Fdr),
        ("none", Self::None),
    ];
}

impl From<Correction> for drift::correction::Correction {
    fn from(correction: Correction) -> Self {
        match correction {
            Correction::Bonferroni => Self::Bonferroni,
            Correction::Holm => Self::Holm,
            Correction::Fdr => Self::BenjaminiHochberg,
            Correction::None => Self::None,
        }
    }
}

/// How the detectors of a check share the chance of a false alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Evenly: one check raises a false alarm with a chance of at most α, however many detectors it has.
    Bonferroni,
    /// Not at all: each detector raises one with a chance of α.
    None,
}

impl Family {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 2] =
        [("bonferroni", Self::Bonferroni), ("none", Self::None)];

    /// Returns the significance level of each of `detectors` detectors.
    #[must_use]
    pub fn level(self, alpha: f64, detectors: usize) -> f64 {
        match self {
            Self::Bonferroni => alpha / detectors.max(1) as f64,
            Self::None => alpha,
        }
    }
}

/// A test of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchMethod {
    /// Maximum mean discrepancy, of all features at once.
    Mmd,
    /// Least-squares density difference, of all features at once.
    Lsdd,
    /// Cramér-von Mises, by feature.
    Cvm,
    /// Fisher's exact test: whether more answers are unsure, or wrong.
    Fisher,
}

impl WatchMethod {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("mmd", Self::Mmd),
        ("lsdd", Self::Lsdd),
        ("cvm", Self::Cvm),
        ("fisher", Self::Fisher),
    ];

    /// Returns the method for `input` where none is named.
    #[must_use]
    pub fn usual(input: Input) -> Self {
        if input == Input::Error {
            Self::Fisher
        } else {
            Self::Mmd
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mmd => "mmd",
            Self::Lsdd => "lsdd",
            Self::Cvm => "cvm",
            Self::Fisher => "fisher",
        }
    }

    /// Says whether it can look at `input`.
    #[must_use]
    pub fn takes(self, input: Input) -> bool {
        match self {
            Self::Fisher => matches!(input, Input::Margin | Input::Error),
            Self::Mmd | Self::Lsdd | Self::Cvm => is_measured(input),
        }
    }

    /// Says whether several windows are watched at once.
    #[must_use]
    pub fn takes_several_windows(self) -> bool {
        match self {
            Self::Cvm | Self::Fisher => true,
            Self::Mmd | Self::Lsdd => false,
        }
    }
}

/// A score of single rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutlierMethod {
    /// The squared Mahalanobis distance.
    Mahalanobis,
    /// The distance to the k-th nearest row of the reference.
    Knn,
    /// What the principal components leave unexplained.
    Pca,
    /// The local outlier factor.
    Lof,
}

impl OutlierMethod {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("mahalanobis", Self::Mahalanobis),
        ("knn", Self::Knn),
        ("pca", Self::Pca),
        ("lof", Self::Lof),
    ];

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mahalanobis => "mahalanobis",
            Self::Knn => "knn",
            Self::Pca => "pca",
            Self::Lof => "lof",
        }
    }
}
