//! Reads a request's body into memory, within its limits of size and time. Imports: nothing of ours.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use crate::base::units;

use super::problem::{Problem, ProblemCode};

/// Memory taken at once on a client's word of how much it will send, bytes.
const TRUST_MAX: usize = 1 << 20;

/// Reads `body` to its end. A body that announces more than `max` bytes is refused unread; one that
/// announces nothing (chunked) is refused when it exceeds them.
pub(super) async fn read(
    mut body: Incoming,
    max: u64,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if max < body.size_hint().lower() {
        return Err(too_large(max));
    }
    tokio::time::timeout(timeout, collect(&mut body, max))
        .await
        .unwrap_or_else(|_| {
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                ProblemCode::BodyTimeout,
                format!(
                    "the body did not arrive within {}",
                    units::duration(timeout)
                ),
            )
            .closing())
        })
}

async fn collect(body: &mut Incoming, max: u64) -> Result<Bytes, Problem> {
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
            first = data;
            continue;
        }
        if all.is_empty() {
            let expected = announced.map_or(2 * length, |n| n as usize);
            all.reserve(expected.clamp(length, TRUST_MAX.max(length)));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_large(max: u64) -> Problem {
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

fn broken(error: &hyper::Error) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        ProblemCode::BodyBroken,
        format!("the body could not be read: {error}"),
    )
    .closing()
}
