//! Metrics as Prometheus reads them. Imports: nothing of ours.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use prometheus::{Registry, TextEncoder};
use warp::reply::Response;

use super::coding::Coding;
use super::error::Error;

/// The type of the text format, to the letter: Prometheus 3 fails a scrape with another one.
pub const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns all metrics of `registry` in the text format.
///
/// # Errors
/// A metric without samples or of two types: a mistake of ours.
pub fn exposition(registry: &Registry) -> Result<String, Error> {
    let mut text = String::new();
    TextEncoder::new().encode_utf8(&registry.gather(), &mut text)?;
    Ok(text)
}

/// Returns the same as an answer, compressed if `accept_encoding` (the request's header) names gzip.
///
/// # Errors
/// As `exposition`.
pub fn exposition_response(
    registry: &Registry,
    accept_encoding: Option<&str>,
) -> Result<Response, Error> {
    let text = exposition(registry)?;
    let zipped = accept_encoding
        .filter(|accepted| Coding::Gzip.is_accepted(accepted))
        .and_then(|_| Coding::Gzip.pack(text.as_bytes()));
    let is_zipped = zipped.is_some();
    let mut response = Response::new(zipped.unwrap_or_else(|| text.into_bytes()).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EXPOSITION_TYPE));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
