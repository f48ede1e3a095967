//! `cvops evaluate`: the figures, the plots and the page.

use serde_json::Value;
use snapbox::str;

use crate::support::check;
use crate::support::html::fetched;
use crate::support::pictures::{PARAMS, trained_project};

#[test]
fn it_says_how_good_the_model_is() {
    let p = trained_project();
    check(
        &p.cvops("evaluate"),
        str![[r#"
accuracy [..] (95 % interval [..] to [..]), top-2 1.000, macro F1 [..], log loss [..], ECE [..]
--- stderr ---
look at reports/evaluation.html
[exit 0]
"#]],
    );
    check(
        &p.cvops("evaluate --json"),
        str![[r#"
{"accuracy":[..],"ece":[..],"images":8,"log_loss":[..],"macro_f1":[..],"metrics":"reports/metrics.json","page":"reports/evaluation.html","predictions":"reports/predictions.jsonl"}
[exit 0]
"#]],
    );
    assert_eq!(
        p.names("reports"),
        [
            "evaluation.html",
            "metrics.json",
            "plots",
            "predictions.jsonl",
            "train.jsonl"
        ]
    );
    assert_eq!(
        p.names("reports/plots"),
        [
            "confusion.svg",
            "per_class_f1.svg",
            "reliability.svg",
            "training_accuracy.svg",
            "training_loss.svg",
        ]
    );
}

#[test]
fn metrics_hold_what_is_promised() {
    let p = trained_project();
    p.ok("evaluate");
    let metrics: Value = serde_json::from_str(&p.read("reports/metrics.json")).unwrap();
    let keys: Vec<&String> = metrics.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "accuracy",
            "accuracy_interval",
            "brier",
            "ece",
            "images",
            "log_loss",
            "macro",
            "macro_f1_interval",
            "per_class",
            "roc_auc",
            "top_k",
            "top_k_accuracy",
            "weighted",
        ]
    );
    for class in ["across", "along"] {
        assert_eq!(metrics["per_class"][class]["support"], 4);
    }
    let accuracy = metrics["accuracy"].as_f64().unwrap();
    let interval = &metrics["accuracy_interval"];
    assert!(interval["low"].as_f64().unwrap() <= accuracy);
    assert!(accuracy <= interval["high"].as_f64().unwrap());
}

#[test]
fn what_was_said_of_each_picture_is_a_line() {
    let p = trained_project();
    p.ok("evaluate");
    let metrics: Value = serde_json::from_str(&p.read("reports/metrics.json")).unwrap();
    let lines: Vec<Value> = p
        .read("reports/predictions.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 8);
    let right = lines
        .iter()
        .filter(|l| l["label"] == l["predicted"])
        .count();
    assert_eq!(metrics["accuracy"], right as f64 / 8.0);
    // Lines name the pictures by what prepared data says of them.
    let index = p.read("data/prepared/index.jsonl");
    let prepared = index
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["split"] == "test");
    for (at, (line, prepared)) in lines.iter().zip(prepared).enumerate() {
        assert_eq!(line["index"], at);
        assert_eq!(line["split"], "test");
        assert_eq!(line["path"], prepared["path"]);
        assert_eq!(line["content"], prepared["content"]);
        let probabilities = line["probabilities"].as_object().unwrap();
        let sum: f64 = probabilities.values().filter_map(Value::as_f64).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{line}");
        let predicted = line["predicted"].as_str().unwrap();
        assert_eq!(line["confidence"], probabilities[predicted]);
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let p = trained_project();
    p.ok("evaluate");
    let page = p.read("reports/evaluation.html");
    assert_eq!(fetched(&page), [""; 0]);
    for seen in ["<svg", "across", "along", "accuracy"] {
        assert!(page.contains(seen), "{seen}");
    }
    for name in p.names("reports/plots") {
        assert_eq!(
            fetched(&p.read(&format!("reports/plots/{name}"))),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn equal_models_give_equal_files() {
    let p = trained_project();
    p.ok("evaluate");
    let first = (
        p.read("reports/metrics.json"),
        p.read("reports/evaluation.html"),
        p.read("reports/predictions.jsonl"),
    );
    p.ok("evaluate");
    let second = (
        p.read("reports/metrics.json"),
        p.read("reports/evaluation.html"),
        p.read("reports/predictions.jsonl"),
    );
    assert!(first == second);
}

#[test]
fn without_a_history_there_are_no_curves_not_even_old_ones() {
    let p = trained_project();
    p.ok("evaluate");
    p.remove("reports/train.jsonl").ok("evaluate");
    assert_eq!(
        p.names("reports/plots"),
        ["confusion.svg", "per_class_f1.svg", "reliability.svg"]
    );
}

#[test]
fn the_validation_split_can_be_judged_without_intervals() {
    let p = trained_project();
    let params = PARAMS.replace("{bootstrap: 50}", "{bootstrap: 0, split: val, worst: 0}");
    p.write("params.yaml", params);
    check(
        &p.cvops("evaluate"),
        str![[r#"
accuracy [..], top-2 1.000, macro F1 [..], log loss [..], ECE [..]
--- stderr ---
look at reports/evaluation.html
[exit 0]
"#]],
    );
    let metrics = p.read("reports/metrics.json");
    assert!(!metrics.contains("interval"), "{metrics}");
}
