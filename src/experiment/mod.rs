//! Experiments: a repro that records itself as a run, sweeps, applying a run.
//!
//! Imports: base, project, report, store, pipeline, track, compare, mlflow.

pub mod apply;
mod collect;
mod curve;
mod datasets;
pub mod endpoint;
pub mod error;
pub mod host;
pub mod progress;
mod pulse;
mod source;
mod stage_logs;
pub mod sweep;
mod system;
pub mod tracked;
pub mod workspace;

pub use apply::{Applied, Gone, apply};
pub use endpoint::Endpoint;
pub use error::Error;
pub use tracked::{Record, Recorded, RunName, repro, repro_unrecorded};
