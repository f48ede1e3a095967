//! The optimiser that the parameters ask for: burn's, with the arithmetic of one tensor in one pass
//! of our kernels where the tensors are f32 on the CPU.
//!
//! States are burn's or have their names in records, so a checkpoint does not tell which of the two
//! wrote it. Results agree with burn's up to rounding; a resumed training goes on bit by bit.
//! Imports: burn, burn-flex, `train::params`, `vision::{kernels, model::ops}`.

use burn::backend::{DType, Flex};
use burn::optim::{
    self, AdamConfig, AdamState, AdamWConfig, AdamWState, AdaptiveMomentumState, LearningRate,
    ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource, decay::WeightDecayConfig,
    join_path,
};
use burn::tensor::{Device, Tensor};
use burn_flex::FlexTensor;

use crate::vision::kernels::optimise::{self, AdamStep, SgdStep};
use crate::vision::kernels::{Buffer, Cpu};
use crate::vision::model::ops::{flat, flat_mut, in_order, tensor_like};

use super::params::{OptimiserKind, TrainParams};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
/// Added to the root of the second moment. burn's own default of 1e-5 damps the steps of small
/// gradients; this is the value of the paper and of PyTorch.
const EPSILON: f32 = 1e-8;

/// Returns a fresh optimiser.
pub(super) fn optimiser(params: &TrainParams) -> ModuleOptimizer {
    let (penalty, momentum) = (params.weight_decay as f32, params.momentum as f32);
    build(params.optimiser, penalty, momentum)
}

fn build(kind: OptimiserKind, penalty: f32, momentum: f32) -> ModuleOptimizer {
    match kind {
        OptimiserKind::Adam => Adam::new(penalty).into(),
        OptimiserKind::AdamW => AdamW::new(penalty).into(),
        OptimiserKind::Sgd => Sgd { momentum, penalty }.into(),
    }
}

/// Kingma and Ba 2015, with an L2 penalty.
#[derive(Clone)]
struct Adam {
    penalty: f32,
    stock: optim::Adam,
}

impl Adam {
    fn new(penalty: f32) -> Self {
        let decay = (0.0 < penalty).then(|| WeightDecayConfig::new(penalty));
        let config = AdamConfig::new()
            .with_beta_1(BETA_1)
            .with_beta_2(BETA_2)
            .with_epsilon(EPSILON)
            .with_weight_decay(decay);
        Self {
            penalty,
            stock: config.build(),
        }
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let moments = state.as_ref().map(|state| &state.momentum);
        if !ours(&tensor, &gradient, moments) {
            return self.stock.step(rate, tensor, gradient, state);
        }
        let moments = state.map(|state| state.momentum);
        let (tensor, moments) = adam(rate, self.penalty, 1.0, tensor, gradient, moments);
        (tensor, Some(AdamState::new(moments)))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        optim::Adam::to_device(state, device)
    }
}

/// Loshchilov and Hutter 2019: the weights decay by themselves, not through the gradient.
#[derive(Clone)]
struct AdamW {
    decay: f32,
    stock: optim::AdamW,
}

impl AdamW {
    fn new(decay: f32) -> Self {
        let config = AdamWConfig::new()
            .with_beta_1(BETA_1)
            .with_beta_2(BETA_2)
            .with_epsilon(EPSILON)
            .with_weight_decay(decay);
        Self {
            decay,
            stock: config.build(),
        }
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let moments = state.as_ref().map(|state| &state.momentum);
        if !ours(&tensor, &gradient, moments) {
            return self.stock.step(rate, tensor, gradient, state);
        }
        let keep = (1.0 - rate * f64::from(self.decay)) as f32;
        let moments = state.map(|state| state.momentum);
        let (tensor, moments) = adam(rate, 0.0, keep, tensor, gradient, moments);
        (tensor, Some(AdamWState::new(moments)))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        optim::AdamW::to_device(state, device)
    }
}

/// Stochastic gradient descent with momentum and an L2 penalty, without dampening, as in the
/// textbook and in PyTorch.
#[derive(Clone)]
struct Sgd {
    momentum: f32,
    penalty: f32,
}

/// The state of `Sgd`. burn's own hides the velocity; this one has its names in records.
#[derive(Clone)]
struct SgdState<const D: usize> {
    /// Absent without momentum.
    velocity: Option<Tensor<D>>,
}

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        if let Some(velocity) = &self.velocity {
            out.push_tensor(
                &join_path(prefix, "momentum"),
                "velocity",
                velocity.to_data(),
            );
        }
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = source.take_tensor(&join_path(prefix, "momentum"), "velocity");
        Some(Self {
            velocity: velocity.map(|data| Tensor::from_data(data, device)),
        })
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let velocity = state.and_then(|state| state.velocity);
        let here = on_cpu(&tensor) && on_cpu(&gradient) && velocity.as_ref().is_none_or(on_cpu);
        let (tensor, velocity) = if here {
            self.fused(rate, tensor, gradient, velocity)
        } else {
            self.stock(rate, tensor, gradient, velocity)
        };
        (tensor, Some(SgdState { velocity }))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        SgdState {
            velocity: state.velocity.map(|velocity| velocity.to_device(device)),
        }
    }
}

impl Sgd {
    fn fused<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        velocity: Option<Tensor<D>>,
    ) -> (Tensor<D>, Option<Tensor<D>>) {
        let mut tensor = take(tensor);
        let gradient = in_order(take(gradient));
        let mut velocity = (self.momentum != 0.0).then(|| taken_or_zeros(velocity, &gradient));
        let step = SgdStep {
            rate: rate as f32,
            momentum: self.momentum,
            penalty: self.penalty,
        };
        if let Some(weights) = flat_mut(&mut tensor) {
            let velocity = velocity.as_mut().and_then(flat_mut);
            optimise::sgd(Cpu::current(), &step, weights, flat(&gradient), velocity);
        }
        (give(tensor), velocity.map(give))
    }

    /// The same with burn's operations.
    fn stock<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        mut gradient: Tensor<D>,
        velocity: Option<Tensor<D>>,
    ) -> (Tensor<D>, Option<Tensor<D>>) {
        if self.penalty != 0.0 {
            gradient = tensor.clone().mul_scalar(self.penalty).add(gradient);
        }
        if self.momentum == 0.0 {
            return (tensor - gradient.mul_scalar(rate), None);
        }
        let velocity = match velocity {
            Some(velocity) => gradient.add(velocity.mul_scalar(self.momentum)),
            None => gradient,
        };
        let tensor = tensor - velocity.clone().mul_scalar(rate);
        (tensor, Some(velocity))
    }
}

/// One step of Adam or, where only `keep` of the weights is kept, of AdamW.
fn adam<const D: usize>(
    rate: LearningRate,
    penalty: f32,
    keep: f32,
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Option<AdaptiveMomentumState<D>>,
) -> (Tensor<D>, AdaptiveMomentumState<D>) {
    let (time, first, second, largest) = match moments {
        Some(m) => (m.time, Some(m.moment_1), Some(m.moment_2), m.max_moment_2),
        None => (0, None, None, None),
    };
    let time = time + 1;
    let mut tensor = take(tensor);
    let gradient = in_order(take(gradient));
    let mut first = taken_or_zeros(first, &gradient);
    let mut second = taken_or_zeros(second, &gradient);
    // As burn has it, in f32: m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + ε), with the roots of the corrections
    // moved out of the loop over the values.
    let root = (1.0 - BETA_2.powi(time as i32)).sqrt();
    let step = AdamStep {
        beta_1: BETA_1,
        beta_2: BETA_2,
        penalty,
        keep,
        rate: rate as f32 * (root / (1.0 - BETA_1.powi(time as i32))),
        epsilon: EPSILON * root,
    };
    let parts = (
        flat_mut(&mut tensor),
        flat_mut(&mut first),
        flat_mut(&mut second),
    );
    if let (Some(weights), Some(first), Some(second)) = parts {
        optimise::adam(
            Cpu::current(),
            &step,
            weights,
            flat(&gradient),
            first,
            second,
        );
    }
    let moments = AdaptiveMomentumState {
        time,
        moment_1: give(first),
        moment_2: give(second),
        max_moment_2: largest,
    };
    (give(tensor), moments)
}

fn ours<const D: usize>(
    tensor: &Tensor<D>,
    gradient: &Tensor<D>,
    moments: Option<&AdaptiveMomentumState<D>>,
) -> bool {
    on_cpu(tensor)
        && on_cpu(gradient)
        && moments.is_none_or(|m| on_cpu(&m.moment_1) && on_cpu(&m.moment_2))
}

/// Whether `tensor` holds f32 on Flex and is no part of a graph.
fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    let flex = tensor.clone().try_into_primitive::<Flex>();
    flex.is_ok_and(|flex| flex.dtype() == DType::F32)
}

fn take<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let flex = tensor.try_into_primitive::<Flex>();
    flex.expect("the caller asked where the tensor lives")
}

fn give<const D: usize>(tensor: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(tensor)
}

/// Returns `tensor`, or zeros in the shape of `like`.
fn taken_or_zeros<const D: usize>(tensor: Option<Tensor<D>>, like: &FlexTensor) -> FlexTensor {
    match tensor {
        Some(tensor) => take(tensor),
        None => tensor_like(Buffer::zeros(flat(like).len()), like.layout().shape()),
    }
}

#[cfg(test)]
mod tests {
    use burn::grad_clipping::GradientClipping;
    use burn::module::{Module, Param, ParamId};
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Bytes, TensorData};

    use super::*;

    #[derive(Module, Debug)]
    struct Pair {
        matrix: Param<Tensor<2>>,
        row: Param<Tensor<1>>,
    }

    fn pair(device: &Device) -> Pair {
        let values = |len: usize| (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0);
        let tensor = |len: usize, shape: &[usize]| {
            TensorData::new(values(len).collect::<Vec<f32>>(), shape.to_vec())
        };
        let matrix = Tensor::<2>::from_data(tensor(37 * 5, &[37, 5]), device).require_grad();
        let row = Tensor::<1>::from_data(tensor(5, &[5]), device).require_grad();
        Pair {
            matrix: Param::initialized(ParamId::from(1), matrix),
            row: Param::initialized(ParamId::from(2), row),
        }
    }

    /// One step towards something that changes with `step`.
    fn step(optimiser: &mut ModuleOptimizer, pair: Pair, step: usize) -> Pair {
        let y = pair.matrix.val() * pair.row.val().unsqueeze::<2>() - (step as f32 * 0.3).sin();
        let loss = y.powf_scalar(2.0).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &pair);
        optimiser.step(0.01, pair, gradients)
    }

    fn values(pair: &Pair) -> Vec<f32> {
        let matrix = pair.matrix.val().into_data();
        let row = pair.row.val().into_data();
        matrix.iter::<f32>().chain(row.iter::<f32>()).collect()
    }

    /// How one of our optimisers is asked for, and the one of burn that it stands for.
    type Case = (OptimiserKind, f32, f32, ModuleOptimizer);

    fn cases() -> Vec<Case> {
        let mut cases = Vec::new();
        for penalty in [0.0, 0.02] {
            let decay = (penalty != 0.0).then(|| WeightDecayConfig::new(penalty));
            let adam = AdamConfig::new().with_epsilon(EPSILON);
            let adam = adam.with_weight_decay(decay.clone());
            cases.push((OptimiserKind::Adam, penalty, 0.0, adam.init()));
            let adamw = AdamWConfig::new().with_epsilon(EPSILON);
            let adamw = adamw.with_weight_decay(penalty);
            cases.push((OptimiserKind::AdamW, penalty, 0.0, adamw.init()));
            for momentum in [0.0, 0.9] {
                let config = MomentumConfig::new();
                let config = config
                    .with_momentum(f64::from(momentum))
                    .with_dampening(0.0);
                let sgd = SgdConfig::new()
                    .with_momentum((momentum != 0.0).then_some(config))
                    .with_weight_decay(decay.clone());
                cases.push((OptimiserKind::Sgd, penalty, momentum, sgd.init()));
            }
        }
        cases
    }

    #[test]
    fn steps_are_those_of_burn_up_to_rounding() {
        let device = Device::flex().autodiff();
        for (kind, penalty, momentum, mut stock) in cases() {
            let mut ours = build(kind, penalty, momentum);
            let (mut a, mut b) = (pair(&device), pair(&device));
            for i in 0..50 {
                a = step(&mut ours, a, i);
                b = step(&mut stock, b, i);
            }
            let (a, b) = (values(&a), values(&b));
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() < 1e-5, "{kind:?} {a} {b}");
            }
        }
    }

    /// Also with a stock optimiser's record, and the other way round.
    #[test]
    fn a_record_goes_on_bit_by_bit_and_is_one_of_burn() {
        let device = Device::flex().autodiff();
        for (kind, penalty, momentum, stock) in cases() {
            let mut ours = build(kind, penalty, momentum);
            let mut a = pair(&device);
            for i in 0..7 {
                a = step(&mut ours, a, i);
            }
            let bytes = ours.to_record().into_bytes().unwrap().to_vec();
            let again = || Bytes::from_bytes_vec(bytes.clone());
            let mut resumed = build(kind, penalty, momentum).from_bytes(again()).unwrap();
            let mut stock = stock.from_bytes(again()).unwrap();
            assert_eq!(stock.to_record().len(), ours.to_record().len());
            let (mut b, mut c) = (a.clone(), a.clone());
            for i in 7..12 {
                a = step(&mut ours, a, i);
                b = step(&mut resumed, b, i);
                c = step(&mut stock, c, i);
            }
            assert_eq!(values(&a), values(&b));
            for (a, c) in values(&a).iter().zip(values(&c)) {
                assert!((a - c).abs() < 1e-6, "{kind:?} {a} {c}");
            }
        }
    }

    /// A copy of the network that someone still holds keeps its values.
    #[test]
    fn shared_parameters_are_copied_first() {
        let device = Device::flex().autodiff();
        for (kind, penalty, momentum, _) in cases() {
            let mut ours = build(kind, penalty, momentum);
            let first = pair(&device);
            let before = values(&first);
            let after = step(&mut ours, first.clone(), 1);
            assert_eq!(values(&first), before);
            assert_ne!(values(&after), before);
        }
    }

    #[test]
    fn gradients_can_be_clipped() {
        let device = Device::flex().autodiff();
        let mut ours =
            build(OptimiserKind::Sgd, 0.0, 0.9).with_grad_clipping(GradientClipping::Value(0.0));
        let first = pair(&device);
        let before = values(&first);
        assert_eq!(values(&step(&mut ours, first, 1)), before);
    }
}
