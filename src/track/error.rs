//! The error of this room. Imports: `base`, `project`, `store`.

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with the record of runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the room `project`.
    #[error(transparent)]
    Project(#[from] crate::project::Error),
    /// From the room `store`.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Project(error) => error.to_diagnostics(),
            Self::Store(error) => error.to_diagnostics(),
            Self::Base(error) => error.to_diagnostics(),
        }
    }
}
