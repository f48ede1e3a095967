//! `service:` of a stage: it runs until it is stopped, and answers on a port when it is ready.
//!
//! Imports: base.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::base::doc::{Fields, On, Value};
use crate::base::units;

/// How long a service may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Keys that say something about outputs or when a stage is done: a service has neither.
const MEANINGLESS: [(&str, &str); 5] = [
    (
        "outs",
        "it is never done, so nothing it writes can be recorded",
    ),
    (
        "metrics",
        "it is never done, so nothing it writes can be recorded",
    ),
    (
        "plots",
        "it is never done, so nothing it writes can be recorded",
    ),
    ("frozen", "it only runs when it is asked for by name"),
    (
        "always_changed",
        "it only runs when it is asked for by name",
    ),
];

/// What makes a stage a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The port on which it listens, on this machine.
    pub port: u16,
    /// The path that answers 2xx when it is ready; begins with `/`.
    pub ready: String,
    /// How long it may take to become ready.
    pub ready_timeout: Duration,
}

impl ServiceSpec {
    /// Returns where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns what is asked to learn whether it is ready.
    #[must_use]
    pub fn ready_url(&self) -> String {
        format!("{}{}", self.url(), self.ready)
    }
}

/// Reads the `service` section of a stage, if there is one; problems are reported to `fields`.
pub(super) fn read(stage: &Fields<'_, '_>) -> Option<ServiceSpec> {
    match stage.get("service")? {
        Value::Map(_) => {}
        other => {
            stage.problem(
                "service",
                On::Value,
                "wrong-type",
                format!(
                    "`{}` must be a mapping with `port` and `ready`, not {}",
                    stage.path("service"),
                    other.kind()
                ),
                Some("for example `service: {port: 5001, ready: /health/ready}`".to_owned()),
            );
            return None;
        }
    }
    for (key, why) in MEANINGLESS {
        if stage.has(key) {
            stage.problem(
                key,
                On::Key,
                "not-of-a-service",
                format!("a service has no `{key}`: {why}"),
                Some(format!("drop `{key}`, or drop `service`")),
            );
        }
    }
    let fields = stage.section("service");
    for key in ["port", "ready"] {
        if !fields.has(key) {
            fields.problem(
                key,
                On::Key,
                "missing-key",
                format!("`{}` has no `{key}`", fields.at()),
                Some("for example `service: {port: 5001, ready: /health/ready}`".to_owned()),
            );
        }
    }
    let port = fields.int("port", 1, 1..=65535);
    let ready = read_path(&fields);
    let ready_timeout = read_timeout(&fields);
    fields.finish();
    Some(ServiceSpec {
        port: u16::try_from(port).unwrap_or(1),
        ready,
        ready_timeout,
    })
}

fn read_path(fields: &Fields<'_, '_>) -> String {
    let path = fields.optional_text("ready").unwrap_or("/");
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\');
    if !path.starts_with('/') || !path.chars().all(fits) {
        fields.problem(
            "ready",
            On::Value,
            "bad-value",
            format!(
                "`{}` must be the path of a URL, such as `/health/ready`",
                fields.path("ready")
            ),
            Some("the address is always `http://127.0.0.1` with `port`".to_owned()),
        );
    }
    path.to_owned()
}

fn read_timeout(fields: &Fields<'_, '_>) -> Duration {
    let parsed = match fields.get("ready_timeout") {
        None => return READY_TIMEOUT,
        Some(Value::Str(text)) => units::parse_duration(text),
        Some(number @ (Value::Int(_) | Value::Float(_))) => {
            units::parse_duration(&number.to_string())
        }
        Some(_) => None,
    };
    parsed.unwrap_or_else(|| {
        fields.problem(
            "ready_timeout",
            On::Value,
            "bad-value",
            format!(
                "`{}` must be {}",
                fields.path("ready_timeout"),
                units::DURATION_FORM
            ),
            Some("for example `ready_timeout: 30s`".to_owned()),
        );
        READY_TIMEOUT
    })
}

/// Returns the schema of the section.
pub(super) fn json_schema() -> Json {
    json!({
        "description": "the stage runs until it is stopped, by `cvops repro STAGE`, and is ready when it answers",
        "type": "object",
        "additionalProperties": false,
        "required": ["port", "ready"],
        "properties": {
            "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "where it listens, on 127.0.0.1"},
            "ready": {"type": "string", "pattern": "^/", "description": "the path that answers 2xx when it is ready"},
            "ready_timeout": {
                "description": "how long it may take to become ready: seconds, or a text such as 30s, 2m (default 30s)",
                "oneOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
            },
        },
    })
}
