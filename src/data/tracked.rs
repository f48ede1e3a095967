//! What a project tracks, for the verbs: its pointers, the outputs of its stages, its store.
//! Imports: `base`, `project`, `store`, `pipeline`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::diag::nearest;
use crate::base::path::PathError;
use crate::base::{self, ArtifactPath, Cancel};
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::{Freshness, StageName, StageSpec, Storage};
use crate::pipeline::{Pointer, PointerOut};
use crate::project::{InGit, Project};
use crate::store::{Presence, Store};

use super::error::{Error, Origin};

/// An output of a stage.
#[derive(Clone, Debug)]
pub struct StageOut {
    /// The stage that writes it.
    pub stage: StageName,
    /// Is it in the cache or left to git?
    pub storage: Storage,
    /// What the lock says it holds.
    pub recorded: Presence,
    /// May the stage run to make it anew? Not if it is frozen.
    pub freshness: Freshness,
}

/// What a project tracks.
#[derive(Debug)]
pub struct Tracked<'p> {
    /// The project.
    pub project: &'p Project,
    /// Its cache and workspace.
    pub store: Store,
    /// Its pointers, by file.
    pub pointers: Vec<Pointer>,
    /// The outputs of its stages.
    pub stage_outs: BTreeMap<ArtifactPath, StageOut>,
}

impl<'p> Tracked<'p> {
    /// Puts together what was read of `project`.
    #[must_use]
    pub fn new<'s>(
        project: &'p Project,
        cancel: &Cancel,
        pointers: Vec<Pointer>,
        stages: impl IntoIterator<Item = &'s StageSpec>,
        lock: &LockFile,
    ) -> Self {
        Self {
            project,
            store: Store::open(project, cancel),
            pointers,
            stage_outs: stage_outs(stages, lock),
        }
    }

    /// Returns the top folder of the project.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.project.root
    }

    /// Returns the path that the user in `folder` calls `text`.
    ///
    /// # Errors
    /// It is outside the project, or the project's own folder.
    pub fn locate(&self, folder: &Path, text: &str) -> Result<ArtifactPath, Error> {
        locate(&self.project.root, folder, text)
    }

    /// Returns the number of the pointer with an out that is `path` or a folder around it, and the
    /// number of the out.
    #[must_use]
    pub fn around(&self, path: &ArtifactPath) -> Option<(usize, usize)> {
        self.pointers.iter().enumerate().find_map(|(i, pointer)| {
            let at = pointer.outs.iter().position(|out| out.path.contains(path));
            at.map(|at| (i, at))
        })
    }

    /// Returns the pointer whose file is `file`.
    #[must_use]
    pub fn pointer(&self, file: &ArtifactPath) -> Option<usize> {
        self.pointers.iter().position(|p| p.file == *file)
    }

    /// Returns every tracked out of every pointer.
    pub fn outs(&self) -> impl Iterator<Item = (&Pointer, &PointerOut)> {
        let of = |pointer: &'_ Pointer| pointer.outs.len();
        self.pointers
            .iter()
            .flat_map(move |pointer| (0..of(pointer)).map(move |i| (pointer, &pointer.outs[i])))
    }

    /// Says that nothing tracks `path`, with the nearest that is tracked.
    #[must_use]
    pub fn unknown(&self, path: &ArtifactPath) -> Error {
        let pointers = self.pointers.iter().map(|p| p.file.as_str());
        let outs = self.outs().map(|(_, out)| out.path.as_str());
        let stages = self.stage_outs.keys().map(ArtifactPath::as_str);
        let known = pointers.chain(outs).chain(stages);
        Error::NotTracked {
            path: path.clone(),
            nearest: nearest(path.as_str(), known).map(str::to_owned),
        }
    }

    /// Says that nothing is recorded for `path`.
    pub(super) fn unrecorded(&self, path: &ArtifactPath) -> Error {
        if let Some(out) = self.stage_outs.get(path) {
            return Error::NoRun {
                path: path.clone(),
                origin: Origin::of(out),
            };
        }
        let pointer = self
            .around(path)
            .map(|(at, _)| self.pointers[at].file.clone());
        Error::Unrecorded {
            pointer: pointer.unwrap_or_else(|| path.clone()),
            path: path.clone(),
        }
    }

    /// Returns where the content of `path` comes from.
    #[must_use]
    pub(super) fn origin(&self, path: &ArtifactPath) -> Origin {
        self.stage_outs.get(path).map_or(Origin::User, Origin::of)
    }

    /// Gives every tracked path back the bytes that it has lost because it is a link to an object
    /// that was found damaged: somebody may have written them through the link. Returns those paths.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn rescue(&self) -> Result<Vec<String>, Error> {
        let data = self.outs().map(|(_, out)| (&out.path, out.storage));
        let stages = self.stage_outs.iter();
        let stages = stages.map(|(path, out)| (path, out.storage));
        let mut rescued = Vec::new();
        for (path, storage) in data.chain(stages) {
            if storage == Storage::Cached {
                rescued.extend(self.store.rescue(path)?);
            }
        }
        Ok(rescued)
    }

    /// Makes git ignore, or see, `paths`; returns the `.gitignore` files that were changed.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn set_ignored<'a>(
        &self,
        paths: impl IntoIterator<Item = (&'a ArtifactPath, InGit)>,
    ) -> Result<Vec<ArtifactPath>, Error> {
        let files = self.project.update_gitignore(paths)?;
        Ok(files.iter().filter_map(|file| self.inside(file)).collect())
    }

    fn inside(&self, file: &Path) -> Option<ArtifactPath> {
        let relative = file.strip_prefix(&self.project.root).ok()?;
        relative.to_str()?.parse().ok()
    }

    /// Refuses `path` as a new place of data: another pointer or a stage has it, lies in it, or holds
    /// it. The out `own` does not count.
    pub(super) fn check_free(
        &self,
        path: &ArtifactPath,
        own: Option<&ArtifactPath>,
    ) -> Result<(), Error> {
        for (out, by) in &self.stage_outs {
            if out.contains(path) || path.contains(out) {
                return Err(Error::StageOutput {
                    path: path.clone(),
                    out: out.clone(),
                    stage: by.stage.clone(),
                });
            }
        }
        for (pointer, out) in self.outs() {
            let overlaps = out.path.contains(path) || path.contains(&out.path);
            if overlaps && own != Some(&out.path) {
                return Err(Error::Overlap {
                    path: path.clone(),
                    out: out.path.clone(),
                    pointer: pointer.file.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Returns the outputs of `stages` with what `lock` records.
#[must_use]
pub fn stage_outs<'s>(
    stages: impl IntoIterator<Item = &'s StageSpec>,
    lock: &LockFile,
) -> BTreeMap<ArtifactPath, StageOut> {
    let mut outs = BTreeMap::new();
    for stage in stages {
        let entry = lock.stages.get(&stage.name);
        for (path, out) in &stage.outs {
            let recorded = entry.and_then(|entry| entry.outs.get(path)).copied();
            let out = StageOut {
                stage: stage.name.clone(),
                storage: out.storage,
                recorded: recorded.unwrap_or(Presence::Missing),
                freshness: stage.freshness,
            };
            outs.insert(path.clone(), out);
        }
    }
    outs
}

/// Returns the path below `root` that a user in `folder` calls `text`.
///
/// # Errors
/// It is outside the project, or its top folder.
pub fn locate(root: &Path, folder: &Path, text: &str) -> Result<ArtifactPath, Error> {
    let bad = |source: PathError| Error::Path {
        text: text.to_owned(),
        source,
    };
    let base = folder.strip_prefix(root).ok().and_then(Path::to_str);
    let base = base.ok_or_else(|| bad(PathError::Outside(text.to_owned())))?;
    if !Path::new(text).is_absolute() {
        return ArtifactPath::parse_in(base, text).map_err(bad);
    }
    // Links on the way are resolved, the last part is what is meant.
    let path = Path::new(text);
    let resolved = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => parent
            .canonicalize()
            .map_err(base::Error::io("open", parent))?
            .join(name),
        _ => path.to_owned(),
    };
    let inside = resolved.strip_prefix(root).ok().and_then(Path::to_str);
    let inside = inside.ok_or_else(|| bad(PathError::Outside(text.to_owned())))?;
    ArtifactPath::parse_in("", inside).map_err(bad)
}
