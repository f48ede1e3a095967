//! Requests that cannot be: every endpoint of MLflow's REST API with broken JSON, wrong types, missing
//! fields, numbers that are too large and ids of nothing. Each is the client's mistake (4xx) and is
//! told in MLflow's form, and no answer shows a statement of the database.
//!
//! A 5xx would make MLflow's client try again for minutes.

use serde_json::{Map, Value, json};

use super::support::client::{Answer, Server};
use super::support::project;

/// What a field holds, and so what it cannot hold.
#[derive(Clone, Copy)]
enum Kind {
    /// A text.
    Text,
    /// A number, or a text of one.
    Number,
    /// A whole number, or a text of one.
    Integer,
    /// A word of a list, or its number.
    Word,
    /// A truth.
    Flag,
    /// A list of texts.
    Texts,
    /// A list of objects.
    Objects,
}

use Kind::{Flag, Integer, Number, Objects, Text, Texts, Word};

/// Is a request without the field one that can be?
#[derive(Clone, Copy, PartialEq)]
enum Need {
    Must,
    May,
}

use Need::{May, Must};

type Field = (&'static str, Kind, Need);

/// An endpoint and the fields that it reads.
struct Row {
    method: &'static str,
    path: &'static str,
    fields: &'static [Field],
}

const fn row(method: &'static str, path: &'static str, fields: &'static [Field]) -> Row {
    Row {
        method,
        path,
        fields,
    }
}

const RUN: Field = ("run_id", Text, Must);
const EXPERIMENT: Field = ("experiment_id", Text, Must);
const NAME: Field = ("name", Text, Must);
const KEY: Field = ("key", Text, Must);
const VALUE: Field = ("value", Text, May);
const TAGS: Field = ("tags", Objects, May);
const VERSION: Field = ("version", Integer, Must);
const FILTER: Field = ("filter", Text, May);
const ORDER: Field = ("order_by", Texts, May);
const MAX: Field = ("max_results", Integer, May);
const TOKEN: Field = ("page_token", Text, May);

const ROWS: &[Row] = &[
    row(
        "POST",
        "experiments/create",
        &[NAME, ("artifact_location", Text, May), TAGS],
    ),
    row("GET", "experiments/get", &[EXPERIMENT]),
    row(
        "GET",
        "experiments/get-by-name",
        &[("experiment_name", Text, Must)],
    ),
    row(
        "POST",
        "experiments/search",
        &[FILTER, ORDER, MAX, TOKEN, ("view_type", Word, May)],
    ),
    row(
        "GET",
        "experiments/search",
        &[MAX, ("view_type", Word, May)],
    ),
    row(
        "POST",
        "experiments/update",
        &[EXPERIMENT, ("new_name", Text, Must)],
    ),
    row("POST", "experiments/delete", &[EXPERIMENT]),
    row("POST", "experiments/restore", &[EXPERIMENT]),
    row(
        "POST",
        "experiments/set-experiment-tag",
        &[EXPERIMENT, KEY, VALUE],
    ),
    row(
        "POST",
        "experiments/delete-experiment-tag",
        &[EXPERIMENT, KEY],
    ),
    row(
        "POST",
        "experiments/search-datasets",
        &[("experiment_ids", Texts, Must)],
    ),
    row(
        "POST",
        "runs/create",
        &[
            ("experiment_id", Text, May),
            ("user_id", Text, May),
            ("run_name", Text, May),
            ("start_time", Integer, May),
            TAGS,
        ],
    ),
    row("GET", "runs/get", &[RUN]),
    row(
        "POST",
        "runs/update",
        &[
            RUN,
            ("status", Word, May),
            ("end_time", Integer, May),
            ("run_name", Text, May),
        ],
    ),
    row("POST", "runs/delete", &[RUN]),
    row("POST", "runs/restore", &[RUN]),
    row(
        "POST",
        "runs/log-metric",
        &[
            RUN,
            KEY,
            ("value", Number, Must),
            ("timestamp", Integer, Must),
            ("step", Integer, May),
            ("model_id", Text, May),
            ("dataset_name", Text, May),
            ("dataset_digest", Text, May),
        ],
    ),
    row("POST", "runs/log-parameter", &[RUN, KEY, VALUE]),
    row(
        "POST",
        "runs/log-batch",
        &[
            RUN,
            ("metrics", Objects, May),
            ("params", Objects, May),
            TAGS,
        ],
    ),
    row("POST", "runs/set-tag", &[RUN, KEY, VALUE]),
    row("POST", "runs/delete-tag", &[RUN, KEY]),
    row(
        "POST",
        "runs/search",
        &[
            ("experiment_ids", Texts, May),
            FILTER,
            ORDER,
            MAX,
            TOKEN,
            ("run_view_type", Word, May),
        ],
    ),
    row(
        "POST",
        "runs/log-inputs",
        &[RUN, ("datasets", Objects, May), ("models", Objects, May)],
    ),
    row("POST", "runs/outputs", &[RUN, ("models", Objects, Must)]),
    row("POST", "runs/log-model", &[RUN, ("model_json", Text, Must)]),
    row(
        "GET",
        "metrics/get-history",
        &[RUN, ("metric_key", Text, Must), MAX, TOKEN],
    ),
    row(
        "GET",
        "metrics/get-history-bulk-interval",
        &[
            ("run_ids", Texts, Must),
            ("metric_key", Text, Must),
            ("start_step", Integer, May),
            ("end_step", Integer, May),
            MAX,
        ],
    ),
    row(
        "GET",
        "metrics/get-history-bulk",
        &[RUN, ("metric_key", Text, Must), MAX],
    ),
    row(
        "POST",
        "registered-models/create",
        &[NAME, TAGS, ("description", Text, May)],
    ),
    row("GET", "registered-models/get", &[NAME]),
    row(
        "PATCH",
        "registered-models/update",
        &[NAME, ("description", Text, May)],
    ),
    row(
        "POST",
        "registered-models/rename",
        &[NAME, ("new_name", Text, Must)],
    ),
    row("DELETE", "registered-models/delete", &[NAME]),
    row("GET", "registered-models/search", &[MAX]),
    row(
        "POST",
        "registered-models/get-latest-versions",
        &[NAME, ("stages", Texts, May)],
    ),
    row("GET", "registered-models/get-latest-versions", &[NAME]),
    row("POST", "registered-models/set-tag", &[NAME, KEY, VALUE]),
    row("DELETE", "registered-models/delete-tag", &[NAME, KEY]),
    row(
        "POST",
        "registered-models/alias",
        &[NAME, ("alias", Text, Must), VERSION],
    ),
    row(
        "GET",
        "registered-models/alias",
        &[NAME, ("alias", Text, Must)],
    ),
    row(
        "DELETE",
        "registered-models/alias",
        &[NAME, ("alias", Text, Must)],
    ),
    row(
        "POST",
        "model-versions/create",
        &[
            NAME,
            ("source", Text, Must),
            ("run_id", Text, May),
            TAGS,
            ("run_link", Text, May),
            ("description", Text, May),
            ("model_id", Text, May),
        ],
    ),
    row("GET", "model-versions/get", &[NAME, VERSION]),
    row(
        "PATCH",
        "model-versions/update",
        &[NAME, VERSION, ("description", Text, May)],
    ),
    row(
        "POST",
        "model-versions/transition-stage",
        &[
            NAME,
            VERSION,
            ("stage", Text, Must),
            ("archive_existing_versions", Flag, May),
        ],
    ),
    row("DELETE", "model-versions/delete", &[NAME, VERSION]),
    row("GET", "model-versions/search", &[MAX]),
    row("GET", "model-versions/get-download-uri", &[NAME, VERSION]),
    row(
        "POST",
        "model-versions/set-tag",
        &[NAME, VERSION, KEY, VALUE],
    ),
    row("DELETE", "model-versions/delete-tag", &[NAME, VERSION, KEY]),
    row(
        "POST",
        "logged-models",
        &[
            EXPERIMENT,
            ("name", Text, May),
            ("model_type", Text, May),
            ("source_run_id", Text, May),
            ("params", Objects, May),
            TAGS,
        ],
    ),
    row(
        "POST",
        "logged-models/search",
        &[
            ("experiment_ids", Texts, Must),
            FILTER,
            ("order_by", Objects, May),
            ("datasets", Objects, May),
            MAX,
            TOKEN,
        ],
    ),
    row("PATCH", "logged-models/MODEL", &[("status", Word, Must)]),
    row("PATCH", "logged-models/MODEL/tags", &[TAGS]),
    row(
        "POST",
        "logged-models/MODEL/params",
        &[("params", Objects, May)],
    ),
];

/// Endpoints that read nothing but their path.
const PATHS_ONLY: &[(&str, &str)] = &[
    ("GET", "logged-models/m-none"),
    ("DELETE", "logged-models/m-none"),
    ("DELETE", "logged-models/m-none/tags/k"),
    ("DELETE", "logged-models/MODEL/tags/none"),
    ("GET", "logged-models/'%3B%20DROP"),
];

/// A server with one of each thing.
struct World {
    server: Server,
    run: String,
    logged: String,
}

impl World {
    fn new(server: Server) -> Self {
        let mut world = Self {
            server,
            run: String::new(),
            logged: String::new(),
        };
        let run = world.make("runs/create", &json!({"experiment_id": "0"}));
        run["run"]["info"]["run_id"]
            .as_str()
            .unwrap()
            .clone_into(&mut world.run);
        let body = json!({"experiment_id": "0", "source_run_id": world.run});
        let logged = world.make("logged-models", &body);
        let id = &logged["model"]["info"]["model_id"];
        id.as_str().unwrap().clone_into(&mut world.logged);
        world.make("registered-models/create", &json!({"name": "model"}));
        let body = json!({"name": "model", "source": format!("models:/{}", world.logged)});
        world.make("model-versions/create", &body);
        world
    }

    #[track_caller]
    fn make(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    fn send(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let path = path.replace("MODEL", &self.logged);
        let line = format!("{method} /api/2.0/mlflow/{path}");
        let kind = "Content-Type: application/json\r\n";
        self.server.send(&line, kind, body.as_ref())
    }

    /// A value that this field may have.
    fn good(&self, (name, kind, _): Field) -> Value {
        match (name, kind) {
            ("run_id" | "source_run_id", _) => json!(self.run),
            ("run_ids", _) => json!([self.run]),
            ("experiment_id", _) => json!("0"),
            ("experiment_ids", _) => json!(["0"]),
            ("experiment_name", _) => json!("Default"),
            ("name", _) => json!("model"),
            ("model_id", _) => json!(self.logged),
            ("source", _) => json!(format!("models:/{}", self.logged)),
            ("stage", _) => json!("Staging"),
            ("status" | "view_type" | "run_view_type", _) => json!(1),
            ("filter" | "page_token", _) => json!(""),
            (_, Text) => json!("text"),
            (_, Number | Integer | Word) => json!(1),
            (_, Flag) => json!(true),
            (_, Texts | Objects) => json!([]),
        }
    }

    /// A request that can be, without the optional fields but `with`.
    fn body(&self, fields: &[Field], with: &str) -> Map<String, Value> {
        let wanted = fields
            .iter()
            .filter(|(name, _, need)| *need == Must || *name == with);
        wanted
            .map(|field| (field.0.to_owned(), self.good(*field)))
            .collect()
    }

    fn ask(&self, row: &Row, fields: &Map<String, Value>) -> Answer {
        if row.method != "GET" {
            return self.send(
                row.method,
                row.path,
                Value::from(fields.clone()).to_string(),
            );
        }
        let pairs = fields.iter().flat_map(|(key, value)| {
            let texts = match value {
                Value::Array(list) => list.clone(),
                one => vec![one.clone()],
            };
            texts.into_iter().map(move |text| match text {
                Value::String(text) => format!("{key}={}", encoded(&text)),
                other => format!("{key}={}", encoded(&other.to_string())),
            })
        });
        let query: Vec<String> = pairs.collect();
        self.send("GET", &format!("{}?{}", row.path, query.join("&")), "")
    }
}

/// Percent-encodes what is no letter or digit.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Values that a field of this kind cannot have; for queries only those that are texts.
fn bad(kind: Kind) -> Vec<Value> {
    let huge: Value = serde_json::from_str("9223372036854775808").unwrap();
    match kind {
        Text => vec![
            json!(31),
            json!(1.5),
            json!(true),
            json!(["x"]),
            json!({"a": 1}),
            huge,
        ],
        Number => vec![
            json!("x"),
            json!(""),
            json!("1e999"),
            json!(true),
            json!([1]),
            json!({}),
        ],
        Integer => vec![
            json!("x"),
            json!(1.5),
            json!(true),
            json!([]),
            json!({}),
            huge,
            json!(1e300),
            json!("99999999999999999999"),
        ],
        Word => vec![
            json!("SOME"),
            json!(99),
            json!(-1),
            json!([]),
            json!({}),
            json!(1.5),
        ],
        Flag => vec![json!("maybe"), json!(7), json!([]), json!({})],
        Texts => vec![
            json!("x"),
            json!(3),
            json!({}),
            json!([3]),
            json!([["x"]]),
            json!([null]),
        ],
        Objects => vec![
            json!("x"),
            json!(3),
            json!({}),
            json!([3]),
            json!(["x"]),
            json!([null]),
        ],
    }
}

/// Fails unless the answer is the client's mistake, told as MLflow tells it.
#[track_caller]
fn check(what: &str, answer: &Answer) {
    let text = answer.text();
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {} {text}",
        answer.status
    );
    let said = answer.json();
    assert!(
        said["error_code"].is_string() && said["message"].is_string(),
        "{what}: {text}"
    );
    check_no_sql(what, &text);
    // What was sent is not sent back at length.
    assert!(text.len() < 2000, "{what}: {} bytes", text.len());
}

#[track_caller]
fn check_no_sql(what: &str, text: &str) {
    for word in [
        "SELECT",
        "INSERT",
        "UPDATE ",
        "FOREIGN KEY",
        "UNIQUE",
        "constraint",
        "sqlite",
        "tracking.db",
    ] {
        assert!(!text.contains(word), "{what}: {text}");
    }
}

fn world(p: &super::support::Project) -> World {
    p.ok("init");
    World::new(p.ui(""))
}

#[test]
fn fields_of_another_type_are_refused() {
    let p = project();
    let w = world(&p);
    for row in ROWS {
        for field in row.fields {
            let (name, kind, _) = *field;
            // In a query all is text, and a list is a key that comes again.
            if row.method == "GET" && matches!(kind, Text | Texts | Objects) {
                continue;
            }
            for value in bad(kind) {
                if row.method == "GET" && value.is_array() {
                    continue;
                }
                let mut body = w.body(row.fields, name);
                body.insert(name.to_owned(), value.clone());
                let what = format!("{} {} with {name} {value}", row.method, row.path);
                check(&what, &w.ask(row, &body));
            }
        }
    }
}

#[test]
fn missing_fields_are_asked_for() {
    let p = project();
    let w = world(&p);
    for row in ROWS {
        for (name, _, need) in row.fields {
            if *need == May {
                continue;
            }
            for empty in [None, Some(Value::Null), Some(json!(""))] {
                let mut body = w.body(row.fields, "");
                body.remove(*name);
                if row.method != "GET" {
                    body.extend(empty.map(|value| ((*name).to_owned(), value)));
                }
                let answer = w.ask(row, &body);
                let what = format!("{} {} without {name}", row.method, row.path);
                check(&what, &answer);
                let message = answer.json()["message"].as_str().unwrap().to_owned();
                let asks = message.contains(*name) || message.contains("must specify");
                assert!(asks, "{what}: {message}");
            }
        }
    }
    let answer = w.send("POST", "runs/set-tag", json!({"run_id": w.run}).to_string());
    assert_eq!(
        answer.json(),
        json!({
            "error_code": "INVALID_PARAMETER_VALUE",
            "message": "Missing value for required parameter 'key'. See the API docs for more \
                        information about request parameters.",
        })
    );
}

#[test]
fn what_is_no_json_object_is_refused() {
    let p = project();
    let w = world(&p);
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 10] = [
        b"{",
        b"[]",
        b"3",
        b"\"{}\"",
        b"{\"name\": }",
        b"{\"name\": \"\xff\xfe\"}",
        b"{\"name\": \"\\ud800\"}",
        b"{\"value\": 1e999}",
        b"name=x&run_id=y",
        deep.as_bytes(),
    ];
    for row in ROWS.iter().filter(|row| row.method != "GET") {
        for body in bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            let what = format!("{} {} with {shown}", row.method, row.path);
            let answer = w.send(row.method, row.path, body);
            // A list of tags or params may be empty, and what is unknown is not read.
            let empty_will_do = row.fields.iter().all(|(_, _, need)| *need == May);
            if !(empty_will_do && body == b"[]") {
                check(&what, &answer);
            }
        }
    }
    let answer = w.send("POST", "runs/create", "{\"experiment_id\": \"0\",\n oops}");
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 2 column 2"), "{message}");
}

#[test]
fn ids_of_nothing_are_not_found() {
    let p = project();
    let w = world(&p);
    let names = [
        "run_id",
        "experiment_id",
        "name",
        "version",
        "experiment_name",
        "run_ids",
    ];
    for row in ROWS {
        for (name, _, need) in row.fields {
            let makes_it = *name == "name"
                && row.path.ends_with("/create")
                && row.path != "model-versions/create";
            if *need == May || makes_it || !names.contains(name) {
                continue;
            }
            let value = match *name {
                "run_id" => json!("0".repeat(32)),
                "run_ids" => json!(["0".repeat(32)]),
                "experiment_id" => json!("987654321"),
                "version" => json!("77"),
                _ => json!("nothing' OR 1=1 --"),
            };
            let mut body = w.body(row.fields, "");
            body.insert((*name).to_owned(), value);
            if row.path == "runs/log-model" {
                let model = json!({
                    "artifact_path": "m", "flavors": {}, "utc_time_created": "now", "run_id": "r",
                });
                body.insert("model_json".to_owned(), json!(model.to_string()));
            }
            let answer = w.ask(row, &body);
            let what = format!("{} {} with an unknown {name}", row.method, row.path);
            check(&what, &answer);
            assert_eq!(answer.status, 404, "{what}: {}", answer.text());
            assert_eq!(
                answer.json()["error_code"],
                "RESOURCE_DOES_NOT_EXIST",
                "{what}"
            );
        }
    }
    for (method, path) in PATHS_ONLY {
        let answer = w.send(method, path, "");
        check(path, &answer);
        assert_eq!(answer.status, 404, "{path}");
    }
    for id in ["x", "1.5", "-", "99999999999999999999", "0x1"] {
        let answer = w.send("GET", &format!("experiments/get?experiment_id={id}"), "");
        check(id, &answer);
        assert_eq!(answer.status, 400, "{id}");
    }
}

#[test]
fn other_content_types_methods_and_paths_are_refused() {
    let p = project();
    let w = world(&p);
    for row in ROWS.iter().filter(|row| row.method != "GET") {
        let line = format!(
            "{} /api/2.0/mlflow/{}",
            row.method,
            row.path.replace("MODEL", &w.logged)
        );
        let body = Value::from(w.body(row.fields, "")).to_string();
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ] {
            let header = format!("Content-Type: {kind}\r\n");
            let answer = w.server.send(&line, &header, body.as_bytes());
            check(&format!("{line} as {kind}"), &answer);
            assert_eq!(answer.status, 400, "{line} as {kind}");
        }
    }
    let answer = w.server.send(
        "POST /api/2.0/mlflow/runs/create",
        "Content-Type: text/plain\r\n",
        b"{}",
    );
    assert_eq!(
        answer.json()["message"],
        "Bad Request. Content-Type must be one of ['application/json']."
    );
    let answer = w.send("PUT", "runs/create", "{}");
    check("PUT", &answer);
    assert_eq!(answer.status, 405);
    for path in ["runs/nothing", "runs", "", "../../../etc/passwd", "traces"] {
        let answer = w.send("POST", path, "{}");
        check(path, &answer);
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn keys_names_and_values_have_limits() {
    let p = project();
    let w = world(&p);
    let run = &w.run;
    let metric = |key: &str| json!({"run_id": run, "key": key, "value": 1, "timestamp": 1});
    let long = "k".repeat(251);
    let rows = [
        ("runs/log-metric", metric(&long)),
        ("runs/log-metric", metric("a#b")),
        ("runs/log-metric", metric("../a")),
        ("runs/log-metric", metric("a//b")),
        (
            "runs/log-parameter",
            json!({"run_id": run, "key": long, "value": "1"}),
        ),
        (
            "runs/set-tag",
            json!({"run_id": run, "key": "/a", "value": "1"}),
        ),
        (
            "runs/create",
            json!({"tags": [{"key": long, "value": "1"}]}),
        ),
        (
            "runs/create",
            json!({"run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}),
        ),
        ("experiments/create", json!({"name": "n".repeat(501)})),
        (
            "experiments/create",
            json!({"name": "n", "tags": [{"key": "k", "value": "v".repeat(20_001)}]}),
        ),
        ("registered-models/create", json!({"name": "a/b"})),
        ("registered-models/create", json!({"name": " "})),
        ("registered-models/create", json!({"name": "a:b"})),
        (
            "registered-models/alias",
            json!({"name": "model", "alias": "latest", "version": 1}),
        ),
        (
            "registered-models/alias",
            json!({"name": "model", "alias": "v7", "version": 1}),
        ),
        (
            "model-versions/create",
            json!({"name": "model", "source": "file:///etc/../etc/passwd"}),
        ),
        (
            "model-versions/create",
            json!({"name": "model", "source": "/etc"}),
        ),
        (
            "model-versions/transition-stage",
            json!({"name": "model", "version": 1, "stage": "Limbo"}),
        ),
        (
            "runs/log-inputs",
            json!({"run_id": run, "datasets": [{"dataset": {"name": "d", "digest": "x".repeat(37)}}]}),
        ),
        (
            "runs/log-inputs",
            json!({"run_id": run, "datasets": [{"tags": []}]}),
        ),
        (
            "runs/outputs",
            json!({"run_id": run, "models": [{"step": 1}]}),
        ),
        ("runs/log-model", json!({"run_id": run, "model_json": "{"})),
        ("runs/log-model", json!({"run_id": run, "model_json": "{}"})),
        (
            "logged-models/search",
            json!({"experiment_ids": ["0"], "order_by": [{}]}),
        ),
        (
            "experiments/search-datasets",
            json!({"experiment_ids": vec!["0"; 21]}),
        ),
    ];
    for (path, body) in rows {
        let answer = w.send("POST", path, body.to_string());
        check(&format!("{path} {:.200}", body.to_string()), &answer);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    let batch = json!({
        "run_id": run, "metrics": vec![json!({"key": "a", "value": 1, "timestamp": 1}); 1001],
    });
    let answer = w.send("POST", "runs/log-batch", batch.to_string());
    check("a large batch", &answer);
    assert!(
        answer
            .text()
            .contains("at most 1000 metrics. Got 1001 metrics.")
    );
    // Long values are cut, not refused: a hundred of them are more than a megabyte.
    let params = (0..100).map(|i| json!({"key": format!("long{i}"), "value": "x".repeat(20_000)}));
    let batch = json!({"run_id": run, "params": params.collect::<Vec<_>>()});
    let answer = w.send("POST", "runs/log-batch", batch.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let query = format!("run_id={run}&").repeat(101);
    let answer = w.send(
        "GET",
        &format!("metrics/get-history-bulk?{query}metric_key=a"),
        "",
    );
    check("many runs", &answer);
}

#[test]
fn searches_that_make_no_sense_are_refused() {
    let p = project();
    let w = world(&p);
    let searches = [
        ("POST", "runs/search", json!({"experiment_ids": ["0"]})),
        ("POST", "experiments/search", json!({})),
        (
            "POST",
            "logged-models/search",
            json!({"experiment_ids": ["0"]}),
        ),
        ("GET", "registered-models/search", json!({})),
        ("GET", "model-versions/search", json!({})),
    ];
    for (method, path, base) in &searches {
        let row = row(method, path, &[]);
        let with = |name: &str, value: Value| {
            let mut body = base.as_object().unwrap().clone();
            body.insert(name.to_owned(), value);
            body
        };
        for filter in [
            "name = 'x' OR name = 'y'",
            "name = 'x'; DROP TABLE runs",
            "name = 'x",
            "(name = 'x')",
            "nothing.a = 'x'",
            "name >",
            "name",
            "= 'x'",
            "name LIKE",
            "name IN ()",
            "name = x",
            "tags.`a = 'x'",
            "\u{0} = 'x'",
        ] {
            let what = format!("{path} with the filter {filter:?}");
            check(&what, &w.ask(&row, &with("filter", json!(filter))));
        }
        for token in ["x", "%%%", "AAAA", "é"] {
            let answer = w.ask(&row, &with("page_token", json!(token)));
            check(&format!("{path} with the token {token}"), &answer);
        }
        for max in [json!(0), json!(-5), json!(10_000_000)] {
            let answer = w.ask(&row, &with("max_results", max.clone()));
            check(&format!("{path} with max_results {max}"), &answer);
        }
        if *path != "logged-models/search" {
            for order in ["nothing.a", "name SIDEWAYS", "", "name; DROP TABLE runs"] {
                let answer = w.ask(&row, &with("order_by", json!([order])));
                check(&format!("{path} in the order {order:?}"), &answer);
            }
        }
    }
}

#[test]
fn a_deleted_run_cannot_be_changed() {
    let p = project();
    let w = world(&p);
    w.make("runs/delete", &json!({"run_id": w.run}));
    for (path, body) in [
        (
            "runs/log-metric",
            json!({"key": "a", "value": 1, "timestamp": 1}),
        ),
        ("runs/log-parameter", json!({"key": "a", "value": "1"})),
        ("runs/set-tag", json!({"key": "a", "value": "1"})),
        ("runs/update", json!({"status": "FINISHED"})),
        ("runs/log-batch", json!({})),
    ] {
        let mut body = body;
        body["run_id"] = json!(w.run);
        let answer = w.send("POST", path, body.to_string());
        check(path, &answer);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            answer.status == 400 && message.contains("must be in the 'active' state"),
            "{path}: {message}"
        );
    }
    let answer = w.send("GET", &format!("runs/get?run_id={}", w.run), "");
    assert_eq!(answer.json()["run"]["info"]["lifecycle_stage"], "deleted");
}
