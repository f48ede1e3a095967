//! Has pictures predicted, for every protocol: a slot in the queue, decoding on its threads,
//! the queue, the answer, the log, and the comparison with the shadow.
//!
//! In the order of cost: a protocol has found the model and judged the request's head; here a slot is
//! taken before the body is looked into and decoded (`picture`). What reads a picture is what
//! `preprocess` and `cvops predict` use, so a picture means the same everywhere.
//!
//! `pictures` are those of one request, `one` is the way of each, `aside` where it is decoded.
//!
//! Imports: futures, vision, `serve::*`.

mod aside;
mod one;
mod pictures;

use std::time::Duration;

use futures_util::StreamExt;

use crate::vision::image::{PROPERTIES, Target};

use super::answer::likeliest;
use super::ask::Ask;
use super::log::Noted;
use super::model::Model;
use super::picture::{Seen, Source};
use super::queue::Answer;
use super::refusal::Refusal;
use super::service::{Chosen, Ends, Service, Timings};

use one::{Given, predict};

pub(super) use aside::{aside, blocking};
pub(super) use one::take_slots;
pub(super) use pictures::{Pictures, find};

/// One picture of a request, in whatever way it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// An encoded picture of any size.
    File(bytes::Bytes),
    /// `[height, width, channels]` values 0..=255, of the model's size.
    Values(Vec<f32>),
    /// `[height, width, channels]` values 0..=1, of the model's size.
    Unit(Vec<f32>),
}

/// One answered picture.
pub(super) struct Predicted {
    pub(super) answer: Answer,
    pub(super) decode: Duration,
    /// What the log notes of it, if it does.
    pub(super) seen: Option<Seen>,
    /// What can be said of the picture without the network, if detectors of drift want to know.
    pub(super) properties: Option<[f64; PROPERTIES.len()]>,
}

impl Predicted {
    /// Returns the probabilities of the classes, in their order.
    pub(super) fn probabilities(&self) -> &[f32] {
        &self.answer.probabilities
    }

    pub(super) fn timings(&self) -> Timings {
        Timings {
            decode: self.decode,
            queue: self.answer.queued,
            infer: self.answer.infer,
        }
    }

    /// Returns what is handed to the log as the picture `index` of its request.
    fn noted(&mut self, index: usize) -> Option<Noted> {
        let timings = self.timings();
        Some(Noted {
            index: u32::try_from(index).ok()?,
            probabilities: self.answer.probabilities.clone(),
            latency: timings.decode + timings.queue + timings.infer,
            seen: self.seen.take()?,
        })
    }
}

/// Larger answers are written on a decoding thread: the threads that move bytes are two.
const LARGE_ANSWER_BYTES: usize = 64 << 10;

/// The answers to a request, in the order of its pictures.
pub(super) struct Answered<T> {
    pub(super) results: Vec<T>,
    /// When the request is given up.
    pub(super) ends: Ends,
}

/// Returns how long the parts took; of several pictures the longest.
pub(super) fn timings<'p>(predicted: impl IntoIterator<Item = &'p Predicted>) -> Timings {
    let predicted = predicted.into_iter();
    predicted.fold(Timings::default(), |all, one| all.max(one.timings()))
}

/// Has the one picture of `source` predicted. `route` is what the log calls the route.
///
/// # Errors
/// The picture cannot be read, the queue is full, or time is over.
pub(super) async fn answer_one(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    route: &'static str,
    source: Source,
) -> Result<Predicted, Refusal> {
    let ends = ask.ends(service.config.timeout)?;
    let slots = take_slots(service, chosen, 1)?;
    let look = service.look(&ask.id);
    let given = Given::Encoded(source);
    let mut predicted = predict(service, chosen, ask, 0, given, slots, ends, look).await?;
    note(service, chosen, ask, route, [(0, &mut predicted)]);
    Ok(predicted)
}

/// Has all pictures predicted that `read` finds in the request, each for itself. `read` runs on a
/// decoding thread and gets what the model takes; `route` is what the log calls the route.
///
/// # Errors
/// The request cannot be read, holds too many pictures, or finds the queue full; or time is over. What
/// is wrong with one picture is its own result.
pub(super) async fn answer_many(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    route: &'static str,
    read: impl FnOnce(&Target) -> Result<Vec<Result<Input, Refusal>>, Refusal> + Send + 'static,
) -> Result<Answered<Result<Predicted, Refusal>>, Refusal> {
    let pictures = find(service, chosen, ask, read).await?;
    let ends = pictures.ends;
    let predictions = pictures.predict(service, chosen, ask);
    let mut results: Vec<_> = predictions.collect().await;
    note(service, chosen, ask, route, answered(&mut results));
    Ok(Answered { results, ends })
}

/// Does the same for protocols that know no answer to a part: if one of the pictures cannot be read, none
/// is asked about, counted or logged.
///
/// # Errors
/// As `answer_many`, and what is wrong with the first picture with which anything is; of several pictures
/// it says which one.
pub(super) async fn answer_all(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    route: &'static str,
    read: impl FnOnce(&Target) -> Result<Vec<Result<Input, Refusal>>, Refusal> + Send + 'static,
) -> Result<Answered<Predicted>, Refusal> {
    let pictures = find(service, chosen, ask, read).await?;
    let ends = pictures.ends;
    let mut predicted = pictures.predict_all(service, chosen, ask).await?;
    note(
        service,
        chosen,
        ask,
        route,
        predicted.iter_mut().enumerate(),
    );
    Ok(Answered {
        results: predicted,
        ends,
    })
}

/// Writes the answer about `pictures` pictures, of which each takes about `class_bytes` for each class: in
/// place if it is small, else aside.
///
/// # Errors
/// As `write`, or time is over.
pub(super) async fn write_answer<T: Send + 'static>(
    service: &Service,
    chosen: &Chosen,
    (pictures, class_bytes): (usize, usize),
    ends: Ends,
    write: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let classes = chosen.model.predictor.model().classes.len();
    let bytes = pictures.saturating_mul(classes).saturating_mul(class_bytes);
    if bytes <= LARGE_ANSWER_BYTES {
        return write();
    }
    let (written, _) = aside(service, ends, write).await?;
    Ok(written)
}

/// Returns what was answered, each with the number of its picture.
pub(super) fn answered(
    results: &mut [Result<Predicted, Refusal>],
) -> impl Iterator<Item = (usize, &mut Predicted)> {
    let results = results.iter_mut().enumerate();
    results.filter_map(|(index, result)| Some((index, result.as_mut().ok()?)))
}

/// Hands pictures that were answered over to the log, each with its number in the request, and to what
/// watches for drift.
pub(super) fn note<'p>(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    route: &'static str,
    predicted: impl IntoIterator<Item = (usize, &'p mut Predicted)>,
) {
    let Some(tap) = &chosen.served.drift else {
        return note_only(service, chosen, ask, route, predicted);
    };
    let mut predicted: Vec<(usize, &mut Predicted)> = predicted.into_iter().collect();
    for (_, one) in &mut predicted {
        let (embedding, properties) = (one.answer.embedding.take(), one.properties);
        tap.push(&chosen.model, one.probabilities(), embedding, properties);
    }
    note_only(service, chosen, ask, route, predicted);
}

/// Hands them to the log alone: what was asked in order to explain would be watched twice.
pub(super) fn note_only<'p>(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    route: &'static str,
    predicted: impl IntoIterator<Item = (usize, &'p mut Predicted)>,
) {
    let predicted = predicted.into_iter();
    let noted = predicted.filter_map(|(index, one)| one.noted(index));
    service.note(&ask.id, route, &chosen.model, noted);
}

/// Returns the name of the likeliest class.
pub(super) fn label<'m>(model: &'m Model, probabilities: &[f32]) -> &'m str {
    let classes = &model.predictor.model().classes;
    classes
        .get(likeliest(probabilities))
        .map_or("", String::as_str)
}
