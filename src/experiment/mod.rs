//! Experiments: a repro that records itself as a run, sweeps, applying a run.
//!
//! Imports: base, project, report, store, pipeline, track, compare.

pub mod error;

pub use error::Error;
