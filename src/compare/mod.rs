//! Values of params, metrics and plots at a revision, of a run or now, and their differences.
//!
//! `source` finds out what a word like `HEAD~2` means and reads files there; `params`, `metrics` and
//! `plots` turn files into values; `diff` (pure) puts two sides beside each other; `page` draws.
//! Nothing here writes. Imports: base, project, report, store, pipeline, track.

pub mod diff;
pub mod error;
pub mod page;
pub mod plots;
pub mod rows;
pub mod source;
pub mod values;

pub use diff::{Row, Verdict};
pub use error::Error;
pub use source::{Reader, Side, Source};
pub use values::Values;
