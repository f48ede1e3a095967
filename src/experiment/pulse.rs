//! What goes on beside the stages of a repro, in a thread of its own: now and then lines of the journal
//! are written that no event pushes out, and the machine is looked at. Imports: project, pipeline,
//! track, progress, system.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::pipeline::StageName;
use crate::pipeline::execute::Event;

use super::progress::{self, Journal};
use super::system::Sampler;

/// Samples are this far apart, as MLflow's are.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// A stage that is done by then leaves no sample.
const FIRST_SAMPLE: Duration = Duration::from_secs(1);
/// What a sample is compared with is looked at that long before the first one.
const BASELINE: Duration = Duration::from_millis(500);

/// The thread, once a stage runs.
pub(super) struct Pulse {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    journal: Arc<Journal>,
    watched: Mutex<Watched>,
    stop: Condvar,
}

#[derive(Default)]
struct Watched {
    over: bool,
    running: BTreeMap<StageName, Instant>,
    sampler: Option<Sampler>,
}

impl Pulse {
    /// Prepares; no thread is started.
    pub(super) fn new(journal: &Arc<Journal>) -> Self {
        Self {
            shared: Arc::new(Shared {
                journal: Arc::clone(journal),
                watched: Mutex::default(),
                stop: Condvar::new(),
            }),
            thread: Mutex::default(),
        }
    }

    /// The machine is looked at from now on.
    pub(super) fn sample(&self, sampler: Sampler) {
        self.shared.watched().sampler = Some(sampler);
    }

    /// Takes note of which stages run.
    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Started { stage, .. } => {
                let mut watched = self.shared.watched();
                // A stage of several commands, or attempts, began with the first.
                let now = Instant::now();
                watched.running.entry(stage.clone()).or_insert(now);
                drop(watched);
                self.start();
            }
            Event::Finished { stage, .. } | Event::Failed { stage, .. } => {
                self.shared.watched().running.remove(stage);
            }
            _ => {}
        }
    }

    fn start(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without it lines are written a little later, and there are no samples.
            *thread = std::thread::Builder::new()
                .name("cvops-pulse".to_owned())
                .spawn(move || shared.beat())
                .ok();
        }
    }

    /// Ends the thread: nothing is written by it afterwards.
    pub(super) fn stop(&self) {
        self.shared.watched().over = true;
        self.shared.stop.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic of a guest is no matter of the repro.
            let _ = thread.join();
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        let mut sampler: Option<Sampler> = None;
        let mut sampled: Option<Instant> = None;
        loop {
            let watched = self.watched();
            let (mut watched, _) = self
                .stop
                .wait_timeout_while(watched, progress::WRITE_EVERY, |watched| !watched.over)
                .unwrap_or_else(PoisonError::into_inner);
            if watched.over {
                return;
            }
            if let Some(new) = watched.sampler.take() {
                sampler = Some(new);
            }
            let longest = watched.running.values().map(Instant::elapsed).max();
            drop(watched);
            self.journal.flush();
            let (Some(longest), Some(sampler)) = (longest, &mut sampler) else {
                continue;
            };
            if BASELINE <= longest {
                sampler.prepare();
            }
            let is_due = sampled.is_none_or(|at| SAMPLE_EVERY <= at.elapsed());
            if FIRST_SAMPLE <= longest && is_due {
                sampled = Some(Instant::now());
                sampler.sample();
            }
        }
    }
}
