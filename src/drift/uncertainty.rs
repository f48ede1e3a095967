//! How sure a classifier is, from its probabilities. Imports: `drift::{error, sample}`.

use super::error::Error;
use super::sample::Sample;

/// Below this margin between the two likeliest classes an answer counts as unsure.
pub const UNSURE_BELOW: f64 = 0.1;

/// Mean distance of a row's sum from 1 that the rounding of a softmax in `f32` explains.
const MEAN_MISS_MAX: f64 = 1e-6;

/// Distance of one row's sum, or of one value from 0..=1, beyond which the row is no distribution.
const MISS_MAX: f64 = 1e-3;

/// How sure one answer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uncertainty {
    /// −Σ p ln p in nats; from 0 (sure) to the logarithm of the number of classes.
    pub entropy: f64,
    /// The largest probability less the second largest.
    pub margin: f64,
    /// The largest probability.
    pub max_probability: f64,
}

impl Uncertainty {
    /// Tells whether the margin is below [`UNSURE_BELOW`].
    #[must_use]
    pub fn is_unsure(self) -> bool {
        self.margin < UNSURE_BELOW
    }
}

/// Measures each row of `probabilities`: `[rows, classes]`, each row a distribution over the classes.
///
/// # Errors
/// There is only one class, or the rows are no distributions (logits, for instance).
pub fn of_probabilities(probabilities: &Sample) -> Result<Vec<Uncertainty>, Error> {
    if probabilities.width() < 2 {
        return Err(Error::OutOfRange {
            what: "the number of classes",
            found: probabilities.width() as f64,
            expected: "at least 2",
        });
    }
    let rows = || (0..probabilities.rows()).map(|row| probabilities.row(row));
    let mut missed = 0.0;
    for (row, values) in rows().enumerate() {
        let sum: f64 = values.iter().sum();
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let miss = (sum - 1.0).abs();
        if miss.max(-lowest).max(highest - 1.0) > MISS_MAX {
            return Err(Error::NotProbabilities {
                row,
                lowest,
                highest,
                sum,
            });
        }
        missed += miss;
    }
    let found = missed / probabilities.rows() as f64;
    if found > MEAN_MISS_MAX {
        return Err(Error::Unnormalised {
            found,
            most: MEAN_MISS_MAX,
        });
    }
    Ok(rows().map(of_row).collect())
}

fn of_row(probabilities: &[f64]) -> Uncertainty {
    let (mut first, mut second, mut entropy) = (0.0_f64, 0.0_f64, 0.0);
    for &p in probabilities {
        // 0·ln 0 = 0 is the limit, and what rounding made negative counts as 0.
        if 0.0 < p {
            entropy -= p * p.ln();
        }
        if first < p {
            second = first;
            first = p;
        } else {
            second = second.max(p);
        }
    }
    Uncertainty {
        // A value that rounding made larger than 1 has a positive logarithm.
        entropy: entropy.max(0.0),
        margin: first - second,
        max_probability: first,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn measure(rows: &[&[f64]]) -> Result<Vec<Uncertainty>, Error> {
        of_probabilities(&Sample::new(rows.concat(), rows[0].len())?)
    }

    #[test]
    fn golden_values_are_met() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/golden/drift/decisions.json")).unwrap();
        let golden = &golden["uncertainty"];
        let rows: Vec<Vec<f64>> = serde_json::from_value(golden["probs"].clone()).unwrap();
        let found = of_probabilities(&Sample::new(rows.concat(), 5).unwrap()).unwrap();
        for (row, found) in found.iter().enumerate() {
            let expected = |key: &str| golden[key][row].as_f64().unwrap();
            assert!((found.entropy - expected("entropy_nats")).abs() < 1e-12);
            assert!((found.margin - expected("margin")).abs() < 1e-12);
            assert_eq!(found.max_probability, expected("max_prob"));
            assert_eq!(found.is_unsure(), golden["margin_below_0.1"][row] == 1);
        }
    }

    #[test]
    fn certainty_and_doubt_have_their_extremes() {
        let found = measure(&[&[0.0, 1.0, 0.0, 0.0], &[0.25; 4]]).unwrap();
        assert_eq!(found[0].entropy, 0.0);
        assert_eq!(found[0].margin, 1.0);
        assert!((found[1].entropy - 4.0_f64.ln()).abs() < 1e-12);
        assert_eq!(found[1].margin, 0.0);
        assert!(found[1].is_unsure() && !found[0].is_unsure());
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let at = |rows: &[&[f64]]| match measure(rows) {
            Err(Error::NotProbabilities { row, .. }) => row,
            other => panic!("{other:?}"),
        };
        assert_eq!(at(&[&[0.5, 0.5], &[3.2, -1.1]]), 1);
        assert_eq!(at(&[&[1.5, -0.5]]), 0);
        assert_eq!(at(&[&[0.5, 0.5], &[0.5, 0.5], &[0.2, 0.2]]), 2);
        assert!(matches!(
            measure(&[&[0.5, 0.499_95], &[0.5, 0.5]]),
            Err(Error::Unnormalised { .. })
        ));
        assert!(matches!(measure(&[&[1.0]]), Err(Error::OutOfRange { .. })));
    }

    proptest! {
        #[test]
        fn the_order_of_classes_does_not_matter(
            weights in prop::collection::vec(0.01..1.0_f64, 2..8),
        ) {
            let total: f64 = weights.iter().sum();
            let there: Vec<f64> = weights.iter().map(|w| w / total).collect();
            let back: Vec<f64> = there.iter().rev().copied().collect();
            let found = measure(&[&there, &back]).unwrap();
            prop_assert!((found[0].entropy - found[1].entropy).abs() < 1e-12);
            prop_assert_eq!(found[0].margin, found[1].margin);
            prop_assert!(found[0].entropy <= (there.len() as f64).ln() + 1e-12);
        }
    }
}
