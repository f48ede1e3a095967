//! What all requests share, and how the parts of an answer are put together.
//! Imports: base, http, prometheus, tokio, `serve::*`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::Registry;
use serde::Serialize;
use tokio::time::Instant;

use crate::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use crate::http::{RequestId, Response, StatusCode};

use super::answer::ModelRef;
use super::ask::Ask;
use super::config::Config;
use super::decoders::Decoders;
use super::drift::Wants;
use super::log::{Compared, Log, Noted};
use super::metrics::{Build, Metrics};
use super::model::{Model, Status};
use super::model_metrics::RequestOutcome;
use super::picture::Look;
use super::predict;
use super::protocol::Protocol;
use super::queue::{Answer, Failure, Pending, Queue};
use super::refusal::Refusal;
use super::run::Observer;
use super::served::{Served, Wanted};

const X_MODEL_NAME: HeaderName = HeaderName::from_static("x-model-name");
const X_MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The state of one server.
pub(super) struct Service {
    pub(super) config: Config,
    pub(super) build: Build,
    /// At least one; the first one answers who names none.
    pub(super) models: Vec<Arc<Served>>,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    pub(super) draining: AtomicBool,
    /// Where predictions are logged, if they are.
    pub(super) log: Option<Arc<Log>>,
    pub(super) observe: Observer,
    /// Where pictures are decoded and drawn. A load or a look at a file has other threads, so that it
    /// never waits for pictures, nor pictures for it.
    pub(super) decoders: Decoders,
    /// Returns memory that is free to the system; see `Options`.
    pub(super) give_back: fn(),
}

/// The model that answers a request, held for as long as that takes.
#[derive(Clone)]
pub(super) struct Chosen {
    pub(super) served: Arc<Served>,
    pub(super) model: Arc<Model>,
    /// What is asked as well: the same one from the beginning to the end, as the sizes of both matter.
    pub(super) shadow: Option<Arc<Model>>,
}

impl Chosen {
    /// Returns what is to be found out about its pictures beside their probabilities, for detectors of drift.
    pub(super) fn wants(&self) -> Wants {
        let tap = self.served.drift.as_ref();
        tap.map_or(Wants::default(), |tap| tap.wants(&self.model))
    }
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
    /// Returns what is served as `name`, or by default.
    pub(super) fn served(&self, name: Option<&str>) -> Option<&Arc<Served>> {
        match name {
            None => self.models.first(),
            Some(name) => self.models.iter().find(|served| served.name == name),
        }
    }

    /// Returns the model that is to answer a prediction request. One for a model that is not ready counts
    /// as one of `protocol` that failed; the caller counts one that has a model (`finish`).
    ///
    /// # Errors
    /// As `find`.
    pub(super) fn choose(
        &self,
        protocol: Protocol,
        name: Option<&str>,
        wanted: Wanted<'_>,
    ) -> Result<Chosen, Refusal> {
        let found = self.find(name, wanted);
        if let Err(refusal) = &found
            && refusal.code == Refusal::NOT_READY
            && let Some(served) = self.served(name)
        {
            let version = served.main.source.version_before();
            let outcome = RequestOutcome::Error;
            served.metrics.request(version, protocol, outcome);
        }
        found
    }

    /// Returns the model that is meant, and counts nothing.
    ///
    /// # Errors
    /// There is no such model (code `model_not_found`) or version (`version_not_found`), or it is not
    /// ready (`model_not_ready`).
    pub(super) fn find(&self, name: Option<&str>, wanted: Wanted<'_>) -> Result<Chosen, Refusal> {
        let Some(served) = self.served(name) else {
            return Err(Refusal::model_not_found(
                name.unwrap_or_default(),
                &self.names(),
            ));
        };
        if let Some(model) = served.find(wanted) {
            // Who asks for the shadow's version is answered by the shadow, which always agrees with itself.
            let shadow = served
                .shadow_model()
                .filter(|shadow| !Arc::ptr_eq(shadow, &model));
            return Ok(Chosen {
                served: Arc::clone(served),
                model,
                shadow,
            });
        }
        match (wanted, &*served.main.slot.get()) {
            (Wanted::Version(version), Status::Ready(_)) => {
                Err(Refusal::version_not_found(&served.name, "version", version))
            }
            (Wanted::Alias(alias), Status::Ready(_)) => {
                Err(Refusal::version_not_found(&served.name, "alias", alias))
            }
            (_, status) => Err(Refusal::not_ready(served.main.why_not_ready(status))),
        }
    }

    /// Returns the names under which models are served.
    pub(super) fn names(&self) -> Vec<&str> {
        self.models
            .iter()
            .map(|served| served.name.as_str())
            .collect()
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

    /// Compares what the shadow will say with `answer`, which does not wait for it.
    pub(super) fn compare(
        &self,
        chosen: &Chosen,
        ask: &Ask,
        index: usize,
        answer: &Answer,
        shadow: Arc<Model>,
        pending: Pending,
    ) {
        let served = Arc::clone(&chosen.served);
        let label = predict::label(&chosen.model, &answer.probabilities).to_owned();
        let log = self.log.clone();
        let (id, index) = (ask.id.clone(), u32::try_from(index).unwrap_or(u32::MAX));
        tokio::spawn(async move {
            let Ok(Ok(Answer { probabilities, .. })) = pending.await else {
                // Its time was over before the server had nothing else to do.
                served.metrics.shadow_dropped.inc();
                return;
            };
            let agrees = label == predict::label(&shadow, &probabilities);
            served.metrics.compared(&shadow.version.version, agrees);
            if let Some(log) = log {
                log.compared(Compared {
                    id,
                    index,
                    shadow,
                    probabilities,
                    agrees,
                });
            }
        });
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
            alias: model.version.alias.as_deref(),
        }
    }

    /// Counts a refusal and puts it into an answer of the native protocol.
    pub(super) fn refuse(&self, refusal: &Refusal, id: &RequestId) -> Response {
        self.refuse_in(Protocol::Native, refusal, id)
    }

    /// Counts a refusal and puts it into an answer of `protocol`.
    pub(super) fn refuse_in(
        &self,
        protocol: Protocol,
        refusal: &Refusal,
        id: &RequestId,
    ) -> Response {
        self.count(refusal);
        if refusal.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id = id.as_str(), detail = ?refusal.detail, "no answer");
        }
        protocol.refuse(refusal, id)
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

    /// Returns an answer, whichever it is, and counts the request.
    pub(super) fn finish(
        &self,
        protocol: Protocol,
        chosen: Option<&Chosen>,
        response: Result<Response, Refusal>,
        id: &RequestId,
    ) -> Response {
        let response = response.unwrap_or_else(|refusal| self.refuse_in(protocol, &refusal, id));
        if let Some(chosen) = chosen {
            Self::count_request(protocol, chosen, response.status());
        }
        response
    }

    /// Counts a request that ended with `status`.
    pub(super) fn count_request(protocol: Protocol, chosen: &Chosen, status: StatusCode) {
        let Chosen { served, model, .. } = chosen;
        let outcome = RequestOutcome::of(status);
        served
            .metrics
            .request(&model.version.version, protocol, outcome);
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
    stamp_model(response, model);
    let text = format!(
        "decode;dur={}, queue;dur={}, infer;dur={}",
        Timings::ms(timings.decode),
        Timings::ms(timings.queue),
        Timings::ms(timings.infer)
    );
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
}

/// Says on an answer which model gives it.
pub(super) fn stamp_model(response: &mut Response, model: &Model) {
    let headers = response.headers_mut();
    // A folder may have any name; what a header cannot hold is left out.
    if let Ok(name) = HeaderValue::from_str(&model.name) {
        headers.insert(X_MODEL_NAME, name);
    }
    if let Ok(version) = HeaderValue::from_str(&model.version.version) {
        headers.insert(X_MODEL_VERSION, version);
    }
}
