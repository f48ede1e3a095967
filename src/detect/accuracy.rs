//! How often a model is right where nobody has said what is right: average thresholded confidence.
//! Imports: nothing of ours.
//!
//! Garg, Balakrishnan, Lipton, Neyshabur, Sedghi, Leveraging Unlabeled Data to Predict Out-of-Distribution
//! Performance, ICLR 2022. On the reference, whose labels are known, a threshold t is found such that as many
//! rows have a confidence of at least t as are told right; on new data, the share of rows with at least t is
//! the estimate. Confidence is the negative entropy, the better one of the two that the paper tries.

/// The threshold, and how often the model is right on the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Thresholded {
    /// The confidence from which on a row counts as right; `None` if no row of the reference was right.
    pub(super) threshold: Option<f64>,
    /// On the reference.
    pub(super) accuracy: f64,
}

impl Thresholded {
    /// Takes the confidence of each row of the reference (higher is surer), and whether it was told right.
    /// `None` without rows.
    pub(super) fn fit(rows: &[(f64, bool)]) -> Option<Self> {
        if rows.is_empty() {
            return None;
        }
        let right = rows.iter().filter(|(_, right)| *right).count();
        let mut confidences: Vec<f64> = rows.iter().map(|(confidence, _)| *confidence).collect();
        confidences.sort_by(|a, b| b.total_cmp(a));
        Some(Self {
            threshold: right.checked_sub(1).map(|last| confidences[last]),
            accuracy: right as f64 / rows.len() as f64,
        })
    }

    /// Returns the share of rows that are likely to be right.
    pub(super) fn estimate(&self, confidences: &[f64]) -> f64 {
        let Some(threshold) = self.threshold else {
            return 0.0;
        };
        let right = confidences.iter().filter(|one| **one >= threshold).count();
        right as f64 / confidences.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_estimated_as_it_is() {
        let rows: Vec<(f64, bool)> = (0..100)
            .map(|at| (f64::from(at * 37 % 100), at % 5 != 0))
            .collect();
        let fitted = Thresholded::fit(&rows).unwrap();
        let confidences: Vec<f64> = rows.iter().map(|(confidence, _)| *confidence).collect();
        assert_eq!(fitted.accuracy, 0.8);
        assert_eq!(fitted.estimate(&confidences), 0.8);
        assert_eq!(fitted.threshold, Some(20.0));
        // Half as sure: what was just above the threshold is below it now.
        let unsure: Vec<f64> = confidences.iter().map(|one| one / 2.0).collect();
        assert_eq!(fitted.estimate(&unsure), 0.6);
    }

    #[test]
    fn all_wrong_and_all_right_are_no_special_cases() {
        let wrong = Thresholded::fit(&[(1.0, false), (2.0, false)]).unwrap();
        assert_eq!((wrong.threshold, wrong.estimate(&[9.0])), (None, 0.0));
        let right = Thresholded::fit(&[(1.0, true), (2.0, true)]).unwrap();
        assert_eq!(right.estimate(&[0.5, 1.0, 3.0, 4.0]), 0.75);
        assert_eq!(Thresholded::fit(&[]), None);
    }
}
