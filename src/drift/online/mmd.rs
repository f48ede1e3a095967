//! Online MMD: has the joint distribution of all features moved? Imports: `drift::{error, kernel, sample}`,
//! `drift::online::{calibrate, detector, draws, state, windows}`.
//!
//! Cobb, Van Looveren and Klaise (AISTATS 2022), with the unbiased MMD² of Gretton et al. (JMLR 13, 2012)
//! between a fixed part of the reference and the last W observations. With n rows of reference,
//! E = 2W − 1 of them stand for a stream in each bootstrap, which gives W windows, and R = n − E remain.
//!
//! Kernel values between all rows are needed for their sums only: row sums are computed once, and each
//! bootstrap takes from them what its E rows have among themselves. No n × n matrix is kept.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::kernel::{Gaussian, Panels, median_bandwidth, squared_distance};
use super::super::sample::Sample;
use super::calibrate::{self, Keep, Paths, Rate};
use super::detector::{Judged, Watch};
use super::draws::{self, Draws};
use super::state::floats;
use super::windows::{self, threshold_at};

/// How an online MMD is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct MmdOptions {
    /// W, observations in a window: at least 2; the reference has at least 2W + 1 rows.
    pub window: usize,
    /// Expected observations between two false alarms.
    pub ert: f64,
    /// Simulated streams; `None` for max(1000, 10 · ERT).
    pub bootstraps: Option<usize>,
    /// σ of the kernel; `None` for the median heuristic.
    pub bandwidth: Option<f64>,
    /// Where permutations come from.
    pub draws: Draws,
}

/// What was fitted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Fitted {
    window: usize,
    width: usize,
    bandwidth: f64,
    /// τ of t = 0, …, W − 1.
    #[serde(with = "floats")]
    thresholds: Vec<f64>,
    /// The rows that left the reference for this split; the last W are the first window.
    tail: Vec<usize>,
    /// R rows of reference, `[R, width]`.
    #[serde(with = "floats")]
    reference: Vec<f64>,
    /// The mean of k over all pairs of different rows of reference.
    within: f64,
    start: Moving,
}

/// The window: the observation of time t is in slot t mod W.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Moving {
    /// `[W, width]`.
    #[serde(with = "floats")]
    rows: Vec<f64>,
    /// The sum of k between each and all rows of reference.
    #[serde(with = "floats")]
    to_reference: Vec<f64>,
    /// The sum of k between each and all that came later. It ends when the observation leaves, so
    /// rounding errors never pile up.
    #[serde(with = "floats")]
    to_newer: Vec<f64>,
}

/// The detector.
#[derive(Clone, Debug)]
pub(super) struct Mmd {
    fitted: Fitted,
    kernel: Gaussian,
    reference: Panels,
    moving: Moving,
}

/// Sets up a detector from a reference.
pub(super) fn fit(reference: &Sample, options: &MmdOptions) -> Result<Mmd, Error> {
    let window = options.window;
    windows::check(window)?;
    reference.require_rows("online MMD (2 · window + 1)", 2 * window + 1)?;
    let rate = Rate::new(options.ert, 1)?;
    let asked = options.draws.given_bootstraps().or(options.bootstraps);
    let bootstraps = calibrate::bootstraps(asked, window, rate, Keep::Below)?;
    options.draws.check(reference.rows())?;
    let bandwidth = match options.bandwidth {
        Some(bandwidth) => bandwidth,
        None => median_bandwidth(reference)?,
    };
    let pool = Pool::new(reference, Gaussian::new(&[bandwidth])?, window);
    let (rows, taken) = (reference.rows(), pool.taken());
    let paths = Paths::simulate(
        bootstraps,
        window,
        || (),
        |(), number, path| pool.walk(&options.draws.bootstrap(number, rows, taken), path),
    );
    let thresholds: Vec<f64> = calibrate::thresholds(&paths, rate, Keep::Below)?
        .iter()
        .map(|threshold| threshold.value)
        .collect();
    let tail = options.draws.split(rows, taken, |tail| {
        let mut path = vec![0.0; window];
        pool.walk(tail, &mut path);
        // The window that the detector begins with is the last one of the tail.
        path[window - 1] < thresholds[0]
    })?;
    Mmd::new(pool.begin(thresholds, tail))
}

/// The reference with what all bootstraps need of it.
struct Pool<'a> {
    sample: &'a Sample,
    kernel: Gaussian,
    window: usize,
    /// The sum of k between each row and all others.
    sums: Vec<f64>,
    total: f64,
}

impl<'a> Pool<'a> {
    fn new(sample: &'a Sample, kernel: Gaussian, window: usize) -> Self {
        let panels = Panels::new(&[sample]);
        let sums: Vec<f64> = (0..sample.rows())
            .into_par_iter()
            .map_init(
                || vec![0.0; sample.rows()],
                |values, row| {
                    kernel.values(sample.row(row), &panels, 0, values);
                    values[row] = 0.0;
                    values.iter().sum()
                },
            )
            .collect();
        Self {
            total: sums.iter().sum(),
            sample,
            kernel,
            window,
            sums,
        }
    }

    /// E.
    fn taken(&self) -> usize {
        2 * self.window - 1
    }

    /// R.
    fn kept(&self) -> usize {
        self.sample.rows() - self.taken()
    }

    /// k between any two rows of a tail, `[E, E]`, 0 on the diagonal.
    fn block(&self, tail: &[usize]) -> Vec<f64> {
        let taken = tail.len();
        let values = tail.iter().flat_map(|row| self.sample.row(*row)).copied();
        let mut block = vec![0.0; taken * taken];
        let rows = Sample::new(values.collect(), self.sample.width())
            .expect("rows of a sample are a sample");
        let panels = Panels::new(&[&rows]);
        for i in 0..taken {
            let (from, to) = (i * taken + i + 1, (i + 1) * taken);
            self.kernel
                .values(rows.row(i), &panels, i + 1, &mut block[from..to]);
            for j in i + 1..taken {
                block[j * taken + i] = block[i * taken + j];
            }
        }
        block
    }

    /// For each row of a tail, the sum of k to the R rows that are not in it; and the mean of k within
    /// those.
    fn against(&self, tail: &[usize], block: &[f64]) -> (Vec<f64>, f64) {
        let taken = tail.len();
        let mut inside = 0.0;
        let sums: Vec<f64> = tail
            .iter()
            .zip(block.chunks_exact(taken))
            .map(|(row, values)| {
                let own: f64 = values.iter().sum();
                inside += own;
                self.sums[*row] - own
            })
            .collect();
        let kept = self.kept() as f64;
        let within = self.total - inside - 2.0 * sums.iter().sum::<f64>();
        (sums, within / (kept * (kept - 1.0)))
    }

    /// Writes MMD² of the W windows of a tail against the rest of the reference. From one window to the
    /// next, one row leaves and one comes: O(W) each.
    fn walk(&self, tail: &[usize], path: &mut [f64]) {
        let (taken, window) = (self.taken(), self.window);
        let block = self.block(tail);
        let (sums, within) = self.against(tail, &block);
        let mut to_newer: Vec<f64> = (0..window)
            .map(|i| block[i * taken + i + 1..i * taken + window].iter().sum())
            .collect();
        to_newer.resize(taken, 0.0);
        for (first, statistic) in path.iter_mut().enumerate() {
            let last = first + window;
            *statistic = mmd(
                within,
                &to_newer[first..last],
                &sums[first..last],
                self.kept(),
            );
            if last < taken {
                let older = to_newer.iter_mut().enumerate().take(last).skip(first + 1);
                for (i, sum) in older {
                    *sum += block[i * taken + last];
                }
            }
        }
    }

    /// Takes `tail` out of the reference and begins with its last W rows as the window.
    fn begin(&self, thresholds: Vec<f64>, tail: Vec<usize>) -> Fitted {
        let (taken, window, width) = (self.taken(), self.window, self.sample.width());
        let block = self.block(&tail);
        let (sums, within) = self.against(&tail, &block);
        let first = taken - window;
        let gather = |rows: &[usize]| {
            rows.iter()
                .flat_map(|row| self.sample.row(*row))
                .copied()
                .collect()
        };
        Fitted {
            window,
            width,
            bandwidth: self.kernel.bandwidths()[0],
            thresholds,
            reference: gather(&draws::others(&tail, self.sample.rows())),
            within,
            start: Moving {
                rows: gather(&tail[first..]),
                to_reference: sums[first..].to_vec(),
                to_newer: (first..taken)
                    .map(|i| block[i * taken + i + 1..(i + 1) * taken].iter().sum())
                    .collect(),
            },
            tail,
        }
    }
}

/// The unbiased MMD² of a window, given its sums of k and the mean of k within the reference.
fn mmd(within: f64, to_newer: &[f64], to_reference: &[f64], reference: usize) -> f64 {
    let window = to_newer.len() as f64;
    let among = 2.0 * to_newer.iter().sum::<f64>() / (window * (window - 1.0));
    let between = to_reference.iter().sum::<f64>() / (window * reference as f64);
    within + among - 2.0 * between
}

impl Mmd {
    fn new(fitted: Fitted) -> Result<Self, Error> {
        let reference = Sample::new(fitted.reference.clone(), fitted.width)?;
        Ok(Self {
            kernel: Gaussian::new(&[fitted.bandwidth])?,
            reference: Panels::new(&[&reference]),
            moving: fitted.start.clone(),
            fitted,
        })
    }

    /// Reads what [`Watch::fitted`] wrote.
    pub(super) fn read(value: serde_json::Value) -> Result<Self, Error> {
        let fitted: Fitted = serde_json::from_value(value).map_err(Error::damaged)?;
        let window = fitted.window;
        windows::check(window)?;
        if fitted.thresholds.len() != window || fitted.thresholds.iter().any(|t| t.is_nan()) {
            return Err(Error::damaged(
                "`thresholds` has another length than `window`",
            ));
        }
        fitted.start.check(&fitted)?;
        Self::new(fitted)
    }

    fn sum_to_reference(&self, row: &[f64]) -> f64 {
        const AT_ONCE: usize = 64;
        let mut values = [0.0; AT_ONCE];
        let rows = self.reference.rows();
        let mut sum = 0.0;
        for first in (0..rows).step_by(AT_ONCE) {
            let values = &mut values[..AT_ONCE.min(rows - first)];
            self.kernel.values(row, &self.reference, first, values);
            sum += values.iter().sum::<f64>();
        }
        sum
    }
}

impl Moving {
    fn check(&self, fitted: &Fitted) -> Result<(), Error> {
        let lengths = [self.to_reference.len(), self.to_newer.len()];
        let all = [&self.rows, &self.to_reference, &self.to_newer];
        if Some(self.rows.len()) != fitted.window.checked_mul(fitted.width)
            || lengths != [fitted.window; 2]
            || all.iter().any(|v| v.iter().any(|x| !x.is_finite()))
        {
            return Err(Error::damaged("the window is not one of this detector"));
        }
        Ok(())
    }
}

impl Watch for Mmd {
    fn name(&self) -> &'static str {
        "mmd"
    }

    fn width(&self) -> usize {
        self.fitted.width
    }

    fn step(&mut self, time: u64, row: &[f64]) -> Judged {
        let Fitted { window, width, .. } = self.fitted;
        let slot = ((time - 1) % window as u64) as usize;
        let to_reference = self.sum_to_reference(row);
        let moving = &mut self.moving;
        moving.rows[slot * width..(slot + 1) * width].copy_from_slice(row);
        let mut values: Vec<f64> = moving
            .rows
            .chunks_exact(width)
            .map(|other| squared_distance(row, other))
            .collect();
        self.kernel.apply(&mut values);
        for (sum, value) in moving.to_newer.iter_mut().zip(values) {
            *sum += value;
        }
        // Nothing is newer than the newest.
        moving.to_newer[slot] = 0.0;
        moving.to_reference[slot] = to_reference;
        let statistic = mmd(
            self.fitted.within,
            &moving.to_newer,
            &moving.to_reference,
            self.reference.rows(),
        );
        Judged::against(statistic, threshold_at(&self.fitted.thresholds, time))
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
