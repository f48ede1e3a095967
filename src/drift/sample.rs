//! Rows of numbers that are known to be good. Imports: `drift::error`.

use super::error::Error;

/// Observations as rows of features: `[rows, width]`, row-major, all finite, at least one row and column.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    values: Vec<f64>,
    width: usize,
}

impl Sample {
    /// Checks `values`, which are rows of `width` numbers.
    ///
    /// # Errors
    /// There are none, they do not fill whole rows, or one is NaN or infinite.
    pub fn new(values: Vec<f64>, width: usize) -> Result<Self, Error> {
        if width == 0 || values.is_empty() || !values.len().is_multiple_of(width) {
            return Err(Error::Ragged {
                values: values.len(),
                width,
            });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::NotFinite {
                row: at / width,
                column: at % width,
                value: values[at],
            }),
            None => Ok(Self { values, width }),
        }
    }

    /// Returns the number of observations.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Returns the number of features.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns all values, row by row.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns one observation.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// Returns the values of one feature, in the order of the rows.
    #[must_use]
    pub fn column(&self, column: usize) -> Vec<f64> {
        self.values
            .iter()
            .skip(column)
            .step_by(self.width)
            .copied()
            .collect()
    }

    /// Checks that `other` has the same features.
    ///
    /// # Errors
    /// It has another number of them.
    pub fn require_width_of(&self, other: &Self) -> Result<(), Error> {
        if self.width == other.width {
            return Ok(());
        }
        Err(Error::Width {
            found: other.width,
            expected: self.width,
        })
    }

    /// Checks that there are enough observations for `what`.
    ///
    /// # Errors
    /// There are fewer than `needed`.
    pub fn require_rows(&self, what: &'static str, needed: usize) -> Result<(), Error> {
        if needed <= self.rows() {
            return Ok(());
        }
        Err(Error::TooFew {
            what,
            found: self.rows(),
            needed,
        })
    }
}
