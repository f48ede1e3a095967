//! Two arrays against each other, by one detector. Imports: drift, `arrays::error`.

use crate::drift::correction::Correction;
use crate::drift::kernel::Gaussian;
use crate::drift::lsdd::{Lsdd, Regularisation};
use crate::drift::mmd::Mmd;
use crate::drift::permutation::{
    PermutationTest, Relabellings, TooFewPermutations, require_count, require_power,
};
use crate::drift::univariate::{self, Note, Report, Rule, Sorted, Test};
use crate::drift::{self, Sample};

use super::error::{ArrayError, Fault};
use super::{ArrayFile, Head, Rows};

/// What is asked of two arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// How they are compared.
    pub detector: Detector,
    /// The significance level.
    pub alpha: f64,
    /// Of every draw.
    pub seed: u64,
}

/// How two arrays are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Detector {
    /// Feature by feature.
    Features {
        /// Of each feature.
        test: Test,
        /// Over all of them.
        correction: Correction,
    },
    /// By the maximum mean discrepancy.
    Mmd {
        /// Of the kernel; none: by the median heuristic.
        bandwidths: Vec<f64>,
        /// Of all rows, the reference's first.
        relabelling: Relabelling,
    },
    /// By the least-squares density difference.
    Lsdd {
        /// An order of the reference's rows, of which the first twentieth become centres; `None`: drawn.
        order: Option<ArrayFile>,
        /// How strongly weights are kept small.
        regularisation: Regularisation,
        /// Of the reference's rows that are no centres, then those of the test sample.
        relabelling: Relabelling,
    },
}

/// Where the null distribution comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relabelling {
    /// So many permutations, drawn.
    Drawn(usize),
    /// The permutations of a file, for comparison with other programs.
    Given(ArrayFile),
}

/// What the comparison says.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Whether the arrays differ.
    pub is_drift: bool,
    /// What was measured.
    pub found: Found,
    /// What should be known about it, of all features; what concerns one stands there.
    pub notes: Vec<String>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Feature by feature.
    Features(Report),
    /// Of all features at once.
    Whole(Whole),
}

/// A test of all features at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// (b + 1) / (B + 1).
    pub p: f64,
    /// b / B.
    pub p_plain: f64,
    /// MMD² or LSDD.
    pub statistic: f64,
    /// Above which the statistic is significant.
    pub distance_threshold: f64,
    /// B.
    pub permutations: usize,
    /// Of the kernel; for LSDD in standard deviations of the reference's features.
    pub bandwidths: Vec<f64>,
    /// λ of LSDD.
    pub lambda: Option<f64>,
}

/// Compares `test` with `reference`.
///
/// # Errors
/// The arrays have different features or too few rows, hold values that the detector does not take, or vary
/// nowhere; a file of permutations does not fit them; a setting is out of its range.
pub fn compare(reference: &Rows, test: &Rows, request: &Request) -> Result<Compared, ArrayError> {
    let pair = Pair { reference, test };
    reference
        .sample
        .require_width_of(&test.sample)
        .map_err(|error| pair.blame(error))?;
    pair.require_same_names()?;
    match &request.detector {
        Detector::Features {
            test: by,
            correction,
        } => pair.by_feature(*by, *correction, request.alpha),
        Detector::Mmd {
            bandwidths,
            relabelling,
        } => {
            let kernel = match &bandwidths[..] {
                [] => Gaussian::of_median(&reference.sample),
                given => Gaussian::new(given),
            };
            let kernel = kernel.map_err(|error| pair.blame(error))?;
            let mmd = Mmd::with_kernel(reference.sample.clone(), kernel)
                .map_err(|error| pair.blame(error))?;
            let rows = reference.sample.rows();
            let relabellings = pair.relabellings(relabelling, rows, request)?;
            let tested = mmd
                .test(&test.sample, &relabellings)
                .map_err(|error| pair.blame(error))?;
            pair.whole(&tested, mmd.kernel(), None, request.alpha)
        }
        Detector::Lsdd {
            order,
            regularisation,
            relabelling,
        } => {
            let lsdd = pair.lsdd(order.as_ref(), request.seed)?;
            let relabellings = pair.relabellings(relabelling, lsdd.rows(), request)?;
            let tested = lsdd
                .test(&test.sample, &relabellings, *regularisation)
                .map_err(|error| pair.blame(error))?;
            pair.whole(
                &tested.test,
                lsdd.kernel(),
                Some(tested.lambda),
                request.alpha,
            )
        }
    }
}

/// Two arrays of the same width.
#[derive(Clone, Copy)]
struct Pair<'a> {
    reference: &'a Rows,
    test: &'a Rows,
}

impl Pair<'_> {
    fn require_same_names(self) -> Result<(), ArrayError> {
        let mut names = self.reference.names.iter().zip(&self.test.names);
        match names.position(|(expected, found)| expected != found) {
            None => Ok(()),
            Some(feature) => Err(ArrayError::OtherNames {
                reference: self.reference.path.clone(),
                test: self.test.path.clone(),
                feature,
                found: self.test.names[feature].clone(),
                expected: self.reference.names[feature].clone(),
            }),
        }
    }

    fn by_feature(
        self,
        test: Test,
        correction: Correction,
        alpha: f64,
    ) -> Result<Compared, ArrayError> {
        let rule = Rule {
            test,
            correction,
            alpha,
            min_effect: 0.0,
        };
        let reference = Sorted::new(&self.reference.sample);
        let report = univariate::features(&reference, &self.test.sample, &rule)
            .map_err(|error| self.blame(error))?;
        // Zeros only, or one label only, can be all there is to see; measurements that never change are a mistake.
        let measures = match test {
            Test::KolmogorovSmirnov { .. } | Test::CramerVonMises { .. } => true,
            Test::ChiSquare { .. } | Test::Fisher { .. } => false,
        };
        let is_constant = |note: &Note| matches!(note, Note::Constant { .. });
        let mut features = report.features.iter();
        if measures && features.all(|feature| feature.notes.iter().any(is_constant)) {
            return Err(ArrayError::AllConstant {
                reference: self.reference.path.clone(),
                test: self.test.path.clone(),
            });
        }
        Ok(Compared {
            is_drift: report.is_drift,
            found: Found::Features(report),
            notes: Vec::new(),
        })
    }

    fn lsdd(self, order: Option<&ArrayFile>, seed: u64) -> Result<Lsdd, ArrayError> {
        let sample = &self.reference.sample;
        let Some(file) = order else {
            return Lsdd::fit(sample, seed).map_err(|error| self.blame(error));
        };
        let order = file.read(Head::No)?.order(sample.rows())?;
        let centres = (sample.rows() / 20).max(1);
        Lsdd::with_order(sample, &order, centres).map_err(|error| match error {
            drift::Error::NotAPermutation { .. } => of_file(file, error),
            other => self.blame(other),
        })
    }

    /// Returns relabellings of `rows` rows of the reference and all of the test sample: such that drift can
    /// show. Of permutations from a file there may be too few for that, which is noted: whoever compares with
    /// another program wants its numbers.
    fn relabellings(
        self,
        how: &Relabelling,
        rows: usize,
        request: &Request,
    ) -> Result<Relabellings, ArrayError> {
        let test = self.test.sample.rows();
        require_power(rows, test, request.alpha).map_err(|error| self.blame(error))?;
        match how {
            Relabelling::Drawn(count) => require_count(*count, request.alpha)
                .and_then(|()| Relabellings::draw(rows, test, *count, request.seed))
                .map_err(|error| self.blame(error)),
            Relabelling::Given(file) => {
                let lists = file.read(Head::No)?.permutations(rows + test)?;
                Relabellings::given(rows, test, &lists).map_err(|error| of_file(file, error))
            }
        }
    }

    fn whole(
        self,
        tested: &PermutationTest,
        kernel: &Gaussian,
        lambda: Option<f64>,
        alpha: f64,
    ) -> Result<Compared, ArrayError> {
        let permutations = tested.permuted.len();
        let few =
            TooFewPermutations::check(permutations, alpha).map_err(|error| self.blame(error))?;
        let p = tested.p_value();
        Ok(Compared {
            is_drift: p < alpha,
            found: Found::Whole(Whole {
                p,
                p_plain: tested.p_value_plain(),
                statistic: tested.statistic,
                distance_threshold: tested.threshold(alpha).map_err(|error| self.blame(error))?,
                permutations,
                bandwidths: kernel.bandwidths().to_vec(),
                lambda,
            }),
            notes: few.iter().map(ToString::to_string).collect(),
        })
    }

    /// Says of an error of the statistics which file it is about, and where that can be seen, which row.
    fn blame(self, error: drift::Error) -> ArrayError {
        let place = match &error {
            drift::Error::NotCategory { column, value, .. } => {
                let both = [self.reference, self.test].into_iter();
                let mut rows = both.filter_map(|rows| {
                    row_with(&rows.sample, *column, *value).map(|row| (rows, row))
                });
                rows.next().map(|(rows, row)| (rows, Some(rows.place(row))))
            }
            drift::Error::ConstantFeature { .. }
            | drift::Error::ZeroBandwidth
            | drift::Error::NoVariance => Some((self.reference, None)),
            _ => None,
        };
        match place {
            Some((rows, place)) => ArrayError::File {
                path: rows.path.clone(),
                place,
                fault: Fault::Numbers(error),
            },
            None => ArrayError::Pair {
                reference: self.reference.path.clone(),
                test: self.test.path.clone(),
                error,
            },
        }
    }
}

fn of_file(file: &ArrayFile, error: drift::Error) -> ArrayError {
    ArrayError::File {
        path: file.path.clone(),
        place: None,
        fault: Fault::Numbers(error),
    }
}

fn row_with(sample: &Sample, column: usize, value: f64) -> Option<usize> {
    (0..sample.rows()).find(|row| sample.row(*row)[column] == value)
}
