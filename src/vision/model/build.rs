//! From weights to a burn module and back: the network that is trained and asked.
//! Imports: burn, `model::{conv, ops, plan, spec, weights}`.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::base::rng::ChaCha8Rng;

use super::conv::Conv;
use super::ops::{self, Finish};
use super::plan::Plan;
use super::spec::{ConvBlock, Head, Pool};
use super::weights::{Tensor as HostTensor, Weights, WeightsProblem};

/// A network on a device. Input: `[batch, height, width, channels]`, normalised; output: logits
/// `[batch, classes]`.
#[derive(Module, Debug)]
pub struct Network {
    blocks: Vec<Block>,
    dense: Vec<Linear>,
    output: Linear,
    #[module(skip)]
    head: Head,
}

#[derive(Module, Debug)]
struct Block {
    main: ConvNorm,
    /// Gives the maps that `residual` adds the shape of those that they are added to; none where they
    /// have it.
    shortcut: Option<ConvNorm>,
    /// Does this block, or a later one, add what this one gets?
    #[module(skip)]
    is_residual_source: bool,
    #[module(skip)]
    spec: ConvBlock,
}

/// A convolution and what normalises it.
#[derive(Module, Debug)]
struct ConvNorm {
    conv: Conv,
    norm: Option<BatchNorm>,
}

/// The source of dropout's masks in training.
///
/// Masks are drawn on the host from a stream of the seed, not by the back end: back ends keep one
/// generator per process, which two trainings in one process would share.
#[derive(Debug)]
pub struct Dropout(pub ChaCha8Rng);

impl Dropout {
    /// Zeroes each value with `probability` and scales the others so that the expectation stays
    /// (Srivastava et al. 2014; "inverted" form).
    fn apply<const D: usize>(&mut self, input: Tensor<D>, probability: f64) -> Tensor<D> {
        if probability == 0.0 {
            return input;
        }
        // 16 bits per draw: a probability is met to within 1/65536, at half the cost of 32.
        let threshold = (probability * 65536.0).round() as u16;
        let scale = (1.0 / (1.0 - probability)) as f32;
        let shape = input.shape();
        let len = shape.num_elements();
        let mut mask = Vec::with_capacity(len + 1);
        while mask.len() < len {
            let bits = self.0.next_u32();
            for draw in [bits as u16, (bits >> 16) as u16] {
                mask.push(if draw < threshold { 0.0 } else { scale });
            }
        }
        mask.truncate(len);
        let device = input.device();
        input * Tensor::from_data(TensorData::new(mask, shape), &device)
    }
}

impl Network {
    /// Builds the network of `plan` with these weights on `device`; on an autodiff device it can be
    /// trained.
    ///
    /// # Errors
    /// A tensor is missing, unexpected or of another shape.
    pub fn new(plan: &Plan, weights: &Weights, device: &Device) -> Result<Self, WeightsProblem> {
        weights.check(plan)?;
        let mut loader = Loader {
            weights,
            device,
            next_id: 1,
        };
        let spec = &plan.spec;
        let mut blocks = Vec::with_capacity(spec.blocks.len());
        for i in 0..spec.blocks.len() {
            blocks.push(loader.block(i, plan)?);
        }
        let mut dense = Vec::with_capacity(spec.head.dense.len());
        for i in 0..spec.head.dense.len() {
            dense.push(loader.linear(&format!("dense.{i}"))?);
        }
        Ok(Self {
            blocks,
            dense,
            output: loader.linear("output")?,
            head: spec.head.clone(),
        })
    }

    /// Returns the logits of a batch, for inference: no dropout; running statistics in batch norms
    /// when the network is not on an autodiff device.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.classified(self.embedded(input, None))
    }

    /// Returns the logits as `forward` does, and what enters the output layer, `[batch,
    /// Plan::embedding_width]`.
    #[must_use]
    pub fn observe(&self, input: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let embedded = self.embedded(input, None);
        (self.classified(embedded.clone()), embedded)
    }

    /// Returns the logits of a batch, for training.
    #[must_use]
    pub fn forward_train(&self, input: Tensor<4>, dropout: &mut Dropout) -> Tensor<2> {
        self.classified(self.embedded(input, Some(dropout)))
    }

    fn classified(&self, embedded: Tensor<2>) -> Tensor<2> {
        dense(&self.output, embedded, 1.0)
    }

    /// Returns what enters the output layer.
    fn embedded(&self, input: Tensor<4>, mut dropout: Option<&mut Dropout>) -> Tensor<2> {
        let mut maps = input;
        // What each block got, where it is needed again: the back end works in place on the others.
        let mut kept: Vec<Option<Tensor<4>>> = Vec::with_capacity(self.blocks.len());
        for (i, block) in self.blocks.iter().enumerate() {
            kept.push(block.is_residual_source.then(|| maps.clone()));
            let source = block.spec.residual_source(i);
            let residual = source.and_then(|source| kept[source].clone());
            maps = block.forward(maps, residual);
            if let Some(dropout) = dropout.as_deref_mut() {
                maps = dropout.apply(maps, block.spec.dropout);
            }
        }
        let mut x: Tensor<2> = match self.head.global_pool {
            // Channel by channel, as the weights of the dense layer are ordered.
            Pool::None => ops::planes(maps).flatten(1, 3),
            Pool::Avg => ops::global_avg_pool(maps),
            Pool::Max => ops::global_max_pool(maps),
        };
        for layer in &self.dense {
            x = dense(layer, x, 0.0);
            if let Some(dropout) = dropout.as_deref_mut() {
                x = dropout.apply(x, self.head.dropout);
            }
        }
        if self.dense.is_empty()
            && let Some(dropout) = dropout
        {
            x = dropout.apply(x, self.head.dropout);
        }
        x
    }

    /// Copies all values to the host.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        for (i, block) in self.blocks.iter().enumerate() {
            weights.put_conv_norm(&format!("blocks.{i}"), &block.main);
            if let Some(shortcut) = &block.shortcut {
                weights.put_conv_norm(&shortcut_name(i), shortcut);
            }
        }
        for (i, layer) in self.dense.iter().enumerate() {
            weights.put_linear(&format!("dense.{i}"), layer);
        }
        weights.put_linear("output", &self.output);
        weights
    }
}

fn dense(layer: &Linear, x: Tensor<2>, slope: f32) -> Tensor<2> {
    let bias = layer.bias.as_ref().map(Param::val);
    ops::dense(x, layer.weight.val(), bias, slope)
}

pub(super) fn shortcut_name(block: usize) -> String {
    format!("blocks.{block}.shortcut")
}

/// What is added to the variance before its root.
pub(super) const NORM_EPSILON: f64 = 1e-5;

impl ConvNorm {
    /// Returns the maps after convolution, normalisation, the sum with `residual`, activation and,
    /// if `finish` has it, max pooling.
    fn forward(&self, input: Tensor<4>, residual: Option<Tensor<4>>, finish: Finish) -> Tensor<4> {
        let Some(norm) = &self.norm else {
            let Some(residual) = residual else {
                return self.conv.forward(input, finish);
            };
            let sum = self.conv.forward(input, Finish::NONE) + residual;
            return ops::activate(sum, finish.slope);
        };
        let x = self.conv.forward(input, Finish::NONE);
        let y = if x.device().is_autodiff() {
            train_norm(norm, x, residual, finish.slope)
        } else {
            let y = ops::maps(norm.forward(ops::planes(x)));
            let y = match residual {
                Some(residual) => y + residual,
                None => y,
            };
            ops::activate(y, finish.slope)
        };
        match finish.pool {
            1 => y,
            size => ops::max_pool(y, size),
        }
    }
}

/// As burn's `BatchNorm` in training, on NHWC maps.
fn train_norm(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    slope: f32,
) -> Tensor<4> {
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    let normed = ops::norm(x, gamma, beta, norm.epsilon as f32, residual, slope);
    let momentum = norm.momentum;
    for (running, batch) in [
        (&norm.running_mean, normed.mean),
        (&norm.running_var, normed.variance),
    ] {
        let old = running.value_sync().to_device(&batch.device());
        let new = old * (1.0 - momentum) + batch * momentum;
        running.update(new.detach());
    }
    normed.y
}

impl Block {
    /// Returns all that the block does but dropout; `residual` are the maps that it adds.
    fn forward(&self, input: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let residual = residual.map(|residual| match &self.shortcut {
            Some(shortcut) => shortcut.forward(residual, None, Finish::NONE),
            None => residual,
        });
        let (pool, size) = (self.spec.pool, self.spec.pool_size);
        let fused = pool == Pool::Max && residual.is_none() && !self.main.conv.is_depthwise();
        let finish = Finish {
            slope: self.spec.activation.slope(),
            pool: if fused { size } else { 1 },
        };
        let x = self.main.forward(input, residual, finish);
        match pool {
            Pool::Max if !fused => ops::max_pool(x, size),
            Pool::Avg => ops::avg_pool(x, size),
            Pool::Max | Pool::None => x,
        }
    }
}

/// Puts host tensors on a device, numbering the parameters in order: the numbers are the keys of
/// the optimiser's state, which a checkpoint must find again in another process.
struct Loader<'a> {
    weights: &'a Weights,
    device: &'a Device,
    next_id: u64,
}

impl Loader<'_> {
    fn block(&mut self, index: usize, plan: &Plan) -> Result<Block, WeightsProblem> {
        let spec = &plan.spec.blocks[index];
        let name = format!("blocks.{index}");
        let main = self.conv_norm(&name, spec, |weight, bias| Conv::new(spec, weight, bias))?;
        let shortcut = match plan.projections[index] {
            Some(stride) => {
                let projection = |weight, bias| Conv::projection(stride, weight, bias);
                Some(self.conv_norm(&shortcut_name(index), spec, projection)?)
            }
            None => None,
        };
        let mut blocks = plan.spec.blocks.iter().enumerate();
        Ok(Block {
            main,
            shortcut,
            is_residual_source: blocks.any(|(at, b)| b.residual_source(at) == Some(index)),
            spec: spec.clone(),
        })
    }

    /// Loads the tensors of a convolution in `block`, which has a bias or is normalised.
    fn conv_norm(
        &mut self,
        name: &str,
        block: &ConvBlock,
        conv: impl FnOnce(Param<Tensor<4>>, Option<Param<Tensor<1>>>) -> Conv,
    ) -> Result<ConvNorm, WeightsProblem> {
        let name = |part: &str| format!("{name}.{part}");
        let weight: Param<Tensor<4>> = self.param(&name("conv.weight"))?;
        let (bias, norm) = if block.batch_norm {
            let channels = weight.dims()[0];
            let norm = BatchNorm {
                gamma: self.param(&name("norm.weight"))?,
                beta: self.param(&name("norm.bias"))?,
                running_mean: RunningState::new(self.tensor(&name("norm.running_mean"))?),
                running_var: RunningState::new(self.tensor(&name("norm.running_var"))?),
                ..BatchNormConfig::new(channels)
                    .with_epsilon(NORM_EPSILON)
                    .init(self.device)
            };
            (None, Some(norm))
        } else {
            (Some(self.param(&name("conv.bias"))?), None)
        };
        Ok(ConvNorm {
            conv: conv(weight, bias),
            norm,
        })
    }

    fn linear(&mut self, name: &str) -> Result<Linear, WeightsProblem> {
        Ok(Linear {
            weight: self.param(&format!("{name}.weight"))?,
            bias: Some(self.param(&format!("{name}.bias"))?),
        })
    }

    fn param<const D: usize>(&mut self, name: &str) -> Result<Param<Tensor<D>>, WeightsProblem> {
        let tensor = self.tensor(name)?;
        let tensor = if self.device.is_autodiff() {
            tensor.require_grad()
        } else {
            tensor
        };
        let id = ParamId::from(self.next_id);
        self.next_id += 1;
        Ok(Param::initialized(id, tensor))
    }

    fn tensor<const D: usize>(&self, name: &str) -> Result<Tensor<D>, WeightsProblem> {
        let missing = || WeightsProblem::Missing(name.to_owned());
        let HostTensor { shape, values } = self.weights.0.get(name).ok_or_else(missing)?;
        let data = TensorData::new(values.clone(), shape.clone());
        Ok(Tensor::from_data(data, self.device))
    }
}

impl Weights {
    fn put<const D: usize>(&mut self, name: String, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        let values = read_values(tensor);
        self.0.insert(name, HostTensor { shape, values });
    }

    fn put_conv_norm(&mut self, name: &str, layers: &ConvNorm) {
        let name = |part: &str| format!("{name}.{part}");
        self.put(name("conv.weight"), layers.conv.weight.val());
        if let Some(bias) = &layers.conv.bias {
            self.put(name("conv.bias"), bias.val());
        }
        if let Some(norm) = &layers.norm {
            self.put(name("norm.weight"), norm.gamma.val());
            self.put(name("norm.bias"), norm.beta.val());
            // `value_sync` folds in the update of the last batch.
            self.put(name("norm.running_mean"), norm.running_mean.value_sync());
            self.put(name("norm.running_var"), norm.running_var.value_sync());
        }
    }

    fn put_linear(&mut self, name: &str, layer: &Linear) {
        self.put(format!("{name}.weight"), layer.weight.val());
        if let Some(bias) = &layer.bias {
            self.put(format!("{name}.bias"), bias.val());
        }
    }
}

/// Copies a tensor's values to the host; waits for the device.
pub(in crate::vision) fn read_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use burn::optim::{GradientsParams, SgdConfig};

    use super::*;
    use crate::base::rng;
    use crate::vision::model::{Input, ModelSpec, Padding, initial_weights};

    fn plan(spec: &ModelSpec) -> Plan {
        let input = Input {
            height: 9,
            width: 11,
            channels: 3,
        };
        Plan::new(spec, input, 4).unwrap()
    }

    /// The planned shapes are the shapes that the back end computes, for every option of a block.
    #[test]
    fn plan_and_network_agree() {
        let mut specs = Vec::new();
        for padding in [Padding::Valid, Padding::Same] {
            for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (5, 1), (5, 3)] {
                for pool in [Pool::None, Pool::Max, Pool::Avg] {
                    for global_pool in [Pool::None, Pool::Max, Pool::Avg] {
                        specs.push(ModelSpec {
                            blocks: vec![ConvBlock {
                                kernel,
                                stride,
                                padding,
                                pool,
                                batch_norm: kernel == 3,
                                dropout: 0.3,
                                ..ConvBlock::plain(5)
                            }],
                            head: Head {
                                global_pool,
                                dense: vec![6],
                                dropout: 0.5,
                            },
                        });
                    }
                }
            }
        }
        // Shortcuts over one block, over two and from the pictures, to equal and other shapes.
        for padding in [Padding::Valid, Padding::Same] {
            for kernel in [1, 3] {
                for stride in [1, 2, 3] {
                    for pool in [Pool::None, Pool::Max] {
                        for depthwise in [false, true] {
                            for residual in [0, 1, 2, 3] {
                                specs.push(shortcuts(&ConvBlock {
                                    filters: if depthwise { 0 } else { 5 },
                                    kernel,
                                    stride,
                                    padding,
                                    pool,
                                    batch_norm: stride == 2,
                                    dropout: 0.3,
                                    depthwise,
                                    residual,
                                    ..ConvBlock::plain(5)
                                }));
                            }
                        }
                    }
                }
            }
        }
        let device = Device::flex().autodiff();
        let mut checked = 0;
        for spec in specs {
            let input = Input {
                height: 9,
                width: 11,
                channels: 3,
            };
            // Some combinations leave less than one pooling window, or have shortcuts to sizes that
            // no stride gives, which `plan` tests.
            let Ok(plan) = Plan::new(&spec, input, 4) else {
                continue;
            };
            let weights = initial_weights(&plan, 1);
            let network = Network::new(&plan, &weights, &device).unwrap();
            assert_eq!(network.weights(), weights);
            let images = Tensor::<4>::ones([2, 9, 11, 3], &device);
            let mut dropout = Dropout(rng::stream(1, "dropout", 0));
            assert_eq!(network.forward_train(images, &mut dropout).dims(), [2, 4]);
            checked += 1;
        }
        assert!(180 <= checked, "{checked}");
    }

    /// Two blocks, `block`, and one that adds what the second of them gets.
    fn shortcuts(block: &ConvBlock) -> ModelSpec {
        let same = ConvBlock {
            padding: Padding::Same,
            ..ConvBlock::plain(5)
        };
        let last = ConvBlock {
            filters: 4,
            residual: 3,
            ..same.clone()
        };
        ModelSpec {
            blocks: vec![same.clone(), same, block.clone(), last],
            head: Head {
                global_pool: Pool::Avg,
                dense: vec![],
                dropout: 0.0,
            },
        }
    }

    fn images(device: &Device) -> Tensor<4> {
        let values: Vec<f32> = (0..2 * 3 * 9 * 11)
            .map(|i| ((i * 7) % 23) as f32 / 11.0 - 1.0)
            .collect();
        Tensor::from_data(TensorData::new(values, [2, 9, 11, 3]), device)
    }

    #[track_caller]
    fn assert_close(left: Tensor<2>, right: Tensor<2>) {
        for (l, r) in read_values(left).into_iter().zip(read_values(right)) {
            assert!((l - r).abs() < 1e-5, "{l} {r}");
        }
    }

    /// A network of one block, with the weights that `fill` gives to each tensor.
    fn filled(block: ConvBlock, fill: impl Fn(&str, usize) -> f32, device: &Device) -> Network {
        let spec = ModelSpec {
            blocks: vec![block],
            head: Head {
                global_pool: Pool::None,
                dense: vec![],
                dropout: 0.0,
            },
        };
        let plan = plan(&spec);
        let mut weights = initial_weights(&plan, 1);
        for (name, tensor) in &mut weights.0 {
            if !name.starts_with("output") {
                for (i, value) in tensor.values.iter_mut().enumerate() {
                    *value = fill(name, i);
                }
            }
        }
        Network::new(&plan, &weights, device).unwrap()
    }

    #[test]
    fn a_depthwise_block_is_a_convolution_whose_channels_do_not_mix() {
        let device = Device::flex();
        let depthwise = ConvBlock {
            depthwise: true,
            ..ConvBlock::plain(3)
        };
        let value = |name: &str, i: usize| match name {
            "blocks.0.conv.weight" => (i as f32).sin(),
            _ => 0.1,
        };
        // `[out, in, 3, 3]`: 9 values where both are the same channel, else zeros.
        let full = |name: &str, i: usize| {
            let (out, from, at) = (i / 27, i / 9 % 3, i % 9);
            match name {
                "blocks.0.conv.weight" if out == from => value(name, out * 9 + at),
                "blocks.0.conv.weight" => 0.0,
                _ => value(name, i),
            }
        };
        let left = filled(depthwise, value, &device);
        let right = filled(ConvBlock::plain(3), full, &device);
        let input = images(&device);
        assert_close(left.forward(input.clone()), right.forward(input));
    }

    #[test]
    fn a_shortcut_adds_what_the_block_got_before_the_activation() {
        let device = Device::flex();
        // The middle of each kernel of the channel itself: a convolution that changes nothing.
        let identity = |name: &str, i: usize| {
            let (out, from, at) = (i / 27, i / 9 % 3, i % 9);
            match name {
                "blocks.0.conv.weight" => f32::from(u8::from(out == from && at == 4)),
                // Of a projection, from three channels to three: minus one on the diagonal.
                "blocks.0.shortcut.conv.weight" => -f32::from(u8::from(i.is_multiple_of(4))),
                _ => 0.0,
            }
        };
        let block = |residual| ConvBlock {
            padding: Padding::Same,
            residual,
            ..ConvBlock::plain(3)
        };
        // relu(x + x) is relu(2 x).
        let twice = |name: &str, i: usize| 2.0 * identity(name, i);
        let left = filled(block(1), identity, &device);
        let right = filled(block(0), twice, &device);
        let input = images(&device);
        assert_close(left.forward(input.clone()), right.forward(input.clone()));

        // With a stride, both take every other pixel: x - x is nothing.
        let strided = |residual| ConvBlock {
            stride: 2,
            ..block(residual)
        };
        let left = filled(strided(1), identity, &device);
        let right = filled(strided(0), |_, _| 0.0, &device);
        assert_close(left.forward(input.clone()), right.forward(input));
    }

    #[test]
    fn a_network_with_shortcuts_and_depthwise_blocks_trains_a_step() {
        let block = ConvBlock {
            filters: 0,
            depthwise: true,
            stride: 2,
            padding: Padding::Same,
            batch_norm: true,
            residual: 3,
            ..ConvBlock::plain(5)
        };
        let plan = plan(&shortcuts(&block));
        let device = Device::flex().autodiff();
        let before = initial_weights(&plan, 1);
        let network = Network::new(&plan, &before, &device).unwrap();
        let logits =
            network.forward_train(images(&device), &mut Dropout(rng::stream(1, "dropout", 0)));
        let loss = logits.powi_scalar(2).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let mut optimiser = SgdConfig::new().init();
        let after = optimiser.step(0.1, network, gradients).weights();
        for tensor in plan.tensors() {
            assert_ne!(
                before.0[&tensor.name], after.0[&tensor.name],
                "{}",
                tensor.name
            );
        }
    }

    #[test]
    fn an_empty_list_of_blocks_is_a_perceptron() {
        let spec = ModelSpec {
            blocks: Vec::new(),
            head: Head {
                global_pool: Pool::None,
                dense: vec![],
                dropout: 0.2,
            },
        };
        let plan = plan(&spec);
        let device = Device::flex();
        let network = Network::new(&plan, &initial_weights(&plan, 1), &device).unwrap();
        let output = network.forward(Tensor::<4>::ones([2, 9, 11, 3], &device));
        assert_eq!(output.dims(), [2, 4]);
    }

    #[test]
    fn dropout_keeps_the_expectation() {
        let device = Device::flex();
        let mut dropout = Dropout(rng::stream(3, "dropout", 0));
        let ones = Tensor::<2>::ones([100, 333], &device);
        let values = read_values(dropout.apply(ones, 0.25));
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
        assert!((zeros - 0.25).abs() < 0.01, "{zeros}");
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }
}
