//! What went on between two looks, in the figures that are shown. Pure. Imports: base, track,
//! `monitor::reading`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::base::exposition::{Histogram, increase};
use crate::track::predictions::predicts;

use super::reading::{Drift, Handler, ModelReading, Process, Reading, VersionReading};

/// A prediction below this probability is unsure; an upper end of the buckets.
const UNSURE: f64 = 0.5;
/// The order of the stages; others follow.
const STAGES: [&str; 5] = ["decode", "preprocess", "queue", "infer", "encode"];

/// What went on at a server.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Figures {
    pub(super) at_ms: i64,
    /// Rates and times are of this many seconds before `at_ms`.
    pub(super) seconds: f64,
    /// The same, for what is said of predictions.
    pub(super) long_seconds: f64,
    pub(super) program: String,
    /// Seconds since its process began.
    pub(super) up_s: f64,
    pub(super) is_ready: bool,
    /// Prediction requests.
    pub(super) predictions: Requests,
    /// By route, the busiest since the start first, those for machines last.
    pub(super) handlers: Vec<(String, Requests)>,
    pub(super) in_flight: f64,
    pub(super) connections: f64,
    /// By reason, only those that there were.
    pub(super) refused: Vec<(String, Count)>,
    pub(super) undecodable: Count,
    pub(super) logged: Count,
    pub(super) log_dropped: Count,
    pub(super) cpu_cores: f64,
    pub(super) process: Process,
    pub(super) models: Vec<ModelFigures>,
}

/// A counter: how fast it grows, and what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) per_s: f64,
    pub(super) total: f64,
}

/// Requests of one route or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Requests {
    pub(super) count: Count,
    /// Per second, by class of status, only those that there were since the start.
    pub(super) statuses: BTreeMap<String, f64>,
    pub(super) latency: Times,
}

/// Quantiles in seconds; `None` where nothing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times {
    pub(super) mean: Option<f64>,
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p99: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelFigures {
    pub(super) name: String,
    pub(super) is_ready: bool,
    pub(super) is_behind: bool,
    pub(super) load_failures: f64,
    pub(super) queue: f64,
    pub(super) queue_limit: f64,
    /// Pictures per executed batch; `None` if there was none.
    pub(super) batch: Option<f64>,
    pub(super) images: Count,
    /// Pictures that the shadow was not asked about.
    pub(super) shadow_dropped: Count,
    pub(super) stages: Vec<(String, Times)>,
    pub(super) versions: Vec<VersionFigures>,
    /// Shares of the predicted classes, the largest first.
    pub(super) classes: Vec<(String, f64)>,
    /// Mean probability of the predicted class, and the share of unsure predictions.
    pub(super) confidence: Option<f64>,
    pub(super) unsure: Option<f64>,
    pub(super) judged: Judged,
    pub(super) drift: BTreeMap<String, Drift>,
    /// Are there detectors of drift, none of which may look?
    pub(super) is_drift_refused: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct VersionFigures {
    pub(super) version: String,
    pub(super) alias: String,
    /// Role and share of the requests, as in `VersionReading`.
    pub(super) roles: BTreeMap<String, f64>,
    pub(super) weights: String,
    pub(super) backend: String,
    pub(super) is_loaded: bool,
    pub(super) is_ready: bool,
    /// Seconds since it was loaded.
    pub(super) loaded_s: Option<f64>,
    pub(super) images: Count,
    pub(super) judged: Judged,
    /// Of a shadow: answers that agreed, of those that were compared.
    pub(super) agreed: Judged,
    /// Test accuracy that is recorded of it.
    pub(super) accuracy: Option<f64>,
}

/// So many of so many, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Judged {
    pub(super) right: f64,
    pub(super) all: f64,
}

impl Judged {
    /// Returns the share; `None` of nothing.
    pub(super) fn share(self) -> Option<f64> {
        (0.0 < self.all).then(|| self.right / self.all)
    }
}

impl Figures {
    /// Says what went on from `before` until `last`; of predictions, which need more of them, from
    /// `long_before` on. Without an earlier look, it is all since the server began.
    pub(super) fn between(
        last: &Reading,
        before: Option<&Reading>,
        long_before: Option<&Reading>,
    ) -> Self {
        let nothing = Reading::default();
        let span = Span::of(last, before);
        let earlier = before.unwrap_or(&nothing);
        let counted = |now: &BTreeMap<String, f64>, then: &BTreeMap<String, f64>| {
            let at = |key: &str| then.get(key).copied().unwrap_or_default();
            let all = now.iter().filter(|(_, n)| 0.0 < **n);
            all.map(|(key, n)| (key.clone(), span.count(at(key), *n)))
                .collect::<Vec<_>>()
        };
        let handlers: Vec<_> = handlers(last, earlier, span);
        let models = last.models.iter();
        Self {
            at_ms: last.at_ms,
            seconds: span.seconds,
            long_seconds: Span::of(last, long_before).seconds,
            program: last.program.clone(),
            up_s: (last.at_ms as f64 / 1000.0 - last.process.started).max(0.0),
            is_ready: last.is_ready(),
            predictions: predictions(last, earlier, span),
            handlers,
            in_flight: last.in_flight,
            connections: last.connections,
            refused: counted(&last.refused, &earlier.refused),
            undecodable: span.count(earlier.undecodable, last.undecodable),
            logged: span.count(earlier.logged, last.logged),
            log_dropped: span.count(earlier.log_dropped, last.log_dropped),
            cpu_cores: span.count(earlier.process.cpu_s, last.process.cpu_s).per_s,
            process: last.process.clone(),
            models: models
                .map(|(name, now)| {
                    let then = earlier.models.get(name);
                    let long = long_before.and_then(|before| before.models.get(name));
                    ModelFigures::of(name, now, then, long, (span, last.at_ms))
                })
                .collect(),
        }
    }
}

impl Figures {
    /// Returns the names of the models, in their order.
    pub(in crate::cli) fn model_names(&self) -> Vec<&str> {
        let models = self.models.iter();
        models.map(|model| model.name.as_str()).collect()
    }
}

/// A stretch of time.
#[derive(Clone, Copy)]
struct Span {
    seconds: f64,
}

impl Span {
    fn of(last: &Reading, before: Option<&Reading>) -> Self {
        let seconds = match before {
            Some(before) => (last.at_ms - before.at_ms) as f64 / 1000.0,
            None => last.at_ms as f64 / 1000.0 - last.process.started,
        };
        Self {
            seconds: seconds.max(0.001),
        }
    }

    fn count(self, then: f64, now: f64) -> Count {
        Count {
            per_s: increase(then, now) / self.seconds,
            total: now,
        }
    }
}

/// Is it a route that only machines ask, again and again?
fn is_probe(handler: &str) -> bool {
    handler.starts_with("/health")
        || handler.ends_with("/ready")
        || handler.ends_with("/live")
        || ["/metrics", "/healthz", "/readyz", "/ping"].contains(&handler)
}

fn times(histogram: &Histogram) -> Times {
    Times {
        mean: histogram.mean(),
        p50: histogram.quantile(0.5),
        p90: histogram.quantile(0.9),
        p99: histogram.quantile(0.99),
    }
}

fn requests(now: &Handler, then: Option<&Handler>, span: Span) -> Requests {
    let before = |status: &str| {
        let counted = then.and_then(|then| then.statuses.get(status));
        counted.copied().unwrap_or_default()
    };
    let mut found = Requests::default();
    for (status, total) in now.statuses.iter().filter(|(_, n)| 0.0 < **n) {
        let count = span.count(before(status), *total);
        found.count.per_s += count.per_s;
        found.count.total += count.total;
        found.statuses.insert(status.clone(), count.per_s);
    }
    found.latency = times(&match then {
        Some(then) => now.latency.since(&then.latency),
        None => now.latency.clone(),
    });
    found
}

/// The routes that were asked since the start.
fn handlers(last: &Reading, before: &Reading, span: Span) -> Vec<(String, Requests)> {
    let all = last.handlers.iter();
    let mut found: Vec<_> = all
        .map(|(name, now)| {
            let then = before.handlers.get(name);
            (name.clone(), requests(now, then, span))
        })
        .filter(|(_, requests)| 0.0 < requests.count.total)
        .collect();
    found.sort_by_key(|(name, requests)| (is_probe(name), Reverse(requests.count.total as u64)));
    found
}

/// All prediction routes as one.
fn predictions(last: &Reading, before: &Reading, span: Span) -> Requests {
    let sum = |reading: &Reading| {
        let mut sum = Handler::default();
        let all = reading.handlers.iter();
        for (_, handler) in all.filter(|(name, _)| predicts(name)) {
            for (status, n) in &handler.statuses {
                *sum.statuses.entry(status.clone()).or_default() += n;
            }
            sum.latency.join(&handler.latency);
        }
        sum
    };
    requests(&sum(last), Some(&sum(before)), span)
}

impl ModelFigures {
    fn of(
        name: &str,
        now: &ModelReading,
        then: Option<&ModelReading>,
        long: Option<&ModelReading>,
        (span, at_ms): (Span, i64),
    ) -> Self {
        let nothing = ModelReading::default();
        let (then, long) = (then.unwrap_or(&nothing), long.unwrap_or(&nothing));
        let nothing = VersionReading::default();
        let versions: Vec<_> = now.versions.iter().collect();
        let mut shown: Vec<VersionFigures> = versions
            .iter()
            .filter(|(_, version)| version.is_loaded || version.is_ready || 0.0 < version.images)
            .map(|(name, version)| {
                let then = then.versions.get(*name).unwrap_or(&nothing);
                VersionFigures::of(name, version, then, span, at_ms)
            })
            .collect();
        // What serves stands first, the newest of it on top.
        shown.sort_by_key(|version| {
            let number: u64 = version.version.parse().unwrap_or_default();
            (!version.is_loaded, rank(&version.roles), Reverse(number))
        });
        let mut images = Count::default();
        let mut judged = Judged::default();
        for version in &shown {
            images.per_s += version.images.per_s;
            images.total += version.images.total;
            judged.right += version.judged.right;
            judged.all += version.judged.all;
        }
        let mut confidence = Histogram::default();
        let mut classes = BTreeMap::<&str, f64>::new();
        for (name, version) in versions.iter().filter(|(_, v)| !v.is_shadow()) {
            let then = long.versions.get(*name).unwrap_or(&nothing);
            confidence.join(&version.confidence.since(&then.confidence));
            for (class, n) in &version.classes {
                let before = then.classes.get(class).copied().unwrap_or_default();
                *classes.entry(class).or_default() += increase(before, *n);
            }
        }
        let batches = now.batch_size.since(&then.batch_size);
        Self {
            name: name.to_owned(),
            is_ready: now.is_ready(),
            is_behind: now.is_behind,
            load_failures: now.load_failures,
            queue: now.queue,
            queue_limit: now.queue_limit,
            batch: batches.mean(),
            images,
            shadow_dropped: span.count(then.shadow_dropped, now.shadow_dropped),
            stages: stages(now, then),
            versions: shown,
            classes: shares(&classes),
            confidence: confidence.mean(),
            unsure: confidence.share_up_to(UNSURE),
            judged,
            drift: now.drift.clone(),
            is_drift_refused: now.is_drift_refused(),
        }
    }
}

/// The main version stands first, then the canary, then what is only compared.
fn rank(roles: &BTreeMap<String, f64>) -> u8 {
    let ranks = roles.keys().map(|role| match role.as_str() {
        "main" => 0,
        "canary" => 1,
        _ => 2,
    });
    ranks.min().unwrap_or_default()
}

fn stages(now: &ModelReading, then: &ModelReading) -> Vec<(String, Times)> {
    let all = now.stages.iter();
    let mut found: Vec<_> = all
        .map(|(stage, histogram)| {
            let took = match then.stages.get(stage) {
                Some(then) => times(&histogram.since(then)),
                None => times(histogram),
            };
            (stage.clone(), took)
        })
        .collect();
    let place = |stage: &str| STAGES.iter().position(|known| *known == stage);
    found.sort_by_key(|(stage, _)| place(stage).unwrap_or(STAGES.len()));
    found
}

/// Shares of all, the largest first; empty if there is nothing.
fn shares(counts: &BTreeMap<&str, f64>) -> Vec<(String, f64)> {
    let total: f64 = counts.values().sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let all = counts.iter();
    let mut shares: Vec<_> = all
        .map(|(class, n)| ((*class).to_owned(), n / total))
        .collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares
}

impl VersionFigures {
    fn of(name: &str, now: &VersionReading, then: &VersionReading, span: Span, at_ms: i64) -> Self {
        let loaded_s = at_ms as f64 / 1000.0 - now.loaded;
        Self {
            version: name.to_owned(),
            alias: now.alias.clone(),
            roles: now.roles.clone(),
            weights: now.weights.clone(),
            backend: now.backend.clone(),
            is_loaded: now.is_loaded,
            is_ready: now.is_ready,
            loaded_s: (0.0 < now.loaded).then(|| loaded_s.max(0.0)),
            images: span.count(then.images, now.images),
            judged: Judged {
                right: now.right,
                all: now.right + now.wrong,
            },
            agreed: Judged {
                right: now.agreements,
                all: now.comparisons,
            },
            accuracy: now.accuracy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_predict() {
        for (handler, expected) in [
            ("/predict", true),
            ("/predict/batch", true),
            ("/invocations", true),
            ("/v1/models/{name}:predict", true),
            ("/v1/models/{name}/labels/{label}:classify", true),
            ("/v2/models/{name}/versions/{version}/infer", true),
            ("/explain", false),
            ("/v1/models/{name}:explain", false),
            ("/v1/models/{name}", false),
            ("/metrics", false),
        ] {
            assert_eq!(predicts(handler), expected, "{handler}");
        }
    }
}
