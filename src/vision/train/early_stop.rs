//! Which epoch was the best, and whether to go on: judged from the history alone, so a resumed
//! training decides as an uninterrupted one. Pure. Imports: `train::history`.

use super::history::EpochRecord;

/// When to stop before the last epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Epochs without improvement after which training stops.
    pub patience: usize,
    /// What counts as an improvement at least.
    pub min_delta: f64,
    /// What is looked at.
    pub metric: Metric,
}

/// A figure of the validation split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Mean cross entropy, smaller is better.
    ValLoss,
    /// Share told right, larger is better.
    ValAccuracy,
}

impl Metric {
    /// All metrics with their names.
    pub const NAMES: [(&'static str, Self); 2] = [
        ("val_loss", Self::ValLoss),
        ("val_accuracy", Self::ValAccuracy),
    ];

    /// Returns the figure of `record`, turned such that more is better.
    fn goodness(self, record: &EpochRecord) -> Option<f64> {
        match self {
            Self::ValLoss => record.val_loss.map(|loss| -loss),
            Self::ValAccuracy => record.val_accuracy,
        }
    }

    /// Returns the index of the best epoch; of equals the first. `None` without validation.
    #[must_use]
    pub fn best(self, history: &[EpochRecord]) -> Option<usize> {
        self.best_by(history, 0.0)
    }

    fn best_by(self, history: &[EpochRecord], min_delta: f64) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (i, record) in history.iter().enumerate() {
            let Some(goodness) = self.goodness(record) else {
                continue;
            };
            if best.is_none_or(|(_, so_far)| so_far + min_delta < goodness) {
                best = Some((i, goodness));
            }
        }
        best.map(|(i, _)| i)
    }
}

impl EarlyStopping {
    /// Has the metric failed to improve for `patience` epochs?
    #[must_use]
    pub fn stops(&self, history: &[EpochRecord]) -> bool {
        let best = self.metric.best_by(history, self.min_delta);
        best.is_some_and(|best| self.patience < history.len() - best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_epochs_without_improvement() {
        #[track_caller]
        fn check(losses: &[f64], min_delta: f64, best: usize, stops: bool) {
            let record = |(i, loss): (usize, &f64)| EpochRecord {
                epoch: i + 1,
                lr: 0.1,
                train_loss: 0.0,
                train_accuracy: 0.0,
                val_loss: Some(*loss),
                val_accuracy: None,
            };
            let history: Vec<_> = losses.iter().enumerate().map(record).collect();
            let stopping = EarlyStopping {
                patience: 2,
                min_delta,
                metric: Metric::ValLoss,
            };
            assert_eq!(stopping.metric.best(&history), Some(best), "{losses:?}");
            assert_eq!(stopping.stops(&history), stops, "{losses:?}");
        }
        check(&[1.0, 0.9, 0.8], 0.0, 2, false);
        check(&[1.0, 1.1], 0.0, 0, false);
        check(&[1.0, 1.1, 1.0], 0.0, 0, true);
        check(&[1.0, 0.99, 0.98], 0.1, 2, true);
        check(&[1.0, f64::INFINITY, 0.5], 0.0, 2, false);
        assert_eq!(Metric::ValAccuracy.best(&[]), None);
    }
}
