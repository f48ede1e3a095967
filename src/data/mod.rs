//! Verbs over tracked data: what `cvops add`, `remove`, `push` and `gc` do.
//! Imports: `base`, `project`, `store`, `pipeline`.

pub mod error;
pub mod gc;
pub mod place;
pub mod records;
pub mod revisions;
pub mod sync;
pub mod used;

pub use error::Error;
