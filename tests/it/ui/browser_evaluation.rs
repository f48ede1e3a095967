//! The page of an evaluation in a browser.

use crate::support::browser::{axe, browser};
use crate::support::stages::with_pipeline;

const PIPELINE: &str = "stages:
  judge:
    cmd: mkdir -p reports; cp said.jsonl reports/predictions.jsonl
    deps: [said.jsonl]
    outs: [reports/predictions.jsonl]
";

#[test]
fn the_slider_changes_figures_and_a_cell_opens_its_pictures() {
    let Some(browser) = browser("the page of an evaluation") else {
        return;
    };
    let p = with_pipeline(PIPELINE);
    let line = |at: usize, label: &str, predicted: &str, confidence: f64| {
        format!(
            "{{\"path\":\"{at}.png\",\"label\":\"{label}\",\"predicted\":\"{predicted}\",\
             \"confidence\":{confidence},\"probabilities\":{{\"{predicted}\":{confidence}}}}}\n"
        )
    };
    let text = [
        line(0, "cat", "cat", 0.9),
        line(1, "cat", "dog", 0.8),
        line(2, "dog", "dog", 0.95),
        line(3, "dog", "cat", 0.55),
    ];
    p.write("said.jsonl", text.concat());
    p.ok("repro");
    let server = p.ui("");
    let page = browser.page();
    page.goto(&server.url("/evaluation"));
    assert_eq!(page.text("[data-figure=accuracy]"), "50.0 %");
    page.wait_for("document.getElementById('threshold-form').dataset.ready");
    page.eval(
        "const slider = document.getElementById('slider'); slider.value = '0.85';
         slider.dispatchEvent(new Event('input')); slider.dispatchEvent(new Event('change'));",
    );
    assert_eq!(page.text("[data-figure=accuracy]"), "100.0 %");
    assert_eq!(page.text("[data-figure=coverage]"), "50.0 %");
    assert_eq!(page.text("[data-figure=wrong]"), "0");
    assert_eq!(
        page.text("[data-note=wrong]"),
        "2 of 2 caught by the threshold"
    );
    assert_eq!(page.text("#classes tbody tr td:nth-child(3)"), "1");
    // What is seen is in the address, and the server says the same of it.
    assert!(
        page.url().ends_with("/evaluation?threshold=0.85"),
        "{}",
        page.url()
    );
    page.goto(&server.url("/evaluation?threshold=0.85"));
    assert_eq!(page.text("[data-figure=accuracy]"), "100.0 %");

    page.goto(&server.url("/evaluation"));
    page.click("svg a[aria-label$='true cat, predicted dog']");
    page.wait_for("document.getElementById('pictures').textContent == 'cat, taken for dog'");
    assert_eq!(page.texts(".pictures li code"), ["1.png"]);
    assert_eq!(axe(&page), "");
    page.is_clean();
}
