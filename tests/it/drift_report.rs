//! `cvops drift report`: what the prediction log of a server says about drift, hour by hour.

use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;

use crate::support::browser::{axe, browser};
use crate::support::client::{Server, base64};
use crate::support::html::fetched;
use crate::support::pictures::{png, stripes};
use crate::support::{Exit, Output, Project, check, project};

/// A reference of 120 pictures, and detectors that chance deceives once in a thousand reports. `properties` looks at
/// the pictures themselves, which the log of a server keeps.
const PARAMS: &str = "\
preprocess: {size: 16, val: 0.2, test: 0.5}
model:
  blocks: [{filters: 4, pool: max}]
  head: {dense: [8]}
train: {epochs: 3, batch_size: 8}
drift:
  alpha: 0.001
  permutations: 6000
  detectors: [{input: softmax}, {input: label}, {input: entropy}, {input: properties}]
  online: []
  outlier: {method: none}
";
const LOG: &str = ".cvops/predictions";
/// Four hours.
const TIME: &str = "--since 2026-03-01T10:00:00Z --until 2026-03-01T14:00:00Z";
/// Answers of each of them.
const EACH: usize = 50;

fn trained_project() -> Project {
    let p = project();
    p.ok("init");
    p.write("params.yaml", PARAMS);
    p.pictures("data/raw", &["across", "along"], 120);
    p.ok("preprocess");
    p.ok("train");
    p
}

fn fitted_project() -> Project {
    let p = trained_project();
    p.ok("drift fit");
    p
}

/// Asks a real server about pictures like those of the reference, then, from the third hour on, in the dark; and
/// moves what it logged to where the clock would have put it.
fn served_project() -> Project {
    let p = trained_project();
    let server = p.serve_ready("");
    // Numbers from all of those that the reference has.
    let usual = (0..2 * EACH).map(|i| stripes(i % 2, i / 2 * 37 % 120));
    let dark = std::iter::repeat_n(png(16, 16, |_, _| [3, 3, 3]), 2 * EACH);
    let pictures: Vec<Vec<u8>> = usual.chain(dark).collect();
    for some in pictures.chunks(EACH) {
        send(&server, some);
    }
    // All is written at the end.
    server.signal(Signal::TERM);
    server.end();
    let mut lines = log(&p);
    assert_eq!(lines.len(), 4 * EACH);
    for (at, line) in lines.iter_mut().enumerate() {
        line["ts"] = json!(time(at / EACH, at % EACH));
    }
    write_log(&p, &lines);
    p.ok("drift fit");
    p
}

fn send(server: &Server, pictures: &[Vec<u8>]) {
    let images: Vec<String> = pictures.iter().map(|picture| base64(picture)).collect();
    let body = json!({"images": images}).to_string();
    let answer = server.post("/predict/batch", "application/json", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The time of an answer: the hour, counted from the first one, and the minute.
fn time(hour: usize, minute: usize) -> String {
    format!("2026-03-01T{}:{minute:02}:30Z", 10 + hour)
}

/// Returns the name of the only segment.
fn segment(p: &Project) -> String {
    let names = p.names(LOG);
    let name = names.iter().find(|name| name.contains(".jsonl"));
    format!("{LOG}/{}", name.unwrap())
}

fn log(p: &Project) -> Vec<Value> {
    let text = p.read(&segment(p));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns the documents, one per line.
fn text_of(lines: impl Iterator<Item = impl ToString>) -> String {
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    lines.join("\n") + "\n"
}

fn write_log(p: &Project, lines: &[Value]) {
    p.write(&segment(p), text_of(lines.iter()));
}

/// Puts answers of the fitted model into the log of a server that never ran: `probabilities` of a number.
fn write_answers(p: &Project, count: usize, probabilities: impl Fn(usize) -> Value) {
    let model: Value = serde_json::from_str(&p.read("models/classifier/model.json")).unwrap();
    let answer = |i: usize| {
        json!({
            "kind": "prediction", "ts": time(i % 4, i / 4 % 60), "request_id": format!("r{i}"),
            "index": 0, "route": "/predict", "model": "classifier", "version": "1",
            "weights": model["weights"]["hash"], "label": "along", "confidence": 0.75, "classes": 2,
            "probabilities": probabilities(i), "latency_ms": 1.5, "image_blake3": "00",
            "size": [16, 16], "format": "PNG",
        })
    };
    let text = text_of((0..count).map(answer));
    p.write(&format!("{LOG}/20260301T100000000Z-1.jsonl"), text);
}

#[track_caller]
fn ends_with(output: &Output, code: i32) {
    assert_eq!(output.exit, Exit::Code(code), "{}", output.transcript());
}

/// Runs a report that ends with `code` and returns its JSON.
#[track_caller]
fn report(p: &Project, args: &str, code: i32) -> Value {
    let output = p.cvops(&format!("drift report --json {args}"));
    ends_with(&output, code);
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.transcript()))
}

fn verdicts(report: &Value) -> Vec<&str> {
    let windows = report["windows"].as_array().unwrap();
    windows
        .iter()
        .map(|window| window["checked"]["verdict"].as_str().unwrap())
        .collect()
}

#[test]
fn drift_of_served_pictures_is_found_and_since_when() {
    let p = served_project();
    // Somebody judged two answers of the first hour, one of them long after.
    let mut lines = log(&p);
    let judged = |line: &Value, label: Value| {
        json!({
            "kind": "feedback", "ts": "2026-03-02T08:00:00Z", "request_id": line["request_id"],
            "index": line["index"], "label": label, "source": "api",
        })
    };
    let wrong = ["across", "along"]
        .into_iter()
        .find(|class| lines[1]["label"] != **class);
    let said = [
        judged(&lines[0], lines[0]["label"].clone()),
        judged(&lines[1], json!(wrong.unwrap())),
    ];
    lines.extend(said);
    write_log(&p, &lines);

    let found = report(&p, TIME, 1);
    assert_eq!(found["verdict"], "drift");
    assert_eq!(found["is_drift"], true);
    assert_eq!(verdicts(&found), ["no_drift", "no_drift", "drift", "drift"]);
    assert_eq!(
        found["lasting"],
        json!({"since": "2026-03-01T12:00:00Z", "windows": 2, "perhaps_longer": false})
    );
    let windows = found["windows"].as_array().unwrap();
    for window in windows {
        assert_eq!(window["images"], EACH);
        // Four windows and the whole share the chance of a false alarm.
        assert_eq!(window["checked"]["alpha"], 0.001 / 5.0);
        let names: Vec<&Value> = window["checked"]["detectors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["softmax", "label", "entropy", "properties"]);
        assert_eq!(window["pictures"], EACH);
        assert_eq!(window["reference_arrived"], 0);
    }
    assert_eq!(windows[0]["from"], "2026-03-01T10:00:00Z");
    assert_eq!(
        (&windows[0]["judged"], &windows[0]["figures"]["accuracy"]),
        (&json!(2), &json!(0.5))
    );
    assert_eq!(windows[1]["figures"]["accuracy"], Value::Null);
    let whole = &found["whole"];
    assert_eq!(whole["images"], 4 * EACH);
    let unlike = &whole["checked"]["witnesses"]["unlike"][0]["picture"];
    let ids: Vec<String> = lines
        .iter()
        .map(|line| format!("{}/{}", line["request_id"].as_str().unwrap(), line["index"]))
        .collect();
    assert!(
        ids.contains(&unlike.as_str().unwrap().to_owned()),
        "{unlike}"
    );
    assert_eq!(found["log"]["models"], json!(["classifier"]));
    assert_eq!(found["log"]["is_cut"], false);
    assert_eq!(
        found["log"]["pictures"],
        json!({"kept": 4 * EACH, "not_looked_at": null})
    );
    assert_eq!(found["update"], "none");

    let output = p.cvops(&format!("drift report {TIME}"));
    ends_with(&output, 1);
    let shown = &output.stdout;
    for said in [
        "from (UTC)",
        "2026-03-01 10:00      50  none",
        "2026-03-01 12:00      50  drift",
        "all together",
        "reference (test)",
        "0.500 of 2",
        "drift since 2026-03-01 12:00 (UTC), in 2 of 4 windows; 200 answers against ",
        "most unlike the reference (request/picture): ",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let said = "drift is a p below 5e-5, corrected";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    let output = p.cvops(&format!("drift report --md {TIME}"));
    assert!(
        output.stdout.contains("| 2026-03-01 12:00 |"),
        "{}",
        output.stdout
    );

    // Whoever only tells, does not fail; and before it was dark, there was nothing to tell.
    assert_eq!(report(&p, &format!("{TIME} --no-fail"), 0), found);
    let before = report(
        &p,
        "--since 2026-03-01T10:00:00Z --until 2026-03-01T12:00:00Z",
        0,
    );
    assert_eq!(
        (&before["verdict"], &before["lasting"]),
        (&json!("no_drift"), &Value::Null)
    );
    let day = report(&p, &format!("{TIME} --window 1d"), 1);
    assert_eq!(verdicts(&day), ["drift"]);
    assert_eq!(day["lasting"]["perhaps_longer"], true);
    assert_eq!(day["whole"]["checked"]["alpha"], 0.001);

    let answers = report(&p, &format!("{TIME} --answers-only"), 1);
    let detectors = &answers["whole"]["checked"]["detectors"];
    assert_eq!(detectors.as_array().unwrap().len(), 3);
    let notes = answers["whole"]["checked"]["notes"].to_string();
    assert!(notes.contains("`properties`"), "{notes}");
    assert_eq!(
        answers["log"]["pictures"]["not_looked_at"],
        "`--answers-only`"
    );

    the_page_says_what_the_terminal_says(&p);
    a_reference_that_follows_hides_what_lasts(&p, &found);
}

fn the_page_says_what_the_terminal_says(p: &Project) {
    let without = p.cvops(&format!("drift report {TIME}"));
    assert!(
        without.stderr.contains("`--html FILE`"),
        "{}",
        without.stderr
    );
    let output = p.cvops(&format!(
        "drift report {TIME} --html reports/new/served.html"
    ));
    ends_with(&output, 1);
    assert_eq!(output.stdout, without.stdout);
    assert!(output.stderr.contains("`reports/new/served.html`"));
    let page = p.read("reports/new/served.html");
    assert_eq!(fetched(&page), [""; 0]);
    assert!(page.len() < 2_000_000, "{}", page.len());
    assert!(!page.contains("<script"));
    let verdict = output.stdout.lines().last().unwrap();
    let verdict = verdict.strip_prefix("drift ").unwrap();
    let verdict = format!("Drift {verdict}.");
    for shown in [
        verdict.as_str(),
        "2026-03-01 12:00 to 2026-03-01 13:00",
        "2 of 4",
        "50.0 % of 2",
        "properties: p",
        "properties: effect",
        "hours since 2026-03-01 10:00 (UTC)",
        "Predicted classes over time",
        "Accuracy over time",
        "Served pictures most unlike the reference",
        "Drift is a p below 5e-5",
        "What to do next",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    assert_eq!(page.matches("data:image/png;base64,").count(), 16);
    ends_with(
        &p.cvops(&format!("drift report {TIME} --html again.html --no-fail")),
        0,
    );
    assert_eq!(p.read("again.html"), page);
    if let Some(browser) = browser("the page of a drift report") {
        let shown = browser.page();
        shown.goto(&format!("file://{}", p.path("again.html").display()));
        assert_eq!(shown.text("h1"), "Drift report");
        for theme in ["light", "dark"] {
            shown.set_theme(theme);
            assert_eq!(axe(&shown), "", "{theme}");
        }
        shown.is_clean();
    }
}

fn a_reference_that_follows_hides_what_lasts(p: &Project, still: &Value) {
    let files = || -> Vec<Vec<u8>> {
        let names = p.names("models/drift").into_iter();
        names
            .map(|name| p.bytes(&format!("models/drift/{name}")))
            .collect()
    };
    let before = files();
    let args = format!("{TIME} --update last:50");
    let followed = report(p, &args, 1);
    // The second dark hour is like the first one.
    assert_eq!(
        verdicts(&followed),
        ["no_drift", "no_drift", "drift", "no_drift"]
    );
    assert_eq!(
        (&followed["update"], &followed["lasting"]),
        (&json!("last:50"), &Value::Null)
    );
    let windows = followed["windows"].as_array().unwrap();
    let arrived: Vec<&Value> = windows
        .iter()
        .map(|one| &one["reference_arrived"])
        .collect();
    assert_eq!(arrived, [0, EACH, EACH, EACH]);
    // All together is compared with what was fitted.
    assert_eq!(followed["whole"], still["whole"]);
    assert_eq!(report(p, &args, 1), followed);
    assert_eq!(files(), before);
    let output = p.cvops(&format!("drift report {TIME} --update reservoir:60"));
    ends_with(&output, 1);
    let said = "the reference follows (`reservoir:60`)";
    assert!(output.stderr.contains(said), "{}", output.stderr);
}

#[test]
fn answers_of_other_models_do_not_count() {
    let p = served_project();
    let mut lines = log(&p);
    for line in &mut lines[..10] {
        line["weights"] = json!("00".repeat(32));
    }
    lines[10]["route"] = json!("/explain");
    for line in &mut lines[11..20] {
        line["model"] = json!("other-name");
    }
    write_log(&p, &lines);
    // As if a kill had come in the middle of a line.
    let torn = p.read(&segment(&p)) + "{\"kind\":\"predic";
    p.write(&segment(&p), torn);
    let found = report(&p, &format!("{TIME} --model classifier"), 1);
    assert_eq!(found["whole"]["images"], 4 * EACH - 20);
    assert_eq!(
        found["log"]["left_out"],
        json!({"other_weights": 10, "other_names": 9, "explanations": 1, "unreadable": 1})
    );
    let output = p.cvops(&format!("drift report {TIME}"));
    let said = "left out: 10 answers of other weights than the detectors know, 1 explanation, \
                1 line that cannot be read";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert!(output.stdout.contains("189 answers"), "{}", output.stdout);
    check(
        &p.cvops(&format!("drift report {TIME} --model nobody")),
        str![[r#"
--- stderr ---
error: the prediction log has no answers of this model from [DATE] to [DATE] (UTC)
 |
 = note: left out: 10 answers of other weights than the detectors know, 189 answers by another name, 1 explanation, 1 line that cannot be read
 = help: `--model` takes a name of the log: classifier, other-name
[exit 2]
"#]],
    );

    p.write(
        "params.yaml",
        PARAMS.replace("epochs: 3", "epochs: 3, seed: 9"),
    );
    p.ok("train");
    // The pictures are there, and the network that answered is not.
    let found = report(&p, &format!("{TIME} --model classifier"), 1);
    let why = &found["log"]["pictures"]["not_looked_at"];
    let said = "`models/classifier` is not the model that answered; `--network PATH` names the model that answered";
    assert_eq!(why, said);
    let output = p.cvops(&format!("drift report {TIME} --network models/classifier"));
    ends_with(&output, 2);
    assert!(output.stderr.contains("another model"), "{}", output.stderr);
    p.ok("drift fit");
    let output = p.cvops(&format!("drift report {TIME}"));
    ends_with(&output, 2);
    for said in [
        "200 answers of other weights than the detectors know",
        "run `cvops drift fit` for the model that is served",
    ] {
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
}

#[test]
fn of_many_classes_only_labels_are_compared() {
    let p = fitted_project();
    // The model has two classes, of which the log would keep both; with more than fifty it keeps the likeliest.
    write_answers(&p, 40, |_| json!({"along": 0.75}));
    let found = report(&p, &format!("{TIME} --window 1d"), 1);
    let detectors = found["whole"]["checked"]["detectors"].as_array().unwrap();
    assert_eq!(detectors.len(), 1, "{detectors:?}");
    assert_eq!(detectors[0]["name"], "label");
    assert_eq!(found["whole"]["figures"]["entropy"], Value::Null);
    assert_eq!(found["whole"]["figures"]["confidence"], 0.75);
    assert_eq!(found["log"]["without_all_probabilities"], 40);
    let output = p.cvops(&format!("drift report {TIME} --window 1d"));
    let said = "of 40 of 40 answers, the log has the likeliest of 2 classes only";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert!(output.stdout.contains("by label"), "{}", output.stdout);

    let without = PARAMS.replace("{input: label}, ", "");
    p.write("params.yaml", without);
    p.ok("drift fit");
    check(
        &p.cvops(&format!("drift report {TIME}")),
        str![[r#"
--- stderr ---
error: none of the fitted detectors looks at what the prediction log holds: `label`
 |
 = help: add `{input: label}` to `drift.detectors` in params.yaml, and run `cvops drift fit` again
[exit 2]
"#]],
    );
}

#[test]
fn a_few_answers_are_no_verdict_and_probabilities_that_are_none_are_left_out() {
    let p = fitted_project();
    write_answers(&p, 5, |i| {
        if i == 0 {
            json!({"across": 0.25, "along": 0.75})
        } else {
            json!({"across": 0.9, "along": 0.75})
        }
    });
    let output = p.cvops(&format!("drift report {TIME}"));
    ends_with(&output, 2);
    assert!(
        output.stdout.contains("no verdict; 1 answer "),
        "{}",
        output.stdout
    );
    let stderr = &output.stderr;
    assert!(stderr.contains("4 lines that cannot be read"), "{stderr}");
    assert!(
        stderr.contains("the detector `softmax` could not be computed"),
        "{stderr}"
    );
}

#[test]
fn a_sampled_log_is_said_to_be_one() {
    let p = fitted_project();
    p.write(
        "params.yaml",
        format!("{PARAMS}serve: {{log: {{sample: 0.25}}}}\n"),
    );
    write_answers(&p, 40, |_| json!({"across": 0.25, "along": 0.75}));
    let output = p.cvops(&format!("drift report {TIME} --window 1d"));
    let said = "the log has a share of the requests only: 25.0 % (`serve.log.sample`)";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert_eq!(report(&p, TIME, 1)["log"]["sample"], 0.25);
}

#[test]
fn what_cannot_be_reported_is_said() {
    let p = fitted_project();
    check(
        &p.cvops("drift report"),
        str![[r#"
--- stderr ---
error: the prediction log has no answers of this model from [DATE] to [DATE] (UTC)
 |
 = help: take a longer time: `--since 7d`; `cvops serve` writes the log unless `serve.log.sample` is 0
[exit 2]
"#]],
    );
    check(
        &p.cvops("drift report --since 1h --until 2h"),
        str![[r#"
--- stderr ---
error: this time ends before it begins: from [DATE] to [DATE] (UTC)
 |
 = help: give an `--until` that is later than `--since`
[exit 2]
"#]],
    );
    for (args, said) in [
        ("--since yesterday", "a time looks like 24h or 7d (ago)"),
        ("--window 5s", "a window looks like 1h, 1d or 15m"),
        ("--drift models/none", "holds no fitted detectors"),
        (
            "--update last:5",
            "a rule looks like none, last:500 or reservoir:500, with 10 to 20000 rows",
        ),
    ] {
        let output = p.cvops(&format!("drift report {args}"));
        ends_with(&output, 2);
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
    // Minutes without end, one answer in each.
    write_answers(&p, 1, |_| json!({"across": 0.25, "along": 0.75}));
    let one = &log(&p)[0];
    let lines: Vec<Value> = (0..501)
        .map(|minute| {
            let mut line = one.clone();
            line["ts"] = json!(format!(
                "2026-03-01T{:02}:{:02}:00Z",
                minute / 60,
                minute % 60
            ));
            line
        })
        .collect();
    write_log(&p, &lines);
    let day = "--since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z";
    let output = p.cvops(&format!("drift report {day} --window 1m"));
    ends_with(&output, 2);
    let said = "this is a time of 501 windows, and at most 500 are compared";
    assert!(output.stderr.contains(said), "{}", output.stderr);
}
