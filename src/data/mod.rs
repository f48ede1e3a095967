//! Verbs over tracked data: what `cvops add`, `remove`, `push` and `gc` do.
//! Imports: `base`, `project`, `store`, `pipeline`.

pub mod error;
pub mod merge;

pub use error::Error;
