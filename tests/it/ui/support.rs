//! A project that has something to show on every page, made in seconds, and names that try to be more
//! than text.

use serde_json::{Value, json};

use crate::support::client::Server;
use crate::support::stages::with_pipeline;
use crate::support::{Project, project};

/// What people and programs may call a thing. Each sets the page's title if it is ever run.
pub(super) const HOSTILE: [&str; 7] = [
    "<script>document.title='hacked'</script>",
    "\"'><img src=x onerror=\"document.title='hacked'\">",
    "</title></textarea></script><svg onload=document.title='hacked'>",
    "javascript:document.title='hacked'",
    "\u{202e}gnp.evil\u{202e} \u{5d0}\u{5d1}\u{5d2} \u{627}\u{644}",
    "🧪👩‍🔬 e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301} \u{7}\u{1b}[31m\u{8}\t",
    "{{ 7*7 }} ${7*7} %s %00 &lt;b&gt; ../../etc/passwd #?&",
];

/// The name of a model, which may hold no slash.
pub(super) const HOSTILE_MODEL: &str = "<img src=x onerror=document.title='hacked'>";

/// A project with runs, a sweep and models, served.
pub(super) struct Rich {
    /// Keeps its folder alive.
    _project: Project,
    pub(super) server: Server,
    /// The runs of the pipeline, oldest first.
    pub(super) runs: Vec<String>,
    /// A run that is under way, with a long metric.
    pub(super) live: String,
    /// A run all of whose names are hostile.
    pub(super) hostile: String,
    /// Its experiment.
    pub(super) experiment: String,
}

/// A project that was just initialised, served.
pub(super) fn empty() -> (Project, Server) {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    (p, server)
}

/// Three stages: data, a training with two parameters, an evaluation that reads its model.
const PIPELINE: &str = r#"stages:
  prepare:
    cmd: mkdir -p data/clean; cp data/raw.csv data/clean/all.csv
    deps: [data/raw.csv]
    outs: [data/clean]
  train:
    cmd: |-
      lr=$(sed -n 's/^  lr: //p' params.yaml); depth=$(sed -n 's/^  depth: //p' params.yaml)
      mkdir -p models/net reports
      echo "{\"lr\": $lr, \"depth\": $depth}" > models/net/model.json
      awk -v l="$lr" -v d="$depth" 'BEGIN {
        print "epoch,loss,accuracy" > "reports/curve.csv"
        for (e = 1; e <= 20; e++) printf "%d,%.4f,%.4f\n", e, (1 + l) / e, 1 - l / e - d / 100 > "reports/curve.csv"
        printf "{\"accuracy\": %.4f, \"loss\": %.4f}\n", 1 - l - d / 100, l > "reports/train.json" }'
      echo "trained with lr $lr"; echo "a warning" >&2
    deps: [data/clean]
    params: [train.lr, train.depth, seed]
    outs: [models/net]
    metrics:
      - reports/train.json: {cache: false}
    plots:
      - reports/curve.csv: {cache: false, x: epoch, y: loss}
  evaluate:
    cmd: sed 's/accuracy/test_accuracy/; s/loss/test_loss/' reports/train.json > reports/metrics.json
    deps: [models/net, reports/train.json]
    metrics:
      - reports/metrics.json: {cache: false}
"#;

fn params(lr: &str, depth: u32, seed: u32) -> String {
    format!("# What is trained.\ntrain:\n  lr: {lr}\n  depth: {depth}\nseed: {seed}\n")
}

/// Returns the project and its server, which takes a few seconds.
pub(super) fn rich() -> Rich {
    let p = with_pipeline(PIPELINE);
    p.write("params.yaml", params("0.3", 2, 1));
    p.write("data/raw.csv", "x,y\n1,2\n3,4\n");
    p.git_init();
    p.ok("repro --name baseline");
    for (name, lr, seed) in [("faster", "0.1", 1), ("faster-2", "0.1", 2)] {
        p.write("params.yaml", params(lr, 3, seed));
        p.ok(&format!("repro --name {name}"));
    }
    p.ok("params sweep train.lr=0.05,0.2 train.depth=1,4 --metric accuracy --name grid");
    p.ok("models register net --run faster --alias champion --tag reviewed=yes");
    p.ok("models register net --run faster-2 --description 'with another seed'");
    // Something is stale.
    p.write("params.yaml", params("0.15", 3, 2));
    let server = p.ui("");
    let found = post(
        &server,
        "runs/search",
        &json!({"experiment_ids": ["0"], "max_results": 100, "order_by": ["attributes.start_time ASC"]}),
    );
    let runs = found["runs"].as_array().cloned().unwrap_or_default();
    let runs = runs.iter().map(|run| text(&run["info"]["run_id"]));
    let mut rich = Rich {
        runs: runs.collect(),
        live: String::new(),
        hostile: String::new(),
        experiment: String::new(),
        _project: p,
        server,
    };
    rich.live = live(&rich.server);
    (rich.hostile, rich.experiment) = hostile(&rich.server);
    rich
}

/// A run under way, with 500 points of a metric and the use of its machine.
fn live(server: &Server) -> String {
    let run = create_run(server, "0", "under way");
    let points = |key: &str, count: u32, value: &dyn Fn(f64) -> f64| -> Vec<Value> {
        let point = |step: u32| {
            let at = 1_700_000_000_000_u64 + u64::from(step) * 1000;
            json!({"key": key, "value": value(f64::from(step)), "step": step, "timestamp": at})
        };
        (0..count).map(point).collect()
    };
    let mut metrics = points("loss", 500, &|step| 1.0 / (1.0 + step / 50.0));
    metrics.extend(points("system/cpu_utilization_percentage", 50, &|step| {
        50.0 + step % 7.0
    }));
    metrics.push(
        json!({"key": "loss", "value": "NaN", "step": 500, "timestamp": 1_700_000_500_000_u64}),
    );
    post(
        server,
        "runs/log-batch",
        &json!({"run_id": run, "metrics": metrics}),
    );
    put_artifact(server, &run, "images/sample.png", PNG);
    put_artifact(server, &run, "notes/readme.md", b"# Read me\n\nA *note*.\n");
    put_artifact(
        server,
        &run,
        "table.csv",
        b"class,precision\ncat,0.9\ndog,0.8\n",
    );
    put_artifact(
        server,
        &run,
        "page.html",
        b"<h1>Report</h1><script>document.title='hacked'</script>",
    );
    put_artifact(
        server,
        &run,
        "config.json",
        br#"{"a": [1, 2, {"b": null}]}"#,
    );
    run
}

/// A run, an experiment and a model whose every name is hostile.
fn hostile(server: &Server) -> (String, String) {
    let long = "wide ".repeat(2000);
    let answer = post(server, "experiments/create", &json!({"name": HOSTILE[0]}));
    let experiment = text(&answer["experiment_id"]);
    for name in HOSTILE {
        let run = create_run(server, &experiment, name);
        let metric =
            json!({"run_id": run, "key": "score", "value": 0.5, "timestamp": 1, "step": 0});
        post(server, "runs/log-metric", &metric);
    }
    create_run(server, &experiment, &long);
    create_run(server, &experiment, &"w".repeat(10_000));
    let run = create_run(server, &experiment, HOSTILE[0]);
    for (i, text) in HOSTILE.iter().enumerate() {
        set_tag(server, &run, &format!("tag{i}"), text);
        let param = json!({"run_id": run, "key": format!("param{i}"), "value": text});
        post(server, "runs/log-parameter", &param);
        let name = format!(
            "folder/{i} {}",
            text.replace(|c: char| c.is_control() || "/\\%".contains(c), "-")
        );
        put_artifact(server, &run, &name, text.as_bytes());
    }
    set_tag(server, &run, "long", &"w".repeat(5000));
    set_tag(
        server,
        &run,
        "mlflow.note.content",
        &format!(
            "# Note\n\n{}\n\n[x](javascript:document.title='hacked') ![x](http://example.org/x.png)\n\n{long}",
            HOSTILE.join("\n\n")
        ),
    );
    post(
        server,
        "registered-models/create",
        &json!({"name": HOSTILE_MODEL, "description": HOSTILE.join(" ")}),
    );
    let version = json!({"name": HOSTILE_MODEL, "source": format!("runs:/{run}/folder"), "run_id": run, "description": long});
    post(server, "model-versions/create", &version);
    (run, experiment)
}

fn create_run(server: &Server, experiment: &str, name: &str) -> String {
    let body =
        json!({"experiment_id": experiment, "run_name": name, "start_time": 1_700_000_000_000_u64});
    text(&post(server, "runs/create", &body)["run"]["info"]["run_id"])
}

fn set_tag(server: &Server, run: &str, key: &str, value: &str) {
    post(
        server,
        "runs/set-tag",
        &json!({"run_id": run, "key": key, "value": value}),
    );
}

fn put_artifact(server: &Server, run: &str, path: &str, body: &[u8]) {
    let info = server
        .get(&format!("/api/2.0/mlflow/runs/get?run_id={run}"))
        .json();
    let uri = text(&info["run"]["info"]["artifact_uri"]);
    let folder = uri
        .split_once("mlflow-artifacts:/")
        .unwrap()
        .1
        .trim_start_matches('/');
    let path = format!("{folder}/{}", encoded(path));
    let answer = server.send(
        &format!("PUT /api/2.0/mlflow-artifacts/artifacts/{path}"),
        "",
        body,
    );
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
}

/// Calls the REST API, which must agree.
#[track_caller]
pub(super) fn post(server: &Server, endpoint: &str, body: &Value) -> Value {
    let path = format!("/api/2.0/mlflow/{endpoint}");
    let answer = server.post(&path, "application/json", body.to_string());
    assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
    answer.json()
}

/// Returns a text as it stands in a URL; slashes stay.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let letter = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(letter).collect()
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// Two by two pixels.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x02\x08\0\0\0\0W\xddR\xf8\0\0\0\x0cIDATx\x9cc`\xf8\x0f\x84\0\x06\0\x01\xff\x93\xd1\xe4\x89\0\0\0\0IEND\xaeB`\x82";
