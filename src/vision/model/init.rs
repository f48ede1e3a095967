//! First weights of a network: drawn from named streams of the seed, one per tensor, so they depend
//! neither on the back end nor on what else draws random numbers. Imports: `base::rng`,
//! `model::{plan, weights}`.

use rand::RngExt;

use crate::base::rng;

use super::plan::{Plan, Role, TensorPlan};
use super::weights::{Tensor, Weights};

/// Returns the weights with which training with `seed` starts.
///
/// Layers before a ReLU are uniform in ±√(6 / `fan_in`) (He et al. 2015,
/// <https://arxiv.org/abs/1502.01852>), the output layer in ±√(6 / (`fan_in` + `fan_out`)) (Glorot
/// and Bengio 2010), biases are zero.
#[must_use]
pub fn initial_weights(plan: &Plan, seed: u64) -> Weights {
    let tensors = plan.tensors().enumerate().map(|(i, tensor)| {
        let values = initial_values(tensor, seed, i as u64);
        let shape = tensor.shape.clone();
        (tensor.name.clone(), Tensor { shape, values })
    });
    Weights(tensors.collect())
}

fn initial_values(tensor: &TensorPlan, seed: u64, index: u64) -> Vec<f32> {
    let uniform = |variance: f64| {
        let bound = (3.0 * variance).sqrt() as f32;
        let mut rng = rng::stream(seed, "init", index);
        (0..tensor.len())
            .map(|_| rng.random_range(-bound..=bound))
            .collect()
    };
    match tensor.role {
        Role::Weight { fan_in } => uniform(2.0 / fan_in as f64),
        Role::OutputWeight { fan_in, fan_out } => uniform(2.0 / (fan_in + fan_out) as f64),
        Role::Zeros | Role::RunningMean => vec![0.0; tensor.len()],
        Role::Ones | Role::RunningVariance => vec![1.0; tensor.len()],
    }
}
