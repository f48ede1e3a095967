//! Fewer features for tests that lose power in many: principal components, random projections.
//! Imports: base, `drift::{error, normal, sample, spectrum}`.
//!
//! Rabanser, Günnemann, Lipton, Failing Loudly (2019).

use super::error::Error;
use super::normal::standard_normal;
use super::sample::Sample;
use super::spectrum::{Spectrum, dot};
use crate::base::rng;

/// How many principal components are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Components {
    /// This many.
    Count(usize),
    /// As few as explain this share of the variance, above 0 and at most 1.
    Explained(f64),
}

/// The principal components of a reference.
#[derive(Clone, Debug)]
pub struct Pca {
    spectrum: Spectrum,
    count: usize,
}

impl Pca {
    /// Finds the directions in which `reference` varies most.
    ///
    /// # Errors
    /// There are fewer than two rows, all are equal, or more components are asked for than there are.
    pub fn fit(reference: &Sample, components: Components) -> Result<Self, Error> {
        let spectrum = Spectrum::of("PCA", reference)?;
        let total: f64 = spectrum.variances.iter().sum();
        if total == 0.0 {
            return Err(Error::NoVariance);
        }
        let count = match components {
            Components::Count(count) => count,
            Components::Explained(share) if 0.0 < share && share <= 1.0 => {
                let mut sum = 0.0;
                let enough = spectrum.variances.iter().position(|variance| {
                    sum += variance;
                    sum >= share * total
                });
                enough.map_or(spectrum.variances.len(), |at| at + 1)
            }
            Components::Explained(share) => {
                return Err(Error::OutOfRange {
                    what: "the explained share of the variance",
                    found: share,
                    expected: "a number above 0 and at most 1",
                });
            }
        };
        require_components(count, spectrum.variances.len())?;
        Ok(Self { spectrum, count })
    }

    /// Returns the number of components.
    #[must_use]
    pub fn components(&self) -> usize {
        self.count
    }

    /// Returns the mean of the reference.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.spectrum.mean
    }

    /// Returns the components: unit vectors, that of the greatest variance first.
    pub fn directions(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        (0..self.count).map(|at| self.spectrum.direction(at))
    }

    /// Returns the share of the reference's variance that the components explain.
    #[must_use]
    pub fn explained(&self) -> f64 {
        let variances = &self.spectrum.variances;
        variances[..self.count].iter().sum::<f64>() / variances.iter().sum::<f64>()
    }

    /// Returns `sample` in terms of the components: `[rows, components]`.
    ///
    /// # Errors
    /// It has other features than the reference, or values that overflow.
    pub fn transform(&self, sample: &Sample) -> Result<Sample, Error> {
        self.spectrum.require_width(sample)?;
        let mut values = Vec::with_capacity(sample.rows() * self.count);
        for row in sample.values().chunks_exact(sample.width()) {
            let centred = self.spectrum.centred(row);
            let directions = (0..self.count).map(|at| self.spectrum.direction(at));
            values.extend(directions.map(|direction| dot(direction, &centred)));
        }
        projected(values, self.count)
    }
}

/// Random directions, each feature's weight drawn from N(0, 1 / directions): distances are kept on average
/// (Johnson and Lindenstrauss), and nothing is fitted.
#[derive(Clone, Debug)]
pub struct GaussianProjection {
    width: usize,
    /// `[directions, width]`.
    weights: Vec<f64>,
}

impl GaussianProjection {
    /// Draws `directions` directions for rows of `width` features from `seed`.
    ///
    /// # Errors
    /// There are no directions, or more than features.
    pub fn new(width: usize, directions: usize, seed: u64) -> Result<Self, Error> {
        require_components(directions, width)?;
        let mut rng = rng::stream(seed, "drift.projection", 0);
        let scale = 1.0 / (directions as f64).sqrt();
        let weights = (0..directions * width)
            .map(|_| scale * standard_normal(&mut rng))
            .collect();
        Ok(Self { width, weights })
    }

    /// Returns `sample` in terms of the directions.
    ///
    /// # Errors
    /// It has another number of features, or values that overflow.
    pub fn transform(&self, sample: &Sample) -> Result<Sample, Error> {
        if sample.width() != self.width {
            return Err(Error::Width {
                found: sample.width(),
                expected: self.width,
            });
        }
        let directions = || self.weights.chunks_exact(self.width);
        let rows = sample.values().chunks_exact(self.width);
        let values = rows
            .flat_map(|row| directions().map(|direction| dot(direction, row)))
            .collect();
        projected(values, directions().len())
    }
}

/// Sums of finite products that are not finite have overflown.
fn projected(values: Vec<f64>, width: usize) -> Result<Sample, Error> {
    Sample::new(values, width).map_err(|error| match error {
        Error::NotFinite { .. } => Error::TooFarApart,
        error => error,
    })
}

fn require_components(asked: usize, available: usize) -> Result<(), Error> {
    if (1..=available).contains(&asked) {
        return Ok(());
    }
    Err(Error::Components { asked, available })
}

#[cfg(test)]
mod tests {
    use super::super::distance::squared_distance;
    use super::super::fixtures::{data, normal_rows};
    use super::*;

    #[test]
    fn components_of_the_reference_are_uncorrelated_and_ordered() {
        let reference = data("ref");
        let pca = Pca::fit(&reference, Components::Count(3)).unwrap();
        let reduced = pca.transform(&reference).unwrap();
        assert_eq!((reduced.rows(), reduced.width()), (100, 3));
        let [a, b, c] = [0, 1, 2].map(|column| reduced.column(column));
        assert!(dot(&a, &b).abs() + dot(&a, &c).abs() + dot(&b, &c).abs() < 1e-10);
        assert!(dot(&a, &a) > dot(&b, &b) && dot(&b, &b) > dot(&c, &c));
        assert!(a.iter().sum::<f64>().abs() < 1e-10);
    }

    #[test]
    fn all_components_keep_distances() {
        let reference = data("ref");
        let pca = Pca::fit(&reference, Components::Explained(1.0)).unwrap();
        assert!((pca.explained() - 1.0).abs() < 1e-12);
        let turned = pca.transform(&data("none")).unwrap();
        let before = squared_distance(data("none").row(3), data("none").row(5));
        let after = squared_distance(turned.row(3), turned.row(5));
        assert!((before - after).abs() < 1e-10);
    }

    #[test]
    fn as_few_components_as_explain_enough() {
        let reference = data("ref");
        let most = Pca::fit(&reference, Components::Explained(0.8)).unwrap();
        let fewer = Pca::fit(&reference, Components::Count(most.components() - 1)).unwrap();
        assert!(most.explained() >= 0.8 && fewer.explained() < 0.8);
    }

    #[test]
    fn projections_keep_distances_on_average() {
        let sample = normal_rows(40, 200, 0.0, 3);
        let projection = GaussianProjection::new(200, 50, 7).unwrap();
        let reduced = projection.transform(&sample).unwrap();
        assert_eq!(reduced.width(), 50);
        let ratios: Vec<f64> = (1..40)
            .map(|row| {
                squared_distance(reduced.row(0), reduced.row(row))
                    / squared_distance(sample.row(0), sample.row(row))
            })
            .collect();
        let mean = ratios.iter().sum::<f64>() / 39.0;
        assert!((mean - 1.0).abs() < 0.25, "{mean}");
        let again = GaussianProjection::new(200, 50, 7).unwrap();
        assert_eq!(again.transform(&sample).unwrap(), reduced);
    }

    #[test]
    fn what_cannot_be_reduced_is_refused() {
        let reference = data("ref");
        let count = |count| Pca::fit(&reference, Components::Count(count)).unwrap_err();
        for asked in [0, 9] {
            let available = 8;
            assert_eq!(count(asked), Error::Components { asked, available });
        }
        for share in [0.0, 1.1, f64::NAN] {
            let error = Pca::fit(&reference, Components::Explained(share)).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { .. }));
        }
        let equal = Sample::new(vec![3.0; 10], 2).unwrap();
        let error = Pca::fit(&equal, Components::Count(1)).unwrap_err();
        assert_eq!(error, Error::NoVariance);
        let pca = Pca::fit(&reference, Components::Count(2)).unwrap();
        let error = pca.transform(&equal).unwrap_err();
        assert!(matches!(
            error,
            Error::Width {
                found: 2,
                expected: 8
            }
        ));
        let error = GaussianProjection::new(8, 4, 1).unwrap().transform(&equal);
        assert!(matches!(
            error,
            Err(Error::Width {
                found: 2,
                expected: 8
            })
        ));
    }
}
