//! Sweeps: which values of parameters give the best metric.
//!
//! Pure parts: `grammar` and `domain` (what may be tried), `space`, `sampler` (what trial n tries),
//! `importance`, `study` and `charts`, `table`. Around them: `variant` (what values change in the pipeline through templates), `journal` (what happened), `state` (what that makes of it), `trial` (one repro in a work tree of
//! its own), `driver` (who runs when), `parent` (the run of the whole), `apply`, `page`. A trial never touches the user's params file;
//! only `apply` does. Imports: base, project, report, pipeline, track.

pub mod apply;
pub mod baseline;
pub mod block;
pub mod charts;
pub mod domain;
pub mod driver;
pub mod error;
pub mod grammar;
pub mod importance;
pub mod journal;
pub mod metric;
pub mod page;
pub mod params;
mod parent;
pub mod request;
pub mod sampler;
pub mod space;
pub mod state;
pub mod study;
pub mod table;
pub mod trial;
pub mod variant;

pub use driver::{Event, Options, Start, Why, run};
pub use request::Request;
pub use sampler::Method;
pub use state::{Definition, Sweep, Trial, TrialState};
