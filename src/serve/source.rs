//! Where a model comes from: a folder, or a registry that names a version. What is there is looked at
//! cheaply, and brought when it is to be loaded (`model`).
//!
//! A model of a registry is followed: `cli` hands in who knows which version is meant now
//! (`Registry`). This room knows no registry but by that trait.
//!
//! Imports: vision, `serve::error`.

use std::any::Any;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::vision::artifact::ModelFiles;

use super::Error;

/// The version of every model that is served from a folder; a registry counts its own.
const FOLDER_VERSION: &str = "1";

/// What the lock says about a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// The folder is what the lock records.
    Matches,
    /// The lock records another content.
    Differs,
    /// No lock records this folder.
    Absent,
}

impl LockState {
    /// Returns the word of `GET /model`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Differs => "differs",
            Self::Absent => "absent",
        }
    }
}

/// Must a model be the one that the lock records?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// No: a difference is a warning.
    Warn,
    /// Yes: another one is not served.
    Refuse,
}

/// When a model is compared with the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its folder is loaded now: what is in there counts from now on.
    Loading,
    /// It was loaded before: only what the lock says may have changed.
    Serving,
}

/// Compares the model with the lock.
pub type LockCheck = Arc<dyn Fn(Moment) -> LockState + Send + Sync>;

/// How well a model did where it was evaluated: names and finite values, the most telling first; empty
/// if that is not known.
pub type Figures = Vec<(String, f64)>;

/// Says how well the model in a folder did, as far as the lock knows; about what was there when the
/// folder was last compared with it. Asked once a second while the model is served, so it has to be
/// cheap.
pub type Evaluated = Arc<dyn Fn() -> Figures + Send + Sync>;

/// A registry of models, seen from a server of one of them.
pub trait Registry: Send + Sync {
    /// Says which version is to be served now: the one that `target` means, or, without one, the one
    /// that the server was started with. Asked about once a second, so it has to be cheap.
    ///
    /// # Errors
    /// Why there is none, in words for people.
    fn named(&self, target: Option<&Target>) -> Result<Named, String>;

    /// Brings the files of a version into a folder, all of them.
    ///
    /// # Errors
    /// What is missing or cannot be read, in words for people.
    fn bring(&self, named: &Named) -> Result<Brought, String>;
}

/// Which version an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Version(String),
    /// The one that has this alias, now and later.
    Alias(String),
}

/// A version that is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which one; another one has another name.
    pub version: String,
    /// The alias under which it was asked for.
    pub alias: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
}

/// The files of a version.
pub struct Brought {
    /// The folder they are in.
    pub dir: PathBuf,
    /// Keeps the folder; dropped when the model is in memory.
    pub kept: Box<dyn Any + Send>,
    /// How well it did, if whoever brings it knows.
    pub scores: Figures,
}

/// Where a model comes from.
#[derive(Clone)]
pub enum Origin {
    /// This folder, or this ONNX file.
    Folder(PathBuf),
    /// A registry says where.
    Registry(Arc<dyn Registry>),
}

/// Why there is no model to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// This file of its folder is missing.
    File(PathBuf),
    /// The registry names no version, for this reason.
    Version(String),
}

/// Which model to serve.
#[derive(Clone)]
pub struct ModelSource {
    /// Where it comes from.
    pub origin: Origin,
    /// The folder, or the name in the registry, as the user gave it.
    pub shown: PathBuf,
    /// The name under which it is served.
    pub name: String,
    /// Compares it with the lock.
    pub check: LockCheck,
    /// Says how well what is in the folder did.
    pub evaluated: Evaluated,
    /// What a difference means.
    pub strictness: Strictness,
    /// The command that makes the model, if one is known.
    pub made_by: Option<String>,
}

/// Which bytes a folder held when it was last looked at: a change of any file changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<[i64; 4]>);

/// What is there to be loaded; equal if nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder with this content.
    Folder(Stamp),
    /// This version.
    Version(Named),
}

impl ModelSource {
    /// Says that there is no model, and what to do.
    #[must_use]
    pub fn absence(&self, absence: &Absence) -> String {
        let missing = match absence {
            Absence::File(missing) => format!("`{}` is missing", missing.display()),
            Absence::Version(problem) => problem.clone(),
        };
        match &self.made_by {
            Some(command) => format!(
                "there is no model yet: {missing}; `{command}` makes one, and it is then loaded by itself"
            ),
            None => format!(
                "there is no model yet: {missing}; as soon as there is one, it is loaded by itself"
            ),
        }
    }

    /// Returns the version that is known before a model is loaded; empty if there is none.
    pub(super) fn version_before(&self) -> &'static str {
        match self.origin {
            Origin::Folder(_) => FOLDER_VERSION,
            Origin::Registry(_) => "",
        }
    }

    /// Returns what is there to be loaded; of a registry what `target` means, if that is given.
    pub(super) fn look(&self, target: Option<&Target>) -> Result<Found, Absence> {
        match &self.origin {
            Origin::Folder(dir) => look(dir).map(Found::Folder).map_err(|missing| {
                Absence::File(match missing.strip_prefix(dir) {
                    Ok(inside) if !inside.as_os_str().is_empty() => self.shown.join(inside),
                    _ => self.shown.clone(),
                })
            }),
            Origin::Registry(registry) => registry
                .named(target)
                .map(Found::Version)
                .map_err(Absence::Version),
        }
    }

    /// Returns the folder of what was found, and which version it is.
    pub(super) fn bring(&self, found: &Found) -> Result<(Brought, Named), Error> {
        match (&self.origin, found) {
            (Origin::Registry(registry), Found::Version(named)) => {
                let brought = registry.bring(named).map_err(|problem| Error::NoFiles {
                    model: self.name.clone(),
                    version: named.version.clone(),
                    problem,
                })?;
                Ok((brought, named.clone()))
            }
            // What was found came from `look`: a folder for a folder.
            (Origin::Folder(dir), _) => {
                let brought = Brought {
                    dir: dir.clone(),
                    kept: Box::new(()),
                    scores: Vec::new(),
                };
                let version = Named {
                    version: FOLDER_VERSION.to_owned(),
                    alias: None,
                    run_id: None,
                };
                Ok((brought, version))
            }
            (Origin::Registry(_), Found::Folder(_)) => Err(Error::Start {
                problem: "a folder was found in a registry".to_owned(),
            }),
        }
    }
}

fn look(dir: &Path) -> Result<Stamp, PathBuf> {
    let files = ModelFiles::look(dir)?;
    let stamp = |file: &PathBuf| {
        let meta = std::fs::metadata(file).map_err(|_| file.clone())?;
        let size = i64::try_from(meta.size()).unwrap_or(i64::MAX);
        let inode = meta.ino().cast_signed();
        Ok([meta.mtime(), meta.mtime_nsec(), size, inode])
    };
    files.iter().map(stamp).collect::<Result<_, _>>().map(Stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::artifact::ModelArtifact;

    #[test]
    fn a_folder_is_looked_at_before_it_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let missing = look(dir.path()).unwrap_err();
        assert_eq!(missing.file_name().unwrap(), "model.json");
        ModelArtifact::tiny().save(dir.path()).unwrap();
        let first = look(dir.path()).unwrap();
        assert_eq!(look(dir.path()).unwrap(), first);
        ModelArtifact::tiny().save(dir.path()).unwrap();
        assert_ne!(look(dir.path()).unwrap(), first, "other inodes");
    }
}
