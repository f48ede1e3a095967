//! The example of drift, `examples/emoji`, from pictures to verdict: trained on one vendor, checked on another.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Exit, Project, project};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/emoji")
}

/// Copies a folder into the project, with all in it.
fn copy(p: &Project, from: &Path, to: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let to = format!("{to}/{name}");
        if path.is_dir() {
            copy(p, &path, &to);
        } else {
            p.write(&to, fs::read(&path).unwrap());
        }
    }
}

/// Returns the example as it is but for its patience: 3 epochs are enough to see the difference.
fn impatient_project() -> Project {
    let p = project();
    for vendor in ["noto", "twemoji"] {
        copy(
            &p,
            &example().join("data").join(vendor),
            &format!("data/{vendor}"),
        );
    }
    let read = |name: &str| fs::read_to_string(example().join(name)).unwrap();
    p.write("pipeline.yaml", read("pipeline.yaml"));
    let params = read("params.yaml");
    let fewer = params.replace("epochs: 40", "epochs: 3");
    assert_ne!(params, fewer);
    p.write("params.yaml", fewer);
    p
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn another_vendor_is_drift_with_pictures_and_a_loss_in_accuracy() {
    let p = impatient_project();
    p.ok("repro");
    let found: Value = serde_json::from_str(&p.read("reports/drift.json")).unwrap();
    assert_eq!(found["verdict"], "drift", "{found}");
    assert_eq!(found["rows"], 400);
    assert_eq!(found["reference"]["rows"], 399);
    let detectors = found["detectors"].as_array().unwrap();
    let named = |drifted: bool| -> Vec<&str> {
        let those = detectors.iter().filter(|one| {
            let measured = &one["measured"];
            measured["is_drift"]
                .as_bool()
                .unwrap_or_else(|| panic!("{one}"))
                == drifted
        });
        those.map(|one| one["name"].as_str().unwrap()).collect()
    };
    assert_eq!(named(true).len() + named(false).len(), 5);
    // Sharper, or less sharp, whatever the network has learned so far.
    assert!(named(true).contains(&"properties"), "{found}");
    assert!(
        2 <= named(true).len(),
        "{:?} and not {:?}",
        named(true),
        named(false)
    );

    let accuracy = &found["accuracy"];
    let [reference, estimated, actual] =
        ["reference", "estimated", "actual"].map(|key| number(&accuracy[key]));
    let metrics: Value = serde_json::from_str(&p.read("reports/metrics.json")).unwrap();
    // The reference is what the model was judged on.
    assert!(
        (reference - number(&metrics["accuracy"])).abs() < 1e-4,
        "{accuracy}"
    );
    assert!(actual < reference && estimated < reference, "{accuracy}");
    let unlike = found["witnesses"]["unlike"][0]["picture"].as_str().unwrap();
    assert!(unlike.starts_with("data/twemoji/test/"), "{unlike}");
    let page = p.read("reports/drift.html");
    assert!(
        page.contains("<img") && page.len() < 2_000_000,
        "{}",
        page.len()
    );

    // By hand, drift ends with 1; and what the reference is made of is no drift.
    let by_hand = p.cvops("drift check data/twemoji/test --json");
    assert_eq!(by_hand.exit, Exit::Code(1), "{}", by_hand.transcript());
    assert_eq!(by_hand.stdout, p.read("reports/drift.json"));
    let same = p.cvops("drift check data/noto/test");
    assert_eq!(same.exit, Exit::Code(0), "{}", same.transcript());
    assert!(same.stdout.contains("no drift"), "{}", same.stdout);
}
