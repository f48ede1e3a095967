//! What alibi-detect 0.13.0 computes from the same data and permutations.

use serde::Deserialize;
use serde_json::Value;

use super::super::state::floats;
use super::super::{Permutations, Step};
use super::*;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn golden(section: &str) -> Value {
    read(include_str!("../../../../tests/golden/drift/online.json"))[section].take()
}

fn data(name: &str) -> Sample {
    let mut all = read(include_str!("../../../../tests/golden/drift/data.json"));
    let rows: Vec<Vec<f64>> = serde_json::from_value(all["data"][name].take()).unwrap();
    let width = rows[0].len();
    Sample::new(rows.concat(), width).unwrap()
}

fn take<T: serde::de::DeserializeOwned>(value: &Value, key: &str) -> T {
    serde_json::from_value(value[key].clone()).unwrap()
}

/// Full permutations from their last rows: the order of the others is of no matter.
fn permutations(value: &Value, rows: usize) -> Vec<Vec<usize>> {
    let tails: Vec<Vec<usize>> = take(value, "bootstrap_tails");
    tails
        .into_iter()
        .map(|tail| {
            let mut all: Vec<usize> = (0..rows).filter(|row| !tail.contains(row)).collect();
            all.extend(tail);
            all
        })
        .collect()
}

#[track_caller]
fn check_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 1e-9 * expected.abs() + 1e-13;
        assert!(close, "{what} {at}: {found} instead of {expected}");
    }
}

#[derive(Deserialize)]
struct Fitted {
    bandwidth: f64,
    #[serde(with = "floats")]
    thresholds: Vec<f64>,
    regularisation: Option<f64>,
}

fn fitted(online: &Online) -> Fitted {
    let bytes = online.fitted_bytes().unwrap();
    let mut file: Value = serde_json::from_slice(&bytes).unwrap();
    serde_json::from_value(file["fitted"].take()).unwrap()
}

/// Feeds the stream that moves at t = 41 and compares all that is said.
#[track_caller]
fn check_stream(online: &mut Online, golden: &Value) {
    let found = fitted(online);
    assert!((found.bandwidth / take::<f64>(golden, "sigma") - 1.0).abs() < 1e-12);
    let thresholds: Vec<f64> = take(golden, "thresholds");
    check_close("threshold", &found.thresholds, &thresholds);
    let stream = data("stream_drift_from_t41");
    let steps: Vec<Step> = (0..stream.rows())
        .map(|row| online.observe(stream.row(row)).unwrap())
        .collect();
    let statistics: Vec<f64> = steps.iter().map(|step| step.statistic.unwrap()).collect();
    check_close(
        "statistic",
        &statistics,
        &take::<Vec<f64>>(golden, "test_stats"),
    );
    let drifts: Vec<u8> = steps.iter().map(|step| u8::from(step.is_drift)).collect();
    assert_eq!(drifts, take::<Vec<u8>>(golden, "is_drift"));
    assert_eq!(online.drift_since(), take(golden, "first_alarm_t"));
    for step in &steps {
        let at = (step.time as usize).min(thresholds.len() - 1);
        assert_eq!(
            step.threshold,
            Some(found.thresholds[at]),
            "t = {}",
            step.time
        );
    }
    let remembered: Vec<Option<f64>> = online.history().collect();
    assert_eq!(
        remembered,
        statistics.iter().map(|s| Some(*s)).collect::<Vec<_>>()
    );
}

#[test]
fn mmd() {
    let golden = golden("online_mmd");
    let reference = data("ref");
    let options = MmdOptions {
        window: take(&golden, "window_size"),
        ert: take(&golden, "ert"),
        bootstraps: None,
        bandwidth: None,
        draws: Draws::Given(Permutations {
            bootstraps: permutations(&golden, reference.rows()),
            splits: take(&golden, "splits"),
            centres: Vec::new(),
        }),
    };
    check_stream(&mut Online::mmd(&reference, &options).unwrap(), &golden);
}

#[test]
fn lsdd() {
    let golden = golden("online_lsdd");
    let reference = data("ref");
    let centres: usize = take(&golden, "n_kernel_centers");
    let options = LsddOptions {
        window: take(&golden, "window_size"),
        ert: take(&golden, "ert"),
        bootstraps: None,
        bandwidth: None,
        centres: None,
        first_window: FirstWindow::Kept,
        draws: Draws::Given(Permutations {
            bootstraps: permutations(&golden, reference.rows() - centres),
            splits: take(&golden, "splits"),
            centres: take(&golden, "centres"),
        }),
    };
    let mut online = Online::lsdd(&reference, &options).unwrap();
    assert_eq!(fitted(&online).regularisation, take(&golden, "lambda"));
    check_stream(&mut online, &golden);
}

#[test]
fn cvm() {
    let golden = golden("online_cvm");
    let reference = Sample::new(take(&golden, "ref"), 1).unwrap();
    let mut options = cvm_options(
        &take::<Vec<usize>>(&golden, "window_sizes"),
        take(&golden, "ert"),
        1,
    );
    options.bootstraps = Some(6000);
    let mut online = Online::cvm(&reference, &options).unwrap();
    let (stream, expected): (Vec<f64>, Vec<Vec<Option<f64>>>) =
        (take(&golden, "stream"), take(&golden, "normalised_stats"));
    let thresholds: Vec<Option<f64>> = take(&golden, "thresholds_from_6000_simulations");
    for (value, expected) in stream.iter().zip(expected) {
        let step = online.observe(&[*value]).unwrap();
        let parts = online.parts();
        for (part, expected) in parts.iter().zip(&expected) {
            let close = match (part.statistic, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected.abs(),
                (found, expected) => found == *expected,
            };
            assert!(close, "{part:?} instead of {expected:?} at {}", step.time);
        }
        let largest = expected.iter().flatten().copied().reduce(f64::max);
        assert_eq!(step.statistic.is_some(), largest.is_some());
        // Two simulations: the file's own two differ by up to a tenth.
        let at = (step.time as usize).min(thresholds.len()) - 1;
        match (step.threshold, thresholds[at]) {
            (Some(found), Some(expected)) => {
                assert!((found / expected - 1.0).abs() < 0.15, "{found} {expected}");
            }
            (found, expected) => assert_eq!(found, expected),
        }
    }
    // The stream moves at 31.
    assert!(
        online
            .drift_since()
            .is_some_and(|since| (31..41).contains(&since))
    );
}

#[test]
fn fisher() {
    let golden = golden("online_fet");
    let bits = |key: &str| take::<Vec<f64>>(&golden, key);
    let reference = Sample::new(bits("ref"), 1).unwrap();
    for (key, direction) in [("greater", Direction::Greater), ("less", Direction::Less)] {
        let mut options = fisher_options(
            &take::<Vec<usize>>(&golden, "window_sizes"),
            take(&golden, "ert"),
            1,
        );
        options.direction = direction;
        options.smoothing = take(&golden, "lambda");
        let mut online = Online::fisher(&reference, &options).unwrap();
        let expected: Vec<Vec<Option<f64>>> = take(&golden, key);
        for (bit, expected) in bits("stream").iter().zip(expected) {
            let step = online.observe(&[*bit]).unwrap();
            for (part, expected) in online.parts().iter().zip(&expected) {
                let close = match (part.statistic, expected) {
                    (Some(found), Some(expected)) => {
                        (found - expected).abs() <= 1e-9 * expected.abs() + 1e-12
                    }
                    (found, expected) => found == *expected,
                };
                assert!(
                    close,
                    "{key}: {part:?} instead of {expected:?} at {}",
                    step.time
                );
            }
        }
        if direction == Direction::Greater {
            // The rate rises at 41, from 0.1 to 0.45.
            let since = online.drift_since();
            assert!(
                since.is_some_and(|since| (41..55).contains(&since)),
                "{since:?}"
            );
        }
    }
}
