//! SIGNATURES ONLY, so that others can build on them; the bodies follow in this branch.
//!
//! Detectors fitted to a model and its reference: `models/drift/`.
//! Imports: base, drift, vision, `detect::{checked, error, features, params, …}`.

use std::path::Path;

use crate::base::{Cancel, ContentHash};
use crate::drift::Sample;
use crate::drift::online::Online;
use crate::vision::artifact::Described;
use crate::vision::image::Pixels;
use crate::vision::shard::Split;

use super::Error;
use super::checked::Checked;
use super::features::{Features, Input};
use super::params::DriftParams;

/// Rows whose labels are known, of a split of the prepared data.
pub struct ReferenceData<'a> {
    pub features: &'a Features,
    /// As the model saw them; some are kept as pictures for pages.
    pub pixels: &'a Pixels,
    pub labels: &'a [u32],
    pub split: Split,
    /// `Prepared::content_hash`.
    pub data: ContentHash,
}

/// Which detectors a check computes.
pub enum Selection<'a> {
    /// All; one whose input the new data lack fails, and the verdict is at best `Incomplete`.
    All,
    /// Those named; an unknown name is an error.
    Named(&'a [String]),
    /// Those whose inputs the new data have (a prediction log has no embeddings).
    Possible,
}

pub struct Fitted { /* private */ }

impl Fitted {
    /// The folder's usual place.
    pub const DEFAULT_DIR: &'static str = "models/drift";

    pub fn fit(reference: ReferenceData<'_>, model: &Described, params: &DriftParams, cancel: &Cancel) -> Result<Self, Error>;
    pub fn save(&self, dir: &Path) -> Result<(), Error>;
    pub fn load(dir: &Path) -> Result<Self, Error>;
    /// Error (names both hashes, says `run cvops drift fit again`) unless weights hash and classes are the model's.
    pub fn require_model(&self, model: &Described) -> Result<(), Error>;

    /// Compares. `labels` of the new rows, if known, give the actual accuracy.
    pub fn check(&self, new: &Features, labels: Option<&[u32]>, selection: Selection<'_>, cancel: &Cancel) -> Result<Checked, Error>;

    pub fn model(&self) -> ContentHash;
    pub fn classes(&self) -> &[String];
    pub fn params(&self) -> &DriftParams;
    /// Rows of the reference.
    pub fn rows(&self) -> usize;
    /// What could not be fitted by default, and why.
    pub fn notes(&self) -> &[String];
    /// The reference as the detectors see it (embeddings reduced); None if it has no such input.
    pub fn reference(&self, input: Input) -> Option<&Sample>;
    /// New rows as the detectors see them.
    pub fn sample(&self, input: Input, new: &Features) -> Result<Sample, Error>;
    /// Pictures of some rows of the reference: `Witnesses::typical` counts these.
    pub fn thumbnails(&self) -> &Thumbnails;
    /// Detectors for a stream, at time 0: clone `online` and drive it.
    pub fn watches(&self) -> &[Watch];
    /// One observation per row, for `watch.online`.
    pub fn observations(&self, watch: &Watch, new: &Features) -> Result<Sample, Error>;
    /// The score of each row, if one is fitted and the rows have its input.
    pub fn outliers(&self) -> Option<&OutlierScore>;
    pub fn outlier_scores(&self, new: &Features) -> Result<Option<Vec<f64>>, Error>;
}

pub struct Thumbnails {
    pub pixels: Pixels,
    /// Row of the reference of each.
    pub rows: Vec<usize>,
}

pub struct Watch {
    pub name: String,
    pub input: Input,
    /// `mmd`, `lsdd`, `cvm`, `fisher`.
    pub method: WatchMethod,
    /// One answer in so many is an observation.
    pub every: u64,
    pub online: Online,
}

pub struct OutlierScore { /* private */ }
impl OutlierScore {
    pub fn method(&self) -> OutlierMethod;
    pub fn threshold(&self) -> f64;
    pub fn is_outlier(&self, score: f64) -> bool;
    pub fn p_value(&self, score: f64) -> f64;
}
