//! Is a model wrong more often? Of rows that are 1 where the likeliest class is not the true one.
//! Imports: drift, `detect::{checked, features, params}`.
//!
//! What is looked for is a rise, so the test is one-sided; that a model is wrong less often is no alarm.

use crate::drift::univariate::{Column, Sorted};
use crate::drift::{Error, Sample};

use super::checked::{FeatureResult, Measured, finite};
use super::features::Input;
use super::params::OnlineParams;

/// Takes the difference of the two error rates, -1..=1, as the effect, and leaves it drift where that is at least
/// `min_effect`: 0.05 asks for five errors more in a hundred pictures.
pub(super) fn by_rates(
    measured: Measured,
    reference: &Sorted,
    new: &Sample,
    min_effect: f64,
) -> Measured {
    let before = reference.columns().iter().flat_map(Column::values);
    let before = before.sum::<f64>() / reference.rows() as f64;
    let difference = rate(new) - before;
    let is_drift = measured.is_drift && min_effect <= difference;
    let features = measured.features.into_iter().map(|one| FeatureResult {
        effect: finite(difference),
        is_drift,
        ..one
    });
    Measured {
        is_drift,
        effect: finite(difference),
        features: features.collect(),
        ..measured
    }
}

/// Returns the reference of a stream: as it is, or with one error more if it has none. Who was never wrong in n
/// pictures is taken to be wrong once in n + 1: of a rate of 0, the first error of all would be an alarm.
///
/// # Errors
/// None for a sample.
pub(super) fn with_one(reference: &Sample) -> Result<Sample, Error> {
    if 0.0 < rate(reference) {
        return Ok(reference.clone());
    }
    let values = reference.values().iter().copied().chain([1.0]);
    Sample::new(values.collect(), reference.width())
}

/// Says so, where [`with_one`] adds an error for the detector of `params`.
pub(super) fn note(params: &OnlineParams, reference: &[(Input, Sample)]) -> Option<String> {
    if params.input != Input::Error {
        return None;
    }
    let (_, errors) = reference.iter().find(|(one, _)| *one == Input::Error)?;
    (rate(errors) == 0.0).then(|| {
        format!(
            "the detector `{}`: the model is never wrong on the reference; it is taken to be wrong once in {} pictures",
            params.name,
            errors.rows() + 1
        )
    })
}

/// Returns how often the model is wrong, 0..=1.
fn rate(errors: &Sample) -> f64 {
    errors.values().iter().sum::<f64>() / errors.rows() as f64
}
