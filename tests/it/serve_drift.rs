//! Drift in `cvops serve`: what its detectors say of the pictures that come, what is kept, and what is run.

use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;

use crate::support::client::{Server, base64, failed_start};
use crate::support::pictures::{png, stripes, trained_project};
use crate::support::stages::wait_until;
use crate::support::{Project, check, project};

/// A reference of 120 pictures, and detectors that chance deceives once in ten thousand windows.
const PARAMS: &str = "\
preprocess: {size: 16, val: 0.2, test: 0.5}
model:
  blocks: [{filters: 4, pool: max}]
  head: {dense: [8]}
train: {epochs: 3, batch_size: 8}
drift:
  alpha: 0.0001
  detectors: [{input: softmax}, {input: properties}]
  online:
    - {input: softmax, window: 20, ert: 5000, every: 2}
    - {input: error, window: 12, ert: 1000}
  outlier: {method: none}
serve: {drift: {window: 100}}
";

/// Detectors of what enters the last layer and of pictures, of a small reference.
const OF_PICTURES: &str = "\
drift:
  split: train
  alpha: 0.001
  detectors: [{input: embedding, test: ks}, {input: properties}]
  online: [{input: embedding, window: 4, ert: 1000, every: 1}]
  outlier: {method: knn, fpr: 0.1}
serve: {drift: {window: 20}}
";

/// Says what was found once for each time that it is run, and whether it may have large pages.
const ON_DRIFT: &str = "\
on_drift:
  command: >-
    echo \"$CVOPS_DRIFT_MODEL $CVOPS_DRIFT_VERSION\" >> ran.txt;
    grep THP_enabled /proc/self/status > pages.txt; true
  period: 1h
  after: 1ms
";

fn watched_project() -> Project {
    let p = project();
    p.ok("init");
    p.write("params.yaml", PARAMS);
    p.pictures("data/raw", &["across", "along"], 120);
    p.ok("preprocess");
    p.ok("train");
    p.ok("drift fit");
    p
}

/// Pictures as those of the reference, and none of them.
fn usual(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| stripes(i % 2, 120 + i)).collect()
}

/// The lamp is out.
fn dark(count: usize) -> Vec<Vec<u8>> {
    vec![png(16, 16, |_, _| [3, 3, 3]); count]
}

fn send(server: &Server, pictures: &[Vec<u8>]) {
    for some in pictures.chunks(50) {
        let images: Vec<String> = some.iter().map(|picture| base64(picture)).collect();
        let body = json!({"images": images}).to_string();
        let answer = server.post("/predict/batch", "application/json", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Returns what is answered, each with its place in the request.
fn ask(server: &Server, pictures: &[Vec<u8>]) -> Vec<Value> {
    let images: Vec<String> = pictures.iter().map(|picture| base64(picture)).collect();
    let body = json!({"images": images}).to_string();
    let answer = server.post("/predict/batch", "application/json", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut answers = answer.json()["predictions"].as_array().unwrap().clone();
    for (index, answer) in answers.iter_mut().enumerate() {
        answer["index"] = json!(index);
    }
    answers
}

/// Says what each picture really shows.
fn judge(server: &Server, answers: &[Value], truth: fn(&str) -> String) {
    for answer in answers {
        let label = truth(answer["label"].as_str().unwrap());
        let body =
            json!({"request_id": answer["request_id"], "index": answer["index"], "label": label});
        let said = server.post("/feedback", "application/json", body.to_string());
        assert_eq!(said.status, 202, "{}", said.text());
    }
}

fn the_other(label: &str) -> String {
    let other = if label == "across" { "along" } else { "across" };
    other.to_owned()
}

fn detected(detector: &str) -> String {
    format!("cvops_drift_detected{{detector=\"{detector}\",model=\"classifier\"}}")
}

fn checks(detector: &str, result: &str) -> String {
    format!(
        "cvops_drift_checks_total{{detector=\"{detector}\",model=\"classifier\",result=\"{result}\"}}"
    )
}

fn exposes(server: &Server, name: &str) -> bool {
    let text = server.get("/metrics").text();
    text.lines()
        .any(|line| line.starts_with(&format!("{name}{{")))
}

/// What `GET /models` says of the detectors.
fn told(server: &Server) -> Value {
    server.get("/models").json()["models"][0]["drift"].clone()
}

fn detector(server: &Server, name: &str) -> Value {
    let told = told(server);
    let all = told["detectors"].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == name);
    found
        .unwrap_or_else(|| panic!("no `{name}` in {told}"))
        .clone()
}

/// What Linux says of a process' large pages; nothing before 5.0 and on other systems.
fn large_pages(process: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("THP_enabled"));
    line.map(|line| format!("{line}\n")).unwrap_or_default()
}

fn stop(server: Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn drift_is_found_kept_over_a_restart_and_answered_once() {
    let p = watched_project();
    p.write(".cvops/config.yaml", ON_DRIFT);
    let server = p.serve_ready("");
    let watched = server.event("drift_watched");
    let detectors = json!(["softmax", "properties", "online_softmax", "online_error"]);
    assert_eq!(watched["detectors"], detectors);
    assert_eq!(watched["left_out"], json!([]));
    assert_eq!(told(&server)["state"], "watched");
    // Nobody has looked: that is not "no drift".
    assert!(!exposes(&server, "cvops_drift_detected"));

    // An explanation asks about a picture that a prediction has been asked about.
    let explained = server.post("/explain", "image/png", stripes(0, 1));
    assert_eq!(explained.status, 200);
    send(&server, &usual(110));
    for detector in ["softmax", "online_softmax"] {
        let found = checks(detector, "ok");
        wait_until("the detectors look", || 1.0 <= server.metric(&found));
        assert_eq!(server.metric(&detected(detector)), 0.0, "{detector}");
    }
    wait_until("all are looked at", || told(&server)["images"] == 110);
    assert_eq!(detector(&server, "softmax")["result"], "ok");
    assert!(!p.exists("ran.txt"));

    send(&server, &dark(200));
    for detector in ["softmax", "online_softmax"] {
        let found = detected(detector);
        wait_until("drift is found", || server.metric(&found) == 1.0);
    }
    let threshold = "cvops_drift_threshold{detector=\"softmax\",model=\"classifier\"}";
    let p_value = "cvops_drift_p_value{detector=\"softmax\",model=\"classifier\"}";
    assert!(server.metric(p_value) < server.metric(threshold));
    assert_eq!(server.event("drift")["model"], "classifier");
    assert_eq!(server.event("on_drift_started")["version"], "1");
    assert_eq!(server.event("on_drift_ended")["exit_code"], 0);
    assert_eq!(p.read("ran.txt"), "classifier 1\n");
    // As the server was started, not as it has set itself.
    assert_eq!(p.read("pages.txt"), large_pages("self"));
    let of_server = large_pages(&server.pid().to_string());
    assert!(!of_server.ends_with("1\n"), "{of_server}");
    wait_until("it is shown", || {
        detector(&server, "online_softmax")["detected"] == true
    });
    let since = detector(&server, "online_softmax")["drift_since"].clone();
    assert!(since.is_string());
    stop(server);

    let server = p.serve_ready("");
    server.event("drift_watched");
    // The stream's alarm goes on; a window begins anew, and remembers when it began.
    assert_eq!(server.metric(&detected("online_softmax")), 1.0);
    assert_eq!(detector(&server, "online_softmax")["drift_since"], since);
    let window = detector(&server, "softmax");
    assert_eq!(
        (&window["detected"], &window["result"]),
        (&Value::Null, &Value::Null),
        "it has not looked yet"
    );
    assert!(window["drift_since"].is_string());
    send(&server, &dark(100));
    wait_until("the window is full", || {
        1.0 <= server.metric(&checks("softmax", "drift"))
    });

    let reset = server.post("/models/classifier/drift/reset", "text/plain", "");
    assert_eq!(
        (reset.status, reset.json()),
        (200, json!({"status": "reset"}))
    );
    assert!(!exposes(&server, "cvops_drift_detected"));
    for name in ["softmax", "online_softmax"] {
        let one = detector(&server, name);
        assert_eq!(
            (&one["detected"], &one["drift_since"]),
            (&Value::Null, &Value::Null)
        );
    }
    stop(server);
    // Within the period, whoever serves.
    assert_eq!(p.read("ran.txt"), "classifier 1\n");
    let ran: Value = serde_json::from_str(&p.read(".cvops/drift/on-drift.json")).unwrap();
    assert_eq!(
        (&ran["model"], &ran["exit_code"]),
        (&json!("classifier"), &json!(0))
    );

    let server = p.serve_ready("");
    server.event("drift_watched");
    assert!(!exposes(&server, "cvops_drift_detected"), "a reset is kept");
}

#[test]
fn detectors_of_another_model_are_refused_aloud_until_they_are_fitted_again() {
    let p = watched_project();
    let server = p.serve_ready("");
    server.event("drift_watched");
    let answers = ask(&server, &usual(30));
    judge(&server, &answers[..14], str::to_owned);
    let (ok, too_few) = (
        checks("online_error", "ok"),
        checks("online_error", "too_few"),
    );
    wait_until("feedback is looked at", || 3.0 <= server.metric(&ok));
    assert_eq!(server.metric(&detected("online_error")), 0.0);
    judge(&server, &answers[14..29], the_other);
    let found = detected("online_error");
    wait_until("errors have become more", || server.metric(&found) == 1.0);
    assert_eq!(server.event("drift")["detector"], "online_error");
    p.write("params.yaml", PARAMS.replace("epochs: 3", "epochs: 2"));
    p.ok("train");
    let reload = server.post("/models/classifier/reload", "application/json", "");
    assert_eq!(reload.status, 200, "{}", reload.text());
    let refused = server.event("drift_refused");
    let problem = refused["problem"].as_str().unwrap();
    assert!(problem.contains("another model"), "{problem}");
    assert!(problem.contains("`cvops drift fit`"), "{problem}");
    // Answers go on.
    send(&server, &usual(4));
    assert!(1.0 <= server.metric(&checks("all", "error")));
    assert_eq!(told(&server)["state"], "refused");
    assert_eq!(told(&server)["problem"], problem);
    for gone in [
        "cvops_drift_detected",
        "cvops_drift_last_check_timestamp_seconds",
    ] {
        assert!(!exposes(&server, gone), "{gone}");
    }
    let reset = server.post("/models/classifier/drift/reset", "text/plain", "");
    assert_eq!(reset.outcome(), "409 not_watched");
    p.ok("drift fit");
    server.event("drift_watched");
    assert_eq!(told(&server)["state"], "watched");
    // What was wrong of the network before is no error of this one. A reset comes after all that was said.
    let before = server.metric(&too_few);
    judge(&server, &answers[29..], the_other);
    judge(&server, &ask(&server, &usual(1)), the_other);
    let reset = server.post("/models/classifier/drift/reset", "text/plain", "");
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert_eq!(server.metric(&too_few), before + 1.0);
    let unknown = server.post("/models/none/drift/reset", "text/plain", "");
    assert_eq!(unknown.outcome(), "404 model_not_found");
}

#[test]
fn what_was_kept_and_does_not_fit_is_set_aside() {
    let p = watched_project();
    let kept = || {
        let names = p.names(".cvops/drift").into_iter();
        let names = names.filter(|name| name.starts_with("state-"));
        names.collect::<Vec<String>>()
    };
    let run = || {
        let server = p.serve_ready("");
        server.event("drift_watched");
        send(&server, &usual(4));
        wait_until("they are looked at", || told(&server)["images"] == 4);
        stop(server);
    };
    run();
    let names = kept();
    let [name] = names.as_slice() else {
        panic!("{names:?}")
    };
    let aside = format!("{name}.set-aside");
    run();
    assert_eq!(kept(), names, "it fits");
    // Damaged.
    p.write(&format!(".cvops/drift/{name}"), "{\"schema\": 1}");
    run();
    assert!(p.serve_log().contains("is set aside"), "{}", p.serve_log());
    assert_eq!(p.read(&format!(".cvops/drift/{aside}")), "{\"schema\": 1}");
    // Of other detectors of the same model.
    p.write("params.yaml", PARAMS.replace("window: 20", "window: 10"));
    p.ok("drift fit");
    run();
    assert!(p.serve_log().contains("fitted anew"), "{}", p.serve_log());
    assert_ne!(p.read(&format!(".cvops/drift/{aside}")), "{\"schema\": 1}");
    assert_eq!(kept(), [name.clone(), aside]);
}

/// Detectors of embeddings and of pictures, and a score of single pictures, of the trained project `p`.
fn strange_pictures_are_seen_by_what_looks_at_pictures(p: &Project, params: &str) {
    p.write("params.yaml", format!("{params}{OF_PICTURES}"));
    p.ok("drift fit");
    let server = p.serve_ready("");
    let names = ["embedding", "properties", "online_embedding"];
    let watched = server.event("drift_watched");
    let [window, pictures, stream] = names;
    let scored = "embedding-knn";
    assert_eq!(
        watched["detectors"],
        json!([window, pictures, stream, scored])
    );
    assert_eq!(watched["left_out"], json!([]));
    let score =
        |name: &str| format!("cvops_outlier_{name}{{detector=\"{scored}\",model=\"classifier\"}}");
    let brightness = |name: &str| {
        format!("cvops_image_property_{name}{{model=\"classifier\",property=\"brightness\"}}")
    };
    // There before the first picture.
    for name in [score("total"), score("score_count"), brightness("count")] {
        assert_eq!(server.metric(&name), 0.0, "{name}");
    }
    assert_eq!(server.metric(&score("expected_share")), 0.1);

    // Those that it was fitted to, and some more.
    let known: Vec<Vec<u8>> = (0..20).map(|i| stripes(i % 2, i)).collect();
    send(&server, &known);
    for name in [window, pictures] {
        wait_until("the window is compared", || {
            1.0 <= server.metric(&checks(name, "ok"))
        });
    }
    assert_eq!(server.metric(&score("score_count")), 20.0);
    let usual = server.metric(&score("total"));
    assert!(usual <= 6.0, "{usual}");
    let light = server.metric(&brightness("sum")) / server.metric(&brightness("count"));
    assert!((0.3..0.7).contains(&light), "{light}");

    send(&server, &dark(20));
    for name in names {
        let found = detected(name);
        wait_until("drift is found", || server.metric(&found) == 1.0);
    }
    assert_eq!(server.metric(&score("score_count")), 40.0);
    assert_eq!(server.metric(&score("total")), usual + 20.0);
    // A picture that came as numbers is measured and scored like any other.
    let numbers = json!({"instances": [vec![vec![[0.0; 3]; 16]; 16]]}).to_string();
    let answer = server.post("/v1/models/classifier:predict", "application/json", numbers);
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_until("it is scored", || {
        server.metric(&score("total")) == usual + 21.0
    });
    assert_eq!(server.metric(&brightness("count")), 41.0);
}

#[test]
fn detectors_are_those_that_were_named_and_none_where_none_are_wanted() {
    let p = trained_project();
    let server = p.serve_ready("");
    // There are none, and nobody has asked for any.
    assert_eq!(told(&server), Value::Null);
    let reset = server.post("/models/classifier/drift/reset", "text/plain", "");
    assert_eq!(reset.outcome(), "409 not_watched");
    drop(server);
    let server = p.serve_ready("--drift models/nowhere");
    let refused = server.event("drift_refused");
    assert_eq!(
        refused["problem"],
        "there are no fitted detectors in `models/nowhere`; `cvops drift fit` makes them"
    );
    drop(server);
    let params = p.read("params.yaml");
    strange_pictures_are_seen_by_what_looks_at_pictures(&p, &params);
    p.write("params.yaml", format!("{params}serve: {{drift: false}}\n"));
    let server = p.serve_ready("");
    assert!(!exposes(&server, "cvops_drift_dropped_total"));
    drop(server);
    check(
        &failed_start(
            &p,
            "--drift models/drift --model a=models/classifier --model b=models/classifier",
        ),
        str![[r"
--- stderr ---
error: `--drift models/drift` names detectors of one model for 2 models
 |
 = help: detectors are fitted to one model: name them as `serve.models.NAME.drift` in params.yaml
[exit 2]
"]],
    );
}
