//! The prediction server: decoding, dynamic batching, protocols, models and their exchange, metrics.
//!
//! # The way of a `POST /predict`
//! `http` finds its route, asks `access` (who asks, may they, may they now), then reads the request within
//! its limits → `endpoint` calls the handler that `routes` names → `protocol::native`: which model
//! (`service`, `served`), what does the request want (`ask`) → `predict`: a slot in the `queue` → on one
//! of the `decoders` `envelope` finds the picture in the body, which is decoded and fitted as
//! `preprocess` did → `queue` → `worker`, the one thread that owns the networks, computes a batch →
//! `answer`, or `refusal`. What was answered is handed to the `log`, whose thread writes it, and to
//! `drift`, whose thread watches for it.
//!
//! - Invariant: a request writes no file and waits for no lock but the queue's, which is held for
//!   the moves of a few pointers.
//! - Invariant: nothing waits without a limit: bodies, pictures, slots, time, connections.
//! - Invariant: what a picture means is decided by `vision` alone; `cvops predict` gives the same
//!   numbers.
//!
//! Imports: base, http, report (escaping of the reference page), drift, detect (detectors of drift),
//! vision, track (the records of the prediction log).

mod access;
mod answer;
mod ask;
mod config;
mod decoders;
mod describe;
mod drift;
mod endpoint;
mod envelope;
pub mod error;
mod feedback;
mod follow;
mod life;
mod log;
mod metrics;
mod metrics_port;
mod model;
mod model_config;
mod model_metrics;
mod ndjson;
mod occlusion;
mod openapi;
mod pages;
mod picture;
mod predict;
mod protocol;
mod queue;
mod recent;
mod redoc;
mod refusal;
mod reload;
mod routes;
mod run;
mod served;
mod service;
mod source;
mod tensor;
mod transport;
mod worker;

pub use access::file::KeyFile;
pub use access::key::{ApiKey, BadKeyName, BadScope, KeyName, Scope};
pub use access::{AccessConfig, CorsConfig, KeySource, MetricsAccess, RateLimit};
pub use config::{Config, LogConfig, ModelConfig, Pages};
pub use drift::{
    DriftConfig, DriftEvent, DriftFolder, DriftFound, DriftOptions, DriftSource, Every, Given,
    OnDrift, Reaction,
};
pub use error::Error;
pub use life::{Life, Watcher};
pub use metrics::Build;
pub use run::{About, Observer, Options, ServedModel, ServerEvent, run};
pub use served::Role;
pub use source::{
    Absence, Brought, Evaluated, Figures, LockCheck, LockState, ModelSource, Moment, Named, Origin,
    Registry, Strictness, Target,
};
pub use transport::{HostPort, Transport};
