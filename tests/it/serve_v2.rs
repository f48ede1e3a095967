//! The Open Inference Protocol v2: the real Triton client, and what goes over the wire.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Answer, Server, base64};
use crate::support::pictures::{prepared_project, stripes, trained_project};
use crate::support::triton;

/// Drives the whole client; prints every failed check and a closing line `N passed, N failed`.
const CHECK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/v2/client_check.py"
);

const INFER: &str = "/v2/models/classifier/infer";

/// What is said of one picture on `/predict`, in the order of the classes.
fn native(server: &Server, picture: &[u8]) -> (String, Vec<f32>) {
    let answer = server.post("/predict", "image/png", picture).json();
    let probabilities = answer["probabilities"].as_object().unwrap().values();
    let values = probabilities.map(|p| p.as_f64().unwrap() as f32).collect();
    (answer["label"].as_str().unwrap().to_owned(), values)
}

fn infer(server: &Server, body: &Value) -> Answer {
    server.post(INFER, "application/json", body.to_string())
}

fn file(picture: &[u8]) -> Value {
    json!({"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [base64(picture)]})
}

/// Sends JSON with binary tensors behind it.
fn binary(server: &Server, json: &str, tensors: &[u8]) -> Answer {
    let headers = format!("Inference-Header-Content-Length: {}\r\n", json.len());
    let body = [json.as_bytes(), tensors].concat();
    server.send(&format!("POST {INFER}"), &headers, &body)
}

#[track_caller]
fn refused(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    let body = answer.json();
    let error = body["error"].as_str().unwrap_or_default();
    assert!(error.contains(part), "{part} in {body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
}

#[test]
fn the_real_client_finds_nothing_wrong() {
    let Some(python) = triton::python("the real Triton client") else {
        return;
    };
    let p = trained_project();
    let server = p.serve_ready("");
    let mut command = Command::new(python);
    command
        .arg(Path::new(CHECK))
        .arg(format!("127.0.0.1:{}", server.port))
        .args(["classifier", "1"])
        .env("HOME", p.home());
    for (i, class) in [0, 1, 0, 1].into_iter().enumerate() {
        let name = format!("asked-{i}.png");
        p.write(&name, stripes(class, 31 + i));
        command.arg(p.path(&name));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.trim_end().ends_with(" passed, 0 failed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn the_server_and_its_models_say_what_they_are() {
    let p = trained_project();
    let server = p.serve_ready("");
    let json = |path: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        answer.json()
    };
    assert_eq!(
        json("/v2"),
        json!({"name": "cvops", "version": env!("CARGO_PKG_VERSION"),
            "extensions": ["binary_tensor_data", "classification", "model_repository"]})
    );
    assert_eq!(json("/v2/health/live"), json!({"live": true}));
    assert_eq!(json("/v2/health/ready"), json!({"ready": true}));
    assert_eq!(json("/v2/models"), json!({"models": ["classifier"]}));
    let metadata = json!({
        "name": "classifier", "versions": ["1"], "platform": "cvops_burn",
        "inputs": [
            {"name": "image", "datatype": "FP32", "shape": [-1, 16, 16, 3]},
            {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
    });
    assert_eq!(json("/v2/models/classifier"), metadata);
    assert_eq!(json("/v2/models/classifier/versions/1"), metadata);
    let ready = json!({"name": "classifier", "ready": true});
    assert_eq!(json("/v2/models/classifier/ready"), ready);
    assert_eq!(json("/v2/models/classifier/versions/1/ready"), ready);
    // Names may be escaped, as any part of a path.
    assert_eq!(json("/v2/models/%63lassifier/ready"), ready);
    let head = server.send("HEAD /v2/health/ready", "", b"");
    assert_eq!((head.status, head.body.as_slice()), (200, &b""[..]));
    for (path, part) in [
        (
            "/v2/models/nope",
            "Request for unknown model: 'nope' is not found",
        ),
        ("/v2/models/nope/ready", "'nope' is not found"),
        (
            "/v2/models/classifier/versions/9",
            "Request for unknown model: 'classifier' version 9 is not found",
        ),
        (
            "/v2/models/classifier/versions/9/ready",
            "'classifier' version 9 is not found",
        ),
        ("/v2/model", "there is no `/v2/model` here"),
    ] {
        refused(&server.get(path), 404, part);
    }
    let other = server.get(INFER);
    refused(&other, 405, "does not know the method `GET`");
    assert_eq!(other.header("Allow"), Some("POST, OPTIONS"));
}

#[test]
fn every_form_of_a_picture_gives_what_predict_gives() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(1, 3);
    let (label, expected) = native(&server, &picture);
    let answer = infer(&server, &json!({"id": "mine", "inputs": [file(&picture)]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("X-Model-Name"), Some("classifier"));
    assert_eq!(answer.header("X-Model-Version"), Some("1"));
    assert!(answer.header("Server-Timing").is_some());
    assert_eq!(answer.header("Inference-Header-Content-Length"), None);
    // Numbers are the shortest that are read back as the same.
    let written = serde_json::to_string(&expected).unwrap();
    assert_eq!(
        answer.text(),
        format!(
            "{{\"model_name\":\"classifier\",\"model_version\":\"1\",\"id\":\"mine\",\"outputs\":[\
             {{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":{written}}},\
             {{\"name\":\"label\",\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"{label}\"]}}]}}"
        )
    );
    // Without an id, that of the request is taken.
    let answer = infer(&server, &json!({"inputs": [file(&picture)]}));
    let id = answer.header("X-Request-Id").unwrap();
    assert_eq!(answer.json()["id"], json!(id));

    let json = r#"{"inputs":[{"name":"image_bytes","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":SIZE}}],"outputs":[{"name":"probabilities","parameters":{"binary_data":true}},{"name":"label"}]}"#;
    let tensor = [&(picture.len() as u32).to_le_bytes()[..], &picture].concat();
    let json = json.replace("SIZE", &tensor.len().to_string());
    let answer = binary(&server, &json, &tensor);
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/octet-stream")
    );
    let bytes: Vec<u8> = expected.iter().flat_map(|p| p.to_le_bytes()).collect();
    check_binary(&answer, &label, &bytes);

    // No JSON at all: the body is the picture.
    let headers = "Inference-Header-Content-Length: 0\r\n";
    let answer = server.send(&format!("POST {INFER}"), headers, &picture);
    let length = answer.header("Inference-Header-Content-Length").unwrap();
    let length: usize = length.parse().unwrap();
    let both = [
        &bytes[..],
        &(label.len() as u32).to_le_bytes()[..],
        label.as_bytes(),
    ]
    .concat();
    assert_eq!(answer.body[length..], both);
}

/// `probabilities` are binary, `label` is not.
#[track_caller]
fn check_binary(answer: &Answer, label: &str, probabilities: &[u8]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let length = answer.header("Inference-Header-Content-Length").unwrap();
    let length: usize = length.parse().unwrap();
    let head: Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    assert_eq!(
        head["outputs"],
        json!([
            {"name": "probabilities", "datatype": "FP32", "shape": [1, 2],
                "parameters": {"binary_data_size": 8}},
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": [label]},
        ])
    );
    assert_eq!(&answer.body[length..], probabilities);
}

#[test]
fn what_is_wrong_is_said_in_the_form_of_the_protocol() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(0, 3);
    let image = |shape: Value, data: Value| json!({"inputs": [{"name": "image", "datatype": "FP32", "shape": shape, "data": data}]});
    for (body, part) in [
        ("{", "failed to parse the request JSON buffer: EOF"),
        ("{}", "missing field `inputs`"),
        ("{\"inputs\": []}", "expected 1 input but got 0 inputs"),
        (
            &image(json!([1, 2]), json!([1, 2])).to_string(),
            "unexpected shape for input 'image' for model 'classifier'. Expected [-1,16,16,3], got [1,2]",
        ),
        (
            &image(json!([1, 16, 16, 3]), json!([1, 2])).to_string(),
            "Shape does not match true shape of 'data' field",
        ),
        (
            &json!({"inputs": [file(b"hello")]}).to_string(),
            "not a PNG, JPEG, WebP, BMP, GIF or TIFF image",
        ),
        (
            &json!({"inputs": [file(&picture[..60])]}).to_string(),
            "PNG image",
        ),
        (
            &json!({"inputs": [file(&picture)], "outputs": [{"name": "x"}]}).to_string(),
            "unexpected inference output 'x'",
        ),
    ] {
        let answer = server.post(INFER, "application/json", body);
        refused(&answer, 400, part);
    }
    let many = vec![base64(&picture); 257];
    let input = json!({"name": "image_bytes", "datatype": "BYTES", "shape": [257], "data": many});
    let answer = infer(&server, &json!({"inputs": [input]}));
    refused(&answer, 413, "257 pictures in one request, at most 256");
    // Binary parts: the header, the sizes and the body must agree.
    let tensor = vec![0; 16 * 16 * 3];
    let json = |size: usize| {
        json!({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 16, 16, 3],
            "parameters": {"binary_data_size": size}}]})
        .to_string()
    };
    let right = binary(&server, &json(tensor.len()), &tensor);
    assert_eq!(right.status, 200, "{}", right.text());
    let wrong = |size, tensor: &[u8]| binary(&server, &json(size), tensor);
    refused(&wrong(768, &tensor[1..]), 400, "767 bytes come behind");
    refused(&wrong(767, &tensor), 400, "unexpected additional input");
    refused(&wrong(767, &tensor[1..]), 400, "has 768 bytes");
    let long = "Inference-Header-Content-Length: 99\r\n";
    let answer = server.send(&format!("POST {INFER}"), long, b"{}");
    refused(&answer, 400, "`Inference-Header-Content-Length` is `99`");
    for path in [
        "/v2/models/nope/infer",
        "/v2/models/classifier/versions/2/infer",
    ] {
        let answer = server.post(path, "application/json", "{}");
        refused(&answer, 404, "is not found");
    }
    // All of them are counted.
    let series = "cvops_predictions_total";
    assert!(server.get("/metrics").text().contains(series));
}

#[test]
fn packed_bodies_are_read_within_the_limit() {
    let p = trained_project();
    p.write(
        "params.yaml",
        p.read("params.yaml") + "serve: {max_body_mib: 1}\n",
    );
    let server = p.serve_ready("");
    let picture = stripes(0, 4);
    let (_, expected) = native(&server, &picture);
    let body = json!({"inputs": [file(&picture)]}).to_string();
    let gzip = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |body: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let send = |coding: &str, body: &[u8]| {
        let headers = format!("Content-Encoding: {coding}\r\n");
        server.send(&format!("POST {INFER}"), &headers, body)
    };
    // The shortest text of an f32 is another one than that of an f64.
    let read = |data: &Value| {
        let values = data.as_array().unwrap().iter();
        values
            .map(|p| p.as_f64().unwrap() as f32)
            .collect::<Vec<_>>()
    };
    for answer in [
        send("gzip", &gzip(body.as_bytes())),
        send("deflate", &deflate(body.as_bytes())),
        send("identity", body.as_bytes()),
    ] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(read(&answer.json()["outputs"][0]["data"]), expected);
    }
    let bomb = gzip(&vec![b' '; (1 << 20) + 1]);
    assert!(bomb.len() < 10_000);
    refused(
        &send("gzip", &bomb),
        413,
        "the unpacked body is larger than 1",
    );
    let series = "cvops_requests_rejected_total{reason=\"body_limit\"}";
    assert_eq!(server.metric(series), 1.0);
    let cut = &gzip(body.as_bytes())[..40];
    refused(&send("gzip", cut), 400, "the body is no gzip");
    refused(
        &send("deflate", body.as_bytes()),
        400,
        "the body is no deflate",
    );
    let unknown = send("br", b"x");
    refused(&unknown, 415, "`br`");
    assert_eq!(unknown.header("Accept-Encoding"), Some("gzip, deflate"));

    // Answers are packed where that pays and the client asks.
    let many = json!({"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [100],
        "data": vec![base64(&picture); 100]}]});
    let ask = |coding: &str| {
        let headers = format!("Accept-Encoding: {coding}\r\n");
        server.send(
            &format!("POST {INFER}"),
            &headers,
            many.to_string().as_bytes(),
        )
    };
    let plain = ask("identity");
    assert_eq!(plain.header("Content-Encoding"), None);
    for coding in ["gzip", "deflate"] {
        let answer = ask(coding);
        assert_eq!(answer.header("Content-Encoding"), Some(coding));
        assert!(answer.body.len() < plain.body.len() / 2);
    }
}

#[test]
fn a_server_without_a_model_says_so() {
    let p = prepared_project();
    let server = p.serve("");
    assert_eq!(server.get("/v2/health/live").json(), json!({"live": true}));
    let ready = server.get("/v2/health/ready");
    assert_eq!((ready.status, ready.json()), (503, json!({"ready": false})));
    assert!(ready.header("Retry-After").is_some());
    let ready = server.get("/v2/models/classifier/ready");
    assert_eq!(
        (ready.status, ready.json()),
        (503, json!({"name": "classifier", "ready": false}))
    );
    let answer = infer(&server, &json!({"inputs": [file(&stripes(0, 1))]}));
    refused(&answer, 503, "there is no model yet");
    assert!(answer.header("Retry-After").is_some());
    refused(
        &server.get("/v2/models/nope/ready"),
        404,
        "'nope' is not found",
    );
    let index = server.post("/v2/repository/index", "application/json", "");
    let index = index.json();
    let null = server.post("/v2/repository/index", "application/json", "null");
    assert_eq!(null.json(), index);
    assert_eq!(index[0]["name"], "classifier");
    assert_eq!(index[0]["state"], "UNAVAILABLE");
    let reason = index[0]["reason"].as_str().unwrap();
    assert!(reason.contains("there is no model yet"), "{reason}");
    let ready = server.post(
        "/v2/repository/index",
        "application/json",
        "{\"ready\": true}",
    );
    assert_eq!(ready.json(), json!([]));
}
