//! openapi-spec-validator and schemathesis, for the description of the prediction server's API.
//!
//! `CVOPS_TEST_OPENAPI` names a Python that has both. Without it the tests say that they skip; with
//! `CVOPS_TEST_OPENAPI_REQUIRED` (as in `.ci/run`) a skip is a failure.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::Project;

/// Returns a command for that Python, in the home of a project, or says why the test `what` does not
/// take place.
pub(crate) fn python(p: &Project, what: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("CVOPS_TEST_OPENAPI").map(PathBuf::from) else {
        assert!(
            std::env::var_os("CVOPS_TEST_OPENAPI_REQUIRED").is_none(),
            "{what}: CVOPS_TEST_OPENAPI names no Python with schemathesis, and this run must not skip it"
        );
        // Not `eprintln!`, which is swallowed when a test passes.
        let line =
            format!("skipped: {what}: CVOPS_TEST_OPENAPI names no Python with schemathesis\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        return None;
    };
    let mut command = Command::new(python);
    // What they keep between runs is kept with the project.
    command.current_dir(p.home()).env("HOME", p.home());
    Some(command)
}
