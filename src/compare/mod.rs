//! Values of params, metrics and plots at a revision, of a run or now, and their differences.
//!
//! Imports: base, project, report, store, pipeline, track.

pub mod error;

pub use error::Error;
