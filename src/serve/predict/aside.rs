//! Work on the blocking threads, when its turn has come. Imports: tokio, `serve::{queue, refusal, service}`.

use std::sync::Arc;
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

/// Runs `work` on a blocking thread, when its turn has come, and returns what it made, and how long it
/// took. Work whose client goes away before that is dropped.
pub(in crate::serve) async fn aside<T: Send + 'static>(
    service: &Service,
    ends: Ends,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<(T, Duration), Refusal> {
    let working = async {
        // The semaphore is never closed. What was begun keeps its permit to the end, awaited or not.
        let permit = Arc::clone(&service.decoders).acquire_owned().await;
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let began = Instant::now();
            if ends.at.into_std() <= began {
                return Err(Refusal::deadline(ends.timeout));
            }
            let made = work()?;
            Ok((made, began.elapsed()))
        });
        running.await
    };
    match tokio::time::timeout_at(ends.at, working).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Refusal::internal(
            "this is a bug in cvops; the server's log has more under this request id",
        )),
        Err(_) => Err(Refusal::deadline(ends.timeout)),
    }
}
