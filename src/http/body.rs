//! Reads a request's body into memory, within its limits of size and time. Imports: nothing of ours.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use crate::base::units;

use super::budget::{Budget, Exhausted, Share};
use super::problem::{Problem, ProblemCode};

/// When a server whose memory for bodies is taken is worth asking again.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Reads `body` to its end. A body that announces more than `max` bytes, or more than the budget of
/// all bodies has left, is refused unread. From the budget it takes what has come, and room for as much
/// again: it is refused as well when it exceeds either then.
pub(super) async fn read(
    mut body: Incoming,
    max: u64,
    timeout: Duration,
    budget: &Arc<Budget>,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if max < body.size_hint().lower() {
        return Err(too_large(max));
    }
    let share = budget.share();
    share.require(body.size_hint().lower()).map_err(busy)?;
    tokio::time::timeout(timeout, collect(&mut body, max, share))
        .await
        .unwrap_or_else(|_| Err(too_slow("the body", timeout)))
}

async fn collect(body: &mut Incoming, max: u64, mut share: Share) -> Result<Bytes, Problem> {
    let announced = body.size_hint().exact();
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        // Trailers say nothing that is asked for here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = first.len() + all.len() + data.len();
        if max < length as u64 {
            return Err(too_large(max));
        }
        if all.is_empty() && first.is_empty() {
            // Most bodies are one piece, which needs no copy.
            share.grow_to(length as u64).map_err(busy)?;
            first = data;
            continue;
        }
        if all.capacity() < length {
            // Who announces much and sends little takes little.
            let room = (2 * length as u64).min(announced.unwrap_or(max));
            let room = room.max(length as u64);
            // The share is there before the memory is.
            share.grow_to(room).map_err(busy)?;
            all.reserve(room as usize - all.len());
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    let body = if all.is_empty() { first } else { all.freeze() };
    Ok(share.tie(body))
}

pub(super) fn busy(_: Exhausted) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::BodyBudget,
        "too many large bodies are on their way: try again later",
    )
    .retry_after(BUSY_RETRY)
    .closing()
}

pub(super) fn too_slow(what: &str, timeout: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        ProblemCode::BodyTimeout,
        format!("{what} did not arrive within {}", units::duration(timeout)),
    )
    .closing()
}

pub(super) fn too_large(max: u64) -> Problem {
    let detail = if max == 0 {
        "this route takes no body".to_owned()
    } else {
        format!("the body is larger than {}", units::bytes(max))
    };
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::BodyTooLarge,
        detail,
    )
    .closing()
}

pub(super) fn broken(error: &hyper::Error) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        ProblemCode::BodyBroken,
        format!("the body could not be read: {error}"),
    )
    .closing()
}
