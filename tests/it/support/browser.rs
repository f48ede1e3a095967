//! Headless Chromium, driven over the protocol of its developer tools, for tests of the web pages.
//!
//! ```ignore
//! let Some(browser) = browser("the page of runs") else { return };
//! let p = project();                                  // …and what the page shows
//! let server = p.ui("");
//! let page = browser.page();                          // a fresh profile: no cookie, no cache
//! page.goto(&server.url("/runs"));                    // waits until all of it has loaded
//! page.click("th a[href*='order']");                  // a real mouse at the element's place
//! page.wait_for("document.querySelectorAll('tbody tr').length == 3");
//! assert_eq!(page.text("h1"), "Runs");
//! assert_eq!(page.eval("1 + 1"), 2);                  // promises are awaited; throwing fails the test
//! assert_eq!(axe(&page), "");                         // accessibility, as readable text
//! page.is_clean();                                    // no error was logged, no request failed
//! ```
//!
//! - **Looks**: `set_viewport(1440, 900)` is where a page starts, `set_viewport(390, 844)` a phone;
//!   `set_theme("dark")`, `set_media("print")`; `no_javascript()` before `goto`.
//! - **Hands**: `click`, `hover`, `drag(css, dx, dy)`, `wheel(css, delta)`, `press("Shift+Tab")`,
//!   `type_text`. Elements are scrolled into view; one that is covered by another is not clicked.
//! - **Eyes**: `text`, `texts`, `count`, `url`, `print_pdf`; `screenshot("name")` writes
//!   `target/screenshots/name.png` where `CVOPS_TEST_SCREENSHOTS` is set.
//! - **Faults**: errors of the console, exceptions nobody caught, answers of 400 and above, requests
//!   that failed, violations of the content security policy and dialogs are collected.
//!   `is_clean()` ends each test; `take_errors()` is for those which provoke them.
//! - **Leaks**: `collect_garbage()`, then `metric("JSHeapUsedSize")` and `metric("Nodes")`.
//! - **Wire**: `bytes_received()` since the last `goto`.
//!
//! `CVOPS_TEST_BROWSER` names the program, `CVOPS_TEST_AXE` the file `axe.min.js` of axe-core.
//! Without them these tests say that they skip; with `CVOPS_TEST_BROWSER_REQUIRED` (as in
//! `.ci/run`) a skip is a failure.
//!
//! One process serves all tests of a run, each page lives in a context of its own. It speaks over
//! pipes, so it ends with the test binary, however that ends. It reaches nothing but this machine.

mod axe;
mod connection;
mod keys;
mod page;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;

pub(crate) use axe::{axe, axe_colours};
use connection::Connection;
pub(crate) use page::Page;

/// The running browser.
pub(crate) struct Browser {
    connection: Connection,
}

/// Returns the browser, or says why the test `what` does not take place.
pub(crate) fn browser(what: &str) -> Option<&'static Browser> {
    static BROWSER: OnceLock<Browser> = OnceLock::new();
    let program = setting(what, "CVOPS_TEST_BROWSER")?;
    Some(BROWSER.get_or_init(|| Browser {
        connection: Connection::start(&program),
    }))
}

impl Browser {
    /// Opens an empty page with a profile of its own; both go when it is dropped.
    pub(crate) fn page(&'static self) -> Page {
        let create = json!({"disposeOnDetach": true});
        let context = self.ask("Target.createBrowserContext", &create, "browserContextId");
        let create = json!({"url": "about:blank", "browserContextId": context});
        let target = self.ask("Target.createTarget", &create, "targetId");
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.ask("Target.attachToTarget", &attach, "sessionId");
        Page::open(&self.connection, context, session)
    }

    fn ask(&self, method: &str, params: &serde_json::Value, field: &str) -> String {
        let answer = self.connection.call(None, method, params);
        let answer = answer.unwrap_or_else(|e| panic!("{method}: {e}"));
        answer[field].as_str().unwrap().to_owned()
    }
}

/// Returns what a variable names, or says that the test `what` is skipped for want of it.
fn setting(what: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(PathBuf::from(path));
    }
    assert!(
        std::env::var_os("CVOPS_TEST_BROWSER_REQUIRED").is_none(),
        "{what}: {variable} is not set, and this run must not skip it"
    );
    // Not `eprintln!`, which is swallowed when a test passes.
    let line = format!("skipped: {what}: {variable} is not set\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}
