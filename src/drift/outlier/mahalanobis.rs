//! Distance from the mean, in units of how much the reference varies in each direction.
//! Imports: `drift::{error, sample, spectrum}`.

use super::super::error::Error;
use super::super::sample::Sample;
use super::super::spectrum::{Spectrum, dot};

/// Directions that vary no more than this are left out: nothing can be said in units of them.
const LEAST_VARIANCE: f64 = 1e-6;

/// The squared Mahalanobis distance. For normally distributed features it follows χ² with
/// [`Self::directions`] degrees of freedom.
#[derive(Clone, Debug)]
pub struct Mahalanobis {
    spectrum: Spectrum,
    directions: usize,
}

impl Mahalanobis {
    /// Takes mean and covariance (with n − 1) of `reference`.
    ///
    /// # Errors
    /// There are fewer than two rows, or they vary in no direction by more than 1e-6.
    pub fn fit(reference: &Sample) -> Result<Self, Error> {
        let spectrum = Spectrum::of("the Mahalanobis distance", reference)?;
        let varies = |variance: &&f64| **variance > LEAST_VARIANCE;
        let directions = spectrum.variances.iter().filter(varies).count();
        if directions == 0 {
            return Err(Error::NoVariance);
        }
        Ok(Self {
            spectrum,
            directions,
        })
    }

    /// Returns how many directions count: less than there are features where some hardly vary or follow
    /// from others, and a row that is strange in those only is not seen.
    #[must_use]
    pub fn directions(&self) -> usize {
        self.directions
    }

    /// Returns the score of each row of `sample`.
    ///
    /// # Errors
    /// It has other features than the reference, or rows so far away that squares overflow.
    pub fn scores(&self, sample: &Sample) -> Result<Vec<f64>, Error> {
        self.spectrum.require_width(sample)?;
        let rows = sample.values().chunks_exact(sample.width());
        rows.map(|row| {
            let centred = self.spectrum.centred(row);
            let variances = self.spectrum.variances[..self.directions].iter();
            let score: f64 = variances
                .enumerate()
                .map(|(at, variance)| dot(self.spectrum.direction(at), &centred).powi(2) / variance)
                .sum();
            finite(score)
        })
        .collect()
    }
}

/// Returns `score`, unless it has overflown.
pub(super) fn finite(score: f64) -> Result<f64, Error> {
    if score.is_finite() {
        return Ok(score);
    }
    Err(Error::TooFarApart)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{assert_all_close, data, parse};
    use super::*;

    #[test]
    fn agrees_with_the_golden_values() {
        let golden = parse(include_str!("../../../tests/golden/drift/outliers.json"));
        let fitted = Mahalanobis::fit(&data("ref")).unwrap();
        assert_eq!(fitted.directions(), 8);
        let found = fitted.scores(&data("outlier_x")).unwrap();
        assert_all_close("score", &found, &golden["mahalanobis"]["score"]);
    }

    #[test]
    fn a_feature_that_follows_from_another_does_not_count_twice() {
        let reference = data("ref");
        let twice = |sample: &Sample| {
            let rows = sample.values().chunks_exact(8);
            let values = rows.flat_map(|row| [row, &row[..1]].concat()).collect();
            Sample::new(values, 9).unwrap()
        };
        let once = Mahalanobis::fit(&reference).unwrap();
        let both = Mahalanobis::fit(&twice(&reference)).unwrap();
        assert_eq!(both.directions(), 8);
        let x = data("outlier_x");
        let scores = once.scores(&x).unwrap().into_iter();
        for (a, b) in scores.zip(both.scores(&twice(&x)).unwrap()) {
            assert!((a - b).abs() < 1e-9 * a, "{a} {b}");
        }
    }

    #[test]
    fn what_does_not_vary_is_refused() {
        let equal = Sample::new(vec![2.0; 8], 2).unwrap();
        assert_eq!(Mahalanobis::fit(&equal).unwrap_err(), Error::NoVariance);
        let one = Sample::new(vec![2.0; 2], 2).unwrap();
        assert!(matches!(Mahalanobis::fit(&one), Err(Error::TooFew { .. })));
        let fitted = Mahalanobis::fit(&data("ref")).unwrap();
        assert!(matches!(fitted.scores(&equal), Err(Error::Width { .. })));
        let far = Sample::new(vec![1e200; 8], 8).unwrap();
        assert_eq!(fitted.scores(&far).unwrap_err(), Error::TooFarApart);
    }
}
