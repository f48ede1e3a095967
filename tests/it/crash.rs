//! Killed, interrupted, or let down by the disk at any moment: the next `cvops repro` ends right.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rand::{RngExt, SeedableRng};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use snapbox::str;

use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Output, Project, check};

/// More rungs than any scenario has write steps.
const RUNGS_MAX: u32 = 400;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EACCES: i32 = 13;

/// A run before which every kind of write is due: an output to restore, one edited by hand to
/// secure, a folder to replace, a new result to keep.
fn scene() -> Project {
    let p = with_pipeline(
        "stages:\n  dir: {cmd: 'mkdir d; cp n.txt d/n; echo fixed > d/same', deps: [n.txt], outs: [d]}\n  sum: {cmd: cat d/* > sum.txt, deps: [d], outs: [sum.txt]}\n  side: {cmd: echo side > side.txt, outs: [side.txt]}\n",
    );
    // Enough of a git repository for outputs to be listed in `.gitignore`.
    p.write("n.txt", "1\n").write(".git/HEAD", "");
    p
}

/// Brings the scene to the state in which the ladder begins.
fn set(p: &Project) {
    p.ok("repro");
    p.write("n.txt", "2\n")
        .write("sum.txt", "by hand\n")
        .remove("side.txt");
}

const FILES: [&str; 8] = [
    ".gitignore",
    "d/n",
    "d/same",
    "n.txt",
    "pipeline.lock",
    "pipeline.yaml",
    "side.txt",
    "sum.txt",
];

/// What must hold after any disturbance and one plain repro.
#[track_caller]
fn assert_whole(p: &Project, lock: &str, what: &str) {
    let output = p.cvops("repro");
    assert_eq!(
        output.exit,
        Exit::Code(0),
        "{what}: {}",
        output.transcript()
    );
    assert_eq!(p.files(), FILES, "{what}");
    assert_eq!(p.read("d/n"), p.read("n.txt"), "{what}");
    assert_eq!(
        p.read("sum.txt"),
        format!("{}fixed\n", p.read("n.txt")),
        "{what}"
    );
    assert_eq!(p.read("side.txt"), "side\n", "{what}");
    assert_eq!(p.read("pipeline.lock"), lock, "{what}");
    let output = p.cvops("cache verify");
    assert_eq!(
        output.exit,
        Exit::Code(0),
        "{what}: {}",
        output.transcript()
    );
    let again = p.ok("repro --json").events("done");
    assert!(
        again[0]["done"]
            .as_array()
            .unwrap()
            .iter()
            .all(|d| d["outcome"] == "unchanged")
    );
}

/// Returns whether the cache holds `text` as an object.
fn cache_holds(p: &Project, text: &str) -> bool {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    fs::read_to_string(p.path(&format!(
        ".cvops/cache/blake3/{}/{}",
        &hash[..2],
        &hash[2..]
    )))
    .is_ok_and(|t| t == text)
}

/// Climbs: `disturb` runs a repro with the n-th write step failing, until none is left to fail.
fn climb(name: &str, variable: &str, value: impl Fn(u32) -> String, judge: impl Fn(&Output, &str)) {
    let ground = scene();
    set(&ground);
    let undisturbed = ground.twin();
    undisturbed.ok("repro");
    let lock = undisturbed.read("pipeline.lock");
    for n in 1..RUNGS_MAX {
        let what = format!("{name}, rung {n}");
        let p = ground.twin();
        let output = p.run(
            p.command("repro")
                .env(variable, value(n))
                .env("CVOPS_LOG", "cvops=debug"),
        );
        assert!(
            !output.stderr.contains("panicked"),
            "{what}: {}",
            output.transcript()
        );
        // The user's edit is where it was, or safe.
        let by_hand = "by hand\n";
        let kept = fs::read_to_string(p.path("sum.txt")).is_ok_and(|t| t == by_hand);
        assert!(kept || cache_holds(&p, by_hand), "{what}: the edit is lost");
        if output.exit == Exit::Code(0) {
            assert_whole(&p, &lock, &what);
            // Some failures are harmless: the journal, the message for waiters, the removal of a marker.
            if fired(&output) {
                continue;
            }
            assert!(10 < n, "{name} disturbed too little");
            return;
        }
        judge(&output, &what);
        assert_whole(&p, &lock, &what);
    }
    panic!("{name}: no end after {RUNGS_MAX} rungs");
}

/// Did the fault fire? The program notes it when asked for its log.
fn fired(output: &Output) -> bool {
    output.stderr.contains("fault point fires")
}

#[test]
fn killed_at_any_write_it_ends_right_the_next_time() {
    climb(
        "crash",
        "CVOPS_CRASH_AT",
        |n| n.to_string(),
        |output, what| {
            assert_eq!(
                output.exit,
                Exit::Signal(9),
                "{what}: {}",
                output.transcript()
            );
        },
    );
}

fn climb_error(name: &str, errno: i32, words: &str) {
    climb(
        name,
        "CVOPS_FAIL_AT",
        |n| format!("{n}:{errno}"),
        |output, what| {
            assert_eq!(
                output.exit,
                Exit::Code(1),
                "{what}: {}",
                output.transcript()
            );
            assert!(
                output.stderr.contains("error: "),
                "{what}: {}",
                output.transcript()
            );
            assert!(
                output.stderr.contains(words),
                "{what}: {}",
                output.transcript()
            );
        },
    );
}

#[test]
fn with_a_full_disk_at_any_write_it_says_so_and_ends_right_the_next_time() {
    climb_error("no space", ENOSPC, "No space left on device");
}

#[test]
fn with_a_broken_disk_at_any_write_it_says_so_and_ends_right_the_next_time() {
    climb_error("i/o error", EIO, "Input/output error");
}

#[test]
fn without_permission_at_any_write_it_says_so_and_ends_right_the_next_time() {
    climb_error("permission", EACCES, "Permission denied");
}

/// Starts a repro as the leader of a process group of its own.
fn start(p: &Project, args: &str) -> Child {
    p.command(args)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(fs::File::create(p.home().join("stderr")).unwrap())
        .spawn()
        .unwrap()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn pid_in(p: &Project, file: &str) -> Pid {
    let text = fs::read_to_string(p.home().join(file)).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    // A zombie that nobody waits for still has an entry; it runs no more.
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && state.is_ok_and(|s| !s.contains(") Z "))
}

#[test]
fn killed_with_its_group_at_random_moments_it_ends_right_the_next_time() {
    let undisturbed = scene();
    set(&undisturbed);
    undisturbed.ok("repro");
    let lock = undisturbed.read("pipeline.lock");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for round in 0..12 {
        let p = scene();
        set(&p);
        let mut child = start(&p, "repro -j 2");
        std::thread::sleep(std::time::Duration::from_micros(
            rng.random_range(0..80_000),
        ));
        let _ = kill_process_group(pid_of(&child), Signal::KILL);
        child.wait().unwrap();
        assert_whole(&p, &lock, &format!("round {round}"));
    }
}

#[test]
fn a_stage_that_outlived_a_killed_cvops_is_stopped_first() {
    let p = with_pipeline(
        "stages:\n  slow:\n    cmd: echo $$ > ~/pid; while [ ! -e go ]; do echo spoilt >> out.txt; sleep 0.02; done; echo good > out.txt\n    outs: [out.txt]\n",
    );
    let mut child = start(&p, "repro");
    wait_until("the stage writes", || p.exists("out.txt"));
    kill_process(pid_of(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let orphan = pid_in(&p, "pid");
    assert!(is_alive(orphan));
    p.write("go-not-yet", "");
    p.edit(
        "pipeline.yaml",
        "while [ ! -e go ]",
        "while [ ! -e go-not-yet ]",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
stopped processes that a killed cvops left behind (stage `slow`)
slow: running: it never ran
slow: `out.txt` was not in the cache; its content is kept there as [HASH]
slow $ echo $$ > ~/pid; while [ ! -e go-not-yet ]; do echo spoilt >> out.txt; sleep 0.02; done; echo good > out.txt
slow: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert!(!is_alive(orphan));
    assert_eq!(p.read("out.txt"), "good\n");
    p.ok("cache verify");
}

#[test]
fn ctrl_c_stops_the_children_and_keeps_what_finished() {
    let p = with_pipeline(
        "stages:\n  first: {cmd: echo 1 > first.txt, outs: [first.txt]}\n  slow:\n    cmd: (echo $$; sleep 60) > ~/pid; echo never > out.txt\n    deps: [first.txt]\n    outs: [out.txt]\n",
    );
    let mut child = start(&p, "repro");
    let has_pid = || fs::read_to_string(p.home().join("pid")).is_ok_and(|t| t.ends_with('\n'));
    wait_until("the stage runs", has_pid);
    kill_process(pid_of(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    let stderr = fs::read_to_string(p.home().join("stderr")).unwrap();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(!is_alive(pid_in(&p, "pid")));
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert!(!stderr.contains("error:"), "{stderr}");
    check(
        &p.cvops("status"),
        str![[r#"
first  unchanged
slow   must run    it never ran
[exit 0]
"#]],
    );
}

#[test]
fn a_second_ctrl_c_kills_a_stage_that_does_not_listen() {
    let p = with_pipeline(
        "stages:\n  deaf:\n    cmd: trap '' INT TERM HUP; echo $$ > ~/pid; while true; do sleep 0.05; done\n    outs: [out.txt]\n",
    );
    let mut child = start(&p, "repro");
    let has_pid = || fs::read_to_string(p.home().join("pid")).is_ok_and(|t| t.ends_with('\n'));
    wait_until("the stage runs", has_pid);
    let stage = pid_in(&p, "pid");
    kill_process(pid_of(&child), Signal::INT).unwrap();
    wait_until("the first is answered", || {
        fs::read_to_string(p.home().join("stderr"))
            .unwrap()
            .contains("stopping `deaf`")
    });
    assert!(is_alive(stage));
    kill_process(pid_of(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    wait_until("the stage is gone", || !is_alive(stage));
    let stderr = fs::read_to_string(p.home().join("stderr")).unwrap();
    assert!(!stderr.contains("error:"), "{stderr}");
}
