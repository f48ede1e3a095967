//! What a caller holds: one of four methods, its clock, its alarm and what it said of late.
//! Imports: `drift::{error, sample}`, `drift::online::{cvm, fisher, lsdd, mmd, state}`.

use std::collections::VecDeque;

use super::super::error::Error;
use super::super::sample::Sample;
use super::cvm::{self, Cvm, CvmOptions};
use super::fisher::{self, Fisher, FisherOptions};
use super::lsdd::{self, Lsdd, LsddOptions};
use super::mmd::{self, Mmd, MmdOptions};

/// Past statistics that are remembered.
pub const HISTORY: usize = 256;

/// What a detector says after an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Observations so far, this one included.
    pub time: u64,
    /// How far the window is from the reference; `None` until there is a window. Of several features,
    /// the one that is furthest above (or least below) its threshold.
    pub statistic: Option<f64>,
    /// What the statistic is compared with, at this time and for this feature.
    pub threshold: Option<f64>,
    /// Which feature that is, from 0; `None` for methods that look at all of them together.
    pub feature: Option<usize>,
    /// Whether the statistic, or that of any other feature, is above its threshold now.
    pub is_drift: bool,
}

/// The statistic of one feature in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// From 0.
    pub feature: usize,
    /// Observations in the window.
    pub window: usize,
    /// `None` until there are so many.
    pub statistic: Option<f64>,
}

/// A detector that watches a stream. All methods are driven alike; [`Online::mmd`] and its sisters set
/// one up. Equal detectors that see the same stream say the same, bit for bit, whatever the number of
/// threads.
#[derive(Clone, Debug)]
pub struct Online {
    pub(super) detector: Detector,
    pub(super) ert: f64,
    /// Of what was fitted.
    pub(super) hash: String,
    pub(super) time: u64,
    pub(super) drift_since: Option<u64>,
    /// NaN where there was none.
    pub(super) history: VecDeque<f64>,
}

impl Online {
    /// Sets up a detector for many features at once by maximum mean discrepancy. Takes
    /// O(n²d + bootstraps · W²d) time and O(nd + bootstraps · W) memory.
    ///
    /// # Errors
    /// A setting, the reference or a permutation cannot be used; too few bootstraps.
    pub fn mmd(reference: &Sample, options: &MmdOptions) -> Result<Self, Error> {
        let detector = Detector::Mmd(mmd::fit(reference, options)?);
        Self::begin(detector, options.ert)
    }

    /// Sets up a detector for many features at once by least-squares density difference.
    ///
    /// # Errors
    /// As [`Online::mmd`]; a feature is constant, or rows repeat too often.
    pub fn lsdd(reference: &Sample, options: &LsddOptions) -> Result<Self, Error> {
        let detector = Detector::Lsdd(lsdd::fit(reference, options)?);
        Self::begin(detector, options.ert)
    }

    /// Sets up a detector for the distribution of each feature by Cramér-von Mises.
    ///
    /// # Errors
    /// A setting cannot be used, a feature is constant, too few bootstraps.
    pub fn cvm(reference: &Sample, options: &CvmOptions) -> Result<Self, Error> {
        let detector = Detector::Cvm(cvm::fit(reference, options)?);
        Self::begin(detector, options.ert)
    }

    /// Sets up a detector for the rate of ones in each stream of zeros and ones by Fisher's exact test.
    ///
    /// # Errors
    /// As [`Online::cvm`]; a value is neither 0 nor 1.
    pub fn fisher(reference: &Sample, options: &FisherOptions) -> Result<Self, Error> {
        let detector = Detector::Fisher(fisher::fit(reference, options)?);
        Self::begin(detector, options.ert)
    }

    /// Begins at time 0.
    pub(super) fn begin(detector: Detector, ert: f64) -> Result<Self, Error> {
        let mut online = Self {
            detector,
            ert,
            hash: String::new(),
            time: 0,
            drift_since: None,
            history: VecDeque::with_capacity(HISTORY),
        };
        online.hash = online.hash_of_fitted()?;
        Ok(online)
    }

    /// Takes the next observation and compares the window that ends with it. Goes on after an alarm:
    /// [`Online::drift_since`] keeps the first one until [`Online::reset`].
    ///
    /// # Errors
    /// The observation has another number of features, or a value that is not finite (or, for streams
    /// of zeros and ones, neither). Then the detector is as it was before; the row in the error is the
    /// time.
    pub fn observe(&mut self, observation: &[f64]) -> Result<Step, Error> {
        let expected = self.width();
        if observation.len() != expected {
            let found = observation.len();
            return Err(Error::Width { found, expected });
        }
        let row = self.time as usize;
        if let Some(column) = observation.iter().position(|value| !value.is_finite()) {
            let value = observation[column];
            return Err(Error::NotFinite { row, column, value });
        }
        self.detector.watch().check(row, observation)?;
        self.time += 1;
        let time = self.time;
        let judged = self.detector.watch_mut().step(time, observation);
        if judged.is_drift && self.drift_since.is_none() {
            self.drift_since = Some(time);
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(judged.statistic.unwrap_or(f64::NAN));
        Ok(Step {
            time,
            statistic: judged.statistic,
            threshold: judged.threshold,
            feature: judged.feature,
            is_drift: judged.is_drift,
        })
    }

    /// Begins anew: time 0, no alarm, the window of the fit.
    pub fn reset(&mut self) {
        self.detector.watch_mut().reset();
        self.time = 0;
        self.drift_since = None;
        self.history.clear();
    }

    /// Returns how many observations there were since the fit or the last reset.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Returns the time of the first alarm since the fit or the last reset.
    #[must_use]
    pub fn drift_since(&self) -> Option<u64> {
        self.drift_since
    }

    /// Returns the last statistics, at most [`HISTORY`], oldest first; the last one is of
    /// [`Online::time`].
    pub fn history(&self) -> impl ExactSizeIterator<Item = Option<f64>> {
        let known = |value: &f64| (!value.is_nan()).then_some(*value);
        self.history.iter().map(known)
    }

    /// Returns the statistic of each feature in each window, for methods that have several.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.detector.watch().parts(self.time)
    }

    /// Returns the method: `mmd`, `lsdd`, `cvm` or `fisher`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.detector.watch().name()
    }

    /// Returns the number of features of an observation.
    #[must_use]
    pub fn width(&self) -> usize {
        self.detector.watch().width()
    }

    /// Returns the expected number of observations between two false alarms.
    #[must_use]
    pub fn ert(&self) -> f64 {
        self.ert
    }
}

/// What a method says about a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) statistic: Option<f64>,
    pub(super) threshold: Option<f64>,
    pub(super) feature: Option<usize>,
    pub(super) is_drift: bool,
}

impl Judged {
    /// Nothing yet.
    pub(super) const NOTHING: Self = Self {
        statistic: None,
        threshold: None,
        feature: None,
        is_drift: false,
    };

    /// One statistic for all features.
    pub(super) fn against(statistic: f64, threshold: f64) -> Self {
        Self {
            statistic: Some(statistic),
            threshold: Some(threshold),
            feature: None,
            is_drift: threshold < statistic,
        }
    }
}

/// What the methods have in common.
pub(super) trait Watch {
    /// As it is written down.
    fn name(&self) -> &'static str;
    /// Features of an observation.
    fn width(&self) -> usize;
    /// What a method asks of an observation beyond finite numbers.
    fn check(&self, _row: usize, _observation: &[f64]) -> Result<(), Error> {
        Ok(())
    }
    /// Takes the observation of `time`, from 1.
    fn step(&mut self, time: u64, observation: &[f64]) -> Judged;
    /// Goes back to time 0.
    fn reset(&mut self);
    /// The parts of the statistic at `time`.
    fn parts(&self, _time: u64) -> Vec<Part> {
        Vec::new()
    }
    /// What was fitted.
    fn fitted(&self) -> Result<serde_json::Value, serde_json::Error>;
    /// What an observation changes.
    fn moving(&self) -> Result<serde_json::Value, serde_json::Error>;
    /// Takes over what [`Watch::moving`] said at `time`.
    fn resume(&mut self, time: u64, moving: serde_json::Value) -> Result<(), Error>;
}

/// One of the methods.
#[derive(Clone, Debug)]
pub(super) enum Detector {
    Mmd(Mmd),
    Lsdd(Lsdd),
    Cvm(Cvm),
    Fisher(Fisher),
}

impl Detector {
    pub(super) fn watch(&self) -> &dyn Watch {
        match self {
            Self::Mmd(method) => method,
            Self::Lsdd(method) => method,
            Self::Cvm(method) => method,
            Self::Fisher(method) => method,
        }
    }

    pub(super) fn watch_mut(&mut self) -> &mut dyn Watch {
        match self {
            Self::Mmd(method) => method,
            Self::Lsdd(method) => method,
            Self::Cvm(method) => method,
            Self::Fisher(method) => method,
        }
    }
}
