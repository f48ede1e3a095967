//! `cvops serve --model models:/NAME@ALIAS`: a registered model, followed.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use snapbox::str;

use crate::support::client::{Answer, Server, connect, failed_start, receive, request};
use crate::support::pictures::{prepared_project, stripes};
use crate::support::stages::wait_until;
use crate::support::{Project, check};

/// A project with two runs whose output is a model, each of other weights, and their ids.
pub(crate) fn two_models() -> (Project, [String; 2]) {
    let p = prepared_project();
    p.ok("init");
    p.write(
        "pipeline.yaml",
        "stages:\n  train:\n    cmd: cvops train && date > notes.txt\n    params: [train]\n    outs: [models/classifier, notes.txt]\n",
    );
    let ids = [3, 2].map(|epochs| {
        p.edit("params.yaml", "epochs: 3", &format!("epochs: {epochs}"));
        let events = p.ok("repro --json").json();
        let done = events.last().unwrap();
        done["run"]["id"].as_str().unwrap().to_owned()
    });
    // What is served comes from the cache.
    p.remove("models");
    (p, ids)
}

pub(crate) fn register(p: &Project, run: &str, path: &str) {
    p.ok(&format!("models register digits --run {run} --path {path}"));
}

pub(crate) fn name_champion(p: &Project, version: &str) {
    p.ok(&format!("models alias digits champion {version}"));
}

fn served(server: &Server) -> Value {
    server.get("/model").json()
}

#[test]
fn a_version_tells_how_well_it_did() {
    let p = prepared_project();
    p.ok("init");
    p.write(
        "pipeline.yaml",
        "stages:\n  train: {cmd: cvops train, params: [train], outs: [models/classifier]}\n  \
         score: {cmd: cp scores.json out.json, deps: [scores.json, models/classifier], metrics: [out.json]}\n",
    );
    p.write(
        "scores.json",
        "{\"macro_f1\": 0.75, \"per_class\": {\"along\": 0.5}, \"accuracy\": 0.875}",
    );
    let done = p.ok("repro --json").json();
    let run = done.last().unwrap()["run"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    register(&p, &run, "models/classifier");
    name_champion(&p, "1");
    let server = p.serve_ready("--model models:/digits@champion");
    let model = served(&server);
    assert_eq!(model["metrics"]["macro_f1"], 0.75);
    assert_eq!(model["metrics"]["per_class.along"], 0.5);
    assert_eq!(model["metrics"]["accuracy"], 0.875);
    let accuracy = |version: u64| {
        format!("cvops_model_accuracy_ratio{{model=\"digits\",version=\"{version}\"}}")
    };
    assert_eq!(server.metric(&accuracy(1)), 0.875);
    assert_eq!(
        model["input"],
        json!({"height": 16, "width": 16, "channels": 3})
    );
    assert!(
        model["loaded_at"].as_str().unwrap().ends_with('Z'),
        "{model}"
    );
    let answer = predict(server.port, &stripes(1, 3)).json();
    let expected = json!({"name": "digits", "version": "1", "alias": "champion"});
    assert_eq!(answer["model"], expected);
    assert_eq!(server.get("/models").json()["models"][0], model);
    // A version that nobody evaluated has none, and the one that is gone takes its own along.
    p.edit("params.yaml", "epochs: 3", "epochs: 2");
    let done = p.ok("repro train --json").json();
    let run = done.last().unwrap()["run"]["id"].as_str().unwrap();
    register(&p, run, "models/classifier");
    name_champion(&p, "2");
    wait_until("the other version is served", || {
        served(&server)["version"] == "2"
    });
    let exposed = server.get("/metrics").text();
    assert!(
        !exposed.contains("cvops_model_accuracy_ratio{"),
        "{exposed}"
    );
}

/// Ends the clients, however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks from a thread of its own.
fn predict(port: u16, picture: &[u8]) -> Answer {
    let mut stream = connect(port);
    let bytes = request("POST /predict", "Content-Type: image/png\r\n", picture);
    stream.write_all(&bytes).unwrap();
    receive(&mut stream)
}

#[test]
fn the_server_moves_with_the_alias_and_refuses_nothing() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    register(&p, &runs[1], "models/classifier");
    let server = p.serve("--model models:/digits@champion");
    // There is no alias yet: it is waited for.
    let told = server.event("no_model");
    assert_eq!(
        told["problem"],
        "the registry has no `models:/digits@champion`"
    );
    assert_eq!(server.get("/health/ready").status, 503);
    name_champion(&p, "1");
    assert_eq!(server.event("ready")["version"], "1");
    let model = served(&server);
    assert_eq!(model["name"], "digits");
    assert_eq!(model["alias"], "champion");
    assert_eq!(model["run_id"], runs[0].as_str());
    assert_eq!(model["behind"], Value::Null);
    let weights = model["blake3"].clone();

    let stop = AtomicBool::new(false);
    let picture = stripes(1, 3);
    let port = server.port;
    std::thread::scope(|scope| {
        let running = Stop(&stop);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut versions = Vec::new();
                    while !stop.load(Ordering::SeqCst) {
                        let answer = predict(port, &picture);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        let version = answer.header("X-Model-Version").unwrap().to_owned();
                        assert_eq!(answer.json()["model"]["version"], version.as_str());
                        versions.push(version);
                    }
                    versions
                })
            })
            .collect();
        for version in ["2", "1", "2"] {
            name_champion(&p, version);
            wait_until("the other version answers", || {
                server
                    .post("/predict", "image/png", &picture)
                    .header("X-Model-Version")
                    == Some(version)
            });
        }
        drop(running);
        for client in clients {
            let mut versions = client.join().unwrap();
            assert!(!versions.is_empty());
            versions.dedup();
            // A client sees the versions in their order, though maybe not all of them.
            let mut order = ["1", "2", "1", "2"].iter();
            assert!(
                versions
                    .iter()
                    .all(|version| order.any(|one| one == version)),
                "{versions:?}"
            );
        }
    });
    assert_ne!(served(&server)["blake3"], weights);
    let ok = |version: &str| {
        server.metric(&format!(
            "cvops_inference_requests_total{{model=\"digits\",outcome=\"ok\",protocol=\"native\",version=\"{version}\"}}"
        ))
    };
    assert!(1.0 <= ok("1") && 1.0 <= ok("2"));
    assert_eq!(
        server.metric("cvops_model_ready{model=\"digits\",version=\"2\"}"),
        1.0
    );

    // A version without a model leaves the other one serving.
    register(&p, &runs[0], "notes.txt");
    name_champion(&p, "3");
    let told = server.event("behind");
    assert_eq!(
        (&told["wanted"], &told["serving"]),
        (&json!("3"), &json!("2"))
    );
    let model = served(&server);
    assert_eq!(
        (&model["version"], &model["behind"]["version"]),
        (&json!("2"), &json!("3"))
    );
    assert_eq!(server.metric("cvops_model_behind{model=\"digits\"}"), 1.0);
    assert_eq!(server.post("/predict", "image/png", &picture).status, 200);
    name_champion(&p, "1");
    assert_eq!(server.event("ready")["version"], "1");
    assert_eq!(served(&server)["behind"], Value::Null);
    assert_eq!(server.metric("cvops_model_behind{model=\"digits\"}"), 0.0);
    // Nothing is left of the folders that models were loaded from.
    let left: Vec<String> = p
        .names(".cvops/tmp")
        .into_iter()
        .filter(|name| name.contains("tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_version_and_the_latest_one_can_be_named() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    let pinned = p.serve_ready("--model models:/digits/1 --name numbers");
    assert_eq!(served(&pinned)["name"], "numbers");
    let latest = p.serve_ready("--model models:/digits/latest");
    register(&p, &runs[1], "models/classifier");
    assert_eq!(latest.event("ready")["version"], "2");
    assert_eq!(served(&latest)["version"], "2");
    assert_eq!(served(&pinned)["version"], "1");
}

#[test]
fn what_is_no_address_of_a_model_is_told_with_the_forms() {
    let p = prepared_project();
    p.ok("init");
    check(
        &failed_start(&p, "--model models:/digits"),
        str![[r"
--- stderr ---
error: invalid value 'models:/digits' for '--model <MODEL>': a registered model is named `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/NAME/latest`

For more information, try '--help'.
[exit 2]
"]],
    );
    check(
        &failed_start(&p, "--model models:/digits@champion --strict"),
        str![[r"
--- stderr ---
error: `--strict` goes with the folder of a model, not with `models:/digits@champion`
 |
 = help: a registered version is served as it was registered: leave the flag out
[exit 2]
"]],
    );
}
