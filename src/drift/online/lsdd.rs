//! Online LSDD: has the joint distribution of all features moved, by the squared difference of the
//! densities? Imports: `drift::{kernel, normal, sample}`, `drift::online::{calibrate, detector, draws, problem,
//! state, windows}`.
//!
//! Bu, Alippi and Zhao, A pdf-free change detection test based on density difference estimation (IEEE
//! TNNLS 29, 2018), with thresholds for an expected run time. The difference of the densities is
//! modelled by Gaussians at C centres: with h the difference of the mean kernel values of reference and
//! window, H the products of the Gaussians and λ the regularisation,
//! `LSDD = hᵀ(2(H+λI)⁻¹ − (H+λI)⁻¹H(H+λI)⁻¹)h`, up to a factor that is the same for all windows.
//!
//! In the eigenbasis of H, with eigenvalues η, this is `Σ g² (2/(η+λ) − η/(η+λ)²)`. So each row's
//! kernel values are turned into that basis once, and then a window costs O(C), whatever λ.

use faer::{Mat, Side};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::rng;

use super::super::kernel::{Gaussian, Panels, median_bandwidth};
use super::super::normal::standard_normal;
use super::super::sample::Sample;
use super::calibrate::{self, Keep, Paths, Rate};
use super::detector::{Judged, Watch};
use super::draws::Draws;
use super::problem::OnlineError;
use super::state::floats;
use super::windows::{self, threshold_at};

/// How an online LSDD is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct LsddOptions {
    /// W, observations in a window: at least 2; the reference has at least C + 2W rows.
    pub window: usize,
    /// Expected observations between two false alarms.
    pub ert: f64,
    /// Simulated streams; `None` for max(1000, 10 · ERT).
    pub bootstraps: Option<usize>,
    /// σ of the kernel, in standard deviations of the features; `None` for the median heuristic.
    pub bandwidth: Option<f64>,
    /// C, kernel centres; `None` for 2W.
    pub centres: Option<usize>,
    /// What becomes of simulated streams that raise an alarm before the first observation.
    pub first_window: FirstWindow,
    /// Where permutations come from.
    pub draws: Draws,
}

/// Whether simulated streams whose first window is above its threshold count further on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FirstWindow {
    /// They do: as alibi-detect has it.
    Kept,
    /// They do not: as for all other windows, and as the window that a detector begins with.
    Filtered,
}

/// λ is the first of 1, 1/4, …, 4⁻⁹ at which the relative difference of the two estimates of LSDD is
/// below this, on average.
const DIFFERENCE_MAX: f64 = 0.2;
const REGULARISATIONS: usize = 10;
/// Centres that coincide are moved by so much.
const JITTER: f64 = 1e-6;

/// What was fitted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Fitted {
    window: usize,
    width: usize,
    bandwidth: f64,
    regularisation: f64,
    /// τ of t = 0, …, W − 1.
    #[serde(with = "floats")]
    thresholds: Vec<f64>,
    /// The rows of reference that stood for a stream in this split; the last W are the first window.
    tail: Vec<usize>,
    /// Of each feature of the reference.
    #[serde(with = "floats")]
    mean: Vec<f64>,
    /// The standard deviation, by which features are divided.
    #[serde(with = "floats")]
    deviation: Vec<f64>,
    /// `[C, width]`, normalised.
    #[serde(with = "floats")]
    centres: Vec<f64>,
    /// `[C, C]`: row j says what the kernel value of centre j adds to each coordinate.
    #[serde(with = "floats")]
    basis: Vec<f64>,
    /// What the square of each coordinate counts.
    #[serde(with = "floats")]
    weights: Vec<f64>,
    /// The mean coordinates of the R rows of reference.
    #[serde(with = "floats")]
    reference: Vec<f64>,
    start: Moving,
}

/// The window: the observation of time t is in slot t mod W.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Moving {
    /// `[W, C]`.
    #[serde(with = "floats")]
    coordinates: Vec<f64>,
}

/// The detector.
#[derive(Clone, Debug)]
pub(super) struct Lsdd {
    fitted: Fitted,
    kernel: Gaussian,
    centres: Panels,
    moving: Moving,
}

/// Sets up a detector from a reference.
pub(super) fn fit(reference: &Sample, options: &LsddOptions) -> Result<Lsdd, OnlineError> {
    let window = options.window;
    windows::check(window)?;
    let centres = options.centres.unwrap_or(2 * window);
    if centres == 0 {
        return Err(OnlineError::Setting {
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
    mean: Vec<f64>,
    deviation: Vec<f64>,
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
    fn new(reference: &Sample, centres: usize, options: &LsddOptions) -> Result<Self, OnlineError> {
        let (mean, deviation) = moments(reference);
        let width = reference.width();
        let mut values = reference.values().to_vec();
        for row in values.chunks_exact_mut(width) {
            normalise(row, &mean, &deviation);
        }
        let normal = Sample::new(values, width)?;
        let bandwidth = match options.bandwidth {
            Some(bandwidth) => bandwidth,
            None => median_bandwidth(&normal)?,
        };
        let kernel = Gaussian::new(&[bandwidth])?;
        let mut order = options.draws.centres(reference.rows())?;
        let rows = order.split_off(centres);
        let centres = apart(&normal, &order, options.draws.seed())?;
        let products = Gaussian::new(&[std::f64::consts::SQRT_2 * bandwidth])?;
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
            mean,
            deviation,
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
            *statistic = lsdd(&reference, &sum, self.window, weights);
            if let Some(next) = tail.get(first + self.window) {
                add(&mut sum, self.row(*next), 1.0);
                add(&mut sum, self.row(tail[first]), -1.0);
            }
        }
    }

    /// Chooses λ from the first windows of the bootstraps.
    fn regularisation(&self, bootstraps: usize, draws: &Draws) -> Result<f64, OnlineError> {
        let choices: Vec<f64> = (0..REGULARISATIONS as i32)
            .map(|i| 0.25f64.powi(i))
            .collect();
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
            .find(|(_, mean)| *mean < DIFFERENCE_MAX);
        found
            .map(|(choice, _)| choice)
            .ok_or(OnlineError::NoRegularisation)
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
            width: self.mean.len(),
            bandwidth: self.bandwidth,
            regularisation,
            thresholds,
            tail: tail.iter().map(|row| self.rows[*row]).collect(),
            mean: self.mean.clone(),
            deviation: self.deviation.clone(),
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

/// The statistic of a window, given the sum of its coordinates.
fn lsdd(reference: &[f64], sum: &[f64], window: usize, weights: &[f64]) -> f64 {
    reference
        .iter()
        .zip(sum)
        .zip(weights)
        .map(|((mean, sum), weight)| {
            let g = mean - sum / window as f64;
            weight * g * g
        })
        .sum()
}

/// Mean and standard deviation (n − 1) of each feature; the latter plus 1e-12.
fn moments(sample: &Sample) -> (Vec<f64>, Vec<f64>) {
    let rows = sample.rows() as f64;
    let (mut mean, mut squares) = (vec![0.0; sample.width()], vec![0.0; sample.width()]);
    for row in 0..sample.rows() {
        add(&mut mean, sample.row(row), 1.0);
    }
    for value in &mut mean {
        *value /= rows;
    }
    for row in 0..sample.rows() {
        for ((sum, value), mean) in squares.iter_mut().zip(sample.row(row)).zip(&mean) {
            *sum += (value - mean) * (value - mean);
        }
    }
    let deviation = squares
        .iter()
        .map(|sum: &f64| (sum / (rows - 1.0)).sqrt() + 1e-12)
        .collect();
    (mean, deviation)
}

fn normalise(row: &mut [f64], mean: &[f64], deviation: &[f64]) {
    for ((value, mean), deviation) in row.iter_mut().zip(mean).zip(deviation) {
        *value = (*value - mean) / deviation;
    }
}

fn add(sums: &mut [f64], values: &[f64], sign: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += sign * value;
    }
}

/// Writes the coordinates of kernel values.
fn turn(values: &[f64], basis: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (value, row) in values.iter().zip(basis.chunks_exact(values.len())) {
        add(out, row, *value);
    }
}

/// The centres, moved a little where two are the same: H would be singular.
fn apart(normal: &Sample, order: &[usize], seed: u64) -> Result<Sample, OnlineError> {
    let mut values: Vec<f64> = order
        .iter()
        .flat_map(|row| normal.row(*row))
        .copied()
        .collect();
    let mut sorted: Vec<&[f64]> = order.iter().map(|row| normal.row(*row)).collect();
    sorted.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        let mut rng = rng::stream(seed, "drift.online.jitter", 0);
        for value in &mut values {
            *value += JITTER * standard_normal(&mut rng);
        }
    }
    Ok(Sample::new(values, normal.width())?)
}

/// Eigenvectors of a symmetric matrix, as the columns of a row-major one, and eigenvalues.
fn eigen(matrix: &[f64], size: usize) -> Result<(Vec<f64>, Vec<f64>), OnlineError> {
    let matrix = Mat::from_fn(size, size, |i, j| matrix[i * size + j]);
    let found = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| OnlineError::NoRegularisation)?;
    let (vectors, values) = (found.U(), found.S().column_vector());
    let basis = (0..size * size)
        .map(|at| vectors[(at / size, at % size)])
        .collect();
    Ok((basis, (0..size).map(|i| values[i]).collect()))
}

impl Lsdd {
    fn new(fitted: Fitted) -> Result<Self, OnlineError> {
        let centres = Sample::new(fitted.centres.clone(), fitted.width)?;
        Ok(Self {
            kernel: Gaussian::new(&[fitted.bandwidth])?,
            centres: Panels::new(&[&centres]),
            moving: fitted.start.clone(),
            fitted,
        })
    }

    /// Reads what [`Watch::fitted`] wrote.
    pub(super) fn read(value: serde_json::Value) -> Result<Self, OnlineError> {
        let fitted: Fitted = serde_json::from_value(value).map_err(OnlineError::damaged)?;
        windows::check(fitted.window)?;
        let (count, width) = (fitted.weights.len(), fitted.width);
        let lengths_fit = fitted.thresholds.len() == fitted.window
            && fitted.mean.len() == width
            && fitted.deviation.len() == width
            && Some(fitted.centres.len()) == count.checked_mul(width)
            && Some(fitted.basis.len()) == count.checked_mul(count)
            && fitted.reference.len() == count;
        let all = [
            &fitted.thresholds,
            &fitted.mean,
            &fitted.deviation,
            &fitted.basis,
            &fitted.weights,
            &fitted.reference,
        ];
        if !lengths_fit || all.iter().any(|v| v.iter().any(|x| !x.is_finite())) {
            return Err(OnlineError::damaged(
                "the arrays of `lsdd` do not fit each other",
            ));
        }
        fitted.start.check(&fitted)?;
        Self::new(fitted)
    }
}

impl Moving {
    fn check(&self, fitted: &Fitted) -> Result<(), OnlineError> {
        let expected = fitted.window.checked_mul(fitted.weights.len());
        if Some(self.coordinates.len()) != expected
            || self.coordinates.iter().any(|x| !x.is_finite())
        {
            return Err(OnlineError::damaged(
                "the window is not one of this detector",
            ));
        }
        Ok(())
    }
}

impl Watch for Lsdd {
    fn name(&self) -> &'static str {
        "lsdd"
    }

    fn width(&self) -> usize {
        self.fitted.width
    }

    fn step(&mut self, time: u64, row: &[f64]) -> Judged {
        let fitted = &self.fitted;
        let count = fitted.weights.len();
        let slot = ((time - 1) % fitted.window as u64) as usize;
        let mut normal = row.to_vec();
        normalise(&mut normal, &fitted.mean, &fitted.deviation);
        let mut values = vec![0.0; count];
        self.kernel.values(&normal, &self.centres, 0, &mut values);
        let coordinates = &mut self.moving.coordinates;
        turn(
            &values,
            &fitted.basis,
            &mut coordinates[slot * count..(slot + 1) * count],
        );
        // Summed anew each time: O(WC), and rounding errors never pile up.
        let sum = &mut values;
        sum.fill(0.0);
        for row in coordinates.chunks_exact(count) {
            add(sum, row, 1.0);
        }
        let statistic = lsdd(&fitted.reference, sum, fitted.window, &fitted.weights);
        Judged::against(statistic, threshold_at(&fitted.thresholds, time))
    }

    fn reset(&mut self) {
        self.moving = self.fitted.start.clone();
    }

    fn fitted(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.fitted)
    }

    fn moving(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.moving)
    }

    fn resume(&mut self, _: u64, value: serde_json::Value) -> Result<(), OnlineError> {
        let moving: Moving = serde_json::from_value(value).map_err(OnlineError::damaged)?;
        moving.check(&self.fitted)?;
        self.moving = moving;
        Ok(())
    }
}
