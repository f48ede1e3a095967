//! What to do next, on the page. Imports: report, `base::units`, `detect::{checked, features}`.

use crate::base::units;
use crate::report::page::{Block, Section};

use super::super::checked::{Accuracy, Checked, Verdict};
use super::super::features::Input;

/// A loss of accuracy of which something should be done.
const LOSS: f64 = 0.02;
/// More outliers than this many times the usual share are worth a look.
const MANY: f64 = 3.0;

/// Returns the section; `unreadable` files were left out.
pub(super) fn section(checked: &Checked, unreadable: usize) -> Section {
    let mut steps = Vec::new();
    match checked.verdict {
        Verdict::Drift => steps.extend(after_drift(checked)),
        Verdict::NoDrift => steps.push(
            "Nothing has to be done. The fewer pictures are compared, the larger a difference must be to be \
             found."
                .to_owned(),
        ),
        Verdict::Incomplete => steps.push(
            "See what could not be computed, and why; check more pictures, or mend the detector in the section \
             `drift` of params.yaml and run `cvops drift fit`."
                .to_owned(),
        ),
    }
    let strange = checked.outliers.as_ref();
    if !checked.is_drift() && strange.is_some_and(|o| MANY * o.false_positives < o.share) {
        steps.push(
            "Look at the outliers: a few pictures are strange where the others are usual."
                .to_owned(),
        );
    }
    if 0 < unreadable {
        steps.push(format!(
            "Find out where {} from that cannot be read as a picture: they were not compared.",
            if unreadable == 1 {
                "the file comes".to_owned()
            } else {
                format!("{} come", units::count(unreadable, "file"))
            }
        ));
    }
    Section {
        heading: "What to do next".to_owned(),
        blocks: steps.into_iter().map(Block::Prose).collect(),
    }
}

fn after_drift(checked: &Checked) -> Vec<String> {
    let fired = |input: Input| checked.fired().any(|one| one.input == input);
    let is_error_alone = checked.fired().all(|one| one.input == Input::Error);
    let seen = if is_error_alone {
        "The model is wrong more often, while no other detector says that pictures or answers changed: what the \
         labels mean may have changed, or they are wrong. Look at pictures of which model and label disagree."
    } else if fired(Input::Properties) || fired(Input::Embedding) {
        "The pictures themselves changed. Look at those most unlike the reference and at the properties: if a \
         camera, a crop, a format or a conversion changed by mistake, mend that and check again."
    } else {
        "The model's answers changed, while no detector of the pictures themselves says so: most likely some \
         classes have become more or less frequent. Compare the mix of classes with what you expect."
    };
    let mut steps = vec![seen.to_owned()];
    match &checked.accuracy {
        Some(accuracy) => steps.push(about_accuracy(accuracy)),
        None => steps.push(
            "Label some of the new pictures, the most unlike first, to find out how often the model is right."
                .to_owned(),
        ),
    }
    steps.push(
        "If the change is there to stay: add new pictures with labels to the data, train again (`cvops repro`), \
         and fit the detectors to the new model (`cvops drift fit`)."
            .to_owned(),
    );
    steps
}

fn about_accuracy(accuracy: &Accuracy) -> String {
    let lost = accuracy.reference - accuracy.actual.unwrap_or(accuracy.estimated);
    match (accuracy.actual, lost > LOSS) {
        (Some(_), true) => format!(
            "The accuracy is {:.1} percentage points below that on the reference: do not rely on the model here \
             before it has learned from such pictures.",
            100.0 * lost
        ),
        (Some(_), false) => {
            "The model copes: it is right about as often as on the reference.".to_owned()
        }
        (None, true) => format!(
            "The accuracy is likely to be {:.1} percentage points below that on the reference. That is an \
             estimate: label some of the new pictures, the most unlike first, to measure it.",
            100.0 * lost
        ),
        (None, false) => {
            "The model seems to cope: it is as sure as on the reference. It can be sure and wrong, of a new kind of \
             picture for instance, so label a few of the most unlike ones."
                .to_owned()
        }
    }
}
