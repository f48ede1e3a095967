//! Networks that cannot be used, and what is said of them; those that can, with all that was left open.
//! The networks are made here: the mean of each channel, then a dense layer.

use std::path::{Path, PathBuf};

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataLocation, DataType, Dimension, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, TypeProtoTensor, ValueInfoProto,
};

use crate::base::{Cancel, ToDiagnostics, fs};
use crate::vision::Error;
use crate::vision::device::Device;
use crate::vision::image::Pixels;
use crate::vision::predict::Predictor;
use crate::vision::train::Sample;

/// A network with two classes for pictures of 4×4 pixels: class 0 is red, class 1 is blue.
struct Net {
    model: ModelProto,
    description: &'static str,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where fields of the format do"
)]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn value(name: &str, kind: DataType, sides: &[Option<i64>]) -> ValueInfoProto {
    let dim = |side: &Option<i64>| Dimension {
        dim_value: *side,
        dim_param: side.is_none().then(|| "n".to_owned()),
    };
    let shape = TensorShapeProto {
        dim: sides.iter().map(dim).collect(),
    };
    let tensor = TypeProtoTensor {
        elem_type: Some(kind),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: some(name),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor),
            sequence: None,
        }),
    }
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: some(name),
        dims: dims.to_vec(),
        data_type: Some(DataType::FLOAT),
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn node(kind: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: some(kind),
        name: some(output),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn number(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: some(name),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}

impl Net {
    fn new() -> Self {
        let weights = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let graph = GraphProto {
            node: vec![
                node("GlobalAveragePool", &["x"], "mean"),
                node("Flatten", &["mean"], "flat"),
                node("MatMul", &["flat", "w"], "y"),
            ],
            initializer: vec![tensor("w", &[3, 2], &weights)],
            input: vec![value(
                "x",
                DataType::FLOAT,
                &[None, Some(3), Some(4), Some(4)],
            )],
            output: vec![value("y", DataType::FLOAT, &[None, Some(2)])],
            value_info: Vec::new(),
        };
        let operators = OperatorSetIdProto {
            domain: None,
            version: Some(17),
        };
        let model = ModelProto {
            ir_version: Some(8),
            graph: Some(graph),
            opset_import: vec![operators],
            ..ModelProto::default()
        };
        Self {
            model,
            description: "",
        }
    }

    fn described(description: &'static str) -> Self {
        Self {
            description,
            ..Self::new()
        }
    }

    fn graph(mut self, change: impl FnOnce(&mut GraphProto)) -> Self {
        change(self.model.graph.as_mut().unwrap());
        self
    }

    fn input(self, kind: DataType, sides: &[Option<i64>]) -> Self {
        let input = value("x", kind, sides);
        self.graph(|graph| graph.input = vec![input])
    }

    /// A softmax over dimension `axis` comes last.
    fn softmax(self, axis: i64) -> Self {
        self.graph(|graph| {
            graph.node[2].output = vec!["z".to_owned()];
            let mut softmax = node("Softmax", &["z"], "p");
            softmax.attribute = vec![number("axis", axis)];
            graph.node.push(softmax);
            graph.node.push(node("Identity", &["p"], "y"));
        })
    }

    /// The weights lie in the file `w.data`, from byte 8.
    fn outside(self, location: &str, length: &str) -> Self {
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: some(key),
            value: some(value),
        };
        let entries = vec![
            entry("location", location),
            entry("offset", "8"),
            entry("length", length),
        ];
        self.graph(|graph| {
            let weights = &mut graph.initializer[0];
            weights.float_data.clear();
            weights.data_location = Some(DataLocation::EXTERNAL);
            weights.external_data = entries;
        })
    }

    fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join("net.onnx");
        fs::write_atomic(&path, &self.model.write_buf().unwrap()).unwrap();
        if !self.description.is_empty() {
            fs::write_atomic(&dir.join("net.yaml"), self.description.as_bytes()).unwrap();
        }
        let values = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0_f32];
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let file = [&[0; 8][..], &bytes].concat();
        fs::write_atomic(&dir.join("w.data"), &file).unwrap();
        path
    }

    fn load(&self) -> Result<Predictor, Error> {
        let dir = tempfile::tempdir().unwrap();
        Predictor::load(&self.write(dir.path()), &Device::cpu())
    }

    /// What is said of it: headline and help.
    fn refused(&self) -> String {
        let Err(error) = self.load() else {
            panic!("it loads");
        };
        let problems = error.to_diagnostics().into_iter();
        let said = problems.map(|d| format!("{} | {}", d.headline, d.help.unwrap_or_default()));
        said.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn check(&self, parts: &[&str]) {
        let said = self.refused();
        for part in parts {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
    }
}

/// A red picture of 4×4 pixels and a blue one.
fn red_and_blue() -> [Vec<u8>; 2] {
    [[255, 51, 0].repeat(16), [0, 51, 255].repeat(16)]
}

fn probabilities(predictor: &Predictor) -> Vec<Vec<f64>> {
    let pictures = red_and_blue();
    let samples: Vec<Sample<'_>> = pictures.iter().map(|p| Sample::Bytes(p)).collect();
    predictor.predict_batch(&samples).unwrap().probabilities()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

/// The softmax of (1, 0).
fn sure() -> f64 {
    1.0 / (1.0 + (-1f64).exp())
}

#[test]
fn what_is_left_open_is_concluded() {
    let predictor = Net::new().load().unwrap();
    let model = predictor.model();
    assert_eq!(model.classes, ["0", "1"]);
    assert_eq!((model.target.height, model.target.width), (4, 4));
    assert_eq!((model.parameters, predictor.device_name()), (6, "rten"));
    let found = probabilities(&predictor);
    assert_close(found[0][0], sure());
    assert_close(found[1][1], sure());
}

#[test]
fn the_same_network_in_other_clothes_gives_the_same() {
    let any = [None, Some(3), None, None];
    let last = [Some(1), Some(4), Some(4), Some(3)];
    let nets = [
        Net::new().softmax(1),
        Net::described("size: 4").input(DataType::FLOAT, &any),
        Net::described("{layout: nchw, channels: 3, size: [4, 4]}")
            .input(DataType::FLOAT, &[None; 4]),
        Net::new().input(DataType::FLOAT, &last).graph(|graph| {
            let mut turn = node("Transpose", &["x"], "turned");
            turn.attribute = vec![AttributeProto {
                name: some("perm"),
                ints: vec![0, 3, 1, 2],
                r#type: Some(AttributeType::INTS),
                ..AttributeProto::default()
            }];
            graph.node[0].input = vec!["turned".to_owned()];
            graph.node.insert(0, turn);
        }),
        Net::new().outside("w.data", "24"),
        // As files of before 2019: weights are inputs as well.
        Net::new().graph(|graph| {
            graph
                .input
                .push(value("w", DataType::FLOAT, &[Some(3), Some(2)]));
        }),
        // A convolution of one pixel that says nothing of its kernel changes nothing.
        Net::new().graph(|graph| {
            let one = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
            graph.initializer.push(tensor("k", &[3, 3, 1, 1], &one));
            graph.node[0].input = vec!["same".to_owned()];
            graph.node.insert(0, node("Conv", &["x", "k"], "same"));
        }),
    ];
    let hashes: Vec<String> = nets
        .iter()
        .map(|net| {
            let predictor = net.load().unwrap();
            let found = probabilities(&predictor);
            assert_close(found[0][0], sure());
            assert_close(found[1][1], sure());
            predictor.model().weights_hash.to_string()
        })
        .collect();
    for (i, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..i].contains(hash), "{i}");
    }
}

#[test]
fn values_are_scaled_as_the_description_says() {
    let net =
        Net::described("{scale: 1, mean: [155, 0, 55], std: [100, 1, 200], classes: [red, blue]}");
    let predictor = net.load().unwrap();
    assert_eq!(predictor.model().classes, ["red", "blue"]);
    let found = probabilities(&predictor);
    // (255 - 155) / 100 and (0 - 55) / 200.
    let expected = 1.0 / (1.0 + (-1.275f64).exp());
    assert_close(found[0][0], expected);
    // A client that scales by itself means the same picture.
    let unit: Vec<f32> = red_and_blue()[0]
        .iter()
        .map(|v| f32::from(*v) / 255.0)
        .collect();
    let answer = predictor.predict_batch(&[Sample::Unit(&unit)]).unwrap();
    assert_close(answer.probabilities()[0][0], expected);
}

#[test]
fn a_picture_is_answered_alike_alone_and_in_a_batch() {
    let predictor = Net::new().softmax(-1).load().unwrap();
    let [red, blue] = red_and_blue();
    let alone = predictor.predict_batch(&[Sample::Bytes(&blue)]).unwrap();
    let batch = [&red, &blue, &blue].map(|p| Sample::Bytes(p));
    let together = predictor.predict_batch(&batch).unwrap();
    assert_eq!(together.rows[2..4], alone.rows[..]);
    assert_eq!(together.rows[4..6], alone.rows[..]);
}

#[test]
fn a_network_from_elsewhere_is_observed_without_embeddings() {
    let predictor = Net::new().load().unwrap();
    let pixels = Pixels::from_data(4, 4, 3, red_and_blue().concat()).unwrap();
    let observed = predictor.observe(&pixels, &Cancel::new()).unwrap();
    assert_eq!(observed.embeddings, None);
    let expected = predictor.predict(&pixels, &Cancel::new()).unwrap();
    assert_eq!(observed.logits, expected);
}

#[test]
fn what_is_no_classifier_of_pictures_is_refused() {
    let float = DataType::FLOAT;
    let picture = [None, Some(3), Some(4), Some(4)];
    Net::new().input(DataType::DOUBLE, &picture).check(&[
        "net.onnx` cannot be used: its input `x` takes numbers of the type DOUBLE",
        "export it with float32 inputs",
    ]);
    Net::new()
        .graph(|graph| graph.input.push(value("mask", float, &[None, Some(4)])))
        .check(&["it has 2 inputs: `x`, `mask`"]);
    Net::new()
        .graph(|graph| graph.input.clear())
        .check(&["it has 0 inputs, and"]);
    Net::new()
        .graph(|graph| graph.output.push(value("flat", float, &[None, Some(3)])))
        .check(&["it has 2 outputs: `y`, `flat`"]);
    Net::new()
        .input(float, &[Some(3), Some(4), Some(4)])
        .check(&[
            "its input `x` is 3×4×4: there is no dimension for the batch",
            "dynamic_axes",
        ]);
    Net::new()
        .input(float, &[Some(32), Some(3), Some(4), Some(4)])
        .check(&["is 32×3×4×4: it takes batches of 32 pictures, no more and no fewer"]);
    Net::new()
        .input(float, &[None, Some(48)])
        .check(&["is ?×48: pictures have four dimensions"]);
    Net::new()
        .input(float, &[None, Some(4), Some(4), Some(5)])
        .check(&[
            "(batch×4×4×5) holds the channels cannot be told",
            "layout: nchw",
        ]);
    let mut wide = Net::described("layout: nchw").input(float, &[None, Some(4), Some(8), Some(8)]);
    wide.check(&["it takes pictures of 4 channels, and not of 1 (grey) or 3 (colour)"]);
    wide = Net::new().input(float, &[None, Some(3), Some(9000), Some(8)]);
    wide.check(&["of 9000×8 pixels, more than 4096 a side"]);
    let mut old = Net::new();
    old.model.opset_import[0].version = Some(9);
    old.check(&[
        "its operators are of version 9",
        "convert_version(model, 13)",
    ]);
    Net::new()
        .graph(|graph| graph.node[1].op_type = some("Flatten2"))
        .check(&["net.onnx` cannot be used", "Flatten2"]);
    Net::new()
        .graph(|graph| graph.initializer[0] = tensor("w", &[3, 1], &[1.0, 0.0, 0.0]))
        .check(&["it gives 1 number(s) for a picture"]);
    Net::new()
        .graph(|graph| graph.initializer[0] = tensor("w", &[5, 2], &[0.5; 10]))
        .check(&["net.onnx` cannot be used"]);
    Net::new()
        .graph(|graph| graph.node[2].input[0] = "nowhere".to_owned())
        .check(&["net.onnx` cannot be used"]);
    // Over the batch every number is 1.
    Net::new()
        .softmax(0)
        .check(&["it ends with a softmax", "their sum is 2.0000"]);
}

#[test]
fn weights_outside_are_missed_by_name() {
    let net = |location, length| Net::new().outside(location, length);
    net("v.data", "24").check(&["the weights `w` lie in", "v.data`, which is missing"]);
    net("w.data", "25").check(&["are bytes 8 to 33 of `w.data`, which has 32"]);
    net("w.data", "many").check(&["have the length `many`, which is no number"]);
    net("../w.data", "24").check(&["lie in `../w.data`, which is no path below its folder"]);
    net("/etc/passwd", "24").check(&["which is no path below its folder"]);
    net("w.data", "20").check(&["net.onnx` cannot be used"]);
}

#[test]
fn a_description_that_contradicts_the_network_is_refused() {
    let check = |description, part: &str| Net::described(description).check(&[part]);
    check(
        "classes: [a, b, c]",
        "`classes` has 3 names, and the network gives 2 numbers",
    );
    check("channels: 1", "`channels` says 1, and the network takes 3");
    check(
        "size: 8",
        "`size` says [8, 8], and the network takes [4, 4]",
    );
    check("layout: nhwc", "it takes pictures of 4 channels");
    check(
        "output: probabilities",
        "`output` says probabilities, and the numbers for a blank picture are none: their sum is 0.0000",
    );
    let grey = [None, Some(1), Some(4), Some(4)];
    let mean = Net::described("mean: [1, 2, 3]").input(DataType::FLOAT, &grey);
    mean.check(&["`mean` says 3 numbers, and the network takes 1 channel(s)"]);
    let any = [None, Some(3), None, None];
    let open = Net::new().input(DataType::FLOAT, &any);
    open.check(&[
        "its input `x` says nothing of the size of pictures",
        "net.yaml`",
    ]);
    let open = Net::described("{layout: nchw, size: 4}").input(DataType::FLOAT, &[None; 4]);
    open.check(&[
        "its input `x` says nothing of its channels",
        "write `channels: 3`",
    ]);
    // Said to be logits, a softmax's numbers are softened once more.
    let soft = Net::described("output: logits").softmax(1).load().unwrap();
    let found = probabilities(&soft);
    let expected = 1.0 / (1.0 + (1.0 - 2.0 * sure()).exp());
    assert_close(found[0][0], expected);
}

#[test]
fn what_is_no_onnx_file_is_said_to_be_none() {
    let good = Net::new().model.write_buf().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.onnx");
    let refused = |bytes: &[u8]| {
        fs::write_atomic(&path, bytes).unwrap();
        match Predictor::load(&path, &Device::cpu()) {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        }
    };
    for bytes in [
        &b""[..],
        b"hello, world\n",
        b"version https://git-lfs",
        &[0xff; 64],
    ] {
        let said = refused(bytes).unwrap();
        assert!(said.contains("it is no ONNX file: "), "{said}");
    }
    // Wherever it is cut off, or a byte is changed, there is an answer.
    for length in 0..good.len() {
        assert!(refused(&good[..length]).is_some(), "{length}");
    }
    for at in 0..good.len() {
        for change in [0x01, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            let _ = refused(&bytes);
        }
    }
}
