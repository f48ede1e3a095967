//! What scripts add to charts: zoom, a logarithmic axis, smoothing, hiding curves, reading values by
//! keyboard, live points; and choosing lines of parallel coordinates by ranges.

use crate::support::browser::{Page, axe, browser};
use crate::support::client::Server;

use super::compare::run;
use super::support::empty;

/// The chart of the loss, its script ready.
const CHART: &str = "figure[data-title=loss]";

/// Two runs with a hundred points of a loss each, and their comparison.
fn compared(server: &Server) -> String {
    let loss = |end: f64| -> Vec<f64> {
        (0..100)
            .map(|step| end + 1.0 / f64::from(step + 1) + 0.05 * f64::from(step % 2))
            .collect()
    };
    let slow = [("lr", "0.001"), ("seed", "1"), ("optimizer", "sgd")];
    let fast = [("lr", "0.1"), ("seed", "2"), ("optimizer", "adam")];
    let a = run(server, "slow", &slow, &loss(0.5));
    let b = run(server, "fast", &fast, &loss(0.1));
    server.url(&format!("/compare?run={a}&run={b}"))
}

fn open(page: &Page, url: &str) {
    page.goto(url);
    // Charts ask for their series when they come into sight.
    page.eval(&format!(
        "document.querySelector('{CHART}').scrollIntoView()"
    ));
    page.wait_for(&format!(
        "'ready' in document.querySelector('{CHART}').dataset"
    ));
}

/// The texts along the horizontal axis as numbers.
fn steps(page: &Page) -> Vec<f64> {
    let ticks = page.eval(&format!(
        "[...document.querySelectorAll('{CHART} text.m')].map(t => Number(t.textContent)).filter(Number.isFinite)"
    ));
    let ticks = ticks.as_array().unwrap().iter();
    ticks.map(|tick| tick.as_f64().unwrap()).collect()
}

#[test]
fn a_drag_zooms_all_charts_and_escape_shows_all_again() {
    let Some(browser) = browser("zoom of charts") else {
        return;
    };
    let (_p, server) = empty();
    let page = browser.page();
    open(&page, &compared(&server));
    assert!(steps(&page).contains(&0.0), "{:?}", steps(&page));
    page.drag(&format!("{CHART} .chart-plot"), 60.0, 0.0);
    page.wait_for("location.search.includes('from=')");
    page.wait_for(&format!(
        "[...document.querySelectorAll('{CHART} text.m')].every(t => !['0', '100'].includes(t.textContent))"
    ));
    let zoomed = page.url();
    page.press("Escape");
    page.wait_for("!location.search.includes('from=')");
    page.wait_for(&format!(
        "[...document.querySelectorAll('{CHART} text.m')].some(t => t.textContent == '0')"
    ));
    // A link shows a colleague the same.
    open(&page, &zoomed);
    assert!(!steps(&page).contains(&0.0), "{:?}", steps(&page));
    page.is_clean();
}

#[test]
fn curves_are_smoothed_hidden_and_drawn_over_a_logarithmic_axis() {
    let Some(browser) = browser("choices of charts") else {
        return;
    };
    let (_p, server) = empty();
    let page = browser.page();
    open(&page, &compared(&server));
    let curve = format!("{CHART} path.curve");
    assert_eq!(page.count(&curve), 2);
    let path = || {
        page.eval(&format!(
            "document.querySelector('{curve}').getAttribute('d')"
        ))
    };
    let plain = path();
    page.eval(
        "const range = document.querySelector('.chart-controls input[type=range]'); \
         range.value = 0.9; range.dispatchEvent(new Event('input'))",
    );
    assert_ne!(path(), plain);
    assert_eq!(page.count(&format!("{CHART} path.raw")), 2);
    page.click(&format!("{CHART} .chart-tools button"));
    page.wait_for("location.search.includes('log=loss')");
    let pressed = format!("{CHART} .chart-tools button[aria-pressed=true]");
    assert_eq!(page.count(&pressed), 1);
    page.click(&format!("{CHART} .chart-legend button"));
    page.wait_for("location.search.includes('off=slow')");
    assert_eq!(page.count(&curve), 1);
    assert_eq!(axe(&page), "");
    page.is_clean();
}

#[test]
fn values_are_read_by_keyboard_and_points_come_live() {
    let Some(browser) = browser("values of charts") else {
        return;
    };
    let (_p, server) = empty();
    let page = browser.page();
    open(&page, &compared(&server));
    page.eval(&format!(
        "document.querySelector('{CHART} .chart-plot').focus()"
    ));
    page.press("End");
    let read = page.text(&format!("{CHART} .chart-readout"));
    assert!(
        read.contains("step 99") && read.contains("slow") && read.contains("fast"),
        "{read}"
    );
    page.press("ArrowLeft");
    assert!(
        page.text(&format!("{CHART} .chart-readout"))
            .contains("step 98")
    );
    let counted = page.eval(&format!(
        "import('/assets/chart.js').then(async ({{ chartOf }}) => {{
           const chart = chartOf(document.querySelector('{CHART}'));
           const {{ run, key }} = chart.series[0];
           for (let at = 0; at < 20000; at += 100) {{
             const points = Array.from({{ length: 100 }}, (_, i) => [100 + at + i, 1]);
             chart.append([{{ run, key, points }}]);
           }}
           chart.append([{{ run, key, points: [[20099, 1], [5, 9]] }}]);
           return [chart.series[0].x.length <= 4000, chart.series[0].x.at(-1), chart.series[0].high[0]];
         }})"
    ));
    // Points are joined, not forgotten, and none counts twice.
    assert_eq!(counted.to_string(), "[true,20099,1.5]");
    page.is_clean();
}

#[test]
fn lines_of_parallel_coordinates_are_chosen_by_ranges() {
    let Some(browser) = browser("ranges of parallel coordinates") else {
        return;
    };
    let (_p, server) = empty();
    let page = browser.page();
    open(&page, &compared(&server));
    let out = "figure.brushed path.out";
    assert_eq!(page.count(out), 0);
    // The middle of an axis has no line: half of it is dragged, to its upper end.
    page.drag("figure.brushed [data-title=lr] .grip", 0.0, -140.0);
    page.wait_for("location.search.includes('brush=')");
    assert_eq!(page.count(out), 1);
    let chosen = page.text("figure.brushed .chosen");
    assert!(chosen.contains("1 of 2 chosen: fast"), "{chosen}");
    let again = page.url();
    page.goto(&again);
    page.wait_for("document.querySelectorAll('figure.brushed path.out').length == 1");
    page.click("figure.brushed summary");
    page.eval(
        "const from = document.querySelector('[aria-label=\"lr from\"]'); \
         from.value = '0.0001'; from.dispatchEvent(new Event('change'))",
    );
    assert_eq!(page.count(out), 0);
    page.is_clean();
}
