//! Two commands in one project at the same time.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use snapbox::str;

use crate::support::stages::{Beside, wait_until, with_pipeline};
use crate::support::{Project, check, project};

/// A stage that notes its run, says that it has started, and waits until it may go on.
fn held(name: &str) -> String {
    format!(
        "  {name}:\n    cmd: echo {name} >> ~/runs; touch ~/started-{name}; while [ ! -e ~/go-{name} ] && [ -d ~ ]; do sleep 0.02; done; echo {name} > {name}.txt\n    outs: [{name}.txt]\n"
    )
}

/// Starts a command whose messages go to `log` in the home folder.
fn beside(p: &Project, args: &str, log: &str) -> Beside {
    let log = fs::File::create(p.home().join(log)).unwrap();
    Beside::start(p.command(args).stdout(Stdio::null()).stderr(log))
}

fn wait_for_start(p: &Project, stage: &str) {
    wait_until("the stage runs", || {
        p.home().join(format!("started-{stage}")).exists()
    });
}

fn let_go(p: &Project, stage: &str) {
    fs::write(p.home().join(format!("go-{stage}")), "").unwrap();
}

fn said(p: &Project, log: &str) -> String {
    fs::read_to_string(p.home().join(log)).unwrap()
}

#[test]
fn a_second_repro_waits_says_for_whom_and_finds_nothing_to_do() {
    let p = with_pipeline(&format!("stages:\n{}", held("slow")));
    let mut first = beside(&p, "repro", "first");
    wait_for_start(&p, "slow");
    let mut second = beside(&p, "repro", "second");
    wait_until("the second says that it waits", || {
        said(&p, "second").contains('\n')
    });
    let expected = format!(
        "slow: waiting for `cvops repro` (pid {}, since ",
        first.pid()
    );
    let told = said(&p, "second");
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.contains("which is at `slow.txt`"), "{told}");
    // Looking neither waits nor breaks anything.
    check(
        &p.cvops("status"),
        str![[r#"
slow  must run    it never ran
[exit 0]
"#]],
    );
    check(
        &p.cvops("why slow"),
        str![[r#"
slow must run: it never ran
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag"),
        str![[r#"
┌──────┐
│ slow │
└──────┘
[exit 0]
"#]],
    );
    let_go(&p, "slow");
    assert_eq!((first.end(), second.end()), (Some(0), Some(0)));
    let told = said(&p, "second");
    assert!(
        told.ends_with("slow: unchanged\neverything is up to date (1 stage)\n"),
        "{told}"
    );
    assert_eq!(p.ran(), "slow");
}

#[test]
fn repros_of_different_stages_go_on_side_by_side() {
    let p = with_pipeline(&format!("stages:\n{}{}", held("a"), held("b")));
    let mut a = beside(&p, "repro a", "log-a");
    wait_for_start(&p, "a");
    let mut b = beside(&p, "repro b", "log-b");
    // Both run now: neither has waited for the other.
    wait_for_start(&p, "b");
    let_go(&p, "b");
    assert_eq!(b.end(), Some(0));
    let_go(&p, "a");
    assert_eq!(a.end(), Some(0));
    let lock = p.read("pipeline.lock");
    assert!(lock.contains("  a:\n") && lock.contains("  b:\n"), "{lock}");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: unchanged
b: unchanged
everything is up to date (2 stages)
[exit 0]
"#]],
    );
}

#[test]
fn what_needs_the_project_for_itself_waits_for_a_repro_and_names_it() {
    let p = with_pipeline(&format!("stages:\n{}", held("slow")));
    let mut repro = beside(&p, "repro", "repro");
    wait_for_start(&p, "slow");
    let mut verify = beside(&p, "cache verify", "verify");
    wait_until("the other says that it waits", || {
        said(&p, "verify").contains('\n')
    });
    let told = said(&p, "verify");
    let expected = format!("waiting for `cvops repro` (pid {}) to finish", repro.pid());
    assert!(told.starts_with(&expected), "{told}");
    let_go(&p, "slow");
    assert_eq!((repro.end(), verify.end()), (Some(0), Some(0)));
}

#[test]
fn eight_repros_of_one_pipeline_run_each_stage_once() {
    // Two layers: whoever finds the first one done goes on with the second.
    let stages: Vec<String> = (0..12)
        .map(|i| {
            format!(
                "  a{i}: {{cmd: 'echo a{i} >> ~/runs; echo {i} > a{i}', outs: [a{i}]}}\n  b{i}: {{cmd: 'echo b{i} >> ~/runs; cat a{i} > b{i}', deps: [a{i}], outs: [b{i}]}}\n"
            )
        })
        .collect();
    let p = with_pipeline(&format!("stages:\n{}", stages.concat()));
    let mut all: Vec<_> = (0..8)
        .map(|i| beside(&p, "repro -j 2", &format!("log-{i}")))
        .collect();
    for (i, repro) in all.iter_mut().enumerate() {
        assert_eq!(repro.end(), Some(0), "{}", said(&p, &format!("log-{i}")));
    }
    let mut ran: Vec<_> = p.ran().split(' ').map(str::to_owned).collect();
    ran.sort();
    let count = ran.len();
    ran.dedup();
    assert_eq!((count, ran.len()), (24, 24), "{ran:?}");
    for i in 0..12 {
        assert_eq!(p.read(&format!("b{i}")), format!("{i}\n"));
    }
    let done = p.ok("repro --json").events("done");
    let unchanged = done[0]["done"].as_array().unwrap().iter();
    assert!(unchanged.clone().all(|d| d["outcome"] == "unchanged"));
    assert_eq!(unchanged.count(), 24);
    p.ok("cache verify");
}

#[test]
fn what_a_killed_repro_held_is_free_for_one_that_runs() {
    let p = with_pipeline(&format!("stages:\n{}{}", held("a"), held("b")));
    let mut a = beside(&p, "repro a", "log-a");
    wait_for_start(&p, "a");
    let mut other = beside(&p, "repro b", "log-b");
    wait_for_start(&p, "b");
    let mut waiting = beside(&p, "repro a", "log-waiting");
    wait_until("it waits", || said(&p, "log-waiting").contains("waiting"));
    fs::remove_file(p.home().join("started-a")).unwrap();
    a.signal(Signal::KILL);
    assert_eq!(a.end(), None);
    // The stage starts anew, after what was left of the first attempt has been stopped.
    wait_for_start(&p, "a");
    let_go(&p, "a");
    let_go(&p, "b");
    assert_eq!((waiting.end(), other.end()), (Some(0), Some(0)));
    assert_eq!(p.read("a.txt"), "a\n");
    p.ok("cache verify");
    assert_eq!(
        fs::read_dir(p.path(".cvops/tmp/locks/claims"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn status_in_a_loop_disturbs_no_repro() {
    let stage = |i: usize| format!("  s{i}: {{cmd: 'echo {i} > s{i}', outs: [s{i}]}}\n");
    let text: String = (0..30).map(stage).collect();
    let p = with_pipeline(&format!("stages:\n{text}"));
    let mut repro = p
        .command("repro -j 2")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut looks = 0;
    let status = loop {
        p.ok("status");
        looks += 1;
        if let Some(status) = repro.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success() && 1 < looks);
    let done = p.ok("repro --json").events("done");
    assert!(
        done[0]["done"]
            .as_array()
            .unwrap()
            .iter()
            .all(|d| d["outcome"] == "unchanged")
    );
    p.ok("cache verify");
}

#[test]
fn two_projects_may_share_one_cache() {
    let shared = project();
    let text = "stages: {a: {cmd: seq 2000 > a, outs: [a]}, b: {cmd: mkdir b; cp a b/, deps: [a], outs: [b]}}\n";
    let projects: Vec<_> = (0..3)
        .map(|_| {
            let p = with_pipeline(text);
            p.write(
                ".cvops/config.yaml",
                format!("cache: {{dir: {}}}\n", shared.root().display()),
            );
            p
        })
        .collect();
    let children: Vec<_> = projects
        .iter()
        .map(|p| p.command("repro").stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for p in &projects {
        p.ok("cache verify");
        p.remove("a").remove("b");
        p.ok("repro");
        assert_eq!(p.read("b/a"), p.read("a"));
    }
}

#[test]
fn edits_at_the_same_time_lose_nothing() {
    let names = |what: &str| (0..12).map(|i| format!("{what}{i}")).collect::<Vec<_>>();
    let stage = |s: &String| format!("  {s}:\n    cmd: echo > {s}\n    outs: [{s}]\n");
    let stages: Vec<String> = names("s").iter().map(stage).collect();
    let p = with_pipeline(&format!("stages:\n{}", stages.concat()));
    p.write("params.yaml", "# mine\n");
    let mut running = Vec::new();
    for (key, stage) in names("k").iter().zip(names("s")) {
        for line in [
            format!("params set --add {key}=1"),
            format!("freeze {stage}"),
        ] {
            let command = p.command(&line).stdout(Stdio::null()).spawn().unwrap();
            running.push(command);
        }
    }
    for (key, value) in [("core.jobs", "3"), ("cache.type", "copy")] {
        for level in ["--local", "--global"] {
            let line = format!("config set {level} {key} {value}");
            let command = p.command(&line).stderr(Stdio::null()).spawn().unwrap();
            running.push(command);
        }
    }
    for mut command in running {
        assert!(command.wait().unwrap().success());
    }
    let params = p.read("params.yaml");
    assert!(params.starts_with("# mine\n"), "{params}");
    for key in names("k") {
        assert!(params.contains(&format!("{key}: 1\n")), "{key}\n{params}");
    }
    assert_eq!(p.read("pipeline.yaml").matches("frozen: true").count(), 12);
    for level in ["--local", "--global"] {
        assert_eq!(p.ok(&format!("config core.jobs {level}")).stdout, "3\n");
        assert_eq!(p.ok(&format!("config cache.type {level}")).stdout, "copy\n");
    }
}

#[test]
fn parameters_are_set_while_a_repro_runs() {
    let p = with_pipeline(
        "stages:\n  slow:\n    cmd: touch ~/started; while [ ! -e ~/go ] && [ -d ~ ]; do sleep 0.02; done; echo 1 > out.txt\n    outs: [out.txt]\n",
    );
    p.write("params.yaml", "x: 1\n");
    let mut repro = Beside::start(p.command("repro").stderr(Stdio::null()));
    wait_until("the repro holds the project lock", || {
        p.home().join("started").exists()
    });
    p.ok("params set x=2");
    fs::write(p.home().join("go"), "").unwrap();
    assert_eq!(repro.end(), Some(0));
    assert_eq!(p.read("params.yaml"), "x: 2\n");
}

/// Runs several commands at the same time; each must end with 0.
#[track_caller]
fn all_at_once(p: &crate::support::Project, lines: &[String]) {
    let start = |line: &String| {
        let mut command = p.command(line);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped());
        (line.clone(), child.spawn().unwrap())
    };
    let running: Vec<_> = lines.iter().map(start).collect();
    for (line, child) in running {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cvops {line}: {said}");
    }
}

#[test]
fn two_and_eight_adds_at_once_track_everything() {
    for count in [2, 8] {
        let p = project();
        p.write(".git/HEAD", "").ok("init");
        for i in 0..count {
            p.write(&format!("d{i}/a"), format!("{i}\n"));
            p.write(&format!("d{i}/same"), "same\n");
            p.write(&format!("f{i}"), "same\n");
        }
        let lines: Vec<_> = (0..count).map(|i| format!("add d{i} f{i}")).collect();
        all_at_once(&p, &lines);
        for i in 0..count {
            assert!(p.exists(&format!("d{i}.cvops")) && p.exists(&format!("f{i}.cvops")));
            let ignored = p.read(".gitignore");
            assert!(ignored.lines().any(|l| l == format!("/d{i}")), "{ignored}");
        }
        p.ok("status --exit-code");
        p.ok("cache verify");
        // The same thing many times.
        all_at_once(&p, &vec!["add d0 f0 d1".to_owned(); count]);
        p.ok("status --exit-code");
    }
}

#[test]
fn garbage_is_collected_beside_adds_and_pushes_and_nothing_is_lost() {
    let p = project();
    p.write(".git/HEAD", "").ok("init");
    p.ok("remote add --default far ../far");
    for i in 0..6 {
        p.write(&format!("d{i}/a"), format!("{i}\n"));
    }
    p.ok("add d0 d1");
    let lines = [
        "add d2 d3",
        "gc --workspace --force",
        "push",
        "add d4",
        "gc --workspace --force",
        "push d0",
        "add d5",
        "status",
    ];
    all_at_once(&p, &lines.map(str::to_owned));
    for i in 0..6 {
        p.remove(&format!("d{i}"));
    }
    p.ok("checkout");
    for i in 0..6 {
        assert_eq!(p.read(&format!("d{i}/a")), format!("{i}\n"));
    }
    p.ok("cache verify");
}

#[test]
fn two_and_eight_repros_of_one_project_run_each_stage_once() {
    for count in [2, 8] {
        let stage = |i: usize| {
            format!(
                "  s{i}: {{cmd: 'echo s{i} >> ~/runs; cp in.txt s{i}', deps: [in.txt], outs: [s{i}]}}\n"
            )
        };
        let text: String = (0..8).map(stage).collect();
        let p = with_pipeline(&format!("stages:\n{text}"));
        p.write("in.txt", "1\n");
        let lines: Vec<_> = (0..count)
            .map(|i| format!("repro s{} s{} s{}", i % 8, (i + 1) % 8, (i + 5) % 8))
            .collect();
        all_at_once(&p, &lines);
        let ran = p.ran();
        let mut once: Vec<_> = ran.split(' ').collect();
        once.sort_unstable();
        let len = once.len();
        once.dedup();
        assert_eq!(once.len(), len, "{ran}");
        p.ok("repro");
        p.ok("cache verify");
    }
}
