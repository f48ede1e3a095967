//! From weights to a burn module and back: the network that is trained and asked.
//! Imports: burn, `vision::device`, `model::{conv, plan, spec, weights}`.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::base::rng::ChaCha8Rng;

use super::conv::Conv;
use super::plan::Plan;
use super::spec::{Activation, ConvBlock, Head, Pool};
use super::weights::{Tensor as HostTensor, Weights, WeightsProblem};

/// The slope of a leaky ReLU below zero.
const LEAK: f64 = 0.01;

/// A network on a device. Input: `[batch, channels, height, width]`, normalised; output: logits
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
    conv: Conv,
    norm: Option<BatchNorm>,
    #[module(skip)]
    spec: ConvBlock,
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
        for (i, block) in spec.blocks.iter().enumerate() {
            blocks.push(loader.block(i, block)?);
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
        self.run(input, None)
    }

    /// Returns the logits of a batch, for training.
    #[must_use]
    pub fn forward_train(&self, input: Tensor<4>, dropout: &mut Dropout) -> Tensor<2> {
        self.run(input, Some(dropout))
    }

    fn run(&self, input: Tensor<4>, mut dropout: Option<&mut Dropout>) -> Tensor<2> {
        let mut maps = input;
        for block in &self.blocks {
            maps = block.forward(maps);
            if let Some(dropout) = dropout.as_deref_mut() {
                maps = dropout.apply(maps, block.spec.dropout);
            }
        }
        let mut x: Tensor<2> = match self.head.global_pool {
            Pool::None => maps.flatten(1, 3),
            Pool::Avg => maps.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2),
            Pool::Max => maps.flatten::<3>(2, 3).max_dim(2).flatten(1, 2),
        };
        for layer in &self.dense {
            x = relu(layer.forward(x));
            if let Some(dropout) = dropout.as_deref_mut() {
                x = dropout.apply(x, self.head.dropout);
            }
        }
        if self.dense.is_empty()
            && let Some(dropout) = dropout
        {
            x = dropout.apply(x, self.head.dropout);
        }
        self.output.forward(x)
    }

    /// Copies all values to the host.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        for (i, block) in self.blocks.iter().enumerate() {
            let name = |part: &str| format!("blocks.{i}.{part}");
            weights.put(name("conv.weight"), block.conv.weight.val());
            if let Some(bias) = &block.conv.bias {
                weights.put(name("conv.bias"), bias.val());
            }
            if let Some(norm) = &block.norm {
                weights.put(name("norm.weight"), norm.gamma.val());
                weights.put(name("norm.bias"), norm.beta.val());
                // `value_sync` folds in the update of the last batch.
                weights.put(name("norm.running_mean"), norm.running_mean.value_sync());
                weights.put(name("norm.running_var"), norm.running_var.value_sync());
            }
        }
        for (i, layer) in self.dense.iter().enumerate() {
            weights.put_linear(&format!("dense.{i}"), layer);
        }
        weights.put_linear("output", &self.output);
        weights
    }
}

impl Block {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv.forward(input);
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        x = match self.spec.activation {
            Activation::Relu => relu(x),
            Activation::LeakyRelu => leaky_relu(x, LEAK),
            Activation::None => x,
        };
        let size = [self.spec.pool_size; 2];
        match self.spec.pool {
            Pool::Max => max_pool2d(x, MaxPoolOptions::new(size)),
            Pool::Avg => avg_pool2d(x, AvgPoolOptions::new(size)),
            Pool::None => x,
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
    fn block(&mut self, index: usize, spec: &ConvBlock) -> Result<Block, WeightsProblem> {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let weight = self.param(&name("conv.weight"))?;
        let (bias, norm) = if spec.batch_norm {
            let norm = BatchNorm {
                gamma: self.param(&name("norm.weight"))?,
                beta: self.param(&name("norm.bias"))?,
                running_mean: RunningState::new(self.tensor(&name("norm.running_mean"))?),
                running_var: RunningState::new(self.tensor(&name("norm.running_var"))?),
                ..BatchNormConfig::new(spec.filters).init(self.device)
            };
            (None, Some(norm))
        } else {
            (Some(self.param(&name("conv.bias"))?), None)
        };
        Ok(Block {
            conv: Conv::new(spec, weight, bias),
            norm,
            spec: spec.clone(),
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
        let device = Device::flex().autodiff();
        let mut checked = 0;
        for spec in specs {
            let input = Input {
                height: 9,
                width: 11,
                channels: 3,
            };
            // A few combinations leave less than one pooling window, which `plan` tests.
            let Ok(plan) = Plan::new(&spec, input, 4) else {
                continue;
            };
            let weights = initial_weights(&plan, 1);
            let network = Network::new(&plan, &weights, &device).unwrap();
            assert_eq!(network.weights(), weights);
            let images = Tensor::<4>::ones([2, 3, 9, 11], &device);
            let mut dropout = Dropout(rng::stream(1, "dropout", 0));
            assert_eq!(network.forward_train(images, &mut dropout).dims(), [2, 4]);
            checked += 1;
        }
        assert!(60 <= checked, "{checked}");
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
        let output = network.forward(Tensor::<4>::ones([2, 3, 9, 11], &device));
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
