//! Answers of two kinds: texts, compressed for those who ask, and streams of a known size.
//! Imports: nothing of ours.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY};
use warp::Reply;
use warp::reply::Response;

use super::coding::Coding;

/// Smaller texts are sent as they are: they fit into a packet or two.
const PACKED_BYTES_MIN: usize = 1024;

/// Returns a text (or JSON) as an answer; if it is not small and `asked`, the request's headers,
/// allows it, compressed: fast rather than small. That takes the CPU about 5 ms per MB.
#[must_use]
pub fn text(body: Bytes, content_type: HeaderValue, asked: &HeaderMap) -> Response {
    let is_large = PACKED_BYTES_MIN <= body.len();
    let coding = Coding::accepted(asked).filter(|_| is_large);
    let packed = coding.and_then(|coding| Some((coding.pack(&body)?, coding.name())));
    let (body, coding) = match packed {
        Some((packed, name)) => (packed.into(), Some(name)),
        None => (body, None),
    };
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if is_large {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if let Some(name) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Returns an answer of `size` bytes that come piece by piece. A stream that fails, or ends before,
/// breaks the connection off, which is how a client learns of it.
pub fn stream(
    size: u64,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static,
) -> Response {
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    response
}
