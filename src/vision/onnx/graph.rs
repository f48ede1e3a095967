//! What an ONNX file declares: input, output, weights, operators; whether they are those of a
//! classifier of pictures; and the form in which the engine takes it.
//!
//! ONNX (onnx.proto3, Operators.md) leaves some things open that the engine wants to be told, so the
//! graph is completed: weights that lie in files of their own are put in, and convolutions say the size
//! of their kernel. Imports: rten-onnx, base, `onnx::description`, `vision::error`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataLocation, DataType, GraphProto, ModelProto, NodeProto,
    TensorProto, TypeProtoTensor, ValueInfoProto,
};

use crate::base::ContentHash;
use crate::vision::Error;

use super::description::Output;

/// The oldest operators that the engine computes as they were meant: those before had another softmax.
const OPERATORS_MIN: i64 = 13;

/// A network as its file declares it.
#[derive(Debug)]
pub(super) struct Graph {
    /// The file.
    pub(super) path: PathBuf,
    /// Name of the input.
    pub(super) input: String,
    /// The dimensions of its input after the batch; `None` where they are not fixed.
    pub(super) shape: [Option<usize>; 3],
    /// What its last operator says of the output.
    pub(super) output: Output,
    /// Numbers that were learnt.
    pub(super) parameters: u64,
    /// BLAKE3 of the file, and of those that hold its weights.
    pub(super) hash: ContentHash,
    /// The network as the engine takes it.
    pub(super) bytes: Vec<u8>,
}

/// Says why a network cannot be used, and what to do.
fn unusable(path: &Path, problem: impl Into<String>, help: impl Into<String>) -> Error {
    Error::Onnx {
        path: path.to_owned(),
        problem: problem.into(),
        help: help.into(),
    }
}

impl Graph {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It is no ONNX file, or not that of a classifier of pictures; weights that it names are missing.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let no_onnx = |problem: String| {
            unusable(
                path,
                format!("it is no ONNX file: {problem}"),
                "export the network anew, for example with `torch.onnx.export`; a file that Git LFS keeps has to be pulled first",
            )
        };
        let mut model =
            ModelProto::parse_buf(&bytes).map_err(|error| no_onnx(error.to_string()))?;
        let operators = operators(&model);
        let Some(graph) = model.graph.as_mut() else {
            return Err(no_onnx("it holds no graph".to_owned()));
        };
        if operators < OPERATORS_MIN {
            return Err(unusable(
                path,
                format!(
                    "its operators are of version {operators}, and those from {OPERATORS_MIN} on are computed"
                ),
                format!(
                    "export it with `opset_version={OPERATORS_MIN}` or later, or convert it: `onnx.version_converter.convert_version(model, {OPERATORS_MIN})`"
                ),
            ));
        }
        let (input, shape) = input(path, graph)?;
        let output = output(path, graph)?;
        let parameters: u64 = graph.initializer.iter().map(learnt).sum();
        let mut outside = Outside::new(path);
        for tensor in &mut graph.initializer {
            outside.bring_in(tensor)?;
        }
        let was_incomplete = complete(graph) || !outside.files.is_empty();
        let hash = outside.hash(ContentHash::of(&bytes));
        let bytes = if was_incomplete {
            let written = model.write_buf();
            written.map_err(|error| no_onnx(error.to_string()))?
        } else {
            bytes
        };
        Ok(Self {
            path: path.to_owned(),
            input,
            shape,
            output,
            parameters,
            hash,
            bytes,
        })
    }
}

/// Returns the version of the operators of ONNX itself.
fn operators(model: &ModelProto) -> i64 {
    let is_onnx = |domain: Option<&str>| matches!(domain, None | Some("" | "ai.onnx"));
    let sets = model.opset_import.iter();
    let of_onnx = sets.filter(|set| is_onnx(set.domain.as_deref()));
    of_onnx.filter_map(|set| set.version).max().unwrap_or(0)
}

/// Returns name and dimensions of the one input.
fn input(path: &Path, graph: &GraphProto) -> Result<(String, [Option<usize>; 3]), Error> {
    let name_of = |value: &ValueInfoProto| value.name.clone().unwrap_or_default();
    // Files of before 2019 list their weights among the inputs.
    let weights: BTreeSet<&str> = graph
        .initializer
        .iter()
        .filter_map(|tensor| tensor.name.as_deref())
        .collect();
    let inputs: Vec<&ValueInfoProto> = graph
        .input
        .iter()
        .filter(|value| !weights.contains(name_of(value).as_str()))
        .collect();
    let [input] = inputs[..] else {
        let names: Vec<String> = inputs.iter().map(|v| format!("`{}`", name_of(v))).collect();
        return Err(unusable(
            path,
            format!(
                "it has {} inputs{}{}, and a classifier of pictures has one",
                inputs.len(),
                if names.is_empty() { "" } else { ": " },
                names.join(", ")
            ),
            "export the part that takes pictures and gives a number for each class",
        ));
    };
    let name = name_of(input);
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let Some(tensor) = tensor else {
        return Err(unusable(
            path,
            format!("its input `{name}` is no tensor"),
            "export a network that takes pictures as a tensor",
        ));
    };
    let kind = tensor.elem_type.unwrap_or(DataType(0));
    if kind != DataType::FLOAT {
        return Err(unusable(
            path,
            format!(
                "its input `{name}` takes numbers of the type {kind}, and FLOAT (float32) is given"
            ),
            "export it with float32 inputs",
        ));
    }
    let shape = shape(path, &name, tensor)?;
    Ok((name, shape))
}

/// Returns the dimensions of the input after the batch.
fn shape(path: &Path, name: &str, tensor: &TypeProtoTensor) -> Result<[Option<usize>; 3], Error> {
    let dimensions: Option<Vec<Option<i64>>> = tensor.shape.as_ref().map(|shape| {
        let known = |value: Option<i64>| value.filter(|value| 0 < *value);
        shape.dim.iter().map(|dim| known(dim.dim_value)).collect()
    });
    let shown = |dimensions: &[Option<i64>]| {
        let each = dimensions
            .iter()
            .map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string()));
        each.collect::<Vec<_>>().join("×")
    };
    let wrong = |dimensions: &[Option<i64>], problem: &str| {
        let shape = shown(dimensions);
        unusable(
            path,
            format!("its input `{name}` is {shape}: {problem}"),
            "export it for batches of any size: `dynamic_axes={\"x\": {0: \"batch\"}}` in PyTorch, `None` in Keras",
        )
    };
    match dimensions.as_deref() {
        Some(&[None | Some(1), a, b, c]) => {
            let size = |side: Option<i64>| side.and_then(|side| usize::try_from(side).ok());
            Ok([size(a), size(b), size(c)])
        }
        Some(all @ &[Some(batch), _, _, _]) => {
            let problem = format!("it takes batches of {batch} pictures, no more and no fewer");
            Err(wrong(all, &problem))
        }
        Some(all @ [_, _, _]) => Err(wrong(all, "there is no dimension for the batch")),
        Some(all) => Err(wrong(
            all,
            "pictures have four dimensions, which are batch, channels, height and width",
        )),
        None => Err(unusable(
            path,
            format!("its input `{name}` has no shape"),
            "export it with a shape, for example with `onnx.shape_inference`",
        )),
    }
}

/// Returns what the numbers of the one output are.
fn output(path: &Path, graph: &GraphProto) -> Result<Output, Error> {
    let name_of = |value: &ValueInfoProto| value.name.clone().unwrap_or_default();
    let [output] = &graph.output[..] else {
        let names: Vec<String> = graph
            .output
            .iter()
            .map(|v| format!("`{}`", name_of(v)))
            .collect();
        return Err(unusable(
            path,
            format!(
                "it has {} outputs: {}, and a classifier has one",
                names.len(),
                names.join(", ")
            ),
            "export it with the one that holds a number for each class",
        ));
    };
    let makers: BTreeMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let name = name_of(output);
    let mut at = name.as_str();
    // A walk back cannot be longer than there are operators, whatever a broken file says.
    for _ in 0..graph.node.len() {
        let Some(node) = makers.get(at) else { break };
        match (node.op_type.as_deref(), node.input.first()) {
            (Some("Softmax"), _) => return Ok(Output::Probabilities),
            // These change the form of what they get, and no number.
            (
                Some(
                    "Identity" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Cast"
                    | "Dropout",
                ),
                Some(before),
            ) => at = before.as_str(),
            _ => break,
        }
    }
    Ok(Output::Logits)
}

/// Returns how many numbers of a tensor were learnt: shapes and indices are not.
fn learnt(tensor: &TensorProto) -> u64 {
    let floats = [
        DataType::FLOAT,
        DataType::FLOAT16,
        DataType::BFLOAT16,
        DataType::DOUBLE,
    ];
    let is_float = tensor.data_type.is_some_and(|kind| floats.contains(&kind));
    let sides = tensor.dims.iter();
    let count = sides.map(|side| u64::try_from(*side).unwrap_or(0));
    if is_float {
        count.fold(1, u64::saturating_mul)
    } else {
        0
    }
}

/// Completes what ONNX leaves to be concluded: the size of a convolution's kernel, which its weights
/// have (Operators.md, Conv: "If not present, should be inferred from input W"), and that weights which
/// are listed among the inputs are none. Returns whether anything had to be changed.
fn complete(graph: &mut GraphProto) -> bool {
    let shapes: BTreeMap<String, Vec<i64>> = graph
        .initializer
        .iter()
        .filter_map(|tensor| Some((tensor.name.clone()?, tensor.dims.clone())))
        .collect();
    let inputs = graph.input.len();
    let is_input = |value: &ValueInfoProto| {
        let name = value.name.as_ref();
        name.is_none_or(|name| !shapes.contains_key(name))
    };
    graph.input.retain(is_input);
    let mut was_missing = graph.input.len() != inputs;
    for node in &mut graph.node {
        let is_convolution = node.op_type.as_deref() == Some("Conv");
        let says = |attribute: &AttributeProto| attribute.name.as_deref() == Some("kernel_shape");
        if !is_convolution || node.attribute.iter().any(says) {
            continue;
        }
        let weights = node.input.get(1).and_then(|name| shapes.get(name));
        let Some([_, _, kernel @ ..]) = weights.map(Vec::as_slice) else {
            continue;
        };
        node.attribute.push(AttributeProto {
            name: Some("kernel_shape".to_owned()),
            ints: kernel.to_vec(),
            r#type: Some(AttributeType::INTS),
            ..AttributeProto::default()
        });
        was_missing = true;
    }
    was_missing
}

/// The files beside a network that hold its weights.
struct Outside<'p> {
    path: &'p Path,
    files: BTreeMap<String, Vec<u8>>,
}

impl<'p> Outside<'p> {
    fn new(path: &'p Path) -> Self {
        Self {
            path,
            files: BTreeMap::new(),
        }
    }

    /// Puts the numbers of a tensor into it, if they lie in a file (ExternalData.md).
    fn bring_in(&mut self, tensor: &mut TensorProto) -> Result<(), Error> {
        if tensor.data_location != Some(DataLocation::EXTERNAL) {
            return Ok(());
        }
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter();
            let entry = entries.find(|entry| entry.key.as_deref() == Some(key))?;
            entry.value.clone()
        };
        let name = tensor.name.clone().unwrap_or_default();
        let broken = |problem: String| {
            unusable(
                self.path,
                format!("the weights `{name}` {problem}"),
                "keep all files of the export in one folder",
            )
        };
        let Some(location) = entry("location") else {
            return Err(broken("lie in a file that is not named".to_owned()));
        };
        let relative = Path::new(&location);
        let is_inside = relative
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if !is_inside || location.is_empty() {
            return Err(broken(format!(
                "lie in `{location}`, which is no path below its folder"
            )));
        }
        if !self.files.contains_key(&location) {
            let file = self.path.with_file_name(relative);
            let bytes = std::fs::read(&file).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    broken(format!("lie in `{}`, which is missing", file.display()))
                }
                _ => Error::io("read", &file)(error),
            })?;
            self.files.insert(location.clone(), bytes);
        }
        let file = self.files.get(&location).map_or(&[][..], Vec::as_slice);
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => match text.parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(broken(format!(
                    "have the {key} `{text}`, which is no number"
                ))),
            },
        };
        let from = number("offset")?.unwrap_or(0);
        let length = match number("length")? {
            Some(length) => length,
            None => file.len().saturating_sub(from),
        };
        let Some(bytes) = from.checked_add(length).and_then(|to| file.get(from..to)) else {
            return Err(broken(format!(
                "are bytes {from} to {} of `{location}`, which has {}",
                from.saturating_add(length),
                file.len()
            )));
        };
        tensor.raw_data = Some(bytes.to_vec().into());
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }

    /// Returns the hash of the network's file, and of these if there are any.
    fn hash(&self, of_network: ContentHash) -> ContentHash {
        if self.files.is_empty() {
            return of_network;
        }
        let mut all = of_network.to_string();
        for (name, bytes) in &self.files {
            all += &format!("\n{} {name}", ContentHash::of(bytes));
        }
        ContentHash::of(all.as_bytes())
    }
}
