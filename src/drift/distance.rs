//! Squared Euclidean distances from a row to many rows, several rows at a time.
//! Imports: `drift::sample`.

use super::sample::Sample;

/// Rows that are measured together: four vectors of two `f64`, which every x86-64 and ARM has.
pub const LANES: usize = 8;

/// The rows of one or more samples, laid out in panels of [`LANES`] rows: feature by feature, so that
/// one feature of all rows of a panel is one short vector. The last panel is filled up with zeros.
///
/// Distances are sums of squared differences, in the order of the features. The quicker
/// `|a|² + |b|² − 2ab` would lose all digits for close rows far from the origin, and the distance of
/// equal rows would not be 0.
#[derive(Clone, Debug)]
pub struct Panels {
    /// `[panels, width, LANES]`.
    columns: Vec<[f64; LANES]>,
    rows: usize,
    width: usize,
}

impl Panels {
    /// Lays out the rows of `samples`, one sample after the other.
    ///
    /// # Panics
    /// The samples differ in width.
    #[must_use]
    pub fn new(samples: &[&Sample]) -> Self {
        let width = samples.first().map_or(0, |sample| sample.width());
        assert!(samples.iter().all(|sample| sample.width() == width));
        let rows = samples.iter().map(|sample| sample.rows()).sum::<usize>();
        let mut columns = vec![[0.0; LANES]; rows.div_ceil(LANES) * width];
        let all = samples
            .iter()
            .flat_map(|sample| sample.values().chunks_exact(sample.width()));
        for (at, row) in all.enumerate() {
            let start = at / LANES * width;
            for (column, value) in columns[start..start + width].iter_mut().zip(row) {
                column[at % LANES] = *value;
            }
        }
        Self {
            columns,
            rows,
            width,
        }
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of panels.
    #[must_use]
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Returns row `at`.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn row(&self, at: usize) -> Vec<f64> {
        assert!(at < self.rows);
        let columns = self.panel(at / LANES).iter();
        columns.map(|column| column[at % LANES]).collect()
    }

    /// Writes the squared distances of `row` to the rows `first`, `first` + 1, … into `out`, as many as
    /// `out` is long.
    ///
    /// # Panics
    /// There are fewer rows, or `row` is not one of their width.
    pub fn squared_distances(&self, row: &[f64], first: usize, out: &mut [f64]) {
        assert!(first + out.len() <= self.rows && row.len() == self.width);
        let (mut at, mut rest) = (first, out);
        while !rest.is_empty() {
            let lane = at % LANES;
            let taken = (LANES - lane).min(rest.len());
            let sums = to_panel(row, self.panel(at / LANES));
            let (now, later) = rest.split_at_mut(taken);
            now.copy_from_slice(&sums[lane..lane + taken]);
            (at, rest) = (at + taken, later);
        }
    }

    /// Writes the squared distances of each of `rows`, which lie one after the other, to all rows of panel
    /// number `panel` into its place in `out`. Lanes without a row receive distances to the origin.
    ///
    /// # Panics
    /// There is no such panel, or `rows` are not as many rows as `out` has places.
    pub fn tile(&self, panel: usize, rows: &[f64], out: &mut [[f64; LANES]]) {
        assert!(rows.len() == out.len() * self.width);
        let panel = self.panel(panel);
        for (row, out) in rows.chunks_exact(self.width).zip(out) {
            *out = to_panel(row, panel);
        }
    }

    fn panel(&self, panel: usize) -> &[[f64; LANES]] {
        &self.columns[panel * self.width..(panel + 1) * self.width]
    }
}

/// Returns the squared distance of two rows, summed as [`Panels`] does.
#[must_use]
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| {
        let difference = a - b;
        sum + difference * difference
    })
}

#[inline]
fn to_panel(row: &[f64], panel: &[[f64; LANES]]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (value, column) in row.iter().zip(panel) {
        for (sum, other) in sums.iter_mut().zip(column) {
            let difference = other - value;
            *sum += difference * difference;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn panels_agree_with_two_rows_at_a_time(
            values in proptest::collection::vec(-1e3..1e3f64, 1..120),
            width in 1usize..5,
            first in 0usize..40,
        ) {
            let rows = values.len() / width;
            prop_assume!(rows > 0);
            let sample = Sample::new(values[..rows * width].to_vec(), width).unwrap();
            let panels = Panels::new(&[&sample, &sample]);
            let first = first.min(2 * rows - 1);
            let mut out = vec![0.0; 2 * rows - first];
            panels.squared_distances(sample.row(0), first, &mut out);
            for (at, found) in out.iter().enumerate() {
                let other = sample.row((first + at) % rows);
                prop_assert_eq!(panels.row(first + at), other);
                prop_assert_eq!(*found, squared_distance(sample.row(0), other));
            }
            let mut tile = vec![[0.0; LANES]; rows];
            panels.tile(0, sample.values(), &mut tile);
            for (row, distances) in tile.iter().enumerate() {
                for (lane, found) in distances.iter().enumerate().take(2 * rows) {
                    let other = sample.row(lane % rows);
                    prop_assert_eq!(*found, squared_distance(sample.row(row), other));
                }
            }
        }
    }

    #[test]
    fn equal_rows_far_away_are_at_distance_zero() {
        let sample = Sample::new(vec![1e8, 1e-8, 1e8, 1e-8, 1e8, 2e-8], 2).unwrap();
        let mut out = [1.0; 3];
        Panels::new(&[&sample]).squared_distances(sample.row(0), 0, &mut out);
        assert_eq!(out[..2], [0.0, 0.0]);
        assert!(out[2] > 0.0);
    }
}
