//! What Docker would read: compose file, rules, dashboard. No tool is needed here; what Prometheus and
//! Compose themselves say is asked by `scripts/check-monitoring.sh`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

use crate::support::pictures::{PARAMS, prepared_project, stripes, trained_project};
use crate::support::stages::wait_until;

const DASHBOARD: &str = "deploy/grafana/dashboards/cvops-serving.json";
const DATASOURCE: &str = "deploy/grafana/provisioning/datasources/prometheus.yml";
const RULES: &str = "deploy/prometheus/rules/cvops.rules.yml";
const RULE_TESTS: &str = "deploy/prometheus/rules/cvops_test.yml";
const GUIDE: &str = "docs/guide/monitoring.md";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All rules of the file.
fn rules() -> Vec<Value> {
    let file = yaml(RULES);
    list(&file["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]).to_vec())
        .collect()
}

/// All expressions of the dashboard: panels and annotations.
fn dashboard_expressions() -> Vec<String> {
    let dashboard = dashboard();
    let panels = list(&dashboard["panels"])
        .iter()
        .flat_map(|panel| list(&panel["targets"]).to_vec());
    let annotations = list(&dashboard["annotations"]["list"]).to_vec();
    panels
        .chain(annotations)
        .map(|target| text(&target["expr"]).to_owned())
        .collect()
}

/// The series that an expression of `PromQL` reads: its names that are neither functions, keywords,
/// labels nor durations.
fn series(expression: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 7] = ["and", "bool", "by", "group_left", "on", "or", "unless"];
    /// After these, a list of labels follows.
    const BEFORE_LABELS: [&str; 3] = ["by", "group_left", "on"];
    let bytes = expression.as_bytes();
    let mut names = BTreeSet::new();
    let mut at = 0;
    let skip_to = |from: usize, end: u8| {
        bytes[from..]
            .iter()
            .position(|b| *b == end)
            .map_or(bytes.len(), |i| from + i + 1)
    };
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = skip_to(at + 1, b'"'),
            b'{' => {
                // A label's value may hold braces; it stands in quotes.
                at += 1;
                while at < bytes.len() && bytes[at] != b'}' {
                    at = if bytes[at] == b'"' {
                        skip_to(at + 1, b'"')
                    } else {
                        at + 1
                    };
                }
            }
            b'[' => at = skip_to(at, b']'),
            b'0'..=b'9' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.') {
                    at += 1;
                }
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let start = at;
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric() || b"_:".contains(&bytes[at]))
                {
                    at += 1;
                }
                let name = &expression[start..at];
                let next = expression[at..].trim_start();
                if BEFORE_LABELS.contains(&name) && next.starts_with('(') {
                    at = skip_to(at, b')');
                } else if !KEYWORDS.contains(&name)
                    // A function, or an aggregation with its labels before its argument.
                    && !next.starts_with('(')
                    && !next.starts_with("by ")
                {
                    names.insert(name.to_owned());
                }
            }
            _ => at += 1,
        }
    }
    names
}

#[test]
fn series_are_told_from_functions_labels_and_numbers() {
    let names = series(
        "histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{job=\"x\",h=~\"/p{d}.*\"}[5m]))) \
         / on (job) group_left () b:c:d > bool 1e3 or vector(0)",
    );
    assert_eq!(names.iter().collect::<Vec<_>>(), ["a_bucket", "b:c:d"]);
}

#[test]
fn the_dashboard_is_well_laid_out_and_says_what_it_shows() {
    let dashboard = dashboard();
    let panels = list(&dashboard["panels"]);
    let mut ids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    let mut places: Vec<(&str, [u64; 4])> = Vec::new();
    for panel in panels {
        let title = text(&panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "id of {title}");
        assert!(titles.insert(title), "title {title}");
        let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        let [x, y, w, h] = place;
        assert!(0 < w && 0 < h && x + w <= 24, "{title}");
        for (other, [ox, oy, ow, oh]) in &places {
            let apart = x + w <= *ox || ox + ow <= x || y + h <= *oy || oy + oh <= y;
            assert!(apart, "{title} lies over {other}");
        }
        places.push((title, place));
        if panel["type"] == "row" {
            continue;
        }
        assert!(!list(&panel["targets"]).is_empty(), "{title} asks nothing");
        let description = text(&panel["description"]);
        assert!(description.ends_with('.'), "{title} is not explained");
        let defaults = &panel["fieldConfig"]["defaults"];
        let unit = defaults["unit"]
            .as_str()
            .or(panel["options"]["yAxis"]["unit"].as_str());
        assert!(unit.is_some(), "{title} has no unit");
    }
}

#[test]
fn the_dashboard_reads_the_data_source_that_is_provisioned() {
    let provisioned = yaml(DATASOURCE);
    let uid = &provisioned["datasources"][0]["uid"];
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"]["list"]);
    let variable = variables.iter().find(|v| v["type"] == "datasource");
    assert_eq!(&variable.unwrap()["current"]["value"], uid);
    let targets = list(&dashboard["panels"])
        .iter()
        .flat_map(|panel| list(&panel["targets"]));
    for target in targets {
        assert_eq!(target["datasource"]["uid"], "${datasource}");
    }
    // Prometheus and Grafana must agree on the interval, or rates show gaps.
    let scrape = yaml("deploy/prometheus/prometheus.yml");
    assert_eq!(
        scrape["global"]["scrape_interval"],
        provisioned["datasources"][0]["jsonData"]["timeInterval"]
    );
}

#[test]
fn every_rule_is_tested_and_every_alert_and_panel_is_explained() {
    let tests = read(RULE_TESTS);
    let guide = read(GUIDE);
    for rule in rules() {
        if let Some(record) = rule["record"].as_str() {
            assert!(tests.contains(&format!("expr: {record}")), "{record}");
            continue;
        }
        let alert = text(&rule["alert"]);
        let silent = format!("alertname: {alert}\n        exp_alerts: []");
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - ");
        assert!(
            tests.contains(&silent),
            "{alert} is not tested to keep still"
        );
        assert!(tests.contains(&fires), "{alert} is not tested to fire");
        assert!(
            guide.contains(&format!("### {alert}\n")),
            "{GUIDE}: {alert}"
        );
        assert!(["critical", "warning"].contains(&text(&rule["labels"]["severity"])));
        for key in ["summary", "description"] {
            assert!(
                !text(&rule["annotations"][key]).is_empty(),
                "{alert}: {key}"
            );
        }
    }
    let dashboard = dashboard();
    for panel in list(&dashboard["panels"]) {
        let title = text(&panel["title"]);
        assert!(guide.contains(title), "{GUIDE} does not name `{title}`");
    }
}

#[test]
fn the_compose_file_mounts_what_is_there_and_opens_nothing_to_the_world() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, service) in services {
        for port in list(&service["ports"]) {
            assert!(text(port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for volume in list(&service["volumes"]) {
            let (from, _) = text(volume).split_once(':').unwrap();
            if from.starts_with('.') {
                assert!(root.join(from).exists(), "{name}: {from}");
            } else {
                assert!(!compose["volumes"][from].is_null(), "{name}: {from}");
            }
        }
        let image = service["image"].as_str().unwrap_or("cvops:local");
        assert!(image.contains(':') && !image.ends_with(":latest"), "{name}");
    }
    let default: Vec<&String> = services
        .iter()
        .filter(|(_, service)| service["profiles"].is_null())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(default, ["cvops", "grafana", "prometheus"]);
}

#[test]
fn every_series_of_dashboard_and_rules_is_exposed_by_a_server() {
    let p = prepared_project();
    // Evaluated, so that its accuracy is known.
    p.write(
        "pipeline.yaml",
        "stages:\n  train: {cmd: cvops train, outs: [models/classifier]}\n  \
         score: {cmd: cp scores.json out.json, deps: [scores.json, models/classifier], metrics: [out.json]}\n",
    );
    p.write("scores.json", "{\"accuracy\": 0.75}");
    p.ok("repro");
    // With detectors of drift, and with a shadow, which has series of its own.
    let drift = "drift:\n  split: train\n  detectors: [{input: softmax}, {input: properties}]\n  \
        online: [{input: softmax, window: 4, ert: 20, every: 1}]\n  outlier: {method: knn, fpr: 0.1}\n";
    let serve = "serve:\n  drift: {window: 10}\n  \
        models:\n    classifier: {model: models/classifier, shadow: models/classifier}\n";
    p.write("params.yaml", format!("{PARAMS}{drift}{serve}"));
    p.ok("drift fit");
    let server = p.serve("");
    for role in ["main", "shadow"] {
        assert_eq!(server.event("ready")["role"], role);
    }
    server.event("drift_watched");
    for number in 0..12 {
        let answer = server.post("/predict", "image/png", stripes(number % 2, number));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut exposition = String::new();
    wait_until("the detectors have looked", || {
        exposition = server.get("/metrics").text();
        let told = ["p_value", "score", "expected_false_alarm_seconds"];
        told.iter()
            .all(|name| exposition.contains(&format!("\ncvops_drift_{name}{{")))
    });
    let exposed: BTreeSet<&str> = exposition
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();

    let rules = rules();
    let recorded: BTreeSet<&str> = rules.iter().map(|rule| text(&rule["record"])).collect();
    let rule_expressions = rules.iter().map(|rule| text(&rule["expr"]).to_owned());
    let expressions = dashboard_expressions().into_iter().chain(rule_expressions);
    // Prometheus makes these itself.
    let own = ["up", "ALERTS"];
    let known =
        |name: &str| exposed.contains(name) || recorded.contains(name) || own.contains(&name);
    let missing: BTreeSet<String> = expressions
        .flat_map(|expression| series(&expression))
        .filter(|name| !known(name))
        .collect();
    assert!(missing.is_empty(), "nothing exposes {missing:?}");
}

/// What a server may expose at most: Prometheus keeps each series of each server in memory.
const SERIES_MAX: usize = 1500;

#[test]
fn ten_thousand_paths_make_no_series() {
    let p = trained_project();
    let server = p.serve_ready("");
    let series = || {
        let exposition = server.get("/metrics").text();
        exposition
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    };
    assert_eq!(
        server.post("/predict", "image/png", stripes(0, 0)).status,
        200
    );
    // A linear congruential generator (Knuth's MMIX): paths that nobody has thought of.
    let mut state = 20_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state >> 33
    };
    // The first round makes what methods make that a route does not know, and a look what a look makes;
    // then there is nothing new.
    series();
    let mut before = None;
    let (rounds, each) = (21, 500);
    for _ in 0..rounds {
        let mut requests = String::new();
        for i in 1..=each {
            let method = ["GET", "POST", "DELETE", "BREW"][random() as usize % 4];
            let path = match random() % 4 {
                0 => format!("/predict/{:x}", random()),
                1 => format!("/{:x}/../{:x}", random(), random()),
                2 => format!("/v2/models/%22%7d{:x}", random()),
                _ => format!("/health?x={:x}", random()),
            };
            let close = if i == each {
                "Connection: close\r\n"
            } else {
                ""
            };
            requests +=
                &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{close}\r\n");
        }
        let mut stream = server.connect();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(requests.as_bytes()));
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        writing.join().unwrap().unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), each);
        before.get_or_insert_with(series);
    }
    assert_eq!(before, Some(series()));
    assert!(before < Some(SERIES_MAX), "{before:?} series");
}
