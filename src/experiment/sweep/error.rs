//! A problem with a sweep as the user meant it: one diagnostic. Imports: base.

use crate::base::diag::{Diagnostic, ToDiagnostics};

/// A mistake in the arguments, the sweep block or the named sweep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", _0.headline)]
pub struct SweepError(Box<Diagnostic>);

impl SweepError {
    /// Starts one.
    #[must_use]
    pub fn new(code: &'static str, headline: impl Into<String>) -> Self {
        Self::of(Diagnostic::error(code, headline))
    }

    /// Takes a diagnostic.
    #[must_use]
    pub fn of(diagnostic: Diagnostic) -> Self {
        Self(Box::new(diagnostic))
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }
}

impl ToDiagnostics for SweepError {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        vec![self.0.as_ref().clone()]
    }
}
