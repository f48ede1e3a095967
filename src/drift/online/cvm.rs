//! Online Cramér-von Mises: has the distribution of any one feature moved, in location, spread or shape?
//! Imports: base, `drift::{error, sample}`, `drift::online::{calibrate, detector, ranks, state, windows}`.
//!
//! Ross and Adams (Journal of Quality Technology 44, 2012), for several windows and features at once:
//! short windows see large changes early, long ones see small changes. The statistic depends on ranks
//! only, so the thresholds hold for any continuous distribution: a simulated stream is a draw of ranks.
//! For features that repeat values, alarms are rarer than expected.

use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::base::rng;

use super::super::error::Error;
use super::super::sample::Sample;
use super::calibrate::{self, Keep, Paths, Rate};
use super::detector::{Judged, Part, Watch};
use super::ranks::{Placed, Ranks, insert, remove};
use super::state::floats;
use super::windows::{self, threshold_at};

/// How an online Cramér-von Mises test is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct CvmOptions {
    /// Observations in each window, ascending: at least 2.
    pub windows: Vec<usize>,
    /// Expected observations between two false alarms of any feature, from the first full window.
    pub ert: f64,
    /// Simulated streams; `None` for max(1000, 10/β), β the rate that one feature gets of 1/ERT.
    pub bootstraps: Option<usize>,
    /// Of the simulation.
    pub seed: u64,
}

/// What was fitted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Fitted {
    windows: Vec<usize>,
    /// Of each feature, the values of the reference, ascending.
    reference: Vec<Column>,
    /// τ from the first full window on.
    #[serde(with = "floats")]
    thresholds: Vec<f64>,
}

/// The values of one feature.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
struct Column {
    #[serde(with = "floats")]
    values: Vec<f64>,
}

/// What an observation changes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Moving {
    /// `[longest window, width]` once it is full; the observation of time t is in row (t − 1) mod length.
    #[serde(with = "floats")]
    recent: Vec<f64>,
}

/// The detector.
#[derive(Clone, Debug)]
pub(super) struct Cvm {
    fitted: Fitted,
    /// Of each feature.
    ranks: Vec<Ranks>,
    moving: Moving,
    /// Of each feature and window, what is in it, ascending: follows from `moving`.
    sorted: Vec<Vec<Placed>>,
}

/// Sets up a detector from a reference.
pub(super) fn fit(reference: &Sample, options: &CvmOptions) -> Result<Cvm, Error> {
    let (shortest, longest) = windows::check_all(&options.windows)?;
    reference.require_rows("online CVM", 2)?;
    windows::require_varying(reference)?;
    let rate = Rate::new(options.ert, reference.width())?;
    let length = 2 * longest - 1;
    let steps = length - shortest + 1;
    let bootstraps = calibrate::bootstraps(options.bootstraps, steps, rate, Keep::UpTo)?;
    let simulation = Simulation {
        ranks: Ranks::without_ties(reference.rows()),
        rows: reference.rows(),
        length,
        options,
    };
    let paths = Paths::simulate(bootstraps, steps, Vec::new, |window, number, path| {
        simulation.walk(number, window, path);
    });
    let thresholds = calibrate::thresholds(&paths, rate, Keep::UpTo)?
        .iter()
        .map(|threshold| threshold.value)
        .collect();
    let reference = (0..reference.width())
        .map(|column| {
            let mut values = reference.column(column);
            values.sort_unstable_by(f64::total_cmp);
            Column { values }
        })
        .collect();
    Ok(Cvm::new(Fitted {
        windows: options.windows.clone(),
        reference,
        thresholds,
    }))
}

/// Streams in which nothing moves.
struct Simulation<'a> {
    ranks: Ranks,
    rows: usize,
    length: usize,
    options: &'a CvmOptions,
}

impl Simulation<'_> {
    /// Writes the largest statistic of all full windows at each step of stream `number`.
    fn walk(&self, number: usize, window: &mut Vec<Placed>, path: &mut [f64]) {
        let mut rng = rng::stream(self.options.seed, "drift.online.cvm", number as u64);
        // Reference and stream together are a random order of so many ranks.
        let drawn = index::sample(&mut rng, self.rows + self.length, self.length).into_vec();
        let mut ascending = drawn.clone();
        ascending.sort_unstable();
        let stream: Vec<Placed> = drawn
            .iter()
            .map(|rank| {
                let below = rank - ascending.partition_point(|other| other < rank);
                Placed {
                    value: *rank as f64,
                    lower: below,
                    upper: below,
                }
            })
            .collect();
        path.fill(f64::NEG_INFINITY);
        let first = self.length - path.len();
        for size in &self.options.windows {
            window.clear();
            for (at, placed) in stream.iter().enumerate() {
                if let Some(left) = at.checked_sub(*size) {
                    remove(window, stream[left].value);
                }
                insert(window, *placed);
                if window.len() == *size {
                    let largest = &mut path[at - first];
                    *largest = largest.max(self.ranks.statistic(window));
                }
            }
        }
    }
}

impl Cvm {
    fn new(fitted: Fitted) -> Self {
        Self {
            ranks: fitted
                .reference
                .iter()
                .map(|column| Ranks::new(&column.values))
                .collect(),
            moving: Moving::default(),
            sorted: vec![Vec::new(); fitted.reference.len() * fitted.windows.len()],
            fitted,
        }
    }

    /// Reads what [`Watch::fitted`] wrote.
    pub(super) fn read(value: serde_json::Value) -> Result<Self, Error> {
        let fitted: Fitted = serde_json::from_value(value).map_err(Error::damaged)?;
        let (shortest, longest) = windows::check_all(&fitted.windows)?;
        let rows = fitted.reference.first().map_or(0, |c| c.values.len());
        let is_column = |column: &Column| {
            let values = &column.values;
            values.len() == rows
                && values.iter().all(|value| value.is_finite())
                && values.is_sorted()
        };
        if rows < 2
            || !fitted.reference.iter().all(is_column)
            || fitted.thresholds.len() != 2 * longest - shortest
            || fitted.thresholds.iter().any(|t| t.is_nan())
        {
            return Err(Error::damaged("the arrays of `cvm` do not fit each other"));
        }
        Ok(Self::new(fitted))
    }

    /// Puts an observation into all windows.
    fn push(&mut self, time: u64, observation: &[f64]) {
        let width = observation.len();
        let longest = self.longest() as u64;
        let sizes = &self.fitted.windows;
        let recent = &mut self.moving.recent;
        for (feature, value) in observation.iter().enumerate() {
            let placed = Placed::new(*value, &self.fitted.reference[feature].values);
            let sorted = &mut self.sorted[feature * sizes.len()..(feature + 1) * sizes.len()];
            for (size, window) in sizes.iter().zip(sorted) {
                if let Some(left) = (time - 1).checked_sub(*size as u64) {
                    let row = (left % longest) as usize;
                    remove(window, recent[row * width + feature]);
                }
                insert(window, placed);
            }
        }
        let row = ((time - 1) % longest) as usize;
        if recent.len() <= row * width {
            recent.extend_from_slice(observation);
        } else {
            recent[row * width..(row + 1) * width].copy_from_slice(observation);
        }
    }

    fn longest(&self) -> usize {
        self.fitted.windows.iter().copied().max().unwrap_or(1)
    }
}

impl Watch for Cvm {
    fn name(&self) -> &'static str {
        "cvm"
    }

    fn width(&self) -> usize {
        self.fitted.reference.len()
    }

    fn step(&mut self, time: u64, observation: &[f64]) -> Judged {
        self.push(time, observation);
        let largest = self
            .parts(time)
            .into_iter()
            .filter_map(|part| Some((part.statistic?, part.feature)))
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        let Some((statistic, feature)) = largest else {
            return Judged::NOTHING;
        };
        let since = time - self.fitted.windows[0] as u64;
        let threshold = threshold_at(&self.fitted.thresholds, since);
        Judged {
            feature: Some(feature),
            ..Judged::against(statistic, threshold)
        }
    }

    fn reset(&mut self) {
        self.moving.recent.clear();
        self.sorted.iter_mut().for_each(Vec::clear);
    }

    fn parts(&self, _: u64) -> Vec<Part> {
        let sizes = &self.fitted.windows;
        self.sorted
            .iter()
            .enumerate()
            .map(|(at, window)| {
                let (feature, size) = (at / sizes.len(), sizes[at % sizes.len()]);
                Part {
                    feature,
                    window: size,
                    statistic: (window.len() == size)
                        .then(|| self.ranks[feature].statistic(window)),
                }
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
        let recent = moving.recent;
        if recent.len() != rows * width || recent.iter().any(|x| !x.is_finite()) {
            return Err(Error::damaged("the window is not one of this detector"));
        }
        self.reset();
        // Windows follow from their observations: feed those, oldest first.
        for past in time - rows as u64 + 1..=time {
            let row = ((past - 1) % longest as u64) as usize;
            let placed = &recent[row * width..(row + 1) * width];
            for (feature, value) in placed.iter().enumerate() {
                let placed = Placed::new(*value, &self.fitted.reference[feature].values);
                for (at, size) in self.fitted.windows.iter().enumerate() {
                    if time - past < *size as u64 {
                        let window = &mut self.sorted[feature * self.fitted.windows.len() + at];
                        insert(window, placed);
                    }
                }
            }
        }
        self.moving = Moving { recent };
        Ok(())
    }
}
