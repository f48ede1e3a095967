//! Runs: what was run, with which params, what came out. SQLite in `.cvops/tracking.db`, one writer.
//!
//! A run is a record; this room knows no stage. Imports: base, project, store.

pub mod error;

pub use error::Error;
