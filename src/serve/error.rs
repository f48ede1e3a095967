//! The error of this room: why a server does not start. What a request did wrong is a
//! `refusal::Refusal`. Imports: `base`, `vision`, `http`.

use std::path::PathBuf;

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};

/// What can go wrong with the prediction server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// With `--strict`: the model is not the one that the lock records.
    #[error("the model `{}` is not the one that the lock records", path.display())]
    LockDiffers {
        /// The model's folder as given.
        path: PathBuf,
    },
    /// With `--strict`: no lock records the model.
    #[error("no lock records the model `{}`", path.display())]
    LockAbsent {
        /// The model's folder as given.
        path: PathBuf,
    },
    /// The network's answers to a blank picture are no numbers.
    #[error("the model `{}` answers with values that are not finite", path.display())]
    NotFinite {
        /// The model's folder as given.
        path: PathBuf,
    },
    /// The files of a version cannot be had.
    #[error("version {version} of `{model}` cannot be loaded: {problem}")]
    NoFiles {
        /// The registered model.
        model: String,
        /// Its version.
        version: String,
        /// What is missing.
        problem: String,
    },
    /// The file of keys that was named is not there.
    #[error("there is no file of keys `{file}`")]
    NoKeyFile {
        /// The file as given.
        file: String,
    },
    /// The file of keys that was named has none: nobody could ask.
    #[error("the file `{file}` has no key")]
    NoKeys {
        /// The file as given.
        file: String,
    },
    /// The file of keys, written anew, would belong to somebody else: a server that could read it could not
    /// any more.
    #[error("the file of keys `{file}` cannot be given to {owner}: {source}")]
    KeyFileOwner {
        /// The file.
        file: String,
        /// Who it belongs to, or its folder if it is a new one.
        owner: base::fs::Owner,
        /// The system's words.
        source: std::io::Error,
    },
    /// There is a key of this name.
    #[error("there is a key `{name}` already")]
    KeyExists {
        /// Its name.
        name: String,
    },
    /// There is no key of this name.
    #[error("there is no key `{name}`")]
    UnknownKey {
        /// As given.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A thread, a runtime or a metric could not be made.
    #[error("the server could not be started: {problem}")]
    Start {
        /// The system's words.
        problem: String,
    },
    /// From the room `vision`.
    #[error(transparent)]
    Vision(#[from] crate::vision::Error),
    /// From the room `http`.
    #[error(transparent)]
    Http(#[from] crate::http::Error),
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::LockDiffers { .. } => error("model-differs").help(
                "bring it up to date with `cvops repro`, or serve it as it is without `--strict`",
            ),
            Self::LockAbsent { .. } => error("model-not-recorded")
                .help("serve an output of the pipeline, or leave out `--strict`"),
            Self::NotFinite { .. } => {
                error("not-finite").help("train the model anew: `cvops repro -f train`")
            }
            Self::NoFiles { .. } => error("model-files").help(
                "bring the files back, or give the alias to another version: `cvops models alias`",
            ),
            Self::NoKeyFile { file } => error("key-file").help(format!(
                "make a key with `cvops serve keys add NAME --keys {file}`, or check the path"
            )),
            Self::NoKeys { file } => error("no-keys").help(format!(
                "make a key with `cvops serve keys add NAME --keys {file}`"
            )),
            Self::KeyFileOwner { .. } => error("key-file-owner").help(
                "nothing was changed: run the command as that user, or as root, so that a server can read the file as before",
            ),
            Self::KeyExists { .. } => error("key-exists")
                .help("choose another name, or remove the old key: `cvops serve keys remove`"),
            Self::UnknownKey { nearest, .. } => {
                error("unknown-key").help(nearest.as_ref().map_or_else(
                    || "`cvops serve keys list` shows the keys".to_owned(),
                    |name| format!("did you mean `{name}`?"),
                ))
            }
            Self::Start { .. } => error("server-start"),
            Self::Vision(error) => return error.to_diagnostics(),
            Self::Http(error) => return error.to_diagnostics(),
            Self::Base(error) => return error.to_diagnostics(),
        };
        vec![one]
    }
}
