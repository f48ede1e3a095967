//! The local outlier factor: how much emptier is it around a row than around its neighbours?
//! Imports: `drift::{distance, error, sample}`.
//!
//! Breunig, Kriegel, Ng, Sander, LOF: Identifying Density-Based Local Outliers, SIGMOD 2000.

use rayon::prelude::*;

use super::super::distance::Panels;
use super::super::error::Error;
use super::super::sample::Sample;
use super::mahalanobis::finite;
use super::nearest::{Neighbour, neighbours, require_neighbours};

/// No neighbourhood is denser than if its rows lay this share of the usual distance apart: a row that is
/// there k times over has a density, and a score of 1, instead of dividing by 0.
const CLOSEST: f64 = 1e-9;

/// The mean density around the k nearest rows of the reference, in units of that around the row itself: about
/// 1 for a row like the reference, and more the lonelier it is.
#[derive(Clone, Debug)]
pub struct LocalOutlierFactor {
    panels: Panels,
    width: usize,
    k: usize,
    closest: f64,
    /// Of each row of the reference, its distance to the k-th nearest of the others.
    k_distances: Vec<f64>,
    /// Of each row of the reference, its local reachability density.
    densities: Vec<f64>,
}

impl LocalOutlierFactor {
    /// Measures how densely the rows of `reference` lie, by `k` neighbours each.
    ///
    /// # Errors
    /// `k` is 0 or not below the number of rows, all rows lie on others, or distances overflow.
    pub fn fit(reference: &Sample, k: usize) -> Result<Self, Error> {
        require_neighbours(reference, k)?;
        let panels = Panels::new(&[reference]);
        let found: Vec<Vec<Neighbour>> = (0..reference.rows())
            .into_par_iter()
            .map(|row| neighbours(&panels, reference.row(row), k, Some(row)))
            .collect();
        let k_distances: Vec<f64> = found.iter().map(|n| n[k - 1].squared.sqrt()).collect();
        let usual = finite(k_distances.iter().sum::<f64>() / k_distances.len() as f64)?;
        if usual == 0.0 {
            return Err(Error::NoVariance);
        }
        let mut this = Self {
            panels,
            width: reference.width(),
            k,
            closest: CLOSEST * usual,
            k_distances,
            densities: Vec::new(),
        };
        this.densities = found.iter().map(|n| 1.0 / this.reach(n)).collect();
        Ok(this)
    }

    /// Returns the score of each row of `sample`.
    ///
    /// # Errors
    /// It has other features than the reference, or rows so far away that squares overflow.
    pub fn scores(&self, sample: &Sample) -> Result<Vec<f64>, Error> {
        if sample.width() != self.width {
            return Err(Error::Width {
                found: sample.width(),
                expected: self.width,
            });
        }
        let rows = sample.values().par_chunks_exact(self.width);
        rows.map(|row| {
            let found = neighbours(&self.panels, row, self.k, None);
            let densities = found.iter().map(|n| self.densities[n.row]);
            finite(densities.sum::<f64>() / self.k as f64 * self.reach(&found))
        })
        .collect()
    }

    /// Returns the mean distance to `neighbours`, where none is nearer than its own neighbours are to it.
    fn reach(&self, neighbours: &[Neighbour]) -> f64 {
        let distances = neighbours
            .iter()
            .map(|n| n.squared.sqrt().max(self.k_distances[n.row]));
        (distances.sum::<f64>() / neighbours.len() as f64).max(self.closest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{assert_all_close, data, parse};
    use super::*;

    #[test]
    fn agrees_with_the_golden_values() {
        let golden = parse(include_str!("../../../tests/golden/drift/outliers.json"));
        let fitted = LocalOutlierFactor::fit(&data("ref"), 10).unwrap();
        let found = fitted.scores(&data("outlier_x")).unwrap();
        assert_all_close("score", &found, &golden["lof"]["k=10"]);
    }

    #[test]
    fn repeated_rows_have_a_density() {
        let values = [vec![0.0; 6], (1..7).map(f64::from).collect()].concat();
        let reference = Sample::new(values, 1).unwrap();
        let fitted = LocalOutlierFactor::fit(&reference, 3).unwrap();
        let asked = Sample::new(vec![0.0, 3.5, 100.0], 1).unwrap();
        let scores = fitted.scores(&asked).unwrap();
        assert!((scores[0] - 1.0).abs() < 1e-12);
        assert!(scores[1] < 2.0 && scores[2] > 10.0, "{scores:?}");
    }

    #[test]
    fn there_must_be_neighbours_and_distances() {
        let equal = Sample::new(vec![1.0; 5], 1).unwrap();
        let error = LocalOutlierFactor::fit(&equal, 2).unwrap_err();
        assert_eq!(error, Error::NoVariance);
        let error = LocalOutlierFactor::fit(&equal, 5).unwrap_err();
        assert_eq!(error, Error::Neighbours { asked: 5, rows: 5 });
    }
}
