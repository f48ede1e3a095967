//! The error of this room. Imports: `base`, `project`, `store`, `pipeline`, `track`, `compare`.

use std::path::PathBuf;

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{self, ArtifactPath, units};

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
    /// A stage that all trials of a sweep share failed.
    #[error("{error}")]
    SharedStage {
        /// Why.
        error: Box<crate::pipeline::Error>,
        /// Where its output is.
        log: PathBuf,
    },
    /// With some values of a sweep the pipeline cannot be read.
    #[error("{error}")]
    Variant {
        /// Which parameter has which value.
        values: String,
        /// Why.
        error: Box<crate::pipeline::Error>,
    },
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// A run ended without a lock.
    #[error("the run `{name}` left no results to go back to")]
    NothingToApply {
        /// The run's name.
        name: String,
    },
    /// Outputs of a run cannot be had any more.
    #[error("{} of the run `{name}` cannot be restored", units::count(paths.len(), "output"))]
    OutputsGone {
        /// The run's name.
        name: String,
        /// The outputs.
        paths: Vec<ArtifactPath>,
    },
}

/// How many outputs are named.
const PATHS_SHOWN: usize = 20;

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
            Self::SharedStage { error, log } => {
                let mut all = error.to_diagnostics();
                if let Some(last) = all.last_mut() {
                    last.notes
                        .push("every trial shares this stage, so none was started".to_owned());
                    last.help = Some(format!("its output is in `{}`", log.display()));
                }
                all
            }
            Self::Variant { values, error } => {
                let mut all = error.to_diagnostics();
                if let Some(last) = all.last_mut() {
                    last.notes.push(format!(
                        "so it is with `{values}`, which the sweep would try"
                    ));
                }
                all
            }
            Self::Base(error) => error.to_diagnostics(),
            Self::NothingToApply { .. } => {
                vec![
                    Diagnostic::error("nothing-to-apply", self.to_string())
                        .help("choose a run that finished a stage: `cvops runs list`"),
                ]
            }
            Self::OutputsGone { paths, .. } => {
                let mut diagnostic = Diagnostic::error("outputs-gone", self.to_string());
                for path in paths.iter().take(PATHS_SHOWN) {
                    diagnostic = diagnostic.note(format!("`{path}` is not in the cache"));
                }
                if PATHS_SHOWN < paths.len() {
                    let more = paths.len() - PATHS_SHOWN;
                    diagnostic = diagnostic.note(format!("and {more} more"));
                }
                vec![
                    diagnostic.help(
                        "with `--force` the rest is applied, and `cvops repro` makes these anew",
                    ),
                ]
            }
        }
    }
}
