//! LSDD against golden values, by simulation, and with what it cannot judge.

use super::super::fixtures::{
    assert_all_close, assert_calibrated, assert_close, data, indices, normal_rows, parse,
    permutations,
};
use super::*;

fn golden() -> serde_json::Value {
    parse(include_str!("../../../tests/golden/drift/lsdd.json"))
}

#[test]
fn agrees_with_the_golden_values() {
    let golden = golden();
    for (name, expected) in golden.as_object().unwrap() {
        let order = indices(&expected["ref_order_first_C_are_centers"]);
        let centres = expected["n_kernel_centers"].as_u64().unwrap() as usize;
        let lsdd = Lsdd::with_order(&data("ref"), &order, centres).unwrap();
        assert_close("sigma", lsdd.kernel().bandwidths()[0], &expected["sigma"]);
        let test = data(name);
        let given = Regularisation::Given(expected["lambda"].as_f64().unwrap());
        let Some(lists) = expected.get("permutations") else {
            let any = Relabellings::draw(lsdd.rows(), test.rows(), 3, 0).unwrap();
            let found = lsdd.test(&test, &any, given).unwrap();
            assert_close(name, found.test.statistic, &expected["lsdd"]);
            continue;
        };
        let lists = Relabellings::given(lsdd.rows(), test.rows(), &permutations(lists)).unwrap();
        let found = lsdd.test(&test, &lists, Regularisation::Chosen).unwrap();
        assert_eq!(found, lsdd.test(&test, &lists, given).unwrap());
        assert_close(name, found.lambda, &expected["lambda"]);
        assert_close(name, found.relative_difference, &expected["rd"]);
        assert_close(name, found.test.statistic, &expected["lsdd"]);
        assert_all_close(name, &found.test.permuted, &expected["permuted_lsdd"]);
        assert_close(name, found.test.p_value(), &expected["p_value"]["p"]);
        assert_close(
            name,
            found.test.p_value_plain(),
            &expected["p_value"]["p_alibi"],
        );
        let threshold = found.test.threshold(0.05).unwrap();
        assert_close(name, threshold, &expected["distance_threshold"]);
    }
}

#[test]
fn is_calibrated_without_drift() {
    assert_calibrated((0..200).map(|seed| {
        let lsdd = Lsdd::fit(&normal_rows(42, 3, 0.0, 2 * seed), seed).unwrap();
        let test = normal_rows(30, 3, 0.0, 2 * seed + 1);
        lsdd.test_drawn(&test, 199, seed).unwrap().test.p_value()
    }));
}

#[test]
fn sees_a_shift() {
    let lsdd = Lsdd::fit(&normal_rows(200, 4, 0.0, 1), 3).unwrap();
    let found = lsdd
        .test_drawn(&normal_rows(150, 4, 1.0, 2), 199, 5)
        .unwrap();
    assert!(found.test.p_value() < 0.01, "{found:?}");
}

#[test]
fn features_in_other_units_change_nothing() {
    let scaled = |sample: &Sample| {
        let values = sample.values().iter().map(|value| value * 1024.0 + 512.0);
        Sample::new(values.collect(), sample.width()).unwrap()
    };
    let (reference, test) = (normal_rows(60, 3, 0.0, 1), normal_rows(40, 3, 1.0, 2));
    let here = Lsdd::fit(&reference, 3).unwrap();
    let there = Lsdd::fit(&scaled(&reference), 3).unwrap();
    let (a, b) = (
        here.test_drawn(&test, 20, 5).unwrap(),
        there.test_drawn(&scaled(&test), 20, 5).unwrap(),
    );
    assert!((a.test.statistic / b.test.statistic - 1.0).abs() < 1e-6);
    assert_eq!(a.lambda, b.lambda);
}

#[test]
fn results_do_not_depend_on_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let lsdd = Lsdd::fit(&normal_rows(90, 3, 0.0, 1), 3).unwrap();
            lsdd.test_drawn(&normal_rows(50, 3, 0.5, 2), 30, 5).unwrap()
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let reference = normal_rows(30, 2, 0.0, 1);
    let lsdd = Lsdd::fit(&reference, 1).unwrap();
    let wide = lsdd.test_drawn(&normal_rows(9, 3, 0.0, 1), 9, 1);
    assert!(matches!(
        wide,
        Err(Error::Width {
            found: 3,
            expected: 2
        })
    ));
    let one = lsdd.test_drawn(&normal_rows(1, 2, 0.0, 1), 9, 1);
    assert!(matches!(
        one,
        Err(Error::TooFew {
            found: 1,
            needed: 2,
            ..
        })
    ));
    let constant: Vec<f64> = (0..10).flat_map(|row| [f64::from(row), 0.5]).collect();
    let error = Lsdd::fit(&Sample::new(constant, 2).unwrap(), 1).unwrap_err();
    assert_eq!(
        error,
        Error::ConstantFeature {
            column: 1,
            value: 0.5
        }
    );
    let small = Lsdd::fit(&normal_rows(2, 2, 0.0, 1), 1).unwrap_err();
    assert!(matches!(
        small,
        Error::TooFew {
            found: 2,
            needed: 3,
            ..
        }
    ));
    let twice = Lsdd::with_order(&normal_rows(4, 2, 0.0, 1), &[0, 1, 2, 2], 1);
    assert!(matches!(twice, Err(Error::NotAPermutation { .. })));
    let any = Relabellings::draw(lsdd.rows(), 9, 9, 1).unwrap();
    let negative = lsdd.test(
        &normal_rows(9, 2, 0.0, 1),
        &any,
        Regularisation::Given(-1.0),
    );
    assert!(matches!(negative, Err(Error::OutOfRange { .. })));
}

#[test]
fn centres_that_coincide_are_moved_apart() {
    let values: Vec<f64> = (0..40).map(|row| f64::from(row % 4)).collect();
    let reference = Sample::new(values, 1).unwrap();
    let order: Vec<usize> = (0..40)
        .step_by(4)
        .chain((0..40).filter(|row| row % 4 != 0))
        .collect();
    let lsdd = Lsdd::with_order(&reference, &order, 10).unwrap();
    let found = lsdd.test_drawn(&normal_rows(20, 1, 3.0, 1), 50, 1).unwrap();
    assert!(found.test.statistic.is_finite());
}
