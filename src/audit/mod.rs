//! What is wrong with a set of pictures, before a model is trained on it: files that are no pictures,
//! copies across splits, doubtful labels, shortcuts.
//!
//! `read` makes a table of the pictures (`pictures`), each decoded once. The checks look at that table
//! alone and say what they found as a `Finding`; an `Audit` is all of them, for people and programs.
//!
//! Invariant: a check that cannot be made says so in `Audit::notes` or ends in an error; it never
//! counts as passed. Imports: base, report, drift, vision. No stage, run, HTTP or terminal.

mod error;
mod finding;
mod params;
mod pictures;

pub use error::Error;
pub use finding::{Audit, Check, Finding, Item, Place, Severity};
pub use params::{AuditParams, NearParams};
pub use pictures::{Picture, Pictures};
