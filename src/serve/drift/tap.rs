//! Where answers leave the path of requests. Imports: base, prometheus, arc-swap, tokio,
//! `serve::model`, `serve::drift::shown`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus::IntCounter;
use tokio::sync::oneshot;

use crate::base::ContentHash;
use crate::serve::model::Model;

use super::shown::DriftInfo;

/// Answers that wait to be looked at.
const WAITING_MAX: usize = 4096;
/// How often it is tried to get a reset into a full queue.
const FULL_POLL: Duration = Duration::from_millis(10);

/// What the monitor is told.
pub(super) enum Message {
    /// A picture was answered.
    Seen(Seen),
    /// The detectors of this model are to begin anew; whether it has any is answered.
    Reset(usize, oneshot::Sender<bool>),
    /// The server ends.
    End(SyncSender<()>),
}

/// An answered picture.
pub(super) struct Seen {
    /// Position of the model among those that are served.
    pub(super) served: usize,
    /// Of the network that answered.
    pub(super) weights: ContentHash,
    pub(super) probabilities: Vec<f32>,
}

/// The queue to the monitor, of which each model that is watched gets an end.
pub(in crate::serve) struct Taps {
    sender: SyncSender<Message>,
    messages: Receiver<Message>,
}

/// One model's end of the queue.
pub(in crate::serve) struct Tap {
    served: usize,
    sender: SyncSender<Message>,
    /// Does anybody look at the answers?
    is_open: AtomicBool,
    dropped: IntCounter,
    /// What the detectors say.
    shown: ArcSwapOption<DriftInfo>,
}

impl Taps {
    pub(in crate::serve) fn new() -> Self {
        let (sender, messages) = sync_channel(WAITING_MAX);
        Self { sender, messages }
    }

    /// Returns the end for the model at the position `served`; what does not fit is counted in `dropped`.
    pub(in crate::serve) fn tap(&self, served: usize, dropped: IntCounter) -> Arc<Tap> {
        Arc::new(Tap {
            served,
            sender: self.sender.clone(),
            is_open: AtomicBool::new(false),
            dropped,
            shown: ArcSwapOption::empty(),
        })
    }

    /// Returns the other end.
    pub(super) fn into_ends(self) -> (SyncSender<Message>, Receiver<Message>) {
        (self.sender, self.messages)
    }
}

impl Tap {
    /// Hands an answer over; never waits.
    pub(in crate::serve) fn push(&self, model: &Model, probabilities: &[f32]) {
        if !self.is_open.load(Ordering::Relaxed) {
            return;
        }
        let seen = Message::Seen(Seen {
            served: self.served,
            weights: model.weights,
            probabilities: probabilities.to_vec(),
        });
        if self.sender.try_send(seen).is_err() {
            self.dropped.inc();
        }
    }

    /// Returns what the detectors say; `None` where there are none.
    pub(in crate::serve) fn shown(&self) -> Option<Arc<DriftInfo>> {
        self.shown.load_full()
    }

    /// Has the detectors begin anew, and returns whether there are any; `None` if the monitor has ended.
    /// Waits for all that came before, on no thread: there are few for those that wait.
    pub(super) async fn reset(&self) -> Option<bool> {
        let (done, told) = oneshot::channel();
        let mut message = Message::Reset(self.served, done);
        loop {
            match self.sender.try_send(message) {
                Ok(()) => return told.await.ok(),
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return None,
            }
            tokio::time::sleep(FULL_POLL).await;
        }
    }

    /// Is this the model at the position `served`?
    pub(super) fn is_at(&self, served: usize) -> bool {
        self.served == served
    }

    /// Lets answers in, or no longer.
    pub(super) fn open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// Shows what the detectors say.
    pub(super) fn show(&self, info: Option<DriftInfo>) {
        self.shown.store(info.map(Arc::new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::model::tests::tiny_model;

    #[test]
    fn a_full_queue_drops_and_counts_and_a_closed_one_takes_nothing() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let taps = Taps::new();
        let tap = taps.tap(3, dropped.clone());
        let model = tiny_model();
        tap.push(&model, &[1.0]);
        tap.open(true);
        for _ in 0..WAITING_MAX + 5 {
            tap.push(&model, &[0.25, 0.75]);
        }
        assert_eq!(dropped.get(), 5);
        let (_sender, messages) = taps.into_ends();
        let mut rows = 0;
        while let Ok(Message::Seen(seen)) = messages.try_recv() {
            assert_eq!((seen.served, seen.probabilities), (3, vec![0.25, 0.75]));
            rows += 1;
        }
        assert_eq!(rows, WAITING_MAX);
        // Nobody is there any more: that is no wait and no error either.
        drop(messages);
        tap.push(&model, &[1.0]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert_eq!((dropped.get(), runtime.block_on(tap.reset())), (6, None));
    }
}
