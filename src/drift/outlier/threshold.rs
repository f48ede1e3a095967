//! Which score is too strange: measured on rows that are known to be usual. Imports: `drift::error`.

use super::super::error::Error;

/// The scores of usual rows, and the one that few of them exceed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    value: f64,
    /// Ascending.
    usual: Vec<f64>,
}

impl Threshold {
    /// Takes the scores of validation rows, of which a share of `false_positives` may be called outliers:
    /// the quantile at 1 − `false_positives`, not interpolated but the next greater score.
    ///
    /// # Errors
    /// A score is NaN or infinite, the share is not between 0 and 1, or there are fewer scores than 1 in
    /// `false_positives`.
    pub fn fit(scores: &[f64], false_positives: f64) -> Result<Self, Error> {
        if !(0.0 < false_positives && false_positives < 1.0) {
            return Err(Error::OutOfRange {
                what: "the rate of false positives",
                found: false_positives,
                expected: "a number between 0 and 1",
            });
        }
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(Error::NotFinite {
                row,
                column: 0,
                value: scores[row],
            });
        }
        if false_positives * (scores.len() as f64) < 1.0 {
            return Err(Error::TooFew {
                what: "a threshold with this rate of false positives",
                found: scores.len(),
                needed: (1.0 / false_positives).ceil() as usize,
            });
        }
        let mut usual = scores.to_vec();
        usual.sort_by(f64::total_cmp);
        let at = ((usual.len() - 1) as f64 * (1.0 - false_positives)).ceil() as usize;
        Ok(Self {
            value: usual[at.min(usual.len() - 1)],
            usual,
        })
    }

    /// Returns the threshold.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Says whether a row with `score` is an outlier: its score is above the threshold.
    #[must_use]
    pub fn is_outlier(&self, score: f64) -> bool {
        score > self.value
    }

    /// Returns the probability that a usual row scores at least as high: (1 + number of validation scores
    /// that are) / (1 + number of validation scores), never 0.
    #[must_use]
    pub fn p_value(&self, score: f64) -> f64 {
        let below = self.usual.partition_point(|usual| *usual < score);
        (1 + self.usual.len() - below) as f64 / (self.usual.len() + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{assert_close, indices, numbers, parse};
    use super::*;

    #[test]
    fn agrees_with_the_golden_values() {
        let golden = parse(include_str!("../../../tests/golden/drift/outliers.json"));
        let expected = &golden["threshold"];
        let scores = numbers(&golden["mahalanobis"]["score"]);
        let rows = expected["validation_rows"].as_u64().unwrap() as usize;
        let rate = expected["fpr"].as_f64().unwrap();
        let threshold = Threshold::fit(&scores[..rows], rate).unwrap();
        assert_close("value", threshold.value(), &expected["value"]);
        let p_values: Vec<f64> = scores.iter().map(|s| threshold.p_value(*s)).collect();
        assert_eq!(p_values, numbers(&expected["p"]));
        let outliers: Vec<usize> = scores
            .iter()
            .map(|s| usize::from(threshold.is_outlier(*s)))
            .collect();
        assert_eq!(outliers, indices(&expected["is_outlier"]));
    }

    #[test]
    fn a_rate_needs_enough_rows() {
        let error = Threshold::fit(&[1.0; 9], 0.1).unwrap_err();
        assert!(matches!(
            error,
            Error::TooFew {
                found: 9,
                needed: 10,
                ..
            }
        ));
        assert_eq!(Threshold::fit(&[1.0; 10], 0.1).unwrap().value(), 1.0);
        assert!(matches!(
            Threshold::fit(&[1.0, f64::NAN], 0.5),
            Err(Error::NotFinite { row: 1, .. })
        ));
        for rate in [0.0, 1.0, f64::NAN] {
            let error = Threshold::fit(&[1.0; 10], rate).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { .. }));
        }
    }
}
