//! `cvops serve`: predictions over HTTP, seen from its clients.

use std::io::Write;
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;

use crate::support::client::{Server, base64, connect, failed_start, form, receive, request};
use crate::support::pictures::{claims, png, prepared_project, stripes, trained_project};
use crate::support::stages::wait_until;
use crate::support::{Exit, Project, check};

/// A picture that has to be resized.
fn large() -> Vec<u8> {
    png(40, 28, |x, y| [(x * 6) as u8, (y * 9) as u8, (x ^ y) as u8])
}

/// Holds one picture in the queue: its batch waits a while for others.
const SLOW: &str = "serve: {batch_wait_ms: 1000, queue_max: 2}\n";

fn with_params(p: &Project, more: &str) {
    let params = p.read("params.yaml") + more;
    p.write("params.yaml", params);
}

/// Sends a picture and waits until it is in the queue.
fn send_and_wait_in_queue(server: &Server) -> std::net::TcpStream {
    let mut stream = server.connect();
    let bytes = request(
        "POST /predict",
        "Content-Type: image/png\r\n",
        &stripes(0, 1),
    );
    stream.write_all(&bytes).unwrap();
    wait_until("the picture waits", || {
        1.0 <= server.metric("cvops_inference_queue_length{model=\"classifier\"}")
    });
    stream
}

#[test]
fn a_prediction_has_the_documented_form() {
    let p = trained_project();
    let server = p.serve_ready("");
    let answer = server.form("/predict", &[("file", &stripes(1, 3))]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.header("X-Request-Id").unwrap().to_owned();
    assert_eq!(answer.header("X-Model-Name"), Some("classifier"));
    assert_eq!(answer.header("X-Model-Version"), Some("1"));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    let timing = answer.header("Server-Timing").unwrap();
    assert!(
        timing.starts_with("decode;dur=") && timing.contains(", infer;dur="),
        "{timing}"
    );
    let text = answer.text();
    assert!(text.starts_with("{\"label\":\"a"), "{text}");
    let body = answer.json();
    let probabilities = body["probabilities"].as_object().unwrap();
    assert_eq!(probabilities.len(), 2);
    let best = body["label"].as_str().unwrap();
    assert_eq!(body["confidence"], probabilities[best]);
    assert_eq!(body["top_k"][0]["label"], best);
    assert_eq!(body["top_k"][0]["class_id"], body["class_id"]);
    assert_eq!(body["model"], json!({"name": "classifier", "version": "1"}));
    assert_eq!(body["request_id"], json!(id));
    for part in ["decode", "queue", "infer"] {
        assert!(body["timing_ms"][part].is_f64(), "{text}");
    }

    // A client may name its request, ask for fewer classes, and for no label when unsure.
    let bytes = request(
        "POST /predict?top_k=1&threshold=1",
        "Content-Type: image/png\r\nX-Request-Id: mine-1\r\n",
        &stripes(1, 3),
    );
    let mut stream = server.connect();
    stream.write_all(&bytes).unwrap();
    let body = receive(&mut stream).json();
    assert_eq!(body["request_id"], "mine-1");
    assert_eq!(body["top_k"].as_array().unwrap().len(), 1);
    assert_eq!(body["probabilities"], Value::Null);
    assert_eq!(body["label"], Value::Null);
}

#[test]
fn every_way_to_send_a_picture_gives_what_predict_gives() {
    let p = trained_project();
    let server = p.serve_ready("");
    for (name, picture) in [("small", stripes(0, 5)), ("large", large())] {
        let file = format!("{name}.png");
        p.write(&file, &picture);
        let told: Value =
            serde_json::from_str(&p.ok(&format!("predict --json --top 9 {file}")).stdout).unwrap();
        // The program prints f64, the server f32: the same number, rounded once.
        let expected: Vec<(String, f32)> = told["top"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                let class = entry["class"].as_str().unwrap().to_owned();
                (class, entry["probability"].as_f64().unwrap() as f32)
            })
            .collect();
        let text = base64(&picture);
        let url = format!("data:image/png;base64,{text}");
        for answer in [
            server.form("/predict", &[("file", &picture)]),
            server.form("/predict", &[("note", b"hello"), ("image", &picture)]),
            server.post("/predict", "image/png", &picture),
            server.post("/predict", "application/octet-stream", &picture),
            server.post(
                "/predict",
                "application/json",
                json!({"image": text}).to_string(),
            ),
            server.post(
                "/predict",
                "application/json",
                json!({"image": url}).to_string(),
            ),
        ] {
            assert_eq!(answer.status, 200, "{}", answer.text());
            let found: Vec<(String, f32)> = answer.json()["top_k"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| {
                    let class = entry["label"].as_str().unwrap().to_owned();
                    (class, entry["probability"].as_f64().unwrap() as f32)
                })
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn several_pictures_are_answered_in_order_and_fail_alone() {
    let p = trained_project();
    let server = p.serve_ready("");
    let (first, second) = (stripes(0, 1), stripes(1, 2));
    let single = |picture: &[u8]| server.post("/predict", "image/png", picture).json();
    let expected = [
        single(&first)["label"].clone(),
        single(&second)["label"].clone(),
    ];
    let files: [(&str, &[u8]); 3] = [("files", &first), ("files", b"hello"), ("file", &second)];
    let images = json!({"images": [base64(&first), base64(b"hello"), base64(&second)]}).to_string();
    for answer in [
        server.form("/predict/batch", &files),
        server.post("/predict/batch", "application/json", images),
    ] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        let predictions = body["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), 3);
        assert_eq!(
            [
                predictions[0]["label"].clone(),
                predictions[2]["label"].clone()
            ],
            expected
        );
        assert_eq!(predictions[1]["error"]["code"], "image_decode");
        // Members and digits are those of a single prediction.
        let text = answer.text();
        assert!(text.starts_with("{\"predictions\":[{\"label\":"), "{text}");
        let confidence = predictions[0]["confidence"].as_f64().unwrap() as f32;
        let written = format!(
            "\"confidence\":{},",
            serde_json::to_string(&confidence).unwrap()
        );
        assert!(text.contains(&written), "{written} in {text}");
        assert_eq!(body["model"]["name"], "classifier");
    }
    let all_bad = server.form("/predict/batch", &[("files", b"hello"), ("files", b"")]);
    assert_eq!(all_bad.status, 422);
    assert_eq!(all_bad.json()["predictions"].as_array().unwrap().len(), 2);
    let many = vec![("files", first.as_slice()); 257];
    assert_eq!(
        server.form("/predict/batch", &many).outcome(),
        "413 too_many_images"
    );
    assert_eq!(
        server.form("/predict/batch", &[]).outcome(),
        "422 validation"
    );
    let raw = server.post("/predict/batch", "image/png", &first);
    assert_eq!(raw.outcome(), "415 media_type");
    assert_eq!(
        raw.json()["detail"],
        "the Content-Type `image/png` is not understood here: send `multipart/form-data`, `application/json` or `application/x-ndjson`"
    );
    for body in ["{\"images\": []}", "{\"images\": 3}", "{}", "["] {
        let answer = server.post("/predict/batch", "application/json", body);
        assert_eq!(answer.outcome(), "422 validation", "{body}");
    }
}

#[test]
fn numbers_are_predicted_as_the_picture_they_come_from() {
    let p = trained_project();
    let server = p.serve_ready("");
    // 16x16 is the size of the model: nothing is resized.
    let pixel = |x: u32, y: u32| [(x * 16) as u8, (y * 16) as u8, 77];
    let data: Vec<Vec<[f64; 3]>> = (0..16)
        .map(|y| {
            (0..16)
                .map(|x| pixel(x, y).map(|v| f64::from(v) / 255.0))
                .collect()
        })
        .collect();
    let body = json!({"signature_name": "serving_default", "data": [data, data]}).to_string();
    let answer = server.post("/predict/model", "application/json", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let picture = server
        .post("/predict", "image/png", png(16, 16, pixel))
        .json();
    assert_eq!(
        answer["labels"],
        json!([picture["label"], picture["label"]])
    );
    let classes = picture["probabilities"].as_object().unwrap();
    for row in answer["predictions"].as_array().unwrap() {
        for (found, expected) in row.as_array().unwrap().iter().zip(classes.values()) {
            let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{answer} {picture}");
        }
    }
    let empty = server.post("/predict/model", "application/json", "{\"data\": []}");
    assert_eq!(empty.json(), json!({"predictions": [], "labels": []}));
    let wrong = server.post(
        "/predict/model",
        "application/json",
        "{\"data\": [[[1, 0]]]}",
    );
    assert_eq!(wrong.outcome(), "422 validation");
    assert_eq!(
        wrong.json()["detail"][0]["msg"],
        "Expected the shape [n, 16, 16, 3] (pictures, height, width, channels), found [1, 1, 2]"
    );
    let text = server.post("/predict/model", "text/plain", "1");
    assert_eq!(text.outcome(), "415 media_type");
}

#[test]
fn what_is_wrong_is_told_with_the_status_that_clients_expect() {
    let p = trained_project();
    let server = p.serve_ready("");
    let good = stripes(0, 1);
    let json_type = "application/json";
    for (content_type, body, expected, part) in [
        ("image/png", &b"hello"[..], "422 image_decode", "it is text"),
        ("image/png", b"", "422 image_decode", "empty (0 bytes)"),
        (
            "image/png",
            &good[..good.len() - 30],
            "422 image_decode",
            "truncated",
        ),
        (
            "image/png",
            b"GIF89a\x01\0\x01\0",
            "422 image_decode",
            "it is a GIF image",
        ),
        (
            "image/png",
            &claims(40_000, 40_000),
            "413 image_too_large",
            "40000x40000",
        ),
        ("image/png", &claims(8193, 1), "413 image_too_large", "8192"),
        (
            "image/png",
            &claims(0x7FFF_FFFF, 0x7FFF_FFFF),
            "413 image_too_large",
            "2147483647",
        ),
        (
            "image/png",
            &claims(8000, 8000),
            "413 image_too_large",
            "40000000",
        ),
        (
            "text/plain",
            b"hello",
            "415 media_type",
            "multipart/form-data",
        ),
        ("multipart/form-data", b"hello", "400 multipart", "boundary"),
        (
            "multipart/form-data; boundary=XX",
            b"hello",
            "400 multipart",
            "form",
        ),
        (json_type, b"{", "422 validation", "JSON decode error"),
        (json_type, b"{}", "422 validation", "Field required"),
        (
            json_type,
            b"{\"image\": 3}",
            "422 validation",
            "valid string",
        ),
        (
            json_type,
            b"{\"image\": \"?\"}",
            "422 validation",
            "not valid base64",
        ),
        (
            json_type,
            b"{\"image\": \"aGVsbG8=\"}",
            "422 image_decode",
            "it is text",
        ),
    ] {
        let answer = server.post("/predict", content_type, body);
        assert_eq!(
            answer.outcome(),
            expected,
            "{content_type}: {}",
            answer.text()
        );
        let body = answer.json();
        assert!(body["detail"].to_string().contains(part), "{part}: {body}");
        assert_eq!(
            body["request_id"],
            json!(answer.header("X-Request-Id").unwrap())
        );
    }
    let missing = server.form("/predict", &[("photo", &good)]);
    assert_eq!(
        missing.json()["detail"],
        json!([{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": null}])
    );
    let two = server.form("/predict", &[("file", &good), ("file", &good)]);
    assert_eq!(two.outcome(), "422 validation");
    assert_eq!(
        server
            .post("/predict?top_k=x", "image/png", &good)
            .outcome(),
        "422 validation"
    );
    let late = server.send(
        "POST /predict",
        "Content-Type: image/png\r\nX-Request-Timeout-Ms: 0\r\n",
        &good,
    );
    assert_eq!(late.outcome(), "504 deadline");
    // Paths come before methods.
    assert_eq!(server.get("/nothing").outcome(), "404 not_found");
    let method = server.get("/predict");
    assert_eq!(method.outcome(), "405 method_not_allowed");
    assert!(method.header("Allow").unwrap().contains("POST"));
    // All of that left its traces, and the server answers as before.
    let rejected = |reason| {
        server.metric(&format!(
            "cvops_requests_rejected_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!((rejected("pixel_limit"), rejected("deadline")), (4.0, 1.0));
    let series = "cvops_image_decode_failures_total{format=\"png\",reason=\"truncated\"}";
    assert_eq!(server.metric(series), 1.0);
    assert_eq!(server.post("/predict", "image/png", &good).status, 200);
}

#[test]
fn compressed_bodies_are_not_read() {
    let p = trained_project();
    let server = p.serve_ready("");
    for (route, content_type) in [
        ("POST /predict", "image/png"),
        ("POST /predict/batch", "application/json"),
        ("POST /predict/model", "application/json"),
    ] {
        let header = format!("Content-Type: {content_type}\r\nContent-Encoding: gzip\r\n");
        let zipped = server.send(route, &header, &stripes(0, 1));
        assert_eq!(zipped.outcome(), "415 content_encoding", "{route}");
        assert_eq!(zipped.header("Accept-Encoding"), Some("identity"));
    }
    let header = "Content-Type: image/png\r\nContent-Encoding: identity\r\n";
    let plain = server.send("POST /predict", header, &stripes(0, 1));
    assert_eq!(plain.status, 200);
}

#[test]
fn large_bodies_are_refused_whether_they_announce_their_size_or_not() {
    let p = trained_project();
    let server = p.serve_ready("");
    // 100 MB are announced, and none of them is read.
    let mut stream = server.connect();
    let head = "POST /predict HTTP/1.1\r\nHost: test\r\nContent-Type: image/png\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = receive(&mut stream);
    assert_eq!(answer.outcome(), "413 body_too_large");
    assert_eq!(answer.header("Connection"), Some("close"));
    // In pieces, until the server has had enough.
    let mut stream = server.connect();
    let head = "POST /predict HTTP/1.1\r\nHost: test\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let piece = [b"100000\r\n", vec![0; 0x10_0000].as_slice(), b"\r\n"].concat();
    for _ in 0..12 {
        stream.write_all(&piece).unwrap();
    }
    assert_eq!(receive(&mut stream).outcome(), "413 body_too_large");
    // A small picture in pieces is as good as in one.
    let mut stream = server.connect();
    let picture = stripes(0, 1);
    let head = "POST /predict HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for part in picture.chunks(100) {
        let size = format!("{:x}\r\n", part.len());
        stream
            .write_all(&[size.as_bytes(), part, b"\r\n"].concat())
            .unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(receive(&mut stream).status, 200);
    let series = "cvops_requests_rejected_total{reason=\"body_limit\"}";
    assert_eq!(server.metric(series), 2.0);
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let p = trained_project();
    with_params(&p, SLOW);
    let server = p.serve_ready("");
    let mut waiting = send_and_wait_in_queue(&server);
    // One slot is left, and two are needed.
    let files: [(&str, &[u8]); 2] = [("files", &stripes(0, 1)), ("files", &stripes(0, 2))];
    let refused = server.form("/predict/batch", &files);
    assert_eq!(refused.outcome(), "503 queue_full");
    let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(receive(&mut waiting).status, 200);
    assert_eq!(server.form("/predict/batch", &files).status, 200);
    let series = "cvops_requests_rejected_total{reason=\"queue_full\"}";
    assert_eq!(server.metric(series), 1.0);
    // The answer may be here before the places are given back.
    wait_until("the queue is empty", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 0.0
    });
    // More than the queue holds can never be answered.
    let files = [files[0], files[0], files[0]];
    assert_eq!(
        server.form("/predict/batch", &files).outcome(),
        "413 too_many_images"
    );
}

#[test]
fn a_client_that_gives_up_frees_its_place() {
    let p = trained_project();
    with_params(&p, SLOW);
    let server = p.serve_ready("");
    let late = server.send(
        "POST /predict",
        "Content-Type: image/png\r\nX-Request-Timeout-Ms: 100\r\n",
        &stripes(0, 1),
    );
    assert_eq!(late.outcome(), "504 deadline");
    wait_until("the queue is empty", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 0.0
    });
    drop(send_and_wait_in_queue(&server));
    wait_until("the queue is empty", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 0.0
    });
    let series = "cvops_inference_images_total{model=\"classifier\",version=\"1\"}";
    assert_eq!(
        server.metric(series),
        0.0,
        "nobody computes for those who left"
    );
}

#[test]
fn large_answers_are_whole() {
    let p = trained_project();
    let params = "serve: {max_batch_items: 3000, queue_max: 3000, timeout_s: 60}\n";
    p.write("params.yaml", p.read("params.yaml") + params);
    let server = p.serve_ready("");
    let images = vec![base64(&stripes(0, 1)); 400];
    let images = json!({"images": images}).to_string();
    let answer = server.post("/predict/batch", "application/json", images);
    assert_eq!(answer.status, 200);
    let told = answer.json()["predictions"].clone();
    let told = told.as_array().unwrap();
    assert!(told.len() == 400 && told.iter().all(|one| one["label"] == told[0]["label"]));
    let pixels = 16 * 16 * 3;
    let head = json!({"inputs": [{
        "name": "image", "datatype": "UINT8", "shape": [3000, 16, 16, 3],
        "parameters": {"binary_data_size": 3000 * pixels},
    }]});
    let head = head.to_string();
    let length = format!("Inference-Header-Content-Length: {}\r\n", head.len());
    let body = [head.as_bytes(), &vec![7; 3000 * pixels]].concat();
    let answer = server.send("POST /v2/models/classifier/infer", &length, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let outputs = &answer.json()["outputs"];
    assert_eq!(outputs[0]["data"].as_array().unwrap().len(), 2 * 3000);
}

#[test]
fn a_model_that_appears_is_picked_up() {
    let p = prepared_project();
    let server = p.serve("");
    let missing = server.event("no_model");
    assert_eq!(missing["missing"], "models/classifier/model.json");
    assert_eq!(server.get("/health/live").status, 200);
    let ready = server.get("/health/ready");
    assert_eq!(
        (ready.status, ready.json()["status"].clone()),
        (503, json!("loading"))
    );
    assert!(ready.header("Retry-After").is_some());
    let refused = server.post("/predict", "image/png", stripes(0, 1));
    assert_eq!(refused.outcome(), "503 model_not_ready");
    assert!(refused.header("Retry-After").is_some());
    let detail = refused.json()["detail"].to_string();
    // No stage makes it.
    assert!(
        detail.contains("is missing; as soon as there is one"),
        "{detail}"
    );
    assert_eq!(server.get("/model").outcome(), "503 model_not_ready");
    let feedback = json!({"request_id": "r", "label": "across"}).to_string();
    let feedback = server.post("/feedback", "application/json", feedback);
    assert_eq!(feedback.outcome(), "503 model_not_ready");
    // Of these, one wanted a prediction.
    let failed = "cvops_inference_requests_total{model=\"classifier\",outcome=\"error\",protocol=\"native\",version=\"1\"}";
    assert_eq!(server.metric(failed), 1.0);
    assert_eq!(server.get("/models").json(), json!({"models": []}));
    assert_eq!(
        server.metric("cvops_model_ready{model=\"classifier\",version=\"1\"}"),
        0.0
    );

    // Half of a model is none, a broken one is not served, and what follows is.
    p.write(
        "models/classifier/model.json",
        "{\"format\": \"cvops.model\", \"version\": 1}",
    );
    p.write("models/classifier/model.safetensors", "broken");
    let broken = server.event("broken");
    assert!(
        broken["problem"]
            .as_str()
            .unwrap()
            .contains("is not a model"),
        "{broken}"
    );
    assert!(1.0 <= server.metric("cvops_model_load_failures_total{model=\"classifier\"}"));
    assert_eq!(server.get("/health/ready").status, 503);
    p.ok("train");
    server.event("ready");
    assert_eq!(server.get("/readyz").json()["status"], "ready");
    assert_eq!(
        server.post("/predict", "image/png", stripes(0, 1)).status,
        200
    );
    assert_eq!(
        server.metric("cvops_model_ready{model=\"classifier\",version=\"1\"}"),
        1.0
    );
}

#[test]
fn the_stage_that_makes_the_model_is_named() {
    let p = prepared_project();
    p.write(
        "pipeline.yaml",
        "stages: {fit: {cmd: cvops train, outs: [models]}}\n",
    );
    let server = p.serve("");
    server.event("no_model");
    let refused = server.post("/predict", "image/png", stripes(0, 1));
    let detail = refused.json()["detail"].to_string();
    assert!(detail.contains("`cvops repro fit` makes one"), "{detail}");
}

#[test]
fn what_can_never_be_served_is_refused() {
    let p = trained_project();
    check(
        &failed_start(&p, "--model models/classifier/model.json"),
        str![[r#"
--- stderr ---
error: `models/classifier/model.json` is a file, not the folder of a model
 |
 = help: give the folder: `--model models/classifier`
[exit 2]
"#]],
    );
    check(
        &failed_start(&p, "--name ''"),
        str![[r#"
--- stderr ---
error: invalid value '' for '--name <NAME>': a name has at least one visible character

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn a_damaged_or_newer_model_does_not_start() {
    let p = trained_project();
    let manifest = p.read("models/classifier/model.json");
    p.write(
        "models/classifier/model.json",
        manifest.replace("\"version\": 1", "\"version\": 2"),
    );
    check(
        &failed_start(&p, ""),
        str![[r#"
--- stderr ---
error: `[ROOT]/models/classifier/model.json` is a model of format version 2; this program reads version 1
 |
 = help: update cvops, or train the model anew with this version
[exit 2]
"#]],
    );
    p.write("models/classifier/model.json", &manifest);
    p.write("models/classifier/model.safetensors", "damaged");
    check(
        &failed_start(&p, ""),
        str![[r#"
--- stderr ---
error: `[ROOT]/models/classifier/model.safetensors` is not a model: it is not the file that `model.json` was written for
 |
 = help: run `cvops train` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
    p.write("models/classifier/model.json", "{");
    check(
        &failed_start(&p, ""),
        str![[r#"
--- stderr ---
error: `[ROOT]/models/classifier/model.json` is not a model: EOF while parsing an object at line 1 column 1
 |
 = help: run `cvops train` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
}

#[test]
fn arguments_and_parameters_are_checked() {
    let p = trained_project();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let busy = p.cvops(&format!("serve --port {port}"));
    assert_eq!(busy.exit, Exit::Code(1), "{}", busy.transcript());
    assert!(
        busy.stderr.contains(&format!("port {port} is in use by"))
            && busy.stderr.contains("--port"),
        "{}",
        busy.transcript()
    );
    check(
        &failed_start(&p, "--host nowhere.invalid"),
        str![[r#"
--- stderr ---
error: the host `nowhere.invalid` is not known: [..]
 |
 = help: use `127.0.0.1` for this machine alone, `0.0.0.0` for all its addresses
[exit 2]
"#]],
    );
    with_params(&p, "serve: {prot: 80, batch_max: 0}\n");
    check(
        &failed_start(&p, ""),
        str![[r#"
--- stderr ---
error: unknown key `prot` in `serve`
 --> params.yaml:7:9
  |
7 | serve: {prot: 80, batch_max: 0}
  |         ^^^^ not a known key
  |
  = help: did you mean `port`?
error: `serve.batch_max` must be a whole number from 1 to 1024
 --> params.yaml:7:30
  |
7 | serve: {prot: 80, batch_max: 0}
  |                              ^ out of range
[exit 2]
"#]],
    );
}

#[test]
fn what_happens_is_told_in_lines() {
    let p = trained_project();
    let mut child = p
        .command("serve --port 0")
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(p.home().join("log")).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(p.home().join("log")).unwrap();
    wait_until("it is ready", || log().contains("ready"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text: Vec<String> = log().lines().map(str::to_owned).collect();
    assert!(
        text[0].starts_with("listening on http://127.0.0.1:"),
        "{text:?}"
    );
    assert!(
        text[1].starts_with("ready: `classifier` with 2 classes, loaded in "),
        "{text:?}"
    );
    assert_eq!(text[2..], ["finishing open requests"]);
}

#[test]
fn the_end_lets_open_requests_finish() {
    let p = trained_project();
    with_params(&p, SLOW);
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let server = p.serve_ready("");
        let mut waiting = send_and_wait_in_queue(&server);
        server.signal(signal);
        server.event("draining");
        assert_eq!(receive(&mut waiting).status, 200);
        assert_eq!(server.end(), Some(code));
    }
}

#[test]
fn the_lock_is_compared_with_the_model() {
    let p = prepared_project();
    p.write(
        "pipeline.yaml",
        "stages:\n  train:\n    cmd: cvops train\n    deps: [data/prepared]\n    params: [model, train]\n    outs: [models/classifier]\n",
    );
    // `--repro` makes the model first.
    let server = p.serve_ready("--repro --strict --name shapes");
    let model = server.get("/model").json();
    assert_eq!(
        (&model["name"], &model["lock"]),
        (&json!("shapes"), &json!("matches"))
    );
    assert_eq!(model["classes"], json!(["across", "along"]));
    assert_eq!(
        model["input"],
        json!({"height": 16, "width": 16, "channels": 3})
    );
    assert_eq!(model["blake3"].as_str().unwrap().len(), 64);
    assert_eq!(server.get("/models").json(), json!({"models": [model]}));
    // What the lock says is looked up again when it changes; the folder is not: it is loaded already.
    let lock = p.read("pipeline.lock");
    p.write("pipeline.lock", "");
    assert_eq!(server.get("/model").json()["lock"], "absent");
    p.remove("models/classifier/model.json");
    p.write("pipeline.lock", &lock);
    assert_eq!(server.get("/model").json()["lock"], "matches");
    // Another repro: the folder is what the lock records, the model that is served is not.
    p.edit("params.yaml", "epochs: 3", "epochs: 2");
    p.ok("repro");
    assert_eq!(server.get("/model").json()["lock"], "differs");
    assert_eq!(server.get("/model").json()["lock"], "differs");
    drop(server);
    let told = p.serve_log().matches("the lock was written anew").count();
    assert_eq!(told, 1, "{}", p.serve_log());
    // Another model in the same place.
    p.edit("params.yaml", "epochs: 2", "epochs: 1");
    p.ok("train");
    let server = p.serve_ready("");
    assert_eq!(server.get("/model").json()["lock"], "differs");
    drop(server);
    assert!(
        p.serve_log()
            .contains("is not the one that the lock records")
    );
    check(
        &failed_start(&p, "--strict"),
        str![[r#"
--- stderr ---
error: the model `models/classifier` is not the one that the lock records
 |
 = help: bring it up to date with `cvops repro`, or serve it as it is without `--strict`
[exit 2]
"#]],
    );
    // Outside of any project.
    let elsewhere = trained_project();
    let server = elsewhere.serve_ready("--model models/classifier");
    assert_eq!(server.get("/model").json()["lock"], "absent");
    drop(server);
    check(
        &failed_start(&elsewhere, "--strict"),
        str![[r#"
--- stderr ---
error: no lock records the model `models/classifier`
 |
 = help: serve an output of the pipeline, or leave out `--strict`
[exit 2]
"#]],
    );
}

#[test]
fn defaults_are_those_of_the_project_around() {
    let p = prepared_project();
    p.write(
        "pipeline.yaml",
        "stages:\n  train:\n    cmd: cvops train\n    deps: [data/prepared]\n    params: [model, train]\n    outs: [models/classifier]\n",
    );
    with_params(&p, "serve: {docs: false}\n");
    p.write("notes/today/x.txt", "");
    let is_of_project = |server: &Server| {
        let model = server.get("/model").json();
        assert_eq!(
            (&model["name"], &model["lock"]),
            (&json!("classifier"), &json!("matches"))
        );
        assert_eq!(server.get("/docs").status, 404);
    };
    // From a folder below, without a word about places.
    is_of_project(&p.serve_ready("-C notes/today --repro --strict"));
    is_of_project(&p.serve_ready("-C notes/today"));
    // What is typed counts from where one stands, however it is spelt.
    p.remove("models");
    is_of_project(&p.serve_ready("--repro --model ./models/../models/classifier/"));
    is_of_project(&p.serve_ready("-C notes --repro --model ../models/classifier"));
    let elsewhere = p.cvops("serve --port 0 -C notes --repro --model ../../models");
    assert_eq!(elsewhere.exit, Exit::Code(2), "{}", elsewhere.transcript());
    p.remove("models");
    let waiting = p.serve("-C notes/today");
    assert_eq!(
        waiting.event("no_model")["missing"],
        "../../models/classifier/model.json"
    );
    // A folder of that name here goes first.
    p.write("notes/models/classifier/x.txt", "");
    let waiting = p.serve("-C notes");
    assert_eq!(
        waiting.event("no_model")["missing"],
        "models/classifier/model.json"
    );
}

#[test]
fn metrics_are_there_from_the_start() {
    let p = trained_project();
    let server = p.serve_ready("");
    let answer = server.get("/metrics");
    assert_eq!(
        answer.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let of_model = "{model=\"classifier\",version=\"1\"}";
    for (series, value) in [
        ("cvops_requests_rejected_total{reason=\"queue_full\"}", 0.0),
        (
            "cvops_inference_requests_total{model=\"classifier\",outcome=\"ok\",protocol=\"native\",version=\"1\"}",
            0.0,
        ),
        (
            "cvops_predictions_total{class=\"along\",model=\"classifier\",version=\"1\"}",
            0.0,
        ),
        ("cvops_inference_queue_limit{model=\"classifier\"}", 256.0),
        ("cvops_model_loads_total{model=\"classifier\"}", 1.0),
        (&format!("cvops_model_ready{of_model}"), 1.0),
        (&format!("cvops_prediction_confidence_count{of_model}"), 0.0),
        (
            "http_requests_total{handler=\"/predict\",method=\"POST\",status=\"5xx\"}",
            0.0,
        ),
    ] {
        assert_eq!(server.metric(series), value, "{series}");
    }
    let files: [(&str, &[u8]); 2] = [("files", &stripes(0, 1)), ("files", &stripes(1, 1))];
    assert_eq!(server.form("/predict/batch", &files).status, 200);
    assert_eq!(
        server.metric(&format!("cvops_inference_images_total{of_model}")),
        2.0
    );
    assert_eq!(
        server.metric(&format!("cvops_prediction_entropy_count{of_model}")),
        2.0
    );
    let text = server.get("/metrics").text();
    let counted: f64 = text
        .lines()
        .filter(|line| line.starts_with("cvops_predictions_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(counted, 2.0);
    for name in [
        "cvops_build_info{",
        "cvops_model_info{",
        "cvops_model_loaded_timestamp_seconds{",
        "cvops_model_load_duration_seconds_bucket{",
        "cvops_inference_stage_duration_seconds_bucket{",
        "cvops_inference_queue_wait_seconds_bucket{",
        "cvops_inference_batch_size_bucket{",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
    assert!(text.lines().count() < 1500, "series are bounded");
}

#[test]
fn pages_come_from_the_binary_and_can_be_turned_off() {
    let p = trained_project();
    let server = p.serve_ready("");
    let version = server.get("/version");
    let own = version.header("X-Cvops-Version");
    assert_eq!(own, Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    let api = server.get("/openapi.json").json();
    assert_eq!(api["openapi"], "3.1.0");
    for path in [
        "/predict",
        "/predict/batch",
        "/predict/model",
        "/health/ready",
        "/metrics",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    let docs = server.get("/docs");
    assert!(docs.text().contains("swagger-ui"), "{}", docs.text());
    for file in [
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "swagger-initializer.js",
    ] {
        assert_eq!(server.get(&format!("/docs/{file}")).status, 200, "{file}");
    }
    assert_eq!(server.get("/docs/nothing.js").outcome(), "404 not_found");
    let page = server.get("/").text();
    assert!(page.contains("/predict?top_k="));
    for format in ["png", "jpeg", "webp", "bmp", "gif", "tiff"] {
        assert!(page.contains(&format!("image/{format}")), "{format}");
    }
    assert_eq!(server.send("HEAD /health", "", b"").body, b"");
    drop(server);
    with_params(&p, "serve: {docs: false}\n");
    let server = p.serve_ready("");
    for path in ["/", "/docs", "/openapi.json"] {
        assert_eq!(server.get(path).outcome(), "404 not_found", "{path}");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn many_clients_at_once_are_answered_alike() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(1, 4);
    let (content_type, body) = form(&[("file", &picture)]);
    let header = format!("Content-Type: {content_type}\r\n");
    let bytes = request("POST /predict", &header, &body);
    let expected = server.post("/predict", "image/png", &picture).json()["class_id"].clone();
    let port = server.port;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut stream = connect(port);
                    stream.write_all(&bytes).unwrap();
                    let answer = receive(&mut stream);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(answer.json()["class_id"], expected);
                }
            });
        }
    });
    let series = "cvops_inference_images_total{model=\"classifier\",version=\"1\"}";
    assert_eq!(server.metric(series), 161.0);
}
