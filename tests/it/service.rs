//! Stages that are services: passed over by a bare `repro`, started by name, in the foreground.
//!
//! The services here are shell loops; the test itself listens on their port when they are to be
//! ready, so nothing but `sh` is needed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use snapbox::str;

use crate::support::server::{answer, free_port};
use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Output, Project, check, project};

/// A loop that tells that it runs, and under which process, and says good-bye when it is stopped.
const LOOP: &str = "exec 2>/dev/null; trap 'echo bye; exit 0' TERM; echo up; echo $$ > ~/up; while :; do sleep 0.02; done";

/// A stage `model` and a service `serve` behind it, on `port`.
fn with_service(port: u16, command: &str) -> Project {
    let p = with_pipeline(&format!(
        r"stages:
  model:
    cmd: echo model >> ~/runs; cp seed.txt model.txt
    deps: [seed.txt]
    outs: [model.txt]
  serve:
    cmd: |
      {command}
    deps: [model.txt]
    service: {{port: {port}, ready: /health/ready}}
"
    ));
    p.write("seed.txt", "1\n");
    p
}

/// A running cvops whose output lies in two files of the home folder. One that a failed test leaves
/// behind is stopped, with its service.
struct Running<'p> {
    project: &'p Project,
    child: Child,
    port: u16,
}

fn start<'p>(project: &'p Project, args: &str, port: u16) -> Running<'p> {
    let file = |name: &str| fs::File::create(project.home().join(name)).unwrap();
    let child = project
        .command(args)
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap();
    Running {
        project,
        child,
        port,
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::TERM);
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

impl Running<'_> {
    fn text(&self, name: &str) -> String {
        let text = fs::read_to_string(self.project.home().join(name)).unwrap();
        text.replace(&self.port.to_string(), "[PORT]")
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || {
            self.text("stderr").contains(text) || self.text("stdout").contains(text)
        });
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    fn end(mut self) -> Output {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        self.project.output(
            self.text("stdout"),
            self.text("stderr"),
            match status.code() {
                Some(code) => Exit::Code(code),
                None => Exit::Signal(status.signal().unwrap()),
            },
        )
    }
}

impl Project {
    /// Returns the process that `LOOP` ran in.
    fn service_pid(&self) -> Pid {
        // The shell creates the file before it writes into it.
        let read = || fs::read_to_string(self.home().join("up")).unwrap();
        wait_until("the service says who it is", || read().ends_with('\n'));
        Pid::from_raw(read().trim().parse().unwrap()).unwrap()
    }
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err()
}

#[test]
fn a_bare_repro_passes_a_service_over_and_says_how_to_start_it() {
    let port = free_port();
    let p = with_service(port, "touch ~/started");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
model: running: it never ran
model $ echo model >> ~/runs; cp seed.txt model.txt
model: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
model: unchanged
everything is up to date (1 stage)
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
model  unchanged
serve  service     started by name only
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("status --json"),
        str![[r#"
{"problems":[],"sources":[],"stages":[{"depends_on":[],"reasons":[],"stage":"model","state":"unchanged"},{"depends_on":[],"reasons":[],"stage":"serve","state":"service"}]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("why serve"),
        str![[r#"
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    let drawn = p.cvops("dag");
    // Free ports have five digits.
    let told = drawn.stdout.replace(&port.to_string(), "NNNNN");
    check(
        &p.output(told, drawn.stderr, drawn.exit),
        str![[r#"
        ┌───────┐
        │ model │
        └───┬───┘
            ▼
┌───────────────────────┐
│         serve         │
│ service on port NNNNN │
└───────────────────────┘
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro --dry serve"),
        str![[r#"
model  unchanged
serve  service     started by name only
--- stderr ---
everything is up to date
serve would start
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro --downstream model"),
        str![[r#"
--- stderr ---
model: unchanged
everything is up to date (1 stage)
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    let events = p.ok("repro --json").events("decided");
    assert_eq!(events[1]["decision"], "service");
    assert!(!p.home().join("started").exists());
    assert!(!p.read("pipeline.lock").contains("serve"));
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(0));
}

#[test]
fn a_service_that_is_passed_over_needs_nothing() {
    let port = free_port();
    let p = with_pipeline(&format!(
        "stages:\n  serve:\n    cmd: 'true'\n    deps: [missing]\n    params: [serve]\n    service: {{port: {port}, ready: /}}\n"
    ));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro serve"),
        str![[r#"
--- stderr ---
error: stage `serve` needs parameters from `params.yaml`, which does not exist
 --> pipeline.yaml:5:14
  |
5 |     params: [serve]
  |              ^^^^^
  |
  = help: create `params.yaml`, or correct `params:`
error: stage `serve` needs `missing`, which does not exist
 --> pipeline.yaml:4:12
  |
4 |     deps: [missing]
  |            ^^^^^^^
  |
  = help: create `missing`, or correct the dep in the pipeline file
[exit 2]
"#]],
    );
}

#[test]
fn a_service_runs_in_the_foreground_until_it_is_stopped() {
    let port = free_port();
    let p = with_service(port, LOOP);
    let repro = start(&p, "repro serve", port);
    repro.wait_for("serve | up");
    answer(port, 200);
    repro.wait_for("ready on");
    // The project is free for other commands meanwhile, and none of them touches the service.
    p.write("seed.txt", "2\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
model: running: dependency `seed.txt` changed ([HASH] -> [HASH])
model $ echo model >> ~/runs; cp seed.txt model.txt
model: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    assert!(!is_gone(p.service_pid()));
    repro.signal(Signal::INT);
    check(
        &repro.end(),
        str![[r#"
serve | up
serve | bye
--- stderr ---
model: running: it never ran
model $ echo model >> ~/runs; cp seed.txt model.txt
model: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
serve $ exec 2>/dev/null; trap 'echo bye; exit 0' TERM; echo up; echo $$ > ~/up; while :; do sleep 0.02; done
serve is ready on http://127.0.0.1:[PORT]
stopping `serve` (again to kill)
[exit 130]
"#]],
    );
    assert!(is_gone(p.service_pid()));
    assert!(!p.read("pipeline.lock").contains("serve"));
    // Nothing of it stays behind.
    assert!(!p.exists(".cvops/tmp/scratch/serve"));
}

#[test]
fn the_story_of_a_service_as_json() {
    let port = free_port();
    let p = with_service(port, LOOP);
    let repro = start(&p, "repro serve --json", port);
    repro.wait_for("up");
    answer(port, 200);
    repro.wait_for("\"ready\"");
    repro.signal(Signal::TERM);
    let output = repro.end();
    assert_eq!(output.exit, Exit::Code(0));
    let kinds: Vec<String> = output
        .json()
        .iter()
        .map(|event| event["event"].as_str().unwrap().to_owned())
        // What it prints and what it answers arrive on different ways.
        .filter(|kind| kind != "output")
        .collect();
    assert_eq!(
        kinds,
        [
            "decided", "started", "finished", "decided", "done", "started", "ready", "stopping",
            "stopped"
        ]
    );
    assert_eq!(output.events("output").len(), 2);
    let ready = &output.events("ready")[0];
    assert_eq!(ready["stage"], "serve");
    assert_eq!(ready["url"], "http://127.0.0.1:[PORT]");
}

#[test]
fn a_service_that_ends_by_itself_failed() {
    let p = with_service(free_port(), "echo loading; echo no model here >&2; exit 3");
    check(
        &p.cvops("repro serve"),
        str![[r#"
serve | loading
--- stderr ---
model: running: it never ran
model $ echo model >> ~/runs; cp seed.txt model.txt
model: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
serve $ echo loading; echo no model here >&2; exit 3
serve | no model here
error: service `serve` ended by itself: `echo loading; echo no model here >&2; exit 3` exited with code 3
 |
 = note: it said: loading
 = note: it said: no model here
 = help: a service runs until it is stopped; mend the cause and start it again
[exit 1]
"#]],
    );
    p.edit("pipeline.yaml", "exit 3", "exit 0");
    check(
        &p.cvops("repro -q serve"),
        str![[r#"
serve | loading
--- stderr ---
serve | no model here
error: service `serve` ended by itself: `echo loading; echo no model here >&2; exit 0` exited with code 0
 |
 = note: it said: loading
 = note: it said: no model here
 = help: a service runs until it is stopped; mend the cause and start it again
[exit 1]
"#]],
    );
}

#[test]
fn a_service_that_is_not_ready_in_time_is_stopped() {
    let port = free_port();
    let p = with_service(port, LOOP);
    p.edit(
        "pipeline.yaml",
        "/health/ready}",
        "/health/ready, ready_timeout: 100ms}",
    );
    check(
        &start(&p, "repro serve", port).end(),
        str![[r#"
serve | up
serve | bye
--- stderr ---
model: running: it never ran
model $ echo model >> ~/runs; cp seed.txt model.txt
model: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
serve $ exec 2>/dev/null; trap 'echo bye; exit 0' TERM; echo up; echo $$ > ~/up; while :; do sleep 0.02; done
error: service `serve` was not ready within [TIME]: nothing listens at `http://127.0.0.1:[PORT]/health/ready`
 |
 = help: if it needs longer, set `ready_timeout` of its `service`; if it listens elsewhere, correct `port` or `ready`
stopping `serve` (again to kill)
[exit 1]
"#]],
    );
    assert!(is_gone(p.service_pid()));

    let p = with_service(port, LOOP);
    p.edit(
        "pipeline.yaml",
        "/health/ready}",
        "/health/ready, ready_timeout: 2s}",
    );
    let repro = start(&p, "repro serve", port);
    repro.wait_for("serve | up");
    answer(port, 503);
    check(
        &repro.end(),
        str![[r#"
serve | up
serve | bye
--- stderr ---
model: running: it never ran
model $ echo model >> ~/runs; cp seed.txt model.txt
model: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
serve $ exec 2>/dev/null; trap 'echo bye; exit 0' TERM; echo up; echo $$ > ~/up; while :; do sleep 0.02; done
error: service `serve` was not ready within [TIME]: `http://127.0.0.1:[PORT]/health/ready` answered 503
 |
 = help: if it needs longer, set `ready_timeout` of its `service`; if it listens elsewhere, correct `port` or `ready`
stopping `serve` (again to kill)
[exit 1]
"#]],
    );
}

#[test]
fn a_busy_port_is_no_readiness() {
    let port = answer(0, 200);
    let p = with_service(port, LOOP);
    let output = start(&p, "repro serve", port).end();
    assert_eq!(output.exit, Exit::Code(1));
    assert!(
        output
            .stderr
            .contains("error: service `serve` cannot start: port [PORT] is in use"),
        "{}",
        output.transcript()
    );
    if cfg!(target_os = "linux") {
        let me = format!("(pid {})", std::process::id());
        assert!(output.stderr.contains(&me), "{}", output.transcript());
    }
    // It is said before what it needs is computed, not after.
    assert!(!p.exists("model.txt") && !p.home().join("up").exists());
}

/// To kill the service alone would make the command that runs it fail.
#[test]
#[cfg(all(target_os = "linux", feature = "vision"))]
fn a_port_held_by_a_running_service_names_the_command_to_stop() {
    let port = free_port();
    let p = with_service(port, &format!("cvops serve --port {port}"));
    let repro = start(&p, "repro serve", port);
    repro.wait_for("listening on");
    let second = p.cvops("repro serve");
    assert_eq!(second.exit, Exit::Code(1));
    let stop = format!("`kill {}`", repro.child.id());
    assert!(second.stderr.contains(&stop), "{}", second.transcript());
    repro.signal(Signal::TERM);
    assert_eq!(repro.end().exit, Exit::Code(0));
}

#[test]
fn a_failure_before_it_keeps_a_service_from_starting() {
    let p = with_service(free_port(), "touch ~/started");
    p.edit("pipeline.yaml", "cp seed.txt model.txt", "exit 4");
    check(
        &p.cvops("repro serve"),
        str![[r#"
--- stderr ---
model: running: it never ran
model $ echo model >> ~/runs; exit 4
error: stage `model` failed: `echo model >> ~/runs; exit 4` exited with code 4
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    assert!(!p.home().join("started").exists());
}

#[test]
fn one_service_that_ends_stops_the_other() {
    let (port, other) = (free_port(), free_port());
    let p = with_service(port, LOOP);
    let text = p.read("pipeline.yaml");
    p.write(
        "pipeline.yaml",
        format!(
            "{text}  other:\n    cmd: until [ -e ~/up ]; do sleep 0.02; done; exit 5\n    service: {{port: {other}, ready: /}}\n"
        ),
    );
    let output = start(&p, "repro serve other", port).end();
    assert_eq!(output.exit, Exit::Code(1));
    assert!(
        output.stderr.contains("service `other` ended by itself: `until [ -e ~/up ]; do sleep 0.02; done; exit 5` exited with code 5"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stdout.contains("serve | bye"),
        "{}",
        output.transcript()
    );
    assert!(is_gone(p.service_pid()));

    p.edit(
        "pipeline.yaml",
        &format!("port: {other}"),
        &format!("port: {port}"),
    );
    let output = start(&p, "repro serve other", port).end();
    check(
        &output,
        str![[r#"
--- stderr ---
error: services `serve` and `other` both want port [PORT]
 |
 = help: start one of them, or give each its own `port`
[exit 2]
"#]],
    );
}

/// The shell dies of the signal; what it started says good-bye and is waited for, but not for longer.
#[test]
fn a_service_behind_a_shell_is_waited_for() {
    let port = free_port();
    let inner = LOOP.replace('\'', "\"").replace("$$", "$PPID");
    let p = with_service(port, &format!("sh -c '{inner}'; exit 1"));
    let repro = start(&p, "repro serve", port);
    repro.wait_for("serve | up");
    repro.signal(Signal::TERM);
    let output = repro.end();
    assert_eq!(output.exit, Exit::Code(0));
    assert!(
        output.stdout.contains("serve | bye"),
        "{}",
        output.transcript()
    );
}

#[test]
fn a_second_signal_kills_a_service_that_heeds_none() {
    let port = free_port();
    let p = with_service(port, &LOOP.replace("echo bye; exit 0", "echo never"));
    let repro = start(&p, "repro serve", port);
    repro.wait_for("serve | up");
    repro.signal(Signal::INT);
    repro.wait_for("serve | never");
    repro.signal(Signal::INT);
    assert_eq!(repro.end().exit, Exit::Code(130));
    let pid = p.service_pid();
    wait_until("it is gone", || is_gone(pid));
}

#[test]
#[cfg(target_os = "linux")]
fn a_service_left_behind_by_a_killed_cvops_is_stopped_by_the_next_start() {
    let port = free_port();
    let p = with_service(port, LOOP);
    let mut repro = start(&p, "repro serve", port);
    repro.wait_for("serve | up");
    let left = p.service_pid();
    repro.child.kill().unwrap();
    repro.child.wait().unwrap();
    assert!(!is_gone(left));
    let repro = start(&p, "repro serve", port);
    repro.wait_for("stopped its processes, which a killed cvops left behind");
    wait_until("it is gone", || is_gone(left));
    repro.wait_for("serve | up");
    repro.signal(Signal::TERM);
    assert_eq!(repro.end().exit, Exit::Code(0));
}

#[test]
fn what_makes_no_sense_for_a_service_is_said_at_its_place() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages:\n  a:\n    cmd: x\n    outs: [o]\n    frozen: true\n    service: {port: 70000, ready: health, ready_timeout: soon}\n  b:\n    cmd: x\n    service: {prot: 1}\n  c:\n    cmd: x\n    service: 5001\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: a service has no `outs`: it is never done, so nothing it writes can be recorded
 --> pipeline.yaml:4:5
  |
4 |     outs: [o]
  |     ^^^^
  |
  = help: drop `outs`, or drop `service`
error: a service has no `frozen`: it only runs when it is asked for by name
 --> pipeline.yaml:5:5
  |
5 |     frozen: true
  |     ^^^^^^
  |
  = help: drop `frozen`, or drop `service`
error: `stages.a.service.port` must be a whole number from 1 to 65535
 --> pipeline.yaml:6:21
  |
6 |     service: {port: 70000, ready: health, ready_timeout: soon}
  |                     ^^^^^ out of range
error: `stages.a.service.ready` must be the path of a URL, such as `/health/ready`
 --> pipeline.yaml:6:35
  |
6 |     service: {port: 70000, ready: health, ready_timeout: soon}
  |                                   ^^^^^^
  |
  = help: the address is always `http://127.0.0.1` with `port`
error: `stages.a.service.ready_timeout` must be a number of seconds, or for example `500ms`, `30s`, `2h`, `1h 30m`
 --> pipeline.yaml:6:58
  |
6 |     service: {port: 70000, ready: health, ready_timeout: soon}
  |                                                          ^^^^
  |
  = help: for example `ready_timeout: 30s`
error: `stages.b.service` has no `port`
 --> pipeline.yaml:9:5
  |
9 |     service: {prot: 1}
  |     ^^^^^^^
  |
  = help: for example `service: {port: 5001, ready: /health/ready}`
error: `stages.b.service` has no `ready`
 --> pipeline.yaml:9:5
  |
9 |     service: {prot: 1}
  |     ^^^^^^^
  |
  = help: for example `service: {port: 5001, ready: /health/ready}`
error: unknown key `prot` in `stages.b.service`
 --> pipeline.yaml:9:15
  |
9 |     service: {prot: 1}
  |               ^^^^ not a known key
  |
  = help: did you mean `port`?
error: `stages.c.service` must be a mapping with `port` and `ready`, not a whole number
  --> pipeline.yaml:12:14
   |
12 |     service: 5001
   |              ^^^^
   |
   = help: for example `service: {port: 5001, ready: /health/ready}`
[exit 2]
"#]],
    );
}

/// The schema for editors has the same keys as the reader.
#[test]
fn the_schema_knows_services() {
    let schema = project().ok("schema").stdout;
    for key in ["service", "port", "ready", "ready_timeout"] {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
}

/// Nothing is read from the terminal or kept open by a service that was stopped.
#[test]
fn a_quiet_service_shows_results_and_errors_only() {
    let port = free_port();
    let p = with_service(port, LOOP);
    p.command("repro -q")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let repro = start(&p, "repro -q serve", port);
    repro.wait_for("serve | up");
    repro.signal(Signal::TERM);
    check(
        &repro.end(),
        str![[r#"
serve | up
serve | bye
[exit 0]
"#]],
    );
}
