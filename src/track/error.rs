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
    /// A file operation or document failed.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Database(base::Error),
    /// A value in the database is none that this program writes.
    #[error("the record of a run holds {what}, which this version of cvops does not know")]
    BadRecord {
        /// The value.
        what: String,
    },
    /// Nothing was recorded yet.
    #[error("no run is recorded in this project")]
    NoRuns,
    /// No run has this id or name.
    #[error("there is no run `{text}`")]
    UnknownRun {
        /// What was asked for.
        text: String,
        /// The run that was probably meant.
        nearest: Option<String>,
        /// Could it be the beginning of an id, only too short for one?
        is_short: bool,
    },
    /// Several runs answer to this name or beginning of an id.
    #[error("`{text}` names {} runs", candidates.len())]
    AmbiguousRun {
        /// What was asked for.
        text: String,
        /// Names and ids of those that fit, newest first.
        candidates: Vec<(String, String)>,
    },
    /// No experiment has this name.
    #[error("there is no experiment `{name}`")]
    UnknownExperiment {
        /// The name asked for.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// No run has this metric.
    #[error("no run has the metric `{name}`")]
    UnknownMetric {
        /// The name asked for.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// Several metrics files have this key.
    #[error("{} metrics files have the key `{name}`", candidates.len())]
    AmbiguousMetric {
        /// The name asked for.
        name: String,
        /// What it may mean, as `FILE:KEY`.
        candidates: Vec<String>,
    },
    /// The run goes on.
    #[error("the run `{name}` is still going on")]
    StillRunning {
        /// Its name.
        name: String,
    },
    /// A tag was to be removed that the run does not have.
    #[error("the run `{name}` has no tag `{key}`")]
    UnknownTag {
        /// The run's name.
        name: String,
        /// The tag.
        key: String,
        /// The tag that was probably meant.
        nearest: Option<String>,
    },
}

/// How many candidates of an ambiguous name are shown.
const CANDIDATES_SHOWN: usize = 10;

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let meant = |nearest: &Option<String>, otherwise: &str| {
            nearest.as_ref().map_or_else(
                || otherwise.to_owned(),
                |near| format!("did you mean `{near}`?"),
            )
        };
        let list = "`cvops runs list` shows the runs";
        let one = match self {
            Self::Project(error) => return error.to_diagnostics(),
            Self::Store(error) => return error.to_diagnostics(),
            Self::Base(error) => return error.to_diagnostics(),
            Self::Database(base::Error::Database { path, .. }) => {
                let path = path.display();
                Diagnostic::error("tracking", self.to_string())
                    .note("results of stages do not depend on it: lock and cache are as they were")
                    .help(format!(
                        "if it is damaged, move it aside (`mv {path} {path}.damaged`): the next run starts a new one"
                    ))
            }
            Self::Database(error) => return error.to_diagnostics(),
            Self::BadRecord { .. } => {
                Diagnostic::error("bad-record", self.to_string()).help("update cvops")
            }
            Self::NoRuns => Diagnostic::error("no-runs", self.to_string())
                .help("every `cvops repro` that runs or restores a stage records one"),
            Self::UnknownRun {
                nearest, is_short, ..
            } => {
                let otherwise = if *is_short {
                    "the beginning of an id has at least 4 digits"
                } else {
                    list
                };
                Diagnostic::error("unknown-run", self.to_string()).help(meant(nearest, otherwise))
            }
            Self::AmbiguousRun { candidates, .. } => {
                let mut diagnostic = Diagnostic::error("ambiguous-run", self.to_string());
                for (name, id) in candidates.iter().take(CANDIDATES_SHOWN) {
                    diagnostic = diagnostic.note(format!("`{name}`: {id}"));
                }
                if CANDIDATES_SHOWN < candidates.len() {
                    let more = candidates.len() - CANDIDATES_SHOWN;
                    diagnostic = diagnostic.note(format!("and {more} more"));
                }
                diagnostic.help("give more of the id")
            }
            Self::UnknownExperiment { nearest, .. } => {
                Diagnostic::error("unknown-experiment", self.to_string()).help(meant(nearest, list))
            }
            Self::UnknownMetric { nearest, .. } => {
                Diagnostic::error("unknown-metric", self.to_string()).help(meant(
                    nearest,
                    "`cvops runs show` shows the metrics of a run",
                ))
            }
            Self::AmbiguousMetric { candidates, .. } => {
                let shown = candidates.iter().take(CANDIDATES_SHOWN);
                let shown: Vec<String> = shown.map(|name| format!("`{name}`")).collect();
                Diagnostic::error("ambiguous-metric", self.to_string())
                    .help(format!("name its file as well: {}", shown.join(", ")))
            }
            Self::StillRunning { .. } => Diagnostic::error("still-running", self.to_string())
                .help("wait for it, or stop it with Ctrl-C where it runs"),
            Self::UnknownTag { nearest, .. } => Diagnostic::error("unknown-tag", self.to_string())
                .help(meant(nearest, "`cvops runs show` shows the tags of a run")),
        };
        vec![one]
    }
}
