//! cvops: pipelines, training and evaluation of image classifiers in one fast binary.
//!
//! The rooms in floor order; a room imports only rooms of lower floors (see ARCHITECTURE.md).

// Floor 0: hashes, typed paths, files, documents with places, diagnostics.
pub mod base;

// Floor 1: where we are, and how numbers look.
pub mod project;
pub mod report;

// Floor 2: what bytes are; what pictures say.
pub mod store;
#[cfg(feature = "vision")]
pub mod vision;

// Floor 3: stages, judgement, execution.
pub mod pipeline;

// Floor 7: arguments, rendering, exit codes.
pub mod cli;
