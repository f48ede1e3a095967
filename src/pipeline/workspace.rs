//! What is true in the workspace now, and the few things that change it: the pipeline's view of
//! project and cache.
//!
//! `Files` is shared by worker threads; `Workspace` adds what only the coordinator needs (params,
//! run records, environment) and judges stages. Imports: base, project, store, and the pipeline's
//! other files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::doc::{KeyPath, Value};
use crate::base::fs::LinkKind;
use crate::base::hash::HashAlgo;
use crate::base::{self, ArtifactPath, Cancel, ContentHash, ObjectId, fs};
use crate::project::{InGit, Project, claims, git};
use crate::store::{self, FileChange, Held, Listing, OnConflict, Presence, Store};

use super::decide::{self, Facts, Force, RunReason, RunRecords, StageDecision};
use super::error::Error;
use super::graph::{Maker, StageGraph};
use super::inputs::{Inputs, RunKey};
use super::lock::{LockEntry, LockFile};
use super::params::ParamFiles;
use super::plan::Plan;
use super::run_cache::RunCache;
use super::spec::{BeforeRun, Freshness, ParamRef, StageName, StageSpec, Storage};

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

/// What is done about data that is recorded and not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingData {
    /// It is missing: whoever needs it fails, and what should be there is made again.
    #[default]
    Counts,
    /// It is taken to be as recorded: `--allow-missing`.
    IsAsRecorded,
}

/// The project's files and cache.
pub struct Files<'p> {
    project: &'p Project,
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

    /// Returns the project's top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.project.root
    }

    /// Do files in the workspace share their bytes with the cache?
    fn links(&self) -> bool {
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
    fn may_have(&self, stage: &StageSpec, recorded: &BTreeMap<ArtifactPath, Presence>) -> bool {
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
    fn explain(&self, reasons: &mut [RunReason]) {
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
    fn pull(
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

/// A stage's inputs now, and what follows from them.
#[derive(Debug)]
pub struct Judged {
    /// The inputs.
    pub inputs: Inputs,
    /// The judgement.
    pub decision: StageDecision,
}

/// `Files` with what the coordinator needs beside.
pub struct Workspace<'p> {
    /// The files.
    pub files: &'p Files<'p>,
    /// The run cache.
    pub runs: RunCache,
    params: ParamFiles,
    env: &'p BTreeMap<String, String>,
    missing: MissingData,
    fetch: Option<Arc<dyn Fetch>>,
    /// What git tracks, once it was asked.
    in_git: Option<BTreeSet<ArtifactPath>>,
}

impl<'p> Workspace<'p> {
    /// Starts with nothing read. `env` is the environment that `env:` dependencies read from.
    #[must_use]
    pub fn new(files: &'p Files<'p>, env: &'p BTreeMap<String, String>) -> Self {
        Self {
            files,
            runs: RunCache::open(files.project),
            params: ParamFiles::new(&files.project.root),
            env,
            missing: MissingData::Counts,
            fetch: None,
            in_git: None,
        }
    }

    /// Says what is done about data that is recorded and not there.
    #[must_use]
    pub fn with_missing(mut self, missing: MissingData) -> Self {
        self.missing = missing;
        self
    }

    /// Gets what the cache does not have from there.
    #[must_use]
    pub fn with_fetch(mut self, fetch: Option<Arc<dyn Fetch>>) -> Self {
        self.fetch = fetch;
        self
    }

    /// Returns the environment that `env:` dependencies read from.
    #[must_use]
    pub fn env(&self) -> &'p BTreeMap<String, String> {
        self.env
    }

    /// Returns the values of the params of `stage` as they are now.
    ///
    /// # Errors
    /// A params file or key is missing.
    pub fn params(&mut self, stage: &StageSpec) -> Result<BTreeMap<ParamRef, Value>, Error> {
        self.params.of_stage(stage)
    }

    /// Returns the content of a params file, if it is there.
    ///
    /// # Errors
    /// It is broken.
    pub fn params_file(&mut self, file: &ArtifactPath) -> Result<Option<Value>, Error> {
        Ok(self.params.file(file)?.cloned())
    }

    /// Returns the inputs of `stage`; deps in `predicted` are taken from there.
    ///
    /// # Errors
    /// A params file or key is missing, or a dep cannot be read.
    pub fn inputs(
        &mut self,
        stage: &StageSpec,
        predicted: &BTreeMap<ArtifactPath, Presence>,
    ) -> Result<Inputs, Error> {
        let params = self.params.of_stage(stage)?;
        let mut deps = BTreeMap::new();
        for path in stage.deps.keys() {
            let presence = match predicted.get(path) {
                Some(known) => *known,
                None => self.files.snapshot(path)?,
            };
            deps.insert(path.clone(), presence);
        }
        let env = stage
            .env
            .iter()
            .map(|name| (name.clone(), self.env.get(name).cloned()))
            .collect();
        Ok(Inputs {
            commands: stage.commands.clone(),
            deps,
            params,
            env,
        })
    }

    /// Judges `stage` with its inputs as they are now.
    ///
    /// # Errors
    /// As `inputs`; or an output cannot be read.
    pub fn judge(
        &mut self,
        stage: &StageSpec,
        lock: &LockFile,
        rewritten: &BTreeMap<ArtifactPath, StageName>,
        force: Force,
        records: RunRecords,
        predicted: &BTreeMap<ArtifactPath, Presence>,
    ) -> Result<Judged, Error> {
        // A frozen stage never runs and a service is never judged by its inputs, so nothing they name
        // has to be there: `decide` asks no further.
        let locked = lock.stages.get(&stage.name);
        let is_passed_over = stage.freshness == Freshness::Frozen || stage.service.is_some();
        if let (Some(fetch), Some(locked), false) = (&self.fetch, locked, is_passed_over) {
            self.files.pull(fetch.as_ref(), &stage.deps, locked)?;
        }
        let mut inputs = if is_passed_over {
            Inputs {
                commands: stage.commands.clone(),
                deps: BTreeMap::new(),
                params: BTreeMap::new(),
                env: BTreeMap::new(),
            }
        } else {
            self.inputs(stage, predicted)?
        };
        let mut outs = BTreeMap::new();
        for path in stage.outs.keys().filter(|_| !is_passed_over) {
            outs.insert(path.clone(), self.files.snapshot(path)?);
        }
        if let (MissingData::IsAsRecorded, Some(locked)) = (self.missing, locked) {
            assume(&mut inputs.deps, &locked.deps);
            assume(&mut outs, &locked.outs);
        }
        let as_today = match locked {
            Some(locked) => self.in_todays_hash(locked, &inputs.deps, &outs)?,
            None => None,
        };
        let facts = Facts {
            stage,
            inputs: &inputs,
            locked: as_today.as_ref().or(locked),
            outs: &outs,
            rewritten,
            bare_stages: self.files.project.personality.bare_stages,
            force,
            records,
        };
        let earlier_run = || match records {
            RunRecords::Ignore => None,
            RunRecords::Use if !can_be_reused(stage) => None,
            RunRecords::Use => self.runs.find(stage, &inputs),
        };
        let can_give_back = |entry: &LockEntry| {
            self.files.may_have(stage, &entry.outs)
                || self.fetch.as_ref().is_some_and(|fetch| {
                    let objects: Vec<_> =
                        entry.outs.values().filter_map(Presence::object).collect();
                    // What cannot be had is made again.
                    fetch.fetch(&objects).is_ok() && self.files.may_have(stage, &entry.outs)
                })
        };
        let mut decision = decide::decide(&facts, &earlier_run, &can_give_back);
        if let StageDecision::Run(reasons)
        | StageDecision::Restore {
            because: reasons, ..
        } = &mut decision
        {
            self.files.explain(reasons);
        }
        Ok(Judged { inputs, decision })
    }

    /// Returns what the lock says of a stage with the hashes of DVC 2 put in today's, where the content
    /// is the recorded one; `None` where it says nothing in them. A stage does not run again because
    /// a newer tool hashes differently.
    fn in_todays_hash(
        &self,
        locked: &LockEntry,
        deps: &BTreeMap<ArtifactPath, Presence>,
        outs: &BTreeMap<ArtifactPath, Presence>,
    ) -> Result<Option<LockEntry>, Error> {
        let is_old = |presence: &Presence| {
            let object = presence.object();
            object.is_some_and(|object| object.hash().algo() == HashAlgo::Md5Dos2Unix)
        };
        if !locked.deps.values().chain(locked.outs.values()).any(is_old) {
            return Ok(None);
        }
        let mut entry = locked.clone();
        for (recorded, now) in [(&mut entry.deps, deps), (&mut entry.outs, outs)] {
            for (path, recorded) in recorded.iter_mut().filter(|(_, recorded)| is_old(recorded)) {
                let Some(now) = now.get(path).filter(|now| !is_old(now)) else {
                    continue;
                };
                if self.files.snapshot_like(path, recorded)? == *recorded {
                    *recorded = *now;
                }
            }
        }
        Ok(Some(entry))
    }

    /// Finds what would stop the plan later. Better now than after an hour of training.
    ///
    /// # Errors
    /// All problems found.
    pub fn preflight(&mut self, plan: &Plan<'_>) -> Result<(), Error> {
        let mut problems = self.obstacles(plan);
        match problems.len() {
            0 => Ok(()),
            1 => Err(problems.remove(0)),
            _ => Err(Error::Several(problems)),
        }
    }

    /// Returns what would stop the plan: missing params, deps that neither exist nor are written by
    /// a planned stage, outputs that would damage the cache. In the order of the plan.
    pub fn obstacles(&mut self, plan: &Plan<'_>) -> Vec<Error> {
        let graph = plan.graph();
        let mut problems = Vec::new();
        // A broken params file would be reported by each stage that reads it.
        let mut said = BTreeSet::new();
        for &index in plan.order() {
            let stage = &graph.stages()[index];
            let stays_out = stage.service.is_some() && !plan.services().contains(&index);
            if stays_out {
                continue;
            }
            if stage.freshness == Freshness::Frozen {
                problems.extend(self.frozen_missing(graph, stage));
                continue;
            }
            let made = |path: &ArtifactPath| {
                graph
                    .outs_touching(path)
                    .iter()
                    .any(|(_, producer)| plan.contains(*producer))
            };
            // Params that a planned stage writes are read when it has run.
            if !stage.params.keys().any(|param| made(&param.file))
                && let Err(error) = self.params.of_stage(stage)
                && said.insert(error.to_string())
            {
                problems.push(graph.at_its_line(stage, error));
            }
            for path in stage.deps.keys() {
                let is_missing = !made(path) && !path.under(self.files.root()).exists();
                // It may be known from the lock, or another command may be making it just now: then
                // the stage itself says so if it has to run without it.
                if is_missing
                    && self.missing == MissingData::Counts
                    && self.fetch.is_none()
                    && claims::look(&self.files.project.layout).living.is_empty()
                {
                    problems.push(missing_dependency(graph, stage, path));
                }
            }
            if !can_be_reused(stage) && self.files.links() {
                problems.push(Error::PersistLinked {
                    stage: stage.name.clone(),
                });
            }
        }
        problems
    }

    /// Returns the outputs of a frozen stage that are not in place.
    fn frozen_missing(&self, graph: &StageGraph, stage: &StageSpec) -> Vec<Error> {
        if self.missing == MissingData::IsAsRecorded {
            return Vec::new();
        }
        let gone = stage
            .outs
            .iter()
            .filter(|(path, _)| std::fs::symlink_metadata(path.under(self.files.root())).is_err());
        let gone = gone.map(|(path, out)| {
            let error = Error::FrozenMissing {
                stage: stage.name.clone(),
                path: path.clone(),
                storage: out.storage,
            };
            graph.at_its_line(stage, error)
        });
        gone.collect()
    }

    /// Returns the outputs of a stage that git tracks although the cache is to keep them: git records
    /// what comes and goes, and DVC refuses to run such a stage.
    pub fn outs_in_git(&mut self, graph: &StageGraph, stage: &StageSpec) -> Vec<Error> {
        let project = self.files.project;
        let in_git = self.in_git.get_or_insert_with(|| {
            let tracked = if project.config.no_scm {
                Vec::new()
            } else {
                git::tracked(&project.root)
            };
            tracked.into_iter().collect()
        });
        let is_in_git = |path: &ArtifactPath| {
            let inside = in_git.range(path.first_inside()..).next();
            in_git.contains(path) || inside.is_some_and(|file| path.contains(file))
        };
        let cached = stage
            .outs
            .iter()
            .filter(|(path, out)| out.storage == Storage::Cached && is_in_git(path));
        let errors = cached.map(|(path, _)| {
            let (name, path) = (stage.name.clone(), path.clone());
            graph.at_its_line(stage, Error::OutInGit { stage: name, path })
        });
        errors.collect()
    }

    /// Checks, right before a stage runs, that all its deps are there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_deps(
        &self,
        graph: &StageGraph,
        stage: &StageSpec,
        inputs: &Inputs,
    ) -> Result<(), Error> {
        let is_missing = |path: &ArtifactPath, presence: &Presence| {
            let is_assumed = self.missing == MissingData::IsAsRecorded;
            *presence == Presence::Missing
                || (is_assumed && !path.under(self.files.root()).exists())
        };
        match inputs.deps.iter().find(|(path, p)| is_missing(path, p)) {
            Some((path, _)) => Err(missing_dependency(graph, stage, path)),
            None => Ok(()),
        }
    }
}

/// Takes what is not there to be as it was recorded.
fn assume(now: &mut BTreeMap<ArtifactPath, Presence>, recorded: &BTreeMap<ArtifactPath, Presence>) {
    for (path, presence) in now {
        if let (Presence::Missing, Some(known)) = (&*presence, recorded.get(path)) {
            *presence = *known;
        }
    }
}

fn missing_dependency(graph: &StageGraph, stage: &StageSpec, path: &ArtifactPath) -> Error {
    let pointer = match graph.maker_of(path) {
        Some(Maker::Pointer(pointer)) => Some(graph.pointers()[pointer].file.clone()),
        Some(Maker::Stage(_)) | None => None,
    };
    let error = Error::MissingDependency {
        stage: stage.name.clone(),
        path: path.clone(),
        producer: graph
            .producer_of(path)
            .map(|p| graph.stages()[p].name.clone()),
        pointer,
    };
    graph.at_its_line(stage, error)
}

/// Are the outputs of `stage` a function of its inputs? Not if it builds on what was there before
/// (`persist: true`): such a result is neither recorded for reuse nor replaced by an earlier one.
#[must_use]
pub fn can_be_reused(stage: &StageSpec) -> bool {
    stage
        .outs
        .values()
        .all(|out| out.before_run == BeforeRun::Remove)
}
