//! The description of the API: OpenAPI 3.1, written by utoipa from the types of `answer` and the
//! list below. Imports: utoipa, `serve::answer`.

use utoipa::openapi::OpenApi as Document;
use utoipa::{IntoResponses, OpenApi};

use super::answer::{
    Accepted, BatchAnswer, BatchForm, BatchRefusal, ErrorBody, FeedbackJson, Health, ImageJson,
    ImagesJson, ModelInfo, ModelList, ModelPredictions, PredictForm, Prediction, ReloadJson,
    TensorJson,
};

/// Returns the document.
pub(super) fn document() -> Document {
    Api::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "cvops",
        description = "Predictions of an image classifier. Pictures are PNG, JPEG, WebP, BMP, \
                       GIF or TIFF files of any size; they are brought to the model's size as they were for training.",
    ),
    paths(
        predict, predict_batch, predict_model, feedback, health, health_live, health_ready, healthz, readyz,
        model, models, reload, unload, metrics, version, openapi_json, docs, index
    ),
    components(schemas(ErrorBody)),
    tags(
        (name = "prediction", description = "What pictures show"),
        (name = "model", description = "What is served"),
        (name = "operation", description = "Health and metrics"),
        (name = "pages", description = "Pages for people"),
    )
)]
struct Api;

/// How a prediction request can be refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; `refusal` writes them")]
enum Refused {
    /// The body broke off, or is a form that cannot be read.
    #[response(status = 400)]
    Broken(#[to_schema] ErrorBody),
    /// No such model or version is served.
    #[response(status = 404)]
    Unknown(#[to_schema] ErrorBody),
    /// The body did not arrive in time; the connection is closed.
    #[response(status = 408)]
    Slow(#[to_schema] ErrorBody),
    /// The body, the picture or the number of pictures is above the limit.
    #[response(status = 413)]
    TooLarge(#[to_schema] ErrorBody),
    /// Another Content-Type, or a Content-Encoding.
    #[response(status = 415)]
    MediaType(#[to_schema] ErrorBody),
    /// The request is wrong (`code: validation`; `detail` lists where), or the bytes are no picture
    /// (`code: image_decode`).
    #[response(status = 422)]
    Invalid(#[to_schema] ErrorBody),
    /// A bug of the server.
    #[response(status = 500)]
    Internal(#[to_schema] ErrorBody),
    /// The queue or the memory for bodies is full, or there is no model yet; the header `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(#[to_schema] ErrorBody),
    /// No answer in time.
    #[response(status = 504)]
    Deadline(#[to_schema] ErrorBody),
}

#[utoipa::path(
    post, path = "/predict", tag = "prediction", summary = "Say what a picture shows",
    params(
        ("top_k" = Option<u32>, Query, minimum = 1, description = "Only the likeliest classes, and no `probabilities`"),
        ("threshold" = Option<f32>, Query, minimum = 0, maximum = 1, description = "`label` is null below this probability"),
        ("model" = Option<String>, Query, description = "The name of the model, where several are served"),
        ("version" = Option<String>, Query, description = "The version that is to answer, of those in memory"),
        ("alias" = Option<String>, Query, description = "The alias of the version that is to answer"),
        ("X-Canary-Key" = Option<String>, Header, description = "Requests with one key are answered by one version"),
        ("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Gives up earlier than the server would"),
        ("X-Request-Id" = Option<String>, Header, description = "The id of this request; a new one if left out"),
    ),
    request_body(content(
        (PredictForm = "multipart/form-data"),
        (ImageJson = "application/json"),
        (String = "image/png"),
        (String = "image/jpeg"),
        (String = "application/octet-stream"),
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
    post, path = "/predict/batch", tag = "prediction", summary = "Say what several pictures show",
    params(
        ("top_k" = Option<u32>, Query, minimum = 1, description = "Only the likeliest classes, and no `probabilities`"),
        ("threshold" = Option<f32>, Query, minimum = 0, maximum = 1, description = "`label` is null below this probability"),
        ("model" = Option<String>, Query, description = "The name of the model, where several are served"),
        ("version" = Option<String>, Query, description = "The version that is to answer, of those in memory"),
        ("alias" = Option<String>, Query, description = "The alias of the version that is to answer"),
        ("X-Canary-Key" = Option<String>, Header, description = "Requests with one key are answered by one version"),
        ("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Gives up earlier than the server would"),
        ("X-Request-Id" = Option<String>, Header, description = "The id of this request; a new one if left out"),
    ),
    request_body(content(
        (BatchForm = "multipart/form-data"),
        (ImagesJson = "application/json"),
    )),
    responses(
        (status = 200, description = "A prediction for each picture, in order; `{\"error\": {\"code\", \"detail\"}}` for those that failed", body = BatchAnswer),
        Refused,
        (status = 422, description = "The request is wrong, or no picture could be read", body = BatchRefusal),
        (status = 500, description = "A bug of the server", body = BatchRefusal),
        (status = 504, description = "No answer in time", body = BatchRefusal),
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn predict_batch() {}

#[utoipa::path(
    post, path = "/predict/model", tag = "prediction", summary = "Predict from numbers",
    params(
        ("model" = Option<String>, Query, description = "The name of the model, where several are served"),
        ("version" = Option<String>, Query, description = "The version that is to answer, of those in memory"),
        ("alias" = Option<String>, Query, description = "The alias of the version that is to answer"),
        ("X-Canary-Key" = Option<String>, Header, description = "Requests with one key are answered by one version"),
        ("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Gives up earlier than the server would"),
        ("X-Request-Id" = Option<String>, Header, description = "The id of this request; a new one if left out"),
    ),
    request_body = TensorJson,
    responses(
        (status = 200, description = "Probabilities and labels, in order", body = ModelPredictions),
        Refused,
    )
)]
#[expect(dead_code, reason = "describes a route")]
fn predict_model() {}

#[utoipa::path(
    post, path = "/feedback", tag = "prediction", summary = "Say what a picture really shows",
    request_body = FeedbackJson,
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

#[utoipa::path(get, path = "/health", tag = "operation", summary = "Is the process alive?",
    responses((status = 200, description = "It is", body = Health, example = json!({"status": "ok"}))))]
#[expect(dead_code, reason = "describes a route")]
fn health() {}

#[utoipa::path(get, path = "/health/live", tag = "operation", summary = "Is the process alive?",
    responses((status = 200, description = "It is", body = Health, example = json!({"status": "ok"}))))]
#[expect(dead_code, reason = "describes a route")]
fn health_live() {}

#[utoipa::path(get, path = "/healthz", tag = "operation", summary = "Is the process alive?",
    responses((status = 200, description = "It is", body = Health, example = json!({"status": "ok"}))))]
#[expect(dead_code, reason = "describes a route")]
fn healthz() {}

#[utoipa::path(get, path = "/health/ready", tag = "operation", summary = "Are predictions answered?",
    responses(
        (status = 200, description = "They are", body = Health, example = json!({"status": "ready", "models": [{"name": "classifier", "version": "1", "ready": true}]})),
        (status = 503, description = "There is no model yet, or the server is about to end", body = Health, example = json!({"status": "loading"})),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn health_ready() {}

#[utoipa::path(get, path = "/readyz", tag = "operation", summary = "Are predictions answered?",
    responses(
        (status = 200, description = "They are", body = Health),
        (status = 503, description = "There is no model yet, or the server is about to end", body = Health),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn readyz() {}

#[utoipa::path(get, path = "/model", tag = "model", summary = "The model that is served",
    responses(
        (status = 200, description = "Its name, input and classes", body = ModelInfo),
        (status = 503, description = "There is no model yet", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn model() {}

#[utoipa::path(get, path = "/models", tag = "model", summary = "All models that are served",
    responses((status = 200, description = "`{\"models\": […]}`", body = ModelList)))]
#[expect(dead_code, reason = "describes a route")]
fn models() {}

#[utoipa::path(post, path = "/models/{name}/reload", tag = "model", summary = "Load a model anew, or another version of it; only where the server listens on a loopback address",
    params(("name" = String, Path, description = "The name under which it is served")),
    request_body(content = Option<ReloadJson>, description = "Nothing, or `{}`: what is meant now"),
    responses(
        (status = 200, description = "It is loaded and answers", body = ModelInfo),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 403, description = "A page in a browser asks", body = ErrorBody),
        (status = 404, description = "No such model is served", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 409, description = "It cannot be loaded; what was served goes on", body = ErrorBody),
        (status = 413, description = "The body is above the limit", body = ErrorBody),
        (status = 415, description = "Another Content-Type, or a Content-Encoding", body = ErrorBody),
        (status = 422, description = "The request is wrong, or the model is a folder, which has no versions", body = ErrorBody),
        (status = 500, description = "A bug of the server", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn reload() {}

#[utoipa::path(post, path = "/models/{name}/unload", tag = "model", summary = "Take a model out of service until it is loaded again; only where the server listens on a loopback address",
    params(("name" = String, Path, description = "The name under which it is served")),
    responses(
        (status = 200, description = "Requests for it are refused now", body = Health, example = json!({"status": "unloaded"})),
        (status = 403, description = "A page in a browser asks", body = ErrorBody),
        (status = 404, description = "No such model is served", body = ErrorBody),
        (status = 413, description = "The body is above the limit", body = ErrorBody),
        (status = 500, description = "A bug of the server", body = ErrorBody),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn unload() {}

#[utoipa::path(get, path = "/metrics", tag = "operation", summary = "Metrics for Prometheus",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain")))]
#[expect(dead_code, reason = "describes a route")]
fn metrics() {}

#[utoipa::path(get, path = "/version", tag = "operation", summary = "The version of cvops",
    responses((status = 200, description = "Such as `0.1.0`", body = String, content_type = "text/plain")))]
#[expect(dead_code, reason = "describes a route")]
fn version() {}

#[utoipa::path(get, path = "/openapi.json", tag = "pages", summary = "This description",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
#[expect(dead_code, reason = "describes a route")]
fn openapi_json() {}

#[utoipa::path(get, path = "/docs", tag = "pages", summary = "This description as a page to try it out",
    responses((status = 200, description = "Swagger UI", body = String, content_type = "text/html")))]
#[expect(dead_code, reason = "describes a route")]
fn docs() {}

#[utoipa::path(get, path = "/", tag = "pages", summary = "A page to drop a picture on",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
#[expect(dead_code, reason = "describes a route")]
fn index() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let described: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        let routes = include_str!("routes.rs");
        let table = routes.split("fn filter").next().unwrap();
        let quoted = table.split('"').skip(1).step_by(2);
        let missing: Vec<&str> = quoted
            .filter(|path| path.starts_with('/') && !path.contains('{'))
            .filter(|path| !described.iter().any(|d| d == path))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let statuses = document["paths"]["/predict"]["post"]["responses"]
            .as_object()
            .unwrap();
        for status in [
            "200", "400", "408", "413", "415", "422", "500", "503", "504",
        ] {
            assert!(statuses.contains_key(status), "{status}");
        }
        let schemas = &document["components"]["schemas"];
        let resolve = |reference: &serde_json::Value| {
            let name = reference["$ref"].as_str().unwrap();
            schemas[name.trim_start_matches("#/components/schemas/")].clone()
        };
        let detail = resolve(&schemas["ErrorBody"]["properties"]["detail"]);
        assert_eq!(detail["oneOf"][0]["type"], "string", "{detail}");
        assert_eq!(detail["oneOf"][1]["type"], "array", "{detail}");
        let item = resolve(&schemas["BatchAnswer"]["properties"]["predictions"]["items"]);
        assert_eq!(item["oneOf"].as_array().unwrap().len(), 2, "{item}");
        let batch = &document["paths"]["/predict/batch"]["post"]["responses"];
        let all_failed = resolve(&batch["422"]["content"]["application/json"]["schema"]);
        assert_eq!(all_failed["oneOf"].as_array().unwrap().len(), 2, "{batch}");
    }
}
