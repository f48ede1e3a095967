//! Drift detection in a server, off the path of requests.
//!
//! A request hands the probabilities of a picture to a `tap`, a bounded queue, and goes on; what does not fit
//! is dropped and counted. One thread, the `monitor`, does the rest: it finds the fitted detectors of a
//! model (`source`), lets them look (`active`, `stream`, `standing`), tells what they say (`metrics`, `shown`, events), keeps where
//! they stand (`kept`) and has a command run (`reaction`). `config` reads what may be set, `reset` is the route
//! that begins anew.
//!
//! Every detector looks at the probabilities, or at what follows from them. What others look at is found out
//! on the way of a picture, if there are such detectors: its properties where it was decoded, what entered
//! the last layer where the network computed it (`seen`). Single pictures are scored by the monitor
//! (`outliers`). Feedback goes the same way: whether an answer was right, which streams of errors look at.
//!
//! - Invariant: no detector looks at answers of other weights than those it was fitted to. Where there is
//!   none that may, that is said and counted: silence is never "no drift".
//! - Invariant: nothing here can fail, delay or change an answer.
//!
//! Imports: base, detect, drift, http, prometheus, rayon, tokio, utoipa, arc-swap, `serve::*`.

mod active;
mod config;
mod kept;
mod metrics;
mod monitor;
mod outliers;
mod rate;
mod reaction;
mod reset;
mod seen;
mod shown;
mod source;
mod standing;
mod stream;
mod tap;
mod watched;

pub use config::{DriftConfig, DriftFolder, Every};
pub use reaction::{DriftFound, OnDrift, Reaction};
pub use source::{DriftEvent, DriftOptions, DriftSource, Given};

pub(super) use config::read_folder;
pub(super) use metrics::DriftMetrics;
pub(super) use monitor::{Handle, start};
pub(super) use reset::{BODY_BYTES_MAX, reset};
pub(super) use seen::Wants;
pub(super) use shown::DriftInfo;
pub(super) use tap::{Tap, Taps};
