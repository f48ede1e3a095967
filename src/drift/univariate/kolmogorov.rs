//! The distribution of Kolmogorov's statistic: how far the empirical distribution function of `n`
//! observations strays from the true one. Imports: nothing of ours.
//!
//! Not the limit for large n, but the law for this n, by the method that Simard and L'Ecuyer,
//! "Computing the Two-Sided Kolmogorov-Smirnov Distribution", J. Stat. Soft. 39(11), 2011, recommend
//! for each region. Below, t = n·d. Where the distribution function F is computed, 1 − F is good to
//! about 1e-13; far in the tail the survival function is computed itself, and good to 1e-10 of its
//! value.

use std::f64::consts::{LN_2, PI};

use statrs::function::factorial::ln_factorial;

/// Returns P(D ≥ d) for the two-sided statistic of `n` ≥ 1 observations.
#[must_use]
pub fn survival(n: u64, d: f64) -> f64 {
    let size = n as f64;
    let t = size * d;
    let spread = t * d;
    let p = if t <= 0.5 {
        1.0
    } else if t <= 1.0 {
        1.0 - (ln_factorial(n) + size * ((2.0 * t - 1.0) / size).ln()).exp()
    } else if d >= 1.0 {
        0.0
    } else if size - 1.0 <= t {
        2.0 * (1.0 - d).powf(size)
    } else if 0.5 <= d {
        2.0 * one_sided(n, d)
    } else if n <= 140 {
        if spread <= 0.754_693 {
            1.0 - durbin(n, t)
        } else if spread <= 4.0 {
            1.0 - pomeranz(n, t)
        } else {
            2.0 * one_sided(n, d)
        }
    } else if 370.0 <= spread {
        0.0
    } else if 2.2 <= spread {
        2.0 * one_sided(n, d)
    } else if n <= 100_000 && t * d.sqrt() <= 1.4 {
        1.0 - durbin(n, t)
    } else {
        1.0 - pelz_good(n, d)
    };
    p.clamp(0.0, 1.0)
}

/// Returns P(D⁺ ≥ d), exactly for each n: Smirnov 1944, Birnbaum and Tingey 1951.
///
/// d·Σ C(n,k)·(d + k/n)^(k−1)·(1 − d − k/n)^(n−k) over 0 ≤ k ≤ n(1 − d); twice this is P(D ≥ d) up to
/// the chance of straying that far on both sides, which is nothing where it is used.
///
/// The summand is the binomial probability of k at the share a = d + k/n, over a. In Loader's form
/// ("Fast and Accurate Computation of Binomial Probabilities", 2000) it needs no difference of large
/// logarithms, of which there would be little left for large n.
fn one_sided(n: u64, d: f64) -> f64 {
    let (size, t) = (n as f64, n as f64 * d);
    let last = ((size - t).floor() as u64).min(n - 1);
    let first = (size * (-d).ln_1p()).exp() / d; // k = 0
    let terms = (1..=last).map(|k| {
        let (below, above) = (k as f64, (n - k) as f64);
        let left = above - t;
        if left <= 0.0 {
            return 0.0; // k = n(1 − d), and k < n
        }
        // −k·ln(k/(n·a)) − (n − k)·ln((n − k)/(n·(1 − a)))
        let deviance = below * (t / below).ln_1p() + above * (-t / above).ln_1p();
        let correction = stirling_error(n) - stirling_error(k) - stirling_error(n - k);
        let scale = (size / (2.0 * PI * below * above)).sqrt() * size / (below + t);
        (deviance + correction).exp() * scale
    });
    d * (first + terms.sum::<f64>())
}

/// Returns ln n! − ln(√(2πn)·(n/e)ⁿ), what Stirling's formula misses.
fn stirling_error(n: u64) -> f64 {
    let x = n as f64;
    if n < 16 {
        return ln_factorial(n) - (0.5 * (2.0 * PI * x).ln() + x * x.ln() - x);
    }
    let square = x * x;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / x
}

/// F by a power of Durbin's matrix: Marsaglia, Tsang and Wang, J. Stat. Soft. 8(18), 2003.
fn durbin(n: u64, t: f64) -> f64 {
    let k = t.floor() as usize + 1;
    let h = k as f64 - t;
    let m = 2 * k - 1;
    let mut inverse_factorials = vec![1.0; m + 1];
    for i in 1..=m {
        inverse_factorials[i] = inverse_factorials[i - 1] / i as f64;
    }
    // 1/(i − j + 1)! on and below the diagonal above the main one, the first column and the last row
    // less powers of h.
    let mut matrix = vec![0.0; m * m];
    for i in 0..m {
        for j in 0..m.min(i + 2) {
            matrix[i * m + j] = inverse_factorials[i + 1 - j];
        }
    }
    for i in 0..m {
        let power = h.powi(i as i32 + 1) * inverse_factorials[i + 1];
        matrix[i * m] -= power;
        matrix[(m - 1) * m + (m - 1 - i)] -= power;
    }
    if 0.5 < h {
        matrix[(m - 1) * m] += (2.0 * h - 1.0).powi(m as i32) * inverse_factorials[m];
    }
    let (power, exponent) = Scaled::new(matrix, m).power(n);
    let centre = power[(k - 1) * m + (k - 1)];
    if centre <= 0.0 {
        return 0.0;
    }
    (centre.ln() + f64::from(exponent) * LN_2 + ln_factorial_over_power(n)).exp()
}

/// A square matrix times a power of two, so that its powers do not overflow.
#[derive(Clone)]
struct Scaled {
    values: Vec<f64>,
    size: usize,
    exponent: i32,
}

impl Scaled {
    fn new(values: Vec<f64>, size: usize) -> Self {
        Self {
            values,
            size,
            exponent: 0,
        }
    }

    /// Returns the `n`-th power, n ≥ 1, and the exponent of two that it is to be multiplied with.
    fn power(self, n: u64) -> (Vec<f64>, i32) {
        let mut result: Option<Self> = None;
        let (mut square, mut left) = (self, n);
        loop {
            if left & 1 == 1 {
                result = Some(match result {
                    Some(result) => result.times(&square),
                    None => square.clone(),
                });
            }
            left >>= 1;
            if left == 0 {
                break;
            }
            square = square.times(&square);
        }
        result.map_or((Vec::new(), 0), |result| (result.values, result.exponent))
    }

    fn times(&self, other: &Self) -> Self {
        const LARGE: i32 = 400;
        let m = self.size;
        let mut product = vec![0.0; m * m];
        for (row, out) in self.values.chunks_exact(m).zip(product.chunks_exact_mut(m)) {
            for (factor, other) in row.iter().zip(other.values.chunks_exact(m)) {
                for (sum, value) in out.iter_mut().zip(other) {
                    *sum += factor * value;
                }
            }
        }
        let mut exponent = self.exponent + other.exponent;
        if product
            .iter()
            .any(|value| value.abs() > 2.0_f64.powi(LARGE))
        {
            for value in &mut product {
                *value *= 2.0_f64.powi(-LARGE);
            }
            exponent += LARGE;
        }
        Self {
            values: product,
            size: m,
            exponent,
        }
    }
}

/// Returns ln(n!/nⁿ), not as the difference of two logarithms, which would lose digits.
fn ln_factorial_over_power(n: u64) -> f64 {
    let size = n as f64;
    0.5 * (2.0 * PI * size).ln() - size + stirling_error(n)
}

/// F by Pomeranz' recursion (1974), as Simard and L'Ecuyer state it.
///
/// Row i holds V(i, j) for the j between two bounds; V(i, j) = Σ V(i−1, k)·sʲ⁻ᵏ/(j−k)! with
/// s = (A(i) − A(i−1))/n. The bounds are ⌊A(i) − t⌋ + 2 and ⌈A(i) + t⌉, computed in whole numbers,
/// because a rounding across an integer would change the result.
fn pomeranz(n: u64, t: f64) -> f64 {
    let size = n as i64;
    let whole = t.floor() as i64;
    let rest = t - t.floor();
    let (mut row, mut first, mut before, mut ln_scale) = (vec![1.0], 1_i64, 0.0, 0.0);
    for i in 2..=2 * size + 2 {
        let q = i / 2;
        // A(i), ⌊A(i) − t⌋, ⌈A(i) + t⌉
        let (at, below, above) = if i == 2 * size + 2 {
            (size as f64, size - 1, size + 1)
        } else if rest <= 0.5 {
            let part = i64::from(0.0 < rest);
            match i % 2 {
                0 => (q as f64 - 1.0 + rest, q - 1 - whole, q - 1 + whole + part),
                _ => (q as f64 - rest, q - whole - part, q + whole),
            }
        } else {
            match i % 2 {
                0 => (q as f64 - rest, q - whole - 2, q + whole),
                _ => (q as f64 - 1.0 + rest, q - 1 - whole, q + whole + 1),
            }
        };
        let step = (at - before) / size as f64;
        let (low, high) = ((below + 2).max(1), above.min(size + 1));
        let mut weights = vec![1.0; (high - first + 1) as usize];
        for k in 1..weights.len() {
            weights[k] = weights[k - 1] * step / k as f64;
        }
        let next: Vec<f64> = (low..=high)
            .map(|j| {
                row.iter()
                    .zip(first..=j)
                    .map(|(value, k)| value * weights[(j - k) as usize])
                    .sum()
            })
            .collect();
        (row, first, before) = (next, low, at);
        let largest = row.iter().copied().fold(0.0, f64::max);
        if largest <= 0.0 {
            return 0.0;
        }
        if largest < 1e-100 {
            for value in &mut row {
                *value /= largest;
            }
            ln_scale += largest.ln();
        }
    }
    (row[0].ln() + ln_scale + ln_factorial(n)).exp()
}

/// F by the expansion of Pelz and Good, J. R. Stat. Soc. B 38(2), 1976, up to n^(−3/2).
fn pelz_good(n: u64, d: f64) -> f64 {
    const TERMS: i32 = 12;
    let root = (n as f64).sqrt();
    let z2 = (root * d).powi(2);
    let (z4, z6, z8) = (z2.powi(2), z2.powi(3), z2.powi(4));
    let z = z2.sqrt();
    let mut sums = [0.0; 4];
    for k in -TERMS..TERMS {
        // Half-odd multiples of π, squared.
        let u = (PI * (f64::from(k) + 0.5)).powi(2);
        let weight = (-u / (2.0 * z2)).exp();
        sums[0] += weight;
        sums[1] += (u - z2) * weight;
        sums[2] +=
            ((6.0 * z6 + 2.0 * z4) + (2.0 * z4 - 5.0 * z2) * u + (1.0 - 2.0 * z2) * u.powi(2))
                * weight;
        sums[3] += (u.powi(3) * (5.0 - 30.0 * z2)
            + u.powi(2) * (212.0 * z4 - 60.0 * z2)
            + u * (135.0 * z4 - 96.0 * z6)
            - 30.0 * z6
            - 90.0 * z8)
            * weight;
    }
    let mut whole = [0.0; 2];
    for k in 1..TERMS {
        let w = (PI * f64::from(k)).powi(2);
        let weight = 2.0 * (-w / (2.0 * z2)).exp();
        whole[0] += w * weight;
        whole[1] += (3.0 * w * z2 - w.powi(2)) * weight;
    }
    (PI / 2.0).sqrt()
        * (sums[0] / z
            + sums[1] / (6.0 * z4 * root)
            + (sums[2] / (72.0 * z6 * z) - whole[0] / (36.0 * z2 * z)) / root.powi(2)
            + (sums[3] / (6480.0 * z8 * z2) + whole[1] / (216.0 * z6)) / root.powi(3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn golden_values_are_met_in_all_regions() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/drift/univariate.json"))
                .unwrap();
        let golden = &golden["kolmogorov_sf"];
        let rows = golden["n"].as_array().unwrap();
        let columns = golden["d"].as_array().unwrap();
        for (i, n) in rows.iter().enumerate() {
            for (j, d) in columns.iter().enumerate() {
                let (n, d) = (n.as_u64().unwrap(), d.as_f64().unwrap());
                let (found, expected) = (survival(n, d), golden["sf"][i][j].as_f64().unwrap());
                let close = (found - expected).abs() < 1e-11
                    && (found - expected).abs() <= 1e-8 * expected.max(1e-100);
                assert!(close, "n = {n}, d = {d}: {found:e} instead of {expected:e}");
            }
        }
    }

    #[test]
    fn two_ways_to_the_same_number_agree() {
        // t whole, a half, just beside a whole number, below and above a half.
        for (n, t) in [
            (44, 8.8),
            (44, 4.5),
            (99, 14.85),
            (100, 14.0),
            (100, 14.000_000_000_000_002),
            (140, 13.999_999_999_999_998),
            (61, 7.93),
        ] {
            let (a, b) = (durbin(n, t), pomeranz(n, t));
            assert!((a - b).abs() < 1e-12, "n = {n}, t = {t}: {a} and {b}");
        }
        for (n, d) in [(1000, 0.03), (5000, 0.012), (500, 0.05)] {
            let (a, b) = (durbin(n, n as f64 * d), pelz_good(n, d));
            assert!((a - b).abs() < 1e-6, "n = {n}, d = {d}: {a} and {b}");
        }
    }

    #[test]
    fn large_samples_follow_the_limit() {
        // Kolmogorov 1933: 2·Σ (−1)^(k−1)·exp(−2k²z²)
        let limit = |z: f64| {
            let term = |k: i32| (-2.0 * f64::from(k * k) * z * z).exp();
            2.0 * (term(1) - term(2) + term(3) - term(4))
        };
        for z in [0.7, 1.0, 1.4, 1.6, 2.5] {
            let found = survival(250_000, z / 500.0);
            assert!((found - limit(z)).abs() < 5e-3 * limit(z), "{z}: {found}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_survival_function(
            n in 1_u64..400,
            (a, b) in (0.0..=1.0_f64, 0.0..=1.0_f64),
        ) {
            let (near, far) = (survival(n, a.min(b)), survival(n, a.max(b)));
            prop_assert!((0.0..=1.0).contains(&near) && (0.0..=1.0).contains(&far));
            prop_assert!(far <= near + 1e-9, "{near} then {far}");
        }
    }
}
