//! `cvops doctor`.
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Exit, Output, Project, project};

/// Returns verdict and text of every line of one check.
fn lines(output: &Output, what: &str) -> Vec<(String, String)> {
    let report: serde_json::Value = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}\n{}", output.transcript()));
    let checks = report["checks"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    checks
        .iter()
        .filter(|check| check["check"] == what)
        .map(|check| (text(&check["verdict"]), text(&check["text"])))
        .collect()
}

/// Expects one line of `what` with this verdict, which says `text`.
#[track_caller]
fn says(p: &Project, what: &str, verdict: &str, text: &str) {
    let output = p.cvops("doctor --json --no-fail");
    let lines = lines(&output, what);
    assert!(
        lines.iter().any(|(v, t)| v == verdict && t.contains(text)),
        "{what}: {lines:?}"
    );
    let expected = i32::from(verdict == "problem");
    let code = p.cvops("doctor").exit;
    assert_eq!(code, Exit::Code(expected), "{what}");
}

fn sample() -> Project {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages:\n  a:\n    cmd: tr a-z A-Z < in.txt > out.txt\n    deps: [in.txt]\n    params: [x]\n    outs: [out.txt]\n",
    );
    p.write("in.txt", "fig\n").write("params.yaml", "x: 1\n");
    p
}

#[test]
fn a_sound_project_is_told_line_by_line() {
    let p = sample();
    p.git_init();
    p.ok("init");
    p.ok("repro");
    // The port may be in use while other tests serve.
    let report = p.ok("doctor").transcript();
    let shown = [
        "ok       cvops      cvops ",
        "ok       git        git version",
        "ok       shell      /bin/sh\n",
        "ok       processor  ",
        "ok       project    a cvops project: [ROOT]\n",
        "ok       settings   .cvops/config.yaml\n",
        "ok       cache      .cvops/cache: files are ",
        "ok       lock       free\n",
        "ok       leftovers  none\n",
        "ok       state      .cvops/state.db is sound (",
        "ok       pipeline   pipeline.yaml: 1 stage\n",
        "ok       params     params.yaml\n",
        "ok       lock file  records 1 of 1 stage\n",
        "ok       results    all 1 are in the cache\n",
    ];
    for line in shown {
        assert!(report.contains(line), "{line}\n---\n{report}");
    }
    assert!(!report.contains("problem"), "{report}");
    assert!(p.ok("doctor --md").stdout.starts_with("| check "));
}

#[test]
fn outside_of_a_project_the_machine_is_looked_at() {
    let p = project();
    says(
        &p,
        "project",
        "ok",
        "none here or above; `cvops init` sets one up",
    );
    says(&p, "settings", "ok", "none, the defaults hold");
    let output = p.ok("doctor --json");
    assert_eq!(lines(&output, "pipeline"), []);
    assert_eq!(lines(&output, "shell").len(), 1);
    assert!(!p.exists(".cvops"));
}

#[test]
fn looking_changes_nothing() {
    let p = sample();
    p.git_init();
    p.ok("doctor");
    assert_eq!(p.git("status --porcelain"), "");
    assert!(!p.exists(".cvops"));
}

#[test]
fn what_stops_a_repro_is_a_problem() {
    let p = sample();
    p.remove("in.txt").write("params.yaml", "y: 1\n");
    let output = p.cvops("doctor --json");
    assert_eq!(output.exit, Exit::Code(1));
    let found = lines(&output, "pipeline");
    assert_eq!(
        found,
        [
            (
                "problem".to_owned(),
                "stage `a` needs the parameter `x`, which `params.yaml` does not have (pipeline.yaml:5:14)"
                    .to_owned()
            ),
            (
                "problem".to_owned(),
                "stage `a` needs `in.txt`, which does not exist (pipeline.yaml:4:12)".to_owned()
            ),
        ]
    );
    p.write("pipeline.yaml", "stages: {}\n");
    says(&p, "pipeline", "warning", "pipeline.yaml has no stages yet");
    p.write("pipeline.yaml", "stages: {a: {cmd: x, dpes: [y]}}\n");
    says(&p, "pipeline", "problem", "unknown key `dpes`");
    p.write("params.yaml", "x: [\n");
    says(&p, "params", "problem", "`params.yaml` cannot be parsed");
}

#[test]
fn settings_cache_and_databases() {
    let p = sample();
    p.ok("repro");
    p.write(".cvops/config.yaml", "cahce: {dir: x}\n");
    says(
        &p,
        "settings",
        "problem",
        "unknown key `cahce` (.cvops/config.yaml:1:1)",
    );
    p.write(".cvops/config.yaml", "cache: {type: reflink}\n");
    // A file system with reflinks has no problem here; all others cannot place anything.
    let found = lines(&p.cvops("doctor --json"), "cache");
    let (verdict, text) = &found[0];
    assert!(
        (verdict == "ok" && text.contains("by reflink"))
            || (verdict == "problem" && text.contains("none of `cache.type: [reflink]` works")),
        "{found:?}"
    );
    p.write(".cvops/config.yaml", "cache: {type: [symlink, copy]}\n");
    says(&p, "cache", "ok", "files are placed by symlink");
    p.remove(".cvops/cache");
    says(
        &p,
        "results",
        "warning",
        "the cache lacks 1 of 1: `out.txt`",
    );
    // What a log beside it holds would make a database of any file.
    for file in ["state.db", "tracking.db"] {
        for end in ["-wal", "-shm"] {
            if p.exists(&format!(".cvops/{file}{end}")) {
                p.remove(&format!(".cvops/{file}{end}"));
            }
        }
    }
    p.write(
        ".cvops/state.db",
        "this is no database, but it is long enough to be one",
    );
    says(&p, "state", "warning", "file is not a database");
    p.write(
        ".cvops/tracking.db",
        "this is no database, but it is long enough to be one",
    );
    says(&p, "tracking", "problem", "file is not a database");
}

#[test]
fn leftovers_lock_and_port() {
    let p = sample();
    p.ok("repro");
    p.write(".cvops/tmp/scratch/train/key/checkpoint", "half a model");
    p.write(".cvops/tmp/.cvops-tmp-1-2", "");
    says(
        &p,
        "leftovers",
        "warning",
        "scratch folders of `train`, which go on from there; 1 temporary file",
    );
    // Whoever listens there, now somebody does.
    let _here = TcpListener::bind("127.0.0.1:5001");
    says(
        &p,
        "port",
        "warning",
        "5001, where `cvops serve` listens, cannot be used",
    );
}

#[test]
fn the_lock_file_and_git() {
    let p = sample();
    p.git_init();
    p.ok("repro");
    p.write(".gitignore", "");
    says(
        &p,
        "git",
        "warning",
        "outputs of the cache are not ignored: `out.txt`",
    );
    p.git("add --force out.txt");
    says(
        &p,
        "git",
        "warning",
        "outputs of the cache are committed as well: `out.txt`",
    );
    p.write(
        "pipeline.yaml",
        "stages: {b: {cmd: echo > b, outs: [b: {cache: false}]}}\n",
    );
    p.write(".gitignore", "b\n");
    says(
        &p,
        "git",
        "warning",
        "outputs declared `cache: false` are ignored: `b`",
    );
    says(&p, "lock file", "warning", "no longer declared: `a`");
    p.write("pipeline.lock", "schema: '2'\n");
    says(&p, "lock file", "problem", "the lock has version 2");
}

#[test]
fn a_cache_that_cannot_be_written() {
    let p = sample();
    p.write(".cvops/config.yaml", "cache: {dir: locked/cache}\n");
    p.write("locked/cache/x", "");
    let folder = p.path("locked/cache");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may write everywhere");
    } else {
        says(
            &p,
            "cache",
            "problem",
            "locked/cache: nothing can be written",
        );
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dvc_repository_is_named() {
    let p = project();
    p.write(".dvc/config", "");
    says(&p, "project", "ok", "a DVC repository");
}

#[test]
#[cfg(feature = "vision")]
fn parameters_of_our_commands_are_judged() {
    let p = project();
    p.write("params.yaml", "train: {lr: 1}\nserve: {port: 70000}\n");
    // Somebody else's `train` may say what it likes.
    p.write("pipeline.yaml", "stages: {t: {cmd: python t.py}}\n");
    says(&p, "params", "ok", "params.yaml");
    p.write(
        "pipeline.yaml",
        "stages: {t: {cmd: cvops train --out m, outs: [m]}}\n",
    );
    says(&p, "params", "problem", "unknown key `lr`");
    says(&p, "params", "problem", "`serve.port` must be");
    p.write("params.yaml", "trian: {epochs: 3}\n");
    says(
        &p,
        "params",
        "warning",
        "`params.yaml` has no section `train`; its defaults are used (params.yaml:1:1)",
    );
}

#[test]
fn every_port_is_tried_and_a_service_is_no_stage_to_record() {
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = here.local_addr().unwrap().port();
    let p = sample();
    p.write(
        "pipeline.yaml",
        format!("stages:\n  a: {{cmd: echo > a, outs: [a]}}\n  web: {{cmd: sleep 1, service: {{port: {port}, ready: /ready}}}}\n"),
    );
    p.ok("repro");
    says(&p, "lock file", "ok", "records 1 of 1 stage");
    let busy = format!("{port}, where the service `web` listens, cannot be used");
    says(&p, "port", "warning", &busy);
}

#[test]
#[cfg(feature = "vision")]
fn the_port_of_the_server_is_the_one_of_params() {
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = here.local_addr().unwrap().port();
    let p = project();
    p.write("pipeline.yaml", "stages: {t: {cmd: cvops train}}\n");
    p.write("params.yaml", format!("serve: {{port: {port}}}\n"));
    let busy = format!("{port}, where `cvops serve` listens, cannot be used");
    says(&p, "port", "warning", &busy);
}

#[test]
fn what_git_would_see_and_trees_of_trials() {
    let p = sample();
    p.ok("repro");
    p.remove(".cvops/.gitignore");
    p.write(".cvops/tmp/trials/sweep-1/3/params.yaml", "x: 1\n");
    says(&p, "git", "warning", "`.cvops/.gitignore` is missing");
    says(
        &p,
        "leftovers",
        "warning",
        "work trees of trials: `sweep-1`",
    );
}
