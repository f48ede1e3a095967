//! How often a model is right where nobody has said what is right: average thresholded confidence.
//! Imports: nothing of ours.
//!
//! Garg, Balakrishnan, Lipton, Neyshabur, Sedghi, Leveraging Unlabeled Data to Predict Out-of-Distribution
//! Performance, ICLR 2022. On the reference, whose labels are known, a threshold t is found such that as many
//! rows have a confidence of at least t as are told right; on new data, the share of rows with at least t is
//! the estimate. Confidence is the negative entropy, the better one of the two that the paper tries.
//!
//! Where rows tie at t, no threshold may give exactly that share: the one that comes nearest is taken, the higher
//! one of two that come equally near, which promises less.

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
            threshold: (0 < right).then(|| nearest(&confidences, right)),
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

/// Returns the threshold that as nearly as possible `right` of `confidences` reach, which descend and are at least one.
fn nearest(confidences: &[f64], right: usize) -> f64 {
    // Above the surest row, there is a threshold that none reaches.
    let mut best = (right, confidences[0].next_up());
    let mut reached = 0;
    for tied in confidences.chunk_by(|a, b| a == b) {
        reached += tied.len();
        let missed = reached.abs_diff(right);
        if missed < best.0 {
            best = (missed, tied[0]);
        }
    }
    best.1
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

    #[test]
    fn among_ties_the_nearest_share_is_taken() {
        let rows = |counts: &[(f64, usize)], right: usize| -> Vec<(f64, bool)> {
            let all = counts
                .iter()
                .flat_map(|(confidence, count)| vec![*confidence; *count]);
            (0..).zip(all).map(|(at, one)| (one, at < right)).collect()
        };
        let estimate = |counts: &[(f64, usize)], right: usize| {
            let rows = rows(counts, right);
            let confidences: Vec<f64> = rows.iter().map(|(confidence, _)| *confidence).collect();
            Thresholded::fit(&rows).unwrap().estimate(&confidences)
        };
        // Four rows are right; one reaches −1, nine reach −2: one is nearer than nine.
        assert_eq!(estimate(&[(-1.0, 1), (-2.0, 8), (-3.0, 1)], 4), 0.1);
        assert_eq!(estimate(&[(-1.0, 1), (-2.0, 8), (-3.0, 1)], 6), 0.9);
        // Five are as near to one as to nine: the one that promises less.
        assert_eq!(estimate(&[(-1.0, 1), (-2.0, 8), (-3.0, 1)], 5), 0.1);
        // All are equally sure: none of them is nearer to two of ten than all.
        let sure = Thresholded::fit(&rows(&[(-1.0, 10)], 2)).unwrap();
        assert_eq!(sure.estimate(&[-1.0, -0.5]), 0.5);
        assert_eq!(estimate(&[(-1.0, 10)], 8), 1.0);
    }
}
