//! The prediction log of `cvops serve` and `POST /feedback`, seen from clients and from the files.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::Project;
use crate::support::client::{Server, base64};
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;

const RECORDS: &str = "cvops_prediction_log_records_total";
const DROPPED: &str = "cvops_prediction_log_dropped_total";

/// Predictions are logged in projects only.
fn logged_project() -> Project {
    let p = trained_project();
    p.ok("init");
    p
}

fn judged(correct: bool) -> String {
    format!("cvops_feedback_total{{correct=\"{correct}\",model=\"classifier\",version=\"1\"}}")
}

fn with_params(p: &Project, more: &str) {
    let params = p.read("params.yaml") + more;
    p.write("params.yaml", params);
}

fn segments(p: &Project, extension: &str) -> Vec<String> {
    let Ok(dir) = std::fs::read_dir(p.path(".cvops/predictions")) else {
        return Vec::new();
    };
    let names = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(extension)).collect();
    names.sort();
    names
}

/// Returns all records, oldest first.
fn records(p: &Project) -> Vec<Value> {
    let mut records = Vec::new();
    for name in segments(p, ".jsonl") {
        let text = p.read(&format!(".cvops/predictions/{name}"));
        records.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    records
}

fn predict(server: &Server, number: usize) -> Value {
    let answer = server.post("/predict", "image/png", stripes(1, number));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn feedback(server: &Server, body: &Value) -> (u16, Value) {
    let answer = server.post("/feedback", "application/json", body.to_string());
    (answer.status, answer.json())
}

fn wait_for(server: &Server, series: &str, least: f64) {
    wait_until(series, || least <= server.metric(series));
}

#[test]
fn the_prediction_of_an_explanation_is_logged_and_judged() {
    let p = logged_project();
    let server = p.serve_ready("");
    let sent = stripes(0, 3);
    let answer = server.post("/explain", "image/png", &sent);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let body = json!({"request_id": told["request_id"], "label": told["label"]});
    assert_eq!(feedback(&server, &body).0, 202);
    let logged = records(&p);
    assert_eq!(logged.len(), 2, "{logged:?}");
    assert_eq!(
        (&logged[0]["route"], &logged[0]["label"]),
        (&json!("/explain"), &told["label"])
    );
    assert_eq!(logged[0]["image_blake3"], blake3_of(&p, &sent));
    assert_eq!(server.metric(&judged(true)), 1.0);
}

#[test]
fn what_nobody_is_answered_is_not_asked_counted_or_logged() {
    let p = logged_project();
    let server = p.serve_ready("");
    let (good, bad) = (base64(&stripes(0, 1)), base64(b"no picture"));
    let tensor =
        json!({"name": "image_bytes", "datatype": "BYTES", "shape": [2], "data": [good, bad]});
    for (path, body) in [
        ("/invocations", json!({"inputs": [good, bad]})),
        (
            "/v1/models/classifier:predict",
            json!({"instances": [{"b64": good}, {"b64": bad}]}),
        ),
        (
            "/v1/models/classifier:classify",
            json!({"examples": [{"image": {"b64": good}}, {"image": {"b64": "?"}}]}),
        ),
        ("/v2/models/classifier/infer", json!({"inputs": [tensor]})),
    ] {
        let answer = server.post(path, "application/json", body.to_string());
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("picture 1 (from 0): "), "{path}");
    }
    let images = "cvops_inference_images_total{model=\"classifier\",version=\"1\"}";
    assert_eq!(server.metric(images), 0.0);
    // In a batch of our own, each picture is answered for itself.
    let batch = json!({"images": [good, bad]}).to_string();
    let batch = server.post("/predict/batch", "application/json", batch);
    let told = &batch.json()["predictions"];
    let (id, label) = (&told[0]["request_id"], &told[0]["label"]);
    assert_eq!(told[1]["error"]["code"], "image_decode");
    // The answer to feedback comes after all that came before is written.
    let said = feedback(&server, &json!({"request_id": id, "label": label}));
    assert_eq!(said.0, 202);
    let routes: Vec<Value> = records(&p).iter().map(|one| one["route"].clone()).collect();
    assert_eq!(routes, [json!("/predict/batch"), Value::Null]);
    assert_eq!(server.metric(images), 1.0);
}

#[test]
fn predictions_are_logged_with_their_pictures_and_feedback() {
    let p = logged_project();
    let server = p.serve_ready("");
    assert!(!p.exists(".cvops/predictions"), "nothing was predicted yet");
    let sent = stripes(1, 3);
    let answer = server.post("/predict?top_k=1&threshold=1", "image/png", &sent);
    let told = answer.json();
    let id = told["request_id"].as_str().unwrap();
    // The answer to feedback comes after all that came before is written.
    let right = told["top_k"][0]["label"].as_str().unwrap();
    let body = json!({"request_id": id, "label": right, "comment": "clear"});
    assert_eq!(
        feedback(&server, &body),
        (202, json!({"status": "accepted"}))
    );

    let logged = records(&p);
    assert_eq!(logged.len(), 2, "{logged:?}");
    let one = &logged[0];
    assert_eq!(one["kind"], "prediction");
    assert_eq!(one["request_id"], id);
    assert_eq!(one["route"], "/predict");
    assert_eq!(
        (&one["model"], &one["version"]),
        (&json!("classifier"), &json!("1"))
    );
    assert_eq!(one["label"], right, "whatever the threshold");
    assert_eq!(one["confidence"], told["confidence"]);
    assert_eq!(one["probabilities"].as_object().unwrap().len(), 2);
    assert_eq!(one["size"], json!([16, 16]));
    assert_eq!(one["format"], "PNG");
    assert_eq!(one["image_blake3"], blake3_of(&p, &sent));
    assert_eq!(one["weights"], server.get("/model").json()["blake3"]);
    assert!(one["latency_ms"].as_f64().unwrap() > 0.0);
    let said = &logged[1];
    assert_eq!(said["kind"], "feedback");
    assert_eq!(
        (&said["source"], &said["comment"]),
        (&json!("api"), &json!("clear"))
    );

    let [pictures] = &segments(&p, ".pictures")[..] else {
        panic!("one file of pictures");
    };
    let pictures = p.bytes(&format!(".cvops/predictions/{pictures}"));
    let at = one["picture"]["at"].as_u64().unwrap() as usize;
    let len = one["picture"]["len"].as_u64().unwrap() as usize;
    let kept = &pictures[at..at + len];
    assert_eq!(&kept[..8], b"\x89PNG\r\n\x1a\n");
    // It is what the model saw: asked again, the same answer.
    let again = server.post("/predict", "image/png", kept).json();
    assert_eq!(again["confidence"], told["confidence"]);
    assert_eq!(server.metric(&judged(true)), 1.0);
    assert_eq!(server.metric(&judged(false)), 0.0);
    assert_eq!(server.metric(DROPPED), 0.0);
}

/// Returns the hash that the program itself gives a file with these bytes.
fn blake3_of(p: &Project, bytes: &[u8]) -> String {
    p.write("hashed.png", bytes);
    p.ok("add hashed.png");
    let pointer = p.read("hashed.png.cvops");
    let line = pointer.lines().find_map(|line| {
        line.trim()
            .trim_start_matches("- ")
            .strip_prefix("blake3: ")
    });
    line.unwrap_or_else(|| panic!("{pointer}")).to_owned()
}

#[test]
fn every_picture_of_a_request_is_logged_by_its_place() {
    let p = logged_project();
    let server = p.serve_ready("");
    let images: Vec<String> = (0..3)
        .map(|i| {
            if i == 1 {
                "AAAA".to_owned()
            } else {
                base64(&stripes(i % 2, i))
            }
        })
        .collect();
    let answer = server.post(
        "/predict/batch",
        "application/json",
        json!({"images": images}).to_string(),
    );
    assert_eq!(answer.status, 200);
    let id = answer.header("X-Request-Id").unwrap().to_owned();
    let target = server.get("/model").json()["input"].clone();
    let side = |key: &str| target[key].as_u64().unwrap() as usize;
    let one = vec![vec![vec![0.5; side("channels")]; side("width")]; side("height")];
    let answer = server.post(
        "/predict/model",
        "application/json",
        json!({"data": [one, one]}).to_string(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_for(&server, RECORDS, 4.0);
    let logged = records(&p);
    let places: Vec<(&str, u64)> = logged
        .iter()
        .map(|r| (r["route"].as_str().unwrap(), r["index"].as_u64().unwrap()))
        .collect();
    let batch = "/predict/batch";
    let model = "/predict/model";
    assert_eq!(places, [(batch, 0), (batch, 2), (model, 0), (model, 1)]);
    assert_eq!(logged[2]["format"], Value::Null);
    assert_eq!(logged[2]["image_blake3"], logged[3]["image_blake3"]);
    assert!(logged[3]["picture"].is_object());

    let label = &logged[1]["label"];
    let (status, _) = feedback(
        &server,
        &json!({"request_id": id, "label": label, "index": 2}),
    );
    assert_eq!(status, 202);
    let (status, body) = feedback(
        &server,
        &json!({"request_id": id, "label": label, "index": 1}),
    );
    assert_eq!((status, &body["code"]), (404, &json!("unknown_picture")));
}

#[test]
fn feedback_is_checked_and_a_second_word_counts_once() {
    let p = logged_project();
    let server = p.serve_ready("");
    let told = predict(&server, 1);
    let id = told["request_id"].as_str().unwrap();
    let classes: Vec<&String> = told["probabilities"].as_object().unwrap().keys().collect();
    let (status, body) = feedback(&server, &json!({"request_id": id, "label": "nonsense"}));
    assert_eq!(status, 422);
    let msg = body["detail"][0]["msg"].as_str().unwrap();
    assert!(
        classes.iter().all(|class| msg.contains(class.as_str())),
        "{msg}"
    );
    let (status, body) = feedback(
        &server,
        &json!({"request_id": "no-such", "label": classes[0]}),
    );
    assert_eq!((status, &body["code"]), (404, &json!("unknown_request")));
    let (status, body) = feedback(&server, &json!({"label": classes[0]}));
    assert_eq!(
        (status, &body["detail"][0]["type"]),
        (422, &json!("missing"))
    );
    let answer = server.post("/feedback", "text/plain", "x");
    assert_eq!(answer.status, 415);
    let answer = server.post("/feedback", "application/json", vec![b' '; 70_000]);
    assert_eq!(answer.status, 413);
    assert_eq!(server.get("/feedback").status, 405);

    let wrong = classes
        .iter()
        .find(|class| told["label"] != ***class)
        .unwrap();
    for label in [wrong.as_str(), told["label"].as_str().unwrap()] {
        let (status, _) = feedback(&server, &json!({"request_id": id, "label": label}));
        assert_eq!(status, 202);
    }
    let sum = server.metric(&judged(true)) + server.metric(&judged(false));
    assert_eq!(sum, 1.0);
}

#[test]
fn a_kill_leaves_a_log_that_the_next_server_goes_on_with() {
    let p = logged_project();
    let server = p.serve_ready("");
    let told = predict(&server, 1);
    wait_for(&server, RECORDS, 1.0);
    server.signal(Signal::KILL);
    server.end();
    let before = segments(&p, ".jsonl");
    // As if the kill had come in the middle of a line.
    let file = format!(".cvops/predictions/{}", before[0]);
    let torn = p.read(&file) + "{\"kind\":\"predic";
    p.write(&file, torn);

    let server = p.serve_ready("");
    predict(&server, 2);
    // The new server does not remember the answer of the old one: the files do.
    let body = json!({"request_id": told["request_id"], "label": told["label"]});
    assert_eq!(feedback(&server, &body).0, 202);
    assert_eq!(
        segments(&p, ".jsonl"),
        before,
        "it goes on in the same file"
    );
    let text = p.read(&file);
    let kinds: Vec<Option<Value>> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line)
                .ok()
                .map(|r| r["kind"].clone())
        })
        .collect();
    let prediction = Some(json!("prediction"));
    let said = Some(json!("feedback"));
    assert_eq!(kinds, [prediction.clone(), None, prediction, said]);
    assert_eq!(server.metric(&judged(true)), 1.0);
    assert_eq!(feedback(&server, &body).0, 202);
    assert_eq!(server.metric(&judged(true)), 1.0, "a second word");
}

#[test]
fn what_is_left_is_written_at_the_end() {
    let p = logged_project();
    let server = p.serve_ready("");
    predict(&server, 1);
    server.signal(Signal::TERM);
    server.end();
    assert_eq!(records(&p).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_prediction() {
    let p = logged_project();
    p.write(".cvops/predictions", "in the way");
    let server = p.serve_ready("");
    for number in 0..3 {
        predict(&server, number);
    }
    wait_for(&server, DROPPED, 3.0);
    let told = predict(&server, 4);
    let body = json!({"request_id": told["request_id"], "label": told["label"]});
    let (status, body) = feedback(&server, &body);
    assert_eq!((status, &body["code"]), (503, &json!("log_unwritable")));
    let log = p.serve_log();
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
    assert_eq!(server.get("/health/ready").status, 200);

    p.remove(".cvops/predictions");
    wait_until("the log is written again", || {
        predict(&server, 5);
        1.0 <= server.metric(RECORDS)
    });
}

#[test]
fn the_log_is_as_large_as_params_say_or_off() {
    let p = logged_project();
    with_params(&p, "serve: {log: {sample: 0}}\n");
    let server = p.serve_ready("");
    let told = predict(&server, 1);
    let body = json!({"request_id": told["request_id"], "label": told["label"]});
    let (status, body) = feedback(&server, &body);
    assert_eq!((status, &body["code"]), (404, &json!("log_off")));
    server.signal(Signal::TERM);
    server.end();
    assert!(!p.exists(".cvops/predictions"));

    let params = p
        .read("params.yaml")
        .replace("sample: 0", "sample: 1, pictures: false");
    p.write("params.yaml", params);
    let server = p.serve_ready("");
    predict(&server, 1);
    server.signal(Signal::TERM);
    server.end();
    assert_eq!(records(&p)[0]["picture"], Value::Null);
    assert!(segments(&p, ".pictures").is_empty());
}

#[test]
fn the_page_shows_the_server_and_takes_feedback_that_its_metrics_count() {
    let p = logged_project();
    let server = p.serve_ready("");
    let told = predict(&server, 1);
    wait_for(&server, RECORDS, 1.0);
    let pages = p.ui(&format!("--serve-url {}", server.url("")));
    let text = pages.get("/serving").text();
    for part in [
        "</span> ready</span>",
        "the only prediction of the log",
        "Nobody has judged",
        "<dt>p99</dt>",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, after) = text.split_once("src=\"/serving/pictures/").unwrap();
    let (picture, _) = after.split_once('"').unwrap();
    let picture = pages.get(&format!("/serving/pictures/{picture}"));
    assert_eq!((picture.status, &picture.body[1..4]), (200, &b"PNG"[..]));
    let id = told["request_id"].as_str().unwrap();
    let label = told["label"].as_str().unwrap();
    let form = format!("request_id={id}&index=0&label={label}");
    let answer = pages.post(
        "/serving/feedback",
        "application/x-www-form-urlencoded",
        form,
    );
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(server.metric(&judged(true)), 1.0);
    assert_eq!(records(&p)[1]["source"], "ui");
    assert!(pages.get("/serving").text().contains("1 of 1 judged"));
}
