//! A trained network as a folder, `models/classifier/`: `model.safetensors` and `model.json`.
//!
//! Nothing in it changes between identical trainings: no clock, host, path or run id. Imports:
//! base, `vision::{model`, train, image, error}.

mod manifest;
mod model;

pub use model::ModelArtifact;
