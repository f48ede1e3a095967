//! The error of this room. Imports: `base`.

use std::path::PathBuf;

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{self, ArtifactPath};

/// Why a project cannot be opened, set up or locked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder from here upwards is a project.
    #[error("`{}` is not inside a cvops project", from.display())]
    NotAProject {
        /// Where the search began.
        from: PathBuf,
    },
    /// The nearest project is a DVC repository.
    #[error("`{}` is a DVC repository; this version of cvops opens cvops projects only", root.display())]
    DvcRepository {
        /// Its root.
        root: PathBuf,
    },
    /// Cancelled while waiting for another command.
    #[error("stopped while waiting for the project lock")]
    Cancelled,
    /// A line of `.gitignore` cannot name this path.
    #[error("`{path}` cannot be listed in `.gitignore`: its name holds a line break")]
    Unlistable {
        /// The output.
        path: ArtifactPath,
    },
    /// A pattern in an ignore file breaks the grammar.
    #[error("`{}` holds a pattern that cannot be read: {problem}", path.display())]
    IgnorePattern {
        /// The ignore file.
        path: PathBuf,
        /// What is wrong with which line.
        problem: String,
    },
    /// A file or document problem.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let message = self.to_string();
        let diagnostic = match self {
            Self::NotAProject { .. } => Diagnostic::error("no-project", message)
                .note("looked for `pipeline.yaml`, `.dvc/` or `.cvops/config.yaml` here and above")
                .help("run `cvops init` in the folder that should become the project"),
            Self::DvcRepository { .. } => Diagnostic::error("dvc-repository", message)
                .help("write a `pipeline.yaml` beside `.dvc/` to use cvops here"),
            Self::Cancelled => Diagnostic::error("cancelled", message),
            Self::Unlistable { .. } => {
                Diagnostic::error("unlistable-path", message).help("rename the output")
            }
            Self::IgnorePattern { .. } => Diagnostic::error("ignore-pattern", message)
                .help("the grammar is that of `.gitignore` (`git help gitignore`)"),
            Self::Base(error) => return error.to_diagnostics(),
        };
        vec![diagnostic]
    }
}
