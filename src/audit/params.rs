//! How pictures are checked: the numbers that decide what counts as odd. Imports: vision,
//! `audit::{finding, learned}`.

use std::collections::BTreeMap;

use crate::vision::params::PreprocessParams;

use super::finding::Check;
use super::learned::LearnedParams;

/// When two pictures are nearly the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearParams {
    /// Bits in which the difference hashes (64 bits) of candidates may differ, 0..=7.
    pub hash_bits_max: u32,
    /// Root mean square difference of the pictures at 35×35 up to which they are the same, as a part of
    /// the range of values, 0..=1.
    pub rmse_max: f64,
    /// Correlation of the pictures at 35×35 from which on they are the same, 0..=1.
    pub correlation_min: f64,
}

/// How pictures are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditParams {
    /// How `preprocess` would read the pictures: size, channels, splits and their seed, limits.
    pub preprocess: PreprocessParams,
    /// When two pictures are nearly the same.
    pub near: NearParams,
    /// Robust z-score (of the median and the median absolute deviation) from which on a property of a
    /// picture is an outlier.
    pub outlier_z: f64,
    /// The largest class may have this many times the pictures of the smallest.
    pub imbalance_max: f64,
    /// Significance level of tests between splits, before correction for their number.
    pub alpha: f64,
    /// Effect (standard deviations for properties, Cramér's V for labels) from which on a significant
    /// difference between splits counts.
    pub min_effect: f64,
    /// What counts as doubtful by what is learnt from the pictures.
    pub learned: LearnedParams,
    /// Limits other than the default ones of `Check::default_limit`; `None`: as many as there are.
    pub limits: BTreeMap<Check, Option<usize>>,
}

impl NearParams {
    /// What counts as nearly the same unless somebody says otherwise (ADR 47 has the figures).
    pub const USUAL: Self = Self {
        hash_bits_max: 4,
        rmse_max: 0.05,
        correlation_min: 0.99,
    };
}

impl AuditParams {
    /// Returns the default numbers for pictures that are read as `preprocess` says.
    #[must_use]
    pub fn new(preprocess: PreprocessParams) -> Self {
        Self {
            learned: LearnedParams::new(preprocess.seed),
            preprocess,
            near: NearParams::USUAL,
            outlier_z: 3.5,
            imbalance_max: 10.0,
            alpha: 0.01,
            min_effect: 0.1,
            limits: BTreeMap::new(),
        }
    }

    /// Returns how many items `check` may have; `None`: as many as there are.
    #[must_use]
    pub fn limit(&self, check: Check) -> Option<usize> {
        let given = self.limits.get(&check).copied();
        given.unwrap_or_else(|| check.default_limit())
    }
}
