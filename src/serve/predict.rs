//! The prediction routes: `/predict`, `/predict/batch`, `/predict/model`.
//!
//! In the order of cost: is there a model, is the request well formed, is there a slot in the queue;
//! only then is the body looked into and decoded, on the blocking threads. What reads a picture is what `preprocess`
//! and `cvops predict` use, so a picture means the same everywhere.
//!
//! Imports: http, vision, tokio, `serve::*`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{Response, StatusCode};
use crate::vision::image::{Limits, Target, decode, fit};

use super::answer::{
    BatchAnswer, BatchItem, ModelPredictions, Prediction, Probabilities, Timing, likeliest, ranked,
};
use super::ask::{Ask, Options};
use super::envelope::{self, Envelope};
use super::model::Model;
use super::queue::{Answer, Picture, Slots};
use super::refusal::{FieldProblem, Refusal};
use super::service::{Ends, Service, Timings, json, stamp};
use super::tensor::Tensor;

/// What `/predict` takes.
const ONE_TYPES: &str =
    "`multipart/form-data`, `image/*`, `application/octet-stream` or `application/json`";
/// What `/predict/batch` takes.
const MANY_TYPES: &str = "`multipart/form-data` or `application/json`";
/// The only signature of `/predict/model`.
const SIGNATURE: &str = "serving_default";
/// How far a value may lie outside 0..=1: resampling with a sharp filter overshoots a little.
const OVERSHOOT: f32 = 0.1;
/// No more than this of a parser's words is repeated.
const WORDS_MAX: usize = 200;

/// One answered picture.
struct Predicted {
    answer: Answer,
    decode: Duration,
}

impl Predicted {
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
    let predicted = predict(service, model, source, slots, ends).await?;
    let began = Instant::now();
    let prediction = prediction(model, &predicted, options, ask.id.as_str());
    let mut response = json(StatusCode::OK, &prediction);
    stamp(&mut response, model, predicted.timings());
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
    let predictions = items.into_iter().map(|item| {
        let slot = slots.split_one();
        async move { predict(service, model, Source::File(item?), slot, ends).await }
    });
    let results = join_all(predictions).await;
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
    let read = move || read_tensor(&body, &target);
    let ((pictures, mut slots), decode) = blocking(ends, slots, read).await?;
    if !pictures.is_empty() {
        require_count(service, pictures.len())?;
        more_slots(service, &mut slots, pictures.len() - 1)?;
    }
    let pending: Vec<_> = pictures
        .into_iter()
        .map(|picture| slots.submit(model, picture, ends.at.into_std()))
        .collect();
    let answers = join_all(pending.into_iter().map(|p| service.wait(p, ends))).await;
    let mut timings = Timings {
        decode,
        ..Timings::default()
    };
    let mut predictions = Vec::with_capacity(answers.len());
    let mut labels = Vec::with_capacity(answers.len());
    let classes = &model.predictor.model().classes;
    for answer in answers {
        let answer = answer?;
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
    Ok(response)
}

#[derive(Deserialize)]
struct TensorRequest {
    signature_name: Option<String>,
    data: Tensor,
}

/// Reads `{"signature_name": …, "data": [pictures][height][width][channels]}`, values 0..=1.
fn read_tensor(body: &[u8], target: &Target) -> Result<Vec<Picture>, Refusal> {
    let invalid = |kind, key: &str, msg: String, input: &Value| {
        let loc = [json!("body"), json!(key)];
        Refusal::invalid(vec![FieldProblem::new(kind, loc, msg, input)])
    };
    let request: TensorRequest = serde_json::from_slice(body).map_err(|error| {
        let words: String = error.to_string().chars().take(WORDS_MAX).collect();
        if !error.is_data() {
            envelope::json_invalid(body, &error)
        } else if words.starts_with("missing field `data`") {
            Refusal::invalid(vec![FieldProblem::missing([json!("body"), json!("data")])])
        } else {
            invalid("value_error", "data", words, &Value::Null)
        }
    })?;
    if let Some(name) = request.signature_name
        && name != SIGNATURE
    {
        let msg = format!("Input should be '{SIGNATURE}'");
        return Err(invalid(
            "literal_error",
            "signature_name",
            msg,
            &json!(name),
        ));
    }
    let Tensor { shape, values } = request.data;
    let one = [
        target.height as usize,
        target.width as usize,
        target.channels.count(),
    ];
    let is_empty = shape == [0];
    if !is_empty && (shape.len() != 4 || shape[1..] != one) {
        let [height, width, channels] = one;
        let msg = format!(
            "Expected the shape [n, {height}, {width}, {channels}] (pictures, height, width, channels), found {shape:?}"
        );
        return Err(invalid("shape", "data", msg, &json!(shape)));
    }
    if let Some(value) = values
        .iter()
        .find(|v| !(-OVERSHOOT..=1.0 + OVERSHOOT).contains(*v))
    {
        let msg = "Values should be between 0 and 1: divide pixels by 255".to_owned();
        return Err(invalid("value_range", "data", msg, &json!(value)));
    }
    let pictures = values.chunks_exact(target.image_len());
    Ok(pictures.map(|p| Picture::Unit(p.to_vec())).collect())
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

/// Where a picture's bytes are.
enum Source {
    /// Here.
    File(Bytes),
    /// In this form.
    Form { body: Bytes, boundary: String },
    /// In base64 in this JSON body.
    Json(Bytes),
}

/// Decodes a picture, queues it, and waits for the answer.
async fn predict(
    service: &Service,
    model: &Arc<Model>,
    source: Source,
    slots: Slots,
    ends: Ends,
) -> Result<Predicted, Refusal> {
    let target = model.predictor.model().target;
    let limits = service.config.limits;
    let most = service.pictures_max();
    let read = move || match source {
        Source::File(bytes) => read_picture(&bytes, limits, &target),
        Source::Form { body, boundary } => {
            let file = envelope::form_one(&body, &boundary, most)?;
            read_picture(&file, limits, &target)
        }
        Source::Json(body) => read_picture(&envelope::json_one(&body)?, limits, &target),
    };
    let ((picture, mut slots), decode) = blocking(ends, slots, read).await?;
    service.metrics.decode.observe(decode.as_secs_f64());
    let pending = slots.submit(model, picture, ends.at.into_std());
    let answer = service.wait(pending, ends).await?;
    Ok(Predicted { answer, decode })
}

fn read_picture(bytes: &[u8], limits: Limits, target: &Target) -> Result<Picture, Refusal> {
    let picture = decode(bytes, limits).and_then(|picture| fit(&picture, target));
    match picture {
        Ok(values) => Ok(Picture::Bytes(values)),
        Err(error) => Err(Refusal::image(&error, bytes)),
    }
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
    use crate::vision::image::{Channels, Filter};

    const TARGET: Target = Target {
        height: 1,
        width: 2,
        channels: Channels::Grey,
        filter: Filter::Bilinear,
        background: [255; 3],
    };

    #[test]
    fn tensors_have_the_shape_and_the_range_of_the_model() {
        let pictures =
            read_tensor(br#"{"data": [[[[0.5], [1]]], [[[0], [0]]]]}"#, &TARGET).unwrap();
        let unit = |a, b| Picture::Unit(vec![a, b]);
        assert_eq!(pictures, [unit(0.5, 1.0), unit(0.0, 0.0)]);
        assert_eq!(read_tensor(br#"{"data": []}"#, &TARGET), Ok(vec![]));
        for (body, kind, part) in [
            ("{}", "missing", "Field required"),
            ("{\"data\": [[[[1]]]]}", "shape", "[n, 1, 2, 1]"),
            (
                "{\"data\": [[[[1], [2, 3]]]]}",
                "value_error",
                "different lengths",
            ),
            (
                "{\"data\": [[[[1], [255]]]]}",
                "value_range",
                "divide pixels by 255",
            ),
            ("{\"data\": \"x\"}", "value_error", "expected a number"),
            ("{\"data\": ", "json_invalid", "JSON decode error"),
            (
                "{\"signature_name\": \"x\", \"data\": []}",
                "literal_error",
                "serving_default",
            ),
        ] {
            let refusal = read_tensor(body.as_bytes(), &TARGET).unwrap_err();
            let detail = &refusal.item()["detail"][0];
            assert_eq!(detail["type"], kind, "{body}");
            assert!(detail["msg"].as_str().unwrap().contains(part), "{detail}");
        }
    }

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
