//! `/serving` in a browser: feedback without losing the place, news without loading the page anew.

use crate::support::browser::{axe, browser};

use super::serving::{NOWHERE, SEGMENT, prediction, three};

/// Chips of the table that say what a picture shows.
const VERDICTS: &str = "#predictions .chip";

#[test]
fn a_button_says_what_a_picture_shows() {
    let Some(browser) = browser("the page of serving") else {
        return;
    };
    let p = three();
    let server = p.ui(NOWHERE);
    let page = browser.page();
    page.goto(&server.url("/serving?class=shirt"));
    assert_eq!(page.count("#predictions tbody tr"), 2);
    assert_eq!(page.count(VERDICTS), 0);
    page.eval("window.stays = true");
    page.click("#predictions tbody tr:nth-child(2) form button");
    page.wait_for("document.querySelectorAll('#predictions .chip.good').length == 1");
    assert_eq!(
        page.eval("window.stays"),
        true,
        "the page was not loaded anew"
    );
    assert!(page.text("#serving-charts").contains("1 of 2 judged"));
    // The focus is where it was.
    assert_eq!(page.eval("document.activeElement.dataset.key"), "right-1");

    page.eval("document.querySelector('#other-0').value = 'coat'");
    page.click("#predictions tbody tr:nth-child(1) [data-key=correct-0]");
    page.wait_for("document.querySelectorAll('#predictions .chip.bad').length == 1");
    assert_eq!(page.url(), server.url("/serving?class=shirt"));
    page.screenshot("serving");
    assert_eq!(axe(&page), "");
    page.is_clean();
}

#[test]
fn a_new_prediction_appears_by_itself() {
    let Some(browser) = browser("news of the page of serving") else {
        return;
    };
    let p = three();
    let server = p.ui(NOWHERE);
    let page = browser.page();
    page.goto(&server.url("/serving"));
    assert_eq!(page.count("#predictions tbody tr"), 3);
    let path = format!(".cvops/predictions/{SEGMENT}.jsonl");
    let more = format!("{}{}\n", p.read(&path), prediction("fourth", 9, "bag", 0.5));
    page.wait_for("document.readyState == 'complete'");
    // The first look of the live answer is what the page shows already.
    std::thread::sleep(std::time::Duration::from_secs(1));
    p.write(&path, more);
    page.wait_for("document.querySelectorAll('#predictions tbody tr').length == 4");
    page.is_clean();
}

#[test]
fn it_works_on_a_phone_and_without_scripts() {
    let Some(browser) = browser("the page of serving on a phone") else {
        return;
    };
    let p = three();
    let server = p.ui(NOWHERE);
    let page = browser.page();
    page.no_javascript();
    page.set_viewport(390, 844);
    page.goto(&server.url("/serving?theme=dark"));
    let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(page.eval(wide), false, "only the table scrolls sideways");
    // The mouse of these tests needs scripts; the button does not.
    page.eval("document.querySelector('#predictions tbody tr:nth-child(2) form button').click()");
    page.wait_for("document.querySelectorAll('#predictions .chip.good').length == 1");
    assert_eq!(page.url(), server.url("/serving?theme=dark"));
    page.is_clean();
}
