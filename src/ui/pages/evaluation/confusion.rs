//! What is taken for what. Pure. Imports: `evaluation::{judge, predictions}`.

use std::collections::BTreeMap;

use super::judge::is_decided;
use super::predictions::{Predictions, Said};

/// How often each class was taken for each, of what is decided. Only what happened is in it: a table
/// of all pairs would be the square of whatever number of classes a file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ui) struct Confusion(BTreeMap<(u32, u32), u64>);

/// Returns what is taken for what at `threshold`.
pub(in crate::ui) fn confusion(predictions: &Predictions, threshold: f64) -> Confusion {
    let mut counts = BTreeMap::new();
    let decided = |said: &&Said| is_decided(said, threshold);
    for said in predictions.said.iter().filter(decided) {
        *counts.entry((said.label, said.predicted)).or_default() += 1;
    }
    Confusion(counts)
}

impl Confusion {
    /// Returns what a class is most often taken for that it is not, and how often; of several that
    /// with the first name.
    pub(in crate::ui) fn taken_for(&self, label: u32) -> Option<(u32, u64)> {
        let row = self.0.range((label, 0)..=(label, u32::MAX));
        let others = row.filter(|((_, predicted), _)| *predicted != label);
        let most = others.max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)))?;
        Some((most.0.1, *most.1))
    }

    /// Returns the `most` most frequent mistakes: class, what it is taken for, how often.
    pub(in crate::ui) fn mistakes(&self, most: usize) -> Vec<(u32, u32, u64)> {
        let wrong = self.0.iter().filter(|((label, other), _)| label != other);
        let mut wrong: Vec<_> = wrong.map(|((a, b), count)| (*a, *b, *count)).collect();
        // Stable: of the same number that with the first name comes first.
        wrong.sort_by_key(|mistake| std::cmp::Reverse(mistake.2));
        wrong.truncate(most);
        wrong
    }

    /// Returns all pairs of the first `n` classes: `[label][predicted]`.
    pub(in crate::ui) fn matrix(&self, n: usize) -> Vec<Vec<u64>> {
        let mut matrix = vec![vec![0; n]; n];
        for ((label, predicted), count) in &self.0 {
            let row = matrix.get_mut(*label as usize);
            if let Some(cell) = row.and_then(|row| row.get_mut(*predicted as usize)) {
                *cell = *count;
            }
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of label, predicted, confidence.
    fn said(rows: &[(&str, &str, f64)]) -> Predictions {
        let line = |(label, predicted, confidence): &(&str, &str, f64)| {
            format!(
                "{{\"label\":\"{label}\",\"predicted\":\"{predicted}\",\"confidence\":{confidence}}}\n"
            )
        };
        let text: String = rows.iter().map(line).collect();
        Predictions::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn confusion_holds_what_happened() {
        let pets = confusion(
            &said(&[
                ("cat", "cat", 0.9),
                ("cat", "cat", 0.6),
                ("cat", "dog", 0.8),
                ("dog", "dog", 0.95),
                ("dog", "cat", 0.55),
            ]),
            0.6,
        );
        assert_eq!(pets.matrix(2), [[2, 1], [0, 1]]);
        assert_eq!(pets.mistakes(9), [(0, 1, 1)]);
        assert_eq!((pets.taken_for(0), pets.taken_for(1)), (Some((1, 1)), None));
        let tied = [("a", "c", 0.5), ("a", "b", 0.5), ("b", "c", 0.5)];
        let tied = confusion(&said(&tied), 0.0);
        assert_eq!(tied.taken_for(0), Some((1, 1)));
        assert_eq!(tied.mistakes(2), [(0, 1, 1), (0, 2, 1)]);
    }
}
