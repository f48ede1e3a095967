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
mod source;
pub mod sweep;
pub mod tracked;
pub mod workspace;

pub use apply::{Applied, Gone, apply};
pub use endpoint::Endpoint;
pub use error::Error;
pub use tracked::{Record, Recorded, RunName, repro};
