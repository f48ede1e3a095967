//! `/sweeps…`: what is told of a sweep while it goes on, after it, and when its journal is damaged.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;

use crate::support::client::Server;
use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Project, project};

/// A training in shell whose score is best at `lr: 0.1`; it waits for the file `go` beside `~/hold`,
/// and fails at `depth: 13`. Its curve has five steps.
pub(super) fn trainer() -> Project {
    let p = with_pipeline(
        r#"stages:
  train:
    cmd: |-
      lr=$(sed -n 's/^lr: //p' params.yaml); depth=$(sed -n 's/^depth: //p' params.yaml)
      echo "$lr $depth" >> ~/runs
      [ "$depth" != 13 ] || { echo "no such depth" >&2; exit 3; }
      [ ! -e ~/hold ] || [ "$depth" -lt 3 ] || while [ ! -e ~/go ]; do sleep 0.05; done
      awk -v l="$lr" -v d="$depth" 'BEGIN {
        print "step,val_score" > "curve.csv"
        for (e = 1; e <= 5; e++) printf "%d,%.4f\n", e, 1 - l / e > "curve.csv"
        e = (l - 0.1) * (l - 0.1) + d / 100; printf "{\"score\": %.6f}\n", 1 - e }' > metrics.json
    params: [lr, depth]
    metrics:
      - metrics.json: {cache: false}
    plots:
      - curve.csv: {cache: false, x: step, y: val_score}
"#,
    );
    p.write("params.yaml", "lr: 0.3\ndepth: 4\n");
    p
}

/// Starts a sweep as the leader of a process group of its own.
pub(super) fn start(p: &Project, args: &str) -> Child {
    p.command(args)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn page(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

fn table(server: &Server, path: &str) -> Vec<Value> {
    let sign = if path.contains('?') { '&' } else { '?' };
    let answer = server.get(&format!("{path}{sign}format=json"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json().as_array().unwrap().clone()
}

#[track_caller]
fn holds(text: &str, all: &[&str]) {
    for one in all {
        assert!(text.contains(one), "no `{one}` in\n{text}");
    }
}

#[test]
fn a_finished_sweep_tells_what_was_tried_and_what_is_best() {
    let p = trainer();
    p.cvops("params sweep lr=0.05,0.1,0.4 depth=1,2,13 --metric score --name grid");
    let server = p.ui("");
    let rows = table(&server, "/sweeps");
    let row = &rows[0];
    assert_eq!(
        (&row["sweep"], &row["state"], &row["method"]),
        (&"grid".into(), &"finished".into(), &"grid".into())
    );
    assert_eq!(
        (
            row["done"].as_f64(),
            row["failed"].as_f64(),
            row["trials"].as_f64()
        ),
        (Some(6.0), Some(3.0), Some(9.0))
    );
    assert_eq!(
        (row["best"].as_f64(), &row["params"]),
        (Some(0.99), &"lr, depth".into())
    );
    let text = page(&server, "/sweeps/grid");
    holds(
        &text,
        &[
            "6 of 9 trials done, 3 failed",
            "cvops params sweep apply grid",
            "Parameters and result",
            "Which parameter matters",
            "score over lr and depth",
            "<option selected>val_score</option>",
            "data-places",
            "maximize",
        ],
    );
    let trials = table(&server, "/sweeps/grid");
    assert_eq!(trials.len(), 9);
    assert_eq!(
        (&trials[3]["state"], &trials[2]["state"]),
        (&"best".into(), &"failed".into())
    );
    assert!(
        trials[2]["note"]
            .as_str()
            .unwrap()
            .contains("no such depth")
    );
    let run = trials[3]["run"].as_str().unwrap();
    assert!(text.contains(&format!("/runs/{run}")), "{run}");
    let sorted = table(&server, "/sweeps/grid?sort=-value");
    assert_eq!(
        (&sorted[0]["trial"], &sorted[8]["value"]),
        (&json!(4.0), &Value::Null)
    );
    let sorted = table(&server, "/sweeps/grid?sort=p0");
    assert_eq!(sorted[0]["lr"], 0.05);
    let csv = server.get("/sweeps/grid?format=csv").text();
    assert!(
        csv.starts_with("trial,lr,depth,value,state,time,run,note\n1,0.05,1,"),
        "{csv}"
    );
    for query in [
        "sort=x",
        "sort=p9",
        "x=nothing",
        "curve=nothing",
        "format=x",
    ] {
        assert_eq!(
            server.get(&format!("/sweeps/grid?{query}")).status,
            400,
            "{query}"
        );
    }
    holds(
        &page(&server, "/sweeps/grid?x=depth&y=lr"),
        &["score over depth and lr"],
    );
}

#[test]
fn a_sweep_is_seen_while_another_process_runs_it() {
    let p = trainer();
    fs::write(p.home().join("hold"), "").unwrap();
    let server = p.ui("");
    let mut child = start(
        &p,
        "params sweep lr=0.1 depth=1,2,3,4 --metric score --name slow",
    );
    wait_until("two trials have ended", || {
        let rows = server.get("/sweeps/slow?format=json");
        rows.status == 200 && {
            let rows = rows.json();
            let rows = rows.as_array().unwrap();
            rows.len() == 3 && rows[1]["state"] != "running" && rows[2]["state"] == "running"
        }
    });
    let text = page(&server, "/sweeps/slow");
    holds(
        &text,
        &["going on", "2 of 4 trials done, 1 running", "left</span>"],
    );
    assert_eq!(table(&server, "/sweeps")[0]["state"], "going on");
    // A line that is being written is passed over.
    let journal = p.path(".cvops/sweeps/slow/journal.jsonl");
    kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let mut torn = fs::read(&journal).unwrap();
    torn.extend(b"{\"event\":\"fini");
    fs::write(&journal, torn).unwrap();
    wait_until("nobody holds the journal", || {
        table(&server, "/sweeps")[0]["state"] == "died"
    });
    holds(&page(&server, "/sweeps/slow"), &["died", "1 unfinished"]);
    // It goes on, and the page with it.
    fs::write(p.home().join("go"), "").unwrap();
    p.ok("params sweep --resume");
    assert_eq!(table(&server, "/sweeps")[0]["state"], "finished");
}

#[test]
fn a_sweep_without_a_trial_and_one_that_is_gone_are_told_in_words() {
    let p = trainer();
    p.ok("params sweep lr=0.1,0.2 --metric score --name gone");
    let server = p.ui("");
    let mark = |text: &str| {
        text.split("data-mark=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(!mark(&page(&server, "/sweeps/gone")).is_empty());
    let parent = table(&server, "/sweeps/gone")[0]["run"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(parent.len(), 8);
    let journal = p.read(".cvops/sweeps/gone/journal.jsonl");
    let first = journal.lines().next().unwrap();
    // Nothing but the definition.
    p.write(".cvops/sweeps/gone/journal.jsonl", format!("{first}\n"));
    holds(
        &page(&server, "/sweeps/gone"),
        &["No trial has its metric yet", "No trial has begun yet"],
    );
    // A damaged line.
    p.write(
        ".cvops/sweeps/gone/journal.jsonl",
        format!("{first}\nnonsense\n"),
    );
    let answer = server.get("/sweeps/gone");
    assert_eq!(answer.status, 400);
    holds(&answer.text(), &["line 2"]);
    assert_eq!(table(&server, "/sweeps")[0]["state"], "damaged");
    fs::remove_dir_all(p.path(".cvops/sweeps/gone")).unwrap();
    let answer = server.get("/sweeps/gone");
    assert_eq!(answer.status, 404);
    holds(
        &answer.text(),
        &["its folder is gone, but the runs of its trials are still recorded"],
    );
    assert_eq!(server.get("/sweeps/gone/live").status, 404);
    // Its runs are still there to look at.
    let nested = server.get("/sweeps?format=json&table=nested").json();
    assert_eq!(nested[0]["note"], "the folder of the sweep gone is gone");
    for name in ["..", "%2e%2e", "a%2Fb", "x%00y", ".."] {
        let status = server.get(&format!("/sweeps/{name}")).status;
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
    holds(&server.get("/sweeps/nothing").text(), &["start one with"]);
}

#[test]
fn without_a_sweep_the_page_says_how_to_start_one() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    holds(
        &page(&server, "/sweeps"),
        &["cvops params sweep train.learning_rate="],
    );
}

/// Logs a run as MLflow's client does, a part of `parent`.
fn nested(server: &Server, parent: Option<&str>, lr: &str, score: f64) -> String {
    let post = |path: &str, body: Value| {
        let answer = server.post(
            &format!("/api/2.0/mlflow/{path}"),
            "application/json",
            body.to_string(),
        );
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    let tags: Vec<Value> = parent
        .iter()
        .map(|id| json!({"key": "mlflow.parentRunId", "value": id}))
        .collect();
    let name = if parent.is_some() { "part" } else { "whole" };
    let run = post(
        "runs/create",
        json!({"experiment_id": "0", "run_name": name, "start_time": 1, "tags": tags}),
    );
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    if parent.is_some() {
        let metrics: Vec<Value> = (1..4)
            .map(|step| json!({"key": "loss", "value": score / f64::from(step), "timestamp": 1, "step": step}))
            .collect();
        let params = json!([{"key": "lr", "value": lr}, {"key": "model", "value": "net"}]);
        post(
            "runs/log-batch",
            json!({"run_id": id, "metrics": metrics, "params": params}),
        );
        post(
            "runs/update",
            json!({"run_id": id, "status": "FINISHED", "end_time": 2001}),
        );
    }
    id
}

#[test]
fn nested_runs_of_a_client_are_a_sweep_too() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let parent = nested(&server, None, "", 0.0);
    for (lr, score) in [("0.1", 0.9), ("0.001", 0.3), ("0.01", 0.6), ("1", 3.0)] {
        nested(&server, Some(&parent), lr, score);
    }
    let rows = table(&server, "/sweeps?table=nested");
    assert_eq!(
        (&rows[0]["run"], rows[0]["parts"].as_f64()),
        (&"whole".into(), Some(4.0))
    );
    let path = format!("/sweeps/{parent}");
    let text = page(&server, &path);
    // The loss is to be small, and `model` is the same in all.
    holds(
        &text,
        &[
            "trial 2</a>",
            "0.1</span>",
            "loss over lr",
            "Learning curves",
        ],
    );
    let trials = table(&server, &path);
    assert_eq!((trials.len(), &trials[1]["state"]), (4, &"best".into()));
    assert_eq!(trials[0]["model"], Value::Null);
    let higher = table(&server, &format!("{path}?goal=maximize"));
    assert_eq!(higher[3]["state"], "best");
    // Optuna's callback says in a tag that a trial was given up; its value is no result.
    let pruned = nested(&server, Some(&parent), "0.5", 0.0001);
    let tag = json!({"run_id": pruned, "key": "state", "value": "PRUNED"});
    server.post(
        "/api/2.0/mlflow/runs/set-tag",
        "application/json",
        tag.to_string(),
    );
    let trials = table(&server, &path);
    assert_eq!(
        (&trials[1]["state"], &trials[4]["state"]),
        (&"best".into(), &"pruned".into())
    );
    let text = page(&server, &path);
    holds(&text, &["4 of 5 trials done, 1 pruned", "trial 5, pruned"]);
    for query in ["metric=none", "goal=sideways"] {
        assert_eq!(
            server.get(&format!("{path}?{query}")).status,
            400,
            "{query}"
        );
    }
    // A run without parts is none.
    let alone = trials[0]["run"].as_str().unwrap();
    assert_eq!(server.get(&format!("/sweeps/{alone}")).status, 404);
}

#[test]
fn the_newest_sweeps_are_listed_and_older_ones_by_a_link() {
    let p = trainer();
    p.ok("params sweep lr=0.1 --metric score --name grid");
    let sweeps = p.path(".cvops/sweeps");
    let journal = fs::read_to_string(sweeps.join("grid/journal.jsonl")).unwrap();
    let (first, rest) = journal.split_once('\n').unwrap();
    let mut first: Value = serde_json::from_str(first).unwrap();
    for number in 0..120_u64 {
        first["at_ms"] = json!(1_000_000 + number);
        fs::create_dir(sweeps.join(format!("s{number}"))).unwrap();
        let text = format!("{first}\n{rest}");
        fs::write(sweeps.join(format!("s{number}/journal.jsonl")), text).unwrap();
    }
    let server = p.ui("");
    let text = page(&server, "/sweeps");
    holds(
        &text,
        &[
            ">grid</a>",
            ">s119</a>",
            ">s21</a>",
            "1 to 100 of 121",
            "<a href=\"/sweeps?from=100\" rel=\"next\">",
        ],
    );
    assert!(!text.contains(">s20</a>") && !text.contains("rel=\"prev\""));
    let text = page(&server, "/sweeps?from=100");
    holds(
        &text,
        &[
            ">s20</a>",
            ">s0</a>",
            "101 to 121 of 121",
            "<a href=\"/sweeps\" rel=\"prev\">",
        ],
    );
    assert!(!text.contains(">s21</a>") && !text.contains("rel=\"next\""));
    holds(
        &page(&server, "/sweeps?from=18446744073709551615"),
        &["rel=\"prev\""],
    );
    assert_eq!(server.get("/sweeps?from=-1").status, 400);
    assert_eq!(table(&server, "/sweeps").len(), 121);
}
