//! The pipeline page in a browser: a click answers why, progress comes by itself.

use std::fs;
use std::process::Stdio;

use crate::support::browser::browser;
use crate::support::stages::{Beside, sample, with_pipeline};

#[test]
fn a_click_on_a_stage_answers_why() {
    let Some(browser) = browser("a click on a stage") else {
        return;
    };
    let p = sample();
    p.ok("repro");
    p.write("params.yaml", "lines: 1\n");
    let server = p.ui("");
    let page = browser.page();
    page.goto(&server.url("/pipeline"));
    page.click(".graph-box a[href='/pipeline/top'] .box");
    page.wait_for(
        "location.pathname == '/pipeline/top' && document.querySelector('h1')?.textContent.startsWith('top')",
    );
    let why = page.text("main");
    assert!(why.contains("top must run"), "{why}");
    assert!(why.contains("parameter `lines` changed (2 -> 1)"), "{why}");
    page.is_clean();
}

#[test]
fn progress_comes_without_a_reload() {
    let Some(browser) = browser("live progress") else {
        return;
    };
    let p = with_pipeline(
        "stages:\n  slow:\n    cmd: for i in 1 2 3; do echo step $i; done; n=0;\n      while [ ! -e ~/go ] && [ $n -lt 2000 ]; do sleep 0.03; n=$((n+1)); done; echo 1 > out\n    outs: [out]\n  after: {cmd: cp out after, deps: [out], outs: [after]}\n",
    );
    let server = p.ui("");
    let page = browser.page();
    page.goto(&server.url("/pipeline"));
    page.eval("window.sameDocument = true");
    assert_eq!(page.count(".graph-box .pending"), 2);
    let mut command = p.command("repro");
    let mut running = Beside::start(command.stderr(Stdio::null()));
    page.wait_for("document.querySelector('.going .tail')?.textContent.includes('step 3')");
    page.wait_for("document.querySelectorAll('.graph-box .running').length == 1");
    page.screenshot("pipeline-live");
    fs::write(p.home().join("go"), "").unwrap();
    page.wait_for("document.querySelectorAll('.graph-box .done').length == 2");
    page.wait_for("!document.querySelector('.going')");
    assert_eq!(running.end(), Some(0));
    assert_eq!(page.eval("window.sameDocument"), true);
    page.is_clean();
}
