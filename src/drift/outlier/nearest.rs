//! The nearest rows of a reference, and how far they are. Imports: `drift::{distance, error, sample}`.

use rayon::prelude::*;

use super::super::distance::Panels;
use super::super::error::Error;
use super::super::sample::Sample;
use super::mahalanobis::finite;

/// A row of the reference, seen from some other row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neighbour {
    pub(super) squared: f64,
    pub(super) row: usize,
}

/// Returns the `count` nearest rows, the nearest first, of equal ones that with the lower number; row
/// `itself` is passed over.
pub(super) fn neighbours(
    panels: &Panels,
    row: &[f64],
    count: usize,
    itself: Option<usize>,
) -> Vec<Neighbour> {
    let mut squared = vec![0.0; panels.rows()];
    panels.squared_distances(row, 0, &mut squared);
    let others = squared.into_iter().enumerate();
    let mut found: Vec<Neighbour> = others
        .filter(|(row, _)| Some(*row) != itself)
        .map(|(row, squared)| Neighbour { squared, row })
        .collect();
    let order = |a: &Neighbour, b: &Neighbour| {
        let by_distance = a.squared.total_cmp(&b.squared);
        by_distance.then(a.row.cmp(&b.row))
    };
    if count < found.len() {
        found.select_nth_unstable_by(count, order);
        found.truncate(count);
    }
    found.sort_unstable_by(order);
    found
}

/// Checks that every row of the reference has `count` neighbours.
pub(super) fn require_neighbours(reference: &Sample, count: usize) -> Result<(), Error> {
    if (1..reference.rows()).contains(&count) {
        return Ok(());
    }
    Err(Error::Neighbours {
        asked: count,
        rows: reference.rows(),
    })
}

/// The Euclidean distance to the k-th nearest row of the reference. For several k, the mean of these
/// distances, each in units of its mean among the rows of the reference.
#[derive(Clone, Debug)]
pub struct NearestNeighbours {
    panels: Panels,
    width: usize,
    /// Each k, and the unit of its distance.
    ks: Vec<(usize, f64)>,
}

impl NearestNeighbours {
    /// Takes `reference`, and which neighbours count.
    ///
    /// # Errors
    /// There is no k, one is 0 or not below the number of rows, or, where there are several, all rows lie
    /// on others.
    pub fn fit(reference: &Sample, ks: &[usize]) -> Result<Self, Error> {
        let farthest = ks.iter().copied().max().unwrap_or(0);
        for k in ks.iter().copied().chain([farthest]) {
            require_neighbours(reference, k)?;
        }
        let panels = Panels::new(&[reference]);
        let units = match ks {
            [_] => vec![1.0],
            _ => units(reference, &panels, ks, farthest),
        };
        if units.iter().any(|unit| !(unit.is_finite() && *unit > 0.0)) {
            return Err(Error::NoVariance);
        }
        Ok(Self {
            panels,
            width: reference.width(),
            ks: ks.iter().copied().zip(units).collect(),
        })
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
        let farthest = self.ks.iter().map(|(k, _)| *k).max().unwrap_or(0);
        let rows = sample.values().par_chunks_exact(self.width);
        rows.map(|row| {
            let found = neighbours(&self.panels, row, farthest, None);
            let distances = self
                .ks
                .iter()
                .map(|(k, unit)| found[k - 1].squared.sqrt() / unit);
            finite(distances.sum::<f64>() / self.ks.len() as f64)
        })
        .collect()
    }
}

/// Returns for each of `ks` its mean distance among the rows of `reference`.
fn units(reference: &Sample, panels: &Panels, ks: &[usize], farthest: usize) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = (0..reference.rows())
        .into_par_iter()
        .map(|row| {
            let found = neighbours(panels, reference.row(row), farthest, Some(row));
            ks.iter().map(|k| found[k - 1].squared.sqrt()).collect()
        })
        .collect();
    (0..ks.len())
        .map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / rows.len() as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{assert_all_close, data, normal_rows, parse};
    use super::*;

    #[test]
    fn agrees_with_the_golden_values() {
        let golden = parse(include_str!("../../../tests/golden/drift/outliers.json"));
        for k in [1, 5, 10] {
            let fitted = NearestNeighbours::fit(&data("ref"), &[k]).unwrap();
            let found = fitted.scores(&data("outlier_x")).unwrap();
            assert_all_close("score", &found, &golden["knn"][format!("k={k}")]);
        }
    }

    #[test]
    fn several_k_weigh_the_same() {
        let reference = normal_rows(60, 3, 0.0, 1);
        let fitted = NearestNeighbours::fit(&reference, &[1, 10]).unwrap();
        let usual = fitted.scores(&normal_rows(200, 3, 0.0, 2)).unwrap();
        let mean = usual.iter().sum::<f64>() / 200.0;
        assert!((mean - 1.0).abs() < 0.15, "{mean}");
        let strange = fitted.scores(&normal_rows(20, 3, 8.0, 3)).unwrap();
        assert!(strange.iter().all(|score| *score > 2.0));
    }

    #[test]
    fn neighbours_must_exist() {
        let reference = normal_rows(10, 2, 0.0, 1);
        for bad in [&[0][..], &[10], &[1, 10], &[0, 1], &[]] {
            let error = NearestNeighbours::fit(&reference, bad).unwrap_err();
            assert!(
                matches!(error, Error::Neighbours { rows: 10, .. }),
                "{bad:?}"
            );
        }
        let equal = Sample::new(vec![1.0; 10], 1).unwrap();
        let error = NearestNeighbours::fit(&equal, &[1, 2]).unwrap_err();
        assert_eq!(error, Error::NoVariance);
    }
}
