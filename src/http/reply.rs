//! Answers of two kinds: texts, compressed for those who ask, and streams of a known size.
//! Imports: nothing of ours.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use hyper::HeaderMap;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY,
};
use warp::Reply;
use warp::reply::Response;

/// Smaller texts are sent as they are: they fit into a packet or two.
const GZIP_BYTES_MIN: usize = 1024;

/// Returns a text (or JSON) as an answer; if it is not small and `asked`, the request's headers,
/// allows it, compressed: fast rather than small. That takes the CPU about 5 ms per MB.
#[must_use]
pub fn text(body: Bytes, content_type: HeaderValue, asked: &HeaderMap) -> Response {
    let is_large = GZIP_BYTES_MIN <= body.len();
    let zipped = (is_large && accepts_gzip_of(asked))
        .then(|| gzip(&body))
        .flatten();
    let is_zipped = zipped.is_some();
    let mut response = Response::new(zipped.map_or(body, Bytes::from).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if is_large {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
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

pub(super) fn accepts_gzip_of(asked: &HeaderMap) -> bool {
    let mut values = asked.get_all(ACCEPT_ENCODING).into_iter();
    values.any(|value| value.to_str().is_ok_and(accepts_gzip))
}

/// Does the header name gzip, and not with weight 0 (RFC 9110, 12.5.3)?
pub(super) fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|parameter| {
            parameter
                .strip_prefix("q=")
                .and_then(|q| q.parse::<f32>().ok())
                == Some(0.0)
        });
        name.eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Compresses fast; `None` cannot happen but for lack of memory.
pub(super) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;

    #[test]
    fn gzip_is_sent_to_those_who_ask() {
        for (header, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("x-gzip", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(header), expected, "{header}");
        }
    }
}
