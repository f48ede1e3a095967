//! `POST …/infer`: predictions. Imports: http, vision, `serve::*`.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use crate::http::header::HeaderValue;
use crate::http::{self, Coding, Response, StatusCode};
use crate::serve::ask::Ask;
use crate::serve::model::Model;
use crate::serve::predict::{Answered, Input, Predicted, answer_all, timings, write_answer};
use crate::serve::protocol::Protocol;
use crate::serve::protocol::native::NUMBER_BYTES;
use crate::serve::protocol::words::shown;
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, stamp};
use crate::vision::image::Target;

use super::answer::{Body, Form, Said, Wanted};
use super::input::{Pictures, Taken};
use super::model::ModelPath;
use super::request::{self, HEADER_LENGTH, Parts};

/// What the log calls the route.
const ROUTE: &str = "/v2/models/{name}/infer";

/// What is asked, beside the pictures.
#[derive(Debug)]
struct Question {
    id: Option<String>,
    wanted: Vec<Wanted>,
}

/// Answers a prediction request.
pub(super) async fn infer(path: ModelPath, service: Arc<Service>, ask: Ask) -> Response {
    let chosen = path.choose(&service, &ask);
    let response = match &chosen {
        Ok(chosen) => predict(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::V2, chosen.ok().as_ref(), response, &ask.id)
}

async fn predict(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    let coding = Coding::of(&ask.headers).map_err(|name| unknown_coding(&name))?;
    let body_max = service.config.body_bytes_max;
    let pictures_max = service.pictures_max();
    let length = ask.headers.get(HEADER_LENGTH).cloned();
    let (model, body) = (Arc::clone(&chosen.model), ask.body.clone());
    let budget = ask.body_budget.clone();
    let question = Arc::new(OnceLock::new());
    let asked = Arc::clone(&question);
    let read = move |target: &Target| -> Result<Vec<Result<Input, Refusal>>, Refusal> {
        let body = match coding {
            Some(coding) => {
                let budget = budget
                    .ok_or_else(|| Refusal::internal("a request came without a limit of memory"))?;
                coding
                    .unpack(&body, body_max, &budget)
                    .map_err(|problem| Refusal::of(&problem))?
            }
            None => body,
        };
        let taken = Taken {
            model: &model.name,
            target,
            pictures_max,
        };
        let (question, pictures) = understand(taken, length.as_ref(), body)?;
        // Nobody else sets it.
        let _ = asked.set(question);
        Ok(match pictures {
            Pictures::Files(files) => files.into_iter().map(|f| Ok(Input::File(f))).collect(),
            Pictures::Values(all) => all.into_iter().map(|v| Ok(Input::Values(v))).collect(),
        })
    };
    let Answered { results, ends } = answer_all(service, chosen, ask, ROUTE, read).await?;
    let began = Instant::now();
    let timings = timings(&results);
    let size = (results.len(), NUMBER_BYTES);
    let (model, ask) = (Arc::clone(&chosen.model), ask.clone());
    let write = move || -> Result<Response, Refusal> {
        let question = question
            .get()
            .ok_or_else(|| Refusal::internal("a request was answered that was not read"))?;
        let body = write(question, &model, &ask, &results)
            .map_err(|_| Refusal::internal("the answer cannot be written"))?;
        Ok(respond(body, &ask))
    };
    let mut response = write_answer(service, chosen, size, ends, write).await?;
    stamp(&mut response, &chosen.model, timings);
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Reads a body: what is asked, and the pictures.
fn understand(
    taken: Taken<'_>,
    length: Option<&HeaderValue>,
    body: Bytes,
) -> Result<(Question, Pictures), Refusal> {
    match request::take_apart(length, body)? {
        Parts::Raw(file) => {
            let question = Question {
                id: None,
                wanted: Wanted::all(Form::Binary),
            };
            Ok((question, Pictures::Files(vec![file])))
        }
        Parts::Described { json, tensors } => {
            let mut request = request::read(&json)?;
            let question = Question {
                id: request.id.take(),
                wanted: Wanted::of(&request, taken.model)?,
            };
            Ok((question, taken.pictures(request, &tensors)?))
        }
    }
}

fn write(
    question: &Question,
    model: &Model,
    ask: &Ask,
    predicted: &[Predicted],
) -> Result<Body, serde_json::Error> {
    let rows: Vec<&[f32]> = predicted.iter().map(Predicted::probabilities).collect();
    let said = Said {
        model: &model.name,
        version: &model.version.version,
        id: question.id.as_deref().unwrap_or(ask.id.as_str()),
        classes: &model.predictor.model().classes,
        rows: &rows,
    };
    said.body(&question.wanted)
}

fn respond(body: Body, ask: &Ask) -> Response {
    let content_type = match body.json_length {
        Some(_) => HeaderValue::from_static("application/octet-stream"),
        None => HeaderValue::from_static("application/json"),
    };
    let mut response = http::text(body.bytes.into(), content_type, &ask.headers);
    if let Some(length) = body.json_length {
        let headers = response.headers_mut();
        headers.insert(HEADER_LENGTH, HeaderValue::from(length));
    }
    response
}

/// Status 415 with the header `Accept-Encoding` (RFC 9110, section 15.5.16).
fn unknown_coding(name: &str) -> Refusal {
    let name = shown(name);
    let detail = format!(
        "the Content-Encoding `{name}` is not understood: send the body as it is, as gzip or as deflate"
    );
    Refusal {
        accept_encoding: Some(HeaderValue::from_static("gzip, deflate")),
        ..Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_encoding",
            detail,
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serve::protocol::v2::input::tests::TAKEN;

    #[test]
    fn a_body_without_json_is_one_file() {
        let zero = HeaderValue::from(0_usize);
        let body = Bytes::from_static(b"\x89PNG");
        let (question, pictures) = understand(TAKEN, Some(&zero), body.clone()).unwrap();
        assert_eq!(pictures, Pictures::Files(vec![body]));
        assert_eq!(
            (question.id, question.wanted),
            (None, Wanted::all(Form::Binary))
        );
    }

    #[test]
    fn a_request_is_understood_as_a_whole() {
        let json = r#"{"id": "7", "inputs": [{"name": "image", "shape": [1, 1, 2, 1], "datatype": "UINT8",
            "parameters": {"binary_data_size": 2}}]}"#;
        let length = HeaderValue::from(json.len());
        let body = Bytes::from([json.as_bytes(), &[1, 2]].concat());
        let (question, pictures) = understand(TAKEN, Some(&length), body.clone()).unwrap();
        assert_eq!(pictures, Pictures::Values(vec![vec![1.0, 2.0]]));
        assert_eq!(question.id.as_deref(), Some("7"));
        assert_eq!(question.wanted, Wanted::all(Form::Json));
        // Without the header, the tensor is no JSON.
        assert!(understand(TAKEN, None, body).is_err());
    }

    proptest! {
        #[test]
        fn a_body_that_was_changed_or_cut_is_refused_or_read(
            at in 0_usize..200,
            byte in any::<u8>(),
            cut in 0_usize..200,
            length in 0_usize..200,
        ) {
            let json = r#"{"inputs":[{"name":"image","shape":[1,1,2,1],"datatype":"FP32","parameters":{"binary_data_size":8}}],"outputs":[{"name":"label"}]}"#;
            let mut body = [json.as_bytes(), &[0; 8]].concat();
            let count = body.len();
            body[at % count] = byte;
            body.truncate(count - cut % count);
            let length = HeaderValue::from(if length % 2 == 0 { json.len() } else { length });
            match understand(TAKEN, Some(&length), body.into()) {
                Ok((question, _)) => prop_assert!(question.wanted.len() <= 2),
                Err(refusal) => prop_assert!(refusal.is_clients()),
            }
        }
    }
}
