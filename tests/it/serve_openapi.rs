//! The description of the prediction server's API, judged by the tools that people point at it: it is
//! valid, and the server does what it says.

use std::process::Command;

use serde_json::Value;

use crate::support::client::{Answer, Server};
use crate::support::openapi;
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;

/// Where it is said how schemathesis asks, and what it may expect beyond its defaults.
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/openapi");

/// Examples for each operation and kind of data.
const EXAMPLES: &str = "12";

#[track_caller]
fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Sends the example of a body, or a picture where it says that one is sent; `None` where it gives none.
fn send(server: &Server, path: &str, content_type: &str, example: &Value) -> Option<Answer> {
    let picture = stripes(0, 1);
    let body = match (content_type, example) {
        ("multipart/form-data", _) => {
            let field = if path.ends_with("/batch") {
                "files"
            } else {
                "file"
            };
            return Some(server.form(path, &[(field, &picture)]));
        }
        ("application/x-npy", _) => return None,
        ("image/png" | "image/jpeg" | "application/octet-stream", _) => picture,
        (_, Value::String(text)) => text.clone().into_bytes(),
        (_, Value::Null) => panic!("no example of {content_type} for {path}"),
        (_, value) => value.to_string().into_bytes(),
    };
    // The example of the one header without which a picture is not understood.
    let length = if content_type == "application/octet-stream" {
        "Inference-Header-Content-Length: 0\r\n"
    } else {
        ""
    };
    let headers = format!("Content-Type: {content_type}\r\n{length}");
    Some(server.send(&format!("POST {path}"), &headers, &body))
}

#[test]
fn every_example_of_a_body_is_accepted() {
    let p = trained_project();
    p.ok("init");
    let server = p.serve_ready("");
    let document = server.get("/openapi.json").json();
    let mut sent = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        let contents = item["post"]["requestBody"]["content"].as_object();
        // What is unloaded answers nothing more.
        if template.ends_with("/unload") {
            continue;
        }
        let expected = match template.as_str() {
            // Nobody can know a request of another server and its classes.
            "/feedback" => 422,
            // A folder has no alias.
            path if path.contains("{label}") => 400,
            _ => 200,
        };
        let path = template
            .replace("{name}", "classifier")
            .replace("{version}", "1")
            .replace("{label}", "champion");
        for (content_type, content) in contents.into_iter().flatten() {
            let Some(answer) = send(&server, &path, content_type, &content["example"]) else {
                continue;
            };
            assert_eq!(answer.status, expected, "{path}: {}", answer.text());
            let documented = &item["post"]["responses"][expected.to_string()];
            assert!(documented.is_object(), "{path}: {expected}");
            sent += 1;
        }
    }
    assert!(25 <= sent, "{sent}");
}

#[test]
fn the_description_is_valid() {
    let p = trained_project();
    let Some(mut command) = openapi::python(&p, "the validity of /openapi.json") else {
        return;
    };
    let server = p.serve_ready("");
    let answer = server.get("/openapi.json");
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    p.write("openapi.json", answer.body);
    let file = p.path("openapi.json");
    passes(
        command
            .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
            .arg(file),
    );
}

#[test]
fn the_server_does_what_the_description_says() {
    let p = trained_project();
    let Some(mut command) = openapi::python(&p, "the server against /openapi.json") else {
        return;
    };
    let server = p.serve_ready("");
    passes(
        command
            .env("PYTHONPATH", CONFIG)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .args([
                "-m",
                "schemathesis.cli",
                "--no-color",
                "--config-file",
                &format!("{CONFIG}/schemathesis.toml"),
                "run",
            ])
            .arg(server.url("/openapi.json"))
            .args(["--phases", "examples,coverage,fuzzing", "--mode", "all"])
            .args([
                "--max-examples",
                EXAMPLES,
                "--seed",
                "1",
                "--continue-on-failure",
            ])
            .args(["--suppress-health-check", "all", "--warnings", "off"])
            .args(["--request-timeout", "60", "--generation-database", "none"])
            // What is unloaded answers nothing more, and nothing here is watched for drift (409). MLflow's
            // `/ping` and `/version` say `application/json` of texts that are none, and so do ours.
            .args([
                "--exclude-path-regex",
                "/unload$|/drift/reset$|^/(ping|version)$",
            ]),
    );
    // Whatever was sent, the server is well.
    assert_eq!(server.get("/health/ready").status, 200);
    wait_until("the queue is empty", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 0.0
    });
}
