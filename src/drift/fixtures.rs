//! What tests of detectors share: the data of the golden values, how close is close, samples at random.
//! Imports: base, `drift::{normal, sample}`.

use serde_json::Value;

use super::normal::standard_normal;
use super::sample::Sample;
use crate::base::rng;

/// Returns the sample `name` of the golden data.
pub(super) fn data(name: &str) -> Sample {
    let all = parse(include_str!("../../tests/golden/drift/data.json"));
    let rows = all["data"][name].as_array().unwrap();
    let width = rows[0].as_array().unwrap().len();
    Sample::new(rows.iter().flat_map(numbers).collect(), width).unwrap()
}

pub(super) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(super) fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap().iter();
    list.map(|number| number.as_f64().unwrap()).collect()
}

pub(super) fn indices(list: &Value) -> Vec<usize> {
    let list = list.as_array().unwrap().iter();
    list.map(|number| number.as_u64().unwrap() as usize)
        .collect()
}

pub(super) fn permutations(lists: &Value) -> Vec<Vec<usize>> {
    lists.as_array().unwrap().iter().map(indices).collect()
}

/// The golden file's tolerance for statistics in `f64`: 1e-9 of the value.
#[track_caller]
pub(super) fn assert_close(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let tolerance = 1e-9 * expected.abs() + 1e-15;
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, expected {expected}"
    );
}

#[track_caller]
pub(super) fn assert_all_close(what: &str, found: &[f64], expected: &Value) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_close(what, *found, expected);
    }
}

/// Returns standard normal rows, the first feature moved by `shift`.
pub(super) fn normal_rows(rows: usize, width: usize, shift: f64, seed: u64) -> Sample {
    let mut rng = rng::stream(seed, "test.drift.normal", 0);
    let values = (0..rows * width)
        .map(|at| standard_normal(&mut rng) + if at % width == 0 { shift } else { 0.0 })
        .collect();
    Sample::new(values, width).unwrap()
}

/// Asserts that 200 p-values without drift are at most 0.05 as often as that says: the 99.9 % band of the
/// binomial distribution around 10 is 2 to 21.
#[track_caller]
pub(super) fn assert_calibrated(p_values: impl Iterator<Item = f64>) {
    let p_values: Vec<f64> = p_values.collect();
    assert_eq!(p_values.len(), 200);
    let rejected = p_values.iter().filter(|p| **p <= 0.05).count();
    assert!((2..=21).contains(&rejected), "{rejected} of 200 rejected");
}
