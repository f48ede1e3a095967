//! Wide embeddings in terms of a few principal components, as numbers that are written down: computed anew
//! elsewhere, the components could come out a rounding apart. Imports: drift.

use crate::drift::reduction::{Components, Pca};
use crate::drift::{Error, Sample};

/// Embeddings up to this wide are taken as they are.
pub(super) const WIDTH_MAX: usize = 128;

/// y = V·(x − mean), with the components V as rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Projection {
    /// `[width]`.
    pub(super) mean: Vec<f64>,
    /// `[components, width]`.
    pub(super) directions: Vec<f64>,
}

impl Projection {
    /// Finds the `components` directions in which `reference` varies most; fewer, if it has fewer.
    ///
    /// # Errors
    /// The rows are all equal, fewer than two, or too far apart.
    pub(super) fn fit(reference: &Sample, components: usize) -> Result<Self, Error> {
        let most = reference.width().min(reference.rows() - 1);
        let count = Components::Count(components.min(most).max(1));
        let pca = Pca::fit(reference, count)?;
        Ok(Self {
            mean: pca.mean().to_vec(),
            directions: pca.directions().flatten().copied().collect(),
        })
    }

    /// Returns how many components there are.
    pub(super) fn components(&self) -> usize {
        self.directions.len() / self.mean.len()
    }

    /// Returns `[rows, components]`.
    ///
    /// # Errors
    /// `sample` has other features, or values that overflow.
    pub(super) fn apply(&self, sample: &Sample) -> Result<Sample, Error> {
        let width = self.mean.len();
        if sample.width() != width {
            return Err(Error::Width {
                found: sample.width(),
                expected: width,
            });
        }
        let directions = || self.directions.chunks_exact(width);
        let rows = sample.values().chunks_exact(width);
        let values = rows.flat_map(|row| {
            let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
            directions().map(move |direction| {
                let terms = direction.iter().zip(&centred);
                terms.map(|(d, x)| d * x).sum::<f64>()
            })
        });
        Sample::new(values.collect(), directions().len()).map_err(|error| match error {
            Error::NotFinite { .. } => Error::TooFarApart,
            error => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: usize, width: usize) -> Sample {
        let values = (0..rows * width).map(|at| ((at * 37 % 101) as f64).sin());
        Sample::new(values.collect(), width).unwrap()
    }

    #[test]
    fn says_what_pca_says() {
        let reference = sample(40, 6);
        let projection = Projection::fit(&reference, 3).unwrap();
        let pca = Pca::fit(&reference, Components::Count(3)).unwrap();
        let new = sample(7, 6);
        let (ours, theirs) = (
            projection.apply(&new).unwrap(),
            pca.transform(&new).unwrap(),
        );
        assert_eq!(ours.width(), 3);
        for (a, b) in ours.values().iter().zip(theirs.values()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn few_rows_have_few_components() {
        let projection = Projection::fit(&sample(4, 200), 32).unwrap();
        assert_eq!(projection.apply(&sample(2, 200)).unwrap().width(), 3);
        let error = projection.apply(&sample(2, 199)).unwrap_err();
        assert!(matches!(
            error,
            Error::Width {
                found: 199,
                expected: 200
            }
        ));
    }
}
