//! Online LSDD: has the joint distribution of all features moved, by the squared difference of the
//! densities? Imports: `drift::{error, kernel, sample, standard}`, `drift::online::{detector, draws, state, windows}`.
//!
//! Bu, Alippi and Zhao, A pdf-free change detection test based on density difference estimation (IEEE
//! TNNLS 29, 2018), with thresholds for an expected run time. The difference of the densities is
//! modelled by Gaussians at C centres: with h the difference of the mean kernel values of reference and
//! window, H the products of the Gaussians and λ the regularisation,
//! `LSDD = hᵀ(2(H+λI)⁻¹ − (H+λI)⁻¹H(H+λI)⁻¹)h`, up to a factor that is the same for all windows.
//!
//! In the eigenbasis of H, with eigenvalues η, this is `Σ g² (2/(η+λ) − η/(η+λ)²)`. So each row's
//! kernel values are turned into that basis once, and then a window costs O(C), whatever λ.

mod fit;

use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::kernel::{Gaussian, Panels};
use super::super::sample::Sample;
use super::super::standard::Moments;
use super::detector::{Judged, Watch};
use super::draws::Draws;
use super::state::floats;
use super::windows::{self, threshold_at};

pub(super) use fit::fit;

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
    moments: Moments,
    kernel: Gaussian,
    centres: Panels,
    moving: Moving,
}

/// The statistic of a window, given the sum of its coordinates.
fn statistic_of(reference: &[f64], sum: &[f64], window: usize, weights: &[f64]) -> f64 {
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

impl Lsdd {
    fn new(fitted: Fitted) -> Result<Self, Error> {
        let centres = Sample::new(fitted.centres.clone(), fitted.width)?;
        Ok(Self {
            moments: Moments {
                means: fitted.mean.clone(),
                deviations: fitted.deviation.clone(),
            },
            kernel: Gaussian::new(&[fitted.bandwidth])?,
            centres: Panels::new(&[&centres]),
            moving: fitted.start.clone(),
            fitted,
        })
    }

    /// Reads what [`Watch::fitted`] wrote.
    pub(super) fn read(value: serde_json::Value) -> Result<Self, Error> {
        let fitted: Fitted = serde_json::from_value(value).map_err(Error::damaged)?;
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
            return Err(Error::damaged("the arrays of `lsdd` do not fit each other"));
        }
        fitted.start.check(&fitted)?;
        Self::new(fitted)
    }
}

impl Moving {
    fn check(&self, fitted: &Fitted) -> Result<(), Error> {
        let expected = fitted.window.checked_mul(fitted.weights.len());
        if Some(self.coordinates.len()) != expected
            || self.coordinates.iter().any(|x| !x.is_finite())
        {
            return Err(Error::damaged("the window is not one of this detector"));
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
        self.moments.normalise(&mut normal);
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
        let statistic = statistic_of(&fitted.reference, sum, fitted.window, &fitted.weights);
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

    fn resume(&mut self, _: u64, value: serde_json::Value) -> Result<(), Error> {
        let moving: Moving = serde_json::from_value(value).map_err(Error::damaged)?;
        moving.check(&self.fitted)?;
        self.moving = moving;
        Ok(())
    }
}
