//! Says in the description of the API which routes want a key, and what is answered without one.
//! Imports: http, utoipa, `serve::access::{key, scope}`.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, RefOr, Response};

use crate::http::Method;

use super::key::Scope;
use super::scope::{is_limited, scope_of};

const BEARER: &str = "bearer";
const HEADER: &str = "header";

/// Adds to `document` the two ways to bring a key, and to each of its routes whether it wants one.
pub(in crate::serve) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(BEARER, bearer);
    let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    components.add_security_scheme(HEADER, header);
    for (template, item) in &mut document.paths.paths {
        for (method, operation) in [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ] {
            if let Some(operation) = operation
                && let Some(scope) = scope_of(&method, template)
            {
                describe_one(operation, scope);
            }
        }
    }
}

fn describe_one(operation: &mut Operation, scope: Scope) {
    let none: [String; 0] = [];
    operation.security = Some(vec![
        // Without keys on the server, or with metrics that are open.
        SecurityRequirement::default(),
        SecurityRequirement::new(BEARER, none.clone()),
        SecurityRequirement::new(HEADER, none),
    ]);
    let mut add = |status: &str, what: String| {
        let responses = &mut operation.responses.responses;
        let response = || RefOr::T(Response::new(what));
        responses.entry(status.to_owned()).or_insert_with(response);
    };
    add(
        "401",
        "The server asks for a key, and this is none".to_owned(),
    );
    add(
        "403",
        format!("The key does not open this: it needs the scope `{scope}`"),
    );
    if is_limited(scope) {
        add(
            "429",
            "Too many requests; the header `Retry-After` says when to ask again".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::serve::openapi;

    #[test]
    fn routes_say_whether_they_want_a_key() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes["bearer"]["scheme"], "bearer");
        assert_eq!(schemes["header"]["name"], "X-API-Key");
        let predict = &document["paths"]["/predict"]["post"];
        assert_eq!(
            predict["security"],
            json!([{}, {"bearer": []}, {"header": []}])
        );
        for status in ["401", "403", "429"] {
            assert!(predict["responses"][status].is_object(), "{status}");
        }
        let metrics = &document["paths"]["/metrics"]["get"]["responses"];
        assert!(metrics["401"].is_object() && metrics["429"].is_null());
        let health = &document["paths"]["/health"]["get"];
        assert!(health["security"].is_null() && health["responses"]["401"].is_null());
    }
}
