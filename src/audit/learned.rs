//! What can be learnt from the pictures about the pictures: doubtful labels, weak segments, shortcuts.
//! Imports: base, drift, vision, `audit::{asking, columns, confident, error, features, finding, folds, groups,
//! pictures, probe, segments, shortcut}`; `learned::findings` also `audit::outliers`.
//!
//! A probe learns the classes from four fifths of all pictures, of all splits, and is asked about the
//! last fifth, five times. A probe that is often wrong itself may not doubt labels: then there is a note
//! instead of suspects.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::Cancel;
use crate::drift;
use crate::vision::dataset::Split;

use super::asking::Answers;
use super::columns::{Measure, measures};
use super::confident::{LabelErrors, Ranking, label_errors};
use super::error::Error;
use super::features::{FeatureSource, Features};
use super::finding::Check;
use super::folds::folds;
use super::groups::different;
use super::pictures::Pictures;
use super::probe::{Said, Task, out_of_fold};
use super::segments::{Judged, Mistake, Segment, SegmentParams, Weak, weak_segments};
use super::shortcut::{Shortcut, ShortcutParams, shortcuts};

mod findings;

/// Pairs of classes that are told of.
const PAIRS_MAX: usize = 50;

/// What counts as doubtful.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedParams {
    /// Of the folds and of the pictures from which components are found.
    pub seed: u64,
    /// By what doubtful labels are ranked.
    pub ranking: Ranking,
    /// Mean over the classes of the share that the probe gets right, below which it may not doubt
    /// labels, 0..=1.
    pub accuracy_min: f64,
    /// Different pictures that a class must have for its labels to be doubted.
    pub support_min: usize,
    /// What a weak segment is.
    pub segments: SegmentParams,
    /// What a shortcut is.
    pub shortcuts: ShortcutParams,
}

impl LearnedParams {
    /// Returns the default numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ranking: Ranking::NormalisedMargin,
            accuracy_min: 0.8,
            support_min: 10,
            segments: SegmentParams {
                support_min: 30,
                gap_min: 0.05,
                alpha: 0.05,
            },
            shortcuts: ShortcutParams {
                skill_min: 0.7,
                support_min: 20,
                alpha: 0.01,
            },
        }
    }
}

/// What was learnt. Classes are indices into `Audit::classes`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// What the probe sees of pictures; `null` if there were too few to ask one.
    pub features: Option<FeatureSource>,
    /// The share of the given labels that the probe agrees with, mean over the classes; `null` without
    /// a probe.
    pub balanced_accuracy: Option<f64>,
    /// What it says of labels; `null` if it may not doubt them.
    pub labels: Option<DoubtfulLabels>,
    /// Whose mistakes the segments are about; `null` if they were not looked for.
    pub judge: Option<Judge>,
    /// On what it is weak, those that cost most pictures first.
    pub segments: Vec<Segment>,
    /// How well single properties tell the classes, the best first.
    pub shortcuts: Vec<Shortcut>,
    /// What could not be told and why, one sentence each: for `Audit::notes`.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Whose mistakes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// The model's, on pictures that it was not trained on.
    Model,
    /// The probe's, on all pictures, out of fold.
    Probe,
}

/// What the probe says of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DoubtfulLabels {
    /// How many labels are wrong by the estimated joint distribution of given and right ones.
    pub estimated: f64,
    /// Classes that are taken for each other, those with most wrong labels first.
    pub pairs: Vec<ClassPair>,
    /// The pictures, the most suspicious first.
    pub suspects: Vec<DoubtfulLabel>,
}

/// A class whose pictures are rather of another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassPair {
    /// Index of the class they are labelled as.
    pub given: u32,
    /// Index of the class they are of.
    pub right: u32,
    /// Estimated number of such labels.
    pub estimated: f64,
}

/// A label that is probably wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DoubtfulLabel {
    /// The picture, relative to the dataset.
    pub path: String,
    /// Its split.
    pub split: Split,
    /// Index of the class it is labelled as.
    pub given: u32,
    /// Index of the class it rather is.
    pub suggested: u32,
    /// Probability of the given class.
    pub given_probability: f64,
    /// Probability of the suggested class.
    pub suggested_probability: f64,
    /// Probability of the given class less that of the likeliest other.
    pub margin: f64,
    /// Its row in `Pictures`.
    #[serde(skip)]
    pub row: usize,
}

/// What there is to learn from.
pub(super) struct Evidence<'a> {
    /// The pictures.
    pub(super) pictures: &'a Pictures,
    /// The group of each: copies, exact and near, have the same number.
    pub(super) groups: &'a [usize],
    /// What a model makes of them; none if there is no model.
    pub(super) answers: Option<Answers>,
}

/// Learns from pictures, and from what a model makes of them.
///
/// # Errors
/// A statistic cannot be computed, or `cancel` was requested.
pub(super) fn learn(
    evidence: Evidence<'_>,
    params: &LearnedParams,
    cancel: &Cancel,
) -> Result<Learned, Error> {
    let Evidence {
        pictures,
        groups,
        answers,
    } = evidence;
    let labels: Vec<u32> = pictures.rows.iter().map(|picture| picture.class).collect();
    let folds = folds(&labels, groups, params.seed);
    let measures = measures(pictures);
    let with_formats = [&measures[..], &[formats(pictures)]].concat();
    let mut learned = Learned {
        features: None,
        balanced_accuracy: None,
        labels: None,
        judge: None,
        segments: Vec::new(),
        shortcuts: shortcuts(&with_formats, &labels, &folds, params.shortcuts)
            .map_err(statistics("how well single properties tell the classes"))?,
        notes: Vec::new(),
    };
    let able = different(&labels, groups)
        .into_values()
        .filter(|different| params.support_min <= *different)
        .count();
    if able < 2 {
        learned.notes.push(format!(
            "labels and segments were not judged: fewer than two classes have {} different pictures",
            params.support_min
        ));
        return Ok(learned);
    }
    let (of_model, seen) =
        answers.map_or((None, None), |answers| (Some(answers.said), answers.seen));
    let features = match seen {
        Some(seen) => Features::of_network(seen, params.seed, cancel),
        None => Features::of_pixels(&pictures.pixels, params.seed, cancel),
    };
    let features = match features {
        Ok(features) => features,
        Err(Error::Statistics {
            source: drift::Error::NoVariance,
            ..
        }) => {
            let note =
                "labels and segments were not judged: all pictures look the same to the probe";
            learned.notes.push(note.to_owned());
            return Ok(learned);
        }
        Err(error) => return Err(error),
    };
    let task = Task {
        features: &features,
        labels: &labels,
        classes: pictures.classes.len(),
        folds: &folds,
    };
    let said = out_of_fold(task, cancel)?;
    learned.features = Some(features.source());
    if features.source() == FeatureSource::Pixels {
        let note = "labels were judged by the principal components of the pixels; the features of a \
                    model (`--model`) know more";
        learned.notes.push(note.to_owned());
    }
    let of_probe = said.said(&labels);
    let accuracy = balanced_accuracy(&labels, &of_probe);
    learned.balanced_accuracy = Some(accuracy);
    if params.accuracy_min <= accuracy {
        let errors = label_errors(&said, &labels, groups, params.support_min, params.ranking);
        learned.labels = Some(doubtful(pictures, &errors));
    } else {
        learned.notes.push(format!(
            "labels were not doubted: the probe itself agrees with only {accuracy:.3} of them (mean over \
             the classes; {:.3} are needed)",
            params.accuracy_min
        ));
    }
    // The mistakes of a probe that hardly knows the classes are no news.
    let of_probe = (params.accuracy_min <= accuracy).then_some(of_probe);
    if let Some((judge, rows, said)) = judge(pictures, of_model, of_probe, params) {
        learned.judge = Some(judge);
        let weak = segments(pictures, &measures, &rows, &said, params.segments)
            .map_err(statistics("weak segments"))?;
        learned.segments = weak.segments;
        if !weak.constant.is_empty() {
            learned.notes.push(format!(
                "weak segments were not looked for by {}: all pictures have the same value",
                weak.constant.join(", ")
            ));
        }
    }
    Ok(learned)
}

/// Returns whose mistakes the segments are about, on which rows, and what was said of all pictures. A
/// model is judged by pictures that it was not trained on, if there are enough of them.
fn judge(
    pictures: &Pictures,
    of_model: Option<Vec<Said>>,
    of_probe: Option<Vec<Said>>,
    params: &LearnedParams,
) -> Option<(Judge, Vec<usize>, Vec<Said>)> {
    let all = 0..pictures.rows.len();
    let unseen: Vec<usize> = all
        .clone()
        .filter(|row| pictures.rows[*row].split != Split::Train)
        .collect();
    match of_model {
        Some(said) if 2 * params.segments.support_min <= unseen.len() => {
            Some((Judge::Model, unseen, said))
        }
        _ => of_probe.map(|said| (Judge::Probe, all.collect(), said)),
    }
}

impl Learned {
    /// Returns the checks that could not be made.
    pub(super) fn left_out(&self) -> Vec<Check> {
        let checks = [
            (Check::LabelErrors, self.labels.is_none()),
            (Check::Shortcuts, self.shortcuts.is_empty()),
            (Check::WeakSegments, self.judge.is_none()),
        ];
        let left_out = checks.into_iter().filter(|(_, is_left_out)| *is_left_out);
        left_out.map(|(check, _)| check).collect()
    }
}

fn statistics(what: &'static str) -> impl Fn(drift::Error) -> Error {
    move |source| Error::Statistics { what, source }
}

/// Returns which format each file has: a number for each, whose order means nothing.
fn formats(pictures: &Pictures) -> Measure {
    let names = || pictures.rows.iter().map(|row| row.facts.format_name());
    let mut all: Vec<&str> = names().collect();
    all.sort_unstable();
    all.dedup();
    let number = |name: &str| all.iter().position(|other| *other == name).unwrap_or(0);
    Measure {
        name: "file format",
        values: names().map(|name| number(name) as f64).collect(),
    }
}

/// Returns the mean over the classes of the share that was told right.
fn balanced_accuracy(labels: &[u32], said: &[Said]) -> f64 {
    let mut of_classes: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (label, said) in labels.iter().zip(said) {
        let (right, all) = of_classes.entry(*label).or_default();
        *right += f64::from(u8::from(*label == said.class));
        *all += 1.0;
    }
    let classes = of_classes.len().max(1) as f64;
    of_classes
        .values()
        .map(|(right, all)| right / all)
        .sum::<f64>()
        / classes
}

/// Looks for weak segments among some rows; `said` is about all of them.
fn segments(
    pictures: &Pictures,
    measures: &[Measure],
    rows: &[usize],
    said: &[Said],
    params: SegmentParams,
) -> Result<Weak, drift::Error> {
    let measures: Vec<Measure> = measures
        .iter()
        .map(|measure| Measure {
            name: measure.name,
            values: rows.iter().map(|row| measure.values[*row]).collect(),
        })
        .collect();
    let labels: Vec<u32> = rows.iter().map(|row| pictures.rows[*row].class).collect();
    let predicted: Vec<u32> = rows.iter().map(|row| said[*row].class).collect();
    let judged = Judged {
        labels: &labels,
        predicted: &predicted,
    };
    let mut weak = weak_segments(&measures, judged, params)?;
    for segment in &mut weak.segments {
        for row in &mut segment.rows {
            *row = rows[*row];
        }
        segment.mistakes = mistakes(pictures, &segment.rows, said);
    }
    Ok(weak)
}

/// Returns the pictures among `rows` that were taken for another class, the surest mistakes first.
fn mistakes(pictures: &Pictures, rows: &[usize], said: &[Said]) -> Vec<Mistake> {
    let margin = |row: usize| said[row].of_label - said[row].probability;
    let mut wrong: Vec<usize> = rows.to_vec();
    wrong.retain(|row| said[*row].class != pictures.rows[*row].class);
    wrong.sort_by(|a, b| margin(*a).total_cmp(&margin(*b)).then(a.cmp(b)));
    let mistake = |row: usize| Mistake {
        path: pictures.rows[row].path.clone(),
        split: pictures.rows[row].split,
        given: pictures.rows[row].class,
        taken: said[row].class,
        given_probability: said[row].of_label,
        taken_probability: said[row].probability,
        row,
    };
    wrong.into_iter().map(mistake).collect()
}

fn doubtful(pictures: &Pictures, errors: &LabelErrors) -> DoubtfulLabels {
    let all = pictures.rows.len() as f64;
    let mut pairs: Vec<ClassPair> = Vec::new();
    for (given, row) in (0..).zip(&errors.joint) {
        for (right, share) in (0..).zip(row) {
            if given != right && 0.0 < *share {
                pairs.push(ClassPair {
                    given,
                    right,
                    estimated: share * all,
                });
            }
        }
    }
    pairs.sort_by(|a, b| b.estimated.total_cmp(&a.estimated));
    pairs.truncate(PAIRS_MAX);
    let label = |suspect: &super::confident::Suspect| DoubtfulLabel {
        path: pictures.rows[suspect.row].path.clone(),
        split: pictures.rows[suspect.row].split,
        given: suspect.given,
        suggested: suspect.suggested,
        given_probability: suspect.given_probability,
        suggested_probability: suspect.suggested_probability,
        margin: suspect.margin,
        row: suspect.row,
    };
    DoubtfulLabels {
        estimated: errors.estimated,
        pairs,
        suspects: errors.suspects.iter().map(label).collect(),
    }
}

#[cfg(test)]
mod tests;
