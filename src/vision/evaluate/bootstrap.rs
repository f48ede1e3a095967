//! Confidence intervals by resampling (Efron 1979; percentile intervals as in Efron and Tibshirani,
//! "An Introduction to the Bootstrap", 1993, chapter 13). Pure. Imports: `base::rng`, rayon,
//! `evaluate::classification`.

use rand::RngExt;
use rayon::prelude::*;

use crate::base::rng;

use super::classification::{Average, Confusion};

/// Where a figure lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// Intervals of the figures that are resampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Intervals {
    pub(super) accuracy: Interval,
    pub(super) macro_f1: Interval,
}

/// Draws the pictures (pairs of label and decision) `resamples` times with replacement, and returns
/// the intervals of accuracy and macro F1; `None` without resamples or pictures.
///
/// Each resample has a stream of its own, so the number of threads does not matter.
pub(super) fn intervals(
    pairs: &[(usize, usize)],
    classes: usize,
    resamples: usize,
    seed: u64,
) -> Option<Intervals> {
    if resamples == 0 || pairs.is_empty() {
        return None;
    }
    let figures: Vec<(f64, f64)> = (0..resamples as u64)
        .into_par_iter()
        .map(|index| {
            let mut rng = rng::stream(seed, "bootstrap", index);
            let drawn = (0..pairs.len()).map(|_| pairs[rng.random_range(0..pairs.len())]);
            let confusion = Confusion::count(classes, drawn);
            let macro_f1 = Average::macro_of(&confusion.scores(), &confusion).f1;
            (confusion.accuracy(), macro_f1)
        })
        .collect();
    Some(Intervals {
        accuracy: interval(figures.iter().map(|f| f.0).collect()),
        macro_f1: interval(figures.iter().map(|f| f.1).collect()),
    })
}

fn interval(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    Interval {
        low: quantile(&values, 0.025),
        high: quantile(&values, 0.975),
    }
}

/// Returns a quantile of sorted values, interpolated linearly (NumPy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_binomial_distribution() {
        // 400 pictures, 80 % right: standard error √(0.8 · 0.2 / 400) = 0.02.
        let pairs: Vec<(usize, usize)> = (0..400)
            .map(|i| (i % 2, if i % 5 == 0 { 1 - i % 2 } else { i % 2 }))
            .collect();
        let got = intervals(&pairs, 2, 2000, 1).unwrap();
        assert!(
            (got.accuracy.low - (0.8 - 1.96 * 0.02)).abs() < 0.005,
            "{got:?}"
        );
        assert!(
            (got.accuracy.high - (0.8 + 1.96 * 0.02)).abs() < 0.005,
            "{got:?}"
        );
        assert_eq!(intervals(&pairs, 2, 2000, 1), Some(got));
        assert_eq!(intervals(&pairs, 2, 0, 1), None);
        assert_eq!(intervals(&[], 2, 10, 1), None);
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.975])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (share, expected) in [(0.025, 1.075), (0.5, 3.0), (0.975, 7.7), (1.0, 8.0)] {
            assert!(
                (quantile(&sorted, share) - expected).abs() < 1e-12,
                "{share}"
            );
        }
    }
}
