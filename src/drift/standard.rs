//! Features in standard deviations of a reference. Imports: `drift::{error, sample}`.

use super::error::Error;
use super::sample::Sample;

/// Added to the standard deviation of a feature before it divides.
const LEAST_DEVIATION: f64 = 1e-12;

/// Of each feature of a reference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    /// The means.
    pub(super) means: Vec<f64>,
    /// The standard deviations (n − 1), ready to divide by.
    pub(super) deviations: Vec<f64>,
}

impl Moments {
    /// Measures each feature of `sample`, which has at least two rows.
    ///
    /// # Errors
    /// A feature is constant.
    pub(super) fn of(sample: &Sample) -> Result<Self, Error> {
        let rows = sample.rows() as f64;
        let moments = (0..sample.width()).map(|column| {
            let values = sample.column(column);
            if values.iter().all(|value| *value == values[0]) {
                return Err(Error::ConstantFeature {
                    column,
                    value: values[0],
                });
            }
            let mean = values.iter().sum::<f64>() / rows;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            Ok((mean, (squares / (rows - 1.0)).sqrt() + LEAST_DEVIATION))
        });
        let moments: Vec<(f64, f64)> = moments.collect::<Result<_, _>>()?;
        let (means, deviations) = moments.into_iter().unzip();
        Ok(Self { means, deviations })
    }

    /// Says how far a row is from the means, in standard deviations.
    pub(super) fn normalise(&self, row: &mut [f64]) {
        for ((value, mean), deviation) in row.iter_mut().zip(&self.means).zip(&self.deviations) {
            *value = (*value - mean) / deviation;
        }
    }

    /// Returns a sample with all rows normalised.
    ///
    /// # Errors
    /// Numbers overflow.
    pub(super) fn normalised(&self, sample: &Sample) -> Result<Sample, Error> {
        let mut values = sample.values().to_vec();
        for row in values.chunks_exact_mut(sample.width()) {
            self.normalise(row);
        }
        Sample::new(values, sample.width()).map_err(|error| match error {
            Error::NotFinite { .. } => Error::TooFarApart,
            error => error,
        })
    }
}
