//! The error of this room: why a server does not start. What a request did wrong is a
//! `refused::Refused`. Imports: base, http, track.

use crate::base::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with the tracking server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other machines would reach a record without users.
    #[error("on `{host}` other machines reach the server, and nobody would be asked who they are")]
    NoUsers {
        /// As given.
        host: String,
    },
    /// A thread or a runtime could not be made, or ended early.
    #[error("the server could not be started: {problem}")]
    Start {
        /// The system's words.
        problem: String,
    },
    /// A file operation failed, or the system had no random numbers.
    #[error(transparent)]
    Base(#[from] crate::base::Error),
    /// From the room `track`.
    #[error(transparent)]
    Track(#[from] crate::track::Error),
    /// From the room `http`.
    #[error(transparent)]
    Http(#[from] crate::http::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::NoUsers { .. } => error("no-users").help(
                "add a user (`cvops ui user add NAME --role write`), or leave `--host` out and let a \
                 proxy on this machine ask",
            ),
            Self::Start { .. } => error("server-start"),
            Self::Base(error) => return error.to_diagnostics(),
            Self::Track(error) => return error.to_diagnostics(),
            Self::Http(error) => return error.to_diagnostics(),
        };
        vec![one]
    }
}
