//! Values of params, metrics and plots at a revision, of a run or now, and their differences.
//!
//! `source` is where values come from, `reader` finds out what a word like `HEAD~2` means and what is
//! declared there, `content` reads files there; `values` and `plots` turn files into values; `diff` (pure) puts two sides beside each
//! other; `page` draws.
//! Nothing here writes. Imports: base, project, report, store, pipeline, track.

mod content;
pub mod diff;
pub mod error;
pub mod page;
pub mod parse;
pub mod plots;
pub mod reader;
pub mod rows;
pub mod source;
pub mod values;

pub use diff::{Row, Verdict};
pub use error::Error;
pub use reader::Reader;
pub use source::{Side, Source};
pub use values::Values;
