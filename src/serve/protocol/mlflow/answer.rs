//! The bodies that `/invocations` answers: predictions, and errors as `MlflowException` writes them.
//! Imports: http, serde, `serve::{answer, refusal}`.

use serde::Serialize;
use serde_json::json;

use crate::http::{Rendered, StatusCode};
use crate::serve::answer::{Ranked, likeliest, ranked};
use crate::serve::refusal::Refusal;

use super::params::{Params, Returned};

/// Refusals with this code are `BAD_REQUEST` for MLflow, other bad input `INVALID_PARAMETER_VALUE`.
const BAD_REQUEST: &str = "bad_request";
const INVALID_VALUE: &str = "invalid_parameter_value";

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wrong {
    /// It is not what the protocol says.
    Request(String),
    /// It is, but this value cannot be used.
    Value(String),
    /// It holds too many pictures.
    TooMany(String),
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        let (code, message) = match wrong {
            Wrong::Request(message) => (BAD_REQUEST, message),
            Wrong::Value(message) => (INVALID_VALUE, message),
            Wrong::TooMany(message) => return Self::too_many_images(message),
        };
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// What is answered, one element for each picture.
#[derive(Debug, Serialize)]
pub(super) struct Predictions<'a> {
    predictions: Vec<Prediction<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Prediction<'a> {
    /// Of every class, in the order of the classes.
    Probabilities(&'a [f32]),
    /// The likeliest class.
    Label(&'a str),
    /// The likeliest classes.
    Ranked(Vec<Ranked<'a>>),
    /// Their names.
    Labels(Vec<&'a str>),
}

impl<'a> Predictions<'a> {
    /// Puts together what was asked for.
    pub(super) fn new(
        classes: &'a [String],
        probabilities: impl Iterator<Item = &'a [f32]>,
        params: Params,
    ) -> Self {
        let predictions = probabilities.map(|p| match (params.top_k, params.returned) {
            (None, Returned::Probabilities) => Prediction::Probabilities(p),
            (None, Returned::Labels) => Prediction::Label(&classes[likeliest(p)]),
            (Some(k), Returned::Probabilities) => Prediction::Ranked(ranked(classes, p, k)),
            (Some(k), Returned::Labels) => {
                let ranked = ranked(classes, p, k).into_iter();
                Prediction::Labels(ranked.map(|one| one.label).collect())
            }
        });
        Self {
            predictions: predictions.collect(),
        }
    }
}

/// Returns the body of an error: MLflow's JSON, but a plain sentence about a `Content-Type`.
pub(in crate::serve::protocol) fn error_body(
    status: StatusCode,
    code: &str,
    message: &str,
) -> Rendered {
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return Rendered::text(message.to_owned());
    }
    Rendered::json(&json!({"error_code": error_code(status, code), "message": message}))
}

/// Returns the name that MLflow's clients know (`databricks.proto`).
fn error_code(status: StatusCode, code: &str) -> &'static str {
    match status.as_u16() {
        400 | 422 if code == BAD_REQUEST => "BAD_REQUEST",
        400 | 422 => "INVALID_PARAMETER_VALUE",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 if code == "not_found" => "ENDPOINT_NOT_FOUND",
        // A model or a version.
        404 => "RESOURCE_DOES_NOT_EXIST",
        429 => "REQUEST_LIMIT_EXCEEDED",
        503 => "TEMPORARILY_UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500..=599 => "INTERNAL_ERROR",
        _ => "BAD_REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_in_the_forms_that_can_be_asked_for() {
        let classes = ["a", "b", "c"].map(str::to_owned);
        let rows = [vec![0.1f32, 0.7, 0.2], vec![0.9, 0.05, 0.05]];
        let written = |top_k, returned| {
            let rows = rows.iter().map(Vec::as_slice);
            let params = Params { top_k, returned };
            serde_json::to_string(&Predictions::new(&classes, rows, params)).unwrap()
        };
        for (top_k, returned, expected) in [
            (
                None,
                Returned::Probabilities,
                "[[0.1,0.7,0.2],[0.9,0.05,0.05]]",
            ),
            (None, Returned::Labels, r#"["b","a"]"#),
            (Some(2), Returned::Labels, r#"[["b","c"],["a","b"]]"#),
            (
                Some(1),
                Returned::Probabilities,
                r#"[[{"label":"b","class_id":1,"probability":0.7}],[{"label":"a","class_id":0,"probability":0.9}]]"#,
            ),
        ] {
            let expected = format!("{{\"predictions\":{expected}}}");
            assert_eq!(written(top_k, returned), expected);
        }
    }

    #[test]
    fn errors_have_mlflows_codes() {
        for (wrong, expected) in [
            (Wrong::Request("m".to_owned()), "BAD_REQUEST"),
            (Wrong::Value("m".to_owned()), "INVALID_PARAMETER_VALUE"),
        ] {
            let refusal = Refusal::from(wrong);
            let body = error_body(refusal.status, refusal.code, "m").body;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body, json!({"error_code": expected, "message": "m"}));
        }
        let model = error_code(StatusCode::NOT_FOUND, "model_not_found");
        assert_eq!(model, "RESOURCE_DOES_NOT_EXIST");
        for (status, expected) in [
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            (StatusCode::TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED"),
            (StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND"),
            (StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST"),
            (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE"),
            (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
        ] {
            assert_eq!(error_code(status, "not_found"), expected);
        }
        let text = error_body(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", "no");
        assert_eq!(text.content_type, "text/plain; charset=utf-8");
        assert_eq!(text.body, "no");
    }
}
