//! What MLflow's own server answered to its own client, asked again of `cvops ui`: the same status, and
//! the same values but for ids, the server's clock and tokens of pages.
//!
//! The recording has one pair of each kind, so what a pair needs is made before it (`before`). Ids of
//! experiments come out as they were, as they count up; those of runs and models are mapped.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::support::client::{Answer, Server};
use super::support::project;

/// One pair a line.
const GOLDEN: &str = include_str!("../golden/mlflow/golden.jsonl");

/// A time that the server took when the pairs were recorded is later than this; times that the client
/// gave are earlier, or sent again.
const SERVER_TIMES: [&str; 6] = [
    "creation_time",
    "last_update_time",
    "creation_timestamp",
    "last_updated_timestamp",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
];

/// Items up to which no recorded list was cut; of cut ones four are left.
const CUT_TO: usize = 4;

const MODEL: &str = "classifier-757a6943";
const TRAINED: &str = "10f1e76abd5f4d1ba8872c6940cff9e0";
const LOW_LEVEL: &str = "856e39514751473fa45d044ce3e53870";
const WITH_DATASET: &str = "0069894de289406386bad8604216b86f";
const WITH_FILES: &str = "4e2251d664414e0f9b60bdfdfa1b8f55";
const WITH_MODEL: &str = "8a7f95ef8c6e484f9379dd9522428af2";
const LOGGED: &str = "m-a081a08e3c6c44b9bed67ee8a40e9dc5";

struct World {
    server: Server,
    /// Recorded ids, and those that the server gave instead.
    ids: BTreeMap<String, String>,
    pairs: Vec<Value>,
}

impl World {
    /// Writes the server's ids for the recorded ones.
    fn ours(&self, text: &str) -> String {
        self.ids
            .iter()
            .fold(text.to_owned(), |text, (recorded, given)| {
                text.replace(recorded, given)
            })
    }

    /// Writes the recorded ids for the server's.
    fn theirs(&self, text: &str) -> String {
        self.ids
            .iter()
            .fold(text.to_owned(), |text, (recorded, given)| {
                text.replace(given, recorded)
            })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>, kind: &str) -> Answer {
        let body = match body {
            Some(Value::String(text)) => text.clone(),
            Some(value) => self.ours(&value.to_string()),
            None => String::new(),
        };
        let headers = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {kind}\r\n")
        };
        let line = format!("{method} {}", self.ours(path));
        self.server.send(&line, &headers, body.as_bytes())
    }

    /// Makes something that a pair needs; returns the answer.
    #[track_caller]
    fn make(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/api/2.0/mlflow/{path}");
        let answer = self.send(method, &path, Some(body), "application/json");
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.make("POST", path, body)
    }

    /// Makes a run for a recorded one.
    fn make_run(&mut self, recorded: &str, body: &Value) {
        let run = self.post("runs/create", body);
        let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        self.ids.insert(recorded.to_owned(), id);
    }

    fn recorded(&self, note: &str) -> Value {
        let pair = self.pairs.iter().find(|pair| pair["note"] == note);
        pair.unwrap()["response"].clone()
    }

    fn alias(&self, version: &str) {
        let body = json!({"name": MODEL, "alias": "champion", "version": version});
        self.post("registered-models/alias", &body);
    }

    /// Makes what the recording had made before this pair.
    fn before(&mut self, note: &str) {
        match note {
            "get by name" => {
                // The first three ids were those of others.
                for name in ["a", "b", "c", "check/défaut détection 757a6943"] {
                    self.post("experiments/create", &json!({"name": name}));
                }
            }
            "search experiments" => {
                for (key, value) in [
                    ("team", "vision"),
                    ("mlflow.note.content", "# notes\nmarkdown"),
                ] {
                    let body = json!({"experiment_id": "4", "key": key, "value": value});
                    self.post("experiments/set-experiment-tag", &body);
                }
            }
            "get run, full" => self.train(),
            "delete-tag" => {
                let body = json!({"run_id": LOW_LEVEL, "key": "t0", "value": "x"});
                self.post("runs/set-tag", &body);
            }
            "log dataset input" => self.make_run(WITH_DATASET, &json!({"experiment_id": "4"})),
            "search runs with filter and order" => self.make_searched(note),
            "proxy listing of a run folder" => {
                self.make_run(WITH_FILES, &json!({"experiment_id": "4"}));
                for (name, size) in [("a.bin", 1_280_000), ("sub/b.bin", 3)] {
                    let path = format!(
                        "/api/2.0/mlflow-artifacts/artifacts/4/{WITH_FILES}/artifacts/tree/{name}"
                    );
                    let body = Value::from("x".repeat(size));
                    let answer = self.send("PUT", &path, Some(&body), "text/plain");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            }
            "get model" => {
                let body = json!({
                    "name": MODEL, "run_id": TRAINED,
                    "source": format!("mlflow-artifacts:/4/{TRAINED}/artifacts/model"),
                });
                self.post("model-versions/create", &body);
            }
            "alias absent" => {
                let body = json!({"name": MODEL, "alias": "champion"});
                self.make("DELETE", "registered-models/alias", &body);
            }
            "delete alias" => self.alias("1"),
            "transition stage" => {
                self.alias("2");
                let body = json!({"name": MODEL, "version": "1", "stage": "production"});
                self.post("model-versions/transition-stage", &body);
            }
            "search model versions" => {
                let body = json!({"name": MODEL, "version": 2, "description": "better"});
                self.make("PATCH", "model-versions/update", &body);
            }
            "search registered models" => {
                let body = json!({"name": MODEL, "description": "updated text"});
                self.make("PATCH", "registered-models/update", &body);
            }
            "update model version" => {
                let body = json!({"name": MODEL, "version": 2, "key": "validated", "value": "yes"});
                self.post("model-versions/set-tag", &body);
            }
            "3.x: create logged model" => {
                self.make_run(WITH_MODEL, &json!({"experiment_id": "4"}));
            }
            "3.x: finalize logged model" => {
                let path = format!("logged-models/{LOGGED}/tags/mlflow.modelVersions");
                self.make("DELETE", &path, &json!({}));
            }
            "3.x: get logged model with metric" => {
                let tags = self.recorded(note)["model"]["info"]["tags"].clone();
                self.make(
                    "PATCH",
                    &format!("logged-models/{LOGGED}/tags"),
                    &json!({"tags": tags}),
                );
                let body = json!({
                    "run_id": WITH_MODEL, "key": "acc", "value": 0.9,
                    "timestamp": 1_795_547_764_714_i64, "model_id": LOGGED,
                });
                self.post("runs/log-metric", &body);
            }
            _ => {}
        }
    }

    /// Logs what the run that was trained has in the end.
    fn train(&self) {
        let data = self.recorded("get run, full")["run"]["data"].clone();
        let history = self.recorded("metric history")["metrics"].clone();
        let tags = json!([{"key": "emoji", "value": "naïve ✓"}]);
        let body = json!({
            "run_id": TRAINED, "metrics": data["metrics"], "params": data["params"], "tags": tags,
        });
        self.post("runs/log-batch", &body);
        self.post(
            "runs/log-batch",
            &json!({"run_id": TRAINED, "metrics": history}),
        );
        let body = json!({
            "run_id": TRAINED, "status": "FINISHED", "end_time": 1_795_547_747_550_i64,
        });
        self.post("runs/update", &body);
    }

    /// Makes the runs that are found.
    fn make_searched(&mut self, note: &str) {
        self.post("experiments/create", &json!({"name": "searched"}));
        for run in self.recorded(note)["runs"].as_array().unwrap() {
            let (info, data) = (&run["info"], &run["data"]);
            let body = json!({
                "experiment_id": "6", "user_id": info["user_id"], "start_time": info["start_time"],
                "tags": data["tags"],
            });
            let recorded = info["run_id"].as_str().unwrap();
            self.make_run(recorded, &body);
            let body = json!({
                "run_id": recorded, "metrics": data["metrics"], "params": data["params"],
            });
            self.post("runs/log-batch", &body);
            let body = json!({
                "run_id": recorded, "status": info["status"], "end_time": info["end_time"],
            });
            self.post("runs/update", &body);
        }
    }

    /// Asks again, and returns what is different.
    fn replay(&mut self, pair: &Value) -> Vec<String> {
        let text = |key: &str| pair[key].as_str().unwrap_or_default();
        let (note, kind) = (text("note"), text("request_content_type"));
        self.before(note);
        let answer = self.send(text("method"), text("path"), pair.get("request"), kind);
        let mut differences = Vec::new();
        if u64::from(answer.status) != pair["status"].as_u64().unwrap() {
            differences.push(format!(
                "status {} for {}: {}",
                answer.status,
                pair["status"],
                answer.text()
            ));
            return differences;
        }
        let recorded = &pair["response"];
        if pair["response_content_type"] != "application/json" {
            if answer.text() != recorded.as_str().unwrap() {
                differences.push(format!("{:?} for {recorded}", answer.text()));
            }
            return differences;
        }
        let given = answer.json();
        for (new, old) in [
            (
                &given["run"]["info"]["run_id"],
                &recorded["run"]["info"]["run_id"],
            ),
            (
                &given["model"]["info"]["model_id"],
                &recorded["model"]["info"]["model_id"],
            ),
        ] {
            if let (Some(new), Some(old)) = (new.as_str(), old.as_str()) {
                self.ids
                    .entry(old.to_owned())
                    .or_insert_with(|| new.to_owned());
            }
        }
        let given: Value = serde_json::from_str(&self.theirs(&answer.text())).unwrap();
        match note {
            // What is offered differs; that it is said does not.
            "server-info" => {
                let keys = |value: &Value| -> Vec<String> {
                    value.as_object().unwrap().keys().cloned().collect()
                };
                if keys(&given) != keys(recorded) {
                    differences.push(format!("{given} for {recorded}"));
                }
            }
            _ => compare("", recorded, &given, &mut differences),
        }
        differences
    }
}

/// Notes where `given` is not what was recorded.
fn compare(path: &str, recorded: &Value, given: &Value, differences: &mut Vec<String>) {
    match (recorded, given) {
        (Value::Object(recorded), Value::Object(given)) => {
            compare_objects(path, recorded, given, differences);
        }
        (Value::Array(recorded), Value::Array(given)) => {
            compare_lists(path, recorded, given, differences);
        }
        _ if recorded == given => {}
        _ => differences.push(format!("{path}: {given} for {recorded}")),
    }
}

fn compare_objects(
    path: &str,
    recorded: &Map<String, Value>,
    given: &Map<String, Value>,
    differences: &mut Vec<String>,
) {
    for (key, value) in recorded {
        let path = format!("{path}/{key}");
        match given.get(key) {
            // Two more words for the same code.
            None if matches!(key.as_str(), "sqlstate" | "error_class") => {}
            None => differences.push(format!("{path}: nothing for {value}")),
            Some(time) if SERVER_TIMES.contains(&key.as_str()) && time.is_i64() => {}
            Some(token) if key == "next_page_token" && token.is_string() => {}
            Some(message) if key == "message" => {
                // MLflow goes on with a statement of SQL.
                let expected = value.as_str().unwrap();
                let expected = expected.split(" Error: (").next().unwrap();
                if message != expected {
                    differences.push(format!("{path}: {message} for {expected:?}"));
                }
            }
            Some(given) => compare(&path, value, given, differences),
        }
    }
    for (key, value) in given {
        // MLflow leaves aliases out where versions come in lists, and never says what a logged model
        // was registered as or which one a version is.
        let more = matches!(key.as_str(), "aliases" | "registrations" | "model_id");
        if !recorded.contains_key(key) && !more {
            differences.push(format!("{path}/{key}: {value} for nothing"));
        }
    }
}

fn compare_lists(path: &str, recorded: &[Value], given: &[Value], differences: &mut Vec<String>) {
    let was_cut = recorded.len() == CUT_TO;
    if !was_cut && recorded.len() != given.len() {
        differences.push(format!(
            "{path}: {} items for {}",
            given.len(),
            recorded.len()
        ));
    }
    // What has a key has no order; one of a key, in histories several.
    let key_of = |value: &Value| {
        let of = |key: &str| value.get(key).cloned().unwrap_or_default();
        let key = json!([of("key"), of("step"), of("version"), of("alias")]);
        (key != json!([null, null, null, null])).then_some(key)
    };
    for (i, item) in recorded.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let counterpart = match key_of(item) {
            Some(key) => given
                .iter()
                .find(|given| key_of(given).as_ref() == Some(&key)),
            None => given.get(i),
        };
        match counterpart {
            Some(given) => compare(&path, item, given, differences),
            None => differences.push(format!("{path}: nothing for {item}")),
        }
    }
}

#[test]
fn the_server_answers_as_the_one_of_mlflow_did() {
    let p = project();
    p.ok("init");
    let pairs: Vec<Value> = GOLDEN
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(pairs.len(), 56);
    let mut world = World {
        server: p.ui(""),
        ids: BTreeMap::new(),
        pairs: pairs.clone(),
    };
    let mut differences = String::new();
    for pair in &pairs {
        for difference in world.replay(pair) {
            differences += &format!("{}: {difference}\n", pair["note"]);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
