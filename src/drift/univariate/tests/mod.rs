//! Tests over the whole of `univariate`, and the draws and golden values they share.

mod bad_input;
mod golden;
mod laws;

use std::f64::consts::TAU;

use rand::RngExt;
use serde_json::Value;

use super::super::correction::Correction;
use super::super::sample::Sample;
use super::{Alternative, Method, Rule, Test};
use crate::base::rng;

const KS: Test = Test::KolmogorovSmirnov {
    alternative: Alternative::TwoSided,
    method: Method::Auto,
};

const CVM: Test = Test::CramerVonMises {
    method: Method::Auto,
};

const CHI_SQUARE: Test = Test::ChiSquare {
    permutations: 199,
    seed: 5,
};

const FISHER: Test = Test::Fisher {
    alternative: Alternative::TwoSided,
};

fn rule(test: Test, correction: Correction) -> Rule {
    Rule {
        test,
        correction,
        alpha: 0.05,
        min_effect: 0.0,
    }
}

/// Rows of standard normal numbers, of the stream `index`.
fn normal(rows: usize, width: usize, index: u64) -> Vec<f64> {
    let mut rng = rng::stream(10, "drift.tests", index);
    (0..rows * width)
        .map(|_| {
            let (u, v) = (rng.random::<f64>(), rng.random::<f64>());
            (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()
        })
        .collect()
}

fn sample(values: Vec<f64>, width: usize) -> Sample {
    Sample::new(values, width).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{value}: {e}"))
}

/// A number of the golden file, or NaN where it has none.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[track_caller]
fn assert_statistic(what: &str, found: f64, expected: f64) {
    let close = (found - expected).abs() <= 1e-9 * expected.abs() + 1e-15;
    assert!(close, "{what}: {found} instead of {expected}");
}

/// The tolerance that the golden file names for p-values of closed form.
#[track_caller]
fn assert_p(what: &str, found: f64, expected: f64) {
    let miss = (found - expected).abs();
    let close = miss <= 1e-6 * expected || miss <= 1e-9;
    assert!(close, "{what}: p = {found} instead of {expected}");
}
