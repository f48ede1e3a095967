//! The description of the prediction server's API, judged by the tools that people point at it: it is
//! valid, and the server does what it says.

use std::process::Command;

use crate::support::openapi;
use crate::support::pictures::trained_project;
use crate::support::stages::wait_until;

/// What schemathesis may expect beyond its defaults.
const CONFIG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/openapi/schemathesis.toml"
);

/// Examples for each operation and kind of data. With 1000 nothing more was found.
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
            .args([
                "-m",
                "schemathesis.cli",
                "--no-color",
                "--config-file",
                CONFIG,
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
            // What is unloaded answers nothing more.
            .args(["--exclude-path-regex", "/unload$"]),
    );
    // Whatever was sent, the server is well.
    assert_eq!(server.get("/health/ready").status, 200);
    wait_until("the queue is empty", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 0.0
    });
}
