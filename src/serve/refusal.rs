//! Why a request is not answered with a prediction: a list of places for what is wrong with the
//! request, as FastAPI has it, a sentence for all else, with a stable `code`. `protocol` makes an answer
//! of it. Imports: `http`, `vision::image`, `serve::metrics`.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::header::HeaderValue;
use crate::http::{Problem, ProblemCode, StatusCode};
use crate::vision::image::{FORMAT_LIST, Format, ImageError};

use super::metrics::{DecodeFailure, Rejection};

/// No more than this of what was sent is repeated in an answer.
const ECHO_BYTES_MAX: usize = 256;
/// When a server without a model is worth asking again.
const NOT_READY_RETRY: Duration = Duration::from_secs(5);

/// One thing that is wrong with a request, as pydantic says it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// `missing`, `string_type`, …
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Where: `["body", "image"]`.
    #[schema(value_type = Vec<Place>)]
    pub(super) loc: Vec<Value>,
    /// What was expected.
    pub(super) msg: String,
    /// What was sent instead, shortened.
    pub(super) input: Value,
    /// Bounds, the parser's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ctx: Option<Value>,
}

impl FieldProblem {
    pub(super) fn new(
        kind: &'static str,
        loc: impl IntoIterator<Item = Value>,
        msg: impl Into<String>,
        input: &Value,
    ) -> Self {
        Self {
            kind,
            loc: loc.into_iter().collect(),
            msg: msg.into(),
            input: short(input),
            ctx: None,
        }
    }

    pub(super) fn missing(loc: impl IntoIterator<Item = Value>) -> Self {
        Self::new("missing", loc, "Field required", &Value::Null)
    }

    pub(super) fn ctx(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }

    fn to_text(&self) -> String {
        let place = |step: &Value| match step {
            Value::String(key) => key.clone(),
            other => other.to_string(),
        };
        let loc = self.loc.iter().map(place).collect::<Vec<_>>().join(".");
        match self.ctx.as_ref().and_then(|ctx| ctx.get("error")?.as_str()) {
            Some(error) => format!("{loc}: {}: {error}", self.msg),
            None => format!("{loc}: {}", self.msg),
        }
    }
}

/// Returns `input` if it is short, else its kind: an answer is no place for pictures.
fn short(input: &Value) -> Value {
    match input {
        Value::String(text) if ECHO_BYTES_MAX < text.len() => {
            json!(format!("a text of {} bytes", text.len()))
        }
        Value::Array(items) => json!(format!("a list of {}", items.len())),
        Value::Object(_) => json!("an object"),
        other => other.clone(),
    }
}

/// A step of the way to what is wrong.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes an answer")]
enum Place {
    /// The key.
    Key(String),
    /// The position in a list, from 0.
    Position(u64),
}

/// What is said.
#[derive(Clone, Debug, PartialEq, ToSchema)]
#[serde(untagged)]
pub(super) enum Detail {
    /// A sentence.
    Text(Cow<'static, str>),
    /// What is wrong with the request.
    Fields(Vec<FieldProblem>),
}

impl Detail {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Fields(fields) => json!(fields),
        }
    }

    /// Returns it as one text: `body.file: Field required; …`.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Fields(fields) => {
                let fields = fields.iter().map(FieldProblem::to_text);
                fields.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// A request that is not answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: Detail,
    pub(super) retry_after: Option<Duration>,
    pub(super) accept_encoding: Option<HeaderValue>,
    /// Under which reason it is counted, if it is a refusal before inference.
    pub(super) rejection: Option<Rejection>,
    /// For pictures that cannot be decoded.
    pub(super) undecodable: Option<(Option<Format>, DecodeFailure)>,
}

impl Refusal {
    /// The code of a model that is not ready.
    pub(super) const NOT_READY: &'static str = "model_not_ready";

    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: Detail::Text(detail.into()),
            retry_after: None,
            accept_encoding: None,
            rejection: None,
            undecodable: None,
        }
    }

    /// Status 422 with the places of what is wrong.
    pub(super) fn invalid(problems: Vec<FieldProblem>) -> Self {
        Self {
            detail: Detail::Fields(problems),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation", "")
        }
    }

    fn counted(mut self, rejection: Rejection) -> Self {
        self.rejection = Some(rejection);
        self
    }

    pub(super) fn retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub(super) fn queue_full(retry_after_s: u64) -> Self {
        let detail = "the queue is full: the server is behind, try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", detail)
            .counted(Rejection::QueueFull)
            .retry(Duration::from_secs(retry_after_s))
    }

    pub(super) fn not_ready(detail: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Self::NOT_READY, detail).retry(NOT_READY_RETRY)
    }

    /// Status 404; `names` are those that are served.
    pub(super) fn model_not_found(name: &str, names: &[&str]) -> Self {
        let name: String = name.chars().take(ECHO_BYTES_MAX).collect();
        let names = names.iter().map(|name| format!("`{name}`"));
        let names = names.collect::<Vec<_>>().join(", ");
        let detail = format!("no model `{name}` is served here, but {names}");
        Self::new(StatusCode::NOT_FOUND, "model_not_found", detail)
    }

    /// Status 404; `what` is `version` or `alias`.
    pub(super) fn version_not_found(name: &str, what: &str, wanted: &str) -> Self {
        let wanted: String = wanted.chars().take(ECHO_BYTES_MAX).collect();
        let detail = format!("the {what} `{wanted}` of `{name}` is not served here");
        Self::new(StatusCode::NOT_FOUND, "version_not_found", detail)
    }

    pub(super) fn deadline(timeout: Duration) -> Self {
        let detail = format!("no answer within {} ms", timeout.as_millis());
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline", detail).counted(Rejection::Deadline)
    }

    pub(super) fn too_many_images(detail: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_images", detail)
    }

    /// Status 415; `accepted` lists what the route takes.
    pub(super) fn media_type(found: Option<&str>, accepted: &str) -> Self {
        let detail = match found {
            Some(found) => {
                let found: String = found.chars().take(ECHO_BYTES_MAX).collect();
                format!("the Content-Type `{found}` is not understood here: send {accepted}")
            }
            None => format!("there is no Content-Type: send {accepted}"),
        };
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail)
    }

    /// Status 415 with the header `Accept-Encoding` (RFC 9110, section 15.5.16).
    pub(super) fn content_encoding(found: &str) -> Self {
        let found: String = found.chars().take(ECHO_BYTES_MAX).collect();
        let detail = format!("the Content-Encoding `{found}` is not understood: send it as it is");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self {
            accept_encoding: Some(HeaderValue::from_static("identity")),
            ..Self::new(status, "content_encoding", detail)
        }
    }

    /// Repeats what is wrong with a body as it came.
    pub(super) fn of(problem: &Problem) -> Self {
        let rejection = match problem.code {
            ProblemCode::BodyTooLarge => Some(Rejection::BodyLimit),
            ProblemCode::BodyBudget => Some(Rejection::BodyBudget),
            ProblemCode::Crowded => Some(Rejection::ConnectionsLimit),
            ProblemCode::NotFound
            | ProblemCode::MethodNotAllowed
            | ProblemCode::BodyTimeout
            | ProblemCode::BodyBroken
            | ProblemCode::Internal
            | ProblemCode::Other(_) => None,
        };
        Self {
            retry_after: problem.retry_after,
            rejection,
            ..Self::new(
                problem.status,
                problem.code.as_str(),
                problem.detail.clone(),
            )
        }
    }

    /// Status 500: the log has the details, the answer has the request's id.
    pub(super) fn internal(detail: &'static str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Why the picture in `bytes` cannot be used.
    pub(super) fn image(error: &ImageError, bytes: &[u8]) -> Self {
        let failure = match error {
            ImageError::TooManyPixels { .. }
            | ImageError::SideTooLong { .. }
            | ImageError::TooManyBytes { .. } => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                let detail = format!("the picture is {error}");
                return Self::new(status, "image_too_large", detail).counted(Rejection::PixelLimit);
            }
            ImageError::Empty => DecodeFailure::Empty,
            ImageError::NotAnImage { .. } => DecodeFailure::NotAnImage,
            ImageError::Truncated => DecodeFailure::Truncated,
            ImageError::Unsupported { .. } => DecodeFailure::Unsupported,
            ImageError::Damaged { .. } | ImageError::Unreadable { .. } => DecodeFailure::Damaged,
        };
        let format = Format::of(bytes);
        let detail = match failure {
            // The error itself names the formats.
            DecodeFailure::NotAnImage => error.to_string(),
            DecodeFailure::Empty => format!("{error}; {FORMAT_LIST} files are read"),
            DecodeFailure::Truncated | DecodeFailure::Damaged | DecodeFailure::Unsupported => {
                let seen = format.map_or("unknown content".to_owned(), |format| {
                    format!("a {} image", format.name())
                });
                format!("{error} (it is {seen}); {FORMAT_LIST} files are read")
            }
        };
        let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "image_decode", detail);
        refusal.undecodable = Some((format, failure));
        refusal
    }

    /// Returns the same for a request, of whose pictures number `index` is wrong.
    pub(super) fn of_picture(&self, index: usize) -> Self {
        let text = format!("picture {index} (from 0): {}", self.detail.to_text());
        Self {
            detail: Detail::Text(text.into()),
            ..self.clone()
        }
    }

    /// Returns the body for one picture of many: `{"code": …, "detail": …}`.
    pub(super) fn item(&self) -> Value {
        json!({"code": self.code, "detail": self.detail.to_value()})
    }

    /// Is it the request that is wrong, and not the server?
    pub(super) fn is_clients(&self) -> bool {
        self.status.is_client_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_not_repeated() {
        let long = json!("x".repeat(1000));
        let problem = FieldProblem::new("string_type", [json!("body")], "m", &long);
        assert_eq!(problem.input, json!("a text of 1000 bytes"));
        assert_eq!(short(&json!(3)), json!(3));
    }

    #[test]
    fn a_bad_picture_is_named_with_the_formats_that_are_read() {
        let error = ImageError::NotAnImage {
            content: "it is text",
        };
        let refusal = Refusal::image(&error, b"hello");
        assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            refusal.item(),
            json!({
                "code": "image_decode",
                "detail": "not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)",
            })
        );
        let refusal = Refusal::image(&ImageError::Truncated, b"\x89PNG\r\n\x1a\n");
        assert_eq!(
            refusal.undecodable,
            Some((Some(Format::Png), DecodeFailure::Truncated))
        );
    }
}
