//! The JSON body of `/invocations`: exactly one of four fields with inputs, and params.
//! Imports: serde, `protocol::{given, json_inputs}`, `mlflow::{dataframe, params}`.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny};

use super::super::given::Given;
use super::super::json_inputs::{Form, Inputs, Texts};
use super::super::words::parsers_words;
use super::answer::Wrong;
use super::dataframe;
use super::params::{GivenParams, Params};

/// As MLflow's servers say it.
const EXACTLY_ONE: &str = "The input must be a JSON dictionary with exactly one of the input fields \
                           {'dataframe_records', 'instances', 'dataframe_split', 'inputs'}";

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) given: Given,
    pub(super) params: Params,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "instances")]
    instances: Option<Given>,
    #[serde(default, deserialize_with = "inputs")]
    inputs: Option<Given>,
    #[serde(default, deserialize_with = "dataframe::split")]
    dataframe_split: Option<Given>,
    #[serde(default, deserialize_with = "dataframe::records")]
    dataframe_records: Option<Given>,
    #[serde(default)]
    params: GivenParams,
}

fn instances<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Given>, D::Error> {
    let inputs = Inputs {
        form: Form::Rows,
        texts: Texts::Pictures,
    };
    inputs.deserialize(deserializer).map(Some)
}

fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Given>, D::Error> {
    let inputs = Inputs {
        form: Form::Columns,
        texts: Texts::Pictures,
    };
    inputs.deserialize(deserializer).map(Some)
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Result<Request, Wrong> {
    // A list would be read as the object's members in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(no_object(body));
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| wrong(&error))?;
    let params = body.params.read().map_err(Wrong::Value)?;
    let forms = [
        ("instances", body.instances),
        ("inputs", body.inputs),
        ("dataframe_split", body.dataframe_split),
        ("dataframe_records", body.dataframe_records),
    ];
    let mut found = forms
        .into_iter()
        .filter_map(|(name, given)| Some((name, given?)));
    match (found.next(), found.next()) {
        (Some((_, given)), None) => Ok(Request { given, params }),
        (first, second) => {
            let others = found.map(|(name, _)| name);
            let names = first.into_iter().chain(second).map(|(name, _)| name);
            let names: Vec<String> = names.chain(others).map(|n| format!("'{n}'")).collect();
            Err(Wrong::Request(format!(
                "{EXACTLY_ONE}. Received dictionary with input fields: [{}].",
                names.join(", ")
            )))
        }
    }
}

fn wrong(error: &serde_json::Error) -> Wrong {
    let words = parsers_words(error);
    if error.is_data() {
        Wrong::Request(format!("Invalid input. {words}"))
    } else {
        Wrong::Request(format!(
            "Invalid input. Ensure that input is a valid JSON formatted string. Error: '{words}'"
        ))
    }
}

/// Says what a body is that is no object.
fn no_object(body: &[u8]) -> Wrong {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        return wrong(&error);
    }
    let text = body.trim_ascii();
    let kind = match text.first() {
        Some(b'[') => {
            return Wrong::Request(format!("Invalid input. {EXACTLY_ONE}. Received a list."));
        }
        Some(b'"') => "str",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "NoneType",
        _ if text.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) => "float",
        _ => "int",
    };
    Wrong::Request(format!(
        "Invalid input. {EXACTLY_ONE}. Received unexpected input type '<class '{kind}'>."
    ))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::params::Returned;
    use super::*;
    use crate::serve::tensor::Tensor;

    fn numbers() -> Given {
        Given::Numbers(Tensor {
            shape: vec![2, 1],
            values: vec![1.0, 2.5],
        })
    }

    #[test]
    fn the_four_forms() {
        let files = || Given::Files(vec![Ok(Bytes::from_static(b"hi"))]);
        for (body, given) in [
            (r#"{"instances": [[1], [2.5]]}"#, numbers()),
            (r#"{"inputs": [[1], [2.5]]}"#, numbers()),
            (
                r#" {"inputs": {"image": [[1], [2.5]]}, "more": 1}"#,
                numbers(),
            ),
            (
                r#"{"instances": [{"image": [1]}, {"image": [2.5]}]}"#,
                numbers(),
            ),
            (
                r#"{"dataframe_split": {"columns": ["image"], "data": [["aGk="]]}}"#,
                files(),
            ),
            (
                r#"{"dataframe_records": [{"image": "aGk="}], "params": null}"#,
                files(),
            ),
            (r#"{"inputs": ["aGk="]}"#, files()),
            (r#"{"instances": [{"b64": "aGk="}]}"#, files()),
        ] {
            let params = Params::default();
            assert_eq!(
                read(body.as_bytes()),
                Ok(Request { given, params }),
                "{body}"
            );
        }
        let body = r#"{"params": {"top_k": 3, "return": "labels"}, "inputs": [[1], [2.5]]}"#;
        let params = Params {
            top_k: Some(3),
            returned: Returned::Labels,
        };
        let given = numbers();
        assert_eq!(read(body.as_bytes()), Ok(Request { given, params }));
    }

    #[test]
    fn other_bodies_are_refused_in_mlflows_words() {
        for (body, part) in [
            (
                "{\"x\": 1}",
                "'inputs'}. Received dictionary with input fields: [].",
            ),
            (
                "{\"instances\": [], \"inputs\": []}",
                "input fields: ['instances', 'inputs'].",
            ),
            ("[1]", "Invalid input. The input must be a JSON dictionary"),
            ("[[], [], null, null]", "Received a list."),
            ("\"x\"", "type '<class 'str'>."),
            ("1.5", "type '<class 'float'>."),
            ("-1", "type '<class 'int'>."),
            ("true", "type '<class 'bool'>."),
            ("null", "type '<class 'NoneType'>."),
            ("", "valid JSON formatted string. Error: 'EOF while parsing"),
            (
                "{\"inputs\": [1,",
                "valid JSON formatted string. Error: 'EOF",
            ),
            (
                "{\"inputs\": [NaN]}",
                "valid JSON formatted string. Error: 'expected",
            ),
            ("[1", "valid JSON formatted string."),
            (
                "{\"inputs\": [[1], [2, 3]]}",
                "Invalid input. lists of one depth",
            ),
            ("{\"inputs\": null}", "Invalid input. invalid type: null"),
            (
                "{\"inputs\": [], \"inputs\": []}",
                "duplicate field `inputs`",
            ),
        ] {
            let Err(Wrong::Request(message)) = read(body.as_bytes()) else {
                panic!("{body}");
            };
            assert!(message.contains(part), "{body}: {message}");
        }
        let body = br#"{"inputs": [], "params": {"top_k": 0}}"#;
        assert!(matches!(read(body), Err(Wrong::Value(_))));
        let deep = format!("{{\"inputs\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(read(deep.as_bytes()), Err(Wrong::Request(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(
            bytes: Vec<u8>,
            text in r#"\{"(inputs|instances|dataframe_split|params|x)": [\[\]\{\}",:a-z0-9.eE-]{0,40}\}"#,
        ) {
            let _ = read(&bytes);
            let _ = read(text.as_bytes());
        }

        #[test]
        fn numbers_come_back(
            rows in prop::collection::vec(prop::collection::vec(-1e30f32..1e30, 3), 1..5),
        ) {
            let body = serde_json::json!({"inputs": rows}).to_string();
            let given = read(body.as_bytes()).map(|request| request.given);
            let tensor = Tensor { shape: vec![rows.len(), 3], values: rows.concat() };
            prop_assert_eq!(given, Ok(Given::Numbers(tensor)));
        }
    }
}
