//! `POST /predict/batch` line by line: newline-delimited JSON in and out.

use std::io::{Read, Write};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Answer, Server, base64, form, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;

const LINES: &str = "Accept: application/x-ndjson\r\n";

fn lines(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    assert!(text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn send(server: &Server, path: &str, content_type: &str, headers: &str, body: &[u8]) -> Answer {
    let headers = format!("Content-Type: {content_type}\r\n{headers}");
    server.send(&format!("POST {path}"), &headers, body)
}

/// A body with a line for each picture.
fn body(pictures: &[&[u8]]) -> Vec<u8> {
    let line = |picture: &&[u8]| json!({"image": base64(picture)}).to_string() + "\n";
    pictures.iter().map(line).collect::<String>().into_bytes()
}

/// What an answer says of the pictures, without what differs from request to request.
fn told(predictions: &[Value]) -> Vec<Value> {
    let mut told = predictions.to_vec();
    for prediction in &mut told {
        if let Some(members) = prediction.as_object_mut() {
            members.remove("request_id");
            members.remove("timing_ms");
        }
    }
    told
}

#[test]
fn each_picture_is_a_line_in_the_order_of_the_request() {
    let p = trained_project();
    let server = p.serve_ready("");
    let (first, second) = (stripes(0, 1), stripes(1, 4));
    let pictures: [&[u8]; 3] = [&first, b"no picture", &second];
    let whole = server.form(
        "/predict/batch",
        &pictures.map(|picture| ("files", picture)),
    );
    assert_eq!(whole.header("Content-Type"), Some("application/json"));
    let expected = told(whole.json()["predictions"].as_array().unwrap());
    assert_eq!(expected[1]["error"]["code"], "image_decode");

    let (form_type, form_body) = form(&pictures.map(|picture| ("files", picture)));
    let list = json!({"images": pictures.map(base64)})
        .to_string()
        .into_bytes();
    for (content_type, sent) in [
        (form_type.as_str(), form_body),
        ("application/json", list),
        ("application/x-ndjson", body(&pictures)),
    ] {
        let answer = send(&server, "/predict/batch", content_type, LINES, &sent);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("Content-Type"), Some("application/x-ndjson"));
        assert_eq!(answer.header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(answer.header("X-Model-Version"), Some("1"));
        let lines = lines(&answer);
        assert_eq!(told(&lines), expected, "{content_type}");
        assert_eq!(
            lines[0]["request_id"].as_str(),
            answer.header("X-Request-Id")
        );
        // Lines in, one document out: it is `Accept` that decides.
        let answer = send(&server, "/predict/batch", content_type, "", &sent);
        assert_eq!(
            told(answer.json()["predictions"].as_array().unwrap()),
            expected
        );
    }
    // Query parameters hold as ever.
    let path = "/predict/batch?top_k=1&threshold=1";
    let answer = send(
        &server,
        path,
        "application/x-ndjson",
        LINES,
        &body(&pictures[..1]),
    );
    let line = &lines(&answer)[0];
    assert_eq!(
        (&line["label"], &line["probabilities"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(line["top_k"].as_array().unwrap().len(), 1);
}

#[test]
fn a_line_that_cannot_be_read_fails_alone() {
    let p = trained_project();
    let server = p.serve_ready("");
    let good = body(&[&stripes(0, 1)]);
    let sent = [
        b"{\"image\": 3}\n\r\n{\"imag\n{\"image\": \"?\"}\n[]\n".as_slice(),
        &good,
    ]
    .concat();
    let answer = send(
        &server,
        "/predict/batch",
        "application/x-ndjson",
        LINES,
        &sent,
    );
    assert_eq!(answer.status, 200);
    let lines = lines(&answer);
    let problems: Vec<_> = lines[..4]
        .iter()
        .map(|line| {
            (
                line["error"]["detail"][0]["loc"].clone(),
                line["error"]["detail"][0]["type"].clone(),
            )
        })
        .collect();
    assert_eq!(
        problems,
        [
            (json!(["body", 0, "image"]), json!("string_type")),
            (json!(["body", 1, 5]), json!("json_invalid")),
            (json!(["body", 2, "image"]), json!("value_error")),
            (json!(["body", 3]), json!("model_attributes_type")),
        ]
    );
    assert!(lines[4]["label"].is_string());
}

#[test]
fn a_request_that_is_wrong_as_a_whole_has_a_status() {
    let p = trained_project();
    p.write(
        "params.yaml",
        p.read("params.yaml") + "serve: {max_batch_items: 2, queue_max: 2}\n",
    );
    let server = p.serve_ready("");
    let picture = stripes(0, 1);
    let three = body(&[&picture, &picture, &picture]);
    for (path, sent, outcome) in [
        ("/predict/batch", three.as_slice(), "413 too_many_images"),
        ("/predict/batch", b" \n\n".as_slice(), "422 validation"),
        ("/predict/batch?top_k=x", three.as_slice(), "422 validation"),
        ("/predict", three.as_slice(), "415 media_type"),
    ] {
        let answer = send(&server, path, "application/x-ndjson", LINES, sent);
        assert_eq!(answer.outcome(), outcome, "{path}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
    }
    let headers = format!("{LINES}X-Request-Timeout-Ms: 0\r\n");
    let answer = send(
        &server,
        "/predict/batch",
        "application/x-ndjson",
        &headers,
        &body(&[&picture]),
    );
    assert_eq!(answer.outcome(), "504 deadline");
    // All pictures failed: the lines are there, and the request is counted as what it was.
    let bad = body(&[b"x", b"y"]);
    let answer = send(
        &server,
        "/predict/batch",
        "application/x-ndjson",
        LINES,
        &bad,
    );
    assert_eq!((answer.status, lines(&answer).len()), (200, 2));
    let counted = "cvops_inference_requests_total{model=\"classifier\",outcome=\"bad_input\",protocol=\"native\",version=\"1\"}";
    assert_eq!(server.metric(counted), 5.0);
    assert_eq!(
        server.metric(
            "http_requests_total{handler=\"/predict/batch\",method=\"POST\",status=\"2xx\"}"
        ),
        1.0
    );
}

#[test]
fn what_was_answered_to_a_reader_that_left_is_counted_and_logged() {
    let p = trained_project();
    p.ok("init");
    // The third picture waits for a fourth.
    p.write(
        "params.yaml",
        p.read("params.yaml") + "serve: {batch_max: 2, batch_wait_ms: 1000}\n",
    );
    let server = p.serve_ready("");
    let mut stream = server.connect();
    let headers = format!("Content-Type: application/x-ndjson\r\n{LINES}");
    let pictures = [stripes(0, 1), stripes(1, 1), stripes(0, 2)];
    let sent = body(&pictures.each_ref().map(Vec::as_slice));
    stream
        .write_all(&request("POST /predict/batch", &headers, &sent))
        .unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("request_id\":") {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).unwrap();
        assert!(0 < count, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..count]);
    }
    drop(stream);
    let counted = "cvops_inference_requests_total{model=\"classifier\",outcome=\"ok\",protocol=\"native\",version=\"1\"}";
    wait_until("the request is counted", || server.metric(counted) == 1.0);
    wait_until("the answers are logged", || {
        1.0 <= server.metric("cvops_prediction_log_records_total")
    });
}

#[test]
fn lines_that_are_under_way_are_sent_when_the_server_ends() {
    let p = trained_project();
    // A batch that is not full waits for a second.
    p.write(
        "params.yaml",
        p.read("params.yaml") + "serve: {batch_wait_ms: 1000}\n",
    );
    let server = p.serve_ready("");
    let mut stream = server.connect();
    let headers = format!("Content-Type: application/x-ndjson\r\n{LINES}");
    let sent = request(
        "POST /predict/batch",
        &headers,
        &body(&[&stripes(0, 1), &stripes(1, 1)]),
    );
    stream.write_all(&sent).unwrap();
    wait_until("the pictures wait", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 2.0
    });
    server.signal(Signal::TERM);
    server.event("draining");
    let answer = receive(&mut stream);
    assert_eq!((answer.status, lines(&answer).len()), (200, 2));
    assert_eq!(server.end(), Some(0));
}
