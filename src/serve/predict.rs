//! Has pictures predicted, for every protocol: a slot in the queue, decoding on its threads,
//! the queue, the answer, the log, and the comparison with the shadow.
//!
//! In the order of cost: a protocol has found the model and judged the request's head; here a slot is
//! taken before the body is looked into and decoded (`picture`). What reads a picture is what
//! `preprocess` and `cvops predict` use, so a picture means the same everywhere.
//!
//! Imports: http, tokio, vision, `serve::*`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::{Value, json};

use crate::vision::image::Target;

use super::answer::likeliest;
use super::ask::Ask;
use super::envelope::require_count;
use super::log::Noted;
use super::model::Model;
use super::picture::{self, Fitted, Look, Seen, Source};
use super::queue::{Answer, Slots};
use super::refusal::{FieldProblem, Refusal};
use super::service::{Chosen, Ends, Service, Timings};

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

/// How far a picture has come when its turn is asked for.
enum Given {
    /// It is to be decoded.
    Encoded(Source),
    /// It is as the models take it.
    Fitted(Fitted),
}

/// One answered picture.
pub(super) struct Predicted {
    pub(super) answer: Answer,
    pub(super) decode: Duration,
    /// What the log notes of it, if it does.
    pub(super) seen: Option<Seen>,
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

/// The pictures of a request, each with its slot in the queue.
pub(super) struct Pictures {
    given: Vec<Result<Given, Refusal>>,
    slots: Slots,
    ends: Ends,
    look: Look,
    /// How long it took to find them.
    took: Duration,
}

/// Finds the pictures of a request; see `answer_many`.
///
/// # Errors
/// As there.
pub(super) async fn find(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    read: impl FnOnce(&Target) -> Result<Vec<Result<Input, Refusal>>, Refusal> + Send + 'static,
) -> Result<Pictures, Refusal> {
    let ends = ask.ends(service.config.timeout)?;
    let slots = take_slots(service, chosen, 1)?;
    let target = chosen.model.predictor.model().target;
    let (look, shadow) = (service.look(&ask.id), shadow_target(chosen));
    let most = service.pictures_max();
    let read = move || {
        let inputs = read(&target)?;
        require_count(inputs.len(), most)?;
        // Numbers are ready here: none of them waits for a thread once more.
        let inputs = inputs.into_iter();
        let given = inputs.map(|input| given(input?, &target, shadow.as_ref(), look));
        Ok(given.collect::<Vec<_>>())
    };
    let ((given, mut slots), took) = blocking(service, ends, slots, read).await?;
    if !given.is_empty() {
        slots.join(take_slots(service, chosen, given.len() - 1)?);
    }
    Ok(Pictures {
        given,
        slots,
        ends,
        look,
        took,
    })
}

impl Pictures {
    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.given.len()
    }

    /// Has all of them predicted at once; the results come in the order of the pictures.
    pub(super) fn predict(
        self,
        service: &Service,
        chosen: &Chosen,
        ask: &Ask,
    ) -> FuturesOrdered<impl Future<Output = Result<Predicted, Refusal>>> {
        let Self {
            given,
            mut slots,
            ends,
            look,
            took,
        } = self;
        let one = |(index, given): (usize, Result<Given, Refusal>)| {
            let slot = slots.split_one();
            async move {
                let mut predicted =
                    predict(service, chosen, ask, index, given?, slot, ends, look).await?;
                predicted.decode += took;
                Ok(predicted)
            }
        };
        given.into_iter().enumerate().map(one).collect()
    }

    /// Has all of them predicted, or none: the network is asked when all are read.
    async fn predict_all(
        self,
        service: &Service,
        chosen: &Chosen,
        ask: &Ask,
    ) -> Result<Vec<Predicted>, Refusal> {
        let Self {
            given,
            mut slots,
            ends,
            look,
            took,
        } = self;
        let count = given.len();
        let mut read = Vec::with_capacity(count);
        for (index, given) in given.into_iter().enumerate() {
            read.push(given.map_err(|refusal| of_one(refusal, index, count))?);
        }
        let preparing = read.into_iter().map(|given| {
            let slot = slots.split_one();
            prepare(service, chosen, given, slot, ends, look)
        });
        let ready = all(preparing.collect()).await?.into_iter().enumerate();
        let asking = ready.map(|(index, ready)| infer(service, chosen, ask, index, ready, ends));
        let mut predicted = all(asking.collect()).await?;
        for one in &mut predicted {
            one.decode += took;
        }
        Ok(predicted)
    }
}

/// Waits for all in their order, and for no more after one that failed.
async fn all<T>(
    mut coming: FuturesOrdered<impl Future<Output = Result<T, Refusal>>>,
) -> Result<Vec<T>, Refusal> {
    let count = coming.len();
    let mut all = Vec::with_capacity(count);
    while let Some(result) = coming.next().await {
        let one = result.map_err(|refusal| of_one(refusal, all.len(), count))?;
        all.push(one);
    }
    Ok(all)
}

/// Says of several pictures which one is wrong.
fn of_one(refusal: Refusal, index: usize, count: usize) -> Refusal {
    if 1 < count && refusal.is_clients() {
        refusal.of_picture(index)
    } else {
        refusal
    }
}

/// Returns what was answered, each with the number of its picture.
pub(super) fn answered(
    results: &mut [Result<Predicted, Refusal>],
) -> impl Iterator<Item = (usize, &mut Predicted)> {
    let results = results.iter_mut().enumerate();
    results.filter_map(|(index, result)| Some((index, result.as_mut().ok()?)))
}

/// Hands pictures that were answered over to the log, each with its number in the request.
pub(super) fn note<'p>(
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

/// Returns what the shadow takes, if there is one.
fn shadow_target(chosen: &Chosen) -> Option<Target> {
    let shadow = chosen.shadow.as_ref()?;
    Some(shadow.predictor.model().target)
}

/// Checks numbers that a client sent as a picture, and leaves what is encoded for later.
fn given(
    input: Input,
    target: &Target,
    shadow: Option<&Target>,
    look: Look,
) -> Result<Given, Refusal> {
    let values = match input {
        Input::File(bytes) => return Ok(Given::Encoded(Source::File(bytes))),
        Input::Values(mut values) => {
            for value in &mut values {
                *value /= 255.0;
            }
            values
        }
        Input::Unit(values) => values,
    };
    let invalid = |kind, msg: String| {
        let problem = FieldProblem::new(kind, [json!("body")], msg, &Value::Null);
        Err(Refusal::invalid(vec![problem]))
    };
    if values.len() != target.image_len() {
        let (found, expected) = (values.len(), target.image_len());
        return invalid(
            "shape",
            format!("a picture has {expected} values, found {found}"),
        );
    }
    if values.iter().any(|value| !value.is_finite()) {
        return invalid("value_range", "values should be finite numbers".to_owned());
    }
    Ok(Given::Fitted(picture::numbers(
        values, target, shadow, look,
    )))
}

/// Takes places in the queue.
///
/// # Errors
/// It is full.
pub(super) fn take_slots(
    service: &Service,
    chosen: &Chosen,
    count: usize,
) -> Result<Slots, Refusal> {
    service
        .queue
        .take_slots(count, &chosen.served.metrics.queue_length)
        .map_err(|full| Refusal::queue_full(full.retry_after_s))
}

/// A picture as the models take it, with its slot.
struct Ready {
    fitted: Fitted,
    slots: Slots,
    /// How long it took to decode it.
    decode: Duration,
}

/// Decodes a picture that is not, queues it, and waits for the answer.
#[expect(
    clippy::too_many_arguments,
    reason = "all that is known of one picture on its way"
)]
async fn predict(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    index: usize,
    given: Given,
    slots: Slots,
    ends: Ends,
    look: Look,
) -> Result<Predicted, Refusal> {
    let ready = prepare(service, chosen, given, slots, ends, look).await?;
    infer(service, chosen, ask, index, ready, ends).await
}

/// Decodes a picture that is not.
async fn prepare(
    service: &Service,
    chosen: &Chosen,
    given: Given,
    slots: Slots,
    ends: Ends,
    look: Look,
) -> Result<Ready, Refusal> {
    let source = match given {
        Given::Encoded(source) => source,
        Given::Fitted(fitted) => {
            return Ok(Ready {
                fitted,
                slots,
                decode: Duration::ZERO,
            });
        }
    };
    let target = chosen.model.predictor.model().target;
    let second = shadow_target(chosen);
    let (limits, most) = (service.config.limits, service.pictures_max());
    let read = move || picture::read(source, most, limits, &target, second.as_ref(), look);
    let ((fitted, slots), decode) = blocking(service, ends, slots, read).await?;
    chosen.served.metrics.decoded(decode, fitted.fitting);
    Ok(Ready {
        fitted,
        slots,
        decode,
    })
}

/// Queues a picture and waits for the answer.
async fn infer(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    index: usize,
    ready: Ready,
    ends: Ends,
) -> Result<Predicted, Refusal> {
    let Chosen {
        served,
        model,
        shadow,
    } = chosen;
    let Ready {
        fitted,
        mut slots,
        decode,
    } = ready;
    let Fitted {
        picture,
        shadow: second,
        seen,
        fitting: _,
    } = fitted;
    let deadline = ends.at.into_std();
    let pending = slots.submit(model, picture, deadline);
    let compared = shadow.as_ref().and_then(|shadow| {
        let pending =
            second.and_then(|second| service.queue.submit_shadow(shadow, second, deadline));
        if pending.is_none() {
            served.metrics.shadow_dropped.inc();
        }
        Some((Arc::clone(shadow), pending?))
    });
    let answer = service.wait(pending, ends).await?;
    if let Some((shadow, pending)) = compared {
        service.compare(chosen, ask, index, &answer, shadow, pending);
    }
    Ok(Predicted {
        answer,
        decode,
        seen,
    })
}

/// Returns the name of the likeliest class.
pub(super) fn label<'m>(model: &'m Model, probabilities: &[f32]) -> &'m str {
    let classes = &model.predictor.model().classes;
    classes
        .get(likeliest(probabilities))
        .map_or("", String::as_str)
}

/// Runs `work` as `aside` does and returns the slots with what it made.
///
/// The slots travel with the work: if the client goes away or its time is over while it runs, they are
/// given back when the work is over, not before. So the work that waits is bounded by the queue.
pub(super) async fn blocking<T: Send + 'static>(
    service: &Service,
    ends: Ends,
    slots: Slots,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<((T, Slots), Duration), Refusal> {
    aside(service, ends, move || Ok((work()?, slots))).await
}

/// Runs `work` on one of the decoders' threads, when its turn has come, and returns what it made, and
/// how long it took. Work whose client goes away before that is dropped.
pub(super) async fn aside<T: Send + 'static>(
    service: &Service,
    ends: Ends,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<(T, Duration), Refusal> {
    let working = service.decoders.run(move || {
        let began = Instant::now();
        if ends.at.into_std() <= began {
            return Err(Refusal::deadline(ends.timeout));
        }
        let made = work()?;
        Ok((made, began.elapsed()))
    });
    match tokio::time::timeout_at(ends.at, working).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Refusal::internal(
            "this is a bug in cvops; the server's log has more under this request id",
        )),
        Err(_) => Err(Refusal::deadline(ends.timeout)),
    }
}
