//! Figures from predictions: what is right, what each class is worth, what a threshold does. Pure.
//!
//! Below a threshold a picture is not decided: it is handed to somebody else. *Coverage* is the share
//! that is decided, *accuracy* the share of those that is right. Imports: `evaluation::predictions`.

use super::predictions::{Predictions, Said};

/// Bins of the calibration error, as in Guo et al. 2017.
const BINS: usize = 15;
/// Thresholds of a slider: 0, 0.01 … 1.
pub(in crate::ui) const STEPS: usize = 101;

/// Scores of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::ui) struct ClassScores {
    /// Pictures of the class, decided or not.
    pub(in crate::ui) support: u64,
    /// Those of them that are decided.
    pub(in crate::ui) decided: u64,
    /// Pictures that were taken for the class.
    pub(in crate::ui) predicted: u64,
    /// Those of them that are of it.
    pub(in crate::ui) right: u64,
}

impl ClassScores {
    /// Returns the share of what was taken for the class that is of it; 0 without any, as in
    /// scikit-learn.
    pub(in crate::ui) fn precision(&self) -> f64 {
        share(self.right, self.predicted)
    }

    /// Returns the share of the class that was recognised, of what was decided.
    pub(in crate::ui) fn recall(&self) -> f64 {
        share(self.right, self.decided)
    }

    /// Returns the harmonic mean of both.
    pub(in crate::ui) fn f1(&self) -> f64 {
        share(2 * self.right, self.predicted + self.decided)
    }
}

/// What a threshold does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::ui) struct Judged {
    /// Pictures.
    pub(in crate::ui) images: u64,
    /// Those that are decided.
    pub(in crate::ui) decided: u64,
    /// Those of them that are right.
    pub(in crate::ui) right: u64,
    /// Pictures that are wrong without a threshold.
    pub(in crate::ui) wrong_in_all: u64,
    /// Scores of each class.
    pub(in crate::ui) classes: Vec<ClassScores>,
}

impl Judged {
    /// Returns the share that is decided.
    pub(in crate::ui) fn coverage(&self) -> f64 {
        share(self.decided, self.images)
    }

    /// Returns the share of what is decided that is right; `None` if nothing is.
    pub(in crate::ui) fn accuracy(&self) -> Option<f64> {
        (0 < self.decided).then(|| share(self.right, self.decided))
    }

    /// Returns the mistakes that are left.
    pub(in crate::ui) fn wrong(&self) -> u64 {
        self.decided - self.right
    }

    /// Returns the mean F1 over classes that have pictures or were named, as scikit-learn has it.
    pub(in crate::ui) fn macro_f1(&self) -> f64 {
        let present = |c: &&ClassScores| 0 < c.support + c.predicted;
        let of: Vec<f64> = self
            .classes
            .iter()
            .filter(present)
            .map(ClassScores::f1)
            .collect();
        if of.is_empty() {
            0.0
        } else {
            of.iter().sum::<f64>() / of.len() as f64
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Is a picture decided? Confidences are compared as they are written, with six decimals.
pub(in crate::ui) fn is_decided(said: &Said, threshold: f64) -> bool {
    threshold <= f64::from(said.confidence) + 5e-7
}

/// Returns what is decided at `threshold`, and how well.
pub(in crate::ui) fn judge(predictions: &Predictions, threshold: f64) -> Judged {
    let mut judged = Judged {
        images: predictions.len() as u64,
        classes: vec![ClassScores::default(); predictions.classes.len()],
        ..Judged::default()
    };
    for said in &predictions.said {
        let is_right = said.is_right();
        judged.wrong_in_all += u64::from(!is_right);
        judged.classes[said.label as usize].support += 1;
        if !is_decided(said, threshold) {
            continue;
        }
        judged.decided += 1;
        judged.classes[said.label as usize].decided += 1;
        judged.classes[said.predicted as usize].predicted += 1;
        if is_right {
            judged.right += 1;
            judged.classes[said.label as usize].right += 1;
        }
    }
    judged
}

/// What every step of a slider does.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ui) struct Slider {
    /// Decided and right, for each of the `STEPS` thresholds.
    pub(in crate::ui) all: Vec<[u64; 2]>,
    /// Decided, predicted and right of each class, for each threshold; empty for many classes.
    pub(in crate::ui) classes: Vec<Vec<[u64; 3]>>,
}

/// Returns what every step of a slider does; classes only if they are at most `classes_max`.
pub(in crate::ui) fn slider(predictions: &Predictions, classes_max: usize) -> Slider {
    let classes = Some(predictions.classes.len()).filter(|n| *n <= classes_max);
    let mut all = vec![[0; 2]; STEPS];
    let mut of_class = vec![vec![[0; 3]; STEPS]; classes.unwrap_or(0)];
    for said in &predictions.said {
        // The last step at which it is decided.
        let guess = (f64::from(said.confidence) * (STEPS - 1) as f64) as usize;
        let is_at = |step: &usize| is_decided(said, *step as f64 / (STEPS - 1) as f64);
        let last = [guess + 1, guess]
            .into_iter()
            .filter(|s| *s < STEPS)
            .find(is_at);
        let last = last.unwrap_or(guess.saturating_sub(1));
        let right = u64::from(said.is_right());
        all[last][0] += 1;
        all[last][1] += right;
        if let Some(scores) = of_class.get_mut(said.label as usize) {
            scores[last][0] += 1;
            scores[last][2] += right;
        }
        if let Some(scores) = of_class.get_mut(said.predicted as usize) {
            scores[last][1] += 1;
        }
    }
    // What is decided at a threshold is decided at all lower ones.
    for step in (0..STEPS - 1).rev() {
        add_next(&mut all, step);
        for scores in &mut of_class {
            add_next(scores, step);
        }
    }
    Slider {
        all,
        classes: of_class,
    }
}

fn add_next<const N: usize>(steps: &mut [[u64; N]], step: usize) {
    let next = steps[step + 1];
    for (sum, more) in steps[step].iter_mut().zip(next) {
        *sum += more;
    }
}

/// Predictions whose confidence lies in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::ui) struct Bin {
    /// How many.
    pub(in crate::ui) count: u64,
    /// The sum of their confidences.
    pub(in crate::ui) confidence: f64,
    /// How many are right.
    pub(in crate::ui) right: u64,
}

/// Returns bins of equal width, from 0 to 1; each holds its upper end.
pub(in crate::ui) fn bins(predictions: &Predictions) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); BINS];
    for said in &predictions.said {
        let confidence = f64::from(said.confidence);
        let at = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut bins[at.clamp(1, BINS) - 1];
        bin.count += 1;
        bin.confidence += confidence;
        bin.right += u64::from(said.is_right());
    }
    bins
}

/// Returns the expected calibration error: how far confidence and accuracy are apart on average.
pub(in crate::ui) fn calibration_error(bins: &[Bin]) -> f64 {
    let all: u64 = bins.iter().map(|bin| bin.count).sum();
    let gap = |bin: &Bin| (bin.confidence - bin.right as f64).abs();
    if all == 0 {
        0.0
    } else {
        bins.iter().map(gap).sum::<f64>() / all as f64
    }
}

/// Returns the mean cross entropy, with probabilities kept from 0 by what six decimals cannot say;
/// `None` if the file says no probabilities.
pub(in crate::ui) fn log_loss(predictions: &Predictions) -> Option<f64> {
    let mut sum = 0.0;
    for said in &predictions.said {
        sum -= f64::from(said.label_probability?).max(5e-7).ln();
    }
    (0 < predictions.len()).then(|| sum / predictions.len() as f64)
}

/// How well one class is told from all others, threshold by threshold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::ui) struct OneAgainstRest {
    /// False positives and true positives as shares: the ROC curve.
    pub(in crate::ui) roc: Vec<(f64, f64)>,
    /// Recall and precision.
    pub(in crate::ui) precision_recall: Vec<(f64, f64)>,
    /// The area under the ROC curve.
    pub(in crate::ui) auc: f64,
    /// Average precision: precisions weighted by the gain of recall, as in scikit-learn.
    pub(in crate::ui) average_precision: f64,
}

/// Returns the curves of `class`, of at most some hundred points each; `None` without probabilities,
/// or if all or no pictures are of the class.
pub(in crate::ui) fn one_against_rest(
    predictions: &Predictions,
    class: u32,
) -> Option<OneAgainstRest> {
    const POINTS_MAX: usize = 400;
    let scores = predictions.scores_of(class)?;
    let mut rows: Vec<(f32, bool)> = scores
        .into_iter()
        .zip(&predictions.said)
        .map(|(score, said)| (score, said.label == class))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = rows.iter().filter(|row| row.1).count();
    let negatives = rows.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut curves = OneAgainstRest {
        roc: vec![(0.0, 0.0)],
        ..OneAgainstRest::default()
    };
    let every = rows.len().div_ceil(POINTS_MAX);
    let (mut hits, mut false_alarms, mut before, mut shown) = (0, 0, (0.0, 0.0), 0);
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        let of_class = same.iter().filter(|row| row.1).count();
        hits += of_class;
        false_alarms += same.len() - of_class;
        let x = false_alarms as f64 / negatives as f64;
        let recall = hits as f64 / positives as f64;
        let precision = hits as f64 / (hits + false_alarms) as f64;
        curves.auc += (x - before.0) * f64::midpoint(recall, before.1);
        curves.average_precision += (recall - before.1) * precision;
        before = (x, recall);
        let seen = hits + false_alarms;
        if shown + every <= seen || seen == rows.len() || seen == same.len() {
            shown = seen;
            curves.roc.push((x, recall));
            curves.precision_recall.push((recall, precision));
        }
    }
    Some(curves)
}

/// Which of two evaluations of the same pictures is right where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ui) struct Versus {
    /// Pictures of both: a row of the first, a row of the second.
    pub(in crate::ui) pairs: Vec<(u32, u32)>,
    /// Both right.
    pub(in crate::ui) both: u64,
    /// Both wrong.
    pub(in crate::ui) neither: u64,
    /// Right in the first only.
    pub(in crate::ui) first: u64,
    /// Right in the second only.
    pub(in crate::ui) second: u64,
    /// Pictures of only one of the two.
    pub(in crate::ui) alone: u64,
}

impl Versus {
    /// Returns how likely a difference as large is by chance if both are equally good: the exact
    /// two-sided test of `McNemar` (1947) on the pictures where they differ.
    pub(in crate::ui) fn p_value(&self) -> f64 {
        let (n, k) = (self.first + self.second, self.first.min(self.second));
        if n == 0 {
            return 1.0;
        }
        // ln of the binomial coefficients, so that nothing overflows; the tail ends where it is nothing.
        let half = -(n as f64) * std::f64::consts::LN_2;
        let (mut coefficient, mut tail) = (0.0, 0.0);
        for i in 0..=k {
            tail += (half + coefficient).exp();
            coefficient += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
        }
        (2.0 * tail).min(1.0)
    }
}

/// Puts two evaluations beside each other by what their pictures are: by content, or by path where
/// that is not known. Of a picture that occurs more than once each occurrence counts.
pub(in crate::ui) fn versus(a: &Predictions, b: &Predictions) -> Versus {
    fn key(p: &Predictions, row: usize) -> (&str, &str) {
        let place = &p.places[row];
        (&place.content, &place.path)
    }
    let sorted = |p: &Predictions| {
        let mut rows: Vec<usize> = (0..p.len()).collect();
        rows.sort_by(|x, y| key(p, *x).cmp(&key(p, *y)));
        rows
    };
    let (rows_a, rows_b) = (sorted(a), sorted(b));
    let mut result = Versus::default();
    let (mut i, mut j) = (0, 0);
    while i < rows_a.len() && j < rows_b.len() {
        match key(a, rows_a[i]).cmp(&key(b, rows_b[j])) {
            std::cmp::Ordering::Less => (i, result.alone) = (i + 1, result.alone + 1),
            std::cmp::Ordering::Greater => (j, result.alone) = (j + 1, result.alone + 1),
            std::cmp::Ordering::Equal => {
                result.pairs.push((rows_a[i] as u32, rows_b[j] as u32));
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    result.alone += (rows_a.len() - i + rows_b.len() - j) as u64;
    result.pairs.sort_unstable();
    for (row_a, row_b) in &result.pairs {
        let right = (
            a.said[*row_a as usize].is_right(),
            b.said[*row_b as usize].is_right(),
        );
        *match right {
            (true, true) => &mut result.both,
            (false, false) => &mut result.neither,
            (true, false) => &mut result.first,
            (false, true) => &mut result.second,
        } += 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Rows of label, predicted, confidence.
    fn predictions(rows: &[(&str, &str, f64)]) -> Predictions {
        let mut text = String::new();
        for (at, (label, predicted, confidence)) in rows.iter().enumerate() {
            let rest = if label == predicted {
                "\"other\":0.0"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                r#"{{"path":"{at}","label":"{label}","predicted":"{predicted}","confidence":{confidence},"probabilities":{{"{predicted}":{confidence}{}{rest}}}}}"#,
                if rest.is_empty() { "" } else { "," },
            );
        }
        Predictions::parse(text.as_bytes()).unwrap()
    }

    fn pets() -> Predictions {
        predictions(&[
            ("cat", "cat", 0.9),
            ("cat", "cat", 0.6),
            ("cat", "dog", 0.8),
            ("dog", "dog", 0.95),
            ("dog", "cat", 0.55),
        ])
    }

    #[test]
    fn a_threshold_decides_fewer_and_better() {
        let pets = pets();
        let all = judge(&pets, 0.0);
        assert_eq!(
            (all.coverage(), all.accuracy(), all.wrong()),
            (1.0, Some(0.6), 2)
        );
        let (cat, dog) = (all.classes[0], all.classes[1]);
        assert_eq!(
            (cat.precision(), cat.recall(), cat.support),
            (2.0 / 3.0, 2.0 / 3.0, 3)
        );
        assert_eq!((dog.precision(), dog.recall(), dog.f1()), (0.5, 0.5, 0.5));
        assert!((all.macro_f1() - f64::midpoint(2.0 / 3.0, 0.5)).abs() < 1e-12);
        let strict = judge(&pets, 0.9);
        assert_eq!(
            (strict.decided, strict.accuracy(), strict.wrong()),
            (2, Some(1.0), 0)
        );
        assert_eq!(judge(&pets, 1.0).accuracy(), None);
    }

    #[test]
    fn each_step_of_the_slider_is_what_judging_at_it_gives() {
        let rows: Vec<(&str, &str, f64)> = (0..=1000)
            .map(|i| {
                let confidence = f64::from(i) / 1000.0;
                (
                    ["cat", "dog"][i as usize % 2],
                    ["cat", "dog", "dog"][i as usize % 3],
                    confidence,
                )
            })
            .collect();
        let rows = predictions(&rows);
        let slider = slider(&rows, 10);
        for step in 0..STEPS {
            let judged = judge(&rows, step as f64 / 100.0);
            assert_eq!(slider.all[step], [judged.decided, judged.right], "{step}");
            for (class, scores) in judged.classes.iter().enumerate() {
                let expected = [scores.decided, scores.predicted, scores.right];
                assert_eq!(slider.classes[class][step], expected, "{step}");
            }
        }
        assert!(super::slider(&rows, 1).classes.is_empty());
    }

    #[test]
    fn calibration_is_the_mean_gap() {
        let bins = bins(&predictions(&[
            ("a", "a", 1.0),
            ("a", "b", 1.0),
            ("a", "a", 0.0),
        ]));
        assert_eq!((bins[14].count, bins[0].count), (2, 1));
        assert!((calibration_error(&bins) - 2.0 / 3.0).abs() < 1e-12);
    }

    /// Golden values: scikit-learn's `roc_auc_score` and `average_precision_score` of
    /// `[0, 0, 1, 1]` and `[0.1, 0.4, 0.35, 0.8]` (the example of its documentation).
    #[test]
    fn curves_are_those_of_scikit_learn() {
        let mut rows = String::new();
        for (label, p) in [("no", 0.1), ("no", 0.4), ("yes", 0.35), ("yes", 0.8)] {
            let _ = writeln!(
                rows,
                r#"{{"label":"{label}","predicted":"yes","confidence":{p},"probabilities":{{"yes":{p}}}}}"#
            );
        }
        let rows = Predictions::parse(rows.as_bytes()).unwrap();
        let curves = one_against_rest(&rows, rows.class("yes").unwrap()).unwrap();
        assert!((curves.auc - 0.75).abs() < 1e-9);
        assert!((curves.average_precision - 0.833_333_333).abs() < 1e-6);
        assert_eq!(curves.roc.last(), Some(&(1.0, 1.0)));
        assert_eq!(one_against_rest(&pets(), 99), None);
    }

    #[test]
    fn two_evaluations_are_put_together_picture_by_picture() {
        let better = predictions(&[
            ("cat", "cat", 0.9),
            ("cat", "cat", 0.6),
            ("cat", "cat", 0.8),
            ("dog", "cat", 0.95),
        ]);
        let versus = versus(&pets(), &better);
        assert_eq!((versus.both, versus.neither), (2, 0));
        assert_eq!((versus.first, versus.second, versus.alone), (1, 1, 1));
        assert_eq!(versus.pairs.len(), 4);
        assert!((versus.p_value() - 1.0).abs() < 1e-12);
        // scipy.stats.binomtest(2, 12).pvalue
        let p = |first, second| {
            Versus {
                first,
                second,
                ..Versus::default()
            }
            .p_value()
        };
        assert!((p(2, 10) - 0.038_574_218_75).abs() < 1e-9);
        assert!((p(0, 0) - 1.0).abs() < 1e-12);
        assert!(p(100_000, 101_000) < 0.03);
    }
}
