//! The distribution of Cramér and von Mises' statistic of two samples from the same law.
//! Imports: `univariate::ks`.

use std::f64::consts::PI;

use statrs::function::gamma::ln_gamma;

use super::ks::greatest_common_divisor;

/// The law for samples of given sizes without ties, by counting interleavings: Xiao, Gordon and
/// Yakovlev, "A C++ Program for the Cramér-von Mises Two-Sample Test", J. Stat. Soft. 17(8), 2007.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    /// ζ = T·N²·lcm²/(n·m), a whole number, with the number of interleavings that have it; ascending.
    counts: Vec<(u64, f64)>,
    total: f64,
}

impl Exact {
    /// An interleaving is a lattice path from (0, 0) to (n, m), and ζ the sum over its points (i, j)
    /// of (i·lcm/n − j·lcm/m)². Along each row of the lattice the table of (0..=i, j) follows from
    /// those of its two neighbours.
    pub(super) fn new(n: u64, m: u64) -> Self {
        let divisor = greatest_common_divisor(n, m);
        let (a, b) = (m / divisor, n / divisor);
        let mut column: Vec<Vec<(u64, f64)>> = vec![Vec::new(); m as usize + 1];
        for i in 0..=n {
            let mut left = Vec::new();
            for (j, cell) in (0..).zip(&mut column) {
                *cell = if (i, j) == (0, 0) {
                    vec![(0, 1.0)]
                } else {
                    merged(cell, &left, (i * a).abs_diff(j * b).pow(2))
                };
                left.clone_from(cell);
            }
        }
        let counts = column.pop().unwrap_or_default();
        Self {
            total: counts.iter().map(|(_, count)| count).sum(),
            counts,
        }
    }

    /// Returns the probability of `zeta` or more.
    pub(super) fn survival(&self, zeta: u128) -> f64 {
        let from = self
            .counts
            .partition_point(|(other, _)| u128::from(*other) < zeta);
        let hits: f64 = self.counts[from..].iter().map(|(_, count)| count).sum();
        hits / self.total
    }
}

/// Adds two tables, and `more` to each of their values.
fn merged(a: &[(u64, f64)], b: &[(u64, f64)], more: u64) -> Vec<(u64, f64)> {
    let mut sum: Vec<(u64, f64)> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let value = match (a.peek(), b.peek()) {
            (Some((x, _)), Some((y, _))) => *x.min(y),
            (Some((x, _)), None) | (None, Some((x, _))) => *x,
            (None, None) => return sum,
        };
        let mut count = 0.0;
        for side in [&mut a, &mut b] {
            count += side
                .next_if(|(other, _)| *other == value)
                .map_or(0.0, |(_, count)| *count);
        }
        sum.push((value + more, count));
    }
}

/// Returns P(ω² ≥ x) of the limit for large samples.
///
/// Up to 2 by the series of Csörgő and Faraway, "The Exact and Asymptotic Distributions of
/// Cramér-von Mises Statistics", J. R. Stat. Soc. B 58(1), 1996, equation 1.3; beyond by Smirnov's
/// integral for the upper tail, which keeps the digits of small probabilities.
pub(super) fn limit_survival(x: f64) -> f64 {
    if x < 0.003 {
        1.0
    } else if x < 2.0 {
        (1.0 - limit_cdf(x)).clamp(0.0, 1.0)
    } else {
        upper_tail(x)
    }
}

/// Σ Γ(k + ½)/(Γ(k + 1)·π^(3/2)·√x)·√(4k + 1)·exp(−q)·K(q), q = (4k + 1)²/(16x), K of order ¼.
pub(super) fn limit_cdf(x: f64) -> f64 {
    let mut sum = 0.0;
    for k in 0..100 {
        let k = f64::from(k);
        let root = 4.0 * k + 1.0;
        let term = (ln_gamma(k + 0.5) - ln_gamma(k + 1.0)).exp() / (PI.powf(1.5) * x.sqrt())
            * root.sqrt()
            * scaled_bessel_k(root.powi(2) / (16.0 * x));
        sum += term;
        if term <= 1e-17 * sum {
            break;
        }
    }
    sum
}

/// Returns exp(−q) times the modified Bessel function of the second kind of order ¼ at q > 0.
///
/// It is the integral of exp(−q·(1 + cosh t))·cosh(t/4) over t from 0 (NIST DLMF 10.32.9), by the
/// trapezoidal rule, whose error falls exponentially for such integrands: below 1e-15 at this step.
fn scaled_bessel_k(q: f64) -> f64 {
    const STEP: f64 = 0.15;
    const EXPONENT_MIN: f64 = -745.0;
    let mut sum = 0.5 * (-2.0 * q).exp();
    let mut t = STEP;
    loop {
        let exponent = -q * (1.0 + t.cosh());
        if exponent < EXPONENT_MIN {
            return sum * STEP;
        }
        sum += exponent.exp() * (t / 4.0).cosh();
        t += STEP;
    }
}

/// (2/π)·∫ exp(−x·u²/2)/√(−u·sin u) du over u from π to 2π, the first of a series whose second is
/// exp(−4π²x) times as large (Smirnov 1936; Durbin, Distribution Theory for Tests, 1973, section 4.4).
///
/// With u = π·(1 + s²) the singularity at π is gone; the one at 2π is beyond where exp has died.
fn upper_tail(x: f64) -> f64 {
    const STEP: f64 = 0.01;
    let integrand = |s: f64| {
        let u = PI * (1.0 + s * s);
        let ratio = if s == 0.0 {
            1.0 / PI.sqrt()
        } else {
            s / (PI * s * s).sin().sqrt()
        };
        2.0 * PI * ratio / u.sqrt() * (-x * u * u / 2.0).exp()
    };
    let sum: f64 = (1..95).map(|i| integrand(f64::from(i) * STEP)).sum();
    2.0 / PI * STEP * (sum + 0.5 * integrand(0.0))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn golden_values_of_the_limit_are_met() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/drift/univariate.json"))
                .unwrap();
        let golden = &golden["cvm_limit_cdf"];
        for (i, t) in golden["t"].as_array().unwrap().iter().enumerate() {
            let t = t.as_f64().unwrap();
            let expected = golden["cdf"][i].as_f64().unwrap();
            for found in [limit_cdf(t), 1.0 - limit_survival(t)] {
                assert!((found - expected).abs() < 2e-7, "{t}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn the_two_forms_of_the_limit_meet() {
        for x in [1.5, 2.0, 2.5] {
            let (series, tail) = (1.0 - limit_cdf(x), upper_tail(x));
            assert!(
                (series - tail).abs() < 1e-12,
                "{x}: {series:e} and {tail:e}"
            );
        }
        // Far out: 2/(π·√(π·x))·exp(−π²x/2), to the next order in 1/x.
        let leading = 2.0 / (PI * (PI * 40.0).sqrt()) * (-PI * PI * 20.0).exp();
        assert!((limit_survival(40.0) / leading - 1.0).abs() < 0.01);
    }

    #[test]
    fn all_interleavings_are_counted() {
        // C(n + m, n) of them; ζ of (2, 1) by hand: the one of the second sample first, amid, last.
        for (n, m, total) in [(2, 2, 6.0), (7, 6, 1716.0), (20, 20, 137_846_528_820.0)] {
            assert_eq!(Exact::new(n, m).total, total);
        }
        let law = Exact::new(2, 1);
        // Points of the paths, as i − 2j: (−2, −1, 0), (1, −1, 0), (1, 2, 0).
        assert_eq!(law.counts, [(2, 1.0), (5, 2.0)]);
    }
}
