//! MLflow's REST API over the record of runs, and the artifacts of runs, for MLflow's own clients.
//! `rest` has the endpoints as tables, `access` says who may use them, `refused` has the words for
//! what cannot be answered. Imports: base, http, project, store, track.
//!
//! # The way of a request
//! `http` finds the route and reads the body, unless it is an upload → `server`: is it from a page of
//! another site (`origin`), who asks and may they (`access`) → the route's `Target`: an endpoint of
//! `rest`, a file of `artifacts`, or a small text. What cannot be answered is a `Refused`.
//!
//! Questions run on blocking threads, each on a snapshot of the record; changes on the one thread
//! that writes, many in one commit. Imports: base, http, project, store, track.

pub mod access;
mod artifacts;
pub mod error;
mod origin;
pub mod pages;
pub mod refused;
pub mod rest;
mod run;
mod server;

pub use error::Error;
pub use pages::{PageAsk, Pages};
pub use refused::{Code, Refused};
pub use run::{Handle, Observer, Options, ServerEvent, UPLOAD_BYTES_MAX, run, start};
