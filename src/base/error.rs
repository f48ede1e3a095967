//! The error of the ground floor: a file operation that failed, or a document that cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use super::db;
use super::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with files and documents.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("could not {doing} `{}`: {source}", path.display())]
    Io {
        /// What was attempted, as a verb phrase: `read`, `create folder`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A document is broken; each diagnostic names its place.
    #[error("`{name}` is not valid")]
    Document {
        /// The file as shown to the user.
        name: String,
        /// All problems found, in source order.
        problems: Vec<Diagnostic>,
    },
    /// A document cannot be changed in the way that was asked, with everything else kept.
    #[error("`{key}` of `{name}` cannot be changed: {why}")]
    Edit {
        /// The file as shown to the user.
        name: String,
        /// The key.
        key: String,
        /// What stands in the way.
        why: String,
    },
    /// An SQLite database failed.
    #[error("could not use the database `{}`: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// An SQLite database was written by a later version of this program.
    #[error("the database `{}` was written by a newer version of cvops (schema {schema})", path.display())]
    NewerDatabase {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        schema: u32,
    },
}

impl Error {
    /// Returns a closure for `map_err` on a file operation.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Returns the next step for a failed file operation, where there is a plain one.
#[must_use]
pub fn io_help(error: &io::Error) -> Option<&'static str> {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return Some(
            "a symbolic link there leads back to itself: remove it, or list it in the project's ignore file",
        );
    }
    match error.kind() {
        io::ErrorKind::StorageFull => Some(
            "free some space on this file system, then run the same command again; nothing was lost",
        ),
        io::ErrorKind::QuotaExceeded => Some(
            "the disk quota is used up: free some space, then run the same command again; nothing was lost",
        ),
        io::ErrorKind::PermissionDenied => Some(
            "give yourself permission (`ls -ld` shows owner and mode), then run the same command again",
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is mounted read-only: remount it or work in a writable copy")
        }
        io::ErrorKind::NotFound => Some("check the spelling of the path and that it exists"),
        _ => None,
    }
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Io { source, .. } => {
                let mut diagnostic = Diagnostic::error("io", self.to_string());
                diagnostic.help = io_help(source).map(str::to_owned);
                vec![diagnostic]
            }
            Self::Document { problems, .. } => problems.clone(),
            Self::Edit { name, .. } => vec![
                Diagnostic::error("edit", self.to_string())
                    .help(format!("change `{name}` by hand; nothing was written")),
            ],
            Self::NewerDatabase { .. } => {
                vec![Diagnostic::error("newer-database", self.to_string()).help("update cvops")]
            }
            Self::Database { path, .. } => {
                let plain = db::trouble(self).and_then(db::trouble_help);
                let help = plain.map_or_else(
                    || {
                        let path = path.display();
                        format!("if it is damaged, move `{path}` aside; caches are rebuilt")
                    },
                    str::to_owned,
                );
                vec![Diagnostic::error("database", self.to_string()).help(help)]
            }
        }
    }
}
