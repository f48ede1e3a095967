//! Sets up an online LSDD: the reference seen from its centres, λ, thresholds, the first window.
//! Imports: base, `drift::{error, kernel, lsdd, sample, standard}`, `drift::online::{calibrate, draws, windows}`.

use std::f64::consts::SQRT_2;

use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;

use crate::base::rng;

use super::super::super::error::Error;
use super::super::super::kernel::{Gaussian, Panels, median_bandwidth};
use super::super::super::lsdd::{LARGEST_DIFFERENCE, apart, lambdas};
use super::super::super::sample::Sample;
use super::super::super::standard::Moments;
use super::super::calibrate::{self, Keep, Paths, Rate};
use super::super::draws::Draws;
use super::super::windows;
use super::{FirstWindow, Fitted, Lsdd, LsddOptions, Moving, add, statistic_of, turn};

/// Steps of the iteration that finds eigenvalues: some per value are usual.
const ITERATIONS_MAX: usize = 100_000;

/// Sets up a detector from a reference.
pub(in super::super) fn fit(reference: &Sample, options: &LsddOptions) -> Result<Lsdd, Error> {
    let window = options.window;
    windows::check(window)?;
    let centres = options.centres.unwrap_or(2 * window);
    if centres == 0 {
        return Err(Error::Setting {
            name: "centres",
            value: 0.0,
            expected: "at least one kernel centre".to_owned(),
        });
    }
    let needed = centres.saturating_add(2 * window);
    reference.require_rows("online LSDD (centres + 2 · window)", needed)?;
    windows::require_varying(reference)?;
    let keep = match options.first_window {
        FirstWindow::Kept => Keep::BelowAfterFirst,
        FirstWindow::Filtered => Keep::Below,
    };
    let rate = Rate::new(options.ert, 1)?;
    let asked = options.draws.given_bootstraps().or(options.bootstraps);
    let bootstraps = calibrate::bootstraps(asked, window, rate, keep)?;
    options.draws.check(reference.rows() - centres)?;

    let pool = Pool::new(reference, centres, options)?;
    let (rows, taken) = (pool.rows.len(), pool.taken());
    let regularisation = pool.regularisation(bootstraps, &options.draws)?;
    let weights = pool.weights(regularisation);
    let paths = Paths::simulate(
        bootstraps,
        window,
        || (),
        |(), number, path| {
            pool.walk(
                &options.draws.bootstrap(number, rows, taken),
                &weights,
                path,
            );
        },
    );
    let thresholds: Vec<f64> = calibrate::thresholds(&paths, rate, keep)?
        .iter()
        .map(|threshold| threshold.value)
        .collect();
    let tail = options.draws.split(rows, taken, |tail| {
        let mut path = vec![0.0; window];
        pool.walk(tail, &weights, &mut path);
        path[window - 1] < thresholds[0]
    })?;
    Lsdd::new(pool.begin(regularisation, weights, thresholds, &tail))
}

/// The reference, normalised and seen from the centres.
struct Pool {
    window: usize,
    moments: Moments,
    bandwidth: f64,
    centres: Sample,
    basis: Vec<f64>,
    eigenvalues: Vec<f64>,
    /// Which rows of reference are no centres.
    rows: Vec<usize>,
    /// Of those, `[rows, C]`.
    coordinates: Vec<f64>,
    /// Their sum.
    total: Vec<f64>,
}

impl Pool {
    fn new(reference: &Sample, centres: usize, options: &LsddOptions) -> Result<Self, Error> {
        let moments = Moments::of(reference)?;
        let normal = moments.normalised(reference)?;
        let bandwidth = match options.bandwidth {
            Some(bandwidth) => bandwidth,
            None => median_bandwidth(&normal)?,
        };
        let kernel = Gaussian::new(&[bandwidth])?;
        let mut order = options.draws.centres(reference.rows())?;
        let rows = order.split_off(centres);
        let values = order.iter().flat_map(|row| normal.row(*row)).copied();
        let jitter = rng::stream(options.draws.seed(), "drift.online.jitter", 0);
        let centres = apart(Sample::new(values.collect(), normal.width())?, jitter)?;
        let products = Gaussian::new(&[SQRT_2 * bandwidth])?;
        let (basis, eigenvalues) = eigen(&products.matrix(&centres, &centres), centres.rows())?;
        let count = centres.rows();
        let panels = Panels::new(&[&centres]);
        let mut coordinates = vec![0.0; rows.len() * count];
        coordinates
            .par_chunks_exact_mut(count)
            .zip(&rows)
            .for_each_init(
                || vec![0.0; count],
                |values, (out, row)| {
                    kernel.values(normal.row(*row), &panels, 0, values);
                    turn(values, &basis, out);
                },
            );
        let mut total = vec![0.0; count];
        for row in coordinates.chunks_exact(count) {
            add(&mut total, row, 1.0);
        }
        Ok(Self {
            window: options.window,
            moments,
            bandwidth,
            centres,
            basis,
            eigenvalues,
            rows,
            coordinates,
            total,
        })
    }

    /// E.
    fn taken(&self) -> usize {
        2 * self.window - 1
    }

    fn row(&self, row: usize) -> &[f64] {
        let count = self.total.len();
        &self.coordinates[row * count..(row + 1) * count]
    }

    /// The mean coordinates of all rows that are not in `tail`.
    fn reference(&self, tail: &[usize]) -> Vec<f64> {
        let mut mean = self.total.clone();
        for row in tail {
            add(&mut mean, self.row(*row), -1.0);
        }
        let kept = (self.rows.len() - tail.len()) as f64;
        for value in &mut mean {
            *value /= kept;
        }
        mean
    }

    /// The sum of the coordinates of the first window of `tail`.
    fn first_window(&self, tail: &[usize]) -> Vec<f64> {
        let mut sum = vec![0.0; self.total.len()];
        for row in &tail[..self.window] {
            add(&mut sum, self.row(*row), 1.0);
        }
        sum
    }

    /// Writes the statistic of the W windows of a tail against the rest.
    fn walk(&self, tail: &[usize], weights: &[f64], path: &mut [f64]) {
        let reference = self.reference(tail);
        let mut sum = self.first_window(tail);
        for (first, statistic) in path.iter_mut().enumerate() {
            *statistic = statistic_of(&reference, &sum, self.window, weights);
            if let Some(next) = tail.get(first + self.window) {
                add(&mut sum, self.row(*next), 1.0);
                add(&mut sum, self.row(tail[first]), -1.0);
            }
        }
    }

    /// Chooses λ from the first windows of the bootstraps.
    fn regularisation(&self, bootstraps: usize, draws: &Draws) -> Result<f64, Error> {
        let choices: Vec<f64> = lambdas().collect();
        let differences = Paths::simulate(
            bootstraps,
            choices.len(),
            || (),
            |(), number, path| {
                let tail = draws.bootstrap(number, self.rows.len(), self.taken());
                let (reference, sum) = (self.reference(&tail), self.first_window(&tail));
                for (choice, difference) in choices.iter().zip(path) {
                    // 1 − ωᵀHω / hᵀω with ω = (H+λI)⁻¹h.
                    let (mut quadratic, mut linear) = (0.0, 0.0);
                    for ((mean, sum), eigenvalue) in
                        reference.iter().zip(&sum).zip(&self.eigenvalues)
                    {
                        let g = mean - sum / self.window as f64;
                        let omega = g / (eigenvalue + choice);
                        quadratic += eigenvalue * omega * omega;
                        linear += g * omega;
                    }
                    *difference = 1.0 - quadratic / linear;
                }
            },
        );
        let means = differences.means();
        let found = choices
            .into_iter()
            .zip(means)
            .find(|(_, mean)| *mean < LARGEST_DIFFERENCE);
        found
            .map(|(choice, _)| choice)
            .ok_or(Error::NoRegularisation)
    }

    fn weights(&self, regularisation: f64) -> Vec<f64> {
        self.eigenvalues
            .iter()
            .map(|eigenvalue| {
                let sum = eigenvalue + regularisation;
                2.0 / sum - eigenvalue / (sum * sum)
            })
            .collect()
    }

    fn begin(
        &self,
        regularisation: f64,
        weights: Vec<f64>,
        thresholds: Vec<f64>,
        tail: &[usize],
    ) -> Fitted {
        let first = tail.len() - self.window;
        Fitted {
            window: self.window,
            width: self.moments.means.len(),
            bandwidth: self.bandwidth,
            regularisation,
            thresholds,
            tail: tail.iter().map(|row| self.rows[*row]).collect(),
            mean: self.moments.means.clone(),
            deviation: self.moments.deviations.clone(),
            centres: self.centres.values().to_vec(),
            basis: self.basis.clone(),
            weights,
            reference: self.reference(tail),
            start: Moving {
                coordinates: tail[first..]
                    .iter()
                    .flat_map(|row| self.row(*row))
                    .copied()
                    .collect(),
            },
        }
    }
}

/// Eigenvectors of a symmetric matrix, as the columns of a row-major one, and eigenvalues.
fn eigen(matrix: &[f64], size: usize) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let matrix = DMatrix::from_row_slice(size, size, matrix);
    let found = SymmetricEigen::try_new(matrix, f64::EPSILON, ITERATIONS_MAX)
        .ok_or(Error::NoRegularisation)?;
    let vectors = found.eigenvectors;
    let basis = (0..size * size)
        .map(|at| vectors[(at / size, at % size)])
        .collect();
    Ok((basis, found.eigenvalues.iter().copied().collect()))
}
