//! Tail probabilities of a discrete law with one peak, from the ratios of neighbouring
//! probabilities. Imports: nothing of ours.
//!
//! No logarithms of factorials: weights are relative to the peak's, their sum is the norm, and all
//! summands are positive. So a small tail keeps its digits, down to 1e-300.

/// Probabilities up to this factor above the observed one count as equal to it: they are, but for
/// the rounding of the ratios between them.
const TIE: f64 = 1.0 + 1e-10;

/// A law on consecutive whole numbers. Values too unlikely for an `f64` are left out.
pub(super) struct Law {
    first: u64,
    weights: Vec<f64>,
    total: f64,
}

impl Law {
    /// Builds the law on `from..=to` with its peak at `mode`, where `ratio(x)` is P(x + 1)/P(x).
    pub(super) fn new(from: u64, mode: u64, to: u64, ratio: impl Fn(u64) -> f64) -> Self {
        let mut below = Vec::new();
        let (mut x, mut weight) = (mode, 1.0);
        while from < x {
            weight /= ratio(x - 1);
            if weight == 0.0 {
                break;
            }
            below.push(weight);
            x -= 1;
        }
        let first = x;
        let mut weights: Vec<f64> = below.into_iter().rev().collect();
        weights.push(1.0);
        (x, weight) = (mode, 1.0);
        while x < to {
            weight *= ratio(x);
            if weight == 0.0 {
                break;
            }
            weights.push(weight);
            x += 1;
        }
        Self {
            first,
            total: weights.iter().sum(),
            weights,
        }
    }

    /// The law of the ones among `draws` of `all` observations, `ones` of which are 1.
    pub(super) fn hypergeometric(all: u64, ones: u64, draws: u64) -> Self {
        let (a, k, m) = (all as f64, ones as f64, draws as f64);
        let from = (ones + draws).saturating_sub(all);
        let to = ones.min(draws);
        let mode = ((m + 1.0) * (k + 1.0) / (a + 2.0)) as u64;
        Self::new(from, mode.clamp(from, to), to, |x| {
            let x = x as f64;
            (k - x) * (m - x) / ((x + 1.0) * (a - k - m + x + 1.0))
        })
    }

    /// Returns P(X ≥ x).
    pub(super) fn at_least(&self, x: u64) -> f64 {
        self.sum(|other, _| x <= other)
    }

    /// Returns P(X ≤ x).
    pub(super) fn at_most(&self, x: u64) -> f64 {
        self.sum(|other, _| other <= x)
    }

    /// Returns the probability of all values that are no likelier than `x`.
    pub(super) fn as_unlikely_as(&self, x: u64) -> f64 {
        let at = x.checked_sub(self.first).map(|at| at as usize);
        let observed = at.and_then(|at| self.weights.get(at)).copied();
        let limit = observed.unwrap_or(0.0) * TIE;
        self.sum(|_, weight| weight <= limit)
    }

    fn sum(&self, counts: impl Fn(u64, f64) -> bool) -> f64 {
        let hits = (self.first..)
            .zip(&self.weights)
            .filter(|(x, weight)| counts(*x, **weight))
            .map(|(_, weight)| weight);
        (hits.sum::<f64>() / self.total).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choose(n: u64, k: u64) -> f64 {
        if n < k {
            return 0.0;
        }
        (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
    }

    proptest! {
        #[test]
        fn tails_are_sums_of_binomial_coefficients(
            window in 1u64..15,
            rows in 1u64..25,
            a in 0.0..=1.0f64,
            b in 0.0..=1.0f64,
        ) {
            let observed = (a * window as f64).round() as u64;
            let ones = observed + (b * rows as f64).round() as u64;
            let law = Law::hypergeometric(window + rows, ones, window);
            let weight = |x: u64| {
                if ones < x { 0.0 } else { choose(window, x) * choose(rows, ones - x) }
            };
            let total: f64 = (0..=window).map(weight).sum();
            let least: f64 = (observed..=window).map(weight).sum();
            let most: f64 = (0..=observed).map(weight).sum();
            prop_assert!((law.at_least(observed) - least / total).abs() < 1e-12);
            prop_assert!((law.at_most(observed) - most / total).abs() < 1e-12);
        }
    }
}
