//! Description of the REST API of TensorFlow Serving and of KServe's first protocol. Imports: utoipa,
//! `serve::answer`, `openapi::{native, naming}`.

use serde_json::Value;
use utoipa::openapi::OpenApi as Document;
use utoipa::{OpenApi, ToSchema};

use crate::serve::answer::{EXAMPLE_PICTURE, Explanation};

use super::naming;
use super::native::{Occluding, RequestHeaders};

/// The group of these routes.
const TAG: &str = "TensorFlow Serving and KServe v1";

/// Returns this part of the document.
pub(super) fn document() -> Document {
    let mut document = TfServing::openapi();
    let namings = [naming::VERSION, naming::LABEL];
    naming::add(&mut document, "/v1/models/{name}", &namings);
    document
}

#[derive(OpenApi)]
#[openapi(
    paths(list, status, metadata, predict, classify, explain),
    tags((name = TAG, description = "TensorFlow Serving's REST API and KServe's first protocol, which is built on it"))
)]
struct TfServing;

/// The names of the models.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::tfserving` writes it"
)]
struct TfModels {
    /// The first one answers who names none.
    #[schema(example = json!(["classifier"]))]
    models: Vec<String>,
}

/// A model and its versions.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::tfserving` writes it"
)]
struct TfStatus {
    /// Its name.
    #[schema(example = "classifier")]
    name: String,
    /// Does the main version answer, or the one in the path?
    ready: bool,
    /// The version, its `state` (`START`, `LOADING`, `AVAILABLE`, `END`), and why it does not answer.
    model_version_status: Vec<Value>,
}

/// Exactly one of `instances` and `inputs`. Numbers are 0 to 255, of the model's size.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::tfserving` reads it")]
struct TfPredictJson {
    /// `serving_default`, or left out.
    signature_name: Option<String>,
    /// Rows: a tensor, `{"b64": "BASE64"}`, or one of them as `{"image": …}`.
    #[schema(example = json!([{"b64": EXAMPLE_PICTURE}]))]
    instances: Option<Vec<Value>>,
    /// Columns: `[n, height, width, channels]`, or that as `{"image": …}`.
    inputs: Option<Value>,
}

/// Rows are answered with `predictions`, columns with `outputs`.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::tfserving` writes it"
)]
struct TfPredictions {
    /// Probabilities in the order of the classes.
    #[schema(example = json!([[0.0269, 0.9731]]))]
    predictions: Option<Vec<Vec<f32>>>,
    /// The same.
    outputs: Option<Vec<Vec<f32>>>,
}

/// Pictures to be classified.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::tfserving` reads it")]
struct TfClassifyJson {
    /// `serving_default`, or left out.
    signature_name: Option<String>,
    /// `{"image": {"b64": "BASE64"}}` for each.
    #[schema(example = json!([{"image": {"b64": EXAMPLE_PICTURE}}]))]
    examples: Vec<Value>,
}

/// Classes with their probabilities.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::tfserving` writes it"
)]
struct TfResults {
    /// For each picture `["coat", 0.9731]` for each class.
    #[schema(example = json!([[["coat", 0.9731], ["bag", 0.0269]]]))]
    results: Vec<Value>,
}

/// What answers depend on.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::tfserving` writes it"
)]
struct TfExplanations<'a> {
    /// One for each picture, in order.
    explanations: Vec<Explanation<'a>>,
}

/// An error as TensorFlow Serving writes it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::tfserving` writes it"
)]
struct TfError {
    /// What happened.
    #[schema(example = "Servable not found for request: Latest(half)")]
    error: String,
}

#[utoipa::path(
    get, path = "/v1/models", tag = TAG, summary = "The names of all models",
    responses((status = 200, description = "As KServe lists them", body = TfModels))
)]
#[expect(dead_code, reason = "describes a route")]
fn list() {}

#[utoipa::path(
    get, path = "/v1/models/{name}", tag = TAG, summary = "The state of the versions of a model",
    params(
        ("name" = String, Path, description = "The name of the model"),
    ),
    responses(
        (status = 200, description = "Versions and their states", body = TfStatus),
        (status = 400, description = "There is no such label", body = TfError),
        (status = 404, description = "There is no such model or version", body = TfError),
        (status = 503, description = "Its version is not known yet", body = TfError),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn status() {}

#[utoipa::path(
    get, path = "/v1/models/{name}/metadata", tag = TAG, summary = "What a model takes and answers",
    params(
        ("name" = String, Path, description = "The name of the model"),
    ),
    responses(
        (status = 200, description = "The signature `serving_default`", body = Object),
        (status = 400, description = "There is no such label", body = TfError),
        (status = 404, description = "There is no such model or version", body = TfError),
        (status = 503, description = "Its version is not known yet", body = TfError),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn metadata() {}

#[utoipa::path(
    post, path = "/v1/models/{name}:predict", tag = TAG, summary = "Say what pictures show, to clients of TensorFlow Serving and KServe",
    params(
        ("name" = String, Path, description = "The name of the model"),
        RequestHeaders,
    ),
    request_body(content = TfPredictJson, example = json!({"instances": [{"b64": EXAMPLE_PICTURE}]})),
    responses(
        (status = 200, description = "A prediction for each picture, in order", body = TfPredictions),
        (status = 400, description = "The request is wrong, or one of its pictures, or there is no such label", body = TfError),
        (status = 404, description = "There is no such model or version", body = TfError),
        (status = 408, description = "The body did not arrive in time", body = TfError),
        (status = 413, description = "The body, a picture or the number of pictures is above the limit", body = TfError),
        (status = 415, description = "A Content-Encoding", body = TfError),
        (status = 500, description = "A bug of the server", body = TfError),
        (status = 503, description = "The server is behind, or there is no model yet; `Retry-After` says when to try again", body = TfError),
        (status = 504, description = "No answer in time", body = TfError),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn predict() {}

#[utoipa::path(
    post, path = "/v1/models/{name}:classify", tag = TAG, summary = "Rank the classes of pictures, to clients of TensorFlow Serving",
    params(
        ("name" = String, Path, description = "The name of the model"),
        RequestHeaders,
    ),
    request_body(content = TfClassifyJson, example = json!({"examples": [{"image": {"b64": EXAMPLE_PICTURE}}]})),
    responses(
        (status = 200, description = "Classes and probabilities of each picture, the likeliest first", body = TfResults),
        (status = 400, description = "The request is wrong, or one of its pictures, or there is no such label", body = TfError),
        (status = 404, description = "There is no such model or version", body = TfError),
        (status = 408, description = "The body did not arrive in time", body = TfError),
        (status = 413, description = "The body, a picture or the number of pictures is above the limit", body = TfError),
        (status = 415, description = "A Content-Encoding", body = TfError),
        (status = 500, description = "A bug of the server", body = TfError),
        (status = 503, description = "The server is behind, or there is no model yet; `Retry-After` says when to try again", body = TfError),
        (status = 504, description = "No answer in time", body = TfError),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn classify() {}

#[utoipa::path(
    post, path = "/v1/models/{name}:explain", tag = TAG, summary = "Say what predictions depend on, to clients of KServe",
    params(
        ("name" = String, Path, description = "The name of the model"),
        Occluding,
        RequestHeaders,
    ),
    request_body(content = TfPredictJson, example = json!({"instances": [{"b64": EXAMPLE_PICTURE}]})),
    responses(
        (status = 200, description = "Of each picture which parts the answer depends on, in order", body = TfExplanations),
        (status = 400, description = "The request is wrong, or one of its pictures, or there is no such label", body = TfError),
        (status = 404, description = "There is no such model or version", body = TfError),
        (status = 408, description = "The body did not arrive in time", body = TfError),
        (status = 413, description = "The body, a picture or the number of pictures is above the limit", body = TfError),
        (status = 415, description = "A Content-Encoding", body = TfError),
        (status = 500, description = "A bug of the server", body = TfError),
        (status = 503, description = "The server is behind, or there is no model yet; `Retry-After` says when to try again", body = TfError),
        (status = 504, description = "No answer in time", body = TfError),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn explain() {}
