//! The error of this room. Imports: `base`, `vision`, `http`.

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with the prediction server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the room `vision`.
    #[error(transparent)]
    Vision(#[from] crate::vision::Error),
    /// From the room `http`.
    #[error(transparent)]
    Http(#[from] crate::http::Error),
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Vision(error) => error.to_diagnostics(),
            Self::Http(error) => error.to_diagnostics(),
            Self::Base(error) => error.to_diagnostics(),
        }
    }
}
