//! Runs: what was run, with which params, what came out. SQLite in `.cvops/tracking.db`, one writer.
//!
//! A run is a record; this room knows no stage but by name. The tables hold what MLflow's data
//! model asks for (experiments, runs, params, metrics with steps, tags), so that its REST API can be
//! served from them. Imports: base, project, store.

pub mod artifacts;
pub mod client;
pub mod db;
pub mod entity;
pub mod error;
pub mod exchange;
pub mod forward;
mod name;
pub mod overview;
mod owner;
pub mod predictions;
pub mod promotion;
mod registry;
pub mod run;
pub mod search;
pub mod series;
mod source;
pub mod table;
pub mod validate;

pub use artifacts::Artifacts;
pub use db::{
    Catalogue, ColumnInfo, ExperimentCounts, Filter, LoggedBatch, LoggedPoint, NewLoggedModel,
    NewRecord, NewVersion, Order, Promote, Promoted, Reader, RunChange, SeriesQuery, Shared,
    Tracking, Withdraw, Writing,
};
pub use error::{Error, Refusal};
pub use run::{
    Artifact, Batch, Curve, DEFAULT_EXPERIMENT, End, Git, Key, Metric, NewRun, Param, Point, Run,
    RunId, StageOutcome, StageRecord, Status,
};
pub use search::{DatasetSummary, LoggedModelSearch, ModelOrder, RunSearch, Search};
