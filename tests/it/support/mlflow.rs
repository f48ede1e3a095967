//! The real MLflow, as a client of `cvops ui`.
//!
//! `CVOPS_TEST_MLFLOW` names a Python that has it. Without it the tests say that they skip; with
//! `CVOPS_TEST_MLFLOW_REQUIRED` (as in `.ci/run`) a skip is a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the Python, or says why the test `what` does not take place.
pub(crate) fn python(what: &str) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("CVOPS_TEST_MLFLOW") {
        return Some(PathBuf::from(python));
    }
    assert!(
        std::env::var_os("CVOPS_TEST_MLFLOW_REQUIRED").is_none(),
        "{what}: CVOPS_TEST_MLFLOW names no Python with MLflow, and this run must not skip it"
    );
    // Not `eprintln!`, which is swallowed when a test passes.
    let line = format!("skipped: {what}: CVOPS_TEST_MLFLOW names no Python with MLflow\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}

/// Returns a command for that Python that speaks to nobody but the server it is told of.
pub(crate) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("DO_NOT_TRACK", "true")
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        .env("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        .env("GIT_PYTHON_REFRESH", "quiet");
    command
}
