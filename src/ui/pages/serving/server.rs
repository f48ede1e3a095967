//! The cards of the server: how it is, what it serves, traffic, latency, queue. Imports: base, report,
//! `ui::parts`, `serving::{watch, reading}`.

use std::time::Duration;

use askama::Template;

use crate::base::units;
use crate::report::chart::{Axis, LineChart, Naming, Series};
use crate::ui::asked::segment;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::figure::Figure;
use crate::ui::parts::number::number;
use crate::ui::parts::time::Ago;

use super::reading::{Reading, ServedModel, Traffic};
use super::watch::{Server, Step, Up};

/// Longer times need no tenths of milliseconds.
const SHORT_S: f64 = 0.1;
/// So many looks make a curve.
const CURVE_MIN: usize = 3;
/// Digits of a hash that are shown.
const HASH_DIGITS: usize = 12;

/// What the page says of the server.
#[derive(Template)]
#[template(path = "pages/serving/server.html")]
pub(super) struct ServerPart {
    state: Chip,
    /// What is wrong, and what to do.
    problem: Option<String>,
    is_up: bool,
    /// It is there, without figures.
    is_unseen: bool,
    model: Option<ModelCard>,
    traffic: Option<TrafficCard>,
    curves: Option<[Figure; 2]>,
}

impl askama::filters::HtmlSafe for ServerPart {}

impl ServerPart {
    /// Returns how the server is, in a word.
    pub(super) fn state(&self) -> Chip {
        self.state.clone()
    }
}

struct ModelCard {
    title: String,
    /// Where the version stands in the registry.
    href: Option<String>,
    run: Option<(String, String)>,
    alias: String,
    weights: String,
    backend: String,
    loaded: Ago,
    started: Ago,
    memory: String,
    program: String,
}

struct TrafficCard {
    /// What the figures are of: `the last 40 s`, `all since it began`.
    of: String,
    rate: String,
    requests: String,
    refused: String,
    failed: String,
    is_failing: bool,
    rejected: Vec<(String, String)>,
    /// Name and value, if there are any.
    latency: Vec<(&'static str, String)>,
    queue: f64,
    queue_limit: f64,
    batch: String,
    images: String,
    logged: String,
    dropped: String,
    is_losing: bool,
}

impl ServerPart {
    pub(super) fn of(server: &Server, now_ms: i64) -> Self {
        let bare = |state, problem: Option<String>| Self {
            state,
            problem,
            is_up: false,
            is_unseen: false,
            model: None,
            traffic: None,
            curves: None,
        };
        match server {
            Server::Down(why) => bare(Chip::new(Tone::Plain, "not running"), Some(why.clone())),
            Server::Strange(why) => bare(Chip::new(Tone::Warn, "not ours"), Some(why.clone())),
            Server::Unseen { is_ready, why } => Self {
                is_unseen: true,
                ..bare(
                    match is_ready {
                        Some(true) => Chip::new(Tone::Good, "ready"),
                        Some(false) => Chip::new(Tone::Warn, "not ready"),
                        None => Chip::new(Tone::Warn, "not seen"),
                    },
                    Some(why.clone()),
                )
            },
            Server::Up(up) => {
                let (state, problem) = state(up);
                Self {
                    is_up: true,
                    model: up
                        .reading
                        .model
                        .as_ref()
                        .map(|m| model(m, &up.reading, now_ms)),
                    traffic: Some(traffic(up)),
                    curves: curves(&up.steps),
                    ..bare(state, problem)
                }
            }
        }
    }
}

fn state(up: &Up) -> (Chip, Option<String>) {
    let reading = &up.reading;
    if !reading.is_ready {
        let why = up.why_not_ready.clone();
        return (Chip::new(Tone::Warn, "not ready"), why);
    }
    if reading.is_behind {
        let text = "another version is meant than the one that is served; it cannot be loaded";
        return (Chip::new(Tone::Warn, "behind"), Some(text.to_owned()));
    }
    (Chip::new(Tone::Good, "ready"), None)
}

fn model(model: &ServedModel, reading: &Reading, now_ms: i64) -> ModelCard {
    let ago = |seconds: f64| Ago {
        at_ms: (seconds * 1000.0) as i64,
        now_ms,
    };
    // Only a model of the registry knows its run or alias; a folder's version says nothing.
    let is_registered = !model.run_id.is_empty() || !model.alias.is_empty();
    let href = || {
        format!(
            "/models/{}/{}",
            segment(&model.name),
            segment(&model.version)
        )
    };
    ModelCard {
        title: if is_registered {
            format!("{} version {}", model.name, model.version)
        } else {
            model.name.clone()
        },
        href: is_registered.then(href),
        run: (!model.run_id.is_empty()).then(|| {
            let short: String = model.run_id.chars().take(HASH_DIGITS).collect();
            (short, format!("/runs/{}", segment(&model.run_id)))
        }),
        alias: model.alias.clone(),
        weights: model.weights.clone(),
        backend: model.backend.clone(),
        loaded: ago(model.loaded),
        started: ago(reading.started),
        memory: units::bytes(reading.memory as u64),
        program: reading.version.clone(),
    }
}

fn traffic(up: &Up) -> TrafficCard {
    let (now, total) = (&up.traffic, &up.total);
    let count = |value: f64| number(value.round());
    let ratio = |part: f64, of: &Traffic| {
        if of.requests <= 0.0 {
            return "–".to_owned();
        }
        format!(
            "{} ({} %)",
            count(part),
            number((1000.0 * part / of.requests).round() / 10.0)
        )
    };
    let shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
    // In a minute without requests, those since the start are better than none.
    let timed = if 0.0 < now.requests { now } else { total };
    let latency = shares
        .into_iter()
        .filter_map(|(name, share)| Some((name, took(timed.quantile(share)?))));
    let rejected = up.reading.rejected.iter().filter(|(_, n)| 0.0 < **n);
    let batches = now.batches.max(0.0);
    TrafficCard {
        of: if now.is_total {
            "all since the server began".to_owned()
        } else {
            format!(
                "the last {}",
                units::duration(Duration::from_secs_f64(now.seconds))
            )
        },
        rate: number((now.rate() * 100.0).round() / 100.0),
        requests: count(total.requests),
        refused: ratio(total.refused, total),
        failed: ratio(total.failed, total),
        is_failing: 0.0 < now.failed,
        rejected: rejected
            .map(|(why, n)| (why.replace('_', " "), count(*n)))
            .collect(),
        latency: latency.collect(),
        queue: up.reading.queue,
        queue_limit: up.reading.queue_limit,
        batch: if 0.0 < batches {
            number((now.images / batches * 100.0).round() / 100.0)
        } else {
            "–".to_owned()
        },
        images: count(total.images),
        logged: count(up.reading.logged),
        dropped: count(up.reading.log_dropped),
        is_losing: 0.0 < up.reading.log_dropped,
    }
}

/// Returns a time in seconds: short ones in tenths of milliseconds, which buckets do not say exactly.
fn took(seconds: f64) -> String {
    if seconds < SHORT_S {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        units::duration(Duration::from_secs_f64(seconds))
    }
}

fn curves(steps: &[Step]) -> Option<[Figure; 2]> {
    if steps.len() < CURVE_MIN {
        return None;
    }
    let series = |name: &str, of: &dyn Fn(&Traffic) -> f64| Series {
        name: name.to_owned(),
        points: steps
            .iter()
            .map(|step| (step.at, of(&step.traffic)))
            .collect(),
    };
    // Between looks without requests there is a gap.
    let ms = |share| {
        move |traffic: &Traffic| {
            traffic
                .quantile(share)
                .map_or(f64::NAN, |took| took * 1000.0)
        }
    };
    let figure = |title: &str, series| {
        let chart = LineChart {
            title: title.to_owned(),
            x: Axis::linear("seconds from now"),
            y: Axis::linear(""),
            series,
            naming: Naming::Legend,
        };
        Figure::new(chart.svg(), "while somebody looked at this page")
    };
    Some([
        figure(
            "Requests per second",
            vec![
                series("all", &Traffic::rate),
                series("failed (5xx)", &|traffic| traffic.failed / traffic.seconds),
            ],
        ),
        figure(
            "Latency (ms)",
            vec![series("p50", &ms(0.5)), series("p99", &ms(0.99))],
        ),
    ])
}
