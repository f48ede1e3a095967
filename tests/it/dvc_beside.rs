//! cvops and DVC in one repository at the same time: they wait for each other, and lose nothing.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::support::Project;
use crate::support::dvc::{program, repository};
use crate::support::stages::wait_until;
use crate::support::twins::Tool::{Cvops, Dvc};
use crate::support::twins::assert_idle;

/// A command in the background, which does not outlive a failed test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stage that goes on until it is told to end, and one that has nothing to do with it.
fn scene() -> Project {
    let p = repository();
    p.write(
        "dvc.yaml",
        "stages:
  slow:
    cmd: echo slow >> ~/runs; touch ~/started; while [ -d ~ ] && [ ! -e ~/go ]; do sleep 0.02; done; cp in.txt slow.txt
    deps: [in.txt]
    outs: [slow.txt]
  quick:
    cmd: echo quick >> ~/runs; cp in.txt quick.txt
    deps: [in.txt]
    outs: [quick.txt]
",
    );
    p.write("in.txt", "1\n");
    p
}

#[test]
fn cvops_waits_for_a_stage_that_dvc_runs() {
    if program("cvops beside a running DVC").is_none() {
        return;
    }
    let p = scene();
    let mut theirs = Running::start(p.dvc_command("repro slow").stderr(Stdio::null()));
    wait_until("DVC runs the stage", || p.home().join("started").exists());
    let log = p.home().join("stderr");
    let mut ours = Running::start(p.command("repro").stderr(fs::File::create(&log).unwrap()));
    let said = || fs::read_to_string(&log).unwrap();
    wait_until("cvops says for whom it waits", || {
        said().contains("waiting") && said().contains(&theirs.id())
    });
    fs::write(p.home().join("go"), "").unwrap();
    assert!(theirs.wait().success());
    assert!(ours.wait().success(), "{}", said());
    let mut ran: Vec<String> = p.ran().split(' ').map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["quick", "slow"], "{}", said());
    assert_idle(Dvc, &p, "both at once");
    assert_idle(Cvops, &p, "both at once");
}

#[test]
fn dvc_respects_a_stage_that_cvops_runs() {
    if program("DVC beside a running cvops").is_none() {
        return;
    }
    let p = scene();
    let log = p.home().join("stderr");
    let stderr = fs::File::create(&log).unwrap();
    let mut ours = Running::start(p.command("repro slow").stderr(stderr));
    wait_until("cvops runs the stage", || p.home().join("started").exists());
    // As beside another DVC: `status` would read what is being written.
    let busy = p.home().join("busy");
    let stderr = fs::File::create(&busy).unwrap();
    let status = Running::start(p.dvc_command("status").stderr(stderr)).wait();
    let said = fs::read_to_string(&busy).unwrap();
    assert!(!status.success(), "{said}");
    assert!(said.contains("busy") && said.contains(&ours.id()), "{said}");
    let answer = p.home().join("answer");
    let stderr = fs::File::create(&answer).unwrap();
    let mut theirs = Running::start(p.dvc_command("repro slow").stderr(stderr));
    wait_until("DVC gives up", || theirs.0.try_wait().unwrap().is_some());
    let said = fs::read_to_string(&answer).unwrap();
    assert!(!theirs.wait().success(), "{said}");
    assert!(said.contains(&ours.id()) || said.contains("lock"), "{said}");
    fs::write(p.home().join("go"), "").unwrap();
    assert!(
        ours.wait().success(),
        "{}",
        fs::read_to_string(&log).unwrap()
    );
    assert_eq!(p.ran(), "slow");
    p.dvc_ok("repro");
    assert_eq!(p.ran(), "quick");
    assert_idle(Cvops, &p, "DVC was sent away");
}

#[test]
fn many_commands_of_both_at_once_lose_nothing() {
    if program("many commands at once").is_none() {
        return;
    }
    let p = repository();
    let stage = |i: usize| {
        format!("  s{i}:\n    cmd: cp in.txt s{i}\n    deps: [in.txt]\n    outs: [s{i}]\n")
    };
    let stages: String = (0..12).map(stage).collect();
    p.write("dvc.yaml", format!("stages:\n{stages}"))
        .write("in.txt", "1\n");
    let mut running = Vec::new();
    for i in 0..4 {
        let (a, b) = (3 * i, 3 * i + 1);
        for mut command in [
            p.command(&format!("repro s{a} s{b}")),
            p.dvc_command(&format!("repro --wait-for-lock s{a}")),
        ] {
            running.push(Running::start(command.stderr(Stdio::null())));
        }
    }
    for (i, mut child) in running.into_iter().enumerate() {
        let status = child.wait();
        // DVC gives up on a path that another one holds; cvops never does.
        assert!(status.success() || i % 2 == 1, "command {i}: {status}");
    }
    p.ok("repro");
    for i in 0..12 {
        assert_eq!(p.read(&format!("s{i}")), "1\n");
    }
    assert_idle(Dvc, &p, "many at once");
    assert_idle(Cvops, &p, "many at once");
    p.ok("cache verify");
}

#[test]
fn dvc_collects_garbage_while_a_stage_runs() {
    if program("DVC collects garbage beside a running cvops").is_none() {
        return;
    }
    let p = scene();
    let log = p.home().join("stderr");
    let mut ours = Running::start(
        p.command("repro -j 2")
            .stderr(fs::File::create(&log).unwrap()),
    );
    wait_until("cvops runs the stage", || p.home().join("started").exists());
    wait_until("cvops stored the other one", || p.exists("dvc.lock"));
    p.dvc_ok("gc --workspace --force");
    fs::write(p.home().join("go"), "").unwrap();
    assert!(
        ours.wait().success(),
        "{}",
        fs::read_to_string(&log).unwrap()
    );
    p.remove("slow.txt").remove("quick.txt");
    p.dvc_ok("checkout");
    assert_eq!(
        (p.read("slow.txt"), p.read("quick.txt")),
        ("1\n".into(), "1\n".into())
    );
}
