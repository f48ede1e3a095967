//! New rows against the reference: what each detector says, and what else is worth knowing.
//! Imports: base, drift, `detect::{accuracy, checked, classes, detector, error, features, fitted, following, rows}`.
//!
//! The detectors share the chance of a false alarm (`family`), so that one check raises one with a chance of at
//! most α. What is told beside them (classes that moved, accuracy, outliers, witnesses) describes the
//! difference and decides nothing. Checks that are parts of one report share it once more (`Part`).

use crate::base::Cancel;
use crate::drift::kernel::Gaussian;
use crate::drift::permutation::TooFewPermutations;
use crate::drift::witness::{most_unlike, witness};
use crate::drift::{self, Sample};

use super::Error;
use super::accuracy::Thresholded;
use super::checked::{
    Accuracy, Checked, ClassShare, Detected, Outcome, Outliers, ReferenceFacts, SCHEMA, SHOWN,
    Verdict, Witness, Witnesses,
};
use super::classes;
use super::detector::{Detector, Terms};
use super::features::{Features, Input};
use super::fitted::{Fitted, Selection, stop_if_asked};
use super::following::Standing;
use super::params::PERMUTATIONS_MAX;
use super::rows;

/// What a check is a part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// The checks that share the chance of a false alarm, this one among them.
    pub(super) of: usize,
    pub(super) tells: Tells,
    /// What detectors and classes are compared with, if not with the reference that was fitted. What needs the labels
    /// of the reference keeps to that one.
    pub(super) against: Option<&'a Standing>,
}

/// How much a check tells beside its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Also which rows show the difference best.
    Rows,
    /// Numbers only.
    Numbers,
}

impl Fitted {
    /// Compares `new` with the reference. True classes of the new rows, where they are known, give the accuracy that
    /// is left.
    ///
    /// A detector that cannot be computed is named with the reason; the verdict is then drift or
    /// incomplete, never "no drift".
    ///
    /// # Errors
    /// `selection` names a detector that is not there; `cancel` was requested.
    pub fn check(
        &self,
        new: &Features,
        selection: Selection<'_>,
        cancel: &Cancel,
    ) -> Result<Checked, Error> {
        let alone = Part {
            of: 1,
            tells: Tells::Rows,
            against: None,
        };
        self.check_part(new, selection, alone, cancel)
    }

    /// As [`Self::check`], for one of several checks.
    pub(super) fn check_part(
        &self,
        new: &Features,
        selection: Selection<'_>,
        part: Part<'_>,
        cancel: &Cancel,
    ) -> Result<Checked, Error> {
        let detectors = part
            .against
            .map_or(&self.detectors[..], Standing::detectors);
        let chosen = self.chosen(detectors, new, selection)?;
        let settings = &self.settings;
        let few = rows::choose(new.rows(), settings.rows, settings.seed, "detect.new");
        let alpha = settings.family.level(settings.alpha, part.of);
        let mut about = About {
            fitted: self,
            new,
            few,
            alpha,
            against: part.against,
            notes: Vec::new(),
        };
        let level = settings.family.level(alpha, chosen.len());
        let terms = Terms {
            alpha: level,
            permutations: if part.of == 1 {
                settings.permutations
            } else {
                enough(settings.permutations, level)
            },
            seed: settings.seed,
        };
        let mut detectors = Vec::with_capacity(chosen.len());
        for detector in &chosen {
            stop_if_asked(cancel)?;
            detectors.push(about.measure(detector, terms));
        }
        if chosen.len() < self.detectors.len() && matches!(selection, Selection::Possible) {
            let left = self.detectors.iter().map(|one| &one.spec);
            let left = left.filter(|spec| !new.has(spec.input));
            let names: Vec<String> = left.map(|spec| format!("`{}`", spec.name)).collect();
            let note = format!(
                "left out, because the data have no such input: {}",
                names.join(", ")
            );
            about.notes.push(note);
        }
        stop_if_asked(cancel)?;
        let classes = about.class_shares();
        let accuracy = about.accuracy();
        let outliers = about.outliers();
        stop_if_asked(cancel)?;
        let witnesses = match part.tells {
            Tells::Rows => about.witnesses(),
            Tells::Numbers => None,
        };
        Ok(Checked {
            schema: SCHEMA,
            verdict: Verdict::over(&detectors),
            rows: new.rows(),
            reference: ReferenceFacts {
                rows: part.against.map_or(self.rows(), Standing::rows),
                ..self.facts()
            },
            alpha,
            detectors,
            classes,
            accuracy,
            outliers,
            witnesses,
            notes: about.notes,
        })
    }

    fn chosen<'a>(
        &self,
        detectors: &'a [Detector],
        new: &Features,
        selection: Selection<'_>,
    ) -> Result<Vec<&'a Detector>, Error> {
        match selection {
            Selection::All => Ok(detectors.iter().collect()),
            Selection::Possible => {
                let all = detectors.iter();
                Ok(all.filter(|one| new.has(one.spec.input)).collect())
            }
            Selection::Named(names) => {
                let known = |name: &String| detectors.iter().any(|one| one.spec.name == *name);
                if let Some(name) = names.iter().find(|name| !known(name)) {
                    return Err(Error::UnknownDetector {
                        name: name.clone(),
                        known: self.detectors().map(|spec| spec.name.clone()).collect(),
                    });
                }
                let all = detectors.iter();
                Ok(all.filter(|one| names.contains(&one.spec.name)).collect())
            }
        }
    }
}

/// What is being compared.
struct About<'a> {
    fitted: &'a Fitted,
    new: &'a Features,
    /// The new rows that are taken where the square of their number counts.
    few: Vec<usize>,
    /// The chance of a false alarm of this check.
    alpha: f64,
    against: Option<&'a Standing>,
    notes: Vec<String>,
}

impl About<'_> {
    fn measure(&self, detector: &Detector, terms: Terms) -> Detected {
        let spec = &detector.spec;
        let names = self.fitted.names(spec.input, self.new);
        let outcome = self.fitted.sample(spec.input, self.new).and_then(|all| {
            let taken = if detector.takes_all_rows() {
                all
            } else {
                self.few_of(&all)?
            };
            let measured = detector.measure(&taken, &names, terms);
            let mut measured = measured.map_err(|source| Error::Detector {
                detector: spec.name.clone(),
                source,
            })?;
            if taken.rows() < self.new.rows() {
                measured.notes.push(format!(
                    "of {} rows, {} were compared, drawn from the seed",
                    self.new.rows(),
                    taken.rows()
                ));
            }
            Ok(measured)
        });
        Detected {
            name: spec.name.clone(),
            input: spec.input,
            test: spec.test.name().to_owned(),
            alpha: terms.alpha,
            min_effect: spec.min_effect,
            outcome: match outcome {
                Ok(measured) => Outcome::Measured(measured),
                Err(error) => Outcome::Failed(with_column(&error, &names)),
            },
        }
    }

    fn few_of(&self, all: &Sample) -> Result<Sample, drift::Error> {
        if self.few.len() == all.rows() {
            return Ok(all.clone());
        }
        rows::pick(all, &self.few)
    }

    fn class_shares(&mut self) -> Vec<ClassShare> {
        let fitted = self.fitted;
        let reference = match self.against {
            Some(standing) => standing.sample(Input::Label),
            None => fitted.reference(Input::Label),
        };
        let Some(reference) = reference else {
            return Vec::new();
        };
        let count = |sample: &Sample| {
            let mut counts = vec![0; fitted.classes.len()];
            for label in sample.values() {
                if let Some(count) = counts.get_mut(*label as usize) {
                    *count += 1;
                }
            }
            counts
        };
        let shares = fitted.sample(Input::Label, self.new).and_then(|new| {
            let (reference, new) = (count(reference), count(&new));
            Ok(classes::shares(
                &fitted.classes,
                &reference,
                &new,
                self.alpha,
            )?)
        });
        shares.unwrap_or_else(|error| {
            self.notes.push(format!("class shares: {error}"));
            Vec::new()
        })
    }

    fn accuracy(&mut self) -> Option<Accuracy> {
        let fitted = self.fitted;
        let entropy = fitted.reference(Input::Entropy)?;
        let told = fitted.reference(Input::Label)?;
        let right = told.values().iter().zip(fitted.labels());
        let right = right.map(|(told, label)| *told == f64::from(*label));
        let confidences = entropy.values().iter().map(|entropy| -entropy);
        let thresholded = Thresholded::fit(&confidences.zip(right).collect::<Vec<_>>())?;
        let new = |input| fitted.sample(input, self.new);
        let estimate = new(Input::Entropy).map(|entropy| {
            let confidences: Vec<f64> = entropy.values().iter().map(|entropy| -entropy).collect();
            thresholded.estimate(&confidences)
        });
        let actual = self.new.truth().map(|truth| {
            let pairs = self.new.labels().iter().zip(truth);
            let right = pairs.filter(|(told, label)| told == label);
            right.count() as f64 / truth.len().max(1) as f64
        });
        match estimate {
            Ok(estimated) => Some(Accuracy {
                reference: thresholded.accuracy,
                estimated,
                threshold: thresholded.threshold,
                actual,
            }),
            Err(error) => {
                self.notes.push(format!("accuracy: {error}"));
                None
            }
        }
    }

    fn outliers(&mut self) -> Option<Outliers> {
        let outlier = self.fitted.outliers()?;
        if !self.new.has(outlier.input()) {
            return None;
        }
        let scores = match self.fitted.outlier_scores(self.new) {
            Ok(scores) => scores?,
            Err(error) => {
                self.notes.push(format!("outliers: {error}"));
                return None;
            }
        };
        let mut strange: Vec<(usize, f64)> = scores
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, score)| outlier.is_outlier(*score))
            .collect();
        let rows = strange.len();
        strange.sort_by(|a, b| b.1.total_cmp(&a.1));
        strange.truncate(SHOWN);
        Some(Outliers {
            method: outlier.method().name().to_owned(),
            false_positives: outlier.false_positives(),
            threshold: outlier.threshold(),
            rows,
            share: rows as f64 / scores.len().max(1) as f64,
            strangest: self.named(&strange, self.new_classes().as_ref()),
        })
    }

    fn witnesses(&mut self) -> Option<Witnesses> {
        let inputs = [Input::Embedding, Input::Softmax];
        let is_there =
            |input: &Input| self.new.has(*input) && self.fitted.reference(*input).is_some();
        let input = inputs.into_iter().find(is_there)?;
        match self.witnesses_by(input) {
            Ok(found) => Some(found),
            Err(error) => {
                self.notes.push(format!("most unlike pictures: {error}"));
                None
            }
        }
    }

    fn witnesses_by(&self, input: Input) -> Result<Witnesses, Error> {
        let fitted = self.fitted;
        let why = "the reference has none";
        let reference = fitted.reference(input);
        let reference = reference.ok_or(Error::NoInput { input, why })?;
        let new = self.few_of(&fitted.sample(input, self.new)?)?;
        let kernel = Gaussian::of_median(reference)?;
        let unlike = most_unlike(&kernel, reference, &new, SHOWN)?;
        let unlike: Vec<(usize, f64)> = unlike
            .iter()
            .map(|one| (self.few[one.row], one.value))
            .collect();
        let shown = &fitted.thumbnails().rows;
        let mut typical: Vec<(usize, f64)> = if shown.is_empty() {
            Vec::new()
        } else {
            let places = rows::pick(reference, shown)?;
            let values = witness(&kernel, reference, &new, &places)?;
            values.into_iter().enumerate().collect()
        };
        typical.sort_by(|a, b| b.1.total_cmp(&a.1));
        typical.truncate(SHOWN);
        // The classes of thumbnails, in their order.
        let told = fitted.reference(Input::Label);
        let told = told.and_then(|all| rows::pick(all, shown).ok());
        Ok(Witnesses {
            input,
            unlike: self.named(&unlike, self.new_classes().as_ref()),
            typical: self.named(&typical, told.as_ref()),
        })
    }

    fn new_classes(&self) -> Option<Sample> {
        self.fitted.sample(Input::Label, self.new).ok()
    }

    /// Writes the predicted class beside each row; `told` has one index for each.
    fn named(&self, rows: &[(usize, f64)], told: Option<&Sample>) -> Vec<Witness> {
        let class = |row: usize| {
            let index = told?.values().get(row)?;
            self.fitted.classes.get(*index as usize).cloned()
        };
        rows.iter()
            .map(|(row, value)| Witness {
                row: *row,
                value: *value,
                class: class(*row).unwrap_or_default(),
                picture: None,
            })
            .collect()
    }
}

/// Returns `count`, or as many permutations as it takes for p to be below `level`: parameters were held against the
/// level of a check that stands alone. Beyond what parameters may ask for, the detector says that it cannot tell.
pub(super) fn enough(count: usize, level: f64) -> usize {
    match TooFewPermutations::check(count, level) {
        Ok(Some(few)) => few.needed.clamp(count, PERMUTATIONS_MAX.max(count)),
        Ok(None) | Err(_) => count,
    }
}

/// Says why a detector could not be computed, with the name of the feature that an error counts.
fn with_column(error: &Error, names: &[String]) -> String {
    let (Error::Numbers { source, .. } | Error::Detector { source, .. }) = error else {
        return error.to_string();
    };
    let column = if let drift::Error::NotFinite { column, .. }
    | drift::Error::NotCategory { column, .. }
    | drift::Error::ConstantFeature { column, .. } = source
    {
        names.get(*column)
    } else {
        None
    };
    match column {
        Some(name) => format!("{source} (feature `{name}`)"),
        None => source.to_string(),
    }
}
