//! What the stages of a plan read that no stage writes, and waiting until some of it changes.
//!
//! The file system tells when something happens (`notify`), which only wakes the one who waits: what
//! counts is whether the stamps of the files differ, so that nothing is missed that changed before
//! the wait began, and nothing starts because a file was only read. Where the file system does not
//! tell (network file systems), looking now and then is all there is.
//! Imports: base, project, graph, plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::base::Cancel;
use crate::project::Project;

use super::plan::Plan;

/// How often the cancel token is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So long nothing may happen before a change counts as complete.
const QUIET: Duration = Duration::from_millis(100);
/// However much happens, a change is taken up after this time.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How often files are looked at where the file system tells nothing.
const POLL: Duration = Duration::from_millis(500);
/// How often they are looked at although it does.
const CHECK: Duration = Duration::from_secs(2);
/// Looking takes at most this part of the time.
const SHARE: u32 = 20;

/// Time and size of a file.
type Stamp = (Option<SystemTime>, u64);

/// What the files were at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, Stamp>);

impl Snapshot {
    /// Returns the paths that were added, changed or removed up to `now`.
    fn changes(&self, now: &Self) -> Vec<PathBuf> {
        let changed = now
            .0
            .iter()
            .filter(|(path, s)| self.0.get(*path) != Some(*s));
        let gone = self.0.keys().filter(|path| !now.0.contains_key(*path));
        let all: BTreeSet<&PathBuf> = changed.map(|(path, _)| path).chain(gone).collect();
        all.into_iter().cloned().collect()
    }
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// These changed.
    Changed(Vec<PathBuf>),
    /// Somebody asked to stop.
    Stopped,
}

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files and folders, absolute.
    paths: BTreeSet<PathBuf>,
    /// What stages write, and our own state.
    without: BTreeSet<PathBuf>,
}

impl Sources {
    /// Collects what the stages of `plan` read, and what declares them.
    #[must_use]
    pub fn of(project: &Project, plan: &Plan<'_>) -> Self {
        let (graph, root) = (plan.graph(), &project.root);
        let mut paths = BTreeSet::new();
        for file in graph.files() {
            let name = file
                .file
                .as_ref()
                .map_or(project.pipeline_file(), |f| f.under(root));
            paths.insert(name);
            paths.extend(file.template_files.iter().map(|path| path.under(root)));
        }
        for pointer in plan.pointers() {
            let pointer = &graph.pointers()[*pointer];
            paths.insert(pointer.file.under(root));
            paths.extend(pointer.outs.iter().map(|out| out.path.under(root)));
        }
        for &index in plan.order() {
            let stage = &graph.stages()[index];
            let is_made = |path| graph.producer_of(path).is_some();
            let read = stage.reads().filter(|path| !is_made(path));
            paths.extend(read.map(|path| path.under(root)));
        }
        let outs = graph.stages().iter().flat_map(|stage| stage.outs.keys());
        let mut without: BTreeSet<PathBuf> = outs.map(|path| path.under(root)).collect();
        without.insert(project.layout.state_dir().to_owned());
        without.insert(root.join(".git"));
        Self { paths, without }
    }

    /// Returns the sources of a project whose pipeline cannot be read: the file that declares it.
    #[must_use]
    pub fn of_broken(project: &Project) -> Self {
        Self {
            paths: BTreeSet::from([project.pipeline_file()]),
            without: BTreeSet::new(),
        }
    }

    /// Adds what another set has.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.paths.extend(other.paths.iter().cloned());
        self.without.extend(other.without.iter().cloned());
        self
    }

    /// Returns how many files and folders are watched.
    #[must_use]
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// Looks at the files.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut found = BTreeMap::new();
        let mut left: Vec<PathBuf> = self.paths.iter().cloned().collect();
        while let Some(path) = left.pop() {
            // What is not there has no stamp.
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            if !metadata.is_dir() {
                found.insert(path, (metadata.modified().ok(), metadata.len()));
                continue;
            }
            for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                let path = entry.path();
                // A link to a folder may lead in a circle.
                let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
                let leads_away = is_link && path.is_dir();
                if !leads_away && !self.without.contains(&path) {
                    left.push(path);
                }
            }
        }
        Snapshot(found)
    }

    /// Waits until something is not what it was at `since`.
    #[must_use]
    pub fn wait(&self, since: &Snapshot, cancel: &Cancel) -> Waited {
        let watcher = self.watcher();
        if watcher.is_none() {
            tracing::warn!(
                "the file system does not tell of changes; looking for them now and then"
            );
        }
        let usual = if watcher.is_some() { CHECK } else { POLL };
        // A first look at once: something may have changed before the wait.
        let mut next = Instant::now();
        loop {
            if cancel.is_requested() {
                return Waited::Stopped;
            }
            let woken = match &watcher {
                Some((_, events)) => is_told(events, LOOK_EVERY),
                None => {
                    std::thread::sleep(LOOK_EVERY);
                    false
                }
            };
            if !woken && Instant::now() < next {
                continue;
            }
            let begin = Instant::now();
            if self.snapshot() != *since {
                let now = self.settled(watcher.as_ref().map(|(_, events)| events), cancel);
                let changes = since.changes(&now);
                if !changes.is_empty() {
                    return Waited::Changed(changes);
                }
            }
            next = Instant::now() + usual.max(begin.elapsed() * SHARE);
        }
    }

    /// Looks again and again until nothing more changes.
    fn settled(&self, events: Option<&Receiver<()>>, cancel: &Cancel) -> Snapshot {
        let begin = Instant::now();
        let mut last = self.snapshot();
        while begin.elapsed() < QUIET_MAX && !cancel.is_requested() {
            match events {
                Some(events) => while is_told(events, QUIET) && begin.elapsed() < QUIET_MAX {},
                None => std::thread::sleep(QUIET),
            }
            let now = self.snapshot();
            if now == last {
                break;
            }
            last = now;
        }
        last
    }

    /// Asks the file system to tell when something happens; the watch lasts as long as the watcher.
    fn watcher(&self) -> Option<(RecommendedWatcher, Receiver<()>)> {
        let (tell, told) = mpsc::channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_change = event.is_ok_and(|event| !event.kind.is_access());
                if is_change {
                    // Nobody listens any more when the wait is over.
                    let _ = tell.send(());
                }
            })
            .ok()?;
        let mut folders: BTreeMap<&Path, RecursiveMode> = BTreeMap::new();
        for path in &self.paths {
            // A file is replaced as often as it is written, so its folder is watched.
            let (folder, mode) = if path.is_dir() {
                (Some(path.as_path()), RecursiveMode::Recursive)
            } else {
                let existing = path.ancestors().skip(1).find(|p| p.is_dir());
                (existing, RecursiveMode::NonRecursive)
            };
            if let Some(folder) = folder {
                let known = folders.entry(folder).or_insert(mode);
                if mode == RecursiveMode::Recursive {
                    *known = mode;
                }
            }
        }
        for (folder, mode) in folders {
            watcher.watch(folder, mode).ok()?;
        }
        Some((watcher, told))
    }
}

/// Is something told within this time?
fn is_told(events: &Receiver<()>, within: Duration) -> bool {
    match events.recv_timeout(within) {
        Ok(()) => {
            while events.try_recv().is_ok() {}
            true
        }
        Err(RecvTimeoutError::Timeout) => false,
        // The watcher gave up: what is left is to look.
        Err(RecvTimeoutError::Disconnected) => {
            std::thread::sleep(within);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{CancelReason, fs};

    fn sources(paths: &[&Path], without: &[&Path]) -> Sources {
        let all = |paths: &[&Path]| paths.iter().map(|p| p.to_path_buf()).collect();
        Sources {
            paths: all(paths),
            without: all(without),
        }
    }

    #[test]
    fn what_changed_before_or_while_waiting_is_found() {
        let tmp = tempfile::tempdir().unwrap();
        let at = |name: &str| tmp.path().join(name);
        fs::create_dir_all(&at("data/deep")).unwrap();
        fs::write_atomic(&at("data/deep/a"), b"1").unwrap();
        let sources = sources(&[&at("data"), &at("params.yaml")], &[&at("data/made")]);
        let cancel = Cancel::new();
        let before = sources.snapshot();
        fs::write_atomic(&at("data/made"), b"not watched").unwrap();
        assert_eq!(sources.snapshot(), before);
        fs::write_atomic(&at("params.yaml"), b"x: 1\n").unwrap();
        let changed = |paths: &[&str]| Waited::Changed(paths.iter().map(|p| at(p)).collect());
        assert_eq!(sources.wait(&before, &cancel), changed(&["params.yaml"]));

        let before = sources.snapshot();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| sources.wait(&before, &cancel));
            fs::write_atomic(&at("data/deep/a"), b"22").unwrap();
            assert_eq!(waiting.join().unwrap(), changed(&["data/deep/a"]));
        });
        let before = sources.snapshot();
        fs::remove_file(&at("data/deep/a")).unwrap();
        assert_eq!(sources.wait(&before, &cancel), changed(&["data/deep/a"]));
        cancel.request(CancelReason::Interrupted);
        assert_eq!(sources.wait(&sources.snapshot(), &cancel), Waited::Stopped);
    }
}
