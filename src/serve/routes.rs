//! The routes with what answers them, and the small ones themselves: health, model, metrics, pages.
//! Imports: http, `serve::*`.

use std::sync::Arc;

use serde_json::json;

use crate::http::{
    Response, Route, StatusCode, exposition_response,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
        RETRY_AFTER,
    },
};

use super::ask::Ask;
use super::config::{Config, Pages};
use super::describe::describe;
use super::drift;
use super::endpoint::{Handler, get, post, probe, ready_now};
use super::feedback;
use super::model::Status;
use super::openapi;
use super::pages;
use super::protocol::{Protocol, mlflow, native, tfserving, v2};
use super::redoc;
use super::refusal::Refusal;
use super::reload;
use super::served::Role;
use super::service::{Chosen, Service, json as json_response};

/// Seconds after which readiness is worth asking again.
const READY_RETRY_S: u64 = 1;

/// Returns the routes of a server with `config`, each with what answers it.
pub(super) fn endpoints(config: &Config) -> Vec<(Route, Handler)> {
    let body_max = config.body_bytes_max;
    let mut all = native::endpoints(body_max);
    all.push(post(
        "/feedback",
        feedback::BODY_BYTES_MAX,
        |service, ask| Box::pin(feedback::feedback(service, ask)),
    ));
    all.extend(model_endpoints());
    for path in ["/health", "/health/live", "/healthz"] {
        all.push(probe(path, |_, _| ready_now(live())));
    }
    for path in ["/health/ready", "/readyz"] {
        all.push(probe(path, |service, _| ready_now(ready(&service))));
    }
    if config.transport.metrics.is_none() {
        all.push(scrape());
    }
    all.extend(mlflow::endpoints(body_max));
    all.extend(tfserving::endpoints(body_max));
    all.extend(v2::endpoints(body_max));
    match config.docs {
        Pages::Hidden => {}
        Pages::Shown => all.extend(page_endpoints()),
    }
    all
}

/// The route of the metrics, which may have a port of its own.
pub(super) fn scrape() -> (Route, Handler) {
    probe("/metrics", |service, ask| {
        ready_now(metrics(&service, &ask))
    })
}

fn model_endpoints() -> [(Route, Handler); 5] {
    let body_max = reload::BODY_BYTES_MAX;
    [
        get("/model", |service, ask| Box::pin(model(service, ask))),
        get("/models", |service, _| Box::pin(models(service))),
        post("/models/{name}/reload", body_max, |service, ask| {
            Box::pin(reload::reload(service, ask))
        }),
        post("/models/{name}/unload", body_max, |service, ask| {
            Box::pin(reload::unload(service, ask))
        }),
        post(
            "/models/{name}/drift/reset",
            drift::BODY_BYTES_MAX,
            |service, ask| Box::pin(drift::reset(service, ask)),
        ),
    ]
}

fn page_endpoints() -> [(Route, Handler); 6] {
    [
        get("/", |_, _| {
            ready_now(text("text/html; charset=utf-8", pages::INDEX))
        }),
        get("/openapi.json", |_, _| {
            ready_now(file("application/json", openapi::bytes()))
        }),
        get("/docs", |_, ask| ready_now(docs("index.html", &ask))),
        get("/docs/{file}", |_, ask| ready_now(docs(ask.param(), &ask))),
        get("/redoc", |_, _| ready_now(reference())),
        get("/redoc/{file}", |_, ask| {
            ready_now(reference_file(ask.param(), &ask))
        }),
    ]
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
    let which = ask.which();
    match service.find(which.model.as_deref(), which.wanted(&ask)) {
        Ok(Chosen { served, model, .. }) => {
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
        None => no_page(ask),
    }
}

fn no_page(ask: &Ask) -> Response {
    let refusal = Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such page");
    Protocol::Native.refuse(&refusal, &ask.id)
}

fn reference() -> Response {
    let mut response = text("text/html; charset=utf-8", redoc::page());
    let policy = HeaderValue::from_static(redoc::POLICY);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn reference_file(name: &str, ask: &Ask) -> Response {
    match name {
        "reference.css" => text("text/css; charset=utf-8", redoc::STYLE),
        _ => no_page(ask),
    }
}
