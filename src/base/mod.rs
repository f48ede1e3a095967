//! Ground floor: hashes, typed paths, files, documents with places, diagnostics, cancellation, seeds.
//!
//! Imports nothing of ours. Everything here would serve any program that moves hashes and files.

pub mod cancel;
pub mod canon;
pub mod clock;
pub mod db;
pub mod diag;
pub mod doc;
pub mod error;
pub mod event;
pub mod exposition;
pub mod fs;
pub mod hash;
pub mod path;
pub mod ports;
pub mod probe;
pub mod rng;
pub mod secret;
pub mod units;
pub mod unix_socket;

pub use cancel::{Cancel, CancelReason};
pub use diag::{Diagnostic, Severity, Source, Span, ToDiagnostics};
pub use error::Error;
pub use event::Observer;
pub use hash::{ContentHash, ObjectId};
pub use path::ArtifactPath;
