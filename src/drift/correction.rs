//! One decision from many p-values. Imports: `drift::error`.

use super::error::Error;

/// How the chance of a false alarm is kept down when several features are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Each p-value stands for itself: false alarms grow with the number of features.
    None,
    /// p < α/d. Bounds the chance of any false alarm, whatever the features have to do with another.
    Bonferroni,
    /// Holm 1979: the same decision over all features as `Bonferroni`, smaller adjusted p-values.
    Holm,
    /// Benjamini and Hochberg 1995: bounds the share of false ones among the features called drifted.
    BenjaminiHochberg,
}

/// What a correction makes of p-values.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Whether any feature drifted.
    pub is_drift: bool,
    /// What p-values were compared with: those below it are significant. For `BenjaminiHochberg`
    /// α·i/d with the largest i whose p-value is below it, and none if there is no such i.
    pub threshold: Option<f64>,
    /// By feature: the smallest α at which it would be called drifted.
    pub adjusted_p: Vec<f64>,
    /// By feature: whether it is called drifted. For `Holm`, who steps down, also features whose p-value is
    /// not below the threshold of the smallest one.
    pub significant: Vec<bool>,
}

impl Correction {
    /// Decides over `p`, one p-value for each feature, at the significance level `alpha`.
    ///
    /// # Errors
    /// There are no p-values, or one is outside 0..=1; `alpha` is not between 0 and 1.
    pub fn decide(self, p: &[f64], alpha: f64) -> Result<Decision, Error> {
        require_level(alpha)?;
        if p.is_empty() {
            return Err(Error::TooFew {
                what: "a decision over p-values",
                found: 0,
                needed: 1,
            });
        }
        if let Some(&found) = p.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::OutOfRange {
                what: "a p-value",
                found,
                expected: "a number from 0 to 1",
            });
        }
        let d = p.len() as f64;
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
        let threshold = match self {
            Self::None => Some(alpha),
            Self::Bonferroni | Self::Holm => Some(alpha / d),
            Self::BenjaminiHochberg => order
                .iter()
                .enumerate()
                .map(|(rank, &feature)| (p[feature], alpha * (rank as f64 + 1.0) / d))
                .rfind(|(p, level)| p < level)
                .map(|(_, level)| level),
        };
        let adjusted_p = self.adjusted(p, &order);
        let below = |p: f64| threshold.is_some_and(|level| p < level);
        let is_drift = below(p[order[0]]);
        let significant = match self {
            // Where not even the smallest p-value is below its threshold, none is.
            Self::Holm => adjusted_p.iter().map(|p| is_drift && *p < alpha).collect(),
            Self::None | Self::Bonferroni | Self::BenjaminiHochberg => {
                p.iter().map(|p| below(*p)).collect()
            }
        };
        Ok(Decision {
            is_drift,
            threshold,
            adjusted_p,
            significant,
        })
    }

    /// Returns what the smallest of `d` p-values is compared with when all of them are as small.
    pub(super) fn level(self, alpha: f64, d: usize) -> f64 {
        match self {
            Self::None | Self::BenjaminiHochberg => alpha,
            Self::Bonferroni | Self::Holm => alpha / d as f64,
        }
    }

    /// `order` holds the features by ascending p.
    fn adjusted(self, p: &[f64], order: &[usize]) -> Vec<f64> {
        let d = p.len() as f64;
        let mut adjusted = p.to_vec();
        match self {
            Self::None => {}
            Self::Bonferroni => {
                for p in &mut adjusted {
                    *p = (*p * d).min(1.0);
                }
            }
            Self::Holm => {
                let mut largest = 0.0_f64;
                for (rank, &feature) in order.iter().enumerate() {
                    largest = largest.max((d - rank as f64) * p[feature]);
                    adjusted[feature] = largest.min(1.0);
                }
            }
            Self::BenjaminiHochberg => {
                let mut smallest = 1.0_f64;
                for (rank, &feature) in order.iter().enumerate().rev() {
                    smallest = smallest.min(p[feature] * d / (rank as f64 + 1.0));
                    adjusted[feature] = smallest;
                }
            }
        }
        adjusted
    }
}

/// Checks a significance level.
pub(super) fn require_level(alpha: f64) -> Result<(), Error> {
    if 0.0 < alpha && alpha < 1.0 {
        return Ok(());
    }
    Err(Error::OutOfRange {
        what: "the significance level",
        found: alpha,
        expected: "a number between 0 and 1, such as 0.05",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const ALL: [Correction; 4] = [
        Correction::None,
        Correction::Bonferroni,
        Correction::Holm,
        Correction::BenjaminiHochberg,
    ];

    fn numbers(value: &Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[track_caller]
    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-12, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn golden_values_are_met() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/golden/drift/decisions.json")).unwrap();
        for case in golden["corrections"].as_array().unwrap() {
            let p = numbers(&case["p"]);
            let decide = |correction: Correction| correction.decide(&p, 0.05).unwrap();
            let is = |key: &str| case[key] == 1;
            let bonferroni = decide(Correction::Bonferroni);
            assert_eq!(bonferroni.is_drift, is("bonferroni_drift"));
            let holm = decide(Correction::Holm);
            assert_eq!(holm.is_drift, bonferroni.is_drift);
            assert_close(&holm.adjusted_p, &numbers(&case["holm_adjusted"]));
            let bh = decide(Correction::BenjaminiHochberg);
            assert_eq!(bh.is_drift, is("bh_drift"));
            assert_eq!(bh.threshold, case["bh_threshold"].as_f64());
            assert_close(&bh.adjusted_p, &numbers(&case["bh_adjusted"]));
        }
    }

    #[test]
    fn holm_calls_more_features_drifted_than_bonferroni() {
        // The second smallest p-value needs to be below α/2 only.
        let p = [0.01, 0.5, 0.02];
        let significant = |correction: Correction| correction.decide(&p, 0.05).unwrap().significant;
        assert_eq!(significant(Correction::Bonferroni), [true, false, false]);
        assert_eq!(significant(Correction::Holm), [true, false, true]);
        assert_eq!(
            significant(Correction::BenjaminiHochberg),
            [true, false, true]
        );
        assert_eq!(significant(Correction::None), [true, false, true]);
    }

    #[test]
    fn nonsense_is_refused() {
        for correction in ALL {
            assert!(correction.decide(&[], 0.05).is_err());
            assert!(correction.decide(&[0.5, f64::NAN], 0.05).is_err());
            for alpha in [0.0, 1.0, -0.05, f64::NAN] {
                assert!(correction.decide(&[0.5], alpha).is_err(), "{alpha}");
            }
        }
    }

    proptest! {
        /// An adjusted p-value is a p-value: comparing the smallest with α is the same decision.
        #[test]
        fn adjusted_p_values_decide_alike(
            p in prop::collection::vec(0.0..=1.0_f64, 1..12),
            alpha in 0.001..0.999_f64,
        ) {
            for correction in ALL {
                let decision = correction.decide(&p, alpha).unwrap();
                let least = decision.adjusted_p.iter().copied().fold(1.0, f64::min);
                // The two sides round differently; beside the boundary they must agree.
                prop_assume!((least - alpha).abs() > 1e-12);
                prop_assert_eq!(decision.is_drift, least < alpha);
                prop_assert_eq!(decision.is_drift, decision.significant.contains(&true));
                for (adjusted, p) in decision.adjusted_p.iter().zip(&p) {
                    prop_assert!(p - 1e-12 <= *adjusted && *adjusted <= 1.0);
                }
            }
        }
    }
}
