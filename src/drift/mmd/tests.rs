//! MMD against golden values, against its definition, by simulation, and with what it cannot judge.

use proptest::prelude::*;

use super::super::fixtures::{
    assert_all_close, assert_calibrated, assert_close, data, normal_rows, numbers, parse,
    permutations,
};
use super::super::kernel::median_bandwidth_between;
use super::*;

#[test]
fn agrees_with_the_golden_values() {
    let golden = parse(include_str!("../../../tests/golden/drift/mmd.json"));
    for (name, expected) in golden.as_object().unwrap() {
        let (reference, test) = (data("ref"), data(name));
        let mmd = Mmd::fit(reference.clone()).unwrap();
        assert_close("sigma", mmd.kernel().bandwidths()[0], &expected["sigma"]);
        let across = median_bandwidth_between(&reference, &test).unwrap();
        assert_close("across", across, &expected["sigma_from_cross"]);
        let drawn = mmd.test_drawn(&test, 1000, 1).unwrap();
        assert_close(name, drawn.statistic, &expected["mmd2_u"]);
        let band = numbers(&expected["p_band_1000"]);
        let p = drawn.p_value();
        assert!(band[0] <= p && p <= band[1], "{name}: {p} not in {band:?}");
        let two = &expected["mmd2_u_two_bandwidths"];
        let kernel = Gaussian::new(&numbers(&two["sigmas"])).unwrap();
        let wide = Mmd::with_kernel(reference, kernel).unwrap();
        let wide = wide.test_drawn(&test, 1, 1).unwrap();
        assert_close(name, wide.statistic, &two["value"]);
        let Some(lists) = expected.get("permutations") else {
            continue;
        };
        let lists = Relabellings::given(100, test.rows(), &permutations(lists)).unwrap();
        let found = mmd.test(&test, &lists).unwrap();
        assert_eq!(found.statistic, drawn.statistic);
        assert_all_close(name, &found.permuted, &expected["permuted_mmd2_u"]);
        assert_close(name, found.p_value(), &expected["p_value"]["p"]);
        assert_close(name, found.p_value_plain(), &expected["p_value"]["p_alibi"]);
        let threshold = found.threshold(0.05).unwrap();
        assert_close(name, threshold, &expected["distance_threshold"]);
    }
}

/// From the kernel matrix, entry by entry.
fn by_definition(kernel: &Gaussian, rows: &[&[f64]], order: &[usize], n: usize) -> f64 {
    let row = |at: &usize| Sample::new(rows[*at].to_vec(), rows[*at].len()).unwrap();
    let k = |a: &usize, b: &usize| kernel.matrix(&row(a), &row(b))[0];
    let within = |list: &[usize]| {
        let pairs = list.iter().flat_map(|a| list.iter().map(move |b| (a, b)));
        let sum: f64 = pairs.filter(|(a, b)| a != b).map(|(a, b)| k(a, b)).sum();
        sum / (list.len() * (list.len() - 1)) as f64
    };
    let (x, y) = order.split_at(n);
    let pairs = x.iter().flat_map(|a| y.iter().map(move |b| (a, b)));
    let between: f64 = pairs.map(|(a, b)| k(a, b)).sum();
    within(x) + within(y) - 2.0 * between / (x.len() * y.len()) as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn agrees_with_its_definition(n in 2usize..22, m in 2usize..22, seed in 0u64..1000) {
        let (reference, test) = (normal_rows(n, 2, 0.0, seed), normal_rows(m, 2, 0.7, seed + 1));
        let kernel = Gaussian::new(&[1.0, 0.3]).unwrap();
        let rows: Vec<&[f64]> = reference
            .values()
            .chunks_exact(2)
            .chain(test.values().chunks_exact(2))
            .collect();
        // Reversed, and turned by half.
        let turned = |at: usize| (0..n + m).map(move |row| (row + at) % (n + m));
        let orders: Vec<Vec<usize>> = vec![turned(0).rev().collect(), turned(m / 2 + 1).collect()];
        let mmd = Mmd::with_kernel(reference.clone(), kernel.clone()).unwrap();
        let lists = Relabellings::given(n, m, &orders).unwrap();
        let found = mmd.test(&test, &lists).unwrap();
        let observed: Vec<usize> = turned(0).collect();
        let expected = by_definition(&kernel, &rows, &observed, n);
        prop_assert!((found.statistic - expected).abs() < 1e-13);
        for (found, order) in found.permuted.iter().zip(&orders) {
            let expected = by_definition(&kernel, &rows, order, n);
            prop_assert!((found - expected).abs() < 1e-13, "{} {}", found, expected);
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(seed in 0u64..1000, turn in 0usize..40) {
        let (reference, test) = (normal_rows(40, 3, 0.0, seed), normal_rows(23, 3, 0.5, seed + 1));
        let mut rows: Vec<&[f64]> = reference.values().chunks_exact(3).collect();
        rows.rotate_left(turn);
        let turned = Sample::new(rows.concat(), 3).unwrap();
        let statistic = |reference: Sample| {
            let mmd = Mmd::fit(reference).unwrap();
            mmd.test_drawn(&test, 1, 0).unwrap().statistic
        };
        let (a, b) = (statistic(reference.clone()), statistic(turned));
        prop_assert!((a - b).abs() < 1e-14);
    }

    #[test]
    fn the_samples_may_change_places(seed in 0u64..1000, n in 2usize..30, m in 2usize..30) {
        let (x, y) = (normal_rows(n, 3, 0.0, seed), normal_rows(m, 3, 0.5, seed + 1));
        let kernel = Gaussian::new(&[1.3]).unwrap();
        let statistic = |x: &Sample, y: &Sample| {
            let mmd = Mmd::with_kernel(x.clone(), kernel.clone()).unwrap();
            mmd.test_drawn(y, 1, 0).unwrap().statistic
        };
        prop_assert!((statistic(&x, &y) - statistic(&y, &x)).abs() < 1e-14);
    }
}

#[test]
fn several_blocks_and_waves_add_up() {
    // More rows than a block holds, so that the sums are put together from parts.
    let (reference, test) = (normal_rows(610, 1, 0.0, 1), normal_rows(540, 1, 0.3, 2));
    let mmd = Mmd::fit(reference.clone()).unwrap();
    let found = mmd.test_drawn(&test, 3, 4).unwrap();
    let mean = |a: &Sample, b: &Sample| mmd.kernel().matrix(a, b).iter().sum::<f64>();
    let (n, m) = (610.0, 540.0);
    let expected = (mean(&reference, &reference) - n) / (n * (n - 1.0))
        + (mean(&test, &test) - m) / (m * (m - 1.0))
        - 2.0 * mean(&reference, &test) / (n * m);
    assert!((found.statistic - expected).abs() < 1e-13);
}

#[test]
fn results_do_not_depend_on_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let mmd = Mmd::fit(normal_rows(300, 2, 0.0, 1)).unwrap();
            mmd.test_drawn(&normal_rows(333, 2, 0.2, 2), 20, 5).unwrap()
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn is_calibrated_without_drift() {
    assert_calibrated((0..200).map(|seed| {
        let mmd = Mmd::fit(normal_rows(30, 3, 0.0, 2 * seed)).unwrap();
        let test = normal_rows(24, 3, 0.0, 2 * seed + 1);
        mmd.test_drawn(&test, 199, seed).unwrap().p_value()
    }));
}

#[test]
fn sees_a_shift_of_one_feature_in_eight() {
    let mmd = Mmd::fit(normal_rows(100, 8, 0.0, 1)).unwrap();
    let found = mmd.test_drawn(&normal_rows(80, 8, 1.0, 2), 499, 3).unwrap();
    assert!(found.p_value() < 0.01, "{}", found.p_value());
    assert!(found.statistic > found.threshold(0.01).unwrap());
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let equal = Sample::new(vec![1.5; 20], 2).unwrap();
    assert_eq!(Mmd::fit(equal).unwrap_err(), Error::ZeroBandwidth);
    let one = Mmd::fit(normal_rows(1, 2, 0.0, 1)).unwrap_err();
    assert!(matches!(
        one,
        Error::TooFew {
            found: 1,
            needed: 2,
            ..
        }
    ));
    let mmd = Mmd::fit(normal_rows(10, 2, 0.0, 1)).unwrap();
    let wide = mmd.test_drawn(&normal_rows(9, 3, 0.0, 1), 9, 1);
    assert!(matches!(
        wide,
        Err(Error::Width {
            found: 3,
            expected: 2
        })
    ));
    let one = mmd.test_drawn(&normal_rows(1, 2, 0.0, 1), 9, 1);
    assert!(matches!(
        one,
        Err(Error::TooFew {
            found: 1,
            needed: 2,
            ..
        })
    ));
    let none = mmd.test_drawn(&normal_rows(9, 2, 0.0, 1), 0, 1);
    assert_eq!(none, Err(Error::NoPermutations));
    let others = Relabellings::draw(10, 8, 5, 1).unwrap();
    let error = mmd.test(&normal_rows(9, 2, 0.0, 1), &others).unwrap_err();
    let (found, expected) = ((10, 8), (10, 9));
    assert_eq!(error, Error::OtherRows { found, expected });
}
