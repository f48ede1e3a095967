//! A detector for a stream of answers, set up from the reference.
//! Imports: drift, `detect::{detector, errors, features, kind, params}`.

use serde::{Deserialize, Serialize};

use crate::drift::online::{
    CvmOptions, Direction, Draws, FirstWindow, FisherOptions, LsddOptions, MmdOptions, Online,
};
use crate::drift::{Error, Sample};

use super::detector::{Scales, unsure};
use super::errors;
use super::features::Input;
use super::kind::WatchMethod;

/// λ of the smoothing of online Fisher, as its authors take it.
const SMOOTHING: f64 = 0.99;

/// What a detector for a stream is, as it is written down.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchSpec {
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) method: WatchMethod,
    pub(super) windows: Vec<usize>,
    pub(super) ert: u64,
    pub(super) every: u64,
}

/// A detector for a stream, at time 0.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What it is called.
    pub name: String,
    /// What it looks at.
    pub input: Input,
    /// How it compares.
    pub method: WatchMethod,
    /// One answer in so many is an observation; of [`Input::Error`], one answer that somebody judged.
    pub every: u64,
    /// Takes the observations that [`super::fitted::Fitted::observations`] makes; clone it and drive the clone.
    pub online: Online,
    pub(super) spec: WatchSpec,
    scales: Scales,
}

impl Watch {
    /// Sets the detector of `spec` up with rows of its input.
    ///
    /// # Errors
    /// There are too few rows, they vary too little, or the run time takes too many simulated streams.
    pub(super) fn fit(spec: WatchSpec, reference: &Sample, seed: u64) -> Result<Self, Error> {
        let scales = scales(&spec, reference);
        let mut rows = seen(&spec, &scales, reference)?;
        if spec.input == Input::Error {
            rows = errors::with_one(&rows)?;
        }
        let ert = spec.ert as f64;
        let windows = spec.windows.clone();
        let window = windows.first().copied().unwrap_or_default();
        let online = match spec.method {
            WatchMethod::Mmd => Online::mmd(
                &rows,
                &MmdOptions {
                    window,
                    ert,
                    bootstraps: None,
                    bandwidth: None,
                    draws: Draws::Seed(seed),
                },
            ),
            WatchMethod::Lsdd => Online::lsdd(
                &rows,
                &LsddOptions {
                    window,
                    ert,
                    bootstraps: None,
                    bandwidth: None,
                    centres: None,
                    first_window: FirstWindow::Filtered,
                    draws: Draws::Seed(seed),
                },
            ),
            WatchMethod::Cvm => Online::cvm(
                &rows,
                &CvmOptions {
                    windows,
                    ert,
                    bootstraps: None,
                    seed,
                },
            ),
            WatchMethod::Fisher => Online::fisher(
                &rows,
                &FisherOptions {
                    windows,
                    ert,
                    bootstraps: None,
                    direction: Direction::Greater,
                    smoothing: SMOOTHING,
                    seed,
                },
            ),
        }?;
        Ok(Self::new(spec, online, scales))
    }

    /// Takes what was fitted before; `reference` is the one it was fitted to.
    ///
    /// # Errors
    /// The bytes are not those of a detector, or of another one than `spec` says.
    pub(super) fn read(spec: WatchSpec, bytes: &[u8], reference: &Sample) -> Result<Self, String> {
        let online = Online::from_fitted_bytes(bytes).map_err(|error| error.to_string())?;
        if online.method() != spec.method.name() || online.width() != reference.width() {
            return Err(format!(
                "the detector `{}` is `{}` of {} features: expected `{}` of {}",
                spec.name,
                online.method(),
                online.width(),
                spec.method.name(),
                reference.width()
            ));
        }
        let scales = scales(&spec, reference);
        Ok(Self::new(spec, online, scales))
    }

    fn new(spec: WatchSpec, online: Online, scales: Scales) -> Self {
        Self {
            name: spec.name.clone(),
            input: spec.input,
            method: spec.method,
            every: spec.every,
            online,
            spec,
            scales,
        }
    }

    /// Returns rows of its input as the detector takes them.
    ///
    /// # Errors
    /// They have other features.
    pub(super) fn observations(&self, rows: &Sample) -> Result<Sample, Error> {
        seen(&self.spec, &self.scales, rows)
    }
}

/// A kernel sees units; ranks do not, and LSDD has scales of its own.
fn scales(spec: &WatchSpec, reference: &Sample) -> Scales {
    match spec.method {
        WatchMethod::Mmd => Scales::of(spec.input, reference),
        WatchMethod::Lsdd | WatchMethod::Cvm | WatchMethod::Fisher => Scales::none(),
    }
}

fn seen(spec: &WatchSpec, scales: &Scales, rows: &Sample) -> Result<Sample, Error> {
    match spec.method {
        WatchMethod::Fisher if spec.input == Input::Margin => unsure(rows),
        WatchMethod::Fisher => Ok(rows.clone()),
        WatchMethod::Mmd | WatchMethod::Lsdd | WatchMethod::Cvm => scales.apply(rows),
    }
}
