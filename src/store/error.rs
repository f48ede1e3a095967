//! The error of this room. Imports: `base`, `project`.

use std::io;
use std::path::PathBuf;

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{self, ArtifactPath, ContentHash, ObjectId};
use crate::project;

/// How many paths or objects a message lists before it only counts.
const LISTED_MAX: usize = 5;

/// Why bytes could not be hashed, stored or put back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fifo, socket or device where a file or folder is expected.
    #[error("`{}` is a {kind}, not a file or folder", path.display())]
    SpecialFile {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A file name that a listing cannot hold.
    #[error("`{}` cannot be tracked: its name holds a backslash", path.display())]
    UntrackableName {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder was written to, again and again, while it was being read.
    #[error("`{}` changes while it is being read", path.display())]
    Changing {
        /// The file or folder.
        path: PathBuf,
    },
    /// A listing object whose bytes match its hash but break the format.
    #[error("the directory listing `{}` is not in a known form: {problem}", hash.short())]
    Listing {
        /// Its hash.
        hash: ContentHash,
        /// What is wrong.
        problem: String,
    },
    /// The cache lacks objects (or had to take corrupt ones out).
    #[error("the cache {}", lack(object, missing, corrupt))]
    NotInCache {
        /// What was asked for.
        object: ObjectId,
        /// Objects that are not there.
        missing: Vec<ObjectId>,
        /// Objects whose bytes were wrong; they were moved to the cache's `corrupt` folder.
        corrupt: Vec<ObjectId>,
    },
    /// Writing would destroy content that is nowhere else.
    #[error("`{path}` holds content that is not in the cache")]
    WouldOverwrite {
        /// The output.
        path: ArtifactPath,
    },
    /// Files that are not tracked stand where the output must go.
    #[error(
        "`{path}` cannot be replaced: ignored files are in the way: {}",
        names(left)
    )]
    InTheWay {
        /// The output.
        path: ArtifactPath,
        /// Files that would be lost.
        left: Vec<String>,
    },
    /// A remote cannot be used.
    #[error("could not {doing} the remote `{remote}` (`{url}`): {source}")]
    Remote {
        /// Its name.
        remote: String,
        /// Where it is.
        url: String,
        /// What was attempted, as a verb phrase: `write to`.
        doing: &'static str,
        /// What it answered.
        source: io::Error,
    },
    /// A link into the cache whose object is gone: nothing can be read there.
    #[error("`{}` is a link into the cache, which does not have its object", path.display())]
    LostLink {
        /// The link.
        path: PathBuf,
    },
    /// Asked to stop.
    #[error("stopped before it was finished")]
    Cancelled,
    /// Ignore rules cannot be read.
    #[error(transparent)]
    Project(#[from] project::Error),
    /// A file operation failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

fn names(items: &[String]) -> String {
    let shown: Vec<String> = items
        .iter()
        .take(LISTED_MAX)
        .map(|i| format!("`{i}`"))
        .collect();
    let more = items.len().saturating_sub(LISTED_MAX);
    let tail = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("{}{tail}", shown.join(", "))
}

/// Says what the cache lacks of `object`, each hash once.
pub(crate) fn lack(object: &ObjectId, missing: &[ObjectId], corrupt: &[ObjectId]) -> String {
    match (missing, corrupt) {
        ([one], []) if one == object => return format!("does not have `{}`", object.short()),
        ([], [one]) if one == object => {
            return format!("has a damaged object under `{}`", object.short());
        }
        _ => {}
    }
    let part = |objects: &[ObjectId], what: &str| {
        let shorts: Vec<String> = objects.iter().map(ObjectId::short).collect();
        (!objects.is_empty()).then(|| format!("{what} {}", names(&shorts)))
    };
    let parts: Vec<String> = [part(missing, "missing"), part(corrupt, "damaged")]
        .into_iter()
        .flatten()
        .collect();
    let parts = parts.join("; ");
    format!(
        "does not have all of the folder `{}`: {parts}",
        object.short()
    )
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let message = self.to_string();
        let diagnostic = match self {
            Self::SpecialFile { .. } => Diagnostic::error("special-file", message)
                .help("remove it, or list it in `.cvopsignore`"),
            Self::UntrackableName { .. } => Diagnostic::error("untrackable-name", message)
                .help("rename the file, or list it in `.cvopsignore`"),
            Self::Changing { .. } => Diagnostic::error("changing-file", message)
                .help("wait until the program that writes it has finished, then run again"),
            Self::Listing { .. } => Diagnostic::error("listing", message)
                .help("it was probably written by a newer version of cvops"),
            Self::NotInCache { corrupt, .. } => {
                let diagnostic = Diagnostic::error("not-in-cache", message)
                    .help("`cvops fetch` brings it from a remote; `cvops repro` makes outputs anew");
                if corrupt.is_empty() {
                    diagnostic
                } else {
                    diagnostic
                        .note("corrupt objects were moved to the `corrupt` folder of the cache")
                }
            }
            Self::LostLink { .. } => Diagnostic::error("lost-link", message).help(
                "`cvops fetch` and `cvops checkout` bring it back from a remote; or remove the link",
            ),
            Self::WouldOverwrite { .. } => Diagnostic::error("would-overwrite", message)
                .help("save it with `cvops commit`, move it away, or pass `--force` to lose it"),
            Self::InTheWay { .. } => Diagnostic::error("in-the-way", message)
                .help("move them away; they are ignored, so they are not in the cache"),
            Self::Remote {
                remote,
                url,
                source,
                ..
            } => Diagnostic::error("remote", message).help(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
                    "free some space at `{url}`, then run the same command again: what arrived is not sent twice"
                ),
                io::ErrorKind::PermissionDenied => format!(
                    "you need permission there (`ls -ld {url}` shows owner and mode), then run the same command again"
                ),
                _ => format!(
                    "check that `{url}` can be reached, or `cvops remote modify {remote} url PATH`; then run the same command again: what arrived stays"
                ),
            }),
            Self::Cancelled => Diagnostic::error("cancelled", message),
            Self::Project(error) => return error.to_diagnostics(),
            Self::Base(error) => return error.to_diagnostics(),
        };
        vec![diagnostic]
    }
}
