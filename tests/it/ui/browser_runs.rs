//! The runs page in a browser: very many runs, a selection that holds, columns that are remembered.

use serde_json::{Value, json};

use crate::support::browser::browser;
use crate::support::client::Server;
use crate::support::{Project, project};

/// More than any table draws.
const MANY: usize = 3000;

/// Records runs, all in few requests: an import is for other forms.
fn many(server: &Server, from: usize, to: usize) {
    for n in from..to {
        let made = server.post(
            "/api/2.0/mlflow/runs/create",
            "application/json",
            json!({ "experiment_id": "0", "run_name": format!("r{n}"), "start_time": 1_700_000_000_000_u64 + n as u64 })
                .to_string(),
        );
        assert_eq!(made.status, 200, "{}", made.text());
    }
}

fn world(runs: usize) -> (Project, Server) {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    many(&server, 0, runs);
    (p, server)
}

#[test]
fn a_table_of_very_many_runs_draws_those_in_sight() {
    let Some(browser) = browser("a table of very many runs") else {
        return;
    };
    let (_p, server) = world(MANY);
    let page = browser.page();
    page.goto(&server.url("/runs?order=start_time+DESC"));
    page.wait_for("document.querySelector('.table-box.virtual')");
    assert_eq!(
        page.eval("document.getElementById('runs').getAttribute('aria-rowcount')"),
        json!((MANY + 1).to_string())
    );
    let rows = || page.count("#runs tbody tr");
    assert!(rows() < 110, "{}", rows());
    // Through the table in jumps, and back: rows are those that belong there.
    for share in [0.3, 0.31, 0.6, 1.0, 0.5, 0.0] {
        page.eval(&format!(
            "(() => {{ const b = document.getElementById('runs-box'); b.scrollTop = b.scrollHeight * {share}; }})()"
        ));
        page.wait_for(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
                .then(() => !document.querySelector('#runs tr.waiting'))",
        );
        let wrong = page.eval(&format!(
            "[...document.querySelectorAll('#runs tbody tr[aria-rowindex]')].filter(tr =>
                tr.cells[1].textContent.trim() !== 'r' + ({MANY} + 1 - tr.getAttribute('aria-rowindex'))).length"
        ));
        assert_eq!(wrong, json!(0), "at {share}");
        assert!(rows() < 110, "{}", rows());
    }
    page.is_clean();
}

#[test]
fn a_selection_holds_while_runs_arrive_and_goes_with_the_form() {
    let Some(browser) = browser("a selection of runs") else {
        return;
    };
    let (_p, server) = world(250);
    let page = browser.page();
    page.goto(&server.url("/runs"));
    page.wait_for("document.querySelector('.table-box.virtual')");
    for key in ["j", "x", "j", "j", "x"] {
        page.press(key);
    }
    assert_eq!(page.text("#runs-selected"), "2 selected");
    many(&server, 250, 252);
    // New runs stand above; who is at the top sees them, and what was selected still is.
    page.wait_for("document.querySelector('#runs tbody').textContent.includes('r251')");
    page.wait_for("document.querySelectorAll('#runs tr.selected').length == 2");
    let names = "[...document.querySelectorAll('#runs tr.selected')].map(tr => tr.cells[1].textContent.trim()).join()";
    assert_eq!(page.eval(names), Value::from("r249,r247"));
    assert_eq!(page.text("#runs-count"), "252 runs");
    // Out of sight they are still selected.
    page.eval("(() => { const b = document.getElementById('runs-box'); b.scrollTop = b.scrollHeight; })()");
    page.wait_for("document.querySelector('#runs tbody').textContent.includes('r0')");
    assert_eq!(
        page.eval("new FormData(document.getElementById('runs-form')).getAll('run').length"),
        json!(2)
    );
    page.press("/");
    assert_eq!(page.eval("document.activeElement.id"), json!("filter"));
    page.is_clean();
}

#[test]
fn columns_are_remembered_for_the_experiment() {
    let Some(browser) = browser("columns of runs") else {
        return;
    };
    let (_p, server) = world(3);
    let page = browser.page();
    page.goto(&server.url("/runs?column=run_id&column=status"));
    page.wait_for("document.querySelector('.table-box.virtual')");
    // The page goes on to another address before it has loaded.
    page.eval("void (location.href = '/runs?filter=run_name+LIKE+%27r%25%27')");
    page.wait_for("location.search.includes('column=run_id&column=status')");
    page.wait_for("document.querySelector('.table-box.virtual')");
    assert_eq!(page.texts("#runs th a").join(" "), "Run Run id State");
    page.click("#columns-panel summary");
    page.click("#columns-reset");
    page.wait_for("document.querySelector('#runs th:nth-child(3)')?.textContent == 'State'");
    page.is_clean();
}

#[test]
fn columns_that_lead_nowhere_are_forgotten() {
    let Some(browser) = browser("columns that cannot be shown") else {
        return;
    };
    let (_p, server) = world(3);
    let page = browser.page();
    let remember = |text: &str| {
        page.goto(&server.url("/models"));
        page.eval(&format!(
            "localStorage.setItem('cvops.runs.0.columns', {})",
            json!(text)
        ));
    };
    // The page may go on to another address before it has loaded.
    let visit = || page.eval("void (location.href = '/runs')");
    let is_there = "location.pathname == '/runs' && !!document.querySelector('.table-box.virtual')";
    // Damaged, of another kind, of no name: none of them keeps the page from its rows.
    for text in ["[\"run_id", "{}", "[\"\", \"nothing such\"]"] {
        remember(text);
        visit();
        page.wait_for(is_there);
    }
    // An address that is too long for the server leads there once.
    remember(&json!([format!("metrics.{}", "x".repeat(100_000))]).to_string());
    visit();
    page.wait_for(
        "document.readyState == 'complete' && location.pathname != '/models'
            && !document.querySelector('.table-box')",
    );
    page.goto(&server.url("/runs"));
    page.wait_for(is_there);
}

#[test]
fn rows_that_cannot_be_fetched_are_offered_again() {
    let Some(browser) = browser("rows that cannot be fetched") else {
        return;
    };
    let (_p, server) = world(3);
    let page = browser.page();
    page.goto(&server.url("/runs"));
    page.wait_for("document.querySelector('.table-box.virtual')");
    page.eval(
        "void (window.works = fetch, window.fetch = () => Promise.reject(new Error('away')))",
    );
    many(&server, 3, 5);
    page.wait_for("!document.getElementById('runs-new').hidden");
    assert_eq!(page.text("#runs-count"), "3 runs");
    assert!(page.text("#runs-new").contains("try again"));
    assert_eq!(page.count("#runs tbody tr[aria-rowindex]"), 3);
    page.eval("void (window.fetch = window.works)");
    page.click("#runs-new");
    page.wait_for("document.getElementById('runs-count').textContent == '5 runs'");
    assert!(page.text("#runs tbody").contains("r4"));
    page.is_clean();
}
