//! The native prediction routes: `/predict` and `/predict/model`; `/predict/batch` (`batch`) and
//! `/explain` (`explain`) below. Imports: http, `serve::*`.

mod batch;
mod explain;

use std::sync::Arc;
use std::time::Instant;

use crate::http::{Response, Route, StatusCode};

use crate::serve::answer::{
    ModelPredictions, Prediction, Probabilities, Timing, likeliest, ranked,
};
use crate::serve::ask::{Ask, Options};
use crate::serve::endpoint::{Handler, post};
use crate::serve::envelope::{self, Envelope};
use crate::serve::model::Model;
use crate::serve::picture::Source;
use crate::serve::predict::{
    Answered, Input, Predicted, answer_all, answer_one, label, timings, write_answer,
};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, Timings, json, stamp};
use crate::serve::tensor;

use super::Protocol;

use batch::batch;
use explain::explain;

/// What routes for one picture take.
const ONE_TYPES: &str =
    "`multipart/form-data`, `image/*`, `application/octet-stream` or `application/json`";

/// What a number takes in an answer, about.
pub(super) const NUMBER_BYTES: usize = 12;

/// Returns the routes with what answers them; bodies have at most `body_max` bytes.
pub(in crate::serve) fn endpoints(body_max: u64) -> Vec<(Route, Handler)> {
    vec![
        post("/predict", body_max, |service, ask| {
            Box::pin(one(service, ask))
        }),
        post("/predict/batch", body_max, |service, ask| {
            Box::pin(batch(service, ask))
        }),
        post("/predict/model", body_max, |service, ask| {
            Box::pin(tensor(service, ask))
        }),
        post("/explain", body_max, |service, ask| {
            Box::pin(explain(service, ask))
        }),
    ]
}

/// Returns the model that a native prediction request names in its query, or the first one.
///
/// # Errors
/// As `Service::choose`.
fn choose(service: &Service, ask: &Ask) -> Result<Chosen, Refusal> {
    let which = ask.which();
    service.choose(Protocol::Native, which.model.as_deref(), which.wanted(ask))
}

/// `POST /predict`
async fn one(service: Arc<Service>, ask: Ask) -> Response {
    let chosen = choose(&service, &ask);
    let response = match &chosen {
        Ok(chosen) => predict_one(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::Native, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict_one(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let source = source(ask)?;
    let options = ask.options()?;
    let predicted = answer_one(service, chosen, ask, "/predict", source).await?;
    let began = Instant::now();
    let prediction = prediction(&chosen.model, &predicted, options, ask.id.as_str());
    let mut response = json(StatusCode::OK, &prediction);
    stamp(&mut response, &chosen.model, predicted.timings());
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Says where the one picture of a request is.
fn source(ask: &Ask) -> Result<Source, Refusal> {
    let body = ask.body.clone();
    match Envelope::of(ask.content_type(), ONE_TYPES)? {
        Envelope::Form { boundary } => Ok(Source::Form { body, boundary }),
        Envelope::Raw => Ok(Source::File(body)),
        Envelope::Json => Ok(Source::Json(body)),
        Envelope::Lines => Err(Refusal::media_type(ask.content_type(), ONE_TYPES)),
    }
}

/// `POST /predict/model`
async fn tensor(service: Arc<Service>, ask: Ask) -> Response {
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
    let (body, most) = (ask.body.clone(), service.pictures_max());
    let read = move |target: &_| {
        let pictures = tensor::read(&body, target, most)?.into_iter();
        Ok(pictures.map(|values| Ok(Input::Unit(values))).collect())
    };
    let route = "/predict/model";
    let Answered { results, ends } = answer_all(service, chosen, ask, route, read).await?;
    let timings = timings(&results);
    let (size, model) = ((results.len(), NUMBER_BYTES), Arc::clone(&chosen.model));
    let write = move || {
        let body = ModelPredictions {
            labels: results
                .iter()
                .map(|p| label(&model, p.probabilities()))
                .collect(),
            predictions: results.iter().map(Predicted::probabilities).collect(),
        };
        Ok(json(StatusCode::OK, &body))
    };
    let mut response = write_answer(service, chosen, size, ends, write).await?;
    stamp(&mut response, &chosen.model, timings);
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
