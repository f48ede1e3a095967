//! TensorFlow Serving's REST API and KServe's first protocol, which is its predict route and three more:
//! `/v1/models…`. `path` says which model is meant, `request` reads bodies, `answer` writes them,
//! `explain` says what answers depend on, `status` tells of models. Imports: http, `serve::*`, `protocol::{given, json_inputs}`.

mod answer;
mod explain;
mod path;
mod request;
mod status;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::{Value, json};

use crate::http::{Response, Route, StatusCode};
use crate::serve::ask::Ask;
use crate::serve::endpoint::{Handler, get, post, ready_now};
use crate::serve::predict::{Predicted as Answer, answer_all, timings};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, json as json_response, stamp};
use crate::vision::image::Target;

use super::Protocol;
use super::given::{Given, Inputs, Measure};
use super::json_inputs::Form;

use answer::{Classified, Predicted};
use path::{ByLabel, ByName, ByVersion, ModelPath, Naming};

pub(super) use answer::error_body;

/// What the log calls the routes.
const PREDICT: &str = "/v1/models/{name}:predict";
const CLASSIFY: &str = "/v1/models/{name}:classify";

/// Returns the routes with what answers them; bodies of predictions have at most `body_max` bytes.
pub(in crate::serve) fn endpoints(body_max: u64) -> Vec<(Route, Handler)> {
    let mut all = vec![get("/v1/models", |service, _| ready_now(list(&service)))];
    all.extend(of_model::<ByName>(body_max));
    all.extend(of_model::<ByVersion>(body_max));
    all.extend(of_model::<ByLabel>(body_max));
    all
}

/// Returns what is asked of a model that is named in one way.
fn of_model<N: Naming>(body_max: u64) -> [(Route, Handler); 5] {
    let path = N::PATH;
    [
        get(path, |service, ask| {
            let told = status::status(&ModelPath::of::<N>(&ask), &service);
            ready_now(tell(&service, &ask, told))
        }),
        get(format!("{path}/metadata"), |service, ask| {
            let told = status::metadata(&ModelPath::of::<N>(&ask), &service, &ask);
            ready_now(tell(&service, &ask, told))
        }),
        post(format!("{path}:predict"), body_max, |service, ask| {
            let path = ModelPath::of::<N>(&ask);
            Box::pin(asked(path, Verb::Predict, service, ask))
        }),
        post(format!("{path}:classify"), body_max, |service, ask| {
            let path = ModelPath::of::<N>(&ask);
            Box::pin(asked(path, Verb::Classify, service, ask))
        }),
        post(format!("{path}:explain"), body_max, |service, ask| {
            let path = ModelPath::of::<N>(&ask);
            Box::pin(asked(path, Verb::Explain, service, ask))
        }),
    ]
}

/// `GET /v1/models`
fn list(service: &Service) -> Response {
    json_response(StatusCode::OK, &json!({"models": service.names()}))
}

fn tell(service: &Service, ask: &Ask, told: Result<Value, Refusal>) -> Response {
    match told {
        Ok(told) => json_response(StatusCode::OK, &told),
        Err(refusal) => service.refuse_in(Protocol::TfServing, &refusal, &ask.id),
    }
}

/// What pictures are sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Predict,
    Classify,
    Explain,
}

/// `POST …:predict`, `POST …:classify` and `POST …:explain`
async fn asked(path: ModelPath, verb: Verb, service: Arc<Service>, ask: Ask) -> Response {
    let chosen = path.choose(&service, &ask);
    let response = match (&chosen, verb) {
        (Ok(chosen), Verb::Predict) => predict(&service, chosen, &ask).await,
        (Ok(chosen), Verb::Classify) => classify(&service, chosen, &ask).await,
        (Ok(chosen), Verb::Explain) => explain::explain(&service, chosen, &ask).await,
        (Err(refusal), _) => Err(refusal.clone()),
    };
    service.finish(Protocol::TfServing, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let body = ask.body.clone();
    let form = Arc::new(OnceLock::new());
    let asked = Arc::clone(&form);
    let pictures_max = service.pictures_max();
    let read = move |target: &Target| -> Result<Inputs, Refusal> {
        let request = request::predict(&body)?;
        // Nobody else sets it.
        let _ = asked.set(request.form);
        inputs(request.given, target, pictures_max)
    };
    let predicted = answer_all(service, chosen, ask, PREDICT, read).await?;
    let rows = predicted.iter().map(Answer::probabilities).collect();
    let form = form.get().copied().unwrap_or(Form::Rows);
    Ok(respond(chosen, &predicted, || {
        json_response(StatusCode::OK, &Predicted { form, rows })
    }))
}

async fn classify(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let (body, pictures_max) = (ask.body.clone(), service.pictures_max());
    let read = move |target: &Target| -> Result<Inputs, Refusal> {
        inputs(request::classify(&body)?, target, pictures_max)
    };
    let predicted = answer_all(service, chosen, ask, CLASSIFY, read).await?;
    let rows = predicted.iter().map(Answer::probabilities);
    let classes = &chosen.model.predictor.model().classes;
    Ok(respond(chosen, &predicted, || {
        json_response(StatusCode::OK, &Classified::new(classes, rows))
    }))
}

fn inputs(given: Given, target: &Target, pictures_max: usize) -> Result<Inputs, Refusal> {
    let inputs = given.into_inputs(Measure {
        target,
        pictures_max,
    });
    inputs.map_err(|mismatch| mismatch.refusal(target, request::invalid))
}

/// Writes an answer, and says on it who gave it.
fn respond(chosen: &Chosen, answered: &[Answer], write: impl FnOnce() -> Response) -> Response {
    let began = Instant::now();
    let mut response = write();
    stamp(&mut response, &chosen.model, timings(answered));
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    response
}
