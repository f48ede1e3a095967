//! What a client is told when a request cannot be answered: a status, a sentence, and the headers
//! that belong to it. The body is put into words by whoever knows the protocol.
//! Imports: nothing of ours.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::request_id::{RequestId, X_REQUEST_ID};
use super::trace::{TRACEPARENT, TraceContext};

/// What kind of problem: stable names, for bodies and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemCode {
    /// No such path.
    NotFound,
    /// The path does not know the method.
    MethodNotAllowed,
    /// The body is above the route's limit.
    BodyTooLarge,
    /// The bodies of all requests together take as much memory as they may.
    BodyBudget,
    /// There are as many connections as there may be.
    Crowded,
    /// The body did not come in time.
    BodyTimeout,
    /// The body broke off or is not framed as HTTP wants.
    BodyBroken,
    /// A handler panicked.
    Internal,
    /// Any other, named by the server.
    Other(&'static str),
}

impl ProblemCode {
    /// Returns the stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyBudget => "body_budget",
            Self::Crowded => "connections_limit",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::Internal => "internal",
            Self::Other(name) => name,
        }
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What kind.
    pub code: ProblemCode,
    /// What happened, for people.
    pub detail: Cow<'static, str>,
    /// The methods that the path knows (header `Allow`).
    pub allow: Option<HeaderValue>,
    /// When to try again (header `Retry-After`, rounded up to whole seconds, at least 1).
    pub retry_after: Option<Duration>,
    /// What becomes of the connection.
    pub after: After,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It stays open for the next request.
    KeepAlive,
    /// It is closed: what the client still sends is not read.
    Close,
}

impl Problem {
    /// Describes a problem after which the connection stays open.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: ProblemCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            allow: None,
            retry_after: None,
            after: After::KeepAlive,
        }
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub(super) fn closing(mut self) -> Self {
        self.after = After::Close;
        self
    }

    /// Returns the answer: the rendered body with the status and the headers that belong to it.
    #[must_use]
    pub fn respond(&self, rendered: Rendered) -> Response {
        let mut response = Response::new(rendered.body.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(rendered.headers);
        headers.insert(CONTENT_TYPE, rendered.content_type);
        if let Some(allow) = &self.allow {
            headers.insert(ALLOW, allow.clone());
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() != 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.after == After::Close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What was asked when the problem arose.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The path.
    pub path: &'a str,
    /// The template of its route, if there is one.
    pub template: Option<&'a str>,
    /// The request's id.
    pub request_id: &'a RequestId,
}

/// A problem in the words of a protocol.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The body's type.
    pub content_type: HeaderValue,
    /// The body.
    pub body: Bytes,
    /// What else is said about it.
    pub headers: HeaderMap,
}

impl Rendered {
    /// Makes a body of type `application/json`.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        Self {
            content_type: HeaderValue::from_static("application/json"),
            body: value.to_string().into(),
            headers: HeaderMap::new(),
        }
    }

    /// Makes a body of type `text/html`.
    #[must_use]
    pub fn html(page: impl Into<Bytes>) -> Self {
        Self {
            content_type: HeaderValue::from_static("text/html; charset=utf-8"),
            body: page.into(),
            headers: HeaderMap::new(),
        }
    }

    /// Makes a body of type `text/plain`.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self {
            content_type: HeaderValue::from_static("text/plain; charset=utf-8"),
            body: text.into(),
            headers: HeaderMap::new(),
        }
    }
}

/// Puts the request's id and its trace on an answer.
pub(super) fn stamp(response: &mut Response, id: &RequestId, trace: &TraceContext) {
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.header());
    headers.insert(TRACEPARENT, trace.header());
}
