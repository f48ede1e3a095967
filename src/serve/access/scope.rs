//! Which scope a route needs: one table. Imports: http.

use crate::http::Method;

use super::key::Scope;

/// Answered to everybody: what checks health, what people look at before they have a key, versions.
const OPEN: [&str; 15] = [
    "/",
    "/docs",
    "/docs/{file}",
    "/health",
    "/health/live",
    "/health/ready",
    "/healthz",
    "/openapi.json",
    "/ping",
    "/readyz",
    "/redoc",
    "/redoc/{file}",
    "/v2/health/live",
    "/v2/health/ready",
    "/version",
];

/// How the paths end that change what is served.
const ADMIN_VERBS: [&str; 4] = ["load", "reload", "reset", "unload"];

/// Returns what a request to a route needs, `None` for one that everybody may ask. A route that
/// nobody thought of needs `predict`, or `admin` where its method says that it changes something.
pub(super) fn scope_of(method: &Method, template: &str) -> Option<Scope> {
    if OPEN.contains(&template) {
        return None;
    }
    Some(match template {
        "/metrics" => Scope::Metrics,
        "/feedback" => Scope::Feedback,
        _ if *method == Method::GET => Scope::Predict,
        _ if *method != Method::POST => Scope::Admin,
        _ => {
            let verb = template.rsplit(['/', ':']).next().unwrap_or_default();
            if ADMIN_VERBS.contains(&verb) || template.starts_with("/admin/") {
                Scope::Admin
            } else {
                Scope::Predict
            }
        }
    })
}

/// Do requests that need this count against the rate? A scrape that fails when a server is busy is
/// missed when it is needed most.
pub(super) fn is_limited(scope: Scope) -> bool {
    match scope {
        Scope::Predict | Scope::Feedback | Scope::Admin => true,
        Scope::Metrics => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_route_has_its_scope() {
        const PREDICT: Option<Scope> = Some(Scope::Predict);
        const ADMIN: Option<Scope> = Some(Scope::Admin);
        let (get, post) = (Method::GET, Method::POST);
        for (method, template, expected) in [
            (&get, "/", None),
            (&get, "/docs/{file}", None),
            (&get, "/health/live", None),
            (&get, "/v2/health/ready", None),
            (&get, "/ping", None),
            (&get, "/version", None),
            (&get, "/metrics", Some(Scope::Metrics)),
            (&post, "/feedback", Some(Scope::Feedback)),
            (&post, "/predict", PREDICT),
            (&post, "/predict/batch", PREDICT),
            (&post, "/predict/{name}", PREDICT),
            (&post, "/explain", PREDICT),
            (&post, "/invocations", PREDICT),
            (&post, "/v1/models/{name}:predict", PREDICT),
            (&post, "/v1/models/{name}:explain", PREDICT),
            (&post, "/v2/models/{name}/infer", PREDICT),
            (&post, "/v2/models/{name}/versions/{version}/infer", PREDICT),
            (&post, "/v2/repository/index", PREDICT),
            (&get, "/v2/models/{name}/ready", PREDICT),
            (&get, "/v2", PREDICT),
            (&get, "/model", PREDICT),
            (&get, "/models", PREDICT),
            (&post, "/v2/repository/models/{name}/load", ADMIN),
            (&post, "/v2/repository/models/{name}/unload", ADMIN),
            (&post, "/models/{name}/reload", ADMIN),
            (&post, "/models/{name}/unload", ADMIN),
            (&post, "/models/{name}/drift/reset", ADMIN),
            (&post, "/models/{name}:reload", ADMIN),
            (&post, "/admin/canary", ADMIN),
            (&Method::PUT, "/models/{name}", ADMIN),
            (&Method::DELETE, "/predict", ADMIN),
        ] {
            assert_eq!(scope_of(method, template), expected, "{method} {template}");
        }
    }
}
