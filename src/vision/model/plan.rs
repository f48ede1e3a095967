//! Gives every layer of a declared network its shape, its tensors and its cost, before any tensor
//! exists. Everything that must agree on names and shapes (initial weights, network, artifact,
//! checkpoint, summary) takes them from here. Pure. Imports: `vision::error`.

use crate::vision::Error;

use super::spec::{Activation, ConvBlock, ModelSpec, Padding, Pool};

/// Most weights a network may have; 2 GiB of them, and as much twice again for the optimiser.
pub const PARAMETERS_MAX: u64 = 500_000_000;

/// The size of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 or 3.
    pub channels: usize,
}

/// What one picture is after a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Channels of height × width.
    Map {
        /// Number of channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A row of numbers.
    Flat(usize),
}

/// What a tensor is for; decides how it is initialised and whether it is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Kernels `[out, in, height, width]` or a dense matrix `[in, out]` before a ReLU.
    Weight {
        /// Inputs that one output sums over.
        fan_in: usize,
    },
    /// The matrix `[in, out]` of the output layer.
    OutputWeight {
        /// Inputs of the layer.
        fan_in: usize,
        /// Classes.
        fan_out: usize,
    },
    /// Starts at 0: biases and the shift of a normalisation.
    Zeros,
    /// Starts at 1: the scale of a normalisation.
    Ones,
    /// Running mean of a normalisation: measured, not learned; starts at 0.
    RunningMean,
    /// Running variance of a normalisation: measured, not learned; starts at 1.
    RunningVariance,
}

/// One tensor of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorPlan {
    /// Its name in files: `blocks.0.conv.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// One layer, as a row of the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name: `blocks.0.conv`.
    pub name: String,
    /// What it does, for people: `conv 3×3, same`.
    pub what: String,
    /// What one picture is after it.
    pub output: Shape,
    /// Its tensors.
    pub tensors: Vec<TensorPlan>,
    /// Floating-point operations of one picture's forward pass; a multiplication with its addition
    /// counts two, activations and pooling one per value read.
    pub flops: u64,
}

/// A network whose shapes are known to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The declaration.
    pub spec: ModelSpec,
    /// The size of one picture.
    pub input: Input,
    /// Number of outputs.
    pub classes: usize,
    /// All layers in order.
    pub layers: Vec<Layer>,
}

impl Shape {
    /// Returns how many numbers one picture is.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Map {
                channels,
                height,
                width,
            } => channels * height * width,
            Self::Flat(len) => len,
        }
    }

    /// Is there nothing left?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Map {
                channels,
                height,
                width,
            } => write!(f, "{height}×{width}×{channels}"),
            Self::Flat(len) => write!(f, "{len}"),
        }
    }
}

impl TensorPlan {
    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never true: every tensor of a plan holds values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is it changed by the optimiser?
    #[must_use]
    pub fn is_learned(&self) -> bool {
        !matches!(self.role, Role::RunningMean | Role::RunningVariance)
    }
}

impl Layer {
    /// Returns the number of values in its tensors, learned or not.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|t| t.len() as u64).sum()
    }
}

impl Plan {
    /// Works out all shapes of `spec` for pictures of size `input`.
    ///
    /// # Errors
    /// `ModelShape` when a block leaves less than one pixel, naming the block and what is left;
    /// `ModelTooLarge` above `PARAMETERS_MAX` weights; `ModelLimits` for numbers that `read` refuses.
    pub fn new(spec: &ModelSpec, input: Input, classes: usize) -> Result<Self, Error> {
        if !spec.is_within_limits() {
            return Err(Error::ModelLimits);
        }
        let mut map = Map {
            channels: input.channels,
            height: input.height,
            width: input.width,
        };
        let mut layers = Vec::new();
        for (i, block) in spec.blocks.iter().enumerate() {
            map = plan_block(i, block, map, &mut layers)?;
        }
        let mut units = map.channels * map.height * map.width;
        let head = &spec.head;
        if head.global_pool != Pool::None {
            let (what, flops) = (
                format!("global {}", pool_name(head.global_pool)),
                units as u64,
            );
            units = map.channels;
            layers.push(Layer::without_tensors(
                "head.pool",
                what,
                Shape::Flat(units),
                flops,
            ));
        } else if !spec.blocks.is_empty() {
            layers.push(Layer::without_tensors(
                "head.flatten",
                "flatten",
                Shape::Flat(units),
                0,
            ));
        }
        for (i, &out) in head.dense.iter().enumerate() {
            let role = Role::Weight { fan_in: units };
            let what = "dense, relu";
            layers.push(Layer::dense(&format!("dense.{i}"), what, units, out, role));
            units = out;
            if 0.0 < head.dropout {
                layers.push(Layer::dropout(
                    format!("dense.{i}.dropout"),
                    head.dropout,
                    units,
                ));
            }
        }
        if head.dense.is_empty() && 0.0 < head.dropout {
            layers.push(Layer::dropout(
                "head.dropout".to_owned(),
                head.dropout,
                units,
            ));
        }
        let role = Role::OutputWeight {
            fan_in: units,
            fan_out: classes,
        };
        layers.push(Layer::dense("output", "dense", units, classes, role));
        let plan = Self {
            spec: spec.clone(),
            input,
            classes,
            layers,
        };
        let parameters = plan.parameters();
        if PARAMETERS_MAX < parameters {
            return Err(Error::ModelTooLarge {
                parameters,
                parameters_max: PARAMETERS_MAX,
                flattened: (head.global_pool == Pool::None).then_some(map.height * map.width),
            });
        }
        Ok(plan)
    }

    /// Returns all tensors in layer order.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorPlan> {
        self.layers.iter().flat_map(|l| &l.tensors)
    }

    /// Returns the number of values in all tensors, learned or not.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.layers.iter().map(Layer::parameters).sum()
    }

    /// Returns the floating-point operations of one picture's forward pass.
    #[must_use]
    pub fn flops(&self) -> u64 {
        self.layers.iter().map(|l| l.flops).sum()
    }
}

/// The maps between two blocks.
#[derive(Clone, Copy)]
struct Map {
    channels: usize,
    height: usize,
    width: usize,
}

impl Map {
    fn shape(self) -> Shape {
        Shape::Map {
            channels: self.channels,
            height: self.height,
            width: self.width,
        }
    }

    fn len(self) -> u64 {
        (self.channels * self.height * self.width) as u64
    }
}

impl Layer {
    fn without_tensors(
        name: impl Into<String>,
        what: impl Into<String>,
        output: Shape,
        flops: u64,
    ) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            output,
            tensors: Vec::new(),
            flops,
        }
    }

    fn dropout(name: String, probability: f64, units: usize) -> Self {
        Self::without_tensors(
            name,
            format!("dropout {probability}"),
            Shape::Flat(units),
            0,
        )
    }

    fn dense(name: &str, what: &str, units: usize, out: usize, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            output: Shape::Flat(out),
            tensors: vec![
                tensor(format!("{name}.weight"), &[units, out], role),
                tensor(format!("{name}.bias"), &[out], Role::Zeros),
            ],
            flops: 2 * (units as u64) * (out as u64),
        }
    }
}

fn tensor(name: String, shape: &[usize], role: Role) -> TensorPlan {
    TensorPlan {
        name,
        shape: shape.to_vec(),
        role,
    }
}

fn plan_block(
    index: usize,
    block: &ConvBlock,
    before: Map,
    layers: &mut Vec<Layer>,
) -> Result<Map, Error> {
    let too_small = |side: usize, map: Map, what: &str| Error::ModelShape {
        block: index,
        problem: format!(
            "block {} would shrink {}×{} by a {side}×{side} {what}",
            index + 1,
            map.height,
            map.width
        ),
    };
    let side = |n: usize| match block.padding {
        Padding::Same => Some((n - 1) / block.stride + 1),
        Padding::Valid => n.checked_sub(block.kernel).map(|n| n / block.stride + 1),
    };
    let (Some(height), Some(width)) = (side(before.height), side(before.width)) else {
        return Err(too_small(block.kernel, before, "kernel"));
    };
    let mut map = Map {
        channels: block.filters,
        height,
        width,
    };
    let name = format!("blocks.{index}");
    let (k, channels) = (block.kernel, before.channels);
    let fan_in = channels * k * k;
    let shape = [block.filters, channels, k, k];
    let mut tensors = vec![tensor(
        format!("{name}.conv.weight"),
        &shape,
        Role::Weight { fan_in },
    )];
    if !block.batch_norm {
        tensors.push(tensor(
            format!("{name}.conv.bias"),
            &[block.filters],
            Role::Zeros,
        ));
    }
    let padding = match block.padding {
        Padding::Valid => "valid",
        Padding::Same => "same",
    };
    let stride = if block.stride == 1 {
        String::new()
    } else {
        format!(", stride {}", block.stride)
    };
    let activation = match block.activation {
        Activation::Relu => ", relu",
        Activation::LeakyRelu => ", leaky relu",
        Activation::None => "",
    };
    // The activation stands in the row of the layer that it follows.
    let (on_conv, on_norm) = if block.batch_norm {
        ("", activation)
    } else {
        (activation, "")
    };
    layers.push(Layer {
        name: format!("{name}.conv"),
        what: format!("conv {k}×{k}{stride}, {padding}{on_conv}"),
        output: map.shape(),
        tensors,
        flops: 2 * map.len() * fan_in as u64,
    });
    if block.batch_norm {
        let parts = [
            ("weight", Role::Ones),
            ("bias", Role::Zeros),
            ("running_mean", Role::RunningMean),
            ("running_var", Role::RunningVariance),
        ];
        let part = |(part, role): (&str, Role)| {
            tensor(format!("{name}.norm.{part}"), &[block.filters], role)
        };
        layers.push(Layer {
            name: format!("{name}.norm"),
            what: format!("batch norm{on_norm}"),
            output: map.shape(),
            tensors: parts.into_iter().map(part).collect(),
            flops: 2 * map.len(),
        });
    }
    if block.pool != Pool::None {
        let size = block.pool_size;
        let flops = map.len();
        if map.height < size || map.width < size {
            return Err(too_small(size, map, "pooling window"));
        }
        map.height /= size;
        map.width /= size;
        let what = format!("{} {size}×{size}", pool_name(block.pool));
        layers.push(Layer::without_tensors(
            format!("{name}.pool"),
            what,
            map.shape(),
            flops,
        ));
    }
    if 0.0 < block.dropout {
        let what = format!("dropout {}", block.dropout);
        layers.push(Layer::without_tensors(
            format!("{name}.dropout"),
            what,
            map.shape(),
            0,
        ));
    }
    Ok(map)
}

fn pool_name(pool: Pool) -> &'static str {
    match pool {
        Pool::Max => "max pool",
        Pool::Avg => "average pool",
        Pool::None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::model::spec::Preset;

    const INPUT: Input = Input {
        height: 35,
        width: 35,
        channels: 3,
    };

    #[test]
    fn the_reference_network_has_the_shapes_and_weights_of_its_keras_twin() {
        let plan = Plan::new(&Preset::Cnn35.spec(), INPUT, 10).unwrap();
        let shapes: Vec<String> = plan.layers.iter().map(|l| l.output.to_string()).collect();
        assert_eq!(
            shapes,
            [
                "33×33×32",
                "31×31×32",
                "15×15×32",
                "13×13×64",
                "11×11×64",
                "5×5×64",
                "1600",
                "128",
                "128",
                "10"
            ]
        );
        // Keras: model.count_params() of the same layers.
        assert_eq!(
            plan.parameters(),
            896 + 9248 + 18496 + 36928 + 204_928 + 1290
        );
    }

    #[test]
    fn batch_norm_takes_the_place_of_the_bias() {
        let mut spec = Preset::Lenet.spec();
        spec.blocks[0].batch_norm = true;
        let plan = Plan::new(&spec, INPUT, 10).unwrap();
        let names: Vec<&str> = plan.tensors().map(|t| t.name.as_str()).take(6).collect();
        assert_eq!(
            names,
            [
                "blocks.0.conv.weight",
                "blocks.0.norm.weight",
                "blocks.0.norm.bias",
                "blocks.0.norm.running_mean",
                "blocks.0.norm.running_var",
                "blocks.1.conv.weight",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        #[track_caller]
        fn check(side: usize, expected: &str) {
            let input = Input {
                height: side,
                width: side,
                channels: 3,
            };
            let error = Plan::new(&Preset::Cnn35.spec(), input, 10).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        check(12, "block 4 would shrink 2×2 by a 3×3 kernel");
        check(15, "block 4 would shrink 1×1 by a 2×2 pooling window");
        check(2, "block 1 would shrink 2×2 by a 3×3 kernel");

        let mut spec = Preset::Cnn35.spec();
        spec.head.dense = vec![65536];
        let input = Input {
            height: 512,
            width: 512,
            channels: 3,
        };
        let error = Plan::new(&spec, input, 10).unwrap_err();
        assert!(matches!(error, Error::ModelTooLarge { .. }), "{error}");
    }
}
