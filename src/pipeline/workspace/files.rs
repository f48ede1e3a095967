//! The project's files and cache as the pipeline sees them; shared by worker threads. Imports: base,
//! project, store, and the pipeline's other files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::doc::KeyPath;
use crate::base::fs::LinkKind;
use crate::base::hash::HashAlgo;
use crate::base::{self, ArtifactPath, Cancel, ContentHash, ObjectId, fs};
use crate::project::{InGit, Project};
use crate::store::{self, Cache, FileChange, Held, Listing, OnConflict, Presence, Store};

use crate::pipeline::decide::RunReason;
use crate::pipeline::error::Error;
use crate::pipeline::inputs::RunKey;
use crate::pipeline::lock::LockEntry;
use crate::pipeline::spec::{StageName, StageSpec, Storage};

/// What came of putting a recorded output in place.
#[derive(Debug)]
pub enum Restored {
    /// It is in place. What stood there and was not in the cache is kept under `saved`.
    Placed {
        /// The old content's object.
        saved: Option<ObjectId>,
    },
    /// The cache does not have it (whole).
    Unusable {
        /// What is missing or damaged.
        why: String,
    },
}

/// Gets objects that the cache does not have from somewhere else.
pub trait Fetch: std::fmt::Debug + Send + Sync {
    /// Puts `objects` into the cache, as far as they can be had.
    ///
    /// # Errors
    /// There is nowhere to get them from.
    fn fetch(&self, objects: &[ObjectId]) -> Result<(), Error>;
}

/// The project's files and cache.
pub struct Files<'p> {
    pub(super) project: &'p Project,
    store: Store,
}

impl<'p> Files<'p> {
    /// Opens the cache and the stat cache of `project`. Reads nothing yet.
    #[must_use]
    pub fn open(project: &'p Project, cancel: &Cancel) -> Self {
        Self {
            project,
            store: Store::open(project, cancel),
        }
    }

    /// Returns the path that stands for the right to run `stage`.
    #[must_use]
    pub fn scratch_claim(&self, stage: &StageName) -> Option<ArtifactPath> {
        let scratch = self.scratch_of(stage);
        let inside = scratch.strip_prefix(self.root()).ok()?;
        inside.to_str()?.parse().ok()
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> &'p Project {
        self.project
    }

    /// Returns the project's cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.store.cache
    }

    /// Returns the project's top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.project.root
    }

    /// Do files in the workspace share their bytes with the cache?
    pub(super) fn links(&self) -> bool {
        let shares = |kind: &LinkKind| matches!(kind, LinkKind::Hardlink | LinkKind::Symlink);
        self.project.config.link_kinds.iter().any(shares)
    }

    /// Returns where the lock file is.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.project.lock_file()
    }

    /// Returns the folder in which a stage's commands run.
    #[must_use]
    pub fn work_dir(&self, wdir: Option<&ArtifactPath>) -> PathBuf {
        wdir.map_or_else(
            || self.project.root.clone(),
            |w| w.under(&self.project.root),
        )
    }

    /// Returns the scratch folder of all attempts of `stage`.
    #[must_use]
    pub fn scratch_of(&self, stage: &StageName) -> PathBuf {
        self.project.layout.scratch().join(stage.file_name())
    }

    /// Creates the scratch folder of one run of `stage`: it survives a killed attempt and is found
    /// again by the next one with the same inputs.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn scratch(&self, stage: &StageName, key: &RunKey) -> Result<PathBuf, Error> {
        let dir = self.scratch_of(stage).join(key.to_string());
        fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        Ok(dir)
    }

    /// Creates the folder around an output.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create_parent(&self, path: &ArtifactPath) -> Result<(), Error> {
        if let Some(parent) = path.parent() {
            let dir = parent.under(&self.project.root);
            if !dir.is_dir() {
                fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
            }
        }
        Ok(())
    }

    /// Returns what stands at `path`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn snapshot(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        Ok(self.store.snapshot(path)?)
    }

    /// Puts what stands at `path` into the cache.
    ///
    /// # Errors
    /// It cannot be read or stored.
    pub fn keep(&self, path: &ArtifactPath) -> Result<Presence, Error> {
        Ok(self.store.save(path)?)
    }

    /// Could the cache give back what `recorded` names for the outputs of `stage`? Looks only for the
    /// objects themselves: neither at their bytes nor at the files of folders.
    pub(super) fn may_have(
        &self,
        stage: &StageSpec,
        recorded: &BTreeMap<ArtifactPath, Presence>,
    ) -> bool {
        stage.outs.keys().all(|path| {
            let object = recorded.get(path).and_then(Presence::object);
            object.is_some_and(|object| self.store.cache.object_path(&object).exists())
        })
    }

    /// Returns what stands at `path`, hashed as `recorded` is: DVC 2 had a hash of its own.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn snapshot_like(
        &self,
        path: &ArtifactPath,
        recorded: &Presence,
    ) -> Result<Presence, Error> {
        let algo = recorded.object().map(|object| object.hash().algo());
        if algo == Some(HashAlgo::Md5Dos2Unix) {
            return Ok(self.store.snapshot_legacy(path)?);
        }
        self.snapshot(path)
    }

    /// Does the cache have no object of this name? Looks at the name alone.
    #[must_use]
    pub fn lacks(&self, recorded: &Presence) -> bool {
        let object = recorded.object();
        object.is_some_and(|object| !self.store.cache.object_path(&object).exists())
    }

    /// Stores outputs again that went from the cache after they were stored and before a lock named
    /// them: while stages run, DVC may work in the repository, and collect garbage.
    ///
    /// # Errors
    /// One cannot be read or stored.
    pub fn keep_again(&self, stage: &StageSpec, entry: &LockEntry) -> Result<(), Error> {
        for (path, recorded) in &entry.outs {
            let out = stage.outs.get(path);
            if out.is_some_and(|out| out.storage == Storage::Cached) && self.lacks(recorded) {
                self.keep(path)?;
            }
        }
        Ok(())
    }

    /// Makes sure that what stands at `path` is in the cache; returns its object if it was not.
    ///
    /// # Errors
    /// It cannot be read or stored.
    pub fn secure(&self, path: &ArtifactPath) -> Result<Option<ObjectId>, Error> {
        let Some(object) = self.store.snapshot(path)?.object() else {
            return Ok(None);
        };
        if self.store.contains(&object)? == Held::Whole {
            return Ok(None);
        }
        let saved = self.store.save(path)?.object();
        // The stage may write in place right away.
        self.store.make_durable()?;
        Ok(saved)
    }

    /// Removes what stands at `path` after making sure that the cache has it; returns its object if
    /// that had to be done.
    ///
    /// # Errors
    /// It cannot be stored or removed.
    pub fn remove(&self, path: &ArtifactPath) -> Result<Option<ObjectId>, Error> {
        Ok(self.store.remove(path, OnConflict::SaveFirst)?.saved)
    }

    /// Puts a recorded output in place, keeping what stands there in the cache.
    ///
    /// # Errors
    /// The workspace cannot be written.
    pub fn restore(&self, path: &ArtifactPath, recorded: &Presence) -> Result<Restored, Error> {
        let Presence::Present(present) = recorded else {
            return Ok(Restored::Unusable {
                why: "the record names no content".to_owned(),
            });
        };
        match self
            .store
            .place(path, &present.object, present.exec, OnConflict::SaveFirst)
        {
            Ok(placed) => Ok(Restored::Placed {
                saved: placed.saved,
            }),
            Err(e @ (store::Error::NotInCache { .. } | store::Error::Listing { .. })) => {
                // The damage may be the user's edit, made through a link.
                self.store.rescue(path)?;
                Ok(Restored::Unusable { why: e.to_string() })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Fills in which files of a folder changed, where both versions are known.
    pub(super) fn explain(&self, reasons: &mut [RunReason]) {
        for reason in reasons {
            let (path, old, new, files) = match reason {
                RunReason::DependencyChanged {
                    path,
                    old: Some(old),
                    new: Some(new),
                    files,
                } => (path, old, new, files),
                RunReason::OutputModified {
                    path,
                    old,
                    new,
                    files,
                } => (path, old, new, files),
                _ => continue,
            };
            *files = self.changed_files(path, old, new);
        }
    }

    /// Returns which files of the folder `path` changed from `old` to `new`, which is what is there.
    /// What is not known is left out: this is only an explanation.
    #[must_use]
    pub fn changed_files(
        &self,
        path: &ArtifactPath,
        old: &Presence,
        new: &Presence,
    ) -> Vec<FileChange> {
        let (Some(ObjectId::Tree(old)), Some(ObjectId::Tree(_))) = (old.object(), new.object())
        else {
            return Vec::new();
        };
        let old = self.known_listing(&old);
        let new = self.store.snapshots.listing(path).ok().flatten();
        match (old, new) {
            (Some(old), Some(new)) => store::diff(&old, &new),
            _ => Vec::new(),
        }
    }

    fn known_listing(&self, hash: &ContentHash) -> Option<Listing> {
        let remembered = std::fs::read(self.listing_path(hash)).ok();
        let listing =
            remembered.and_then(|bytes| Listing::parse(self.store.cache.algo(), &bytes).ok());
        listing.or_else(|| self.store.cache.listing(hash).ok())
    }

    fn listing_path(&self, hash: &ContentHash) -> PathBuf {
        self.project.layout.listings().join(format!("{hash}.dir"))
    }

    /// Remembers the files of the folder `path` (not their bytes): a source folder is in no cache,
    /// and the next run should be able to say which of its files changed.
    ///
    /// # Errors
    /// The folder cannot be read, or the listing not written.
    pub fn remember(&self, path: &ArtifactPath, presence: &Presence) -> Result<(), Error> {
        let Some(object @ ObjectId::Tree(hash)) = presence.object() else {
            return Ok(());
        };
        let kept = self.listing_path(&hash);
        if kept.exists() || self.store.contains(&object)? == Held::Whole {
            return Ok(());
        }
        let Some(listing) = self.store.snapshots.listing(path)? else {
            return Ok(());
        };
        if listing.id(self.store.cache.algo()) == object {
            let dir = self.project.layout.listings();
            fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
            fs::write_atomic(&kept, &listing.to_bytes(self.store.cache.algo()))
                .map_err(base::Error::io("write", &kept))?;
        }
        Ok(())
    }

    /// Gets those of `deps` that are missing, as `recorded` says that they were.
    pub(super) fn pull(
        &self,
        fetch: &dyn Fetch,
        deps: &BTreeMap<ArtifactPath, KeyPath>,
        recorded: &LockEntry,
    ) -> Result<(), Error> {
        for path in deps.keys().filter(|p| !p.under(self.root()).exists()) {
            let Some(known) = recorded.deps.get(path) else {
                continue;
            };
            let Some(object) = known.object() else {
                continue;
            };
            if self.store.contains(&object)? != Held::Whole {
                fetch.fetch(&[object])?;
            }
            self.restore(path, known)?;
        }
        Ok(())
    }

    /// Can the recorded output `path` be had: is it in the cache, or in place already?
    ///
    /// # Errors
    /// The cache or the workspace cannot be read.
    pub fn has(&self, path: &ArtifactPath, recorded: &Presence) -> Result<bool, Error> {
        let Some(object) = recorded.object() else {
            return Ok(false);
        };
        Ok(self.store.contains(&object)? == Held::Whole
            || self.snapshot_like(path, recorded)? == *recorded)
    }

    /// Does the cache have the object whole?
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn holds(&self, object: &ObjectId) -> Result<bool, Error> {
        Ok(self.store.contains(object)? == Held::Whole)
    }

    /// Makes every object written so far durable.
    ///
    /// # Errors
    /// The system reports a write error.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.store.make_durable()?)
    }

    /// Makes the `.gitignore` files beside the outputs of `stages` list those that the cache holds
    /// and not those that are left to git.
    ///
    /// # Errors
    /// A `.gitignore` cannot be written.
    pub fn ignore_outs<'s>(
        &self,
        stages: impl IntoIterator<Item = &'s StageSpec>,
    ) -> Result<(), Error> {
        let outs = stages.into_iter().flat_map(|stage| &stage.outs);
        let wanted = outs.map(|(path, out)| match out.storage {
            Storage::Cached => (path, InGit::Ignored),
            Storage::Git => (path, InGit::Visible),
        });
        self.project.update_gitignore(wanted)?;
        Ok(())
    }

    /// Returns how many files have been hashed.
    #[must_use]
    pub fn files_hashed(&self) -> u64 {
        self.store.snapshots.stats().files_hashed
    }

    /// Remembers what was learnt about the workspace, for the next command.
    pub fn finish(&self) {
        self.store.finish();
    }
}
