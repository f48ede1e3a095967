//! The error of this room. Imports: `base`, `project`, `store`, `pipeline`.

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with a verb over tracked data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the room `project`.
    #[error(transparent)]
    Project(#[from] crate::project::Error),
    /// From the room `store`.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// From the room `pipeline`.
    #[error(transparent)]
    Pipeline(#[from] crate::pipeline::Error),
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Project(e) => e.to_diagnostics(),
            Self::Store(e) => e.to_diagnostics(),
            Self::Pipeline(e) => e.to_diagnostics(),
            Self::Base(e) => e.to_diagnostics(),
        }
    }
}
