//! What a check says: the verdict, what each detector measured, which classes moved, what accuracy is left.
//! Plain data that is shown, written as JSON and made into a page. Imports: `base::units`, `detect::features`
//! (the names of inputs).
//!
//! Numbers that are not finite (the effect between two constants, the odds of nothing) are `None`, `null` in
//! JSON. Shares and probabilities are 0..=1.

use serde::{Deserialize, Serialize};

use crate::base::units;

use super::features::Input;

/// The version of the JSON form. Raised when a reader of the old one would misread the new one.
pub const SCHEMA: u64 = 1;

/// What the new data say against the reference.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Checked {
    /// [`SCHEMA`].
    pub schema: u64,
    /// All detectors together.
    pub verdict: Verdict,
    /// Rows (pictures) of new data that were compared.
    pub rows: usize,
    /// What they were compared with.
    pub reference: ReferenceFacts,
    /// The accepted chance that this check calls drift where there is none.
    pub alpha: f64,
    /// In the order of the parameters.
    pub detectors: Vec<Detected>,
    /// The predicted classes, in the order of the model.
    pub classes: Vec<ClassShare>,
    /// How often the model is likely to be right on the new data; `None` if that cannot be told.
    pub accuracy: Option<Accuracy>,
    /// Rows that are strange one by one; `None` if no score is fitted.
    pub outliers: Option<Outliers>,
    /// Which rows show the difference best; `None` if no kernel can be fitted.
    pub witnesses: Option<Witnesses>,
    /// What was left out or could not be told, and why.
    pub notes: Vec<String>,
}

/// The verdict over all detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// At least one detector found drift.
    Drift,
    /// All detectors were computed, none found drift.
    NoDrift,
    /// None found drift, but at least one could not be computed: that is no "no drift".
    Incomplete,
}

/// What is said of the reference.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ReferenceFacts {
    /// Rows.
    pub rows: usize,
    /// The split of the prepared data they are from: `val`, `test`, `train`.
    pub split: String,
    /// BLAKE3 of the prepared data.
    pub data: String,
    /// BLAKE3 of the model's weights.
    pub model: String,
}

/// What one detector says.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Detected {
    /// As in the parameters; names are distinct.
    pub name: String,
    /// What it looks at.
    pub input: Input,
    /// How it compares: `ks`, `cvm`, `chi2`, `fisher`, `mmd`, `lsdd`.
    pub test: String,
    /// Its share of the chance of a false alarm.
    pub alpha: f64,
    /// Effects below this are no drift; 0: any.
    pub min_effect: f64,
    /// `measured` or `error`.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether a detector could be computed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub enum Outcome {
    /// It could.
    #[serde(rename = "measured")]
    Measured(Measured),
    /// It could not: why, and what to do.
    #[serde(rename = "error")]
    Failed(String),
}

/// What a detector measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Measured {
    /// Whether it is significant, with the least effect.
    pub is_drift: bool,
    /// The statistic of the test; of several features, that of the one with the smallest p (the first of
    /// equal ones).
    pub statistic: Option<f64>,
    /// What p was compared with, after the correction over features; `None` where Benjamini-Hochberg finds
    /// none to compare with.
    pub threshold: Option<f64>,
    /// Above which the statistic is significant; of tests by permutation only.
    pub distance_threshold: Option<f64>,
    /// The smallest p, not corrected. Never 0 where it comes from permutations.
    pub p_val: f64,
    /// b / B, as other programs report p of B permutations; may be 0.
    pub p_val_plain: Option<f64>,
    /// The smallest p after the correction over features: below `alpha` is significant.
    pub adjusted: f64,
    /// How large the difference is, whatever the number of rows. Of features the largest among the
    /// significant ones (among all, if none is): Wasserstein-1 in standard deviations of the reference, or
    /// Cramér's V of categories. Of `error` the error rate less that of the reference. Of `mmd` and `lsdd` the square
    /// root of the statistic, a distance.
    pub effect: Option<f64>,
    /// By feature; empty for tests of all features at once.
    pub features: Vec<FeatureResult>,
    /// What should be known about the p-values.
    pub notes: Vec<String>,
}

/// What a test says of one feature.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct FeatureResult {
    /// `brightness`, the name of a class, …
    pub name: String,
    /// Of the test, not corrected.
    pub p_val: f64,
    /// Corrected over the features of this detector.
    pub adjusted: f64,
    /// The statistic of the test.
    pub statistic: Option<f64>,
    /// See [`Measured::effect`].
    pub effect: Option<f64>,
    /// Whether it is significant after the correction, with the least effect.
    pub is_drift: bool,
}

/// A predicted class: how often, in the reference and now.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ClassShare {
    /// Its name.
    pub class: String,
    /// Rows of the reference that the model calls so.
    pub reference_rows: usize,
    /// Rows of the new data that the model calls so.
    pub new_rows: usize,
    /// Their share of the reference.
    pub reference: f64,
    /// Their share of the new data.
    pub new: f64,
    /// `new` − `reference`.
    pub difference: f64,
    /// The adjusted standardised residual (Agresti): how many standard deviations the number of new rows is
    /// from what the shares of both samples together let expect. 0 where the class occurs in neither.
    pub residual: f64,
    /// Of Fisher's exact test of this class against all others, corrected over the classes after Holm.
    pub p_val: f64,
    /// Whether `p_val` is below the significance level of the check.
    pub moved: bool,
}

/// How often the model is right.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Accuracy {
    /// On the reference, where labels are known.
    pub reference: f64,
    /// On the new data, by average thresholded confidence (Garg et al. 2022): the share of rows that the
    /// model is at least as sure of as the share it gets right in the reference. An estimate: it knows
    /// nothing of what makes a model wrong and sure.
    pub estimated: f64,
    /// The confidence (−entropy, in nats) from which on a row counts as right: of those between the rows of the reference,
    /// the one that comes nearest to `reference` there; `None` if none of them was right.
    pub threshold: Option<f64>,
    /// On the new data, where its labels are known.
    pub actual: Option<f64>,
}

/// Rows that are strange one by one.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Outliers {
    /// `mahalanobis`, `knn`, `pca`, `lof`.
    pub method: String,
    /// The share of usual rows that is called strange.
    pub false_positives: f64,
    /// The score above which a row is strange.
    pub threshold: f64,
    /// How many rows are.
    pub rows: usize,
    /// Their share.
    pub share: f64,
    /// The strangest ones, the strangest first; at most [`SHOWN`].
    pub strangest: Vec<Witness>,
}

/// The rows that show the difference best, by the witness function of MMD (Gretton et al. 2012, section 2.3).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Witnesses {
    /// What rows were compared by.
    pub input: Input,
    /// Rows of the new data that are most unlike the reference, the most unlike first; at most [`SHOWN`].
    pub unlike: Vec<Witness>,
    /// Rows of the reference that are typical of it and least like the new data; at most [`SHOWN`]. `row` counts
    /// the thumbnails of the fitted detectors.
    pub typical: Vec<Witness>,
}

/// How many rows are named.
pub const SHOWN: usize = 16;

/// A row, and what singles it out.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Witness {
    /// From 0.
    pub row: usize,
    /// Of the witness function (below 0: denser in the new data), or the outlier score.
    pub value: f64,
    /// The class that the model names.
    pub class: String,
    /// The path of the picture, if it has one.
    pub picture: Option<String>,
}

impl Checked {
    /// Returns whether a detector found drift.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        self.verdict == Verdict::Drift
    }

    /// Returns the detectors that found drift.
    pub fn fired(&self) -> impl Iterator<Item = &Detected> {
        self.detectors.iter().filter(|one| one.is_drift())
    }

    /// Returns the detectors that could not be computed, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&Detected, &str)> {
        self.detectors.iter().filter_map(|one| match &one.outcome {
            Outcome::Failed(reason) => Some((one, reason.as_str())),
            Outcome::Measured(_) => None,
        })
    }

    /// Returns the classes that became more or less frequent, those that moved most first.
    #[must_use]
    pub fn moved(&self) -> Vec<&ClassShare> {
        let mut moved: Vec<_> = self.classes.iter().filter(|one| one.moved).collect();
        moved.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
        moved
    }

    /// Returns the verdict as one line: `drift: 2 of 6 detectors (…); 40 pictures against …`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let compared = format!(
            "{} against {} of the {} split",
            units::count(self.rows, "picture"),
            self.reference.rows,
            self.reference.split
        );
        let all = units::count(self.detectors.len(), "detector");
        match self.verdict {
            Verdict::Drift => {
                let fired: Vec<&str> = self.fired().map(|one| one.name.as_str()).collect();
                let names = fired.join(", ");
                format!("drift: {} of {all} ({names}); {compared}", fired.len())
            }
            Verdict::NoDrift => format!("no drift: {all}; {compared}"),
            Verdict::Incomplete => {
                let failed = self.failed().count();
                format!("no verdict: {failed} of {all} could not be computed; {compared}")
            }
        }
    }

    /// Returns the rows of the new data that are named, ascending, each once.
    #[must_use]
    pub fn rows_shown(&self) -> Vec<usize> {
        let unlike = self.witnesses.iter().flat_map(|w| &w.unlike);
        let strangest = self.outliers.iter().flat_map(|o| &o.strangest);
        let mut rows: Vec<usize> = unlike.chain(strangest).map(|one| one.row).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Writes the paths of the new pictures beside the rows that are named; `paths` has one for each row.
    pub fn name_pictures(&mut self, paths: &[String]) {
        let unlike = self.witnesses.iter_mut().flat_map(|w| &mut w.unlike);
        let strangest = self.outliers.iter_mut().flat_map(|o| &mut o.strangest);
        for witness in unlike.chain(strangest) {
            witness.picture = paths.get(witness.row).cloned();
        }
    }
}

impl Detected {
    /// Returns whether it found drift.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        self.measured().is_some_and(|measured| measured.is_drift)
    }

    /// Returns what it measured, if it could.
    #[must_use]
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::Failed(_) => None,
        }
    }
}

impl Verdict {
    /// Returns the verdict over `detectors`.
    #[must_use]
    pub fn over(detectors: &[Detected]) -> Self {
        if detectors.iter().any(Detected::is_drift) {
            Self::Drift
        } else if detectors.is_empty() || detectors.iter().any(|one| one.measured().is_none()) {
            Self::Incomplete
        } else {
            Self::NoDrift
        }
    }

    /// Returns its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::NoDrift => "no_drift",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Returns `value` if it is finite, as it is written down.
#[must_use]
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
