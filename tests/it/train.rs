//! `cvops train`: what it tells, what it writes, and that a killed training loses nothing.

use std::process::{Child, Command};

use serde_json::Value;
use snapbox::str;

use crate::support::pictures::{PARAMS, prepared_project};
use crate::support::{Exit, Project, check, project};

#[test]
fn it_tells_each_epoch_and_keeps_the_figures() {
    let p = prepared_project();
    check(
        &p.cvops("train"),
        str![[r#"
epoch   1  loss [..]  accuracy [..]  val_loss [..]  val_accuracy [..]  [TIME]  best
epoch   2  loss [..]  accuracy [..]  val_loss [..]  val_accuracy [..]  [TIME][..]
epoch   3  loss [..]  accuracy [..]  val_loss [..]  val_accuracy [..]  [TIME][..]
model of epoch [..] in models/classifier, validation accuracy [..]
--- stderr ---
24 images, 8 for validation; 1706 parameters; cpu
[exit 0]
"#]],
    );
    assert_eq!(p.names("models"), ["classifier"]);
    assert_eq!(
        p.names("models/classifier"),
        ["model.json", "model.safetensors"]
    );
    let history = p.read("reports/train.jsonl");
    let epochs: Vec<Value> = history
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(epochs.len(), 3);
    let keys: Vec<&String> = epochs[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "epoch",
            "lr",
            "train_accuracy",
            "train_loss",
            "val_accuracy",
            "val_loss"
        ]
    );
}

#[test]
fn json_is_one_line() {
    let p = prepared_project();
    check(
        &p.cvops("train --json"),
        str![[r#"
{"epochs":3,"kept_epoch":[..],"model":"models/classifier","val_accuracy":[..]}
[exit 0]
"#]],
    );
}

#[test]
fn the_model_says_what_it_came_from_and_nothing_of_when_and_where() {
    let p = prepared_project();
    p.ok("train");
    let text = p.read("models/classifier/model.json");
    let model: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(model["classes"], serde_json::json!(["across", "along"]));
    assert_eq!(model["input"]["height"], 16);
    assert_eq!(model["training"]["data"].as_str().unwrap().len(), 64);
    assert!(!text.contains(p.root().to_str().unwrap()));
    assert!(!text.contains("202"), "a date in {text}");
}

#[test]
fn two_trainings_give_equal_bytes_whatever_the_threads() {
    let p = prepared_project();
    for threads in ["1", "4"] {
        let args = format!("train --out m{threads} --history h{threads}");
        let output = p.run(p.command(&args).env("RAYON_NUM_THREADS", threads));
        assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
    }
    for (one, four) in [
        ("m1/model.safetensors", "m4/model.safetensors"),
        ("m1/model.json", "m4/model.json"),
        ("h1", "h4"),
    ] {
        assert_eq!(p.bytes(one), p.bytes(four), "{one}");
    }
}

/// Shortcuts, projections, batch norms and depthwise blocks, from training to a prediction.
#[test]
fn networks_with_shortcuts_train_and_answer() {
    let p = prepared_project();
    let depthwise = "model:\n  blocks:\n    - {filters: 8, padding: same}\n    \
                     - {depthwise: true, padding: same, batch_norm: true}\n    \
                     - {filters: 16, kernel: 1, batch_norm: true, residual: 2}\n  head: {dense: []}\n";
    for model in ["model: {preset: resnet8}\n", depthwise] {
        let rest = PARAMS.split_once("train:").unwrap().1;
        p.write("params.yaml", format!("{model}train:{rest}"));
        p.ok("train");
        let first = p.bytes("models/classifier/model.safetensors");
        let again = p.run(p.command("train").env("RAYON_NUM_THREADS", "1"));
        assert_eq!(again.exit, Exit::Code(0), "{}", again.transcript());
        assert!(
            first == p.bytes("models/classifier/model.safetensors"),
            "{model}"
        );
        let output = p.ok("predict data/raw/along/03.png");
        assert_eq!(output.stdout.lines().count(), 2, "{}", output.stdout);
    }
}

#[test]
fn early_stopping_says_when_and_why() {
    let p = prepared_project();
    // Nothing is ever better by 100, so epoch 1 stays the best.
    let stopping = "epochs: 9, early_stopping: {patience: 2, min_delta: 100}";
    p.write("params.yaml", PARAMS.replace("epochs: 3", stopping));
    check(
        &p.cvops("train"),
        str![[r#"
epoch   1  [..]
epoch   2  [..]
epoch   3  [..]
model of epoch [..] in models/classifier, validation accuracy [..]
--- stderr ---
24 images, 8 for validation; 1706 parameters; cpu
stopping after epoch 3: no improvement since epoch [..]
[exit 0]
"#]],
    );
}

#[test]
fn resume_without_a_checkpoint_says_so() {
    let p = prepared_project();
    check(
        &p.cvops("train --resume"),
        str![[r#"
...
--- stderr ---
there is no checkpoint to go on from: starting with epoch 1
24 images, 8 for validation; 1706 parameters; cpu
[exit 0]
"#]],
    );
}

/// A training that is long enough to be interrupted in the middle.
const LONG: &str = "\
preprocess: {size: 16, val: 0.2, test: 0.2}
model:
  blocks: [{filters: 8, batch_norm: true, pool: max}, {filters: 8}]
  head: {dense: [16], dropout: 0.2}
train: {epochs: 12, batch_size: 4, augment: {flip: 0.5, shift: 2, rotate: 10}}
";

fn long_project() -> Project {
    let p = project();
    p.write("params.yaml", LONG);
    p.pictures("data/raw", &["across", "along"], 150);
    p.ok("preprocess");
    p.ok("train --out whole --history whole.jsonl");
    p
}

fn signal(name: &str, pid: &str) {
    let sent = Command::new("kill").args([name, pid]).status().unwrap();
    assert!(sent.success(), "kill {name} {pid}");
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[track_caller]
fn assert_as_whole(p: &Project, model: &str, history: &str) {
    for name in ["model.safetensors", "model.json"] {
        let (whole, resumed) = (format!("whole/{name}"), format!("{model}/{name}"));
        assert_eq!(p.bytes(&whole), p.bytes(&resumed), "{name}");
    }
    assert_eq!(p.read("whole.jsonl"), p.read(history));
}

#[test]
fn a_killed_training_goes_on_as_if_nothing_had_happened() {
    let p = long_project();
    kill(p.start_until("train --out m --history h", "epoch   2"));
    assert!(!p.exists("m") && !p.exists("h"));
    let output = p.ok("train --out m --history h --resume");
    assert!(
        output.stderr.contains("going on after epoch "),
        "{}",
        output.transcript()
    );
    assert!(!output.stdout.contains("epoch   1 "));
    assert_as_whole(&p, "m", "h");
    assert!(!p.exists(".m-checkpoints"));
}

#[test]
fn a_stopped_training_keeps_its_checkpoint_and_says_how_to_go_on() {
    let p = long_project();
    let child = p.start_until("train --out m --history h", "epoch   2");
    signal("-TERM", &child.id().to_string());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    snapbox::assert_data_eq!(
        stderr,
        str![[r#"
180 images, 60 for validation; 4082 parameters; cpu
error: stopped before the end
 |
 = help: `cvops train --resume` goes on after the last whole epoch

"#]]
    );
    assert!(p.exists(".m-checkpoints/checkpoint.safetensors") && !p.exists("m"));
    p.ok("train --out m --history h --resume");
    assert_as_whole(&p, "m", "h");
}

#[test]
fn a_checkpoint_of_other_parameters_is_not_used() {
    let p = long_project();
    kill(p.start_until("train --out m --history h", "epoch   2"));
    p.write("params.yaml", LONG.replace("dropout: 0.2", "dropout: 0.3"));
    let output = p.ok("train --out m --history h --resume");
    let reason = "starting anew: it belongs to other data, parameters or another version of cvops";
    assert!(output.stderr.contains(reason), "{}", output.transcript());
    assert!(output.stdout.contains("epoch   1 "));
}

#[test]
fn a_killed_repro_goes_on_in_the_middle_of_the_training() {
    let p = long_project();
    p.write(
        "pipeline.yaml",
        "\
stages:
  train:
    cmd: echo $$ > stage.pid; exec cvops train --out m --history h
    deps: [data/prepared]
    params: [model, train]
    outs: [m, h]
",
    );
    let repro = p.start_until("repro", "epoch   2");
    let stage = p.read("stage.pid");
    kill(repro);
    signal("-KILL", stage.trim());
    let output = p.ok("repro");
    assert!(
        output.stderr.contains("train | going on after epoch "),
        "{}",
        output.transcript()
    );
    assert_as_whole(&p, "m", "h");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
train: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
}
