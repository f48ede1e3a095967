//! MLflow's scoring protocol (2.x and 3.x): `/invocations`, `/ping`, `/version`. `SageMaker` asks the
//! first two. `media` says what a body is, `request`, `dataframe` and `npy` read it, `answer` writes.
//! Imports: http, `serve::*`, `protocol::given`.

mod answer;
mod dataframe;
mod media;
mod npy;
mod params;
mod request;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use crate::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use crate::http::{Response, Route, StatusCode};
use crate::serve::ask::Ask;
use crate::serve::endpoint::{Handler, get, post, probe, ready_now};
use crate::serve::predict::{Answered, Predicted, answer_all, timings, write_answer};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, json, stamp};
use crate::vision::image::Target;

use super::Protocol;
use super::given::{Given, Inputs, Measure, Mismatch, shape};

use answer::{Predictions, Wrong};
use media::Media;
use params::Params;
use request::Request;

pub(super) use answer::error_body;

/// The version of MLflow whose protocol this is, which is what its clients ask for.
const PROTOCOL_VERSION: &str = "3.17.2";
const X_CVOPS_VERSION: HeaderName = HeaderName::from_static("x-cvops-version");
/// Seconds after which it is worth asking again whether the server is well.
const PING_RETRY_S: u64 = 1;
/// What a class takes in an answer, about: with `top_k` it is an object.
const CLASS_BYTES: usize = 60;
/// The prediction route.
const INVOCATIONS: &str = "/invocations";

/// Returns the routes with what answers them; bodies of predictions have at most `body_max` bytes.
pub(in crate::serve) fn endpoints(body_max: u64) -> Vec<(Route, Handler)> {
    vec![
        post(INVOCATIONS, body_max, |service, ask| {
            Box::pin(invocations(service, ask))
        }),
        probe("/ping", |service, _| ready_now(ping(&service))),
        get("/version", |service, _| ready_now(version(&service))),
    ]
}

/// Returns a body that MLflow calls JSON, though it is none.
fn bare(body: &'static str) -> Response {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `GET /version`: that of the protocol; our own one is in a header.
fn version(service: &Service) -> Response {
    let mut response = bare(PROTOCOL_VERSION);
    let headers = response.headers_mut();
    let own = HeaderValue::from_static(service.build.version);
    headers.insert(X_CVOPS_VERSION, own);
    response
}

/// `GET /ping`: well is a server whose models answer.
fn ping(service: &Service) -> Response {
    let mut response = bare("\n");
    let mut mains = service.models.iter().map(|served| &served.main);
    if service.is_draining() || mains.any(|place| place.model().is_none()) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let retry = HeaderValue::from(PING_RETRY_S);
        response.headers_mut().insert(RETRY_AFTER, retry);
    }
    response
}

/// `POST /invocations`
async fn invocations(service: Arc<Service>, ask: Ask) -> Response {
    let which = ask.which();
    let chosen = service.choose(Protocol::Mlflow, which.model.as_deref(), which.wanted(&ask));
    let response = match &chosen {
        Ok(chosen) => predict(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::Mlflow, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let media = Media::of(ask.content_type()).map_err(|message| {
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", message)
    })?;
    let body = ask.body.clone();
    let params = Arc::new(OnceLock::new());
    let asked = Arc::clone(&params);
    let pictures_max = service.pictures_max();
    let read = move |target: &Target| -> Result<Inputs, Refusal> {
        let measure = Measure {
            target,
            pictures_max,
        };
        let request = read(media, body, measure)?;
        // Nobody else sets it.
        let _ = asked.set(request.params);
        Ok(inputs(request.given, measure)?)
    };
    let Answered { results, ends } = answer_all(service, chosen, ask, INVOCATIONS, read).await?;
    let began = Instant::now();
    let params = params.get().copied().unwrap_or_default();
    let timings = timings(&results);
    let (size, model) = ((results.len(), CLASS_BYTES), Arc::clone(&chosen.model));
    let write = move || {
        let classes = &model.predictor.model().classes;
        let probabilities = results.iter().map(Predicted::probabilities);
        let body = Predictions::new(classes, probabilities, params);
        Ok(json(StatusCode::OK, &body))
    };
    let mut response = write_answer(service, chosen, size, ends, write).await?;
    stamp(&mut response, &chosen.model, timings);
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Reads a body of any kind.
fn read(media: Media, body: Bytes, measure: Measure<'_>) -> Result<Request, Wrong> {
    let given = match media {
        Media::Json => return request::read(&body),
        Media::Csv => dataframe::csv(&body).map_err(Wrong::Request)?,
        Media::Npy => {
            let array = npy::open(&body).map_err(|problem| {
                Wrong::Request(format!("the array cannot be read: {problem}"))
            })?;
            // As numbers it takes up to four times the memory.
            measure
                .shape(&array.shape)
                .map_err(|mismatch| wrong(&mismatch, measure.target))?;
            Given::Numbers(array.tensor())
        }
        Media::Picture => Given::Files(vec![Ok(body)]),
    };
    let params = Params::default();
    Ok(Request { given, params })
}

/// Measures inputs against what the model takes.
fn inputs(given: Given, measure: Measure<'_>) -> Result<Inputs, Wrong> {
    let inputs = given.into_inputs(measure);
    inputs.map_err(|mismatch| wrong(&mismatch, measure.target))
}

/// Says in MLflow's words what is wrong with inputs.
fn wrong(mismatch: &Mismatch, target: &Target) -> Wrong {
    match mismatch {
        Mismatch::Value(_) => Wrong::Value(mismatch.sentence(target)),
        Mismatch::TooMany { .. } => Wrong::TooMany(mismatch.sentence(target)),
        Mismatch::Shape(found) => {
            let [height, width, channels] = shape(target);
            let expected = format!("(-1, {height}, {width}, {channels})");
            let found = tuple(found);
            Wrong::Value(format!(
                "Failed to enforce schema of data with schema '[Tensor('float32', {expected})]'. Error: Shape of input {found} does not match expected shape {expected}."
            ))
        }
    }
}

/// Returns a shape as Python prints it.
fn tuple(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        many => {
            let many: Vec<String> = many.iter().map(ToString::to_string).collect();
            format!("({})", many.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::protocol::given::tests::MEASURE;

    #[test]
    fn a_wrong_shape_is_told_as_mlflow_tells_it() {
        for (body, found) in [
            ("[[1, 2]]", "(1, 2)"),
            ("[1]", "(1,)"),
            ("1", "()"),
            ("[[[[1], [2]]], [[[1], [2]]]]", ""),
        ] {
            let body = format!("{{\"inputs\": {body}}}");
            let request = read(Media::Json, body.into(), MEASURE).unwrap();
            match inputs(request.given, MEASURE) {
                Ok(pictures) => assert_eq!((pictures.len(), found), (2, "")),
                Err(wrong) => assert_eq!(
                    wrong,
                    Wrong::Value(format!(
                        "Failed to enforce schema of data with schema '[Tensor('float32', (-1, 1, 2, 1))]'. Error: Shape of input {found} does not match expected shape (-1, 1, 2, 1)."
                    ))
                ),
            }
        }
    }

    #[test]
    fn an_array_and_a_file_are_inputs_too() {
        let file = read(Media::Picture, Bytes::from_static(b"x"), MEASURE).unwrap();
        assert_eq!(file.given, Given::Files(vec![Ok(Bytes::from_static(b"x"))]));
        let wrong = read(Media::Npy, Bytes::new(), MEASURE).unwrap_err();
        let expected = "the array cannot be read: it does not begin like a .npy file";
        assert_eq!(wrong, Wrong::Request(expected.to_owned()));
        // The header is enough to see that there are too many.
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1, 2, 1), }\n";
        let mut three = b"\x93NUMPY\x01\0".to_vec();
        three.extend((header.len() as u16).to_le_bytes());
        three.extend(header.bytes().chain([0; 6]));
        let wrong = read(Media::Npy, three.into(), MEASURE).unwrap_err();
        let expected = "3 pictures in one request, at most 2 are taken";
        assert_eq!(wrong, Wrong::TooMany(expected.to_owned()));
    }
}
