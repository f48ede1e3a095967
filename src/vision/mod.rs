//! Vision: pictures to tensors, networks, training, evaluation, prediction.
//!
//! In reading order: pictures become `Pixels` (`image`), folders become splits (`dataset`), both
//! become shards (`preprocess`, `shard`); a network is declared, built and trained on them
//! (`model`, `train`), judged (`evaluate`), kept (`artifact`) and asked (`predict`), as networks from
//! elsewhere are (`onnx`). `explain` says which parts of a picture an answer depends on, `picture` shows
//! single pictures of what was prepared.
//!
//! Invariants: no stage, run, lock, HTTP or terminal; what happens is told through events; the same
//! input and seed give the same bytes whatever the number of threads. Imports: base, report.

pub mod artifact;
pub mod augment;
pub mod dataset;
pub mod device;
mod error;
pub mod evaluate;
pub mod explain;
pub mod image;
pub mod kernels;
pub mod model;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod params;
pub mod picture;
pub mod predict;
pub mod preprocess;
pub mod shard;
pub mod train;

pub use error::{Error, Precautions};
