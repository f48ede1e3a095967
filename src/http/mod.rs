//! What both servers share: accept loop, connection and body limits, request ids, metrics of requests, error bodies, drain.
//!
//! No route of its own, no word of models or runs. Imports: base.

pub mod error;

pub use error::Error;
