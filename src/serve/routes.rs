//! The routes with what answers them, and the small ones themselves: health, model, metrics, version,
//! pages. `http` finds the route of a request; here its handler is called, without looking at the path
//! again. Imports: http, warp, `serve::*`.

use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::json;
use warp::{Filter, Rejection};

use crate::http::{
    Response, Route, StatusCode, exposition_response,
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

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What answers a route.
pub(super) type Handler = fn(Arc<Service>, Ask) -> Answering;

/// Returns the routes of a server with `config`, each with what answers it.
pub(super) fn endpoints(config: &Config) -> Vec<(Route, Handler)> {
    let body_max = config.body_bytes_max;
    let mut all = vec![
        post("/predict", body_max, |service, ask| {
            Box::pin(native::one(service, ask))
        }),
        post("/predict/batch", body_max, |service, ask| {
            Box::pin(native::batch(service, ask))
        }),
        post("/predict/model", body_max, |service, ask| {
            Box::pin(native::tensor(service, ask))
        }),
        post("/feedback", feedback::BODY_BYTES_MAX, |service, ask| {
            Box::pin(feedback::feedback(service, ask))
        }),
        get("/model", |service, ask| Box::pin(model(service, ask))),
        get("/models", |service, _| Box::pin(models(service))),
        get("/metrics", |service, ask| {
            Box::pin(ready_now(metrics(&service, &ask)))
        }),
        get("/version", |service, _| {
            let version = text("text/plain; charset=utf-8", service.build.version);
            Box::pin(ready_now(version))
        }),
    ];
    for path in ["/health", "/health/live", "/healthz"] {
        all.push(get(path, |_, _| Box::pin(ready_now(live()))));
    }
    for path in ["/health/ready", "/readyz"] {
        all.push(get(path, |service, _| Box::pin(ready_now(ready(&service)))));
    }
    if config.is_of_this_machine() {
        let body_max = reload::BODY_BYTES_MAX;
        all.push(post("/models/{name}/reload", body_max, |service, ask| {
            Box::pin(reload::reload(service, ask))
        }));
        all.push(post("/models/{name}/unload", body_max, |service, ask| {
            Box::pin(reload::unload(service, ask))
        }));
    }
    match config.docs {
        Pages::Hidden => {}
        Pages::Shown => all.extend(page_endpoints()),
    }
    all
}

fn page_endpoints() -> [(Route, Handler); 4] {
    [
        get("/", |_, _| {
            let page = text("text/html; charset=utf-8", pages::INDEX);
            Box::pin(ready_now(page))
        }),
        get("/openapi.json", |_, _| {
            let document = json_response(StatusCode::OK, &openapi::document());
            Box::pin(ready_now(document))
        }),
        get("/docs", |_, ask| {
            Box::pin(ready_now(docs("index.html", &ask)))
        }),
        get("/docs/{file}", |_, ask| {
            Box::pin(ready_now(docs(ask.param(), &ask)))
        }),
    ]
}

fn get(path: &'static str, handler: Handler) -> (Route, Handler) {
    (Route::get(path), handler)
}

fn post(path: &'static str, body_max: u64, handler: Handler) -> (Route, Handler) {
    (Route::post(path, body_max), handler)
}

/// An answer for which nothing has to be waited for.
fn ready_now(response: Response) -> Ready<Response> {
    std::future::ready(response)
}

/// Returns the filter that hands a request to the handler of its route: `handlers` in the order of the
/// table.
pub(super) fn filter(
    service: Arc<Service>,
    handlers: Vec<Handler>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let handlers: Arc<[Handler]> = handlers.into();
    ask().then(move |ask: Ask| {
        let service = Arc::clone(&service);
        let handler = handlers.get(ask.route).copied();
        async move {
            match handler {
                Some(handler) => handler(service, ask).await,
                // The table is made of the same list.
                None => service.refuse(&Refusal::internal("a route has no handler"), &ask.id),
            }
        }
    })
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
        None => {
            let refusal = Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such page");
            Protocol::Native.refuse(&refusal, &ask.id)
        }
    }
}
