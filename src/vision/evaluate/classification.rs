//! Scores from decisions: confusion matrix, precision, recall, F1, their averages. Pure.
//!
//! Definitions and the value 0 for an empty denominator are those of scikit-learn's
//! `precision_recall_fscore_support`
//! (<https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-f-measure-metrics>).

/// How often each class was taken for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// `counts[i][j]`: pictures of class i that were taken for class j.
    pub counts: Vec<Vec<u64>>,
}

/// Scores of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// Share of what was taken for this class that is of it.
    pub precision: f64,
    /// Share of this class that was taken for it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Pictures of this class.
    pub support: u64,
}

/// Scores averaged over classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1 (not the F1 of the means).
    pub f1: f64,
}

impl Confusion {
    /// Counts decisions; all numbers must be below `classes`.
    #[must_use]
    pub fn count(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (label, decision) in pairs {
            counts[label][decision] += 1;
        }
        Self { counts }
    }

    /// Returns the number of pictures.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Returns the share of pictures on the diagonal.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.counts.len()).map(|i| self.counts[i][i]).sum();
        ratio(right, self.total())
    }

    /// Returns the scores of each class.
    #[must_use]
    pub fn scores(&self) -> Vec<ClassScores> {
        let score = |i: usize| {
            let right = self.counts[i][i];
            let support: u64 = self.counts[i].iter().sum();
            let taken: u64 = self.counts.iter().map(|row| row[i]).sum();
            ClassScores {
                precision: ratio(right, taken),
                recall: ratio(right, support),
                f1: ratio(2 * right, support + taken),
                support,
            }
        };
        (0..self.counts.len()).map(score).collect()
    }
}

impl Average {
    /// Returns the plain mean over the classes that occur among labels or decisions, which is what
    /// scikit-learn averages over.
    #[must_use]
    pub fn macro_of(scores: &[ClassScores], confusion: &Confusion) -> Self {
        let occurs =
            |i: &usize| 0 < scores[*i].support || confusion.counts.iter().any(|row| 0 < row[*i]);
        let present: Vec<usize> = (0..scores.len()).filter(occurs).collect();
        Self::of(present.iter().map(|i| (scores[*i], 1.0)))
    }

    /// Returns the mean weighted by support.
    #[must_use]
    pub fn weighted_of(scores: &[ClassScores]) -> Self {
        Self::of(scores.iter().map(|s| (*s, s.support as f64)))
    }

    fn of(weighted: impl Iterator<Item = (ClassScores, f64)>) -> Self {
        let (mut precision, mut recall, mut f1, mut sum) = (0.0, 0.0, 0.0, 0.0);
        for (scores, weight) in weighted {
            precision += weight * scores.precision;
            recall += weight * scores.recall;
            f1 += weight * scores.f1;
            sum += weight;
        }
        let mean = |value: f64| if 0.0 < sum { value / sum } else { 0.0 };
        Self {
            precision: mean(precision),
            recall: mean(recall),
            f1: mean(f1),
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand: class 2 occurs but is never decided for, class 3 never occurs.
    #[test]
    fn scores_of_a_small_table() {
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (2, 0)];
        let confusion = Confusion::count(4, pairs);
        assert!((confusion.accuracy() - 0.6).abs() < 1e-12);
        let scores = confusion.scores();
        let f1s = [2.0 / 3.0, 2.0 / 3.0, 0.0, 0.0];
        for (score, f1) in scores.iter().zip(f1s) {
            assert!((score.f1 - f1).abs() < 1e-12, "{scores:?}");
        }
        assert!((scores[1].precision - 0.5).abs() < 1e-12);
        assert!((scores[1].recall - 1.0).abs() < 1e-12);
        let average = Average::macro_of(&scores, &confusion);
        assert!((average.f1 - 4.0 / 9.0).abs() < 1e-12);
        let weighted = Average::weighted_of(&scores);
        assert!((weighted.f1 - (3.0 + 1.0) * 2.0 / 3.0 / 5.0).abs() < 1e-12);
    }
}
