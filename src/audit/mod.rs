//! What is wrong with a set of pictures, before a model is trained on it: files that are no pictures,
//! copies across splits, doubtful labels, shortcuts.
//!
//! `read` makes a table of the pictures (`pictures`), each decoded once. The checks look at that table
//! alone and say what they found as a `Finding`; an `Audit` is all of them, for people and programs.
//!
//! Invariant: a check that cannot be made says so in `Audit::notes` or ends in an error; it never
//! counts as passed. Imports: base, report, drift, vision. No stage, run, HTTP or terminal.

mod asking;
mod bins;
mod check;
mod classes;
mod columns;
mod confident;
mod copied;
mod copies;
mod dhash;
#[cfg(test)]
mod drawn;
mod error;
mod features;
mod files;
mod finding;
#[cfg(test)]
mod fixtures;
mod folds;
mod groups;
mod lbfgs;
mod leak;
mod learned;
mod likeness;
mod narrow;
mod outliers;
mod page;
mod params;
mod pictures;
mod probe;
mod read;
mod segments;
mod shortcut;
mod splits;

pub use asking::{Asked, Probe};
pub use check::{Checked, Request, check};
pub use confident::{LabelErrors, Ranking, Suspect, label_errors};
pub use copied::Remedy;
pub use error::Error;
pub use features::FeatureSource;
pub use finding::{Audit, Check, Finding, Item, Place, Severity};
pub use leak::LeakAccuracy;
pub use learned::{ClassPair, DoubtfulLabel, DoubtfulLabels, Judge, Learned, LearnedParams};
pub use page::page;
pub use params::{AuditParams, NearParams};
pub use pictures::{Picture, Pictures};
pub use probe::Probabilities;
pub use read::AuditEvent;
pub use segments::{Mistake, Segment, SegmentParams};
pub use shortcut::{Shortcut, ShortcutParams};
