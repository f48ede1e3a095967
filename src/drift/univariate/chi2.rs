//! The χ² test of homogeneity: does each category have the same share in both samples?
//! Imports: `base::rng`, `drift::error`, `univariate::counts`.

use rand::RngExt;
use rayon::prelude::*;
use statrs::function::gamma::checked_gamma_ur;

use super::counts::Counts;
use crate::base::rng;

/// Below this expected count the law for large samples is not trusted.
pub const EXPECTED_MIN: f64 = 5.0;

/// Permutations that run one after the other on one stream of random numbers.
const CHUNK: u64 = 200;

/// Random numbers for p-values by permutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutations {
    /// How many; the smallest possible p-value is 1/(count + 1).
    pub count: u32,
    /// Of all random numbers.
    pub seed: u64,
    /// Which of several tests that share a seed this is.
    pub stream: u32,
}

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquare {
    /// Σ (O − E)²/E over both samples and all categories; of two categories with the correction
    /// of Yates.
    pub statistic: f64,
    /// By the χ² law, or by permutations where that is not to be trusted.
    pub p: f64,
    /// Categories that occur, less one.
    pub degrees_of_freedom: u64,
    /// The smallest expected count.
    pub smallest_expected: f64,
    /// How many permutations p comes from; none if from the χ² law.
    pub permutations: Option<u32>,
}

/// Compares the shares of the categories. Categories that occur in neither sample do not count.
///
/// With an expected count below [`EXPECTED_MIN`] p is the share of `permutations` of all rows whose
/// statistic is at least the observed one, (b + 1)/(B + 1): Phipson and Smyth 2010.
#[must_use]
pub fn compare(counts: &Counts, permutations: Permutations) -> ChiSquare {
    let categories = counts.expected().count();
    let smallest_expected = counts
        .expected()
        .map(|(_, (a, b))| a.min(b))
        .fold(f64::INFINITY, f64::min);
    let degrees_of_freedom = categories as u64 - 1;
    let statistic = statistic(counts, if categories == 2 { 0.5 } else { 0.0 });
    let permuted = 0 < degrees_of_freedom && smallest_expected < EXPECTED_MIN;
    let p = if permuted {
        permuted_p(counts, permutations)
    } else {
        survival(degrees_of_freedom, statistic)
    };
    ChiSquare {
        statistic,
        p,
        degrees_of_freedom,
        smallest_expected,
        permutations: permuted.then_some(permutations.count),
    }
}

/// Returns χ², with each |O − E| reduced by at most `correction`.
pub(super) fn statistic(counts: &Counts, correction: f64) -> f64 {
    let term = |observed: f64, expected: f64| {
        let miss = (observed - expected).abs();
        (miss - correction.min(miss)).powi(2) / expected
    };
    counts
        .expected()
        .map(|((a, b), (expected_a, expected_b))| term(a, expected_a) + term(b, expected_b))
        .sum()
}

/// Returns P(χ² ≥ `statistic`).
fn survival(degrees_of_freedom: u64, statistic: f64) -> f64 {
    // The function knows no 0; there nothing differs.
    checked_gamma_ur(degrees_of_freedom as f64 / 2.0, statistic / 2.0)
        .unwrap_or(1.0)
        .clamp(0.0, 1.0)
}

/// Draws the smaller sample anew from all rows, again and again.
fn permuted_p(counts: &Counts, permutations: Permutations) -> f64 {
    // Equal tables add up to equal statistics but for their rounding.
    const TIE: f64 = 1.0 - 1e-12;
    let (n, m) = counts.totals();
    let draws = n.min(m) as usize;
    let pairs: Vec<(u64, u64)> = counts
        .pairs()
        .iter()
        .copied()
        .filter(|pair| *pair != (0, 0))
        .collect();
    let mut rows: Vec<u32> = Vec::new();
    let mut terms = Vec::new();
    for (category, (a, b)) in (0..).zip(&pairs) {
        rows.extend(std::iter::repeat_n(category, (a + b) as usize));
        let share = (a + b) as f64 / (n + m) as f64;
        let (expected, other) = (draws as f64 * share, n.max(m) as f64 * share);
        // The two samples of a category miss their expected counts by the same number.
        terms.push((expected, 1.0 / expected + 1.0 / other));
    }
    let measure = |drawn: &mut dyn Iterator<Item = u64>| -> f64 {
        drawn
            .zip(&terms)
            .map(|(count, (expected, weight))| (count as f64 - expected).powi(2) * weight)
            .sum()
    };
    let observed = measure(&mut pairs.iter().map(|(a, b)| if n <= m { *a } else { *b }));
    let count = u64::from(permutations.count);
    let hits: u64 = (0..count.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let index = (u64::from(permutations.stream) << 32) | chunk;
            let mut rng = rng::stream(permutations.seed, "drift.chi2", index);
            let mut rows = rows.clone();
            let mut drawn = vec![0_u64; terms.len()];
            let runs = CHUNK.min(count - chunk * CHUNK);
            let mut hits = 0;
            for _ in 0..runs {
                drawn.fill(0);
                for at in 0..draws {
                    let other = rng.random_range(at..rows.len());
                    rows.swap(at, other);
                    drawn[rows[at] as usize] += 1;
                }
                let statistic = measure(&mut drawn.iter().copied());
                hits += u64::from(observed * TIE <= statistic);
            }
            hits
        })
        .sum();
    (hits + 1) as f64 / (count + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Alternative, fisher};
    use super::*;

    const PERMUTATIONS: Permutations = Permutations {
        count: 9999,
        seed: 1,
        stream: 0,
    };

    fn compare(reference: &[u64], test: &[u64]) -> ChiSquare {
        super::compare(&Counts::new(reference, test).unwrap(), PERMUTATIONS)
    }

    #[test]
    fn permutations_of_two_categories_are_fishers_test() {
        for (reference, test) in [([9, 1], [5, 5]), ([30, 2], [10, 4]), ([3, 20], [3, 3])] {
            let found = compare(&reference, &test);
            let share = |row: [u64; 2]| fisher::Share {
                ones: row[1],
                of: row[0] + row[1],
            };
            let law =
                fisher::compare(share(reference), share(test), Alternative::TwoSided).unwrap();
            assert_eq!(found.permutations, Some(9999));
            // Five standard errors.
            let error = 5.0 * (law.p * (1.0 - law.p) / 9999.0).sqrt() + 1e-4;
            assert!((found.p - law.p).abs() < error, "{found:?}, {law:?}");
        }
    }

    #[test]
    fn a_permuted_p_value_is_never_zero_and_always_the_same() {
        let found = compare(&[40, 0, 2], &[0, 40, 2]);
        assert_eq!(found.p, 1.0 / 10_000.0);
        let unlike = compare(&[12, 9, 1, 3], &[10, 4, 3, 1]);
        let again = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap()
            .install(|| compare(&[12, 9, 1, 3], &[10, 4, 3, 1]));
        assert_eq!(unlike, again);
        assert!(0.0 < unlike.p && unlike.p <= 1.0);
    }

    #[test]
    fn empty_categories_do_not_count() {
        let (with, without) = (
            compare(&[50, 0, 30, 20], &[40, 0, 40, 20]),
            compare(&[50, 30, 20], &[40, 40, 20]),
        );
        assert_eq!(with, without);
        assert_eq!(with.degrees_of_freedom, 2);
        // One category: nothing can differ.
        let one = compare(&[50, 0], &[3, 0]);
        assert_eq!((one.statistic, one.p), (0.0, 1.0));
    }

    #[test]
    fn empty_samples_are_refused() {
        assert!(Counts::new(&[1, 2], &[0, 0]).is_err());
        assert!(Counts::new(&[0, 0], &[1, 2]).is_err());
        assert!(Counts::new(&[1, 2, 3], &[1, 2]).is_err());
        assert!(Counts::new(&[], &[]).is_err());
    }
}
