//! The protocols that the server speaks. All of them find a model by `Service::choose`, have pictures
//! predicted by `predict`, on one queue, and differ in routes, bodies and the words of their errors.
//!
//! - `native`: what a user of FastAPI expects: `/predict`, …
//! - `mlflow`: MLflow's scoring protocol: `/invocations`, …
//! - `tfserving`: TensorFlow Serving's REST API and KServe's first protocol: `/v1/models…`
//! - `v2`: the Open Inference Protocol, version 2: `/v2/…`
//!
//! `given` and `json_inputs` are what `mlflow` and `tfserving` have in common: the inputs of a body,
//! and their measure against what the model takes.
//!
//! Imports: http, `serve::*`.

mod given;
mod json_inputs;
pub(super) mod mlflow;
pub(super) mod native;
pub(super) mod tfserving;
pub(super) mod v2;
mod words;

use serde_json::{Value, json};

use crate::http::header::ACCEPT_ENCODING;
use crate::http::{Asked, Problem, ProblemCode, Rendered, RequestId, Response, StatusCode};

use super::metrics::{Metrics, Rejection};
use super::refusal::{Detail, Refusal};

/// In which words a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Ours, with FastAPI's error bodies.
    Native,
    /// MLflow's scoring protocol.
    Mlflow,
    /// TensorFlow Serving's REST API and KServe's first protocol.
    TfServing,
    /// The Open Inference Protocol, version 2.
    V2,
}

impl Protocol {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Native, Self::Mlflow, Self::TfServing, Self::V2];

    /// Returns the label of metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Mlflow => "mlflow",
            Self::TfServing => "tfserving",
            Self::V2 => "v2",
        }
    }

    /// Returns the protocol that a path belongs to, whether there is such a route or not.
    pub(super) fn of_path(path: &str) -> Self {
        let first = path.split('/').nth(1).unwrap_or_default();
        match first {
            "invocations" | "ping" => Self::Mlflow,
            "v1" => Self::TfServing,
            "v2" => Self::V2,
            _ => Self::Native,
        }
    }

    /// Returns the answer to a request that is refused.
    pub(super) fn refuse(self, refusal: &Refusal, id: &RequestId) -> Response {
        let status = self.status(refusal.status);
        let mut problem = Problem::new(status, ProblemCode::Other(refusal.code), "");
        if let Some(after) = refusal.retry_after {
            problem = problem.retry_after(after);
        }
        let mut response = problem.respond(self.body(status, refusal.code, &refusal.detail, id));
        if let Some(accepted) = &refusal.accept_encoding {
            let headers = response.headers_mut();
            headers.insert(ACCEPT_ENCODING, accepted.clone());
        }
        response
    }

    /// Returns the status for what is refused with `status` in the native protocol: FastAPI's 422 is
    /// known to its clients only.
    fn status(self, status: StatusCode) -> StatusCode {
        match (self, status) {
            (Self::Mlflow | Self::TfServing | Self::V2, StatusCode::UNPROCESSABLE_ENTITY) => {
                StatusCode::BAD_REQUEST
            }
            (_, status) => status,
        }
    }

    fn body(self, status: StatusCode, code: &str, detail: &Detail, id: &RequestId) -> Rendered {
        match self {
            Self::Native => {
                let detail: Value = detail.to_value();
                let id = id.as_str();
                Rendered::json(&json!({"detail": detail, "code": code, "request_id": id}))
            }
            Self::Mlflow => mlflow::error_body(status, code, &detail.to_text()),
            Self::TfServing => tfserving::error_body(&detail.to_text()),
            Self::V2 => Rendered::json(&json!({"error": detail.to_text()})),
        }
    }
}

/// Puts a problem that arose before a handler was asked into the words of the protocol of its path.
pub(super) fn render(metrics: &Metrics, problem: &Problem, asked: &Asked<'_>) -> Rendered {
    match problem.code {
        ProblemCode::BodyTooLarge => metrics.rejected(Rejection::BodyLimit),
        ProblemCode::BodyBudget => metrics.rejected(Rejection::BodyBudget),
        ProblemCode::Crowded => metrics.rejected(Rejection::ConnectionsLimit),
        ProblemCode::NotFound
        | ProblemCode::MethodNotAllowed
        | ProblemCode::BodyTimeout
        | ProblemCode::BodyBroken
        | ProblemCode::Internal
        | ProblemCode::Other(_) => {}
    }
    let detail = Detail::Text(problem.detail.clone());
    let (status, code) = (problem.status, problem.code.as_str());
    Protocol::of_path(asked.path).body(status, code, &detail, asked.request_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::refusal::FieldProblem;

    #[test]
    fn paths_belong_to_protocols() {
        for (path, protocol) in [
            ("/predict", Protocol::Native),
            ("/v1/models/x:predict", Protocol::TfServing),
            ("/v1", Protocol::TfServing),
            ("/v2/models/x/infer", Protocol::V2),
            ("/v22", Protocol::Native),
            ("/invocations", Protocol::Mlflow),
            ("/ping", Protocol::Mlflow),
            ("", Protocol::Native),
        ] {
            assert_eq!(Protocol::of_path(path), protocol, "{path}");
        }
    }

    #[test]
    fn each_protocol_has_its_own_words() {
        let id = RequestId::new();
        let problem = FieldProblem::missing([json!("body"), json!("file")]);
        let refusal = Refusal::invalid(vec![problem]);
        for (protocol, status, body) in [
            (
                Protocol::TfServing,
                400,
                r#"{"error":"body.file: Field required"}"#,
            ),
            (
                Protocol::V2,
                400,
                r#"{"error":"body.file: Field required"}"#,
            ),
            (
                Protocol::Mlflow,
                400,
                r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"body.file: Field required"}"#,
            ),
        ] {
            assert_eq!(protocol.refuse(&refusal, &id).status(), status);
            let status = protocol.status(refusal.status);
            let rendered = protocol.body(status, refusal.code, &refusal.detail, &id);
            assert_eq!(rendered.body, body, "{protocol:?}");
        }
        assert_eq!(Protocol::Native.refuse(&refusal, &id).status(), 422);
    }
}
