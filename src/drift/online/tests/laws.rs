//! What holds for every detector.

use proptest::prelude::*;

use super::super::{HISTORY, Permutations};
use super::*;
use crate::drift::Error;

#[test]
fn a_shift_is_seen_soon_and_stays_noted() {
    let mut normal = Normal::new("shift", 0);
    for mut online in one_of_each(3) {
        let method = online.method();
        // Ones at a rate of 0.9 instead of 0.2, or three standard deviations.
        let mut moved = |online: &Online| {
            if online.method() == "fisher" {
                normal.bits(2, 0.9)
            } else {
                normal.row(2).iter().map(|value| value + 3.0).collect()
            }
        };
        for _ in 0..15 {
            let observation = moved(&online);
            online.observe(&observation).unwrap();
        }
        let since = online
            .drift_since()
            .unwrap_or_else(|| panic!("{method} sees nothing"));
        assert!(since <= 12, "{method}: {since}");
        // The alarm is kept, and the detector goes on.
        let quiet = if method == "fisher" {
            [0.0; 2]
        } else {
            [0.1, -0.1]
        };
        for _ in 0..30 {
            online.observe(&quiet).unwrap();
        }
        assert_eq!(online.drift_since(), Some(since), "{method}");
        assert_eq!(online.time(), 45);
        online.reset();
        assert_eq!((online.drift_since(), online.time()), (None, 0));
        assert_eq!(online.history().len(), 0);
    }
}

#[test]
fn the_feature_that_moves_is_named() {
    let mut normal = Normal::new("feature", 0);
    let reference = normal.sample(200, 4);
    let mut online = Online::cvm(&reference, &cvm_options(&[10], 100.0, 1)).unwrap();
    let mut last = None;
    for _ in 0..10 {
        let mut row = normal.row(4);
        row[2] += 4.0;
        last = Some(online.observe(&row).unwrap());
    }
    let last = last.unwrap();
    assert!(last.is_drift);
    assert_eq!(last.feature, Some(2));
}

#[test]
fn bad_observations_leave_no_trace() {
    let mut normal = Normal::new("bad", 0);
    for mut online in one_of_each(4) {
        for _ in 0..7 {
            let good = observation(&online, &mut normal);
            online.observe(&good).unwrap();
        }
        let before = online.state_bytes().unwrap();
        for (bad, expected) in [
            (
                vec![1.0],
                Error::Width {
                    found: 1,
                    expected: 2,
                },
            ),
            (
                vec![1.0; 3],
                Error::Width {
                    found: 3,
                    expected: 2,
                },
            ),
            (
                vec![1.0, f64::INFINITY],
                Error::NotFinite {
                    row: 7,
                    column: 1,
                    value: f64::INFINITY,
                },
            ),
        ] {
            assert_eq!(online.observe(&bad), Err(expected));
        }
        let error = online.observe(&[f64::NAN, 0.0]).unwrap_err();
        assert!(
            error.to_string().contains("row 7, column 0 is NaN"),
            "{error}"
        );
        let halves = online.clone().observe(&[0.5, 0.5]);
        if online.method() == "fisher" {
            assert!(matches!(halves, Err(Error::NotBinary { column: 0, .. })));
        } else {
            assert!(halves.is_ok());
        }
        assert_eq!(online.state_bytes().unwrap(), before, "{}", online.method());
        // Far away is no error.
        if online.method() != "fisher" {
            let step = online.observe(&[1e300, -1e300]).unwrap();
            assert!(step.statistic.is_some_and(f64::is_finite), "{step:?}");
        }
    }
}

#[test]
fn memory_does_not_grow() {
    let mut normal = Normal::new("memory", 0);
    for mut online in one_of_each(5) {
        let mut sizes = Vec::new();
        for _ in 0..3 {
            for _ in 0..HISTORY {
                let row = observation(&online, &mut normal);
                online.observe(&row).unwrap();
            }
            assert_eq!(online.history().len(), HISTORY);
            let file: serde_json::Value =
                serde_json::from_slice(&online.state_bytes().unwrap()).unwrap();
            sizes.push(file["moving"].to_string().len());
        }
        assert_eq!(sizes, [sizes[0]; 3], "{}", online.method());
    }
}

#[test]
fn threads_change_nothing() {
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            one_of_each(6)
                .iter()
                .map(|online| online.fitted_bytes().unwrap())
                .collect::<Vec<_>>()
        })
    };
    let alone = fit(1);
    assert_eq!(alone, fit(3));
    let seeds = [6, 7].map(|seed| one_of_each(seed)[0].fitted_bytes().unwrap());
    assert_eq!(alone[0], seeds[0]);
    assert_ne!(alone[0], seeds[1]);
}

#[test]
fn references_and_settings_that_cannot_be_used_are_refused() {
    let mut normal = Normal::new("refused", 0);
    let sample = normal.sample(40, 2);
    let mmd = |options: MmdOptions| Online::mmd(&sample, &options).unwrap_err().to_string();
    let says = |text: String, part: &str| assert!(text.contains(part), "{text}");
    says(
        mmd(mmd_options(1, 50.0, 0)),
        "`window` is 1: expected from 2",
    );
    says(
        mmd(mmd_options(20, 50.0, 0)),
        "needs at least 41 rows, found 40",
    );
    says(mmd(mmd_options(5, 1.0, 0)), "`ert` is 1");
    let mut options = mmd_options(5, 50.0, 0);
    options.bootstraps = Some(20);
    says(mmd(options), "use at least 5");
    let mut options = mmd_options(5, 50.0, 0);
    options.bandwidth = Some(-1.0);
    says(mmd(options), "bandwidth is -1");
    let mut options = mmd_options(5, 50.0, 0);
    let mut order: Vec<usize> = (0..40).collect();
    order[3] = 4;
    options.draws = Draws::Given(Permutations {
        bootstraps: vec![order; 100],
        ..Permutations::default()
    });
    says(
        mmd(options),
        "bootstrap permutation 0 does not hold each of the numbers 0 to 39 once",
    );
    let mut options = mmd_options(5, 50.0, 0);
    options.draws = Draws::Given(Permutations {
        bootstraps: vec![(0..40).collect(); 100],
        ..Permutations::default()
    });
    says(mmd(options), "statistics repeat");
    let cvm = |windows: &[usize]| Online::cvm(&sample, &cvm_options(windows, 50.0, 0));
    says(cvm(&[]).unwrap_err().to_string(), "at least one window");
    says(cvm(&[9, 9]).unwrap_err().to_string(), "more than 9");

    let mut flat = normal.row(80);
    flat.iter_mut().skip(1).step_by(2).for_each(|v| *v = 0.25);
    let flat = Sample::new(flat, 2).unwrap();
    let constant = Error::ConstantFeature {
        column: 1,
        value: 0.25,
    };
    let lsdd = Online::lsdd(&flat, &lsdd_options(5, 50.0, 0));
    assert_eq!(lsdd.unwrap_err(), constant);
    assert_eq!(
        Online::cvm(&flat, &cvm_options(&[5], 50.0, 0)).unwrap_err(),
        constant
    );
    // Distances ignore a feature that never varies.
    assert!(Online::mmd(&flat, &mmd_options(5, 50.0, 0)).is_ok());
    let same = Sample::new(vec![1.0; 80], 2).unwrap();
    let error = Online::mmd(&same, &mmd_options(5, 50.0, 0)).unwrap_err();
    assert_eq!(error, Error::ZeroBandwidth);
    let error = Online::fisher(&sample, &fisher_options(&[5], 50.0, 0)).unwrap_err();
    assert!(matches!(
        error,
        Error::NotBinary {
            row: 0,
            column: 0,
            ..
        }
    ));
    let zeros = Sample::new(vec![0.0; 80], 1).unwrap();
    let error = Online::fisher(&zeros, &fisher_options(&[5], 50.0, 0)).unwrap_err();
    assert_eq!(
        error,
        Error::ConstantFeature {
            column: 0,
            value: 0.0
        }
    );
}

#[test]
fn centres_may_coincide() {
    let mut normal = Normal::new("twins", 0);
    // A third of the rows are the same.
    let values: Vec<f64> = (0..90)
        .flat_map(|row| {
            if row % 3 == 0 {
                vec![0.5; 2]
            } else {
                normal.row(2)
            }
        })
        .collect();
    let sample = Sample::new(values, 2).unwrap();
    let mut online = Online::lsdd(&sample, &lsdd_options(5, 20.0, 1)).unwrap();
    for _ in 0..10 {
        online.observe(&[4.0, 4.0]).unwrap();
    }
    assert!(online.drift_since().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// After W observations the window is what was observed, whatever came before: the statistic is that
    /// of a fresh detector which sees only the last W, apart from rounding.
    #[test]
    fn what_has_left_the_window_is_forgotten(
        past in prop::collection::vec(-3.0..3.0f64, 0..60),
        last in prop::collection::vec(-3.0..3.0f64, 20..21),
    ) {
        for fresh in &DETECTORS[..3] {
            let (mut old, mut new) = (fresh.clone(), fresh.clone());
            for row in past.chunks_exact(2) {
                old.observe(row).unwrap();
            }
            let (mut a, mut b) = (None, None);
            for row in last.chunks_exact(2) {
                a = old.observe(row).unwrap().statistic;
                b = new.observe(row).unwrap().statistic;
            }
            let (a, b) = (a.unwrap(), b.unwrap());
            prop_assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{}: {} {}", fresh.method(), a, b);
        }
    }

    /// Kernels and ranks do not know where the origin is: moving everything changes nothing that matters.
    #[test]
    fn origins_do_not_matter(shift in -8i8..8, stream in prop::collection::vec(-3.0..3.0f64, 40..41)) {
        // Steps of 1/64, so that moved numbers are exact.
        let grid = |value: f64| (value * 64.0).round() / 64.0;
        let shift = f64::from(shift);
        let values: Vec<f64> = Normal::new("origin", 0).row(120).into_iter().map(grid).collect();
        let fit = |shift: f64| {
            let sample = Sample::new(values.iter().map(|v| v + shift).collect(), 2).unwrap();
            let mut mmd = mmd_options(5, 20.0, 1);
            let mut cvm = cvm_options(&[5, 8], 20.0, 1);
            (mmd.bootstraps, cvm.bootstraps) = (Some(100), Some(100));
            [
                Online::mmd(&sample, &mmd).unwrap(),
                Online::cvm(&sample, &cvm).unwrap(),
            ]
        };
        for (mut here, mut there) in fit(0.0).into_iter().zip(fit(shift)) {
            for row in stream.chunks_exact(2) {
                let row: Vec<f64> = row.iter().map(|v| grid(*v)).collect();
                let moved: Vec<f64> = row.iter().map(|v| v + shift).collect();
                prop_assert_eq!(here.observe(&row).unwrap(), there.observe(&moved).unwrap());
            }
        }
    }
}
