//! The bodies of TensorFlow Serving's REST API and of KServe's first protocol. Imports: http, serde,
//! vision (the model's size), `serve::answer`, `protocol::given`.

use serde::ser::{SerializeMap, SerializeTuple};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::http::Rendered;
use crate::serve::answer::ranked;
use crate::vision::image::Target;

use super::super::given::shape;
use super::super::json_inputs::{Form, NAMES};
use super::request::SIGNATURE;

/// Answer of `:predict`: `predictions` for rows, `outputs` for columns. The model has one output, so
/// neither names it.
#[derive(Debug)]
pub(super) struct Predicted<'a> {
    pub(super) form: Form,
    pub(super) rows: Vec<&'a [f32]>,
}

impl Serialize for Predicted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = match self.form {
            Form::Rows => "predictions",
            Form::Columns => "outputs",
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, &self.rows)?;
        map.end()
    }
}

/// Answer of `:classify`: of each picture all classes, the likeliest first.
#[derive(Debug, Serialize)]
pub(super) struct Classified<'a> {
    results: Vec<Vec<Scored<'a>>>,
}

/// `["7", 0.97]`
#[derive(Debug)]
struct Scored<'a> {
    label: &'a str,
    score: f32,
}

impl Serialize for Scored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(self.label)?;
        pair.serialize_element(&self.score)?;
        pair.end()
    }
}

impl<'a> Classified<'a> {
    pub(super) fn new(
        classes: &'a [String],
        probabilities: impl Iterator<Item = &'a [f32]>,
    ) -> Self {
        let scored = |p| {
            let ranked = ranked(classes, p, usize::MAX).into_iter();
            let scored = ranked.map(|one| Scored {
                label: one.label,
                score: one.probability,
            });
            scored.collect()
        };
        Self {
            results: probabilities.map(scored).collect(),
        }
    }
}

/// How far a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for its files.
    Start,
    Loading,
    Available,
    /// It cannot be loaded, or an operator has the model out of service.
    End,
}

/// The state of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionState {
    /// Empty if it is not known yet.
    pub(super) version: String,
    pub(super) state: State,
    /// Why it is not available.
    pub(super) problem: Option<String>,
}

impl VersionState {
    fn to_value(&self) -> Value {
        let (state, code) = match self.state {
            State::Start => ("START", "UNAVAILABLE"),
            State::Loading => ("LOADING", "OK"),
            State::Available => ("AVAILABLE", "OK"),
            State::End => ("END", "FAILED_PRECONDITION"),
        };
        let message = self.problem.as_deref().unwrap_or_default();
        json!({
            "version": self.version,
            "state": state,
            "status": {"error_code": code, "error_message": message},
        })
    }
}

/// Returns what `GET /v1/models/NAME` answers: TensorFlow Serving's member and KServe's two. Both
/// kinds of client pass over what they do not know. A model is ready when the first of the `versions` is,
/// which is the main one or the one that was asked for: a canary or a shadow is no substitute.
pub(super) fn status(name: &str, versions: &[VersionState]) -> Value {
    let first = versions.first();
    let ready = first.is_some_and(|version| version.state == State::Available);
    let versions: Vec<Value> = versions.iter().map(VersionState::to_value).collect();
    json!({"name": name, "ready": ready, "model_version_status": versions})
}

/// Returns what `GET …/metadata` answers.
pub(super) fn metadata(name: &str, version: &str, target: &Target, classes: usize) -> Value {
    let dimension = |size: usize| json!({"size": size.to_string(), "name": ""});
    let tensor = |name: &str, sizes: &[usize]| {
        let mut dimensions = vec![json!({"size": "-1", "name": ""})];
        dimensions.extend(sizes.iter().copied().map(dimension));
        json!({
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": dimensions, "unknown_rank": false},
            "name": format!("{name}:0"),
        })
    };
    let input = NAMES[0];
    let signature = json!({
        "inputs": {input: tensor(input, &shape(target))},
        "outputs": {"probabilities": tensor("probabilities", &[classes])},
        "method_name": "tensorflow/serving/predict",
    });
    json!({
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    })
}

/// Returns the body of an error.
pub(in crate::serve::protocol) fn error_body(message: &str) -> Rendered {
    Rendered::json(&json!({"error": message}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::protocol::given::tests::TARGET;

    #[test]
    fn predictions_and_classes() {
        let classes = ["a", "b"].map(str::to_owned);
        let rows = [vec![0.1f32, 0.9], vec![0.5, 0.5]];
        let rows = || rows.iter().map(Vec::as_slice);
        for (form, key) in [(Form::Rows, "predictions"), (Form::Columns, "outputs")] {
            let rows = rows().collect();
            let written = serde_json::to_string(&Predicted { form, rows }).unwrap();
            assert_eq!(written, format!("{{\"{key}\":[[0.1,0.9],[0.5,0.5]]}}"));
        }
        let written = serde_json::to_string(&Classified::new(&classes, rows())).unwrap();
        let expected = r#"{"results":[[["b",0.9],["a",0.1]],[["a",0.5],["b",0.5]]]}"#;
        assert_eq!(written, expected);
    }

    #[test]
    fn metadata_are_those_of_a_saved_model() {
        let metadata = metadata("digits", "3", &TARGET, 10);
        let signature = &metadata["metadata"]["signature_def"]["signature_def"][SIGNATURE];
        let dimensions = &signature["inputs"]["image"]["tensor_shape"]["dim"];
        let sizes: Vec<&str> = dimensions
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["size"].as_str().unwrap())
            .collect();
        assert_eq!(sizes, ["-1", "1", "2", "1"]);
        assert_eq!(signature["inputs"]["image"]["name"], "image:0");
        assert_eq!(
            signature["outputs"]["probabilities"],
            json!({"dtype": "DT_FLOAT", "name": "probabilities:0", "tensor_shape": {
                "dim": [{"size": "-1", "name": ""}, {"size": "10", "name": ""}], "unknown_rank": false}})
        );
        assert_eq!(
            metadata["model_spec"],
            json!({"name": "digits", "signature_name": "", "version": "3"})
        );
    }

    #[test]
    fn a_model_is_ready_when_its_main_version_is() {
        let version = |version: &str, state, problem: Option<&str>| VersionState {
            version: version.to_owned(),
            state,
            problem: problem.map(str::to_owned),
        };
        let available = version("3", State::Available, None);
        assert_eq!(
            status("digits", std::slice::from_ref(&available)),
            json!({"name": "digits", "ready": true, "model_version_status": [
                {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]})
        );
        let broken = version("4", State::End, Some("it is damaged"));
        let with_canary = [available.clone(), broken.clone()];
        assert_eq!(status("digits", &with_canary)["ready"], true);
        for main in [State::Start, State::Loading, State::End] {
            let both = [version("2", main, None), available.clone()];
            assert_eq!(status("digits", &both)["ready"], false);
        }
        let one = status("digits", &[broken]);
        assert_eq!(one["ready"], false);
        let status = &one["model_version_status"][0]["status"];
        assert_eq!(status["error_message"], "it is damaged");
        assert_ne!(status["error_code"], "OK");
    }
}
