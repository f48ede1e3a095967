//! The real `mlflow` client against `cvops ui`: every call that a training script makes, with the
//! unchanged Python package.

use std::path::Path;

use rustix::process::Signal;

use super::support::{mlflow, project};

/// Drives the whole client; prints every failed check and a closing line `N passed, N failed`.
const CHECK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/mlflow/client_check.py"
);

#[test]
fn the_real_client_finds_nothing_wrong() {
    let Some(python) = mlflow::python("the real client") else {
        return;
    };
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let uri = format!("http://127.0.0.1:{}", server.port);
    let output = mlflow::command(&python)
        .arg(Path::new(CHECK))
        .arg(&uri)
        .env("HOME", p.home())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.trim_end().ends_with(" passed, 0 failed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(server.get("/health").text(), "OK");
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}
