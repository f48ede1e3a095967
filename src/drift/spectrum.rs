//! In which directions a sample varies, and how much. Imports: `drift::{distance, error, sample}`.

use nalgebra::{DMatrix, SVD};

use super::distance::squared_distance;
use super::error::Error;
use super::sample::Sample;

/// Steps of the iteration that finds singular values: some per value are usual.
const ITERATIONS_MAX: usize = 100_000;

/// The mean of a sample, and the eigenvalues and eigenvectors of its covariance (with n − 1).
#[derive(Clone, Debug)]
pub(super) struct Spectrum {
    pub(super) mean: Vec<f64>,
    /// Variance along each direction, the greatest first: as many as the smaller of rows and features.
    pub(super) variances: Vec<f64>,
    /// Unit vectors: `[variances.len(), width]`, each with its largest entry positive.
    directions: Vec<f64>,
}

impl Spectrum {
    /// Decomposes `sample`: the singular values of its centred rows, which keep the small variances that
    /// the covariance matrix would round away.
    ///
    /// # Errors
    /// There are fewer than two rows, or the numbers are so large that their squares overflow.
    pub(super) fn of(what: &'static str, sample: &Sample) -> Result<Self, Error> {
        sample.require_rows(what, 2)?;
        let (rows, width) = (sample.rows(), sample.width());
        let mean: Vec<f64> = (0..width)
            .map(|column| sample.column(column).iter().sum::<f64>() / rows as f64)
            .collect();
        let centred = DMatrix::from_fn(rows, width, |row, column| {
            sample.row(row)[column] - mean[column]
        });
        let values = sample.values().chunks_exact(width);
        let squares: f64 = values.map(|row| squared_distance(row, &mean)).sum();
        if !squares.is_finite() {
            return Err(Error::TooFarApart);
        }
        // R of a QR decomposition has the same singular values and directions, and is as small as the
        // features are few.
        let small = if width < rows {
            centred.qr().unpack_r()
        } else {
            centred
        };
        let svd = SVD::try_new(small, true, true, f64::EPSILON, ITERATIONS_MAX)
            .ok_or(Error::TooFarApart)?;
        let directions = svd.v_t.ok_or(Error::TooFarApart)?;
        let singular = svd.singular_values.iter();
        let variances: Vec<f64> = singular.map(|s| s * s / (rows - 1) as f64).collect();
        let directions = directions
            .row_iter()
            .flat_map(|direction| upright(direction.iter().copied().collect()))
            .collect();
        Ok(Self {
            mean,
            variances,
            directions,
        })
    }

    pub(super) fn width(&self) -> usize {
        self.mean.len()
    }

    /// Returns direction number `at`.
    pub(super) fn direction(&self, at: usize) -> &[f64] {
        &self.directions[at * self.width()..(at + 1) * self.width()]
    }

    pub(super) fn centred(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(&self.mean).map(|(x, m)| x - m).collect()
    }

    /// Checks that `sample` has the features that were decomposed.
    pub(super) fn require_width(&self, sample: &Sample) -> Result<(), Error> {
        if sample.width() == self.width() {
            return Ok(());
        }
        Err(Error::Width {
            found: sample.width(),
            expected: self.width(),
        })
    }
}

/// Both a direction and its opposite are right: the one with its largest entry positive is taken.
fn upright(mut direction: Vec<f64>) -> Vec<f64> {
    let largest = direction
        .iter()
        .copied()
        .fold(0.0f64, |a, b| if b.abs() > a.abs() { b } else { a });
    if largest < 0.0 {
        for entry in &mut direction {
            *entry = -*entry;
        }
    }
    direction
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::normal_rows;
    use super::*;

    #[test]
    fn variances_and_directions_make_up_the_covariance() {
        // More rows than features, and fewer.
        for (rows, width) in [(30, 4), (4, 7)] {
            let sample = normal_rows(rows, width, 2.0, 1);
            let spectrum = Spectrum::of("this test", &sample).unwrap();
            assert_eq!(spectrum.variances.len(), rows.min(width));
            assert!(spectrum.variances.is_sorted_by(|a, b| a >= b));
            for a in 0..width {
                for b in 0..width {
                    let covariance = (0..rows)
                        .map(|row| spectrum.centred(sample.row(row)))
                        .map(|row| row[a] * row[b])
                        .sum::<f64>()
                        / (rows - 1) as f64;
                    let rebuilt: f64 = (0..spectrum.variances.len())
                        .map(|at| (spectrum.variances[at], spectrum.direction(at)))
                        .map(|(variance, v)| variance * v[a] * v[b])
                        .sum();
                    assert!(
                        (covariance - rebuilt).abs() < 1e-12,
                        "{covariance} {rebuilt}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_whose_squares_overflow_are_refused() {
        let sample = Sample::new(vec![1e200, -1e200, 0.0], 1).unwrap();
        let error = Spectrum::of("this test", &sample).unwrap_err();
        assert_eq!(error, Error::TooFarApart);
    }
}
