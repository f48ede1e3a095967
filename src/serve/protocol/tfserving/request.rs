//! The bodies of `:predict` and `:classify`. Imports: serde, `serve::refusal`,
//! `protocol::{given, json_inputs}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny};

use crate::http::StatusCode;
use crate::serve::refusal::Refusal;

use super::super::given::Given;
use super::super::json_inputs::{Form, Inputs, Texts};
use super::super::words::{parsers_words, shown};

/// The only signature.
pub(super) const SIGNATURE: &str = "serving_default";

/// What is to be predicted, and so in which form it is answered.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) given: Given,
    pub(super) form: Form,
}

#[derive(Deserialize)]
struct PredictBody<'b> {
    #[serde(borrow)]
    signature_name: Option<Cow<'b, str>>,
    #[serde(default, deserialize_with = "rows")]
    instances: Option<Given>,
    #[serde(default, deserialize_with = "columns")]
    inputs: Option<Given>,
}

#[derive(Deserialize)]
struct ClassifyBody<'b> {
    #[serde(borrow)]
    signature_name: Option<Cow<'b, str>>,
    #[serde(default, deserialize_with = "rows")]
    examples: Option<Given>,
    context: Option<IgnoredAny>,
}

fn rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Given>, D::Error> {
    let inputs = Inputs {
        form: Form::Rows,
        texts: Texts::Refused,
    };
    inputs.deserialize(deserializer).map(Some)
}

fn columns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Given>, D::Error> {
    let inputs = Inputs {
        form: Form::Columns,
        texts: Texts::Refused,
    };
    inputs.deserialize(deserializer).map(Some)
}

/// A request that is not what the protocol says.
pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
}

/// Reads the body of `:predict`: `instances` (rows) or `inputs` (columns).
pub(super) fn predict(body: &[u8]) -> Result<Request, Refusal> {
    let body: PredictBody<'_> = object(body)?;
    require_signature(body.signature_name.as_deref())?;
    let (given, form) = match (body.instances, body.inputs) {
        (Some(given), None) => (given, Form::Rows),
        (None, Some(given)) => (given, Form::Columns),
        (None, None) => {
            return Err(invalid(
                "JSON Value: not formatted correctly: one of 'instances' and 'inputs' is expected, and there is none",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(invalid(
                "JSON Value: not formatted correctly: one of 'instances' and 'inputs' is expected, and there are both",
            ));
        }
    };
    Ok(Request { given, form })
}

/// Reads the body of `:classify`.
pub(super) fn classify(body: &[u8]) -> Result<Given, Refusal> {
    let body: ClassifyBody<'_> = object(body)?;
    require_signature(body.signature_name.as_deref())?;
    if body.context.is_some() {
        return Err(invalid(
            "'context' is not used here: send each picture whole, in 'examples'",
        ));
    }
    body.examples.ok_or_else(|| {
        invalid("JSON Value: not formatted correctly: 'examples' is missing, a list of {\"image\": {\"b64\": \"BASE64\"}}")
    })
}

fn object<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refusal> {
    let wrong = |error: &serde_json::Error| {
        let what = if error.is_data() {
            "JSON Value"
        } else {
            "JSON Parse error"
        };
        invalid(format!("{what}: {}", parsers_words(error)))
    };
    // A list would be read as the object's members in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        let read = serde_json::from_slice::<IgnoredAny>(body);
        return Err(read.map_or_else(
            |error| wrong(&error),
            |_| invalid("JSON Value: a request is an object: {\"instances\": […]}"),
        ));
    }
    serde_json::from_slice(body).map_err(|error| wrong(&error))
}

fn require_signature(name: Option<&str>) -> Result<(), Refusal> {
    match name {
        None | Some("" | SIGNATURE) => Ok(()),
        Some(other) => Err(invalid(format!(
            "Serving signature key \"{}\" not found: the only one is \"{SIGNATURE}\"",
            shown(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::serve::refusal::Detail;
    use crate::serve::tensor::Tensor;

    fn numbers() -> Given {
        Given::Numbers(Tensor {
            shape: vec![2, 1],
            values: vec![1.0, 2.0],
        })
    }

    #[track_caller]
    fn message(refusal: &Refusal) -> &str {
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        let Detail::Text(text) = &refusal.detail else {
            panic!("{refusal:?}");
        };
        text
    }

    #[test]
    fn rows_and_columns() {
        let files = Given::Files(vec![Ok(Bytes::from_static(b"hi"))]);
        for (body, given, form) in [
            (r#"{"instances": [[1], [2]]}"#, numbers(), Form::Rows),
            (
                r#"{"signature_name": "serving_default", "instances": [{"image": [1]}, {"image": [2]}]}"#,
                numbers(),
                Form::Rows,
            ),
            (
                r#"{"inputs": [[1], [2]], "signature_name": ""}"#,
                numbers(),
                Form::Columns,
            ),
            (
                r#"{"inputs": {"image": [[1], [2]]}}"#,
                numbers(),
                Form::Columns,
            ),
            (
                r#"{"instances": [{"b64": "aGk="}]}"#,
                files.clone(),
                Form::Rows,
            ),
            (
                r#"{"instances": [{"image_bytes": {"b64": "aGk="}}]}"#,
                files.clone(),
                Form::Rows,
            ),
        ] {
            assert_eq!(
                predict(body.as_bytes()),
                Ok(Request { given, form }),
                "{body}"
            );
        }
        let examples = br#"{"examples": [{"image": {"b64": "aGk="}}], "signature_name": null}"#;
        assert_eq!(classify(examples), Ok(files));
    }

    #[test]
    fn other_bodies_are_refused() {
        for (body, part) in [
            ("{}", "there is none"),
            (r#"{"instances": [1], "inputs": [1]}"#, "there are both"),
            (
                r#"{"signature_name": "other", "inputs": 1}"#,
                "key \"other\" not found",
            ),
            (
                r#"{"signature_name": 100}"#,
                "JSON Value: invalid type: integer `100`",
            ),
            (
                r#"{"instances": {"image": [1]}}"#,
                "expected a list of inputs",
            ),
            (r#"{"instances": ["hi"]}"#, "sent as {\"b64\""),
            (r#"{"instances": [1"#, "JSON Parse error: EOF"),
            ("", "JSON Parse error: EOF"),
            ("[\"serving_default\", [1]]", "a request is an object"),
        ] {
            let refusal = predict(body.as_bytes()).unwrap_err();
            assert!(message(&refusal).contains(part), "{body}: {refusal:?}");
        }
        for (body, part) in [
            ("{}", "'examples' is missing"),
            (
                r#"{"examples": [], "context": {"a": 1}}"#,
                "'context' is not used",
            ),
            (r#"{"examples": [], "signature_name": "x"}"#, "not found"),
        ] {
            let refusal = classify(body.as_bytes()).unwrap_err();
            assert!(message(&refusal).contains(part), "{body}: {refusal:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(
            bytes: Vec<u8>,
            text in r#"\{"(inputs|instances|examples|signature_name)": [\[\]\{\}",:a-z0-9.eE-]{0,40}\}"#,
        ) {
            for body in [&bytes[..], text.as_bytes()] {
                let _ = (predict(body), classify(body));
            }
        }

        #[test]
        fn a_request_is_read_as_it_was_written(
            values in prop::collection::vec(prop::array::uniform2(-1e30_f32..1e30), 1..5),
            text in "[a-zA-Z0-9+/]{4}",
        ) {
            let tensor = crate::serve::tensor::Tensor {
                shape: vec![values.len(), 2],
                values: values.concat(),
            };
            for (key, form) in [("instances", Form::Rows), ("inputs", Form::Columns)] {
                let body = serde_json::json!({"signature_name": SIGNATURE, key: values}).to_string();
                let given = Given::Numbers(tensor.clone());
                prop_assert_eq!(predict(body.as_bytes()), Ok(Request { given, form }));
            }
            let picture = crate::serve::envelope::base64_bytes(&text).map(bytes::Bytes::from);
            let example = serde_json::json!({"image": {"b64": text}});
            let body = serde_json::json!({"examples": [example, example]}).to_string();
            let given = Given::Files(vec![picture.clone(), picture]);
            prop_assert_eq!(classify(body.as_bytes()), Ok(given));
        }
    }
}
