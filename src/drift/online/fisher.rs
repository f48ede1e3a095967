//! Online Fisher: has the rate of ones in a stream of zeros and ones moved (errors, low margins)?
//! Imports: base, `drift::{error, sample, tails}`, `drift::online::{calibrate, detector, state, windows}`.
//!
//! Ross, Tasoulis and Adams, Sequential monitoring of a Bernoulli sequence when the pre-change parameter
//! is unknown (Computational Statistics, 2012): for each window, 1 − p of Fisher's exact test against the
//! reference, smoothed over time so that it takes more than a few values. What remains of ties is drawn for:
//! a statistic exactly at its threshold is an alarm in as many cases as make the rate of alarms right.
//!
//! Thresholds hold for streams with the rate of the reference. The shorter the reference, the less is
//! that rate known, and the further may the run time be from the expected one.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::base::rng;

use super::super::error::Error;
use super::super::sample::Sample;
use super::super::tails::Law;
use super::calibrate::{self, Keep, Paths, Rate, Threshold};
use super::detector::{Judged, Part, Watch};
use super::state::floats;
use super::windows::{self, threshold_at};

/// How an online Fisher test is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct FisherOptions {
    /// Observations in each window, ascending: at least 2.
    pub windows: Vec<usize>,
    /// Expected observations between two false alarms of any stream, from the first full window.
    pub ert: f64,
    /// Simulated streams; `None` for max(1000, 10/β), β the rate that one stream gets of 1/ERT.
    pub bootstraps: Option<usize>,
    /// Which change is looked for.
    pub direction: Direction,
    /// λ of `s_t = (1 − λ)·s_{t−1} + λ·(1 − p_t)`, above 0 and at most 1; usually 0.99.
    pub smoothing: f64,
    /// Of the simulation and of the draws at ties.
    pub seed: u64,
}

/// A change of a rate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More ones than in the reference.
    Greater,
    /// Fewer.
    Less,
}

/// What was fitted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Fitted {
    windows: Vec<usize>,
    direction: Direction,
    smoothing: f64,
    seed: u64,
    /// Observations of the reference.
    rows: usize,
    /// Of each stream.
    streams: Vec<Stream>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Stream {
    /// Ones in the reference.
    ones: usize,
    /// τ from the first full window on.
    #[serde(with = "floats")]
    thresholds: Vec<f64>,
    /// The probability that a statistic at τ is no alarm.
    #[serde(with = "floats")]
    permitted: Vec<f64>,
}

/// What an observation changes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Moving {
    /// Zeros and ones: `[longest window, width]` once it is full; the observation of time t is in row
    /// (t − 1) mod length.
    recent: Vec<u8>,
    /// Of each stream and window; NaN before it is full.
    #[serde(with = "floats")]
    smoothed: Vec<f64>,
}

/// The detector.
#[derive(Clone, Debug)]
pub(super) struct Fisher {
    fitted: Fitted,
    /// Of each stream and window, 1 − p for each number of ones.
    tables: Vec<Vec<f64>>,
    moving: Moving,
    /// Ones of each stream in each window: follows from `moving`.
    ones: Vec<usize>,
}

/// Sets up a detector from a reference.
pub(super) fn fit(reference: &Sample, options: &FisherOptions) -> Result<Fisher, Error> {
    let (shortest, longest) = windows::check_all(&options.windows)?;
    if !(0.0 < options.smoothing && options.smoothing <= 1.0) {
        return Err(Error::Setting {
            name: "smoothing",
            value: options.smoothing,
            expected: "above 0 and at most 1".to_owned(),
        });
    }
    reference.require_rows("online Fisher", 2)?;
    for row in 0..reference.rows() {
        check_binary(row, reference.row(row))?;
    }
    windows::require_varying(reference)?;
    let rate = Rate::new(options.ert, reference.width())?;
    let length = 2 * longest - 1;
    let steps = length - shortest + 1;
    let bootstraps = calibrate::bootstraps(options.bootstraps, steps, rate, Keep::Share)?;
    let mut streams = Vec::with_capacity(reference.width());
    for feature in 0..reference.width() {
        let ones = reference.column(feature).iter().sum::<f64>() as usize;
        let simulation = Simulation {
            options,
            feature: feature as u64,
            length,
            rate: ones as f64 / reference.rows() as f64,
            tables: options
                .windows
                .iter()
                .map(|window| table(options.direction, *window, ones, reference.rows()))
                .collect(),
        };
        let paths = Paths::simulate(bootstraps, steps, Vec::new, |bits, number, path| {
            simulation.walk(number, bits, path);
        });
        let thresholds = calibrate::thresholds(&paths, rate, Keep::Share)?;
        let part = |of: fn(&Threshold) -> f64| thresholds.iter().map(of).collect();
        streams.push(Stream {
            ones,
            thresholds: part(|threshold| threshold.value),
            permitted: part(|threshold| threshold.permitted),
        });
    }
    Ok(Fisher::new(Fitted {
        windows: options.windows.clone(),
        direction: options.direction,
        smoothing: options.smoothing,
        seed: options.seed,
        rows: reference.rows(),
        streams,
    }))
}

/// 1 − p for 0, 1, … ones in a window.
fn table(direction: Direction, window: usize, reference_ones: usize, rows: usize) -> Vec<f64> {
    let law = |ones: usize| {
        let all_ones = (ones + reference_ones) as u64;
        Law::hypergeometric((window + rows) as u64, all_ones, window as u64)
    };
    let beyond = |ones: usize| match direction {
        // p is the probability of as many ones or more.
        Direction::Greater if ones == 0 => 0.0,
        Direction::Greater => law(ones).at_most(ones as u64 - 1),
        Direction::Less => law(ones).at_least(ones as u64 + 1),
    };
    (0..=window).map(beyond).collect()
}

/// (1 − λ)·s + λ·v, or v where there is no s yet.
fn smooth(before: f64, value: f64, smoothing: f64) -> f64 {
    if before.is_nan() {
        value
    } else {
        (1.0 - smoothing) * before + smoothing * value
    }
}

/// Streams whose rate does not move.
struct Simulation<'a> {
    options: &'a FisherOptions,
    feature: u64,
    length: usize,
    rate: f64,
    tables: Vec<Vec<f64>>,
}

impl Simulation<'_> {
    /// Writes the largest smoothed statistic of all full windows at each step of stream `number`.
    fn walk(&self, number: usize, bits: &mut Vec<bool>, path: &mut [f64]) {
        let number = (self.feature << 40) | number as u64;
        let mut rng = rng::stream(self.options.seed, "drift.online.fisher", number);
        bits.clear();
        bits.extend((0..self.length).map(|_| rng.random::<f64>() < self.rate));
        path.fill(f64::NEG_INFINITY);
        let first = self.length - path.len();
        for (size, table) in self.options.windows.iter().zip(&self.tables) {
            let (mut ones, mut smoothed) = (0, f64::NAN);
            for (at, bit) in bits.iter().enumerate() {
                ones += usize::from(*bit);
                if let Some(left) = at.checked_sub(*size) {
                    ones -= usize::from(bits[left]);
                }
                if *size <= at + 1 {
                    smoothed = smooth(smoothed, table[ones], self.options.smoothing);
                    let largest = &mut path[at - first];
                    *largest = largest.max(smoothed);
                }
            }
        }
    }
}

fn check_binary(row: usize, observation: &[f64]) -> Result<(), Error> {
    match observation.iter().position(|v| *v != 0.0 && *v != 1.0) {
        Some(column) => Err(Error::NotBinary {
            row,
            column,
            value: observation[column],
        }),
        None => Ok(()),
    }
}

impl Fisher {
    fn new(fitted: Fitted) -> Self {
        let tables: Vec<Vec<f64>> = fitted
            .streams
            .iter()
            .flat_map(|stream| {
                let of =
                    |window: &usize| table(fitted.direction, *window, stream.ones, fitted.rows);
                fitted.windows.iter().map(of).collect::<Vec<_>>()
            })
            .collect();
        Self {
            moving: Moving {
                recent: Vec::new(),
                smoothed: vec![f64::NAN; tables.len()],
            },
            ones: vec![0; tables.len()],
            tables,
            fitted,
        }
    }

    /// Reads what [`Watch::fitted`] wrote.
    pub(super) fn read(value: serde_json::Value) -> Result<Self, Error> {
        let fitted: Fitted = serde_json::from_value(value).map_err(Error::damaged)?;
        let (shortest, longest) = windows::check_all(&fitted.windows)?;
        let is_stream = |stream: &Stream| {
            stream.ones <= fitted.rows
                && stream.thresholds.len() == 2 * longest - shortest
                && stream.permitted.len() == stream.thresholds.len()
                && stream.thresholds.iter().all(|t| !t.is_nan())
        };
        let whole = !fitted.streams.is_empty()
            && fitted.streams.iter().all(is_stream)
            && (2..1 << 40).contains(&fitted.rows)
            && 0.0 < fitted.smoothing
            && fitted.smoothing <= 1.0;
        if !whole {
            return Err(Error::damaged(
                "the parts of `fisher` do not fit each other",
            ));
        }
        Ok(Self::new(fitted))
    }

    fn longest(&self) -> usize {
        self.fitted.windows.iter().copied().max().unwrap_or(1)
    }

    /// Counts an observation in all windows.
    fn push(&mut self, time: u64, observation: &[f64]) {
        let width = observation.len();
        let longest = self.longest() as u64;
        let sizes = &self.fitted.windows;
        let recent = &mut self.moving.recent;
        for (at, ones) in self.ones.iter_mut().enumerate() {
            let (feature, size) = (at / sizes.len(), sizes[at % sizes.len()]);
            *ones += usize::from(observation[feature] == 1.0);
            if let Some(left) = (time - 1).checked_sub(size as u64) {
                let row = (left % longest) as usize;
                *ones -= usize::from(recent[row * width + feature]);
            }
        }
        let row = ((time - 1) % longest) as usize;
        let bits = observation.iter().map(|value| u8::from(*value == 1.0));
        if recent.len() <= row * width {
            recent.extend(bits);
        } else {
            for (slot, bit) in recent[row * width..].iter_mut().zip(bits) {
                *slot = bit;
            }
        }
    }

    /// Whether a statistic of exactly τ is an alarm: a draw that belongs to stream and time, so that a
    /// detector that was written down and read back draws the same.
    fn tie_is_alarm(&self, time: u64, feature: usize, permitted: f64) -> bool {
        let name = format!("drift.online.fisher.tie.{feature}");
        permitted < rng::stream(self.fitted.seed, &name, time).random::<f64>()
    }
}

impl Watch for Fisher {
    fn name(&self) -> &'static str {
        "fisher"
    }

    fn width(&self) -> usize {
        self.fitted.streams.len()
    }

    fn check(&self, row: usize, observation: &[f64]) -> Result<(), Error> {
        check_binary(row, observation)
    }

    fn step(&mut self, time: u64, observation: &[f64]) -> Judged {
        self.push(time, observation);
        let count = self.fitted.windows.len();
        let Some(since) = time.checked_sub(self.fitted.windows[0] as u64) else {
            return Judged::NOTHING;
        };
        let (mut judged, mut is_drift) = (Judged::NOTHING, false);
        let mut furthest = f64::NEG_INFINITY;
        for (feature, stream) in self.fitted.streams.iter().enumerate() {
            let mut largest = f64::NEG_INFINITY;
            for (at, size) in (feature * count..).zip(&self.fitted.windows) {
                if *size as u64 <= time {
                    let value = self.tables[at][self.ones[at]];
                    let smoothed = &mut self.moving.smoothed[at];
                    *smoothed = smooth(*smoothed, value, self.fitted.smoothing);
                    largest = largest.max(*smoothed);
                }
            }
            let threshold = threshold_at(&stream.thresholds, since);
            let permitted = threshold_at(&stream.permitted, since);
            is_drift |= threshold < largest
                || (largest == threshold && self.tie_is_alarm(time, feature, permitted));
            if furthest < largest - threshold {
                furthest = largest - threshold;
                judged = Judged {
                    feature: Some(feature),
                    ..Judged::against(largest, threshold)
                };
            }
        }
        Judged { is_drift, ..judged }
    }

    fn reset(&mut self) {
        self.moving.recent.clear();
        self.moving.smoothed.fill(f64::NAN);
        self.ones.fill(0);
    }

    fn parts(&self, _: u64) -> Vec<Part> {
        let sizes = &self.fitted.windows;
        let smoothed = self.moving.smoothed.iter().enumerate();
        smoothed
            .map(|(at, value)| Part {
                feature: at / sizes.len(),
                window: sizes[at % sizes.len()],
                statistic: (!value.is_nan()).then_some(*value),
            })
            .collect()
    }

    fn fitted(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.fitted)
    }

    fn moving(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.moving)
    }

    fn resume(&mut self, time: u64, value: serde_json::Value) -> Result<(), Error> {
        let moving: Moving = serde_json::from_value(value).map_err(Error::damaged)?;
        let (width, longest) = (self.width(), self.longest());
        let rows = usize::try_from(time).map_or(longest, |time| time.min(longest));
        if moving.recent.len() != rows * width
            || moving.recent.iter().any(|bit| 1 < *bit)
            || moving.smoothed.len() != self.tables.len()
        {
            return Err(Error::damaged("the window is not one of this detector"));
        }
        let sizes = &self.fitted.windows;
        self.ones.fill(0);
        for past in time - rows as u64 + 1..=time {
            let row = ((past - 1) % longest as u64) as usize;
            for (at, ones) in self.ones.iter_mut().enumerate() {
                if time - past < sizes[at % sizes.len()] as u64 {
                    *ones += usize::from(moving.recent[row * width + at / sizes.len()]);
                }
            }
        }
        self.moving = moving;
        Ok(())
    }
}
