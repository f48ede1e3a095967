//! The optimiser of burn that the parameters ask for. Imports: burn, `train::params`.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, ModuleOptimizer, SgdConfig};

use super::params::{OptimiserKind, TrainParams};

/// Added to the root of the second moment. burn's own default of 1e-5 damps the steps of small
/// gradients; this is the value of the paper and of PyTorch.
const EPSILON: f32 = 1e-8;

/// Returns a fresh optimiser.
pub(super) fn optimiser(params: &TrainParams) -> ModuleOptimizer {
    let penalty = params.weight_decay as f32;
    let decay = (0.0 < penalty).then(|| WeightDecayConfig::new(penalty));
    match params.optimiser {
        OptimiserKind::Adam => AdamConfig::new()
            .with_epsilon(EPSILON)
            .with_weight_decay(decay)
            .init(),
        OptimiserKind::AdamW => AdamWConfig::new()
            .with_epsilon(EPSILON)
            .with_weight_decay(penalty)
            .init(),
        OptimiserKind::Sgd => {
            // Without dampening, as in the textbook and in PyTorch.
            let momentum = MomentumConfig::new()
                .with_momentum(params.momentum)
                .with_dampening(0.0);
            SgdConfig::new()
                .with_momentum((0.0 < params.momentum).then_some(momentum))
                .with_weight_decay(decay)
                .init()
        }
    }
}
