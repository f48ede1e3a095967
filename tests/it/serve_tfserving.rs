//! `cvops serve` as clients of TensorFlow Serving's REST API and of KServe's first protocol see it:
//! transcripts, for there is no package of the server to compare with.

use serde_json::{Value, json};

use crate::serve_registry::{name_champion, register, two_models};
use crate::support::client::{Answer, Server, base64};
use crate::support::pictures::{stripes, trained_project};
use crate::support::protocols::{announce_large, max_difference, native, tensor};

/// Where the model is.
const MODEL: &str = "/v1/models/classifier";

fn ask(server: &Server, path: &str, body: &Value) -> Answer {
    server.send(&format!("POST {path}"), "", body.to_string().as_bytes())
}

/// Compares status and text of an error.
#[track_caller]
fn refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"error": message}));
}

#[test]
fn rows_and_columns_are_predicted_as_the_picture_is() {
    let p = trained_project();
    let server = p.serve_ready("");
    let (first, second) = (stripes(0, 3), stripes(1, 4));
    let expected = [native(&server, &first), native(&server, &second)];
    let (a, b) = (tensor(0, 3), tensor(1, 4));
    let (x, y) = (
        json!({"b64": base64(&first)}),
        json!({"b64": base64(&second)}),
    );
    for (body, key) in [
        (json!({"instances": [a, b]}), "predictions"),
        (
            json!({"signature_name": "serving_default", "instances": [{"image": a}, {"image": b}]}),
            "predictions",
        ),
        (json!({"instances": [x, y]}), "predictions"),
        (
            json!({"instances": [{"image_bytes": x}, {"image": y}]}),
            "predictions",
        ),
        (json!({"inputs": [a, b]}), "outputs"),
        (
            json!({"inputs": {"image": [a, b]}, "signature_name": ""}),
            "outputs",
        ),
        (json!({"inputs": {"image_bytes": [x, y]}}), "outputs"),
    ] {
        // The Content-Type is not looked at.
        for header in ["", "Content-Type: text/plain\r\n"] {
            let line = format!("POST {MODEL}:predict");
            let answer = server.send(&line, header, body.to_string().as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("Content-Type"), Some("application/json"));
            assert_eq!(answer.header("X-Model-Version"), Some("1"));
            let answer = answer.json();
            assert_eq!(answer.as_object().unwrap().len(), 1);
            let difference = max_difference(&answer[key], &expected);
            assert!(difference <= 1e-6, "{answer} {expected:?}");
        }
    }
    let path = format!("{MODEL}/versions/1:predict");
    let answer = ask(&server, &path, &json!({"instances": [x]})).json();
    assert_eq!(max_difference(&answer["predictions"], &expected[..1]), 0.0);

    let answer = ask(
        &server,
        &format!("{MODEL}:classify"),
        &json!({"examples": [{"image": y}]}),
    );
    let top = server.post("/predict", "image/png", &second).json()["top_k"].clone();
    let pair = |one: &Value| json!([one["label"], one["probability"]]);
    let pairs: Value = top.as_array().unwrap().iter().map(pair).collect();
    assert_eq!(answer.json(), json!({"results": [pairs]}));
}

#[test]
fn models_are_described() {
    let p = trained_project();
    let server = p.serve_ready("");
    assert_eq!(
        server.get("/v1/models").json(),
        json!({"models": ["classifier"]})
    );
    let status = json!({
        "name": "classifier",
        "ready": true,
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ],
    });
    assert_eq!(server.get(MODEL).json(), status);
    assert_eq!(server.get(&format!("{MODEL}/versions/1")).json(), status);
    let dimensions = |sizes: &[&str]| {
        let dimension = |size: &&str| json!({"size": size, "name": ""});
        sizes.iter().map(dimension).collect::<Value>()
    };
    let tensor = |name: &str, sizes: &[&str]| {
        json!({
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": dimensions(sizes), "unknown_rank": false},
            "name": name,
        })
    };
    let metadata = json!({
        "model_spec": {"name": "classifier", "signature_name": "", "version": "1"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": {
            "inputs": {"image": tensor("image:0", &["-1", "16", "16", "3"])},
            "outputs": {"probabilities": tensor("probabilities:0", &["-1", "2"])},
            "method_name": "tensorflow/serving/predict",
        }}}},
    });
    for path in [
        format!("{MODEL}/metadata"),
        format!("{MODEL}/versions/1/metadata"),
    ] {
        assert_eq!(server.get(&path).json(), metadata, "{path}");
    }
}

#[test]
fn errors_are_those_of_the_protocol() {
    let p = trained_project();
    let params = p.read("params.yaml") + "serve: {max_body_mib: 1, max_batch_items: 2}\n";
    p.write("params.yaml", params);
    let server = p.serve_ready("");
    let x = json!({"b64": base64(&stripes(0, 1))});
    let predict = format!("{MODEL}:predict");
    for (path, status, message) in [
        (
            "/v1/models/half:predict",
            404,
            "Servable not found for request: Latest(half)",
        ),
        (
            "/v1/models/half/versions/9:predict",
            404,
            "Servable not found for request: Specific(half, 9)",
        ),
        (
            "/v1/models/classifier/versions/9:predict",
            404,
            "Servable not found for request: Specific(classifier, 9)",
        ),
        (
            "/v1/models/classifier/labels/stable:predict",
            400,
            "Unrecognized servable version label: stable",
        ),
    ] {
        refused(
            &ask(&server, path, &json!({"instances": [x]})),
            status,
            message,
        );
    }
    for (path, status, message) in [
        (
            "/v1/models/half",
            404,
            "Could not find any versions of model half",
        ),
        (
            "/v1/models/classifier/versions/9",
            404,
            "Could not find version 9 of model classifier",
        ),
        (
            "/v1/models/half/metadata",
            404,
            "Servable not found for request: Latest(half)",
        ),
    ] {
        refused(&server.get(path), status, message);
    }
    refused(
        &ask(&server, &predict, &json!({"instances": [[1, 2]]})),
        400,
        "the input `image` has the shape [-1, 16, 16, 3] (pictures, height, width, channels), found [1, 2]",
    );
    refused(
        &ask(
            &server,
            &predict,
            &json!({"instances": [x, {"b64": "aGVsbG8="}]}),
        ),
        400,
        "picture 1 (from 0): not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)",
    );
    refused(
        &ask(&server, &predict, &json!({"instances": [x, x, x]})),
        413,
        "3 pictures in one request, at most 2 are taken",
    );
    refused(
        &ask(
            &server,
            &predict,
            &json!({"signature_name": "other", "instances": [x]}),
        ),
        400,
        "Serving signature key \"other\" not found: the only one is \"serving_default\"",
    );
    let large = announce_large(&server, &predict);
    refused(&large, 413, "the body is larger than 1.0 MiB");
    let get = server.get(&predict);
    assert_eq!(
        (get.status, get.header("Allow")),
        (405, Some("POST, OPTIONS"))
    );
    assert!(get.json()["error"].is_string(), "{}", get.text());
    let unknown = server.get("/v1/nothing");
    refused(&unknown, 404, "there is no `/v1/nothing` here");
}

#[test]
fn a_label_is_an_alias_of_the_registry() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    name_champion(&p, "1");
    let server = p.serve_ready("--model models:/digits@champion");
    let picture = stripes(1, 4);
    let expected = [native(&server, &picture)];
    let body = json!({"instances": [{"b64": base64(&picture)}]});
    let answer = ask(&server, "/v1/models/digits/labels/champion:predict", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("X-Model-Name"), Some("digits"));
    assert_eq!(
        max_difference(&answer.json()["predictions"], &expected),
        0.0
    );
    let status = server.get("/v1/models/digits/labels/champion").json();
    assert_eq!(status["model_version_status"][0]["version"], "1");
    let metadata = server
        .get("/v1/models/digits/labels/champion/metadata")
        .json();
    assert_eq!(metadata["model_spec"]["version"], "1");
    refused(
        &ask(&server, "/v1/models/digits/labels/nobody:predict", &body),
        400,
        "Unrecognized servable version label: nobody",
    );
}

#[test]
fn a_model_that_is_not_there_yet_is_no_unknown_one() {
    let p = trained_project();
    let server = p.serve("--model digits=nowhere");
    server.event("no_model");
    let status = server.get("/v1/models/digits").json();
    assert_eq!(
        (&status["name"], &status["ready"]),
        (&json!("digits"), &json!(false))
    );
    let version = &status["model_version_status"][0];
    assert_eq!(version["state"], "START");
    let message = version["status"]["error_message"].as_str().unwrap();
    assert!(message.contains("there is no model yet"), "{message}");
    let answer = ask(
        &server,
        "/v1/models/digits:predict",
        &json!({"instances": []}),
    );
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some());
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("there is no model yet"), "{error}");
    assert_eq!(
        server.get("/v1/models").json(),
        json!({"models": ["digits"]})
    );
}

#[test]
fn answers_are_explained_to_clients_of_kserve() {
    let p = trained_project();
    let server = p.serve_ready("");
    let pictures = [stripes(0, 3), stripes(1, 4)];
    let native = pictures.each_ref().map(|picture| {
        let answer = server.post("/explain?patch=8&stride=4", "image/png", picture);
        answer.json()["explanation"].clone()
    });
    // Encoded or decoded: the picture is the same.
    let instances =
        json!([{"b64": base64(&pictures[0])}, {"image": {"b64": base64(&pictures[1])}}]);
    let tensors = json!([tensor(0, 3), tensor(1, 4)]);
    let query = "patch=8&stride=4";
    for body in [
        json!({"instances": instances}),
        json!({"instances": tensors}),
        json!({"inputs": {"image": tensors}}),
    ] {
        let answer = ask(&server, &format!("{MODEL}:explain?{query}"), &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("X-Model-Version"), Some("1"));
        let told = answer.json();
        assert_eq!(told.as_object().unwrap().len(), 1);
        let told = told["explanations"].as_array().unwrap();
        assert_eq!(told.len(), 2);
        for (one, expected) in told.iter().zip(&native) {
            for same in ["method", "label", "class_id", "patch", "stride", "pictures"] {
                assert_eq!(one[same], expected[same], "{same}");
            }
            let rows =
                |grid: &Value| -> Vec<Vec<f32>> { serde_json::from_value(grid.clone()).unwrap() };
            let (found, expected) = (rows(&one["grid"]), rows(&expected["grid"]));
            assert_eq!((found.len(), found[0].len()), (16, 16));
            let mut pairs = found.iter().flatten().zip(expected.iter().flatten());
            assert!(pairs.all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
    let one = json!({"instances": [tensor(0, 3)]});
    let of = |path: &str| ask(&server, &format!("{MODEL}{path}"), &one);
    let answer = of("/versions/1:explain?patch=8&stride=4&label=along").json();
    assert_eq!(answer["explanations"][0]["label"], "along");
    let empty = json!({"instances": []});
    let answer = ask(&server, &format!("{MODEL}:explain"), &empty);
    assert_eq!(answer.json(), json!({"explanations": []}));

    assert_eq!(of(":explain?patch=17").status, 400);
    assert_eq!(of(":explain?label=coat").status, 400);
    let torn =
        json!({"instances": [{"b64": base64(&pictures[0])}, {"b64": base64(b"no picture")}]});
    let answer = ask(&server, &format!("{MODEL}:explain?{query}"), &torn);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("picture 1 (from 0): "), "{error}");
    let answer = ask(&server, "/v1/models/half:explain", &one);
    refused(&answer, 404, "Servable not found for request: Latest(half)");
}
