//! The Open Inference Protocol, version 2 (`KServe`, Triton): routes, and what the server and its
//! models say of themselves. With Triton's extensions for binary tensors, classification and the model
//! repository.
//!
//! A request's way: `infer` finds the model and hands the body to a decoding thread, where `request`
//! takes it apart and `input` finds the pictures in its tensors (`binary`, `data`); they are predicted
//! as those of any protocol are, and `answer` writes the outputs that are wanted.
//!
//! Imports: http, `serve::*`.

mod answer;
mod binary;
mod data;
mod infer;
mod input;
mod model;
mod repository;
mod request;

use serde_json::json;

use crate::http::header::{HeaderValue, RETRY_AFTER};
use crate::http::{Response, Route, StatusCode};
use crate::serve::endpoint::{Handler, get, post, probe, ready_now};
use crate::serve::service::{Service, json as json_response};

use model::ModelPath;

/// What is offered beyond the protocol itself.
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "classification", "model_repository"];
/// Seconds after which readiness is worth asking again.
const READY_RETRY_S: u64 = 1;

/// Returns the routes with what answers them; bodies of predictions have at most `body_max` bytes.
pub(in crate::serve) fn endpoints(body_max: u64) -> Vec<(Route, Handler)> {
    let mut all = vec![
        get("/v2", |service, _| ready_now(server(&service))),
        probe("/v2/health/live", |_, _| {
            let live = json!({"live": true});
            ready_now(json_response(StatusCode::OK, &live))
        }),
        probe("/v2/health/ready", |service, _| ready_now(ready(&service))),
        get("/v2/models", |service, _| ready_now(models(&service))),
    ];
    for path in ["/v2/models/{name}", "/v2/models/{name}/versions/{version}"] {
        all.extend(of_model(path, body_max));
    }
    all.extend(of_repository());
    all
}

/// Returns what is asked of a model, and maybe of a version of it.
fn of_model(path: &'static str, body_max: u64) -> [(Route, Handler); 3] {
    [
        get(path, |service, ask| {
            let path = ModelPath::of(&ask);
            ready_now(model::metadata(&path, &service, &ask))
        }),
        get(format!("{path}/ready"), |service, ask| {
            let path = ModelPath::of(&ask);
            ready_now(model::ready(&path, &service, &ask))
        }),
        post(format!("{path}/infer"), body_max, |service, ask| {
            let path = ModelPath::of(&ask);
            Box::pin(infer::infer(path, service, ask))
        }),
    ]
}

fn of_repository() -> [(Route, Handler); 3] {
    let body_max = repository::BODY_BYTES_MAX;
    [
        post("/v2/repository/index", body_max, |service, ask| {
            ready_now(repository::index(&service, &ask))
        }),
        post(
            "/v2/repository/models/{name}/load",
            body_max,
            |service, ask| Box::pin(repository::load(service, ask)),
        ),
        post(
            "/v2/repository/models/{name}/unload",
            body_max,
            |service, ask| Box::pin(repository::unload(service, ask)),
        ),
    ]
}

fn server(service: &Service) -> Response {
    let told = json!({"name": "cvops", "version": service.build.version, "extensions": EXTENSIONS});
    json_response(StatusCode::OK, &told)
}

/// Ready means: a request that comes now is answered, whichever model it is for.
fn ready(service: &Service) -> Response {
    let mut mains = service.models.iter().map(|served| &served.main);
    if !service.is_draining() && mains.all(|place| place.model().is_some()) {
        return json_response(StatusCode::OK, &json!({"ready": true}));
    }
    not_ready(&json!({"ready": false}))
}

fn models(service: &Service) -> Response {
    json_response(StatusCode::OK, &json!({"models": service.names()}))
}

/// Status 503, to be asked again soon.
fn not_ready(body: &serde_json::Value) -> Response {
    let mut response = json_response(StatusCode::SERVICE_UNAVAILABLE, body);
    let retry = HeaderValue::from(READY_RETRY_S);
    response.headers_mut().insert(RETRY_AFTER, retry);
    response
}
