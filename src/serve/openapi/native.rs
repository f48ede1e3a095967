//! Description of the native routes: predictions, explanations, feedback, the model. Imports: utoipa,
//! `serve::answer`.

use utoipa::openapi::OpenApi as Document;
use utoipa::{IntoParams, OpenApi};

use super::Refused;
use crate::serve::answer::{
    Accepted, BatchAnswer, BatchForm, BatchRefusal, EXAMPLE_PICTURE, ErrorBody, Explained,
    FeedbackJson, Health, ImageJson, ImagesJson, ModelInfo, ModelList, ModelPredictions,
    PictureFile, PredictForm, Prediction, ReloadJson, TensorJson,
};

/// The groups of these routes.
const PREDICTIONS: &str = "Predictions";
const MODELS: &str = "Models";

/// Returns this part of the document.
pub(super) fn document() -> Document {
    Native::openapi()
}

#[derive(OpenApi)]
#[openapi(
    paths(predict, predict_batch, predict_model, explain, feedback, model, models, reload, unload, drift_reset),
    tags(
        (name = PREDICTIONS, description = "What pictures show, which parts of them matter, and what they really showed"),
        (name = MODELS, description = "What is served, and loading and unloading it"),
    )
)]
struct Native;

/// Two pictures, a line for each.
fn lines() -> String {
    format!("{{\"image\": \"{EXAMPLE_PICTURE}\"}}\n").repeat(2)
}

/// How predictions are told.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query; `ask` reads it")]
pub(super) struct Telling {
    /// Only so many classes, the likeliest, and no `probabilities`.
    #[param(value_type = u32, required = false, minimum = 1)]
    top_k: Option<u32>,
    /// `label` is null below this probability.
    #[param(value_type = f32, required = false, minimum = 0, maximum = 1)]
    threshold: Option<f32>,
}

/// Which model is asked.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query; `ask` reads it")]
pub(super) struct WhichModel {
    /// The name of the model, where several are served.
    #[param(value_type = String, required = false)]
    model: Option<String>,
    /// The version that is to answer, of those in memory.
    #[param(value_type = String, required = false)]
    version: Option<String>,
    /// The alias of the version that is to answer.
    #[param(value_type = String, required = false)]
    alias: Option<String>,
}

/// What a client may say about its request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers; `ask` and `http` read them")]
pub(super) struct RequestHeaders {
    /// Requests with one key are answered by one version.
    #[param(rename = "X-Canary-Key", value_type = String, required = false)]
    canary: Option<String>,
    /// Gives up earlier than the server would.
    #[param(rename = "X-Request-Timeout-Ms", value_type = u64, required = false)]
    timeout: Option<u64>,
    /// The id of this request, at most 128 visible ASCII characters; a new one if left out.
    #[param(rename = "X-Request-Id", value_type = String, required = false)]
    id: Option<String>,
}

/// How an explanation is told.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query; `explain` reads it")]
struct Explaining {
    /// `png` for a picture: what the model saw, with colours for what matters.
    #[param(value_type = ExplanationForm, required = false, inline)]
    format: Option<ExplanationForm>,
}

/// How an explanation is made.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query; `occlusion` reads it")]
pub(super) struct Occluding {
    /// The class to explain, instead of the likeliest.
    #[param(value_type = String, required = false)]
    label: Option<String>,
    /// Side of the square that is covered, in pixels as the model sees them; a fifth of the picture
    /// if left out.
    #[param(value_type = u32, required = false, minimum = 1)]
    patch: Option<u32>,
    /// How far it is moved each time, at most `patch`; half of it if left out.
    #[param(value_type = u32, required = false, minimum = 1)]
    stride: Option<u32>,
}

#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a query; `explain` reads it")]
enum ExplanationForm {
    Json,
    Png,
}

#[utoipa::path(
    post, path = "/predict", tag = PREDICTIONS, summary = "Say what a picture shows",
    params(Telling, WhichModel, RequestHeaders),
    request_body(content(
        (PredictForm = "multipart/form-data"),
        (ImageJson = "application/json", example = json!({"image": EXAMPLE_PICTURE})),
        (PictureFile = "image/png"),
        (PictureFile = "image/jpeg"),
        (PictureFile = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "What the picture shows", body = Prediction, headers(
            ("X-Request-Id" = String, description = "The request's id"),
            ("X-Model-Name" = String, description = "The model that answered"),
            ("X-Model-Version" = String, description = "Its version"),
            ("Server-Timing" = String, description = "Milliseconds of decode, queue and infer"),
        )),
        Refused,
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn predict() {}

#[utoipa::path(
    post, path = "/predict/batch", tag = PREDICTIONS, summary = "Say what several pictures show",
    description = "With `Accept: application/x-ndjson` each prediction is a line of its own, in the order of the \
                   pictures, sent as soon as it is there. The status is then 200 whatever becomes of the pictures.",
    params(Telling, WhichModel, RequestHeaders),
    request_body(content(
        (BatchForm = "multipart/form-data"),
        (ImagesJson = "application/json", example = json!({"images": [EXAMPLE_PICTURE, EXAMPLE_PICTURE]})),
        (String = "application/x-ndjson", example = json!(lines())),
    )),
    responses(
        (status = 200, description = "A prediction for each picture, in order; `{\"error\": {\"code\", \"detail\"}}` for those that failed", content(
            (BatchAnswer = "application/json"),
            (String = "application/x-ndjson"),
        )),
        Refused,
        (status = 422, description = "The request is wrong, or no picture could be read", body = BatchRefusal),
        (status = 500, description = "A bug of the server", body = BatchRefusal),
        (status = 504, description = "No answer in time", body = BatchRefusal),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn predict_batch() {}

#[utoipa::path(
    post, path = "/explain", tag = PREDICTIONS, summary = "Say what a picture shows, and which parts of it the answer depends on",
    description = "A square in the picture's mean colour is moved over the picture as the model sees it; where the \
                   probability of the class falls, the model looks there (occlusion sensitivity). One explanation \
                   is computed at a time, and it gives way to predictions.",
    params(Explaining, Occluding, Telling, WhichModel, RequestHeaders),
    request_body(content(
        (PredictForm = "multipart/form-data"),
        (ImageJson = "application/json", example = json!({"image": EXAMPLE_PICTURE})),
        (PictureFile = "image/png"),
        (PictureFile = "image/jpeg"),
        (PictureFile = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "What the picture shows, and what that depends on", content(
            (Explained = "application/json"),
            (PictureFile = "image/png"),
        )),
        Refused,
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn explain() {}

#[utoipa::path(
    post, path = "/predict/model", tag = PREDICTIONS, summary = "Predict from numbers",
    params(WhichModel, RequestHeaders),
    request_body(
        content = TensorJson,
        description = "As many pictures as are wanted, of the size that `GET /model` tells under `input`; none in this example, which thus fits every model",
        example = json!({"signature_name": "serving_default", "data": []}),
    ),
    responses(
        (status = 200, description = "Probabilities and labels, in order", body = ModelPredictions),
        Refused,
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn predict_model() {}

#[utoipa::path(
    post, path = "/feedback", tag = PREDICTIONS, summary = "Say what a picture really shows",
    request_body(
        content = FeedbackJson,
        example = json!({"request_id": "01939c1e-7a4c-7d52-9a53-3f1d8a1b2c4d", "label": "coat"}),
    ),
    responses(
        (status = 202, description = "It is in the prediction log", body = Accepted),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 404, description = "No such prediction is in the log, or nothing is logged", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body is above the limit", body = ErrorBody),
        (status = 415, description = "Another Content-Type, or a Content-Encoding", body = ErrorBody),
        (status = 422, description = "The request is wrong, or the model has no such class", body = ErrorBody),
        (status = 500, description = "A bug of the server", body = ErrorBody),
        (status = 503, description = "There is no model yet, or the log cannot be written now", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn feedback() {}

#[utoipa::path(get, path = "/model", tag = MODELS, summary = "The model that is served",
    params(WhichModel),
    responses(
        (status = 200, description = "Its name, input, classes and, if known, how well it did", body = ModelInfo),
        (status = 404, description = "No such model or version is served", body = ErrorBody),
        (status = 503, description = "There is no model yet", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn model() {}

#[utoipa::path(get, path = "/models", tag = MODELS, summary = "All models that are served",
    responses((status = 200, description = "`{\"models\": […]}`", body = ModelList)))]
#[expect(dead_code, reason = "describes a route")]
fn models() {}

#[utoipa::path(post, path = "/models/{name}/reload", tag = MODELS, summary = "Load a model anew, or another version of it",
    params(("name" = String, Path, description = "The name under which it is served")),
    request_body(content = Option<ReloadJson>, description = "Nothing, or `{}`: what is meant now; `{\"version\": \"4\"}` or `{\"alias\": \"champion\"}`: that version of a registered model", example = json!({})),
    responses(
        (status = 200, description = "It is loaded and answers", body = ModelInfo),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 404, description = "No such model is served", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 409, description = "It cannot be loaded; what was served, if anything, goes on", body = ErrorBody),
        (status = 413, description = "The body is above the limit", body = ErrorBody),
        (status = 415, description = "Another Content-Type, or a Content-Encoding", body = ErrorBody),
        (status = 422, description = "The request is wrong, or the model is a folder, which has no versions", body = ErrorBody),
        (status = 500, description = "A bug of the server", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn reload() {}

#[utoipa::path(post, path = "/models/{name}/unload", tag = MODELS, summary = "Take a model out of service until it is loaded again",
    params(("name" = String, Path, description = "The name under which it is served")),
    responses(
        (status = 200, description = "Requests for it are refused now", body = Health, example = json!({"status": "unloaded"})),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 404, description = "No such model is served", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body is above the limit", body = ErrorBody),
        (status = 500, description = "A bug of the server", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn unload() {}

#[utoipa::path(post, path = "/models/{name}/drift/reset", tag = MODELS, summary = "Have the detectors of drift of a model begin anew",
    params(("name" = String, Path, description = "The name under which it is served")),
    responses(
        (status = 200, description = "Alarms and windows are forgotten", body = Health, example = json!({"status": "reset"})),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 404, description = "No such model is served", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 409, description = "No detector watches it", body = ErrorBody),
        (status = 413, description = "The body is above the limit", body = ErrorBody),
        (status = 500, description = "A bug of the server", body = ErrorBody),
        (status = 504, description = "The detectors are at work for longer than a request may take", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn drift_reset() {}
