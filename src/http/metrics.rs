//! Counters of requests, by route template: the names and labels of prometheus-fastapi-instrumentator
//! (`http_*`), so dashboards made for it keep working, and our own beside.
//!
//! A registry is handed in; nothing is global. The series of known routes exist from the start with
//! 0, so that `rate()` sees the first event, and their histograms from their first value on. An unknown path
//! counts under the handler `none`, and a method that its path does not answer as `other`: a client cannot
//! make up series. Imports: `http::routes`.

use std::borrow::Cow;
use std::sync::OnceLock;

use hyper::{Method, StatusCode};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::error::Error;
use super::routes::RouteTable;

/// Seconds, for requests and the stages of an inference.
pub(super) const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Bytes, for bodies.
const BYTES: [f64; 8] = [1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6];

/// Where requests of unknown paths are counted.
const NO_HANDLER: &str = "none";

/// How a method is counted that its path does not answer.
const OTHER_METHOD: &str = "other";

/// The methods of HTTP (RFC 9110, section 9, and PATCH of RFC 5789), which unknown paths tell apart.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::TRACE,
    Method::CONNECT,
];

/// Labels of the status: only the class is kept.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The metrics of a server's requests and connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
    in_progress: IntGaugeVec,
    pub(super) connections: IntGauge,
    /// Connections of addresses that had enough.
    pub(super) refused: IntCounter,
}

/// The series of one path, looked up once.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    handler: Cow<'static, str>,
    /// By method, in the order of the table.
    methods: Vec<(Method, MethodMetrics)>,
    /// The methods that are counted under their names; their series that are not in `methods` come with the
    /// first request.
    named: Vec<Method>,
    pub(super) request_size: Late,
    pub(super) response_size: Late,
    pub(super) in_progress: IntGauge,
}

#[derive(Debug)]
struct MethodMetrics {
    /// By status class, from 2xx on.
    requests: [IntCounter; CLASSES.len()],
    duration: Late,
}

impl Metrics {
    /// Creates the metrics in `registry`.
    ///
    /// # Errors
    /// The registry has metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name, help, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let histogram = |name, help, labels: &[&str], buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let vec = HistogramVec::new(options, labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let in_progress = IntGaugeVec::new(
            Opts::new(
                "cvops_http_requests_in_progress",
                "Requests being answered now",
            ),
            &["handler"],
        )?;
        registry.register(Box::new(in_progress.clone()))?;
        let connections = IntGauge::new("cvops_http_connections", "Open connections")?;
        registry.register(Box::new(connections.clone()))?;
        let refused = IntCounter::new(
            "cvops_http_connections_refused_total",
            "Connections closed at once, because their address had as many as it may",
        )?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self {
            requests: counter(
                "http_requests_total",
                "Requests answered, by method, route template and class of the status",
                &["method", "handler", "status"],
            )?,
            duration: histogram(
                "http_request_duration_seconds",
                "From the head of a request to the last byte of its answer handed to the socket",
                &["method", "handler"],
                &SECONDS,
            )?,
            request_size: histogram(
                "http_request_size_bytes",
                "Sizes of request bodies",
                &["handler"],
                &BYTES,
            )?,
            response_size: histogram(
                "http_response_size_bytes",
                "Sizes of answers' bodies",
                &["handler"],
                &BYTES,
            )?,
            in_progress,
            connections,
            refused,
        })
    }

    /// Looks the series of all routes up; the last one is for unknown paths.
    pub(super) fn of_routes(&self, routes: &RouteTable) -> Vec<RouteMetrics> {
        let mut all: Vec<RouteMetrics> = routes
            .paths()
            .iter()
            .map(|path| {
                let methods = path.methods.iter().map(|known| &known.method);
                self.of_path(path.template.clone(), methods, &path.answered)
            })
            .collect();
        all.push(self.of_path(Cow::Borrowed(NO_HANDLER), [].iter(), &METHODS));
        all
    }

    fn of_path<'m>(
        &self,
        handler: Cow<'static, str>,
        methods: impl Iterator<Item = &'m Method>,
        named: &[Method],
    ) -> RouteMetrics {
        RouteMetrics {
            methods: methods
                .map(|method| (method.clone(), self.of_method(method, &handler)))
                .collect(),
            named: named.to_vec(),
            request_size: Late::new(&self.request_size, &[&handler]),
            response_size: Late::new(&self.response_size, &[&handler]),
            in_progress: self.in_progress.with_label_values(&[&*handler]),
            handler,
        }
    }

    fn of_method(&self, method: &Method, handler: &str) -> MethodMetrics {
        let method = method.as_str();
        MethodMetrics {
            requests: CLASSES
                .map(|class| self.requests.with_label_values(&[method, handler, class])),
            duration: Late::new(&self.duration, &[method, handler]),
        }
    }

    /// Counts an answer.
    pub(super) fn count(
        &self,
        route: &RouteMetrics,
        method: &Method,
        status: StatusCode,
        seconds: f64,
    ) {
        // 1xx is never a last answer.
        let class = usize::from(status.as_u16() / 100)
            .saturating_sub(2)
            .min(CLASSES.len() - 1);
        if let Some((_, known)) = route.methods.iter().find(|(m, _)| m == method) {
            known.requests[class].inc();
            known.duration.observe(seconds);
        } else {
            let (method, handler) = (route.label(method), route.handler());
            self.requests
                .with_label_values(&[method, handler, CLASSES[class]])
                .inc();
            self.duration
                .with_label_values(&[method, handler])
                .observe(seconds);
        }
    }
}

/// A histogram that is there from its first value on. Of the routes that a server knows most are asked
/// for seldom, and a histogram is a dozen series. Counters are there with 0, so that the first event shows
/// in rates.
#[derive(Debug)]
pub(super) struct Late {
    all: HistogramVec,
    labels: Vec<String>,
    found: OnceLock<Histogram>,
}

impl Late {
    fn new(all: &HistogramVec, labels: &[&str]) -> Self {
        Self {
            all: all.clone(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            found: OnceLock::new(),
        }
    }

    pub(super) fn observe(&self, value: f64) {
        let histogram = self
            .found
            .get_or_init(|| self.all.with_label_values(&self.labels));
        histogram.observe(value);
    }
}

impl RouteMetrics {
    /// Returns the route template, `none` for unknown paths.
    pub(super) fn handler(&self) -> &str {
        &self.handler
    }

    /// Returns the label of a method.
    fn label<'m>(&self, method: &'m Method) -> &'m str {
        if self.named.contains(method) {
            method.as_str()
        } else {
            OTHER_METHOD
        }
    }
}
