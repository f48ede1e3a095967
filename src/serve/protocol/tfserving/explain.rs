//! `POST …:explain` of KServe's first protocol: for each picture of a body of `:predict` which parts of it
//! the answer depends on. `serve::occlusion` finds it out, one picture after another. Imports: http,
//! vision, `serve::*`, `tfserving::request`.

use serde::Serialize;

use crate::http::{Response, StatusCode};
use crate::serve::answer::Explanation;
use crate::serve::ask::Ask;
use crate::serve::occlusion::{self, WhenFull, Wish};
use crate::serve::picture::{self, Fitted, Look, Source};
use crate::serve::predict::{Input, blocking, note_only, take_slots};
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Service, Timings, json as json_response, stamp};
use crate::vision::image::{Limits, Target};

use super::{inputs, request};

/// The route, as the log names it.
const ROUTE: &str = "/v1/models/{name}:explain";

/// Largest value of a picture as it was decoded.
const WHITE: f32 = 255.0;

/// Answer of `:explain`.
#[derive(Debug, Serialize)]
struct Explanations<'a> {
    explanations: Vec<Explanation<'a>>,
}

/// Explains all pictures of a request, in their order.
///
/// # Errors
/// The request or one of its pictures cannot be read, the queue is full, or time is over: the deadline
/// is that of all pictures together.
pub(super) async fn explain(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let model = &chosen.model;
    let artifact = model.predictor.model();
    let target = artifact.target;
    let wish = Wish::read(&ask.query, &target, &artifact.classes).map_err(Refusal::invalid)?;
    let ends = ask.ends(service.config.timeout)?;
    let body = ask.body.clone();
    let most = service.pictures_max();
    let read = move || inputs(request::predict(&body)?.given, &target, most);
    let slots = take_slots(service, chosen, 1)?;
    let ((given, slots), _) = blocking(service, ends, slots, read).await?;
    // Each explanation takes its own.
    drop(slots);
    let several = 1 < given.len();
    let (limits, look) = (service.config.limits, service.look(&ask.id));
    let mut timings = Timings::default();
    let mut explanations = Vec::with_capacity(given.len());
    let mut predicted = Vec::with_capacity(given.len());
    for (index, input) in given.into_iter().enumerate() {
        let read = move || fitted(input?, most, limits, &target, look);
        let when_full = if index == 0 {
            WhenFull::Refuse
        } else {
            WhenFull::Wait
        };
        let explained = occlusion::explain(service, chosen, &wish, ends, when_full, read).await;
        let explained = explained.map_err(|refusal| {
            if several && refusal.is_clients() {
                refusal.of_picture(index)
            } else {
                refusal
            }
        })?;
        timings = timings.max(explained.predicted.timings());
        predicted.push(explained.predicted);
        explanations.push(wish.explanation(model, explained.class, explained.grid));
    }
    // What nobody is answered is in no log.
    note_only(
        service,
        chosen,
        ask,
        ROUTE,
        predicted.iter_mut().enumerate(),
    );
    let mut response = json_response(StatusCode::OK, &Explanations { explanations });
    stamp(&mut response, model, timings);
    Ok(response)
}

/// Returns the picture as the model sees it, in the whole numbers that a decoded one has.
fn fitted(
    input: Input,
    most: usize,
    limits: Limits,
    target: &Target,
    look: Look,
) -> Result<Fitted, Refusal> {
    match input {
        Input::File(bytes) => picture::read(Source::File(bytes), most, limits, target, None, look),
        Input::Values(values) => Ok(picture::levels(&values)),
        Input::Unit(mut values) => {
            for value in &mut values {
                *value *= WHITE;
            }
            Ok(picture::levels(&values))
        }
    }
}
