//! What the accuracy on the test split becomes without the pictures that training has seen, exactly or
//! nearly. Imports: vision, `audit::{copies, pictures, probe}`.

use serde::Serialize;

use crate::vision::dataset::Split;

use super::copies::Copies;
use super::pictures::Pictures;
use super::probe::Said;

/// A model's accuracy on the test split, with and without pictures that have a copy in train.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LeakAccuracy {
    /// Pictures of the test split.
    pub images: usize,
    /// Of them those with a copy in train, exact or near.
    pub leaked: usize,
    /// On all of them, 0..=1.
    pub accuracy: f64,
    /// On those with a copy in train.
    pub leaked_accuracy: f64,
    /// On the others; `null` if there are none.
    pub clean_accuracy: Option<f64>,
}

/// Returns the rows of the test split that have a copy in train.
pub(super) fn leaked(pictures: &Pictures, copies: &Copies) -> Vec<bool> {
    let in_train = |row: usize| {
        let kin = [&copies.exact[row], &copies.near[row]];
        let mut earlier = kin.into_iter().filter_map(|kin| kin.earlier);
        earlier.any(|found| pictures.rows[found.row].split == Split::Train)
    };
    pictures
        .rows
        .iter()
        .enumerate()
        .map(|(row, picture)| picture.split == Split::Test && in_train(row))
        .collect()
}

/// Judges what a model said of all pictures. None if nothing of the test split is in train.
pub(super) fn leak_accuracy(
    pictures: &Pictures,
    copies: &Copies,
    said: &[Said],
) -> Option<LeakAccuracy> {
    let leaked = leaked(pictures, copies);
    if !leaked.contains(&true) {
        return None;
    }
    let judged = pictures.rows_of(Split::Test).map(|row| {
        let is_right = said[row].class == pictures.rows[row].class;
        (leaked[row], is_right)
    });
    Some(LeakAccuracy::of(judged))
}

impl LeakAccuracy {
    /// Counts pictures: whether they are leaked, and whether the model is right.
    fn of(judged: impl Iterator<Item = (bool, bool)>) -> Self {
        // By leaked: pictures, and right answers.
        let mut counts = [(0_usize, 0_usize); 2];
        for (is_leaked, is_right) in judged {
            let count = &mut counts[usize::from(is_leaked)];
            count.0 += 1;
            count.1 += usize::from(is_right);
        }
        let [clean, leaked] = counts;
        let share = |(images, right): (usize, usize)| right as f64 / images.max(1) as f64;
        Self {
            images: clean.0 + leaked.0,
            leaked: leaked.0,
            accuracy: share((clean.0 + leaked.0, clean.1 + leaked.1)),
            leaked_accuracy: share(leaked),
            clean_accuracy: (clean.0 != 0).then(|| share(clean)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_that_of_both_parts() {
        let judged = [(true, true), (true, true), (false, true), (false, false)];
        assert_eq!(
            LeakAccuracy::of(judged.into_iter()),
            LeakAccuracy {
                images: 4,
                leaked: 2,
                accuracy: 0.75,
                leaked_accuracy: 1.0,
                clean_accuracy: Some(0.5),
            }
        );
        let all_leaked = LeakAccuracy::of([(true, false)].into_iter());
        assert_eq!(all_leaked.clean_accuracy, None);
    }
}
