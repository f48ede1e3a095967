//! Judges the stages in a thread of its own, and keeps what it saw: readers, and those who log
//! meanwhile, do not wait for all files to be read. Imports: base, pipeline, project, `ui::looks`.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{Cancel, clock};
use crate::pipeline::decide::{Force, RunRecords};
use crate::pipeline::forecast::forecast;
use crate::pipeline::plan::Scope;
use crate::pipeline::workspace::Files;
use crate::pipeline::{self, Index, Plan, Selection, Workspace, lock_files, sources};
use crate::project::Project;

use super::{Look, Seen, Told, Wait};

/// A look is good for at least so many times as long as it took: looking is a small part of what goes
/// on.
const REST: u32 = 10;
/// But for no longer than this, however long it took; as long rests whoever panicked.
const REST_MAX: Duration = Duration::from_mins(1);
/// Who has seen nothing yet waits so long for the first look.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who can be told of an earlier look waits so long for the next one.
const PATIENCE_WITH_LAST: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Judge {
    project: Project,
    env: BTreeMap<String, String>,
    kept: Mutex<Kept>,
    looked: Condvar,
    pub(super) cancel: Cancel,
}

#[derive(Debug, Default)]
struct Kept {
    last: Option<Last>,
    is_looking: bool,
    /// What is kept is no longer so, and neither is what is looked at now.
    is_outdated: bool,
    /// Looks that are over.
    count: u64,
}

#[derive(Debug)]
struct Last {
    seen: Arc<Seen>,
    as_of_ms: i64,
    ended: Instant,
    rest: Duration,
}

impl Kept {
    /// Is what was seen as good as new?
    fn is_fresh(&self, fresh: Duration, now: Instant) -> bool {
        let is_young =
            |last: &Last| now.saturating_duration_since(last.ended) < fresh.max(last.rest);
        !self.is_outdated && self.last.as_ref().is_some_and(is_young)
    }

    fn told(&self) -> Told {
        let (seen, as_of_ms) = match &self.last {
            Some(last) => (Arc::clone(&last.seen), last.as_of_ms),
            None => (Arc::new(Seen::Pending), clock::now().as_millisecond()),
        };
        Told {
            seen,
            as_of_ms,
            is_looking: self.is_looking,
        }
    }
}

impl Judge {
    pub(super) fn new(project: &Project, env: BTreeMap<String, String>) -> Self {
        Self {
            project: project.clone(),
            env,
            kept: Mutex::default(),
            looked: Condvar::new(),
            cancel: Cancel::new(),
        }
    }

    /// Returns what was seen, and looks anew if that is older than `fresh` and has rested.
    pub(super) fn now(self: &Arc<Self>, fresh: Duration, wait: Wait) -> Told {
        let mut kept = self.kept();
        if kept.is_fresh(fresh, Instant::now()) {
            return kept.told();
        }
        if !kept.is_looking {
            self.begin(&mut kept, Self::seen);
        }
        let patience = match (wait, &kept.last) {
            (Wait::No, _) => return kept.told(),
            (Wait::AMoment, Some(_)) => PATIENCE_WITH_LAST,
            (Wait::AMoment, None) => PATIENCE,
        };
        let waited = self
            .looked
            .wait_timeout_while(kept, patience, |kept| kept.is_looking);
        waited.unwrap_or_else(PoisonError::into_inner).0.told()
    }

    pub(super) fn count(&self) -> u64 {
        self.kept().count
    }

    /// What was seen is no longer so.
    pub(super) fn forget(&self) {
        self.kept().is_outdated = true;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks beside.
    fn begin(self: &Arc<Self>, kept: &mut Kept, look: impl FnOnce(&Self) -> Seen + Send + 'static) {
        kept.is_outdated = false;
        let judge = Arc::clone(self);
        let looking = std::thread::Builder::new().name("cvops-looks".to_owned());
        let looking = looking.spawn(move || {
            let mut looking = Looking {
                judge: &judge,
                as_of_ms: clock::now().as_millisecond(),
                began: Instant::now(),
                seen: None,
            };
            looking.seen = Some(look(&judge));
        });
        kept.is_looking = looking.is_ok();
    }

    fn seen(&self) -> Seen {
        self.look()
            .unwrap_or_else(|error| Seen::Broken(error.to_diagnostics()))
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

/// A look that goes on; when it is dropped it is over, also by a panic.
struct Looking<'j> {
    judge: &'j Judge,
    as_of_ms: i64,
    began: Instant,
    /// `None`: it has not come to its end.
    seen: Option<Seen>,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let (seen, rest) = match self.seen.take() {
            Some(seen) => (seen, rest_after(self.began.elapsed())),
            None => (Seen::Broken(vec![broke_off()]), REST_MAX),
        };
        let mut kept = self.judge.kept();
        kept.last = Some(Last {
            seen: Arc::new(seen),
            as_of_ms: self.as_of_ms,
            ended: Instant::now(),
            rest,
        });
        kept.is_looking = false;
        kept.count += 1;
        drop(kept);
        self.judge.looked.notify_all();
    }
}

fn rest_after(took: Duration) -> Duration {
    took.saturating_mul(REST).min(REST_MAX)
}

/// Tells of a panic, whose own words are in the log.
fn broke_off() -> Diagnostic {
    Diagnostic::error("stages_broke_off", "the stages could not be judged")
        .note("judging them broke off, which is a bug in cvops; its log says where")
        .help("they are judged again in a minute; `cvops status` judges them as well")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(dir: &std::path::Path) -> Arc<Judge> {
        crate::project::init(dir).unwrap();
        let project = crate::project::discover(dir, None).unwrap();
        Arc::new(Judge::new(&project, BTreeMap::new()))
    }

    /// Waits for the end of a look, however long that takes.
    fn after_look(judge: &Judge) -> MutexGuard<'_, Kept> {
        let kept = judge.kept();
        let waited = judge.looked.wait_while(kept, |kept| kept.is_looking);
        waited.unwrap()
    }

    #[test]
    fn a_live_answer_waits_for_no_look() {
        let tmp = tempfile::tempdir().unwrap();
        let judge = judge(tmp.path());
        // A look that ends when the test says so.
        let (go_on, held) = std::sync::mpsc::channel();
        judge.begin(&mut judge.kept(), move |_| {
            held.recv().unwrap();
            Seen::Nothing
        });
        let told = judge.now(Duration::ZERO, Wait::No);
        assert!(matches!(*told.seen, Seen::Pending) && told.is_looking);
        go_on.send(()).unwrap();
        assert_eq!(after_look(&judge).count, 1);
        let told = judge.now(Duration::MAX, Wait::No);
        assert!(matches!(*told.seen, Seen::Nothing) && !told.is_looking);
    }

    #[test]
    fn a_look_that_panics_is_told_of_and_rests() {
        let tmp = tempfile::tempdir().unwrap();
        let judge = judge(tmp.path());
        judge.begin(&mut judge.kept(), |_| panic!("on purpose"));
        let kept = after_look(&judge);
        let last = kept.last.as_ref().unwrap();
        let Seen::Broken(told) = &*last.seen else {
            panic!("{kept:?}");
        };
        assert_eq!(told[0].headline, "the stages could not be judged");
        assert!(kept.is_fresh(Duration::ZERO, last.ended));
        assert!(!kept.is_fresh(Duration::ZERO, last.ended + REST_MAX));
    }

    #[test]
    fn what_changes_during_a_look_is_looked_at_by_the_next_one() {
        let tmp = tempfile::tempdir().unwrap();
        let judge = judge(tmp.path());
        let (go_on, held) = std::sync::mpsc::channel();
        judge.begin(&mut judge.kept(), move |_| {
            held.recv().unwrap();
            Seen::Nothing
        });
        judge.forget();
        go_on.send(()).unwrap();
        let kept = after_look(&judge);
        let ended = kept.last.as_ref().unwrap().ended;
        assert!(!kept.is_fresh(Duration::MAX, ended));
    }

    #[test]
    fn a_look_is_good_for_ten_times_as_long_as_it_took_but_for_no_more_than_a_minute() {
        let ended = Instant::now();
        let kept = |took, is_outdated| Kept {
            last: Some(Last {
                seen: Arc::new(Seen::Nothing),
                as_of_ms: 0,
                ended,
                rest: rest_after(Duration::from_secs(took)),
            }),
            is_outdated,
            ..Kept::default()
        };
        let second = Duration::from_secs(1);
        let is_fresh = |took, after| kept(took, false).is_fresh(2 * second, ended + after);
        assert!(is_fresh(0, second) && !is_fresh(0, 2 * second));
        assert!(is_fresh(3, 29 * second) && !is_fresh(3, 30 * second));
        assert!(is_fresh(600, 59 * second) && !is_fresh(600, 60 * second));
        assert!(!kept(600, true).is_fresh(2 * second, ended));
        assert!(!Kept::default().is_fresh(2 * second, ended));
    }
}
