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
    /// Kernels `[out, in, height, width]`, depthwise `[channels, 1, height, width]`, or a dense matrix `[in, out]` before a ReLU.
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
    /// For each block the stride of the 1×1 convolution on its shortcut; none where the maps are
    /// added as they are, and where there is no shortcut.
    pub projections: Vec<Option<usize>>,
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
    /// `ModelDepthwise` when a depthwise block declares other channels than it gets; `ModelResidual`
    /// when no stride gives what a block adds the size of its maps; `ModelTooLarge` above `PARAMETERS_MAX` weights; `ModelLimits` for numbers that `read` refuses.
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
        let mut projections = Vec::with_capacity(spec.blocks.len());
        let mut inputs = Vec::with_capacity(spec.blocks.len());
        for (i, block) in spec.blocks.iter().enumerate() {
            inputs.push(map);
            let projection;
            (map, projection) = plan_block(i, block, &inputs, &mut layers)?;
            projections.push(projection);
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
            projections,
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

    /// Returns how many activations of a picture enter the output layer.
    #[must_use]
    pub fn embedding_width(&self) -> usize {
        if let [.., before, _output] = self.layers.as_slice() {
            return before.output.len();
        }
        let Input {
            height,
            width,
            channels,
        } = self.input;
        height * width * channels
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

    /// Returns the stride with which a 1×1 convolution gives maps of the size of `to`, if there is one.
    ///
    /// It gives ⌈side / stride⌉. Fewer than ⌈side / to⌉ steps leave too much on that side, so the
    /// larger of the two is the least stride that can do, and a larger one leaves no more.
    fn stride_to(self, to: Self) -> Option<usize> {
        let stride = self
            .height
            .div_ceil(to.height)
            .max(self.width.div_ceil(to.width));
        let fits = |from: usize, to: usize| from.div_ceil(stride) == to;
        (fits(self.height, to.height) && fits(self.width, to.width)).then_some(stride)
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

/// Plans block number `index`; `inputs` are what the blocks get up to this one. Returns what it gives
/// and the stride of its projection.
fn plan_block(
    index: usize,
    block: &ConvBlock,
    inputs: &[Map],
    layers: &mut Vec<Layer>,
) -> Result<(Map, Option<usize>), Error> {
    let before = inputs[index];
    let name = format!("blocks.{index}");
    let mut map = convolved(index, block, before)?;
    let (channels, what) = if block.depthwise {
        (1, "depthwise conv")
    } else {
        (before.channels, "conv")
    };
    let padding = match block.padding {
        Padding::Valid => "valid",
        Padding::Same => "same",
    };
    let (k, stride) = (block.kernel, stride_name(block.stride));
    let what = format!("{what} {k}×{k}{stride}, {padding}");
    push_conv_norm(
        &name,
        what,
        [map.channels, channels, k, k],
        block,
        map,
        layers,
    );
    let mut projection = None;
    if let Some(source_block) = block.residual_source(index) {
        let source = inputs[source_block];
        let Some(stride) = source.stride_to(map) else {
            return Err(Error::ModelResidual {
                block: index,
                source_block,
                from: [source.height, source.width],
                to: [map.height, map.width],
            });
        };
        if stride != 1 || source.channels != map.channels {
            projection = Some(stride);
            let name = format!("{name}.shortcut");
            let what = format!("conv 1×1{}", stride_name(stride));
            push_conv_norm(
                &name,
                what,
                [map.channels, source.channels, 1, 1],
                block,
                map,
                layers,
            );
        }
        layers.push(Layer::without_tensors(
            format!("{name}.add"),
            format!("add input of blocks.{source_block}"),
            map.shape(),
            map.len(),
        ));
    }
    let activation = match block.activation {
        Activation::Relu => ", relu",
        Activation::LeakyRelu => ", leaky relu",
        Activation::None => "",
    };
    // The activation stands in the row of the layer that it follows.
    if let Some(layer) = layers.last_mut() {
        layer.what.push_str(activation);
    }
    if block.pool != Pool::None {
        let size = block.pool_size;
        let flops = map.len();
        if map.height < size || map.width < size {
            return Err(too_small(index, map, size, "pooling window"));
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
    Ok((map, projection))
}

/// Returns the maps after the convolution of `block`.
fn convolved(index: usize, block: &ConvBlock, before: Map) -> Result<Map, Error> {
    let side = |n: usize| match block.padding {
        Padding::Same => Some((n - 1) / block.stride + 1),
        Padding::Valid => n.checked_sub(block.kernel).map(|n| n / block.stride + 1),
    };
    let (Some(height), Some(width)) = (side(before.height), side(before.width)) else {
        return Err(too_small(index, before, block.kernel, "kernel"));
    };
    let channels = if block.depthwise {
        before.channels
    } else {
        block.filters
    };
    if block.filters != 0 && block.filters != channels {
        return Err(Error::ModelDepthwise {
            block: index,
            channels,
            filters: block.filters,
        });
    }
    Ok(Map {
        channels,
        height,
        width,
    })
}

fn too_small(index: usize, map: Map, side: usize, what: &str) -> Error {
    Error::ModelShape {
        block: index,
        problem: format!(
            "block {} would shrink {}×{} by a {side}×{side} {what}",
            index + 1,
            map.height,
            map.width
        ),
    }
}

/// Pushes a convolution with a kernel of this shape that gives `map`, and its batch norm if `block`
/// asks for one; it takes the place of the bias.
fn push_conv_norm(
    name: &str,
    what: String,
    kernel: [usize; 4],
    block: &ConvBlock,
    map: Map,
    layers: &mut Vec<Layer>,
) {
    let fan_in = kernel[1..].iter().product();
    let role = Role::Weight { fan_in };
    let mut tensors = vec![tensor(format!("{name}.conv.weight"), &kernel, role)];
    let channels = [map.channels];
    if !block.batch_norm {
        tensors.push(tensor(format!("{name}.conv.bias"), &channels, Role::Zeros));
    }
    layers.push(Layer {
        name: format!("{name}.conv"),
        what,
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
        let part =
            |(part, role): (&str, Role)| tensor(format!("{name}.norm.{part}"), &channels, role);
        layers.push(Layer {
            name: format!("{name}.norm"),
            what: "batch norm".to_owned(),
            output: map.shape(),
            tensors: parts.into_iter().map(part).collect(),
            flops: 2 * map.len(),
        });
    }
}

fn stride_name(stride: usize) -> String {
    match stride {
        1 => String::new(),
        _ => format!(", stride {stride}"),
    }
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
    fn residual_networks_have_the_weights_of_the_paper() {
        #[track_caller]
        fn check(preset: Preset, learned: usize) {
            let input = Input {
                height: 32,
                width: 32,
                channels: 3,
            };
            let plan = Plan::new(&preset.spec(), input, 10).unwrap();
            let tensors = plan.tensors().filter(|t| t.is_learned());
            assert_eq!(tensors.map(TensorPlan::len).sum::<usize>(), learned);
            let halving = plan.projections.iter().flatten();
            assert_eq!(halving.collect::<Vec<_>>(), [&2, &2]);
        }
        // The 0.27 million of He et al. 2016, table 6, are 269722; two projections with their batch
        // norms come on top.
        check(
            Preset::Resnet20,
            269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64),
        );
        check(Preset::Resnet8, 77_392 + 650);
    }

    #[test]
    fn shortcuts_and_depthwise_blocks_are_layers_with_tensors() {
        let conv = |filters| ConvBlock {
            padding: Padding::Same,
            ..ConvBlock::plain(filters)
        };
        let mut spec = Preset::Lenet.spec();
        spec.blocks = vec![
            ConvBlock {
                residual: 1,
                ..conv(3)
            },
            ConvBlock {
                depthwise: true,
                batch_norm: true,
                ..conv(0)
            },
            ConvBlock {
                stride: 2,
                residual: 3,
                batch_norm: true,
                ..conv(8)
            },
        ];
        let plan = Plan::new(&spec, INPUT, 10).unwrap();
        let layers = plan.layers.iter().take_while(|l| l.name != "head.flatten");
        let rows: Vec<String> = layers
            .map(|l| format!("{}: {} -> {}", l.name, l.what, l.output))
            .collect();
        assert_eq!(
            rows,
            [
                "blocks.0.conv: conv 3×3, same -> 35×35×3",
                "blocks.0.add: add input of blocks.0, relu -> 35×35×3",
                "blocks.1.conv: depthwise conv 3×3, same -> 35×35×3",
                "blocks.1.norm: batch norm, relu -> 35×35×3",
                "blocks.2.conv: conv 3×3, stride 2, same -> 18×18×8",
                "blocks.2.norm: batch norm -> 18×18×8",
                "blocks.2.shortcut.conv: conv 1×1, stride 2 -> 18×18×8",
                "blocks.2.shortcut.norm: batch norm -> 18×18×8",
                "blocks.2.add: add input of blocks.0, relu -> 18×18×8",
            ]
        );
        assert_eq!(plan.projections, [None, None, Some(2)]);
        let tensor = |name: &str| {
            let tensor = plan.tensors().find(|t| t.name == name).unwrap();
            (tensor.shape.clone(), tensor.role)
        };
        assert_eq!(
            tensor("blocks.1.conv.weight"),
            (vec![3, 1, 3, 3], Role::Weight { fan_in: 9 })
        );
        assert_eq!(
            tensor("blocks.2.shortcut.conv.weight"),
            (vec![8, 3, 1, 1], Role::Weight { fan_in: 3 })
        );
        assert_eq!(plan.layers[2].flops, 2 * 9 * 35 * 35 * 3);
        assert_eq!(plan.layers[8].flops, 18 * 18 * 8);

        // Without a batch norm the projection has a bias, as its convolution has.
        spec.blocks[2].batch_norm = false;
        let plan = Plan::new(&spec, INPUT, 10).unwrap();
        assert!(
            plan.tensors()
                .any(|t| t.name == "blocks.2.shortcut.conv.bias")
        );
    }

    #[test]
    fn the_stride_of_a_shortcut_is_the_one_that_fits() {
        #[track_caller]
        fn check(from: [usize; 2], to: [usize; 2], expected: Option<usize>) {
            let map = |[height, width]: [usize; 2]| Map {
                channels: 1,
                height,
                width,
            };
            assert_eq!(map(from).stride_to(map(to)), expected);
        }
        check([35, 35], [35, 35], Some(1));
        check([35, 35], [18, 18], Some(2));
        check([35, 35], [33, 33], None);
        check([35, 35], [17, 17], None);
        check([35, 34], [18, 17], Some(2));
        check([35, 34], [18, 34], None);
        check([1, 9], [1, 3], Some(3));
        check([2, 9], [2, 3], None);
        for from in 1..40_usize {
            for to in 1..=from {
                let any = (1..=from).find(|&stride| from.div_ceil(stride) == to);
                check([from; 2], [to; 2], any);
            }
        }
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

        #[track_caller]
        fn check_changed(change: impl FnOnce(&mut ConvBlock), expected: &str) {
            let mut spec = Preset::Cnn35.spec();
            change(&mut spec.blocks[2]);
            let error = Plan::new(&spec, INPUT, 10).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        check_changed(
            |block| block.residual = 2,
            "block 3 cannot add what block 2 gets: no stride makes 13×13 of 33×33",
        );
        check_changed(
            |block| block.depthwise = true,
            "block 3 is depthwise and gets 32 channels, so it cannot have 64 filters",
        );

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
