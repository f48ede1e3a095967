//! Answers to inference requests: which outputs are wanted in which form, and their bytes.
//! Imports: serde, vision, `serve::{answer, refusal}`, `protocol::words`, `v2::{binary, input, request}`.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::serve::answer::{likeliest, ranked};
use crate::serve::protocol::words::shown;
use crate::serve::refusal::Refusal;
use crate::vision::image::Target;

use super::binary::{Datatype, write_element};
use super::input::{IMAGE, IMAGE_BYTES};
use super::request::{InferRequest, OutputParameters, bad};

/// Devices of the networks that were trained here, which burn computes; every other is an engine's name.
const BURN_DEVICES: [&str; 3] = ["cpu", "cuda", "wgpu"];

/// What a model says of each picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// One number per class.
    Probabilities,
    /// The likeliest class.
    Label,
}

impl Output {
    const ALL: [Self; 2] = [Self::Probabilities, Self::Label];

    fn name(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::Label => "label",
        }
    }

    fn datatype(self) -> Datatype {
        match self {
            Self::Probabilities => Datatype::Fp32,
            Self::Label => Datatype::Bytes,
        }
    }
}

/// How an output is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Binary,
}

impl Form {
    fn of(is_binary: Option<bool>) -> Self {
        if is_binary == Some(true) {
            Self::Binary
        } else {
            Self::Json
        }
    }
}

/// An output that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) output: Output,
    /// Only so many of the likeliest classes, as texts.
    pub(super) classes: Option<usize>,
    pub(super) form: Form,
}

impl Wanted {
    /// Returns all outputs.
    pub(super) fn all(form: Form) -> Vec<Self> {
        let wanted = |output| Self {
            output,
            classes: None,
            form,
        };
        Output::ALL.map(wanted).to_vec()
    }

    /// Returns what `request` asks `model` for.
    pub(super) fn of(request: &InferRequest<'_>, model: &str) -> Result<Vec<Self>, Refusal> {
        let preset = request.parameters.and_then(|p| p.binary_data_output);
        let outputs = match &request.outputs {
            Some(outputs) if !outputs.is_empty() => outputs,
            _ => return Ok(Self::all(Form::of(preset))),
        };
        let mut wanted: Vec<Self> = Vec::new();
        for asked in outputs {
            let known = Output::ALL.into_iter().find(|o| o.name() == asked.name);
            let Some(output) = known else {
                let name = shown(&asked.name);
                return Err(bad(format!(
                    "unexpected inference output '{name}' for model '{model}': it has 'probabilities' and 'label'"
                )));
            };
            let name = output.name();
            // Twice the same would only make answers as large as a client likes.
            if wanted.iter().any(|before| before.output == output) {
                return Err(bad(format!("output '{name}' is asked for twice")));
            }
            let parameters: OutputParameters = asked.parameters.unwrap_or_default();
            if parameters.is_shared() {
                return Err(bad(
                    "shared memory is not offered: outputs come in the body",
                ));
            }
            let classes = parameters.classification.filter(|classes| 0 < *classes);
            if classes.is_some() && output == Output::Label {
                return Err(bad(format!(
                    "'classification' is not available for output '{name}' of type BYTES: ask for it on 'probabilities'"
                )));
            }
            wanted.push(Self {
                output,
                classes: classes.map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
                form: Form::of(parameters.binary_data.or(preset)),
            });
        }
        Ok(wanted)
    }
}

/// What is to be said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) model: &'a str,
    pub(super) version: &'a str,
    pub(super) id: &'a str,
    /// Class names.
    pub(super) classes: &'a [String],
    /// Probabilities of each picture.
    pub(super) rows: &'a [&'a [f32]],
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// The length of its JSON part, if binary tensors follow.
    pub(super) json_length: Option<usize>,
}

#[derive(Serialize)]
struct Head<'a> {
    model_name: &'a str,
    model_version: &'a str,
    id: &'a str,
    outputs: Vec<OutputHead<'a>>,
}

#[derive(Serialize)]
struct OutputHead<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Size {
    binary_data_size: usize,
}

/// The elements of an output.
enum Data<'a> {
    Numbers(&'a [&'a [f32]]),
    Names(Vec<&'a str>),
    Texts(Vec<String>),
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Numbers(rows) => serializer.collect_seq(rows.iter().copied().flatten()),
            Self::Names(names) => serializer.collect_seq(names),
            Self::Texts(texts) => serializer.collect_seq(texts),
        }
    }
}

impl Data<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Numbers(rows) => {
                for value in rows.iter().copied().flatten() {
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }
            Self::Names(names) => {
                for name in names {
                    write_element(out, name.as_bytes());
                }
            }
            Self::Texts(texts) => {
                for text in texts {
                    write_element(out, text.as_bytes());
                }
            }
        }
    }
}

impl<'a> Said<'a> {
    /// Writes the outputs that are wanted.
    pub(super) fn body(&self, wanted: &[Wanted]) -> Result<Body, serde_json::Error> {
        let mut tensors = Vec::new();
        let mut is_binary = false;
        let outputs = wanted.iter().map(|wanted| {
            let (datatype, shape, data) = self.output(*wanted);
            let (parameters, data) = match wanted.form {
                Form::Json => (None, Some(data)),
                Form::Binary => {
                    is_binary = true;
                    let before = tensors.len();
                    data.write(&mut tensors);
                    let binary_data_size = tensors.len() - before;
                    (Some(Size { binary_data_size }), None)
                }
            };
            OutputHead {
                name: wanted.output.name(),
                datatype: datatype.name(),
                shape,
                parameters,
                data,
            }
        });
        let head = Head {
            outputs: outputs.collect(),
            model_name: self.model,
            model_version: self.version,
            id: self.id,
        };
        let mut bytes = serde_json::to_vec(&head)?;
        let json_length = is_binary.then_some(bytes.len());
        bytes.append(&mut tensors);
        Ok(Body { bytes, json_length })
    }

    fn output(&self, wanted: Wanted) -> (Datatype, Vec<usize>, Data<'a>) {
        let (classes, pictures) = (self.classes, self.rows.len());
        match (wanted.output, wanted.classes) {
            (Output::Probabilities, None) => {
                let shape = vec![pictures, classes.len()];
                (Datatype::Fp32, shape, Data::Numbers(self.rows))
            }
            (Output::Probabilities, Some(top)) => {
                let top = top.min(classes.len());
                let texts = self.rows.iter().flat_map(|row| {
                    let best = ranked(classes, row, top).into_iter();
                    best.map(|r| format!("{:.6}:{}:{}", r.probability, r.class_id, r.label))
                });
                let texts = Data::Texts(texts.collect());
                (Datatype::Bytes, vec![pictures, top], texts)
            }
            (Output::Label, _) => {
                let name = |row: &&[f32]| classes[likeliest(row)].as_str();
                let names = Data::Names(self.rows.iter().map(name).collect());
                (Datatype::Bytes, vec![pictures], names)
            }
        }
    }
}

/// Returns what computes a model on `device`, as metadata calls it.
fn platform(device: &str) -> String {
    let engine = if BURN_DEVICES.contains(&device) {
        "burn"
    } else {
        device
    };
    format!("cvops_{engine}")
}

/// Returns the metadata of a model that computes on `device`.
pub(super) fn metadata(
    name: &str,
    versions: &[String],
    device: &str,
    target: &Target,
    classes: &[String],
) -> Value {
    let output = |output: Output| {
        let shape = match output {
            Output::Probabilities => json!([-1, classes.len()]),
            Output::Label => json!([-1]),
        };
        json!({"name": output.name(), "datatype": output.datatype().name(), "shape": shape})
    };
    let image = [
        -1,
        i64::from(target.height),
        i64::from(target.width),
        target.channels.count() as i64,
    ];
    json!({
        "name": name,
        "versions": versions,
        "platform": platform(device),
        "inputs": [
            {"name": IMAGE, "datatype": Datatype::Fp32.name(), "shape": image},
            {"name": IMAGE_BYTES, "datatype": Datatype::Bytes.name(), "shape": [-1]},
        ],
        "outputs": Output::ALL.map(output),
    })
}

#[cfg(test)]
mod tests {
    use super::super::request::read;
    use super::*;
    use crate::vision::image::{Channels, Filter};

    fn wanted(outputs: &str) -> Result<Vec<Wanted>, String> {
        let json = format!("{{\"inputs\": []{outputs}}}");
        Wanted::of(&read(json.as_bytes()).unwrap(), "digits").map_err(|r| r.detail.to_text())
    }

    #[test]
    fn outputs_that_are_asked_for() {
        let one = |output, classes, form| Wanted {
            output,
            classes,
            form,
        };
        let probabilities = |classes, form| one(Output::Probabilities, classes, form);
        let binary = ", \"parameters\": {\"binary_data_output\": true}";
        assert_eq!(wanted(""), Ok(Wanted::all(Form::Json)));
        assert_eq!(wanted(", \"outputs\": []"), Ok(Wanted::all(Form::Json)));
        assert_eq!(wanted(binary), Ok(Wanted::all(Form::Binary)));
        let label = "{\"name\": \"label\"}";
        let classes = "{\"name\": \"probabilities\", \"parameters\": {\"classification\": 3}}";
        assert_eq!(
            wanted(&format!(", \"outputs\": [{label}, {classes}]")),
            Ok(vec![
                one(Output::Label, None, Form::Json),
                probabilities(Some(3), Form::Json)
            ])
        );
        // An output's own word counts more than the request's.
        let plain = "{\"name\": \"probabilities\", \"parameters\": {\"binary_data\": false, \"classification\": 0}}";
        assert_eq!(
            wanted(&format!(", \"outputs\": [{plain}, {label}]{binary}")),
            Ok(vec![
                probabilities(None, Form::Json),
                one(Output::Label, None, Form::Binary)
            ])
        );
        for (outputs, part) in [
            (
                "{\"name\": \"x\"}",
                "unexpected inference output 'x' for model 'digits'",
            ),
            (
                "{\"name\": \"label\"}, {\"name\": \"label\"}",
                "asked for twice",
            ),
            (
                "{\"name\": \"label\", \"parameters\": {\"classification\": 1}}",
                "not available for output 'label'",
            ),
            (
                "{\"name\": \"label\", \"parameters\": {\"shared_memory_region\": \"r\"}}",
                "shared memory",
            ),
        ] {
            let text = wanted(&format!(", \"outputs\": [{outputs}]")).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn answers_in_both_forms() {
        let classes = ["a", "b", "c"].map(str::to_owned);
        let rows = [&[0.1, 0.7, 0.2][..], &[0.25, 0.25, 0.5]];
        let said = Said {
            model: "digits",
            version: "3",
            id: "42",
            classes: &classes,
            rows: &rows,
        };
        let text = |body: &Body, from: usize, to: usize| {
            String::from_utf8_lossy(&body.bytes[from..to]).into_owned()
        };
        let head = "{\"model_name\":\"digits\",\"model_version\":\"3\",\"id\":\"42\",\"outputs\":[";
        let body = said.body(&Wanted::all(Form::Json)).unwrap();
        assert_eq!(body.json_length, None);
        assert_eq!(
            text(&body, 0, body.bytes.len()),
            format!(
                "{head}{}{}",
                r#"{"name":"probabilities","datatype":"FP32","shape":[2,3],"data":[0.1,0.7,0.2,0.25,0.25,0.5]},"#,
                r#"{"name":"label","datatype":"BYTES","shape":[2],"data":["b","c"]}]}"#
            )
        );
        let body = said.body(&Wanted::all(Form::Binary)).unwrap();
        let length = body.json_length.unwrap();
        assert_eq!(
            text(&body, 0, length),
            format!(
                "{head}{}{}",
                r#"{"name":"probabilities","datatype":"FP32","shape":[2,3],"parameters":{"binary_data_size":24}},"#,
                r#"{"name":"label","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":10}}]}"#
            )
        );
        let (numbers, names) = body.bytes[length..].split_at(24);
        assert_eq!(Datatype::Fp32.numbers(numbers), rows.concat());
        assert_eq!(names, b"\x01\0\0\0b\x01\0\0\0c");
        // Equal ones in the order of the classes; never more than there are.
        for (top, expected) in [
            (
                2,
                r#""shape":[2,2],"data":["0.700000:1:b","0.200000:2:c","0.500000:2:c","0.250000:0:a"]"#,
            ),
            (
                9,
                r#""shape":[2,3],"data":["0.700000:1:b","0.200000:2:c","0.100000:0:a","0.500000:2:c","0.250000:0:a","0.250000:1:b"]"#,
            ),
        ] {
            let wanted = Wanted {
                output: Output::Probabilities,
                classes: Some(top),
                form: Form::Json,
            };
            let body = said.body(&[wanted]).unwrap();
            let json = text(&body, 0, body.bytes.len());
            let expected =
                format!("{{\"name\":\"probabilities\",\"datatype\":\"BYTES\",{expected}}}]}}");
            assert_eq!(json, format!("{head}{expected}"));
        }
    }

    #[test]
    fn the_platform_is_what_computes() {
        assert_eq!(platform("cpu"), "cvops_burn");
        // The engine of networks from elsewhere.
        assert_eq!(platform("rten"), "cvops_rten");
    }

    #[test]
    fn metadata_names_what_is_taken_and_said() {
        let target = Target {
            height: 35,
            width: 30,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [255; 3],
        };
        let classes = ["a", "b"].map(str::to_owned);
        assert_eq!(
            metadata("digits", &["3".to_owned()], "cuda", &target, &classes),
            json!({
                "name": "digits",
                "versions": ["3"],
                "platform": "cvops_burn",
                "inputs": [
                    {"name": "image", "datatype": "FP32", "shape": [-1, 35, 30, 3]},
                    {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]},
                ],
                "outputs": [
                    {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
                    {"name": "label", "datatype": "BYTES", "shape": [-1]},
                ],
            })
        );
    }
}
