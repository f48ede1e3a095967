//! What a server answered over a time, against the reference: all together, and by windows of equal length.
//! `seen` is what is known of the pictures, where they were kept, `told` what a report says, `page` shows all of it.
//! Imports: base, `drift::reference_update`, `detect::{check, checked, error, features, fitted, following}`.
//!
//! Each window is a check of its own, and so is the whole: they share the chance of a false alarm (`family`), so
//! that one report raises one with a chance of at most α, however many windows it has. Windows begin at whole
//! multiples of their length since 1970 (UTC), so that two reports cut alike; those without answers are none.
//!
//! If the reference follows what it has judged, a window is compared with the fitted rows and the windows before
//! it. All answers together are always compared with what was fitted: there, slow drift shows.

mod page;
mod seen;
mod told;

use std::ops::Range;

use crate::base::Cancel;
use crate::base::clock::Timestamp;
use crate::drift::reference_update::ReferenceUpdate;

use super::Error;
use super::check::{Part, Tells};
use super::checked::{Checked, Verdict};
use super::features::{Features, Input};
use super::fitted::{Fitted, Selection, stop_if_asked};
use super::following::{Following, Standing};
use seen::{looks_at_pictures, with_pictures};

pub use super::following::ROWS as UPDATE_ROWS;
pub use page::{Illustration, page};
pub use seen::{Seen, wants_pictures};
pub use told::{Figures, Lasting, SCHEMA, Served, Slot, Surest};

/// Windows of one report. With more, hardly anything could be told from chance in any of them.
pub const WINDOWS_MAX: usize = 500;

/// What a prediction log holds of each answer, whatever the number of classes.
const ALWAYS_HELD: [Input; 1] = [Input::Label];
/// With the probabilities of all classes.
const HELD: [Input; 4] = [Input::Softmax, Input::Label, Input::Entropy, Input::Margin];

/// One answer of the model that the detectors know.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// When it was given.
    pub at: Timestamp,
    /// By what it can be found again.
    pub name: String,
    /// The class, from 0.
    pub label: u32,
    /// Its probability.
    pub confidence: f32,
    /// The probability of each class, in the order of the model; `None` if not all were kept.
    pub probabilities: Option<Vec<f32>>,
    /// Is it right? `None` if nobody said.
    pub is_right: Option<bool>,
    /// What is known of the picture; `None` if it was not kept, or nobody looked.
    pub seen: Option<Seen>,
}

/// What is compared with what.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// When the answers were given.
    pub time: &'a Range<Timestamp>,
    /// Length of a window in milliseconds, at least 1.
    pub window_ms: u64,
    /// What becomes of the rows of a window once it has been judged.
    pub update: ReferenceUpdate,
}

/// Compares `answers`, all of them given in the time of `terms`, with the reference, by windows.
///
/// Where the probabilities of all classes are not known of every answer, classes alone are compared. Detectors that
/// look at pictures are computed of windows whose pictures are all known.
///
/// # Errors
/// There are no answers, or too many windows; no detector looks at what is known of answers; probabilities are
/// no distributions; `cancel` was requested.
///
/// # Panics
/// `terms.window_ms` is 0.
pub fn report(
    fitted: &Fitted,
    mut answers: Vec<Answer>,
    terms: &Terms<'_>,
    cancel: &Cancel,
) -> Result<Served, Error> {
    let Terms {
        time,
        window_ms,
        update,
    } = *terms;
    answers.sort_by_key(|answer| answer.at);
    let features = features(fitted, &answers)?;
    require_detectors(fitted, &features, &answers)?;
    let length = i64::try_from(window_ms).unwrap_or(i64::MAX);
    let number = |answer: &Answer| answer.at.as_millisecond().div_euclid(length);
    let parts: Vec<&[Answer]> = answers
        .chunk_by(|one, next| number(one) == number(next))
        .collect();
    if WINDOWS_MAX < parts.len() {
        return Err(Error::Windows {
            found: parts.len(),
            most: WINDOWS_MAX,
        });
    }
    let compare = Compare {
        fitted,
        features: &features,
        // One window is the whole.
        of: if parts.len() == 1 { 1 } else { parts.len() + 1 },
        cancel,
    };
    let all = compare.features(&answers, 0)?;
    let mut whole = compare.slot(&answers, &all, time.clone(), Against::Fitted(Tells::Rows))?;
    let mut following = if update.follows() {
        Some(Following::new(fitted, update)?)
    } else {
        None
    };
    let mut windows = Vec::with_capacity(parts.len());
    let mut begin = 0;
    for part in &parts {
        stop_if_asked(cancel)?;
        let from = number(&part[0]).saturating_mul(length);
        let bounds = bounded(from, from.saturating_add(length), time);
        let features = compare.features(part, begin)?;
        let against = match &following {
            Some(following) => Against::Standing(following.standing()),
            None => Against::Fitted(Tells::Numbers),
        };
        windows.push(compare.slot(part, &features, bounds, against)?);
        begin += part.len();
        if let Some(following) = &mut following
            && begin < answers.len()
        {
            following.take(fitted, &features)?;
        }
    }
    let names: Vec<String> = answers.into_iter().map(|answer| answer.name).collect();
    whole.checked.name_pictures(&names);
    let drifted = windows
        .iter()
        .any(|window| window.checked.verdict == Verdict::Drift);
    Ok(Served {
        schema: SCHEMA,
        verdict: if drifted {
            Verdict::Drift
        } else {
            whole.checked.verdict
        },
        from: time.start,
        until: time.end,
        window_s: window_ms as f64 / 1e3,
        update,
        lasting: lasting(&windows),
        reference: reference(fitted),
        whole,
        windows,
    })
}

/// What is the same for all checks of a report.
struct Compare<'a> {
    fitted: &'a Fitted,
    /// Of all answers.
    features: &'a Features,
    /// How many checks there are.
    of: usize,
    cancel: &'a Cancel,
}

/// What answers are compared with.
#[derive(Clone, Copy)]
enum Against<'a> {
    /// The reference as it was fitted.
    Fitted(Tells),
    /// As it stands by now.
    Standing(&'a Standing),
}

impl Compare<'_> {
    /// Returns what is known of `answers`, whose first one is number `begin` of all.
    fn features(&self, answers: &[Answer], begin: usize) -> Result<Features, Error> {
        let rows: Vec<usize> = (begin..begin + answers.len()).collect();
        with_pictures(self.features.select(&rows)?, answers)
    }

    /// Checks `answers`, of which `features` are known.
    fn slot(
        &self,
        answers: &[Answer],
        features: &Features,
        time: Range<Timestamp>,
        against: Against<'_>,
    ) -> Result<Slot, Error> {
        let (tells, standing) = match against {
            Against::Fitted(tells) => (tells, None),
            Against::Standing(standing) => (Tells::Numbers, Some(standing)),
        };
        let part = Part {
            of: self.of,
            tells,
            against: standing,
        };
        let checked = self
            .fitted
            .check_part(features, Selection::Possible, part, self.cancel)?;
        let judged = || answers.iter().filter_map(|answer| answer.is_right);
        let entropies = features.uncertainty();
        let entropy = entropies.and_then(|all| mean(all.iter().map(|one| one.entropy)));
        Ok(Slot {
            from: time.start,
            until: time.end,
            images: answers.len(),
            figures: Figures {
                confidence: mean(answers.iter().map(|answer| f64::from(answer.confidence))),
                entropy,
                accuracy: mean(judged().map(|is_right| f64::from(u8::from(is_right)))),
            },
            judged: judged().count(),
            pictures: answers
                .iter()
                .filter(|answer| answer.seen.is_some())
                .count(),
            reference_arrived: standing.map_or(0, Standing::arrived),
            surest: surest(&checked),
            checked,
        })
    }
}

fn features(fitted: &Fitted, answers: &[Answer]) -> Result<Features, Error> {
    let told = answers.iter().map(|answer| answer.probabilities.as_ref());
    let wide = |row: &Vec<f32>| -> Vec<f64> { row.iter().copied().map(f64::from).collect() };
    let told: Option<Vec<Vec<f64>>> = told.map(|row| row.map(wide)).collect();
    match told {
        Some(rows) => Features::of_probabilities(&rows),
        None => {
            let labels = answers.iter().map(|answer| answer.label).collect();
            Features::of_labels(labels, fitted.classes().len())
        }
    }
}

fn require_detectors(
    fitted: &Fitted,
    features: &Features,
    answers: &[Answer],
) -> Result<(), Error> {
    let is_seen = answers.iter().any(|answer| answer.seen.is_some());
    let mut inputs = fitted.detectors().map(|spec| spec.input);
    if inputs.any(|input| features.has(input) || (is_seen && looks_at_pictures(input))) {
        return Ok(());
    }
    let held: &[Input] = if features.has(Input::Softmax) {
        &HELD
    } else {
        &ALWAYS_HELD
    };
    Err(Error::NothingServed {
        held: held.to_vec(),
    })
}

/// Returns the window, in milliseconds since 1970, as far as it lies in `time`.
fn bounded(from: i64, until: i64, time: &Range<Timestamp>) -> Range<Timestamp> {
    // What no calendar has lies outside of `time`.
    let start = Timestamp::from_millisecond(from).unwrap_or(time.start);
    let end = Timestamp::from_millisecond(until).unwrap_or(time.end);
    start.max(time.start)..end.min(time.end)
}

fn surest(checked: &Checked) -> Option<Surest> {
    let measured = checked.detectors.iter();
    let measured = measured.filter_map(|one| Some((one, one.measured()?.adjusted)));
    let (detector, p) = measured.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(Surest {
        detector: detector.name.clone(),
        p,
        effect: detector.measured().and_then(|measured| measured.effect),
    })
}

/// Goes back over the windows as long as they have drift. One that could not be checked says nothing.
fn lasting(windows: &[Slot]) -> Option<Lasting> {
    let mut found: Option<Lasting> = None;
    for window in windows.iter().rev() {
        match window.checked.verdict {
            Verdict::Drift => {
                found = Some(Lasting {
                    since: window.from,
                    windows: found.map_or(0, |later| later.windows) + 1,
                    perhaps_longer: true,
                });
            }
            Verdict::Incomplete => {}
            Verdict::NoDrift => {
                return found.map(|found| Lasting {
                    perhaps_longer: false,
                    ..found
                });
            }
        }
    }
    found
}

fn reference(fitted: &Fitted) -> Figures {
    let surest = |row: &[f64]| row.iter().copied().fold(0.0, f64::max);
    let softmax = fitted.reference(Input::Softmax);
    let confidence = softmax.and_then(|all| mean((0..all.rows()).map(|row| surest(all.row(row)))));
    let entropies = fitted.reference(Input::Entropy);
    let accuracy = fitted.reference(Input::Label).and_then(|told| {
        let pairs = told.values().iter().zip(fitted.labels());
        mean(pairs.map(|(told, label)| f64::from(u8::from(*told == f64::from(*label)))))
    });
    Figures {
        confidence,
        entropy: entropies.and_then(|all| mean(all.values().iter().copied())),
        accuracy,
    }
}

/// Returns the mean; `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_usize, 0.0), |(count, sum), value| {
        (count + 1, sum + value)
    });
    (0 < count).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests;
