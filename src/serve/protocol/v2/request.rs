//! The JSON part of an inference request, and where it ends: what is asked for, which tensors come,
//! and how each is sent. Imports: serde, http, `serve::refusal`, `protocol::words`, `v2::{binary, data}`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http::StatusCode;
use crate::http::header::{HeaderName, HeaderValue};
use crate::serve::protocol::words::{parsers_words, shown};
use crate::serve::refusal::Refusal;

use super::binary::Datatype;
use super::data::Data;

/// The header that says how long the JSON part is, if binary tensors follow it.
pub(super) const HEADER_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// Bytes of a request's id, which is repeated in the answer.
const ID_BYTES_MAX: usize = 1024;

/// What a client asks.
#[derive(Debug, Deserialize)]
pub(super) struct InferRequest<'b> {
    pub(super) id: Option<String>,
    #[serde(borrow)]
    pub(super) inputs: Vec<InputTensor<'b>>,
    pub(super) outputs: Option<Vec<OutputRequest>>,
    pub(super) parameters: Option<RequestParameters>,
}

/// Parameters of the whole request; others than these say nothing to a classifier.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct RequestParameters {
    pub(super) binary_data_output: Option<bool>,
}

/// One tensor that is sent.
#[derive(Debug, Deserialize)]
pub(super) struct InputTensor<'b> {
    #[serde(borrow)]
    pub(super) name: Cow<'b, str>,
    pub(super) shape: Vec<u64>,
    pub(super) datatype: Datatype,
    pub(super) parameters: Option<InputParameters>,
    #[serde(borrow)]
    pub(super) data: Option<Data<'b>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct InputParameters {
    pub(super) binary_data_size: Option<u64>,
    shared_memory_region: Option<IgnoredAny>,
}

impl InputParameters {
    /// Is the tensor in memory that client and server share?
    pub(super) fn is_shared(self) -> bool {
        self.shared_memory_region.is_some()
    }
}

/// One output that is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct OutputRequest {
    pub(super) name: String,
    pub(super) parameters: Option<OutputParameters>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct OutputParameters {
    pub(super) binary_data: Option<bool>,
    /// So many of the likeliest classes, as texts; 0 is as if it was not given.
    pub(super) classification: Option<u64>,
    shared_memory_region: Option<IgnoredAny>,
}

impl OutputParameters {
    /// Is the tensor to be put into memory that client and server share?
    pub(super) fn is_shared(self) -> bool {
        self.shared_memory_region.is_some()
    }
}

/// A request's body in its parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parts {
    /// JSON, and the binary tensors behind it.
    Described { json: Bytes, tensors: Bytes },
    /// No JSON: the body is the one element of the model's `BYTES` input.
    Raw(Bytes),
}

/// Takes a body apart at the length that the header states; without one it is JSON to its end.
pub(super) fn take_apart(length: Option<&HeaderValue>, mut body: Bytes) -> Result<Parts, Refusal> {
    let Some(value) = length else {
        return Ok(Parts::Described {
            json: body,
            tensors: Bytes::new(),
        });
    };
    let text = value.to_str().unwrap_or("unreadable").trim();
    let length = text
        .parse::<usize>()
        .ok()
        .filter(|length| *length <= body.len());
    match length {
        Some(0) => Ok(Parts::Raw(body)),
        Some(length) => Ok(Parts::Described {
            json: body.split_to(length),
            tensors: body,
        }),
        None => {
            let text = shown(text);
            Err(bad(format!(
                "the header `Inference-Header-Content-Length` is `{text}`: expected the length of the JSON part in bytes, at most {}, that of the whole body",
                body.len()
            )))
        }
    }
}

/// Reads the JSON part.
pub(super) fn read(json: &[u8]) -> Result<InferRequest<'_>, Refusal> {
    let request: InferRequest<'_> = serde_json::from_slice(json).map_err(|error| {
        let words = parsers_words(&error);
        bad(format!("failed to parse the request JSON buffer: {words}"))
    })?;
    if let Some(id) = &request.id
        && ID_BYTES_MAX < id.len()
    {
        return Err(bad(format!(
            "the `id` has {} bytes, at most {ID_BYTES_MAX} are taken",
            id.len()
        )));
    }
    Ok(request)
}

/// Status 400.
pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad_request", detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serve::config::BATCH_ITEMS_MAX;
    use crate::serve::protocol::v2::data::Elements;

    fn header(length: &str) -> HeaderValue {
        HeaderValue::from_str(length).unwrap()
    }

    #[test]
    fn bodies_are_taken_apart_where_the_header_says() {
        let body = Bytes::from_static(b"{}abc");
        let apart = |length: &str| take_apart(Some(&header(length)), body.clone());
        let described = |json: &'static str, tensors: &'static str| {
            Ok(Parts::Described {
                json: json.into(),
                tensors: tensors.into(),
            })
        };
        assert_eq!(take_apart(None, body.clone()), described("{}abc", ""));
        assert_eq!(apart("2"), described("{}", "abc"));
        assert_eq!(apart(" 5"), described("{}abc", ""));
        assert_eq!(apart("0"), Ok(Parts::Raw(body.clone())));
        for wrong in ["6", "-1", "", "2.0", "99999999999999999999999", "x"] {
            let refusal = apart(wrong).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            let text = refusal.detail.to_text();
            assert!(text.contains(&format!("is `{wrong}`")), "{text}");
            assert!(text.contains("at most 5"), "{text}");
        }
    }

    #[test]
    fn requests_are_read_without_regard_to_order_and_unknown_members() {
        let json = br#"{"more": [1], "outputs": [{"parameters": {"classification": 2, "x": 1}, "name": "label"}],
            "parameters": {"binary_data_output": true, "priority": 3}, "inputs": [
            {"data": [[1, 2.5], [-3, 4e0]], "datatype": "FP32", "shape": [2, 2], "name": "im\u0061ge"},
            {"name": "b", "shape": [1], "datatype": "BYTES", "data": ["a\nb"], "parameters": null},
            {"name": "c", "shape": [], "datatype": "INT8", "parameters": {"binary_data_size": 7}}],
            "id": "42"}"#;
        let request = read(json).unwrap();
        assert_eq!(request.id.as_deref(), Some("42"));
        assert_eq!(request.parameters.unwrap().binary_data_output, Some(true));
        let [image, text, binary] = &request.inputs[..] else {
            panic!("{request:?}");
        };
        assert_eq!((&*image.name, &image.shape[..]), ("image", &[2, 2][..]));
        let nested = image.data.clone().unwrap();
        let numbers = Elements::Numbers(vec![1.0, 2.5, -3.0, 4.0]);
        assert_eq!((nested.shape, nested.elements), (vec![2, 2], numbers));
        let nested = text.data.clone().unwrap();
        assert_eq!(nested.elements, Elements::Texts(vec!["a\nb".into()]));
        let size = binary.parameters.unwrap().binary_data_size;
        assert_eq!((size, &binary.data), (Some(7), &None));
        let outputs = request.outputs.unwrap();
        let parameters = outputs[0].parameters.unwrap();
        assert_eq!(parameters.classification, Some(2));
        assert!(!parameters.is_shared());
    }

    #[test]
    fn what_is_no_request_is_named() {
        let long = format!("{{\"inputs\": [], \"id\": \"{}\"}}", "x".repeat(1025));
        let tensor = |members: &str| {
            format!("{{\"inputs\": [{{\"name\": \"image\", \"datatype\": \"FP32\", {members}}}]}}")
        };
        for (json, part) in [
            ("{", "EOF while parsing"),
            ("[]", "invalid length 0"),
            ("{}", "missing field `inputs`"),
            ("{\"inputs\": 3}", "expected a sequence"),
            ("{\"inputs\": [{}]}", "missing field `name`"),
            ("{\"inputs\": [], \"inputs\": []}", "duplicate field"),
            ("{\"inputs\": [], \"id\": 42}", "expected a string"),
            (&long, "the `id` has 1025 bytes"),
            (&tensor("\"shape\": [-1]"), "expected u64"),
            (&tensor("\"shape\": [1e3]"), "expected u64"),
            (&tensor("\"shape\": [18446744073709551616]"), "expected u64"),
            (
                &tensor("\"shape\": [1], \"data\": {}"),
                "a list of numbers or texts",
            ),
            (
                &tensor("\"shape\": [1], \"data\": [true]"),
                "a list of numbers or texts",
            ),
            (&tensor("\"shape\": [1], \"data\": [1, \"a\"]"), "mixed"),
            (&tensor("\"shape\": [1], \"data\": [\"a\", 1]"), "mixed"),
            (
                &tensor("\"shape\": [1], \"parameters\": {\"binary_data_size\": -4}"),
                "expected u64",
            ),
            ("{\"inputs\": []} x", "trailing characters"),
            ("\u{feff}{}", "expected value"),
        ] {
            let refusal = read(json.as_bytes()).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST, "{json}");
            let text = refusal.detail.to_text();
            assert!(text.contains(part), "{json}: {text}");
        }
        assert!(read(b"\xff\xfe").is_err());
        let many = "\"\",".repeat(BATCH_ITEMS_MAX) + "\"\"";
        let json = tensor(&format!("\"shape\": [1], \"data\": [{many}]"));
        let text = read(json.as_bytes()).unwrap_err().detail.to_text();
        assert!(text.contains("more than 4096 texts"), "{text}");
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            length in "[0-9]{1,3}",
        ) {
            let _ = read(&bytes);
            let count = bytes.len();
            match take_apart(Some(&header(&length)), bytes.into()) {
                Ok(Parts::Described { json, tensors }) => {
                    prop_assert_eq!(json.len() + tensors.len(), count);
                }
                Ok(Parts::Raw(body)) => prop_assert_eq!(body.len(), count),
                Err(_) => prop_assert!(count < length.parse::<usize>().unwrap()),
            }
        }
    }
}
