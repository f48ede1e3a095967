//! Columns in ascending order: sorted once, compared often. Imports: `drift::{error, sample}`.

use rayon::prelude::*;

use super::super::error::Error;
use super::super::sample::Sample;

/// The values of one feature, all finite, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    values: Vec<f64>,
    runs: Vec<Run>,
    deviation: f64,
}

/// A value, and how many rows have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) value: f64,
    pub(super) rows: u64,
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
        sort(&mut values);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let constant = values.first() == values.last();
        Self {
            // The mean of equal values may miss them by a rounding.
            deviation: if constant { 0.0 } else { (squares / n).sqrt() },
            runs: runs(&values),
            values,
        }
    }

    /// Returns the distinct values, ascending.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
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

/// Sorts by `f64::total_cmp`, as whole numbers of that order: twice as fast, and most of the work.
fn sort(values: &mut [f64]) {
    // Negative numbers have the sign bit set, and grow as their other bits fall. Its own inverse.
    let flipped = |bits: i64| bits ^ ((bits >> 63) & i64::MAX);
    let mut keys: Vec<i64> = values
        .iter()
        .map(|value| flipped(value.to_bits() as i64))
        .collect();
    keys.sort_unstable();
    for (value, key) in values.iter_mut().zip(keys) {
        *value = f64::from_bits(flipped(key) as u64);
    }
}

fn runs(sorted: &[f64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(sorted.len());
    for &value in sorted {
        match runs.last_mut() {
            // Also 0.0 and −0.0, which the order puts side by side.
            Some(run) if run.value == value => run.rows += 1,
            _ => runs.push(Run { value, rows: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn columns_ascend(mut values in prop::collection::vec(-1e300..1e300, 1..60)) {
            values.extend([0.0, -0.0, f64::MIN_POSITIVE, -f64::MAX, values[0]]);
            let column = Column::new(values.clone()).unwrap();
            values.sort_by(f64::total_cmp);
            prop_assert_eq!(column.values(), &values[..]);
            let runs = column.runs();
            prop_assert!(runs.windows(2).all(|pair| pair[0].value < pair[1].value));
            prop_assert_eq!(runs.iter().map(|run| run.rows).sum::<u64>(), values.len() as u64);
        }
    }
}
