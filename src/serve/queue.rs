//! The bounded queue between the requests and the one thread that owns the network.
//!
//! It is counted in pictures. A request takes its slots *before* it decodes anything, so that a
//! server that is behind refuses in microseconds and its memory stays flat: at most `limit` pictures
//! are decoded, wait or are computed, whatever comes. Slots that are not used (the picture was
//! damaged, the client went away) are given back by `Drop`.
//!
//! Batching takes what is there: while the network computes, the next batch gathers by itself. Only
//! when told to (`wait`) does a batch that is not full wait for more. A batch holds pictures of one
//! model, so that a model can be exchanged while requests are under way; with several models the
//! oldest picture says whose turn it is.
//!
//! What only a shadow is asked about takes no slots: it waits in a small queue of its own, is computed
//! when nothing else waits, and is the first to go.
//!
//! Imports: `serve::{drift, model}`, prometheus (the gauge of slots), tokio (the channel of the answer).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::oneshot;

use crate::vision::train::Sample;

use super::drift::Wants;
use super::model::Model;

/// The weight of the newest batch in the running mean of the time per picture.
const NEWEST_WEIGHT: f64 = 0.2;
/// Retry-After is a whole number of seconds, at least 1 (RFC 9110 §10.2.3).
const RETRY_SECONDS_MIN: f64 = 1.0;
/// Pictures that wait for a shadow at most.
const SHADOWS_MAX: usize = 64;
/// Nobody should be told to stay away for longer than this.
const RETRY_SECONDS_MAX: f64 = 60.0;

/// One picture, `[height, width, channels]` as the model takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Picture {
    /// Values 0..=255, decoded and fitted here.
    Bytes(Vec<u8>),
    /// Values 0..=1, as the client made them.
    Unit(Vec<f32>),
    /// Values 0..=255 of a picture with a part covered, made to learn about the network. What it says
    /// of them is counted nowhere: no client sent them.
    Covered(Vec<u8>),
}

impl Picture {
    pub(super) fn sample(&self) -> Sample<'_> {
        match self {
            Self::Bytes(values) | Self::Covered(values) => Sample::Bytes(values),
            Self::Unit(values) => Sample::Unit(values),
        }
    }
}

/// What the network says about one picture, and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// One per class, sum 1.
    pub(super) probabilities: Vec<f32>,
    /// What entered the last layer, if that was wanted and is known.
    pub(super) embedding: Option<Vec<f32>>,
    /// From entering the queue until its batch began.
    pub(super) queued: Duration,
    /// Of the whole batch.
    pub(super) infer: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The network's output is not a finite number.
    NotFinite,
    /// A bug; the log has the details.
    Bug,
}

/// The channel on which the answer comes; closed without one if the deadline passed.
pub(super) type Pending = oneshot::Receiver<Result<Answer, Failure>>;

/// A picture that waits for its batch.
pub(super) struct Job {
    pub(super) model: Arc<Model>,
    pub(super) picture: Picture,
    /// What is wanted beside the probabilities.
    pub(super) wants: Wants,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<Answer, Failure>>,
}

/// Something that is to be done on the model thread between two batches.
pub(super) type Errand = Box<dyn FnOnce() + Send>;

/// What the model thread does next.
pub(super) enum Work {
    /// Compute these, then give their slots back.
    Batch(Vec<Job>),
    /// Compute these for the comparison; they hold no slots.
    Shadows(Vec<Job>),
    /// Do this.
    Errand(Errand),
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    /// Whole seconds after which it is worth trying again, at least 1.
    pub(super) retry_after_s: u64,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
    /// Running mean of the time per picture, f64 seconds as bits.
    seconds_per_picture: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    shadows: VecDeque<Job>,
    errands: VecDeque<Errand>,
    /// Slots taken: pictures that are decoded, wait, or are computed.
    taken: usize,
    closed: bool,
}

/// Slots of a queue, given back on drop unless they were used.
pub(super) struct Slots {
    queue: Arc<Queue>,
    count: usize,
    /// Counts the slots of the model that the pictures are for.
    length: IntGauge,
}

impl Queue {
    /// Returns an empty queue of `limit` slots.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limit,
            seconds_per_picture: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of slots that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().taken
    }

    /// Takes `count` slots, all or none, and counts them in `length`.
    pub(super) fn take_slots(
        self: &Arc<Self>,
        count: usize,
        length: &IntGauge,
    ) -> Result<Slots, Full> {
        let mut state = self.lock();
        if self.limit < state.taken + count {
            let taken = state.taken;
            drop(state);
            return Err(Full {
                retry_after_s: self.retry_after_s(taken),
            });
        }
        state.taken += count;
        drop(state);
        length.add(count as i64);
        Ok(Slots {
            queue: Arc::clone(self),
            count,
            length: length.clone(),
        })
    }

    /// Returns how long the network takes for one picture, as the batches so far tell; `None` before the
    /// first.
    pub(super) fn time_per_picture(&self) -> Option<Duration> {
        let seconds = f64::from_bits(self.seconds_per_picture.load(Ordering::Relaxed));
        (0.0 < seconds).then(|| Duration::from_secs_f64(seconds))
    }

    fn retry_after_s(&self, pictures: usize) -> u64 {
        let each = f64::from_bits(self.seconds_per_picture.load(Ordering::Relaxed));
        let seconds = (pictures as f64 * each).ceil();
        seconds.clamp(RETRY_SECONDS_MIN, RETRY_SECONDS_MAX) as u64
    }

    /// Waits for work and takes the next: an errand, or a batch of at most `batch_max` pictures of
    /// one model, that of the oldest picture. Jobs that nobody waits for any more are dropped. `None`
    /// when the queue was closed and is empty.
    pub(super) fn next_work(&self, batch_max: usize, wait: Duration) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(errand) = state.errands.pop_front() {
                return Some(Work::Errand(errand));
            }
            state.drop_dead(Instant::now());
            if let Some(first) = state.waiting.front() {
                let full_at = first.since + wait;
                let left = full_at.saturating_duration_since(Instant::now());
                if batch_max <= state.waiting.len() || left.is_zero() || state.closed {
                    return Some(Work::Batch(of_one_model(&mut state.waiting, batch_max)));
                }
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else if state.closed {
                return None;
            } else if state.shadows.is_empty() {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            } else {
                return Some(Work::Shadows(of_one_model(&mut state.shadows, batch_max)));
            }
        }
    }

    /// Hands in a picture that is only compared; `None` if too many wait.
    pub(super) fn submit_shadow(
        &self,
        model: &Arc<Model>,
        picture: Picture,
        deadline: Instant,
    ) -> Option<Pending> {
        let (job, pending) = Job::new(model, picture, Wants::default(), deadline);
        let mut state = self.lock();
        if SHADOWS_MAX <= state.shadows.len() {
            return None;
        }
        state.shadows.push_back(job);
        drop(state);
        self.changed.notify_one();
        Some(pending)
    }

    /// Does `errand` on the model thread and returns what it made; `None` if it panicked, or if the
    /// queue is closed. The thread's memory is warm then, and not that of another one.
    pub(super) fn on_model_thread<T: Send + 'static>(
        &self,
        errand: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let errand = Box::new(move || {
            let _ = sender.send(errand());
        });
        {
            let mut state = self.lock();
            if state.closed {
                return None;
            }
            state.errands.push_back(errand);
        }
        self.changed.notify_one();
        receiver.recv().ok()
    }

    /// Gives back the slots of a computed batch of one model, which took `took`.
    pub(super) fn done(&self, pictures: usize, took: Duration, length: &IntGauge) {
        let each = took.as_secs_f64() / pictures.max(1) as f64;
        let mean = f64::from_bits(self.seconds_per_picture.load(Ordering::Relaxed));
        let mean = if mean == 0.0 {
            each
        } else {
            mean + NEWEST_WEIGHT * (each - mean)
        };
        // Only the model thread writes.
        self.seconds_per_picture
            .store(mean.to_bits(), Ordering::Relaxed);
        self.give_back(pictures, length);
    }

    fn give_back(&self, count: usize, length: &IntGauge) {
        length.sub(count as i64);
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(count);
    }

    /// Lets the model thread end when it has answered what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

impl State {
    /// Drops jobs that are past their deadline or whose client has gone: running them would only
    /// delay those who still wait.
    fn drop_dead(&mut self, now: Instant) {
        let is_alive = |job: &Job| now < job.deadline && !job.answer.is_closed();
        let mut dropped = 0;
        self.waiting.retain(|job| {
            let stays = is_alive(job);
            if !stays {
                job.model.metrics.queue_length.dec();
                dropped += 1;
            }
            stays
        });
        self.taken -= dropped;
        self.shadows.retain(is_alive);
    }
}

/// Takes the pictures of the first one's model out, at most `max`, and leaves the others in order.
fn of_one_model(waiting: &mut VecDeque<Job>, max: usize) -> Vec<Job> {
    let mut batch: Vec<Job> = Vec::with_capacity(max.min(waiting.len()));
    let mut at = 0;
    while batch.len() < max && at < waiting.len() {
        let fits = batch
            .first()
            .is_none_or(|first| Arc::ptr_eq(&first.model, &waiting[at].model));
        if !fits {
            at += 1;
        } else if let Some(job) = waiting.remove(at) {
            batch.push(job);
        }
    }
    batch
}

impl Job {
    fn new(
        model: &Arc<Model>,
        picture: Picture,
        wants: Wants,
        deadline: Instant,
    ) -> (Self, Pending) {
        let (answer, pending) = oneshot::channel();
        let job = Self {
            model: Arc::clone(model),
            picture,
            wants,
            since: Instant::now(),
            deadline,
            answer,
        };
        (job, pending)
    }
}

impl Slots {
    /// Adds the slots of `other`, of the same queue.
    pub(super) fn join(&mut self, mut other: Self) {
        self.count += std::mem::take(&mut other.count);
    }

    /// Takes one slot out.
    ///
    /// # Panics
    /// If none is left.
    pub(super) fn split_one(&mut self) -> Self {
        assert!(0 < self.count, "a slot is taken for each picture");
        self.count -= 1;
        Self {
            queue: Arc::clone(&self.queue),
            count: 1,
            length: self.length.clone(),
        }
    }

    /// Uses one slot for `picture`, of which the answer tells what is wanted of the network.
    ///
    /// # Panics
    /// If no slot is left: the caller took as many as it has pictures.
    pub(super) fn submit(
        &mut self,
        model: &Arc<Model>,
        picture: Picture,
        wants: Wants,
        deadline: Instant,
    ) -> Pending {
        assert!(0 < self.count, "a slot is taken for each picture");
        self.count -= 1;
        let (job, pending) = Job::new(model, picture, wants, deadline);
        self.queue.lock().waiting.push_back(job);
        self.queue.changed.notify_one();
        pending
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if 0 < self.count {
            self.queue.give_back(self.count, &self.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::model::tests::tiny_model;

    fn next_batch(queue: &Queue, batch_max: usize) -> usize {
        match queue.next_work(batch_max, Duration::ZERO) {
            Some(Work::Batch(batch)) => batch.len(),
            Some(Work::Shadows(_) | Work::Errand(_)) | None => 0,
        }
    }

    fn length() -> IntGauge {
        IntGauge::new("length", "slots").unwrap()
    }

    fn submit(slots: &mut Slots, model: &Arc<Model>, deadline: Instant) -> Pending {
        slots.submit(
            model,
            Picture::Bytes(vec![0; 3]),
            Wants::default(),
            deadline,
        )
    }

    #[test]
    fn slots_are_counted_and_given_back() {
        let queue = Arc::new(Queue::new(3));
        let length = length();
        let two = queue.take_slots(2, &length).unwrap();
        assert!(queue.take_slots(2, &length).is_err());
        let one = queue.take_slots(1, &length).unwrap();
        assert_eq!((queue.taken(), length.get()), (3, 3));
        drop(two);
        assert_eq!((queue.taken(), length.get()), (1, 1));
        drop(one);
        assert_eq!((queue.taken(), length.get()), (0, 0));
    }

    #[test]
    fn a_batch_takes_what_waits_up_to_its_size_and_of_one_model() {
        let queue = Arc::new(Queue::new(10));
        let far = Instant::now() + Duration::from_mins(1);
        let (first, second) = (tiny_model(), tiny_model());
        let length = length();
        let mut slots = queue.take_slots(5, &length).unwrap();
        let mut pending = Vec::new();
        for model in [&first, &first, &first, &second, &first] {
            pending.push(submit(&mut slots, model, far));
        }
        // The fourth picture is of another model and waits for its turn; the fifth does not wait for it.
        let sizes: Vec<usize> = (0..3).map(|_| next_batch(&queue, 3)).collect();
        assert_eq!(sizes, [3, 1, 1]);
        // Slots are held until the batch is done.
        assert_eq!(queue.taken(), 5);
        queue.done(5, Duration::from_secs(10), &length);
        assert_eq!((queue.taken(), length.get()), (0, 0));
        queue.close();
        assert!(queue.next_work(2, Duration::ZERO).is_none());
        assert_eq!(queue.on_model_thread(|| 1), None);
    }

    #[test]
    fn nobody_computes_for_the_dead() {
        let queue = Arc::new(Queue::new(10));
        let now = Instant::now();
        let far = now + Duration::from_mins(1);
        let model = tiny_model();
        let mut slots = queue.take_slots(3, &model.metrics.queue_length).unwrap();
        let _late = submit(&mut slots, &model, now);
        drop(submit(&mut slots, &model, far));
        let _alive = submit(&mut slots, &model, far);
        assert_eq!((next_batch(&queue, 8), queue.taken()), (1, 1));
        assert_eq!(model.metrics.queue_length.get(), 1);
    }

    #[test]
    fn a_shadow_waits_for_everybody_and_takes_no_slots() {
        let queue = Arc::new(Queue::new(1));
        let far = Instant::now() + Duration::from_mins(1);
        let model = tiny_model();
        let shadow = || queue.submit_shadow(&model, Picture::Bytes(vec![0; 3]), far);
        let kept: Vec<_> = std::iter::from_fn(shadow).collect();
        assert_eq!((kept.len(), queue.taken()), (SHADOWS_MAX, 0));
        let mut slots = queue.take_slots(1, &model.metrics.queue_length).unwrap();
        let _first = submit(&mut slots, &model, far);
        assert_eq!(next_batch(&queue, 8), 1);
        let Some(Work::Shadows(batch)) = queue.next_work(8, Duration::ZERO) else {
            panic!("nothing else waits");
        };
        assert_eq!(batch.len(), 8);
        // Nobody compares any more.
        drop(kept);
        queue.close();
        assert!(queue.next_work(8, Duration::ZERO).is_none());
    }

    #[test]
    fn who_is_refused_is_told_when_to_come_back() {
        let queue = Arc::new(Queue::new(40));
        let length = length();
        let _slots = queue.take_slots(40, &length).unwrap();
        let retry = || queue.take_slots(1, &length).err().unwrap().retry_after_s;
        assert_eq!((retry(), queue.time_per_picture()), (1, None));
        // Half a second for each picture: 39 that are taken need 20 seconds.
        queue.done(1, Duration::from_millis(500), &length);
        let half = Duration::from_millis(500);
        assert_eq!(queue.time_per_picture(), Some(half));
        let _one = queue.take_slots(1, &length).unwrap();
        assert_eq!(retry(), 20);
    }
}
