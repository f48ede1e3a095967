//! The table of routes, the filter that answers them, and the small routes themselves: health,
//! model, metrics, version, pages. Imports: http, warp, `serve::*`.

use std::sync::Arc;

use serde_json::json;
use warp::{Filter, Rejection};

use crate::http::{
    Response, Route, RouteTable, StatusCode, exposition_response,
    header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use super::ask::{Ask, ask};
use super::config::{Config, Pages};
use super::describe::describe;
use super::feedback;
use super::model::Status;
use super::openapi;
use super::pages;
use super::protocol::{Protocol, native};
use super::refusal::Refusal;
use super::reload;
use super::served::Role;
use super::service::{Chosen, Service, json as json_response};

/// Seconds after which readiness is worth asking again.
const READY_RETRY_S: u64 = 1;

/// Returns the routes of a server with `config`.
pub(super) fn table(config: &Config) -> RouteTable {
    let body_max = config.body_bytes_max;
    let mut routes = vec![
        Route::post("/predict", body_max),
        Route::post("/predict/batch", body_max),
        Route::post("/predict/model", body_max),
        Route::post("/feedback", feedback::BODY_BYTES_MAX),
        Route::get("/health"),
        Route::get("/health/live"),
        Route::get("/health/ready"),
        Route::get("/healthz"),
        Route::get("/readyz"),
        Route::get("/model"),
        Route::get("/models"),
        Route::get("/metrics"),
        Route::get("/version"),
    ];
    if config.is_of_this_machine() {
        routes.extend([
            Route::post("/models/{name}/reload", reload::BODY_BYTES_MAX),
            Route::post("/models/{name}/unload", reload::BODY_BYTES_MAX),
        ]);
    }
    match config.docs {
        Pages::Hidden => {}
        Pages::Shown => routes.extend([
            Route::get("/"),
            Route::get("/openapi.json"),
            Route::get("/docs"),
            Route::get("/docs/{file}"),
        ]),
    }
    RouteTable::new(routes)
}

/// Returns the filter that answers the routes of the table.
pub(super) fn filter(
    service: Arc<Service>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let with = warp::any().map(move || Arc::clone(&service));
    let predict = warp::path!("predict")
        .and(warp::post())
        .and(with.clone())
        .and(ask())
        .then(native::one);
    let batch = warp::path!("predict" / "batch")
        .and(warp::post())
        .and(with.clone())
        .and(ask())
        .then(native::batch);
    let tensor = warp::path!("predict" / "model")
        .and(warp::post())
        .and(with.clone())
        .and(ask())
        .then(native::tensor);
    let feedback = warp::path!("feedback")
        .and(warp::post())
        .and(with.clone())
        .and(ask())
        .then(feedback::feedback);
    let live = warp::path!("health")
        .or(warp::path!("health" / "live"))
        .unify()
        .or(warp::path!("healthz"))
        .unify()
        .map(live);
    let ready = warp::path!("health" / "ready")
        .or(warp::path!("readyz"))
        .unify()
        .and(with.clone())
        .map(|service: Arc<Service>| ready(&service));
    let model = warp::path!("model")
        .and(with.clone())
        .and(ask())
        .then(model);
    let models = warp::path!("models").and(with.clone()).then(models);
    let reload = warp::path!("models" / String / "reload")
        .and(warp::post())
        .and(with.clone())
        .and(ask())
        .then(reload::reload);
    let unload = warp::path!("models" / String / "unload")
        .and(warp::post())
        .and(with.clone())
        .and(ask())
        .then(reload::unload);
    let metrics = warp::path!("metrics")
        .and(with.clone())
        .and(ask())
        .map(|service: Arc<Service>, ask: Ask| metrics(&service, &ask));
    let version = warp::path!("version")
        .and(with)
        .map(|service: Arc<Service>| text("text/plain; charset=utf-8", service.build.version));
    let index = warp::path::end().map(|| text("text/html; charset=utf-8", pages::INDEX));
    let described =
        warp::path!("openapi.json").map(|| json_response(StatusCode::OK, &openapi::document()));
    let docs = warp::path!("docs")
        .map(|| "index.html".to_owned())
        .or(warp::path!("docs" / String))
        .unify()
        .and(ask())
        .map(|file: String, ask: Ask| docs(&file, &ask));
    predict
        .or(batch)
        .unify()
        .or(tensor)
        .unify()
        .or(feedback)
        .unify()
        .or(live)
        .unify()
        .or(ready)
        .unify()
        .or(metrics)
        .unify()
        .or(model)
        .unify()
        .or(models)
        .unify()
        .or(reload)
        .unify()
        .or(unload)
        .unify()
        .or(version)
        .unify()
        .or(index)
        .unify()
        .or(described)
        .unify()
        .or(docs)
        .unify()
}

/// Returns a text of ours.
fn text(content_type: &'static str, body: &'static str) -> Response {
    file(content_type, body.into())
}

fn file(content_type: &str, body: bytes::Bytes) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    // The page of the next version must not meet the scripts of this one.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn live() -> Response {
    json_response(StatusCode::OK, &json!({"status": "ok"}))
}

/// Ready means: a request that comes now is answered, whichever model it is for.
fn ready(service: &Service) -> Response {
    let mut models = Vec::new();
    let mut detail = None;
    for served in &service.models {
        let status = served.main.slot.get();
        let version = match &*status {
            Status::Ready(model) => model.version.version.as_str(),
            Status::Absent(_) | Status::Loading | Status::Broken { .. } | Status::Unloaded => {
                detail = detail.or_else(|| Some(served.main.why_not_ready(&status)));
                served.main.source.version_before()
            }
        };
        let is_ready = matches!(&*status, Status::Ready(_));
        models.push(json!({"name": served.name, "version": version, "ready": is_ready}));
    }
    let (word, detail) = match detail {
        _ if service.is_draining() => ("draining", "the server is asked to end".to_owned()),
        Some(detail) => ("loading", detail),
        None => {
            let body = json!({"status": "ready", "models": models});
            return json_response(StatusCode::OK, &body);
        }
    };
    let body = json!({"status": word, "detail": detail, "models": models});
    let mut response = json_response(StatusCode::SERVICE_UNAVAILABLE, &body);
    let retry = HeaderValue::from(READY_RETRY_S);
    response.headers_mut().insert(RETRY_AFTER, retry);
    response
}

/// `GET /model`: the one that answers, or the one that the query names.
async fn model(service: Arc<Service>, ask: Ask) -> Response {
    match native::choose(&service, &ask) {
        Ok(Chosen { served, model }) => {
            let mut in_memory = served.models().into_iter();
            let found = in_memory.find(|(_, _, other)| Arc::ptr_eq(other, &model));
            // It may have been exchanged since.
            let found = found.unwrap_or((Role::Main, 1.0, model));
            json_response(StatusCode::OK, &describe(&served, &found).await)
        }
        Err(refusal) => service.refuse(&refusal, &ask.id),
    }
}

/// `GET /models`: all that is in memory.
async fn models(service: Arc<Service>) -> Response {
    let mut models = Vec::new();
    for served in &service.models {
        for in_memory in served.models() {
            models.push(describe(served, &in_memory).await);
        }
    }
    json_response(StatusCode::OK, &json!({"models": models}))
}

fn metrics(service: &Service, ask: &Ask) -> Response {
    let accepted = ask.headers.get(ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    exposition_response(&service.registry, accepted).unwrap_or_else(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        service.refuse(&Refusal::internal("the metrics cannot be written"), &ask.id)
    })
}

fn docs(name: &str, ask: &Ask) -> Response {
    match pages::swagger(name) {
        Some((content_type, body)) => file(&content_type, body),
        None => {
            let refusal = Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such page");
            Protocol::Native.refuse(&refusal, &ask.id)
        }
    }
}
