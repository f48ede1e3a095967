//! Runs: what was run, with which params, what came out. SQLite in `.cvops/tracking.db`, one writer.
//!
//! A run is a record; this room knows no stage but by name. The tables hold what MLflow's data
//! model asks for (experiments, runs, params, metrics with steps, tags), so that its REST API can be
//! served from them. Imports: base, project, store.

pub mod db;
pub mod error;
mod name;
pub mod overview;
mod owner;
pub mod run;

pub use db::{Filter, Order, Tracking};
pub use error::Error;
pub use run::{
    Artifact, Batch, Curve, DEFAULT_EXPERIMENT, End, Git, Key, Metric, NewRun, Param, Point, Run,
    RunId, StageOutcome, StageRecord, Status,
};
