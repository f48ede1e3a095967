//! One picture on its way: its slot, decoding, the queue, the answer, and the comparison with the shadow.
//! Imports: vision, `serve::*`.

use std::sync::Arc;
use std::time::Duration;

use crate::serve::ask::Ask;
use crate::serve::picture::{self, Fitted, Look, Source};
use crate::serve::queue::Slots;
use crate::serve::refusal::Refusal;
use crate::serve::service::{Chosen, Ends, Service};
use crate::vision::image::Target;

use super::Predicted;
use super::aside::blocking;

/// How far a picture has come when its turn is asked for.
pub(super) enum Given {
    /// It is to be decoded.
    Encoded(Source),
    /// It is as the models take it.
    Fitted(Fitted),
}

/// A picture as the models take it, with its slot.
pub(super) struct Ready {
    fitted: Fitted,
    slots: Slots,
    /// How long it took to decode it.
    decode: Duration,
}

/// Takes places in the queue.
///
/// # Errors
/// It is full.
pub(in crate::serve) fn take_slots(
    service: &Service,
    chosen: &Chosen,
    count: usize,
) -> Result<Slots, Refusal> {
    service
        .queue
        .take_slots(count, &chosen.served.metrics.queue_length)
        .map_err(|full| Refusal::queue_full(full.retry_after_s))
}

/// Returns what the shadow takes, if there is one.
pub(super) fn shadow_target(chosen: &Chosen) -> Option<Target> {
    let shadow = chosen.shadow.as_ref()?;
    Some(shadow.predictor.model().target)
}

/// Decodes a picture that is not, queues it, and waits for the answer.
#[expect(
    clippy::too_many_arguments,
    reason = "all that is known of one picture on its way"
)]
pub(super) async fn predict(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    index: usize,
    given: Given,
    slots: Slots,
    ends: Ends,
    look: Look,
) -> Result<Predicted, Refusal> {
    let ready = prepare(service, chosen, given, slots, ends, look).await?;
    infer(service, chosen, ask, index, ready, ends).await
}

/// Decodes a picture that is not.
pub(super) async fn prepare(
    service: &Service,
    chosen: &Chosen,
    given: Given,
    slots: Slots,
    ends: Ends,
    look: Look,
) -> Result<Ready, Refusal> {
    let source = match given {
        Given::Encoded(source) => source,
        Given::Fitted(fitted) => {
            return Ok(Ready {
                fitted,
                slots,
                decode: Duration::ZERO,
            });
        }
    };
    let target = chosen.model.predictor.model().target;
    let second = shadow_target(chosen);
    let (limits, most) = (service.config.limits, service.pictures_max());
    let wants = chosen.wants();
    let read = move || {
        let fitted = picture::read(source, most, limits, &target, second.as_ref(), look)?;
        Ok(fitted.measured(wants, &target))
    };
    let ((fitted, slots), decode) = blocking(service, ends, slots, read).await?;
    chosen.served.metrics.decoded(decode, fitted.fitting);
    Ok(Ready {
        fitted,
        slots,
        decode,
    })
}

/// Queues a picture and waits for the answer.
pub(super) async fn infer(
    service: &Service,
    chosen: &Chosen,
    ask: &Ask,
    index: usize,
    ready: Ready,
    ends: Ends,
) -> Result<Predicted, Refusal> {
    let Chosen {
        served,
        model,
        shadow,
    } = chosen;
    let Ready {
        fitted,
        mut slots,
        decode,
    } = ready;
    let Fitted {
        picture,
        shadow: second,
        seen,
        properties,
        fitting: _,
    } = fitted;
    let deadline = ends.at.into_std();
    let pending = slots.submit(model, picture, chosen.wants(), deadline);
    let compared = shadow.as_ref().and_then(|shadow| {
        let pending =
            second.and_then(|second| service.queue.submit_shadow(shadow, second, deadline));
        if pending.is_none() {
            served.metrics.shadow_dropped.inc();
        }
        Some((Arc::clone(shadow), pending?))
    });
    let answer = service.wait(pending, ends).await?;
    if let Some((shadow, pending)) = compared {
        service.compare(chosen, ask, index, &answer, shadow, pending);
    }
    Ok(Predicted {
        answer,
        decode,
        seen,
        properties,
    })
}
