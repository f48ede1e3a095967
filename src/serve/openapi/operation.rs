//! Description of the routes for whoever runs the server: health, metrics, pages. Imports: utoipa,
//! `serve::answer`.

use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use crate::serve::answer::Health;

/// The groups of these routes.
const OPERATION: &str = "Health and metrics";
const PAGES: &str = "Pages";

/// Returns this part of the document.
pub(super) fn document() -> Document {
    Operation::openapi()
}

#[derive(OpenApi)]
#[openapi(
    paths(health, health_live, health_ready, healthz, readyz, metrics, version, openapi_json, docs, redoc, index),
    tags(
        (name = OPERATION, description = "How the server is, for probes and for Prometheus"),
        (name = PAGES, description = "Pages for people, and this description"),
    )
)]
struct Operation;

#[utoipa::path(get, path = "/health", tag = OPERATION, summary = "Is the process alive?",
    responses((status = 200, description = "It is", body = Health, example = json!({"status": "ok"}))))]
#[expect(dead_code, reason = "describes a route")]
fn health() {}

#[utoipa::path(get, path = "/health/live", tag = OPERATION, summary = "Is the process alive?",
    responses((status = 200, description = "It is", body = Health, example = json!({"status": "ok"}))))]
#[expect(dead_code, reason = "describes a route")]
fn health_live() {}

#[utoipa::path(get, path = "/healthz", tag = OPERATION, summary = "Is the process alive?",
    responses((status = 200, description = "It is", body = Health, example = json!({"status": "ok"}))))]
#[expect(dead_code, reason = "describes a route")]
fn healthz() {}

#[utoipa::path(get, path = "/health/ready", tag = OPERATION, summary = "Are predictions answered?",
    responses(
        (status = 200, description = "They are", body = Health, example = json!({"status": "ready", "models": [{"name": "classifier", "version": "1", "ready": true}]})),
        (status = 503, description = "There is no model yet, or the server is about to end", body = Health, example = json!({"status": "loading"})),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn health_ready() {}

#[utoipa::path(get, path = "/readyz", tag = OPERATION, summary = "Are predictions answered?",
    responses(
        (status = 200, description = "They are", body = Health),
        (status = 503, description = "There is no model yet, or the server is about to end", body = Health),
    ))]
#[expect(dead_code, reason = "describes a route")]
fn readyz() {}

#[utoipa::path(get, path = "/metrics", tag = OPERATION, summary = "Metrics for Prometheus",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain")))]
#[expect(dead_code, reason = "describes a route")]
fn metrics() {}

#[utoipa::path(get, path = "/version", tag = OPERATION, summary = "The version of MLflow whose protocol is spoken",
    responses((status = 200, description = "Such as `3.17.2`; the header `X-Cvops-Version` has that of cvops", body = String, content_type = "application/json")))]
#[expect(dead_code, reason = "describes a route")]
fn version() {}

#[utoipa::path(get, path = "/openapi.json", tag = PAGES, summary = "This description",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
#[expect(dead_code, reason = "describes a route")]
fn openapi_json() {}

#[utoipa::path(get, path = "/docs", tag = PAGES, summary = "This description as a page to try it out",
    responses((status = 200, description = "Swagger UI", body = String, content_type = "text/html")))]
#[expect(dead_code, reason = "describes a route")]
fn docs() {}

#[utoipa::path(get, path = "/redoc", tag = PAGES, summary = "This description as a page to read",
    responses((status = 200, description = "The reference", body = String, content_type = "text/html")))]
#[expect(dead_code, reason = "describes a route")]
fn redoc() {}

#[utoipa::path(get, path = "/", tag = PAGES, summary = "A page to drop a picture on",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
#[expect(dead_code, reason = "describes a route")]
fn index() {}
