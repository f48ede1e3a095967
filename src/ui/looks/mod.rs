//! How the stages are, for pages: judged as `cvops status` judges, and kept for a moment, so that many
//! readers cost no more than one. Imports: base, pipeline, project, track, experiment.
//!
//! A look takes no lock that a repro wants. While commands run stages, their journals say how those
//! are; the rest is judged seldom, so as not to hash what is being written. What was seen is outdated
//! when a command's journal appears or ends, whether or not a page was open then.

mod following;
mod judge;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::CancelReason;
use crate::base::diag::Diagnostic;
use crate::experiment::progress::Story;
use crate::pipeline::lock::LockFile;
use crate::pipeline::sources::SourceChange;
use crate::pipeline::{Forecast, StageGraph};
use crate::project::Project;
use crate::track::{self, Shared};

pub(super) use following::{Commands, Going};
use following::{Following, News};
use judge::Judge;

/// A look is as good as new for so long.
const FRESH: Duration = Duration::from_secs(2);
/// For so long while commands run.
const FRESH_WHILE_RUNNING: Duration = Duration::from_secs(20);
/// What is shown is told to be old from this age on.
const OLD_MS: i64 = 60_000;

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
    /// The first look goes on.
    Pending,
}

/// What was seen, and of when that is.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) seen: Arc<Seen>,
    /// When the look began, milliseconds since 1970.
    as_of_ms: i64,
    /// Does another look go on?
    is_looking: bool,
}

impl Told {
    /// Returns when this was seen, if that is long ago, and whether it is being looked at anew.
    pub(super) fn if_old(&self, now_ms: i64) -> Option<(i64, Anew)> {
        let is_old = OLD_MS <= now_ms.saturating_sub(self.as_of_ms);
        let anew = if self.is_looking {
            Anew::GoesOn
        } else {
            Anew::Later
        };
        is_old.then_some((self.as_of_ms, anew))
    }
}

/// When is something old looked at anew?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anew {
    /// Right now.
    GoesOn,
    /// When somebody asks later.
    Later,
}

/// Does whoever asks wait for a look?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A moment: a page is loaded once.
    AMoment,
    /// No: a live answer holds one of few turns, and asks again soon.
    No,
}

/// Looks, and remembers.
#[derive(Debug)]
pub(super) struct Looks {
    project: Project,
    judge: Arc<Judge>,
    following: Mutex<Following>,
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
            judge: Arc::new(Judge::new(project, env)),
            following: Mutex::default(),
        })
    }

    /// Returns how the stages are, or how they were when a look takes long; `going` are the commands
    /// that run some now.
    pub(super) fn now(&self, going: &[Going], wait: Wait) -> Told {
        let fresh = if going.is_empty() {
            FRESH
        } else {
            FRESH_WHILE_RUNNING
        };
        self.judge.now(fresh, wait)
    }

    /// Returns how many looks are over: another number, another look.
    pub(super) fn count(&self) -> u64 {
        self.judge.count()
    }

    /// Returns the commands that run stages now: as they were a moment ago at most.
    pub(super) fn going(&self) -> Commands {
        self.followed(Instant::now(), |following| following.commands())
    }

    /// Returns the newest command that is over, trials aside: the name of its journal and its story.
    pub(super) fn last(&self) -> Option<(String, Arc<Story>)> {
        let layout = &self.project.layout;
        self.followed(Instant::now(), |following| following.last(layout))
    }

    /// Asks what the journals say at `now`; what they say may outdate what was seen.
    fn followed<T>(&self, now: Instant, ask: impl FnOnce(&mut Following) -> T) -> T {
        let following = self.following.lock();
        let mut following = following.unwrap_or_else(PoisonError::into_inner);
        match following.catch_up(&self.project.layout, now) {
            News::OfStages => self.judge.forget(),
            News::None => {}
        }
        ask(&mut following)
    }
}

/// Returns what to say while the first look goes on.
pub(super) fn pending() -> Diagnostic {
    Diagnostic::warning("stages_pending", "the stages are being judged")
        .note("all files that changed are read once; this can take minutes")
        .help("load this page again in a moment")
}

/// Returns how long each stage took when its command last ran.
pub(super) fn usual(shared: &Shared) -> Result<BTreeMap<String, Duration>, track::Error> {
    shared.read(|reader| {
        let durations = reader.stage_durations()?;
        Ok(durations)
    })
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a journal as a command leaves it"
)]
mod tests {
    use super::*;

    #[test]
    fn a_repro_that_nobody_watched_outdates_what_was_seen() {
        const HEAD: &str = r#"{"at_ms":1,"event":"begin","version":1,"command":"cvops repro","pid":1,"targets":[],"stages":["a"]}"#;
        let tmp = tempfile::tempdir().unwrap();
        crate::project::init(tmp.path()).unwrap();
        let project = crate::project::discover(tmp.path(), None).unwrap();
        let looks = Looks::new(&project, BTreeMap::new());
        let is_looking = || looks.judge.now(Duration::MAX, Wait::No).is_looking;
        assert!(looks.going().list.is_empty() && is_looking());
        while looks.count() == 0 {
            std::thread::yield_now();
        }
        assert!(!is_looking());
        let logs = project.layout.logs();
        std::fs::create_dir_all(&logs).unwrap();
        std::fs::write(logs.join("00000000000001-1-0.jsonl"), format!("{HEAD}\n")).unwrap();
        // Whoever asks next.
        looks.followed(Instant::now() + Duration::from_mins(1), |_| ());
        assert!(is_looking());
    }

    #[test]
    fn what_is_a_minute_old_is_told_to_be_old() {
        let told = |is_looking| Told {
            seen: Arc::new(Seen::Nothing),
            as_of_ms: 1000,
            is_looking,
        };
        assert_eq!(told(true).if_old(60_999), None);
        assert_eq!(told(true).if_old(61_000), Some((1000, Anew::GoesOn)));
        assert_eq!(told(false).if_old(61_000), Some((1000, Anew::Later)));
        // A clock that was set back.
        assert_eq!(told(false).if_old(0), None);
    }
}
