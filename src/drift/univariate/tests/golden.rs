//! Values of `SciPy`, which alibi-detect was seen to agree with, within the tolerances that come with
//! them: rtol 1e-9 for statistics, rtol 1e-6 or atol 1e-9 for p-values, atol 2e-7 for those of the
//! Cramér-von Mises test.

use super::super::super::correction::Correction;
use super::super::chi2::Permutations;
use super::super::cvm::CramerVonMises;
use super::super::fisher::{self, Share};
use super::super::{Column, Counts, Pooled, Report, Sorted, binomial, chi2, effect, features, ks};
use super::*;

const ALTERNATIVES: [(&str, Alternative); 3] = [
    ("two-sided", Alternative::TwoSided),
    ("greater", Alternative::Greater),
    ("less", Alternative::Less),
];

fn golden(section: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!(
        "../../../../tests/golden/drift/univariate.json"
    ))
    .unwrap();
    assert!(all[section].is_array() || all[section].is_object());
    all[section].clone()
}

fn data(name: &str) -> Sample {
    let all: Value =
        serde_json::from_str(include_str!("../../../../tests/golden/drift/data.json")).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(all["data"][name].clone()).unwrap();
    sample(rows.concat(), rows[0].len())
}

fn compare(name: &str, test: Test, correction: Correction) -> Report {
    let reference = Sorted::new(&data("ref"));
    features(&reference, &data(name), &rule(test, correction)).unwrap()
}

#[test]
fn kolmogorov_smirnov() {
    for (name, case) in golden("univariate").as_object().unwrap() {
        for (how, method) in [("exact", Method::Exact), ("asymp", Method::Asymptotic)] {
            for (side, alternative) in ALTERNATIVES {
                let test = Test::KolmogorovSmirnov {
                    alternative,
                    method,
                };
                let report = compare(name, test, Correction::Bonferroni);
                let expected = &case["ks"][format!("{how}/{side}")];
                let (statistics, ps) = (numbers(&expected["statistic"]), numbers(&expected["p"]));
                assert_eq!(report.features.len(), ps.len());
                for (j, feature) in report.features.iter().enumerate() {
                    let what = format!("{name}, {how}/{side}, feature {j}");
                    assert_statistic(&what, feature.distance, statistics[j]);
                    assert_p(&what, feature.p, ps[j]);
                }
            }
        }
    }
}

#[test]
fn decisions_over_features() {
    for (name, case) in golden("univariate").as_object().unwrap() {
        let asymptotic = Test::KolmogorovSmirnov {
            alternative: Alternative::TwoSided,
            method: Method::Asymptotic,
        };
        let report = compare(name, asymptotic, Correction::Bonferroni);
        let expected = &case["bonferroni"];
        assert_eq!(report.threshold, expected["threshold"].as_f64(), "{name}");
        assert_eq!(report.is_drift, expected["is_drift"] == 1, "{name}");
        let one_by_one: Vec<u8> = report
            .features
            .iter()
            .map(|feature| feature.is_drift.into())
            .collect();
        assert_eq!(Value::from(one_by_one), case["feature_is_drift"], "{name}");
        let report = compare(name, asymptotic, Correction::BenjaminiHochberg);
        let expected = &case["fdr_bh"];
        assert_eq!(report.threshold, expected["threshold"].as_f64(), "{name}");
        assert_eq!(report.is_drift, expected["is_drift"] == 1, "{name}");
        for (feature, p) in report.features.iter().zip(numbers(&expected["adjusted_p"])) {
            assert_p(name, feature.adjusted_p, p);
        }
    }
}

#[test]
fn cramer_von_mises_and_wasserstein() {
    for (name, case) in golden("univariate").as_object().unwrap() {
        let report = compare(name, CVM, Correction::Bonferroni);
        let statistics = numbers(&case["cvm"]["statistic"]);
        let ps = numbers(&case["cvm"]["p_asymptotic"]);
        let distances = numbers(&case["wasserstein"]);
        let (reference, test) = (Sorted::new(&data("ref")), Sorted::new(&data(name)));
        for (j, feature) in report.features.iter().enumerate() {
            let what = format!("{name}, feature {j}");
            assert_statistic(&what, feature.distance, statistics[j]);
            let miss = (feature.p - ps[j]).abs();
            assert!(miss <= 2e-7, "{what}: p = {}, not {}", feature.p, ps[j]);
            let columns = (&reference.columns()[j], &test.columns()[j]);
            let distance = effect::wasserstein(&Pooled::new(columns.0, columns.1));
            assert_statistic(&what, distance, distances[j]);
            let normed = distance / columns.0.deviation();
            assert_statistic(&what, feature.effect, normed);
        }
    }
}

#[test]
fn small_samples() {
    for case in golden("small_samples").as_array().unwrap() {
        let column = |key: &str| Column::new(numbers(&case[key])).unwrap();
        let (x, y) = (column("x"), column("y"));
        let pooled = Pooled::new(&x, &y);
        let (n, m) = pooled.rows();
        for (key, method) in [
            ("ks_exact", Method::Exact),
            ("ks_asymp", Method::Asymptotic),
        ] {
            for (side, alternative) in ALTERNATIVES {
                let what = format!("{n} v {m}, {key}, {side}");
                let found = ks::compare(&pooled, alternative, method).unwrap();
                let expected = numbers(&case[key][side]);
                assert_statistic(&what, found.statistic, expected[0]);
                assert_p(&what, found.p, expected[1]);
            }
        }
        for (key, method) in [
            ("cvm_exact", Method::Exact),
            ("cvm_asymptotic", Method::Asymptotic),
        ] {
            let law = CramerVonMises::new(n, m, method).unwrap();
            let found = law.compare(&pooled).tested;
            let expected = numbers(&case[key]);
            assert_statistic(key, found.statistic, expected[0]);
            assert!((found.p - expected[1]).abs() <= 2e-7, "{key}: {found:?}");
        }
    }
}

#[test]
fn categories() {
    for case in golden("label_counts").as_array().unwrap() {
        let row = |key: &str| -> Vec<u64> { serde_json::from_value(case[key].clone()).unwrap() };
        let counts = Counts::new(&row("ref"), &row("test")).unwrap();
        let found = chi2::compare(
            &counts,
            Permutations {
                count: 999,
                seed: 0,
                stream: 0,
            },
        );
        let expected = &case["chi2"];
        assert_statistic("chi2", found.statistic, number(&expected["statistic"]));
        assert_p("chi2", found.p, number(&expected["p"]));
        assert_eq!(Some(found.degrees_of_freedom), expected["dof"].as_u64());
        assert_eq!(found.permutations, None);
        for (key, found) in [
            ("l_infinity", effect::l_infinity(&counts)),
            ("total_variation", effect::total_variation(&counts)),
            ("hellinger", effect::hellinger(&counts)),
            (
                "jensen_shannon_distance_base2",
                effect::jensen_shannon(&counts),
            ),
            ("psi_floor_1e-4", effect::population_stability(&counts)),
            ("cramers_v", effect::cramers_v(&counts)),
        ] {
            assert_statistic(key, found, number(&case[key]));
        }
        let plain = effect::cramers_v(&counts).powi(2) * {
            let (n, m) = counts.totals();
            (n + m) as f64
        };
        assert_statistic("without Yates", plain, number(&case["chi2_no_yates"][0]));
    }
}

#[test]
fn shares_of_ones() {
    for case in golden("fisher_exact").as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap();
        let reference = Share {
            ones: count("ref_ones"),
            of: count("ref_n"),
        };
        let test = Share {
            ones: count("test_ones"),
            of: count("test_n"),
        };
        for (side, alternative) in ALTERNATIVES {
            let found = fisher::compare(reference, test, alternative).unwrap();
            assert_p(side, found.p, number(&case[side]["p"]));
            match case[side]["odds_ratio"].as_f64() {
                Some(expected) => assert_statistic(side, found.odds_ratio, expected),
                None => assert_eq!(found.odds_ratio, f64::INFINITY),
            }
        }
    }
    for case in golden("binomial_greater").as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap();
        let p0 = number(&case["p0"]);
        let found = binomial::p_value(count("k"), count("n"), p0, Alternative::Greater).unwrap();
        assert_p("binomial", found, number(&case["p"]));
    }
}
