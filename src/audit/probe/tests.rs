//! Tests of the probe.

use rayon::ThreadPoolBuilder;

use super::super::confident::{Ranking, label_errors};
use super::super::features::FeatureSource;
use super::super::fixtures::{Draw, Labelled, labelled};
use super::super::folds::folds;
use super::*;
use crate::base::CancelReason;

const DRAW: Draw = Draw {
    points: 600,
    width: 12,
    classes: 4,
    apart: 5.0,
    wrong: 0.0,
};

fn probe(data: &Labelled, folds: &[usize]) -> Probabilities {
    let task = Task {
        features: &data.features,
        labels: &data.labels,
        classes: data.classes,
        folds,
    };
    out_of_fold(task, &Cancel::new()).unwrap()
}

/// Each picture is a group of its own.
fn single(data: &Labelled) -> Vec<usize> {
    let groups: Vec<usize> = (0..data.labels.len()).collect();
    folds(&data.labels, &groups, 1)
}

fn accuracy(said: &Probabilities, labels: &[u32]) -> f64 {
    let said = said.said(labels);
    let right = said
        .iter()
        .zip(labels)
        .filter(|(said, label)| said.class == **label);
    right.count() as f64 / labels.len() as f64
}

#[test]
fn classes_that_lie_apart_are_told_apart() {
    let data = labelled(DRAW, 3);
    let said = probe(&data, &single(&data));
    assert!(accuracy(&said, &data.labels) > 0.97);
    assert_eq!(said.rows().len(), 600);
    for row in said.rows() {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn flipped_labels_are_found_through_the_probe() {
    let draw = Draw {
        points: 1000,
        wrong: 0.08,
        ..DRAW
    };
    let data = labelled(draw, 11);
    let said = probe(&data, &single(&data));
    let groups: Vec<usize> = (0..data.labels.len()).collect();
    let ranking = Ranking::NormalisedMargin;
    let found = label_errors(&said, &data.labels, &groups, 10, ranking);
    let is_wrong = |row: usize| data.labels[row] != data.truth[row];
    let wrong = (0..1000).filter(|row| is_wrong(*row)).count() as f64;
    let hits = found.suspects.iter().filter(|s| is_wrong(s.row)).count() as f64;
    let (recall, precision) = (hits / wrong, hits / found.suspects.len() as f64);
    assert!(recall > 0.6 && precision > 0.9, "{recall} {precision}");
    assert!(
        (found.estimated / wrong - 1.0).abs() < 0.25,
        "{}",
        found.estimated
    );
}

#[test]
fn the_known_minimum_of_two_points_is_found() {
    // x = ±1 and λ = 1/2: the weights are ±w with w (1 + e^(2w)) λ = 1, so w = 0.5213.
    let inputs = Inputs {
        values: vec![-1.0, 1.0],
        width: 1,
    };
    let regression = Regression {
        inputs: &inputs,
        labels: &[0, 1],
        classes: 2,
        rows: &[0, 1],
    };
    let weights = regression.fit(&Cancel::new()).unwrap();
    assert!((weights[1] - 0.5213).abs() < 2e-3, "{weights:?}");
    assert!((weights[0] + weights[1]).abs() < 1e-9, "{weights:?}");
    let p = regression.probabilities(&weights, 1)[1];
    assert!((p - 0.7394).abs() < 2e-3, "{p}");
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    let data = labelled(Draw { points: 40, ..DRAW }, 5);
    let inputs = Inputs::standardised(&data.features);
    let rows: Vec<usize> = (0..40).collect();
    let regression = Regression {
        inputs: &inputs,
        labels: &data.labels,
        classes: 4,
        rows: &rows,
    };
    let weights: Vec<f64> = (0..13 * 4)
        .map(|i| (f64::from(i) * 0.7).sin() / 4.0)
        .collect();
    let gradient = regression.value(&weights).gradient;
    for at in [0, 7, 30, 51] {
        let moved = |by: f64| {
            let mut weights = weights.clone();
            weights[at] += by;
            regression.value(&weights).loss
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!(
            (slope - gradient[at]).abs() < 1e-8,
            "{slope} {}",
            gradient[at]
        );
    }
}

#[test]
fn copies_in_other_folds_would_tell_the_label() {
    // Labels by chance, and each picture twice.
    let draw = Draw {
        points: 120,
        width: 80,
        classes: 2,
        apart: 0.0,
        wrong: 0.5,
    };
    let (mut together, mut apart) = (0.0, 0.0);
    for seed in 0..6 {
        let once = labelled(draw, seed);
        let twice = once.features.rows().flat_map(|row| [row, row].concat());
        let data = Labelled {
            truth: Vec::new(),
            features: Features::new(twice.collect(), 80, FeatureSource::Embedding).unwrap(),
            labels: once.labels.iter().flat_map(|label| [*label; 2]).collect(),
            classes: 2,
        };
        let pairs: Vec<usize> = (0..240).map(|row| row / 2).collect();
        let kept_together = folds(&data.labels, &pairs, 1);
        together += accuracy(&probe(&data, &kept_together), &data.labels) / 6.0;
        apart += accuracy(&probe(&data, &single(&data)), &data.labels) / 6.0;
    }
    // By chance 0.5, with a standard error of 0.02 over 720 different pictures.
    assert!((0.42..0.58).contains(&together), "{together}");
    assert!(together + 0.2 < apart, "{together} {apart}");
}

#[test]
fn threads_change_no_bit() {
    let data = labelled(
        Draw {
            points: 3000,
            ..DRAW
        },
        4,
    );
    let folds = single(&data);
    let with = |threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| probe(&data, &folds))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn units_of_the_features_do_not_matter() {
    let data = labelled(DRAW, 6);
    let folds = single(&data);
    let values = data.features.rows().flatten().enumerate();
    let values = values.map(|(at, x)| if at % 2 == 0 { 1000.0 * x + 5.0 } else { *x });
    let scaled = Labelled {
        truth: Vec::new(),
        features: Features::new(values.collect(), 12, FeatureSource::Embedding).unwrap(),
        labels: data.labels.clone(),
        classes: 4,
    };
    let (a, b) = (probe(&data, &folds), probe(&scaled, &folds));
    for (a, b) in a.rows().flatten().zip(b.rows().flatten()) {
        assert!((a - b).abs() < 0.01, "{a} {b}");
    }
}

#[test]
fn features_that_do_not_vary_and_classes_of_one_picture_do_no_harm() {
    let mut data = labelled(
        Draw {
            points: 60,
            classes: 2,
            ..DRAW
        },
        8,
    );
    let values: Vec<f32> = data
        .features
        .rows()
        .flat_map(|row| [row, &[3.0]].concat())
        .collect();
    data.features = Features::new(values, 13, FeatureSource::Embedding).unwrap();
    data.labels[7] = 2;
    data.classes = 3;
    let said = probe(&data, &single(&data));
    assert!(said.rows().flatten().all(|p| (0.0..=1.0).contains(p)));
    // Whoever never saw the class does not expect it.
    assert!(said.rows().nth(7).unwrap()[2] < 0.1);
}

#[test]
fn a_cancelled_probe_says_so() {
    let data = labelled(DRAW, 3);
    let cancel = Cancel::new();
    cancel.request(CancelReason::Interrupted);
    let task = Task {
        features: &data.features,
        labels: &data.labels,
        classes: 4,
        folds: &single(&data),
    };
    let error = out_of_fold(task, &cancel).unwrap_err();
    assert!(matches!(error, Error::Vision(vision::Error::Cancelled(_))));
}

#[test]
fn of_equals_the_first_is_the_decision() {
    let said = Probabilities::new(vec![0.4, 0.4, 0.2, 0.1, 0.1, 0.8], 3).unwrap();
    let said_of = said.said(&[1, 0]);
    assert_eq!(
        said_of[0],
        Said {
            class: 0,
            probability: 0.4,
            of_label: 0.4
        }
    );
    assert_eq!((said_of[1].class, said_of[1].of_label), (2, 0.1));
    assert!(Probabilities::new(vec![0.5], 2).is_none());
}
