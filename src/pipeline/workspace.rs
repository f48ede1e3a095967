//! What is true in the workspace now, and the few things that change it: the pipeline's view of
//! project and cache.
//!
//! `Files` (`files`) is shared by worker threads; `Workspace` adds what only the coordinator needs
//! (params, run records, environment), judges stages, and says what would stop a plan (`obstacles`). Imports: base, project, store, and the pipeline's
//! other files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::ArtifactPath;
use crate::base::doc::Value;
use crate::base::hash::HashAlgo;
use crate::store::Presence;

use super::decide::{self, Facts, Force, RunRecords, StageDecision};
use super::error::Error;
use super::inputs::Inputs;
use super::lock::{LockEntry, LockFile};
use super::params::ParamFiles;
use super::run_cache::RunCache;
use super::spec::{BeforeRun, Freshness, ParamRef, StageName, StageSpec};

mod files;
mod obstacles;

pub use files::{Fetch, Files, Restored};

/// What is done about data that is recorded and not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingData {
    /// It is missing: whoever needs it fails, and what should be there is made again.
    #[default]
    Counts,
    /// It is taken to be as recorded: `--allow-missing`.
    IsAsRecorded,
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
}

/// Takes what is not there to be as it was recorded.
fn assume(now: &mut BTreeMap<ArtifactPath, Presence>, recorded: &BTreeMap<ArtifactPath, Presence>) {
    for (path, presence) in now {
        if let (Presence::Missing, Some(known)) = (&*presence, recorded.get(path)) {
            *presence = *known;
        }
    }
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
