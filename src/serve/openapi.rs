//! The description of the API: OpenAPI 3.1, written by utoipa from the types of the answers and the
//! functions here, one file for each protocol; `naming` adds the routes that name a version. A test
//! compares it with the table of routes. Imports: utoipa, `serve::{access, answer}`.

mod mlflow;
mod naming;
mod native;
mod operation;
mod tfserving;
mod v2;

use std::sync::LazyLock;

use bytes::Bytes;
use utoipa::openapi::OpenApi as Document;
use utoipa::{IntoResponses, OpenApi};

use super::access;
use super::answer::ErrorBody;

/// Returns the document.
pub(super) fn document() -> Document {
    let mut document = [
        native::document(),
        with_ids("mlflow", mlflow::document()),
        with_ids("tfserving", tfserving::document()),
        with_ids("v2", v2::document()),
        operation::document(),
    ]
    .into_iter()
    .fold(Api::openapi(), Document::merge_from);
    access::describe(&mut document);
    document
}

/// Names the operations of another server's protocol after it: an id stands once in a document (OpenAPI
/// 3.1, section 4.8.10), and several protocols predict.
fn with_ids(protocol: &str, mut document: Document) -> Document {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| [&mut item.get, &mut item.post]);
    for operation in operations.flatten() {
        if let Some(id) = &mut operation.operation_id {
            *id = format!("{protocol}_{id}");
        }
    }
    document
}

/// Returns the document as JSON, which is written once.
pub(super) fn bytes() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> =
        LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());
    DOCUMENT.clone()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "cvops",
        description = "Predictions of an image classifier. Pictures are PNG, JPEG, WebP, BMP, \
                       GIF or TIFF files of any size; they are brought to the model's size as they were for training.",
    ),
    components(schemas(ErrorBody))
)]
struct Api;

/// How a prediction request can be refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; `refusal` writes them")]
pub(super) enum Refused {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::serve::{config, routes};

    /// Files of pages that are described.
    const UNDESCRIBED: [&str; 2] = ["GET /docs/{file}", "GET /redoc/{file}"];

    #[test]
    fn the_document_and_the_table_list_the_same_routes() {
        let endpoints = routes::endpoints(&config::tests::read("").unwrap());
        let route = |method: &str, path: &str| format!("{} {path}", method.to_uppercase());
        let all: Vec<String> = endpoints
            .iter()
            .map(|(found, _)| route(found.method.as_str(), &found.template))
            .collect();
        let mut listed: BTreeSet<String> = all.iter().cloned().collect();
        assert_eq!(listed.len(), all.len(), "a route is there twice: {all:?}");
        listed.retain(|route| !UNDESCRIBED.contains(&route.as_str()));
        let document = serde_json::to_value(document()).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let described: BTreeSet<String> = paths
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods
                    .map(|method| route(method, path))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(described, listed);
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document = serde_json::to_value(document()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|item| item.as_object().unwrap().values());
        let ids: Vec<&str> = operations
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        let different: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(different.len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn every_operation_belongs_to_one_group_with_a_name_to_read() {
        let document = serde_json::to_value(document()).unwrap();
        let tags = document["tags"].as_array().unwrap();
        let names: Vec<&str> = tags
            .iter()
            .map(|tag| tag["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "Predictions",
                "Models",
                "MLflow scoring",
                "TensorFlow Serving and KServe v1",
                "Open Inference Protocol v2",
                "Health and metrics",
                "Pages",
            ]
        );
        for tag in tags {
            assert_ne!(tag["description"].as_str().unwrap_or_default(), "", "{tag}");
        }
        let group = |method: &str, path: &str| {
            let tags = document["paths"][path][method]["tags"].as_array().unwrap();
            assert_eq!(tags.len(), 1, "{path}");
            let place = names.iter().position(|name| tags[0] == *name);
            place.unwrap_or_else(|| panic!("{path}: {tags:?}"))
        };
        let mut used = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                used.insert(group(method, path));
            }
        }
        assert_eq!(used.len(), names.len());
        for (method, path, expected) in [
            ("post", "/predict", "Predictions"),
            ("post", "/models/{name}/reload", "Models"),
            ("get", "/ping", "MLflow scoring"),
            (
                "post",
                "/v1/models/{name}:predict",
                "TensorFlow Serving and KServe v1",
            ),
            ("post", "/v2/repository/index", "Open Inference Protocol v2"),
            ("get", "/metrics", "Health and metrics"),
        ] {
            assert_eq!(names[group(method, path)], expected, "{path}");
        }
    }

    #[test]
    fn what_may_be_said_beside_a_body_is_described() {
        let document = serde_json::to_value(document()).unwrap();
        let post = |path: &str| document["paths"][path]["post"].clone();
        let headers = |path: &str| {
            let parameters = post(path)["parameters"].as_array().cloned();
            let parameters = parameters.unwrap_or_default().into_iter();
            let headers = parameters.filter(|parameter| parameter["in"] == "header");
            headers
                .map(|header| header["name"].as_str().unwrap_or_default().to_owned())
                .collect::<BTreeSet<String>>()
        };
        let infer = [
            "/v2/models/{name}/infer",
            "/v2/models/{name}/versions/{version}/infer",
        ];
        for path in [
            "/predict",
            "/invocations",
            "/v1/models/{name}:predict",
            "/v1/models/{name}/labels/{label}:classify",
        ]
        .iter()
        .chain(&infer)
        {
            assert!(headers(path).contains("X-Canary-Key"), "{path}");
        }
        for path in infer {
            assert!(headers(path).contains("Inference-Header-Content-Length"));
            let binary = "application/octet-stream";
            let post = post(path);
            assert!(post["requestBody"]["content"].get(binary).is_some());
            assert!(post["responses"]["200"]["content"].get(binary).is_some());
        }
    }

    #[test]
    fn answers_are_described() {
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
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
