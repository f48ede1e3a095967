//! Runs an operation where its tensors live and records it for the way back.
//! Imports: burn, burn-flex, `ops::bytes`.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{
    Autodiff, BackendTensor, DType, DispatchAutodiffContext, DispatchKindConversion,
    DispatchTensor, Flex,
};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::bytes::in_order;

/// An operation with kernels of ours.
pub(super) trait Op: Clone + Debug + Send + 'static {
    /// What the way back needs.
    type Saved: Clone + Debug + Send + 'static;

    /// Returns the result and what the way back needs of `inputs`, which are in order and of f32.
    fn forward(&self, inputs: Vec<FlexTensor>, way_back: WayBack) -> (FlexTensor, Self::Saved);

    /// Returns the gradients of the inputs that are `wanted`, `None` or anything for the others.
    /// `dy` is in order.
    fn backward(
        &self,
        saved: Self::Saved,
        dy: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>>;
}

/// Whether gradients will be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayBack {
    /// They may be.
    Kept,
    /// They will not be: nothing needs to be saved.
    None,
}

/// Returns `tensor` as an input of `run`, whatever its number of axes.
pub(super) fn input<const D: usize>(tensor: &Tensor<D>) -> DispatchTensor {
    tensor.clone().into_dispatch()
}

/// Runs `op` with our kernels; `None` when the inputs live elsewhere, so that burn's operations
/// must do. Also returns what was saved, for results beside the main one.
pub(super) fn run<O: Op, const N: usize>(
    op: &O,
    inputs: [DispatchTensor; N],
) -> Option<(DispatchTensor, O::Saved)> {
    let trains = inputs
        .iter()
        .any(|input| input.autodiff != DispatchAutodiffContext::Disabled);
    if trains {
        train(op, inputs)
    } else {
        infer(op, inputs)
    }
}

fn infer<O: Op, const N: usize>(
    op: &O,
    inputs: [DispatchTensor; N],
) -> Option<(DispatchTensor, O::Saved)> {
    let mut values = Vec::with_capacity(N);
    for input in inputs {
        let input = <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(input);
        let BackendTensor::Float(value) = input.ok()? else {
            return None;
        };
        values.push(readable(value)?);
    }
    let (y, saved) = op.forward(values, WayBack::None);
    let y = <DispatchTensor as DispatchKindConversion<Flex>>::from_backend(BackendTensor::Float(y));
    Some((y, saved))
}

fn train<O: Op, const N: usize>(
    op: &O,
    inputs: [DispatchTensor; N],
) -> Option<(DispatchTensor, O::Saved)> {
    type Train = Autodiff<Flex>;
    let mut values = Vec::with_capacity(N);
    let mut nodes = Vec::with_capacity(N);
    for input in inputs {
        let input = <DispatchTensor as DispatchKindConversion<Train>>::try_into_backend(input);
        let BackendTensor::Float(input) = input.ok()? else {
            return None;
        };
        let (value, node) = input.into_parts();
        values.push(readable(value)?);
        nodes.push(node);
    }
    let nodes: [_; N] = nodes.try_into().ok()?;
    let recorded = Recorded(op.clone());
    let prepared = recorded.prepare::<NoCheckpointing>(nodes).compute_bound();
    let (y, saved) = match prepared.stateful() {
        OpsKind::Tracked(prepared) => {
            let (y, saved) = op.forward(values, WayBack::Kept);
            (prepared.finish(saved.clone(), y), saved)
        }
        OpsKind::UnTracked(prepared) => {
            let (y, saved) = op.forward(values, WayBack::None);
            (prepared.finish(y), saved)
        }
    };
    let y =
        <DispatchTensor as DispatchKindConversion<Train>>::from_backend(BackendTensor::Float(y));
    Some((y, saved))
}

fn readable(value: FlexTensor) -> Option<FlexTensor> {
    (value.dtype() == DType::F32).then(|| in_order(value))
}

/// An operation as a node of burn's graph.
#[derive(Debug)]
struct Recorded<O>(O);

impl<O: Op, const N: usize> Backward<Flex, N> for Recorded<O> {
    type State = O::Saved;

    fn backward(
        self,
        ops: Ops<O::Saved, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        // The gradient may arrive as a view: after a `permute` or `flatten` it does.
        let dy = in_order(gradients.consume::<Flex>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.backward(ops.state, dy, &wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
