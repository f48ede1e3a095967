//! Which labels are probably wrong, and how many: confident learning. Pure.
//! Imports: `audit::{groups, probe}`.
//!
//! Northcutt, Jiang, Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70 (2021).
//! A picture counts as confidently of class j when its probability of j reaches what pictures labelled j
//! have on average. Counted by given and confident class, that estimates the joint distribution of given
//! and right labels; the pictures beside its diagonal are the suspects.

use serde::Serialize;

use super::groups::different;
use super::probe::Probabilities;

/// By what suspects are ranked; the lowest come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// The probability of the given label less that of the likeliest other, −1..=1.
    NormalisedMargin,
    /// The probability of the given label.
    SelfConfidence,
}

/// A picture whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// Of the picture.
    pub row: usize,
    /// Index of the class it is labelled as.
    pub given: u32,
    /// Index of the class it rather is.
    pub suggested: u32,
    /// Out-of-fold probability of the given class.
    pub given_probability: f64,
    /// Out-of-fold probability of the suggested class; greater than that of the given one.
    pub suggested_probability: f64,
    /// Normalised margin.
    pub margin: f64,
}

/// What confident learning says of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelErrors {
    /// By class: the mean probability of the class over the pictures labelled so. `None` for classes
    /// with too few different pictures: they accuse nobody and are not accused.
    pub thresholds: Vec<Option<f64>>,
    /// The estimated joint distribution of the given (first index) and the right class; adds up to 1.
    pub joint: Vec<Vec<f64>>,
    /// How many labels are wrong by that distribution. It counts; the suspects name.
    pub estimated: f64,
    /// The pictures that are confidently of another class, and likelier so; the most suspicious first.
    pub suspects: Vec<Suspect>,
}

/// Judges `labels`, one for each row of `probabilities` and below its number of classes. Classes of
/// fewer than `support_min` different pictures are left out: those of one of the `groups`, a number for
/// each row, are copies, and whoever judged them had seen none of them.
#[must_use]
pub fn label_errors(
    probabilities: &Probabilities,
    labels: &[u32],
    groups: &[usize],
    support_min: usize,
    ranking: Ranking,
) -> LabelErrors {
    let classes = probabilities.classes();
    let (thresholds, supports) = thresholds(probabilities, labels, groups, support_min);
    let mut counts = vec![vec![0.0; classes]; classes];
    let mut suspects = Vec::new();
    for (row, (p, &given)) in probabilities.rows().zip(labels).enumerate() {
        if thresholds[given as usize].is_none() {
            continue;
        }
        let Some(suggested) = confident_class(p, &thresholds) else {
            continue;
        };
        counts[given as usize][suggested] += 1.0;
        let (given_probability, suggested_probability) = (p[given as usize], p[suggested]);
        if given_probability < suggested_probability {
            suspects.push(Suspect {
                row,
                given,
                suggested: suggested as u32,
                given_probability,
                suggested_probability,
                margin: margin(p, given as usize),
            });
        }
    }
    let score = |suspect: &Suspect| match ranking {
        Ranking::NormalisedMargin => suspect.margin,
        Ranking::SelfConfidence => suspect.given_probability,
    };
    suspects.sort_by(|a, b| score(a).total_cmp(&score(b)).then(a.row.cmp(&b.row)));
    let (joint, estimated) = calibrated(counts, &supports);
    LabelErrors {
        thresholds,
        joint,
        estimated,
        suspects,
    }
}

/// Returns the threshold of each class, and how many pictures are labelled so.
fn thresholds(
    probabilities: &Probabilities,
    labels: &[u32],
    groups: &[usize],
    support_min: usize,
) -> (Vec<Option<f64>>, Vec<usize>) {
    let mut sums = vec![0.0; probabilities.classes()];
    let mut supports = vec![0; probabilities.classes()];
    for (p, &given) in probabilities.rows().zip(labels) {
        sums[given as usize] += p[given as usize];
        supports[given as usize] += 1;
    }
    let different = different(labels, groups);
    let mean = |(class, (sum, &support)): (u32, (f64, &usize))| {
        let different = different.get(&class).copied().unwrap_or(0);
        (support_min.max(1) <= different).then(|| sum / support as f64)
    };
    let thresholds = (0..).zip(sums.into_iter().zip(&supports)).map(mean);
    let thresholds = thresholds.collect();
    (thresholds, supports)
}

/// Returns the likeliest of the classes whose threshold is reached; of equals the first.
fn confident_class(p: &[f64], thresholds: &[Option<f64>]) -> Option<usize> {
    (0..p.len())
        .filter(|class| thresholds[*class].is_some_and(|threshold| threshold <= p[*class]))
        .rev()
        .max_by(|a, b| p[*a].total_cmp(&p[*b]))
}

fn margin(p: &[f64], given: usize) -> f64 {
    let others = p.iter().enumerate().filter(|(class, _)| *class != given);
    p[given] - others.map(|(_, p)| *p).fold(0.0, f64::max)
}

/// Scales each row to the pictures labelled so (equations 1 and 2 of the paper); a row without any
/// confident picture is taken as right. Returns the distribution, and the pictures beside its diagonal.
fn calibrated(mut counts: Vec<Vec<f64>>, supports: &[usize]) -> (Vec<Vec<f64>>, f64) {
    let all = supports.iter().sum::<usize>().max(1) as f64;
    let mut estimated = 0.0;
    for (class, (row, &support)) in counts.iter_mut().zip(supports).enumerate() {
        let sum: f64 = row.iter().sum();
        if sum == 0.0 {
            row[class] = 1.0;
        }
        let scale = support as f64 / sum.max(1.0);
        for cell in row.iter_mut() {
            *cell *= scale / all;
        }
        let beside = row.iter().enumerate().filter(|(other, _)| *other != class);
        estimated += all * beside.map(|(_, cell)| cell).sum::<f64>();
    }
    (counts, estimated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::super::fixtures::normal;
    use super::*;
    use crate::base::rng;

    /// Groups of pictures of which none is a copy.
    fn alone(pictures: usize) -> Vec<usize> {
        (0..pictures).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn a_small_example_by_hand() {
        // Thresholds: (0.9 + 0.8 + 0.1) / 3 = 0.6 and (0.75 + 0.85 + 0.6) / 3 = 0.7333.
        let p = [
            0.9, 0.1, 0.8, 0.2, 0.1, 0.9, 0.25, 0.75, 0.15, 0.85, 0.4, 0.6,
        ];
        let probabilities = Probabilities::new(p.to_vec(), 2).unwrap();
        let found = label_errors(
            &probabilities,
            &[0, 0, 0, 1, 1, 1],
            &alone(6),
            1,
            Ranking::NormalisedMargin,
        );
        let thresholds: Vec<f64> = found.thresholds.iter().flatten().copied().collect();
        assert!(
            close(thresholds[0], 0.6) && close(thresholds[1], 2.2 / 3.0),
            "{thresholds:?}"
        );
        // Row 5 reaches no threshold: its class's two others stand for all three.
        let expected = [[2.0 / 6.0, 1.0 / 6.0], [0.0, 3.0 / 6.0]];
        for (row, expected) in found.joint.iter().flatten().zip(expected.as_flattened()) {
            assert!(close(*row, *expected), "{:?}", found.joint);
        }
        assert!(close(found.estimated, 1.0));
        assert_eq!(found.suspects.len(), 1);
        let suspect = found.suspects[0];
        assert_eq!((suspect.row, suspect.given, suspect.suggested), (2, 0, 1));
        assert!(close(suspect.margin, -0.8) && suspect.suggested_probability == 0.9);
    }

    #[test]
    fn the_rankings_differ_with_three_classes() {
        // Both are labelled 0. The first is surely something else, the second surely not 0.
        let p = [
            0.20, 0.75, 0.05, 0.15, 0.50, 0.35, 0.9, 0.05, 0.05, 0.1, 0.45, 0.45, 0.1, 0.1, 0.8,
        ];
        let probabilities = Probabilities::new(p.to_vec(), 3).unwrap();
        let rows = |ranking| -> Vec<usize> {
            let found = label_errors(&probabilities, &[0, 0, 0, 1, 2], &alone(5), 1, ranking);
            found.suspects.iter().map(|suspect| suspect.row).collect()
        };
        assert_eq!(rows(Ranking::NormalisedMargin), [0, 1]);
        assert_eq!(rows(Ranking::SelfConfidence), [1, 0]);
    }

    #[test]
    fn classes_of_few_pictures_accuse_nobody_and_are_not_accused() {
        // Without a smallest support, class 2 would have a threshold near 0.
        let p = [
            0.6, 0.1, 0.3, 0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.2, 0.7, 0.1, 0.5, 0.45, 0.05,
        ];
        let probabilities = Probabilities::new(p.to_vec(), 3).unwrap();
        let ranking = Ranking::SelfConfidence;
        let found = label_errors(&probabilities, &[0, 0, 1, 1, 2], &alone(5), 2, ranking);
        assert_eq!(found.thresholds[2], None);
        assert!(found.suspects.is_empty(), "{:?}", found.suspects);
        assert!(close(found.joint[2][2], 0.2));
        // Nor are classes of many copies.
        let copies = label_errors(
            &probabilities,
            &[0, 0, 1, 2, 2],
            &[0, 1, 2, 3, 3],
            2,
            ranking,
        );
        assert_eq!(copies.thresholds[1..], [None, None]);
        assert!(copies.suspects.is_empty(), "{:?}", copies.suspects);
    }

    /// Probabilities as a good classifier gives them: the logits of the right class lie `apart` above.
    fn simulated(wrong: f64, apart: f64, seed: u64) -> (Probabilities, Vec<u32>, Vec<u32>) {
        let mut rng = rng::stream(seed, "test.audit.confident", 0);
        let (mut values, mut truth, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..2000_u32 {
            let class = row % 5;
            let given = if rng.random::<f64>() < wrong {
                (class + rng.random_range(1..5)) % 5
            } else {
                class
            };
            let exp: Vec<f64> = (0..5)
                .map(|other| if other == class { apart } else { 0.0 })
                .map(|logit| (logit + normal(&mut rng)).exp())
                .collect();
            let sum: f64 = exp.iter().sum();
            values.extend(exp.iter().map(|e| e / sum));
            truth.push(class);
            labels.push(given);
        }
        (Probabilities::new(values, 5).unwrap(), truth, labels)
    }

    #[test]
    fn flipped_labels_are_found_and_counted() {
        for seed in 0..5 {
            let (probabilities, truth, labels) = simulated(0.1, 5.0, seed);
            let found = label_errors(
                &probabilities,
                &labels,
                &alone(2000),
                5,
                Ranking::NormalisedMargin,
            );
            let wrong = |row: usize| truth[row] != labels[row];
            let all = (0..truth.len()).filter(|row| wrong(*row)).count() as f64;
            let hits: Vec<_> = found.suspects.iter().filter(|s| wrong(s.row)).collect();
            let (recall, precision) = (
                hits.len() as f64 / all,
                hits.len() as f64 / found.suspects.len() as f64,
            );
            assert!(recall > 0.8 && precision > 0.97, "{recall} {precision}");
            let corrected = hits.iter().filter(|s| s.suggested == truth[s.row]).count();
            assert!(corrected as f64 > 0.97 * hits.len() as f64);
            assert!(
                (found.estimated / all - 1.0).abs() < 0.1,
                "{} {all}",
                found.estimated
            );
        }
    }

    #[test]
    fn right_labels_of_a_good_classifier_raise_next_to_no_suspicion() {
        let (probabilities, _, labels) = simulated(0.0, 5.0, 1);
        let found = label_errors(
            &probabilities,
            &labels,
            &alone(2000),
            5,
            Ranking::NormalisedMargin,
        );
        assert!(found.suspects.len() <= 2, "{}", found.suspects.len());
        assert!(found.estimated <= 4.0, "{}", found.estimated);
    }

    fn labelled_rows() -> impl Strategy<Value = Vec<([f64; 3], u32)>> {
        let row = prop::array::uniform3(0.001..1.0_f64).prop_map(|weights| {
            let sum: f64 = weights.iter().sum();
            weights.map(|weight| weight / sum)
        });
        prop::collection::vec((row, 0..3_u32), 1..60)
    }

    proptest! {
        #[test]
        fn the_joint_distribution_keeps_the_given_shares(rows in labelled_rows(), support_min in 0..6_usize) {
            let labels: Vec<u32> = rows.iter().map(|(_, label)| *label).collect();
            let values = rows.iter().flat_map(|(p, _)| *p).collect();
            let probabilities = Probabilities::new(values, 3).unwrap();
            let found = label_errors(&probabilities, &labels, &alone(labels.len()), support_min, Ranking::SelfConfidence);
            for (class, row) in (0..).zip(&found.joint) {
                let share = labels.iter().filter(|label| **label == class).count() as f64 / labels.len() as f64;
                prop_assert!((row.iter().sum::<f64>() - share).abs() < 1e-9);
            }
            prop_assert!((0.0..=labels.len() as f64 + 1e-9).contains(&found.estimated));
            for pair in found.suspects.windows(2) {
                prop_assert!(pair[0].given_probability <= pair[1].given_probability);
            }
            for suspect in &found.suspects {
                prop_assert!(suspect.given != suspect.suggested);
                prop_assert_eq!(labels[suspect.row], suspect.given);
                prop_assert!(suspect.given_probability < suspect.suggested_probability);
                prop_assert!(suspect.margin < 0.0 && -1.0 <= suspect.margin);
            }
        }

        #[test]
        fn the_order_of_the_pictures_does_not_matter(rows in labelled_rows()) {
            let judge = |rows: &[([f64; 3], u32)]| {
                let labels: Vec<u32> = rows.iter().map(|(_, label)| *label).collect();
                let probabilities = Probabilities::new(rows.iter().flat_map(|(p, _)| *p).collect(), 3).unwrap();
                label_errors(&probabilities, &labels, &alone(labels.len()), 1, Ranking::NormalisedMargin)
            };
            let there = judge(&rows);
            let mut turned = rows.clone();
            turned.reverse();
            let back = judge(&turned);
            // Sums in another order may round a threshold across a probability that equals it.
            let equal = |a: Option<f64>, p: f64| a.is_some_and(|a| (a - p).abs() < 1e-12);
            let ties = rows.iter().any(|(p, _)| (0..3).any(|c| equal(there.thresholds[c], p[c])));
            prop_assume!(!ties);
            prop_assert!((there.estimated - back.estimated).abs() < 1e-9);
            let mut mirrored: Vec<usize> = back.suspects.iter().map(|s| rows.len() - 1 - s.row).collect();
            let mut found: Vec<usize> = there.suspects.iter().map(|s| s.row).collect();
            mirrored.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(mirrored, found);
        }
    }
}
