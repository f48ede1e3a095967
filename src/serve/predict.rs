//! The prediction routes: `/predict`, `/predict/batch`, `/predict/model`.
//!
//! In the order of cost: is there a model, is the request well formed, is there a slot in the queue;
//! only then is the body looked into and decoded (`picture`), on the blocking threads. What reads a picture is what `preprocess`
//! and `cvops predict` use, so a picture means the same everywhere.
//!
//! Imports: http, tokio, `serve::*`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;

use crate::http::{Response, StatusCode};

use super::answer::{
    BatchAnswer, BatchItem, ModelPredictions, Prediction, Probabilities, Timing, likeliest, ranked,
};
use super::ask::{Ask, Options};
use super::envelope::{self, Envelope};
use super::log::Noted;
use super::model::Model;
use super::picture::{self, Look, Seen, Source};
use super::queue::{Answer, Picture, Slots};
use super::refusal::Refusal;
use super::service::{Ends, Service, Timings, json, stamp};
use super::tensor;

/// What `/predict` takes.
const ONE_TYPES: &str =
    "`multipart/form-data`, `image/*`, `application/octet-stream` or `application/json`";
/// What `/predict/batch` takes.
const MANY_TYPES: &str = "`multipart/form-data` or `application/json`";

/// One answered picture.
struct Predicted {
    answer: Answer,
    decode: Duration,
    /// What the log notes of it, if it does.
    seen: Option<Seen>,
}

impl Predicted {
    /// Returns what is handed to the log as the picture `index` of its request.
    fn noted(&mut self, index: usize) -> Option<Noted> {
        let timings = self.timings();
        noted(self.seen.take(), index, &self.answer, timings)
    }

    fn timings(&self) -> Timings {
        Timings {
            decode: self.decode,
            queue: self.answer.queued,
            infer: self.answer.infer,
        }
    }
}

/// `POST /predict`
pub(super) async fn one(service: Arc<Service>, ask: Ask) -> Response {
    let model = service.ready();
    let response = match &model {
        Ok(model) => predict_one(&service, model, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    finish(&service, model.as_deref().ok(), response, &ask)
}

async fn predict_one(
    service: &Service,
    model: &Arc<Model>,
    ask: &Ask,
) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let envelope = Envelope::of(ask.content_type(), ONE_TYPES)?;
    let options = ask.options()?;
    let ends = ask.ends(service.config.timeout)?;
    let slots = take_slots(service, 1)?;
    let body = ask.body.clone();
    let source = match envelope {
        Envelope::Form { boundary } => Source::Form { body, boundary },
        Envelope::Raw => Source::File(body),
        Envelope::Json => Source::Json(body),
    };
    let look = service.look(&ask.id);
    let mut predicted = predict(service, model, source, slots, ends, look).await?;
    let began = Instant::now();
    let prediction = prediction(model, &predicted, options, ask.id.as_str());
    let mut response = json(StatusCode::OK, &prediction);
    stamp(&mut response, model, predicted.timings());
    let noted = predicted.noted(0);
    service.note(&ask.id, "/predict", model, noted);
    service
        .metrics
        .encode
        .observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// `POST /predict/batch`
pub(super) async fn batch(service: Arc<Service>, ask: Ask) -> Response {
    let model = service.ready();
    let response = match &model {
        Ok(model) => predict_batch(&service, model, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    finish(&service, model.as_deref().ok(), response, &ask)
}

async fn predict_batch(
    service: &Service,
    model: &Arc<Model>,
    ask: &Ask,
) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let envelope = Envelope::of(ask.content_type(), MANY_TYPES)?;
    if envelope == Envelope::Raw {
        return Err(Refusal::media_type(ask.content_type(), MANY_TYPES));
    }
    let options = ask.options()?;
    let ends = ask.ends(service.config.timeout)?;
    let slots = take_slots(service, 1)?;
    let body = ask.body.clone();
    let most = service.pictures_max();
    let read = move || read_many(&body, &envelope, most);
    let ((items, mut slots), _) = blocking(ends, slots, read).await?;
    require_count(service, items.len())?;
    more_slots(service, &mut slots, items.len() - 1)?;
    let look = service.look(&ask.id);
    let predictions = items.into_iter().map(|item| {
        let slot = slots.split_one();
        async move { predict(service, model, Source::File(item?), slot, ends, look).await }
    });
    let mut results = join_all(predictions).await;
    let began = Instant::now();
    let mut timings = Timings::default();
    let mut predictions = Vec::with_capacity(results.len());
    for result in &results {
        predictions.push(match result {
            Ok(predicted) => {
                timings = timings.max(predicted.timings());
                BatchItem::Answered(prediction(model, predicted, options, ask.id.as_str()))
            }
            Err(refusal) => {
                service.count(refusal);
                let error = refusal.item();
                BatchItem::Failed { error }
            }
        });
    }
    let status = batch_status(results.iter().map(|r| r.as_ref().err()));
    let body = BatchAnswer {
        predictions,
        model: Service::model_ref(model),
    };
    let mut response = json(status, &body);
    stamp(&mut response, model, timings);
    let answered = results.iter_mut().enumerate();
    let noted = answered.filter_map(|(i, result)| result.as_mut().ok()?.noted(i));
    service.note(&ask.id, "/predict/batch", model, noted);
    service
        .metrics
        .encode
        .observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Returns the pictures of a body that holds several; what is no base64 fails alone.
fn read_many(
    body: &Bytes,
    envelope: &Envelope,
    pictures_max: usize,
) -> Result<Vec<Result<Bytes, Refusal>>, Refusal> {
    Ok(match envelope {
        Envelope::Form { boundary } => {
            let files = envelope::form_many(body, boundary, pictures_max)?;
            files.into_iter().map(Ok).collect()
        }
        Envelope::Json => {
            let items = envelope::json_many(body)?.into_iter();
            items.map(|item| item.map(Bytes::from)).collect()
        }
        Envelope::Raw => vec![Ok(body.clone())],
    })
}

/// 200 if any picture was answered; else the server's fault if it is one, else 422.
fn batch_status<'r>(results: impl Iterator<Item = Option<&'r Refusal>>) -> StatusCode {
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    for refusal in results {
        match refusal {
            None => return StatusCode::OK,
            Some(refusal) if !refusal.is_clients() => status = refusal.status,
            Some(_) => {}
        }
    }
    status
}

/// `POST /predict/model`
pub(super) async fn tensor(service: Arc<Service>, ask: Ask) -> Response {
    let model = service.ready();
    let response = match &model {
        Ok(model) => predict_tensor(&service, model, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    finish(&service, model.as_deref().ok(), response, &ask)
}

async fn predict_tensor(
    service: &Service,
    model: &Arc<Model>,
    ask: &Ask,
) -> Result<Response, Refusal> {
    ask.require_plain()?;
    envelope::require_json(ask.content_type())?;
    let ends = ask.ends(service.config.timeout)?;
    let slots = take_slots(service, 1)?;
    let (body, target) = (ask.body.clone(), model.predictor.model().target);
    let look = service.look(&ask.id);
    let read = move || {
        let pictures = tensor::read(&body, &target)?;
        let see = |values: &Vec<f32>| picture::see_numbers(values, &target, look);
        let seen: Vec<_> = pictures.iter().map(see).collect();
        Ok((pictures, seen))
    };
    let (((pictures, seen), mut slots), decode) = blocking(ends, slots, read).await?;
    if !pictures.is_empty() {
        require_count(service, pictures.len())?;
        more_slots(service, &mut slots, pictures.len() - 1)?;
    }
    let pending: Vec<_> = pictures
        .into_iter()
        .map(|values| slots.submit(model, Picture::Unit(values), ends.at.into_std()))
        .collect();
    let answers = join_all(pending.into_iter().map(|p| service.wait(p, ends))).await;
    let mut timings = Timings {
        decode,
        ..Timings::default()
    };
    let mut predictions = Vec::with_capacity(answers.len());
    let mut labels = Vec::with_capacity(answers.len());
    let mut logged = Vec::with_capacity(answers.len());
    let classes = &model.predictor.model().classes;
    for (i, (answer, seen)) in answers.into_iter().zip(seen).enumerate() {
        let answer = answer?;
        let (queue, infer) = (answer.queued, answer.infer);
        let own = Timings {
            decode,
            queue,
            infer,
        };
        logged.extend(noted(seen, i, &answer, own));
        timings.queue = timings.queue.max(answer.queued);
        timings.infer = timings.infer.max(answer.infer);
        labels.push(classes[likeliest(&answer.probabilities)].as_str());
        predictions.push(answer.probabilities);
    }
    let body = ModelPredictions {
        predictions,
        labels,
    };
    let mut response = json(StatusCode::OK, &body);
    stamp(&mut response, model, timings);
    service.note(&ask.id, "/predict/model", model, logged);
    Ok(response)
}

fn noted(seen: Option<Seen>, index: usize, answer: &Answer, timings: Timings) -> Option<Noted> {
    Some(Noted {
        index: u32::try_from(index).ok()?,
        probabilities: answer.probabilities.clone(),
        latency: timings.decode + timings.queue + timings.infer,
        seen: seen?,
    })
}

fn take_slots(service: &Service, count: usize) -> Result<Slots, Refusal> {
    service
        .queue
        .take_slots(count)
        .map_err(|full| Refusal::queue_full(full.retry_after_s))
}

fn more_slots(service: &Service, slots: &mut Slots, count: usize) -> Result<(), Refusal> {
    slots.join(take_slots(service, count)?);
    Ok(())
}

fn require_count(service: &Service, pictures: usize) -> Result<(), Refusal> {
    let most = service.pictures_max();
    if pictures <= most {
        return Ok(());
    }
    let detail = format!("{pictures} pictures in one request, at most {most} are taken");
    Err(Refusal::too_many_images(detail))
}

/// Says why there is no answer, if there is none, and counts the request.
fn finish(
    service: &Service,
    model: Option<&Model>,
    response: Result<Response, Refusal>,
    ask: &Ask,
) -> Response {
    let response = response.unwrap_or_else(|refusal| service.refuse(&refusal, &ask.id));
    service.count_request(model, response.status());
    response
}

/// Decodes a picture, queues it, and waits for the answer.
async fn predict(
    service: &Service,
    model: &Arc<Model>,
    source: Source,
    slots: Slots,
    ends: Ends,
    look: Look,
) -> Result<Predicted, Refusal> {
    let target = model.predictor.model().target;
    let limits = service.config.limits;
    let most = service.pictures_max();
    let read = move || picture::read(source, most, limits, &target, look);
    let (((picture, seen), mut slots), decode) = blocking(ends, slots, read).await?;
    service.metrics.decode.observe(decode.as_secs_f64());
    let pending = slots.submit(model, picture, ends.at.into_std());
    let answer = service.wait(pending, ends).await?;
    Ok(Predicted {
        answer,
        decode,
        seen,
    })
}

/// Runs `work` on a blocking thread and returns what it made, the slots, and how long it took.
///
/// The slots travel with the work: if the client goes away or its time is over, they are given back
/// when the work is over, not before. So the work that waits for a thread is bounded by the queue.
async fn blocking<T: Send + 'static>(
    ends: Ends,
    slots: Slots,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<((T, Slots), Duration), Refusal> {
    let running = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        if ends.at.into_std() <= began {
            return Err(Refusal::deadline(ends.timeout));
        }
        let made = work()?;
        Ok(((made, slots), began.elapsed()))
    });
    match tokio::time::timeout_at(ends.at, running).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Refusal::internal(
            "this is a bug in cvops; the server's log has more under this request id",
        )),
        Err(_) => Err(Refusal::deadline(ends.timeout)),
    }
}

fn prediction<'a>(
    model: &'a Model,
    predicted: &'a Predicted,
    options: Options,
    request_id: &'a str,
) -> Prediction<'a> {
    let classes = model.predictor.model().classes.as_slice();
    let values = predicted.answer.probabilities.as_slice();
    let class_id = likeliest(values);
    let confidence = values[class_id];
    let sure = options.threshold.is_none_or(|least| least <= confidence);
    let timings = predicted.timings();
    Prediction {
        label: sure.then(|| classes[class_id].as_str()),
        class_id,
        confidence,
        probabilities: options
            .top_k
            .is_none()
            .then_some(Probabilities { classes, values }),
        top_k: ranked(classes, values, options.top_k.unwrap_or(usize::MAX)),
        model: Service::model_ref(model),
        request_id,
        timing_ms: Timing {
            decode: Timings::ms(timings.decode),
            queue: Timings::ms(timings.queue),
            infer: Timings::ms(timings.infer),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fails_only_as_a_whole() {
        let bad = Refusal::invalid(Vec::new());
        let slow = Refusal::deadline(Duration::from_secs(1));
        let status = |results: &[Option<&Refusal>]| batch_status(results.iter().copied()).as_u16();
        assert_eq!(status(&[Some(&bad), None]), 200);
        assert_eq!(status(&[Some(&bad), Some(&bad)]), 422);
        assert_eq!(status(&[Some(&bad), Some(&slow)]), 504);
    }
}
