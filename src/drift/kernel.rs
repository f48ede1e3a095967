//! The Gaussian kernel, and the width that the median heuristic gives it.
//! Imports: `drift::{distance, error, sample}`.
//!
//! Gretton et al., A Kernel Two-Sample Test, JMLR 13 (2012); the heuristic in section 8.

mod bandwidth;
mod exp;

use rayon::prelude::*;

pub use super::distance::{LANES, Panels, squared_distance};
pub use bandwidth::{median_bandwidth, median_bandwidth_between};

use super::error::Error;
use super::sample::Sample;
use exp::exp_of_negative;

/// k(a, b) = mean over the bandwidths σ of exp(−|a − b|² / 2σ²): between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    bandwidths: Vec<f64>,
    /// −1 / 2σ² of each.
    factors: Vec<f64>,
}

impl Gaussian {
    /// Makes the kernel of `bandwidths`, in units of the features.
    ///
    /// # Errors
    /// There are none, or one is not a positive number whose square can be divided by.
    pub fn new(bandwidths: &[f64]) -> Result<Self, Error> {
        let factors: Vec<f64> = bandwidths.iter().map(|s| -0.5 / (s * s)).collect();
        let bad = bandwidths.iter().zip(&factors).find(|(bandwidth, factor)| {
            !(**bandwidth > 0.0 && factor.is_finite() && **factor < 0.0)
        });
        match bad {
            Some((bandwidth, _)) => Err(refused(*bandwidth)),
            None if bandwidths.is_empty() => Err(refused(0.0)),
            None => Ok(Self {
                bandwidths: bandwidths.to_vec(),
                factors,
            }),
        }
    }

    /// Makes the kernel whose width the median heuristic takes from `reference`.
    ///
    /// # Errors
    /// As of [`median_bandwidth`].
    pub fn of_median(reference: &Sample) -> Result<Self, Error> {
        Self::new(&[median_bandwidth(reference)?])
    }

    /// Returns the bandwidths.
    #[must_use]
    pub fn bandwidths(&self) -> &[f64] {
        &self.bandwidths
    }

    /// Turns squared distances into values of the kernel, in place.
    pub fn apply(&self, squared: &mut [f64]) {
        const BLOCK: usize = 64;
        if let [factor] = self.factors[..] {
            for value in squared {
                *value = exp_of_negative(*value * factor);
            }
            return;
        }
        let share = 1.0 / self.factors.len() as f64;
        for block in squared.chunks_mut(BLOCK) {
            let mut sums = [0.0; BLOCK];
            for factor in &self.factors {
                for (sum, distance) in sums.iter_mut().zip(block.iter()) {
                    *sum += exp_of_negative(distance * factor);
                }
            }
            for (value, sum) in block.iter_mut().zip(sums) {
                *value = sum * share;
            }
        }
    }

    /// Writes k(`row`, x) for the rows x = `first`, `first` + 1, … of `rows` into `out`, as many as `out`
    /// is long.
    ///
    /// # Panics
    /// There are fewer rows.
    pub fn values(&self, row: &[f64], rows: &Panels, first: usize, out: &mut [f64]) {
        rows.squared_distances(row, first, out);
        self.apply(out);
    }

    /// Returns the matrix k(a, b) for all rows of `a` and `b`, row-major: `[a.rows(), b.rows()]`.
    ///
    /// # Panics
    /// The samples differ in width.
    #[must_use]
    pub fn matrix(&self, a: &Sample, b: &Sample) -> Vec<f64> {
        let panels = Panels::new(&[b]);
        let mut matrix = vec![0.0; a.rows() * b.rows()];
        matrix
            .par_chunks_exact_mut(b.rows())
            .enumerate()
            .for_each(|(at, out)| self.values(a.row(at), &panels, 0, out));
        matrix
    }
}

fn refused(bandwidth: f64) -> Error {
    Error::OutOfRange {
        what: "the bandwidth",
        found: bandwidth,
        expected: "a positive number, neither so small nor so large that its square is lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bandwidths_are_positive_numbers() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-200, 1e200] {
            let error = Gaussian::new(&[1.0, bad]).unwrap_err();
            assert!(
                matches!(error, Error::OutOfRange { .. }),
                "{bad}: {error:?}"
            );
        }
        assert!(Gaussian::new(&[]).is_err());
    }

    proptest! {
        #[test]
        fn the_matrix_is_the_mean_over_bandwidths(
            values in proptest::collection::vec(-20.0..20.0f64, 12..60),
            sigma in 0.1..10.0f64,
        ) {
            let rows = values.len() / 3;
            let sample = Sample::new(values[..rows * 3].to_vec(), 3).unwrap();
            let kernel = Gaussian::new(&[sigma, 2.0 * sigma]).unwrap();
            let matrix = kernel.matrix(&sample, &sample);
            for i in 0..rows {
                prop_assert_eq!(matrix[i * rows + i], 1.0);
                for j in 0..rows {
                    let d = squared_distance(sample.row(i), sample.row(j));
                    let expected = 0.5 * (-d / (2.0 * sigma * sigma)).exp()
                        + 0.5 * (-d / (8.0 * sigma * sigma)).exp();
                    let found = matrix[i * rows + j];
                    prop_assert!((found - expected).abs() <= 1e-15 * (1.0 + d), "{} {}", found, expected);
                    prop_assert_eq!(found, matrix[j * rows + i]);
                }
            }
        }
    }
}
