//! The two-sample Kolmogorov-Smirnov test. Imports: `drift::error`, `univariate::{kolmogorov, pooled}`.
//!
//! The statistic is the greatest difference of the two empirical distribution functions. It is
//! computed in whole numbers, so an exact p-value never misses a tie by a rounding. With tied values
//! the p-value is that of untied ones, which is too large rather than too small.

use super::super::error::Error;
use super::pooled::Pooled;
use super::{Alternative, Method, Tested, kolmogorov};

/// Up to this product of the two sample sizes `Method::Auto` is exact: some milliseconds.
const AUTO_PAIRS_MAX: u128 = 1_000_000;

/// Up to this product an exact p-value is computed when it is asked for: some seconds.
const EXACT_PAIRS_MAX: u128 = 1_000_000_000;

/// Compares two samples of one feature.
///
/// `Alternative::Greater` asks whether the values have become greater: whether the distribution
/// function of the reference lies above that of the test sample somewhere.
///
/// # Errors
/// `Method::Exact` for samples that are too large for it.
pub fn compare(pooled: &Pooled, alternative: Alternative, method: Method) -> Result<Tested, Error> {
    let (n, m) = pooled.rows();
    let pairs = u128::from(n) * u128::from(m);
    let gap = gap(pooled, alternative);
    let statistic = gap as f64 / pairs as f64;
    let exact = match method {
        Method::Auto => pairs <= AUTO_PAIRS_MAX,
        Method::Exact if n != m && EXACT_PAIRS_MAX < pairs => {
            return Err(Error::TooManyPairs {
                what: "an exact Kolmogorov-Smirnov p-value",
                found: pairs,
                most: EXACT_PAIRS_MAX,
            });
        }
        Method::Exact => true,
        Method::Asymptotic => false,
    };
    let p = if exact {
        exact_p(n, m, gap, alternative)
    } else {
        asymptotic_p(n, m, statistic, alternative)
    };
    Ok(Tested {
        statistic,
        p: p.clamp(0.0, 1.0),
    })
}

/// Returns the statistic in units of 1/(n·m).
fn gap(pooled: &Pooled, alternative: Alternative) -> u64 {
    let gap = match alternative {
        Alternative::TwoSided => pooled.above.max(pooled.below),
        Alternative::Greater => pooled.above,
        Alternative::Less => pooled.below,
    };
    gap.unsigned_abs()
}

/// Returns the share of all ways to interleave the two samples whose statistic is `gap` or more.
fn exact_p(n: u64, m: u64, gap: u64, alternative: Alternative) -> f64 {
    let divisor = greatest_common_divisor(n, m);
    // In units of 1/lcm(n, m), which all differences are multiples of.
    let h = gap / divisor;
    if h == 0 {
        return 1.0;
    }
    match (n == m, alternative) {
        (true, Alternative::TwoSided) => equal_sizes_p(n, h),
        (true, Alternative::Greater | Alternative::Less) => ratio(n, h, 0),
        (false, _) => lattice_p(n, m, divisor, h, alternative),
    }
}

/// Two-sided, n = m: 2·Σ (−1)^(k−1)·C(2n, n − kh)/C(2n, n), by the reflection principle
/// (Gnedenko and Korolyuk 1951), from the innermost bracket outwards.
fn equal_sizes_p(n: u64, h: u64) -> f64 {
    let inner = (0..n / h)
        .rev()
        .fold(0.0, |p, k| ratio(n, h, k) * (1.0 - p));
    2.0 * inner
}

/// Returns C(2n, n − (k+1)h)/C(2n, n − kh). With k = 0 this is the one-sided p-value.
fn ratio(n: u64, h: u64, k: u64) -> f64 {
    (0..h)
        .map(|j| (n - k * h - j) as f64 / (n + k * h + j + 1) as f64)
        .product()
}

/// Returns the share of lattice paths from (0, 0) to (n, m) that reach |x/n − y/m| ≥ h/lcm (one-sided:
/// without the bars), by the share of those to (i, j), row by row. All summands are positive, so
/// small p-values keep their digits.
///
/// One side is as likely as the other: turned by half a turn, the paths of one are those of the other.
fn lattice_p(n: u64, m: u64, divisor: u64, h: u64, alternative: Alternative) -> f64 {
    let (a, b) = (m / divisor, n / divisor);
    let inverse: Vec<f64> = (0..=n + m).map(|k| 1.0 / k as f64).collect();
    // Beyond the columns that lie inside, all paths have left: 1.
    let mut row = vec![1.0_f64; m as usize + 1];
    let mut first = 0;
    for i in 0..=n {
        // As h ≥ 1, (n, m) lies inside, and `low` never passes m.
        let low = (i * a + 1).saturating_sub(h).div_ceil(b);
        let high = match alternative {
            Alternative::TwoSided => m.min((i * a + h - 1) / b),
            Alternative::Greater | Alternative::Less => m,
        };
        for passed in &mut row[first as usize..low as usize] {
            *passed = 1.0;
        }
        first = low;
        for j in low..=high {
            let at = j as usize;
            let inverse = inverse[(i + j) as usize];
            row[at] = match (i, j) {
                (0, 0) => 0.0,
                (0, _) => row[at - 1],
                (_, 0) => row[at],
                _ => i as f64 * inverse * row[at] + j as f64 * inverse * row[at - 1],
            };
        }
    }
    row[m as usize]
}

/// Two-sided by the exact law of one sample of nm/(n + m) observations; one-sided by Hodges, "The
/// significance probability of the Smirnov two-sample test", 1958, equation 5.3.
fn asymptotic_p(n: u64, m: u64, statistic: f64, alternative: Alternative) -> f64 {
    let (a, b) = (n.max(m) as f64, n.min(m) as f64);
    let size = a * b / (a + b);
    match alternative {
        Alternative::TwoSided => {
            kolmogorov::survival((size.round_ties_even() as u64).max(1), statistic)
        }
        Alternative::Greater | Alternative::Less => {
            let z = size.sqrt() * statistic;
            let correction = 2.0 * z * (a + 2.0 * b) / (3.0 * (a * b * (a + b)).sqrt());
            (-2.0 * z * z - correction).exp()
        }
    }
}

pub(super) fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All interleavings, one by one.
    fn counted(n: u64, m: u64, at_least: i128, alternative: Alternative) -> f64 {
        fn walk(
            i: i128,
            j: i128,
            n: i128,
            m: i128,
            reached: bool,
            far: &impl Fn(i128) -> bool,
        ) -> (u64, u64) {
            let reached = reached || far(i * m - j * n);
            if (i, j) == (n, m) {
                return (u64::from(reached), 1);
            }
            let mut sum = (0, 0);
            for (i, j) in [(i + 1, j), (i, j + 1)] {
                if i <= n && j <= m {
                    let (hits, all) = walk(i, j, n, m, reached, far);
                    sum = (sum.0 + hits, sum.1 + all);
                }
            }
            sum
        }
        let far = |gap: i128| match alternative {
            Alternative::TwoSided => at_least <= gap.abs(),
            Alternative::Greater => at_least <= gap,
            Alternative::Less => at_least <= -gap,
        };
        let (hits, all) = walk(0, 0, n.into(), m.into(), false, &far);
        hits as f64 / all as f64
    }

    #[test]
    fn exact_p_values_are_shares_of_all_interleavings() {
        for (n, m) in [(2, 2), (3, 2), (2, 5), (5, 5), (6, 4), (4, 6), (7, 5)] {
            for gap in 0..=n * m {
                // Only multiples of the divisor occur.
                if gap % greatest_common_divisor(n, m) != 0 {
                    continue;
                }
                for alternative in [
                    Alternative::TwoSided,
                    Alternative::Greater,
                    Alternative::Less,
                ] {
                    let found = exact_p(n, m, gap, alternative);
                    let expected = counted(n, m, gap.into(), alternative);
                    assert!(
                        (found - expected).abs() < 1e-14,
                        "{n}, {m}, {gap}, {alternative:?}: {found} instead of {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn small_p_values_keep_their_digits() {
        // Two samples apart: 2/C(n + m, n).
        let apart = |n: u64, m: u64| 2.0 / statrs::function::factorial::binomial(n + m, n);
        for (n, m) in [(20, 15), (20, 20), (15, 20)] {
            let found = exact_p(n, m, n * m, Alternative::TwoSided);
            assert!(
                (found / apart(n, m) - 1.0).abs() < 1e-9,
                "{n}, {m}: {found:e}"
            );
        }
    }

    #[test]
    fn the_three_ways_meet_in_the_middle() {
        for (n, m) in [(900, 1000), (400, 2000)] {
            let gap = n * m / 16;
            let exact = exact_p(n, m, gap, Alternative::TwoSided);
            let limit = asymptotic_p(n, m, 1.0 / 16.0, Alternative::TwoSided);
            assert!((exact / limit - 1.0).abs() < 0.05, "{exact} and {limit}");
        }
    }
}
