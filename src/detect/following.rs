//! A reference that follows what it has judged, window by window. Imports: drift, `detect::{detector, error, features,
//! fitted, params, rows}`.
//!
//! What was fitted stays as it is: detectors are set up anew from the rows that stand in the reference at the
//! time, kernels with their widths, so that the same rows in the same order give the same numbers. Prepared data lie
//! class by class: where rows leave by their age, the fitted ones do in an order drawn from the seed, or the
//! reference would lose one class after the other.

use std::ops::RangeInclusive;

use crate::drift::Sample;
use crate::drift::reference_update::{ReferenceUpdate, UpdatedReference};

use super::detector::Detector;
use super::features::{Features, Input};
use super::fitted::Fitted;
use super::{Error, params, rows};

/// Rows that a reference which follows may have: as one that does not.
pub const ROWS: RangeInclusive<u64> = params::ROWS;

/// A reference that goes on.
pub(super) struct Following {
    seed: u64,
    inputs: Vec<(Input, UpdatedReference)>,
    /// Of each row 1 if it came after the fit, else 0.
    arrived: UpdatedReference,
    standing: Standing,
}

/// The reference as it stands, and what compares with it.
#[derive(Debug)]
pub(super) struct Standing {
    samples: Vec<(Input, Sample)>,
    detectors: Vec<Detector>,
    rows: usize,
    arrived: usize,
}

impl Following {
    /// Begins with the reference of `fitted`; if it has more rows than `rule` keeps, with as many of them, drawn
    /// from the seed.
    ///
    /// # Errors
    /// None of a fitted reference.
    pub(super) fn new(fitted: &Fitted, rule: ReferenceUpdate) -> Result<Self, Error> {
        let seed = fitted.settings.seed;
        let order = rows::shuffled(fitted.rows(), seed, "detect.following");
        let begin = |sample: &Sample| -> Result<UpdatedReference, Error> {
            match rule {
                ReferenceUpdate::Last(_) => {
                    let sample = rows::pick(sample, &order)?;
                    Ok(UpdatedReference::new(&sample, rule, seed))
                }
                ReferenceUpdate::None | ReferenceUpdate::Reservoir(_) => {
                    Ok(UpdatedReference::new(sample, rule, seed))
                }
            }
        };
        let samples = &fitted.reference.samples;
        let known = Sample::new(vec![0.0; fitted.rows()], 1)?;
        let inputs = samples
            .iter()
            .map(|(input, sample)| begin(sample).map(|one| (*input, one)));
        let mut this = Self {
            seed,
            inputs: inputs.collect::<Result<_, Error>>()?,
            arrived: begin(&known)?,
            standing: Standing {
                samples: samples.clone(),
                detectors: fitted.detectors.clone(),
                rows: fitted.rows(),
                arrived: 0,
            },
        };
        let all: Vec<Input> = this.inputs.iter().map(|(input, _)| *input).collect();
        this.set_up(&all)?;
        Ok(this)
    }

    /// Returns the reference as it stands.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes `new`, after they have been judged. An input that they lack stays as it stands.
    ///
    /// # Errors
    /// None of rows that `fitted` has compared.
    pub(super) fn take(&mut self, fitted: &Fitted, new: &Features) -> Result<(), Error> {
        let mut moved = Vec::new();
        for (input, reference) in &mut self.inputs {
            if !new.has(*input) {
                continue;
            }
            // What are no numbers is no reference; the check of these rows has said so.
            if let Ok(sample) = fitted.sample(*input, new) {
                reference.add(&sample, self.seed)?;
                moved.push(*input);
            }
        }
        let new = Sample::new(vec![1.0; new.rows()], 1)?;
        self.arrived.add(&new, self.seed)?;
        self.set_up(&moved)
    }

    /// Sets up what looks at inputs that have moved.
    fn set_up(&mut self, moved: &[Input]) -> Result<(), Error> {
        let standing = &mut self.standing;
        for ((input, reference), (_, sample)) in self.inputs.iter().zip(&mut standing.samples) {
            if moved.contains(input) {
                *sample = reference.sample()?;
            }
        }
        for detector in &mut standing.detectors {
            let input = detector.spec.input;
            let mut samples = standing.samples.iter();
            if let Some((_, sample)) = samples.find(|(one, _)| *one == input && moved.contains(one))
            {
                *detector = detector.refit(sample, self.seed);
            }
        }
        let arrived = self.arrived.sample()?;
        standing.rows = arrived.rows();
        standing.arrived = arrived.values().iter().filter(|one| 0.0 < **one).count();
        Ok(())
    }
}

impl Standing {
    /// Returns what compares new rows with it.
    pub(super) fn detectors(&self) -> &[Detector] {
        &self.detectors
    }

    /// Returns its rows of an input, as detectors see them.
    pub(super) fn sample(&self, input: Input) -> Option<&Sample> {
        let found = self.samples.iter().find(|(one, _)| *one == input);
        found.map(|(_, sample)| sample)
    }

    /// Returns how many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how many of them came after the fit.
    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }
}
