//! The error of this room. Imports: `base`, `project`, `store`, `pipeline`, `track`, `compare`.

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};

use super::sweep::error::SweepError;
use super::sweep::grammar::GrammarError;

/// What can go wrong with an experiment.
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
    /// From the room `track`.
    #[error(transparent)]
    Track(#[from] crate::track::Error),
    /// From the room `compare`.
    #[error(transparent)]
    Compare(#[from] crate::compare::Error),
    /// A mistake in what a sweep is asked to do.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// Arguments that break the grammar of sweeps.
    #[error("{} cannot be read", base::units::count(_0.len(), "argument"))]
    Grammar(
        /// Each of them.
        Vec<GrammarError>,
    ),
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Project(error) => error.to_diagnostics(),
            Self::Store(error) => error.to_diagnostics(),
            Self::Pipeline(error) => error.to_diagnostics(),
            Self::Track(error) => error.to_diagnostics(),
            Self::Compare(error) => error.to_diagnostics(),
            Self::Sweep(error) => error.to_diagnostics(),
            Self::Grammar(errors) => errors
                .iter()
                .flat_map(GrammarError::to_diagnostics)
                .collect(),
            Self::Base(error) => error.to_diagnostics(),
        }
    }
}
