//! A detector that compares new rows with its reference, and what it measures.
//! Imports: drift, `detect::{checked, errors, features, kind}`.

use serde::{Deserialize, Serialize};

use crate::drift::kernel::Gaussian;
use crate::drift::lsdd::Lsdd;
use crate::drift::mmd::Mmd;
use crate::drift::permutation::{PermutationTest, require_count, require_power};
use crate::drift::uncertainty::UNSURE_BELOW;
use crate::drift::univariate::{self, Alternative, Method, Report, Rule, Sorted, Test};
use crate::drift::{Error, Sample};

use super::checked::{FeatureResult, Measured, finite};
use super::errors;
use super::features::Input;
use super::kind::{Correction, TestKind};

/// Notes of single features that are listed; of more it is said how many there are.
const NOTES_MAX: usize = 4;

/// What a detector is, as it is written down.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorSpec {
    /// What it is called.
    pub name: String,
    /// What it looks at.
    pub input: Input,
    /// How it compares.
    pub test: TestKind,
    /// Over its features.
    pub correction: Correction,
    /// Effects below this are no drift.
    pub min_effect: f64,
    /// σ of the kernel of `mmd`, by the median heuristic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<f64>,
}

/// A detector with its reference.
#[derive(Clone, Debug)]
pub(super) struct Detector {
    pub(super) spec: DetectorSpec,
    ready: Ready,
}

#[derive(Clone, Debug)]
enum Ready {
    Features(Sorted),
    Mmd { mmd: Mmd, scales: Scales },
    Lsdd(Box<Lsdd>),
}

/// How a detector decides this time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Its significance level.
    pub(super) alpha: f64,
    pub(super) permutations: usize,
    pub(super) seed: u64,
}

impl Detector {
    /// Sets up the detector of `spec` with rows of its input; what `spec` leaves open is fitted.
    ///
    /// # Errors
    /// There are too few rows, or they vary too little.
    pub(super) fn fit(spec: DetectorSpec, reference: &Sample, seed: u64) -> Result<Self, Error> {
        let reference = seen_by_test(spec.test, spec.input, reference)?;
        let ready = match spec.test {
            TestKind::Ks | TestKind::Cvm | TestKind::Chi2 | TestKind::Fisher => {
                Ready::Features(Sorted::new(&reference))
            }
            TestKind::Mmd => {
                let scales = Scales::of(spec.input, &reference);
                let scaled = scales.apply(&reference)?;
                let mmd = match spec.bandwidth {
                    Some(bandwidth) => Mmd::with_kernel(scaled, Gaussian::new(&[bandwidth])?)?,
                    None => Mmd::fit(scaled)?,
                };
                Ready::Mmd { mmd, scales }
            }
            TestKind::Lsdd => Ready::Lsdd(Box::new(Lsdd::fit(&reference, seed)?)),
        };
        let mut this = Self { spec, ready };
        if let Ready::Mmd { mmd, .. } = &this.ready {
            this.spec.bandwidth = mmd.kernel().bandwidths().first().copied();
        }
        Ok(this)
    }

    /// Says whether it takes all rows, however many: its time grows with them, not with their square.
    pub(super) fn takes_all_rows(&self) -> bool {
        matches!(self.ready, Ready::Features(_))
    }

    /// Compares `new`, rows of its input, with the reference. `names` are those of its features.
    ///
    /// # Errors
    /// `new` has other features, too few rows, or no data of this size could show drift.
    pub(super) fn measure(
        &self,
        new: &Sample,
        names: &[String],
        terms: Terms,
    ) -> Result<Measured, Error> {
        let new = seen_by_test(self.spec.test, self.spec.input, new)?;
        match &self.ready {
            Ready::Features(sorted) => {
                let is_of_errors = self.spec.input == Input::Error;
                let rule = Rule {
                    test: self.test_of_features(terms),
                    correction: self.spec.correction.into(),
                    alpha: terms.alpha,
                    // Of errors, the effect is another one.
                    min_effect: if is_of_errors {
                        0.0
                    } else {
                        self.spec.min_effect
                    },
                };
                let report = univariate::features(sorted, &new, &rule)?;
                let measured = of_report(&report, names);
                Ok(if is_of_errors {
                    errors::by_rates(measured, sorted, &new, self.spec.min_effect)
                } else {
                    measured
                })
            }
            Ready::Mmd { mmd, scales } => {
                let new = scales.apply(&new)?;
                require_count(terms.permutations, terms.alpha)?;
                require_power(mmd.reference().rows(), new.rows(), terms.alpha)?;
                let test = mmd.test_drawn(&new, terms.permutations, terms.seed)?;
                self.of_permutations(&test, terms)
            }
            Ready::Lsdd(lsdd) => {
                require_count(terms.permutations, terms.alpha)?;
                require_power(lsdd.rows(), new.rows(), terms.alpha)?;
                let found = lsdd.test_drawn(&new, terms.permutations, terms.seed)?;
                self.of_permutations(&found.test, terms)
            }
        }
    }

    /// The test by feature; of kernel tests, whose arm is never asked for, that of measurements.
    fn test_of_features(&self, terms: Terms) -> Test {
        match self.spec.test {
            TestKind::Cvm => Test::CramerVonMises {
                method: Method::Auto,
            },
            TestKind::Chi2 => Test::ChiSquare {
                permutations: u32::try_from(terms.permutations).unwrap_or(u32::MAX),
                seed: terms.seed,
            },
            TestKind::Fisher => Test::Fisher {
                alternative: if self.spec.input == Input::Error {
                    Alternative::Greater
                } else {
                    Alternative::TwoSided
                },
            },
            TestKind::Ks | TestKind::Mmd | TestKind::Lsdd => Test::KolmogorovSmirnov {
                alternative: Alternative::TwoSided,
                method: Method::Auto,
            },
        }
    }

    fn of_permutations(&self, test: &PermutationTest, terms: Terms) -> Result<Measured, Error> {
        let p_val = test.p_value();
        let effect = test.statistic.max(0.0).sqrt();
        Ok(Measured {
            is_drift: p_val < terms.alpha && self.spec.min_effect <= effect,
            statistic: finite(test.statistic),
            threshold: Some(terms.alpha),
            distance_threshold: finite(test.threshold(terms.alpha)?),
            p_val,
            p_val_plain: Some(test.p_value_plain()),
            adjusted: p_val,
            effect: finite(effect),
            features: Vec::new(),
            notes: Vec::new(),
        })
    }
}

fn of_report(report: &Report, names: &[String]) -> Measured {
    let mut features = Vec::with_capacity(report.features.len());
    let mut notes = Vec::new();
    for (feature, name) in report.features.iter().zip(names) {
        features.push(FeatureResult {
            name: name.clone(),
            p_val: feature.p,
            adjusted: feature.adjusted_p,
            statistic: finite(feature.distance),
            effect: finite(feature.effect),
            is_drift: feature.is_drift_corrected,
        });
        let named = feature.notes.iter().map(|note| format!("{name}: {note}"));
        notes.extend(named);
    }
    if NOTES_MAX < notes.len() {
        let more = notes.len() - NOTES_MAX;
        notes.truncate(NOTES_MAX);
        notes.push(format!("and {more} notes like these on other features"));
    }
    let effect = {
        let any = features.iter().any(|one| one.is_drift);
        let pairs = features.iter().zip(&report.features);
        let counted = pairs.filter(|(one, _)| one.is_drift || !any);
        // NaN is no maximum.
        counted
            .map(|(_, f)| f.effect)
            .fold(f64::NEG_INFINITY, f64::max)
    };
    let strongest = (0..features.len()).min_by(|a, b| {
        let p = |at: &usize| report.features[*at].p;
        p(a).total_cmp(&p(b))
    });
    let (p_val, adjusted, statistic) = strongest.map_or((1.0, 1.0, None), |at| {
        let one = &features[at];
        (one.p_val, one.adjusted, one.statistic)
    });
    Measured {
        is_drift: report.is_drift,
        statistic,
        threshold: report.threshold,
        distance_threshold: None,
        p_val,
        p_val_plain: None,
        adjusted,
        effect: finite(effect),
        features,
        notes,
    }
}

/// Returns the rows as `test` takes them: Fisher's exact test wants zeros and ones.
fn seen_by_test(test: TestKind, input: Input, sample: &Sample) -> Result<Sample, Error> {
    if test == TestKind::Fisher && input == Input::Margin {
        unsure(sample)
    } else {
        Ok(sample.clone())
    }
}

/// Returns 1 for each margin that is so small that the answer counts as unsure, else 0.
///
/// # Errors
/// None for a sample.
pub(super) fn unsure(margins: &Sample) -> Result<Sample, Error> {
    let flags = margins.values().iter();
    let flags = flags.map(|margin| f64::from(u8::from(*margin < UNSURE_BELOW)));
    Sample::new(flags.collect(), margins.width())
}

/// What each feature is divided by, so that a kernel sees features of different units alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scales(Option<Vec<f64>>);

impl Scales {
    /// Leaves all as it is.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Takes the standard deviations of `reference`, for inputs whose features have units of their own.
    pub(super) fn of(input: Input, reference: &Sample) -> Self {
        if input != Input::Properties {
            return Self::none();
        }
        let rows = reference.rows() as f64;
        let deviation = |column: usize| {
            let values = reference.column(column);
            let mean = values.iter().sum::<f64>() / rows;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / rows).sqrt()
        };
        let deviations = (0..reference.width()).map(deviation);
        // A constant feature stays as it is.
        Self(Some(
            deviations
                .map(|deviation| if deviation > 0.0 { deviation } else { 1.0 })
                .collect(),
        ))
    }

    /// Divides.
    ///
    /// # Errors
    /// `sample` has other features, or values that overflow.
    pub(super) fn apply(&self, sample: &Sample) -> Result<Sample, Error> {
        let Some(scales) = &self.0 else {
            return Ok(sample.clone());
        };
        if sample.width() != scales.len() {
            return Err(Error::Width {
                found: sample.width(),
                expected: scales.len(),
            });
        }
        let rows = sample.values().chunks_exact(scales.len());
        let values =
            rows.flat_map(|row| row.iter().zip(scales).map(|(value, scale)| value / scale));
        Sample::new(values.collect(), scales.len()).map_err(|error| match error {
            Error::NotFinite { .. } => Error::TooFarApart,
            error => error,
        })
    }
}
