//! The one progress bar: drawn in place on a terminal, silent elsewhere. Imports: out.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::out::Out;

/// Counts something of known length.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Prepares a bar that says `doing` and counts `what`.
    pub(super) fn new(out: &Out, doing: &'static str, what: &str) -> Self {
        let target = if out.draws() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let template =
            format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {what} {{per_sec}}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(doing);
        Self { bar }
    }

    /// Sets the length.
    pub(super) fn start(&self, length: u64) {
        self.bar.set_length(length);
    }

    /// Counts one more.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    /// Sets how far it is.
    #[cfg(feature = "vision")]
    pub(super) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes lines above the bar.
    #[cfg(feature = "vision")]
    pub(super) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}
