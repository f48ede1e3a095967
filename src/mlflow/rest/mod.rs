//! The endpoints of MLflow's REST API, as tables: one row is a method, a path below the prefixes, who
//! may use it, and a function. A question is a function of the record and the request, run on a
//! blocking thread; a change is first read and checked, and then a closure that runs on the writing
//! thread, in one commit with others. Imports: base, http, track, `mlflow::*`.

pub(super) mod artifacts;
mod dto;
mod experiments;
mod fields;
mod logged_models;
mod metrics;
mod registry;
mod runs;
mod versions;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::http::header::HeaderValue;
use crate::http::{self, HeaderMap, Method, Response};
use crate::track::{self, Artifacts, Reader, Shared, Writing};

use super::refused::Refused;

/// What somebody may do, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look.
    Read,
    /// Record and change.
    Write,
    /// All, and manage who may do what.
    Admin,
}

/// Somebody who showed who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What they may do.
    pub access: Access,
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Its method.
    pub method: Method,
    /// Its path below the prefixes: `experiments/get`, `logged-models/{model_id}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it does.
    pub handler: Handler,
}

impl Endpoint {
    /// A question, for everybody who may look.
    const fn ask(
        method: Method,
        path: &'static str,
        read: fn(&Reader<'_>, &Ask) -> Result<Answer, Refused>,
    ) -> Self {
        Self {
            method,
            path,
            access: Access::Read,
            handler: Handler::Read(read),
        }
    }

    /// A change, for everybody who may record.
    const fn change(
        method: Method,
        path: &'static str,
        read: fn(&Ask) -> Result<Change, Refused>,
    ) -> Self {
        Self {
            method,
            path,
            access: Access::Write,
            handler: Handler::Write(read),
        }
    }
}

/// A change that was read and checked; runs on the writing thread.
pub type Change = Box<dyn FnOnce(&Writing<'_>) -> Result<Answer, track::Error> + Send>;

/// What an endpoint does.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Asks the record.
    Read(fn(&Reader<'_>, &Ask) -> Result<Answer, Refused>),
    /// Reads and checks the request, then changes the record.
    Write(fn(&Ask) -> Result<Change, Refused>),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The pairs of the query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// What stands for the placeholders of the path, decoded, in order.
    pub path_params: Vec<String>,
    /// The body as it came; empty for methods without one. If there is one, it was declared as JSON.
    pub body: Bytes,
    /// When it came, milliseconds since 1970.
    pub now_ms: i64,
    /// Who asks, if that was shown.
    pub user: Option<User>,
    /// The artifacts of the project.
    pub artifacts: Arc<Artifacts>,
}

#[cfg(test)]
impl Ask {
    /// A request as unit tests make it: with this query, this body, at the time 1000.
    pub(crate) fn of(query: &[(&str, &str)], body: &str) -> Self {
        Self {
            query: query
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            path_params: Vec::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            now_ms: 1000,
            user: None,
            artifacts: Arc::new(Artifacts::at(std::path::Path::new("/nowhere"))),
        }
    }
}

/// What is answered: JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub Bytes);

impl Answer {
    /// Answers `{}`.
    #[must_use]
    pub fn empty() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// Answers `value`, whose maps have text keys and whose numbers are finite.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        // Such values always have a JSON form.
        Self(serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from))
    }
}

/// All endpoints.
pub(super) const TABLES: &[&[Endpoint]] = &[
    experiments::ENDPOINTS,
    runs::ENDPOINTS,
    metrics::ENDPOINTS,
    artifacts::ENDPOINTS,
    registry::ENDPOINTS,
    versions::ENDPOINTS,
    logged_models::ENDPOINTS,
];

/// The paths that `Endpoint::path` is put behind: that of clients and that of pages.
pub(super) const PREFIXES: [&str; 2] = ["/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"];

/// The largest body, bytes, of endpoints that set no other limit.
const BODY_BYTES_MAX: u64 = 16 << 20;

impl Endpoint {
    /// Returns the largest body, bytes.
    pub(super) fn body_max(&self) -> u64 {
        match (&self.method, self.path) {
            (&Method::GET, _) => 0,
            // A dataset's profile alone may take 16 MiB.
            (_, "runs/log-inputs") => 2 * BODY_BYTES_MAX,
            _ => BODY_BYTES_MAX,
        }
    }
}

/// Answers `ask` at `handler`: a question on a blocking thread, a change on the writing one.
///
/// # Errors
/// What the client is told.
pub(super) async fn dispatch(
    shared: &Shared,
    handler: Handler,
    ask: Ask,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    match handler {
        Handler::Read(read) => {
            let shared = shared.clone();
            let reading = move || {
                let answer = shared.read(|reader| Ok(read(reader, &ask)))??;
                // Here, because compression takes a while.
                Ok(respond(answer, &headers))
            };
            blocking(reading).await
        }
        Handler::Write(parse) => {
            let change = parse(&ask)?;
            Ok(respond(write(shared, change).await?, &headers))
        }
    }
}

fn respond(answer: Answer, headers: &HeaderMap) -> Response {
    let json = HeaderValue::from_static("application/json");
    http::text(answer.0, json, headers)
}

/// Runs `work` on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Refused::bug()))
}

/// Runs `change` on the writing thread; returns when it is on disk.
pub(super) async fn write<T: Send + 'static>(
    shared: &Shared,
    change: impl FnOnce(&Writing<'_>) -> Result<T, track::Error> + Send + 'static,
) -> Result<T, Refused> {
    let (tell, told) = tokio::sync::oneshot::channel();
    shared.change_then(change, move |made| {
        // Whoever asked may have gone.
        let _ = tell.send(made);
    });
    Ok(told.await.map_err(|_| track::Error::WriterGone)??)
}
