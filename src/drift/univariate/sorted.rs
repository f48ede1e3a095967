//! Columns in ascending order: sorted once, compared often. Imports: `drift::{error, sample}`.

use rayon::prelude::*;

use super::super::error::Error;
use super::super::sample::Sample;

/// The values of one feature, all finite, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    values: Vec<f64>,
    deviation: f64,
}

impl Column {
    /// Sorts `values`.
    ///
    /// # Errors
    /// There are none, or one is NaN or infinite.
    pub fn new(values: Vec<f64>) -> Result<Self, Error> {
        Ok(Self::of(Sample::new(values, 1)?.column(0)))
    }

    /// Sorts one feature of a sample, whose values are known to be finite.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let constant = values.first() == values.last();
        Self {
            // The mean of equal values may miss them by a rounding.
            deviation: if constant { 0.0 } else { (squares / n).sqrt() },
            values,
        }
    }

    /// Returns the values, ascending.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the standard deviation (divisor n).
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.deviation
    }
}

/// A sample by features, each in ascending order: a reference that many samples are compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted {
    columns: Vec<Column>,
    rows: usize,
}

impl Sorted {
    /// Sorts each feature of `sample`.
    #[must_use]
    pub fn new(sample: &Sample) -> Self {
        Self {
            columns: (0..sample.width())
                .into_par_iter()
                .map(|column| Column::of(sample.column(column)))
                .collect(),
            rows: sample.rows(),
        }
    }

    /// Returns the features.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the number of observations.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
}
