//! The error of this room. Imports: `base`, `project`, `store`.

use std::path::Path;

use crate::base;
use crate::base::clock::{self, Timestamp};
use crate::base::db::{self, Trouble};
use crate::base::diag::{Diagnostic, ToDiagnostics};

use super::run::{Run, RunId, Status};

/// A run that could be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: RunId,
    /// How far it is.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
}

impl Candidate {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            name: run.name.clone(),
            id: run.id,
            status: run.status,
            started: run.started,
        }
    }
}

/// Why a request of a client cannot be answered, as MLflow sorts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A value is not one that can be (`INVALID_PARAMETER_VALUE`).
    Invalid,
    /// The name is taken (`RESOURCE_ALREADY_EXISTS`).
    Exists,
    /// There is none (`RESOURCE_DOES_NOT_EXIST`).
    Missing,
}

impl Error {
    /// A value is not one that can be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Refused {
            why: Refusal::Invalid,
            message: message.into(),
        }
    }

    /// The name is taken.
    pub fn exists(message: impl Into<String>) -> Self {
        Self::Refused {
            why: Refusal::Exists,
            message: message.into(),
        }
    }

    /// There is none.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::Refused {
            why: Refusal::Missing,
            message: message.into(),
        }
    }
}

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
        /// Those that fit, newest first.
        candidates: Vec<Candidate>,
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
    /// What a client asked for cannot be; the words are MLflow's where it has some.
    #[error("{message}")]
    Refused {
        /// What kind of refusal.
        why: Refusal,
        /// For people.
        message: String,
    },
    /// The thread that writes has ended.
    #[error("nothing can be recorded any more: the thread that writes has ended")]
    WriterGone,
    /// A change of the record panicked, and was taken back.
    #[error("the record was not changed: this is a bug in cvops")]
    Panicked,
    /// No user has this name.
    #[error("there is no user `{name}`")]
    UnknownUser {
        /// The name asked for.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// The name of a user is taken.
    #[error("there is a user `{name}` already")]
    UserExists {
        /// The name.
        name: String,
    },
    /// No token has this id.
    #[error("there is no token `{text}`")]
    UnknownToken {
        /// What was asked for.
        text: String,
    },
    /// Several tokens begin with these digits.
    #[error("`{text}` names {count} tokens")]
    AmbiguousToken {
        /// What was asked for.
        text: String,
        /// How many.
        count: usize,
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
            Self::Database(error @ base::Error::Database { path, .. }) => {
                database(error, path, self.to_string())
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
            Self::AmbiguousRun { text, candidates } => {
                let mut diagnostic = Diagnostic::error("ambiguous-run", self.to_string());
                for one in candidates.iter().take(CANDIDATES_SHOWN) {
                    diagnostic = diagnostic.note(format!(
                        "`{}`: {}, {}, {}",
                        one.name,
                        one.id,
                        one.status.as_str().to_ascii_lowercase(),
                        clock::local(one.started)
                    ));
                }
                if CANDIDATES_SHOWN < candidates.len() {
                    let more = candidates.len() - CANDIDATES_SHOWN;
                    diagnostic = diagnostic.note(format!("and {more} more"));
                }
                diagnostic.help(if candidates.iter().any(|one| one.name == *text) {
                    "give the id instead of the name, or its beginning"
                } else {
                    "give more of the id"
                })
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
            Self::Refused { .. } => Diagnostic::error("refused", self.to_string()),
            Self::WriterGone => Diagnostic::error("tracking", self.to_string())
                .help("start the command again; what was acknowledged is recorded"),
            Self::Panicked => Diagnostic::error("tracking", self.to_string())
                .help("the log has more; please report it"),
            Self::UnknownUser { nearest, .. } => {
                Diagnostic::error("unknown-user", self.to_string())
                    .help(meant(nearest, "`cvops ui user list` shows the users"))
            }
            Self::UserExists { .. } => Diagnostic::error("user-exists", self.to_string()).help(
                "`cvops ui user passwd` gives another password, `cvops ui user role` another role",
            ),
            Self::UnknownToken { .. } => Diagnostic::error("unknown-token", self.to_string())
                .help("`cvops ui token list` shows the ids of tokens; their first 4 digits do"),
            Self::AmbiguousToken { .. } => {
                Diagnostic::error("ambiguous-token", self.to_string()).help("give more of the id")
            }
            Self::UnknownTag { nearest, .. } => Diagnostic::error("unknown-tag", self.to_string())
                .help(meant(nearest, "`cvops runs show` shows the tags of a run")),
        };
        vec![one]
    }
}

/// Says what to do about a record that cannot be used. What is there stays: nothing but the user moves
/// it away.
fn database(error: &base::Error, path: &Path, headline: String) -> Diagnostic {
    let diagnostic = Diagnostic::error("tracking", headline)
        .note("results of stages do not depend on it: lock and cache are as they were");
    let trouble = db::trouble(error).unwrap_or(Trouble::Other);
    if let Some(help) = db::trouble_help(trouble) {
        return diagnostic.help(help);
    }
    if trouble == Trouble::Other {
        return diagnostic.help("`cvops doctor` looks whether it is damaged");
    }
    let (folder, name) = (
        path.parent().unwrap_or(Path::new(".")).display(),
        path.file_name().unwrap_or_default().display(),
    );
    // With its log and the index of that: one that is left behind would be read into a new database.
    let aside = format!("`mkdir {folder}/damaged && mv {folder}/{name}* {folder}/damaged`");
    match db::newest_copy(path) {
        Some(copy) => {
            let copy = copy.file_name().unwrap_or_default().display();
            diagnostic
                .note(format!(
                    "`{folder}/{copy}` is a copy from before its tables were last changed"
                ))
                .help(format!(
                    "move it aside with its log ({aside}), then bring back a copy of yours or that one (`cp {folder}/damaged/{copy} {folder}/{name}`)"
                ))
        }
        None => diagnostic.help(format!(
            "move it aside with its log ({aside}), then bring back a copy of yours; without one the next run starts a new record"
        )),
    }
}
