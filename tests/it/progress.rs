//! What another process can see of a repro: its journal in `.cvops/logs/`, the logs of stages among
//! the run's artifacts, system metrics.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::Project;
use crate::support::client::Server;
use crate::support::stages::{Beside, sample, wait_until, with_pipeline};

/// A stage that says something and then waits until `~/go` is there.
const SLOW: &str = "stages:
  slow:
    cmd: echo first; echo oops >&2; touch ~/started; n=0;
      while [ ! -e ~/go ] && [ $n -lt 2000 ]; do sleep 0.03; n=$((n+1)); done; echo last; echo 1 > out
    outs: [out]
  after:
    cmd: cp out after
    deps: [out]
    outs: [after]
";

fn logs(p: &Project) -> Vec<String> {
    let Ok(entries) = fs::read_dir(p.path(".cvops/logs")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns the lines of the newest journal.
fn journal(p: &Project) -> Vec<Value> {
    let name = logs(p).pop().unwrap();
    let text = p.read(&format!(".cvops/logs/{name}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Returns its events in short.
fn story(p: &Project) -> String {
    let short = |line: &Value| {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let what = match line["event"].as_str().unwrap() {
            "decided" => text("decision"),
            "finished" | "end" => text("how"),
            "output" => text("line"),
            _ => String::new(),
        };
        let about = [text("event"), text("stage"), what];
        about.join(" ").trim().replace("  ", " ")
    };
    journal(p).iter().map(short).collect::<Vec<_>>().join("; ")
}

/// Returns the artifact `logs/NAME` of a run, as a client gets it.
fn log_of(server: &Server, run: &str, name: &str) -> Option<String> {
    let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/logs/{name}");
    let answer = server.get(&path);
    (answer.status == 200).then(|| answer.text())
}

fn run_id(p: &Project) -> String {
    p.ok("runs show last --json").json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_repro_tells_its_story_and_one_that_does_nothing_is_silent() {
    let p = sample();
    p.edit(
        "pipeline.yaml",
        "echo tally >>",
        "echo counting; echo tally >>",
    );
    p.ok("repro");
    assert_eq!(
        story(&p),
        "begin; run; decided prepare run; started prepare; finished prepare ran; \
         decided top run; started top; finished top ran; \
         decided tally run; started tally; output tally counting; finished tally ran; end done"
    );
    let lines = journal(&p);
    assert_eq!(
        lines[0]["stages"],
        serde_json::json!(["prepare", "top", "tally"])
    );
    assert_eq!(lines[2]["because"], serde_json::json!(["it never ran"]));
    assert_eq!(lines[1]["id"], run_id(&p));
    p.ok("repro");
    assert_eq!(logs(&p).len(), 1);
    // What is restored says again what it said.
    p.remove("tally.txt");
    p.ok("repro --no-track");
    assert_eq!(
        story(&p),
        "begin; decided prepare unchanged; finished prepare unchanged; decided top unchanged; \
         finished top unchanged; decided tally restore; output tally counting; \
         finished tally restored; end done"
    );
    assert_eq!(logs(&p).len(), 2);
}

#[test]
fn a_failure_is_told_with_its_reason() {
    let p = with_pipeline("stages:\n  bad: {cmd: 'echo no >&2; exit 3', outs: [x]}\n");
    p.cvops("repro");
    let lines = journal(&p);
    let failed = lines.iter().find(|line| line["event"] == "failed").unwrap();
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("exited with code 3"),
        "{failed}"
    );
    assert_eq!(lines.last().unwrap()["how"], "failed");
    let server = p.ui("");
    assert_eq!(log_of(&server, &run_id(&p), "bad.log").unwrap(), "no\n");
}

#[test]
fn a_killed_repro_leaves_a_log_that_can_be_read() {
    let p = with_pipeline(SLOW);
    let mut command = p.command("repro");
    let mut running = Beside::start(command.stderr(Stdio::null()));
    wait_until("the stage says something", || {
        logs(&p)
            .pop()
            .is_some_and(|name| p.read(&format!(".cvops/logs/{name}")).contains("oops"))
    });
    running.signal(Signal::KILL);
    running.end();
    assert_eq!(
        story(&p),
        "begin; run; decided slow run; started slow; output slow first; output slow oops"
    );
    // The next one goes on, in a log of its own.
    fs::write(p.home().join("go"), "").unwrap();
    p.ok("repro");
    assert_eq!(logs(&p).len(), 2);
    assert!(
        story(&p).ends_with("finished after ran; end done"),
        "{}",
        story(&p)
    );
}

#[test]
fn what_stages_write_is_an_artifact_of_the_run() {
    let p = with_pipeline(
        "stages:\n  loud: {cmd: 'echo \"<b>bold</b>\"; echo two >&2; echo 1 > x', outs: [x]}\n  \
         quiet: {cmd: cp x y, deps: [x], outs: [y]}\n",
    );
    p.ok("repro");
    let server = p.ui("");
    let run = run_id(&p);
    let text = log_of(&server, &run, "loud.log").unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("<b>bold</b>") && text.contains("two"),
        "{text}"
    );
    assert_eq!(log_of(&server, &run, "quiet.log"), None);
    // A run that restores it has the log as well.
    p.remove("x");
    p.ok("repro");
    assert_ne!(run_id(&p), run);
    assert_eq!(log_of(&server, &run_id(&p), "loud.log").unwrap(), text);
}

#[test]
fn much_output_is_cut_and_the_end_stays() {
    let p = with_pipeline("stages:\n  much: {cmd: 'seq 1 200000; echo 1 > x', outs: [x]}\n");
    p.ok("repro");
    let lines = journal(&p);
    let truncated = lines
        .iter()
        .filter(|line| line["event"] == "truncated")
        .count();
    assert_eq!(truncated, 1);
    let name = logs(&p).pop().unwrap();
    assert!(p.bytes(&format!(".cvops/logs/{name}")).len() < 5 << 20);
    let server = p.ui("");
    let text = log_of(&server, &run_id(&p), "much.log").unwrap();
    assert!(text.starts_with("1\n2\n") && text.ends_with("\n200000\n"));
    assert!(text.contains(" lines left out]\n") && text.len() < 1100 * 1024);
}

#[test]
fn a_log_that_cannot_be_written_is_a_warning() {
    let p = sample();
    p.ok("init");
    p.write(".cvops/logs", "in the way");
    let output = p.ok("repro");
    assert!(
        output
            .stderr
            .contains("the log of this command is not complete"),
        "{}",
        output.stderr
    );
    assert_eq!(p.ran(), "prepare top tally");
}

#[test]
fn old_logs_make_room() {
    let p = sample();
    p.ok("repro");
    let name = logs(&p).pop().unwrap();
    let text = p.read(&format!(".cvops/logs/{name}"));
    for n in 0..60 {
        p.write(&format!(".cvops/logs/{n:014}-1-0.jsonl"), &text);
    }
    p.write("params.yaml", "lines: 1\n");
    p.ok("repro");
    let left = logs(&p);
    assert_eq!(left.len(), 50, "{left:?}");
    assert!(left.contains(&name));
}

#[test]
fn the_machine_is_watched_while_a_stage_runs() {
    let p = with_pipeline(SLOW);
    let mut command = p.command("repro");
    let mut running = Beside::start(command.stderr(Stdio::null()));
    let metrics = || {
        let shown = p.cvops("runs show last --json");
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap_or_default();
        shown["metrics"][""].clone()
    };
    wait_until("a sample is there", || {
        metrics()["system/cpu_utilization_percentage"].is_number()
    });
    fs::write(p.home().join("go"), "").unwrap();
    assert_eq!(running.end(), Some(0));
    for name in [
        "system/system_memory_usage_megabytes",
        "system/system_memory_usage_percentage",
        "system/disk_usage_percentage",
        "system/network_receive_megabytes",
        "system/stages_memory_usage_megabytes",
    ] {
        let value = metrics()[name].as_f64().unwrap_or(-1.0);
        assert!((0.0..1e9).contains(&value), "{name}: {value}");
    }
    // They say how busy the machine was, not what came out.
    assert!(!p.ok("runs list").stdout.contains("system/"));
    assert!(!p.ok("runs show last").stdout.contains("system/"));
}

#[test]
fn nobody_watches_what_is_short_or_not_to_be_watched() {
    let p = sample();
    p.ok("repro");
    assert!(!p.ok("runs show last --json").stdout.contains("system/"));
    p.ok("config tracking.system_metrics false");
    assert_eq!(p.ok("config tracking.system_metrics").stdout, "false\n");
    let wrong = p.cvops("config tracking.system_metrics often");
    assert!(
        wrong.stderr.contains("tracking.system_metrics"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn trials_have_logs_of_their_own() {
    let p = with_pipeline(
        "stages:\n  train:\n    cmd: echo training; echo \"{\\\"score\\\":$(tr -dc 0-9 < params.yaml)}\" > m.json\n    \
         params: [lr]\n    metrics: [m.json: {cache: false}]\n",
    );
    p.write("params.yaml", "lr: 1\n");
    p.ok("params sweep lr=1,2,3 --metric m.json:score --name s");
    let names = logs(&p);
    assert_eq!(
        names.iter().filter(|n| n.ends_with("-trial.jsonl")).count(),
        3,
        "{names:?}"
    );
    assert_eq!(journal(&p)[0]["sweep"], "s");
    let server = p.ui("");
    let run = p.ok("runs show s-2 --json").json()[0].clone();
    let path = format!(
        "/api/2.0/mlflow/artifacts/list?run_id={}&path=logs",
        run["id"].as_str().unwrap()
    );
    assert!(server.get(&path).text().contains("logs/train.log"));
}
