//! The thread that watches for drift. Imports: base, rayon, `serve::{run, served, error}`, `serve::drift::*`.
//!
//! It has a pool of one: what detectors compute in parallel elsewhere they compute here on this thread, so
//! that the cores stay with the requests.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::base::{Cancel, CancelReason};
use crate::serve::Error;
use crate::serve::run::Observer;
use crate::serve::served::Served;

use super::active::Pace;
use super::config::{DriftConfig, Every};
use super::kept::Kept;
use super::metrics::DriftMetrics;
use super::reaction::Reactor;
use super::seen::Tapped;
use super::source::{DriftOptions, DriftSource};
use super::tap::{Message, Taps};
use super::watched::{Around, Watched};

/// How often it looks whether models and detectors are others, and tells how everything stands.
const TICK: Duration = Duration::from_secs(1);
/// How often it is kept where detectors stand.
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// How long the end of the server waits for it.
const END_MAX: Duration = Duration::from_secs(5);
const END_POLL: Duration = Duration::from_millis(5);

/// The monitor, seen from whoever ends it.
pub(in crate::serve) struct Handle {
    sender: SyncSender<Message>,
    cancel: Cancel,
}

/// Starts the monitor. `models` are those that are to be watched, each with where its detectors are.
///
/// # Errors
/// The system has no thread left.
pub(in crate::serve) fn start(
    taps: Taps,
    models: Vec<(Arc<Served>, DriftSource)>,
    config: &DriftConfig,
    options: Option<DriftOptions>,
    metrics: DriftMetrics,
    observe: &Observer,
) -> Result<Handle, Error> {
    let (sender, messages) = taps.into_ends();
    let cancel = Cancel::new();
    let pace = Pace {
        window: config.window,
        every: config.every.unwrap_or(Every::Images(config.window as u64)),
    };
    let (dir, reaction) = options.map_or((None, None), |o| (Some(o.dir), o.reaction));
    let watched = models.into_iter().filter_map(|(served, source)| {
        metrics.begin_model(&served.name);
        let tap = Arc::clone(served.drift.as_ref()?);
        Some(Watched::new(served, tap, source))
    });
    let watched = watched.collect();
    let mut monitor = Monitor {
        watched,
        around: Around {
            metrics,
            observe: Arc::clone(observe),
            pace,
            cancel: cancel.clone(),
        },
        kept: dir.map(Kept::new),
        reactor: reaction.map(|reaction| Reactor::new(reaction, Arc::clone(observe))),
        kept_at: Instant::now(),
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "cvops-drift".to_owned())
        .build()
        .map_err(|e| Error::Start {
            problem: e.to_string(),
        })?;
    pool.spawn(move || monitor.run(&messages));
    Ok(Handle { sender, cancel })
}

impl Handle {
    /// Ends it: a check that is under way is given up, and it is kept where the detectors stand.
    pub(in crate::serve) fn end(&self) {
        self.cancel.request(CancelReason::Terminated);
        let (done, ended) = sync_channel(1);
        let mut message = Message::End(done);
        let until = Instant::now() + END_MAX;
        while Instant::now() < until {
            match self.sender.try_send(message) {
                Ok(()) => {
                    let left = until.saturating_duration_since(Instant::now());
                    // A disk that hangs does not keep the server from its end.
                    let _ = ended.recv_timeout(left);
                    return;
                }
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(END_POLL);
        }
    }
}

struct Monitor {
    watched: Vec<Watched>,
    around: Around,
    kept: Option<Kept>,
    reactor: Option<Reactor>,
    kept_at: Instant,
}

impl Monitor {
    fn run(&mut self, messages: &Receiver<Message>) {
        let mut tick_at = Instant::now();
        loop {
            let now = Instant::now();
            if tick_at <= now {
                self.tick();
                tick_at = Instant::now() + TICK;
            }
            let wait = tick_at.saturating_duration_since(Instant::now());
            match messages.recv_timeout(wait) {
                Ok(Message::Tapped(tapped, _weight)) => self.seen(tapped),
                Ok(Message::Reset(served, done)) => {
                    // Who asked may have gone.
                    let _ = done.send(self.reset(served));
                }
                Ok(Message::End(done)) => {
                    self.end();
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.end();
                    return;
                }
            }
        }
    }

    fn tick(&mut self) {
        for watched in &mut self.watched {
            watched.look(&self.around, self.kept.as_mut());
            let is_alarm = watched.check(&self.around);
            watched.tick(&self.around);
            if let Some(kept) = self.kept.as_mut().filter(|_| is_alarm) {
                watched.keep(kept);
            }
        }
        self.react();
        if KEEP_EVERY <= self.kept_at.elapsed() {
            self.keep();
        }
    }

    fn seen(&mut self, tapped: Tapped) {
        let is_of = |one: &&mut Watched| one.is_at(tapped.served);
        let Some(watched) = self.watched.iter_mut().find(is_of) else {
            return;
        };
        if watched.is_new(&tapped) {
            watched.look(&self.around, self.kept.as_mut());
        }
        let mut is_alarm = watched.take(&self.around, tapped);
        is_alarm |= watched.check(&self.around);
        // An alarm outlives a server that is killed.
        if let Some(kept) = self.kept.as_mut().filter(|_| is_alarm) {
            watched.keep(kept);
        }
    }

    fn reset(&mut self, served: usize) -> bool {
        let Some(watched) = self.watched.iter_mut().find(|one| one.is_at(served)) else {
            return false;
        };
        let is_reset = watched.reset(&self.around);
        if let Some(kept) = self.kept.as_mut().filter(|_| is_reset) {
            watched.keep(kept);
        }
        is_reset
    }

    /// Has the command run, where drift has lasted for long enough.
    fn react(&mut self) {
        let (Some(reactor), Some(kept)) = (&mut self.reactor, &mut self.kept) else {
            return;
        };
        let after = reactor.after();
        if let Some(found) = self.watched.iter().find_map(|one| one.lasting(after)) {
            reactor.react(found, kept);
        }
    }

    fn keep(&mut self) {
        self.kept_at = Instant::now();
        if let Some(kept) = &mut self.kept {
            for watched in &mut self.watched {
                watched.keep(kept);
            }
        }
    }

    fn end(&mut self) {
        self.keep();
        if let Some(reactor) = &mut self.reactor {
            reactor.end();
        }
    }
}
