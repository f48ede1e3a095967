//! Verbs over tracked data: what `cvops add`, `remove`, `push` and `gc` do.
//! Imports: `base`, `project`, `store`, `pipeline`.

pub mod add;
pub mod bring;
pub mod browse;
pub mod checkout;
pub mod destroy;
pub mod error;
pub mod gc;
pub mod merge;
pub mod migrate;
pub mod pattern;
pub mod place;
pub mod records;
pub mod relocate;
pub mod remove;
pub mod remove_stage;
pub mod revisions;
pub mod sides;
pub mod status;
pub mod stray;
pub mod sync;
pub mod to_remote;
pub mod tracked;
pub mod used;
pub mod versions;

pub use error::Error;
pub use tracked::Tracked;
