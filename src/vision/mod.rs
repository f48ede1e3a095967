//! Vision: pictures to tensors, networks, training, evaluation, prediction.
//!
//! In reading order: pictures become `Pixels` (`image`), folders become splits (`dataset`), both
//! become shards (`preprocess`, `shard`); a network is declared, built and trained on them
//! (`model`, `train`), judged (`evaluate`), kept (`artifact`) and asked (`predict`).
//!
//! Invariants: no stage, run, lock, HTTP or terminal; what happens is told through events; the same
//! input and seed give the same bytes whatever the number of threads. Imports: base, report.

mod error;
pub mod params;
pub mod image;
pub mod dataset;
pub mod shard;
pub mod preprocess;
pub mod augment;
pub mod device;
pub mod model;
pub mod train;
pub mod evaluate;
pub mod artifact;
pub mod predict;

pub use error::Error;
