//! Answers of pages. Imports: http, mlflow, `ui::asked`.

use std::io;
use std::time::Duration;

use askama::Template;
use bytes::Bytes;
use serde::Serialize;

use crate::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue,
    IF_NONE_MATCH, LOCATION,
};
use crate::http::{self, LiveEvent, Response, StatusCode};
use crate::mlflow::Refused;

use super::asked::Asked;

/// What files of others may do when a browser shows them: nothing, in an origin of their own.
const FOREIGN_POLICY: &str = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
     font-src data:; frame-ancestors 'self'";

/// Answers with a page.
///
/// # Errors
/// A template cannot be written, which is a mistake of ours.
pub(super) fn html(asked: &Asked, page: &impl Template) -> Result<Response, Refused> {
    let text = page.render().map_err(|error| {
        tracing::error!(target: "cvops::ui", %error, "a page cannot be written");
        Refused::bug()
    })?;
    Ok(text_of(asked, text, "text/html; charset=utf-8"))
}

/// Answers with JSON.
///
/// # Errors
/// The value has no JSON form, which is a mistake of ours.
pub(super) fn json(asked: &Asked, value: &impl Serialize) -> Result<Response, Refused> {
    let text = serde_json::to_string(value).map_err(|error| {
        tracing::error!(target: "cvops::ui", %error, "an answer has no JSON form");
        Refused::bug()
    })?;
    Ok(text_of(asked, text, JSON))
}

/// The types of the files that tables are written as.
pub(super) const CSV: &str = "text/csv; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// Answers with a file that was written as one of these types.
pub(super) fn written(asked: &Asked, text: Vec<u8>, content_type: &'static str) -> Response {
    text_of(asked, text, content_type)
}

/// Answers with a file that is written while it is sent: `next` writes a piece at a time, on a thread
/// that may wait, until it says `None`. What it refuses breaks the connection off.
pub(super) fn piecemeal(
    asked: &Asked,
    content_type: &'static str,
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, Refused> + Send + 'static,
) -> Response {
    let kind = HeaderValue::from_static(content_type);
    let path = asked.path.clone();
    let mut response = http::piecemeal(kind, &asked.headers, &asked.ending, move || {
        next().map_err(|refused| {
            tracing::warn!(target: "cvops::ui", path, why = %refused.message, "a file was broken off");
            io::Error::other(refused.message)
        })
    });
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Lets a browser save an answer as `name`, an ASCII file name.
pub(super) fn saved_as(mut response: Response, name: &str) -> Response {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

fn text_of(asked: &Asked, text: impl Into<Bytes>, content_type: &'static str) -> Response {
    let kind = HeaderValue::from_static(content_type);
    let mut response = http::text(text.into(), kind, &asked.headers);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Sends the browser to another page of ours (`/runs/…`) after a form was accepted.
///
/// # Errors
/// The address cannot be sent, which is a mistake of ours.
pub(super) fn see_other(href: &str) -> Result<Response, Refused> {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(href).map_err(|_| Refused::bug())?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Answers that the browser has this very content, which `hash` tells, already.
pub(super) fn unchanged(asked: &Asked, hash: &str) -> Option<Response> {
    let known = asked.headers.get_all(IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    if !known.any(|tags| tags.contains(&format!("\"{hash}\""))) {
        return None;
    }
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    Some(tagged(response, hash))
}

/// Lets the browser keep an answer whose content `hash` tells; it asks each time whether it is the same.
pub(super) fn tagged(mut response: Response, hash: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        headers.insert(ETAG, tag);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Answers with a picture of ours, or one that was checked to be of this type; it may be kept by the
/// browser for as long as `age`.
pub(super) fn picture(
    bytes: impl Into<Bytes>,
    content_type: &'static str,
    age: Duration,
) -> Response {
    let mut response = Response::new(bytes.into().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(kept) = HeaderValue::from_str(&format!("private, max-age={}", age.as_secs())) {
        headers.insert(CACHE_CONTROL, kept);
    }
    response
}

/// Answers with a file of somebody else for a frame or a picture of ours: the browser shows it in an
/// origin of its own, without scripts.
pub(super) fn foreign(bytes: impl Into<Bytes>, content_type: &str) -> Response {
    let mut response = Response::new(bytes.into().into());
    let kind = HeaderValue::from_str(content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(FOREIGN_POLICY),
    );
    response
}

/// Answers with what goes on: `poll` is asked at once and then `every` so often, on a thread that may
/// wait; `None` ends the answer.
pub(super) fn live(
    asked: &Asked,
    every: Duration,
    poll: impl FnMut() -> Option<Vec<LiveEvent>> + Send + 'static,
) -> Response {
    http::live(every, asked.ending.clone(), poll)
}
