//! A sample against a reference, feature by feature, and one decision over all of them.
//! Imports: `drift::{correction, error, permutation, sample}`, the tests of `univariate`.
//!
//! What cannot show drift whatever the data say (too few rows, too few permutations) is an error,
//! not a quiet "no drift"; what is weaker than it looks comes with a note.

use rayon::prelude::*;

use super::super::correction::{self, Correction};
use super::super::error::Error;
use super::super::permutation::share_of_one;
use super::super::sample::Sample;
use super::chi2::{self, Permutations};
use super::counts::Counts;
use super::cvm::{CramerVonMises, Form};
use super::note::{self, Note};
use super::pooled::Pooled;
use super::sorted::{Column, Sorted};
use super::{Alternative, Method, effect, fisher, ks};

/// Rows that each sample must have.
const ROWS_MIN: usize = 2;

/// Whole numbers up to here are told apart by an `f64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A test of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Of measurements: the greatest difference of the distribution functions.
    KolmogorovSmirnov {
        /// What is looked for.
        alternative: Alternative,
        /// How p is computed.
        method: Method,
    },
    /// Of measurements: the mean squared difference of the distribution functions.
    CramerVonMises {
        /// How p is computed.
        method: Method,
    },
    /// Of categories, which are whole numbers: predicted labels, for instance.
    ChiSquare {
        /// For small expected counts.
        permutations: u32,
        /// Of their random numbers.
        seed: u64,
    },
    /// Of zeros and ones: errors, for instance.
    Fisher {
        /// What is looked for.
        alternative: Alternative,
    },
}

/// How samples are compared with a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// For each feature.
    pub test: Test,
    /// Over all features.
    pub correction: Correction,
    /// The significance level: the chance of a false alarm that is accepted.
    pub alpha: f64,
    /// Features whose effect is smaller have not drifted, however sure it is. 0: all that is
    /// significant has.
    pub min_effect: f64,
}

/// What the comparison says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whether a feature is significant after the correction, with the least effect.
    pub is_drift: bool,
    /// What p-values were compared with, see [`correction::Decision`].
    pub threshold: Option<f64>,
    /// In the order of the columns.
    pub features: Vec<Feature>,
}

/// What the comparison says of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// For itself alone; never 0: what is too small for an `f64` is the smallest one.
    pub p: f64,
    /// The statistic of the test; of Fisher's test the odds ratio, which may be infinite, or NaN
    /// where both samples are all ones or all zeros.
    pub distance: f64,
    /// Of measurements the Wasserstein-1 distance in standard deviations of the reference, of
    /// categories Cramér's V. Infinite between two constants that differ.
    pub effect: f64,
    /// Over all features: the smallest α at which it would be significant.
    pub adjusted_p: f64,
    /// Whether p is below α, uncorrected, with the least effect.
    pub is_drift: bool,
    /// Whether it is significant after the correction, with the least effect.
    pub is_drift_corrected: bool,
    /// What should be known about p.
    pub notes: Vec<Note>,
}

/// Compares `test` with `reference`, feature by feature, on all cores; the result does not depend on
/// how many there are.
///
/// # Errors
/// The samples have different features, too few rows for any difference to be significant, or
/// values that the test does not take.
pub fn features(reference: &Sorted, test: &Sample, rule: &Rule) -> Result<Report, Error> {
    correction::require_level(rule.alpha)?;
    if rule.min_effect.is_nan() || rule.min_effect < 0.0 {
        return Err(Error::OutOfRange {
            what: "the least effect",
            found: rule.min_effect,
            expected: "0 or more",
        });
    }
    if reference.columns().len() != test.width() {
        return Err(Error::Width {
            found: test.width(),
            expected: reference.columns().len(),
        });
    }
    let level = rule.correction.level(rule.alpha, test.width());
    rule.test
        .require_power(reference.rows(), test.rows(), level)?;
    let prepared = Prepared::new(rule.test, reference.rows(), test.rows())?;
    let found: Vec<Result<Feature, Error>> = reference
        .columns()
        .par_iter()
        .enumerate()
        .map(|(index, column)| prepared.compare(index, column, &Column::of(test.column(index))))
        .collect();
    // By column, so that the error is the same whichever was found first.
    let mut features = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    let p: Vec<f64> = features.iter().map(|feature| feature.p).collect();
    let decision = rule.correction.decide(&p, rule.alpha)?;
    let decided = decision.adjusted_p.iter().zip(&decision.significant);
    for (feature, (adjusted_p, significant)) in features.iter_mut().zip(decided) {
        // Values near the end of what an `f64` holds can have an effect that is no number.
        let matters = rule.min_effect <= feature.effect || feature.effect.is_nan();
        feature.adjusted_p = *adjusted_p;
        feature.is_drift = feature.p < rule.alpha && matters;
        feature.is_drift_corrected = *significant && matters;
    }
    Ok(Report {
        is_drift: features.iter().any(|feature| feature.is_drift_corrected),
        threshold: decision.threshold,
        features,
    })
}

impl Test {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KolmogorovSmirnov { .. } => "the Kolmogorov-Smirnov test",
            Self::CramerVonMises { .. } => "the Cramér-von Mises test",
            Self::ChiSquare { .. } => "the chi-square test",
            Self::Fisher { .. } => "Fisher's exact test",
        }
    }

    /// Checks that a p-value below `level` is possible at all.
    fn require_power(self, reference: usize, test: usize, level: f64) -> Result<(), Error> {
        for found in [reference, test] {
            if found < ROWS_MIN {
                return Err(Error::TooFew {
                    what: self.name(),
                    found,
                    needed: ROWS_MIN,
                });
            }
        }
        if let Self::ChiSquare { permutations, .. } = self {
            let needed = (1.0 / level).floor();
            if f64::from(permutations) < needed {
                return Err(Error::FewPermutations {
                    found: permutations as usize,
                    needed: needed as usize,
                    level,
                });
            }
        }
        // The strongest evidence there is: the samples lie apart, as one of C(n + m, n) ways to draw
        // the one from both; if either may be the higher one, as two.
        let ways = match self {
            Self::KolmogorovSmirnov { alternative, .. } if alternative != Alternative::TwoSided => {
                1.0
            }
            Self::KolmogorovSmirnov { .. } | Self::CramerVonMises { .. } => 2.0,
            Self::ChiSquare { .. } | Self::Fisher { .. } => 1.0,
        };
        let smallest = ways * share_of_one(reference, test);
        if level <= smallest {
            return Err(Error::Powerless {
                reference,
                test,
                smallest,
                level,
            });
        }
        Ok(())
    }
}

/// A test with what it needs for all features.
enum Prepared {
    KolmogorovSmirnov(Alternative, Method),
    CramerVonMises(CramerVonMises),
    ChiSquare { permutations: u32, seed: u64 },
    Fisher(Alternative),
}

impl Prepared {
    fn new(test: Test, reference_rows: usize, test_rows: usize) -> Result<Self, Error> {
        Ok(match test {
            Test::KolmogorovSmirnov {
                alternative,
                method,
            } => Self::KolmogorovSmirnov(alternative, method),
            Test::CramerVonMises { method } => Self::CramerVonMises(CramerVonMises::new(
                reference_rows as u64,
                test_rows as u64,
                method,
            )?),
            Test::ChiSquare { permutations, seed } => Self::ChiSquare { permutations, seed },
            Test::Fisher { alternative } => Self::Fisher(alternative),
        })
    }

    fn compare(&self, index: usize, reference: &Column, test: &Column) -> Result<Feature, Error> {
        let pooled = Pooled::new(reference, test);
        let mut notes = Vec::new();
        if pooled.distinct == 1 {
            notes.push(Note::Constant {
                value: reference.values()[0],
            });
        }
        let (p, distance, effect) = match self {
            Self::KolmogorovSmirnov(alternative, method) => {
                note::discrete(&pooled, &mut notes);
                let tested = ks::compare(&pooled, *alternative, *method)?;
                let effect = effect::normed_wasserstein(&pooled);
                (tested.p, tested.statistic, effect)
            }
            Self::CramerVonMises(law) => {
                note::discrete(&pooled, &mut notes);
                let outcome = law.compare(&pooled);
                if outcome.form == Form::DistributionFunctions {
                    notes.push(Note::TiesAcross);
                }
                let effect = effect::normed_wasserstein(&pooled);
                (outcome.tested.p, outcome.tested.statistic, effect)
            }
            Self::ChiSquare { permutations, seed } => {
                require_categories(&pooled, index)?;
                note::categories(&pooled, &mut notes);
                let counts = counts(&pooled)?;
                let found = chi2::compare(
                    &counts,
                    Permutations {
                        count: *permutations,
                        seed: *seed,
                        stream: index as u32,
                    },
                );
                if let Some(permutations) = found.permutations {
                    notes.push(Note::Permuted {
                        permutations,
                        smallest_expected: found.smallest_expected,
                    });
                }
                (found.p, found.statistic, effect::cramers_v(&counts))
            }
            Self::Fisher(alternative) => {
                let [reference, test] = shares(&pooled, index)?;
                let found = fisher::compare(reference, test, *alternative)?;
                let effect = effect::cramers_v(&counts(&pooled)?);
                (found.p, found.odds_ratio, effect)
            }
        };
        // What is less than an `f64` holds is not nothing.
        let p = p.max(f64::MIN_POSITIVE);
        Ok(Feature {
            p,
            distance,
            effect,
            adjusted_p: p,
            is_drift: false,
            is_drift_corrected: false,
            notes,
        })
    }
}

fn counts(pooled: &Pooled) -> Result<Counts, Error> {
    let pairs = pooled.steps();
    Counts::of_pairs(pairs.map(|step| (step.reference, step.test)).collect())
}

fn require_categories(pooled: &Pooled, column: usize) -> Result<(), Error> {
    let mut values = pooled.steps().map(|step| step.value);
    match values.find(|value| value.fract() != 0.0 || WHOLE_MAX <= value.abs()) {
        Some(value) => Err(Error::NotCategory {
            column,
            value,
            test: "the chi-square test",
            expected: "whole numbers",
        }),
        None => Ok(()),
    }
}

/// Returns the ones of the reference and of the test sample.
fn shares(pooled: &Pooled, column: usize) -> Result<[fisher::Share; 2], Error> {
    let (of_reference, of_test) = pooled.rows();
    let (mut reference, mut test) = (0, 0);
    for step in pooled.steps() {
        if step.value == 1.0 {
            (reference, test) = (step.reference, step.test);
        } else if step.value != 0.0 {
            return Err(Error::NotCategory {
                column,
                value: step.value,
                test: "Fisher's exact test",
                expected: "0 or 1",
            });
        }
    }
    Ok([(reference, of_reference), (test, of_test)].map(|(ones, of)| fisher::Share { ones, of }))
}
