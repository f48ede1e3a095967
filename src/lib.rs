//! cvops: pipelines, training, evaluation and serving of image classifiers in one fast binary.
//!
//! The rooms in floor order; a room imports only rooms of lower floors (see ARCHITECTURE.md).

// Floor 0: hashes, typed paths, files, documents with places, diagnostics.
pub mod base;

// Floor 1: where we are, how numbers look, how a server listens, whether the world moved.
pub mod drift;
pub mod http;
pub mod project;
pub mod report;

// Floor 2: what bytes are; what pictures say.
pub mod store;
#[cfg(feature = "vision")]
pub mod vision;

// Floor 3: stages, judgement, execution; what was run; what is odd about pictures.
#[cfg(feature = "vision")]
pub mod audit;
#[cfg(feature = "vision")]
pub mod detect;
pub mod pipeline;
pub mod track;

// Floor 4: what changed between two states; answers over HTTP, MLflow's REST API among them.
pub mod compare;
pub mod data;
pub mod mlflow;
#[cfg(feature = "vision")]
pub mod serve;

// Floor 5: recorded repros and sweeps.
pub mod experiment;

// Floor 6: what people look at.
pub mod ui;

// Floor 7: arguments, rendering, exit codes.
pub mod cli;
