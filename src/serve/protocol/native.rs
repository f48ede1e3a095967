//! The native prediction routes: `/predict`, `/predict/batch`, `/predict/model`. Imports: http, warp,
//! `serve::*`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::http::{Response, StatusCode};

use crate::serve::answer::{
    BatchAnswer, BatchItem, ModelPredictions, Prediction, Probabilities, Timing, likeliest, ranked,
};
use crate::serve::ask::{Ask, Options};
use crate::serve::envelope::{self, Envelope};
use crate::serve::model::Model;
use crate::serve::picture::Source;
use crate::serve::predict::{Input, Predicted, answer_many, answer_one, label};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, Timings, json, stamp};
use crate::serve::tensor;

use super::Protocol;

/// What `/predict` takes.
const ONE_TYPES: &str =
    "`multipart/form-data`, `image/*`, `application/octet-stream` or `application/json`";
/// What `/predict/batch` takes.
const MANY_TYPES: &str = "`multipart/form-data` or `application/json`";

/// Returns the model that a native request names in its query, or the first one.
///
/// # Errors
/// As `Service::choose`.
pub(in crate::serve) fn choose(service: &Service, ask: &Ask) -> Result<Chosen, Refusal> {
    let which = ask.which();
    service.choose(Protocol::Native, which.model.as_deref(), which.wanted(ask))
}

/// `POST /predict`
pub(in crate::serve) async fn one(service: Arc<Service>, ask: Ask) -> Response {
    let chosen = choose(&service, &ask);
    let response = match &chosen {
        Ok(chosen) => predict_one(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::Native, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict_one(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let envelope = Envelope::of(ask.content_type(), ONE_TYPES)?;
    let options = ask.options()?;
    let body = ask.body.clone();
    let source = match envelope {
        Envelope::Form { boundary } => Source::Form { body, boundary },
        Envelope::Raw => Source::File(body),
        Envelope::Json => Source::Json(body),
    };
    let predicted = answer_one(service, chosen, ask, "/predict", source).await?;
    let began = Instant::now();
    let prediction = prediction(&chosen.model, &predicted, options, ask.id.as_str());
    let mut response = json(StatusCode::OK, &prediction);
    stamp(&mut response, &chosen.model, predicted.timings());
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// `POST /predict/batch`
pub(in crate::serve) async fn batch(service: Arc<Service>, ask: Ask) -> Response {
    let chosen = choose(&service, &ask);
    let response = match &chosen {
        Ok(chosen) => predict_batch(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::Native, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict_batch(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let envelope = Envelope::of(ask.content_type(), MANY_TYPES)?;
    if envelope == Envelope::Raw {
        return Err(Refusal::media_type(ask.content_type(), MANY_TYPES));
    }
    let options = ask.options()?;
    let (body, most) = (ask.body.clone(), service.pictures_max());
    let read = move |_: &_| read_many(&body, &envelope, most);
    let answered = answer_many(service, chosen, ask, "/predict/batch", read).await?;
    let began = Instant::now();
    let timings = answered.timings();
    let item = |result| match result {
        Ok(predicted) => {
            let model = &chosen.model;
            BatchItem::Answered(prediction(model, predicted, options, ask.id.as_str()))
        }
        Err(refusal) => {
            service.count(refusal);
            let error = refusal.item();
            BatchItem::Failed { error }
        }
    };
    let predictions = answered.results.iter().map(Result::as_ref).map(item);
    let body = BatchAnswer {
        predictions: predictions.collect(),
        model: Service::model_ref(&chosen.model),
    };
    let status = batch_status(answered.results.iter().map(|r| r.as_ref().err()));
    let mut response = json(status, &body);
    stamp(&mut response, &chosen.model, timings);
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Returns the pictures of a body that holds several; what is no base64 fails alone.
fn read_many(
    body: &Bytes,
    envelope: &Envelope,
    pictures_max: usize,
) -> Result<Vec<Result<Input, Refusal>>, Refusal> {
    let files: Vec<Result<Bytes, Refusal>> = match envelope {
        Envelope::Form { boundary } => {
            let files = envelope::form_many(body, boundary, pictures_max)?;
            files.into_iter().map(Ok).collect()
        }
        Envelope::Json => {
            let items = envelope::json_many(body)?.into_iter();
            items.map(|item| item.map(Bytes::from)).collect()
        }
        Envelope::Raw => vec![Ok(body.clone())],
    };
    let files = files.into_iter().map(|file| file.map(Input::File));
    Ok(files.collect())
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
pub(in crate::serve) async fn tensor(service: Arc<Service>, ask: Ask) -> Response {
    let chosen = choose(&service, &ask);
    let response = match &chosen {
        Ok(chosen) => predict_tensor(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::Native, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict_tensor(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
) -> Result<Response, Refusal> {
    ask.require_plain()?;
    envelope::require_json(ask.content_type())?;
    let body = ask.body.clone();
    let read = move |target: &_| {
        let pictures = tensor::read(&body, target)?.into_iter();
        Ok(pictures.map(|values| Ok(Input::Unit(values))).collect())
    };
    let answered = answer_many(service, chosen, ask, "/predict/model", read).await?;
    let predicted = answered.all()?;
    let model = &chosen.model;
    let body = ModelPredictions {
        labels: predicted
            .iter()
            .map(|p| label(model, p.probabilities()))
            .collect(),
        predictions: predicted.iter().map(|p| p.probabilities()).collect(),
    };
    let mut response = json(StatusCode::OK, &body);
    stamp(&mut response, model, answered.timings());
    Ok(response)
}

fn prediction<'a>(
    model: &'a Model,
    predicted: &'a Predicted,
    options: Options,
    request_id: &'a str,
) -> Prediction<'a> {
    let classes = model.predictor.model().classes.as_slice();
    let values = predicted.probabilities();
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
    use std::time::Duration;

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
