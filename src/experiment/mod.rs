//! Experiments: a repro that records itself as a run, sweeps, applying a run.
//!
//! Imports: base, project, report, store, pipeline, track, compare.

pub mod apply;
mod collect;
mod curve;
pub mod error;
pub mod sweep;
pub mod tracked;
pub mod workspace;

pub use apply::{Applied, Gone, apply};
pub use error::Error;
pub use tracked::{Record, Recorded, RunName, repro};
