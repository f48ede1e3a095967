//! How the stages are, for pages: judged as `cvops status` judges, and kept for a moment, so that many
//! readers cost no more than one. Imports: base, pipeline, project, track, experiment.
//!
//! A look takes no lock that a repro wants. While commands run stages, their journals say how those
//! are; the rest is judged seldom, so as not to hash what is being written.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{Cancel, CancelReason};
use crate::experiment::progress::{self, Story, Tail};
use crate::pipeline::decide::{Force, RunRecords};
use crate::pipeline::forecast::forecast;
use crate::pipeline::lock::LockFile;
use crate::pipeline::plan::Scope;
use crate::pipeline::sources::{self, SourceChange};
use crate::pipeline::workspace::Files;
use crate::pipeline::{self, Forecast, Index, Plan, Selection, StageGraph, Workspace, lock_files};
use crate::project::Project;
use crate::track::{self, Shared};

/// A look is as good as new for so long.
const FRESH: Duration = Duration::from_secs(2);
/// For so long while commands run.
const FRESH_WHILE_RUNNING: Duration = Duration::from_secs(20);
/// And for at least so many times as long as it took: looking is a small part of what goes on.
const REST: u32 = 10;
/// Who has seen nothing yet waits so long for the first look.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who can be told of an earlier look waits so long for the next one.
const PATIENCE_WITH_LAST: Duration = Duration::from_millis(300);

/// Journals are read as often as this at most, however many readers there are.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// What was seen.
#[derive(Debug)]
pub(super) struct Look {
    /// The stages of all pipeline files.
    pub(super) graph: StageGraph,
    /// Those of `graph`, each after all it needs.
    pub(super) order: Vec<usize>,
    /// What would become of each, in that order.
    pub(super) forecasts: Vec<Forecast>,
    /// What was recorded of them.
    pub(super) lock: LockFile,
    /// Tracked data that is not what its pointer records.
    pub(super) sources: Vec<SourceChange>,
    /// Files that were left out, and what a repro would refuse to start with.
    pub(super) warnings: Vec<Diagnostic>,
}

impl Look {
    /// Returns the stages with what would become of them.
    pub(super) fn stages(&self) -> impl Iterator<Item = (usize, &Forecast)> {
        self.order.iter().copied().zip(&self.forecasts)
    }
}

/// What a look came to.
#[derive(Debug)]
pub(super) enum Seen {
    /// The stages.
    Stages(Box<Look>),
    /// The project declares none.
    Nothing,
    /// They cannot be read: all that is wrong.
    Broken(Vec<Diagnostic>),
}

/// A command that runs stages now, as far as its journal tells.
#[derive(Clone, Debug)]
pub(super) struct Going {
    /// The name of its journal.
    pub(super) name: String,
    pub(super) story: Story,
}

/// The commands that run stages now, newest first.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    pub(super) list: Arc<[Going]>,
    /// Another one whenever anything happened.
    pub(super) version: u64,
}

/// The journals of commands, read once for all readers.
#[derive(Debug, Default)]
struct Following {
    at: Option<Instant>,
    tails: BTreeMap<String, Tail>,
    commands: Option<Commands>,
}

/// Looks, and remembers.
#[derive(Debug)]
pub(super) struct Looks {
    project: Project,
    judge: Arc<Judge>,
    following: Mutex<Following>,
    last: Mutex<Option<(String, u64, Arc<Story>)>>,
}

/// Looks in a thread of its own: readers, and those who log meanwhile, do not wait for all files to be
/// read.
#[derive(Debug)]
struct Judge {
    project: Project,
    env: BTreeMap<String, String>,
    kept: Mutex<Kept>,
    looked: Condvar,
    cancel: Cancel,
}

#[derive(Debug, Default)]
struct Kept {
    last: Option<Last>,
    is_looking: bool,
    /// What is kept is no longer so, and neither is what is looked at now.
    is_outdated: bool,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    took: Duration,
    seen: Arc<Seen>,
}

impl Kept {
    /// Is what was seen as good as new?
    fn is_fresh(&self, is_going: bool) -> bool {
        let least = if is_going { FRESH_WHILE_RUNNING } else { FRESH };
        let last = self.last.as_ref();
        !self.is_outdated
            && last.is_some_and(|last| last.at.elapsed() < least.max(last.took * REST))
    }
}

/// Nobody is left who would see it.
impl Drop for Looks {
    fn drop(&mut self) {
        self.judge.cancel.request(CancelReason::Terminated);
    }
}

impl Looks {
    pub(super) fn new(project: &Project, env: BTreeMap<String, String>) -> Arc<Self> {
        Arc::new(Self {
            project: project.clone(),
            judge: Arc::new(Judge {
                project: project.clone(),
                env,
                kept: Mutex::default(),
                looked: Condvar::new(),
                cancel: Cancel::new(),
            }),
            following: Mutex::default(),
            last: Mutex::default(),
        })
    }

    /// Returns how the stages are, or how they were when a look takes long; `going` are the commands
    /// that run some now.
    pub(super) fn now(&self, going: &[Going]) -> Arc<Seen> {
        let judge = &self.judge;
        let is_going = !going.is_empty();
        let mut kept = judge.kept();
        if !kept.is_fresh(is_going) {
            if !kept.is_looking {
                kept.is_looking = true;
                kept.is_outdated = false;
                if !judge.start() {
                    kept.is_looking = false;
                }
            }
            let patience = match kept.last {
                Some(_) => PATIENCE_WITH_LAST,
                None => PATIENCE,
            };
            let waited = judge
                .looked
                .wait_timeout_while(kept, patience, |kept| kept.is_looking);
            kept = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match &kept.last {
            Some(last) => Arc::clone(&last.seen),
            None => Arc::new(Seen::Broken(vec![
                Diagnostic::warning("stages_pending", "the stages are being judged")
                    .note("all files that changed are read once; this can take minutes")
                    .help("load this page again in a moment"),
            ])),
        }
    }

    /// What was seen is no longer so.
    pub(super) fn forget(&self) {
        self.judge.kept().is_outdated = true;
    }

    /// Returns the commands that run stages now: as they were a moment ago at most.
    pub(super) fn going(&self) -> Commands {
        let mut following = self
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        following.catch_up(&self.project)
    }

    /// Returns the newest command that is over, trials aside: the name of its journal and its story.
    pub(super) fn last(&self) -> Option<(String, Arc<Story>)> {
        let logs = progress::list(&self.project.layout, LOGS_LOOKED_AT);
        let log = logs
            .into_iter()
            .find(|log| log.head.sweep.is_none() && log.state != progress::State::Running)?;
        let bytes = std::fs::metadata(&log.path).ok()?.len();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, known, story)) = &*last
            && *name == log.name
            && *known == bytes
        {
            return Some((log.name, Arc::clone(story)));
        }
        let mut story = Story::default();
        Tail::new(&log.path).follow(&mut story).ok()?;
        let story = Arc::new(story);
        *last = Some((log.name.clone(), bytes, Arc::clone(&story)));
        Some((log.name, story))
    }
}

impl Following {
    fn catch_up(&mut self, project: &Project) -> Commands {
        if let Some(commands) = &self.commands
            && self.at.is_some_and(|at| at.elapsed() < FOLLOW_EVERY)
        {
            return commands.clone();
        }
        let mut logs = progress::going_on(&project.layout);
        logs.sort_by(|a, b| b.name.cmp(&a.name));
        let before = self.commands.take();
        let (before, version) = match &before {
            Some(commands) => (&*commands.list, commands.version),
            None => (&[][..], 0),
        };
        let mut changed = before.len() != logs.len();
        let mut list = Vec::with_capacity(logs.len());
        let mut tails = BTreeMap::new();
        for log in logs {
            let known = before.iter().find(|one| one.name == log.name);
            changed |= known.is_none();
            let mut one = known.cloned().unwrap_or_else(|| Going {
                name: log.name.clone(),
                story: Story::default(),
            });
            let tail = self.tails.remove(&log.name);
            let mut tail = tail.unwrap_or_else(|| Tail::new(&log.path));
            let offset = tail.offset();
            // A journal that has gone is of a command that is over.
            let _ = tail.follow(&mut one.story);
            changed |= tail.offset() != offset;
            tails.insert(log.name, tail);
            list.push(one);
        }
        let commands = Commands {
            list: list.into(),
            version: version + u64::from(changed),
        };
        self.tails = tails;
        self.at = Some(Instant::now());
        self.commands = Some(commands.clone());
        commands
    }
}

impl Judge {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks beside; returns whether that began.
    fn start(self: &Arc<Self>) -> bool {
        let judge = Arc::clone(self);
        let looking = std::thread::Builder::new().name("cvops-looks".to_owned());
        let looking = looking.spawn(move || {
            // Says that nobody looks any more, also after a panic.
            let _done = Done(&judge);
            let began = Instant::now();
            let seen = judge
                .look()
                .unwrap_or_else(|error| Seen::Broken(error.to_diagnostics()));
            judge.kept().last = Some(Last {
                at: Instant::now(),
                took: began.elapsed(),
                seen: Arc::new(seen),
            });
        });
        looking.is_ok()
    }

    fn look(&self) -> Result<Seen, pipeline::Error> {
        let index = Index::load(&self.project)?;
        if index.is_empty() {
            return Ok(Seen::Nothing);
        }
        // A broken file is told as broken if nothing else is left, else as left out.
        let (graph, mut warnings) = if index.pipelines.is_empty() {
            (index.graph()?, Vec::new())
        } else {
            index.sound_graph()?
        };
        let selection = Selection {
            scope: Scope::Everything,
            ..Selection::default()
        };
        let plan = Plan::select(&graph, &[], selection)?;
        let files = Files::open(&self.project, &self.cancel);
        let lock = lock_files::read(&self.project, &graph)?;
        let mut workspace = Workspace::new(&files, &self.env);
        let forecasts = forecast(&plan, &lock, &mut workspace, Force::No, RunRecords::Use)?;
        let sources = sources::changes(&files, &graph, plan.pointers().iter().copied())?;
        let obstacles = workspace.obstacles(&plan);
        warnings.extend(obstacles.iter().flat_map(ToDiagnostics::to_diagnostics));
        // Also while commands run: what has settled is not hashed again by the next look.
        files.finish();
        let order = plan.order().to_vec();
        Ok(Seen::Stages(Box::new(Look {
            graph,
            order,
            forecasts,
            lock,
            sources,
            warnings,
        })))
    }
}

/// A look that ends.
struct Done<'j>(&'j Judge);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.kept().is_looking = false;
        self.0.looked.notify_all();
    }
}

/// The newest command is looked for among so many journals: trials of a sweep may come after it.
const LOGS_LOOKED_AT: usize = 100;

/// Returns how long each stage took when its command last ran.
pub(super) fn usual(shared: &Shared) -> Result<BTreeMap<String, Duration>, track::Error> {
    shared.read(|reader| {
        let durations = reader.stage_durations()?;
        Ok(durations)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(dir: &std::path::Path) -> Arc<Looks> {
        crate::project::init(dir).unwrap();
        let project = crate::project::discover(dir, None).unwrap();
        Looks::new(&project, BTreeMap::new())
    }

    #[test]
    fn who_comes_while_somebody_looks_is_told_so() {
        let tmp = tempfile::tempdir().unwrap();
        let looks = looks(tmp.path());
        looks.judge.kept().is_looking = true;
        let Seen::Broken(told) = &*looks.now(&[]) else {
            panic!("nothing was seen yet");
        };
        assert_eq!(told[0].headline, "the stages are being judged");
    }

    #[test]
    fn journals_are_read_once_for_all_readers() {
        let tmp = tempfile::tempdir().unwrap();
        let looks = looks(tmp.path());
        let first = looks.going();
        assert_eq!((first.list.len(), first.version), (0, 0));
        let read = looks.following.lock().unwrap().at;
        assert_eq!(looks.going().version, 0);
        let again = looks.following.lock().unwrap().at;
        assert!(again == read || FOLLOW_EVERY <= read.unwrap().elapsed());
    }

    #[test]
    fn a_long_look_is_good_for_long() {
        let kept = |took, is_outdated| Kept {
            last: Some(Last {
                at: Instant::now(),
                took: Duration::from_secs(took),
                seen: Arc::new(Seen::Nothing),
            }),
            is_looking: false,
            is_outdated,
        };
        assert!(kept(3600, false).is_fresh(false));
        assert!(!kept(3600, true).is_fresh(true));
        assert!(!Kept::default().is_fresh(true));
    }
}
