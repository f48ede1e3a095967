//! The least-squares density difference: another answer to what MMD asks, from a model of the difference of
//! the two densities. Imports: base, `drift::{error, kernel, normal, permutation, sample, standard}`.
//!
//! Bu, Alippi, Roveri, A pdf-Free Change Detection Test Based on Density Difference Estimation, IEEE TNNLS 29
//! (2018). The difference is modelled by Gaussians at rows of the reference, the centres c. With H their
//! products and h = mean k(x, c) − mean k(y, c), the weights are ω = (H + λI)⁻¹ h and the statistic is
//! 2 hᵀω − ωᵀHω, the squared L2 distance of the densities up to a constant factor (πσ²)^(d/2).

use std::f64::consts::SQRT_2;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::error::Error;
use super::kernel::{Gaussian, Panels, median_bandwidth};
use super::normal::standard_normal;
use super::permutation::{PermutationTest, Relabellings, Side, choose, require_permutation};
use super::sample::Sample;
use super::standard::Moments;
use crate::base::rng::{self, ChaCha8Rng};

/// The largest mean relative difference of two estimates that agree as λ goes to 0.
pub(super) const LARGEST_DIFFERENCE: f64 = 0.2;
/// λ is tried from 1 downwards, each a quarter of the one before.
const LAMBDAS: i32 = 10;
/// How far centres that coincide are moved apart.
const NUDGE: f64 = 1e-6;

/// How strongly the weights are kept small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Regularisation {
    /// The largest λ of 1, ¼, …, 4⁻⁹ with which the two estimates of LSDD, hᵀω and ωᵀHω, agree.
    Chosen,
    /// This λ.
    Given(f64),
}

/// LSDD against a reference.
#[derive(Clone, Debug)]
pub struct Lsdd {
    /// Of the features of the reference.
    moments: Moments,
    kernel: Gaussian,
    centres: Panels,
    /// H, `[centres, centres]`.
    products: DMatrix<f64>,
    /// The rows that are no centres, normalised.
    rest: Sample,
}

/// What the test found, and with which regularisation.
#[derive(Clone, Debug, PartialEq)]
pub struct LsddTest {
    /// The statistics.
    pub test: PermutationTest,
    /// λ.
    pub lambda: f64,
    /// The mean over the relabellings of 1 − ωᵀHω / hᵀω.
    pub relative_difference: f64,
}

impl Lsdd {
    /// Takes `reference`; one row in twenty, drawn from `seed`, becomes a centre.
    ///
    /// # Errors
    /// As [`Self::with_order`].
    pub fn fit(reference: &Sample, seed: u64) -> Result<Self, Error> {
        let rows = reference.rows();
        let centres = (rows / 20).max(1);
        let drawn = choose(rows, centres, rng::stream(seed, "drift.lsdd.centres", 0));
        let drawn: Vec<usize> = drawn.into_iter().map(|row| row as usize).collect();
        let others = (0..rows).filter(|row| drawn.binary_search(row).is_err());
        let order: Vec<usize> = drawn.iter().copied().chain(others).collect();
        Self::with_order(reference, &order, centres)
    }

    /// Takes `reference`, of whose rows in the order `order` the first `centres` become centres. For
    /// comparison with other programs.
    ///
    /// # Errors
    /// There are too few rows, `order` does not hold each row once, a feature is constant, or the median
    /// heuristic finds no bandwidth.
    pub fn with_order(reference: &Sample, order: &[usize], centres: usize) -> Result<Self, Error> {
        let rows = reference.rows();
        reference.require_rows("the reference of LSDD", centres.max(1) + 2)?;
        require_permutation("order of centres", 0, order, rows)?;
        let moments = Moments::of(reference)?;
        let normalised = moments.normalised(reference)?;
        let sigma = median_bandwidth(&normalised)?;
        let pick = |rows: &[usize]| {
            let values = rows.iter().flat_map(|row| normalised.row(*row)).copied();
            Sample::new(values.collect(), normalised.width())
        };
        let (first, others) = order.split_at(centres.max(1));
        // The draws have a seed of their own: nothing else depends on them.
        let chosen = apart(pick(first)?, rng::stream(0, "drift.lsdd.nudge", 0))?;
        let wide = Gaussian::new(&[SQRT_2 * sigma])?;
        let products = wide.matrix(&chosen, &chosen);
        let count = chosen.rows();
        Ok(Self {
            moments,
            kernel: Gaussian::new(&[sigma])?,
            centres: Panels::new(&[&chosen]),
            products: DMatrix::from_fn(count, count, |i, j| products[i * count + j]),
            rest: pick(others)?,
        })
    }

    /// Returns how many rows are centres.
    #[must_use]
    pub fn centres(&self) -> usize {
        self.centres.rows()
    }

    /// Returns how many rows of the reference are compared: those that are no centres.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rest.rows()
    }

    /// Returns the kernel, for normalised features.
    #[must_use]
    pub fn kernel(&self) -> &Gaussian {
        &self.kernel
    }

    /// Draws `count` relabellings from `seed` and compares `test` with the reference under them.
    ///
    /// # Errors
    /// As [`Self::test`], or `count` is 0.
    pub fn test_drawn(&self, test: &Sample, count: usize, seed: u64) -> Result<LsddTest, Error> {
        let drawn = Relabellings::draw(self.rows(), test.rows(), count, seed)?;
        self.test(test, &drawn, Regularisation::Chosen)
    }

    /// Compares `test` with the reference under `relabellings` of the reference's rows without its centres
    /// followed by those of `test`.
    ///
    /// # Errors
    /// `test` has other features or fewer than two rows, the relabellings are of other samples, or no λ
    /// will do.
    pub fn test(
        &self,
        test: &Sample,
        relabellings: &Relabellings,
        regularisation: Regularisation,
    ) -> Result<LsddTest, Error> {
        self.rest.require_width_of(test)?;
        test.require_rows("the test sample of LSDD", 2)?;
        relabellings.require_rows(self.rows(), test.rows())?;
        let differences = self.differences(test, relabellings)?;
        let fit = match regularisation {
            Regularisation::Given(lambda) => Fit::with(lambda, &self.products, &differences)
                .ok_or(Error::OutOfRange {
                    what: "λ",
                    found: lambda,
                    expected: "a number above 0",
                })?,
            Regularisation::Chosen => lambdas()
                .filter_map(|lambda| Fit::with(lambda, &self.products, &differences))
                .find(|fit| fit.relative_difference < LARGEST_DIFFERENCE)
                .ok_or(Error::NoRegularisation)?,
        };
        Ok(LsddTest {
            test: PermutationTest::of_statistics(&fit.statistics)?,
            lambda: fit.lambda,
            relative_difference: fit.relative_difference,
        })
    }

    /// Returns h of the labels as they are and of each relabelling, as columns: `[centres, 1 + count]`.
    fn differences(
        &self,
        test: &Sample,
        relabellings: &Relabellings,
    ) -> Result<DMatrix<f64>, Error> {
        let test = self.moments.normalised(test)?;
        let count = self.centres();
        let rows = self.rest.values().par_chunks_exact(self.rest.width());
        let rows = rows.chain(test.values().par_chunks_exact(test.width()));
        let values: Vec<Vec<f64>> = rows
            .map(|row| {
                let mut values = vec![0.0; count];
                self.kernel.values(row, &self.centres, 0, &mut values);
                values
            })
            .collect();
        let total = sum_of(count, values.iter());
        let (n, m) = (relabellings.reference() as f64, relabellings.test() as f64);
        let lists: Vec<&[u32]> = relabellings.lists().collect();
        let columns: Vec<Vec<f64>> = lists
            .par_iter()
            .map(|list| {
                let listed = sum_of(count, list.iter().map(|row| &values[*row as usize]));
                let sums = listed.iter().zip(&total);
                sums.map(|(listed, total)| match relabellings.side() {
                    Side::Reference => listed / n - (total - listed) / m,
                    Side::Test => (total - listed) / n - listed / m,
                })
                .collect()
            })
            .collect();
        Ok(DMatrix::from_fn(count, columns.len(), |centre, list| {
            columns[list][centre]
        }))
    }
}

/// LSDD with one λ.
struct Fit {
    lambda: f64,
    relative_difference: f64,
    statistics: Vec<f64>,
}

impl Fit {
    /// Returns nothing if H + λI is not positive definite.
    fn with(lambda: f64, products: &DMatrix<f64>, differences: &DMatrix<f64>) -> Option<Self> {
        if !(lambda > 0.0 && lambda.is_finite()) {
            return None;
        }
        let count = products.nrows();
        let regularised = DMatrix::from_fn(count, count, |i, j| {
            products[(i, j)] + if i == j { lambda } else { 0.0 }
        });
        let weights = regularised.cholesky()?.solve(differences);
        let weighted = products * &weights;
        let (linear, square): (Vec<f64>, Vec<f64>) = (0..differences.ncols())
            .map(|list| {
                let sum = |other: &DMatrix<f64>| {
                    let terms = (0..count).map(|at| weights[(at, list)] * other[(at, list)]);
                    terms.sum::<f64>()
                };
                (sum(differences), sum(&weighted))
            })
            .unzip();
        let permuted = linear.iter().zip(&square).skip(1);
        let relative = permuted.map(|(linear, square)| 1.0 - square / linear);
        Some(Self {
            lambda,
            relative_difference: relative.sum::<f64>() / (linear.len() - 1) as f64,
            statistics: linear
                .iter()
                .zip(&square)
                .map(|(linear, square)| 2.0 * linear - square)
                .collect(),
        })
    }
}

fn sum_of<'a>(count: usize, rows: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    rows.fold(vec![0.0; count], |mut sums, row| {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
        sums
    })
}

/// The λ that are tried, the largest first.
pub(super) fn lambdas() -> impl Iterator<Item = f64> {
    (0..LAMBDAS).map(|at| 0.25f64.powi(at))
}

/// Moves centres apart a little, by draws from `rng`, if two coincide: H could not be solved with.
pub(super) fn apart(centres: Sample, mut rng: ChaCha8Rng) -> Result<Sample, Error> {
    let mut rows: Vec<&[f64]> = centres.values().chunks_exact(centres.width()).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    if rows.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(centres);
    }
    let values = centres.values().iter();
    let nudged = values.map(|value| value + NUDGE * standard_normal(&mut rng));
    Sample::new(nudged.collect(), centres.width())
}

#[cfg(test)]
mod tests;
