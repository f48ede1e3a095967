//! Can classes be told by one simple property alone: brightness, size, file format? Then a network will
//! learn that instead of what the pictures show. Pure. Imports: drift, `audit::{bins, columns, folds}`.
//!
//! The classifier is a histogram: shares of the bins of the property in each class, learnt from four
//! folds and asked about the fifth, with equal prior probabilities. So balanced accuracy is what it is
//! about, and chance is 1 / classes.

use serde::Serialize;

use crate::drift;
use crate::drift::correction::Correction;
use crate::drift::univariate::Alternative;
use crate::drift::univariate::fisher::{self, Share};

use super::bins::Bins;
use super::columns::Measure;
use super::folds::FOLDS;

/// Bins of a property.
const BINS: usize = 16;
/// Part of a class's shares that is taken from all pictures, so that a bin which a class has not been
/// seen in is improbable rather than impossible.
const SMOOTHING: f64 = 0.05;

/// When a property counts as a shortcut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShortcutParams {
    /// Skill from which on it does, 0..=1.
    pub skill_min: f64,
    /// Pictures that a class must have at least.
    pub support_min: usize,
    /// Significance level, after correction for the number of properties and classes.
    pub alpha: f64,
}

/// How well a property alone tells classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shortcut {
    /// The property.
    pub property: &'static str,
    /// Index of the class that is told from all others; `null`: all classes from each other.
    pub class: Option<u32>,
    /// Mean over the classes (or the class and the rest) of the share that was told right, out of fold.
    pub balanced_accuracy: f64,
    /// What guessing gives.
    pub chance: f64,
    /// Where the balanced accuracy lies between chance, 0, and certainty, 1.
    pub skill: f64,
    /// Area under the ROC curve of the class against the rest; `null` for all classes.
    pub auc: Option<f64>,
    /// Of a test against chance, adjusted for the number of properties and classes.
    pub p: f64,
    /// Whether skill and significance are above their limits.
    pub alarm: bool,
}

/// Returns how well each of `measures` alone tells the classes: all at once for every property that
/// varies, and one class against the rest where that raises the alarm; the best first. `folds` holds the
/// fold of each picture. Empty if fewer than two classes have `support_min` pictures.
///
/// # Errors
/// `params.alpha` is not between 0 and 1.
pub(super) fn shortcuts(
    measures: &[Measure],
    labels: &[u32],
    folds: &[usize],
    params: ShortcutParams,
) -> Result<Vec<Shortcut>, drift::Error> {
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut found = Vec::new();
    for measure in measures {
        let bins = Bins::values_or_quantiles(&measure.values, BINS);
        let cells = Cells::count(measure, &bins, labels, classes, folds);
        let able: Vec<usize> = (0..classes)
            .filter(|class| params.support_min.max(1) as u64 <= cells.support(*class))
            .collect();
        if bins.len() < 2 || able.len() < 2 {
            continue;
        }
        let mut smallest = 1.0_f64;
        for class in &able {
            let one = cells.one(measure.name, *class)?;
            smallest = smallest.min(one.p);
            found.push(one);
        }
        // Bonferroni: the classes differ if one differs from the rest.
        let p = (smallest * able.len() as f64).min(1.0);
        found.push(cells.all(measure.name, &able, p));
    }
    if found.is_empty() {
        return Ok(found);
    }
    let p: Vec<f64> = found.iter().map(|shortcut| shortcut.p).collect();
    let adjusted = Correction::BenjaminiHochberg
        .decide(&p, params.alpha)?
        .adjusted_p;
    for (shortcut, p) in found.iter_mut().zip(adjusted) {
        shortcut.p = p;
        shortcut.alarm = params.skill_min <= shortcut.skill && p < params.alpha;
    }
    found.retain(|shortcut| shortcut.alarm || shortcut.class.is_none());
    found.sort_by(|a, b| b.skill.total_cmp(&a.skill));
    Ok(found)
}

/// Pictures by fold, bin and class: all that the classifiers learn from and are judged by.
struct Cells {
    bins: usize,
    classes: usize,
    /// `[folds, bins, classes]`.
    counts: Vec<u64>,
    /// The same over all classes: `[folds, bins]`.
    totals: Vec<u64>,
}

/// A class, or all others.
#[derive(Clone, Copy)]
enum Side {
    Class,
    Rest,
}

impl Cells {
    fn count(
        measure: &Measure,
        bins: &Bins,
        labels: &[u32],
        classes: usize,
        folds: &[usize],
    ) -> Self {
        let mut counts = vec![0; FOLDS * bins.len() * classes];
        let mut totals = vec![0; FOLDS * bins.len()];
        for ((value, label), fold) in measure.values.iter().zip(labels).zip(folds) {
            let cell = fold * bins.len() + bins.of(*value);
            counts[cell * classes + *label as usize] += 1;
            totals[cell] += 1;
        }
        Self {
            bins: bins.len(),
            classes,
            counts,
            totals,
        }
    }

    fn at(&self, fold: usize, bin: usize, class: usize) -> u64 {
        self.counts[(fold * self.bins + bin) * self.classes + class]
    }

    fn total(&self, fold: usize, bin: usize) -> u64 {
        self.totals[fold * self.bins + bin]
    }

    fn support(&self, class: usize) -> u64 {
        let cells = (0..FOLDS).flat_map(|fold| (0..self.bins).map(move |bin| (fold, bin)));
        cells.map(|(fold, bin)| self.at(fold, bin, class)).sum()
    }

    /// Returns the smoothed share of each bin on one side of `class`, outside of `fold`.
    fn shares(&self, fold: usize, class: usize, side: Side) -> Vec<f64> {
        let others = || (0..FOLDS).filter(move |other| *other != fold);
        let total = |bin: usize| others().map(|fold| self.total(fold, bin)).sum::<u64>();
        let of_class = |bin: usize| others().map(|fold| self.at(fold, bin, class)).sum::<u64>();
        let all: Vec<f64> = (0..self.bins).map(|bin| total(bin) as f64).collect();
        let counts: Vec<f64> = (0..self.bins)
            .map(|bin| match side {
                Side::Class => of_class(bin) as f64,
                Side::Rest => (total(bin) - of_class(bin)) as f64,
            })
            .collect();
        let sum = |counts: &[f64]| counts.iter().sum::<f64>().max(1.0);
        let (sum_counts, sum_all) = (sum(&counts), sum(&all));
        counts
            .iter()
            .zip(&all)
            .map(|(n, all)| (1.0 - SMOOTHING) * n / sum_counts + SMOOTHING * all / sum_all)
            .collect()
    }

    /// Tells the `able` classes from each other; `p` is that of a class told from the rest.
    fn all(&self, property: &'static str, able: &[usize], p: f64) -> Shortcut {
        let mut right = vec![0; self.classes];
        for fold in 0..FOLDS {
            let shares: Vec<(usize, Vec<f64>)> = able
                .iter()
                .map(|class| (*class, self.shares(fold, *class, Side::Class)))
                .collect();
            for bin in 0..self.bins {
                // Of equals the first, as everywhere.
                let best = shares
                    .iter()
                    .rev()
                    .max_by(|a, b| a.1[bin].total_cmp(&b.1[bin]));
                if let Some((best, _)) = best {
                    right[*best] += self.at(fold, bin, *best);
                }
            }
        }
        let recall = |class: &usize| right[*class] as f64 / self.support(*class) as f64;
        let balanced_accuracy = able.iter().map(recall).sum::<f64>() / able.len() as f64;
        Shortcut::new(property, None, balanced_accuracy, able.len(), p)
    }

    /// Tells one class from the rest.
    fn one(&self, property: &'static str, class: usize) -> Result<Shortcut, drift::Error> {
        let mut scored = Vec::new();
        for fold in 0..FOLDS {
            let of_class = self.shares(fold, class, Side::Class);
            let of_rest = self.shares(fold, class, Side::Rest);
            for bin in 0..self.bins {
                let sum = of_class[bin] + of_rest[bin];
                // A bin that is empty in the other folds says nothing.
                let score = if sum == 0.0 { 0.5 } else { of_class[bin] / sum };
                let members = self.at(fold, bin, class);
                scored.push(Scored {
                    fold,
                    score,
                    members,
                    others: self.total(fold, bin) - members,
                });
            }
        }
        let (of_class, of_rest) = told(scored.iter());
        let recall = of_class.ones as f64 / of_class.of as f64;
        let specificity = 1.0 - of_rest.ones as f64 / of_rest.of as f64;
        let p = significance(&scored)?;
        let balanced_accuracy = f64::midpoint(recall, specificity);
        let mut shortcut = Shortcut::new(property, Some(class as u32), balanced_accuracy, 2, p);
        shortcut.auc = Some(area(scored));
        Ok(shortcut)
    }
}

/// What the classifier of a class says of a bin, and the pictures there.
struct Scored {
    fold: usize,
    /// Above 0.5: taken for the class.
    score: f64,
    /// Pictures of the class.
    members: u64,
    others: u64,
}

/// Returns how many of the class, and of the others, were taken for it.
fn told<'a>(scored: impl Iterator<Item = &'a Scored>) -> (Share, Share) {
    let (mut of_class, mut of_rest) = (Share { ones: 0, of: 0 }, Share { ones: 0, of: 0 });
    for cell in scored {
        of_class.of += cell.members;
        of_rest.of += cell.others;
        if 0.5 < cell.score {
            of_class.ones += cell.members;
            of_rest.ones += cell.others;
        }
    }
    (of_class, of_rest)
}

/// Returns the p-value of "no better than chance": the smallest of the folds', times their number. One
/// test over all folds would be wrong, since what one fold is asked about others have learnt from: with
/// labels by chance it is significant at 1 % in 9 of 100 data sets.
fn significance(scored: &[Scored]) -> Result<f64, drift::Error> {
    let mut smallest = 1.0_f64;
    for fold in 0..FOLDS {
        let (of_class, of_rest) = told(scored.iter().filter(|cell| cell.fold == fold));
        if 0 < of_class.of && 0 < of_rest.of {
            let p = fisher::compare(of_rest, of_class, Alternative::Greater)?.p;
            smallest = smallest.min(p);
        }
    }
    Ok((FOLDS as f64 * smallest).min(1.0))
}

impl Shortcut {
    fn new(
        property: &'static str,
        class: Option<u32>,
        balanced_accuracy: f64,
        classes: usize,
        p: f64,
    ) -> Self {
        let chance = 1.0 / classes as f64;
        Self {
            property,
            class,
            balanced_accuracy,
            chance,
            skill: ((balanced_accuracy - chance) / (1.0 - chance)).max(0.0),
            auc: None,
            p,
            alarm: false,
        }
    }
}

/// The area under the ROC curve of scores with the numbers of positives and negatives that have them:
/// the probability that a positive scores higher, ties counting half. Neither may be missing altogether.
fn area(mut scored: Vec<Scored>) -> f64 {
    scored.sort_by(|a, b| a.score.total_cmp(&b.score));
    let (mut wins, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for ties in scored.chunk_by(|a, b| a.score == b.score) {
        let here = ties.iter().map(|cell| cell.members).sum::<u64>() as f64;
        let against = ties.iter().map(|cell| cell.others).sum::<u64>() as f64;
        wins += here * (negatives + against / 2.0);
        positives += here;
        negatives += against;
    }
    wins / (positives * negatives)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::super::folds::folds;
    use super::*;
    use crate::base::rng;

    const PARAMS: ShortcutParams = ShortcutParams {
        skill_min: 0.7,
        support_min: 20,
        alpha: 0.01,
    };

    fn found(columns: &[Measure], labels: &[u32], params: ShortcutParams) -> Vec<Shortcut> {
        let single: Vec<usize> = (0..labels.len()).collect();
        shortcuts(columns, labels, &folds(labels, &single, 1), params).unwrap()
    }

    fn column(name: &'static str, values: impl Iterator<Item = f64>) -> Measure {
        Measure {
            name,
            values: values.collect(),
        }
    }

    fn noise(name: &'static str, count: usize, seed: u64) -> Measure {
        let mut rng = rng::stream(seed, "test.audit.shortcut", 0);
        column(name, (0..count).map(|_| rng.random::<f64>()))
    }

    #[test]
    fn a_class_that_is_a_brightness_raises_the_alarm() {
        let labels: Vec<u32> = (0..300).map(|row| row % 3).collect();
        // Class 2 is brighter than all others; the others are alike.
        let brightness = noise("brightness", 300, 1);
        let moved = brightness.values.iter().zip(&labels);
        // In sixths: each has a bin of its own, and no bin has both sides of what tells the class.
        let moved = moved.map(|(value, label)| {
            let sixth = (value * 6.0).floor() / 6.0;
            if *label == 2 { sixth + 1.5 } else { sixth }
        });
        let columns = [column("brightness", moved), noise("contrast", 300, 2)];
        let found = found(&columns, &labels, PARAMS);
        let alarms: Vec<&Shortcut> = found.iter().filter(|shortcut| shortcut.alarm).collect();
        assert_eq!(alarms.len(), 1, "{found:?}");
        assert_eq!(
            (alarms[0].property, alarms[0].class),
            ("brightness", Some(2))
        );
        assert!(
            alarms[0].skill > 0.95 && alarms[0].auc.unwrap() > 0.99,
            "{:?}",
            alarms[0]
        );
        // One of three classes is told: (1 + ½ + ½) / 3 at best, and less than the alarm's skill.
        let all = found
            .iter()
            .find(|s| s.class.is_none() && s.property == "brightness")
            .unwrap();
        assert!((0.5..0.75).contains(&all.balanced_accuracy), "{all:?}");
    }

    #[test]
    fn kinds_tell_classes_without_an_order() {
        // Formats 0 and 2 are one class, 1 is the other.
        let labels: Vec<u32> = (0..120).map(|row| u32::from(row % 3 == 1)).collect();
        let format = column("format", (0..120).map(|row| f64::from(row % 3)));
        let found = found(&[format], &labels, PARAMS);
        assert!(
            found
                .iter()
                .all(|shortcut| shortcut.alarm && shortcut.skill == 1.0),
            "{found:?}"
        );
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn what_has_nothing_to_do_with_classes_raises_none() {
        // Even with no smallest skill, at most one data set in a hundred may: of 100 that is 1, and 6
        // in the 99.9 % band.
        let params = ShortcutParams {
            skill_min: 0.0,
            ..PARAMS
        };
        let labels: Vec<u32> = (0..400)
            .map(|row| if row < 30 { 2 } else { row % 2 })
            .collect();
        let alarms = (0..100)
            .filter(|seed| {
                let columns = [
                    noise("brightness", 400, *seed),
                    noise("contrast", 400, seed + 1000),
                ];
                found(&columns, &labels, params)
                    .iter()
                    .any(|shortcut| shortcut.alarm)
            })
            .count();
        assert!(alarms <= 6, "{alarms}");
    }

    #[test]
    fn a_weak_relation_is_told_without_alarm() {
        let labels: Vec<u32> = (0..1000).map(|row| row % 2).collect();
        let values = noise("brightness", 1000, 3);
        let moved = values.values.iter().zip(&labels);
        let moved = column(
            "brightness",
            moved.map(|(v, label)| v + 0.3 * f64::from(*label)),
        );
        let found = found(&[moved], &labels, PARAMS);
        assert_eq!(found.len(), 1);
        let all = &found[0];
        assert!(
            !all.alarm && all.p < 0.01 && (0.2..0.4).contains(&all.skill),
            "{all:?}"
        );
    }

    #[test]
    fn classes_of_few_pictures_and_constants_are_left_out() {
        let labels: Vec<u32> = (0..60).map(|row| u32::from(row < 10)).collect();
        let told = column("brightness", labels.iter().map(|label| f64::from(*label)));
        assert!(found(&[told], &labels, PARAMS).is_empty());
        let labels: Vec<u32> = (0..60).map(|row| row % 2).collect();
        let constant = column("saturation", labels.iter().map(|_| 0.0));
        assert!(found(&[constant], &labels, PARAMS).is_empty());
        assert!(found(&[], &[], PARAMS).is_empty());
    }

    #[test]
    fn areas_count_ties_half() {
        let cell = |(score, members, others)| Scored {
            fold: 0,
            score,
            members,
            others,
        };
        let of = |cells: &[(f64, u64, u64)]| area(cells.iter().copied().map(cell).collect());
        assert_eq!(of(&[(0.1, 0, 2), (0.9, 3, 0)]), 1.0);
        assert_eq!(of(&[(0.5, 3, 2)]), 0.5);
        // 2 of 3 positives above both negatives, one tied with one of them and above the other.
        let found = of(&[(0.9, 2, 0), (0.5, 1, 1), (0.2, 0, 1)]);
        assert!((found - 5.5 / 6.0).abs() < 1e-12, "{found}");
    }
}
