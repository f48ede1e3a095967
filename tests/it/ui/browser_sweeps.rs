//! A sweep that goes on, seen live.

use std::fs;

use super::sweeps::{start, trainer};
use crate::support::browser::browser;
use crate::support::stages::wait_until;

#[test]
fn a_new_trial_shows_without_a_reload() {
    let Some(browser) = browser("a live sweep") else {
        return;
    };
    let p = trainer();
    fs::write(p.home().join("hold"), "").unwrap();
    let server = p.ui("");
    let mut child = start(
        &p,
        "params sweep lr=0.1,0.2 depth=1,2,3 --metric score --name slow",
    );
    wait_until("the third trial runs", || {
        let answer = server.get("/sweeps/slow?format=json");
        answer.status == 200 && answer.json().as_array().is_some_and(|rows| rows.len() == 3)
    });
    let page = browser.page();
    page.goto(&server.url("/sweeps/slow"));
    page.eval("void (window.stays = 1)");
    let points = "document.querySelectorAll('[data-part=search] [data-places]').length";
    assert_eq!(page.eval(points), 2);
    assert!(page.text("[data-part=head]").contains("going on"));
    page.screenshot("sweep-live");
    fs::write(p.home().join("go"), "").unwrap();
    page.wait_for(&format!("{points} == 6"));
    page.wait_for("document.querySelector('[data-part=head]').innerText.includes('finished')");
    assert_eq!(page.eval("window.stays"), 1, "the page was loaded anew");
    assert_eq!(page.count("#trials tbody tr"), 6);
    // What came later is alive as well.
    assert_eq!(page.count("[data-part=search] .brush-panel"), 1);
    page.screenshot("sweep");
    // Its curves were replaced with each trial; the earlier charts are gone.
    let charts = "import('/assets/series.js').then(m => m.View.of('curves').charts.map(c => c.figure.isConnected).join())";
    assert_eq!(page.eval(charts), "true");
    assert_eq!(page.count(".shared-legend"), 0);
    page.is_clean();
    child.wait().unwrap();
}
