//! What the principal components of the reference leave unexplained.
//! Imports: `drift::{error, sample, spectrum}`.

use super::super::error::Error;
use super::super::sample::Sample;
use super::super::spectrum::{Spectrum, dot};
use super::mahalanobis::finite;

/// The squared length of a centred row in all directions but the `components` of greatest variance.
#[derive(Clone, Debug)]
pub struct PcaResidual {
    spectrum: Spectrum,
    components: usize,
}

impl PcaResidual {
    /// Finds the directions in which `reference` varies most.
    ///
    /// # Errors
    /// There are fewer than two rows, or `components` is 0, or there are no other directions left.
    pub fn fit(reference: &Sample, components: usize) -> Result<Self, Error> {
        let spectrum = Spectrum::of("the PCA residual", reference)?;
        let available = spectrum.variances.len().min(reference.width() - 1);
        if !(1..=available).contains(&components) {
            return Err(Error::Components {
                asked: components,
                available,
            });
        }
        Ok(Self {
            spectrum,
            components,
        })
    }

    /// Returns the score of each row of `sample`.
    ///
    /// # Errors
    /// It has other features than the reference, or rows so far away that squares overflow.
    pub fn scores(&self, sample: &Sample) -> Result<Vec<f64>, Error> {
        self.spectrum.require_width(sample)?;
        let rows = sample.values().chunks_exact(sample.width());
        rows.map(|row| {
            let mut rest = self.spectrum.centred(row);
            for at in 0..self.components {
                let direction = self.spectrum.direction(at);
                let along = dot(direction, &rest);
                for (value, entry) in rest.iter_mut().zip(direction) {
                    *value -= along * entry;
                }
            }
            finite(dot(&rest, &rest))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{assert_all_close, data, parse};
    use super::*;

    #[test]
    fn agrees_with_the_golden_values() {
        let golden = parse(include_str!("../../../tests/golden/drift/outliers.json"));
        for components in [2, 7] {
            let fitted = PcaResidual::fit(&data("ref"), components).unwrap();
            let found = fitted.scores(&data("outlier_x")).unwrap();
            let expected = &golden["pca_linear"][format!("n_components={components}")];
            assert_all_close("score", &found, expected);
        }
    }

    #[test]
    fn there_must_be_directions_on_both_sides() {
        for asked in [0, 8] {
            let error = PcaResidual::fit(&data("ref"), asked).unwrap_err();
            let available = 7;
            assert_eq!(error, Error::Components { asked, available });
        }
    }
}
