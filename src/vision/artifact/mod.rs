//! A model as files. What `cvops train` writes is a folder, `models/classifier/`: `model.safetensors`
//! and `model.json`; nothing in it changes between identical trainings: no clock, host, path or run
//! id. A network from elsewhere is an ONNX file (`vision::onnx`).
//!
//! `files` finds out which of them lies at a place, `loaded` reads either. Imports: base, `vision::{model`,
//! train, image, onnx, error}.

mod files;
mod loaded;
mod manifest;
mod model;

pub use files::{ModelFiles, description_of};
pub use loaded::{Described, Loaded};
pub use model::ModelArtifact;
