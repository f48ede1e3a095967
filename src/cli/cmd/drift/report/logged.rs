//! The prediction log as answers that can be compared, and what of it cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Value, json};

use crate::base::clock::{self, Timestamp};
use crate::base::{Diagnostic, units};
use crate::cli::error::CliError;
use crate::detect::Fitted;
use crate::detect::served::Answer;
use crate::track::predictions::{KeptPicture, Prediction, Predictions, Segment, predicts};

/// Distance of the sum of an answer's probabilities from 1 beyond which the line is broken.
const SUM_MISS_MAX: f64 = 1e-3;

/// What is wanted of the log.
pub(super) struct Asked<'a> {
    pub(super) time: &'a Range<Timestamp>,
    /// The name that the model is served by.
    pub(super) model: Option<&'a str>,
    /// Answers at most.
    pub(super) most: usize,
}

/// What the log has of a time.
pub(super) struct Logged {
    pub(super) answers: Vec<Answer>,
    /// Where the pictures of answers are kept, by the answer's name.
    pub(super) pictures: BTreeMap<String, Place>,
    /// Whether anything was found out about them.
    pub(super) looked: Looked,
    /// How many there are.
    pub(super) count: usize,
    /// Of how many the probabilities of some classes are not kept.
    pub(super) partial: usize,
    /// Classes of the model.
    pub(super) classes: usize,
    /// The names that the model is served by.
    pub(super) models: BTreeSet<String>,
    /// The share of the requests that is logged, as the parameters now have it.
    pub(super) sample: f64,
    /// Are there older answers of this time that were not read?
    pub(super) is_cut: bool,
    left_out: LeftOut,
}

/// Whether kept pictures were looked at.
pub(super) enum Looked {
    /// No detector wants any, or none is kept.
    NotWanted,
    /// Nobody wants to wait for them, or nothing here can: why.
    Not(String),
    /// They were.
    At,
}

impl Looked {
    /// Says why pictures that are there were not looked at.
    pub(super) fn why_not(&self) -> Option<&str> {
        match self {
            Self::Not(why) => Some(why),
            Self::NotWanted | Self::At => None,
        }
    }
}

/// Where a picture is kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) segment: Segment,
    pub(super) kept: KeptPicture,
}

/// Answers that were not compared.
#[derive(Clone, Copy, Default)]
struct LeftOut {
    /// Of other weights than those that the detectors know.
    other_weights: usize,
    /// By another name than the one asked for.
    other_names: usize,
    /// They answer pictures that somebody has asked about already.
    explanations: usize,
    /// Lines that are no records, or no answers of this model.
    unreadable: usize,
}

impl Logged {
    /// Reads the log; `sample` is the share of the requests that it has.
    pub(super) fn read(
        log: &Predictions,
        asked: &Asked<'_>,
        fitted: &Fitted,
        sample: f64,
    ) -> Result<Self, CliError> {
        let weights = fitted.model().to_string();
        let classes = fitted.classes();
        let mut left_out = LeftOut::default();
        let mut models = BTreeSet::new();
        let found = log.between(asked.time, asked.most, |segment, one| {
            if one.weights != weights {
                left_out.other_weights += 1;
                return None;
            }
            if !predicts(&one.route) {
                left_out.explanations += 1;
                return None;
            }
            models.insert(one.model.clone());
            if asked.model.is_some_and(|name| name != one.model) {
                left_out.other_names += 1;
                return None;
            }
            let answer = answer_of(&one, classes);
            left_out.unreadable += usize::from(answer.is_none());
            let place = one.picture.map(|kept| Place {
                segment: segment.clone(),
                kept,
            });
            Some((answer?, place))
        })?;
        left_out.unreadable += found.unreadable;
        let mut answers = Vec::with_capacity(found.rows.len());
        let mut pictures = BTreeMap::new();
        let mut times_named: BTreeMap<String, usize> = BTreeMap::new();
        for row in found.rows {
            let (answer, place) = row.kept;
            let label = classes.get(answer.label as usize);
            let mut name = format!("{}/{}", row.request_id, row.index);
            // Clients name their requests, and may name two alike; their pictures are two.
            let times = times_named.entry(name.clone()).or_default();
            *times += 1;
            if 1 < *times {
                name = format!("{name} ({times})");
            }
            pictures.extend(place.map(|place| (name.clone(), place)));
            answers.push(Answer {
                name,
                is_right: row.feedback.map(|said| Some(&said.label) == label),
                ..answer
            });
        }
        let partial = answers.iter().filter(|one| one.probabilities.is_none());
        Ok(Self {
            count: answers.len(),
            partial: partial.count(),
            classes: classes.len(),
            models,
            sample,
            is_cut: found.is_cut,
            left_out,
            answers,
            pictures,
            looked: Looked::NotWanted,
        })
    }

    /// Says that there is nothing to compare, and why.
    pub(super) fn nothing(&self, asked: &Asked<'_>) -> Diagnostic {
        let [from, until] = [asked.time.start, asked.time.end].map(clock::utc_minute);
        let headline =
            format!("the prediction log has no answers of this model from {from} to {until} (UTC)");
        let mut diagnostic = Diagnostic::error("no-answers", headline);
        if let Some(left_out) = self.left_out() {
            diagnostic = diagnostic.note(format!("left out: {left_out}"));
        }
        let LeftOut {
            other_weights,
            other_names,
            ..
        } = self.left_out;
        diagnostic.help(if 0 < other_names {
            let names: Vec<&str> = self.models.iter().map(String::as_str).collect();
            format!("`--model` takes a name of the log: {}", names.join(", "))
        } else if 0 < other_weights {
            "run `cvops drift fit` for the model that is served, or name its detectors: `--drift DIR`"
                .to_owned()
        } else {
            "take a longer time: `--since 7d`; `cvops serve` writes the log unless `serve.log.sample` is 0"
                .to_owned()
        })
    }

    /// Says what was left out, if anything was.
    pub(super) fn left_out(&self) -> Option<String> {
        let LeftOut {
            other_weights,
            other_names,
            explanations,
            unreadable,
        } = self.left_out;
        let told = [
            (
                other_weights,
                "answer",
                " of other weights than the detectors know",
            ),
            (other_names, "answer", " by another name"),
            (explanations, "explanation", ""),
            (unreadable, "line", " that cannot be read"),
        ];
        let told: Vec<String> = told
            .iter()
            .filter(|(count, ..)| 0 < *count)
            .map(|(count, noun, which)| format!("{}{which}", units::count(*count, noun)))
            .collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    /// Returns all of that for programs.
    pub(super) fn json(&self) -> Value {
        let LeftOut {
            other_weights,
            other_names,
            explanations,
            unreadable,
        } = self.left_out;
        json!({
            "models": self.models,
            "sample": self.sample,
            "is_cut": self.is_cut,
            "without_all_probabilities": self.partial,
            "pictures": {"kept": self.pictures.len(), "not_looked_at": self.looked.why_not()},
            "left_out": {
                "other_weights": other_weights,
                "other_names": other_names,
                "explanations": explanations,
                "unreadable": unreadable,
            },
        })
    }
}

/// Returns what a line says of a picture; `None` if no model with these classes can have said so.
fn answer_of(one: &Prediction, classes: &[String]) -> Option<Answer> {
    let label = classes.iter().position(|class| *class == one.label)?;
    let probabilities = if one.probabilities.len() == classes.len() {
        let told = classes
            .iter()
            .map(|class| one.probabilities.get(class).copied());
        let told: Vec<f32> = told.collect::<Option<_>>()?;
        let sum: f64 = told.iter().copied().map(f64::from).sum();
        let is_sum = (sum - 1.0).abs() <= SUM_MISS_MAX;
        Some(is_sum.then_some(told)?)
    } else {
        None
    };
    Some(Answer {
        at: one.ts,
        name: String::new(),
        label: u32::try_from(label).ok()?,
        confidence: one.confidence,
        probabilities,
        is_right: None,
        seen: None,
    })
}
