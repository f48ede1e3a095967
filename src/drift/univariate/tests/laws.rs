//! What must hold for any data: symmetries, size and power.

use proptest::prelude::*;

use super::super::super::correction::Correction;
use super::super::cvm::CramerVonMises;
use super::super::{Column, Pooled, Sorted, binomial, effect, features, ks};
use super::*;

const DRAWS: u64 = 200;

/// Rejections of a true null hypothesis must be as many as α says: within the band that holds
/// 99.9 % of right tests. A test of few possible outcomes may reject less.
#[track_caller]
fn assert_calibrated(what: &str, rejections: u64, bound: Alternative) {
    let p = binomial::p_value(rejections, DRAWS, 0.05, bound).unwrap();
    assert!(0.001 < p, "{what}: {rejections} of {DRAWS} rejected");
}

fn rejections(test: Test, draw: impl Fn(usize, u64) -> Vec<f64>) -> u64 {
    let rule = rule(test, Correction::None);
    (0..DRAWS)
        .filter(|draws| {
            let reference = Sorted::new(&sample(draw(100, 2 * draws), 1));
            let test = sample(draw(80, 2 * draws + 1), 1);
            features(&reference, &test, &rule).unwrap().is_drift
        })
        .count() as u64
}

#[test]
fn false_alarms_are_as_many_as_alpha_says() {
    let draw = |rows, index| normal(rows, 1, index);
    for (what, method) in [("exact", Method::Exact), ("asymptotic", Method::Asymptotic)] {
        for alternative in [Alternative::TwoSided, Alternative::Greater] {
            let test = Test::KolmogorovSmirnov {
                alternative,
                method,
            };
            let found = rejections(test, draw);
            assert_calibrated(what, found, Alternative::TwoSided);
        }
    }
    assert_calibrated("cvm", rejections(CVM, draw), Alternative::TwoSided);
}

#[test]
fn categories_raise_no_more_false_alarms_than_alpha_says() {
    let labels = |rows, index| -> Vec<f64> {
        normal(rows, 1, index)
            .iter()
            .map(|value| (value * 1.5).round())
            .collect()
    };
    let ones = |rows, index| -> Vec<f64> {
        normal(rows, 1, index)
            .iter()
            .map(|value| f64::from(u8::from(0.8 < *value)))
            .collect()
    };
    // The rare classes make the expected counts small: these p-values are from permutations.
    let found = rejections(CHI_SQUARE, labels);
    assert_calibrated("chi2", found, Alternative::TwoSided);
    let found = rejections(CHI_SQUARE, ones);
    assert_calibrated("chi2 of two", found, Alternative::Greater);
    let found = rejections(FISHER, ones);
    assert_calibrated("fisher", found, Alternative::Greater);
    // Measurements that are hardly any: ties may only make the tests more cautious.
    for test in [KS, CVM] {
        for draw in [&labels as &dyn Fn(usize, u64) -> Vec<f64>, &ones] {
            let found = rejections(test, draw);
            assert_calibrated(test.name(), found, Alternative::Greater);
        }
    }
}

#[test]
fn one_correction_bounds_all_features_together() {
    for correction in [
        Correction::Bonferroni,
        Correction::Holm,
        Correction::BenjaminiHochberg,
    ] {
        let rule = rule(KS, correction);
        let alarms = (0..DRAWS).filter(|draw| {
            let reference = Sorted::new(&sample(normal(60, 8, 1000 + 2 * draw), 8));
            let test = sample(normal(40, 8, 1001 + 2 * draw), 8);
            features(&reference, &test, &rule).unwrap().is_drift
        });
        assert_calibrated("corrected", alarms.count() as u64, Alternative::Greater);
    }
}

#[test]
fn one_feature_of_eight_is_found() {
    let reference = Sorted::new(&sample(normal(100, 8, 1), 8));
    let mut moved = normal(80, 8, 2);
    for value in moved.iter_mut().skip(5).step_by(8) {
        *value += 1.0;
    }
    let moved = sample(moved, 8);
    for test in [KS, CVM] {
        for correction in [Correction::Bonferroni, Correction::BenjaminiHochberg] {
            let report = features(&reference, &moved, &rule(test, correction)).unwrap();
            assert!(report.is_drift, "{report:?}");
            let feature = &report.features[5];
            assert!(feature.is_drift && feature.p < 0.01 && feature.adjusted_p < 0.01);
            assert!((0.5..1.5).contains(&feature.effect), "{feature:?}");
        }
        let mut rule = rule(test, Correction::Bonferroni);
        rule.min_effect = 3.0;
        let report = features(&reference, &moved, &rule).unwrap();
        assert!(!report.is_drift && !report.features[5].is_drift);
        assert!(report.features[5].p < 0.01);
    }
}

#[test]
fn one_side_is_blind_to_the_other() {
    let reference = Sorted::new(&sample(normal(100, 1, 1), 1));
    let greater: Vec<f64> = normal(80, 1, 2).iter().map(|value| value + 1.0).collect();
    for (alternative, expected) in [(Alternative::Greater, true), (Alternative::Less, false)] {
        let test = Test::KolmogorovSmirnov {
            alternative,
            method: Method::Auto,
        };
        let test_sample = sample(greater.clone(), 1);
        let report = features(&reference, &test_sample, &rule(test, Correction::None)).unwrap();
        assert_eq!(report.is_drift, expected, "{alternative:?}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let reference = sample(normal(300, 8, 3), 8);
    let test = sample(normal(200, 8, 4), 8);
    let whole = |sample: &Sample| {
        let values = sample.values().iter().map(|value| (2.0 * value).round());
        self::sample(values.collect(), 8)
    };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let by = |test_of: Test, reference: &Sample, test: &Sample| {
                let rule = rule(test_of, Correction::BenjaminiHochberg);
                features(&Sorted::new(reference), test, &rule).unwrap()
            };
            (
                by(KS, &reference, &test),
                by(CVM, &reference, &test),
                by(CHI_SQUARE, &whole(&reference), &whole(&test)),
            )
        })
    };
    assert_eq!(run(1), run(4));
}

fn column(values: &[f64]) -> Column {
    Column::new(values.to_vec()).unwrap()
}

/// Few distinct values, so that ties are common.
fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-20..20).prop_map(|value| f64::from(value) / 4.0), 2..40)
}

proptest! {
    #[test]
    fn exchanged_samples_are_as_far_apart(x in values(), y in values()) {
        let (x, y) = (column(&x), column(&y));
        let (there, back) = (Pooled::new(&x, &y), Pooled::new(&y, &x));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        for method in [Method::Exact, Method::Asymptotic] {
            for (alternative, other) in [
                (Alternative::TwoSided, Alternative::TwoSided),
                (Alternative::Greater, Alternative::Less),
            ] {
                let a = ks::compare(&there, alternative, method).unwrap();
                let b = ks::compare(&back, other, method).unwrap();
                prop_assert_eq!(a.statistic, b.statistic);
                prop_assert!(close(a.p, b.p), "{a:?}, {b:?}");
                prop_assert!((0.0..=1.0).contains(&a.p));
            }
        }
        let cvm = |pooled: &Pooled| {
            let (n, m) = pooled.rows();
            CramerVonMises::new(n, m, Method::Auto).unwrap().compare(pooled).tested
        };
        let (a, b) = (cvm(&there), cvm(&back));
        prop_assert!(close(a.statistic, b.statistic) && close(a.p, b.p), "{a:?}, {b:?}");
        prop_assert!((0.0..=1.0).contains(&a.p));
        prop_assert!(close(effect::wasserstein(&there), effect::wasserstein(&back)));
    }

    #[test]
    fn only_the_order_of_values_matters(x in values(), y in values()) {
        let mapped = |values: &[f64]| -> Vec<f64> {
            values.iter().map(|value| value.exp() * 3.0 - 7.0).collect()
        };
        let columns = [column(&x), column(&y), column(&mapped(&x)), column(&mapped(&y))];
        let plain = Pooled::new(&columns[0], &columns[1]);
        let curved = Pooled::new(&columns[2], &columns[3]);
        let ks = |pooled: &Pooled| ks::compare(pooled, Alternative::TwoSided, Method::Auto).unwrap();
        prop_assert_eq!(ks(&plain), ks(&curved));
        let (n, m) = plain.rows();
        let law = CramerVonMises::new(n, m, Method::Asymptotic).unwrap();
        prop_assert_eq!(law.compare(&plain), law.compare(&curved));
    }

    #[test]
    fn the_order_of_rows_does_not_matter(x in values()) {
        let back: Vec<f64> = x.iter().rev().copied().collect();
        prop_assert_eq!(column(&x), column(&back));
    }

    #[test]
    fn a_sample_does_not_differ_from_itself(x in values()) {
        let x = column(&x);
        let same = Pooled::new(&x, &x);
        let found = ks::compare(&same, Alternative::TwoSided, Method::Auto).unwrap();
        prop_assert_eq!((found.statistic, found.p), (0.0, 1.0));
        prop_assert_eq!(effect::wasserstein(&same), 0.0);
    }
}
