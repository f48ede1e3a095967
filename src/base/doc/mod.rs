//! Documents (YAML, JSON, TOML, INI): values, places for messages, typed reading that reports every problem.
//!
//! `serde_yaml` gives values but no places, so a `Document` keeps its text and looks a place up with
//! saphyr-parser only when a diagnostic is built: no cost on the good path, exact carets on the bad
//! one. Imports: `base::{diag, error}`.

mod cache;
mod document;
pub mod edit;
mod ini;
mod key_path;
mod locate;
mod node;
mod read;
mod value;

pub use cache::ParseCache;
pub use document::{Document, Format};
pub use key_path::{Key, KeyPath};
pub use read::{Fields, On, Problems};
pub use value::{Map, Value};
