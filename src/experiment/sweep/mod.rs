//! Sweeps: which values of parameters give the best metric.
//!
//! Pure parts: `grammar` and `domain` (what may be tried), `space`, `sampler` (what trial n tries),
//! `importance`, `table`. Around them: `journal` (what happened), `trial` (one repro in a work tree of
//! its own), `driver` (who runs when), `apply`, `page`. A trial never touches the user's params file;
//! only `apply` does. Imports: base, project, report, pipeline, track.

pub mod apply;
pub mod baseline;
pub mod block;
pub mod domain;
pub mod driver;
pub mod error;
pub mod grammar;
pub mod importance;
pub mod journal;
pub mod metric;
pub mod page;
pub mod params;
pub mod request;
pub mod sampler;
pub mod space;
pub mod table;
pub mod trial;

pub use driver::{Event, Options, Start, Why, run};
pub use journal::{Definition, Sweep, Trial, TrialState};
pub use request::Request;
pub use sampler::Method;
