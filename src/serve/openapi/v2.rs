//! Description of the Open Inference Protocol, version 2. Imports: utoipa, `serve::answer`,
//! `openapi::{native, naming}`.

use serde_json::Value;
use utoipa::openapi::OpenApi as Document;
use utoipa::{OpenApi, ToSchema};

use crate::serve::answer::EXAMPLE_PICTURE;

use super::naming;
use super::native::RequestHeaders;

/// The group of these routes.
const TAG: &str = "Open Inference Protocol v2";

/// Returns this part of the document.
pub(super) fn document() -> Document {
    let mut document = V2::openapi();
    naming::add(&mut document, "/v2/models/{name}", &[naming::VERSION]);
    document
}

#[derive(OpenApi)]
#[openapi(
    paths(server, live, ready, models, metadata, model_ready, infer, index, load, unload),
    tags((name = TAG, description = "The protocol of KServe and Triton, with binary tensors, classification and the model repository"))
)]
struct V2;

/// What the server is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Server {
    /// Always `cvops`.
    #[schema(example = "cvops")]
    name: String,
    /// That of cvops.
    #[schema(example = "0.1.0")]
    version: String,
    /// What is offered beyond the protocol itself.
    #[schema(example = json!(["binary_tensor_data", "classification", "model_repository"]))]
    extensions: Vec<String>,
}

/// Is the process alive?
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Live {
    /// It is.
    live: bool,
}

/// Are predictions answered?
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Ready {
    /// For every model.
    ready: bool,
}

/// The names of the models.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Models {
    /// As they stand in paths.
    #[schema(example = json!(["classifier"]))]
    models: Vec<String>,
}

/// Does a model answer?
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2ModelReady {
    /// Its name.
    #[schema(example = "classifier")]
    name: String,
    /// It does.
    ready: bool,
}

/// What a tensor is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Tensor {
    /// Its name.
    #[schema(example = "image")]
    name: String,
    /// `FP32` or `BYTES`.
    #[schema(example = "FP32")]
    datatype: String,
    /// -1 is any number of pictures.
    #[schema(example = json!([-1, 35, 35, 3]))]
    shape: Vec<i64>,
}

/// What a model takes and says. A request sends one of the inputs.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Model {
    /// Its name.
    #[schema(example = "classifier")]
    name: String,
    /// Those in memory.
    #[schema(example = json!(["1"]))]
    versions: Vec<String>,
    /// What computes it: `cvops_burn`, or `cvops_rten` for a network from elsewhere.
    #[schema(example = "cvops_burn")]
    platform: String,
    /// `image` and `image_bytes`.
    inputs: Vec<V2Tensor>,
    /// `probabilities` and `label`.
    outputs: Vec<V2Tensor>,
}

/// A tensor that is sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::v2` reads it")]
struct V2Input {
    /// `image` (numbers 0 to 255, of the model's size) or `image_bytes` (files in base64).
    #[schema(example = "image_bytes")]
    name: String,
    /// `FP32` or another type of numbers for `image`, `BYTES` for `image_bytes`.
    #[schema(example = "BYTES")]
    datatype: String,
    /// `[n, height, width, channels]` or `[n]`.
    #[schema(example = json!([1]))]
    shape: Vec<u64>,
    /// The elements, flat or nested; left out if they follow as binary data.
    #[schema(example = json!([EXAMPLE_PICTURE]))]
    data: Option<Vec<Value>>,
    /// `binary_data_size`, if they follow as binary data.
    parameters: Option<Value>,
}

/// An output that is asked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::v2` reads it")]
struct V2Output {
    /// `probabilities` or `label`.
    #[schema(example = "probabilities")]
    name: String,
    /// `classification` (so many of the likeliest classes), `binary_data`.
    parameters: Option<Value>,
}

/// Exactly one input.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::v2` reads it")]
struct V2InferJson {
    /// Repeated in the answer; at most 1024 bytes.
    #[schema(example = "42")]
    id: Option<String>,
    /// One tensor.
    inputs: Vec<V2Input>,
    /// All outputs if left out.
    outputs: Option<Vec<V2Output>>,
    /// `binary_data_output`.
    parameters: Option<Value>,
}

/// An output.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Said {
    /// `probabilities` or `label`.
    #[schema(example = "probabilities")]
    name: String,
    /// `FP32`; `BYTES` for `label` and for a classification.
    #[schema(example = "FP32")]
    datatype: String,
    /// The number of pictures first.
    #[schema(example = json!([1, 2]))]
    shape: Vec<u64>,
    /// `binary_data_size`, if the elements follow as binary data.
    parameters: Option<Value>,
    /// The elements, flat.
    #[schema(example = json!([0.9731, 0.0269]))]
    data: Option<Vec<Value>>,
}

/// Predictions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Inferred {
    /// The model that answered.
    #[schema(example = "classifier")]
    model_name: String,
    /// Its version.
    #[schema(example = "1")]
    model_version: String,
    /// That of the request, or a new one.
    #[schema(example = "42")]
    id: String,
    /// In the order in which they were asked for.
    outputs: Vec<V2Said>,
}

/// JSON of the length that the header `Inference-Header-Content-Length` says, then the tensors as bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes a body; `protocol::v2` reads it")]
struct V2Binary(Vec<u8>);

/// Which models are listed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::v2` reads it")]
struct V2IndexJson {
    /// Only those that are ready.
    ready: Option<bool>,
}

/// A version of a model.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Entry {
    /// The name of the model.
    #[schema(example = "classifier")]
    name: String,
    /// Left out where it is not known yet.
    #[schema(example = "1")]
    version: Option<String>,
    /// `READY`, `LOADING` or `UNAVAILABLE`.
    #[schema(example = "READY")]
    state: String,
    /// Why it is not ready.
    reason: String,
}

/// Parameters of other servers, which are passed over; `config` is refused.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::v2` reads it")]
struct V2LoadJson {
    /// Left out, as a rule.
    parameters: Option<Value>,
}

/// An error.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `protocol::v2` writes it")]
struct V2Error {
    /// What happened.
    #[schema(example = "Request for unknown model: 'half' is not found")]
    error: String,
}

#[utoipa::path(
    get, path = "/v2", tag = TAG, summary = "What the server is and offers",
    responses(
        (status = 200, description = "Name, version, extensions", body = V2Server),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn server() {}

#[utoipa::path(
    get, path = "/v2/health/live", tag = TAG, summary = "Is the process alive?",
    responses(
        (status = 200, description = "It is", body = V2Live),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn live() {}

#[utoipa::path(
    get, path = "/v2/health/ready", tag = TAG, summary = "Are predictions answered?",
    responses(
        (status = 200, description = "They are", body = V2Ready),
        (status = 503, description = "A model is not ready, or the server is about to end", body = V2Ready),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn ready() {}

#[utoipa::path(
    get, path = "/v2/models", tag = TAG, summary = "The names of all models",
    responses(
        (status = 200, description = "As KServe lists them", body = V2Models),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn models() {}

#[utoipa::path(
    get, path = "/v2/models/{name}", tag = TAG, summary = "What a model takes and says",
    params(
        ("name" = String, Path, description = "The name of the model"),
    ),
    responses(
        (status = 200, description = "Its inputs and outputs", body = V2Model),
        (status = 404, description = "There is no such model or version", body = V2Error),
        (status = 503, description = "It is not ready", body = V2Error),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn metadata() {}

#[utoipa::path(
    get, path = "/v2/models/{name}/ready", tag = TAG, summary = "Does a model answer?",
    params(
        ("name" = String, Path, description = "The name of the model"),
    ),
    responses(
        (status = 200, description = "It does", body = V2ModelReady),
        (status = 404, description = "There is no such model or version", body = V2Error),
        (status = 503, description = "It does not yet, or no more", body = V2ModelReady),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn model_ready() {}

#[utoipa::path(
    post, path = "/v2/models/{name}/infer", tag = TAG, summary = "Say what pictures show, to clients of KServe and Triton",
    params(
        ("name" = String, Path, description = "The name of the model"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, description = "The length of the JSON part in bytes, if binary tensors follow it; 0 if the body is the file of one picture", example = 0),
        RequestHeaders,
    ),
    request_body(content(
        (V2InferJson = "application/json", example = json!({"id": "42", "inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [EXAMPLE_PICTURE]}]})),
        (V2Binary = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "The outputs that were asked for; with binary tensors, JSON of the length in `Inference-Header-Content-Length` before them", content(
            (V2Inferred = "application/json"),
            (V2Binary = "application/octet-stream"),
        )),
        (status = 400, description = "The request is wrong, or one of its pictures", body = V2Error),
        (status = 404, description = "There is no such model or version", body = V2Error),
        (status = 408, description = "The body did not arrive in time", body = V2Error),
        (status = 413, description = "The body, a picture or the number of pictures is above the limit", body = V2Error),
        (status = 415, description = "A Content-Encoding other than gzip and deflate", body = V2Error),
        (status = 500, description = "A bug of the server", body = V2Error),
        (status = 503, description = "The server is behind, or the model is not ready; `Retry-After` says when to try again", body = V2Error),
        (status = 504, description = "No answer in time", body = V2Error),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn infer() {}

#[utoipa::path(
    post, path = "/v2/repository/index", tag = TAG, summary = "Which models there are, and their states",
    request_body(content = Option<V2IndexJson>, example = json!({"ready": true})),
    responses(
        (status = 200, description = "All versions", body = Vec<V2Entry>),
        (status = 400, description = "The body is no such JSON", body = V2Error),
        (status = 408, description = "The body did not arrive in time", body = V2Error),
        (status = 413, description = "The body is above the limit", body = V2Error),
        (status = 415, description = "A Content-Encoding", body = V2Error),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn index() {}

#[utoipa::path(
    post, path = "/v2/repository/models/{name}/load", tag = TAG, summary = "Load a model, or load it anew",
    params(
        ("name" = String, Path, description = "The name of the model"),
    ),
    request_body(content = Option<V2LoadJson>, example = json!({})),
    responses(
        (status = 200, description = "It is loaded and warm", body = Object),
        (status = 400, description = "The body is no such JSON", body = V2Error),
        (status = 404, description = "There is no such model", body = V2Error),
        (status = 408, description = "The body did not arrive in time", body = V2Error),
        (status = 409, description = "It cannot be loaded; what was served, if anything, goes on", body = V2Error),
        (status = 413, description = "The body is above the limit", body = V2Error),
        (status = 415, description = "A Content-Encoding", body = V2Error),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn load() {}

#[utoipa::path(
    post, path = "/v2/repository/models/{name}/unload", tag = TAG, summary = "Take a model out of service until it is loaded",
    params(
        ("name" = String, Path, description = "The name of the model"),
    ),
    request_body(content = Option<V2LoadJson>, example = json!({})),
    responses(
        (status = 200, description = "Requests for it are refused from now on", body = Object),
        (status = 404, description = "There is no such model", body = V2Error),
        (status = 408, description = "The body did not arrive in time", body = V2Error),
        (status = 413, description = "The body is above the limit", body = V2Error),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn unload() {}
