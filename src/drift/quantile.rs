//! Quantiles of a sample, in the four definitions that detectors use. Imports: `drift::error`.
//!
//! Types are those of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996.

use super::error::Error;

/// How a quantile is read off between two order statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// Type 6: at (n + 1)·p, interpolated; the extremes beyond the first and last value.
    Weibull,
    /// The order statistic at ⌊(n + 1)·p⌋: type 6 without interpolation.
    WeibullLower,
    /// Type 7: at (n − 1)·p + 1, interpolated. What most programs mean by a quantile.
    Linear,
    /// The order statistic at ⌈(n − 1)·p⌉ + 1: a threshold that some observation has.
    Higher,
}

/// Returns the `p`-quantile of `values`, which it sorts.
///
/// # Errors
/// `values` is empty or has a value that is not finite; `p` is outside 0..=1.
pub fn quantile(values: &mut [f64], p: f64, definition: Definition) -> Result<f64, Error> {
    if let Some(row) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite {
            row,
            column: 0,
            value: values[row],
        });
    }
    values.sort_unstable_by(f64::total_cmp);
    of_sorted(values, p, definition)
}

/// Returns the `p`-quantile of values in ascending order.
///
/// # Errors
/// `sorted` is empty; `p` is outside 0..=1.
pub fn of_sorted(sorted: &[f64], p: f64, definition: Definition) -> Result<f64, Error> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::OutOfRange {
            what: "the share of a quantile",
            found: p,
            expected: "a number from 0 to 1",
        });
    }
    let Some(last) = sorted.len().checked_sub(1) else {
        return Err(Error::TooFew {
            what: "a quantile",
            found: 0,
            needed: 1,
        });
    };
    let n = sorted.len() as f64;
    // Positions count from 1, as in the paper.
    let at = |position: f64| sorted[(position.max(1.0) as usize - 1).min(last)];
    let between = |position: f64| {
        let (low, high) = (at(position.floor()), at(position.floor() + 1.0));
        low + (position - position.floor()) * (high - low)
    };
    Ok(match definition {
        Definition::Weibull => between(((n + 1.0) * p).clamp(1.0, n)),
        Definition::WeibullLower => at(((n + 1.0) * p).floor()),
        Definition::Linear => between((n - 1.0) * p + 1.0),
        Definition::Higher => at(((n - 1.0) * p).ceil() + 1.0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const ALL: [Definition; 4] = [
        Definition::Weibull,
        Definition::WeibullLower,
        Definition::Linear,
        Definition::Higher,
    ];

    #[test]
    fn golden_values_are_met() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/golden/drift/data.json")).unwrap();
        let golden = &golden["quantiles"];
        let values: Vec<f64> = serde_json::from_value(golden["v"].clone()).unwrap();
        for (name, definition) in [
            ("type7", Definition::Linear),
            ("type6", Definition::Weibull),
            ("type6_no_interpolation", Definition::WeibullLower),
        ] {
            for p in [0.1, 0.5, 0.9] {
                let expected = golden[format!("{name}/{p}")].as_f64().unwrap();
                let found = quantile(&mut values.clone(), p, definition).unwrap();
                assert!((found - expected).abs() < 1e-12, "{name} at {p}: {found}");
            }
        }
    }

    #[test]
    fn higher_is_a_value_that_was_seen() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        for (p, expected) in [(0.0, 1.0), (0.01, 2.0), (0.5, 3.0), (0.67, 4.0), (1.0, 4.0)] {
            let found = quantile(&mut values, p, Definition::Higher).unwrap();
            assert_eq!(found, expected, "at {p}");
        }
    }

    #[test]
    fn what_has_no_quantile_is_refused() {
        for definition in ALL {
            assert!(quantile(&mut [], 0.5, definition).is_err());
            assert!(quantile(&mut [1.0, f64::NAN], 0.5, definition).is_err());
            assert!(quantile(&mut [1.0], 1.1, definition).is_err());
            assert!(quantile(&mut [1.0], f64::NAN, definition).is_err());
        }
    }

    proptest! {
        #[test]
        fn quantiles_lie_inside_and_ascend(
            mut values in prop::collection::vec(-1e3..1e3, 1..30),
            (p, q) in (0.0..=1.0, 0.0..=1.0),
        ) {
            for definition in ALL {
                let low = quantile(&mut values, f64::min(p, q), definition).unwrap();
                let high = quantile(&mut values, f64::max(p, q), definition).unwrap();
                prop_assert!(values[0] <= low && low <= high && high <= values[values.len() - 1]);
            }
        }
    }
}
