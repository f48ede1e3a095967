//! What cannot be compared is said, never passed over as "no drift".

use super::super::super::correction::Correction;
use super::super::super::error::Error;
use super::super::{Column, Note, Pooled, Report, Sorted, features, ks};
use super::*;

fn run(test_of: Test, reference: Vec<f64>, test: Vec<f64>, width: usize) -> Result<Report, Error> {
    let reference = Sorted::new(&sample(reference, width));
    let rule = rule(test_of, Correction::Bonferroni);
    features(&reference, &sample(test, width), &rule)
}

fn notes(test_of: Test, reference: Vec<f64>, test: Vec<f64>) -> Vec<Note> {
    run(test_of, reference, test, 1).unwrap().features[0]
        .notes
        .clone()
}

#[test]
fn values_that_are_no_numbers_and_other_widths_are_refused() {
    assert!(matches!(
        Sample::new(vec![1.0, 2.0, 3.0, f64::NAN], 2),
        Err(Error::NotFinite {
            row: 1,
            column: 1,
            ..
        })
    ));
    assert!(Column::new(vec![0.0, f64::INFINITY]).is_err());
    let reference = Sorted::new(&sample(normal(50, 3, 1), 3));
    for width in [2, 4] {
        let found = features(
            &reference,
            &sample(normal(50, width, 2), width),
            &rule(KS, Correction::None),
        );
        assert_eq!(
            found,
            Err(Error::Width {
                found: width,
                expected: 3
            })
        );
    }
}

#[test]
fn samples_that_cannot_show_drift_are_refused() {
    for test in [KS, CVM] {
        assert!(matches!(
            run(test, normal(100, 1, 1), vec![9.0], 1),
            Err(Error::TooFew {
                found: 1,
                needed: 2,
                ..
            })
        ));
        // 2/C(6, 3) = 0.1
        let found = run(test, vec![1.0, 2.0, 3.0], vec![7.0, 8.0, 9.0], 1);
        assert!(matches!(
            found,
            Err(Error::Powerless { smallest, .. }) if (smallest - 0.1).abs() < 1e-12
        ));
        // 2/C(9, 4) = 0.016 is enough for one feature, and not for eight.
        let apart = |width| {
            let (low, high) = (vec![0.0; 4 * width], vec![1.0; 5 * width]);
            run(test, low, high, width)
        };
        assert!(matches!(apart(8), Err(Error::Powerless { .. })));
        assert!(apart(1).is_ok());
    }
    let few = Test::ChiSquare {
        permutations: 19,
        seed: 0,
    };
    assert!(matches!(
        run(few, vec![0.0; 40], vec![1.0; 40], 1),
        Err(Error::FewPermutations { needed: 20, .. })
    ));
}

#[test]
fn measurements_are_no_categories() {
    for (test, value) in [(CHI_SQUARE, 0.5), (FISHER, 2.0), (FISHER, 0.5)] {
        let mut values = [0.0, 1.0].repeat(40);
        values[7] = value;
        let found = run(test, [0.0, 1.0].repeat(40), values, 2);
        assert!(
            matches!(found, Err(Error::NotCategory { column: 1, value: v, .. }) if v == value),
            "{found:?}"
        );
    }
}

#[test]
fn levels_and_effects_are_checked() {
    let reference = Sorted::new(&sample(normal(50, 1, 1), 1));
    let test = sample(normal(50, 1, 2), 1);
    for (alpha, min_effect) in [
        (0.0, 0.0),
        (1.0, 0.0),
        (f64::NAN, 0.0),
        (0.05, -1.0),
        (0.05, f64::NAN),
    ] {
        let rule = Rule {
            alpha,
            min_effect,
            ..rule(KS, Correction::None)
        };
        let found = features(&reference, &test, &rule);
        assert!(matches!(found, Err(Error::OutOfRange { .. })), "{found:?}");
    }
}

#[test]
fn an_exact_p_value_of_large_samples_is_refused() {
    let column = |rows: u32| Column::new((0..rows).map(f64::from).collect()).unwrap();
    let (x, y) = (column(40_000), column(40_001));
    let pooled = Pooled::new(&x, &y);
    assert!(matches!(
        ks::compare(&pooled, Alternative::TwoSided, Method::Exact),
        Err(Error::TooManyPairs { .. })
    ));
    assert!(ks::compare(&pooled, Alternative::TwoSided, Method::Auto).is_ok());
    let equal = Pooled::new(&x, &x);
    assert!(ks::compare(&equal, Alternative::TwoSided, Method::Exact).is_ok());
}

#[test]
fn a_constant_is_said_to_be_one() {
    for test in [KS, CVM, CHI_SQUARE, FISHER] {
        let report = run(test, vec![1.0; 60], vec![1.0; 50], 1).unwrap();
        let feature = &report.features[0];
        assert_eq!(
            (report.is_drift, feature.p, feature.effect),
            (false, 1.0, 0.0)
        );
        assert!(
            feature.notes.contains(&Note::Constant { value: 1.0 }),
            "{feature:?}"
        );
        // A constant that became another one is drift.
        let report = run(test, vec![1.0; 60], vec![0.0; 50], 1).unwrap();
        assert!(report.is_drift, "{report:?}");
        assert!(0.99 < report.features[0].effect);
    }
}

#[test]
fn classes_that_come_and_go_are_named() {
    let reference = [0.0, 1.0, 2.0].repeat(20);
    let test = [0.0, 1.0, 7.0, 9.0].repeat(10);
    let found = notes(CHI_SQUARE, reference, test);
    let unseen = Note::Unseen {
        categories: 2,
        first: 7.0,
        rows: 20,
    };
    let missing = Note::Missing {
        categories: 1,
        first: 2.0,
    };
    assert!(
        found.contains(&unseen) && found.contains(&missing),
        "{found:?}"
    );
    assert!(unseen.to_string().starts_with("2 categories"));
}

#[test]
fn ties_and_permutations_are_noted() {
    let levels = |rows: usize, index| -> Vec<f64> {
        normal(rows, 1, index).iter().map(|v| v.round()).collect()
    };
    let found = notes(KS, levels(500, 1), levels(100, 2));
    assert!(matches!(found[..], [Note::Discrete { rows: 600, .. }]));
    let found = notes(CVM, levels(500, 1), levels(100, 2));
    assert!(matches!(
        found[..],
        [Note::Discrete { .. }, Note::TiesAcross]
    ));
    assert!(notes(KS, normal(500, 1, 1), normal(100, 1, 2)).is_empty());
    let found = notes(CHI_SQUARE, levels(60, 1), levels(50, 2));
    assert!(
        found.iter().any(|note| matches!(
            note,
            Note::Permuted {
                permutations: 199,
                ..
            }
        )),
        "{found:?}"
    );
}
