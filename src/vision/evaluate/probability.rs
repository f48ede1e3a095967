//! Scores from probabilities: log loss, Brier score, calibration, top-k, area under the ROC curve.
//! Pure; each row of `probabilities` sums to 1.

use std::cmp::Ordering;

/// Predictions whose confidence lies in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Lower end, exclusive (the first bin includes 0).
    pub from: f64,
    /// Upper end, inclusive.
    pub to: f64,
    /// Predictions in it.
    pub count: u64,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
    /// The share of them that is right; 0 if there are none.
    pub accuracy: f64,
}

/// Number of bins of the calibration error, as in Guo et al. 2017.
pub(super) const BINS: usize = 15;

/// Returns the likeliest class of a row; of equals the first.
pub(super) fn decide(row: &[f64]) -> usize {
    let mut best = 0;
    for (i, p) in row.iter().enumerate() {
        if row[best] < *p {
            best = i;
        }
    }
    best
}

/// Returns the mean of -ln p(label), with p kept away from 0 by the f64 epsilon as in scikit-learn's
/// `log_loss`.
pub(super) fn log_loss(probabilities: &[Vec<f64>], labels: &[u32]) -> f64 {
    let loss = |(row, label): (&Vec<f64>, &u32)| {
        -row[*label as usize]
            .clamp(f64::EPSILON, 1.0 - f64::EPSILON)
            .ln()
    };
    mean(probabilities.iter().zip(labels).map(loss))
}

/// Returns the mean squared distance between the probabilities and the label as a unit vector, 0..=2
/// (Brier 1950; the form over all classes).
pub(super) fn brier(probabilities: &[Vec<f64>], labels: &[u32]) -> f64 {
    let score = |(row, label): (&Vec<f64>, &u32)| {
        let square = |(i, p): (usize, &f64)| {
            let target = if i == *label as usize { 1.0 } else { 0.0 };
            (p - target) * (p - target)
        };
        row.iter().enumerate().map(square).sum::<f64>()
    };
    mean(probabilities.iter().zip(labels).map(score))
}

/// Returns the share of rows in which fewer than `k` classes are likelier than the label, and of
/// equals fewer come before it.
pub(super) fn top_k(probabilities: &[Vec<f64>], labels: &[u32], k: usize) -> f64 {
    let hit = |(row, label): (&Vec<f64>, &u32)| {
        let label = *label as usize;
        let before = |(i, p): &(usize, &f64)| match p.total_cmp(&row[label]) {
            Ordering::Greater => true,
            Ordering::Equal => *i < label,
            Ordering::Less => false,
        };
        let rank = row.iter().enumerate().filter(before).count();
        f64::from(u8::from(rank < k))
    };
    mean(probabilities.iter().zip(labels).map(hit))
}

/// Returns `BINS` bins of equal width over the confidence (the likeliest class's probability).
pub(super) fn bins(probabilities: &[Vec<f64>], labels: &[u32]) -> Vec<Bin> {
    let mut sums = vec![(0_u64, 0.0, 0_u64); BINS];
    for (row, label) in probabilities.iter().zip(labels) {
        let decision = decide(row);
        let confidence = row[decision];
        // Intervals are open below and closed above, ((m-1)/M, m/M], as in the paper.
        let at = (confidence * BINS as f64).ceil() as usize;
        let (count, confidences, right) = &mut sums[at.clamp(1, BINS) - 1];
        *count += 1;
        *confidences += confidence;
        *right += u64::from(decision == *label as usize);
    }
    let bin = |(i, (count, confidences, right)): (usize, (u64, f64, u64))| {
        let of = |value: f64| {
            if count == 0 {
                0.0
            } else {
                value / count as f64
            }
        };
        Bin {
            from: i as f64 / BINS as f64,
            to: (i + 1) as f64 / BINS as f64,
            count,
            confidence: of(confidences),
            accuracy: of(right as f64),
        }
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// Returns the expected calibration error: the mean distance between confidence and accuracy over
/// the bins, weighted by their counts (Guo et al. 2017, <https://arxiv.org/abs/1706.04599>, eq. 3).
pub(super) fn calibration_error(bins: &[Bin]) -> f64 {
    let total: u64 = bins.iter().map(|b| b.count).sum();
    let gap = |b: &Bin| b.count as f64 * (b.accuracy - b.confidence).abs();
    bins.iter().map(gap).sum::<f64>() / (total as f64).max(1.0)
}

/// Returns the mean over the classes of the area under the ROC curve of "this class against the
/// rest": the probability that a picture of the class gets a higher value than one of the rest, ties
/// counting half (scikit-learn's `roc_auc_score`, `multi_class="ovr"`, macro). Classes without
/// pictures, or without others, are left out; `None` if none is left.
pub(super) fn roc_auc(probabilities: &[Vec<f64>], labels: &[u32]) -> Option<f64> {
    let classes = probabilities.first()?.len();
    let areas: Vec<f64> = (0..classes)
        .filter_map(|class| {
            let value = |(row, label): (&Vec<f64>, &u32)| (row[class], *label as usize == class);
            area(probabilities.iter().zip(labels).map(value).collect())
        })
        .collect();
    (!areas.is_empty()).then(|| mean(areas.into_iter()))
}

/// The Mann-Whitney form: ranks of the positives, ties sharing their mean rank.
fn area(mut values: Vec<(f64, bool)>) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut positives, mut rank_sum, mut start) = (0.0, 0.0, 0);
    for ties in values.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let mean_rank = start as f64 + f64::midpoint(ties.len() as f64, 1.0);
        let hits = ties.iter().filter(|(_, is_positive)| *is_positive).count() as f64;
        positives += hits;
        rank_sum += hits * mean_rank;
        start += ties.len();
    }
    let negatives = values.len() as f64 - positives;
    let pairs = positives * negatives;
    (0.0 < pairs).then(|| (rank_sum - positives * (positives + 1.0) / 2.0) / pairs)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    if count == 0.0 { 0.0 } else { sum / count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    }

    /// Worked out by hand.
    #[test]
    fn two_classes_four_pictures() {
        let rows = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]].map(Vec::from);
        let labels = [0, 1, 1, 0];
        close(
            log_loss(&rows, &labels),
            -(0.9f64 * 0.4 * 0.7 * 0.8).ln() / 4.0,
        );
        close(brier(&rows, &labels), (0.02 + 0.72 + 0.18 + 0.08) / 4.0);
        // (0.9, right), (0.6, wrong), (0.7, right), (0.8, right): each in a bin of its own.
        let bins = bins(&rows, &labels);
        close(calibration_error(&bins), (0.1 + 0.6 + 0.3 + 0.2) / 4.0);
        close(bins.iter().map(|b| b.count as f64).sum(), 4.0);
        close(roc_auc(&rows, &labels).unwrap(), 1.0);
        close(top_k(&rows, &labels, 1), 0.75);
        close(top_k(&rows, &labels, 2), 1.0);
    }

    #[test]
    fn ends_and_ties() {
        let certain = [vec![1.0, 0.0], vec![0.0, 1.0]];
        assert!(log_loss(&certain, &[1, 1]).is_finite());
        assert_eq!(bins(&certain, &[0, 1])[BINS - 1].count, 2);
        // All equal: nothing is told apart, and the first class is decided for.
        let equal = vec![vec![0.5, 0.5]; 4];
        close(roc_auc(&equal, &[0, 1, 0, 1]).unwrap(), 0.5);
        close(top_k(&equal, &[0, 1, 0, 1], 1), 0.5);
        assert_eq!(roc_auc(&equal, &[0, 0, 0, 0]), None);
        assert_eq!(decide(&[0.2, 0.4, 0.4]), 1);
    }
}
