//! `/pipeline`: the stages, why, and what goes on.

use std::fs;
use std::process::Stdio;

use crate::support::project;
use crate::support::stages::{Beside, sample, wait_until, with_pipeline};

/// Waits for `~/go` after its first line.
const SLOW: &str = "stages:
  slow:
    cmd: echo working hard; n=0;
      while [ ! -e ~/go ] && [ $n -lt 2000 ]; do sleep 0.03; n=$((n+1)); done; echo 1 > out
    outs: [out]
  after:
    cmd: cp out after
    deps: [out]
    outs: [after]
";

#[test]
fn the_table_says_what_status_says() {
    let p = sample();
    p.ok("repro");
    p.write("params.yaml", "lines: 1\n");
    let server = p.ui("");
    let table = server.get("/pipeline?format=json").json();
    let of = |at: usize, key: &str| table[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(of(0, "state"), "unchanged");
    assert_eq!(of(1, "state"), "must run");
    assert_eq!(of(1, "because"), "parameter `lines` changed (2 -> 1)");
    assert_eq!(of(2, "because"), "on what `top` will write");
    assert!(table[1]["took_ms"].is_number(), "{table}");
    let csv = server.get("/pipeline?format=csv&table=stages").text();
    assert!(
        csv.starts_with("stage,state,because,took_ms\nprepare,unchanged,,"),
        "{csv}"
    );
    let page = server.get("/pipeline").text();
    assert!(
        page.contains("<a href=\"/pipeline/top\">") && page.contains("<svg"),
        "{page}"
    );
    assert!(
        !page.contains(" style=") && !page.contains("<style"),
        "{page}"
    );
    assert_eq!(server.get("/pipeline?format=xml").status, 400);
}

#[test]
fn the_page_of_a_stage_says_why() {
    let p = sample();
    p.edit(
        "pipeline.yaml",
        "echo top >>",
        "echo '<b>said</b>'; echo top >>",
    );
    p.ok("repro");
    p.write("params.yaml", "lines: 1\n");
    let server = p.ui("");
    let page = server.get("/pipeline/top").text();
    for expected in [
        "top must run",
        "parameter `lines` changed (2 -&#62; 1)",
        "&#60;b&#62;said&#60;/b&#62;",
        "top.txt",
        "Last runs of this stage",
        "ran</span>",
    ] {
        assert!(page.contains(expected), "{expected}:\n{page}");
    }
    assert!(!page.contains("<b>said"));
    let runs = server
        .get("/pipeline/top?format=json&table=stage-runs")
        .json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    let missing = server.get("/pipeline/topp");
    assert_eq!(missing.status, 404);
    assert!(
        missing.text().contains("`top` was perhaps meant"),
        "{}",
        missing.text()
    );
    let hostile = server.get("/pipeline/%3Cscript%3E/..%2f%00");
    assert!((400..500).contains(&hostile.status), "{}", hostile.status);
    assert!(!hostile.text().contains("<script>/"));
}

#[test]
fn a_failed_stage_says_how() {
    let p = with_pipeline("stages:\n  bad: {cmd: 'echo no room; exit 3', outs: [x]}\n");
    p.cvops("repro");
    let server = p.ui("");
    let table = server.get("/pipeline?format=json").json();
    assert_eq!(table[0]["state"], "failed");
    assert_eq!(table[0]["because"], "exited with code 3; it never ran");
    let page = server.get("/pipeline/bad").text();
    assert!(
        page.contains("It failed: exited with code 3") && page.contains("no room"),
        "{page}"
    );
}

#[test]
fn a_broken_pipeline_file_is_shown_with_its_place() {
    let p = with_pipeline("stages:\n  one:\n    cmd: echo 1\n    ousts: [a]\n");
    let server = p.ui("");
    for path in ["/pipeline", "/pipeline/one", "/"] {
        let page = server.get(path);
        assert_eq!(page.status, 200, "{path}");
        let text = page.text();
        assert!(text.contains("pipeline.yaml:4:5"), "{path}:\n{text}");
        assert!(text.contains("^^^^^"), "{path}:\n{text}");
    }
}

#[test]
fn an_empty_project_is_told_what_to_do() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let page = server.get("/pipeline");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("cvops stage add"), "{}", page.text());
    assert_eq!(server.get("/pipeline?format=json").text(), "[]");
}

#[test]
fn what_another_process_does_is_shown() {
    let p = with_pipeline(SLOW);
    let server = p.ui("");
    assert_eq!(
        server.get("/pipeline?format=json").json()[0]["state"],
        "must run"
    );
    let mut command = p.command("repro");
    let mut running = Beside::start(command.stderr(Stdio::null()));
    wait_until("the page shows that it runs", || {
        server.get("/pipeline").text().contains("working hard")
    });
    let table = server.get("/pipeline?format=json").json();
    assert_eq!(table[0]["state"], "running");
    let page = server.get("/").text();
    assert!(
        page.contains("working hard") && page.contains("0 of 2 stages"),
        "{page}"
    );
    fs::write(p.home().join("go"), "").unwrap();
    assert_eq!(running.end(), Some(0));
    wait_until("the page shows that it is done", || {
        let table = server.get("/pipeline?format=json").json();
        table[0]["state"] == "unchanged" && table[1]["state"] == "unchanged"
    });
    assert!(
        !server
            .get("/pipeline")
            .text()
            .contains("class=\"card going\"")
    );
}

#[test]
fn a_stage_may_be_called_live() {
    let p = with_pipeline("stages:\n  live: {cmd: echo 1 > x, outs: [x]}\n");
    let server = p.ui("");
    let page = server.get("/pipeline/live");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("live must run"), "{}", page.text());
}

#[test]
fn a_repository_of_dvc_has_the_page_too() {
    let p = project();
    p.write(".dvc/config", "");
    p.write(
        "dvc.yaml",
        "stages:\n  one:\n    cmd: echo 1 > x\n    outs: [x]\n",
    );
    let server = p.ui("");
    let table = server.get("/pipeline?format=json").json();
    assert_eq!(table[0]["stage"], "one");
    assert_eq!(table[0]["state"], "must run");
}
