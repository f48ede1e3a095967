//! Parameters to begin with, sized by the data: what a project gets before anyone has tried
//! anything. Pure. Imports: `dataset::{found, split}`.

use super::found::Dataset;
use super::split::Split;

/// Pictures that training sees in all its epochs together, at least: what the example's network
/// needs to learn the example's ten classes.
const SEEN_PICTURES: usize = 48_000;
const EPOCHS_MIN: usize = 10;
const EPOCHS_MAX: usize = 40;
/// Steps per epoch that a batch should leave, at least.
const STEPS_MIN: usize = 10;
const BATCH_SIZES: [usize; 4] = [64, 32, 16, 8];
/// With fewer training pictures, validation gets a larger share: a handful decides nothing.
const FEW_PICTURES: usize = 500;

/// Parameters to begin with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Starter {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures per step.
    pub batch_size: usize,
    /// Share of the training pictures kept for validation, where no folder is given.
    pub val: Option<f64>,
    /// Share of them kept for the test, where no folder is given.
    pub test: Option<f64>,
    /// How many guesses count in `top_k_accuracy`.
    pub top_k: usize,
}

impl Starter {
    /// Returns what suits `dataset`.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        let train = dataset
            .images
            .iter()
            .filter(|image| matches!(image.given, None | Some(Split::Train)))
            .count();
        let given = |split| dataset.given.contains(&split);
        Self::sized(train, dataset.classes.len(), given)
    }

    /// Returns what suits data that is not there yet: a middling number of pictures.
    #[must_use]
    pub fn unseen() -> Self {
        Self::sized(2000, 10, |_| false)
    }

    fn sized(train: usize, classes: usize, given: impl Fn(Split) -> bool) -> Self {
        let share = |split, few, many| {
            (!given(split)).then_some(if train < FEW_PICTURES { few } else { many })
        };
        let fits = |size: &usize| STEPS_MIN * size <= train;
        Self {
            epochs: SEEN_PICTURES
                .div_ceil(train.max(1))
                .clamp(EPOCHS_MIN, EPOCHS_MAX),
            batch_size: BATCH_SIZES
                .into_iter()
                .find(fits)
                .unwrap_or(BATCH_SIZES[BATCH_SIZES.len() - 1]),
            val: share(Split::Val, 0.2, 0.1),
            test: share(Split::Test, 0.2, 0.2),
            // Among three classes, the second guess is as much as one can ask.
            top_k: if classes <= 3 { 2 } else { 3 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_the_data() {
        let sized = |train| {
            let starter = Starter::sized(train, 10, |_| false);
            (starter.epochs, starter.batch_size, starter.val)
        };
        assert_eq!(sized(20), (40, 8, Some(0.2)));
        assert_eq!(sized(200), (40, 16, Some(0.2)));
        assert_eq!(sized(4000), (12, 64, Some(0.1)));
        assert_eq!(sized(1_000_000), (10, 64, Some(0.1)));
    }

    #[test]
    fn a_split_that_is_given_needs_no_share() {
        let starter = Starter::sized(4000, 2, |split| split == Split::Test);
        assert_eq!(
            (starter.val, starter.test, starter.top_k),
            (Some(0.1), None, 2)
        );
    }
}
