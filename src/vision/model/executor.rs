//! A trained network ready to be asked on a CPU: planned once, then computed without allocating.
//!
//! Building it folds batch norms into the convolutions before them, brings weights into the form in
//! which they are multiplied, orders the first dense layer for maps that are NHWC, and gives every
//! intermediate map a place in one piece of memory, shared as soon as nobody needs what was there.
//! What a picture's logits are depends neither on the pictures asked about beside it nor on the
//! number of threads. Imports: rayon, `vision::kernels`, `model::{plan, spec, weights}`.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::vision::kernels::conv::{Prepared, forward_here};
use crate::vision::kernels::plain::{Reduction, Windows, add_in_place, reduce};
use crate::vision::kernels::{ConvShape, Cpu, Finish, depthwise};

use super::build::{NORM_EPSILON, shortcut_name};
use super::plan::Plan;
use super::spec::Pool;
use super::weights::{Weights, WeightsProblem};

/// Values of the largest map of a group, for all its pictures: what stays in the cache.
const GROUP_VALUES: usize = 128 * 1024;
/// Most pictures in a group.
const GROUP_MAX: usize = 16;

/// A network on the CPU.
#[derive(Debug)]
pub struct Executor {
    cpu: Cpu,
    steps: Vec<Step>,
    /// Values of one picture.
    input_len: usize,
    classes: usize,
    /// What enters the output layer.
    embedding: Map,
    /// Pictures that are computed together.
    group: usize,
    /// Values of working memory for one picture.
    memory_len: usize,
    /// Working memory that is not in use.
    spare: Mutex<Vec<Vec<f32>>>,
}

/// A layer, and the values that it reads and writes.
#[derive(Debug)]
struct Step {
    layer: Layer,
    from: Value,
    to: Value,
}

#[derive(Debug)]
enum Layer {
    /// Also a dense layer, which is a 1×1 convolution of a map of one pixel.
    Conv {
        prepared: Prepared,
        shape: ConvShape,
        finish: Finish,
    },
    Depthwise {
        prepared: depthwise::Prepared,
        shape: ConvShape,
        slope: f32,
    },
    /// Adds a value to the one that it changes, then the activation.
    Add { slope: f32 },
    Reduce {
        windows: Windows,
        reduction: Reduction,
    },
}

/// Where something is: the pictures, or a range of the working memory (first value and length, both
/// for one picture). The logits are the last value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Pictures,
    Memory { at: usize, len: usize },
}

/// Puts values into memory and takes them out when they are no longer needed.
#[derive(Default)]
struct Memory {
    /// Ranges in use, by their start.
    used: Vec<(usize, usize)>,
    /// The most that was in use.
    len: usize,
}

impl Memory {
    /// Takes the first gap that is large enough.
    fn take(&mut self, len: usize) -> Value {
        let mut at = 0;
        let mut place = 0;
        for &(start, used) in &self.used {
            if at + len <= start {
                break;
            }
            at = start + used;
            place += 1;
        }
        self.used.insert(place, (at, len));
        self.len = self.len.max(at + len);
        Value::Memory { at, len }
    }

    fn free(&mut self, value: Value) {
        if let Value::Memory { at, len } = value {
            self.used.retain(|used| *used != (at, len));
        }
    }
}

/// Builds the steps block by block.
struct Builder<'a> {
    cpu: Cpu,
    weights: &'a Weights,
    steps: Vec<Step>,
    memory: Memory,
    /// Values of the largest map so far.
    largest: usize,
}

/// What a block makes of its input.
#[derive(Clone, Copy, Debug)]
struct Map {
    value: Value,
    height: usize,
    width: usize,
    channels: usize,
}

impl Map {
    fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Writes `maps`, `[count, height, width, channels]`, channel by channel: `[count, channels, height,
    /// width]`.
    fn write_planes(self, maps: &[f32], planes: &mut [f32]) {
        let pixels = self.height * self.width;
        let pictures = maps.chunks_exact(self.len());
        for (map, planes) in pictures.zip(planes.chunks_exact_mut(self.len())) {
            for (channel, plane) in planes.chunks_exact_mut(pixels).enumerate() {
                let values = map.iter().skip(channel).step_by(self.channels);
                for (to, from) in plane.iter_mut().zip(values) {
                    *to = *from;
                }
            }
        }
    }
}

impl Executor {
    /// Prepares the network of `plan` with these weights.
    ///
    /// # Errors
    /// A tensor is missing, unexpected or of another shape.
    pub fn new(cpu: Cpu, plan: &Plan, weights: &Weights) -> Result<Self, WeightsProblem> {
        weights.check(plan)?;
        let mut builder = Builder {
            cpu,
            weights,
            steps: Vec::new(),
            memory: Memory::default(),
            largest: plan.input.height * plan.input.width * plan.input.channels,
        };
        let input = Map {
            value: Value::Pictures,
            height: plan.input.height,
            width: plan.input.width,
            channels: plan.input.channels,
        };
        let map = builder.blocks(plan, input)?;
        let embedding = builder.head(plan, map)?;
        let Builder {
            steps,
            memory,
            largest,
            ..
        } = builder;
        Ok(Self {
            cpu,
            steps,
            input_len: input.len(),
            classes: plan.classes,
            embedding,
            group: (GROUP_VALUES / largest).clamp(1, GROUP_MAX),
            memory_len: memory.len,
            spare: Mutex::new(Vec::new()),
        })
    }

    /// Returns the logits, `[count, classes]`, of `pictures`; see `run`.
    #[must_use]
    pub fn logits(&self, pictures: &[f32]) -> Vec<f32> {
        let mut logits = vec![0.0; pictures.len() / self.input_len * self.classes];
        self.run(pictures, &mut logits);
        logits
    }

    /// Writes the logits, `[count, classes]`, of `pictures`, `[count, height, width, channels]`,
    /// normalised.
    ///
    /// One group of pictures is computed on the calling thread; more are shared between all threads.
    ///
    /// # Panics
    /// The lengths do not fit the network.
    pub fn run(&self, pictures: &[f32], logits: &mut [f32]) {
        assert!(pictures.len().is_multiple_of(self.input_len));
        assert!(pictures.len() / self.input_len * self.classes == logits.len());
        let count = pictures.len() / self.input_len;
        if count <= self.group {
            return self.run_group(pictures, logits, None);
        }
        let group = self.group_of(count);
        pictures
            .par_chunks(group * self.input_len)
            .zip(logits.par_chunks_mut(group * self.classes))
            .with_max_len(1)
            .for_each(|(pictures, logits)| self.run_group(pictures, logits, None));
    }

    /// Returns the logits of `pictures` as `logits` does, bit by bit, and what entered the output
    /// layer, `[count, Plan::embedding_width]`, maps channel by channel.
    ///
    /// # Panics
    /// `pictures` are no whole pictures.
    #[must_use]
    pub fn observe(&self, pictures: &[f32]) -> (Vec<f32>, Vec<f32>) {
        assert!(pictures.len().is_multiple_of(self.input_len));
        let count = pictures.len() / self.input_len;
        let width = self.embedding.len();
        let mut logits = vec![0.0; count * self.classes];
        let mut embeddings = vec![0.0; count * width];
        if 0 < count {
            let group = self.group_of(count);
            pictures
                .par_chunks(group * self.input_len)
                .zip(logits.par_chunks_mut(group * self.classes))
                .zip(embeddings.par_chunks_mut(group * width))
                .with_max_len(1)
                .for_each(|((pictures, logits), embeddings)| {
                    self.run_group(pictures, logits, Some(embeddings));
                });
        }
        (logits, embeddings)
    }

    /// Returns how many of `count` pictures are computed together, at least 1 of 1. All groups are of
    /// nearly equal size: 17 pictures are 9 + 8, not 16 + 1.
    fn group_of(&self, count: usize) -> usize {
        count.div_ceil(count.div_ceil(self.group))
    }

    fn run_group(&self, pictures: &[f32], logits: &mut [f32], embeddings: Option<&mut [f32]>) {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = spare().pop();
        let mut memory = taken.unwrap_or_else(|| vec![0.0; self.group * self.memory_len]);
        let count = pictures.len() / self.input_len;
        for step in &self.steps {
            step.run(self.cpu, count, pictures, &mut memory);
        }
        if let Some(Step {
            to: Value::Memory { at, len },
            ..
        }) = self.steps.last()
        {
            logits.copy_from_slice(&memory[at * count..(at + len) * count]);
        }
        if let Some(embeddings) = embeddings {
            // The output layer is the last one: nothing was written over what it read.
            let from = match self.embedding.value {
                Value::Pictures => pictures,
                Value::Memory { at, len } => &memory[at * count..(at + len) * count],
            };
            self.embedding.write_planes(from, embeddings);
        }
        spare().push(memory);
    }
}

impl Step {
    fn run(&self, cpu: Cpu, count: usize, pictures: &[f32], memory: &mut [f32]) {
        let (from, to) = match (self.from, self.to) {
            (Value::Pictures, Value::Memory { at, len }) => {
                (pictures, &mut memory[at * count..(at + len) * count])
            }
            (
                Value::Memory { at, len },
                Value::Memory {
                    at: to,
                    len: to_len,
                },
            ) => {
                // What is read and what is written never overlap: both are in use.
                if at < to {
                    let (low, high) = memory.split_at_mut(to * count);
                    (
                        &low[at * count..(at + len) * count],
                        &mut high[..to_len * count],
                    )
                } else {
                    let (low, high) = memory.split_at_mut(at * count);
                    (
                        &high[..len * count],
                        &mut low[to * count..(to + to_len) * count],
                    )
                }
            }
            (_, Value::Pictures) => unreachable!("no layer writes the pictures"),
        };
        match &self.layer {
            Layer::Conv {
                prepared,
                shape,
                finish,
            } => forward_here(cpu, shape, *finish, from, prepared, to, None),
            Layer::Depthwise {
                prepared,
                shape,
                slope,
            } => depthwise::forward_here(cpu, shape, *slope, from, prepared, to),
            Layer::Add { slope } => add_in_place(cpu, *slope, from, to),
            Layer::Reduce { windows, reduction } => reduce(cpu, *windows, *reduction, from, to),
        }
    }
}

impl<'a> Builder<'a> {
    fn blocks(&mut self, plan: &Plan, input: Map) -> Result<Map, WeightsProblem> {
        let blocks = &plan.spec.blocks;
        // For each block's input, the last block that reads it.
        let mut last: Vec<usize> = (0..blocks.len()).collect();
        for (i, block) in blocks.iter().enumerate() {
            if let Some(source) = block.residual_source(i) {
                last[source] = i;
            }
        }
        let mut inputs: Vec<Map> = Vec::with_capacity(blocks.len());
        let mut map = input;
        for i in 0..blocks.len() {
            inputs.push(map);
            map = self.block(plan, i, &inputs)?;
            for (input, last) in inputs.iter().zip(&last) {
                if *last == i {
                    self.memory.free(input.value);
                }
            }
        }
        Ok(map)
    }

    fn block(&mut self, plan: &Plan, index: usize, inputs: &[Map]) -> Result<Map, WeightsProblem> {
        let block = &plan.spec.blocks[index];
        let input = inputs[index];
        let slope = block.activation.slope();
        let source = block.residual_source(index);
        let name = format!("blocks.{index}");
        let size = block.pool_size;
        // Max pooling is part of the convolution, unless something is added between them.
        let fused = source.is_none() && block.pool == Pool::Max && !block.depthwise;
        let finish = Finish {
            slope: if source.is_none() { slope } else { 1.0 },
            pool: if fused { size } else { 1 },
        };
        let (weights, bias) = self.folded(&name, block.batch_norm)?;
        let shape = |outputs| ConvShape {
            batch: 1,
            height: input.height,
            width: input.width,
            inputs: input.channels,
            outputs,
            kernel: block.kernel,
            stride: block.stride,
            border: block.border(),
        };
        let mut map = if block.depthwise {
            let shape = shape(input.channels);
            let prepared = depthwise::Prepared::new(self.cpu, &shape, &weights, Some(&bias));
            let layer = Layer::Depthwise {
                prepared,
                shape,
                slope: finish.slope,
            };
            self.step(
                layer,
                input,
                shape.out_height(),
                shape.out_width(),
                input.channels,
            )
        } else {
            self.conv(input, shape(block.filters), finish, &weights, &bias)
        };
        if let Some(source) = source {
            let mut other = inputs[source];
            if let Some(stride) = plan.projections[index] {
                let (weights, bias) = self.folded(&shortcut_name(index), block.batch_norm)?;
                let shape = ConvShape {
                    batch: 1,
                    height: other.height,
                    width: other.width,
                    inputs: other.channels,
                    outputs: map.channels,
                    kernel: 1,
                    stride,
                    border: 0,
                };
                other = self.conv(other, shape, Finish::NONE, &weights, &bias);
            }
            self.steps.push(Step {
                layer: Layer::Add { slope },
                from: other.value,
                to: map.value,
            });
            if plan.projections[index].is_some() {
                self.memory.free(other.value);
            }
        }
        let reduction = match block.pool {
            Pool::Max => Reduction::Max,
            Pool::Avg => Reduction::Mean,
            Pool::None => return Ok(map),
        };
        if !fused {
            map = self.reduce(map, reduction, [size, size]);
        }
        Ok(map)
    }

    /// Adds the layers of the head. Returns what enters the last of them.
    fn head(&mut self, plan: &Plan, mut map: Map) -> Result<Map, WeightsProblem> {
        let reduction = match plan.spec.head.global_pool {
            Pool::None => None,
            Pool::Avg => Some(Reduction::Mean),
            Pool::Max => Some(Reduction::Max),
        };
        if let Some(reduction) = reduction {
            map = self.reduce(map, reduction, [map.height, map.width]);
        }
        let hidden = plan.spec.head.dense.len();
        let mut embedding = map;
        for i in 0..=hidden {
            let (name, slope) = if i < hidden {
                (format!("dense.{i}"), 0.0)
            } else {
                ("output".to_owned(), 1.0)
            };
            let bias = self.values(&format!("{name}.bias"))?;
            // `[inputs, outputs]`, inputs channel by channel as long as there are channels.
            let matrix = self.values(&format!("{name}.weight"))?;
            let (inputs, outputs) = (map.len(), bias.len());
            let pixels = map.height * map.width;
            let mut weights = vec![0.0; inputs * outputs];
            for (input, row) in matrix.chunks_exact(outputs).enumerate() {
                let at = input % pixels * map.channels + input / pixels;
                for (output, &value) in row.iter().enumerate() {
                    weights[output * inputs + at] = value;
                }
            }
            let shape = ConvShape {
                batch: 1,
                height: 1,
                width: 1,
                inputs,
                outputs,
                kernel: 1,
                stride: 1,
                border: 0,
            };
            let finish = Finish { slope, pool: 1 };
            embedding = map;
            map = self.conv(map, shape, finish, &weights, bias);
            self.memory.free(embedding.value);
        }
        Ok(embedding)
    }

    fn conv(
        &mut self,
        input: Map,
        shape: ConvShape,
        finish: Finish,
        weights: &[f32],
        bias: &[f32],
    ) -> Map {
        let layer = Layer::Conv {
            prepared: Prepared::new(self.cpu, &shape, weights, Some(bias)),
            shape,
            finish,
        };
        let [height, width] =
            [shape.out_height(), shape.out_width()].map(|side| side / finish.pool);
        self.step(layer, input, height, width, shape.outputs)
    }

    /// Adds a reduction; what it reads is not needed afterwards.
    fn reduce(&mut self, map: Map, reduction: Reduction, size: [usize; 2]) -> Map {
        let windows = Windows {
            height: map.height,
            width: map.width,
            channels: map.channels,
            size,
        };
        let layer = Layer::Reduce { windows, reduction };
        let (height, width) = (map.height / size[0], map.width / size[1]);
        let reduced = self.step(layer, map, height, width, map.channels);
        self.memory.free(map.value);
        reduced
    }

    fn step(
        &mut self,
        layer: Layer,
        from: Map,
        height: usize,
        width: usize,
        channels: usize,
    ) -> Map {
        let len = height * width * channels;
        self.largest = self.largest.max(len);
        let value = self.memory.take(len);
        self.steps.push(Step {
            layer,
            from: from.value,
            to: value,
        });
        Map {
            value,
            height,
            width,
            channels,
        }
    }

    /// Returns weights and bias of a convolution, its batch norm folded in: y = (x - mean) · γ /
    /// √(variance + ε) + β is a factor for each channel's weights, and a bias.
    fn folded(&self, name: &str, normalised: bool) -> Result<(Vec<f32>, Vec<f32>), WeightsProblem> {
        let mut weights = self.values(&format!("{name}.conv.weight"))?.to_vec();
        if !normalised {
            return Ok((weights, self.values(&format!("{name}.conv.bias"))?.to_vec()));
        }
        let norm = |part: &str| self.values(&format!("{name}.norm.{part}"));
        let (gamma, beta) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let mut bias = beta.to_vec();
        let kernel_len = weights.len() / gamma.len();
        for (o, kernel) in weights.chunks_exact_mut(kernel_len).enumerate() {
            let factor = f64::from(gamma[o]) / (f64::from(variance[o]) + NORM_EPSILON).sqrt();
            for weight in kernel {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            bias[o] = (f64::from(beta[o]) - f64::from(mean[o]) * factor) as f32;
        }
        Ok((weights, bias))
    }

    fn values(&self, name: &str) -> Result<&'a [f32], WeightsProblem> {
        let missing = || WeightsProblem::Missing(name.to_owned());
        Ok(&self.weights.0.get(name).ok_or_else(missing)?.values)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::base::rng;
    use crate::vision::model::{
        ConvBlock, Head, Input, ModelSpec, Network, Preset, initial_weights, read_values,
    };
    use rand::RngExt;

    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = rng::stream(seed, "executor", 0);
        (0..len).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
    }

    /// Weights with nothing left at 0 or 1, so that a part that is forgotten is seen.
    fn weights(plan: &Plan) -> Weights {
        let mut weights = initial_weights(plan, 3);
        for (seed, (name, tensor)) in weights.0.iter_mut().enumerate() {
            let noise = numbers(tensor.values.len(), seed as u64);
            for (value, noise) in tensor.values.iter_mut().zip(noise) {
                // A variance stays above zero.
                *value += if name.ends_with("running_var") {
                    0.5 * noise
                } else {
                    0.1 * noise
                };
            }
        }
        weights
    }

    /// Asks the executor in every form, and the module of burn.
    #[track_caller]
    fn check(spec: &ModelSpec, input: Input) {
        let Ok(plan) = Plan::new(spec, input, 4) else {
            return;
        };
        let weights = weights(&plan);
        let count = 5;
        let shape = [count, input.height, input.width, input.channels];
        let pictures = numbers(shape.iter().product(), 11);
        let device = Device::flex();
        let network = Network::new(&plan, &weights, &device).unwrap();
        let tensor = Tensor::<4>::from_data(TensorData::new(pictures.clone(), shape), &device);
        let expected = read_values(network.forward(tensor));
        let largest = expected
            .iter()
            .fold(1.0f32, |largest, v| largest.max(v.abs()));
        for cpu in Cpu::available() {
            let executor = Executor::new(cpu, &plan, &weights).unwrap();
            let found = executor.logits(&pictures);
            for (found, expected) in found.iter().zip(&expected) {
                let error = (found - expected).abs();
                assert!(
                    error <= 2e-5 * largest,
                    "{cpu:?}: {found} {expected} of {spec:?}"
                );
            }
            // Alone, and again: the same bits.
            let one = executor.logits(&pictures[..pictures.len() / count]);
            assert_eq!(one, found[..4], "{cpu:?} {spec:?}");
            assert_eq!(executor.logits(&pictures), found, "{cpu:?} {spec:?}");
        }
    }

    #[test]
    fn every_block_is_computed_as_the_module_computes_it() {
        let input = Input {
            height: 13,
            width: 11,
            channels: 3,
        };
        let head = |global_pool| Head {
            global_pool,
            dense: vec![6],
            dropout: 0.5,
        };
        for global_pool in [Pool::None, Pool::Avg, Pool::Max] {
            for pool in [Pool::None, Pool::Avg, Pool::Max] {
                for (batch_norm, depthwise) in
                    [(false, false), (true, false), (false, true), (true, true)]
                {
                    for residual in [0, 1, 2] {
                        let block = ConvBlock {
                            filters: if depthwise { 0 } else { 20 },
                            padding: crate::vision::model::Padding::Same,
                            stride: 1 + usize::from(residual == 2),
                            activation: crate::vision::model::Activation::LeakyRelu,
                            pool,
                            batch_norm,
                            depthwise,
                            residual,
                            ..ConvBlock::plain(20)
                        };
                        let first = ConvBlock::plain(24);
                        let blocks = vec![
                            first,
                            block,
                            ConvBlock {
                                kernel: 1,
                                ..ConvBlock::plain(7)
                            },
                        ];
                        check(
                            &ModelSpec {
                                blocks,
                                head: head(global_pool),
                            },
                            input,
                        );
                    }
                }
            }
        }
        // No block at all: a perceptron.
        check(
            &ModelSpec {
                blocks: Vec::new(),
                head: head(Pool::None),
            },
            input,
        );
    }

    #[test]
    fn presets_are_computed_as_the_module_computes_them() {
        for (_, preset) in Preset::NAMES {
            let input = Input {
                height: 28,
                width: 28,
                channels: 3,
            };
            check(&preset.spec(), input);
        }
    }

    #[test]
    fn threads_share_an_executor() {
        let input = Input {
            height: 20,
            width: 20,
            channels: 1,
        };
        let plan = Plan::new(&Preset::Lenet.spec(), input, 3).unwrap();
        let executor = Executor::new(Cpu::current(), &plan, &weights(&plan)).unwrap();
        let pictures = numbers(400 * 40, 5);
        let expected = executor.logits(&pictures);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(executor.logits(&pictures), expected));
            }
        });
    }
}
