//! `POST /predict/batch`: several pictures, answered in one document or line by line.
//!
//! Lines are written by a task of their own, which no reader holds up: what the pictures take of the
//! queue is given back as fast as the network computes, however slowly the client reads. It ends with
//! the deadline of the request, or when the client has gone; then what still waits is not computed, and
//! what was answered until then is counted and logged as ever.
//!
//! Imports: http, tokio, futures, `serve::*`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::http::{Response, StatusCode};
use crate::serve::answer::{BatchAnswer, BatchItem};
use crate::serve::ask::{Ask, Options};
use crate::serve::envelope::{self, Envelope};
use crate::serve::model::Model;
use crate::serve::ndjson::{self, Delivery, Lines};
use crate::serve::predict::{
    Answered, Input, Pictures, Predicted, answer_many, answered, find, note, timings, write_answer,
};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, json, stamp, stamp_model};

use super::{Protocol, choose, prediction};

/// The route, as the log names it.
const ROUTE: &str = "/predict/batch";

/// What the route takes.
const TYPES: &str = "`multipart/form-data`, `application/json` or `application/x-ndjson`";

/// What a class takes in an answer, about: its name twice, its number and its probability twice.
const CLASS_BYTES: usize = 100;

/// The pictures of a body; what could not be read fails alone.
type Inputs = Vec<Result<Input, Refusal>>;

/// `POST /predict/batch`
pub(super) async fn batch(service: Arc<Service>, ask: Ask) -> Response {
    let chosen = match choose(&service, &ask) {
        Ok(chosen) => chosen,
        Err(refusal) => return service.finish(Protocol::Native, None, Err(refusal), &ask.id),
    };
    let refusal = match Delivery::of(&ask.headers) {
        Delivery::Whole => {
            let response = whole(&service, &chosen, &ask).await;
            return service.finish(Protocol::Native, Some(&chosen), response, &ask.id);
        }
        Delivery::Lines => match pictures(&service, &chosen, &ask).await {
            Ok((options, pictures)) => {
                let (lines, mut response) = ndjson::answer(pictures.count());
                stamp_model(&mut response, &chosen.model);
                let reply = Reply {
                    service,
                    chosen,
                    ask,
                    options,
                };
                tokio::spawn(reply.write(pictures, lines));
                return response;
            }
            Err(refusal) => refusal,
        },
    };
    service.finish(Protocol::Native, Some(&chosen), Err(refusal), &ask.id)
}

/// Answers when all pictures are there.
async fn whole(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    let (options, read) = request(service, ask)?;
    let read = move |_: &_| read();
    let Answered { results, ends } = answer_many(service, chosen, ask, ROUTE, read).await?;
    for refusal in results.iter().filter_map(|result| result.as_ref().err()) {
        service.count(refusal);
    }
    let began = Instant::now();
    let timings = timings(results.iter().flatten());
    let (pictures, model, id) = (results.len(), Arc::clone(&chosen.model), ask.id.clone());
    let write = move || {
        let items = results.iter();
        let body = BatchAnswer {
            predictions: items
                .map(|result| item(&model, id.as_str(), options, result))
                .collect(),
            model: Service::model_ref(&model),
        };
        Ok(json(status(&results), &body))
    };
    let size = (pictures, CLASS_BYTES);
    let mut response = write_answer(service, chosen, size, ends, write).await?;
    stamp(&mut response, &chosen.model, timings);
    let encode = &chosen.served.metrics.encode;
    encode.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Finds the pictures of a request that is answered line by line.
async fn pictures(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
) -> Result<(Options, Pictures), Refusal> {
    let (options, read) = request(service, ask)?;
    let pictures = find(service, chosen, ask, move |_: &_| read()).await?;
    Ok((options, pictures))
}

/// Judges the head of a request; returns what it wants and how its pictures are read.
fn request(
    service: &Service,
    ask: &Ask,
) -> Result<
    (
        Options,
        impl FnOnce() -> Result<Inputs, Refusal> + Send + 'static + use<>,
    ),
    Refusal,
> {
    ask.require_plain()?;
    let envelope = Envelope::of(ask.content_type(), TYPES)?;
    if envelope == Envelope::Raw {
        return Err(Refusal::media_type(ask.content_type(), TYPES));
    }
    let options = ask.options()?;
    let (body, most) = (ask.body.clone(), service.pictures_max());
    Ok((options, move || inputs(&body, &envelope, most)))
}

/// Returns the pictures of a body that holds several.
fn inputs(body: &Bytes, envelope: &Envelope, most: usize) -> Result<Inputs, Refusal> {
    let files: Vec<Result<Bytes, Refusal>> = match envelope {
        Envelope::Form { boundary } => {
            let files = envelope::form_many(body, boundary, most)?;
            files.into_iter().map(Ok).collect()
        }
        Envelope::Json => bytes(envelope::json_many(body, most)?),
        Envelope::Lines => bytes(envelope::json_lines(body, most)?),
        Envelope::Raw => vec![Ok(body.clone())],
    };
    let files = files.into_iter();
    Ok(files.map(|file| file.map(Input::File)).collect())
}

fn bytes(items: Vec<Result<Vec<u8>, Refusal>>) -> Vec<Result<Bytes, Refusal>> {
    let items = items.into_iter();
    items.map(|item| item.map(Bytes::from)).collect()
}

/// An answer that is written line by line.
struct Reply {
    service: Arc<Service>,
    chosen: Chosen,
    ask: Ask,
    options: Options,
}

impl Reply {
    /// Writes all lines, as long as there is a reader, and counts and logs what was answered.
    async fn write(self, pictures: Pictures, lines: Lines) {
        let Self {
            service,
            chosen,
            ask,
            options,
        } = &self;
        let mut results = Vec::with_capacity(pictures.count());
        let write = async {
            let mut predictions = pictures.predict(service, chosen, ask);
            while let Some(result) = predictions.next().await {
                if let Err(refusal) = &result {
                    service.count(refusal);
                }
                lines.write(&item(&chosen.model, ask.id.as_str(), *options, &result));
                results.push(result);
            }
        };
        tokio::select! {
            () = lines.is_unread() => {}
            () = write => {}
        }
        // Nothing was answered to a client that had gone before: that is no request that ended.
        if !results.is_empty() {
            Service::count_request(Protocol::Native, chosen, status(&results));
            note(service, chosen, ask, ROUTE, answered(&mut results));
        }
    }
}

/// Returns what is said of one picture of the request `id`.
fn item<'a>(
    model: &'a Model,
    id: &'a str,
    options: Options,
    result: &'a Result<Predicted, Refusal>,
) -> BatchItem<'a> {
    match result {
        Ok(predicted) => BatchItem::Answered(prediction(model, predicted, options, id)),
        Err(refusal) => {
            let error = refusal.item();
            BatchItem::Failed { error }
        }
    }
}

/// 200 if any picture was answered; else the server's fault if it is one, else 422.
fn status<T>(results: &[Result<T, Refusal>]) -> StatusCode {
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    for result in results {
        match result {
            Ok(_) => return StatusCode::OK,
            Err(refusal) if !refusal.is_clients() => status = refusal.status,
            Err(_) => {}
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_batch_fails_only_as_a_whole() {
        let bad = || Err(Refusal::invalid(Vec::new()));
        let slow = || Err(Refusal::deadline(Duration::from_secs(1)));
        assert_eq!(status(&[bad(), Ok(())]).as_u16(), 200);
        assert_eq!(status::<()>(&[bad(), bad()]).as_u16(), 422);
        assert_eq!(status::<()>(&[bad(), slow()]).as_u16(), 504);
    }
}
