//! What is done when drift is found: a command, at most once in a period, one at a time. Who runs it is handed
//! in by `cli`; here is when. Imports: base, `serve::run` (events), `serve::drift::{kept, source}`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::clock::{self, Timestamp};
use crate::base::{Cancel, CancelReason};
use crate::serve::run::{Observer, ServerEvent};

use super::kept::{Kept, Ran, keep_ran};
use super::source::DriftEvent;

/// How long the end of the server waits for a command that was asked to end.
const END_MAX: Duration = Duration::from_secs(3);
const END_POLL: Duration = Duration::from_millis(10);

/// Drift that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftFound {
    /// The name under which the model is served.
    pub model: String,
    /// The version that answers; empty if another model has taken its place meanwhile.
    pub version: String,
    /// The detector.
    pub detector: String,
    /// Its smallest p-value; `None` for one of a stream.
    pub p_value: Option<f64>,
    /// Its statistic.
    pub score: Option<f64>,
    /// What the p-value, or else the score, is compared with.
    pub threshold: Option<f64>,
    /// Since when it finds drift, RFC 3339.
    pub since: String,
}

/// Runs what the settings say.
pub trait OnDrift: Send + Sync {
    /// Runs it to its end; asks it to end when `cancel` is requested.
    ///
    /// # Errors
    /// It cannot be started.
    fn run(&self, found: &DriftFound, cancel: &Cancel) -> io::Result<ExitStatus>;
}

/// What is done when drift is found, and how often.
#[derive(Clone)]
pub struct Reaction {
    /// What.
    pub command: Arc<dyn OnDrift>,
    /// It is started at most once in this time.
    pub period: Duration,
    /// For so long a detector must have found drift at every look.
    pub after: Duration,
}

/// Decides when.
pub(super) struct Reactor {
    reaction: Reaction,
    observe: Observer,
    /// From when on, and for how long, no command is started because one was: by this server or, once that is
    /// looked up, one before. The clock may be put forward or back meanwhile.
    rest: Option<(Instant, Duration)>,
    is_looked_up: bool,
    running: Option<JoinHandle<()>>,
    cancel: Cancel,
    has_warned: bool,
}

impl Reactor {
    pub(super) fn new(reaction: Reaction, observe: Observer) -> Self {
        Self {
            reaction,
            observe,
            rest: None,
            is_looked_up: false,
            running: None,
            cancel: Cancel::new(),
            has_warned: false,
        }
    }

    /// Returns for how long a detector must have found drift.
    pub(super) fn after(&self) -> Duration {
        self.reaction.after
    }

    /// Starts the command, if it does not run and was not started within the period.
    pub(super) fn react(&mut self, found: DriftFound, kept: &mut Kept) {
        if self.running.as_ref().is_some_and(|one| !one.is_finished()) || !kept.is_ours() {
            return;
        }
        let period = self.reaction.period;
        if !self.is_looked_up {
            let ran = match kept.ran() {
                Ok(ran) => ran,
                Err(error) => {
                    // It may have been run a minute ago.
                    self.warn_once(&kept.ran_file(), &error);
                    return;
                }
            };
            let last = ran.and_then(|ran| ran.started_at.parse().ok());
            self.rest = last.map(|last| (Instant::now(), left(last, period, clock::now())));
            self.is_looked_up = true;
        }
        if self.rest.is_some_and(|(from, rest)| from.elapsed() < rest) {
            return;
        }
        let (file, ran) = (kept.ran_file(), Ran::new(&found.model, &found.detector));
        // Written before it begins: a server that is killed and started again must not run it again.
        if let Err(error) = keep_ran(&file, &ran) {
            self.warn_once(&file, &error);
            return;
        }
        self.has_warned = false;
        self.rest = Some((Instant::now(), period));
        self.start(found, file, ran);
    }

    fn warn_once(&mut self, file: &Path, error: &io::Error) {
        if !self.has_warned {
            tracing::warn!(
                file = %file.display(), %error,
                "the command of `on_drift` is not run, as when it is cannot be looked up or noted"
            );
            self.has_warned = true;
        }
    }

    fn start(&mut self, found: DriftFound, file: PathBuf, ran: Ran) {
        let (command, observe) = (
            Arc::clone(&self.reaction.command),
            Arc::clone(&self.observe),
        );
        let cancel = self.cancel.clone();
        let tell = move |observe: &Observer, model: &str, event: DriftEvent| {
            observe(ServerEvent::Drift {
                model: model.to_owned(),
                event,
            });
        };
        tell(
            &self.observe,
            &found.model,
            DriftEvent::Started(found.clone()),
        );
        let model = found.model.clone();
        let work = move || {
            let ended = command.run(&found, &cancel);
            let ended = ended.map_err(|e| e.to_string()).and_then(|status| {
                let no_code = || format!("it was ended: {status}");
                status.code().ok_or_else(no_code)
            });
            let exit_code = ended.as_ref().ok().copied();
            if let Err(error) = keep_ran(&file, &Ran { exit_code, ..ran }) {
                tracing::warn!(file = %file.display(), %error, "how the command of `on_drift` ended cannot be noted");
            }
            tell(&observe, &found.model, DriftEvent::Ended(ended));
        };
        let thread = std::thread::Builder::new().name("cvops-on-drift".to_owned());
        match thread.spawn(work) {
            Ok(running) => self.running = Some(running),
            Err(error) => (self.observe)(ServerEvent::Drift {
                model,
                event: DriftEvent::Ended(Err(error.to_string())),
            }),
        }
    }

    /// Asks a command that runs to end, and waits for it for a while.
    pub(super) fn end(&mut self) {
        self.cancel.request(CancelReason::Terminated);
        let Some(running) = self.running.take() else {
            return;
        };
        let until = Instant::now() + END_MAX;
        while !running.is_finished() && Instant::now() < until {
            std::thread::sleep(END_POLL);
        }
        if running.is_finished() {
            // A panic of it was told where it happened.
            let _ = running.join();
        }
    }
}

/// Returns what is left of the period that began at `last`: all of it if the clock was put back since, so that a
/// command is never run too early, and at most one period too late.
fn left(last: Timestamp, period: Duration, now: Timestamp) -> Duration {
    let passed = now.as_millisecond().saturating_sub(last.as_millisecond());
    let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
    period.saturating_sub(passed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Says when it was started, and ends when it is told to.
    struct Command {
        started: Sender<DriftFound>,
        end: Mutex<Receiver<i32>>,
    }

    impl OnDrift for Command {
        fn run(&self, found: &DriftFound, _: &Cancel) -> io::Result<ExitStatus> {
            self.started.send(found.clone()).unwrap();
            let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            let code = end.recv().unwrap();
            Ok(ExitStatus::from_raw(code << 8))
        }
    }

    fn found(detector: &str) -> DriftFound {
        DriftFound {
            model: "m".to_owned(),
            version: "1".to_owned(),
            detector: detector.to_owned(),
            p_value: Some(0.001),
            score: None,
            threshold: None,
            since: "2026-03-01T10:00:00Z".to_owned(),
        }
    }

    #[test]
    fn a_command_runs_once_in_a_period_and_never_twice_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let ((started, starts), (end, ends)) = (channel(), channel());
        let (told, events) = channel();
        let command = Arc::new(Command {
            started,
            end: Mutex::new(ends),
        });
        let reactor = |period| {
            let told = told.clone();
            let reaction = Reaction {
                command: Arc::clone(&command) as Arc<dyn OnDrift>,
                period,
                after: Duration::ZERO,
            };
            let observe: Observer = Arc::new(move |event| told.send(event).unwrap());
            Reactor::new(reaction, observe)
        };
        let mut kept = Kept::new(dir.path().to_owned());
        let (soon, day) = (Duration::ZERO, Duration::from_hours(24));
        let mut first = reactor(soon);
        first.react(found("one"), &mut kept);
        assert_eq!(starts.recv().unwrap().detector, "one");
        // The period is over, but it runs still.
        first.react(found("two"), &mut kept);
        assert!(starts.try_recv().is_err());
        end.send(3).unwrap();
        first.running.take().unwrap().join().unwrap();
        let ran = kept.ran().unwrap().unwrap();
        assert_eq!((ran.detector.as_str(), ran.exit_code), ("one", Some(3)));
        let told = |events: &Receiver<ServerEvent>| match events.recv().unwrap() {
            ServerEvent::Drift { event, .. } => event,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&events), DriftEvent::Started(found("one")));
        assert_eq!(told(&events), DriftEvent::Ended(Ok(3)));
        // Another server of the project, within the period.
        let mut second = reactor(day);
        second.react(found("three"), &mut kept);
        assert!(starts.try_recv().is_err() && second.running.is_none());
        // And one for which it is over.
        let mut third = reactor(soon);
        third.react(found("four"), &mut kept);
        assert_eq!(starts.recv().unwrap().detector, "four");
        end.send(0).unwrap();
        third.end();
        let ran = kept.ran().unwrap().unwrap();
        assert_eq!(ran.exit_code, Some(0));
    }

    #[test]
    fn a_period_ends_and_a_clock_that_is_put_back_begins_a_new_one() {
        let hour = Duration::from_hours(1);
        let left_at = |now: &str| {
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            left(at("2026-03-01T10:00:00Z"), hour, at(now))
        };
        assert_eq!(left_at("2026-03-01T10:59:59Z"), Duration::from_secs(1));
        assert_eq!(left_at("2026-03-01T11:00:00Z"), Duration::ZERO);
        assert_eq!(left_at("2026-03-02T10:00:00Z"), Duration::ZERO);
        assert_eq!(left_at("2026-02-28T10:00:00Z"), hour);
    }
}
