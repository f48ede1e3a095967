//! Description of MLflow's scoring protocol. Imports: utoipa, `serve::answer`, `openapi::native`.

use serde_json::Value;
use utoipa::openapi::OpenApi as Document;
use utoipa::{OpenApi, ToSchema};

use crate::serve::answer::{EXAMPLE_PICTURE, PictureFile};

use super::native::{RequestHeaders, WhichModel};

/// The group of these routes.
const TAG: &str = "MLflow scoring";

/// Returns this part of the document.
pub(super) fn document() -> Document {
    Mlflow::openapi()
}

#[derive(OpenApi)]
#[openapi(
    paths(invocations, ping),
    tags((name = TAG, description = "The protocol of `mlflow models serve`: `ScoringServerClient` and whatever else asks it"))
)]
struct Mlflow;

/// Exactly one of the first four. Each holds pictures: base64 of encoded ones, or numbers 0 to 255 of
/// the model's size, `[n, height, width, channels]`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `protocol::mlflow` reads it")]
struct InvocationsJson {
    /// An element for each picture.
    instances: Option<Vec<Value>>,
    /// All pictures as one value.
    #[schema(example = json!([EXAMPLE_PICTURE]))]
    inputs: Option<Value>,
    /// A table of one column: `{"columns": ["image"], "data": [["BASE64"]]}`.
    dataframe_split: Option<Value>,
    /// A table of one column: `[{"image": "BASE64"}]`.
    dataframe_records: Option<Vec<Value>>,
    /// What is answered: `top_k` (1 and up), `return` (`probabilities` or `labels`).
    params: Option<Value>,
}

/// A file as `numpy.save` writes it: numbers 0 to 255, `[n, height, width, channels]`.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes a body; `protocol::mlflow` reads it")]
struct ArrayFile(Vec<u8>);

/// A table of two pictures.
fn table() -> String {
    format!("image\n{EXAMPLE_PICTURE}\n{EXAMPLE_PICTURE}\n")
}

/// One element for each picture.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::mlflow` writes it"
)]
struct InvocationsAnswer {
    /// Probabilities in the order of the classes, or what `params` ask for.
    #[schema(example = json!([[0.0102, 0.9731, 0.0167]]))]
    predictions: Vec<Value>,
}

/// An error as MLflow's servers write it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes an answer; `protocol::mlflow` writes it"
)]
struct MlflowError {
    /// A stable name.
    #[schema(example = "INVALID_PARAMETER_VALUE")]
    error_code: String,
    /// What happened.
    message: String,
}

#[utoipa::path(
    post, path = "/invocations", tag = TAG, summary = "Say what pictures show, to clients of MLflow",
    params(WhichModel, RequestHeaders),
    request_body(content(
        (InvocationsJson = "application/json", example = json!({"inputs": [EXAMPLE_PICTURE], "params": {"top_k": 3}})),
        (String = "text/csv", example = json!(table())),
        (PictureFile = "image/png"),
        (PictureFile = "image/jpeg"),
        (ArrayFile = "application/x-npy"),
    )),
    responses(
        (status = 200, description = "A prediction for each picture, in order", body = InvocationsAnswer),
        (status = 400, description = "The request is wrong, or one of its pictures", body = MlflowError),
        (status = 404, description = "There is no such model or version", body = MlflowError),
        (status = 408, description = "The body did not arrive in time", body = MlflowError),
        (status = 413, description = "The body, a picture or the number of pictures is above the limit", body = MlflowError),
        (status = 415, description = "Another Content-Type, or a Content-Encoding", body = String, content_type = "text/plain"),
        (status = 500, description = "A bug of the server", body = MlflowError),
        (status = 503, description = "The server is behind, or there is no model yet; `Retry-After` says when to try again", body = MlflowError),
        (status = 504, description = "No answer in time", body = MlflowError),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn invocations() {}

#[utoipa::path(
    get, path = "/ping", tag = TAG, summary = "Are predictions answered?",
    responses(
        (status = 200, description = "They are; an empty line", body = String, content_type = "application/json"),
        (status = 503, description = "There is no model yet, or the server is about to end", body = String, content_type = "application/json"),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn ping() {}
