//! All figures of one evaluation, from labels and logits. Pure. Imports: `evaluate::*`,
//! `vision::predict`.

use crate::vision::predict::Logits;

use super::bootstrap::{self, Interval};
use super::classification::{Average, ClassScores, Confusion};
use super::params::EvaluateParams;
use super::probability::{self, Bin};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationInput<'a> {
    /// Class names.
    pub classes: &'a [String],
    /// The class of each picture.
    pub labels: &'a [u32],
    /// What the network said of each picture.
    pub logits: &'a Logits,
    /// Where each picture came from.
    pub paths: &'a [String],
}

/// How good a network is on some pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Class names.
    pub classes: Vec<String>,
    /// Pictures judged.
    pub images: usize,
    /// Share told right.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub accuracy_interval: Option<Interval>,
    /// The k of `top_k_accuracy`: `evaluate.top_k`, or the number of classes if that is less.
    pub top_k: usize,
    /// Share whose class is among the k likeliest.
    pub top_k_accuracy: f64,
    /// Scores of each class.
    pub per_class: Vec<ClassScores>,
    /// Mean over classes.
    pub macro_average: Average,
    /// The 95 % interval of the macro F1.
    pub macro_f1_interval: Option<Interval>,
    /// Mean over pictures.
    pub weighted_average: Average,
    /// Mean cross entropy.
    pub log_loss: f64,
    /// Mean squared error of the probabilities, 0..=2.
    pub brier: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// The bins of the calibration error.
    pub bins: Vec<Bin>,
    /// Mean area under the ROC curves, one class against the rest.
    pub roc_auc: Option<f64>,
    /// How often each class was taken for each.
    pub confusion: Confusion,
    /// The most confident mistakes, most confident first.
    pub worst: Vec<Mistake>,
}

/// A picture that was taken for something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Its index among the pictures judged.
    pub index: usize,
    /// Where it came from.
    pub path: String,
    /// Its class.
    pub label: usize,
    /// What it was taken for.
    pub decision: usize,
    /// The probability of `decision`.
    pub confidence: f64,
    /// The probability of `label`.
    pub label_probability: f64,
}

/// Judges a network's logits.
///
/// # Panics
/// If there are not as many labels and paths as rows of logits, or a label is no class.
#[must_use]
pub fn evaluate(input: EvaluationInput<'_>, params: &EvaluateParams) -> Evaluation {
    let (labels, classes) = (input.labels, input.classes.len());
    let probabilities = input.logits.probabilities();
    assert_eq!(
        (labels.len(), input.paths.len(), input.logits.classes),
        (probabilities.len(), probabilities.len(), classes),
        "one label, one path and one row for each picture"
    );
    let decisions: Vec<usize> = probabilities
        .iter()
        .map(|row| probability::decide(row))
        .collect();
    let pairs: Vec<(usize, usize)> = labels
        .iter()
        .map(|l| *l as usize)
        .zip(decisions.iter().copied())
        .collect();
    let confusion = Confusion::count(classes, pairs.iter().copied());
    let per_class = confusion.scores();
    let intervals = bootstrap::intervals(&pairs, classes, params.bootstrap, params.seed);
    let bins = probability::bins(&probabilities, labels);
    let top_k = params.top_k.min(classes);
    Evaluation {
        classes: input.classes.to_vec(),
        images: labels.len(),
        accuracy: confusion.accuracy(),
        accuracy_interval: intervals.map(|i| i.accuracy),
        top_k,
        top_k_accuracy: probability::top_k(&probabilities, labels, top_k),
        macro_average: Average::macro_of(&per_class, &confusion),
        macro_f1_interval: intervals.map(|i| i.macro_f1),
        weighted_average: Average::weighted_of(&per_class),
        log_loss: probability::log_loss(&probabilities, labels),
        brier: probability::brier(&probabilities, labels),
        ece: probability::calibration_error(&bins),
        roc_auc: probability::roc_auc(&probabilities, labels),
        worst: worst(&pairs, &probabilities, input.paths, params.worst),
        per_class,
        bins,
        confusion,
    }
}

/// Returns the `most` most confident mistakes; of equally confident ones in order of index.
fn worst(
    pairs: &[(usize, usize)],
    probabilities: &[Vec<f64>],
    paths: &[String],
    most: usize,
) -> Vec<Mistake> {
    let mistake = |(index, &(label, decision)): (usize, &(usize, usize))| {
        (label != decision).then(|| Mistake {
            index,
            path: paths[index].clone(),
            label,
            decision,
            confidence: probabilities[index][decision],
            label_probability: probabilities[index][label],
        })
    };
    let mut mistakes: Vec<Mistake> = pairs.iter().enumerate().filter_map(mistake).collect();
    mistakes.sort_by(|a, b| {
        b.confidence
            .total_cmp(&a.confidence)
            .then(a.index.cmp(&b.index))
    });
    mistakes.truncate(most);
    mistakes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::vision::evaluate::params::EvaluatedSplit;

    pub(in crate::vision::evaluate) const PARAMS: EvaluateParams = EvaluateParams {
        split: EvaluatedSplit::Test,
        top_k: 3,
        bootstrap: 200,
        worst: 5,
        seed: 1,
    };

    /// Forty pictures of four classes with logits from a small formula that Python repeats exactly.
    pub(in crate::vision::evaluate) fn formula() -> (Vec<String>, Vec<u32>, Logits, Vec<String>) {
        let classes = ["ant", "bee", "cat", "dog"].map(str::to_owned).to_vec();
        let labels: Vec<u32> = (0..40).map(|i| (i * 7 % 11 % 4) as u32).collect();
        let rows = (0..40u32).flat_map(|i| {
            (0..4u32).map(move |c| {
                let noise = ((i * 37 + c * 101) % 64) as f32 / 16.0;
                let hint = if c == i * 7 % 11 % 4 { 1.5 } else { 0.0 };
                noise + hint
            })
        });
        let rows = rows.collect();
        let paths = (0..40).map(|i| format!("{i}.png")).collect();
        (classes, labels, Logits { rows, classes: 4 }, paths)
    }

    /// Golden values: scikit-learn 1.9.1 and NumPy on the logits of `formula`, in f64:
    /// `accuracy_score`, `precision_recall_fscore_support`, `log_loss`, `top_k_accuracy_score`,
    /// `roc_auc_score(multi_class="ovr")`; Brier score and ECE as their formulas say.
    #[test]
    fn figures_are_those_of_scikit_learn() {
        let (classes, labels, logits, paths) = formula();
        let input = EvaluationInput {
            classes: &classes,
            labels: &labels,
            logits: &logits,
            paths: &paths,
        };
        let got = evaluate(input, &PARAMS);
        #[track_caller]
        fn close(got: f64, expected: f64) {
            assert!((got - expected).abs() < 1e-9, "{got} {expected}");
        }
        close(got.accuracy, 0.45);
        close(got.top_k_accuracy, 0.95);
        close(got.per_class[2].precision, 0.384_615_384_615_384_64);
        close(got.per_class[2].recall, 0.416_666_666_666_666_7);
        close(got.per_class[2].f1, 0.4);
        close(got.macro_average.precision, 0.468_312_937_062_937_1);
        close(got.macro_average.recall, 0.454_166_666_666_666_66);
        close(got.macro_average.f1, 0.455_263_157_894_736_8);
        close(got.weighted_average.precision, 0.469_361_888_111_888_17);
        close(got.weighted_average.recall, 0.45);
        close(got.weighted_average.f1, 0.454_210_526_315_789_5);
        close(got.log_loss, 1.002_671_044_422_659_9);
        close(got.brier, 0.560_352_736_742_656_4);
        close(got.ece, 0.276_094_658_197_222_1);
        close(got.roc_auc.unwrap(), 0.814_380_580_357_142_9);
        assert_eq!(got, evaluate(input, &PARAMS));
    }

    #[test]
    fn the_most_confident_mistakes_come_first() {
        let (classes, labels, logits, paths) = formula();
        let input = EvaluationInput {
            classes: &classes,
            labels: &labels,
            logits: &logits,
            paths: &paths,
        };
        let worst = evaluate(input, &PARAMS).worst;
        assert_eq!(worst.len(), 5);
        assert!(worst.is_sorted_by(|a, b| b.confidence <= a.confidence));
        assert!(
            worst
                .iter()
                .all(|m| m.label != m.decision && m.label_probability < m.confidence)
        );
    }

    #[test]
    fn nothing_to_judge_is_no_panic() {
        let classes = ["a", "b"].map(str::to_owned);
        let logits = Logits {
            rows: Vec::new(),
            classes: 2,
        };
        let input = EvaluationInput {
            classes: &classes,
            labels: &[],
            logits: &logits,
            paths: &[],
        };
        let got = evaluate(input, &PARAMS);
        assert_eq!(
            (got.images, got.accuracy_interval, got.roc_auc),
            (0, None, None)
        );
    }
}
