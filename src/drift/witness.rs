//! Where two samples differ: the witness function of MMD, and the rows that show it best.
//! Imports: `drift::{error, kernel, sample}`.
//!
//! Gretton et al., A Kernel Two-Sample Test, JMLR 13 (2012), section 2.3.

use rayon::prelude::*;

use super::error::Error;
use super::kernel::{Gaussian, Panels};
use super::sample::Sample;

/// A row, and what the witness function says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Witness {
    /// Of its sample.
    pub row: usize,
    /// f(row): below 0 where the test sample is denser than the reference.
    pub value: f64,
}

/// Returns f(z) = mean k(x, z) over the rows x of `reference` − mean k(y, z) over the rows y of `test`, for
/// each row z of `places`.
///
/// # Errors
/// The samples differ in width.
pub fn witness(
    kernel: &Gaussian,
    reference: &Sample,
    test: &Sample,
    places: &Sample,
) -> Result<Vec<f64>, Error> {
    reference.require_width_of(test)?;
    reference.require_width_of(places)?;
    let (xs, ys) = (Panels::new(&[reference]), Panels::new(&[test]));
    let rows = places.values().par_chunks_exact(places.width());
    Ok(rows
        .map(|row| mean(kernel, row, &xs) - mean(kernel, row, &ys))
        .collect())
}

/// Returns the `count` rows of `test` that are most unlike the reference, the most unlike first: those where
/// the test sample has most in excess. They drive the drift; a lonely outlier is none of them.
///
/// # Errors
/// The samples differ in width.
pub fn most_unlike(
    kernel: &Gaussian,
    reference: &Sample,
    test: &Sample,
    count: usize,
) -> Result<Vec<Witness>, Error> {
    let values = witness(kernel, reference, test, test)?;
    let each = values.into_iter().enumerate();
    let mut all: Vec<Witness> = each.map(|(row, value)| Witness { row, value }).collect();
    // Stable: equal ones stay in the order of the rows.
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    all.truncate(count);
    Ok(all)
}

fn mean(kernel: &Gaussian, row: &[f64], panels: &Panels) -> f64 {
    let mut values = vec![0.0; panels.rows()];
    kernel.values(row, panels, 0, &mut values);
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::normal_rows;
    use super::super::mmd::Mmd;
    use super::*;

    #[test]
    fn its_mean_difference_is_the_biased_mmd() {
        let (x, y) = (normal_rows(30, 3, 0.0, 1), normal_rows(20, 3, 1.0, 2));
        let kernel = Gaussian::of_median(&x).unwrap();
        let mean = |at: &Sample| {
            let values = witness(&kernel, &x, &y, at).unwrap();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let biased = mean(&x) - mean(&y);
        let matrix = |a: &Sample, b: &Sample| {
            let all = kernel.matrix(a, b);
            all.iter().sum::<f64>() / all.len() as f64
        };
        let expected = matrix(&x, &x) + matrix(&y, &y) - 2.0 * matrix(&x, &y);
        assert!((biased - expected).abs() < 1e-14);
        let unbiased = Mmd::with_kernel(x.clone(), kernel.clone()).unwrap();
        assert!(unbiased.test_drawn(&y, 1, 0).unwrap().statistic < biased);
    }

    #[test]
    fn finds_the_rows_that_moved() {
        let x = normal_rows(100, 2, 0.0, 1);
        let usual = normal_rows(30, 2, 0.0, 2);
        let moved = normal_rows(10, 2, 6.0, 3);
        let test = Sample::new([usual.values(), moved.values()].concat(), 2).unwrap();
        let kernel = Gaussian::of_median(&x).unwrap();
        let unlike = most_unlike(&kernel, &x, &test, 8).unwrap();
        assert_eq!(unlike.len(), 8);
        assert!(unlike.iter().all(|w| w.row >= 30 && w.value < 0.0));
        assert!(unlike.is_sorted_by(|a, b| a.value <= b.value));
        assert_eq!(most_unlike(&kernel, &x, &test, 200).unwrap().len(), 40);
    }

    #[test]
    fn samples_have_the_same_features() {
        let x = normal_rows(5, 2, 0.0, 1);
        let wide = normal_rows(5, 3, 0.0, 1);
        let kernel = Gaussian::new(&[1.0]).unwrap();
        let result = most_unlike(&kernel, &x, &wide, 1);
        assert!(matches!(result, Err(Error::Width { .. })));
        assert!(witness(&kernel, &x, &x, &wide).is_err());
    }
}
