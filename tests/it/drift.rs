//! `cvops drift fit` and `cvops drift check`: detectors of a model, and what they say of new pictures.

use serde_json::Value;
use snapbox::str;

use crate::support::html::fetched;
use crate::support::pictures::{PARAMS, png, stripe};
use crate::support::{Exit, Output, Project, check, project};

/// So strict that none of these tests meets a false alarm.
const STRICT: &str = "drift: {alpha: 0.001, permutations: 6000}\n";

/// Returns a trained project with 24 test pictures, without fitted detectors.
fn trained(drift: &str) -> Project {
    let p = project();
    p.write("params.yaml", format!("{PARAMS}{drift}"));
    p.pictures("data/raw", &["across", "along"], 60);
    p.ok("preprocess");
    p.ok("train");
    p
}

/// Returns the same with fitted detectors.
fn fitted() -> Project {
    let p = trained(STRICT);
    p.ok("drift fit");
    p
}

/// Writes pictures like those of the project, at a quarter of their brightness.
fn darkened(p: &Project, dir: &str, each: usize) {
    for (label, class) in ["across", "along"].iter().enumerate() {
        for number in 0..each {
            let dark = move |x, y| stripe(label, number, x, y).map(|value| value / 4);
            p.write(&format!("{dir}/{class}/{number:02}.png"), png(16, 16, dark));
        }
    }
}

#[track_caller]
fn ends_with(output: &Output, code: i32) {
    assert_eq!(output.exit, Exit::Code(code), "{}", output.transcript());
}

/// Runs a check that ends with `code` and returns its JSON.
#[track_caller]
fn checked(p: &Project, args: &str, code: i32) -> Value {
    let output = p.cvops(&format!("drift check --json {args}"));
    ends_with(&output, code);
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.transcript()))
}

fn detector<'v>(checked: &'v Value, name: &str) -> &'v Value {
    let all = checked["detectors"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()
}

#[test]
fn the_same_pictures_are_no_drift() {
    let p = fitted();
    let output = p.cvops("drift check data/prepared --split val");
    ends_with(&output, 0);
    assert!(output.stdout.contains("no drift"), "{}", output.stdout);
    let checked = checked(&p, "data/prepared --split val", 0);
    assert_eq!(checked["verdict"], "no_drift");
    assert_eq!(checked["is_drift"], false);
    assert_eq!(checked["reference"]["split"], "test");
    assert_eq!(checked["reference"]["rows"], 24);
    let notes = checked["notes"].to_string();
    assert!(!notes.contains("of these data"), "{notes}");
    for one in checked["detectors"].as_array().unwrap() {
        let p = one["measured"]["p_val"].as_f64().unwrap();
        assert!(0.0 < p && p <= 1.0, "{one}");
    }
}

#[test]
fn the_reference_itself_is_nothing_new() {
    let p = fitted();
    let found = checked(&p, "data/prepared --split test", 0);
    let notes = found["notes"].to_string();
    let said = "the pictures of the reference (the test split of these data)";
    assert!(notes.contains(said), "{notes}");
    assert!(!notes.contains("train"), "{notes}");
    let stderr = p.cvops("drift check data/prepared").stderr;
    for said in [said, "may have learned from the train split"] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
}

#[test]
fn darkened_pictures_are_drift_and_it_is_said_which() {
    let p = fitted();
    darkened(&p, "dark", 20);
    let output = p.cvops("drift check dark");
    ends_with(&output, 1);
    for said in [
        "brightness",
        "drift: ",
        "most unlike the reference: dark/",
        "by their folders",
    ] {
        assert!(output.stdout.contains(said), "{said}: {}", output.stdout);
    }
    let found = checked(&p, "dark", 1);
    assert_eq!(found["verdict"], "drift");
    assert_eq!(found["rows"], 40);
    let properties = &detector(&found, "properties")["measured"];
    assert_eq!(properties["is_drift"], true);
    let brightness = &properties["features"][0];
    assert_eq!(brightness["name"], "brightness");
    assert_eq!(brightness["is_drift"], true);
    // Three quarters of the brightness are more than a standard deviation.
    assert!(brightness["effect"].as_f64().unwrap() > 1.0, "{brightness}");
    let unlike = found["witnesses"]["unlike"].as_array().unwrap();
    assert_eq!(unlike.len(), 16);
    assert!(unlike[0]["picture"].as_str().unwrap().starts_with("dark/"));
    let accuracy = &found["accuracy"];
    for key in ["reference", "estimated", "actual"] {
        let share = accuracy[key].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&share), "{key}: {accuracy}");
    }
    // For pipelines, and for one detector alone.
    let lenient = checked(&p, "dark --no-fail", 0);
    assert_eq!(lenient, found);
    let one = checked(&p, "dark --detector properties", 1);
    assert_eq!(one["detectors"].as_array().unwrap().len(), 1);
    assert_eq!(one["detectors"][0]["alpha"], 0.001);
}

#[test]
fn the_page_shows_what_moved_and_needs_nothing_else() {
    let p = fitted();
    darkened(&p, "dark", 20);
    p.write("dark/bad.png", "hello\n");
    let without = p.cvops("drift check dark");
    assert!(
        without.stderr.contains("`--html FILE`"),
        "{}",
        without.stderr
    );
    let output = p.cvops("drift check dark --html reports/new/drift.html");
    ends_with(&output, 1);
    assert!(output.stderr.contains("`reports/new/drift.html`"));
    assert_eq!(output.stdout, without.stdout);
    let page = p.read("reports/new/drift.html");
    assert_eq!(fetched(&page), [""; 0]);
    assert!(page.len() < 2_000_000, "{}", page.len());
    // The verdict is that of the terminal.
    let verdict = output.stdout.lines().last().unwrap();
    let verdict = verdict.strip_prefix("drift: ").unwrap();
    assert!(page.contains(&format!("Drift: {verdict}.")), "{verdict}");
    for shown in [
        "accuracy, counted",
        "accuracy, estimated",
        "Predicted classes",
        "New pictures most unlike the reference",
        "alt=\"dark/",
        "of the reference: taken for",
        "probability of across",
        ">brightness<",
        "principal component",
        "dark/bad.png",
        "not a PNG",
        "What to do next",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    // 16 new pictures and 16 of the reference; no score of outliers was fitted.
    assert_eq!(page.matches("data:image/png;base64,").count(), 32);
    ends_with(&p.cvops("drift check dark --html again.html --no-fail"), 0);
    assert_eq!(p.read("again.html"), page);
    // What cannot be written is an error, not a verdict.
    p.write("file", "");
    let output = p.cvops("drift check dark --html file/drift.html");
    ends_with(&output, 2);
    assert!(output.stderr.contains("file"), "{}", output.stderr);
}

#[test]
fn fitting_twice_gives_the_same_bytes() {
    let p = fitted();
    p.ok("drift fit --out again");
    let files = p.names("models/drift");
    assert_eq!(
        files,
        ["drift.json", "online.jsonl", "reference.safetensors"]
    );
    for file in files {
        let (first, second) = (format!("models/drift/{file}"), format!("again/{file}"));
        assert_eq!(p.bytes(&first), p.bytes(&second), "{file}");
    }
    let manifest: Value = serde_json::from_str(&p.read("models/drift/drift.json")).unwrap();
    let model: Value = serde_json::from_str(&p.read("models/classifier/model.json")).unwrap();
    assert_eq!(manifest["model"], model["weights"]["hash"]);
    // What needs more than 24 pictures is left out with a word.
    let notes = manifest["notes"].to_string();
    for left_out in ["online_softmax", "outlier"] {
        assert!(notes.contains(left_out), "{notes}");
    }
}

#[test]
fn a_stream_is_watched_where_it_is_asked_for() {
    let p = trained(
        "drift: {online: [{input: softmax, window: 5, ert: 100, every: 2}], outlier: {fpr: 0.1}}\n",
    );
    let output = p.ok("drift fit --json");
    let said: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(said["online"][0]["name"], "online_softmax");
    assert_eq!(said["outlier"]["method"], "mahalanobis");
    assert_eq!(p.read("models/drift/online.jsonl").lines().count(), 1);
    let text = p.ok("drift fit").stdout;
    assert!(text.contains("one in 200 answers"), "{text}");
    assert!(text.contains("10.0 % of pictures"), "{text}");
}

#[test]
fn strange_pictures_are_found_one_by_one() {
    let p = trained("drift: {online: [], outlier: {fpr: 0.1}}\n");
    p.ok("drift fit");
    darkened(&p, "dark", 20);
    let all = "data/raw dark";
    let output = p.ok(&format!("drift score {all} --csv new/scores.csv --json"));
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&found["rows"], &found["method"]),
        (&160.into(), &"mahalanobis".into())
    );
    let threshold = found["threshold"].as_f64().unwrap();
    let scores = found["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 160);
    let of = |one: &Value, key: &str| one[key].as_f64().unwrap();
    assert!(scores.is_sorted_by(|a, b| of(a, "score") >= of(b, "score")));
    assert!(scores.is_sorted_by(|a, b| of(a, "p_val") <= of(b, "p_val")));
    for one in scores {
        assert_eq!(one["is_outlier"], threshold < of(one, "score"), "{one}");
        // Of 24 usual pictures, as many as score at least as high, and itself.
        assert!((0.04..=1.0).contains(&of(one, "p_val")), "{one}");
    }
    let outliers = scores
        .iter()
        .filter(|one| one["is_outlier"] == true)
        .count();
    assert!(0 < outliers, "{found}");
    assert_eq!(found["outliers"], outliers);
    assert!((of(&found, "share") - outliers as f64 / 160.0).abs() < 1e-12);
    let csv = p.read("new/scores.csv");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("picture,class,score,p_val,is_outlier"));
    let first = scores[0]["picture"].as_str().unwrap();
    assert!(
        lines.next().unwrap().starts_with(&format!("{first},")),
        "{csv}"
    );
    assert_eq!(lines.count(), 159);
    // The table is cut, a limit is kept or not, and what is no picture is neither.
    let output = p.cvops(&format!("drift score {all} --top 3 --limit 0"));
    ends_with(&output, 1);
    assert!(output.stdout.contains(first), "{}", output.stdout);
    assert!(
        output.stdout.contains("more than the limit of 0.0 %"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stderr
            .contains("157 pictures of lower scores left out"),
        "{}",
        output.stderr
    );
    p.write("dark/bad.png", "hello\n");
    ends_with(&p.cvops("drift score dark --limit 1"), 2);
    ends_with(&p.cvops("drift score dark --limit 1 --skip-unreadable"), 0);
    ends_with(&p.cvops("drift score dark --limit 2"), 2);
}

#[test]
fn detectors_of_another_model_are_refused() {
    let p = fitted();
    p.write(
        "params.yaml",
        PARAMS.replace("epochs: 3", "epochs: 3, seed: 9"),
    );
    p.ok("train");
    let output = p.cvops("drift check data/raw");
    ends_with(&output, 2);
    let manifest: Value = serde_json::from_str(&p.read("models/drift/drift.json")).unwrap();
    let model: Value = serde_json::from_str(&p.read("models/classifier/model.json")).unwrap();
    let hashes = [&manifest["model"], &model["weights"]["hash"]];
    for said in hashes.map(|hash| hash.as_str().unwrap()) {
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    assert!(output.stderr.contains("`cvops drift fit` again"));
}

#[test]
fn too_few_pictures_are_no_verdict() {
    let p = fitted();
    let output = p.cvops("drift check data/raw/along/03.png");
    ends_with(&output, 2);
    assert!(output.stdout.contains("no verdict"), "{}", output.stdout);
    let why = "needs at least 2 rows, found 1";
    assert!(output.stderr.contains(why), "{}", output.stderr);
    let found = checked(&p, "data/raw/along/03.png --no-fail", 2);
    assert_eq!(found["verdict"], "incomplete");
    let softmax = detector(&found, "softmax");
    assert!(
        softmax["error"].as_str().unwrap().contains(why),
        "{softmax}"
    );
}

#[test]
fn what_is_no_picture_is_listed() {
    let p = fitted();
    darkened(&p, "dark", 20);
    p.write("dark/bad.png", "hello\n");
    let output = p.cvops("drift check dark");
    ends_with(&output, 1);
    assert!(output.stderr.contains("left out dark/bad.png: not a PNG"));
    let found = checked(&p, "dark", 1);
    assert_eq!(found["rows"], 40);
    assert_eq!(found["unreadable"][0]["path"], "dark/bad.png");
    assert_eq!(found["unreadable_count"], 1);
    // Drift in the others is drift; no drift in the others says nothing of this one.
    p.write("data/raw/along/bad.png", "hello\n");
    let usual = "data/raw --detector properties";
    let output = p.cvops(&format!("drift check {usual}"));
    ends_with(&output, 2);
    assert!(output.stdout.contains("no drift"), "{}", output.stdout);
    for said in ["1 of 121 files cannot be read", "`--skip-unreadable`"] {
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
    let found = checked(&p, usual, 2);
    assert_eq!(
        (&found["verdict"], &found["rows"]),
        (&"no_drift".into(), &120.into())
    );
    for lenient in ["--skip-unreadable", "--no-fail"] {
        ends_with(&p.cvops(&format!("drift check {usual} {lenient}")), 0);
    }
    // No score of outliers was fitted to so few pictures.
    let output = p.cvops("drift score data/raw");
    ends_with(&output, 2);
    for said in [
        "no score of outliers",
        "left out: the detector `outlier`",
        "`drift.outlier.method`",
    ] {
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
    check(
        &p.cvops("drift check dark/bad.png"),
        str![[r#"
--- stderr ---
error: none of the files can be read as a picture
 |
 = note: `dark/bad.png`: not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)
[exit 2]
"#]],
    );
    check(
        &p.cvops("drift check nothing"),
        str![[r#"
--- stderr ---
error: there is no `nothing`
 |
 = help: name pictures, folders of pictures, or a folder of prepared data
[exit 2]
"#]],
    );
}

#[test]
fn damaged_folders_are_refused() {
    let p = fitted();
    check(
        &p.cvops("drift check data/raw --drift models/none"),
        str![[r#"
--- stderr ---
error: `models/none/drift.json` holds no fitted detectors: the file is missing
 |
 = help: `cvops drift fit` writes them
[exit 2]
"#]],
    );
    let manifest = p.read("models/drift/drift.json");
    p.write(
        "models/drift/drift.json",
        manifest.replacen("\"version\": 1", "\"version\": 2", 1),
    );
    let output = p.cvops("drift check data/raw");
    ends_with(&output, 2);
    let said = "is of format version 2; this program reads version 1";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    for (from, to, said) in [
        (
            "\"permutations\": 6000",
            "\"permutations\": 1000000000000",
            "`settings` are not understood",
        ),
        (
            "\"name\": \"entropy\"",
            "\"name\": \"softmax\"",
            "two detectors are called `softmax`",
        ),
    ] {
        p.write("models/drift/drift.json", manifest.replacen(from, to, 1));
        let output = p.cvops("drift check data/raw");
        ends_with(&output, 2);
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
    p.write("models/drift/drift.json", &manifest);
    let mut bytes = p.bytes("models/drift/reference.safetensors");
    *bytes.last_mut().unwrap() ^= 1;
    p.write("models/drift/reference.safetensors", bytes);
    let output = p.cvops("drift check data/raw");
    ends_with(&output, 2);
    assert!(
        output.stderr.contains("was changed or cut"),
        "{}",
        output.stderr
    );
}

#[test]
fn unknown_detectors_and_bad_parameters_are_named() {
    let p = fitted();
    let output = p.cvops("drift check data/raw --detector mmd");
    ends_with(&output, 2);
    assert!(output.stderr.contains("there is no detector `mmd`"));
    for (section, said) in [
        ("{alfa: 0.1}", "unknown key `alfa` in `drift`"),
        (
            "{alpha: 0}",
            "`drift.alpha` must be a number from 0.000001 to 0.5",
        ),
        (
            "{detectors: []}",
            "`drift.detectors` must name at least one detector",
        ),
        ("{detectors: [{}]}", "`drift.detectors[0]` has no `input`"),
        (
            "{detectors: [{input: softmx}]}",
            "`drift.detectors[0].input` must be one of",
        ),
        (
            "{detectors: [{input: label, test: ks}]}",
            "`drift.detectors[0].test`: `ks` cannot look at `label`",
        ),
        (
            "{detectors: [{input: error, test: mmd}]}",
            "`drift.detectors[0].test`: `mmd` cannot look at `error`",
        ),
        (
            "{online: [{input: error, method: cvm}]}",
            "at `error` only `fisher` can look",
        ),
        (
            "{detectors: [{input: softmax}, {input: softmax, test: mmd}]}",
            "two detectors are called `softmax`",
        ),
        (
            "{online: [{input: softmax, name: all}]}",
            "`drift.online[0].name` must not be `all`",
        ),
        (
            "{detectors: [{input: softmax, naem: a}]}",
            "unknown key `naem` in `drift.detectors[0]`",
        ),
        (
            "{permutations: 50}",
            "`drift.permutations` must be at least 100",
        ),
        (
            "{online: [{input: softmax, window: [5, 9]}]}",
            "`drift.online[0].window` must be a whole number from 2 to 1000",
        ),
        ("{outlier: {fpr: 0.001}}", "the detector `outlier`: "),
        (
            "{rows: 20000, permutations: 100000}",
            "100000 permutations of `rows: 20000` take 15.8 GiB",
        ),
    ] {
        p.write("params.yaml", format!("{PARAMS}drift: {section}\n"));
        let output = p.cvops("drift fit");
        ends_with(&output, 2);
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
    }
}

#[test]
fn an_empty_split_is_no_reference() {
    let p = project();
    p.write("params.yaml", PARAMS.replace("test: 0.2", "test: 0"));
    p.pictures("data/raw", &["across", "along"], 10);
    p.ok("preprocess");
    p.ok("train");
    let output = p.cvops("drift fit");
    ends_with(&output, 2);
    assert!(output.stderr.contains("test"), "{}", output.stderr);
    assert!(!p.exists("models/drift"));
}
