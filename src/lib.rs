//! cvops: pipelines, training and evaluation of image classifiers in one fast binary.
//!
//! The rooms in floor order; a room imports only rooms of lower floors (see ARCHITECTURE.md).

pub mod base;
pub mod report;
#[cfg(feature = "vision")]
pub mod vision;
