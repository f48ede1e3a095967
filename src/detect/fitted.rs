//! Detectors fitted to a model: a reference of rows whose labels are known, and what compares new rows with it.
//! `work` fits them. Imports: base, drift, vision, `detect::{checked, detector, error, features, folder, outlier, params,
//! projection, rows, watch}`.
//!
//! Everything is a function of the reference, the model and the parameters: fitted twice, it is the same bytes.

use crate::base::{Cancel, ContentHash};
use crate::drift::Sample;
use crate::drift::permutation::require_power;
use crate::vision;
use crate::vision::artifact::Described;
use crate::vision::image::{Pixels, thumbnail_of};
use crate::vision::shard::Split;

use super::Error;
use super::checked::ReferenceFacts;
use super::detector::{Detector, DetectorSpec};
use super::features::{Features, Input};
use super::folder::Settings;
use super::outlier::OutlierScore;
use super::params::DriftParams;
use super::projection::Projection;
use super::rows;
use super::watch::Watch;
use work::Work;

mod work;

/// Pictures of the reference that are kept to be shown.
const THUMBNAILS_MAX: usize = 256;

/// A larger reference is never too small: at the least significance level that there may be, a few tens of rows do.
const SMALL_MAX: usize = 1000;

/// Rows whose labels are known, of a split of the prepared data.
#[derive(Clone, Copy)]
pub struct ReferenceData<'a> {
    /// What the model says of them, with their true classes.
    pub features: &'a Features,
    /// Those of them that [`thumbnail_rows`] names, in that order, as the model saw them.
    pub pixels: &'a Pixels,
    /// Where they are from.
    pub split: Split,
    /// Of the prepared data.
    pub data: ContentHash,
}

/// Which detectors a check computes.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// All; one whose input the new rows lack fails, and the verdict is then at best incomplete.
    All,
    /// Those with these names.
    Named(&'a [String]),
    /// Those whose inputs the new rows have: a prediction log has no embeddings.
    Possible,
}

/// Detectors with their reference.
#[derive(Clone, Debug)]
pub struct Fitted {
    pub(super) settings: Settings,
    pub(super) model: ContentHash,
    pub(super) classes: Vec<String>,
    pub(super) reference: Reference,
    pub(super) projection: Option<Projection>,
    pub(super) detectors: Vec<Detector>,
    pub(super) watches: Vec<Watch>,
    pub(super) outlier: Option<OutlierScore>,
    pub(super) thumbnails: Thumbnails,
    pub(super) notes: Vec<String>,
}

/// The rows that others are compared with.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) split: Split,
    pub(super) data: ContentHash,
    /// Each input that there is, as detectors see it; equally many rows.
    pub(super) samples: Vec<(Input, Sample)>,
    /// Index of each row's class.
    pub(super) labels: Vec<u32>,
}

/// Pictures of some rows: of the reference, or of new data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnails {
    /// PNG files, at most 64 pixels wide or high.
    pub pictures: Vec<Vec<u8>>,
    /// The row that each shows.
    pub rows: Vec<usize>,
}

impl Thumbnails {
    /// Takes the pictures of `rows`, in their order.
    #[must_use]
    pub fn of_pixels(rows: &[usize], pixels: &Pixels) -> Self {
        let shown = rows.iter().enumerate();
        let shown = shown.filter_map(|(at, row)| Some((*row, thumbnail_of(pixels, at)?)));
        let (rows, pictures) = shown.unzip();
        Self { pictures, rows }
    }

    /// Returns the picture of `row`, a PNG file, if it is here.
    #[must_use]
    pub fn of(&self, row: usize) -> Option<&[u8]> {
        let at = self.rows.iter().position(|one| *one == row)?;
        self.pictures.get(at).map(Vec::as_slice)
    }
}

/// Returns the rows of a split of `rows` rows that become the reference, ascending: at most `params.rows`, drawn from the
/// seed.
#[must_use]
pub fn reference_rows(rows: usize, params: &DriftParams) -> Vec<usize> {
    rows::choose(rows, params.rows, params.seed, "detect.reference")
}

/// Returns which rows of a reference of `rows` rows are shown as pictures, ascending.
#[must_use]
pub fn thumbnail_rows(rows: usize, params: &DriftParams) -> Vec<usize> {
    rows::choose(rows, THUMBNAILS_MAX, params.seed, "detect.thumbnails")
}

impl Fitted {
    /// Fits the detectors of `params` to `model` and its `reference`: all of its rows, see [`reference_rows`].
    ///
    /// What comes by default and cannot be fitted (too few rows, a network without embeddings) is left out
    /// and noted.
    ///
    /// # Errors
    /// The reference is so small that no detector could find drift with it; what the parameters name cannot be
    /// fitted; no detector is left; `cancel` was requested.
    pub fn fit(
        reference: ReferenceData<'_>,
        model: &Described,
        params: &DriftParams,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let truth = reference.features.truth().ok_or(Error::NoTruth)?;
        require_reference(reference.features.rows(), params.level())?;
        let mut work = Work {
            params,
            features: reference.features,
            classes: &model.classes,
            samples: Vec::new(),
            projection: None,
            notes: Vec::new(),
            cancel,
        };
        work.take()?;
        let detectors = work.detectors()?;
        let watches = work.watches()?;
        let outlier = work.outlier()?;
        Ok(Self {
            settings: Settings {
                alpha: params.alpha,
                family: params.family,
                permutations: params.permutations,
                rows: params.rows,
                seed: params.seed,
            },
            model: model.weights_hash,
            classes: model.classes.clone(),
            thumbnails: Thumbnails::of_pixels(
                &thumbnail_rows(reference.features.rows(), params),
                reference.pixels,
            ),
            projection: work.projection,
            notes: work.notes,
            reference: Reference {
                split: reference.split,
                data: reference.data,
                samples: work.samples,
                labels: truth.to_vec(),
            },
            detectors,
            watches,
            outlier,
        })
    }

    /// Checks that the detectors were fitted to `model`.
    ///
    /// # Errors
    /// They were fitted to other weights, or to other classes.
    pub fn require_model(&self, model: &Described) -> Result<(), Error> {
        if self.model != model.weights_hash {
            return Err(Error::OtherModel {
                fitted: self.model,
                model: model.weights_hash,
            });
        }
        if self.classes != model.classes {
            return Err(Error::OtherClasses {
                fitted: self.classes.clone(),
                model: model.classes.clone(),
            });
        }
        Ok(())
    }

    /// Returns the hash of the weights of the model.
    #[must_use]
    pub fn model(&self) -> ContentHash {
        self.model
    }

    /// Returns the classes of the model.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the chance of a false alarm of a check.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.settings.alpha
    }

    /// Returns the seed of the fit.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.settings.seed
    }

    /// Returns the significance level of each detector.
    #[must_use]
    pub fn level(&self) -> f64 {
        let Settings { alpha, family, .. } = self.settings;
        family.level(alpha, self.detectors.len())
    }

    /// Returns the detectors that a check computes.
    pub fn detectors(&self) -> impl ExactSizeIterator<Item = &DetectorSpec> {
        self.detectors.iter().map(|detector| &detector.spec)
    }

    /// Returns the rows of the reference.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.reference.labels.len()
    }

    /// Returns what is said of the reference in results.
    #[must_use]
    pub fn facts(&self) -> ReferenceFacts {
        ReferenceFacts {
            rows: self.rows(),
            split: self.reference.split.name().to_owned(),
            data: self.reference.data.to_string(),
            model: self.model.to_string(),
        }
    }

    /// Returns what could not be fitted, and why.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the reference as detectors see it; `None` if it has no such input.
    #[must_use]
    pub fn reference(&self, input: Input) -> Option<&Sample> {
        self.reference.sample(input)
    }

    /// Returns the index of the class of each row of the reference.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.reference.labels
    }

    /// Returns new rows as detectors see them.
    ///
    /// # Errors
    /// The rows, or the reference, have no such input, or another number of features.
    pub fn sample(&self, input: Input, new: &Features) -> Result<Sample, Error> {
        let Some(reference) = self.reference(input) else {
            let why = "the reference has none";
            return Err(Error::NoInput { input, why });
        };
        let numbers = |source| Error::Numbers { input, source };
        let sample = new.sample(input)?;
        let sample = match (&self.projection, input) {
            (Some(projection), Input::Embedding) => projection.apply(&sample).map_err(numbers)?,
            _ => sample,
        };
        reference.require_width_of(&sample).map_err(numbers)?;
        Ok(sample)
    }

    /// Returns the names of the features of `input`, of rows like `new`, as detectors see them.
    #[must_use]
    pub fn names(&self, input: Input, new: &Features) -> Vec<String> {
        if let (Some(projection), Input::Embedding) = (&self.projection, input) {
            let numbers = 1..=projection.components();
            return numbers
                .map(|number| format!("component {number}"))
                .collect();
        }
        new.column_names(input, &self.classes)
    }

    /// Returns pictures of some rows of the reference.
    #[must_use]
    pub fn thumbnails(&self) -> &Thumbnails {
        &self.thumbnails
    }

    /// Returns the detectors for a stream, at time 0.
    #[must_use]
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Returns new rows as observations of `watch`: one for each row.
    ///
    /// # Errors
    /// As of [`Self::sample`].
    pub fn observations(&self, watch: &Watch, new: &Features) -> Result<Sample, Error> {
        Ok(watch.observations(&self.sample(watch.input, new)?)?)
    }

    /// Returns the score of single rows, if one was fitted.
    #[must_use]
    pub fn outliers(&self) -> Option<&OutlierScore> {
        self.outlier.as_ref()
    }

    /// Returns the score of each row, if one was fitted.
    ///
    /// # Errors
    /// As of [`Self::sample`].
    pub fn outlier_scores(&self, new: &Features) -> Result<Option<Vec<f64>>, Error> {
        let Some(outlier) = &self.outlier else {
            return Ok(None);
        };
        let sample = self.sample(outlier.input(), new)?;
        Ok(Some(outlier.scores(&sample)?))
    }
}

/// Checks that with a reference of `rows` rows a detector with this significance level can find drift: that of as many
/// new rows, which share no value with it, p would be below.
///
/// # Errors
/// It would not; says how many rows it takes.
fn require_reference(rows: usize, level: f64) -> Result<(), Error> {
    let suffices = |rows: &usize| require_power(*rows, *rows, level).is_ok();
    if suffices(&rows) {
        return Ok(());
    }
    let needed = (rows + 1..SMALL_MAX).find(suffices);
    Err(Error::ReferenceTooSmall {
        found: rows,
        needed: needed.unwrap_or(SMALL_MAX),
        level,
    })
}

impl Reference {
    pub(super) fn sample(&self, input: Input) -> Option<&Sample> {
        find(&self.samples, input)
    }
}

fn find(samples: &[(Input, Sample)], input: Input) -> Option<&Sample> {
    let found = samples.iter().find(|(one, _)| *one == input);
    found.map(|(_, sample)| sample)
}

/// # Errors
/// `cancel` was requested.
pub(super) fn stop_if_asked(cancel: &Cancel) -> Result<(), Error> {
    match cancel.reason() {
        Some(reason) => Err(vision::Error::Cancelled(reason).into()),
        None => Ok(()),
    }
}
