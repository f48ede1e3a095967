//! Where answers leave the path of requests. Imports: base, vision, prometheus, arc-swap, tokio,
//! `serve::model`, `serve::drift::{seen, shown}`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus::IntCounter;
use tokio::sync::oneshot;

use crate::base::ContentHash;
use crate::serve::model::Model;
use crate::vision::image::PROPERTIES;

use super::seen::{Answer, Seen, Tapped, Wants};
use super::shown::DriftInfo;

/// Answers that wait to be looked at.
const WAITING_MAX: usize = 4096;
/// What they may take together: an embedding can be as wide as a picture.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How often it is tried to get a reset into a full queue.
const FULL_POLL: Duration = Duration::from_millis(10);

/// What the monitor is told.
pub(super) enum Message {
    /// There is something to look at.
    Tapped(Tapped, Weight),
    /// The detectors of this model are to begin anew; whether it has any is answered.
    Reset(usize, oneshot::Sender<bool>),
    /// The server ends.
    End(SyncSender<()>),
}

/// The part of an answer in the memory of all that wait; over when it is dropped.
pub(super) struct Weight {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

/// The queue to the monitor, of which each model that is watched gets an end.
pub(in crate::serve) struct Taps {
    sender: SyncSender<Message>,
    messages: Receiver<Message>,
    /// Bytes of all that wait.
    waiting: Arc<AtomicUsize>,
}

/// One model's end of the queue.
pub(in crate::serve) struct Tap {
    served: usize,
    sender: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    /// Does anybody look at the answers?
    is_open: AtomicBool,
    dropped: IntCounter,
    /// What the detectors want to know, of answers of these weights.
    wanted: ArcSwapOption<(ContentHash, Wants)>,
    /// What the detectors say.
    shown: ArcSwapOption<DriftInfo>,
}

impl Taps {
    pub(in crate::serve) fn new() -> Self {
        let (sender, messages) = sync_channel(WAITING_MAX);
        Self {
            sender,
            messages,
            waiting: Arc::default(),
        }
    }

    /// Returns the end for the model at the position `served`; what does not fit is counted in `dropped`.
    pub(in crate::serve) fn tap(&self, served: usize, dropped: IntCounter) -> Arc<Tap> {
        Arc::new(Tap {
            served,
            sender: self.sender.clone(),
            waiting: Arc::clone(&self.waiting),
            is_open: AtomicBool::new(false),
            dropped,
            wanted: ArcSwapOption::empty(),
            shown: ArcSwapOption::empty(),
        })
    }

    /// Returns the other end.
    pub(super) fn into_ends(self) -> (SyncSender<Message>, Receiver<Message>) {
        (self.sender, self.messages)
    }
}

impl Tap {
    /// Returns what is to be found out about pictures that `model` answers.
    pub(in crate::serve) fn wants(&self, model: &Model) -> Wants {
        let wanted = self.wanted.load();
        let of_model = wanted.as_ref().filter(|one| one.0 == model.weights);
        of_model.map_or(Wants::default(), |one| one.1)
    }

    /// Hands an answer over, with what was wanted; never waits.
    pub(in crate::serve) fn push(
        &self,
        model: &Model,
        probabilities: &[f32],
        embedding: Option<Vec<f32>>,
        properties: Option<[f64; PROPERTIES.len()]>,
    ) {
        if !self.is_open() {
            return;
        }
        let answer = Answer {
            probabilities: probabilities.to_vec(),
            embedding,
            properties,
        };
        self.hand_over(model.weights, answer.bytes(), Seen::Answer(answer));
    }

    /// Tells whether an answer of the network with these `weights` was right; never waits.
    pub(in crate::serve) fn push_feedback(&self, weights: ContentHash, correct: bool) {
        if self.is_open() {
            self.hand_over(weights, 0, Seen::Feedback { correct });
        }
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    fn hand_over(&self, weights: ContentHash, bytes: usize, seen: Seen) {
        let is_room = Weight::take(bytes, &self.waiting).is_some_and(|weight| {
            let tapped = Tapped {
                served: self.served,
                weights,
                seen,
            };
            self.sender
                .try_send(Message::Tapped(tapped, weight))
                .is_ok()
        });
        if !is_room {
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

    /// Has this found out about pictures that the network with these weights answers, from now on.
    pub(super) fn want(&self, weights: ContentHash, wants: Wants) {
        self.wanted.store(Some(Arc::new((weights, wants))));
    }

    /// Has nothing found out any more.
    pub(super) fn want_nothing(&self) {
        self.wanted.store(None);
    }

    /// Shows what the detectors say.
    pub(super) fn show(&self, info: Option<DriftInfo>) {
        self.shown.store(info.map(Arc::new));
    }
}

impl Weight {
    /// Takes so many bytes of what may wait; `None` if there are not as many left.
    fn take(bytes: usize, waiting: &Arc<AtomicUsize>) -> Option<Self> {
        // Given back by `drop`, whatever comes of it.
        let weight = Self {
            bytes,
            waiting: Arc::clone(waiting),
        };
        let before = waiting.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= WAITING_BYTES_MAX).then_some(weight)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::drift::seen::tests::plain;
    use crate::serve::model::tests::tiny_model;

    #[test]
    fn a_full_queue_drops_and_counts_and_a_closed_one_takes_nothing() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let taps = Taps::new();
        let tap = taps.tap(3, dropped.clone());
        let model = tiny_model();
        tap.push(&model, &[1.0], None, None);
        tap.push_feedback(model.weights, true);
        tap.open(true);
        for _ in 0..WAITING_MAX + 5 {
            tap.push(&model, &[0.25, 0.75], None, None);
        }
        assert_eq!(dropped.get(), 5);
        let (_sender, messages) = taps.into_ends();
        let mut rows = 0;
        while let Ok(Message::Tapped(tapped, _)) = messages.try_recv() {
            let expected = Seen::Answer(plain(&[0.25, 0.75]));
            assert_eq!((tapped.served, tapped.seen), (3, expected));
            rows += 1;
        }
        assert_eq!(rows, WAITING_MAX);
        // Nobody is there any more: that is no wait and no error either.
        drop(messages);
        tap.push(&model, &[1.0], None, None);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert_eq!((dropped.get(), runtime.block_on(tap.reset())), (6, None));
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let taps = Taps::new();
        let tap = taps.tap(0, dropped.clone());
        let model = tiny_model();
        tap.open(true);
        let wide = vec![0.0; WAITING_BYTES_MAX / size_of::<f32>() / 4];
        for _ in 0..5 {
            tap.push(&model, &[1.0], Some(wide.clone()), None);
        }
        // Three, as each is a little more than a quarter; what is small fits still.
        assert_eq!(dropped.get(), 2);
        tap.push(&model, &[1.0], None, None);
        tap.push_feedback(model.weights, false);
        assert_eq!(dropped.get(), 2);
        let (_sender, messages) = taps.into_ends();
        assert_eq!(messages.try_iter().count(), 5);
        // Looked at: there is room again.
        assert_eq!(tap.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn something_is_wanted_of_the_fitted_weights_only() {
        let taps = Taps::new();
        let tap = taps.tap(0, IntCounter::new("dropped", "dropped").unwrap());
        let model = tiny_model();
        let wants = Wants {
            embedding: true,
            properties: false,
        };
        assert_eq!(tap.wants(&model), Wants::default());
        tap.want(ContentHash::of(b"of a canary"), wants);
        assert_eq!(tap.wants(&model), Wants::default());
        tap.want(model.weights, wants);
        assert_eq!(tap.wants(&model), wants);
        tap.want_nothing();
        assert_eq!(tap.wants(&model), Wants::default());
    }
}
