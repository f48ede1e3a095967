//! How detectors are fitted: one after the other, and what cannot be is left out with a word, or an error.
//! Imports: base, drift, `detect::{detector, error, errors, features, fitted, kind, outlier, params, projection, watch}`.

use crate::base::Cancel;
use crate::drift::Sample;

use super::super::Error;
use super::super::detector::{Detector, DetectorSpec};
use super::super::errors;
use super::super::features::{Features, Input};
use super::super::kind::TestKind;
use super::super::outlier::{OutlierScore, OutlierSpec};
use super::super::params::{DetectorParams, DriftParams, OnlineParams, Origin};
use super::super::projection::{Projection, WIDTH_MAX};
use super::super::watch::{Watch, WatchSpec};
use super::{find, stop_if_asked};

/// Features without variance that are named; of more it is said how many there are.
const CONSTANT_SHOWN: usize = 4;

/// What is being fitted.
pub(super) struct Work<'a> {
    pub(super) params: &'a DriftParams,
    pub(super) features: &'a Features,
    pub(super) classes: &'a [String],
    pub(super) samples: Vec<(Input, Sample)>,
    pub(super) projection: Option<Projection>,
    pub(super) notes: Vec<String>,
    pub(super) cancel: &'a Cancel,
}

impl Work<'_> {
    /// Takes each input that the features have.
    pub(super) fn take(&mut self) -> Result<(), Error> {
        let features = self.features;
        for (_, input) in Input::NAMES {
            if !features.has(input) {
                continue;
            }
            let mut sample = features.sample(input)?;
            if input == Input::Embedding && WIDTH_MAX < sample.width() {
                let projection = Projection::fit(&sample, self.params.pca)?;
                sample = projection.apply(&sample)?;
                self.projection = Some(projection);
            }
            self.samples.push((input, sample));
        }
        Ok(())
    }

    pub(super) fn detectors(&mut self) -> Result<Vec<Detector>, Error> {
        let params = self.params;
        let mut fitted = Vec::new();
        for one in &params.detectors {
            self.stop_if_asked()?;
            match self.detector(one) {
                Ok(detector) => {
                    self.notes.extend(self.constant(&detector.spec));
                    fitted.push(detector);
                }
                Err(error) => self.leave_out(one.origin, error)?,
            }
        }
        if fitted.is_empty() {
            return Err(Error::NothingFitted {
                notes: self.notes.clone(),
            });
        }
        Ok(fitted)
    }

    fn detector(&self, one: &DetectorParams) -> Result<Detector, Error> {
        let classes = self.classes.len();
        let test = one
            .test
            .unwrap_or_else(|| TestKind::usual(one.input, classes));
        if test == TestKind::Fisher && one.input == Input::Label && classes != 2 {
            let detector = one.name.clone();
            return Err(Error::NotTwoClasses { detector, classes });
        }
        let sample = self.sample(&one.name, one.input)?;
        let spec = DetectorSpec {
            name: one.name.clone(),
            input: one.input,
            test,
            correction: one.correction,
            min_effect: one.min_effect,
            bandwidth: None,
        };
        Detector::fit(spec, sample, self.params.seed).map_err(|source| Error::Detector {
            detector: one.name.clone(),
            source,
        })
    }

    /// Returns which features of a detector do not vary in the reference. Of tests of all features at once, those that
    /// vary are enough; whether answers are unsure, as Fisher's test counts it, need not vary.
    fn constant(&self, spec: &DetectorSpec) -> Option<String> {
        let looks = match spec.test {
            TestKind::Ks | TestKind::Cvm | TestKind::Chi2 => true,
            TestKind::Fisher => spec.input == Input::Label,
            TestKind::Mmd | TestKind::Lsdd => false,
        };
        let sample = find(&self.samples, spec.input).filter(|_| looks)?;
        let first = sample.row(0);
        let is_constant = |column: &usize| {
            let mut rows = sample.values().chunks_exact(sample.width());
            rows.all(|row| row[*column] == first[*column])
        };
        let constant: Vec<usize> = (0..sample.width()).filter(is_constant).collect();
        let names = self.features.column_names(spec.input, self.classes);
        let shown = constant.iter().take(CONSTANT_SHOWN).map(|column| {
            let is_projected = spec.input == Input::Embedding && self.projection.is_some();
            let name = names.get(*column).filter(|_| !is_projected);
            name.cloned()
                .unwrap_or_else(|| format!("component {}", column + 1))
        });
        let mut shown = shown.collect::<Vec<_>>().join(", ");
        if let Some(more) = constant.len().checked_sub(CONSTANT_SHOWN + 1) {
            shown += &format!(" and {} more", more + 1);
        }
        let said = match constant.len() {
            0 => return None,
            1 => format!("the feature {shown} has"),
            _ => format!("the features {shown} have each"),
        };
        Some(format!(
            "{}: {said} one and the same value in the whole reference, which is no evidence either way where new \
             pictures have it too",
            spec.name
        ))
    }

    pub(super) fn watches(&mut self) -> Result<Vec<Watch>, Error> {
        let params = self.params;
        let mut fitted = Vec::new();
        for one in &params.online {
            self.stop_if_asked()?;
            match self.watch(one) {
                Ok(watch) => {
                    fitted.push(watch);
                    self.notes.extend(errors::note(one, &self.samples));
                }
                Err(error) => self.leave_out(one.origin, error)?,
            }
        }
        Ok(fitted)
    }

    fn watch(&self, one: &OnlineParams) -> Result<Watch, Error> {
        let sample = self.sample(&one.name, one.input)?;
        let spec = WatchSpec {
            name: one.name.clone(),
            input: one.input,
            method: one.method,
            windows: one.windows.clone(),
            ert: one.ert,
            every: one.every,
        };
        Watch::fit(spec, sample, self.params.seed).map_err(|source| Error::Watch {
            detector: one.name.clone(),
            source,
        })
    }

    pub(super) fn outlier(&mut self) -> Result<Option<OutlierScore>, Error> {
        let params = self.params.outlier;
        let Some(method) = params.method else {
            return Ok(None);
        };
        self.stop_if_asked()?;
        let spec = OutlierSpec {
            method,
            input: Input::Embedding,
            false_positives: params.false_positives,
            neighbours: params.neighbours,
            components: params.components,
        };
        let name = "outlier";
        let fitted = self.sample(name, spec.input).and_then(|sample| {
            OutlierScore::fit(spec, sample).map_err(|source| Error::Detector {
                detector: name.to_owned(),
                source,
            })
        });
        match fitted {
            Ok(score) => Ok(Some(score)),
            Err(error) => {
                self.leave_out(params.origin, error)?;
                Ok(None)
            }
        }
    }

    fn sample(&self, detector: &str, input: Input) -> Result<&Sample, Error> {
        find(&self.samples, input).ok_or_else(|| Error::InputMissing {
            detector: detector.to_owned(),
            input,
        })
    }

    /// Notes why something that nobody asked for is not there.
    fn leave_out(&mut self, origin: Origin, error: Error) -> Result<(), Error> {
        match origin {
            Origin::Given => Err(error),
            Origin::Default => {
                self.notes.push(format!("left out: {error}"));
                Ok(())
            }
        }
    }

    fn stop_if_asked(&self) -> Result<(), Error> {
        stop_if_asked(self.cancel)
    }
}
