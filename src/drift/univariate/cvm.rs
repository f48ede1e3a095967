//! The two-sample Cramér-von Mises test. Imports: `drift::error`, `univariate::{cvm_law, pooled}`.
//!
//! Anderson, "On the Distribution of the Two-Sample Cramér-von Mises Criterion", 1962:
//! T = U/(n·m·N) − (4nm − 1)/(6N), N = n + m, where U = n·Σ(rᵢ − i)² + m·Σ(sⱼ − j)² over the
//! ordered ranks r of the one and s of the other sample in both together.
//!
//! **Ties.** Tied values get their mid-rank, as in `SciPy`. Where values tie *across* samples of
//! different size, that shifts T by more than its law is wide: of two equal samples of 500 and 100
//! values rounded to tenths, nearly all would be called different. So if mid-ranks move T, it is
//! computed in the form that counts no ranks, n·m/N²·Σ(F − G)² over all values. Without ties the
//! two are the same; with ties the second is too small rather than too large.

use super::super::error::Error;
use super::Method;
use super::Tested;
use super::cvm_law::{self, Exact};
use super::ks::greatest_common_divisor;
use super::pooled::Pooled;

/// Up to this many rows in either sample `Method::Auto` is exact.
const AUTO_ROWS_MAX: u64 = 20;

/// Up to this product of the two sample sizes the exact law is computed: a tenth of a second.
const EXACT_PAIRS_MAX: u128 = 400;

/// By how much mid-ranks may move T, whose law is 0.15 wide, before ties are said to matter.
const SHIFT_MAX: f64 = 0.01;

/// The law of the statistic for samples of given sizes: made once, asked for each feature.
#[derive(Clone, Debug)]
pub struct CramerVonMises {
    rows: (u64, u64),
    exact: Option<Exact>,
}

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// T, and its p-value.
    pub tested: Tested,
    /// Which form T has.
    pub form: Form,
}

/// How tied values were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By mid-ranks, or without ties.
    Ranks,
    /// By distribution functions, because values tie across the samples.
    DistributionFunctions,
}

impl CramerVonMises {
    /// Prepares the test for `reference` and `test` rows.
    ///
    /// # Errors
    /// There are too many rows for `Method::Exact`, or fewer than two.
    pub fn new(reference: u64, test: u64, method: Method) -> Result<Self, Error> {
        for (rows, what) in [
            (reference, "the Cramér-von Mises test, in its reference,"),
            (test, "the Cramér-von Mises test, in its test sample,"),
        ] {
            if rows < 2 {
                return Err(Error::TooFew {
                    what,
                    found: rows as usize,
                    needed: 2,
                });
            }
        }
        let pairs = u128::from(reference) * u128::from(test);
        let exact = match method {
            Method::Auto => reference.max(test) <= AUTO_ROWS_MAX,
            Method::Exact if EXACT_PAIRS_MAX < pairs => {
                return Err(Error::TooManyPairs {
                    what: "an exact Cramér-von Mises p-value",
                    found: pairs,
                    most: EXACT_PAIRS_MAX,
                });
            }
            Method::Exact => true,
            Method::Asymptotic => false,
        };
        Ok(Self {
            rows: (reference, test),
            exact: exact.then(|| Exact::new(reference, test)),
        })
    }

    /// Compares two samples of one feature.
    ///
    /// # Panics
    /// They have other numbers of rows than the law was made for.
    #[must_use]
    pub fn compare(&self, pooled: &Pooled) -> Outcome {
        assert_eq!(pooled.rows(), self.rows, "the law is of other sample sizes");
        let statistic = Statistic::of(pooled);
        let p = match &self.exact {
            Some(law) => law.survival(statistic.zeta),
            None => self.asymptotic_p(statistic.value),
        };
        Outcome {
            tested: Tested {
                statistic: statistic.value,
                p,
            },
            form: statistic.form,
        }
    }

    /// T, shifted and scaled to the mean and variance of its limit: Anderson's approximation.
    fn asymptotic_p(&self, statistic: f64) -> f64 {
        let (n, m) = (self.rows.0 as f64, self.rows.1 as f64);
        let (all, pairs) = (n + m, n * m);
        let mean = (1.0 + 1.0 / all) / 6.0;
        let variance = (all + 1.0) * (4.0 * pairs * all - 3.0 * (n * n + m * m) - 2.0 * pairs)
            / (45.0 * all * all * 4.0 * pairs);
        cvm_law::limit_survival(1.0 / 6.0 + (statistic - mean) / (45.0 * variance).sqrt())
    }
}

/// T, and the whole number that the exact law counts: ζ = T·N²·lcm²/(n·m).
struct Statistic {
    value: f64,
    zeta: u128,
    form: Form,
}

impl Statistic {
    fn of(pooled: &Pooled) -> Self {
        let (n, m) = pooled.rows();
        let (size_n, size_m) = (i128::from(n), i128::from(m));
        let (pairs, all) = (size_n * size_m, size_n + size_m);
        let divisor = i128::from(greatest_common_divisor(n, m));
        let ranks = Ranks::of(pooled);
        // 24·n·m·N·T, without a rounding.
        let scaled =
            6 * (size_n * ranks.reference + size_m * ranks.test) - 4 * pairs * (4 * pairs - 1);
        let by_ranks = Self {
            value: scaled as f64 / (24 * pairs * all) as f64,
            // With ties not whole: the next whole number below is the more cautious one.
            // Saturated where no exact law is made.
            zeta: scaled
                .saturating_mul(all)
                .div_euclid(24 * divisor * divisor)
                .max(0)
                .unsigned_abs(),
            form: Form::Ranks,
        };
        if !ranks.across {
            return by_ranks;
        }
        let squares: f64 = pooled
            .gaps()
            .map(|(step, gap)| (step.reference + step.test) as f64 * (gap as f64).powi(2))
            .sum();
        let value = squares / (pairs as f64 * (all as f64).powi(2));
        if (value - by_ranks.value).abs() <= SHIFT_MAX {
            return by_ranks;
        }
        Self {
            value,
            zeta: (squares / (divisor * divisor) as f64) as u128,
            form: Form::DistributionFunctions,
        }
    }
}

/// Sums over the ranks of both samples.
struct Ranks {
    /// 4·Σ(rᵢ − i)², whole because mid-ranks are halves.
    reference: i128,
    /// 4·Σ(sⱼ − j)²
    test: i128,
    /// Whether several rows of the one sample share a value with several of the other.
    across: bool,
}

impl Ranks {
    fn of(pooled: &Pooled) -> Self {
        let mut sums = Self {
            reference: 0,
            test: 0,
            across: false,
        };
        let (mut i, mut j) = (0, 0);
        for step in pooled.steps() {
            let (x, y) = (step.reference as i64, step.test as i64);
            let twice_rank = 2 * (i + j) + x + y + 1;
            let squares = |before: i64, tied: i64| -> i128 {
                (before + 1..=before + tied)
                    .map(|at| i128::from(twice_rank - 2 * at).pow(2))
                    .sum()
            };
            sums.reference += squares(i, x);
            sums.test += squares(j, y);
            sums.across |= 2 <= x && 2 <= y;
            i += x;
            j += y;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::*;

    fn compare(x: Vec<f64>, y: Vec<f64>, method: Method) -> Outcome {
        let (n, m) = (x.len() as u64, y.len() as u64);
        let (x, y) = (Column::new(x).unwrap(), Column::new(y).unwrap());
        let pooled = Pooled::new(&x, &y);
        CramerVonMises::new(n, m, method).unwrap().compare(&pooled)
    }

    #[test]
    fn both_forms_agree_without_ties() {
        let x: Vec<f64> = (0..30).map(|i| f64::from(i * i)).collect();
        let y: Vec<f64> = (0..21).map(|i| f64::from(i * 37) + 0.5).collect();
        let found = compare(x.clone(), y.clone(), Method::Asymptotic);
        let (x, y) = (Column::new(x).unwrap(), Column::new(y).unwrap());
        let pooled = Pooled::new(&x, &y);
        let squares: f64 = pooled.gaps().map(|(_, gap)| (gap as f64).powi(2)).sum();
        let direct = squares / (630.0 * 51.0_f64.powi(2));
        assert!((found.tested.statistic - direct).abs() < 1e-12);
        assert_eq!(found.form, Form::Ranks);
    }

    #[test]
    fn equal_samples_are_equal_also_when_all_values_tie() {
        for (n, m) in [(500, 100), (12, 9), (100, 100)] {
            let values = |rows: i32| (0..rows).map(|i| f64::from(i % 3)).collect::<Vec<_>>();
            for method in [Method::Auto, Method::Asymptotic] {
                let found = compare(values(n), values(m), method);
                assert!(0.5 < found.tested.p, "{n}, {m}: {found:?}");
                let found = compare(vec![7.0; n as usize], vec![7.0; m as usize], method);
                assert_eq!(found.tested.p, 1.0, "{n}, {m}: {found:?}");
            }
        }
    }

    #[test]
    fn sizes_without_a_law_are_refused() {
        assert!(CramerVonMises::new(1, 30, Method::Auto).is_err());
        assert!(CramerVonMises::new(30, 1, Method::Auto).is_err());
        assert!(CramerVonMises::new(100, 30, Method::Exact).is_err());
    }
}
