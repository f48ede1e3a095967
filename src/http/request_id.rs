//! The id of a request: the client's, or a new one. On every answer, in every log line about it.
//! Imports: nothing of ours.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries it.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids of clients are replaced.
const CHARS_MAX: usize = 128;

/// The id of one request. Cheap to clone. Handlers find it in the request's extensions:
/// `warp::ext::get::<RequestId>()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the client's `X-Request-Id` if it is 1 to 128 visible ASCII characters, else makes a new
    /// one (UUID version 7: they sort by time).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(X_REQUEST_ID)
            .filter(|value| {
                (1..=CHARS_MAX).contains(&value.len())
                    && value.as_bytes().iter().all(u8::is_ascii_graphic)
            })
            .map_or_else(Self::new, |value| Self(value.clone()))
    }

    /// Makes a new one.
    #[must_use]
    pub fn new() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        // Hexadecimal digits and hyphens always make a header value.
        Self(HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Returns it as a header value.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}
