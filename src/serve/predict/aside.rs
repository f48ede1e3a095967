//! Work on the decoders' threads, when its turn has come. Imports: tokio, `serve::{decoders, queue, refusal, service}`.

use std::time::{Duration, Instant};

use crate::serve::queue::Slots;
use crate::serve::refusal::Refusal;
use crate::serve::service::{Ends, Service};

/// Runs `work` as `aside` does and returns the slots with what it made.
///
/// The slots travel with the work: if the client goes away or its time is over while it runs, they are
/// given back when the work is over, not before. So the work that waits is bounded by the queue.
pub(in crate::serve) async fn blocking<T: Send + 'static>(
    service: &Service,
    ends: Ends,
    slots: Slots,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<((T, Slots), Duration), Refusal> {
    aside(service, ends, move || Ok((work()?, slots))).await
}

/// Runs `work` on one of the decoders' threads, when its turn has come, and returns what it made, and
/// how long it took. Work whose client goes away before that is dropped.
pub(in crate::serve) async fn aside<T: Send + 'static>(
    service: &Service,
    ends: Ends,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<(T, Duration), Refusal> {
    let working = service.decoders.run(move || {
        let began = Instant::now();
        if ends.at.into_std() <= began {
            return Err(Refusal::deadline(ends.timeout));
        }
        let made = work()?;
        Ok((made, began.elapsed()))
    });
    match tokio::time::timeout_at(ends.at, working).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Refusal::internal(
            "this is a bug in cvops; the server's log has more under this request id",
        )),
        Err(_) => Err(Refusal::deadline(ends.timeout)),
    }
}
