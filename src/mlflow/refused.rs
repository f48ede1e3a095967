//! Why a request of a client was not answered, in MLflow's words: a code, which has a status, and a
//! sentence. Imports: base, http, track.

use std::borrow::Cow;

use serde_json::json;

use crate::base::db::{Trouble, trouble};
use crate::base::diag::ToDiagnostics;
use crate::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use crate::http::{Asked, Problem, ProblemCode, Rendered, Response, StatusCode};
use crate::track::{self, Refusal};

use super::pages::Pages;

/// The codes of MLflow (`error_code`) that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A value is not one that can be.
    InvalidParameterValue,
    /// The name is taken.
    ResourceAlreadyExists,
    /// There is none.
    ResourceDoesNotExist,
    /// No such path.
    EndpointNotFound,
    /// The path knows other methods only.
    MethodNotAllowed,
    /// Nobody said who asks.
    Unauthenticated,
    /// Who asks may not.
    PermissionDenied,
    /// The body is larger than the route takes.
    TooLarge,
    /// The body did not come in time.
    RequestTimeout,
    /// Too much was asked in a short time.
    RequestLimitExceeded,
    /// Not offered here.
    NotImplemented,
    /// Try again later.
    TemporarilyUnavailable,
    /// The disk is full.
    InsufficientStorage,
    /// The part of a file that was asked for is outside of it.
    RangeNotSatisfiable,
    /// Nothing that the client could change.
    InternalError,
}

impl Code {
    /// Returns MLflow's name, or the one nearest to it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidParameterValue | Self::TooLarge | Self::RangeNotSatisfiable => {
                "INVALID_PARAMETER_VALUE"
            }
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::MethodNotAllowed | Self::RequestTimeout => "BAD_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::RequestLimitExceeded => "REQUEST_LIMIT_EXCEEDED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Self::InsufficientStorage | Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Returns the status that goes with it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameterValue | Self::ResourceAlreadyExists => StatusCode::BAD_REQUEST,
            Self::ResourceDoesNotExist | Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RequestLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InsufficientStorage => StatusCode::INSUFFICIENT_STORAGE,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refusal: what kind, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind.
    pub code: Code,
    /// For people; MLflow's words where clients look for them.
    pub message: Cow<'static, str>,
    /// A header that goes with it.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refused {
    /// Puts a code and a sentence together.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            header: None,
        }
    }

    /// A value is not one that can be (400).
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// There is none (404).
    #[must_use]
    pub fn missing(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ResourceDoesNotExist, message)
    }

    /// A mistake of ours (500).
    #[must_use]
    pub fn bug() -> Self {
        Self::new(
            Code::InternalError,
            "this is a bug in cvops; the server's log has more",
        )
    }

    /// The body is no JSON, or not the one that was expected (400); names the place.
    #[must_use]
    pub fn broken_json(error: &serde_json::Error) -> Self {
        Self::invalid(format!("the body is not valid JSON: {error}"))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// Returns the body of the answer.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        json!({"error_code": self.code.as_str(), "message": self.message})
    }
}

/// Puts a problem of the transport into MLflow's words.
pub(super) fn render(problem: &Problem, asked: &Asked<'_>) -> Rendered {
    Rendered::json(&refused_of(problem, asked).json())
}

/// Returns what a problem of the transport is in this room's words.
pub(super) fn refused_of(problem: &Problem, asked: &Asked<'_>) -> Refused {
    let message = match problem.code {
        ProblemCode::NotFound => format!("there is no endpoint `{}` here", asked.path).into(),
        _ => problem.detail.clone(),
    };
    Refused::new(code_of(problem), message)
}

/// Returns the answer to an upload that did not come to its end.
pub(super) fn render_of_upload(problem: &Problem) -> Response {
    let (code, message) = (code_of(problem), problem.detail.clone());
    problem.respond(Rendered::json(&Refused::new(code, message).json()))
}

fn code_of(problem: &Problem) -> Code {
    match problem.code {
        ProblemCode::NotFound => Code::EndpointNotFound,
        ProblemCode::MethodNotAllowed => Code::MethodNotAllowed,
        ProblemCode::BodyTooLarge => Code::TooLarge,
        ProblemCode::BodyBudget | ProblemCode::Crowded => Code::TemporarilyUnavailable,
        ProblemCode::BodyBroken => Code::InvalidParameterValue,
        ProblemCode::Internal => Code::InternalError,
        // Of the head, the only other one.
        ProblemCode::BodyTimeout | ProblemCode::Other(_) => Code::RequestTimeout,
    }
}

impl Refused {
    /// Returns the answer.
    pub(super) fn respond(&self) -> Response {
        self.respond_with(Rendered::json(&self.json()))
    }

    /// Returns the answer to a person.
    pub(super) fn respond_as_page(&self, pages: &dyn Pages) -> Response {
        self.respond_with(pages.refused(self))
    }

    fn respond_with(&self, rendered: Rendered) -> Response {
        let mut response = Response::new(rendered.body.into());
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.extend(rendered.headers);
        headers.insert(CONTENT_TYPE, rendered.content_type);
        if self.code == Code::TemporarilyUnavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some((name, value)) = &self.header {
            headers.insert(name, value.clone());
        }
        response
    }
}

/// What went wrong with the record, as a client may know it: never with a statement of SQL.
impl From<track::Error> for Refused {
    fn from(error: track::Error) -> Self {
        match &error {
            track::Error::Refused { why, message } => {
                let code = match why {
                    Refusal::Invalid => Code::InvalidParameterValue,
                    Refusal::Exists => Code::ResourceAlreadyExists,
                    Refusal::Missing => Code::ResourceDoesNotExist,
                };
                Self::new(code, message.clone())
            }
            track::Error::NoRuns
            | track::Error::UnknownRun { .. }
            | track::Error::UnknownExperiment { .. }
            | track::Error::UnknownMetric { .. }
            | track::Error::UnknownTag { .. }
            | track::Error::UnknownUser { .. }
            | track::Error::UnknownToken { .. } => Self::missing(error.to_string()),
            track::Error::AmbiguousRun { .. }
            | track::Error::AmbiguousMetric { .. }
            | track::Error::StillRunning { .. }
            | track::Error::UserExists { .. }
            | track::Error::AmbiguousToken { .. } => Self::invalid(error.to_string()),
            track::Error::WriterGone => Self::new(
                Code::TemporarilyUnavailable,
                "nothing can be recorded any more: the server has to be started again",
            ),
            // Its hook has written what it was into the log.
            track::Error::Panicked => Self::bug(),
            track::Error::Database(inner) => of_database(inner, &error),
            track::Error::Project(_)
            | track::Error::Store(_)
            | track::Error::Base(_)
            | track::Error::BadRecord { .. } => internal(&error),
        }
    }
}

fn of_database(inner: &crate::base::Error, error: &track::Error) -> Refused {
    match trouble(inner) {
        Some(Trouble::Busy) => Refused::new(
            Code::TemporarilyUnavailable,
            "the record of runs is in use by another process: try again",
        ),
        Some(Trouble::Full) => Refused::new(
            Code::InsufficientStorage,
            "the disk that holds the record of runs is full: nothing was recorded; free some space",
        ),
        Some(Trouble::NotWritable) => Refused::new(
            Code::InternalError,
            "the record of runs cannot be written: the file or its file system is read-only",
        ),
        Some(Trouble::Damaged) => Refused::new(
            Code::InternalError,
            "the record of runs is damaged: `cvops doctor` says more",
        ),
        Some(Trouble::Other) => {
            tracing::error!(target: "cvops::mlflow", %error, "the database failed");
            Refused::new(
                Code::InternalError,
                "the record of runs could not be used; the server's log says why",
            )
        }
        None => internal(error),
    }
}

fn internal(error: &impl ToDiagnostics) -> Refused {
    let diagnostics = error.to_diagnostics();
    let text: Vec<String> = diagnostics
        .into_iter()
        .map(|d| match d.help {
            Some(help) => format!("{} ({help})", d.headline),
            None => d.headline,
        })
        .collect();
    let message = text.join("; ");
    tracing::error!(target: "cvops::mlflow", %message, "no answer");
    Refused::new(Code::InternalError, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{CVOPS, Layout};
    use crate::track::Tracking;

    #[test]
    fn a_damaged_record_is_told_without_sql() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        crate::base::fs::create_dir_all(layout.state_dir()).unwrap();
        let garbage = "no database, but long enough to be taken for one".repeat(100);
        crate::base::fs::write_atomic(&layout.tracking_db(), garbage.as_bytes()).unwrap();
        let refused = Refused::from(Tracking::open(&layout).unwrap_err());
        assert_eq!(refused.code.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(refused.message.contains("damaged"), "{}", refused.message);
    }

    #[test]
    fn errors_have_the_codes_of_mlflow() {
        let check = |error: track::Error, status: u16, code: &str| {
            let refused = Refused::from(error);
            assert_eq!(refused.code.status().as_u16(), status);
            assert_eq!(refused.json()["error_code"], code);
        };
        check(track::Error::invalid("x"), 400, "INVALID_PARAMETER_VALUE");
        check(track::Error::exists("x"), 400, "RESOURCE_ALREADY_EXISTS");
        check(track::Error::missing("x"), 404, "RESOURCE_DOES_NOT_EXIST");
        check(track::Error::NoRuns, 404, "RESOURCE_DOES_NOT_EXIST");
        check(track::Error::WriterGone, 503, "TEMPORARILY_UNAVAILABLE");
    }
}
