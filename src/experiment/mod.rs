//! Experiments: a repro that records itself as a run, sweeps, applying a run.
//!
//! Imports: base, project, report, store, pipeline, track, compare.

mod collect;
pub mod error;
pub mod sweep;
pub mod tracked;
pub mod workspace;

pub use error::Error;
pub use tracked::{Record, Recorded, RunName, repro};
