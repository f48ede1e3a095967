//! The exact binomial test: is a share of ones the one that was expected?
//! Imports: `drift::{error, tails}`.

use super::super::error::Error;
use super::super::tails::Law;
use super::Alternative;

/// Returns the p-value of `ones` among `of` observations when each should be 1 with probability
/// `expected`. `Alternative::Greater` asks whether there are too many.
///
/// # Errors
/// There are no observations, or fewer than ones; `expected` is outside 0..=1.
pub fn p_value(ones: u64, of: u64, expected: f64, alternative: Alternative) -> Result<f64, Error> {
    if of == 0 {
        return Err(Error::NoCounts {
            sample: "the test sample",
        });
    }
    if of < ones {
        return Err(Error::MoreThanAll { ones, of });
    }
    if !(0.0..=1.0).contains(&expected) {
        return Err(Error::OutOfRange {
            what: "the expected share of ones",
            found: expected,
            expected: "a number from 0 to 1",
        });
    }
    let odds = expected / (1.0 - expected);
    let mode = (((of as f64 + 1.0) * expected) as u64).min(of);
    let law = Law::new(0, mode, of, |x| (of - x) as f64 / (x as f64 + 1.0) * odds);
    Ok(match alternative {
        Alternative::TwoSided => law.as_unlikely_as(ones),
        Alternative::Greater => law.at_least(ones),
        Alternative::Less => law.at_most(ones),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_events_are_certain() {
        let p = |ones, expected| p_value(ones, 20, expected, Alternative::TwoSided).unwrap();
        assert_eq!([p(20, 1.0), p(0, 0.0), p(10, 0.5)], [1.0; 3]);
        assert_eq!([p(19, 1.0), p(1, 0.0)], [0.0; 2]);
    }

    #[test]
    fn nonsense_is_refused() {
        for (ones, of, expected) in [(1, 0, 0.5), (3, 2, 0.5), (1, 2, f64::NAN), (1, 2, 1.5)] {
            assert!(p_value(ones, of, expected, Alternative::Greater).is_err());
        }
    }
}
