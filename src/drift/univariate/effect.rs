//! How large a difference is, whatever the number of rows. Imports: `drift::error`,
//! `univariate::{chi2, counts, pooled, sorted}`.

use super::super::error::Error;
use super::super::quantile::{self, Definition};
use super::chi2;
use super::counts::Counts;
use super::pooled::Pooled;
use super::sorted::Column;

/// Shares below this count as this in [`population_stability`], which knows no zero.
pub const SHARE_FLOOR: f64 = 1e-4;

/// Returns the Wasserstein-1 distance ∫|F − G|: how far values moved on average, in their own unit.
#[must_use]
pub fn wasserstein(pooled: &Pooled) -> f64 {
    let (n, m) = pooled.rows();
    pooled.area / (n as f64 * m as f64)
}

/// Returns the Wasserstein-1 distance in standard deviations of the reference; if the reference is
/// constant, in those of the test sample; 0 if both are constant and the same.
#[must_use]
pub fn normed_wasserstein(pooled: &Pooled) -> f64 {
    let distance = wasserstein(pooled);
    let (reference, test) = pooled.columns();
    let unit = if 0.0 < reference.deviation() {
        reference.deviation()
    } else {
        test.deviation()
    };
    if distance == 0.0 {
        return 0.0;
    }
    distance / unit // infinite for two different constants
}

/// Returns the population stability index over the deciles of the reference.
///
/// A value that is several deciles at once (a zero that half of the rows have) is a bin of its own.
///
/// # Errors
/// None for samples that are not empty.
pub fn decile_stability(reference: &Column, test: &Column) -> Result<f64, Error> {
    let deciles = (1..10)
        .map(|tenth| {
            let share = f64::from(tenth) / 10.0;
            quantile::of_sorted(reference.values(), share, Definition::Linear)
        })
        .collect::<Result<Vec<f64>, Error>>()?;
    let count = |column: &Column| {
        // Two bins for each interval (e, f]: inside it, and the value f if it is repeated.
        let mut bins = vec![0; 2 * deciles.len() + 2];
        for value in column.values() {
            let below = deciles.partition_point(|edge| edge < value);
            let repeated = deciles[below..]
                .iter()
                .take_while(|edge| *edge == value)
                .count()
                > 1;
            bins[2 * below + usize::from(repeated)] += 1;
        }
        bins
    };
    Ok(population_stability(&Counts::new(
        &count(reference),
        &count(test),
    )?))
}

/// Returns the population stability index Σ (q − p)·ln(q/p), the sum of both Kullback-Leibler
/// divergences. Categories that occur in neither sample do not count.
#[must_use]
pub fn population_stability(counts: &Counts) -> f64 {
    counts
        .shares()
        .map(|(p, q)| (p.max(SHARE_FLOOR), q.max(SHARE_FLOOR)))
        .map(|(p, q)| (q - p) * (q / p).ln())
        .sum()
}

/// Returns the Jensen-Shannon distance, 0 to 1: the root of the divergence to the base 2.
#[must_use]
pub fn jensen_shannon(counts: &Counts) -> f64 {
    let part = |p: f64, middle: f64| {
        if 0.0 < p {
            p * (p / middle).log2()
        } else {
            0.0
        }
    };
    let divergence: f64 = counts
        .shares()
        .map(|(p, q)| {
            let middle = f64::midpoint(p, q);
            part(p, middle) + part(q, middle)
        })
        .sum();
    // Of equal samples the sum may be a rounding below 0.
    (divergence / 2.0).clamp(0.0, 1.0).sqrt()
}

/// Returns the Hellinger distance √(½·Σ(√p − √q)²), 0 to 1.
#[must_use]
pub fn hellinger(counts: &Counts) -> f64 {
    let squares: f64 = counts
        .shares()
        .map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2))
        .sum();
    (squares / 2.0).sqrt()
}

/// Returns the total variation distance ½·Σ|p − q|: the share of rows that would have to change.
#[must_use]
pub fn total_variation(counts: &Counts) -> f64 {
    counts.shares().map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0
}

/// Returns the largest difference of a category's shares.
#[must_use]
pub fn l_infinity(counts: &Counts) -> f64 {
    counts
        .shares()
        .map(|(p, q)| (p - q).abs())
        .fold(0.0, f64::max)
}

/// Returns Cramér's V of a table with two rows, √(χ²/N) without the correction of Yates: 0 to 1.
#[must_use]
pub fn cramers_v(counts: &Counts) -> f64 {
    let (n, m) = counts.totals();
    (chi2::statistic(counts, 0.0) / (n + m) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f64]) -> Column {
        Column::new(values.to_vec()).unwrap()
    }

    #[test]
    fn a_shift_is_as_far_as_it_is() {
        let reference = column(&[0.0, 1.0, 2.0, 3.0]);
        for shift in [-2.5, 0.0, 0.25, 10.0] {
            let test = column(&[shift, 1.0 + shift, 2.0 + shift, 3.0 + shift]);
            let pooled = Pooled::new(&reference, &test);
            assert!((wasserstein(&pooled) - f64::abs(shift)).abs() < 1e-12);
            let normed = normed_wasserstein(&pooled);
            assert!((normed - f64::abs(shift) / 1.25_f64.sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn constants_have_an_effect_too() {
        let normed = |a: &[f64], b: &[f64]| {
            let (a, b) = (column(a), column(b));
            normed_wasserstein(&Pooled::new(&a, &b))
        };
        assert_eq!(normed(&[0.1; 3], &[0.1; 4]), 0.0);
        assert_eq!(normed(&[0.1; 3], &[0.2; 4]), f64::INFINITY);
        assert_eq!(normed(&[0.0; 3], &[-1.0, 1.0]), 1.0);
    }

    #[test]
    fn stability_sees_what_leaves_a_constant() {
        let constant = column(&[5.0; 40]);
        let none = decile_stability(&constant, &constant).unwrap();
        assert_eq!(none, 0.0);
        for other in [4.0, 6.0] {
            let found = decile_stability(&constant, &column(&[other; 40])).unwrap();
            // (1 − 1e-4)·ln(1e4), from either side
            assert!(
                (found - 2.0 * 0.9999 * 1e4_f64.ln()).abs() < 1e-9,
                "{found}"
            );
        }
    }

    #[test]
    fn stability_of_deciles_is_that_of_their_counts() {
        let reference: Vec<f64> = (0..100).map(f64::from).collect();
        let test: Vec<f64> = (0..50).map(f64::from).collect();
        let found = decile_stability(&column(&reference), &column(&test)).unwrap();
        let expected = population_stability(
            &Counts::new(&[10; 10], &[10, 10, 10, 10, 10, 0, 0, 0, 0, 0]).unwrap(),
        );
        assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
    }

    #[test]
    fn distances_of_counts_have_their_extremes() {
        let same = Counts::new(&[10, 20, 0], &[5, 10, 0]).unwrap();
        let apart = Counts::new(&[10, 0], &[0, 7]).unwrap();
        for distance in [
            jensen_shannon,
            hellinger,
            total_variation,
            l_infinity,
            cramers_v,
        ] {
            assert!(distance(&same).abs() < 1e-12);
            assert!((distance(&apart) - 1.0).abs() < 1e-12);
        }
        assert_eq!(population_stability(&same), 0.0);
    }
}
