//! Detectors fitted to a model: what it sees of pictures, whether that moved away from a reference, and
//! what people read about it.
//!
//! Imports: base, report, drift, vision. No stage, run, HTTP or terminal.

pub mod arrays;
