//! Pointer files: `data/raw.cvops` (or `data/raw.dvc`) says which content belongs at `data/raw`.
//! Imports: base, project, store, spec.
//!
//! A pointer is a node of the graph without a command: its outs are data sources. Both personalities
//! share one shape, that of DVC's `*.dvc` files; a cvops pointer names its hash `blake3:` where DVC
//! writes `md5:` and `hash: md5`. Paths are relative to the file's folder (and `wdir`).
//!
//! `md5:` without `hash: md5` is how DVC 2 wrote it: the hash is one with equalised line ends.
//!
//! A pointer that was read keeps its document: writing it changes what differs and nothing else, so
//! comments, `meta` and keys that mean nothing to us stay as they are.

mod read;
mod walk;
mod write;

use crate::base::doc::{Document, KeyPath, Map, Value};
use crate::base::{ArtifactPath, ObjectId};
use crate::store::{Presence, Present};

use super::spec::{BeforeRun, Storage};

pub use read::parse;
pub use walk::{Found, find, find_around};

/// One pointer file.
#[derive(Clone, Debug)]
pub struct Pointer {
    /// Where the file is: `data/raw.dvc`. It is also the address of the node in the graph.
    pub file: ArtifactPath,
    /// The folder that its paths are relative to; `None` is the root.
    pub base: Option<ArtifactPath>,
    /// What it tracks; mostly one.
    pub outs: Vec<PointerOut>,
    /// Where the data came from, if it was imported.
    pub deps: Vec<PointerDep>,
    /// Imported data is left alone until it is asked for.
    pub frozen: bool,
    /// The checksum that DVC keeps over the file of an import.
    pub md5: Option<String>,
    /// A sentence for people.
    pub desc: Option<String>,
    /// The file as it was read; `None` for a new one.
    pub document: Option<Document>,
}

/// One tracked path.
#[derive(Clone, Debug, PartialEq)]
pub struct PointerOut {
    /// Where it belongs.
    pub path: ArtifactPath,
    /// What belongs there; `Missing` if nothing is recorded yet (an import that was not fetched).
    pub recorded: Presence,
    /// `cache: false` leaves the data to git.
    pub storage: Storage,
    /// `persist: true`.
    pub before_run: BeforeRun,
    /// `push: false` keeps it away from every remote.
    pub push: bool,
    /// The remote that it always goes to.
    pub remote: Option<String>,
    /// A sentence for people.
    pub desc: Option<String>,
    /// What it is, in the user's words (`type:`).
    pub kind: Option<String>,
    /// The user's labels.
    pub labels: Vec<String>,
    /// Anything the user notes.
    pub meta: Value,
    /// Where it stands in the file.
    pub declared: KeyPath,
}

/// Where imported data came from.
#[derive(Clone, Debug, PartialEq)]
pub struct PointerDep {
    /// The file in this project, if it is one.
    pub path: Option<ArtifactPath>,
    /// All keys as written: `path` or `url`, `repo`, `etag`, `md5`, `version_id`, …
    pub fields: Map,
    /// Where it stands in the file.
    pub declared: KeyPath,
}

impl Pointer {
    /// Returns a new pointer for `path`: `file` stands beside it.
    #[must_use]
    pub fn new(file: ArtifactPath, path: ArtifactPath, recorded: Presence) -> Self {
        let base = file.parent();
        Self {
            file,
            base,
            outs: vec![PointerOut::new(path, recorded)],
            deps: Vec::new(),
            frozen: false,
            md5: None,
            desc: None,
            document: None,
        }
    }

    /// Was its data imported from elsewhere?
    #[must_use]
    pub fn is_import(&self) -> bool {
        !self.deps.is_empty()
    }

    /// Returns the out that is `path`, or a folder around it.
    #[must_use]
    pub fn out_around(&self, path: &ArtifactPath) -> Option<&PointerOut> {
        self.outs.iter().find(|out| out.path.contains(path))
    }
}

impl PointerOut {
    /// Returns an out without any wish of the user's.
    #[must_use]
    pub fn new(path: ArtifactPath, recorded: Presence) -> Self {
        Self {
            path,
            recorded,
            storage: Storage::Cached,
            before_run: BeforeRun::Remove,
            push: true,
            remote: None,
            desc: None,
            kind: None,
            labels: Vec::new(),
            meta: Value::Null,
            declared: KeyPath::root().key("outs").index(0),
        }
    }

    /// Returns the recorded content, if any is recorded.
    #[must_use]
    pub fn present(&self) -> Option<Present> {
        match self.recorded {
            Presence::Missing => None,
            Presence::Present(present) => Some(present),
        }
    }

    /// Returns the recorded object, if any is recorded.
    #[must_use]
    pub fn object(&self) -> Option<ObjectId> {
        self.recorded.object()
    }

    /// Is `now` what is recorded? Sizes and execute bits do not count, as in DVC.
    #[must_use]
    pub fn is_recorded(&self, now: &Presence) -> bool {
        self.object() == now.object()
    }
}

#[cfg(test)]
mod tests;
