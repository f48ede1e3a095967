//! A run's pages and its pictures in a browser.

use serde_json::json;

use super::run::{PNG, Tracked};
use crate::support::browser::{axe, axe_colours, browser};

#[test]
fn points_and_values_arrive_without_a_reload() {
    let Some(browser) = browser("a run's live page") else {
        return;
    };
    let t = Tracked::new();
    let run = t.run("live");
    for step in 0..4 {
        t.metric(&run, "val_loss", step, 1.0);
        t.metric(&run, "train_loss", step, 2.0);
    }
    let page = browser.page();
    page.goto(&t.server.url(&format!("/runs/{run}/metrics")));
    page.wait_for("document.querySelector('figure.chart[data-ready]') !== null");
    page.wait_for("document.getElementById('live-state').hidden === false");
    page.eval("window.stays = true");
    // The first look says where points begin that are told.
    page.wait_for("[...document.querySelectorAll('#run-took')].length === 1");
    t.metric(&run, "val_loss", 4, 0.125);
    page.wait_for("document.querySelector('#metrics tbody').textContent.includes('0.125')");
    page.wait_for(
        "import('/assets/chart.js').then((m) => m.chartOf(document.querySelector('figure.chart')).series.find((s) => s.key === 'val_loss').y.at(-1) === 0.125)",
    );
    assert_eq!(page.eval("window.stays"), json!(true));
    page.screenshot("run-metrics-1440-light");
    t.finish(&run);
    page.wait_for("document.body.textContent.includes('The run has ended')");
    assert_eq!(axe(&page), "");
    page.is_clean();
}

#[test]
fn a_metric_that_begins_while_the_page_is_open_gets_its_chart() {
    let Some(browser) = browser("a metric that begins") else {
        return;
    };
    let t = Tracked::new();
    let run = t.run("begins");
    let page = browser.page();
    page.goto(&t.server.url(&format!("/runs/{run}/metrics")));
    page.wait_for("document.getElementById('live-state').hidden === false");
    assert!(page.text("main").contains("No metrics were recorded"));
    for step in 0..3 {
        t.metric(&run, "loss", step, 2.0);
    }
    let charts = "[...document.querySelectorAll('figure.chart[data-ready]')]";
    page.wait_for(&format!("{charts}.length === 1"));
    page.eval(&format!("{charts}[0].stays = true"));
    // What is there stays, and goes on.
    for step in 0..3 {
        t.metric(&run, "speed", step, 7.0);
    }
    page.wait_for(&format!("{charts}.length === 2"));
    assert_eq!(
        page.eval(&format!("{charts}.filter((f) => f.stays).length")),
        json!(1)
    );
    t.metric(&run, "loss", 3, 0.125);
    page.wait_for(
        "import('/assets/chart.js').then((m) => [...document.querySelectorAll('figure.chart')].some((f) => m.chartOf(f).series.some((s) => s.key === 'loss' && s.y.at(-1) === 0.125)))",
    );
    page.wait_for("document.querySelector('#metrics tbody').textContent.includes('speed')");
    assert_eq!(axe(&page), "");
    page.is_clean();
}

/// The overview has no rows for system metrics, and blanks around a name are part of it.
#[test]
fn a_page_asks_once_for_a_metric_that_it_has_no_row_for() {
    let Some(browser) = browser("a metric without a row") else {
        return;
    };
    let t = Tracked::new();
    let run = t.run("rows");
    let page = browser.page();
    page.goto(&t.server.url(&format!("/runs/{run}")));
    page.wait_for("document.getElementById('live-state').hidden === false");
    // Counts how often the page asks for itself, and lets it rest for a hundredth of the time.
    page.eval(
        "(() => {
            window.asked = 0;
            const [ask, later] = [window.fetch, window.setTimeout];
            window.fetch = (...of) => (window.asked++, ask(...of));
            window.setTimeout = (act, ms) => later(act, ms / 100);
        })()",
    );
    t.metric(&run, "system/cpu", 0, 1.0);
    t.metric(&run, " blanks ", 0, 0.75);
    t.metric(&run, "loss", 0, 0.5);
    let values = "document.querySelector('#metrics tbody').textContent";
    page.wait_for(&format!("{values}.includes('0.5')"));
    // Each is told a second after the one before.
    for (step, value) in [(1, 0.375), (2, 0.125)] {
        t.metric(&run, " blanks ", step, value);
        page.wait_for(&format!("{values}.includes('{value}')"));
    }
    t.finish(&run);
    page.wait_for("document.body.textContent.includes('The run has ended')");
    // As many as there were metrics, if each came with news of its own.
    let asked = page.eval("window.asked").as_u64().unwrap();
    assert!((1..=3).contains(&asked), "{asked}");
    page.is_clean();
}

#[test]
fn a_logarithmic_axis_is_chosen_and_stands_in_the_address() {
    let Some(browser) = browser("a chart's axis") else {
        return;
    };
    let t = Tracked::new();
    let run = t.run("log");
    for step in 0..6 {
        t.metric(
            &run,
            "loss",
            step,
            10.0_f64.powi(-i32::try_from(step).unwrap()),
        );
    }
    t.finish(&run);
    let page = browser.page();
    page.goto(&t.server.url(&format!("/runs/{run}/metrics")));
    page.wait_for("document.querySelector('figure.chart[data-ready]') !== null");
    page.eval("[...document.querySelectorAll('.chart-tools button')].find((b) => b.textContent.trim().toLowerCase() === 'log').click()");
    page.wait_for("location.search.includes('log=loss')");
    page.is_clean();
}

#[test]
fn a_page_among_the_artifacts_runs_nothing() {
    let Some(browser) = browser("a page among the artifacts") else {
        return;
    };
    let t = Tracked::new();
    let run = t.run("page");
    t.file(
        &run,
        "page.html",
        b"<html lang=en><title>x</title><body><p id=p>as sent</p><script>parent.document.title='ran'; document.getElementById('p').textContent='ran'</script>",
    );
    let page = browser.page();
    page.goto(&t.server.url(&format!("/runs/{run}/artifacts/page.html")));
    page.eval("document.querySelector('iframe').scrollIntoView()");
    page.wait_for("document.querySelector('iframe') !== null");
    page.goto(&t.server.url(&format!("/runs/{run}/file/page.html")));
    assert_eq!(page.text("#p"), "as sent");
    // The browser says that it kept a script from running; that is what is wanted.
    page.take_errors();
}

#[test]
fn the_slider_changes_the_pictures() {
    let Some(browser) = browser("the slider of steps") else {
        return;
    };
    let t = Tracked::new();
    let run = t.run("pictures");
    for step in 0..4 {
        t.file(
            &run,
            &format!("images/dog+step+{step}+timestamp+1{step}+u-u.png"),
            PNG,
        );
    }
    t.file(&run, "plot.png", PNG);
    let page = browser.page();
    page.goto(&t.server.url(&format!("/runs/{run}/images")));
    page.wait_for("document.querySelector('#slider input') !== null");
    let src =
        || page.eval("document.querySelector('#images-table img[alt^=dog]').getAttribute('src')");
    assert!(src().as_str().unwrap().contains("step%2B3"), "{}", src());
    page.press("ArrowLeft");
    page.wait_for("document.querySelector('#images-table img[alt^=dog]').getAttribute('src').includes('step%2B2')");
    assert!(page.url().contains("step=2"), "{}", page.url());
    page.screenshot("images-1440-light");
    page.click("a.shot");
    page.wait_for("document.querySelector('dialog.viewer').open");
    page.wait_for("document.querySelector('.viewer-stage img').naturalWidth > 0");
    page.eval("const s = document.querySelector('.viewer label select'); s.value = '0'; s.dispatchEvent(new Event('change'))");
    page.wait_for("document.querySelectorAll('.viewer-stage img').length === 2");
    page.press("Escape");
    page.wait_for("!document.querySelector('dialog.viewer').open");
    assert_eq!(axe(&page), "");
    page.is_clean();
}

#[test]
fn the_pages_of_a_run_are_accessible_and_fit_a_phone() {
    let Some(browser) = browser("a run's pages") else {
        return;
    };
    let t = Tracked::new();
    let before = t.run("before");
    t.param(&before, "lr", "0.1");
    t.finish(&before);
    let run = t.run("a run with a name that is rather long, as people have them");
    t.param(&run, "lr", "0.2");
    t.tag(&run, "team", "vision");
    t.tag(
        &run,
        "mlflow.note.content",
        "# What\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n\n```\ncode\n```",
    );
    for step in 0..20 {
        let x = f64::from(i32::try_from(step).unwrap());
        t.metric(&run, "train.loss", step, 1.0 / (x + 1.0));
        t.metric(&run, "val.loss", step, 1.2 / (x + 1.0));
        t.metric(&run, "val.accuracy", step, 1.0 - 0.7 / (x + 1.0));
    }
    t.file(&run, "plot.png", PNG);
    t.file(&run, "models/clothes/model.json", b"{\"a\": 1}");
    t.file(&run, "logs/train.log", b"epoch 1\nepoch 2\n");
    t.finish(&run);
    let page = browser.page();
    for theme in ["light", "dark"] {
        page.set_theme(theme);
        for (part, name) in [
            ("", "overview"),
            ("/metrics", "metrics"),
            ("/artifacts/models/clothes/model.json", "artifacts"),
            ("/images", "images"),
            ("/log", "log"),
        ] {
            for (width, height) in [(1440, 1200), (390, 844)] {
                page.set_viewport(width, height);
                page.goto(&t.server.url(&format!("/runs/{run}{part}")));
                if name == "metrics" {
                    page.wait_for("document.querySelector('figure.chart[data-ready]') !== null");
                }
                // Only colours differ between themes.
                let found = if theme == "light" {
                    axe(&page)
                } else {
                    axe_colours(&page)
                };
                assert_eq!(found, "", "{name} {width} {theme}");
                let wide = page.eval("document.documentElement.scrollWidth <= innerWidth");
                assert_eq!(wide, json!(true), "{name} is wider than {width}");
                page.screenshot(&format!("run-{name}-{width}-{theme}"));
            }
        }
    }
    page.is_clean();
}
