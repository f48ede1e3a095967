//! Has the world moved away from what a model was trained on? Two-sample tests, detectors that watch a
//! stream, and outlier scores, from the papers they cite. Pure functions on arrays of numbers: where
//! the numbers come from (softmax, embeddings, properties of pictures) is the caller's business.
//!
//! All is computed in `f64`, also where the data are `f32`. What is random draws from a stream of the
//! caller's seed, and no result depends on the number of threads. Imports: base.

mod distance;
mod error;
pub mod kernel;
mod normal;
pub mod online;
pub mod quantile;
mod sample;

pub use error::Error;
pub use sample::Sample;
