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
use crate::serve::model::Model;
use crate::serve::predict::{Answered, Predicted as Answer, answer_all, timings, write_answer};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, json as json_response, stamp};
use crate::vision::image::Target;

use super::Protocol;
use super::given::{Given, Inputs, Measure};
use super::json_inputs::Form;

use answer::{Classified, Predicted};
use path::{ByLabel, ByName, ByVersion, ModelPath, Naming};

pub(super) use answer::error_body;

/// What a class takes in an answer, about: its probability, and maybe its name.
const CLASS_BYTES: usize = 30;
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
    let answered = answer_all(service, chosen, ask, PREDICT, read).await?;
    let form = form.get().copied().unwrap_or(Form::Rows);
    let write = move |_: &Model, answers: &[Answer]| {
        let rows = answers.iter().map(Answer::probabilities).collect();
        json_response(StatusCode::OK, &Predicted { form, rows })
    };
    respond(service, chosen, answered, write).await
}

async fn classify(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let (body, pictures_max) = (ask.body.clone(), service.pictures_max());
    let read = move |target: &Target| -> Result<Inputs, Refusal> {
        inputs(request::classify(&body)?, target, pictures_max)
    };
    let answered = answer_all(service, chosen, ask, CLASSIFY, read).await?;
    let write = |model: &Model, answers: &[Answer]| {
        let rows = answers.iter().map(Answer::probabilities);
        let classes = &model.predictor.model().classes;
        json_response(StatusCode::OK, &Classified::new(classes, rows))
    };
    respond(service, chosen, answered, write).await
}

fn inputs(given: Given, target: &Target, pictures_max: usize) -> Result<Inputs, Refusal> {
    let inputs = given.into_inputs(Measure {
        target,
        pictures_max,
    });
    inputs.map_err(|mismatch| mismatch.refusal(target, request::invalid))
}

/// Writes an answer, and says on it who gave it.
async fn respond(
    service: &Service,
    chosen: &Chosen,
    answered: Answered<Answer>,
    write: impl FnOnce(&Model, &[Answer]) -> Response + Send + 'static,
) -> Result<Response, Refusal> {
    let Answered { results, ends } = answered;
    let began = Instant::now();
    let timings = timings(&results);
    let (size, model) = ((results.len(), CLASS_BYTES), Arc::clone(&chosen.model));
    let write = move || Ok(write(&model, &results));
    let mut response = write_answer(service, chosen, size, ends, write).await?;
    stamp(&mut response, &chosen.model, timings);
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}
