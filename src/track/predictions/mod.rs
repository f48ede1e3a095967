//! The prediction log: what a server answered, and what people say is right.
//!
//! # On disk
//! `.cvops/predictions/` holds segments: `20261128T004907123Z-4711.jsonl`, one JSON document per
//! line, named after when it was begun and by which process; beside it, where pictures are kept,
//! `….pictures`, PNG files one after the other, which records point into. One file for thousands of
//! small pictures: a server at full load would otherwise make as many files a second.
//!
//! - A segment is written by one process at a time, which holds its lock; each process goes on with
//!   the newest one that is free and not full. So servers and pages may share the folder.
//! - Picture bytes come before the line that points to them, a line is appended in one write: a kill
//!   leaves whole lines and at most one torn one, which readers pass over.
//! - A segment that is full is followed by a new one; the oldest ones go when all together become
//!   too large. Feedback stands in the log as a line of its own and is joined by readers.
//!
//! Imports: base.

mod folder;
mod reader;
mod record;
mod route;
mod window;
mod writer;

#[cfg(test)]
mod tests;

pub use folder::Segment;
pub use reader::{Between, OfRequest, Predictions, Row, Stamp};
pub use record::{Feedback, KeptPicture, Prediction, Record, Shadow};
pub use route::predicts;
pub use window::{Accuracy, Confidence, Labelled, Window};
pub use writer::{Entry, Writer};
