//! The locks of DVC, with the real `dvc` at work beside us.
//!
//! `CVOPS_TEST_DVC` names the program. Without it these tests say that they skip; with
//! `CVOPS_TEST_DVC_REQUIRED` a skip is a failure.
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cvops::base::Cancel;
use cvops::project::{PathLocks, RepoLock, Wait, discover};

use crate::support::{Project, project};

/// Returns a DVC repository with one stage, and the command `dvc` in it.
fn repository(what: &str) -> Option<(Project, impl Fn(&str) -> Command)> {
    let Some(program) = std::env::var_os("CVOPS_TEST_DVC").map(PathBuf::from) else {
        assert!(
            std::env::var_os("CVOPS_TEST_DVC_REQUIRED").is_none(),
            "{what}: CVOPS_TEST_DVC names no DVC, and this run must not skip it"
        );
        eprintln!("{what}: skipped, CVOPS_TEST_DVC names no DVC");
        return None;
    };
    let p = project();
    let (root, home) = (p.root().to_owned(), p.home().to_owned());
    let dvc = move |args: &str| {
        let mut command = Command::new(&program);
        command
            .args(args.split(' '))
            .current_dir(&root)
            .env("HOME", &home)
            .env("DVC_NO_ANALYTICS", "1")
            .env("DVC_SITE_CACHE_DIR", home.join("site"))
            .stdin(Stdio::null());
        command
    };
    p.ok("init --dvc --no-scm");
    p.write("x", "1");
    p.write(
        "dvc.yaml",
        "stages:\n  a:\n    cmd: touch started; while [ ! -e go ]; do sleep 0.05; done; cp x out\n    deps: [x]\n    outs: [out]\n",
    );
    Some((p, dvc))
}

#[test]
fn dvc_keeps_out_while_we_hold_the_repository_and_comes_in_after() {
    let Some((p, dvc)) = repository("dvc_keeps_out") else {
        return;
    };
    let layout = discover(p.root(), None).unwrap().layout;
    let mut lock = RepoLock::acquire(&layout, &Cancel::new(), &|_| {}).unwrap();
    let refused = p.run(&mut dvc("status"));
    assert!(
        refused.stderr.contains("Unable to acquire lock"),
        "{}",
        refused.stderr
    );
    lock.release();
    let status = p.run(&mut dvc("status"));
    assert!(
        status.stdout.contains("modified"),
        "{}",
        status.transcript()
    );
}

#[test]
fn dvc_does_not_write_what_we_write() {
    let Some((p, dvc)) = repository("dvc_does_not_write") else {
        return;
    };
    p.write("go", "");
    let layout = discover(p.root(), None).unwrap().layout;
    let locks = PathLocks::new(&layout, "cvops repro");
    let held = locks
        .lock(&[], &[p.path("out")], &Cancel::new(), &|_| {})
        .unwrap();
    let refused = p.run(&mut dvc("repro"));
    assert!(
        refused.stderr.contains("cvops repro"),
        "{}",
        refused.transcript()
    );
    drop(held);
    let done = p.run(&mut dvc("repro"));
    assert!(p.exists("out"), "{}", done.transcript());
}

#[test]
fn we_wait_for_what_dvc_writes_and_name_it() {
    let Some((p, dvc)) = repository("we_wait") else {
        return;
    };
    let mut child = dvc("repro").stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !p.exists("started") {
        assert!(Instant::now() < deadline, "dvc did not start the stage");
        std::thread::sleep(Duration::from_millis(20));
    }
    let layout = discover(p.root(), None).unwrap().layout;
    // DVC holds the repository but not while its stage runs.
    drop(RepoLock::acquire(&layout, &Cancel::new(), &|_| {}).unwrap());
    let seen = Mutex::new(String::new());
    let on_wait = |wait: &Wait| {
        if let Some(holder) = &wait.holder {
            *seen.lock().unwrap() = holder.command.clone();
        }
        p.write("go", "");
    };
    let locks = PathLocks::new(&layout, "cvops repro");
    let held = locks
        .lock(&[], &[p.path("out")], &Cancel::new(), &on_wait)
        .unwrap();
    assert!(p.exists("out"));
    assert!(seen.lock().unwrap().contains("repro"), "{seen:?}");
    drop(held);
    assert!(child.wait().unwrap().success());
}
