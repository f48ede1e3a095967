//! The prediction server: decoding, dynamic batching, protocols, loading of models, metrics.
//!
//! The request path takes no lock and writes no file. Imports: base, http, vision.

pub mod error;

pub use error::Error;
