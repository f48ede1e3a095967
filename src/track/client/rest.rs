//! What the forwarder asks of a tracking server, ours or MLflow's: calls of the REST API, and files.
//! Imports: client, ureq.
//!
//! Errors come in two kinds: those of this request, and those that every other request would meet
//! as well (`ends_all`): nobody answers, or the server does not let us in.

use std::fs::File;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use super::{ClientError, Login};

/// Bytes that are read of an answer: a search answers with one run, whose values are many.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Longer messages of a server are cut.
const MESSAGE_CHARS_MAX: usize = 300;

/// A server that takes no connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An answer takes no longer than this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// All of a file may take so long.
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(1);

/// What stands for itself in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A tracking server.
#[derive(Debug)]
pub struct Rest {
    agent: ureq::Agent,
    uri: String,
    login: Login,
}

/// Why a server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct RestError {
    /// What happened.
    pub error: ClientError,
    /// MLflow's name for it, if it gave one.
    pub code: Option<String>,
}

impl RestError {
    /// Would every other request meet the same?
    #[must_use]
    pub fn ends_all(&self) -> bool {
        match &self.error {
            ClientError::BadUri { .. } | ClientError::NoAnswer { .. } => true,
            ClientError::Refused { status, .. } => {
                // A 500 may be about this run alone.
                matches!(status, 401 | 403 | 407 | 408 | 429 | 502..=504)
                    // A web server that is no tracking server.
                    || (*status == 404 && self.code.is_none())
            }
        }
    }

    /// Does what was named not exist?
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.code.as_deref() == Some("RESOURCE_DOES_NOT_EXIST")
    }

    /// Is the name taken?
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.code.as_deref() == Some("RESOURCE_ALREADY_EXISTS")
    }
}

impl Rest {
    /// Names the server at `uri`, which is `http://` or `https://`; asks it nothing.
    #[must_use]
    pub fn new(uri: &str, login: Login) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("cvops/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self {
            agent,
            uri: uri.trim_end_matches('/').to_owned(),
            login,
        }
    }

    /// Returns the server's address.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Asks `GET /api/2.0/mlflow/PATH` with this query.
    ///
    /// # Errors
    /// The server does not answer in time, or refuses.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, RestError> {
        let mut request = self
            .agent
            .get(format!("{}/api/2.0/mlflow/{path}", self.uri));
        for (key, value) in query {
            request = request.query(key, value);
        }
        if let Some(header) = self.login.header() {
            request = request.header("Authorization", header);
        }
        self.answer(request.call())
    }

    /// Sends `POST /api/2.0/mlflow/PATH` with this body.
    ///
    /// # Errors
    /// As `get`.
    pub fn post(&self, path: &str, body: &Json) -> Result<Json, RestError> {
        let mut request = self
            .agent
            .post(format!("{}/api/2.0/mlflow/{path}", self.uri))
            .header("Content-Type", "application/json");
        if let Some(header) = self.login.header() {
            request = request.header("Authorization", header);
        }
        self.answer(request.send(body.to_string()))
    }

    /// Stores a file at `path` below `mlflow-artifacts:/`.
    ///
    /// # Errors
    /// As `get`; or the file cannot be read.
    pub fn put(&self, path: &str, file: File) -> Result<(), RestError> {
        let path = utf8_percent_encode(path, PATH);
        let mut request = self
            .agent
            .put(format!(
                "{}/api/2.0/mlflow-artifacts/artifacts/{path}",
                self.uri
            ))
            .config()
            .timeout_global(Some(UPLOAD_TIMEOUT))
            .build()
            .header("Content-Type", "application/octet-stream");
        if let Some(header) = self.login.header() {
            request = request.header("Authorization", header);
        }
        self.answer(request.send(file)).map(drop)
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Json, RestError> {
        let no_answer = |error: &ureq::Error| RestError {
            error: ClientError::NoAnswer {
                uri: self.uri.clone(),
                why: error.to_string(),
            },
            code: None,
        };
        let mut answer = answer.map_err(|error| no_answer(&error))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string().map_err(|error| no_answer(&error))?;
        let json: Json = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(json);
        }
        let word = |key: &str| json.get(key).and_then(Json::as_str);
        let message = word("message").unwrap_or_default();
        let line = message
            .split(char::is_control)
            .collect::<Vec<_>>()
            .join(" ");
        let line: String = line.chars().take(MESSAGE_CHARS_MAX).collect();
        Err(RestError {
            error: ClientError::Refused {
                uri: self.uri.clone(),
                status: status.as_u16(),
                message: if line.is_empty() {
                    status.canonical_reason().unwrap_or("no reason").to_owned()
                } else {
                    line
                },
            },
            code: word("error_code").map(str::to_owned),
        })
    }
}
