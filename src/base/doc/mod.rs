//! Documents (YAML, JSON, TOML, INI): values, places for messages, typed reading that reports every problem.
//!
//! A `Document` keeps its text and looks a place up only when a diagnostic is built: no cost on the
//! good path, exact carets on the bad one. YAML means what it means to DVC (`scalar`), and can be
//! written as DVC writes it (`emit`). Imports: `base::{diag, error}`.

mod cache;
mod document;
pub mod edit;
pub mod emit;
mod ini;
mod key_path;
mod locate;
mod node;
mod py;
pub mod python;
mod read;
mod scalar;
mod value;
mod yaml;

pub use cache::ParseCache;
pub use document::{Document, Format};
pub use key_path::{Key, KeyPath};
pub use read::{Fields, On, Problems};
pub use value::{Map, Value};
