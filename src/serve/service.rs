//! What all requests share, and how the parts of an answer are put together.
//! Imports: base, http, arc-swap, prometheus, tokio, `serve::*`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus::Registry;
use serde::Serialize;
use tokio::time::Instant;

use crate::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use crate::http::{RequestId, Response, StatusCode};

use super::answer::{Behind, ModelRef};
use super::config::Config;
use super::log::{Log, Noted};
use super::metrics::{Build, Metrics, RequestOutcome};
use super::model::{Model, ModelSlot, ModelSource, Status};
use super::picture::Look;
use super::queue::{Answer, Failure, Pending, Queue};
use super::refusal::Refusal;

const X_MODEL_NAME: HeaderName = HeaderName::from_static("x-model-name");
const X_MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The state of one server.
pub(super) struct Service {
    pub(super) config: Config,
    pub(super) source: ModelSource,
    pub(super) build: Build,
    pub(super) model: ModelSlot,
    /// Why another version than the one that is meant is served, if so.
    pub(super) behind: ArcSwapOption<Behind>,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    pub(super) draining: AtomicBool,
    /// Where predictions are logged, if they are.
    pub(super) log: Option<Log>,
}

/// How long the parts of an answer took; of several pictures the longest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timings {
    pub(super) decode: Duration,
    pub(super) queue: Duration,
    pub(super) infer: Duration,
}

impl Timings {
    /// Returns a duration in milliseconds, to the microsecond.
    pub(super) fn ms(duration: Duration) -> f64 {
        (duration.as_secs_f64() * 1e6).round() / 1e3
    }

    /// Keeps the longer of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            decode: self.decode.max(other.decode),
            queue: self.queue.max(other.queue),
            infer: self.infer.max(other.infer),
        }
    }
}

impl Service {
    /// Returns the model, or why there is none.
    pub(super) fn ready(&self) -> Result<Arc<Model>, Refusal> {
        match &*self.model.get() {
            Status::Ready(model) => Ok(Arc::clone(model)),
            other => Err(Refusal::not_ready(self.why_not_ready(other))),
        }
    }

    /// Says why there is no model, and what to do.
    pub(super) fn why_not_ready(&self, status: &Status) -> String {
        let name = &self.source.name;
        match status {
            Status::Ready(_) => format!("the model `{name}` is ready"),
            Status::Loading => format!("the model `{name}` is being loaded"),
            Status::Absent(absence) => self.source.absence(absence),
            Status::Broken { problem } => format!("the model `{name}` cannot be loaded: {problem}"),
        }
    }

    /// Says how closely the log looks at the pictures of a request.
    pub(super) fn look(&self, id: &RequestId) -> Look {
        self.log.as_ref().map_or(Look::Away, |log| log.look(id))
    }

    /// Hands answered pictures over to the log.
    pub(super) fn note(
        &self,
        id: &RequestId,
        route: &'static str,
        model: &Arc<Model>,
        pictures: impl IntoIterator<Item = Noted>,
    ) {
        if let Some(log) = &self.log {
            log.note(id, route, model, pictures.into_iter().collect());
        }
    }

    /// Takes the server out of the readiness check.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Pictures that one request may hold.
    pub(super) fn pictures_max(&self) -> usize {
        self.config.batch_items_max.min(self.config.queue_max)
    }

    /// Returns how the model is named in answers.
    pub(super) fn model_ref(model: &Model) -> ModelRef<'_> {
        ModelRef {
            name: &model.name,
            version: &model.version.version,
        }
    }

    /// Counts a refusal and puts it into an answer.
    pub(super) fn refuse(&self, refusal: &Refusal, id: &RequestId) -> Response {
        self.count(refusal);
        if refusal.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id = id.as_str(), detail = ?refusal.detail, "no answer");
        }
        refusal.respond(id)
    }

    /// Counts a refusal of a picture or a request.
    pub(super) fn count(&self, refusal: &Refusal) {
        if let Some(rejection) = refusal.rejection {
            self.metrics.rejected(rejection);
        }
        if let Some((format, reason)) = refusal.undecodable {
            self.metrics.undecodable(format, reason);
        }
    }

    /// Counts how a prediction request ended.
    pub(super) fn count_request(&self, model: Option<&Model>, status: StatusCode) {
        let version = model.map_or_else(
            || self.source.version_before(),
            |model| model.version.version.as_str(),
        );
        let outcome = if status.is_success() {
            RequestOutcome::Ok
        } else if status.is_client_error() {
            RequestOutcome::BadInput
        } else {
            RequestOutcome::Error
        };
        self.metrics.request(version, outcome);
    }

    /// Waits for the answer to one picture.
    pub(super) async fn wait(&self, pending: Pending, ends: Ends) -> Result<Answer, Refusal> {
        match tokio::time::timeout_at(ends.at, pending).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(Failure::NotFinite))) => Err(Refusal::internal(
                "the network's answer is not a finite number",
            )),
            Ok(Ok(Err(Failure::Bug))) => Err(Refusal::internal(
                "this is a bug in cvops; the server's log has more under this request id",
            )),
            // The model thread dropped the picture because its time was over.
            Ok(Err(_)) | Err(_) => Err(Refusal::deadline(ends.timeout)),
        }
    }
}

/// When a request is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) at: Instant,
    pub(super) timeout: Duration,
}

/// Returns `body` as JSON with `status`.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(bytes) = serde_json::to_vec(body) else {
        // Maps with text keys and finite numbers always have a JSON form.
        let mut response = Response::new(bytes::Bytes::new().into());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Says on an answer which model gave it and how long the parts took.
pub(super) fn stamp(response: &mut Response, model: &Model, timings: Timings) {
    let headers = response.headers_mut();
    // A folder may have any name; what a header cannot hold is left out.
    if let Ok(name) = HeaderValue::from_str(&model.name) {
        headers.insert(X_MODEL_NAME, name);
    }
    if let Ok(version) = HeaderValue::from_str(&model.version.version) {
        headers.insert(X_MODEL_VERSION, version);
    }
    let text = format!(
        "decode;dur={}, queue;dur={}, infer;dur={}",
        Timings::ms(timings.decode),
        Timings::ms(timings.queue),
        Timings::ms(timings.infer)
    );
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(SERVER_TIMING, value);
    }
}
