//! What a network is, declared: blocks of convolutions, then a dense head. Plain data, no tensors.
//!
//! These types are part of the format of `model.json` (through serde): a field renamed or removed
//! here is a new format version there. `read` reads them from `params.yaml`, `plan` gives every
//! layer its shape. Keys that came later are left out of the file where they have their default, so
//! a network that does not use them is the same bytes as before. Imports: nothing of ours.

use std::ops::Not;

use serde::{Deserialize, Serialize};

/// More blocks than any network for small pictures has. This and the limits below bound what a typing
/// error, or a damaged file, can ask for.
pub(super) const BLOCKS_MAX: usize = 64;
/// Largest number of channels.
pub(super) const FILTERS_MAX: usize = 4096;
/// Largest side of a kernel.
pub(super) const KERNEL_MAX: usize = 31;
/// Largest step of a kernel.
pub(super) const STRIDE_MAX: usize = 8;
/// Largest side of a pooling window.
pub(super) const POOL_SIZE_MAX: usize = 16;
/// The slope of a leaky ReLU below zero.
const LEAK: f32 = 0.01;
/// Most hidden dense layers.
pub(super) const DENSE_MAX: usize = 8;
/// Most units of a dense layer.
pub(super) const UNITS_MAX: usize = 65_536;
/// Above this probability of dropout a network would learn next to nothing.
pub(super) const DROPOUT_MAX: f64 = 0.95;

/// A network as declared: the blocks in order, then the head. The number of classes comes from the
/// data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Convolution blocks, first to last; may be empty (a plain multilayer perceptron).
    pub blocks: Vec<ConvBlock>,
    /// What follows the last block.
    pub head: Head,
}

/// Convolution, then batch norm, the sum with earlier maps, activation, pooling and dropout, each as
/// declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvBlock {
    /// Output channels; 0, which only a depthwise block may have, is as many as it gets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub filters: usize,
    /// Side of the square kernel, odd.
    pub kernel: usize,
    /// Step of the kernel in both directions.
    pub stride: usize,
    /// What happens at the border.
    pub padding: Padding,
    /// Normalise each channel over the batch before the activation; the convolution then has no
    /// bias, because the normalisation's own shift makes it redundant.
    pub batch_norm: bool,
    /// Applied after the normalisation.
    pub activation: Activation,
    /// Applied after the activation.
    pub pool: Pool,
    /// Side and step of the pooling window; ignored without pooling.
    pub pool_size: usize,
    /// Probability of zeroing a value in training.
    pub dropout: f64,
    /// Each output channel comes from the input channel of the same number alone, through a kernel of
    /// its own (the depthwise convolution of Howard et al. 2017, <https://arxiv.org/abs/1704.04861>).
    #[serde(default, skip_serializing_if = "Not::not")]
    pub depthwise: bool,
    /// How many blocks, this one included, a shortcut spans: what the first of them gets is added
    /// before the activation of this one; 0 for no shortcut. Maps of another shape are projected first
    /// (He et al. 2016, <https://arxiv.org/abs/1512.03385>, option B).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub residual: usize,
}

/// The dense end of a network; the last layer, one output per class, is implied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Reduces each channel to one number before the dense layers; without it, maps are flattened.
    pub global_pool: Pool,
    /// Units of each hidden dense layer (ReLU).
    pub dense: Vec<usize>,
    /// Probability of zeroing a value after each hidden layer, or before the output if there is
    /// none.
    pub dropout: f64,
}

/// What a convolution does at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// The kernel stays inside: a map of side n becomes (n - kernel) / stride + 1, rounded down.
    Valid,
    /// Zeros all around, (kernel - 1) / 2 deep: n becomes (n - 1) / stride + 1, rounded down.
    Same,
}

/// The function after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x, or 0.01 x below zero.
    LeakyRelu,
    /// x.
    None,
}

impl Activation {
    /// Returns what values below zero are multiplied with.
    pub(super) fn slope(self) -> f32 {
        match self {
            Self::Relu => 0.0,
            Self::LeakyRelu => LEAK,
            Self::None => 1.0,
        }
    }
}

/// How neighbouring values are reduced to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The largest.
    Max,
    /// The mean.
    Avg,
    /// Not at all.
    None,
}

/// A network that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The reference network for 35×35 colour images: four 3×3 convolutions, 0.6 million weights.
    Cnn35,
    /// LeNet-5 (`LeCun` et al. 1998, <http://yann.lecun.com/exdb/lenet/>) with ReLU and max pooling.
    Lenet,
    /// The residual network of 8 layers for small pictures (He et al. 2016, section 4.2).
    Resnet8,
    /// The residual network of 20 layers for small pictures (He et al. 2016, section 4.2).
    Resnet20,
}

impl Preset {
    /// All presets with their names.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("cnn35", Self::Cnn35),
        ("lenet", Self::Lenet),
        ("resnet8", Self::Resnet8),
        ("resnet20", Self::Resnet20),
    ];

    /// Returns the network of this name.
    #[must_use]
    pub fn spec(self) -> ModelSpec {
        match self {
            Self::Cnn35 => ModelSpec {
                blocks: vec![
                    ConvBlock::plain(32),
                    ConvBlock::plain(32).pooled(),
                    ConvBlock::plain(64),
                    ConvBlock::plain(64).pooled(),
                ],
                head: Head {
                    global_pool: Pool::None,
                    dense: vec![128],
                    dropout: 0.5,
                },
            },
            Self::Lenet => ModelSpec {
                blocks: vec![
                    ConvBlock {
                        kernel: 5,
                        padding: Padding::Same,
                        ..ConvBlock::plain(6).pooled()
                    },
                    ConvBlock {
                        kernel: 5,
                        ..ConvBlock::plain(16).pooled()
                    },
                ],
                head: Head {
                    global_pool: Pool::None,
                    dense: vec![120, 84],
                    dropout: 0.0,
                },
            },
            Self::Resnet8 => resnet(1),
            Self::Resnet20 => resnet(3),
        }
    }
}

/// Returns the residual network of `6 * units + 2` layers: three stages of `units` basic blocks (two
/// convolutions each) with 16, 32 and 64 filters, maps halved between the stages. Shortcuts to maps
/// of another shape are projections (option B), not padded with zeros as in the paper's own networks
/// of this form.
fn resnet(units: usize) -> ModelSpec {
    let conv = |filters| ConvBlock {
        padding: Padding::Same,
        batch_norm: true,
        ..ConvBlock::plain(filters)
    };
    let mut blocks = vec![conv(16)];
    for filters in [16, 32, 64] {
        for unit in 0..units {
            let halves = filters != 16 && unit == 0;
            blocks.push(ConvBlock {
                stride: if halves { 2 } else { 1 },
                ..conv(filters)
            });
            blocks.push(ConvBlock {
                residual: 2,
                ..conv(filters)
            });
        }
    }
    ModelSpec {
        blocks,
        head: Head {
            global_pool: Pool::Avg,
            dense: Vec::new(),
            dropout: 0.0,
        },
    }
}

impl ModelSpec {
    /// Are all numbers within the limits? The reader of `params.yaml` says which is not; this is for
    /// what comes from a model file.
    pub(super) fn is_within_limits(&self) -> bool {
        let block = |(index, b): (usize, &ConvBlock)| {
            let filters_min = usize::from(!b.depthwise);
            (filters_min..=FILTERS_MAX).contains(&b.filters)
                && b.residual <= index + 1
                && (1..=KERNEL_MAX).contains(&b.kernel)
                && !b.kernel.is_multiple_of(2)
                && (1..=STRIDE_MAX).contains(&b.stride)
                && (2..=POOL_SIZE_MAX).contains(&b.pool_size)
                && (0.0..=DROPOUT_MAX).contains(&b.dropout)
        };
        self.blocks.len() <= BLOCKS_MAX
            && self.blocks.iter().enumerate().all(block)
            && self.head.dense.len() <= DENSE_MAX
            && self
                .head
                .dense
                .iter()
                .all(|units| (1..=UNITS_MAX).contains(units))
            && (0.0..=DROPOUT_MAX).contains(&self.head.dropout)
    }
}

impl ConvBlock {
    /// Returns how many zeros stand at each side of the input.
    pub(super) fn border(&self) -> usize {
        match self.padding {
            Padding::Valid => 0,
            Padding::Same => (self.kernel - 1) / 2,
        }
    }

    /// Returns a 3×3 convolution with ReLU and nothing else: the default of every key of a block.
    pub(super) fn plain(filters: usize) -> Self {
        Self {
            filters,
            kernel: 3,
            stride: 1,
            padding: Padding::Valid,
            batch_norm: false,
            activation: Activation::Relu,
            pool: Pool::None,
            pool_size: 2,
            dropout: 0.0,
            depthwise: false,
            residual: 0,
        }
    }

    /// Returns the block whose input is added in this one, block number `index`.
    pub(super) fn residual_source(&self, index: usize) -> Option<usize> {
        match self.residual {
            0 => None,
            spanned => (index + 1).checked_sub(spanned),
        }
    }

    /// Returns the block with 2×2 max pooling.
    fn pooled(self) -> Self {
        Self {
            pool: Pool::Max,
            ..self
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_the_later_keys_is_the_same_bytes_as_before_them() {
        let spec = ModelSpec {
            blocks: vec![ConvBlock::plain(4)],
            head: Head {
                global_pool: Pool::None,
                dense: Vec::new(),
                dropout: 0.0,
            },
        };
        let text = concat!(
            r#"{"blocks":[{"filters":4,"kernel":3,"stride":1,"padding":"valid","batch_norm":false,"#,
            r#""activation":"relu","pool":"none","pool_size":2,"dropout":0.0}],"#,
            r#""head":{"global_pool":"none","dense":[],"dropout":0.0}}"#
        );
        assert_eq!(serde_json::to_string(&spec).unwrap(), text);
        assert_eq!(serde_json::from_str::<ModelSpec>(text).unwrap(), spec);

        let mut later = spec;
        later.blocks.push(ConvBlock {
            filters: 0,
            depthwise: true,
            residual: 2,
            ..ConvBlock::plain(1)
        });
        let text = serde_json::to_string(&later).unwrap();
        assert!(text.contains(r#""depthwise":true,"residual":2}"#), "{text}");
        assert_eq!(serde_json::from_str::<ModelSpec>(&text).unwrap(), later);
    }

    #[test]
    fn numbers_out_of_range_are_seen() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut [ConvBlock]), within: bool) {
            let mut spec = Preset::Resnet8.spec();
            change(&mut spec.blocks);
            assert_eq!(spec.is_within_limits(), within);
        }
        check(|_| (), true);
        check(|blocks| blocks[0].residual = 1, true);
        check(|blocks| blocks[0].residual = 2, false);
        check(|blocks| blocks[4].residual = 5, true);
        check(|blocks| blocks[4].residual = 6, false);
        check(|blocks| blocks[4].residual = usize::MAX, false);
        check(|blocks| blocks[1].filters = 0, false);
        check(
            |blocks| {
                blocks[1].filters = 0;
                blocks[1].depthwise = true;
            },
            true,
        );
    }
}
