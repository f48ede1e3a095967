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
    /// A commit cannot be read.
    #[error("what the revision `{name}` uses cannot be found out: {error}")]
    Revision {
        /// Its name.
        name: String,
        /// Why.
        error: Box<Error>,
    },
    /// Not everything that was to be moved is at its source.
    #[error("{}", incomplete(*direction, remotes, lacking, damaged))]
    Incomplete {
        /// Which way.
        direction: Direction,
        /// The remotes, by name.
        remotes: Vec<String>,
        /// Paths of what the source does not have.
        lacking: Vec<String>,
        /// Paths of what the source has damaged.
        damaged: Vec<String>,
    },
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl Error {
    /// Was the work stopped by the caller?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        use crate::{pipeline, project, store};
        match self {
            Self::Project(error) => matches!(error, project::Error::Cancelled),
            Self::Store(error) => matches!(error, store::Error::Cancelled),
            Self::Pipeline(error) => matches!(error, pipeline::Error::Cancelled),
            _ => false,
        }
    }
}

/// Which way objects move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the cache to remotes.
    Push,
    /// From remotes to the cache.
    Fetch,
}

/// How many paths a message lists before it only counts.
const LISTED_MAX: usize = 5;

fn incomplete(
    direction: Direction,
    remotes: &[String],
    lacking: &[String],
    damaged: &[String],
) -> String {
    let names = |paths: &[String]| {
        let shown: Vec<String> = paths
            .iter()
            .take(LISTED_MAX)
            .map(|p| format!("`{p}`"))
            .collect();
        let more = paths.len().saturating_sub(LISTED_MAX);
        let tail = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        format!("{}{tail}", shown.join(", "))
    };
    let remote = format!("the remote `{}`", remotes.join("`, `"));
    let source = match direction {
        Direction::Push => "the cache".to_owned(),
        Direction::Fetch => remote,
    };
    let mut parts = Vec::new();
    if !lacking.is_empty() {
        parts.push(format!("{source} does not have {}", names(lacking)));
    }
    if !damaged.is_empty() {
        parts.push(format!("{source} has damaged {}", names(damaged)));
    }
    parts.join("; ")
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Project(e) => e.to_diagnostics(),
            Self::Store(e) => e.to_diagnostics(),
            Self::Pipeline(e) => e.to_diagnostics(),
            Self::Revision { error, .. } => vec![
                Diagnostic::error("revision", self.to_string())
                    .note(
                        error
                            .to_diagnostics()
                            .iter()
                            .map(|d| d.headline.clone())
                            .collect::<Vec<_>>()
                            .join("; "),
                    )
                    .help("nothing was removed; `--skip-failed` goes on without what it uses"),
            ],
            Self::Incomplete { direction, .. } => {
                vec![
                    Diagnostic::error("incomplete", self.to_string()).help(match direction {
                        Direction::Push => {
                            "`cvops fetch` brings it from another remote, `cvops repro` makes outputs anew; then push again"
                        }
                        Direction::Fetch => {
                            "push it from a machine that has it (`cvops push --thorough`), or make outputs anew with `cvops repro`"
                        }
                    }),
                ]
            }
            Self::Base(e) => e.to_diagnostics(),
        }
    }
}
