//! The `serve` section of params.yaml. Imports: `base::doc`, `vision::image`,
//! `serve::{access, drift, model_config, transport}`.
//!
//! | key | meaning | values | default |
//! |---|---|---|---|
//! | `host` | the address to listen on; `0.0.0.0` for all | a text | `127.0.0.1` |
//! | `port` | the port to listen on; 0 for any free one | 0 to 65535 | 5001 |
//! | `unix` | a Unix socket to listen on instead of a port | a path | none |
//! | `unix_access` | who may connect to it | `owner`, `group`, `everyone` | `owner` |
//! | `tls.cert`, `tls.key` | files of the certificate and its private key, PEM; with them, TLS is spoken | a path | none |
//! | `metrics.listen` | an address of its own for `/metrics` | `HOST:PORT` | none |
//! | `batch_max` | pictures per forward pass | 1 to 1024 | 32 |
//! | `batch_wait_ms` | how long a batch that is not full waits for more pictures | 0 to 1000 | 0 |
//! | `queue_max` | pictures that are decoded or wait; more are refused with 503 | 1 to 100000 | 256 |
//! | `timeout_s` | seconds after which a request is given up with 504 | 0.01 to 3600 | 10 |
//! | `max_body_mib` | largest request body, in MiB | 1 to 1024 | 10 |
//! | `max_side` | largest width and largest height of a picture | 1 to 65535 | 8192 |
//! | `max_pixels` | largest width × height of a picture | 1 to 1000000000 | 40000000 |
//! | `max_batch_items` | pictures in one request; never more than `queue_max` | 1 to 4096 | 256 |
//! | `connections_max` | connections that are open at once; beyond them only probes are answered | 1 to 100000 | 1024 |
//! | `connections_per_ip_max` | connections that one address may have open; without it, any number | 1 to 100000 | none |
//! | `trusted_proxies` | proxies that are believed when they say in `X-Forwarded-For` or `Forwarded` for whom they ask: addresses, networks, `unix` for whoever comes through the Unix socket | a list of texts | none |
//! | `header_timeout_s` | seconds for a TLS handshake, for the head of a request, and between two requests | 0.1 to 3600 | 10 |
//! | `body_timeout_s` | seconds for the body of a request | 0.1 to 3600 | 30 |
//! | `drain_timeout_s` | seconds that open requests get to finish when the server is asked to end | 0 to 3600 | 30 |
//! | `docs` | are `/`, `/docs`, `/redoc` and `/openapi.json` answered? | true or false | true |
//! | `models.NAME.model` | what is served as NAME: a folder, or `models:/…` | a text | none |
//! | `models.NAME.canary.model` | what answers a share of the requests for NAME | a text | none |
//! | `models.NAME.canary.percent` | how large that share is | 0 to 100 | none |
//! | `models.NAME.shadow` | what is asked as well, and only compared | a text | none |
//! | `keys` | the file of keys; without one that of the project, if it has any | a path, relative to the folder of the parameters | |
//! | `open_metrics` | once there are keys: is `/metrics` answered without one, also at `metrics.listen`? | true or false | true |
//! | `rate_limit.per_second` | requests that each key, else each address, may make on the long run; more are refused with 429 | 0.001 to 1000000 | no limit |
//! | `rate_limit.burst` | requests that it may make at once, after a pause | 1 to 1000000 | `per_second`, rounded up |
//! | `cors.origins` | pages of these origins may ask; `"*"` for all | a list of texts | none |
//! | `cors.max_age_s` | seconds that a browser may remember it | 0 to 86400 | 600 |
//! | `drift` | which detectors watch the answers, if the other keys are not needed: their folder, or `false` for none | a path or `false` | `models/drift`, if it is there |
//! | `drift.dir` | their folder; where several models are served, each has its own | a path, relative to the folder of the parameters | `models/drift`, if it is there |
//! | `drift.window` | pictures that are compared with the reference at a time | 10 to 20000 | 500 |
//! | `drift.every` | when they are compared: after so many pictures, or after a time such as `5m` | 1 to 1000000, or a time | as soon as the window holds only new ones |
//! | `models.NAME.drift` | which detectors watch the answers of NAME | a path or `false` | none |
//! | `log.sample` | share of the requests whose predictions are logged in the project; 0 for none | 0 to 1 | 1 |
//! | `log.pictures` | are the pictures kept, as the model saw them? | true or false | true |
//! | `log.max_mib` | largest size of the prediction log in MiB; the oldest part goes | 1 to 1048576 | 256 |
//!
//! A batch does not wait by default: while one is computed, the next one gathers by itself, so
//! waiting helps only where the network is much faster than the pictures come.

use std::time::Duration;

use crate::base::doc::{Fields, On};
use crate::vision::image::Limits;

use super::access::AccessConfig;
use super::drift::DriftConfig;
use super::model_config;
pub use super::model_config::ModelConfig;
use super::transport::Transport;

/// What `max_batch_items` can be at most: no body holds more pictures that anybody may predict.
pub(super) const BATCH_ITEMS_MAX: usize = 4096;

/// How the server behaves; the module's table explains each key.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// How clients reach the server.
    pub transport: Transport,
    /// Pictures per forward pass, at least 1.
    pub batch_max: usize,
    /// How long a batch that is not full waits for more pictures.
    pub batch_wait: Duration,
    /// Pictures that are decoded or wait, at least 1.
    pub queue_max: usize,
    /// After which time a request is given up.
    pub timeout: Duration,
    /// Largest request body in bytes.
    pub body_bytes_max: u64,
    /// What one picture may ask for.
    pub limits: Limits,
    /// Pictures in one request, at least 1.
    pub batch_items_max: usize,
    /// Connections that are open at once, at least 1.
    pub connections_max: usize,
    /// How long open requests get to finish when the server is asked to end.
    pub drain_timeout: Duration,
    /// Are the pages for people answered?
    pub docs: Pages,
    /// Who may ask, and how often.
    pub access: AccessConfig,
    /// What is logged of predictions.
    pub log: LogConfig,
    /// How answers are watched for drift.
    pub drift: DriftConfig,
    /// Which models are served, each under its own name; none if the command line says which.
    pub models: Vec<ModelConfig>,
}

/// What is logged of predictions, where there is a project.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogConfig {
    /// Share of the requests, 0 to 1.
    pub sample: f64,
    /// Are pictures kept?
    pub pictures: bool,
    /// Largest size of the whole log.
    pub bytes_max: u64,
}

impl LogConfig {
    fn read(fields: Fields<'_, '_>) -> Self {
        let config = Self {
            sample: fields.float("sample", 1.0, 0.0..=1.0),
            pictures: fields.bool("pictures", true),
            bytes_max: fields.int("max_mib", 256, 1..=1 << 20) << 20,
        };
        fields.finish();
        config
    }
}

/// Are `/`, `/docs`, `/redoc` and `/openapi.json` answered?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Yes.
    Shown,
    /// No: they are unknown routes.
    Hidden,
}

impl Config {
    /// Reads the section `serve`; problems are collected in the fields' `Problems`.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let body_bytes_max = fields.int("max_body_mib", 10, 1..=1024) << 20;
        let config = Self {
            host: fields.text("host", "127.0.0.1"),
            port: fields.int("port", 5001, 0..=u64::from(u16::MAX)) as u16,
            transport: Transport::read(&fields),
            batch_max: fields.int("batch_max", 32, 1..=1024) as usize,
            batch_wait: Duration::from_millis(fields.int("batch_wait_ms", 0, 0..=1000)),
            queue_max: fields.int("queue_max", 256, 1..=100_000) as usize,
            timeout: Duration::from_secs_f64(fields.float("timeout_s", 10.0, 0.01..=3600.0)),
            body_bytes_max,
            limits: Limits {
                pixels_max: fields.int("max_pixels", 40_000_000, 1..=1_000_000_000),
                side_max: fields.int("max_side", 8192, 1..=65_535) as u32,
                file_bytes_max: body_bytes_max,
            },
            batch_items_max: fields.int("max_batch_items", 256, 1..=BATCH_ITEMS_MAX as u64)
                as usize,
            connections_max: fields.int("connections_max", 1024, 1..=100_000) as usize,
            drain_timeout: Duration::from_secs_f64(fields.float(
                "drain_timeout_s",
                30.0,
                0.0..=3600.0,
            )),
            docs: if fields.bool("docs", true) {
                Pages::Shown
            } else {
                Pages::Hidden
            },
            access: AccessConfig::read(&fields),
            log: LogConfig::read(fields.section("log")),
            drift: DriftConfig::read(&fields),
            models: model_config::read(&fields.section("models")),
        };
        if config.host.trim().is_empty() {
            let headline = format!("`{}` must not be empty", fields.path("host"));
            let help = "`127.0.0.1` for this machine alone, `0.0.0.0` for all".to_owned();
            fields.problem("host", On::Value, "out-of-range", headline, Some(help));
        }
        fields.finish();
        config
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::access::MetricsAccess;
    use super::*;
    use crate::base;
    use crate::base::doc::{Document, Format, KeyPath, Problems};

    pub(in crate::serve) fn read(text: &str) -> Result<Config, Vec<String>> {
        let document = Document::parse("params.yaml", text.to_owned(), Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let config = Config::read(problems.fields(KeyPath::root().key("serve")));
        problems.into_result(config).map_err(|error| match error {
            base::Error::Document { problems, .. } => problems
                .into_iter()
                .map(|d| format!("{} ({})", d.headline, d.help.unwrap_or_default()))
                .collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn defaults_and_some_keys() {
        let defaults = read("train: {}\n").unwrap();
        assert_eq!((defaults.port, defaults.batch_max), (5001, 32));
        assert_eq!(defaults.body_bytes_max, 10 << 20);
        let text = "serve: {port: 0, timeout_s: 0.5, docs: false, max_side: 64}\n";
        let given = read(text).unwrap();
        assert_eq!(given.timeout, Duration::from_millis(500));
        assert_eq!((given.docs, given.limits.side_max), (Pages::Hidden, 64));
        assert_eq!(defaults.access.rate_limit, None);
        assert!(defaults.access.cors.is_none());
        assert_eq!(defaults.access.metrics, MetricsAccess::Open);
        let log = read("serve: {log: {sample: 0.5, max_mib: 2}}\n")
            .unwrap()
            .log;
        assert_eq!(
            (log.sample, log.pictures, log.bytes_max),
            (0.5, true, 2 << 20)
        );
    }

    #[test]
    fn says_what_is_accepted() {
        for (text, expected) in [
            (
                "prot: 5001",
                "unknown key `prot` in `serve` (did you mean `port`?)",
            ),
            (
                "port: 70000",
                "`serve.port` must be a whole number from 0 to 65535 ()",
            ),
            (
                "timeout_s: 0",
                "`serve.timeout_s` must be a number from 0.01 to 3600 ()",
            ),
            (
                "log: {smaple: 1}",
                "unknown key `smaple` in `serve.log` (did you mean `sample`?)",
            ),
            (
                "rate_limit: {burst: 5}",
                "`serve.rate_limit.per_second` is missing (for example `rate_limit: {per_second: 50, burst: 100}`)",
            ),
            (
                "rate_limit: 5",
                "`serve.rate_limit` must be a mapping of keys to values ()",
            ),
            (
                "rate_limit: {per_second: 0}",
                "`serve.rate_limit.per_second` must be a number from 0.001 to 1000000 ()",
            ),
            (
                "cors: {origins: []}",
                "`serve.cors.origins` is missing (for example `cors: {origins: [\"https://app.example\"]}`)",
            ),
            (
                "cors: {origins: 'https://app.example/x'}",
                "`https://app.example/x` in `serve.cors.origins` is no origin (an origin ends after host and port: no path, no `/` at the end, no user)",
            ),
            (
                "keys: ' '",
                "`serve.keys` must not be empty (name a file that `cvops serve keys add` has written)",
            ),
            (
                "host: ''",
                "`serve.host` must not be empty (`127.0.0.1` for this machine alone, `0.0.0.0` for all)",
            ),
        ] {
            assert_eq!(
                read(&format!("serve:\n  {text}\n")),
                Err(vec![expected.to_owned()]),
                "{text}"
            );
        }
    }
}
