//! The pictures of one request on their way together: they are found, and predicted each for itself or
//! all of them. Imports: futures, vision, `serve::*`.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::{Value, json};

use crate::serve::ask::Ask;
use crate::serve::drift::Wants;
use crate::serve::envelope::require_count;
use crate::serve::picture::{self, Look, Source};
use crate::serve::queue::Slots;
use crate::serve::refusal::{FieldProblem, Refusal};
use crate::serve::service::{Chosen, Ends, Service};
use crate::vision::image::Target;

use super::aside::blocking;
use super::one::{Given, infer, predict, prepare, shadow_target, take_slots};
use super::{Input, Predicted};

/// The pictures of a request, each with its slot in the queue.
pub(in crate::serve) struct Pictures {
    given: Vec<Result<Given, Refusal>>,
    slots: Slots,
    pub(super) ends: Ends,
    look: Look,
    /// How long it took to find them.
    took: Duration,
}

/// Finds the pictures of a request; see `answer_many`.
///
/// # Errors
/// As there.
pub(in crate::serve) async fn find(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    read: impl FnOnce(&Target) -> Result<Vec<Result<Input, Refusal>>, Refusal> + Send + 'static,
) -> Result<Pictures, Refusal> {
    let ends = ask.ends(service.config.timeout)?;
    let slots = take_slots(service, chosen, 1)?;
    let target = chosen.model.predictor.model().target;
    let (look, shadow) = (service.look(&ask.id), shadow_target(chosen));
    let (most, wants) = (service.pictures_max(), chosen.wants());
    let read = move || {
        let inputs = read(&target)?;
        require_count(inputs.len(), most)?;
        // Numbers are ready here: none of them waits for a thread once more.
        let inputs = inputs.into_iter();
        let given = inputs.map(|input| given(input?, &target, shadow.as_ref(), look, wants));
        Ok(given.collect::<Vec<_>>())
    };
    let ((given, mut slots), took) = blocking(service, ends, slots, read).await?;
    if !given.is_empty() {
        slots.join(take_slots(service, chosen, given.len() - 1)?);
    }
    Ok(Pictures {
        given,
        slots,
        ends,
        look,
        took,
    })
}

impl Pictures {
    /// Returns how many there are.
    pub(in crate::serve) fn count(&self) -> usize {
        self.given.len()
    }

    /// Has all of them predicted at once; the results come in the order of the pictures.
    pub(in crate::serve) fn predict(
        self,
        service: &Service,
        chosen: &Chosen,
        ask: &Ask,
    ) -> FuturesOrdered<impl Future<Output = Result<Predicted, Refusal>>> {
        let Self {
            given,
            mut slots,
            ends,
            look,
            took,
        } = self;
        let one = |(index, given): (usize, Result<Given, Refusal>)| {
            let slot = slots.split_one();
            async move {
                let mut predicted =
                    predict(service, chosen, ask, index, given?, slot, ends, look).await?;
                predicted.decode += took;
                Ok(predicted)
            }
        };
        given.into_iter().enumerate().map(one).collect()
    }

    /// Has all of them predicted, or none: the network is asked when all are read.
    pub(super) async fn predict_all(
        self,
        service: &Service,
        chosen: &Chosen,
        ask: &Ask,
    ) -> Result<Vec<Predicted>, Refusal> {
        let Self {
            given,
            mut slots,
            ends,
            look,
            took,
        } = self;
        let count = given.len();
        let mut read = Vec::with_capacity(count);
        for (index, given) in given.into_iter().enumerate() {
            read.push(given.map_err(|refusal| of_one(refusal, index, count))?);
        }
        let preparing = read.into_iter().map(|given| {
            let slot = slots.split_one();
            prepare(service, chosen, given, slot, ends, look)
        });
        let ready = all(preparing.collect()).await?.into_iter().enumerate();
        let asking = ready.map(|(index, ready)| infer(service, chosen, ask, index, ready, ends));
        let mut predicted = all(asking.collect()).await?;
        for one in &mut predicted {
            one.decode += took;
        }
        Ok(predicted)
    }
}

/// Waits for all in their order, and for no more after one that failed.
async fn all<T>(
    mut coming: FuturesOrdered<impl Future<Output = Result<T, Refusal>>>,
) -> Result<Vec<T>, Refusal> {
    let count = coming.len();
    let mut all = Vec::with_capacity(count);
    while let Some(result) = coming.next().await {
        let one = result.map_err(|refusal| of_one(refusal, all.len(), count))?;
        all.push(one);
    }
    Ok(all)
}

/// Says of several pictures which one is wrong.
fn of_one(refusal: Refusal, index: usize, count: usize) -> Refusal {
    if 1 < count && refusal.is_clients() {
        refusal.of_picture(index)
    } else {
        refusal
    }
}

/// Checks numbers that a client sent as a picture, and leaves what is encoded for later.
fn given(
    input: Input,
    target: &Target,
    shadow: Option<&Target>,
    look: Look,
    wants: Wants,
) -> Result<Given, Refusal> {
    let values = match input {
        Input::File(bytes) => return Ok(Given::Encoded(Source::File(bytes))),
        Input::Values(mut values) => {
            for value in &mut values {
                *value /= 255.0;
            }
            values
        }
        Input::Unit(values) => values,
    };
    let invalid = |kind, msg: String| {
        let problem = FieldProblem::new(kind, [json!("body")], msg, &Value::Null);
        Err(Refusal::invalid(vec![problem]))
    };
    if values.len() != target.image_len() {
        let (found, expected) = (values.len(), target.image_len());
        return invalid(
            "shape",
            format!("a picture has {expected} values, found {found}"),
        );
    }
    if values.iter().any(|value| !value.is_finite()) {
        return invalid("value_range", "values should be finite numbers".to_owned());
    }
    let fitted = picture::numbers(values, target, shadow, look);
    Ok(Given::Fitted(fitted.measured(wants, target)))
}
