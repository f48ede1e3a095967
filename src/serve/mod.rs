//! The prediction server: decoding, dynamic batching, loading of models, metrics.
//!
//! # The way of a `POST /predict`
//! `http` reads the request within its limits → `routes` → `predict`: is there a model
//! (`service`), what does the request want (`ask`), a slot in the `queue` → on a
//! blocking thread `envelope` finds the picture in the body, which is decoded and fitted as
//! `preprocess` did → `queue` → `worker`, the one thread that owns the network, computes a batch → `answer`, or `refusal`.
//! What was answered is handed to the `log`, whose thread writes it.
//!
//! - Invariant: a request writes no file and waits for no lock but the queue's, which is held for
//!   the moves of a few pointers.
//! - Invariant: nothing waits without a limit: bodies, pictures, slots, time, connections.
//! - Invariant: what a picture means is decided by `vision` alone; `cvops predict` gives the same
//!   numbers.
//!
//! Imports: base, http, vision, track (the records of the prediction log).

mod answer;
mod ask;
mod config;
mod envelope;
pub mod error;
mod feedback;
mod follow;
mod log;
mod metrics;
mod model;
mod openapi;
mod pages;
mod picture;
mod predict;
mod queue;
mod recent;
mod refusal;
mod routes;
mod run;
mod service;
mod tensor;
mod worker;

pub use config::{Config, LogConfig, Pages};
pub use error::Error;
pub use metrics::Build;
pub use model::{
    Absence, Brought, LockCheck, LockState, ModelSource, Moment, Named, Origin, Registry,
    Strictness,
};
pub use run::{Observer, Options, ServerEvent, run};
