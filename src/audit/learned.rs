//! What can be learnt from the pictures about the pictures: doubtful labels, weak segments, shortcuts.
//! Imports: base, drift, vision, `audit::{columns, confident, error, features, finding, folds, outliers,
//! pictures, probe, segments, shortcut}`.
//!
//! A probe learns the classes from four fifths of all pictures, of all splits, and is asked about the
//! last fifth, five times. A probe that is often wrong itself may not doubt labels: then there is a note
//! instead of suspects.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::Cancel;
use crate::drift;
use crate::vision::dataset::Split;
use crate::vision::predict::Predictor;

use super::columns::{Measure, measures};
use super::confident::{LabelErrors, Ranking, label_errors};
use super::error::Error;
use super::features::{FeatureSource, Features};
use super::finding::{Check, Finding, Item};
use super::folds::{folds, groups};
use super::outliers::short;
use super::pictures::Pictures;
use super::probe::{Probabilities, Task, out_of_fold};
use super::segments::{Judged, Segment, SegmentParams, weak_segments};
use super::shortcut::{Shortcut, ShortcutParams, shortcuts};

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

/// Learns from `pictures`, which the model, if there is one, sees as they are fitted.
///
/// # Errors
/// The pictures have another size than the model takes, the model gives numbers that are none, or
/// `cancel` was requested.
pub fn learn(
    pictures: &Pictures,
    model: Option<&Predictor>,
    params: &LearnedParams,
    cancel: &Cancel,
) -> Result<Learned, Error> {
    let labels: Vec<u32> = pictures.rows.iter().map(|picture| picture.class).collect();
    let groups = groups(pictures.rows.iter().map(|picture| picture.content));
    let folds = folds(&labels, &groups, params.seed);
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
    let able = able(&labels, &groups, params.support_min);
    if able < 2 {
        learned.notes.push(format!(
            "labels and segments were not judged: fewer than two classes have {} different pictures",
            params.support_min
        ));
        return Ok(learned);
    }
    let observed = model
        .map(|model| model.observe(&pictures.pixels, cancel))
        .transpose()?;
    let of_model = observed
        .as_ref()
        .map(|observed| decisions(&observed.logits.rows, observed.logits.classes));
    let features = match observed {
        Some(observed) => Features::of_network(observed, params.seed, cancel),
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
    let decided = said.decisions();
    let accuracy = balanced_accuracy(&labels, &decided);
    learned.balanced_accuracy = Some(accuracy);
    if params.accuracy_min <= accuracy {
        let errors = label_errors(&said, &labels, params.support_min, params.ranking);
        learned.labels = Some(doubtful(pictures, &errors));
    } else {
        learned.notes.push(format!(
            "labels were not doubted: the probe itself agrees with only {accuracy:.2} of them (mean over \
             the classes; {:.2} are needed)",
            params.accuracy_min
        ));
    }
    let judged = match of_model.map(|decided| unseen(pictures, decided)) {
        Some((rows, decided)) if 2 * params.segments.support_min <= rows.len() => {
            Some((Judge::Model, rows, decided))
        }
        // The mistakes of a probe that hardly knows the classes are no news.
        _ if params.accuracy_min <= accuracy => {
            Some((Judge::Probe, (0..labels.len()).collect(), decided))
        }
        _ => None,
    };
    if let Some((judge, rows, predicted)) = judged {
        learned.judge = Some(judge);
        learned.segments = segments(&measures, &labels, &rows, &predicted, params.segments)
            .map_err(statistics("weak segments"))?;
    }
    Ok(learned)
}

impl Learned {
    /// Returns what is wrong by it, as findings.
    #[must_use]
    pub fn findings(&self, classes: &[String]) -> Vec<Finding> {
        let name = |class: u32| classes.get(class as usize).cloned().unwrap_or_default();
        let labels = self.labels.iter().flat_map(|labels| &labels.suspects);
        let labels = labels.map(|label| Item {
            path: Some(label.path.clone()),
            split: Some(label.split),
            class: Some(name(label.given)),
            detail: format!(
                "rather `{}` ({:.2}) than `{}` ({:.2})",
                name(label.suggested),
                label.suggested_probability,
                name(label.given),
                label.given_probability
            ),
            row: Some(label.row),
            ..Item::default()
        });
        let shortcuts = self.shortcuts.iter().filter(|shortcut| shortcut.alarm);
        let shortcuts = shortcuts.map(|shortcut| Item {
            class: shortcut.class.map(name),
            detail: format!(
                "`{}` alone tells {}: balanced accuracy {:.2}, by chance {:.2}",
                shortcut.property,
                match shortcut.class {
                    Some(class) => format!("`{}` from the rest", name(class)),
                    None => "all classes from each other".to_owned(),
                },
                shortcut.balanced_accuracy,
                shortcut.chance
            ),
            ..Item::default()
        });
        let segments = self.segments.iter().map(|segment| Item {
            class: segment.class.map(name),
            detail: format!(
                "`{}` from {} to {}: {:.0} % of {} pictures right, {:.0} % of the rest",
                segment.property,
                short(segment.from),
                short(segment.to),
                100.0 * segment.accuracy,
                segment.support,
                100.0 * segment.rest_accuracy
            ),
            ..Item::default()
        });
        let judge = match self.judge {
            Some(Judge::Model) => "kinds of pictures on which the model is weak",
            Some(Judge::Probe) | None => "kinds of pictures on which a simple classifier is weak",
        };
        [
            Finding::new(
                Check::LabelErrors,
                "labels that a classifier which has not seen them contradicts",
                "look at them, the first are the surest: correct the labels, or leave the pictures out",
                labels.collect(),
            ),
            Finding::new(
                Check::Shortcuts,
                "classes can be told by a single property of the pictures",
                "take pictures of all classes under the same conditions, or be sure that the property \
                 belongs to the class",
                shortcuts.collect(),
            ),
            Finding::new(
                Check::WeakSegments,
                judge,
                "add pictures of this kind, or augment towards it",
                segments.collect(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
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

/// Returns how many classes have at least `support_min` different pictures.
fn able(labels: &[u32], groups: &[usize], support_min: usize) -> usize {
    let mut different: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (label, group) in labels.iter().zip(groups) {
        different.entry(*label).or_default().push(*group);
    }
    different
        .into_values()
        .map(|mut groups| {
            groups.sort_unstable();
            groups.dedup();
            groups.len()
        })
        .filter(|different| support_min <= *different)
        .count()
}

fn decisions(logits: &[f32], classes: usize) -> Vec<u32> {
    let values = logits.iter().map(|logit| f64::from(*logit)).collect();
    Probabilities::new(values, classes).map_or_else(Vec::new, |said| said.decisions())
}

/// Returns the mean over the classes of the share that was told right.
fn balanced_accuracy(labels: &[u32], decided: &[u32]) -> f64 {
    let mut of_classes: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (label, decision) in labels.iter().zip(decided) {
        let (right, all) = of_classes.entry(*label).or_default();
        *right += f64::from(u8::from(label == decision));
        *all += 1.0;
    }
    let classes = of_classes.len().max(1) as f64;
    of_classes
        .values()
        .map(|(right, all)| right / all)
        .sum::<f64>()
        / classes
}

/// Returns the rows that a model was not trained on, and what it takes them for.
fn unseen(pictures: &Pictures, decided: Vec<u32>) -> (Vec<usize>, Vec<u32>) {
    let rows = pictures.rows.iter().enumerate().zip(decided);
    rows.filter(|((_, picture), _)| picture.split != Split::Train)
        .map(|((row, _), decision)| (row, decision))
        .unzip()
}

/// Looks for weak segments among some rows.
fn segments(
    measures: &[Measure],
    labels: &[u32],
    rows: &[usize],
    predicted: &[u32],
    params: SegmentParams,
) -> Result<Vec<Segment>, drift::Error> {
    let measures: Vec<Measure> = measures
        .iter()
        .map(|measure| Measure {
            name: measure.name,
            values: rows.iter().map(|row| measure.values[*row]).collect(),
        })
        .collect();
    let labels: Vec<u32> = rows.iter().map(|row| labels[*row]).collect();
    let judged = Judged {
        labels: &labels,
        predicted,
    };
    let mut segments = weak_segments(&measures, judged, params)?;
    for segment in &mut segments {
        for row in &mut segment.rows {
            *row = rows[*row];
        }
    }
    Ok(segments)
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
