//! The error of this room: why a check of data could not be made. What is wrong with the data is a
//! `Finding`. Imports: base, drift, vision.

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::{base, drift, vision};

/// Why data could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A statistic of the pictures cannot be computed.
    #[error("{what} cannot be computed: {source}")]
    Statistics {
        /// The statistic.
        what: &'static str,
        /// Why.
        source: drift::Error,
    },
    /// The model knows other classes than the pictures have.
    #[error("the model knows other classes than the data has")]
    OtherClasses {
        /// Of the model.
        model: Vec<String>,
        /// Of the data.
        data: Vec<String>,
    },
    /// From the room `vision`.
    #[error(transparent)]
    Vision(#[from] vision::Error),
    /// A file operation failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::Statistics { .. } => error("statistics"),
            Self::OtherClasses { model, data } => error("other-classes")
                .note(format!("model: {}", model.join(", ")))
                .note(format!("data: {}", data.join(", ")))
                .help("name a model that was trained on this data, or leave out `--model`"),
            Self::Vision(error) => return error.to_diagnostics(),
            Self::Base(error) => return error.to_diagnostics(),
        };
        vec![one]
    }
}
