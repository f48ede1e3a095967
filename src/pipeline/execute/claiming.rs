//! What a stage claims before it starts, and the lock files that several commands bring up to date.
//! Imports: base, project, graph, spec, lock, workspace.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use super::leftovers::bury;
use crate::pipeline::error::Error;
use crate::pipeline::graph::StageGraph;
use crate::pipeline::lock::LockFile;
use crate::pipeline::lock_files;
use crate::pipeline::spec::{StageName, StageSpec};
use crate::pipeline::workspace::Files;
use crate::project::claims::{Asked, Claims, Wanted};
use crate::project::{EditLock, Project};

/// The claims of a command that executes.
pub(super) struct Claiming<'a> {
    files: &'a Files<'a>,
    claims: Claims,
    /// Done, and given back with the next commit: until then nobody could find their results.
    done: Vec<StageName>,
}

impl<'a> Claiming<'a> {
    pub(super) fn new(files: &'a Files<'a>, command: &str) -> Self {
        Self {
            files,
            claims: Claims::new(&files.project().layout, command),
            done: Vec::new(),
        }
    }

    /// Returns what the processes of this command's stages are known by.
    pub(super) fn id(&self) -> &str {
        self.claims.id()
    }

    /// Claims what `stage` reads and writes.
    pub(super) fn ask(&mut self, stage: &StageSpec) -> Result<Asked, Error> {
        let reads: BTreeSet<_> = stage.reads().cloned().collect();
        let mut writes: Vec<_> = stage.outs.keys().cloned().collect();
        // Its scratch folder: two commands must not run one stage at once, whatever it writes.
        writes.extend(self.files.scratch_claim(&stage.name));
        let wanted = Wanted {
            reads: reads.into_iter().collect(),
            writes,
        };
        let root = self.files.root();
        let stopped = RefCell::default();
        let asked = self.claims.ask(stage.name.as_str(), wanted, &|dead| {
            bury(root, dead, &stopped);
        })?;
        let stopped = stopped.into_inner();
        if !stopped.is_empty() {
            tracing::warn!(
                ?stopped,
                "stopped processes that a killed cvops left behind"
            );
        }
        Ok(asked)
    }

    /// Gives back at once what `stage` had: nothing is to be recorded for it.
    pub(super) fn give_back(&mut self, stage: &StageName) {
        // What cannot be given back now is so at the end of the command.
        if let Err(error) = self.claims.give_back([stage.as_str()]) {
            tracing::debug!(%error, "could not give back the paths of a stage");
        }
    }

    /// Gives back what `stage` had, once it is recorded.
    pub(super) fn give_back_when_recorded(&mut self, stage: &StageName) {
        self.done.push(stage.clone());
    }

    /// All that is done is recorded.
    pub(super) fn recorded(&mut self) {
        let done = std::mem::take(&mut self.done);
        if let Err(error) = self.claims.give_back(done.iter().map(StageName::as_str)) {
            tracing::debug!(%error, "could not give back the paths of stages");
        }
    }
}

/// The lock: in memory as this command knows it, and what it has changed since it was written.
pub(super) struct Ledger<'a> {
    pub(super) lock: &'a mut LockFile,
    project: &'a Project,
    graph: &'a StageGraph,
    changed: BTreeSet<StageName>,
    /// By which the files are known to be those that `lock` came from; `None`: nobody knows.
    stamps: Option<Vec<Stamp>>,
}

/// Time, size and number of a file; `None`: there is none.
type Stamp = Option<(SystemTime, u64, u64)>;

impl<'a> Ledger<'a> {
    pub(super) fn new(lock: &'a mut LockFile, project: &'a Project, graph: &'a StageGraph) -> Self {
        Self {
            lock,
            project,
            graph,
            changed: BTreeSet::new(),
            stamps: None,
        }
    }

    /// Notes that the entry of `stage` was changed, or removed.
    pub(super) fn has_changed(&mut self, stage: &StageName) {
        self.changed.insert(stage.clone());
    }

    /// Is there something to write?
    pub(super) fn is_stale(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes over what others have written since: all entries but those that are changed here.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        let stamps = Some(self.stamps_now());
        if stamps == self.stamps {
            return Ok(());
        }
        let mut merged = lock_files::read(self.project, self.graph)?;
        for name in &self.changed {
            match self.lock.stages.get(name) {
                Some(entry) => merged.stages.insert(name.clone(), entry.clone()),
                None => merged.stages.remove(name),
            };
        }
        *self.lock = merged;
        self.stamps = stamps;
        Ok(())
    }

    /// Writes what was changed, while no other command writes the files.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let _turn = EditLock::for_commit(&self.project.layout)?;
        self.refresh()?;
        lock_files::write(self.project, self.graph, self.lock)?;
        self.stamps = Some(self.stamps_now());
        self.changed.clear();
        Ok(())
    }

    fn stamps_now(&self) -> Vec<Stamp> {
        let files = self.graph.files().iter();
        let paths = files.map(|f| lock_files::path_of(self.project, f.file.as_ref()));
        let stamp = |path: String| {
            let metadata = std::fs::metadata(self.project.root.join(path)).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        };
        paths.map(stamp).collect()
    }
}
