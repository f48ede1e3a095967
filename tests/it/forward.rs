//! `tracking.uri`: what is recorded goes to another tracking server as well.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use snapbox::str;

use crate::support::remote_tracking::Remote;
use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Project, check, server};

/// A stage with a param, a curve, numbers and a model.
const PIPELINE: &str = r#"stages:
  train:
    cmd: |
      lr=$(tr -dc 0-9 < params.yaml)
      printf '{"epoch":1,"loss":%s.5}\n{"epoch":2,"loss":%s.25}\n' $lr $lr > curve.jsonl
      echo "{\"accuracy\":0.$lr}" > metrics.json
      echo model > model.bin
    params: [lr]
    outs: [model.bin]
    plots: [curve.jsonl]
    metrics: [metrics.json: {cache: false}]
"#;

fn study() -> Project {
    let p = with_pipeline(PIPELINE);
    p.write("params.yaml", "lr: 1\n");
    p.ok("init");
    p
}

fn sends_to(p: &Project, uri: &str) {
    p.ok(&format!("config tracking.uri {uri}"));
}

#[test]
fn a_run_is_there_as_it_is_here() {
    let p = study();
    p.ok("repro --name before");
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    p.edit("params.yaml", "1", "2");
    p.ok("repro --name first --experiment digits");
    {
        let kept = remote.kept();
        assert_eq!(kept.experiments, ["digits"]);
        assert_eq!(kept.runs.len(), 1, "only what is recorded from now on");
        let run = &kept.runs[0];
        assert_eq!(
            (run.name.as_str(), run.status.as_str()),
            ("first", "FINISHED")
        );
        assert!(run.ended);
        assert_eq!(run.params["lr"], "2");
        let points: Vec<_> = run
            .points
            .keys()
            .map(|p| (p.0.as_str(), p.1, p.3.as_str()))
            .collect();
        assert_eq!(
            points,
            [
                ("accuracy", 0, "0.2"),
                ("loss", 1, "2.5"),
                ("loss", 2, "2.25")
            ]
        );
        assert!(run.points.values().all(|times| *times == 1));
        // Metrics and plots, and not the model.
        let files: Vec<_> = kept.files.keys().map(String::as_str).collect();
        assert_eq!(
            files,
            ["7/r0/artifacts/curve.jsonl", "7/r0/artifacts/metrics.json"]
        );
        assert_eq!(
            kept.files["7/r0/artifacts/metrics.json"],
            b"{\"accuracy\":0.2}\n"
        );
    }
    // Nothing new: nothing is sent.
    let asked = remote.kept().asked.len();
    check(
        &p.cvops("runs push"),
        str![[r#"
`http://127.0.0.1:[..]` has all runs
[exit 0]
"#]],
    );
    assert_eq!(remote.kept().asked.len(), asked);
    // A tag that is set later goes with the next push.
    p.ok("runs tag first reviewed=yes");
    p.ok("runs push");
    assert_eq!(remote.kept().runs[0].tags["reviewed"], "yes");
    // So do the runs of before, if they are asked for.
    p.ok("runs push --all");
    let kept = remote.kept();
    let names: Vec<_> = kept.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["first", "before"]);
}

#[test]
fn a_server_that_is_not_there_costs_a_warning_and_nothing_else() {
    let p = study();
    sends_to(&p, &format!("http://127.0.0.1:{}", server::free_port()));
    let output = p.ok("repro --name lonely");
    assert!(
        output
            .stderr
            .contains("warning: 1 run waits to be sent to `http://127.0.0.1:")
            && output.stderr.contains("cvops runs push"),
        "{}",
        output.stderr
    );
    let pushed = p.cvops("runs push --json");
    assert_eq!(pushed.exit, Exit::Code(1));
    let told = pushed.json().remove(0);
    assert_eq!(told["sent"], 0);
    assert_eq!(told["waiting"][0]["name"], "lonely");
    // It is sent by whatever comes next, once there is a server.
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    p.ok("runs push --all");
    assert_eq!(remote.kept().runs.len(), 1);
}

#[test]
fn a_server_that_dies_in_between_gets_everything_once() {
    let p = study();
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    remote.dies_after(Some(0));
    p.ok("repro --name a");
    p.edit("params.yaml", "1", "2");
    p.ok("repro --name b");
    // It comes back, and goes away again after one request more each time.
    for requests in 0.. {
        remote.dies_after(Some(requests));
        if p.cvops("runs push").exit == Exit::Code(0) {
            break;
        }
        assert!(requests < 60, "it never ends");
    }
    let kept = remote.kept();
    assert_eq!(kept.experiments.len(), 1);
    let runs: Vec<_> = kept
        .runs
        .iter()
        .map(|run| (run.name.as_str(), run.status.as_str(), run.points.len()))
        .collect();
    assert_eq!(runs, [("a", "FINISHED", 3), ("b", "FINISHED", 3)]);
    assert_eq!(kept.files.len(), 4);
}

#[test]
fn what_a_killed_repro_recorded_is_sent_by_the_next_one() {
    let p =
        with_pipeline("stages: {wait: {cmd: touch ~/began; sleep 60; touch out, outs: [out]}}\n");
    p.ok("init");
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    let mut child = p
        .command("repro --name killed")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the stage runs", || p.home().join("began").exists());
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    p.edit("pipeline.yaml", "sleep 60; ", "");
    p.ok("repro --name next");
    let kept = remote.kept();
    let runs: Vec<_> = kept
        .runs
        .iter()
        .map(|run| (run.name.as_str(), run.status.as_str()))
        .collect();
    assert_eq!(runs, [("killed", "KILLED"), ("next", "FINISHED")]);
}

#[test]
fn a_run_that_goes_on_is_seen_there() {
    let p = with_pipeline(
        "stages: {wait: {cmd: 'until test -e ~/go; do sleep 0.05; done; touch out', outs: [out]}}\n",
    );
    p.ok("init");
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    let mut child = p
        .command("repro --name live")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the run is there", || !remote.kept().runs.is_empty());
    assert_eq!(remote.kept().runs[0].status, "RUNNING");
    std::fs::write(p.home().join("go"), "").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(remote.kept().runs[0].status, "FINISHED");
}

#[test]
fn trials_of_a_sweep_are_parts_of_their_sweep_there() {
    let p = study();
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    p.ok("params sweep lr=1,2 --metric accuracy --goal max");
    let kept = remote.kept();
    assert_eq!(kept.runs.len(), 3);
    assert!(!kept.runs[0].tags.contains_key("mlflow.parentRunId"));
    for run in &kept.runs[1..] {
        assert_eq!(run.tags["mlflow.parentRunId"], "r0");
    }
}

#[test]
fn a_run_that_failed_is_there_as_well() {
    let p = with_pipeline("stages: {bad: {cmd: exit 3, outs: [out]}}\n");
    p.ok("init");
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    assert_eq!(p.cvops("repro --name bad").exit, Exit::Code(1));
    let kept = remote.kept();
    assert_eq!(
        (kept.runs.len(), kept.runs[0].status.as_str()),
        (1, "FAILED")
    );
}

#[test]
fn who_asks_is_said_as_for_mlflow() {
    let p = study();
    let remote = Remote::start();
    sends_to(&p, &remote.uri);
    let mut command = p.command("repro");
    command
        .env("MLFLOW_TRACKING_USERNAME", "u")
        .env("MLFLOW_TRACKING_PASSWORD", "p");
    assert_eq!(p.run(&mut command).exit, Exit::Code(0));
    let kept = remote.kept();
    assert!(!kept.logins.is_empty());
    assert!(
        kept.logins
            .iter()
            .all(|l| l.as_deref() == Some("Basic dTpw"))
    );
}

#[test]
fn a_setting_that_is_no_address_is_refused() {
    let p = study();
    for uri in ["databricks", "http://", "http://u:p@host", "file:///tmp"] {
        let output = p.cvops(&format!("config tracking.uri {uri}"));
        assert_eq!(output.exit, Exit::Code(2), "{uri}: {}", output.stderr);
        assert!(output.stderr.contains("tracking.uri"), "{}", output.stderr);
    }
    check(
        &p.cvops("runs push"),
        str![[r"
--- stderr ---
error: `tracking.uri` is not set
 |
 = help: name the server: `cvops config tracking.uri http://127.0.0.1:5000`
[exit 2]
"]],
    );
}

#[test]
fn our_own_server_is_a_remote_like_others() {
    let (p, other) = (study(), study());
    let remote = other.ui("");
    sends_to(&p, &format!("http://127.0.0.1:{}", remote.port));
    p.ok("repro --name here");
    p.ok("runs tag here seen=yes");
    p.ok("runs push");
    let there = other.ok("runs show here --json").json().remove(0);
    assert_eq!(there["status"], "finished", "{there}");
    assert_eq!(there["tags"]["seen"], "yes", "{there}");
    // A server of the same record would get copies of copies.
    let own = p.ui("");
    sends_to(&p, &format!("http://127.0.0.1:{}", own.port));
    let output = p.cvops("runs push --all");
    assert_eq!(output.exit, Exit::Code(1));
    assert!(output.stderr.contains("own record"), "{}", output.stderr);
}
