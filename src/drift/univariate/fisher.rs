//! Fisher's exact test of two shares of ones: error rates, unsure answers, a class of two.
//! Imports: `drift::{error, tails}`.

use super::super::error::Error;
use super::super::tails::Law;
use super::Alternative;

/// Ones among observations of zeros and ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Observations that are 1.
    pub ones: u64,
    /// All observations.
    pub of: u64,
}

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fisher {
    /// The odds of a one in the test sample over those in the reference: above 1 if there are more.
    /// Infinite if one of the two never happens, NaN if both samples are all ones or all zeros.
    pub odds_ratio: f64,
    /// By the hypergeometric law of the test sample's ones, given how many there are in all.
    pub p: f64,
}

/// Compares two shares. `Alternative::Greater` asks whether the test sample has more ones.
///
/// # Errors
/// A sample is empty, or has more ones than observations.
pub fn compare(reference: Share, test: Share, alternative: Alternative) -> Result<Fisher, Error> {
    for (share, sample) in [(reference, "the reference"), (test, "the test sample")] {
        if share.of == 0 {
            return Err(Error::NoCounts { sample });
        }
        if share.of < share.ones {
            return Err(Error::MoreThanAll {
                ones: share.ones,
                of: share.of,
            });
        }
    }
    let law = Law::hypergeometric(reference.of + test.of, reference.ones + test.ones, test.of);
    let p = match alternative {
        Alternative::TwoSided => law.as_unlikely_as(test.ones),
        Alternative::Greater => law.at_least(test.ones),
        Alternative::Less => law.at_most(test.ones),
    };
    let (zeros, reference_zeros) = (test.of - test.ones, reference.of - reference.ones);
    let odds_ratio =
        (test.ones as f64 * reference_zeros as f64) / (reference.ones as f64 * zeros as f64);
    Ok(Fisher { odds_ratio, p })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(ones: u64, of: u64) -> Share {
        Share { ones, of }
    }

    #[test]
    fn what_is_all_zeros_or_all_ones_is_no_evidence() {
        for ones in [0, 10] {
            let found = compare(share(ones, 10), share(ones, 10), Alternative::TwoSided).unwrap();
            assert!(found.odds_ratio.is_nan());
            assert_eq!(found.p, 1.0);
        }
        // All ones against all zeros is the strongest there is: 1/C(20, 10), on either side.
        let found = compare(share(0, 10), share(10, 10), Alternative::TwoSided).unwrap();
        assert_eq!(found.odds_ratio, f64::INFINITY);
        assert!((found.p * 184_756.0 - 2.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn impossible_counts_are_refused() {
        for (a, b) in [(share(0, 0), share(1, 2)), (share(1, 2), share(0, 0))] {
            assert!(compare(a, b, Alternative::Greater).is_err());
        }
        assert!(compare(share(3, 2), share(1, 2), Alternative::Greater).is_err());
    }

    #[test]
    fn large_tables_are_computed() {
        let found = compare(
            share(500_000, 1_000_000),
            share(501_000, 1_000_000),
            Alternative::Greater,
        )
        .unwrap();
        // Normal approximation with continuity correction: z = 999/√(10⁶/2) = 1.4128
        assert!((found.p - 0.078_86).abs() < 1e-4, "{found:?}");
    }

    proptest! {
        #[test]
        fn tails_and_mirrors_agree((n, m) in (1_u64..60, 1_u64..60), (a, b) in (0.0..=1.0, 0.0..=1.0)) {
            let ones = |of: u64, share: f64| (of as f64 * share).round() as u64;
            let (x, y) = (share(ones(n, a), n), share(ones(m, b), m));
            let p = |x, y, alternative| compare(x, y, alternative).unwrap().p;
            let (greater, less) = (p(x, y, Alternative::Greater), p(x, y, Alternative::Less));
            // Both tails hold the observed table.
            prop_assert!(1.0 <= greater + less + 1e-12);
            prop_assert!((greater - p(y, x, Alternative::Less)).abs() < 1e-12);
            // Zeros and ones exchanged.
            let (u, v) = (share(n - x.ones, n), share(m - y.ones, m));
            prop_assert!((greater - p(u, v, Alternative::Less)).abs() < 1e-12);
            let two = [p(x, y, Alternative::TwoSided), p(y, x, Alternative::TwoSided)];
            prop_assert!((two[0] - two[1]).abs() < 1e-12);
            prop_assert!(greater.min(less) <= two[0] + 1e-12 && two[0] <= 1.0);
        }
    }
}
