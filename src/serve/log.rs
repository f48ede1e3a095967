//! The prediction log of a server: what is noted of a request, and the thread that writes it.
//!
//! A request hands over what it knows through a bounded channel and goes on. When the thread is
//! behind, the disk slow or full, records are dropped and counted; no request waits or fails for it.
//! Whether a request is logged depends on its id alone, so its pictures are logged all or none.
//!
//! The thread knows the last predictions by their request's id, so feedback is checked in the order
//! in which things happened; what it does not know any more, `feedback` looks up in the files. Whether an
//! answer was right, it tells the detectors of drift of that model.
//!
//! Imports: base, `track::predictions`, `vision::image`, prometheus, tokio (the channel of a verdict),
//! `serve::{answer, drift, picture, model, metrics}`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntCounterVec};
use tokio::sync::oneshot;

use crate::base::{ContentHash, clock};
use crate::http::RequestId;
use crate::track::predictions::{
    Entry, Feedback, Prediction, Predictions, Record, Shadow, Writer, predicts,
};
use crate::vision::image::{Target, png};

use super::Error;
use super::answer::{likeliest, ranked};
use super::drift::Tap;
use super::model::Model;
use super::picture::{Look, Seen};
use super::recent::{Known, Recent, Verdict};

/// Requests that wait to be written.
const REQUESTS_MAX: usize = 4096;
/// Bytes of pictures that wait to be written.
const PICTURE_BYTES_MAX: usize = 32 << 20;
/// What was noted is written after this time, or when there is much of it.
const WRITE_EVERY: Duration = Duration::from_millis(250);
const ENTRIES_MAX: usize = 512;
/// How long the disk is left alone after it failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of the server waits for what is left to be written.
const END_MAX: Duration = Duration::from_secs(5);
/// With more classes, the log holds the likeliest ones only.
const CLASSES_MAX: usize = 50;
const LIKELIEST: usize = 10;

/// What is logged, where, and how much of it is kept.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) dir: PathBuf,
    pub(super) sample: f64,
    pub(super) pictures: bool,
    pub(super) bytes_max: u64,
}

/// What is counted.
#[derive(Clone)]
pub(super) struct Counters {
    pub(super) records: IntCounter,
    pub(super) dropped: IntCounter,
    pub(super) feedback: IntCounterVec,
}

/// Where it is told whether an answer was right, by the names of the models that are watched for drift.
pub(super) type Taps = BTreeMap<String, Arc<Tap>>;

/// The log of a server, seen from its requests.
pub(super) struct Log {
    sender: SyncSender<Message>,
    settings: Settings,
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

/// One answered picture.
pub(super) struct Noted {
    pub(super) index: u32,
    pub(super) probabilities: Vec<f32>,
    pub(super) latency: Duration,
    pub(super) seen: Seen,
}

/// One answered request.
struct Answered {
    at: clock::Timestamp,
    id: RequestId,
    route: &'static str,
    model: Arc<Model>,
    pictures: Vec<Noted>,
}

/// What somebody says about an answer.
pub(super) struct Said {
    pub(super) feedback: Feedback,
    /// What the files say about it, if they were asked.
    pub(super) known: Option<Known>,
}

/// What a shadow says about an answered picture.
pub(super) struct Compared {
    pub(super) id: RequestId,
    pub(super) index: u32,
    pub(super) shadow: Arc<Model>,
    pub(super) probabilities: Vec<f32>,
    pub(super) agrees: bool,
}

enum Message {
    Answered(Answered),
    Compared(Compared),
    Said(Box<Said>, oneshot::Sender<Verdict>),
    End(SyncSender<()>),
}

impl Log {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(settings: Settings, counters: Counters, taps: Taps) -> Result<Self, Error> {
        let (sender, messages) = sync_channel(REQUESTS_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let dropped = counters.dropped.clone();
        let keeper = Keeper {
            writer: Writer::new(settings.dir.clone(), settings.bytes_max),
            dir: settings.dir.clone(),
            entries: Vec::new(),
            recent: Recent::default(),
            waiting: Arc::clone(&waiting),
            counters,
            taps,
            failed: None,
        };
        let started = std::thread::Builder::new()
            .name("cvops-log".to_owned())
            .spawn(move || keeper.run(&messages));
        started.map_err(|e| Error::Start {
            problem: e.to_string(),
        })?;
        Ok(Self {
            sender,
            settings,
            waiting,
            dropped,
        })
    }

    /// Says how closely the pictures of a request are looked at.
    pub(super) fn look(&self, id: &RequestId) -> Look {
        if !is_sampled(id.as_str(), self.settings.sample) {
            Look::Away
        } else if self.settings.pictures {
            Look::Keep
        } else {
            Look::Note
        }
    }

    /// Hands over what is known of a request.
    pub(super) fn note(
        &self,
        id: &RequestId,
        route: &'static str,
        model: &Arc<Model>,
        mut pictures: Vec<Noted>,
    ) {
        if pictures.is_empty() {
            return;
        }
        let count = pictures.len() as u64;
        let mut bytes: usize = pictures.iter().map(|noted| noted.seen.pixels.len()).sum();
        if PICTURE_BYTES_MAX < self.waiting.load(Ordering::Relaxed) + bytes {
            // Numbers are worth more than pictures.
            for noted in &mut pictures {
                noted.seen.pixels = Vec::new();
            }
            bytes = 0;
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let answered = Answered {
            at: clock::now(),
            id: id.clone(),
            route,
            model: Arc::clone(model),
            pictures,
        };
        if self.sender.try_send(Message::Answered(answered)).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.inc_by(count);
        }
    }

    /// Hands over what a shadow says, where the request itself is logged.
    pub(super) fn compared(&self, compared: Compared) {
        if self.look(&compared.id) != Look::Away
            && self.sender.try_send(Message::Compared(compared)).is_err()
        {
            self.dropped.inc();
        }
    }

    /// Hands over what somebody says about an answer; `None` if too much waits.
    pub(super) fn say(&self, said: Said) -> Option<oneshot::Receiver<Verdict>> {
        let (sender, verdict) = oneshot::channel();
        let message = Message::Said(Box::new(said), sender);
        self.sender.try_send(message).ok().map(|()| verdict)
    }

    /// Returns what reads the files.
    pub(super) fn reader(&self) -> Predictions {
        Predictions::new(self.settings.dir.clone())
    }

    /// Writes what is left.
    pub(super) fn end(&self) {
        let (sender, ended) = sync_channel(1);
        let mut message = Message::End(sender);
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
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Does a request with this id belong to the share that is logged?
fn is_sampled(id: &str, sample: f64) -> bool {
    if 1.0 <= sample {
        return true;
    }
    let hash = ContentHash::of(id.as_bytes());
    let first = hash.as_bytes().first_chunk::<8>().copied();
    let place = u64::from_le_bytes(first.unwrap_or_default());
    (place as f64) < sample * 2.0_f64.powi(64)
}

/// The thread's side.
struct Keeper {
    writer: Writer,
    dir: PathBuf,
    entries: Vec<Entry>,
    recent: Recent,
    waiting: Arc<AtomicUsize>,
    counters: Counters,
    taps: Taps,
    /// When the disk failed last, if it has not worked since.
    failed: Option<Instant>,
}

impl Keeper {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut write_at = None;
        loop {
            let wait = write_at.map_or(Duration::MAX, |at: Instant| {
                at.saturating_duration_since(Instant::now())
            });
            let message = match messages.recv_timeout(wait) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    self.write();
                    write_at = None;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match message {
                Message::Compared(compared) => {
                    self.compared(compared);
                    write_at = write_at.or_else(|| Instant::now().checked_add(WRITE_EVERY));
                }
                Message::Answered(answered) => {
                    self.answered(answered);
                    if ENTRIES_MAX <= self.entries.len() {
                        self.write();
                        write_at = None;
                    } else {
                        write_at = write_at.or_else(|| Instant::now().checked_add(WRITE_EVERY));
                    }
                }
                Message::Said(said, verdict) => {
                    // Who asked may have gone.
                    let _ = verdict.send(self.said(*said));
                }
                Message::End(ended) => {
                    self.write();
                    let _ = ended.send(());
                    return;
                }
            }
        }
        self.write();
    }

    fn answered(&mut self, answered: Answered) {
        let Answered {
            at,
            id,
            route,
            model,
            pictures,
        } = answered;
        let artifact = model.predictor.model();
        let weights = model.weights.to_string();
        let mut known = Vec::with_capacity(pictures.len());
        for noted in pictures {
            self.waiting
                .fetch_sub(noted.seen.pixels.len(), Ordering::Relaxed);
            let class = likeliest(&noted.probabilities);
            let Some(label) = artifact.classes.get(class) else {
                continue;
            };
            known.push(Known {
                index: noted.index,
                label: label.clone(),
                model: model.name.clone(),
                version: model.version.version.clone(),
                weights: predicts(route).then_some(model.weights),
                is_judged: false,
            });
            let prediction = Prediction {
                ts: at,
                request_id: id.as_str().to_owned(),
                index: noted.index,
                route: route.to_owned(),
                model: model.name.clone(),
                version: model.version.version.clone(),
                weights: weights.clone(),
                label: label.clone(),
                confidence: noted.probabilities[class],
                classes: artifact.classes.len(),
                probabilities: probabilities(&artifact.classes, &noted.probabilities),
                latency_ms: noted.latency.as_micros() as f64 / 1e3,
                image_blake3: noted.seen.hash.to_string(),
                size: noted.seen.size,
                format: noted.seen.format.map(|format| format.name().to_owned()),
                picture: None,
            };
            self.entries.push(Entry {
                record: Record::Prediction(Box::new(prediction)),
                picture: picture(&noted.seen.pixels, &artifact.target),
            });
        }
        self.recent.add(id.as_str(), known);
    }

    fn compared(&mut self, compared: Compared) {
        let Compared {
            id,
            index,
            shadow,
            probabilities: values,
            agrees,
        } = compared;
        let classes = &shadow.predictor.model().classes;
        let class = likeliest(&values);
        let Some(label) = classes.get(class) else {
            return;
        };
        let record = Shadow {
            ts: clock::now(),
            request_id: id.as_str().to_owned(),
            index,
            model: shadow.name.clone(),
            version: shadow.version.version.clone(),
            label: label.clone(),
            confidence: values[class],
            agrees,
            probabilities: probabilities(classes, &values),
        };
        self.entries.push(Entry {
            record: Record::Shadow(Box::new(record)),
            picture: Vec::new(),
        });
    }

    fn said(&mut self, said: Said) -> Verdict {
        let Said { feedback, known } = said;
        let found = self.recent.find(&feedback.request_id, feedback.index);
        let known = match (found, known) {
            (Ok(known), _) | (Err(_), Some(known)) => known,
            (Err(verdict), None) => return verdict,
        };
        let is_right = known.label == feedback.label;
        let (id, index) = (feedback.request_id.clone(), feedback.index);
        self.entries.push(Entry {
            record: Record::Feedback(feedback),
            picture: Vec::new(),
        });
        if !self.write() {
            return Verdict::Unwritten;
        }
        // Who corrects a click does not judge twice; who says again what could not be written does not
        // correct.
        if !known.is_judged && self.recent.judge(&id, index) {
            let correct = if is_right { "true" } else { "false" };
            let labels = [known.model.as_str(), known.version.as_str(), correct];
            self.counters.feedback.with_label_values(&labels).inc();
            if let (Some(tap), Some(weights)) = (self.taps.get(&known.model), known.weights) {
                tap.push_feedback(weights, is_right);
            }
        }
        Verdict::Accepted
    }

    /// Writes what was noted; returns whether it is written.
    fn write(&mut self) -> bool {
        if self.entries.is_empty() {
            return true;
        }
        let count = self.entries.len() as u64;
        if self.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            self.entries.clear();
            self.counters.dropped.inc_by(count);
            return false;
        }
        match self.writer.write(self.entries.drain(..), clock::now()) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!("the prediction log is written again");
                }
                self.counters.records.inc_by(count);
                true
            }
            Err(error) => {
                if self.failed.is_none() {
                    tracing::warn!(
                        folder = %self.dir.display(), %error,
                        "the prediction log cannot be written; predictions go on without it"
                    );
                }
                self.failed = Some(Instant::now());
                self.counters.dropped.inc_by(count);
                false
            }
        }
    }
}

/// Returns all classes in their order, or the likeliest of many.
fn probabilities(classes: &[String], values: &[f32]) -> indexmap::IndexMap<String, f32> {
    if classes.len() <= CLASSES_MAX {
        return classes
            .iter()
            .cloned()
            .zip(values.iter().copied())
            .collect();
    }
    let likeliest = ranked(classes, values, LIKELIEST).into_iter();
    likeliest
        .map(|ranked| (ranked.label.to_owned(), ranked.probability))
        .collect()
}

fn picture(pixels: &[u8], target: &Target) -> Vec<u8> {
    if pixels.is_empty() {
        return Vec::new();
    }
    png(pixels, target.height, target.width, target.channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_is_sampled() {
        let ids: Vec<String> = (0..2000).map(|i| format!("request-{i}")).collect();
        let sampled = |sample| ids.iter().filter(|id| is_sampled(id, sample)).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 2000));
        let quarter = sampled(0.25);
        assert!((400..600).contains(&quarter), "{quarter}");
        assert_eq!(sampled(0.25), quarter, "by the id alone");
    }

    #[test]
    fn feedback_counts_once_it_is_written() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("log");
        // A file stands where the folder is to be.
        drop(crate::base::fs::Appender::open(&dir).unwrap());
        let counter = |name: &str| IntCounter::new(name, name).unwrap();
        let labels = ["model", "version", "correct"];
        let options = prometheus::Opts::new("feedback", "feedback");
        let mut keeper = Keeper {
            writer: Writer::new(dir.clone(), 1 << 20),
            dir: dir.clone(),
            entries: Vec::new(),
            recent: Recent::default(),
            waiting: Arc::default(),
            counters: Counters {
                records: counter("records"),
                dropped: counter("dropped"),
                feedback: IntCounterVec::new(options, &labels).unwrap(),
            },
            taps: Taps::new(),
            failed: None,
        };
        let known = Known {
            index: 0,
            label: "a".to_owned(),
            model: "m".to_owned(),
            version: "1".to_owned(),
            weights: None,
            is_judged: false,
        };
        keeper.recent.add("r", vec![known]);
        let say = |keeper: &mut Keeper| {
            let feedback = Feedback {
                ts: clock::now(),
                request_id: "r".to_owned(),
                index: 0,
                label: "a".to_owned(),
                source: "api".to_owned(),
                comment: None,
            };
            let verdict = keeper.said(Said {
                feedback,
                known: None,
            });
            let counted = keeper
                .counters
                .feedback
                .with_label_values(&["m", "1", "true"]);
            (verdict, counted.get())
        };
        assert_eq!(say(&mut keeper), (Verdict::Unwritten, 0));
        crate::base::fs::remove_file(&dir).unwrap();
        keeper.failed = None;
        assert_eq!(say(&mut keeper), (Verdict::Accepted, 1));
        assert_eq!(say(&mut keeper), (Verdict::Accepted, 1), "a second word");
    }

    #[test]
    fn many_classes_are_cut_to_the_likeliest() {
        let classes: Vec<String> = (0..60).map(|i| format!("c{i}")).collect();
        let values: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let few = probabilities(&classes[..2], &values[..2]);
        assert_eq!(few.keys().collect::<Vec<_>>(), ["c0", "c1"]);
        let many = probabilities(&classes, &values);
        assert_eq!(
            (many.len(), many.get_index(0)),
            (10, Some((&"c59".to_owned(), &59.0)))
        );
    }
}
