//! Every route of the prediction server with every method: what there is, what there is not, and that
//! the description of the API knows the same routes.

use std::collections::BTreeSet;

use crate::support::client::{Server, base64};
use crate::support::pictures::{stripes, trained_project};

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW",
];

/// A route as the description names it, a path that takes it, its method, and what that answers.
/// `HEAD` goes with `GET`, `OPTIONS` with all; every other method is 405.
type Row = (&'static str, &'static str, &'static str, u16);

const ROUTES: [Row; 57] = [
    ("/", "/", "GET", 200),
    ("/docs", "/docs", "GET", 200),
    ("/explain", "/explain", "POST", 200),
    ("/feedback", "/feedback", "POST", 422),
    ("/health", "/health", "GET", 200),
    ("/health/live", "/health/live", "GET", 200),
    ("/health/ready", "/health/ready", "GET", 200),
    ("/healthz", "/healthz", "GET", 200),
    ("/invocations", "/invocations", "POST", 400),
    ("/metrics", "/metrics", "GET", 200),
    ("/model", "/model", "GET", 200),
    ("/models", "/models", "GET", 200),
    (
        "/models/{name}/drift/reset",
        "/models/none/drift/reset",
        "POST",
        404,
    ),
    ("/models/{name}/reload", "/models/none/reload", "POST", 404),
    ("/models/{name}/unload", "/models/none/unload", "POST", 404),
    ("/openapi.json", "/openapi.json", "GET", 200),
    ("/ping", "/ping", "GET", 200),
    ("/predict", "/predict", "POST", 200),
    ("/predict/batch", "/predict/batch", "POST", 200),
    ("/predict/model", "/predict/model", "POST", 422),
    ("/readyz", "/readyz", "GET", 200),
    ("/redoc", "/redoc", "GET", 200),
    ("/v1/models", "/v1/models", "GET", 200),
    ("/v1/models/{name}", "/v1/models/classifier", "GET", 200),
    ("/v1/models/{name}", "/v1/models/none", "GET", 404),
    (
        "/v1/models/{name}/metadata",
        "/v1/models/classifier/metadata",
        "GET",
        200,
    ),
    (
        "/v1/models/{name}:predict",
        "/v1/models/classifier:predict",
        "POST",
        400,
    ),
    (
        "/v1/models/{name}:classify",
        "/v1/models/classifier:classify",
        "POST",
        400,
    ),
    (
        "/v1/models/{name}:explain",
        "/v1/models/classifier:explain",
        "POST",
        400,
    ),
    (
        "/v1/models/{name}/versions/{version}",
        "/v1/models/classifier/versions/1",
        "GET",
        200,
    ),
    (
        "/v1/models/{name}/versions/{version}/metadata",
        "/v1/models/classifier/versions/1/metadata",
        "GET",
        200,
    ),
    (
        "/v1/models/{name}/versions/{version}:predict",
        "/v1/models/classifier/versions/1:predict",
        "POST",
        400,
    ),
    (
        "/v1/models/{name}/versions/{version}:classify",
        "/v1/models/classifier/versions/9:classify",
        "POST",
        404,
    ),
    (
        "/v1/models/{name}/versions/{version}:explain",
        "/v1/models/classifier/versions/9:explain",
        "POST",
        404,
    ),
    (
        "/v1/models/{name}/labels/{label}",
        "/v1/models/classifier/labels/best",
        "GET",
        400,
    ),
    (
        "/v1/models/{name}/labels/{label}/metadata",
        "/v1/models/classifier/labels/best/metadata",
        "GET",
        400,
    ),
    (
        "/v1/models/{name}/labels/{label}:predict",
        "/v1/models/classifier/labels/best:predict",
        "POST",
        400,
    ),
    (
        "/v1/models/{name}/labels/{label}:classify",
        "/v1/models/classifier/labels/best:classify",
        "POST",
        400,
    ),
    (
        "/v1/models/{name}/labels/{label}:explain",
        "/v1/models/classifier/labels/best:explain",
        "POST",
        400,
    ),
    ("/v2", "/v2", "GET", 200),
    ("/v2/health/live", "/v2/health/live", "GET", 200),
    ("/v2/health/ready", "/v2/health/ready", "GET", 200),
    ("/v2/models", "/v2/models", "GET", 200),
    ("/v2/models/{name}", "/v2/models/classifier", "GET", 200),
    ("/v2/models/{name}", "/v2/models/none", "GET", 404),
    (
        "/v2/models/{name}/ready",
        "/v2/models/classifier/ready",
        "GET",
        200,
    ),
    (
        "/v2/models/{name}/versions/{version}",
        "/v2/models/classifier/versions/1",
        "GET",
        200,
    ),
    (
        "/v2/models/{name}/versions/{version}/ready",
        "/v2/models/classifier/versions/1/ready",
        "GET",
        200,
    ),
    (
        "/v2/models/{name}/infer",
        "/v2/models/classifier/infer",
        "POST",
        400,
    ),
    (
        "/v2/models/{name}/versions/{version}/infer",
        "/v2/models/classifier/versions/9/infer",
        "POST",
        404,
    ),
    ("/v2/repository/index", "/v2/repository/index", "POST", 200),
    (
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/none/load",
        "POST",
        404,
    ),
    (
        "/v2/repository/models/{name}/unload",
        "/v2/repository/models/none/unload",
        "POST",
        404,
    ),
    ("/version", "/version", "GET", 200),
    // Files of pages: their pages are described.
    ("", "/docs/swagger-ui.css", "GET", 200),
    ("", "/docs/nothing.js", "GET", 404),
    ("", "/redoc/reference.css", "GET", 200),
];

/// Paths that look as if they were there.
const NOWHERE: [&str; 16] = [
    "/predict/",
    "//predict",
    "/Predict",
    "/predict/batch/",
    "/explain/x",
    "/health/",
    "/models/",
    "/docs/a/b",
    "/v1",
    "/v1/models/a/b",
    "/v2/models/a/infer/x",
    "/v2/",
    "/docs/%2e%2e/page.html",
    "/redoc/../redoc",
    "/favicon.ico",
    "/.env",
];

/// Sends a request that is in order for every route that takes a body, whatever the method.
fn ask(server: &Server, method: &str, path: &str) -> (u16, Vec<u8>, Option<String>) {
    let picture = base64(&stripes(1, 3));
    let body = match path {
        "/predict" | "/explain" => format!("{{\"image\": \"{picture}\"}}"),
        "/predict/batch" => format!("{{\"images\": [\"{picture}\"]}}"),
        _ => "{}".to_owned(),
    };
    let has_body = ["POST", "PUT", "PATCH"].contains(&method);
    let body = if has_body { body.as_bytes() } else { b"" };
    let answer = server.send(
        &format!("{method} {path}"),
        "Content-Type: application/json\r\n",
        body,
    );
    let allow = answer.header("Allow").map(str::to_owned);
    assert!(answer.header("X-Request-Id").is_some(), "{method} {path}");
    (answer.status, answer.body, allow)
}

#[test]
fn every_method_of_every_route() {
    let p = trained_project();
    let server = p.serve_ready("");
    let mut wrong = Vec::new();
    for (_, path, known, status) in ROUTES {
        let allowed = match known {
            "GET" => "GET, HEAD, OPTIONS",
            _ => "POST, OPTIONS",
        };
        for method in METHODS {
            let expected = match method {
                "OPTIONS" => 204,
                "HEAD" if known == "GET" => status,
                _ if method == known => status,
                _ => 405,
            };
            let (found, body, allow) = ask(&server, method, path);
            let names_methods =
                expected != 405 && expected != 204 || allow.as_deref() == Some(allowed);
            let is_empty = method != "HEAD" || body.is_empty();
            if found != expected || !names_methods || !is_empty {
                wrong.push(format!(
                    "{method} {path}: {found}, expected {expected}; Allow: {allow:?}"
                ));
            }
        }
    }
    for path in NOWHERE {
        for method in METHODS {
            let (found, _, allow) = ask(&server, method, path);
            if found != 404 || allow.is_some() {
                wrong.push(format!(
                    "{method} {path}: {found}, expected 404; Allow: {allow:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn this_table_and_the_description_know_the_same_routes() {
    let p = trained_project();
    let server = p.serve_ready("");
    let document = server.get("/openapi.json").json();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let listed: BTreeSet<String> = ROUTES
        .iter()
        .filter(|(template, ..)| !template.is_empty())
        .map(|(template, _, method, _)| format!("{method} {template}"))
        .collect();
    assert_eq!(described, listed);
}
