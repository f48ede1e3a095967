//! Detectors fitted to a model: what it sees of pictures, whether that moved away from a reference, and
//! what people read about it.
//!
//! Imports: base, report, drift, vision. No stage, run, HTTP or terminal.

mod error;
pub mod features;

pub use error::Error;
pub use features::{Features, Input};
