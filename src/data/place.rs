//! Puts one used output in place. Imports: base, project, store, `data::used`.

use crate::base::Cancel;
use crate::project::Project;
use crate::store::{self, OnConflict, Placed, Store};

use super::error::Error;
use super::used::Used;

/// What became of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Was anything there?
    pub kind: Kind,
    /// What was done.
    pub placed: Placed,
}

/// Was anything there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No.
    Added,
    /// Something else.
    Modified,
}

impl Kind {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
        }
    }
}

/// Makes the path of `used` what it is to be; `None` if it was that already.
///
/// # Errors
/// The cache lacks it, something is in the way, or a file operation failed; nothing that is not in
/// the cache was lost, unless the caller said that it may be.
pub fn place(
    project: &Project,
    store: &Store,
    used: &Used,
    on_conflict: OnConflict,
    cancel: &Cancel,
) -> Result<Option<Change>, Error> {
    if cancel.is_requested() {
        return Err(store::Error::Cancelled.into());
    }
    let target = project.absolute(&used.path);
    let kind = match std::fs::symlink_metadata(&target) {
        Ok(_) => Kind::Modified,
        Err(_) => Kind::Added,
    };
    let placed = store.place(&used.path, &used.object(), used.content.exec, on_conflict)?;
    if placed == Placed::default() {
        return Ok(None);
    }
    Ok(Some(Change { kind, placed }))
}
