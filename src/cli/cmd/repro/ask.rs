//! `cvops repro -i`: asks before a stage runs.
#![expect(
    clippy::disallowed_methods,
    reason = "a question is asked and answered on the terminal"
)]

use std::io::Write;
use std::sync::Mutex;

use crate::cli::render::decision;
use crate::pipeline::execute::Confirm;
use crate::pipeline::{RunReason, StageName};

/// Asks on stderr and reads the answer from stdin.
#[derive(Debug, Default)]
pub(super) struct OnTerminal {
    /// One question at a time.
    asking: Mutex<()>,
}

impl Confirm for OnTerminal {
    fn may_run(&self, stage: &StageName, because: &[RunReason]) -> bool {
        let _one = self.asking.lock();
        let why = decision::reasons(because);
        // Where nobody can be asked, nobody says yes.
        if write!(std::io::stderr(), "run `{stage}` ({why})? [y/N] ").is_err() {
            return false;
        }
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}
