//! The error of this room. Imports: `base`, `project`, `store`, `pipeline`, `track`.

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{self, ArtifactPath};

/// What can go wrong with a comparison.
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
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// A word that names neither a revision nor a run.
    #[error("`{word}` is neither a git revision nor a run")]
    UnknownSide {
        /// What the user typed.
        word: String,
        /// The nearest branch, tag or run.
        nearest: Option<String>,
        /// Why there is no revision at all, if that is so.
        git: Option<String>,
    },
    /// A target that no side has.
    #[error("`{target}` is neither declared nor there")]
    UnknownTarget {
        /// What the user asked for.
        target: ArtifactPath,
        /// The nearest declared file.
        nearest: Option<String>,
        /// All declared files.
        known: Vec<String>,
    },
    /// A file that should be text is not UTF-8.
    #[error("`{file}` is not UTF-8 text")]
    NotText {
        /// The file as shown to the user.
        file: String,
    },
    /// A metrics file holds one text or nothing at all.
    #[error("`{file}` holds no metrics: it is {kind}")]
    NoMetrics {
        /// The file as shown to the user.
        file: String,
        /// What it is.
        kind: &'static str,
    },
    /// A file that should be a table is none.
    #[error("`{file}` is no table: {why}")]
    NoTable {
        /// The file as shown to the user.
        file: String,
        /// What is wrong.
        why: String,
    },
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let message = self.to_string();
        let diagnostic = match self {
            Self::Project(error) => return error.to_diagnostics(),
            Self::Store(error) => return error.to_diagnostics(),
            Self::Pipeline(error) => return error.to_diagnostics(),
            Self::Track(error) => return error.to_diagnostics(),
            Self::Base(error) => return error.to_diagnostics(),
            Self::UnknownSide { nearest, git, .. } => {
                let mut diagnostic = Diagnostic::error("unknown-side", message);
                diagnostic.notes.extend(git.clone());
                diagnostic.help(match nearest {
                    Some(name) => format!("did you mean `{name}`?"),
                    None if git.is_some() => {
                        "`cvops runs list` shows the runs; `lock` is the last repro".to_owned()
                    }
                    None => {
                        "`git log --oneline` and `cvops runs list` show what there is".to_owned()
                    }
                })
            }
            Self::UnknownTarget { nearest, known, .. } => {
                let help = match (nearest, known.as_slice()) {
                    (Some(near), _) => format!("did you mean `{near}`?"),
                    (None, []) => "the pipeline file declares none".to_owned(),
                    (None, known) => format!("declared are `{}`", known.join("`, `")),
                };
                Diagnostic::error("unknown-target", message).help(help)
            }
            Self::NotText { .. } => {
                Diagnostic::error("not-utf8", message).help("write it as UTF-8 text")
            }
            Self::NoMetrics { .. } => Diagnostic::error("no-metrics", message).help(
                "write a mapping of names to numbers, as JSON, YAML or TOML: {\"accuracy\": 0.9}",
            ),
            Self::NoTable { .. } => Diagnostic::error("no-table", message)
                .help("write JSON lines, a JSON list of mappings, or CSV or TSV with a heading"),
        };
        vec![diagnostic]
    }
}
