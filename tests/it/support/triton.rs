//! The real Triton client, as a client of `cvops serve`.
//!
//! `CVOPS_TEST_TRITON` names a Python that has `tritonclient[http]`. Without it the tests say that
//! they skip; with `CVOPS_TEST_TRITON_REQUIRED` (as in `.ci/run`) a skip is a failure.

use std::io::Write as _;
use std::path::PathBuf;

/// Returns the Python, or says why the test `what` does not take place.
pub(crate) fn python(what: &str) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("CVOPS_TEST_TRITON") {
        return Some(PathBuf::from(python));
    }
    assert!(
        std::env::var_os("CVOPS_TEST_TRITON_REQUIRED").is_none(),
        "{what}: CVOPS_TEST_TRITON names no Python with tritonclient, and this run must not skip it"
    );
    // Not `eprintln!`, which is swallowed when a test passes.
    let line = format!("skipped: {what}: CVOPS_TEST_TRITON names no Python with tritonclient\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}
