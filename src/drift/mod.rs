//! Has the world moved away from what a model was trained on? Two-sample tests, detectors that watch a
//! stream, and outlier scores, from the papers they cite. Pure functions on arrays of numbers: where
//! the numbers come from (softmax, embeddings, properties of pictures) is the caller's business.
//!
//! All is computed in `f64`, also where the data are `f32`. What is random draws from a stream of the
//! caller's seed, and no result depends on the number of threads. Imports: base.

pub mod correction;
mod distance;
mod error;
#[cfg(test)]
mod fixtures;
pub mod kernel;
pub mod lsdd;
pub mod mmd;
mod normal;
pub mod online;
pub mod outlier;
pub mod permutation;
pub mod quantile;
pub mod reduction;
pub mod reference_update;
mod sample;
mod spectrum;
mod standard;
mod tails;
pub mod uncertainty;
pub mod univariate;
pub mod witness;

pub use error::Error;
pub use sample::Sample;
