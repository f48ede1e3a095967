//! The error of this room. Imports: `base`.

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with a server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Base(error) => error.to_diagnostics(),
        }
    }
}
