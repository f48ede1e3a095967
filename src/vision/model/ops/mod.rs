//! The seam between burn and our kernels: what a network is made of, on NHWC maps
//! `[batch, height, width, channels]`, differentiable.
//!
//! Each operation has three routes, chosen by where its tensors live:
//!
//! - *training*, `Autodiff<Flex>`: our kernels in one node of the graph, with our gradients;
//! - *inference*, `Flex`: our kernels;
//! - *stock*, everything else (GPUs, gradient checkpointing, other types than f32): burn's own
//!   operations between two permutations of the axes.
//!
//! The results are the same up to rounding. All tensors of one call live on one device: parameters
//! on an autodiff device take pictures from that device. Views are copied into order first. Weights
//! of convolutions stay `[out, in, kernel, kernel]`.
//!
//! In reading order: how values get in and out (`bytes`), how an operation is run and recorded
//! (`route`), the operations. Imports: burn, burn-flex, burn-std, `vision::kernels`.

mod bytes;
mod conv;
mod cross_entropy;
mod dense;
mod norm;
mod pool;
mod route;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu};

pub(in crate::vision) use bytes::{flat, flat_mut, in_order, tensor_like};
pub(in crate::vision) use conv::{Geometry, conv, depthwise};
pub(in crate::vision) use cross_entropy::cross_entropy;
pub(in crate::vision) use dense::dense;
pub(in crate::vision) use norm::norm;
pub(in crate::vision) use pool::{avg_pool, global_avg_pool, global_max_pool, max_pool};

pub(in crate::vision) use crate::vision::kernels::Finish;

/// `[batch, height, width, channels]` → `[batch, channels, height, width]`: a view.
pub(super) fn planes(maps: Tensor<4>) -> Tensor<4> {
    maps.permute([0, 3, 1, 2])
}

/// `[batch, channels, height, width]` → `[batch, height, width, channels]`: a view.
pub(super) fn maps(planes: Tensor<4>) -> Tensor<4> {
    planes.permute([0, 2, 3, 1])
}

/// Turns x below zero into slope·x, with burn's operations.
pub(super) fn activate<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    match slope {
        0.0 => relu(x),
        1.0 => x,
        slope => leaky_relu(x, f64::from(slope)),
    }
}
