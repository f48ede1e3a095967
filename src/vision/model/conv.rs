//! The one place through which every convolution goes: swapping the kernels touches this file only.
//! Imports: burn, `model::spec`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::spec::{ConvBlock, Padding};

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
        let border = match block.padding {
            Padding::Valid => 0,
            Padding::Same => (block.kernel - 1) / 2,
        };
        let groups = if block.depthwise { weight.dims()[0] } else { 1 };
        Self {
            weight,
            bias,
            stride: block.stride,
            border,
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

    /// `[batch, in, height, width]` → `[batch, out, height', width']`, with the sizes of
    /// `spec::Padding`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let (stride, border) = ([self.stride; 2], [self.border; 2]);
        let options = ConvOptions::new(stride, border, [1, 1], self.groups);
        let bias = self.bias.as_ref().map(Param::val);
        conv2d(input, self.weight.val(), bias, options)
    }
}
