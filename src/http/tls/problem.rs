//! What can be wrong with the files of a certificate. Imports: `base::diag`.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::base::diag::Diagnostic;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The certificate.
    Certificate,
    /// Its private key.
    Key,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
        })
    }
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// A file cannot be read.
    #[error("the {kind} `{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        kind: FileKind,
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file has none of what it is for.
    #[error("`{}` holds no {kind}", path.display())]
    Absent {
        /// Which.
        kind: FileKind,
        /// Where.
        path: PathBuf,
    },
    /// A file is damaged.
    #[error("the {kind} `{}` is damaged: {problem}", path.display())]
    Damaged {
        /// Which.
        kind: FileKind,
        /// Where.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The key wants a password.
    #[error("the private key `{}` is encrypted", path.display())]
    Encrypted {
        /// Where.
        path: PathBuf,
    },
    /// The key is another certificate's.
    #[error(
        "the private key `{}` does not belong to the certificate `{}`",
        key.display(), cert.display()
    )]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A certificate or key of a form that is not known here.
    #[error("the certificate `{}` cannot be used with `{}`: {problem}", cert.display(), key.display())]
    Unusable {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What rustls says.
        problem: String,
    },
}

impl TlsProblem {
    /// Returns it as an error with the next step.
    pub(in crate::http) fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error("tls", self.to_string());
        match self {
            Self::Unreadable { kind, .. } => error.help(match kind {
                FileKind::Certificate => "check `serve.tls.cert` in params.yaml, or `--tls-cert`",
                FileKind::Key => "check `serve.tls.key` in params.yaml, or `--tls-key`",
            }),
            Self::Absent { kind, .. } => error.help(match kind {
                FileKind::Certificate => {
                    "it must be PEM: a block `-----BEGIN CERTIFICATE-----`, the server's own first"
                }
                FileKind::Key => "it must be PEM: a block `-----BEGIN PRIVATE KEY-----`",
            }),
            Self::Damaged { .. } => error.help("copy the file anew from where it was made"),
            Self::Encrypted { path } => error.help(format!(
                "a server has nobody to ask for the password: `openssl pkey -in {} -out plain.pem`, readable by its user alone",
                path.display()
            )),
            Self::Mismatch { .. } => error.help(
                "both must come from one request; the server's own certificate comes first in its file",
            ),
            Self::Unusable { .. } => {
                error.help("use a key of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519")
            }
        }
    }
}
