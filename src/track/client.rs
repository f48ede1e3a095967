//! Logs metrics to a tracking server, ours or MLflow's: over REST, in a thread of its own, so that
//! whoever has something to log never waits for the network. Imports: base, entity, ureq.
//!
//! What is logged goes into a bounded queue; the thread sends all that has come together as one
//! `runs/log-batch`. What a server does not take at once is sent again with the next values, and a
//! last time at the end. There is no TLS here (as in `base::probe`).

pub mod rest;

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::entity::MetricPoint;

/// Calls of `log` that wait to be sent; more are dropped.
const QUEUE_MAX: usize = 256;

/// Metrics of one request (MLflow's limit is 1000).
const BATCH_MAX: usize = 500;

/// Metrics that are kept for another try; the oldest are dropped.
const KEPT_MAX: usize = 10_000;

/// Bytes that are read of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Longer messages of a server are cut.
const MESSAGE_CHARS_MAX: usize = 200;

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Anybody.
    Nobody,
    /// A name and a password (HTTP Basic).
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token (HTTP Bearer).
    Token(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

impl Login {
    fn header(&self) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Password { user, password } => {
                let both = format!("{user}:{password}");
                let encoded = base64::engine::general_purpose::STANDARD.encode(both);
                Some(format!("Basic {encoded}"))
            }
            Self::Token(token) => Some(format!("Bearer {token}")),
        }
    }
}

/// Why metrics did not get to a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Only `http://` is spoken here.
    #[error("`{uri}` is no `http://` address")]
    BadUri {
        /// As given.
        uri: String,
    },
    /// No answer.
    #[error("`{uri}` did not answer: {why}")]
    NoAnswer {
        /// As given.
        uri: String,
        /// What the system says.
        why: String,
    },
    /// It did not want them.
    #[error("`{uri}` answered {status}: {message}")]
    Refused {
        /// As given.
        uri: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
}

/// A tracking server.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    uri: String,
    login: Login,
}

impl Client {
    /// Names the server at `uri`; asks it nothing. Each request ends within `timeout`.
    ///
    /// # Errors
    /// It is no `http://` address.
    pub fn new(uri: &str, login: Login, timeout: Duration) -> Result<Self, ClientError> {
        let bad = || ClientError::BadUri {
            uri: uri.to_owned(),
        };
        let host = uri.strip_prefix("http://").ok_or_else(bad)?;
        if host.is_empty() {
            return Err(bad());
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("cvops/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self {
            agent,
            uri: uri.trim_end_matches('/').to_owned(),
            login,
        })
    }

    /// Logs metrics to the run `run`; returns when the server has them.
    ///
    /// # Errors
    /// It does not answer in time, or refuses.
    pub fn log_batch(&self, run: &str, metrics: &[MetricPoint]) -> Result<(), ClientError> {
        let url = format!("{}/api/2.0/mlflow/runs/log-batch", self.uri);
        let points = metrics.iter().map(|point| wire(&point.name, point));
        let body = json!({"run_id": run, "metrics": points.collect::<Vec<_>>()});
        let mut request = self
            .agent
            .post(url)
            .header("Content-Type", "application/json");
        if let Some(header) = self.login.header() {
            request = request.header("Authorization", header);
        }
        let mut answer = request
            .send(body.to_string())
            .map_err(|error| ClientError::NoAnswer {
                uri: self.uri.clone(),
                why: error.to_string(),
            })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string().unwrap_or_default();
        let json: Json = serde_json::from_str(&text).unwrap_or_default();
        let message = json.get("message").and_then(Json::as_str).unwrap_or(&text);
        let line = message
            .split(char::is_control)
            .collect::<Vec<_>>()
            .join(" ");
        Err(ClientError::Refused {
            uri: self.uri.clone(),
            status: status.as_u16(),
            message: line.chars().take(MESSAGE_CHARS_MAX).collect(),
        })
    }
}

/// Returns a point as the REST API has it, under `key`; JSON lacks numbers that are none.
pub(super) fn wire(key: &str, point: &MetricPoint) -> Json {
    let value = match point.value {
        value if value.is_finite() => json!(value),
        value if value.is_nan() => json!("NaN"),
        value if value < 0.0 => json!("-Infinity"),
        _ => json!("Infinity"),
    };
    json!({"key": key, "value": value, "timestamp": point.at_ms, "step": point.step})
}

/// Logs to one run in a thread of its own.
#[derive(Debug)]
pub struct Live {
    queue: SyncSender<Vec<MetricPoint>>,
    /// What came of it, told once by the thread. Locked by nobody but `end`: many threads may log.
    end: Mutex<Receiver<Result<(), ClientError>>>,
}

impl Live {
    /// Starts to log to the run `run`; `None` if the system gives no thread.
    #[must_use]
    pub fn start(client: Client, run: String) -> Option<Self> {
        let (queue, values) = mpsc::sync_channel(QUEUE_MAX);
        let (tell, end) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("cvops-live".to_owned())
            .spawn(move || {
                // Who does not want to know has stopped waiting.
                let _ = tell.send(send_all(&client, &run, &values));
            })
            .ok()?;
        Some(Self {
            queue,
            end: Mutex::new(end),
        })
    }

    /// Logs metrics, some time soon; never waits.
    pub fn log(&self, metrics: Vec<MetricPoint>) {
        if self.queue.try_send(metrics).is_err() {
            tracing::debug!("a value was not logged: too many wait");
        }
    }

    /// Waits until all is sent, no longer than `patience`.
    ///
    /// # Errors
    /// Why something was not.
    pub fn end(self, patience: Duration) -> Result<(), ClientError> {
        drop(self.queue);
        let end = self
            .end
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match end.recv_timeout(patience) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(ClientError::NoAnswer {
                    uri: "the tracking server".to_owned(),
                    why: "it takes too long".to_owned(),
                })
            }
        }
    }
}

/// Sends what comes until nothing more can come; returns why something is left.
fn send_all(
    client: &Client,
    run: &str,
    values: &Receiver<Vec<MetricPoint>>,
) -> Result<(), ClientError> {
    let mut left: VecDeque<MetricPoint> = VecDeque::new();
    let mut last = Ok(());
    while let Ok(first) = values.recv() {
        left.extend(first);
        left.extend(values.try_iter().flatten());
        left.drain(..left.len().saturating_sub(KEPT_MAX));
        last = send(client, run, &mut left);
        if let Err(ClientError::Refused { status, .. }) = &last
            && !is_passing(*status)
        {
            return last;
        }
    }
    if left.is_empty() {
        return last;
    }
    send(client, run, &mut left)
}

/// Sends as much as the server takes.
fn send(client: &Client, run: &str, left: &mut VecDeque<MetricPoint>) -> Result<(), ClientError> {
    while !left.is_empty() {
        let count = left.len().min(BATCH_MAX);
        client.log_batch(run, &left.make_contiguous()[..count])?;
        left.drain(..count);
    }
    Ok(())
}

/// May the same request succeed later?
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_secs(5);

    fn point(name: &str, step: i64, value: f64) -> MetricPoint {
        MetricPoint {
            name: name.to_owned(),
            value,
            at_ms: 7,
            step,
        }
    }

    /// Gives each of `answers` to one request; returns the address, and the requests as they come.
    fn server(answers: &[&str]) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::channel();
        let answers: Vec<String> = answers.iter().map(|&a| a.to_owned()).collect();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !is_whole(&request) {
                    let count = stream.read(&mut buffer).unwrap();
                    assert!(count != 0, "a request broke off");
                    request.extend(&buffer[..count]);
                }
                let _ = tell.send(String::from_utf8(request).unwrap());
                let length = answer.split_once("\r\n\r\n").map_or(0, |(_, b)| b.len());
                let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
                let close = "Connection: close";
                let text =
                    format!("HTTP/1.1 {head}\r\n{close}\r\nContent-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes());
            }
        });
        (uri, asked)
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|l| l.lines().next()?.trim().parse::<usize>().ok());
        length.is_some_and(|length| length <= body.len())
    }

    #[test]
    fn a_batch_is_what_the_rest_api_wants() {
        let (uri, asked) = server(&["200 OK\r\n\r\n{}"]);
        let login = Login::Password {
            user: "u".to_owned(),
            password: "p".to_owned(),
        };
        let client = Client::new(&format!("{uri}/"), login, SHORT).unwrap();
        let points = [point("loss", 1, 0.5), point("loss", 2, f64::NAN)];
        client.log_batch("r1", &points).unwrap();
        let request = asked.recv().unwrap();
        assert!(request.starts_with("POST /api/2.0/mlflow/runs/log-batch HTTP/1.1\r\n"));
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(
            head.to_lowercase().contains("authorization: basic dtpw"),
            "{head}"
        );
        let body: Json = serde_json::from_str(body).unwrap();
        assert_eq!(
            body,
            json!({"run_id": "r1", "metrics": [
                {"key": "loss", "value": 0.5, "timestamp": 7, "step": 1},
                {"key": "loss", "value": "NaN", "timestamp": 7, "step": 2},
            ]})
        );
    }

    #[test]
    fn what_was_not_taken_is_sent_again() {
        let (uri, asked) = server(&["503 Busy", "200 OK\r\n\r\n{}"]);
        let client = Client::new(&uri, Login::Nobody, SHORT).unwrap();
        let live = Live::start(client, "r1".to_owned()).unwrap();
        live.log(vec![point("loss", 1, 0.5)]);
        asked.recv().unwrap();
        live.log(vec![point("loss", 2, 0.25)]);
        assert_eq!(live.end(SHORT), Ok(()));
        let second = asked.recv().unwrap();
        assert!(
            second.contains("\"step\":1") && second.contains("\"value\":0.5"),
            "{second}"
        );
    }

    #[test]
    fn a_refusal_is_told_and_ends_it() {
        let refusal = "404 Not Found\r\n\r\n{\"message\": \"Run with id=r1\\nnot found\"}";
        let (uri, asked) = server(&[refusal]);
        let client = Client::new(&uri, Login::Nobody, SHORT).unwrap();
        let live = Live::start(client, "r1".to_owned()).unwrap();
        live.log(vec![point("loss", 1, 0.5)]);
        asked.recv().unwrap();
        live.log(vec![point("loss", 2, 0.5)]);
        let told = live.end(SHORT).unwrap_err().to_string();
        assert_eq!(
            told,
            format!("`{uri}` answered 404: Run with id=r1 not found")
        );
    }

    #[test]
    fn an_absent_server_is_told_at_the_end() {
        let uri = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        };
        let client = Client::new(&uri, Login::Nobody, SHORT).unwrap();
        let live = Live::start(client, "r1".to_owned()).unwrap();
        for step in 0..1000 {
            live.log(vec![point("loss", step, 0.5)]);
        }
        let told = live.end(SHORT).unwrap_err().to_string();
        assert!(told.contains("did not answer"), "{told}");
        for uri in ["https://host", "http://", "databricks", "file:///tmp"] {
            let made = Client::new(uri, Login::Nobody, SHORT);
            assert!(matches!(made, Err(ClientError::BadUri { .. })), "{uri}");
        }
    }
}
