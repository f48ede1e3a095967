//! `cvops serve` with several models, a canary, a shadow, and models that are exchanged on demand.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use snapbox::str;

use crate::serve_registry::{name_champion, register, two_models};
use crate::support::client::Server;
use crate::support::pictures::{prepared_project, stripes};
use crate::support::stages::wait_until;
use crate::support::{Project, check};

/// Adds models to `params.yaml`.
fn with_models(p: &Project, models: &str) {
    let before = std::fs::read_to_string(p.path("params.yaml")).unwrap();
    p.write(
        "params.yaml",
        format!("{before}serve:\n  models:\n{models}"),
    );
}

fn version_of(server: &Server, headers: &str) -> String {
    let headers = format!("Content-Type: image/png\r\n{headers}");
    let answer = server.send("POST /predict", &headers, &stripes(0, 1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("X-Model-Version").unwrap().to_owned()
}

fn reload(server: &Server, name: &str, body: &str) -> (u16, Value) {
    let answer = server.post(&format!("/models/{name}/reload"), "application/json", body);
    (answer.status, answer.json())
}

#[test]
fn several_models_have_names() {
    let p = prepared_project();
    p.ok("train");
    p.edit("params.yaml", "epochs: 3", "epochs: 2");
    p.ok("train --out models/second");
    let server = p.serve("--model models/classifier --model other=models/second");
    let models = server.get("/models").json();
    let names: Vec<&str> = models["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["classifier", "other"]);
    let ready = server.get("/health/ready").json();
    assert_eq!(ready["models"].as_array().unwrap().len(), 2);
    let ask = |path: &str| server.post(path, "image/png", stripes(0, 1));
    for (path, name) in [
        ("/predict", "classifier"),
        ("/predict?model=classifier", "classifier"),
        ("/predict?model=other&version=1", "other"),
    ] {
        assert_eq!(ask(path).json()["model"]["name"], name, "{path}");
    }
    assert_ne!(
        ask("/predict").json()["probabilities"],
        ask("/predict?model=other").json()["probabilities"]
    );
    let unknown = ask("/predict?model=third");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["code"], "model_not_found");
    assert_eq!(
        unknown.json()["detail"],
        "no model `third` is served here, but `classifier`, `other`"
    );
    let unknown = ask("/predict?version=7");
    assert_eq!(
        (unknown.status, &unknown.json()["code"]),
        (404, &json!("version_not_found"))
    );
    assert_eq!(server.get("/model?model=other").json()["name"], "other");
    for name in ["classifier", "other"] {
        let series = format!("cvops_inference_images_total{{model=\"{name}\",version=\"1\"}}");
        assert!(2.0 <= server.metric(&series), "{name}");
        assert_eq!(
            server.metric(&format!("cvops_inference_queue_length{{model=\"{name}\"}}")),
            0.0
        );
    }
}

#[test]
fn while_one_of_the_models_is_missing_the_others_answer() {
    let p = prepared_project();
    p.ok("train");
    let server = p.serve("--model models/classifier --model later=models/later");
    assert_eq!(server.event("no_model")["model"], "later");
    let ready = server.get("/health/ready");
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &json!("loading"))
    );
    let ask = |path: &str| server.post(path, "image/png", stripes(0, 1)).status;
    assert_eq!((ask("/predict"), ask("/predict?model=later")), (200, 503));
    p.ok("train --out models/later");
    assert_eq!(server.event("ready")["model"], "later");
    assert_eq!(
        (
            ask("/predict?model=later"),
            server.get("/health/ready").status
        ),
        (200, 200)
    );
}

#[test]
fn a_canary_answers_its_share() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    register(&p, &runs[1], "models/classifier");
    with_models(
        &p,
        "    digits:\n      model: models:/digits/1\n      canary: {model: models:/digits/2, percent: 30}\n",
    );
    let server = p.serve("");
    assert_eq!(server.event("ready")["role"], "main");
    assert_eq!(server.event("ready")["role"], "canary");
    let share = |version: &str, role: &str| {
        let series = format!(
            "cvops_model_share_ratio{{model=\"digits\",role=\"{role}\",version=\"{version}\"}}"
        );
        server.metric(&series)
    };
    assert_eq!((share("1", "main"), share("2", "canary")), (0.7, 0.3));
    let key = |i: usize| format!("X-Canary-Key: customer-{i}\r\n");
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    let versions: Vec<String> = (0..60).map(|i| version_of(&server, &key(i))).collect();
    for version in &versions {
        *answered.entry(version.clone()).or_default() += 1;
    }
    // Which keys belong to the canary is fixed, so this number is.
    assert!((8..30).contains(&answered["2"]), "{answered:?}");
    for (i, version) in versions.iter().enumerate() {
        assert_eq!(
            version_of(&server, &key(i)),
            *version,
            "customer {i} changed sides"
        );
    }
    // Who names a version gets it.
    let pinned = server.post("/predict?version=2", "image/png", stripes(0, 1));
    assert_eq!(pinned.header("X-Model-Version"), Some("2"));
    let ok = |version: &str| {
        server.metric(&format!(
            "cvops_inference_requests_total{{model=\"digits\",outcome=\"ok\",protocol=\"native\",version=\"{version}\"}}"
        ))
    };
    assert_eq!(ok("1") + ok("2"), 121.0);
    let roles: Vec<Value> = server.get("/models").json()["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| json!([model["version"], model["role"], model["share"]]))
        .collect();
    assert_eq!(
        roles,
        [json!(["1", "main", 0.7]), json!(["2", "canary", 0.3])]
    );
}

#[test]
fn a_canary_that_cannot_be_loaded_leaves_all_to_the_main_version() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    register(&p, &runs[0], "notes.txt");
    with_models(
        &p,
        "    digits:\n      model: models:/digits/1\n      canary: {model: models:/digits/2, percent: 100}\n",
    );
    let server = p.serve("");
    assert_eq!(server.event("broken")["role"], "canary");
    assert_eq!(version_of(&server, ""), "1");
    assert_eq!(server.get("/health/ready").status, 200);
}

#[test]
fn a_shadow_is_asked_and_compared_and_never_sent() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    register(&p, &runs[1], "models/classifier");
    with_models(
        &p,
        "    digits:\n      model: models:/digits/1\n      shadow: models:/digits/2\n",
    );
    let server = p.serve("");
    assert_eq!(server.event("ready")["role"], "main");
    assert_eq!(server.event("ready")["role"], "shadow");
    // Who names the shadow's version is answered by it, and it is not compared with itself.
    for _ in 0..3 {
        let pinned = server.post("/predict?version=2", "image/png", stripes(0, 1));
        assert_eq!(pinned.header("X-Model-Version"), Some("2"));
    }
    for _ in 0..8 {
        assert_eq!(version_of(&server, ""), "1");
    }
    let of = |name: &str| {
        server.metric(&format!(
            "cvops_shadow_{name}_total{{model=\"digits\",version=\"2\"}}"
        ))
    };
    wait_until("all are compared", || of("comparisons") == 8.0);
    // The same picture each time: all agree, or none.
    assert!([0.0, 8.0].contains(&of("agreements")));
    assert_eq!(
        server.metric("cvops_shadow_dropped_total{model=\"digits\"}"),
        0.0
    );
    // What the shadow says is no prediction, but for those who asked it by its version.
    let metrics = server.get("/metrics").text();
    let predicted = metrics.lines().filter_map(|line| {
        let (labels, value) = line
            .strip_prefix("cvops_predictions_total{")?
            .split_once("} ")?;
        labels.contains("version=\"2\"").then_some(value)
    });
    let predicted: f64 = predicted.map(|value| value.parse::<f64>().unwrap()).sum();
    assert_eq!(predicted, 3.0);
    let lines = || -> Vec<Value> {
        let folder = p.path(".cvops/predictions");
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|e| e == "jsonl") {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                lines.extend(
                    text.lines()
                        .filter_map(|line| serde_json::from_str(line).ok()),
                );
            }
        }
        lines
    };
    let shadows = || {
        lines()
            .into_iter()
            .filter(|line| line["kind"] == "shadow")
            .count()
    };
    wait_until("all are logged", || shadows() == 8);
    let line = lines()
        .into_iter()
        .find(|line| line["kind"] == "shadow")
        .unwrap();
    assert_eq!(
        (&line["version"], &line["model"]),
        (&json!("2"), &json!("digits"))
    );
}

#[test]
fn what_is_unloaded_answers_by_no_version() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    register(&p, &runs[1], "models/classifier");
    with_models(
        &p,
        "    digits:\n      model: models:/digits/1\n      canary: {model: models:/digits/2, percent: 100}\n",
    );
    let server = p.serve("");
    assert_eq!(server.event("ready")["role"], "main");
    assert_eq!(server.event("ready")["role"], "canary");
    let ask = |query: &str| {
        let path = format!("/predict{query}");
        server.post(&path, "image/png", stripes(0, 1)).outcome()
    };
    assert_eq!(ask("?version=2"), "200 -");
    let unloaded = server.post("/models/digits/unload", "text/plain", "");
    assert_eq!(unloaded.status, 200);
    for query in ["", "?version=1", "?version=2"] {
        assert_eq!(ask(query), "503 model_not_ready", "{query}");
    }
    for path in [
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/2/ready",
    ] {
        assert_eq!(server.get(path).status, 503, "{path}");
    }
    let states = || -> (Value, Vec<Value>) {
        let status = server.get("/v1/models/digits").json();
        let versions = status["model_version_status"].as_array().unwrap().iter();
        let states = versions.map(|version| version["state"].clone()).collect();
        (status["ready"].clone(), states)
    };
    let (ready, unloaded) = states();
    assert_eq!(ready, false);
    assert!(unloaded.iter().all(|state| state == "END"), "{unloaded:?}");
    let of_canary = server.get("/v1/models/digits/versions/2");
    assert_eq!(of_canary.status, 503, "{}", of_canary.text());
    let index = || {
        let index = server.post("/v2/repository/index", "application/json", "");
        let entries = index.json().as_array().unwrap().clone();
        let states = entries.iter().map(|entry| entry["state"].clone());
        states.collect::<Vec<Value>>()
    };
    assert_eq!(index(), ["UNAVAILABLE", "UNAVAILABLE"]);
    let canary_is_ready = "cvops_model_ready{model=\"digits\",version=\"2\"} 1";
    let says = || server.get("/metrics").text().contains(canary_is_ready);
    assert!(!says());
    assert_eq!(reload(&server, "digits", "").0, 200);
    assert_eq!(states(), (json!(true), vec![json!("AVAILABLE"); 2]));
    assert_eq!(index(), ["READY", "READY"]);
    assert!(says());
    assert_eq!(
        (ask(""), ask("?version=2")),
        ("200 -".to_owned(), "200 -".to_owned())
    );
}

#[test]
fn an_operator_exchanges_a_registered_model() {
    let (p, runs) = two_models();
    register(&p, &runs[0], "models/classifier");
    register(&p, &runs[1], "models/classifier");
    register(&p, &runs[0], "notes.txt");
    let server = p.serve_ready("--model models:/digits/1");
    let (status, model) = reload(&server, "digits", r#"{"version": "2"}"#);
    assert_eq!((status, &model["version"]), (200, &json!("2")));
    assert_eq!(version_of(&server, ""), "2");
    // What cannot be loaded changes nothing.
    for (body, status) in [
        (r#"{"version": "3"}"#, 409),
        (r#"{"version": "9"}"#, 409),
        (r#"{"version": "x"}"#, 409),
        (r#"{"alias": "champion"}"#, 409),
        (r#"{"alias": "a", "version": "1"}"#, 422),
        (r#"{"verison": "1"}"#, 422),
        (r#"{"version": true}"#, 422),
        ("[]", 422),
        ("{", 422),
    ] {
        let (found, answer) = reload(&server, "digits", body);
        assert_eq!(found, status, "{body}: {answer}");
        assert_eq!(version_of(&server, ""), "2", "{body}");
    }
    assert_eq!(reload(&server, "letters", "{}").0, 404);
    let unload = |name: &str| server.post(&format!("/models/{name}/unload"), "text/plain", "");
    assert_eq!(unload("letters").status, 404);
    for verb in ["reload", "unload"] {
        let from_page = server.send(
            &format!("POST /models/digits/{verb}"),
            "Origin: http://127.0.0.1:8000\r\n",
            b"",
        );
        assert_eq!(
            (from_page.status, &from_page.json()["code"]),
            (403, &json!("from_page"))
        );
    }
    assert_eq!(unload("digits").json()["status"], "unloaded");
    let refused = server.post("/predict", "image/png", stripes(0, 1));
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (503, &json!("model_not_ready"))
    );
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(server.get("/health/ready").status, 503);
    let (status, failed) = reload(&server, "digits", r#"{"version": "3"}"#);
    let detail = failed["detail"].as_str().unwrap();
    assert!(
        status == 409 && detail.ends_with("; it is not served until it is loaded"),
        "{failed}"
    );
    assert_eq!(reload(&server, "digits", "null").0, 200);
    assert_eq!(version_of(&server, ""), "2");
    assert_eq!(
        server
            .post("/models/digits/reload", "text/plain", "{}")
            .status,
        415
    );
    assert_eq!(server.get("/models/digits/reload").status, 405);
    // An alias that was asked for is followed from then on.
    name_champion(&p, "1");
    let (status, model) = reload(&server, "digits", r#"{"alias": "champion"}"#);
    assert_eq!((status, &model["alias"]), (200, &json!("champion")));
    let by_alias = |alias: &str| {
        let path = format!("/predict?alias={alias}");
        server.post(&path, "image/png", stripes(0, 1))
    };
    assert_eq!(by_alias("champion").header("X-Model-Version"), Some("1"));
    assert_eq!(by_alias("challenger").status, 404);
    name_champion(&p, "2");
    wait_until("the alias is followed", || version_of(&server, "") == "2");
}

#[test]
fn an_operator_has_a_folder_read_again() {
    let p = prepared_project();
    p.ok("train");
    let server = p.serve_ready("");
    let weights = || {
        server.get("/model").json()["blake3"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = weights();
    p.edit("params.yaml", "epochs: 3", "epochs: 2");
    p.ok("train");
    assert_eq!(weights(), before, "nobody asked for it");
    let (status, model) = reload(&server, "classifier", "");
    assert_eq!((status, model["blake3"] == before.as_str()), (200, false));
    assert_ne!(weights(), before);
    let (status, answer) = reload(&server, "classifier", r#"{"version": "2"}"#);
    assert_eq!((status, &answer["code"]), (422, &json!("validation")));
    let now = weights();
    p.remove("models/classifier/model.json");
    let (status, answer) = reload(&server, "classifier", "{}");
    assert_eq!((status, &answer["code"]), (409, &json!("reload_failed")));
    assert_eq!((weights(), version_of(&server, "").as_str()), (now, "1"));
}

#[test]
fn names_and_models_are_checked_before_the_server_starts() {
    let p = prepared_project();
    p.ok("train");
    check(
        &p.cvops("serve --model models/classifier --model x/../classifier=models/second --name a"),
        str![[r#"
--- stderr ---
error: `--name a` is one name for 2 models
 |
 = help: give each its own: `--model NAME=MODEL`
[exit 2]
"#]],
    );
    check(
        &p.cvops("serve --model models/classifier --model classifier=models/second"),
        str![[r#"
--- stderr ---
error: two models are to be served as `classifier`
 |
 = help: give each a name of its own: `--model NAME=MODEL`
[exit 2]
"#]],
    );
    with_models(&p, "    digits: {model: 'models:/digits'}\n");
    check(
        &p.cvops("serve"),
        str![[r#"
--- stderr ---
error: `serve.models.digits.model`: a registered model is named `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/NAME/latest`
[exit 2]
"#]],
    );
}

#[test]
fn a_folder_tells_how_well_it_did_as_soon_as_it_is_evaluated() {
    let p = prepared_project();
    p.write(
        "pipeline.yaml",
        "stages:\n  train: {cmd: cvops train, params: [train], outs: [models/classifier]}\n  \
         score: {cmd: cp scores.json out.json, deps: [scores.json, models/classifier], metrics: [out.json]}\n",
    );
    p.write("scores.json", "{\"accuracy\": 0.75, \"top_k_accuracy\": 1}");
    p.ok("repro train");
    let server = p.serve_ready("");
    assert_eq!(server.get("/model").json()["metrics"], Value::Null);
    let series = "cvops_model_accuracy_ratio{model=\"classifier\",version=\"1\"}";
    assert!(!server.get("/metrics").text().contains(series));
    // While it is served.
    p.ok("repro");
    wait_until("the accuracy is known", || {
        server.get("/metrics").text().contains(series)
    });
    assert_eq!(server.metric(series), 0.75);
    let model = server.get("/model").json();
    assert_eq!(
        model["metrics"],
        json!({"accuracy": 0.75, "top_k_accuracy": 1.0})
    );
    // Another model in the folder is not the one that is served: what is said of it is not said of this
    // one.
    p.edit("params.yaml", "epochs: 3", "epochs: 2");
    p.write("scores.json", "{\"accuracy\": 0.5}");
    p.ok("repro");
    wait_until("nothing is known of the one that is served", || {
        !server.get("/metrics").text().contains(series)
    });
    assert_eq!(server.get("/model").json()["lock"], "differs");
    // Read again, it is the one that was evaluated.
    assert_eq!(reload(&server, "classifier", "").0, 200);
    assert_eq!(server.metric(series), 0.5);
}
