//! A convolution with its parameters, as a module of burn. Imports: burn, `model::{ops, spec}`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::ops::{self, Finish, Geometry};
use super::spec::ConvBlock;

/// A two-dimensional convolution with a square kernel, as deep learning means it
/// (cross-correlation).
#[derive(Module, Debug)]
pub(super) struct Conv {
    /// `[out, in, kernel, kernel]`, depthwise `[channels, 1, kernel, kernel]`.
    pub(super) weight: Param<Tensor<4>>,
    /// `[out]`; absent before a batch norm.
    pub(super) bias: Option<Param<Tensor<1>>>,
    stride: usize,
    /// Zeros added at each side.
    border: usize,
    /// Equal parts into which the channels are cut, each convolved alone: 1, or all of them.
    groups: usize,
}

impl Conv {
    /// Returns the convolution of `block` with these weights.
    pub(super) fn new(
        block: &ConvBlock,
        weight: Param<Tensor<4>>,
        bias: Option<Param<Tensor<1>>>,
    ) -> Self {
        let groups = if block.depthwise { weight.dims()[0] } else { 1 };
        Self {
            weight,
            bias,
            stride: block.stride,
            border: block.border(),
            groups,
        }
    }

    /// Returns the 1×1 convolution of a shortcut, which takes every `stride`-th pixel.
    pub(super) fn projection(
        stride: usize,
        weight: Param<Tensor<4>>,
        bias: Option<Param<Tensor<1>>>,
    ) -> Self {
        Self {
            weight,
            bias,
            stride,
            border: 0,
            groups: 1,
        }
    }

    /// `[batch, height, width, in]` → `[batch, height', width', out]`, with the sizes of
    /// `spec::Padding`, then what `finish` says; a depthwise convolution cannot pool.
    pub(super) fn forward(&self, input: Tensor<4>, finish: Finish) -> Tensor<4> {
        let geometry = Geometry {
            stride: self.stride,
            border: self.border,
        };
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        if self.groups == 1 {
            ops::conv(input, weight, bias, geometry, finish)
        } else {
            ops::depthwise(input, weight, bias, geometry, finish.slope)
        }
    }

    /// Is every channel convolved alone?
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups != 1
    }
}
