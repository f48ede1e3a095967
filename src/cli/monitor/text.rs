//! Figures as a table and as JSON, for `--once` and for pipes. Pure. Imports: report, `monitor::*`.

use serde_json::{Value, json};

use crate::base::{clock, units};
use crate::report::{Align, Table, Tone};

use super::figures::{Count, Figures, Judged, ModelFigures, Times};
use super::words::{self, NOTHING, count, percent, rate, took};

/// Returns a table of all that is known.
pub(in crate::cli) fn table(url: &str, figures: &Figures, why_not_ready: Option<&str>) -> Table {
    let mut table = Table::new([
        ("of", Align::Left),
        ("figure", Align::Left),
        ("value", Align::Right),
    ]);
    let (state, tone) = if figures.is_ready {
        ("ready", Tone::Neutral)
    } else {
        ("not ready", Tone::Bad)
    };
    table.row([url, "state", state]).tone(2, tone);
    let mut row = |of: &str, figure: &str, value: String| {
        table.row([of.to_owned(), figure.to_owned(), value]);
    };
    if let Some(why) = why_not_ready {
        row(url, "why", why.to_owned());
    }
    row(url, "program", format!("cvops {}", figures.program));
    row(url, "up", words::long(figures.up_s));
    row(url, "figures of", words::long(figures.seconds));
    row(url, "in flight", count(figures.in_flight));
    row(url, "connections", count(figures.connections));
    row(url, "cpu", format!("{:.2} cores", figures.cpu_cores));
    let memory = units::bytes(figures.process.memory_bytes as u64);
    row(url, "memory", memory);
    let (open, max) = (figures.process.open_fds, figures.process.max_fds);
    row(
        url,
        "open files",
        format!("{} of {}", count(open), count(max)),
    );
    for (reason, refused) in &figures.refused {
        row(url, &format!("refused, {reason}"), counted(*refused));
    }
    row(url, "unreadable pictures", counted(figures.undecodable));
    row(url, "log lines", counted(figures.logged));
    row(url, "log lines lost", counted(figures.log_dropped));
    for (handler, requests) in &figures.handlers {
        for (status, per_s) in &requests.statuses {
            row(handler, status, format!("{}/s", rate(*per_s)));
        }
        times(&mut row, handler, "", requests.latency);
    }
    for model in &figures.models {
        model_rows(&mut row, model);
    }
    table
}

type RowOf<'r> = dyn FnMut(&str, &str, String) + 'r;

fn counted(Count { per_s, total }: Count) -> String {
    format!("{}/s, {} in all", rate(per_s), count(total))
}

fn times(row: &mut RowOf<'_>, of: &str, what: &str, times: Times) {
    if times.p50.is_none() {
        return;
    }
    for (name, value) in [("p50", times.p50), ("p90", times.p90), ("p99", times.p99)] {
        row(of, &format!("{what}{name}"), took(value));
    }
}

fn model_rows(row: &mut RowOf<'_>, model: &ModelFigures) {
    let name = &model.name;
    let share = |share: Option<f64>| share.map_or(NOTHING.to_owned(), percent);
    let (queue, limit) = (count(model.queue), count(model.queue_limit));
    row(name, "queue", format!("{queue} of {limit}"));
    let batch = model
        .batch
        .map_or(NOTHING.to_owned(), |n| format!("{n:.1}"));
    row(name, "images per batch", batch);
    for (stage, took) in &model.stages {
        times(row, name, &format!("{stage} "), *took);
    }
    if model.is_behind {
        row(name, "behind", "another version is meant".to_owned());
    }
    if 0.0 < model.load_failures {
        row(name, "failed loads", count(model.load_failures));
    }
    for version in &model.versions {
        let of = format!("{name} {}", version.version);
        let part = words::part(version);
        row(
            &of,
            "serves",
            if part.is_empty() {
                "all".to_owned()
            } else {
                part
            },
        );
        row(&of, "images", counted(version.images));
        if let Some(loaded) = version.loaded_s {
            row(&of, "loaded", format!("{} ago", words::ago(loaded)));
        }
        for (figure, judged) in [("judged right", version.judged), ("agrees", version.agreed)] {
            if 0.0 < judged.all {
                row(&of, figure, words::judged(judged));
            }
        }
        if let Some(accuracy) = version.accuracy {
            row(&of, "test accuracy", percent(accuracy));
        }
    }
    if 0.0 < model.shadow_dropped.total {
        row(name, "shadow not asked", counted(model.shadow_dropped));
    }
    for (class, share) in &model.classes {
        row(name, &format!("class {class}"), percent(*share));
    }
    row(name, "confidence", share(model.confidence));
    row(name, "unsure", share(model.unsure));
    if model.is_drift_refused {
        row(name, "drift", words::DRIFT_REFUSED.to_owned());
    }
    for (detector, drift) in &model.drift {
        let word = if drift.is_found { "found" } else { "none" };
        row(name, &format!("drift, {detector}"), word.to_owned());
    }
}

/// Returns the same for programs: seconds, bytes, shares 0 to 1, null where nothing happened.
pub(in crate::cli) fn json(url: &str, figures: &Figures, why_not_ready: Option<&str>) -> Value {
    let handlers = figures.handlers.iter().map(|(name, requests)| {
        let value = json!({
            "per_s": requests.count.per_s, "total": requests.count.total,
            "per_s_by_status": requests.statuses, "latency_s": times_json(requests.latency),
        });
        (name.clone(), value)
    });
    let refused = figures.refused.iter();
    let models: Vec<Value> = figures.models.iter().map(model_json).collect();
    let process = &figures.process;
    json!({
        "url": url,
        "at": clock::utc(figures.at_ms),
        "ready": figures.is_ready,
        "why_not_ready": why_not_ready,
        "program": figures.program,
        "up_s": figures.up_s,
        "window_s": figures.seconds,
        "predictions_window_s": figures.long_seconds,
        "in_flight": figures.in_flight,
        "connections": figures.connections,
        "predictions": {
            "per_s": figures.predictions.count.per_s,
            "total": figures.predictions.count.total,
            "per_s_by_status": figures.predictions.statuses,
            "latency_s": times_json(figures.predictions.latency),
        },
        "routes": handlers.collect::<serde_json::Map<_, _>>(),
        "refused": refused
            .map(|(reason, count)| (reason.clone(), count_json(*count)))
            .collect::<serde_json::Map<_, _>>(),
        "unreadable_pictures": count_json(figures.undecodable),
        "log": {"lines": count_json(figures.logged), "lost": count_json(figures.log_dropped)},
        "process": {
            "cpu_cores": figures.cpu_cores, "memory_bytes": process.memory_bytes,
            "open_files": process.open_fds, "open_files_max": process.max_fds,
        },
        "models": models,
    })
}

fn count_json(Count { per_s, total }: Count) -> Value {
    json!({"per_s": per_s, "total": total})
}

fn times_json(times: Times) -> Value {
    json!({"mean": times.mean, "p50": times.p50, "p90": times.p90, "p99": times.p99})
}

fn judged_json(judged: Judged) -> Value {
    json!({"right": judged.right, "of": judged.all, "share": judged.share()})
}

fn model_json(model: &ModelFigures) -> Value {
    let versions = model.versions.iter().map(|version| {
        json!({
            "version": version.version, "alias": version.alias, "roles": version.roles,
            "weights": version.weights, "backend": version.backend,
            "loaded": version.is_loaded, "ready": version.is_ready, "loaded_s": version.loaded_s,
            "images": count_json(version.images), "judged": judged_json(version.judged),
            "shadow_agreement": judged_json(version.agreed), "test_accuracy": version.accuracy,
        })
    });
    let stages = model.stages.iter();
    let classes = model.classes.iter();
    let drift = model.drift.iter().map(|(detector, drift)| {
        let value = json!({
            "detected": drift.is_found, "p_value": drift.p_value, "score": drift.score,
            "threshold": drift.threshold, "checked": drift.checked,
        });
        (detector.clone(), value)
    });
    json!({
        "name": model.name, "ready": model.is_ready, "behind": model.is_behind,
        "load_failures": model.load_failures,
        "queue": model.queue, "queue_limit": model.queue_limit, "images_per_batch": model.batch,
        "images": count_json(model.images), "shadow_dropped": count_json(model.shadow_dropped),
        "stages_s": stages
            .map(|(stage, times)| (stage.clone(), times_json(*times)))
            .collect::<serde_json::Map<_, _>>(),
        "versions": versions.collect::<Vec<_>>(),
        "class_shares": classes
            .map(|(class, share)| (class.clone(), json!(share)))
            .collect::<serde_json::Map<_, _>>(),
        "confidence": model.confidence, "unsure": model.unsure,
        "judged": judged_json(model.judged),
        "drift": drift.collect::<serde_json::Map<_, _>>(),
        "drift_refused": model.is_drift_refused,
    })
}
