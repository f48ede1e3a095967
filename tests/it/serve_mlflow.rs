//! `cvops serve` as MLflow's clients see it: `/invocations`, `/ping`, `/version`.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::client::{Answer, Server, base64};
use crate::support::mlflow;
use crate::support::pictures::{png, stripes, trained_project};
use crate::support::protocols::{announce_large, max_difference, native, pixels, tensor};

const JSON: &str = "application/json";

fn invoke(server: &Server, body: &Value) -> Answer {
    server.post("/invocations", JSON, body.to_string())
}

/// Returns the message of an error, after its code has been compared.
#[track_caller]
fn message(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some(JSON));
    let body = answer.json();
    assert_eq!(body["error_code"], code, "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

/// A file as `numpy.save` writes it.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), data].concat()
}

#[test]
fn every_form_of_inputs_is_predicted_as_the_picture_is() {
    let p = trained_project();
    let server = p.serve_ready("");
    let (first, second) = (stripes(0, 3), stripes(1, 4));
    let expected = [native(&server, &first), native(&server, &second)];
    // The same pictures as their pixels, 0 to 255.
    let (a, b) = (tensor(0, 3), tensor(1, 4));
    let (x, y) = (base64(&first), base64(&second));
    for body in [
        json!({"instances": [a, b]}),
        json!({"inputs": [a, b]}),
        json!({"inputs": {"image": [a, b]}}),
        json!({"instances": [{"image": a}, {"image": b}]}),
        json!({"instances": [{"b64": x}, {"b64": y}]}),
        json!({"inputs": [x, y]}),
        json!({"dataframe_split": {"columns": ["image"], "index": [0, 1], "data": [[x], [y]]}}),
        json!({"dataframe_records": [{"image": x}, {"image": y}], "params": {"unknown": 1}}),
    ] {
        let answer = invoke(&server, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("Content-Type"), Some(JSON));
        assert_eq!(answer.header("X-Model-Name"), Some("classifier"));
        assert_eq!(answer.header("X-Model-Version"), Some("1"));
        assert!(answer.header("Server-Timing").is_some());
        let found = &answer.json()["predictions"];
        assert!(
            max_difference(found, &expected) <= 1e-6,
            "{found} {expected:?}"
        );
    }
    let csv = format!("image\n{x}\n{y}\n");
    let bytes: Vec<u8> = [pixels(0, 3), pixels(1, 4)].concat();
    let floats: Vec<u8> = bytes
        .iter()
        .flat_map(|b| f32::from(*b).to_le_bytes())
        .collect();
    for (content_type, body) in [
        ("text/csv; charset=utf-8", csv.into_bytes()),
        ("application/x-npy", npy("|u1", "(2, 16, 16, 3)", &bytes)),
        ("application/x-npy", npy("<f4", "(2, 16, 16, 3)", &floats)),
    ] {
        let answer = server.post("/invocations", content_type, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = &answer.json()["predictions"];
        assert!(
            max_difference(found, &expected) <= 1e-6,
            "{found} {expected:?}"
        );
    }
    // A picture that has to be resized, as a file of its own.
    let large = png(40, 28, |x, y| [(x * 6) as u8, (y * 9) as u8, (x ^ y) as u8]);
    let answer = server.post("/invocations", "image/png", &large);
    let found = &answer.json()["predictions"];
    assert_eq!(max_difference(found, &[native(&server, &large)]), 0.0);
    let empty = invoke(&server, &json!({"inputs": []}));
    assert_eq!(empty.json(), json!({"predictions": []}));
}

#[test]
fn params_say_what_is_answered() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(1, 3);
    let answer = server.post("/predict", "image/png", &picture).json();
    let x = base64(&picture);
    let asked = |params: Value| {
        let answer = invoke(&server, &json!({"inputs": [x], "params": params}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["predictions"].clone()
    };
    assert_eq!(asked(json!({"return": "labels"})), json!([answer["label"]]));
    assert_eq!(
        asked(json!({"return": "labels", "top_k": 1})),
        json!([[answer["label"]]])
    );
    assert_eq!(asked(json!({"top_k": 2})), json!([answer["top_k"]]));
    let wrong = invoke(&server, &json!({"inputs": [x], "params": {"top_k": "3"}}));
    let told = message(&wrong, 400, "INVALID_PARAMETER_VALUE");
    assert_eq!(told, "the param `top_k` must be a whole number, at least 1");
}

#[test]
fn errors_are_those_that_mlflows_clients_know() {
    let p = trained_project();
    let params = p.read("params.yaml") + "serve: {max_body_mib: 1, max_batch_items: 2}\n";
    p.write("params.yaml", params);
    let server = p.serve_ready("");
    let no_field = message(&invoke(&server, &json!({"x": 1})), 400, "BAD_REQUEST");
    assert!(
        no_field.ends_with("Received dictionary with input fields: []."),
        "{no_field}"
    );
    let list = message(&invoke(&server, &json!([1])), 400, "BAD_REQUEST");
    assert!(
        list.starts_with("Invalid input. The input must be a JSON dictionary with"),
        "{list}"
    );
    let broken = server.post("/invocations", JSON, "{\"inputs\": [1");
    let broken = message(&broken, 400, "BAD_REQUEST");
    assert!(
        broken.contains("Ensure that input is a valid JSON formatted string."),
        "{broken}"
    );
    let shape = invoke(&server, &json!({"inputs": [[1, 2]]}));
    assert_eq!(
        message(&shape, 400, "INVALID_PARAMETER_VALUE"),
        "Failed to enforce schema of data with schema '[Tensor('float32', (-1, 16, 16, 3))]'. Error: Shape of input (1, 2) does not match expected shape (-1, 16, 16, 3)."
    );
    let mut bright = tensor(0, 3);
    bright[0][0][0] = json!(1000);
    let value = invoke(&server, &json!({"inputs": [bright]}));
    let value = message(&value, 400, "INVALID_PARAMETER_VALUE");
    assert!(
        value.contains("0 to 255") && value.contains("1000"),
        "{value}"
    );
    let good = base64(&stripes(0, 1));
    let text = invoke(&server, &json!({"inputs": [good, base64(b"hello")]}));
    assert_eq!(
        message(&text, 400, "INVALID_PARAMETER_VALUE"),
        "picture 1 (from 0): not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)"
    );
    let text = invoke(&server, &json!({"inputs": ["?"]}));
    let text = message(&text, 400, "INVALID_PARAMETER_VALUE");
    assert!(text.starts_with("not valid base64"), "{text}");
    let many = invoke(&server, &json!({"inputs": [good, good, good]}));
    let many = message(&many, 413, "BAD_REQUEST");
    assert_eq!(many, "3 pictures in one request, at most 2 are taken");
    // Short texts are only counted: of a body full of them nothing else is kept.
    let many = format!("image\n{}", "?\n".repeat(20_000));
    let many = server.post("/invocations", "text/csv", many);
    let many = message(&many, 413, "BAD_REQUEST");
    assert_eq!(many, "20000 pictures in one request, at most 2 are taken");
    let header = npy("|u1", "(3, 16, 16, 3)", &[0; 3 * 16 * 16 * 3]);
    let many = server.post("/invocations", "application/x-npy", header);
    let many = message(&many, 413, "BAD_REQUEST");
    assert_eq!(many, "3 pictures in one request, at most 2 are taken");
    let large = announce_large(&server, "/invocations");
    message(&large, 413, "BAD_REQUEST");
    let get = server.get("/invocations");
    message(&get, 405, "BAD_REQUEST");
    assert_eq!(get.header("Allow"), Some("POST, OPTIONS"));
    for (content_type, part) in [
        (
            "application/json; charset=latin-1",
            "The scoring server only supports UTF-8",
        ),
        (
            "application/vnd.apache.parquet",
            "Got 'application/vnd.apache.parquet'.",
        ),
        (
            "text/plain",
            "This predictor only supports the following content types: Types: ['text/csv', 'application/json', ",
        ),
    ] {
        let answer = server.post("/invocations", content_type, "x");
        assert_eq!(answer.status, 415);
        assert_eq!(
            answer.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(answer.text().contains(part), "{}", answer.text());
    }
}

#[test]
fn ping_is_about_the_model_and_version_about_the_protocol() {
    let p = trained_project();
    let server = p.serve("--model nowhere");
    server.event("no_model");
    let ping = server.get("/ping");
    assert_eq!((ping.status, ping.text().as_str()), (503, "\n"));
    assert!(ping.header("Retry-After").is_some());
    let told = invoke(&server, &json!({"inputs": []}));
    let told = message(&told, 503, "TEMPORARILY_UNAVAILABLE");
    assert!(told.contains("there is no model yet"), "{told}");
    drop(server);
    let server = p.serve_ready("");
    let ping = server.get("/ping");
    assert_eq!((ping.status, ping.text().as_str()), (200, "\n"));
    assert_eq!(ping.header("Content-Type"), Some(JSON));
    let version = server.get("/version");
    assert_eq!(version.header("Content-Type"), Some(JSON));
    assert_eq!(version.text(), "3.17.2");
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
}

/// Asks with MLflow's own client, as a program of a user would, and prints what it got as JSON.
const CLIENT: &str = r#"
import base64, json, sys
import numpy as np, pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

asked = json.load(sys.stdin)
client = ScoringServerClient("127.0.0.1", asked["port"])
client.ping()
client.wait_server_ready()
files = [base64.b64decode(text) for text in asked["files"]]
arrays = np.array(asked["arrays"], dtype=np.uint8)
frame = pd.DataFrame({"image": asked["files"]})
got = {
    "version": client.get_version(),
    "array": client.invoke(arrays)["predictions"],
    "floats": client.invoke(arrays.astype(np.float32))["predictions"],
    "frame": client.invoke(frame)["predictions"],
    "list": client.invoke(asked["files"])["predictions"],
    "labels": client.invoke(frame, params={"return": "labels"})["predictions"],
    "table": client.invoke(arrays).get_predictions().to_numpy().tolist(),
}
try:
    client.invoke(arrays[:, :5])
except Exception as error:
    got["error"] = str(error)
print(json.dumps(got))
"#;

#[test]
fn mlflows_client_is_answered() {
    let Some(python) = mlflow::python("serve_mlflow::mlflows_client_is_answered") else {
        return;
    };
    let p = trained_project();
    let server = p.serve_ready("");
    let files = [stripes(0, 3), stripes(1, 4)];
    let asked = json!({
        "port": server.port,
        "files": files.each_ref().map(|file| base64(file)),
        "arrays": [tensor(0, 3), tensor(1, 4)],
    });
    let mut child = mlflow::command(&python)
        .args(["-c", CLIENT])
        .env("HOME", p.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = files.each_ref().map(|file| native(&server, file));
    for form in ["array", "floats", "frame", "list", "table"] {
        let difference = max_difference(&got[form], &expected);
        assert!(difference <= 1e-6, "{form}: {got}");
    }
    let label = |file: &Vec<u8>| server.post("/predict", "image/png", file).json()["label"].clone();
    assert_eq!(got["labels"], json!(files.each_ref().map(label)));
    assert_eq!(got["version"], "3.17.2");
    let error = got["error"].as_str().unwrap();
    assert!(
        error.contains("error code 400") && error.contains("does not match expected shape"),
        "{error}"
    );
}
